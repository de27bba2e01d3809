"""How well scores rank photos: average precision, of many texts and with intervals, and folds. Knows arrays alone."""

from collections.abc import Iterator

import numpy as np

from base.arrays import Bools, Doubles, Floats, Longs

FOLDS = 5
BEST = 4  # texts that are joined: 2 to 6 did alike on both sets of benchmarks/suggestions.py
RESAMPLED = 500  # times hotels are drawn anew, for an interval
MOST_WEIGHTS = 4_000_000  # held at a time: 32 MB, and several arrays of that size


def folds(has: Bools, groups: Longs) -> Iterator[tuple[Longs, Longs]]:
    """Yield rows that choose and rows that are judged by them, fold by fold; groups are never divided."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    count = min(FOLDS, *(len(np.unique(groups[kind])) for kind in (has, ~has)))
    if len(np.unique(groups)) == len(groups):  # ten times as quick where every photo is a group
        parts = StratifiedKFold(count, shuffle=True, random_state=0).split(has, has)
    else:
        parts = StratifiedGroupKFold(count, shuffle=True, random_state=0).split(has, has, groups)
    for others, judged in parts:
        if has[others].any() and not has[others].all():
            yield others, judged


def best_of(has: Bools, scores: Floats) -> Longs:
    """Return the columns of scores (n, m) that rank photos (n,) best, at most BEST, the best first."""
    best: Longs = np.argsort(-average_precisions(has, scores), kind="stable")[:BEST]
    return best


def average_precisions(has: Bools, scores: Floats) -> Doubles:
    """Return the average precision of each column of scores (n, m), (m,); of equal scores the first stands first."""
    order = np.argsort(-scores, axis=0, kind="stable")
    hits = has[order].astype(np.float64)
    precision = np.cumsum(hits, axis=0) / np.arange(1, len(has) + 1)[:, np.newaxis]
    result: Doubles = (precision * hits).sum(axis=0) / max(int(has.sum()), 1)
    return result


def compared(has: Bools, before: Floats, after: Floats, groups: Longs) -> tuple[tuple[float, float], float, float]:
    """Return the average precisions of two rankings (n,), and the 95 % interval of their difference.

    Groups are drawn anew, with replacement, RESAMPLED times: percentile bootstrap over clusters, seed 0.
    """
    number = int(groups.max()) + 1
    rng = np.random.default_rng(0)
    different = np.unique(groups)
    drawn = np.zeros((RESAMPLED, number), np.float64)
    for times in drawn:
        np.add.at(times, rng.choice(different, len(different)), 1)
    differences = []
    for part in np.array_split(drawn, max(1, RESAMPLED * len(has) // MOST_WEIGHTS)):
        weights = part[:, groups]
        differences.append(weighted_precision(has, after, weights) - weighted_precision(has, before, weights))
    low, high = np.nanpercentile(np.concatenate(differences), [2.5, 97.5])
    values = average_precisions(has, np.stack([before, after], axis=1))
    return (float(values[0]), float(values[1])), float(low), float(high)


def weighted_precision(has: Bools, scores: Floats, weights: Doubles) -> Doubles:
    """Return the average precision of a ranking (n,) with photos counted so many times (b, n), (b,); NaN of none."""
    order = np.argsort(-scores, kind="stable")
    counts = weights[:, order]
    hits = counts * has[order]
    precision = np.cumsum(hits, axis=1) / np.maximum(np.cumsum(counts, axis=1), 1)
    there = hits.sum(axis=1)
    result: Doubles = np.where(there > 0, (hits * precision).sum(axis=1) / np.maximum(there, 1), np.nan)
    return result
