import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.tags.calibration import (
    ARRAYS,
    HOTEL,
    SURE,
    THRESHOLDS,
    Calibration,
    Method,
    Statistics,
    contrasted,
    places_of,
)
from search.tags.links import Link, sigmoid
from search.tags.vocabulary import Group

TAGS = 4
METHODS: list[Method] = ["signal", "calibrated", "uncalibrated", "softmax"]
PLATT = Link("platt", slope=0.5, intercept=-0.25)
NO_ARRAYS = {name: 0 for name in ARRAYS}
STEPS = Link("isotonic", x=(-2.0, 0.0, 2.0), y=(0.1, 0.4, 0.9))

cosines = arrays(np.float32, (5, TAGS + 1), elements=st.floats(-1, 1, width=16))


def calibration_of(method: Method = "calibrated", **changes: object) -> Calibration:
    mean, std = np.linspace(0.1, 0.3, TAGS, dtype=np.float32), np.full(TAGS, 0.05, np.float32)
    leads = {"lead_mean": mean - np.float32(0.1), "lead_std": std / 2}
    return replace(Calibration(method=method, scale=25.0, mean=mean, std=std, **leads), **changes)  # type: ignore[arg-type]


def scores_of(seed: int = 0, rows: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.2, 0.1, (rows, TAGS + 1)).astype(np.float32)


# Keeping


@pytest.mark.parametrize("method", METHODS)
def test_a_calibration_is_read_back_from_json(method: Method) -> None:
    calibration = calibration_of(
        method, threshold=0.4, top_k=3, links={0: PLATT, 3: STEPS}, contrasts=((0, 1),), exclusions=((1, 2, 3),)
    )
    read_back = Calibration.from_json(json.loads(json.dumps(calibration.as_json())))
    assert asdict(replace(read_back, **NO_ARRAYS)) == asdict(replace(calibration, **NO_ARRAYS))  # type: ignore[arg-type]
    for name in NO_ARRAYS:
        assert (getattr(read_back, name) == getattr(calibration, name)).all()
        assert getattr(read_back, name).dtype == np.float32
    probabilities = calibration.probabilities(scores_of())
    assert (read_back.probabilities(scores_of()) == probabilities).all()
    assert (read_back.decide(probabilities) == calibration.decide(probabilities)).all()


# Probabilities


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("links", [{}, {1: PLATT}, {1: STEPS}])
def test_a_higher_cosine_never_means_a_lower_probability(method: Method, links: dict[int, Link]) -> None:
    scores = np.repeat(scores_of(rows=1), 200, axis=0)
    scores[:, 1] = np.linspace(-1, 1, 200)
    calibration = calibration_of(method, links=links, contrasts=((0, 1, 2),))
    probabilities = calibration.probabilities(scores)[:, 1]
    assert (np.diff(probabilities) >= 0).all()
    assert probabilities[-1] > probabilities[0]


@pytest.mark.parametrize("method", METHODS)
@given(scores=cosines)
def test_probabilities_lie_between_0_and_1(method: Method, scores: np.ndarray) -> None:
    calibration = calibration_of(method, links={1: PLATT, 2: STEPS}, contrasts=((0, 3),))
    probabilities = calibration.probabilities(scores)
    assert probabilities.shape == (5, TAGS)
    assert probabilities.dtype == np.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@given(cosines)
def test_softmax_shares_one_among_the_tags_whatever_the_background(scores: np.ndarray) -> None:
    calibration = calibration_of("softmax")
    shares = calibration.probabilities(scores)
    assert shares.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    powers = np.exp(25 * scores[:, :-1].astype(np.float64))
    assert shares == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-5)
    scores[:, -1] = 0
    assert (calibration.probabilities(scores) == shares).all()


def test_uncalibrated_is_the_sigmoid_of_tag_against_background() -> None:
    scores = np.array([[0.3, 0.2, 0.1, 0.0, 0.2]], np.float32)
    expected = 1 / (1 + np.exp(-25 * np.array([[0.1, 0.0, -0.1, -0.2]])))
    assert calibration_of("uncalibrated").probabilities(scores) == pytest.approx(expected, abs=1e-6)


def test_calibrated_is_the_rule_that_its_comment_gives() -> None:
    scores = np.array([[0.15, 0.2, 0.2, 0.25, 0.1]], np.float32)
    z = (scores[:, :-1] - np.linspace(0.1, 0.3, TAGS)) / 0.05
    expected = 1.1 * z + 0.2 * 25 * (scores[:, :-1] - 0.1) - 1.9
    assert calibration_of().logits(scores) == pytest.approx(expected, abs=1e-4)


