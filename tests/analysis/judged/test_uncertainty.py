"""Intervals and tests: small cases by hand, what cannot be said, and what chance explains."""

import numpy as np
import pytest

from analysis.judged.uncertainty import bootstrap_intervals, holm, least_p_value, paired_p_values


def test_a_paired_test_flips_every_sign() -> None:
    # 1, 2 and 3: of 8 ways to sign them only +++ and --- have a mean as far from 0.
    # 1, 2 and -3: every sum is as far from 0 as theirs. 4, -1 and 1: of 8 sums 6 are at least 4.
    rows = np.array([[1.0, 2, 3], [1, 2, -3], [0, 0, 0], [2, 2, 2], [4, -1, 1]])
    assert paired_p_values(rows).tolist() == pytest.approx([2 / 8, 1, 1, 2 / 8, 6 / 8])


def test_many_queries_are_drawn_the_same_each_time_and_very_many_tested_by_t() -> None:
    chance = np.random.default_rng(1)
    for queries in (100, 1_500):
        noise = chance.normal(0, 1, (2, queries))
        rows = noise + np.array([[0.0], [1.0]])
        p = paired_p_values(rows)
        assert p[0] > 0.02
        assert p[1] <= least_p_value(queries)
        assert p.tolist() == paired_p_values(rows).tolist()
    assert paired_p_values(np.full((1, 1_500), 0.5)).tolist() == [least_p_value(1_500)]


def test_few_queries_can_show_nothing() -> None:
    assert [least_p_value(n) for n in (1, 2, 5, 6)] == [1, 0.5, 0.0625, 0.03125]
    assert least_p_value(10_000) == 0.0002


def test_holm_multiplies_the_least_by_all_and_never_decreases() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_intervals_hold_the_mean_and_narrow_with_more_queries() -> None:
    chance = np.random.default_rng(2)
    widths = []
    for queries in (30, 300, 3_000):  # the last by t
        values = (chance.random((2, queries)) < 0.3).astype(float)
        intervals = bootstrap_intervals(values)
        assert (intervals[:, 0] < values.mean(axis=1)).all()
        assert (values.mean(axis=1) < intervals[:, 1]).all()
        assert intervals.tolist() == bootstrap_intervals(values).tolist()
        widths.append(float(np.diff(intervals, axis=1).mean()))
        # that of a share p of n: 1.96 sqrt(p (1 - p) / n) to both sides
        assert widths[-1] == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / queries), rel=0.25)
    assert widths == sorted(widths, reverse=True)


def test_where_all_queries_are_alike_there_is_no_interval() -> None:
    assert np.isnan(bootstrap_intervals(np.array([[0.5], [1.0]]))).all()
    found = bootstrap_intervals(np.array([[1.0, 1, 1], [0, 0.5, 1]]))
    assert np.isnan(found[0]).all()
    assert not np.isnan(found[1]).any()


def test_what_rounding_alone_sets_apart_is_alike() -> None:
    rows = np.array([[0.3 - 0.2, 0.2 - 0.1, 0.4 - 0.3], [1e-17, 0, -2e-17]])  # of sums, in whatever order
    assert np.isnan(bootstrap_intervals(rows)).all()
    assert paired_p_values(rows).tolist() == [least_p_value(3), 1]
