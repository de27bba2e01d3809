"""Suggestions on the sample hotels by the embedded model: by labels, for photos without a tag; written."""

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import aliens
from aliens.library import Library
from base.errors import OutputError, QueryError
from embedding.encoder import Encoder
from search.tags.suggesting import PromptSuggestions
from search.tags.uncovered import UncoveredWords
from search.tags.vocabulary import read_vocabulary
from tests.conftest import fill_folder


@pytest.fixture(scope="module")
def hotels(tmp_path_factory: pytest.TempPathFactory, starter: Encoder, embedded_samples: Path) -> Iterator[Library]:
    """The sample hotels, tagged with the case study's vocabulary."""
    root = shutil.copytree(embedded_samples, tmp_path_factory.mktemp("suggest") / "library")
    with aliens.open(root, encoder=starter) as library:
        library.tag("case-study")
        yield library


@pytest.fixture(scope="module")
def labelled(hotels: Library, samples: Path) -> PromptSuggestions:
    """What the true tags of the samples say of four tags, and of words of a user's."""
    return hotels.suggest_prompts(
        ["a shower", "sofa", "two beds", "a bathtub"],
        truth=samples / "labels.csv",
        tried=["sofa: a hotel room with a sitting area", "bathtub: giraffes in the savanna", "етажерка"],
    )


@pytest.fixture(scope="module")
def words(hotels: Library) -> UncoveredWords:
    return hotels.uncovered_words()


def test_labels_find_prompts_that_rank_better_beyond_noise(labelled: PromptSuggestions) -> None:
    found = {each.tag: each for each in labelled}
    for tag, gain in (("a shower", 0.08), ("a sofa", 0.12)):
        suggestion = found[tag]
        assert suggestion.gain == suggestion.after - suggestion.before > gain
        assert 0 < suggestion.low < suggestion.gain < suggestion.high
        assert (suggestion.labelled, suggestion.hotels) == (240, 30)
        assert suggestion.rests_on == f"240 labels ({suggestion.true} yes) of 30 hotels"
        assert suggestion.today == [tag]
        assert len(suggestion.suggested) == 4
    assert "two beds" not in found  # the model cannot count, however it is said
    assert [each.gain for each in labelled] == sorted((each.gain for each in labelled), reverse=True)


def test_the_words_of_a_user_are_each_judged_alone(labelled: PromptSuggestions) -> None:
    sitting, giraffes, shelf = labelled.tried
    assert (sitting.tag, sitting.used) == ("a sofa", True)
    assert sitting.after > sitting.before + 0.2 and sitting.low > 0
    assert (giraffes.tag, giraffes.used) == ("a bathtub", False)
    assert giraffes.after < giraffes.before
    assert shelf.text == "етажерка"
    (note,) = [note for note in labelled.notes if "names no tag" in note]
    assert note == f"'етажерка' names no tag, so it was tried for the nearest, {shelf.tag!r}"


def test_without_labels_it_is_said_how_many_are_enough(hotels: Library) -> None:
    found = hotels.suggest_prompts(tried="a wash tub")
    assert (list(found), found.tried, found.tags) == ([], [], 0)
    assert found.notes[-1] == (
        "too few labels to judge prompts of 15 tags: 5 photos that have each and 5 that have not are enough, each of "
        "two hotels or more; `aliens label` asks for them"
    )


