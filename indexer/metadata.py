"""Tables of what people know of their photos: hotels, chains, places, dates. Reads and checks them; keeps nothing."""

import csv
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from base.errors import SourceError
from base.files import storable
from base.names import comparable, composed
from base.spreadsheets import is_parquet, named_records, parquet_rows, table_rows
from base.urls import checked_place, joined, url_of
from indexer.sources import FoundPhoto, Source

FEW = 3  # names that a message shows


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
TAR_NAME = re.compile(r"\.(tar(\.(gz|bz2|xz))?|tgz|tbz2?|txz)(?=[!/])", re.IGNORECASE)
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


class RowReader:
    """Reads what a row of a table says of a photo, a folder or a hotel."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def row(self, number: int, said: dict[str, str]) -> Row | None:
        """Return what a row says, None where it says nothing. Raises: SourceError: a cell makes no sense."""
        if nothing := next((name for name, value in said.items() if "\0" in value), None):
            raise self._bad(number, nothing, said[nothing], "it holds a character of code 0, which no name has")
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
        return Row(number, place, hotel, said.get("chain"), latitude, longitude, self._date(number, said.get("date")))

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


class MetadataTable(RowReader):
    """A table of what is known of photos, folders and hotels: CSV, TSV, Excel or Parquet.

    A row names a photo or a folder, relative to the table's own folder or to the source's, or absolute; or a hotel
    alone. Of several folders around a photo the deepest counts, fact by fact.
    """

    def __init__(self, path: Path) -> None:
        """Raises: SourceError: it cannot be read, a cell makes no sense, or two rows contradict each other."""
        super().__init__(path)
        self.remarks: list[str] = []
        self.unused: list[str] = []  # columns
        self.rows: list[Row] = []
        self.hotels: dict[str, Row] = {}  # rows of a hotel alone, by its name
        self.used: set[int] = set()  # numbers of the rows that were of any photo, or of any hotel
        self._by_place: dict[str, Row] = {}
        self._places: dict[int, list[str]] = defaultdict(list)  # by the row's number
        self._real: dict[str, str] = {}  # folders by their one names, whatever links lead to them
        self._chains: dict[str, Row] = {}  # by the hotel's name
        try:
            self.rows = list(self._read())
        except OSError as error:
            raise SourceError(f"the table {path} cannot be read: {error.strerror or error}") from error
        except (ValueError, csv.Error) as error:
            raise SourceError(f"the table {path} cannot be read: {error}") from error
        if not self.rows:
            raise SourceError(
                f"the table {path} says nothing of any photo, folder or hotel: it has no such row; {NEEDED}"
            )
        own = os.path.realpath(path.parent)
        self._bases = {own: None}
        placed = [row for row in self.rows if row.place is not None]
        self._put(placed, own)
        self._by_start: dict[str, list[Row]] = defaultdict(list)  # those of relative paths, by the first part
        for row in placed:
            if start := start_of_path(row.place or ""):
                self._by_start[start].append(row)

    def look_from(self, folder: str) -> None:
        """Take paths as relative to a folder as well. Raises: SourceError: two rows are of one place, and differ."""
        if folder in self._bases:
            return
        self._bases[folder] = None
        here: Iterable[str] = self._by_start  # of a tar, and of what cannot be read
        with suppress(OSError):  # of thousands of rows only those that may be of something in this folder
            here = [".", "..", *{composed(storable(name)) for name in os.listdir(folder)}]
        for start in list(here):
            if start in self._by_start:
                self._put(self._by_start[start], folder)

    def _put(self, rows: Iterable[Row], folder: str) -> None:
        for row in rows:
            for place in self._places_of(row.place or "", folder):
                self._places[row.number].append(place)
                other = self._by_place.setdefault(place, row)
                if other is not row and (name := row.differs(other)):
                    raise self._contradiction(row, other, name)
                if other is not row:  # they complete each other
                    self._by_place[place] = other.completed(row)

    def _places_of(self, written: str, folder: str) -> Iterator[str]:
        """Yield the places that a path may mean, beside a folder; a photo in a tar as searches show it too."""
        if (url := url_of(written) or url_of(folder)) is not None:
            yield from places_of_url(url if url_of(written) else joined(url, written))
            return
        path = os.path.normpath(os.path.join(folder, with_slashes(written)))
        above, name = os.path.split(path)
        if above not in self._real:
            self._real[above] = os.path.realpath(above)
        real = os.path.join(self._real[above], name)
        yield composed(storable(real))
        if (end := end_of_tar(real, "!")) is not None:
            yield composed(storable(f"{real[:end]}/{os.path.normpath(real[end + 1 :])}"))

    def refuse_if_nowhere(self) -> None:
        """Refuse a table none of whose rows names anything that is there. Raises: SourceError."""
        # A name on disk may have its letters decomposed: such are told by the photos that are found.
        if self.hotels or any(
            not place.isascii() or url_of(place) is not None or os.path.lexists(place[: end_of_tar(place, "/")])
            for place in self._by_place
        ):
            return
        others = f", nor at any other place of its {len(self.rows)} rows" if len(self.rows) > 1 else ""
        raise SourceError(
            f"{self.path}:{self.rows[0].number}: nothing is at {self.rows[0].place!r}{others}: paths are absolute, or "
            f"relative to {' or '.join(islice(self._bases, FEW))}; nothing was changed"
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
        return next((self._by_place[place].number for place in self._places[row.number]), row.number)

    def _read(self) -> Iterator[Row]:
        rows = parquet_rows(self.path) if is_parquet(self.path) else table_rows(self.path, MEANINGS, self.remarks)
        for number, said in named_records(rows, MEANINGS, self.unused):
            row = self.row(number, said)
            if row is not None:
                self._check(row)
                yield row

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

    def _contradiction(self, row: Row, other: Row, name: str) -> SourceError:
        one, two = getattr(other, name), getattr(row, name)
        of_what = repr(row.place if row.place is not None else row.hotel)
        return SourceError(
            f"{self.path}:{row.number}: the {name} of {of_what} is {str(two)!r}, and {str(one)!r} in row "
            f"{other.number}: keep one; nothing was changed"
        )


NEEDED = "a table needs a head with a column path, folder or hotel, and any of hotel, chain, latitude, longitude, date"


def with_slashes(written: str) -> str:
    """Return a path as Unix writes it, also one that Windows wrote."""
    return written if "/" in written else written.replace("\\", "/")


def start_of_path(written: str) -> str:
    """Return the first part of a path, empty for an absolute one: a name as listings of folders have it."""
    start = os.path.normpath(with_slashes(written)).partition("/")[0]
    return composed(start[: end_of_tar(start, "!")])


def end_of_tar(place: str, before_member: str) -> int | None:
    """Return where the name of a tar ends in a place, which a member's name follows; None where there is none."""
    found = TAR_NAME.search(place)
    while found is not None and place[found.end() : found.end() + 1] != before_member:
        found = TAR_NAME.search(place, found.end())
    return None if found is None else found.end()


def places_of_url(url: str) -> Iterator[str]:
    """Yield the places that an address in a table may mean: nothing where none can be kept."""
    with suppress(SourceError):
        place = str(checked_place(url)).rstrip("/")
        yield composed(place)
        if (end := end_of_tar(place, "!")) is not None:
            yield composed(f"{place[:end]}/{place[end + 1 :]}")


def table_for(path: Path, sources: Sequence[Source]) -> MetadataTable:
    """Read a table of what is known of the photos of some sources, whose folders its paths may be relative to.

    Raises: SourceError: as MetadataTable, or no row names anything that is there.
    """
    table = MetadataTable(path)
    for source in sources:
        for folder in source.folders:
            table.look_from(folder)
    table.refuse_if_nowhere()
    return table