def test_evidence_is_the_lead_in_spreads_by_what_nonsense_leaves_of_the_spread() -> None:
    spread = np.array([0.04, 0.05, 0.025, 0.02], np.float32)
    calibration = calibration_of("signal", spread=spread, noise=0.02, photos=240)
    scores = np.array([[0.2, 0.3, 0.3, 0.4, 0.2]], np.float32)
    z = (scores[:, :-1] - 0.5 * 0.2 - (np.linspace(0.1, 0.3, TAGS) - 0.1)) / 0.025
    share = [0.75, 0.84, 0.36, 0.0]
    assert calibration.signal == pytest.approx(share, abs=1e-6)
    assert calibration.evidence(scores) == pytest.approx(z * np.sqrt(share), abs=1e-5)
    assert calibration.logits(scores) == pytest.approx(1.6 * z * np.sqrt(share) - 2.24, abs=1e-5)
    assert calibration.muted.tolist() == [False, False, False, True]
    assert not replace(calibration, links={3: PLATT}, learnt_on="signal").muted.any()
    for other in (replace(calibration, method="calibrated"), replace(calibration, photos=19)):  # too few to say
        assert not other.muted.any()


def test_a_library_that_was_tagged_before_there_were_leads_decides_as_it_did() -> None:
    spread = np.array([0.04, 0.05, 0.025, 0.02], np.float32)
    written = calibration_of("signal", spread=spread, noise=0.02, photos=240).as_json()
    kept = Calibration.from_json({name: value for name, value in written.items() if not name.startswith("lead_")})
    scores = scores_of()
    z = (scores[:, :-1] - np.linspace(0.1, 0.3, TAGS)) / 0.05
    logits = 1.6 * z * [0.75, 0.84, 0.36, 0.0] - 2
    for read in (kept, Calibration.from_json(json.loads(json.dumps(kept.as_json()))), kept.only(range(TAGS))):
        assert read.logits(scores) == pytest.approx(logits, abs=1e-4)
        assert read.probabilities(scores) == pytest.approx(sigmoid(logits), abs=1e-5)


@pytest.mark.parametrize(("evidence", "probability"), [(1.15, HOTEL), (1.4, THRESHOLDS["signal"]), (1.65, SURE)])
def test_grades_are_probabilities_of_evidence(evidence: float, probability: float) -> None:
    zero, one = np.zeros(TAGS, np.float32), np.ones(TAGS, np.float32)
    calibration = calibration_of("signal", lead_mean=zero, lead_std=one)
    found = calibration.probabilities(np.array([[evidence] * TAGS + [0]], np.float32))
    assert found == pytest.approx(np.full((1, TAGS), probability), abs=0.002)


def test_a_muted_tag_is_decided_of_no_photo_and_stands_in_no_others_way() -> None:
    calibration = calibration_of(
        "signal", noise=0.045, spread=np.array([0.045, 0.5, 0.5, 0.5], np.float32), photos=100, exclusions=((0, 1),)
    )
    assert calibration.decide(np.array([[0.9, 0.6, 0.1, 0.7]], np.float32)).tolist() == [[False, True, False, True]]


def test_a_library_of_one_photo_has_no_spread_and_no_nonsense_and_is_not_divided_by_zero() -> None:
    statistics = Statistics(TAGS)
    statistics.add(scores_of(rows=1))
    mean, std = statistics.mean_and_std(25.0)
    leads = dict(zip(("lead_mean", "lead_std"), statistics.mean_and_std(25.0, leads=True), strict=True))
    calibration = calibration_of("signal", mean=mean, std=std, spread=statistics.spread, photos=1, **leads)
    assert np.isfinite(calibration.probabilities(scores_of(rows=1))).all()
    assert calibration.signal.tolist() == [1.0] * TAGS


@given(arrays(np.float32, (6, TAGS), elements=st.floats(0, 1, width=16)), st.integers(1, TAGS + 1))
def test_at_most_so_many_tags_are_the_likeliest_of_those_decided(probabilities: np.ndarray, most: int) -> None:
    plain = calibration_of("signal").decide(probabilities)
    decided = calibration_of("signal", most=most).decide(probabilities)
    assert (decided.sum(axis=1) == np.minimum(plain.sum(axis=1), most)).all()
    assert (decided <= plain).all()
    for row, kept, could in zip(probabilities, decided, plain, strict=True):
        assert not (could & ~kept).any() or row[could & ~kept].max() <= row[kept].min()


