"""Lists of photos: tables that name a photo a row, by path or address, and say more of it. Reads no photos.

CSV, TSV, Excel, Parquet or JSON Lines, of any length: rows are read one behind another.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from base.errors import SourceError
from base.files import storable
from base.names import spellings
from base.records import parse_json
from base.settings import LibraryFolder
from base.spreadsheets import BETWEEN_WORDS, cell_text, is_parquet, open_text, table_rows
from base.urls import checked_place, url_of
from indexer.details import kept_details
from indexer.ignoring import Patterns, call_patterns
from indexer.looking import looks_in_order
from indexer.metadata import FEW, MEANINGS, Row, RowReader, end_of_tar, with_slashes
from indexer.passed_over import Problem, ending_of
from indexer.sources import FoundPhoto, Source, found_at

PATH, FOLDER_COLUMN, MEMBER = "path", "folder", "member"
ADDRESSES = ("url", "imageurl", "photourl", "uri", "imageuri", "link")  # names of columns, where none means a path
JSON_LINES = (".jsonl", ".ndjson", ".json")
MOST_LINE = 10_000_000  # characters of a line of JSON
Record = tuple[int, dict[str, Any] | str]  # the number of a row, and {column: what it holds}, or why it is none


class Listed(NamedTuple):
    """A row's photo: where it lies, and what is said of it."""

    number: int
    place: str
    member: str
    row: Row | None
    details: dict[str, Any] | None


