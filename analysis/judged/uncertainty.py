"""How far means over queries can be trusted: bootstrap intervals, and whether a difference may be chance."""

from collections.abc import Sequence

import numpy as np

from base.arrays import Bools, Doubles

CONFIDENCE = 0.95
RESAMPLES = 9_999
MOST_RESAMPLED = 1_000  # queries: of more, Student's t says the same to three digits, and at once
AT_ONCE = 4_000_000  # resampled values that are held
ALIKE = 1e-9  # apart: 0.3 - 0.2 and 0.2 - 0.1 are no two differences


def bootstrap_intervals(values: Doubles, *, confidence: float = CONFIDENCE, seed: int = 0) -> Doubles:
    """Return the confidence interval of each mean over queries, (m, 2): its lower and its upper end.

    values: (m, n) of n queries. Bias-corrected and accelerated (BCa); of more than 1,000 queries Student's t, which
    the central limit theorem makes the same. NaN where nothing can be said: one query, or all of them alike.

    Source: Efron 1987, "Better Bootstrap Confidence Intervals", by scipy.stats.bootstrap.
    """
    from scipy.stats import bootstrap, sem, t

    intervals = np.full((len(values), 2), np.nan)
    vary = varying(values)
    if not vary.any():
        return intervals
    queries = values.shape[1]
    if queries > MOST_RESAMPLED:
        some = values[vary]
        low, high = t.interval(confidence, queries - 1, loc=some.mean(axis=1), scale=sem(some, axis=1))
        intervals[vary] = np.stack([low, high], axis=1)
        return intervals
    found = bootstrap(
        (values[vary],),
        np.mean,
        axis=-1,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=batch_of(values),
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    intervals[vary] = np.stack([np.atleast_1d(found.low), np.atleast_1d(found.high)], axis=1)
    return intervals


def paired_p_values(differences: Doubles, *, seed: int = 0) -> Doubles:
    """Return how likely so large a mean difference is by chance, two-sided, for each row, (m,).

    differences: (m, n) between two ways of answering the same n queries. Signs are flipped in every way, or in 9,999
    random ones, of which the least that comes out is 2 in 10,000; of more than 1,000 queries Student's paired t test
    says the same, as it does in the source.

    Source: Fisher's randomisation test; Smucker, Allan and Carterette 2007, "A Comparison of Statistical Significance
    Tests for Information Retrieval Evaluation", by scipy.stats.permutation_test.
    """
    from scipy.stats import permutation_test, ttest_1samp

    queries, vary = differences.shape[1], varying(differences)
    apart = (np.abs(differences) > ALIKE).any(axis=1)
    p = np.where(apart, least_p_value(queries), 1.0)  # of differences that are all alike
    if vary.any() and queries > MOST_RESAMPLED:
        p[vary] = ttest_1samp(differences[vary], 0, axis=1).pvalue
    elif vary.any():
        found = permutation_test(
            (differences[vary],),
            lambda x, axis: x.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            axis=-1,
            n_resamples=RESAMPLES,
            batch=batch_of(differences),
            rng=np.random.default_rng(seed),
        )
        p[vary] = np.minimum(found.pvalue, 1)
    return p


def least_p_value(queries: int) -> float:
    """Return the least p that flipping signs can give for so many queries: of few, no difference can be shown."""
    return max(2.0 ** (1 - queries), 2 / (RESAMPLES + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values of several tests, corrected so that all of them together err as seldom as one.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values, float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(p) for p in corrected]


def varying(values: Doubles) -> Bools:
    """Tell which rows (m, n) hold several values, further apart than rounding makes those that are alike."""
    vary: Bools = np.ptp(values, axis=1) > ALIKE
    return vary


def batch_of(values: Doubles) -> int:
    """Return how many resamples of values (m, n) are made at once."""
    return max(1, AT_ONCE // max(values.size, 1))
