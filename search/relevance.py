"""Relevance that people can use: where a score lies among the library's, and where a list should stop."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FEWEST = 20  # photos from which a stop line is suggested
LINE = 2.0


@dataclass(frozen=True, slots=True)
class Background:
    """A sample of the library's photos: unit vectors (s, d) float32."""

    vectors: Floats

    @classmethod
    def from_vectors(cls, vectors: Floats) -> Self:
        """Take a sample's vectors (s, d)."""
        return cls(vectors)

    def scores(self, query: Floats) -> Floats:
        """Return the sample's cosines (s,) with a query (d,)."""
        return self.vectors @ query

    def percentile(self, query: Floats, scores: Floats) -> Floats:
        """Return, for scores (m,), the share of the sample that scores lower, in percent (m,); NaN without a sample."""
        ranked = np.sort(self.scores(query))
        if not len(ranked):
            return np.full(len(scores), np.nan, np.float32)
        return (100 * np.searchsorted(ranked, scores, side="left") / len(ranked)).astype(np.float32)


def stop_line(background: Floats, photos: int) -> float | None:
    """Return the score below which photos are probably not what was asked for, or None where it cannot be told."""
    if len(background) < FEWEST:
        return None
    return float(background.mean() + LINE * background.std())
