"""Relevance that people can use: where a score lies among the library's, and where a list should stop."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FEWEST = 20  # photos from which a stop line is suggested
BEST = 0.99  # the quantile that stands for photos which show what was asked for
WAY = 2 / 3  # how far the line lies from the median, which stands for all others, towards that quantile


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


def stop_line(background: Floats) -> float | None:
    """Return the score below which photos are probably not what was asked for, or None where it cannot be told.

    The line lies two thirds of the way from the median of the query's scores (s,) over a sample of the library to
    their 99th percentile. It moves with the query, so that texts whose cosines are all high, or all low, are served
    alike; and where few photos stand out, the percentile is far out and takes the line with it. Evaluated, with the
    constants fitted on one set of photos and tested on another, by benchmarks/search_quality.py.
    """
    if len(background) < FEWEST:
        return None
    median, best = np.quantile(background, (0.5, BEST))
    return float(median + WAY * (best - median))
