from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, precision_score, recall_score

from search.tags.calibration import Calibration
from search.tags.evaluation import (
    FOLDS,
    Learner,
    TagScores,
    calibration_error,
    compare_methods,
    confusion,
    evaluate,
    folds_of,
    mean,
    measure_tag,
    reliability,
    score_tags,
)
from search.tags.links import Centre, Fit
from search.tags.truth import Truth
from search.tags.vocabulary import Group
from tests.conftest import LibraryFactory
from tests.search.tags.conftest import opened

NAN = float("nan")


def array(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).T


# One tag


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_a_tags_measures_are_scikit_learns(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, rows).astype(np.float32)
    truth[0] = 1
    probabilities = (rng.integers(0, 11, rows) / 10).astype(np.float32)
    decided = rng.random(rows) < 0.5
    decided[-1] = True
    found = measure_tag("a pool", truth, probabilities, decided)
    has = truth == 1
    assert (found.tag, found.true, found.known, found.decided) == ("a pool", has.sum(), rows, decided.sum())
    assert found.calibration_error == calibration_error(has, probabilities.astype(np.float64))
    assert found.average_precision == pytest.approx(average_precision_score(has, probabilities))
    assert found.precision == pytest.approx(precision_score(has, decided))
    assert found.recall == pytest.approx(recall_score(has, decided))
    assert found.f1 == pytest.approx(f1_score(has, decided))
    assert found.brier == pytest.approx(brier_score_loss(has, probabilities.astype(float), pos_label=True))


def test_what_is_unknown_or_without_scores_is_left_out() -> None:
    truth = np.array([1, NAN, 0, 1, NAN], np.float32)
    probabilities = np.array([0.9, 0.1, 0.2, NAN, NAN], np.float32)
    decided = np.array([True, True, False, False, False])
    known = [0, 2]
    assert measure_tag("x", truth, probabilities, decided) == measure_tag(
        "x", truth[known], probabilities[known], decided[known]
    )


def test_where_nothing_can_be_said_the_measures_are_nan() -> None:
    nothing = measure_tag("x", np.full(3, NAN, np.float32), np.full(3, 0.5, np.float32), np.ones(3, np.bool_))
    assert astuple(nothing)[1:4] == (0, 0, 0)
    assert np.isnan(astuple(nothing)[4:]).all()
    absent = measure_tag("x", np.zeros(3, np.float32), np.full(3, 0.25, np.float32), np.zeros(3, np.bool_))
    assert np.isnan([absent.average_precision, absent.precision, absent.recall, absent.f1]).all()
    assert (absent.brier, absent.calibration_error) == (pytest.approx(0.0625), pytest.approx(0.25))


# All tags


def test_means_are_over_the_tags_that_occur_and_counts_over_all() -> None:
    truth = array([1, 0, 1, 0], [0, 0, 0, 0], [NAN, 1, NAN, NAN])
    probabilities = array([0.9, 0.8, 0.3, 0.1], [0.9, 0.1, 0.1, 0.1], [0.9, 0.6, 0.9, 0.9])
    found = score_tags(["a", "b", "c"], truth, probabilities, probabilities > 0.5)
    assert [tag.true for tag in found.tags] == [2, 0, 1]
    assert found.mean_average_precision == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert found.macro_f1 == pytest.approx((0.5 + 1) / 2)
    assert found.micro_precision == pytest.approx(2 / 4)  # decided and known: 2, 1 and 1
    assert found.micro_recall == pytest.approx(2 / 3)
    assert found.micro_f1 == pytest.approx(2 * 2 / (4 + 3))
    assert found.brier == pytest.approx(np.mean([tag.brier for tag in found.tags]))
    assert found.calibration_error == pytest.approx(np.mean([tag.calibration_error for tag in found.tags]))


def test_of_nothing_all_means_are_nan() -> None:
    nothing = np.full((2, 2), NAN, np.float32)
    found = score_tags(["a", "b"], nothing, nothing, np.zeros((2, 2), np.bool_))
    assert np.isnan(astuple(found)[1:]).all()
    assert np.isnan(mean([NAN]))
    assert mean([1.0, NAN, 2.0]) == 1.5


# Reliability


def test_probabilities_that_mean_what_they_say_have_no_error() -> None:
    probabilities = np.repeat([0.0, 0.25, 0.75, 1.0], 4)
    has = np.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1], np.bool_)
    assert calibration_error(has, probabilities) == 0


def test_the_error_is_the_gap_weighted_by_the_photos_of_a_bin() -> None:
    probabilities = np.array([0.9, 0.95, 0.2])
    has = np.array([True, False, True])
    assert calibration_error(has, probabilities) == pytest.approx(2 / 3 * (0.925 - 0.5) + 1 / 3 * 0.8)
    assert calibration_error(~has[:0], probabilities[:0]) != calibration_error(~has[:0], probabilities[:0])  # NaN


