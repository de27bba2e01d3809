"""What a search gives: hits, best first, what is known of the list, and cursors, where its pages end. Searches nothing.

A cursor is text that a person can pass on, and stable while photos are added.
"""

import base64
import binascii
import hashlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import KW_ONLY, InitVar, asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.console import counted
from base.copy_folder import CopyReport, copy_ranked
from base.errors import QueryError
from base.files import PhotoFile
from base.listing import Listing
from base.progress import Progress, shown
from base.records import parse_json
from db.caption_rows import CaptionedPhoto
from db.photo_rows import PhotoRecord
from search.copies import copies_counted

if TYPE_CHECKING:
    from embedding.sheet import Cell, Section

NOTHING = "nothing here stands out: these are only the nearest photos, and likely not what was asked for"
HIGHEST = 2**63 - 1  # of the numbers that a database holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """A place in the list of one query in one library.

    library, query: digests of both. newest: the highest photo id when the first page was shown; later photos stay
    out of the following pages. score, photo_id: of the last hit; rank: how many hits were shown, it included.
    """

    library: str
    query: str
    newest: int
    score: float
    photo_id: int
    rank: int

    def __str__(self) -> str:
        values = [self.library, self.query, self.newest, self.score, self.photo_id, self.rank]
        return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(text: str, library: str, query: str) -> Cursor:
    """Return the cursor that a text stands for.

    Raises: QueryError: it is none, or one of another library or of another query.
    """
    try:
        values = parse_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        names = ("library", "query", "newest", "score", "photo_id", "rank")
        kinds = (str, str, int, float, int, int)
        cursor = Cursor(**{n: kind(v) for n, kind, v in zip(names, kinds, values, strict=True)})
        if not (
            math.isfinite(cursor.score)
            and all(0 <= n <= HIGHEST for n in (cursor.newest, cursor.photo_id, cursor.rank))
        ):
            raise ValueError("a number that no page ends with")
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise QueryError(f"{text[:40]!r} is no cursor: take the one that the page before ended with") from error
    if cursor.library != library:
        raise QueryError("the cursor is of another library: ask this library for its first page, without a cursor")
    if cursor.query != query:
        raise QueryError("the cursor is of another query: repeat the query and its options, or leave the cursor out")
    return cursor


def digest(*parts: object) -> str:
    """Return 12 hex digits that tell one sequence of values from another."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that was found.

    score: the cosine between the query and the photo; higher is better.
    percentile: the share of a sample of the library's photos that score lower for this query, in percent.
    above_line: whether it lies above the list's suggested stop line.
    place: where this hit stands in its list.
    stands_out: whether the list's best hit scores higher than one does for words without meaning; None: not known.
    copies: the photo's copies, which the list leaves out: the same bytes, or the same picture in another file.
    """

    photo_id: int
    image_id: int | None
    path: str
    member: str
    hotel_id: int | None
    hotel_name: str | None
    chain_id: int | None
    chain_name: str | None
    score: float
    date: datetime | None = None
    date_from: str | None = None  # who says so: table, camera, upload, or file, its file's own time
    latitude: float | None = None  # its own, or else its hotel's, in degrees
    longitude: float | None = None
    kind: str = "photo"  # or "restyled"
    percentile: float | None = None
    above_line: bool | None = None
    place: Cursor | None = None
    copies: tuple[PhotoRecord, ...] = ()
    stands_out: bool | None = None

    @property
    def copies_mark(self) -> str:
        """How many copies there are, as stands beside its name; empty without any."""
        return f"(+{copies_counted(len(self.copies))})" if self.copies else ""

    @property
    def cursor(self) -> str | None:
        """Where this hit stands, as text; `Shape(after=...)` goes on behind it."""
        return None if self.place is None else str(self.place)

    @property
    def file(self) -> PhotoFile:
        """Where the photo's bytes lie."""
        return PhotoFile(self.path, self.member)

    def as_json(self) -> dict[str, Any]:
        """Return its values by their names, with the cursor as text."""
        said = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "place"}
        copies = [{"photo_id": each.photo_id, "path": each.path, "member": each.member} for each in self.copies]
        return said | {"copies": copies, "cursor": self.cursor}


def as_hit(record: PhotoRecord, score: float) -> Hit:
    """Return a photo's record as a hit."""
    return Hit(**asdict(record), score=score)


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """How a search was answered; times in ms."""

    query: str  # as it was understood
    filters: str
    selected: int | None  # photos that the filters leave; None without filters
    photos: int  # that can be found
    engine: str
    reason: str
    rows: int
    read_bytes: int
    recall: float | None  # recall@10 of an approximate engine, as measured when it was built; None: exact
    note: str  # about the index and the filters, where there is something to say
    times_ms: dict[str, float]
    list_note: str = ""  # about the list: that nothing stands out, or copies were passed over

    @property
    def notes(self) -> str:
        """Both notes together."""
        return "; ".join(filter(None, [self.note, self.list_note]))

    def as_lines(self) -> list[str]:
        """Return it for people."""
        chosen = "" if self.selected is None else f" ({self.selected} of {self.photos} photos)"
        recall = "" if self.recall is None else f", recall@10 {self.recall:.4f}, measured when it was built"
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in self.times_ms.items())
        lines = [
            f"query:   {self.query}",
            f"filter:  {self.filters or 'none'}{chosen}",
            f"engine:  {self.engine}{recall}: {self.reason}",
            f"reads:   {self.rows} vectors, {self.read_bytes / 1e6:.1f} MB",
            f"times:   {times}",
        ]
        return [*lines, f"note:    {self.notes}"] if self.notes else lines


