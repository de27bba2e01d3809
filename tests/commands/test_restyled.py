"""`aliens restyled`, as the shell runs it."""

import json
import sys
from pathlib import Path

import pytest

from base.settings import DEFAULT_LIBRARY, LibraryFolder
from restyle.restyled import Result
from tests.commands.conftest import Aliens
from tests.page import read_page
from tests.quizzes import restyle

FOLDER = LibraryFolder(Path(DEFAULT_LIBRARY))


@pytest.fixture
def results(filled: Path, monkeypatch: pytest.MonkeyPatch) -> list[Result]:
    """Results of three photos, the third by another engine."""
    return [*restyle(FOLDER, [1, 2]), *restyle(FOLDER, [3], engine="sd15")]


def listed(out: str) -> list[int]:
    return [json.loads(line)["result_id"] for line in out.splitlines()]


def test_results_by_their_numbers_their_photo_and_their_engine(aliens: Aliens, results: list[Result]) -> None:
    assert listed(aliens("restyled", "--json")[1]) == [1, 2, 3]
    assert listed(aliens("restyled", "--json", "--results", "3, 1")[1]) == [3, 1]
    assert listed(aliens("restyled", "--json", "--photo", 2)[1]) == [2]
    assert listed(aliens("restyled", "--json", "--engine", "regrade")[1]) == [1, 2]
    assert listed(aliens("restyled", "--json", "--results", "3,1", "--engine", "sd15")[1]) == [3]


def test_a_terminal_of_80_columns_has_a_line_for_each_result(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aliens("restyle", 1, 2, "--engine", "regrade")[0] == 0
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    _, out, _ = aliens("restyled")
    names = sorted(path.name for path in FOLDER.restyled.iterdir())
    assert [line.split()[-1] for line in out.splitlines() if "recoloured" in line] == names
    assert "outlines kept" in out and "dE2000" not in out
    explained = aliens("restyle", "list", "--explain")[1]
    assert [line.split()[-1] for line in explained.splitlines() if "regraded" in line] == names
    assert "dE2000" in explained


def test_a_photo_that_was_changed_since_is_not_shown_as_the_original(aliens: Aliens, filled: Path) -> None:
    assert aliens("restyle", 1, 2, "--engine", "regrade")[0] == 0
    (filled / "00.jpg").write_bytes((filled / "05.jpg").read_bytes())
    _, err = aliens.well("restyled", "--html", "page.html")
    assert "result 1 is not on the page: its original" in err and "was changed since" in err
    assert "Photo 1" not in Path("page.html").read_text()


def test_what_is_gone_is_left_out_of_the_page_with_a_word(aliens: Aliens, filled: Path) -> None:
    assert aliens("restyle", 3, 4, 5, "--engine", "regrade")[0] == 0
    next(FOLDER.restyled.glob("3-*")).unlink()
    (filled / "03.jpg").unlink()
    _, err = aliens.well("restyled", "--html", "page.html")
    assert "result 1 is not on the page" in err
    assert "result 2 is not on the page" in err
    assert "Photo 5" in read_page(Path("page.html").read_text()).text


def test_no_results_yet(aliens: Aliens, filled: Path) -> None:
    code, out, err = aliens("restyled")
    assert (code, out) == (0, "")
    assert "`aliens restyle PHOTO` makes some" in err
