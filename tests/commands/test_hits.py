import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from base.console import FilePath
from commands.hit_tables import head, percent, print_hits, rows_of, typed_anew
from search.results import Explanation, Hit, Results
from tests.base.test_console import on_terminal

EXPLANATION = Explanation(
    query="", filters="", selected=None, photos=0, engine="", reason="", rows=0, read_bytes=0, recall=None, note="",
    times_ms={},
)  # fmt: skip


def hit(name: str, above: bool | None = True, hotel: str | None = "Casa Coral Las Palmas") -> Hit:
    return Hit(7, None, name, "", 5, hotel, 16, "Casa Coral", 0.5, percentile=99.61, above_line=above)


COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NAME = "IMG_20190304_123456-edited.jpg"


def drawn(hits: list[Hit], width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the rows of a table of hits as a terminal of this width shows them."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    with on_terminal() as (output, _):
        print_hits(hits)
    return [line.rstrip() for line in COLOURS.sub("", output.getvalue()).splitlines() if line.strip()][2:]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize(
    "hotel", ["The Grand Hotel of the Two Sicilies and Palermo " * 2, "グランドホテル東京ベイ舞浜リゾート " * 3]
)
@pytest.mark.parametrize("folder", ["folder/", "写真/"])
def test_a_path_is_folded_between_folders_and_the_names_of_files_stand_whole(
    monkeypatch: pytest.MonkeyPatch, width: int, hotel: str, folder: str
) -> None:
    path = "/photos/" + folder * 20 + NAME
    shown = replace(hit(path, False, hotel), photo_id=4_000_000, chain_name=hotel)
    lines = drawn([shown], width, monkeypatch)
    assert all(cell_len(line) <= width for line in lines)
    ends = [line.split()[-1] for line in lines]
    assert path.endswith("".join(ends).removeprefix("…"))
    assert ends[-1].endswith(NAME)
    assert len(ends) <= 2
    assert all(end.endswith("/") for end in ends[:-1])
    assert FilePath(path, most_lines=2).folded(width=400) == [path]
    assert "".join(FilePath(path).folded(width)) == path  # where nothing else says which file is meant
    assert ("グ" in lines[0] or "The Grand" in lines[0]) == (width > 60)  # the hotel gives way to the name


def test_a_row_with_a_short_path_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = drawn([hit(str(Path.cwd() / "photos" / "a.jpg"), False)] * 2, 60, monkeypatch)
    assert [row.split()[-1] for row in rows] == ["photos/a.jpg"] * 2
    assert "Casa Coral" in rows[0]
    assert "↓" in rows[0]


def test_a_name_that_is_wider_than_the_terminal_is_folded_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "0123456789" * 12
    lines = drawn([hit(f"/photos/{name}")], 60, monkeypatch)
    assert all(cell_len(line) <= 60 for line in lines)
    assert "".join(line.split()[-1] for line in lines) == f"…/{name}"


def test_a_path_is_relative_to_the_working_folder_where_that_is_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert FilePath(str(tmp_path / "a.jpg")).near == "a.jpg"
    assert FilePath(str(tmp_path.parent / "a.jpg")).near == "../a.jpg"
    assert FilePath("/a.jpg").near == "/a.jpg"
    assert [head(text, 3) for text in ("abc", "abcd", "写真", "a b c")] == ["abc", "ab…", "写…", "a…"]


def test_tables_of_hits_give_columns_up_for_the_names_of_files() -> None:
    (row,) = rows_of([hit("/photos/a.jpg")], 80)
    assert row[:6] == ("0.500", "99.6 %", 7, None, "Casa Coral Las Palmas", None)
    (row,) = rows_of([hit(f"/photos/{'n' * 45}.jpg")], 80)
    assert row[1:6] == ("99.6 %", 7, None, None, None)
    (row,) = rows_of([hit(f"/photos/{'n' * 55}.jpg")], 80)
    assert row[1:6] == (None, 7, None, None, None)


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


def test_the_command_for_the_next_page_has_what_is_of_one_page_alone_left_out() -> None:
    words = "search a pool --to hits --link --open --sheet=out.jpg -n 3 --save x --page 1"
    assert typed_anew(shlex.split(words), ("--page", "2")) == "aliens search a pool -n 3 --page 2"
