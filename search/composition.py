"""Terms become one query vector: a weighted sum of unit vectors, made unit again. Encodes nothing."""

import numpy as np
from numpy.typing import NDArray

from aliens.errors import QueryError
from embedding.unit import unit

Vectors = NDArray[np.float32]

SHORTEST = 1e-4  # a sum of unit vectors, the heaviest of weight 1, that is shorter has no direction worth the name
ROCCHIO = (1.0, 0.75, 0.15)  # Rocchio 1971, in the values that textbooks give: query, more like, less like


def compose(vectors: Vectors, weights: NDArray[np.floating]) -> Vectors:
    """Return the query's unit vector (d,) float32 of terms' unit vectors (t, d) and weights (t,).

    Only the ratio of the weights matters, so they may be as small or large as float64 allows.

    Raises: QueryError: the terms cancel each other out, or a weight is not finite.
    """
    exact = np.asarray(weights, np.float64)
    largest = np.abs(exact).max(initial=0)
    if not 0 < largest < np.inf:
        raise QueryError("the weights of the query cannot be used: give numbers above 0, such as 0.5")
    return direction((exact / largest).astype(np.float32) @ vectors)


def moved(query: Vectors, more: Vectors, less: Vectors) -> Vectors:
    """Return a query (d,) moved towards photos (m, d) that are what was meant, away from photos (l, d) that are not.

    Source: Rocchio 1971, "Relevance feedback in information retrieval".
    """
    keep, towards, away = ROCCHIO
    vector = keep * query
    if len(more):
        vector = vector + towards * more.mean(axis=0)
    if len(less):
        vector = vector - away * less.mean(axis=0)
    return direction(vector)


def direction(vector: Vectors) -> Vectors:
    """Return a vector (d,) made length 1. Raises: QueryError: it is too short to have a direction."""
    if not float(np.linalg.norm(vector)) > SHORTEST:
        raise QueryError("the parts of the query cancel each other out: leave one of them out")
    return unit(vector)