class ListSource(Source):
    """The photos that a list names. What it says of them comes along: of hotels, dates and places as such, else kept.

    Photos that a list no longer names stay.
    """

    kind = "list"
    whole = False

    def __init__(
        self, path: Path, library: Path, *, path_column: str | None = None, exclude: Sequence[str] = ()
    ) -> None:
        """Raises: SourceError: it cannot be read, or no column names photos; QueryError: a pattern is none."""
        super().__init__(path)
        self._list = path
        self._folder = os.path.dirname(self.path)
        self._asked_column = path_column
        self._exclude = call_patterns(exclude)
        self._restyled = os.path.realpath(LibraryFolder(library).restyled) + os.sep
        self._reader = RowReader(path)
        self._real_folder = lru_cache(maxsize=4096)(os.path.realpath)
        self.remarks: list[str] = []
        first = next(self._records(), None)
        if first is None:
            raise SourceError(f"the list {path} names no photo: it has no row below its head")
        if isinstance(first[1], str):
            raise SourceError(f"the list {path} cannot be read: row {first[0]} {first[1]}")
        self._columns = self._named_columns(list(first[1]))

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos in the order of the rows. Raises: SourceError: the list cannot be read to its end."""
        yield from looks_in_order(self._listed(), lambda listed: url_of(listed.place) is not None, self._found)

    @property
    def folders(self) -> Iterable[str]:
        """The folder that paths are relative to."""
        return [self._folder]

    def _listed(self) -> Iterator[Listed]:
        named: set[int] = set()  # hashes: a million places themselves would take much memory
        for number, record in self._records():
            try:
                listed = self._read_row(number, record)
            except SourceError as error:
                self._problem(number, str(error))
                continue
            if hash(key := (listed.place, listed.member)) in named:
                self._problem(number, f"names {storable(listed.place)} again")
                continue
            named.add(hash(key))
            folder, name = os.path.split(listed.place)
            if self._exclude and Patterns(folder, self._exclude).say(listed.place, is_folder=False):
                self.leftovers.passed_over.note("excluded", ending_of(name))
            elif listed.place.startswith(self._restyled):
                self._problem(number, "lies among the library's restyled photos, which are no photos of hotels")
            else:
                yield listed

    def _found(self, listed: Listed) -> FoundPhoto:
        found = found_at(listed.place, listed.member)
        return replace(found, row=listed.row, details=listed.details)

    def _read_row(self, number: int, record: dict[str, Any] | str) -> Listed:
        """Return what a row says. Raises: SourceError: it names no photo that can be one."""
        if isinstance(record, str):
            raise SourceError(record)
        said: dict[str, str] = {}
        others: dict[str, Any] = {}
        for name, value in record.items():
            meaning = self._columns.get(name)
            if meaning is None:
                others[name] = value
            elif text := cell_text(value).strip():
                said[meaning] = text
        written, folder = said.pop(PATH, ""), said.pop(FOLDER_COLUMN, "")
        if not written or "\0" in written:
            raise SourceError("names no photo")
        if folder and url_of(written) is None and not written.startswith(("/", folder.rstrip("/") + "/")):
            written = f"{folder.rstrip('/')}/{written}"
        place, member = self._place(written, said.pop(MEMBER, ""))
        row = None
        try:
            row = replace(found, place=None) if (found := self._reader.row(number, {PATH: written} | said)) else None
        except SourceError as error:  # the photo is taken all the same
            self._problem(
                number, str(error).removeprefix(f"{self._list}:{number}: ").removesuffix("; nothing was changed")
            )
        return Listed(number, place, member, row, kept_details(others))

    def _place(self, written: str, member: str) -> tuple[str, str]:
        """Return the place, and the member there, that a cell names. Raises: SourceError: it can be none."""
        if not member and (end := end_of_tar(written, "!")) is not None:
            written, member = written[:end], written[end + 1 :]
        place = checked_place(written)
        if isinstance(place, str):
            return place, member
        if url_of(written) is None:  # file:// is never relative
            place = Path(os.path.join(self._folder, with_slashes(written)))
        folder, name = os.path.split(os.path.normpath(place))
        whole = os.path.join(self._real_folder(folder), name)
        if not os.path.lexists(whole):  # the list's letters may be composed, and the disk's not
            forms = (
                os.path.join(self._real_folder(form), last) for form in spellings(folder) for last in spellings(name)
            )
            whole = next((form for form in forms if os.path.lexists(form)), whole)
        return os.path.realpath(whole) if os.path.islink(whole) else whole, member

    def _problem(self, number: int, reason: str) -> None:
        self.leftovers.problems.append(Problem(f"{self.root}:{number}", reason))

    def _named_columns(self, head: list[str]) -> dict[str, str]:
        """Return {column: what it means} of those that mean something here. Raises: SourceError: none names photos."""
        plain = {name: BETWEEN_WORDS.sub("", name.strip().casefold()) for name in head}
        meant = {name: MEANINGS[each] for name, each in plain.items() if each in MEANINGS}
        meant |= {name: MEMBER for name, each in plain.items() if each == MEMBER}
        if self._asked_column is not None:
            meant = {name: meaning for name, meaning in meant.items() if meaning != PATH}
            meant[self._column_asked(head)] = PATH
        elif PATH not in meant.values():
            meant |= {name: PATH for name in [name for name, each in plain.items() if each in ADDRESSES][:1]}
        if PATH not in meant.values():
            raise SourceError(
                f"the list {self._list} has no column path, photo, file or url, but {', '.join(head)[:300]}: "
                "say which names the photos with --path-column NAME"
            )
        for meaning in set(meant.values()):
            doubled = [name for name in head if meant.get(name) == meaning]
            if len(doubled) > 1:
                remedy = "say one with --path-column NAME" if meaning == PATH else "remove or rename one"
                raise SourceError(f"the list {self._list}: {' and '.join(doubled[:FEW])} both mean {meaning}: {remedy}")
        return meant

    def _column_asked(self, head: list[str]) -> str:
        """Return the column that was asked for. Raises: SourceError: there is none."""
        asked = (self._asked_column or "").strip()
        for wanted, names in ((asked, head), (asked.casefold(), [name.casefold() for name in head])):
            if wanted in (plain := [name.strip() for name in names]):
                return head[plain.index(wanted)]
        raise SourceError(f"the list {self._list} has no column {asked!r}, but {', '.join(head)[:300]}")

    def _records(self) -> Iterator[Record]:
        """Yield the rows. Raises: SourceError: the list cannot be read."""
        try:
            yield from rows_of_list(self._list, [*MEANINGS, MEMBER, *ADDRESSES, (self._asked_column or "").casefold()])
        except OSError as error:
            raise SourceError(f"the list {self._list} cannot be read: {error.strerror or error}") from error
        except (ValueError, csv.Error) as error:
            raise SourceError(f"the list {self._list} cannot be read: {error}") from error


def rows_of_list(path: Path, known: Sequence[str]) -> Iterator[Record]:
    """Yield the rows of a table with a head, or of JSON Lines, with all their columns.

    Args:
        path: the file.
        known: names of columns that it may have, by which the separator of a CSV file, or a sheet, is told.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file; the message names the row.
        csv.Error: a cell is too long.
    """
    if is_parquet(path):
        return rows_of_parquet(path)
    if path.suffix.lower() in JSON_LINES:
        return rows_of_json(path)
    return rows_of_sheet(path, known)


def rows_of_sheet(path: Path, known: Sequence[str]) -> Iterator[Record]:
    """Yield the rows of a CSV file or a workbook. Raises: as `rows_of_list`."""
    filled = (row for row in table_rows(path, known) if any(map(str.strip, row[1])))
    first, head = next(filled, (1, []))
    names = [name.strip() for name in head]
    doubled = next((name for name in names if name and names.count(name) > 1), None)
    if doubled:
        raise ValueError(f"row {first}: there are two columns {doubled!r}: rename one")
    for number, cells in filled:
        if any(map(str.strip, cells[len(names) :])):
            too_many = f"has {len(cells)} cells, but there are {len(names)} columns"
            yield number, f"{too_many}: put quotes around texts that hold the separator"
        else:
            yield number, {name: cell for name, cell in zip(names, cells, strict=False) if name}


def rows_of_parquet(path: Path) -> Iterator[Record]:
    """Yield the rows of a Parquet file, without columns of vectors and of bytes. Raises: as `rows_of_list`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            columns = [field.name for field in table.schema_arrow if not is_bulky(field.type)]
            number = 1
            for batch in table.iter_batches(columns=columns, batch_size=4096):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except pa.ArrowException as error:
        raise ValueError(f"it is no sound Parquet file: {error}") from error


def is_bulky(kind: Any) -> bool:
    """Tell whether a column of a Parquet file holds vectors, or bytes such as pictures."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(is_bulky(kind.field(at).type) for at in range(kind.num_fields))
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if is_list:
        return bool(pa.types.is_floating(kind.value_type)) or is_bulky(kind.value_type)
    bytes_of = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(is_of(kind) for is_of in bytes_of)


def rows_of_json(path: Path) -> Iterator[Record]:
    """Yield the objects of JSON Lines, all with the columns of the first. Raises: as `rows_of_list`."""
    with open_text(path) as file:
        number = 0
        while line := file.readline(MOST_LINE + 1):
            number += 1
            if len(line) > MOST_LINE:
                raise ValueError(f"line {number} has more than {MOST_LINE:,} characters")
            if not line.strip():
                continue
            try:
                record = parse_json(line)
            except ValueError as error:
                yield number, f"is no JSON ({error})"
            else:
                yield number, record if isinstance(record, dict) else 'is no object such as {"path": "a.jpg"}'
