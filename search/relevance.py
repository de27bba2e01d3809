"""Relevance that people can use: where a score lies among the library's, and where a list should stop."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FEWEST = 20  # photos from which a stop line is suggested
BEST = 0.99  # the quantile that stands for photos which show what was asked for
WAY = 2 / 3  # how far the line lies from the median, which stands for all others, towards that quantile


def percentiles(background: Floats, scores: Floats) -> Floats:
    """Return, for scores (m,), the share of a query's scores over a sample (s,) that are lower, in percent (m,).

    NaN without a sample.
    """
    if not len(background):
        return np.full(len(scores), np.nan, np.float32)
    return (100 * np.searchsorted(np.sort(background), scores, side="left") / len(background)).astype(np.float32)


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
