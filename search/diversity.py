"""Diversity: hits that do not repeat each other."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def diverse(vectors: Floats, scores: Floats, k: int, diversity: float) -> NDArray[np.int64]:
    """Return the positions (k,) of photos in the order of maximal marginal relevance.

    Each next photo has the greatest (1 - diversity) relevance - diversity similarity, where similarity is the highest
    cosine with a photo chosen before. Cosines of texts with photos span a narrower range than those between photos,
    so both are put on the scale from 0 to 1 over the given photos. Diversity 0 gives the order of the scores.

    Args:
        vectors: unit vectors (m, d), best first.
        scores: (m,), descending.
        k: how many at most.
        diversity: from 0 to 1.

    Source: Carbonell and Goldstein 1998, "The use of MMR, diversity-based reranking".
    """
    k = min(k, len(scores))
    relevance = scaled(scores)
    similarity = scaled(vectors @ vectors.T)
    chosen = np.zeros(k, np.int64)
    left = np.ones(len(scores), bool)
    nearest = np.zeros(len(scores), np.float32)
    for place in range(k):
        value = (1 - diversity) * relevance - diversity * nearest
        chosen[place] = np.flatnonzero(left)[np.argmax(value[left])] if place else np.argmax(relevance)
        left[chosen[place]] = False
        nearest = np.maximum(nearest, similarity[chosen[place]]) if place else similarity[chosen[place]]
    return chosen


def scaled(values: Floats) -> Floats:
    """Return values moved and stretched to reach from 0 to 1."""
    lowest, highest = float(values.min()), float(values.max())
    stretched: Floats = ((values - lowest) / max(highest - lowest, 1e-6)).astype(np.float32)
    return stretched