def test_a_calibration_of_a_library_tagged_before_there_was_signal_decides_as_it_did() -> None:
    before = calibration_of("calibrated", threshold=0.3, links={1: PLATT}, learnt_on="calibrated")
    since = ("spread", "noise", "photos", "alike", "most", "learnt_on")
    kept = Calibration.from_json({name: value for name, value in before.as_json().items() if name not in since})
    probabilities = before.probabilities(scores_of())
    assert kept.method == "calibrated"
    assert (kept.probabilities(scores_of()) == probabilities).all()
    assert (kept.decide(probabilities) == before.decide(probabilities)).all()


def test_what_labels_taught_in_an_older_library_is_known_to_be_of_labels() -> None:
    for key, source in (("labels-0123456789abcdef", "labels"), ("file-0123456789abcdef", "")):
        written = calibration_of("signal", links={1: PLATT}, learnt_on="signal", labels_key=key).as_json()
        written["links"]["1"].pop("source")
        assert Calibration.from_json(written).links[1].source == source


@pytest.mark.parametrize("method", ["calibrated", "uncalibrated"])
def test_a_photo_far_from_every_tag_gets_none(method: Method) -> None:
    calibration = calibration_of(method)
    scores = np.array([[-0.2] * TAGS + [0.3], [0.9] * TAGS + [0.3]], np.float32)
    assert calibration.decide(calibration.probabilities(scores)).tolist() == [[False] * TAGS, [True] * TAGS]


@pytest.mark.parametrize("method", METHODS)
def test_without_scores_there_are_no_probabilities_and_no_tags(method: Method) -> None:
    calibration = calibration_of(
        method, links={0: PLATT, 1: STEPS}, contrasts=((0, 1),), exclusions=((1, 2),), top_k=TAGS
    )
    scores = scores_of(rows=3)
    scores[1] = np.nan
    probabilities = calibration.probabilities(scores)
    assert np.isnan(probabilities).all(axis=1).tolist() == [False, True, False]
    assert not np.isnan(probabilities[[0, 2]]).any()
    assert not calibration.decide(probabilities)[1].any()


@pytest.mark.parametrize("learnt_on", ["signal", "calibrated"])
def test_links_count_for_the_method_that_they_were_learnt_with_alone(learnt_on: Method) -> None:
    links = {1: Link("platt", slope=0.0, intercept=0.0), 2: Link("isotonic", x=(0.0, 1.0), y=(0.25, 0.25))}
    for method in METHODS:
        plain = calibration_of(method).probabilities(scores_of())
        linked = calibration_of(method, links=links, learnt_on=learnt_on).probabilities(scores_of())
        assert (linked[:, [0, 3]] == plain[:, [0, 3]]).all()
        if method == learnt_on:
            assert (linked[:, 1] == 0.5).all()
            assert (linked[:, 2] == 0.25).all()
        else:
            assert (linked == plain).all()


def test_a_link_is_a_sigmoid_or_linear_between_its_steps() -> None:
    logits = np.array([-9, -2, -1, 0, 1, 9], np.float32)
    assert PLATT(logits) == pytest.approx(1 / (1 + np.exp(-(0.5 * logits - 0.25))), abs=1e-6)
    assert STEPS(logits) == pytest.approx([0.1, 0.1, 0.25, 0.4, 0.65, 0.9])


@given(arrays(np.float32, 20, elements=st.floats(allow_nan=False, width=32)))
def test_the_sigmoid_does_not_overflow(x: np.ndarray) -> None:
    result = sigmoid(x)
    assert np.isfinite(result).all()
    assert (result[x > 0] >= 0.5).all()
    assert (result[x < 0] <= 0.5).all()


# Decisions


@pytest.mark.parametrize("top_k", [1, 2, TAGS, TAGS + 5])
def test_softmax_decides_exactly_the_k_best(top_k: int) -> None:
    calibration = calibration_of("softmax", top_k=top_k)
    probabilities = calibration.probabilities(scores_of())
    decided = calibration.decide(probabilities)
    k = min(top_k, TAGS)
    assert (decided.sum(axis=1) == k).all()
    worst_of_best = np.sort(probabilities, axis=1)[:, -k]
    assert (probabilities[decided].reshape(-1, k).min(axis=1) == worst_of_best).all()


def test_equal_shares_decide_no_more_than_k() -> None:
    calibration = calibration_of("softmax", top_k=2)
    assert calibration.decide(np.full((3, TAGS), 0.25, np.float32)).tolist() == [[True, True, False, False]] * 3


