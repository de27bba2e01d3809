"""What people say of their photos: which hotel a folder is, and tables of hotels, chains, places and dates.

Knows nothing of what was said before, nor of what cameras say. Reads no photos.
"""

import csv
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from sqlalchemy.orm import Session

from base.console import counted, one_line, shell_word
from base.errors import QueryError, SourceError
from base.names import comparable
from base.spreadsheets import is_parquet, named_records, parquet_rows, table_rows
from db.hotel_rows import (
    add_named,
    chains_by_name,
    change_hotel,
    drop_empty_hotels,
    hotel_choices,
    keep_choice,
    own_hotels,
)
from db.models import Chain, Hotel, HotelChoice
from db.restyling_rows import results_follow
from indexer.sources import FoundPhoto, Problem, Source, storable

HotelFrom = Literal["folder", "path", "none"]
TABLE, FOLDER = "table", "folder"  # who says something of a photo
FEW = 3  # names that a message shows
FEW_HOTELS = 5  # by which a wrong level of folders is seen


COLUMN_NAMES = {  # as people write them, in small letters and without what stands between words
    "path": ("path", "photo", "file", "filename", "filepath", "image", "photopath", "imagepath"),
    "folder": ("folder", "directory", "dir", "hotelfolder"),
    "hotel": ("hotel", "hotelname"),
    "chain": ("chain", "chainname", "brand", "hotelchain"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "date": ("date", "taken", "takenat", "takenon", "datetaken", "datetime", "phototaken"),
}
MEANINGS = {spelling: name for name, spellings in COLUMN_NAMES.items() for spelling in spellings}
DATE = re.compile(
    r"(\d{4})[-:/](\d{1,2})[-:/](\d{1,2})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?(?:Z| ?[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)  # a zone is passed over: dates are those of the clock where a photo was taken
ROW_SAYS = ("hotel", "chain", "latitude", "longitude", "date")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its number, and what it says; what it leaves open is None. `place`: as it was written."""

    number: int
    place: str | None = None
    hotel: str | None = None
    chain: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    date: datetime | None = None

    def differs(self, other: "Row") -> str | None:
        """Return the name of what two rows say differently, or None."""
        for name in ROW_SAYS:
            one, two = getattr(self, name), getattr(other, name)
            same = comparable(one) == comparable(two) if isinstance(one, str) and isinstance(two, str) else one == two
            if one is not None and two is not None and not same:
                return name
        return None

    def completed(self, other: "Row") -> "Row":
        """Return the row with what another one of the same place or hotel says besides."""
        said = {name: value for name in ROW_SAYS if (value := getattr(other, name)) is not None}
        return replace(self, **said)


class MetadataTable:
    """A table of what is known of photos, folders and hotels: CSV, TSV, Excel or Parquet.

    A row names a photo or a folder, relative to the table's own folder or to the source's, or absolute; or a hotel
    alone. Of several folders around a photo the deepest counts, fact by fact.
    """

    def __init__(self, path: Path) -> None:
        """Raises: SourceError: it cannot be read, a cell makes no sense, or two rows contradict each other."""
        self.path = path
        self.remarks: list[str] = []
        self.unused: list[str] = []  # columns
        self.rows: list[Row] = []
        self.hotels: dict[str, Row] = {}  # rows of a hotel alone, by its name
        self.used: set[int] = set()  # numbers of the rows that were of any photo, or of any hotel
        self._by_place: dict[str, Row] = {}
        self._chains: dict[str, Row] = {}  # by the hotel's name
        try:
            self.rows = list(self._read())
        except OSError as error:
            raise SourceError(f"the table {path} cannot be read: {error.strerror or error}") from error
        except (ValueError, csv.Error) as error:
            raise SourceError(f"the table {path} cannot be read: {error}") from error
        if not self.rows:
            raise SourceError(f"the table {path} says nothing of any photo, folder or hotel: {NEEDED}")
        self._bases: list[str] = []
        self.look_from(os.path.realpath(path.parent))

    def look_from(self, folder: str) -> None:
        """Take paths as relative to a folder as well. Raises: SourceError: two rows are of one place, and differ."""
        self._bases.append(folder)
        for row in self.rows:
            for place in table_places(row.place, folder) if row.place is not None else ():
                other = self._by_place.setdefault(place, row)
                if other is not row and (name := row.differs(other)):
                    raise self._contradiction(row, other, name)
                if other is not row:  # they complete each other
                    self._by_place[place] = other.completed(row)

    def refuse_if_nowhere(self) -> None:
        """Refuse a table none of whose rows names anything that is there. Raises: SourceError."""
        # A name on disk may have its letters decomposed: such are told by the photos that are found.
        if self.hotels or any(not place.isascii() or os.path.lexists(outside_tar(place)) for place in self._by_place):
            return
        others = f", nor at any other place of its {len(self.rows)} rows" if len(self.rows) > 1 else ""
        raise SourceError(
            f"{self.path}:{self.rows[0].number}: nothing is at {self.rows[0].place!r}{others}: paths are absolute, or "
            f"relative to {' or '.join(dict.fromkeys(self._bases[:FEW]))}; nothing was changed"
        )

    def of(self, found: FoundPhoto) -> list[tuple[Row, bool]]:
        """Return the rows of a photo, the deepest place first, each with whether it names the photo itself."""
        place = composed(f"{found.path}/{found.member}" if found.member else found.path)
        rows = [] if place not in self._by_place else [(self._by_place[place], True)]
        while (above := os.path.dirname(place)) != place:
            place = above
            if place in self._by_place:
                rows.append((self._by_place[place], False))
        self.used.update(row.number for row, _ in rows)
        return rows

    def unmatched(self) -> list[Row]:
        """Return the rows that were of no photo, and of no hotel."""
        return [row for row in self.rows if row.number not in self.used and self._shared(row) not in self.used]

    def _shared(self, row: Row) -> int:
        """Return the number of the row that stands for this one, where several are of one place or hotel."""
        if row.place is None:
            return self.hotels[comparable(row.hotel or "")].number
        places = (place for base in self._bases for place in table_places(row.place or "", base))
        return next((self._by_place[place].number for place in places if place in self._by_place), row.number)

    def _read(self) -> Iterator[Row]:
        rows = parquet_rows(self.path) if is_parquet(self.path) else table_rows(self.path, MEANINGS, self.remarks)
        for number, said in named_records(rows, MEANINGS, self.unused):
            row = self._row(number, said)
            if row is not None:
                yield row

    def _row(self, number: int, said: dict[str, str]) -> Row | None:
        """Return what a row says, None where it says nothing. Raises: SourceError: a cell makes no sense."""
        hotel, place = said.get("hotel"), said.get("path") or said.get("folder")
        if not said.keys() - {"path", "folder"}:
            return None
        if place is None and hotel is None:
            raise self._bad(number, "path", "", f"it names no photo, folder or hotel: {NEEDED}")
        if "path" in said and "folder" in said and not said["path"].startswith(("/", said["folder"].rstrip("/") + "/")):
            place = f"{said['folder'].rstrip('/')}/{said['path']}"
        latitude, longitude = (self._degrees(number, name, said.get(name)) for name in ("latitude", "longitude"))
        if (latitude is None) != (longitude is None):
            lacking = "longitude" if longitude is None else "latitude"
            raise self._bad(number, lacking, "", "a place needs both, a latitude and a longitude")
        if latitude == longitude == 0:
            raise self._bad(number, "latitude", "0", "0, 0 lies in the sea: leave both empty where it is not known")
        row = Row(number, place, hotel, said.get("chain"), latitude, longitude, self._date(number, said.get("date")))
        self._check(row)
        return row

    def _check(self, row: Row) -> None:
        """Refuse rows that say different things of one hotel. Raises: SourceError: this and an earlier one do."""
        if row.hotel is None:
            return
        name = comparable(row.hotel)
        if row.place is None:
            if row.date is not None:
                raise self._bad(row.number, "date", str(row.date), "a date is of a photo or a folder: name its path")
            other = self.hotels.setdefault(name, row)
            if differing := row.differs(other):
                raise self._contradiction(row, other, differing)
            self.hotels[name] = other.completed(row)
        if row.chain is not None:
            other = self._chains.setdefault(name, row)
            if comparable(other.chain or "") != comparable(row.chain):
                raise self._contradiction(row, other, "chain")

    def _degrees(self, number: int, column: str, text: str | None) -> float | None:
        if text is None:
            return None
        most = 90 if column == "latitude" else 180
        try:  # a comma where a spreadsheet of such a country writes one
            degrees = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
        except ValueError:
            degrees = math.nan
        if math.isnan(degrees):
            raise self._bad(number, column, text, "it is no number of degrees, such as 48.85")
        if not -most <= degrees <= most:
            raise self._bad(number, column, text, f"a {column} lies between -{most} and {most} degrees")
        return degrees

    def _date(self, number: int, text: str | None) -> datetime | None:
        if text is None:
            return None
        match = DATE.fullmatch(text)
        with suppress(ValueError):
            if match is not None:
                return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]
        raise self._bad(number, "date", text, "it is no date such as 2015-01-31 or 2015-01-31 17:40")

    def _bad(self, number: int, column: str, text: str, why: str) -> SourceError:
        return SourceError(f"{self.path}:{number}: {column} {text[:60]!r}: {why}; nothing was changed")

    def _contradiction(self, row: Row, other: Row, name: str) -> SourceError:
        one, two = getattr(other, name), getattr(row, name)
        of_what = repr(row.place if row.place is not None else row.hotel)
        return SourceError(
            f"{self.path}:{row.number}: the {name} of {of_what} is {str(two)!r}, and {str(one)!r} in row "
            f"{other.number}: keep one; nothing was changed"
        )


NEEDED = "a table needs a head with a column path, folder or hotel, and any of hotel, chain, latitude, longitude, date"


def composed(path: str) -> str:
    """Return a path with its letters composed, however a system or a table writes them."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def table_places(written: str, folder: str) -> Iterator[str]:
    """Yield the places that a path in a table may mean, beside a folder; a photo in a tar as searches show it too."""
    unix = written if "/" in written else written.replace("\\", "/")
    path = os.path.normpath(os.path.join(folder, unix))
    real = os.path.join(real_folder(os.path.dirname(path)), os.path.basename(path))
    yield composed(storable(real))
    if ".tar!" in real.lower():
        at = real.lower().index(".tar!") + len(".tar")
        yield composed(storable(f"{real[:at]}/{os.path.normpath(real[at + 1 :])}"))


def outside_tar(place: str) -> str:
    """Return a place, or the tar that it lies in."""
    at = place.lower().find(".tar/")
    return place if at < 0 else place[: at + len(".tar")]


@lru_cache(maxsize=100_000)
def real_folder(folder: str) -> str:
    """Return a folder by its one name, whatever links lead to it."""
    return os.path.realpath(folder)


def table_for(path: Path, sources: Sequence[Source]) -> MetadataTable:
    """Read a table of what is known of the photos of some sources, whose folders its paths may be relative to.

    Raises: SourceError: as MetadataTable, or no row names anything that is there.
    """
    table = MetadataTable(path)
    for source in sources:
        table.look_from(os.path.dirname(source.path) if source.kind == "file" else source.path)
    table.refuse_if_nowhere()
    return table


@dataclass(kw_only=True, slots=True)
class MetadataReport:
    """What was said of the photos that an `add` found.

    hotels: {name: photos} of those that folders or the table name. without_hotel: photos that no folder named one for.
    chosen: how folders were told to name hotels, if they were told now. used, rows: of the table.
    """

    hotels: dict[str, int]
    without_hotel: int = 0
    chosen: str | None = None
    root: str = ""
    table: str | None = None
    used: int = 0
    rows: int = 0
    remarks: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = []
        if self.hotels or self.chosen in (FOLDER, "path"):
            few = [f"{one_line(name)} ({counted(n, 'photo')})" for name, n in list(self.hotels.items())[:FEW_HOTELS]]
            named = f": {', '.join(few)}{', ...' if len(self.hotels) > FEW_HOTELS else ''}" if few else ""
            lines.append(f"these are of {counted(len(self.hotels), 'hotel')}{named}")
        if self.table is not None:
            lines.append(f"{one_line(self.table)}: {self.used} of {counted(self.rows, 'row')} used")
        return "\n".join(lines)

    @property
    def notes(self) -> list[str]:
        """What people should know besides, with the remedies."""
        said, where = list(self.remarks), shell_word(self.root)
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
        self._added = False
        self._chains: dict[str, int] | None = None
        self._photos = Counter[str]()  # by the name of their hotel, as names are compared
        self._facts: dict[int, dict[str, Any]] = {}  # {hotel id: columns}
        self._told: set[int] = set()  # rows that a problem was told of
        self._choices: dict[str, HotelChoice] = {}
        self._source: Source | None = None
        self.report = MetadataReport(hotels={}, chosen=hotel_from)

    def begin(self, source: Source) -> None:
        """Turn to a source; how it was told to name hotels is remembered, for photos that come later.

        Raises: QueryError: its own tables name the hotels.
        """
        if source.hotels and self._hotel_from is not None:
            raise QueryError("the tables of Hotels-50K name its hotels: leave --hotel-from out")
        session, self._source, self.report.root = self._session, source, source.root
        choices = hotel_choices(session, source.root)
        if self._hotel_from is not None and source.kind != "file":  # a photo is no folder of a hotel
            name = source.typed_name if self._hotel_from == "path" else None
            here = [each for each in choices if len(each.root) >= len(source.root)]  # and below
            said = (source.root, self._hotel_from, name)
            if [(each.root, each.hotel_from, each.name) for each in here] != [said]:
                keep_choice(session, *said)
                choices = hotel_choices(session, source.root)
        self._choices = {choice.root: choice for choice in choices}

    def told(self, chunk: Sequence[FoundPhoto]) -> list[FoundPhoto]:
        """Return photos that a source has found with what people say of them."""
        if self._table is None and not self._choices:
            return list(chunk)
        return [self._of(found) for found in chunk]

    def _of(self, found: FoundPhoto) -> FoundPhoto:
        rows = [] if self._table is None else self._table.of(found)

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
            self._hotels[key], self._added = (add_named(self._session, Hotel, name), name), True
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
        if row.number not in self._told and self._table is not None and self._source is not None:
            self._told.add(row.number)
            self._source.leftovers.problems.append(Problem(f"{self._table.path}:{row.number}", reason))

    def _choice_at(self, path: str) -> HotelChoice | None:
        """Return how photos at a place get their hotels: as the deepest place says that anything was said of."""
        while path not in self._choices and (above := os.path.dirname(path)) != path:
            path = above
        return self._choices.get(path)

    def end(self, rehoused: int) -> None:
        """Record what was said of hotels, once all sources were looked through; the caller commits.

        `rehoused`: photos known before that have another hotel now.

        Raises: SourceError: no row of the table was of any photo or hotel.
        """
        table = self._table
        self.report.hotels = {self._hotels[key][1]: photos for key, photos in self._photos.items()}
        for key, row in table.hotels.items() if table is not None else ():
            if table is not None and key in self._hotels:
                columns = {} if row.latitude is None else {"latitude": row.latitude, "longitude": row.longitude}
                columns |= {} if row.chain is None else {"chain_id": self._chain(row.chain)}
                self._facts[self._hotels[key][0]] = self._facts.get(self._hotels[key][0], {}) | columns
                table.used.add(row.number)
        changed = [change_hotel(self._session, hotel_id, columns) for hotel_id, columns in self._facts.items()]
        if rehoused or any(changed) or self._added or table is not None:
            drop_empty_hotels(self._session)  # also those of photos whose hotels Hotels-50K knows
            results_follow(self._session)
        if table is not None:
            self._report_table(table)

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
