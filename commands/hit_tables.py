"""How hits are printed: a table, lines or JSON on stdout; what is known of the list as a whole on stderr."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from base import console
from base.console import one_line, shell_word
from commands.options import print_notes

if TYPE_CHECKING:
    from search.results import Hit, Results

PAGE = 1000  # hits of a stream that are printed at a time; a sheet shows no more
COLUMNS = ("score", "beats", "photo", "hotel", "chain", "path")
WIDE = 110  # columns of a terminal from which the chain is shown as well
SHORTEST_PATH = 20
SHORTEST_NAME = 12  # of a hotel or a chain, which are shortened before the path is
BETWEEN = 3  # columns of a terminal that a table's column takes beside its text
ONCE = ("--page", "--after", "--save")  # options that the command for the next page has not, or has anew
BELOW = "↓"  # marks hits below the stop line


def show_results(
    results: "Results", title: str, library: Path, *, explain: bool, json: bool, sheet: Path | None, after: str | None
) -> None:
    """Print the hits, those behind a cursor where one is given; what is known of the list goes to stderr."""
    print_hits(results, json=json)
    if explain:
        print_notes(results.explanation.as_lines(), library)
    elif results.note:
        print_notes([results.note], library)
    if not results:
        loosen = "no photo is left: loosen the filters, the limits or the score"
        console.note(
            loosen if after is None and results.page == 1 else "the list has ended: no photo follows the page before"
        )
    elif results.stands_out is not False and (line := results.about_the_line):
        console.note(line)
    if results.cursor is not None and console.on_terminal():
        place = ("--page", str(results.page + 1)) if after is None else ("--after", results.cursor)
        console.note(f"next page: {typed_anew(sys.argv[1:], place)}")
    if sheet is not None:
        results.write_sheet(sheet, title)
        console.note(f"contact sheet: {sheet}")


def typed_anew(words: Sequence[str], place: tuple[str, str]) -> str:
    """Return a command as it was typed, but for the place where its list goes on; it can be pasted into a shell."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ONCE:
            next(rest, None)
        elif word.partition("=")[0] not in ONCE:
            kept.append(word)
    at = kept.index("--") if "--" in kept else len(kept)
    return " ".join(map(shell_word, ["aliens", *kept[:at], *place, *kept[at:]]))


def show_all(hits: "Iterator[Hit]", title: str, *, json: bool, sheet: Path | None) -> None:
    """Print hits as they come, and a sheet of the first thousand."""
    first: list[Hit] = []
    count = 0
    while page := list(islice(hits, PAGE)):
        print_hits(page, json=json)
        first, count = first or page, count + len(page)
    console.note(console.counted(count, "photo"))
    if sheet is not None:
        from embedding.sheet import write_sheet
        from search.results import NOTHING, hit_cells

        nothing = any(hit.stands_out is False for hit in first[:1])
        write_sheet(hit_cells(first), title, sheet, note=NOTHING if nothing else "")
        console.note(f"contact sheet: {sheet}" + (f", the first {PAGE}" if count > PAGE else ""))


def print_hits(hits: "Iterable[Hit]", json: bool = False) -> None:
    """Print hits as a table, as tab-separated lines or as JSON."""
    if json:
        for hit in hits:
            console.print_json(hit.as_json() | {"score": round(hit.score, 6)})
    elif console.on_terminal():
        console.print_rows(COLUMNS, rows_of(list(hits), shutil.get_terminal_size().columns))
    else:
        shown = [(f"{hit.score:.6f}", hit.file) for hit in hits]
        console.print_rows(("score", "path"), [(score, str(file)) for score, file in shown])


def rows_of(hits: "Sequence[Hit]", width: int) -> list[tuple[object, ...]]:
    """Return the rows of a table, each on one line of a terminal of this width where that can be."""
    rows = [
        (
            f"{hit.score:.3f}",
            percent(hit),
            hit.photo_id,
            hit.hotel_name or hit.hotel_id,
            hit.chain_name if width >= WIDE else None,
        )
        for hit in hits
    ]
    from rich.cells import cell_len

    def wide(at: int) -> int:
        """Return how wide a column is, with what stands beside it; 0 for an empty one."""
        cells = [one_line(row[at]) for row in rows if row[at] is not None]
        return max(map(cell_len, [*cells, COLUMNS[at]])) + BETWEEN if cells else 0

    left = width - sum(map(wide, range(5))) - BETWEEN
    names = {}
    for at in (3, 4):  # hotel, chain
        names[at] = max(wide(at) - BETWEEN - max(SHORTEST_PATH - left, 0), min(SHORTEST_NAME, wide(at) - BETWEEN))
        left += wide(at) - BETWEEN - names[at] if wide(at) else 0
    return [
        (*row[:3], *(shortened(row[at], names[at]) for at in (3, 4)), file_cell(hit, left))
        for row, hit in zip(rows, hits, strict=True)
    ]


def file_cell(hit: "Hit", width: int) -> str:
    """Return a hit's path and how many copies it has, on no more columns of a terminal."""
    mark = f" {hit.copies_mark}" if hit.copies else ""
    return tail(shown_file(hit), width - len(mark)) + mark


def shortened(name: object, width: int) -> object:
    """Return a name that takes no more columns of a terminal; numbers and None as they are."""
    return head(name, width) if isinstance(name, str) else name


def percent(hit: "Hit") -> str | None:
    """Return the share of the library's photos that score lower, in percent, with a mark below the stop line."""
    if hit.percentile is None:
        return None
    return f"{hit.percentile:.1f} %" + ("" if hit.above_line in (None, True) else f" {BELOW}")


def shown_file(hit: "Hit") -> str:
    """Return a hit's path, relative to the working folder where it lies below."""
    return shown_path(str(hit.file))


def shown_path(path: str) -> str:
    """Return a path, relative to the working folder where it lies below."""
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def tail(text: str, width: int) -> str:
    """Return a text's end, behind … where it takes more columns of a terminal."""
    from rich.cells import cell_len

    text = one_line(text)
    if len(text) <= width and cell_len(text) <= width:
        return text
    text = text[1 - width :]
    while cell_len(text) > width - 1:
        text = text[1:]
    return "…" + text


def head(text: str, width: int) -> str:
    """Return a text's beginning, before … where it takes more columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    text = one_line(text)
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
