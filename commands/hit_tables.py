"""How hits are printed: a table, lines or JSON on stdout; what is known of the list as a whole on stderr."""

import os
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from base import console
from base.console import BETWEEN, FilePath, one_line, shell_word
from base.copy_folder import refuse_filled
from base.desktop import open_files
from base.errors import QueryError
from commands.options import print_notes

if TYPE_CHECKING:
    from base.copy_folder import CopyReport
    from db.caption_rows import CaptionedPhoto
    from search.gallery import Gallery, GalleryPhoto
    from search.results import CaptionHits, Hit, Results

PAGE = 1000  # hits of a stream that are printed at a time; a sheet shows no more
COLUMNS = ("score", "beats", "photo", "copies", "hotel", "chain", "path")
WIDE = 110  # columns of a terminal from which the chain is shown as well
PATH_LINES = 2  # that a path takes, whose photo has its number beside it
SHORTEST_NAME = 12  # of a hotel or a chain, which are shortened so that the path has room
# Options that the command for the next page has not, or has anew: with a value, and alone.
ONCE, ALONE = ("--page", "--after", "--save", "--sheet", "--to"), ("--link", "--open")
BELOW = "↓"  # marks hits below the stop line


@dataclass(frozen=True, kw_only=True)
class HitFiles:
    """What becomes of hits besides a list: a sheet, a page, copies (or links) in a folder, and whether it is opened."""

    sheet: Path | None = None
    page: Path | None = None
    to: Path | None = None
    link: bool = False
    open: bool = False

    def __post_init__(self) -> None:
        if self.link and self.to is None:
            raise QueryError("--link says how --to FOLDER is filled: add that, or leave --link out")
        if self.to is not None:
            refuse_filled(self.to)

    def take(self, hits: "Results | CaptionHits | Gallery") -> None:
        """Copy the photos of a list, and open what was asked for."""
        if self.to is not None and hits:
            self.tell_copied(hits.copy_to(self.to, link=self.link))
        self.show(hits, len(hits))

    def tell_copied(self, report: "CopyReport") -> None:
        """Say what was put into the folder."""
        how = "linked" if self.link else "copied"
        console.note((f"{how} {console.counted(len(report.files), 'photo')} to ", FilePath(str(self.to))))
        console.note(*report.notes)

    def show(self, hits: "Sequence[Hit | CaptionedPhoto | GalleryPhoto]", count: int) -> None:
        """Open the folder, the sheet or the photos themselves, where that was asked for; of a long list it has some."""
        if not self.open or not count:
            return
        if whole := self.to or self.page or self.sheet:
            open_files([whole])
            return
        if count > MOST_OPENED:
            raise QueryError(
                f"{count} photos are too many to open one by one: add --sheet OUT.jpg or --to FOLDER, which is opened "
                f"in their place, or take {MOST_OPENED} with -n {MOST_OPENED}"
            )
        open_files([Path(hit.path) for hit in hits if not hit.member])
        if inside := [hit for hit in hits if hit.member]:
            console.note(f"{inside[0].file} lies inside a tar file: --to FOLDER takes it out, and --open opens that")


MOST_OPENED = 10  # windows


def show_results(
    results: "Results", title: str, library: Path, *, explain: bool, json: bool, files: HitFiles, after: str | None
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
    if files.sheet is not None:
        results.write_sheet(files.sheet, title)
        console.note(("contact sheet: ", FilePath(str(files.sheet))))
    if files.page is not None:
        results.write_page(files.page, title)
        console.note(("page: ", FilePath(str(files.page))))
    files.take(results)


def typed_anew(words: Sequence[str], place: tuple[str, str]) -> str:
    """Return a command as it was typed, but for the place where its list goes on; it can be pasted into a shell."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ONCE:
            next(rest, None)
        elif word.partition("=")[0] not in ONCE + ALONE:
            kept.append(word)
    at = kept.index("--") if "--" in kept else len(kept)
    return " ".join(map(shell_word, ["aliens", *kept[:at], *place, *kept[at:]]))


def show_all(hits: "Iterator[Hit]", title: str, *, json: bool, files: HitFiles) -> None:
    """Print hits, and copy them, as they come; and make a sheet or a page of the first thousand."""
    from search.results import NOTHING, copy_hits, hit_cells

    first: list[Hit] = []
    count = 0

    def printed() -> "Iterator[Hit]":
        nonlocal first, count
        while page := list(islice(hits, PAGE)):
            print_hits(page, json=json)
            first, count = first or page, count + len(page)
            yield from page

    report = None
    if files.to is not None:
        report = copy_hits(printed(), files.to, link=files.link)
    else:
        deque(printed(), maxlen=0)
    console.note(console.counted(count, "photo"))
    if files.sheet is not None:
        from embedding.sheet import write_sheet

        nothing = any(hit.stands_out is False for hit in first[:1])
        write_sheet(hit_cells(first), title, files.sheet, note=NOTHING if nothing else "")
        console.note(("contact sheet: ", FilePath(str(files.sheet)), f", the first {PAGE}" if count > PAGE else ""))
    if files.page is not None:
        from search.result_pages import write_result_page

        write_result_page(first, files.page, title)
        console.note(("page: ", FilePath(str(files.page)), f", the first {PAGE}" if count > PAGE else ""))
    if report is not None:
        files.tell_copied(report)
    files.show(first, count)


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
    """Return the rows of a table for a terminal of this width, in which the names of files stand whole where they can.

    Hotel and chain are shortened for that, then the hotel is left out, then the share that a photo beats.
    """
    rows: list[list[object]] = [
        [
            f"{hit.score:.3f}",
            percent(hit),
            hit.photo_id,
            f"+{len(hit.copies)}" if hit.copies else None,
            hit.hotel_name or hit.hotel_id,
            hit.chain_name if width >= WIDE else None,
            FilePath(str(hit.file), hit.path, PATH_LINES),
        ]
        for hit in hits
    ]
    from rich.cells import cell_len

    def wide(at: int) -> int:
        """Return how wide a column is, with what stands beside it; 0 for an empty one."""
        cells = [one_line(row[at]) for row in rows if row[at] is not None]
        return max(map(cell_len, [*cells, COLUMNS[at]])) + BETWEEN if cells else 0

    names = [cell_len(one_line(os.path.basename(hit.member or hit.path))) for hit in hits]
    paths = [cell_len(one_line(row[6].near)) for row in rows if isinstance(row[6], FilePath)]
    needed = max([0, *names, *(each // PATH_LINES + SHORTEST_NAME for each in paths)])  # a line ends with a folder
    left = width - sum(map(wide, range(6))) - BETWEEN
    for at in (4, 5):  # hotel, chain
        if left < needed and wide(at):
            before = wide(at)
            most = max(before - BETWEEN - (needed - left), SHORTEST_NAME)
            for row in rows:
                row[at] = shortened(row[at], most)
            left += before - wide(at)
    for at in (4, 1):
        if left < max(names, default=0):
            left += wide(at)
            for row in rows:
                row[at] = None
    return [tuple(row) for row in rows]


def shortened(name: object, width: int) -> object:
    """Return a name that takes no more columns of a terminal; numbers and None as they are."""
    return head(name, width) if isinstance(name, str) else name


def percent(hit: "Hit") -> str | None:
    """Return the share of the library's photos that score lower, in percent, with a mark below the stop line."""
    if hit.percentile is None:
        return None
    return f"{hit.percentile:.1f} %" + ("" if hit.above_line in (None, True) else f" {BELOW}")


def head(text: str, width: int) -> str:
    """Return a text's beginning, before … where it takes more columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    text = one_line(text)
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
