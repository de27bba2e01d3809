"""`aliens quiz`, as the shell runs it."""

import json
from pathlib import Path
from typing import Any

import pytest

from base.settings import DEFAULT_LIBRARY, LibraryFolder
from restyle.restyled import Result
from tests.commands.conftest import Aliens
from tests.page import read_page
from tests.quizzes import answered, data_of, restyle

FOLDER = LibraryFolder(Path(DEFAULT_LIBRARY))


@pytest.fixture
def results(filled: Path) -> list[Result]:
    """Results of all ten photos."""
    return restyle(FOLDER, range(1, 11))


def page_data(path: str = "quiz.html") -> dict[str, Any]:
    return data_of(read_page(Path(path).read_text(encoding="utf-8")))


def test_one_json_object_with_accuracy_and_n(aliens: Aliens, results: list[Result]) -> None:
    (record,) = aliens.records("quiz")
    assert (record["accuracy"], record["n"], record["chance"]) == (1.0, 10, 0.1)
    assert set(record["methods"]) == set(record["confusions"]) == {"embedding", "hog"}
    assert record["methods"]["embedding"] == {"accuracy": 1.0, "right": 10, "n": 10, "top1": 1.0}
    assert record["confusions"]["hog"] == record["left_out"] == []
    assert len(record["quiz"]) == 16


def test_lines_for_people_name_what_was_taken_for_what(aliens: Aliens, results: list[Result]) -> None:
    first, second = (result.path.read_bytes() for result in results[:2])
    results[0].path.write_bytes(second)  # as if each were the other's result
    results[1].path.write_bytes(first)
    out, _ = aliens.well("quiz")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["what they show", "8 of 10", "0.800", "0.800", "0.100"]
    assert rows[1][:3] == ["outlines", "8 of 10", "0.800"]
    assert [row[1:4] for row in rows[2:]] == [["1", "1 00.jpg", "2 01.jpg"], ["2", "2 01.jpg", "1 00.jpg"]] * 2
    assert json.loads(aliens("quiz", "--json")[1])["confusions"]["embedding"][0]["taken_for_id"] == 2


def test_played_in_the_page_and_counted(aliens: Aliens, results: list[Result]) -> None:
    _, err = aliens.well("quiz", "--html", "quiz.html", "--seed", 3, "--choices", 4)
    data = page_data()
    assert "quiz.html" in err and data["quiz"] in err and "--answers" in err
    assert {len(question["choices"]) for question in data["questions"]} == {4}
    Path("answers.json").write_text(json.dumps(answered(data, wrong=1)), encoding="utf-8")
    out, err = aliens.well("quiz", "--answers", "answers.json")
    assert "Ann: 9 of 10 recognised, 90 % (with so few, 60 to 98 %; guessing gives 25 %)" in out
    assert len(out.splitlines()) == 2  # and what was taken for what
    again = json.loads(aliens("quiz", "--answers", "answers.json", "--json")[1])
    assert (again["accuracy"], again["n"], again["new"]) == (0.9, 10, False)
    games = aliens.records("quiz", "--games")
    assert [(game["player"], game["right"], game["n"], game["quiz"]) for game in games] == [
        ("Ann", 9, 10, data["quiz"])
    ]
    assert "Ann\t9 of 10\t0.900" in aliens("quiz", "--games")[1]


def test_the_same_seed_makes_the_same_page(aliens: Aliens, results: list[Result]) -> None:
    pages = []
    for seed in (1, 1, 2):
        aliens("quiz", "--html", "quiz.html", "--seed", seed)
        pages.append(Path("quiz.html").read_text(encoding="utf-8"))
    assert pages[0] == pages[1] != pages[2]


def test_results_by_their_numbers_and_by_engine(aliens: Aliens, results: list[Result]) -> None:
    restyle(FOLDER, [3, 4], engine="sd15")
    assert json.loads(aliens("quiz", "--results", "1, 2,5", "--json")[1])["n"] == 3
    assert json.loads(aliens("quiz", "--engine", "sd15", "--json")[1])["n"] == 2
    assert json.loads(aliens("quiz", "--json")[1])["n"] == 10  # the newest of each photo
    two = json.loads(aliens("quiz", "--results", "3,11", "--json")[1])
    assert two["n"] == 1  # both are of the third photo


def test_a_library_without_results_names_the_command_that_makes_them(aliens: Aliens, filled: Path) -> None:
    assert "aliens restyle" in aliens.fails(2, "quiz", "--json")
    assert "--html" in aliens("quiz", "--games")[2]


def test_one_result_is_matched_but_makes_no_quiz(aliens: Aliens, filled: Path) -> None:
    restyle(FOLDER, [4])
    out, err = aliens.well("quiz", "--json")
    record = json.loads(out)
    assert (record["accuracy"], record["n"], record["chance"], record["quiz"]) == (1.0, 1, 1.0, None)
    assert "one photo" in err
    code, out, err = aliens("quiz", "--json", "--html", "quiz.html")
    assert (code, json.loads(out)) == (2, record)
    assert "quiz.html was not written" in err
    assert not Path("quiz.html").exists()


def test_originals_and_results_that_are_gone_are_left_out_with_a_note(
    aliens: Aliens, results: list[Result], filled: Path
) -> None:
    (filled / "00.jpg").unlink()
    results[1].path.unlink()
    out, err = aliens.well("quiz", "--json", "--html", "quiz.html")
    assert json.loads(out)["n"] == 8
    assert "left out: result 1" in err and "left out: result 2" in err
    assert len(page_data()["questions"]) == 8
    for photo in filled.iterdir():
        photo.unlink()
    err = aliens.fails(2, "quiz")
    assert "none of 10 results" in err and "00.jpg" in err
