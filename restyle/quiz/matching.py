"""The quiz as a machine plays it: every result is given to the original that it resembles. Computes no vectors.

Two measures of one similarity matrix: the best assignment of all results to all originals, each original taken once,
which is the quiz as people play it with everything on the table; and top-1, each result by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """A result that was taken for another original than its own; similarities are cosines, -1..1."""

    result_id: int
    source_id: int
    taken_for_id: int
    similarity: float  # to what it was taken for
    own_similarity: float  # to its own original


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """How one method did: `right` of `n` results were assigned to their own originals.

    top1: the share of results whose own original is the most similar of all.
    """

    method: str
    right: int
    n: int
    accuracy: float
    top1: float
    confusions: tuple[Confusion, ...]


def cosines(results: Floats, originals: Floats) -> Floats:
    """Return cosine similarities (n, m) of vectors (n, d) and (m, d); a vector of zeros resembles nothing: 0."""

    def unit(vectors: Floats) -> Floats:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        scaled: Floats = np.divide(vectors, norms, where=norms > 0, out=np.zeros_like(vectors))
        return scaled

    similarities: Floats = (unit(results) @ unit(originals).T).astype(np.float32)
    return similarities


def match(
    method: str, similarities: Floats, result_ids: Sequence[int], source_ids: Sequence[int], seed: int = 0
) -> Matching:
    """Assign results to originals.

    Args:
        method: what the similarities were computed from.
        similarities: (n, n), results by originals; row i and column i belong together.
        result_ids: (n,).
        source_ids: (n,), ids of the originals.
        seed: of the order in which the originals are looked at: where several are equally similar, the first one is
            taken, and the right one must not be favoured by its place.

    Source: scipy.optimize.linear_sum_assignment (Jonker and Volgenant 1987, as modified by Crouse 2016).
    """
    from scipy.optimize import linear_sum_assignment

    n = len(similarities)
    order = np.random.default_rng(seed).permutation(n)  # order[place]: which original lies there
    laid_out = similarities[:, order]
    taken = order[linear_sum_assignment(laid_out, maximize=True)[1]]
    nearest = order[laid_out.argmax(axis=1)] if n else order
    own = np.arange(n)
    confusions = tuple(
        Confusion(
            result_id=result_ids[row],
            source_id=source_ids[row],
            taken_for_id=source_ids[int(taken[row])],
            similarity=float(similarities[row, taken[row]]),
            own_similarity=float(similarities[row, row]),
        )
        for row in np.flatnonzero(taken != own).tolist()
    )
    right = n - len(confusions)
    return Matching(
        method=method,
        right=right,
        n=n,
        accuracy=right / n if n else float("nan"),
        top1=float((nearest == own).mean()) if n else float("nan"),
        confusions=confusions,
    )
