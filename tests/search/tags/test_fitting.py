import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.tags.links import FEWEST, STEEPEST, Centre, Fit, Link, fit_links


def curves(logits: np.ndarray, truth: np.ndarray, fit: Fit) -> dict[int, Link]:
    """Return the links of fits that do not look at vectors."""
    vectors = np.zeros((len(logits), 1), np.float32)
    return fit_links(logits, truth, fit, vectors, Centre.of(vectors))


def labelled(slope: float, intercept: float, rows: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (n, 1) and labels (n, 1) that follow a sigmoid of them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (rows, 1)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(slope * logits + intercept)))
    return logits, (rng.random((rows, 1)) < chance).astype(np.float32)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -1.5), (2.0, 1.0)])
def test_platt_recovers_the_sigmoid_that_made_the_labels(slope: float, intercept: float) -> None:
    link = curves(*labelled(slope, intercept), "platt")[0]
    assert link.kind == "platt"
    assert link.slope == pytest.approx(slope, rel=0.15)
    assert link.intercept == pytest.approx(intercept, abs=0.2)


def test_isotonic_recovers_the_sigmoid_that_made_the_labels() -> None:
    link = curves(*labelled(1.0, -0.5, rows=20_000), "isotonic")[0]
    at = np.array([-3, -1, 0, 1, 3], np.float32)
    assert link(at) == pytest.approx(1 / (1 + np.exp(-(at - 0.5))), abs=0.08)


@pytest.mark.parametrize("fit", ["platt", "isotonic"])
def test_a_tag_whose_labels_contradict_its_scores_is_left_alone(fit: Fit) -> None:
    logits = np.linspace(-3, 3, 80, dtype=np.float32)[:, np.newaxis]
    truth = (np.arange(80) < 30).astype(np.float32)[:, np.newaxis]  # corrections: every yes scored low
    assert curves(logits, truth, fit) == {}
    assert set(curves(logits, 1 - truth, fit)) == {0}


@pytest.mark.parametrize("fit", ["platt", "isotonic"])
@pytest.mark.parametrize("rare", [0.0, 1.0])
def test_a_tag_with_too_few_labels_of_a_kind_is_left_alone(fit: Fit, rare: float) -> None:
    fewest = FEWEST[fit]
    logits = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    truth = np.full((100, 2), 1 - rare, np.float32)
    truth[: fewest - 1, 0] = rare
    truth[:fewest, 1] = rare
    logits += 3 * truth
    assert set(curves(logits, truth, fit)) == {1}


def test_what_is_unknown_or_without_scores_is_no_label() -> None:
    logits, truth = labelled(1.0, 0.0, rows=300)
    more_logits = np.concatenate([logits, np.full((50, 1), 9, np.float32), np.full((50, 1), np.nan, np.float32)])
    more_truth = np.concatenate([truth, np.full((50, 1), np.nan, np.float32), np.ones((50, 1), np.float32)])
    assert curves(more_logits, more_truth, "platt") == curves(logits, truth, "platt")
    assert curves(np.full((300, 1), np.nan, np.float32), truth, "platt") == {}


def test_a_slope_that_is_too_steep_is_bounded_and_stays_where_it_was() -> None:
    logits = np.repeat(np.array([4.95, 5.05], np.float32), 10_000)[:, np.newaxis]
    truth = (logits > 5).astype(np.float32)
    link = curves(logits, truth, "platt")[0]
    assert link.slope == STEEPEST
    assert link(np.array([4.9, 5.0, 5.1], np.float32)) == pytest.approx([0.047, 0.5, 0.953], abs=0.01)


@pytest.mark.parametrize("fit", ["platt", "isotonic"])
@given(seed=st.integers(0, 1000), slope=st.floats(-2, 2))
def test_a_higher_logit_never_means_a_lower_probability(fit: Fit, seed: int, slope: float) -> None:
    links = curves(*labelled(slope, 0.0, rows=120, seed=seed), fit)
    if not links:
        return  # the labels contradict the scores
    probabilities = links[0](np.linspace(-20, 20, 400, dtype=np.float32))
    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
