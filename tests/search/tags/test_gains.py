"""What is said of labels: only what is more than chance."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import aliens
from aliens.library import Library
from db.photo_rows import photo_records
from search.tags.choosing import Choosable, next_photos
from search.tags.gains import LabelGain, TagShares, gain_of, span_of_change
from search.tags.labelling import chances_of
from search.tags.tagging import Tagging
from search.tags.truth import Truth

HOTELS = np.array([f"hotel {number % 12}" for number in range(60)])


def test_a_change_that_chance_would_make_spans_zero() -> None:
    has = np.arange(60)[:, np.newaxis] % 3 == 0
    rng = np.random.default_rng(1)
    before, noise = has ^ (rng.random((60, 1)) < 0.4), has ^ (rng.random((60, 1)) < 0.4)
    low, high = span_of_change(before, noise, has, HOTELS)
    assert low < 0 < high
    low, high = span_of_change(before, has, has, HOTELS)
    assert 0 < low < high
    assert span_of_change(before, has, has, HOTELS) == (low, high)
    low, high = span_of_change(before, before, has, HOTELS)
    assert (low, high) == (0, 0)


def test_few_labels_tell_nothing_and_say_so() -> None:
    shares = TagShares.of(3, 4, 5)
    assert (shares.precision, shares.recall, shares.f1) == (0.75, 0.6, pytest.approx(2 / 3))
    assert TagShares.of(0, 0, 0).f1 == 0
    few = LabelGain(photos=6, hotels=6, yes=2, no=4, before=shares, now=shares)
    assert "6 labels, 2 of them yes: too few to tell" in str(few)
    assert not few.is_clear
    sure = LabelGain(photos=60, hotels=12, yes=20, no=40, before=shares, now=shares, low=0.1, high=0.3)
    assert "95 %: +0.10 to +0.30" in str(sure)
    assert "not sure" not in str(sure)
    unsure = LabelGain(photos=60, hotels=12, yes=20, no=40, before=shares, now=shares, low=-0.1, high=0.3)
    assert "so it is not sure that they help" in str(unsure)
    assert unsure.as_json()["before"]["recall"] == 0.6


@pytest.fixture(scope="module")
def labelled(
    sample_library: Library, sample_tags: dict[int, set[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Library, dict[int, set[str]]]]:
    """The sample hotels, tagged, and the tags that each photo truly has."""
    root = shutil.copytree(sample_library.path, tmp_path_factory.mktemp("gains") / "library")
    with aliens.open(root, encoder=sample_library.encoder) as library:
        library.tag("case-study")
        with library.catalog.session() as session:
            records = photo_records(session, list(range(1, 300)))
        yield library, {photo_id: sample_tags[record.image_id or 0] for photo_id, record in records.items()}


def test_labels_of_whole_photos_bring_what_they_are_said_to(
    labelled: tuple[Library, dict[int, set[str]]],
) -> None:
    library, truth = labelled
    names = library.vocabulary("case-study").names
    assert library.labels_brought().low is None  # nobody has said anything
    for _ in range(3):
        for photo, _ in library.ask_photos(count=10)[0]:
            library.label_photo(photo, {name: name in truth[photo] for name in names})
    gain = library.labels_brought()
    assert (gain.photos, gain.yes + gain.no, gain.is_clear) == (30, 450, True)
    assert gain.now.f1 > gain.before.f1 + 0.1
    _, state = library.ask_photos(count=1)
    assert state.brought == gain
    assert library.labels_brought("a pool").yes + library.labels_brought("a pool").no == 30

    before = library.tags().notes
    current = library.tag("hotel").vocabulary
    assert library.learn_labels("case-study") == 15
    assert library.tags().vocabulary == current  # the latest stays that
    assert before
    assert library.ask_labels("case-study/a pool")[1].taught == 30
    for photo in truth:
        library.label_photo(photo, dict.fromkeys(names), vocabulary="case-study")
    assert library.learn_labels("case-study") == 0  # what nobody says any more is forgotten
    assert library.ask_labels("case-study/a pool")[1].taught == 0


def test_what_labels_bring_is_computed_once_for_ten_photos(
    labelled: tuple[Library, dict[int, set[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, truth = labelled
    names, computed = library.vocabulary("case-study").names, list[int]()

    def counted(tagging: Tagging, truth: Truth) -> LabelGain:
        computed.append(len(truth.photo_ids))
        return gain_of(tagging, truth)

    def say(photo: int, *said: str, wrongly: bool = False) -> None:
        facts = {name: (name in truth[photo]) != wrongly for name in said}
        library.label_photo(photo, facts, vocabulary="case-study")
        library.ask_photos(vocabulary="case-study", count=1)

    monkeypatch.setattr("search.tags.labelling.gain_of", counted)
    *ten, other = (photo for photo, _ in library.ask_photos(vocabulary="case-study", count=11)[0])
    for photo in ten:
        say(photo, *names)
    for name in names[:3]:  # of a photo of which ever more is said
        say(other, name)
    assert computed == [10]
    say(ten[0], names[0], wrongly=True)  # what was said before is taken back
    assert computed == [10, 11]


def f1_after(tagging: Tagging, place: int, chosen: list[int], has: np.ndarray) -> float:
    """Return F1 of a tag over all photos, (n,), after labels of some."""
    values = np.full((len(chosen), len(tagging.vocabulary.tags)), np.nan, np.float32)
    values[:, place] = has[chosen]
    ids = tagging.ids
    decided = chances_of(tagging.taught_by(Truth([int(ids[row]) for row in chosen], values)), place)[1] >= 0.5
    return float(2 * (decided & has).sum() / (decided.sum() + has.sum()))


def test_photos_that_are_chosen_teach_more_than_photos_at_random(
    labelled: tuple[Library, dict[int, set[str]]],
) -> None:
    library, truth = labelled
    figures: dict[str, list[float]] = {"chosen": [], "random": []}
    with library._tagging("case-study") as (_, tagging):
        tagging = tagging.decided_by(replace(tagging.calibration, links={}))
        ids = tagging.ids
        vectors, groups = tagging.vectors(ids), tagging.groups_of(ids.tolist())
        for name in ("a bathtub", "a shower", "a sofa", "a restaurant"):
            place = tagging.vocabulary.position(name)
            has = np.array([name in truth[photo] for photo in ids.tolist()])
            chances, known = chances_of(tagging, place)[1], list[int]()
            for _ in range(3):
                free = np.setdiff1d(np.arange(len(ids)), known)
                pool = Choosable(ids[free], chances[free], vectors[free], [groups[row] for row in free])
                known += free[next_photos(pool, vectors[known], 10, turn=len(known))].tolist()
                values = np.full((len(known), len(tagging.vocabulary.tags)), np.nan, np.float32)
                values[:, place] = has[known]
                taught = tagging.taught_by(Truth(ids[known].tolist(), values))
                chances = chances_of(taught, place)[1]
            figures["chosen"].append(f1_after(tagging, place, known, has))
            by_chance = [np.random.default_rng(draw).permutation(len(ids))[:30].tolist() for draw in range(5)]
            figures["random"].append(float(np.mean([f1_after(tagging, place, rows, has) for rows in by_chance])))
    assert np.mean(figures["chosen"]) > np.mean(figures["random"]) + 0.08, figures