def test_the_threshold_itself_decides() -> None:
    calibration = calibration_of(threshold=0.5)
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert calibration.decide(np.array([[0.5, below, 1, 0]], np.float32)).tolist() == [[True, False, True, False]]


@given(arrays(np.float32, (6, TAGS), elements=st.floats(0, 1, width=16)))
def test_exclude_keeps_the_likeliest_of_a_group_at_most(probabilities: np.ndarray) -> None:
    plain = calibration_of(threshold=0.5).decide(probabilities)
    decided = calibration_of(threshold=0.5, exclusions=((1, 3),)).decide(probabilities)
    assert (decided[:, [0, 2]] == plain[:, [0, 2]]).all()
    assert (decided[:, [1, 3]].sum(axis=1) == plain[:, [1, 3]].any(axis=1)).all()
    for row, kept in zip(probabilities, decided, strict=True):
        if kept[1] or kept[3]:
            assert row[[1, 3]][kept[[1, 3]]] == row[[1, 3]].max()


@given(arrays(np.float32, (6, TAGS), elements=st.floats(-20, 20, width=16)))
def test_contrast_never_raises_a_logit_and_leaves_the_best(logits: np.ndarray) -> None:
    before = logits.copy()
    result = contrasted(logits, [(0, 2, 3)])
    assert (logits == before).all()
    assert (result <= logits).all()
    assert (result[:, 1] == logits[:, 1]).all()
    group = logits[:, [0, 2, 3]]
    best = group.max(axis=1, keepdims=True)
    assert (result[:, [0, 2, 3]][group == best] == group[group == best]).all()
    assert result[:, [0, 2, 3]] == pytest.approx(group - (best - group), abs=1e-4)


def test_groups_become_places_by_their_rule() -> None:
    groups = [Group("contrast", ("b", "a")), Group("exclude", ("c", "a")), Group("contrast", ("c", "b"))]
    assert places_of(groups, ["a", "b", "c"], "contrast") == ((1, 0), (2, 1))
    assert places_of(groups, ["a", "b", "c"], "exclude") == ((2, 0),)


# Statistics


def test_statistics_of_many_photos_are_numpys() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal([0.1, 0.2, 0.25, 0.3, 0.5], [0.02, 0.03, 0.05, 0.04, 1], (50_000, 5)).astype(np.float32)
    statistics = Statistics(TAGS)
    for start in range(0, len(scores), 7_001):
        statistics.add(scores[start : start + 7_001])
    assert statistics.count == 50_000
    leads = scores[:, :-1] - 0.5 * scores[:, -1:]
    for values, drawn in (
        (scores[:, :-1], statistics.mean_and_std(1000.0)),
        (leads, statistics.mean_and_std(1000.0, leads=True)),
    ):
        assert drawn[0] == pytest.approx(values.mean(axis=0), rel=2e-3, abs=1e-4)
        assert drawn[1] == pytest.approx(values.std(axis=0), rel=1e-2)


def test_rows_without_scores_are_left_out_of_the_statistics() -> None:
    scores = scores_of()
    with_gaps = np.insert(scores, [0, 20, 50], np.nan, axis=0)
    plain, gaps = Statistics(TAGS), Statistics(TAGS)
    plain.add(scores)
    gaps.add(with_gaps)
    assert gaps.count == 50
    for one, other in zip(plain.mean_and_std(25.0), gaps.mean_and_std(25.0), strict=True):
        assert (one == other).all()


@pytest.mark.parametrize("rows", [0, 1])
def test_statistics_of_one_photo_are_finite_and_the_spread_is_half_a_logit(rows: int) -> None:
    statistics = Statistics(TAGS)
    statistics.add(np.full((rows, TAGS + 1), 0.25, np.float32))
    mean, std = statistics.mean_and_std(25.0)
    assert mean == pytest.approx([0.25 * rows] * TAGS)
    assert std == pytest.approx([0.02] * TAGS)


def test_few_photos_are_drawn_towards_the_mean_of_all_tags() -> None:
    scores = np.array([[0.1, 0.2, 0.3, 0.4, 0.0]] * 5, np.float32)
    statistics = Statistics(TAGS)
    statistics.add(scores)
    mean, _ = statistics.mean_and_std(25.0)
    assert mean == pytest.approx(0.2 * np.array([0.1, 0.2, 0.3, 0.4]) + 0.8 * 0.25)  # 5 photos against 20
