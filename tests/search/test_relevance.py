import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.ranking import FEWEST, percentiles, stop_line


def scores(others: int, shown: int, distance: float, spread: float = 0.05) -> np.ndarray:
    """Scores of photos that do not show what was asked for, and of some that do."""
    chance = np.random.default_rng(1)
    return np.concatenate([chance.normal(0.2, spread, others), chance.normal(0.2 + distance, spread, shown)]).astype(
        np.float32
    )


def test_percentiles_are_shares_of_the_sample_that_score_lower() -> None:
    background = np.array([0.3, 0.1, 0.4, 0.2], np.float32)
    found = percentiles(background, np.array([0.05, 0.2, 0.25, 0.9], np.float32))
    assert found.tolist() == [0, 25, 50, 100]
    assert np.isnan(percentiles(background[:0], found)).all()


@pytest.mark.parametrize("shown", [20, 60, 200])
def test_the_line_parts_what_stands_out_from_the_rest(shown: int) -> None:
    found = scores(1000, shown, 0.5)
    line = stop_line(found)
    assert line is not None
    assert (found[1000:] >= line).mean() > 0.95
    assert (found[:1000] >= line).mean() < 0.01


def test_where_nothing_stands_out_few_lie_above() -> None:
    found = scores(4000, 0, 0)
    line = stop_line(found)
    assert line is not None
    assert 0.03 < (found >= line).mean() < 0.1


@given(st.floats(0.1, 3), st.floats(-0.5, 0.5))
def test_the_line_moves_with_the_querys_scores(stretched: float, moved: float) -> None:
    found = scores(200, 10, 0.4)
    line, other = stop_line(found), stop_line(stretched * found + moved)
    assert line is not None
    assert other == pytest.approx(stretched * line + moved, abs=1e-5)


def test_of_few_photos_no_line_is_told_and_equal_scores_lie_on_it() -> None:
    assert stop_line(np.ones(FEWEST - 1, np.float32)) is None
    assert stop_line(np.full(FEWEST, 0.25, np.float32)) == 0.25