def test_reliability_is_the_share_in_ten_bins_without_the_empty_ones() -> None:
    probabilities = np.array([0.05, 0.02, 0.55, 1.0, 0.95])
    mean, share, photos = reliability(np.array([0.0, 1, 1, 1, 0]), probabilities)
    assert mean == pytest.approx([0.035, 0.55, 0.975])
    assert share == pytest.approx([0.5, 1, 0.5])
    assert photos.tolist() == [2, 1, 2]


# Confusion


def test_confusion_counts_photos_of_exactly_one_tag_of_the_group() -> None:
    names = ["x", "a", "b"]
    truth = array(
        [1, 0, 0, 0, 0, 0, 0],  # another tag
        [1, 1, 1, 0, 1, 0, NAN],
        [0, 0, 0, 1, 1, 0, 1],
    )
    decided = array(
        [1, 1, 1, 1, 1, 1, 1],
        [1, 0, 1, 1, 1, 1, 1],
        [0, 1, 1, 0, 0, 0, 1],
    ).astype(np.bool_)
    found = confusion(Group("contrast", ("b", "a")), names, truth, decided)
    assert found.columns == ["b", "a", "none", "several"]
    assert found.counts.tolist() == [[0, 1, 0, 0], [1, 1, 0, 1]]
    nothing = confusion(Group("contrast", ("b", "a")), names, truth, np.zeros_like(decided))
    assert nothing.counts.tolist() == [[0, 0, 1, 0], [0, 0, 3, 0]]


# A library


def same(one: TagScores, other: TagScores) -> bool:
    """Tell whether measures agree in every digit, NaN with NaN."""
    return repr(one) == repr(other)


def truth_of(rows: int, tags: int) -> Truth:
    values = np.random.default_rng(0).integers(0, 2, (rows, tags)).astype(np.float32)
    return Truth(range(1, rows + 1), values)


def test_a_library_is_measured_as_it_stands(tagged: LibraryFactory) -> None:
    truth = truth_of(10, 15)
    with opened(tagged.folder) as (_, tagging):
        (photos,) = tagging.photos()
        found = evaluate(tagging, truth)
        methods = list(compare_methods(tagging, truth))
    assert found.method == "calibrated"
    expected = score_tags(tagging.vocabulary.names, truth.values, photos.probabilities, photos.decided)
    assert same(found.measures, expected)
    assert [one.tags for one in found.confusions] == [("a bathtub", "a shower")]
    assert [one.method for one in methods] == [
        "softmax, top 1",
        "uncalibrated",
        "calibrated",
        "signal",
        "calibrated with labels, probe",
        "calibrated with labels, platt",
        "calibrated with labels, isotonic",
    ]
    assert same(methods[2].measures, found.measures)
    assert (methods[0].decided.sum(axis=1) == 1).all()


def test_photos_without_scores_are_not_judged(tagged: LibraryFactory) -> None:
    truth = truth_of(10, 15)
    more = Truth([*truth.photo_ids, 98, 99], np.concatenate([truth.values, np.ones((2, 15), np.float32)]))
    with opened(tagged.folder) as (_, tagging):
        plain, found = evaluate(tagging, truth), evaluate(tagging, more)
    assert same(found.measures, plain.measures)
    assert (found.confusions[0].counts == plain.confusions[0].counts).all()


@pytest.mark.parametrize("fit", ["probe", "platt"])
def test_no_photo_is_judged_by_a_fit_to_its_own_label_or_to_those_of_its_hotel(fit: Fit) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0.2, 0.1, (100, 2)).astype(np.float32)
    vectors = rng.normal(size=(100, 8)).astype(np.float32)
    truth = (scores[:, :1] + rng.normal(0, 0.05, (100, 1)) > 0.2).astype(np.float32)
    ones = np.ones(1, np.float32)
    calibration = Calibration(method="calibrated", scale=25.0, mean=0.2 * ones, std=0.1 * ones)
    hotels = [f"hotel {n // 4}" for n in range(100)]
    learner = Learner(scores, vectors, Centre.of(vectors), truth, folds_of(hotels))
    plain, _ = learner.cross_fitted(calibration, fit)
    assert (learner.cross_fitted(calibration, fit)[0] == plain).all()
    for place in (0, 48, 99):
        other = truth.copy()
        other[place] = 1 - other[place]
        changed, _ = replace(learner, truth=other).cross_fitted(calibration, fit)
        mine = [hotel == hotels[place] for hotel in hotels]
        assert (changed[mine] == plain[mine]).all()
        assert (changed != plain).any()


def test_folds_keep_hotels_together_and_few_hotels_apart_by_photo() -> None:
    hotels = [f"hotel {n % 7}" for n in range(70)]
    folds = folds_of(hotels)
    assert set(folds.tolist()) == set(range(FOLDS))
    assert all(len({fold for fold, hotel in zip(folds, hotels, strict=True) if hotel == one}) == 1 for one in hotels)
    assert (folds_of(hotels) == folds).all()
    assert sorted(np.bincount(folds_of(["one folder"] * 12)).tolist()) == [2, 2, 2, 3, 3]
    assert folds_of([]).tolist() == []
