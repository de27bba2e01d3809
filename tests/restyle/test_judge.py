"""What is asked of a result, with doubles of the library's model, index and tags."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from embedding.colour import encoder_square
from restyle.floors import DEFAULT_FLOORS, Floors
from restyle.judge import Judge, Scores, Subject
from restyle.palettes import read_palette
from restyle.protanopia import Visibility
from restyle.regrade import regrade
from tests.conftest import FakeEncoder
from tests.restyle.pictures import flat, room

FERN = read_palette("fern")
PHOTO, OTHER = room(1), room(2)
FINE = Scores(
    hog=0.9, edge_f1=0.9, shift=0.0, visibility=Visibility(median_de=12, share=0.8, wasted=0.2), palette_distance=4
)


class Index:
    """Compares all vectors, given as {photo id: vector}."""

    def __init__(self, vectors: dict[int, np.ndarray]) -> None:
        self._ids = np.array(list(vectors), np.int64)
        self._vectors = np.array([vectors[photo_id] for photo_id in vectors], np.float32)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if not self._ids.size:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores = queries @ self._vectors.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, axis=1), self._ids[order]


class Tags:
    """Knows the tags of photo 1, and that all other pictures lose those that begin with an l."""

    def confident(self, photo_id: int) -> Sequence[str]:
        return ["a bed", "lamp"] if photo_id == 1 else []

    def lost(self, vector: np.ndarray, tags: Sequence[str]) -> Sequence[str]:
        assert tags, "no tags were asked about"
        return [tag for tag in tags if tag.startswith("l") and vector @ vector_of(PHOTO) < 0.999]


def vector_of(pixels: np.ndarray) -> np.ndarray:
    encoder = FakeEncoder()
    vector: np.ndarray = encoder.encode_images(encoder_square(pixels, encoder.preprocessing)[None])[0]
    return vector


def mixed(first: np.ndarray, second: np.ndarray, cosine: float) -> np.ndarray:
    """Return a unit vector with this cosine to the first, towards the second."""
    aside = second - (second @ first) * first
    mix: np.ndarray = cosine * first + np.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside)
    return mix.astype(np.float32)


def nearest(result: np.ndarray, index: dict[int, np.ndarray], photo_id: int | None = 1) -> bool | None:
    judge = Judge(DEFAULT_FLOORS, FERN, encoder=FakeEncoder(), neighbours=Index(index))
    return judge.score(judge.study(PHOTO, photo_id), result).nearest


def test_of_its_own_photo_and_a_stranger_the_result_is_nearer_to_its_own() -> None:
    assert nearest(regrade(PHOTO, FERN), {1: vector_of(PHOTO), 2: vector_of(OTHER)}) is True
    assert nearest(OTHER, {1: vector_of(PHOTO), 2: vector_of(OTHER)}) is False


def test_a_nearer_stranger_is_a_rival_and_a_copy_of_the_photo_is_none() -> None:
    own, result = vector_of(PHOTO), regrade(PHOTO, FERN)
    towards = vector_of(result)  # nearer to the result than the photo is
    assert nearest(result, {1: own, 2: towards}) is False
    assert own @ towards < 0.999, "or the stranger would count as a copy"
    copy = mixed(own, towards, 0.9995)
    assert towards @ copy > towards @ own + 0.001, "the copy is clearly nearer to the result"
    assert nearest(result, {1: own, 2: copy}) is True
    assert nearest(result, {1: own, 2: copy, 3: towards}) is False


def test_a_stranger_must_be_clearly_farther_than_the_photo() -> None:
    own, result = vector_of(PHOTO), regrade(PHOTO, FERN)
    towards = vector_of(result)
    cosine = float(towards @ own)
    for farther, expected in ((0.001, False), (0.02, True)):
        stranger = mixed(towards, -own, cosine - farther)  # on the other side of the result
        assert nearest(result, {1: own, 2: stranger}) is expected


def test_the_photo_counts_as_the_library_knows_it_and_not_only_as_it_is_worked_on() -> None:
    own, result = vector_of(PHOTO), regrade(PHOTO, FERN)
    towards = vector_of(result)
    stranger = mixed(towards, vector_of(OTHER), float(towards @ own) - 0.02)  # farther than the photo as it is
    assert nearest(result, {1: own, 2: stranger}) is True
    stored = mixed(own, -towards, 0.995)  # the same photo at another size, farther from the result
    assert towards @ stored < towards @ stranger
    assert nearest(result, {1: stored, 2: stranger}) is False


def test_a_photo_that_was_changed_since_is_compared_as_it_is() -> None:
    strangers = {number: vector_of(room(number)) for number in range(3, 30)}
    far = -vector_of(PHOTO)  # what the library knew of another photo under this number
    assert nearest(regrade(PHOTO, FERN), {1: far, **strangers}) is True


def test_of_a_photo_that_is_nearly_a_copy_half_of_the_distance_is_kept() -> None:
    own = vector_of(PHOTO)
    assert nearest(PHOTO, {1: own, 2: mixed(own, vector_of(OTHER), 0.992)}) is True
    assert nearest(regrade(PHOTO, FERN), {1: own, 2: mixed(own, vector_of(regrade(PHOTO, FERN)), 0.992)}) is False


def test_a_photo_that_the_index_does_not_hold_is_compared_by_its_own_vector() -> None:
    assert nearest(regrade(PHOTO, FERN), {2: vector_of(OTHER)}) is True
    assert nearest(OTHER, {2: vector_of(OTHER)}) is False
    assert nearest(PHOTO, {}) is True


def test_tags_are_asked_of_photos_that_have_some() -> None:
    judge = Judge(DEFAULT_FLOORS, FERN, encoder=FakeEncoder(), tags=Tags())
    subject = judge.study(PHOTO, 1)
    assert subject.tags == ("a bed", "lamp")
    assert judge.score(subject, OTHER).tags_lost == ("lamp",)
    assert judge.score(subject, PHOTO).tags_lost == ()
    assert judge.score(judge.study(PHOTO, 2), PHOTO).tags_lost == ()
    assert judge.score(judge.study(PHOTO), PHOTO).tags_lost is None


def test_the_prompt_margin_is_how_much_nearer_the_result_came_to_the_prompt() -> None:
    encoder = FakeEncoder()
    judge = Judge(DEFAULT_FLOORS, FERN, encoder=encoder)
    subject = judge.study(PHOTO)
    text = encoder.encode_texts(["ferns"])[0]
    margin = judge.score(subject, OTHER, "ferns").prompt_margin
    assert margin == pytest.approx(float(text @ vector_of(OTHER) - text @ vector_of(PHOTO)), abs=1e-6)
    assert judge.score(subject, PHOTO, "ferns").prompt_margin == pytest.approx(0, abs=1e-6)
    assert judge.score(subject, OTHER).prompt_margin is None


def test_without_a_library_structure_and_style_are_judged_alone() -> None:
    judge = Judge(DEFAULT_FLOORS, FERN)
    scores = judge.score(judge.study(PHOTO, 1), regrade(PHOTO, FERN), "ferns")
    assert (scores.nearest, scores.cosine, scores.tags_lost, scores.prompt_margin) == (None,) * 4
    assert scores.failures(DEFAULT_FLOORS) == []
    assert judge.score(judge.study(PHOTO, 1), OTHER).failures(DEFAULT_FLOORS)


def test_without_a_number_in_the_library_there_are_no_neighbours_to_ask() -> None:
    assert nearest(PHOTO, {1: vector_of(PHOTO)}, photo_id=None) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"hog": 0.5496}, ["shapes kept 55.0 %, 56.0 % are needed"]),
        ({"edge_f1": 0.1}, ["outlines kept 10.0 %, 65.0 % are needed"]),
        ({"shift": 0.031}, ["moved by 3.1 % of its longer side"]),
        ({"nearest": False}, ["another photo of the library looks as much like it"]),
        ({"nearest": True, "tags_lost": ()}, []),
        ({"tags_lost": ("a bed", "a lamp")}, ["no longer seen in it: a bed, a lamp"]),
        ({"hog": 0, "shift": 1}, ["shapes kept 0.0 %, 56.0 % are needed", "moved by 100.0 % of its longer side"]),
    ],
)
def test_failures_are_told_in_words(changed: dict[str, object], said: list[str]) -> None:
    assert replace(FINE, **changed).failures(Floors(hog=0.56, edge_f1=0.65)) == said  # type: ignore[arg-type]


def test_a_score_at_its_floor_passes() -> None:
    assert replace(FINE, hog=0.5, edge_f1=0.5, shift=0.02).failures(Floors.at(0.5)) == []


def test_more_change_less_distance_and_more_margin_are_more_alien() -> None:
    more = replace(FINE.visibility, median_de=15)
    better = [replace(FINE, visibility=more), replace(FINE, palette_distance=1), replace(FINE, prompt_margin=0.01)]
    assert all(scores.style > FINE.style for scores in better)
    assert replace(FINE, prompt_margin=-0.01).style < FINE.style


def test_scores_are_plain_json() -> None:
    judge = Judge(DEFAULT_FLOORS, FERN, encoder=FakeEncoder(), neighbours=Index({1: vector_of(PHOTO)}), tags=Tags())
    scores = judge.score(judge.study(PHOTO, 1), regrade(PHOTO, FERN), "ferns")
    said = scores.as_json()
    assert json.loads(json.dumps(said, allow_nan=False)) == said | {"tags_lost": ["lamp"]}
    for name in ("hog", "edge_f1", "shift", "cosine", "prompt_margin", "style", "protan_median_de", "protan_wasted"):
        assert type(said[name]) is float
        assert said[name] == round(said[name], 4)
    assert said["nearest"] is True


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (30, 20)])
def test_tiny_and_flat_photos_are_judged_like_others(size: tuple[int, int]) -> None:
    photo = flat((255, 203, 164), size)
    judge = Judge(DEFAULT_FLOORS, FERN, encoder=FakeEncoder())
    subject: Subject = judge.study(photo)
    scores = judge.score(subject, regrade(photo, FERN))
    assert scores.failures(DEFAULT_FLOORS) == []
    assert scores.visibility.median_de > 1


def test_tags_that_the_photo_itself_lacks_by_now_are_not_missed() -> None:
    judge = Judge(DEFAULT_FLOORS, FERN, encoder=FakeEncoder(), tags=Tags())
    changed = judge.study(OTHER, 1)
    assert changed.tags == ("a bed",)
    assert judge.score(changed, OTHER).failures(DEFAULT_FLOORS) == []
