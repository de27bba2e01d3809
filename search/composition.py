"""Terms become one query vector: a weighted sum of unit vectors, made unit again. Encodes nothing."""

import numpy as np
from numpy.typing import NDArray

from aliens.errors import QueryError

Vectors = NDArray[np.float32]

SHORTEST = 1e-4  # a sum of unit vectors that is shorter has no direction worth the name
ROCCHIO = (1.0, 0.75, 0.15)  # Rocchio 1971, in the values that textbooks give: query, more like, less like


def compose(vectors: Vectors, weights: NDArray[np.floating]) -> Vectors:
    """Return the query's unit vector (d,) float32 of terms' unit vectors (t, d) and weights (t,).

    Raises: QueryError: the terms cancel each other out.
    """
    return unit(np.asarray(weights, np.float32) @ vectors)


def feedback(query: Vectors, more: Vectors, less: Vectors) -> Vectors:
    """Return a query (d,) moved towards photos (m, d) that are what was meant, away from photos (l, d) that are not.

    Source: Rocchio 1971, "Relevance feedback in information retrieval".
    """
    keep, towards, away = ROCCHIO
    moved = keep * query
    if len(more):
        moved = moved + towards * more.mean(axis=0)
    if len(less):
        moved = moved - away * less.mean(axis=0)
    return unit(moved)


def unit(vector: Vectors) -> Vectors:
    """Return a vector of length 1. Raises: QueryError: it is too short to have a direction."""
    norm = float(np.linalg.norm(vector))
    if not norm > SHORTEST:
        raise QueryError("the parts of the query cancel each other out: leave one of them out")
    directed: Vectors = (vector / norm).astype(np.float32)
    return directed
