import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from commands.hit_tables import head, percent, print_hits, rows_of, tail
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


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize(
    "hotel", ["The Grand Hotel of the Two Sicilies and Palermo " * 2, "グランドホテル東京ベイ舞浜リゾート " * 3]
)
@pytest.mark.parametrize("folder", ["folder/", "写真/"])
def test_a_row_with_long_or_wide_names_fits_on_one_line(width: int, hotel: str, folder: str) -> None:
    shown = hit("/photos/" + folder * 40 + "last.jpg", False, hotel)
    (row,) = rows_of([replace(shown, photo_id=4_000_000, chain_name=hotel)], width)
    cells = [str(cell) for cell in row if cell is not None]
    assert sum(map(cell_len, cells)) + 3 * len(cells) <= width
    assert cells[3][:4] == hotel[:4]
    assert cells[3].endswith("…") or cells[3] == hotel.strip()
    assert cells[-1].endswith("last.jpg")


def test_a_row_fits_where_rich_draws_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    print_hits([hit("/photos/" + "folder/" * 20 + "last.jpg", False, "The Grand Hotel of the Two Sicilies")] * 2)
    out = capsys.readouterr().out
    assert len(out.strip().splitlines()) == 4  # a head, a line, two rows
    assert all(cell_len(line.rstrip()) <= 80 for line in out.splitlines())


def test_a_short_path_stands_whole_and_relative_to_the_working_folder(tmp_path: Path) -> None:
    (row,) = rows_of([hit(str(Path.cwd() / "a.jpg"), hotel=None)], 80)
    assert row == ("0.500", "99.6 %", 7, 5, None, "a.jpg")
    assert tail("abc", 3) == "abc"
    assert tail("abcd", 3) == "…cd"
    assert tail("写真写真", 5) == "…写真"
    assert tail("写真写真", 4) == "…真"
    assert [head(text, 3) for text in ("abc", "abcd", "写真", "a b c")] == ["abc", "ab…", "写…", "a…"]


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
    assert Results([hit("a", a) for a in above], 0.4, EXPLANATION, more).about_the_line.endswith(words)
