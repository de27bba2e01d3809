"""What people say of the photos that an `add` finds: which hotel a folder is, and what a table says of it.

Knows nothing of what was said before, nor of what cameras say. Reads no photos.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from sqlalchemy.orm import Session

from base.console import counted, one_line, shell_word
from base.errors import QueryError, SourceError
from base.names import comparable
from db.hotel_rows import (
    add_named,
    chains_by_name,
    change_hotel,
    hotel_choices,
    keep_choice,
    own_hotels,
    photos_by_hotel,
)
from db.models import Chain, Hotel, HotelChoice
from indexer.metadata import FEW, MetadataTable, Row
from indexer.passed_over import Problem
from indexer.sources import FoundPhoto, Source

HotelFrom = Literal["folder", "path", "none"]
TABLE, FOLDER = "table", "folder"  # who says something of a photo
FEW_HOTELS = 5  # by which a wrong level of folders is seen
MOST_ROOTS = 3  # that a command to paste names


@dataclass(kw_only=True, slots=True)
class MetadataReport:
    """What was said of the photos that an `add` found.

    hotels: {name: photos} of those that folders or the table name. without_hotel: photos that no folder named one for.
    chosen: how folders were told to name hotels, if they were told now. used, rows: of the table.
    listed: whether a list named the photos, which may name their hotels too.
    """

    hotels: dict[str, int]
    without_hotel: int = 0
    chosen: str | None = None
    roots: dict[str, None] = field(default_factory=dict)
    table: str | None = None
    used: int = 0
    rows: int = 0
    listed: bool = False
    remarks: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = []
        if self.hotels or self.chosen in (FOLDER, "path"):
            few = [f"{one_line(name)} ({counted(n, 'photo')})" for name, n in list(self.hotels.items())[:FEW_HOTELS]]
            named = f": {', '.join(few)}{', ...' if len(self.hotels) > FEW_HOTELS else ''}" if few else ""
            said = "these are of" if self.chosen or self.table or self.listed else "by their folders these are of"
            lines.append(f"{said} {counted(len(self.hotels), 'hotel')}{named}")
        if self.table is not None:
            lines.append(f"{one_line(self.table)}: {self.used} of {counted(self.rows, 'row')} used")
        return "\n".join(lines)

    def update(self, other: "MetadataReport") -> None:
        """Add what was said in another look."""
        self.hotels |= other.hotels
        self.without_hotel += other.without_hotel
        self.chosen, self.table = self.chosen or other.chosen, self.table or other.table
        self.listed = self.listed or other.listed
        self.roots |= other.roots
        self.used, self.rows = self.used + other.used, self.rows + other.rows
        self.remarks += [remark for remark in other.remarks if remark not in self.remarks]

    def _where(self) -> str:
        """Return what was added, as it is typed."""
        return " ".join(map(shell_word, self.roots)) if len(self.roots) <= MOST_ROOTS else "PATHS"

    @property
    def notes(self) -> list[str]:
        """What people should know besides, with the remedies."""
        said, where = list(self.remarks), self._where()
        if self.without_hotel and self.chosen:
            lie = "1 photo lies" if self.without_hotel == 1 else f"{self.without_hotel} photos lie"
            said.append(
                f"{lie} in no folder that names a hotel, and {'has' if self.without_hotel == 1 else 'have'} none"
                + ("" if self.hotels else f": is {where} itself one? `aliens add {where} --hotel-from path`")
            )
        if self.chosen == FOLDER and self.hotels:
            said.append(
                "are these no hotels? Name the folder that holds the hotels' folders instead; "
                f"`aliens add {where} --hotel-from none` takes this back"
            )
        return said


class OwnWords:
    """What people say of the photos of one `add`, by folders and by a table: put to what its sources find.

    Names are compared by their letters: JP01 and jp01 are one hotel, wherever they lie.
    """

    def __init__(
        self, session: Session, hotel_from: HotelFrom | None = None, table: MetadataTable | None = None
    ) -> None:
        """Raises: QueryError: folders cannot be told so."""
        if hotel_from not in (None, *get_args(HotelFrom)):
            raise QueryError(f"hotel_from is {hotel_from!r}: choose one of {', '.join(get_args(HotelFrom))}")
        self._session = session
        self._hotel_from = hotel_from
        self._table = table
        self._hotels = own_hotels(session)
        self._chains: dict[str, int] | None = None
        self._photos = Counter[str]()  # by the name of their hotel, as names are compared
        self._facts: dict[int, dict[str, Any]] = {}  # {hotel id: columns}
        self._told: set[int] = set()  # rows that a problem was told of
        self._choices = {choice.root: choice for choice in hotel_choices(session)}
        self._source: Source | None = None
        self.report = MetadataReport(hotels={}, chosen=hotel_from)

    def begin(self, source: Source) -> None:
        """Turn to a source; how it was told to name hotels is remembered, for photos that come later.

        Raises: QueryError: its own tables name the hotels.
        """
        if source.hotels and self._hotel_from is not None:
            raise QueryError("the tables of Hotels-50K name its hotels: leave --hotel-from out")
        self._source = source
        self.report.roots[source.root] = None
        self.report.listed |= source.kind == "list"
        if self._hotel_from is not None and not source.whole:
            self.report.remarks.append("--hotel-from is for folders and tars: photos named by themselves are of those")
        if self._hotel_from is not None and source.whole:
            root, below = source.root, source.root.rstrip("/") + "/"
            said: dict[str, str | None] = {root: None}
            if self._hotel_from == "path":
                said |= {root: source.typed_name, **source.within}
            here = {r: each for r, each in self._choices.items() if r == root or r.startswith(below)}
            if {r: (each.hotel_from, each.name) for r, each in here.items()} != {
                r: (self._hotel_from, name) for r, name in said.items()
            }:
                for r in here:
                    del self._choices[r]
                for r, name in sorted(said.items()):  # the outer ones first, which have the inner ones forgotten
                    self._choices[r] = keep_choice(self._session, r, self._hotel_from, name)

    @property
    def are_none(self) -> bool:
        """Whether nobody says anything of photos."""
        return self._table is None and not self._choices

    def told(self, chunk: Sequence[FoundPhoto]) -> list[FoundPhoto]:
        """Return photos that a source has found with what people say of them."""
        if self.are_none:
            return [self._of(found) if found.row is not None else found for found in chunk]
        return [self._of(found) for found in chunk]

    def _of(self, found: FoundPhoto) -> FoundPhoto:
        rows = [] if self._table is None else self._table.of(found)
        rows += [(found.row, True)] * (found.row is not None)

        def first(name: str) -> Any:
            return next((value for row, _ in rows if (value := getattr(row, name)) is not None), None)

        columns: dict[str, Any] = {}
        if (name := first("hotel")) is not None:
            columns = {"hotel_id": self._hotel(name), "hotel_from": TABLE}
        elif found.hotel_id is None and (choice := self._choice_at(found.path)) is not None:
            folder = hotel_of_place(choice, found.path, found.member)
            columns = {"hotel_id": None if folder is None else self._hotel(folder), "hotel_from": FOLDER}
            self.report.without_hotel += folder is None and choice.hotel_from != "none"
        hotel_id = columns.get("hotel_id")
        if (date := first("date")) is not None:
            columns |= {"dated_at": date, "date_from": TABLE}
        for row, _ in rows:
            if row.chain is not None:
                self._tell(hotel_id, {"chain_id": self._chain(row.chain)}, row)
        placed = next(((row, is_photo) for row, is_photo in rows if row.latitude is not None), None)
        if placed is not None:
            row, is_photo = placed
            where = {"latitude": row.latitude, "longitude": row.longitude}
            if is_photo or hotel_id is None:
                columns |= where | {"place_from": TABLE}
            else:
                self._tell(hotel_id, where, row)
        return replace(found, **columns) if columns else found

    def _hotel(self, name: str) -> int:
        """Return the id of a hotel of this name, adding it where it is new, and count a photo of it."""
        key = comparable(name)
        if key not in self._hotels:
            self._hotels[key] = (add_named(self._session, Hotel, name), name)
        self._photos[key] += 1
        return self._hotels[key][0]

    def _chain(self, name: str) -> int | None:
        """Return the id of a chain of this name, adding it where it is new; none where the table says `none`."""
        if comparable(name) == "none":
            return None
        if self._chains is None:
            self._chains = chains_by_name(self._session)
        if comparable(name) not in self._chains:
            self._chains[comparable(name)] = add_named(self._session, Chain, name)
        return self._chains[comparable(name)]

    def _tell(self, hotel_id: int | None, columns: dict[str, Any], row: Row) -> None:
        """Note what is said of a hotel; what was said first counts, and what cannot be is told as a problem."""
        if hotel_id is None:
            self._problem(row, f"the chain {row.chain!r} belongs to a hotel: add a column hotel, or say --hotel-from")
            return
        facts = self._facts.setdefault(hotel_id, {})
        if any(facts.get(name, value) != value for name, value in columns.items()):
            self._problem(row, f"another row says otherwise of the same hotel's {' and '.join(columns)}: it counts")
        else:
            facts |= columns

    def _problem(self, row: Row, reason: str) -> None:
        if row.number not in self._told and self._source is not None:
            self._told.add(row.number)
            where = self._source.root if self._table is None else self._table.path
            self._source.leftovers.problems.append(Problem(f"{where}:{row.number}", reason))

    def _choice_at(self, path: str) -> HotelChoice | None:
        """Return how photos at a place get their hotels: as the deepest place says that anything was said of."""
        while path not in self._choices and (above := os.path.dirname(path)) != path:
            path = above
        return self._choices.get(path)

    def end(self) -> None:
        """Record what was said of hotels, once all sources were looked through; the caller commits.

        Raises: SourceError: no row of the table was of any photo or hotel.
        """
        table = self._table
        for key, row in table.hotels.items() if table is not None else ():
            if table is not None and key in self._hotels:
                columns = {} if row.latitude is None else {"latitude": row.latitude, "longitude": row.longitude}
                columns |= {} if row.chain is None else {"chain_id": self._chain(row.chain)}
                self._facts[self._hotels[key][0]] = self._facts.get(self._hotels[key][0], {}) | columns
                table.used.add(row.number)
        for hotel_id, columns in self._facts.items():
            change_hotel(self._session, hotel_id, columns)
        if table is not None:
            self._report_table(table)

    def count(self) -> None:
        """Report the hotels that were named, once all photos are where they belong: others' words may go first."""
        named = {self._hotels[key][0]: self._hotels[key][1] for key in self._photos}
        counts = photos_by_hotel(self._session, list(named))
        self.report.hotels = {name: counts[hotel_id] for hotel_id, name in named.items() if hotel_id in counts}
        if self._hotel_from is not None and sum(counts.values()) < self._photos.total():
            self.report.remarks.append("what a table or Hotels-50K says of a photo's hotel goes before its folder")

    def _report_table(self, table: MetadataTable) -> None:
        left, report = table.unmatched(), self.report
        report.table, report.rows, report.used = table.path.name, len(table.rows), len(table.rows) - len(left)
        few = ", ".join(f"{row.place or row.hotel!r} (row {row.number})" for row in left[:FEW])
        if left and not report.used:
            raise SourceError(
                f"{table.path}: no row is of a photo found here, or of a hotel of yours: {few}; paths are absolute, or "
                "relative to the table's folder or to the folder added"
            )
        report.remarks += table.remarks
        if table.unused:
            columns = ", ".join(map(repr, table.unused))
            report.remarks.append(f"{table.path.name}: {counted(len(table.unused), 'column')} not used: {columns}")
        if left:
            more = ", ..." if len(left) > FEW else ""
            report.remarks.append(f"{table.path.name}: {counted(len(left), 'row')} of no photo found here: {few}{more}")


def hotel_of_place(choice: HotelChoice, path: str, member: str) -> str | None:
    """Return the name of a photo's hotel by where it lies, None where it lies in no hotel's folder.

    Below a root the first folder counts; of a tar that lies in the root itself its members' first, or its own name.
    """
    if choice.hotel_from != FOLDER:
        return choice.name
    below = path.removeprefix(choice.root).strip("/").split("/") if path != choice.root else []
    inside = [part for part in member.split("/") if part not in ("", ".")]
    if len(below) > 1:
        name = below[0]
    elif len(inside) > 1:
        name = inside[0]
    else:
        name = os.path.splitext(below[0])[0] if inside and below else ""
    return name if comparable(name) else None
