from pathlib import Path

import pytest

from commands.hits import about_the_line, percent, rows_of, tail
from search.results import Explanation, Hit, Results

EXPLANATION = Explanation(
    query="", filters="", selected=None, photos=0, engine="", reason="", rows=0, read_bytes=0, recall=None, note="",
    times_ms={},
)  # fmt: skip


def hit(name: str, above: bool | None = True, hotel: str | None = "Casa Coral Las Palmas") -> Hit:
    return Hit(7, None, name, "", 5, hotel, 16, "Casa Coral", 0.5, percentile=99.61, above_line=above)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_row_fits_on_one_line_of_the_terminal(width: int) -> None:
    (row,) = rows_of([hit("/photos/" + "folder/" * 20 + "last.jpg")], width)
    cells = [str(cell) for cell in row if cell is not None]
    assert sum(map(len, cells)) + 3 * len(cells) <= max(width, 72)
    assert cells[-1].startswith("…")
    assert cells[-1].endswith("last.jpg")
    assert ("Casa Coral" in cells) == (width >= 110)


def test_a_short_path_stands_whole_and_relative_to_the_working_folder(tmp_path: Path) -> None:
    (row,) = rows_of([hit(str(Path.cwd() / "a.jpg"), hotel=None)], 80)
    assert row == ("0.500", "99.6 %", 7, 5, None, "a.jpg")
    assert tail("abc", 3) == "abc"
    assert tail("abcd", 3) == "…cd"


def test_hits_below_the_line_are_marked() -> None:
    assert percent(hit("a", above=True)) == "99.6 %"
    assert percent(hit("a", above=False)) == "99.6 % ↓"


@pytest.mark.parametrize(
    ("above", "more", "words"),
    [
        ([True, True, False], False, "0.400, 2 of 3 hits above it"),
        ([False], True, "0 of 1 hit above it"),
        ([True], True, "all 1 hit above it; there may be more"),
        ([True, True], False, "all 2 hits above it"),
    ],
)
def test_what_is_said_of_the_line(above: list[bool], more: bool, words: str) -> None:
    assert about_the_line(Results([hit("a", a) for a in above], 0.4, EXPLANATION, more)).endswith(words)
