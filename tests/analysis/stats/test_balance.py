import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.stats.balance import Spread, balance_of, lorenz_curve, spread_of, whole_bins

counts = st.lists(st.integers(1, 10_000), min_size=1, max_size=30)


def test_all_alike_is_balanced() -> None:
    found = balance_of([5, 5, 5, 5])
    assert (found.n, found.gini, found.entropy) == (4, 0.0, 1.0)


def test_gini_and_entropy_of_1_1_2_by_hand() -> None:
    # Differences of all nine pairs: 4 x 1, so their mean is 4 / 9, and half of that over the mean 4 / 3 is 1 / 6.
    # Shares 1/4, 1/4, 1/2: entropy 2 x 1/4 ln 4 + 1/2 ln 2 = 3/2 ln 2, over ln 3.
    found = balance_of([1, 1, 2])
    assert found.gini == pytest.approx(1 / 6)
    assert found.entropy == pytest.approx(1.5 * math.log(2) / math.log(3))


def test_nearly_all_for_one() -> None:
    found = balance_of([1] * 99 + [10**9])
    assert found.gini == pytest.approx(0.99, abs=1e-6)
    assert found.entropy == pytest.approx(0, abs=1e-5)


def test_one_group_has_no_entropy_and_no_group_no_balance() -> None:
    found = balance_of([7])
    assert (found.gini, found.entropy) == (0.0, None)
    assert balance_of([]) is None


@given(counts)
def test_gini_is_half_the_mean_difference_and_twice_the_area_below_the_diagonal(photos: list[int]) -> None:
    found = balance_of(photos)
    differences = np.abs(np.subtract.outer(photos, photos)).mean()
    assert found.gini == pytest.approx(differences / 2 / np.mean(photos))
    groups, shares = lorenz_curve(np.array(photos, np.float64))
    assert found.gini == pytest.approx(1 - 2 * np.trapezoid(shares, groups), abs=1e-9)
    assert 0 <= found.gini < 1
    assert found.entropy is None or 0 < found.entropy <= 1


def test_a_spread_by_hand() -> None:
    assert spread_of([1, 2, 10], [2, 1, 1]) == Spread(
        n=4,
        mean=3.5,
        sd=pytest.approx(math.sqrt(14.25)),
        least=1,
        lower_quartile=1,
        median=1.5,
        upper_quartile=4,
        most=10,
    )
    assert spread_of([]) is None
    assert spread_of([3], [0]) is None


@given(st.lists(st.integers(-5, 5000), min_size=1, max_size=50), st.integers(1, 40))
def test_every_whole_number_lies_in_one_of_few_equal_bins(values: list[int], most: int) -> None:
    borders = whole_bins(np.array(values), most)
    assert len(borders) <= most + 1
    assert len(set(np.diff(borders).tolist())) == 1
    assert borders[0] == min(values)
    assert borders[-2] <= max(values) < borders[-1]