def test_labels_of_one_kind_or_of_one_hotel_judge_nothing(hotels: Library, samples: Path, tmp_path: Path) -> None:
    with open(samples / "labels.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "a bathtub" in row["tags"]]
    path = tmp_path / "tubs.csv"
    path.write_text("image_id,tags\n" + "".join(f"{row['image_id']},a bathtub\n" for row in rows), encoding="utf-8")
    found = hotels.suggest_prompts("a bathtub", truth=path, tried="a wash tub")
    assert (list(found), found.tried, found.tags) == ([], [], 0)
    assert found.notes[0].startswith("too few labels to judge prompts of 'a bathtub': 5 photos that have it and 5 that")
    assert "`aliens label 'a bathtub'` asks for them" in found.notes[0]


def test_photos_without_a_tag_are_grouped_and_named_by_words_that_no_tag_is(
    hotels: Library, words: UncoveredWords
) -> None:
    summary = hotels.tags()
    assert (words.untagged, words.photos, words.grouped) == (summary.untagged, 240, summary.untagged)
    assert sum(group.photos for group in words) == sum(group.about for group in words) == words.untagged
    assert not any(group.estimated for group in words)
    named = [group for group in words if group.name is not None]
    assert named
    for group in named:
        assert group.nearness > group.chance
        assert group.name not in [tag.tag for tag in summary]
        assert not any(tag.has for photo in group.examples[:2] for tag in hotels.tags_of(photo))
    told = [group.tag for group in words if group.tag is not None]
    assert set(told) & {"two beds", "a king-size bed", "a sofa"}  # bedrooms and sitting rooms of which none was decided
    assert len({group.name for group in named}) == len(named)
    assert "look at the photos" in words.trust
    assert hotels.uncovered_words().to_dicts() == words.to_dicts()
    assert len(hotels.uncovered_words(groups=1)) == 1


def test_a_photo_that_people_gave_a_tag_is_not_without_one(hotels: Library, words: UncoveredWords) -> None:
    photo = next(group for group in words).examples[0]
    hotels.label(photo, "a tv")
    try:
        assert hotels.uncovered_words().untagged == words.untagged - 1
    finally:
        hotels.label(photo, "a tv", None)
    assert hotels.uncovered_words().untagged == words.untagged


def test_the_vocabulary_is_written_anew_and_stays_as_it_was(
    hotels: Library, labelled: PromptSuggestions, words: UncoveredWords, tmp_path: Path
) -> None:
    before = hotels.vocabulary()
    name = words.words()[0]
    path = tmp_path / "better" / "new.toml"
    count = hotels.write_suggested(path, labelled, words, add=name)
    written = read_vocabulary(str(path))
    assert written.name == "my-case-study"
    assert count == len(labelled) + 1
    prompts = {tag.name: tag.prompts for tag in written.tags}
    assert prompts["a sofa"] == tuple(next(e.suggested for e in labelled if e.tag == "a sofa"))
    assert prompts["two beds"] == ("two beds",)
    assert prompts[name] == (name,)
    assert written.groups == before.groups
    assert hotels.vocabulary().key == before.key
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# Made by `aliens tag suggest` of {before.key}: {count} tags changed or new")
    with pytest.raises(QueryError, match="is there already: choose another name"):
        hotels.write_suggested(path, labelled)


def test_a_vocabulary_that_cannot_be_written_is_said(
    hotels: Library, labelled: PromptSuggestions, words: UncoveredWords, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for path, add, error, told in (
        (tmp_path / "new.json", (), QueryError, "end its name in .toml"),
        (tmp_path / "file" / "new.toml", (), OutputError, "cannot be written"),
        (tmp_path / "new.toml", ("a unicorn",), QueryError, "'unicorn' was not suggested"),
    ):
        with pytest.raises(error, match=told):
            hotels.write_suggested(path, labelled, words, add=add)
    with pytest.raises(QueryError, match="nothing was written"):
        hotels.write_suggested(tmp_path / "new.toml", None, words)
    with pytest.raises(QueryError, match="there are none"):
        hotels.write_suggested(tmp_path / "new.toml", labelled, add="a unicorn")
    assert not (tmp_path / "new.toml").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said(hotels: Library, labelled: PromptSuggestions, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written: Permission denied"):
        hotels.write_suggested(tmp_path / "new.toml", labelled)


def test_a_sheet_shows_what_comes_in_what_goes_and_the_groups(
    hotels: Library, labelled: PromptSuggestions, words: UncoveredWords, tmp_path: Path
) -> None:
    hotels.suggestion_sheet(tmp_path / "sheet.jpg", labelled, words)
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > 1000 and sheet.height > 2000
    with pytest.raises(QueryError, match="end its name in"):
        hotels.suggestion_sheet(tmp_path / "sheet.doc", labelled)
    nothing = PromptSuggestions(vocabulary="mine")
    with pytest.raises(QueryError, match="there is nothing to show"):
        hotels.suggestion_sheet(tmp_path / "none.jpg", nothing)


def test_a_few_photos_are_too_few(starter: Encoder, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    fill_folder(tmp_path / "photos", range(5))
    with aliens.create(tmp_path / "library", encoder=starter) as library:
        library.add(tmp_path / "photos")
        with pytest.raises(QueryError, match="is not tagged yet: run `aliens tag`"):
            library.suggest_prompts()
        with pytest.raises(QueryError, match="is not tagged yet: run `aliens tag`"):
            library.uncovered_words()
        library.tag()
        words = library.uncovered_words()
    assert list(words) == []
    (note,) = words.notes
    assert "from 10 on they can be grouped" in note or "every one of 5 photos has a tag" in note


def test_what_is_unknown_is_named(hotels: Library) -> None:
    for call, told in (
        (lambda: hotels.suggest_prompts("a unicorn"), "no tag 'a unicorn'"),
        (lambda: hotels.suggest_prompts(vocabulary="mine"), "not tagged with 'mine'"),
        (lambda: hotels.uncovered_words("mine"), "not tagged with 'mine'"),
        (lambda: hotels.uncovered_words(groups=0), "0 groups cannot be made: ask for 1 to 100"),
    ):
        with pytest.raises(QueryError, match=told):
            call()