@dataclass(eq=False, repr=False)
class Results(Listing[Hit]):
    """Hits in order, and what is known of the list: behaves as the list of its hits.

    stop_line: the score below which photos are probably not what was asked for. None: it cannot be told, as for a
    library of a few photos.
    more: whether a next page exists, as far as is known.
    last: the place of the lowest hit, behind which that page begins, in whatever order the hits are shown.
    page: which page this is. stands_out: as `Hit.stands_out`.
    """

    columns = ("photo_id", "score", "percentile", "hotel_name", "chain_name", "path")

    hits: InitVar[Iterable[Hit]]
    stop_line: float | None
    explanation: Explanation
    more: bool = False
    last: Cursor | None = None
    _: KW_ONLY
    page: int = 1
    stands_out: bool | None = None

    def __post_init__(self, hits: Iterable[Hit]) -> None:
        super().__init__(hits)

    @property
    def note(self) -> str:
        """What people should know of the list, or nothing."""
        return self.explanation.notes

    @property
    def cursor(self) -> str | None:
        """Where the next page begins, or None at the end."""
        return str(self.last) if self.last is not None and self.more else None

    @property
    def about_the_line(self) -> str:
        """Where the list should be read to, in words; empty where that cannot be told."""
        if self.stands_out is False:
            return NOTHING
        if self.stop_line is None or not len(self):
            return ""
        marks = [bool(hit.above_line) for hit in self]
        above, hits = sum(marks), counted(len(marks), "hit")
        where = f"suggested stop line: {self.stop_line:.3f}"
        if above < len(marks):
            return f"{where}, {above} of {hits} above it"
        return f"{where}, all {hits} above it" + ("; there may be more" if self.more else "")

    def sections(self) -> "list[Section]":
        """Return the hits for a contact sheet, those below the suggested stop line under a heading of their own."""
        from embedding.sheet import Section  # imports Pillow, which searching can do without

        cells = hit_cells(self, self.first_rank)
        above = sum(bool(hit.above_line) for hit in self)
        in_order = all(hit.above_line for hit in self[:above])
        if self.stop_line is None or above == len(self) or not in_order:
            return [Section("", cells)]
        heading = f"below the suggested stop line, {self.stop_line:.3f}"
        return [Section("", cells[:above])] * bool(above) + [Section(heading, cells[above:])]

    def write_sheet(self, path: str | Path, title: str = "") -> None:
        """Write the hits as a contact sheet. Raises: QueryError, OutputError: as embedding.sheet.write_picture."""
        from embedding.sheet import write_sheet

        write_sheet(self.sections(), title or self.explanation.query, Path(path), note=self.about_the_line)

    def write_page(self, path: str | os.PathLike[str], title: str = "") -> None:
        """Write the hits as one HTML file to pass on, with their pictures in it.

        Raises: OutputError: the file cannot be written. QueryError: its name does not end in .html.
        """
        from search.result_pages import write_result_page

        notes = [self.note] if self.note else []
        write_result_page(self, Path(path), title or self.explanation.query, self.about_the_line, notes)

    def copy_to(
        self, folder: str | os.PathLike[str], *, link: bool = False, progress: Progress | None = None
    ) -> CopyReport:
        """Copy the photos into a new or empty folder, named by rank: 01_pool.jpg; or link to them.

        Raises: QueryError, OutputError: as base.copy_folder.copy_ranked.
        """
        return copy_hits(self, folder, first=self.first_rank, total=len(self), link=link, progress=progress)

    @property
    def first_rank(self) -> int:
        """The rank of the first of them: 1, or more on a later page."""
        return min((hit.place.rank for hit in self if hit.place), default=1)

    def _repr_html_(self) -> str:
        from embedding.sheet import gallery_html

        heading = " ".join(filter(None, [self.explanation.query, self.explanation.filters]))
        return gallery_html(hit_cells(self), heading, self.about_the_line)


class CaptionHits(Listing[CaptionedPhoto]):
    """Photos whose captions have the words asked for, best first."""

    def copy_to(
        self, folder: str | os.PathLike[str], *, link: bool = False, progress: Progress | None = None
    ) -> CopyReport:
        """Copy the photos, or link to them, as those of a search: see `Results.copy_to`."""
        return copy_hits(self, folder, total=len(self), link=link, progress=progress)


def copy_hits(
    hits: Iterable[Hit | CaptionedPhoto],
    folder: str | os.PathLike[str],
    *,
    first: int = 1,
    total: int | None = None,
    link: bool = False,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy the photos of hits, of a list or a stream, into a new or empty folder, named by rank; or link to them.

    Raises: QueryError, OutputError: as base.copy_folder.copy_ranked.
    """
    with shown(progress) as tell:
        return copy_ranked((hit.file for hit in hits), folder, first=first, total=total, link=link, progress=tell)


def hit_cells(hits: Iterable[Hit], first_rank: int = 1) -> "list[Cell]":
    """Return hits as photos with two lines: rank, score and hotel or folder; id and file name."""
    from embedding.sheet import Cell

    cells = []
    for rank, hit in enumerate(hits, start=first_rank):
        name = Path(hit.member or hit.path).name
        place = hit.hotel_name or (f"hotel {hit.hotel_id}" if hit.hotel_id else Path(hit.path).parent.name)
        about = "  ".join(filter(None, [f"photo {hit.photo_id}", hit.copies_mark, name]))
        cells.append(Cell(hit.file, (f"{rank}.  {hit.score:.3f}  {place}", about)))
    return cells
