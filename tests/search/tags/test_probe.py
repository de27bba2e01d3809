import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.tags.calibration import Calibration, read_calibration
from search.tags.links import (
    INTERCEPT_PRECISION,
    SLOPE_PRECISION,
    WEIGHT_PRECISION,
    Centre,
    Link,
    directions_of,
    fit_links,
    own_line,
    probe,
    sigmoid,
)
from search.tags.overview import model_sees

DIM = 6


def photos(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits (n,), labels (n,) that follow the vectors rather than the logits, and unit vectors (n, DIM)."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, DIM)) + np.array([2.0, *[0.0] * (DIM - 1)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return rng.normal(-2, 1, n), vectors[:, 1] > 0.2, vectors.astype(np.float32)


def chance(link: Link, logits: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return what a probe says of photos."""
    return link(logits.astype(np.float32), vectors @ directions_of([link])[0])


def test_a_probe_is_the_likeliest_after_its_labels() -> None:
    logits, yes, vectors = photos(40)
    centre = Centre.of(vectors)
    link = probe(logits, yes, vectors, centre)
    moved = (vectors - centre.mean) / centre.length
    signs = np.where(yes, 1.0, -1.0)

    def loss(slope: float, intercept: float, weights: np.ndarray) -> float:
        margins = signs * (slope * logits + intercept + moved @ weights)
        prior = SLOPE_PRECISION * (slope - 1) ** 2 + INTERCEPT_PRECISION * intercept**2
        return float(np.logaddexp(0, -margins).sum() + (prior + WEIGHT_PRECISION * weights @ weights) / 2)

    weights = link.weight * centre.length * directions_of([link])[0].astype(np.float64)
    intercept = link.intercept + weights @ centre.mean / centre.length
    least = loss(link.slope, intercept, weights)
    rng = np.random.default_rng(0)
    for _ in range(200):
        step = rng.normal(0, 0.05, DIM + 2)
        assert loss(link.slope + abs(step[0]), intercept + step[1], weights + step[2:]) > least


def test_with_hardly_a_label_it_is_the_prompts_and_with_many_the_photos() -> None:
    logits, yes, vectors = photos(4000)
    centre = Centre.of(vectors)
    after_one = chance(probe(logits[:1], yes[:1], vectors[:1], centre), logits, vectors)
    assert np.abs(after_one - sigmoid(logits)).mean() < 0.03
    right = [((chance(probe(logits[:n], yes[:n], vectors[:n], centre), logits, vectors) > 0.5) == yes)[2000:].mean()
             for n in (20, 200, 2000)]  # fmt: skip
    assert right[0] > ((sigmoid(logits) > 0.5) == yes)[2000:].mean()
    assert right[2] > right[0]
    assert right[2] > 0.9


def test_labels_that_all_say_yes_do_not_say_how_many_there_are() -> None:
    logits, yes, vectors = photos(2000)
    centre, chosen = Centre.of(vectors), np.flatnonzero(yes)[:12]
    taught = chance(probe(logits[chosen], yes[chosen], vectors[chosen], centre), logits, vectors)
    plain = sigmoid(logits)
    assert taught[yes].mean() > plain[yes].mean() + 0.05  # such photos, more than others
    assert taught[~yes].mean() < plain[yes].mean() + 0.1
    chosen = np.flatnonzero(~yes)[:40]
    taught = chance(probe(logits[chosen], yes[chosen], vectors[chosen], centre), logits, vectors)
    assert taught.mean() < plain.mean()


def test_labels_that_contradict_each_other_leave_the_photo_in_doubt() -> None:
    _, _, vectors = photos(2)
    same, logits = np.repeat(vectors[:1], 40, axis=0), np.full(40, 3.0)
    said = np.arange(40) % 2 == 0
    link = probe(logits, said, same, Centre.of(photos(100)[2]))
    assert chance(link, logits[:1], same[:1]) == pytest.approx([0.5], abs=0.05)


def test_a_photo_that_fits_the_words_better_never_has_a_lower_probability() -> None:
    logits, _, vectors = photos(60)
    backwards = logits < np.median(logits)  # every label contradicts the words
    assert probe(logits, backwards, vectors, Centre.of(vectors)).slope == 0


@given(st.integers(1, 30), st.integers(0, 1000))
def test_any_labels_give_probabilities(n: int, seed: int) -> None:
    logits, yes, vectors = photos(n, seed)
    for centre in (Centre.of(vectors), Centre.of(photos(100)[2])):
        found = chance(probe(logits, yes, vectors, centre), logits, vectors)
        assert np.isfinite(found).all()
        assert ((found >= 0) & (found <= 1)).all()


def taught(link: Link, place: int = 1) -> Calibration:
    """Return a calibration of three tags, one of them taught."""
    ones = np.ones(3, np.float32)
    return Calibration(
        method="signal", scale=25.0, mean=0.2 * ones, std=0.1 * ones, spread=0.1 * ones, noise=0.02, photos=100,
        links={place: link}, learnt_on="signal", labels_key="labels-1", contrasts=((0, 1),),
    )  # fmt: skip


@pytest.fixture
def link() -> Link:
    logits, yes, vectors = photos(30)
    return probe(logits, yes, vectors, Centre.of(vectors))


def test_a_calibration_is_read_back_as_it_was_written(link: Link) -> None:
    calibration = taught(replace(link, source="labels"))
    again = read_calibration(json.loads(json.dumps(calibration.as_json())), 3)
    assert again.links == calibration.links
    assert again.labels_key == "labels-1"
    assert again.directions_key == calibration.directions_key
    assert (again.directions == calibration.directions).all()
    assert np.linalg.norm(again.directions[0]) == pytest.approx(1)


@pytest.mark.parametrize("direction", ["!", "AAA=", "", "AADAfw=="])
def test_a_direction_that_is_damaged_is_refused(link: Link, direction: str) -> None:
    damaged: dict[str, Any] = taught(replace(link, direction=direction)).as_json()
    with pytest.raises(ValueError, match=r"direction|base64|padding|multiple|element size"):
        read_calibration(damaged, 3)


def test_only_the_taught_tag_is_decided_by_what_labels_taught(link: Link) -> None:
    calibration = taught(link)
    _, _, vectors = photos(50, seed=1)
    cosines = np.random.default_rng(2).normal(0.2, 0.1, (50, 4)).astype(np.float32)
    scores = np.concatenate([cosines, vectors @ calibration.directions.T], axis=1)
    found, plain = calibration.probabilities(scores), replace(calibration, links={}).probabilities(cosines)
    assert (found[:, [0, 2]] == plain[:, [0, 2]]).all()
    logits = calibration.logits(scores)[:, 1]
    assert found[:, 1] == pytest.approx(chance(link, logits, vectors), abs=1e-6)
    some = calibration.only([1, 0])
    assert some.probabilities(scores[:, [1, 0, 3, 4]])[:, 0] == pytest.approx(found[:, 1], abs=1e-6)
    assert some.probed == (0,)
    scores[7, :3] = np.nan
    assert np.isnan(calibration.probabilities(scores)[7]).all()
    assert not calibration.muted[1]


def test_labels_that_say_no_as_the_words_do_teach_nothing_and_others_do() -> None:
    _, _, vectors = photos(20)
    logits, no = np.full((20, 1), -2, np.float32), np.zeros((20, 1), np.float32)
    assert fit_links(logits, no, "probe", vectors, Centre.of(vectors)) == {}
    logits[7] = 1.0  # a mistake that somebody corrects
    link = fit_links(logits, no, "probe", vectors, Centre.of(vectors))[0]
    assert chance(link, logits[7], vectors[7:8]) < 0.5
    assert (link.labels, link.yes) == (20, 0)


@pytest.mark.parametrize(
    ("chances", "line"),
    [
        ([0.9] * 10 + [0.1] * 90, 0.0),  # half of what is expected reaches one half
        ([0.4] * 10 + [0.01] * 90, 0.4),
        ([0.45] * 3 + [0.3] * 20 + [0.01] * 90, 0.3),
        ([0.1] * 100, 0.2),  # never less
        ([], 0.0),
    ],
)
def test_a_tag_whose_photos_hardly_reach_one_half_has_a_line_of_its_own(chances: list[float], line: float) -> None:
    assert own_line(np.array(chances, np.float32)) == pytest.approx(line)


def test_a_line_of_its_own_decides_its_tag_alone_and_gives_way_to_a_higher_threshold(link: Link) -> None:
    calibration = taught(replace(link, line=0.3))
    assert calibration.lines.tolist() == pytest.approx([0.5, 0.3, 0.5])
    chances = np.array([[0.4, 0.4, 0.4]], np.float32)
    assert calibration.decide(chances).tolist() == [[False, True, False]]
    assert replace(calibration, threshold=0.2).lines.tolist() == pytest.approx([0.2] * 3)
    assert replace(calibration, threshold=0.7).lines.tolist() == pytest.approx([0.7] * 3)
    again = read_calibration(json.loads(json.dumps(calibration.as_json())), 3)
    assert again.lines.tolist() == calibration.lines.tolist()


def test_few_labels_that_say_yes_make_no_line(link: Link) -> None:
    scores = np.random.default_rng(0).normal(0.2, 0.05, (50, 5)).astype(np.float32)
    hardly = replace(link, slope=0.0, intercept=-1.0, weight=0.0)
    for yes, line in ((4, 0.0), (5, 0.2689)):
        found = taught(replace(hardly, yes=yes)).with_lines(scores)
        assert found.links[1].line == pytest.approx(line, abs=1e-3)


def test_tags_without_labels_are_left_to_the_words() -> None:
    logits, yes, vectors = photos(20)
    truth = np.stack([yes, np.full(20, np.nan)], axis=1).astype(np.float32)
    both = np.stack([logits, logits], axis=1).astype(np.float32)
    assert set(fit_links(both, truth, "probe", vectors, Centre.of(vectors))) == {0}
    both[5:] = np.nan  # photos without vectors
    (found,) = fit_links(both, truth, "probe", np.where(np.isnan(both[:, :1]), np.nan, vectors), Centre.of(vectors))
    assert found == 0
    assert fit_links(both, truth, "probe", vectors, Centre.of(vectors))[0].labels == 5


def test_a_page_counts_what_is_decided_where_a_tag_has_a_line_of_its_own(link: Link) -> None:
    flat = replace(link, slope=0.0, intercept=float(np.log(0.29 / 0.71)), weight=0.0, line=0.2)
    calibration = replace(taught(flat), contrasts=(), exclusions=((0, 1),))
    evidence = (np.log(0.48 / 0.52) + 2) / 1.6
    likely = 0.2 + 0.1 * evidence / calibration.signal[0]
    scores = np.array([[likely, 0.2, 0.1, 0.0, 0.0]], np.float32)
    chances, able, gets = model_sees(SimpleNamespace(calibration=calibration), scores)  # type: ignore[arg-type]
    assert chances[0, :2] == pytest.approx([0.48, 0.29], abs=1e-3)
    assert gets.tolist() == calibration.decide(chances).tolist() == [[False, True, False]]
    assert able[gets].all()


def test_another_threshold_keeps_lines_only_where_they_held(link: Link) -> None:
    calibration = taught(replace(link, line=0.3))
    assert calibration.at(0.4).lines.tolist() == pytest.approx([0.4, 0.3, 0.4])
    assert replace(calibration, threshold=0.6).at(0.5).lines.tolist() == pytest.approx([0.5] * 3)
