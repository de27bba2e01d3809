import json
from pathlib import Path
from typing import Any

import pytest

from base.errors import QueryError
from restyle.quiz.answer_sheets import outcome, read_answers
from restyle.quiz.game import quiz_page
from restyle.quiz.playing import CountedAnswers, play
from restyle.quiz.playing import count_answers as count_of
from tests.by_folder import catalog_of
from tests.conftest import LibraryFactory
from tests.page import read_page
from tests.quizzes import answered, data_of, restyle
from tests.restyled import results_of


def count_answers(library: LibraryFactory, path: Path) -> CountedAnswers:
    with catalog_of(library.folder) as catalog:
        return count_of(catalog, read_answers(path))


def data_for(library: LibraryFactory, seed: int = 5, choices: int | None = None) -> dict[str, Any]:
    """Return what the page of this library's quiz works with."""
    with results_of(library.folder) as (session, results):
        played = play(session, results.all(), library.encoder, seed=seed, choices=choices)
    assert played.quiz is not None
    return data_of(read_page(quiz_page(played.quiz, played.pairs)))


@pytest.fixture(scope="module")
def data(lasting: LibraryFactory) -> dict[str, Any]:
    """What the page of the lasting library's quiz works with."""
    return data_for(lasting)


def written(path: Path, sheet: object) -> Path:
    path.write_text(json.dumps(sheet), encoding="utf-8")
    return path


@pytest.mark.parametrize("wrong", [0, 3, 10])
def test_answers_to_the_page_come_back_counted_and_are_kept(
    restyled: LibraryFactory, tmp_path: Path, wrong: int
) -> None:
    data = data_for(restyled)
    path = written(tmp_path / "answers.json", answered(data, wrong, player="  Ann\ud800\x1b \n Комната "))
    answers = count_answers(restyled, path)
    sheet, counted = answers.sheet, answers.outcome
    assert (sheet.player, sheet.quiz_id, answers.new) == ("Ann Комната", data["quiz"], True)
    assert (counted.right, counted.n, counted.accuracy) == (10 - wrong, 10, 1 - wrong / 10)
    assert counted.chance == pytest.approx(1 / 6)
    assert len(counted.mistakes) == wrong
    for mistake, answer in zip(counted.mistakes, sheet.answers, strict=False):
        assert (mistake.result_id, mistake.taken_for_id) == (answer.result_id, answer.chosen_id)
        assert mistake.source_id == mistake.result_id  # the first result is of the first photo, and so on
    assert not count_answers(restyled, path).new  # the same file again is no second game


def test_the_interval_is_wilsons(lasting: LibraryFactory, data: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path / "answers.json", answered(data, 2))
    with results_of(lasting.folder) as (_, results):
        counted = outcome(read_answers(path), {result.id: result for result in results.all()})
    n, p, z = 10, 0.8, 1.959964
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert (counted.low, counted.high) == pytest.approx(
        ((centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)), abs=1e-6
    )


def test_answers_of_another_library_or_of_results_made_anew_are_refused(
    restyled: LibraryFactory, tmp_path: Path, photos: Path
) -> None:
    path = written(tmp_path / "answers.json", answered(data_for(restyled)))
    other = LibraryFactory(tmp_path / "other")
    other.add(photos)
    with pytest.raises(QueryError, match="which this library has not"):
        count_answers(other, path)
    restyle(other.folder, range(1, 11), palette="moss")  # the same numbers, other results
    with pytest.raises(QueryError, match="made anew, it is another library"):
        count_answers(other, path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quiz": "0" * 16}, "belong to the quiz 0000"),
        ({"seed": 6}, "belong to the quiz"),
        ({"seed": True}, "got `bool` - at `seed`"),
        ({"answers": []}, "no answers"),
        ({"answers": {}}, "got `object` - at `answers`"),
        ({"answers": [3]}, r"got `int` - at `answers\[0\]`"),
        ({"player": None}, "got `null` - at `player`"),
    ],
)
def test_a_sheet_that_was_changed_is_refused(
    lasting: LibraryFactory, data: dict[str, Any], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    path = written(tmp_path / "answers.json", answered(data) | change)
    with pytest.raises(QueryError, match=reason):
        count_answers(lasting, path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": 99}, "photo 99 was not among the choices"),
        ({"chosen": None}, "got `null` - at `answers"),
        ({"chosen": True}, "got `bool` - at `answers"),
        ({"result": 2**70}, "which this library has not"),
        ({"result": 99}, "which this library has not"),
        ({"choices": []}, "belong to the quiz"),
        ({"choices": ["1"]}, "got `str` - at `answers"),
    ],
)
def test_an_answer_that_was_changed_is_refused(
    lasting: LibraryFactory, data: dict[str, Any], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    sheet = answered(data)
    sheet["answers"][0] |= change
    path = written(tmp_path / "answers.json", sheet)
    with pytest.raises(QueryError, match=reason):
        count_answers(lasting, path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no JSON"),
        (b"<html>", "holds no JSON"),
        (b"\xff\xfe\xfd", "holds no JSON"),
        (b"[" * 100_000, "holds no JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `quiz`"),
        (b"null", "Expected `object`, got `null`"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "answers.json"
    path.write_bytes(content)
    with pytest.raises(QueryError, match=reason) as refused:
        read_answers(path)
    assert "answers.json" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="nowhere"):
        read_answers(tmp_path / "nowhere.json")
    with pytest.raises(QueryError, match="directory"):
        read_answers(tmp_path)
