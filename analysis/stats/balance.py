"""How numbers are spread, and how evenly photos are shared out among hotels or chains. Asks no database."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from base.arrays import Doubles, Longs


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How n values are spread, in their own unit; sd: standard deviation of all of them (ddof 0).

    Quartiles and median lie between two values where they fall between them (linear interpolation, NumPy's default).
    """

    n: int
    mean: float
    sd: float
    least: float
    lower_quartile: float
    median: float
    upper_quartile: float
    most: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """How evenly photos are shared out among n groups.

    gini: Gini coefficient, 0 where all have as many, towards 1 where one has all. entropy: Shannon's, divided by the
    largest that n groups allow, 1 where all have as many; None of a single group, of which it says nothing.
    """

    n: int
    gini: float
    entropy: float | None


def spread_of(values: ArrayLike, counts: ArrayLike | None = None) -> Spread | None:
    """Return how values are spread, each as often as `counts` says; None where there are none."""
    every = np.asarray(values, np.float64)
    if counts is not None:
        every = np.repeat(every, np.asarray(counts, np.int64))
    if not len(every):
        return None
    least, lower, median, upper, most = np.percentile(every, (0, 25, 50, 75, 100)).tolist()
    return Spread(
        n=len(every),
        mean=float(every.mean()),
        sd=float(every.std()),
        least=least,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        most=most,
    )


def balance_of(counts: ArrayLike) -> Balance | None:
    """Return how evenly so many photos of each group, (n,) and at least one each, are shared out; None of no group."""
    photos = np.asarray(counts, np.float64)
    if not len(photos):
        return None
    return Balance(n=len(photos), gini=gini_coefficient(photos), entropy=normalised_entropy(photos))


def gini_coefficient(counts: Doubles) -> float:
    """Return the Gini coefficient of counts (n,), at least one of them above 0: from 0 to 1 - 1/n.

    It is half the mean difference of two counts, relative to their mean.

    Source: Gini 1912; by sorted values as in Sen 1973, On Economic Inequality.
    """
    ranked = np.sort(counts)
    n = len(ranked)
    places = np.arange(1, n + 1)
    return max(float(((2 * places - n - 1) * ranked).sum() / (n * ranked.sum())), 0.0)


def normalised_entropy(counts: Doubles) -> float | None:
    """Return Shannon's entropy of counts (n,) over ln n, from 0 to 1; None where n is 1.

    Source: Shannon 1948; divided so by Pielou 1966, The measurement of diversity, who calls it evenness.
    """
    from scipy.stats import entropy

    if len(counts) == 1:
        return None
    return min(float(entropy(counts)) / math.log(len(counts)), 1.0)


def lorenz_curve(counts: Doubles) -> tuple[Doubles, Doubles]:
    """Return shares of groups, the smallest first, and the shares of all photos that these have, (n + 1,) each.

    Source: Lorenz 1905; the Gini coefficient is twice the area between it and the diagonal.
    """
    ranked = np.sort(np.asarray(counts, np.float64))
    shares = np.concatenate([[0.0], np.cumsum(ranked) / ranked.sum()])
    return np.linspace(0, 1, len(shares)), shares


def whole_bins(values: Longs, most: int) -> Longs:
    """Return the borders, n + 1 whole numbers, of at most `most` equal bins that hold whole numbers (at least one)."""
    least, highest = int(values.min()), int(values.max())
    width = -(-(highest - least + 1) // most)
    count = -(-(highest - least + 1) // width)
    borders: Longs = least + width * np.arange(count + 1, dtype=np.int64)
    return borders
