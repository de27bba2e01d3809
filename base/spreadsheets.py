"""Tables that people edit: CSV, with whatever separator and encoding a spreadsheet gave it, and Excel workbooks.

The one reader of both, by what a file holds and not by its name, and the one writer of workbooks. Cells are texts.
Knows nothing of what columns mean.
"""

import codecs
import csv
import re
import shutil
import warnings
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO
from xml.etree.ElementTree import ParseError
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError

from base.errors import QueryError
from base.files import open_regular

SEPARATORS = ",;\t"
SEPARATOR_LINE = re.compile('("?)sep=([^"\r\n])\\1[\r\n]*', re.IGNORECASE)  # by which a file tells Excel its separator
PARQUET_START = b"PAR1"
ZIP_START, OLE_START = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"  # of a workbook; of an older one, or one with a password
NOT_UTF8 = re.compile("[\udc80-\udcff]+")  # bytes that are no UTF-8, as surrogateescape keeps them
BETWEEN_WORDS = re.compile(r"[\s_.-]+")  # in the name of a column
FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")  # in the XML of a sheet
SCANNED_BYTES, LONGEST_TAG = 1 << 20, 64  # of a sheet's XML, looked through at once; of a tag and its prefix
NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# Excel's specifications and limits.
MOST_ROWS, MOST_COLUMNS, LONGEST_CELL = 1_048_576, 16_384, 32_767
RETURN = "_x000D_"  # how a workbook writes a carriage return, which XML would lose
FORMULA_START = "=+-@\t\r\n＝＋－＠"  # what a spreadsheet takes for the start of a formula
TAKEN_FOR_OTHERS = {*FORMULA_START, "#"}  # than texts

warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")  # on what of a workbook it leaves out

Row = tuple[int, list[str]]  # its number, from 1 (of a CSV file the number of its last line), and its cells


def table_records(
    path: Path, known: Collection[str], remarks: list[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number, {column: cell}) of a table with a head, of the columns in `known` that it has.

    Whatever their order and case; rows without a text are passed over, cells that a row lacks at its end are empty.

    Args:
        path: the file.
        known: names of columns, in small letters; also how the separator of a CSV file is told.
        remarks: is added to where people should know how the file was read.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such table, or a row has more cells than the head; the message names the row.
        csv.Error: a cell is too long.
    """
    rows = (row for row in table_rows(path, known, remarks) if any(map(str.strip, row[1])))
    first, head = next(rows, (1, []))
    names = [name.strip().casefold() for name in head]
    places = {name: place for place, name in enumerate(names) if name in known}
    for name in places:
        if names.count(name) > 1:
            raise ValueError(f"{path}:{first}: there are two columns {name!r}: remove one")
    if head and not places:
        raise ValueError(f"{path}:{first}: it has no column {' or '.join(known)}, but {', '.join(head)[:200]}")
    for number, cells in rows:
        if any(cells[len(names) :]):
            raise ValueError(
                f"{path}:{number}: there are {len(cells)} cells, but {len(names)} columns: put quotes around texts "
                "that hold the separator"
            )
        yield number, {name: cells[place] if place < len(cells) else "" for name, place in places.items()}


def named_records(
    rows: Iterable[Row], meanings: Mapping[str, str], unused: list[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number, {meaning: cell}) of rows, the first of which is their head, without cells that are empty.

    Args:
        rows: of a table.
        meanings: {name of a column, in small letters and without what stands between words: what it means}.
        unused: is added the columns to that mean nothing here.

    Raises: ValueError: two columns mean one thing, or a row has more cells than the head.
    """
    filled = (row for row in rows if any(map(str.strip, row[1])))
    first, head = next(filled, (1, []))
    names = [meanings.get(BETWEEN_WORDS.sub("", cell.casefold())) for cell in head]
    unused += [cell.strip() for cell, name in zip(head, names, strict=True) if name is None and cell.strip()]
    if doubled := next((name for name in names if name is not None and names.count(name) > 1), None):
        both = " and ".join(repr(cell.strip()) for cell, name in zip(head, names, strict=True) if name == doubled)
        raise ValueError(f"row {first}: the columns {both} both mean {doubled}: remove one")
    for number, cells in filled:
        if any(map(str.strip, cells[len(head) :])):
            raise ValueError(
                f"row {number}: there are {len(cells)} cells, but {len(head)} columns: put quotes around texts that "
                "hold the separator"
            )
        yield number, {name: cell.strip() for name, cell in zip(names, cells, strict=False) if name and cell.strip()}


def has_column(path: Path, name: str) -> bool:
    """Tell whether a file is a table whose head has a column. Raises: as `table_records`."""
    rows = table_rows(path, [name])
    return name in (cell.strip().casefold() for cell in next(rows, (1, []))[1])


def table_rows(path: Path, known: Collection[str], remarks: list[str] | None = None) -> Iterator[Row]:
    """Return the rows of a table as they stand. Raises: as `table_records`."""
    return workbook_rows(path, known) if is_workbook(path) else text_rows(path, known, remarks)


def is_workbook(path: Path) -> bool:
    """Tell whether a file is an Excel workbook, by how it begins.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a workbook that only Excel reads.
    """
    start = first_bytes(path)
    if start == OLE_START:
        raise ValueError("it is an older Excel file, or one with a password: save it as .xlsx without one, or as .csv")
    return start == ZIP_START


def is_parquet(path: Path) -> bool:
    """Tell whether a file is one of Parquet, by how it begins. Raises: OSError: it cannot be read."""
    return first_bytes(path) == PARQUET_START


def first_bytes(path: Path) -> bytes:
    """Return the first four bytes of a file. Raises: OSError: it cannot be read."""
    with open_regular(path) as file:
        return file.read(4) or b""


def parquet_rows(path: Path) -> Iterator[Row]:
    """Yield the names of a Parquet file's columns, then its rows, with numbers and times as spreadsheets write them.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no sound Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(path) as file:
            table, number = pq.ParquetFile(file), 1
            yield number, list(table.schema_arrow.names)
            for batch in table.iter_batches():
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, [cell_text(value) for value in values]
    except pa.ArrowException as error:
        raise ValueError(f"it is no sound Parquet file: {error}") from error


def text_rows(path: Path, known: Collection[str], remarks: list[str] | None = None) -> Iterator[Row]:
    """Yield the rows of a CSV file; a first line that names its separator is none of them."""
    with open_text(path) as file:
        said = SEPARATOR_LINE.fullmatch(file.readline())
        file.seek(0)
        head = next(filter(str.strip, file), "")
        if "\0" in head:
            raise ValueError("it is no text, or UTF-16 without its mark: save it as .xlsx or as CSV UTF-8")
        file.seek(0)
        reader = csv.reader(file, delimiter=said[2] if said else separator_of(head, known))
        if said:
            next(reader)
        told = False
        for cells in reader:
            joined = "".join(cells)
            if not joined.isascii() and NOT_UTF8.search(joined):
                cells = [western(cell) for cell in cells]
                if not told and remarks is not None:
                    remarks.append(
                        f"{path.name} is not UTF-8, but read as Excel's plain CSV of western Europe (cp1252); if "
                        "letters are wrong, save it as .xlsx or as CSV UTF-8"
                    )
                told = True
            yield reader.line_num, cells


def open_text(path: Path) -> TextIO:
    """Open a text that people wrote: UTF-16 where its mark says so, else UTF-8.

    Bytes that are no UTF-8 come as half characters, which `western` reads. Raises: OSError: it cannot be read.
    """
    file = open_regular(path)
    marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    file.seek(0)
    encoding, errors = ("utf-16", "replace") if marked else ("utf-8-sig", "surrogateescape")
    return TextIOWrapper(file, encoding=encoding, errors=errors, newline="")


def western(text: str) -> str:
    """Return a text with the bytes that are no UTF-8 read as Windows' western letters.

    They may stand beside UTF-8: Excel takes an unmarked file for cp1252, and writes what it did not understand as it
    was, beside what people typed.
    """
    return NOT_UTF8.sub(lambda found: found[0].encode(errors="surrogateescape").decode("cp1252", "replace"), text)


def separator_of(head: str, known: Collection[str]) -> str:
    """Return what separates the names in a head: that by which most of them are known, or which parts it most."""

    def found(separator: str) -> tuple[int, int]:
        names = next(csv.reader([head], delimiter=separator), [])
        return sum(name.strip().casefold() in known for name in names), len(names)

    return max(SEPARATORS, key=found)


def workbook_rows(path: Path, known: Collection[str]) -> Iterator[Row]:
    """Yield the rows of the sheet of a workbook whose first row has most of the known columns."""
    from openpyxl import load_workbook

    def names_known(sheet: Any) -> int:
        head = next(sheet.iter_rows(values_only=True), ())
        return sum(cell_text(cell).strip().casefold() in known for cell in head)

    try:
        with open_regular(path) as file:
            book = load_workbook(file, read_only=True, data_only=True)
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # which some programs write wrongly
            sheet = max(book.worksheets, key=names_known)
            refuse_uncomputed(sheet)
            for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                yield number, [cell_text(cell) for cell in cells]
    except NOT_SOUND as error:
        raise ValueError(f"it is no sound Excel workbook ({error}): save it anew as .xlsx, or as .csv") from error


def refuse_uncomputed(sheet: Any) -> None:
    """Refuse a sheet with formulas that no spreadsheet has computed, as programs write them: they would read as empty.

    Raises: ValueError: there is one; the message names the row.
    """
    from openpyxl.xml.constants import SHEET_MAIN_NS
    from openpyxl.xml.functions import iterparse

    if not has_formulas(sheet):
        return
    row_tag, formula, value = (f"{{{SHEET_MAIN_NS}}}{name}" for name in ("row", "f", "v"))
    number = 0
    with sheet._get_source() as source:
        for _, row in iterparse(source):
            if row.tag != row_tag:
                continue
            number = int(float(row.get("r", number + 1)))
            for cell in row:  # one of type str was computed to a text, which may be empty
                if cell.find(formula) is not None and cell.get("t") != "str" and not cell.findtext(value):
                    raise ValueError(
                        f"row {number}: a formula without a value: open the file in a spreadsheet and save it"
                    )
            row.clear()


def has_formulas(sheet: Any) -> bool:
    """Tell whether a sheet may hold formulas, by its XML as it stands: much faster than to parse it."""
    before = b""
    with sheet._get_source() as source:
        while block := source.read(SCANNED_BYTES):
            if FORMULA.search(before + block):
                return True
            before = (before + block)[-LONGEST_TAG:]
    return False


# What openpyxl comes upon in files that are no workbooks, or damaged ones; its own errors and others are ValueErrors.
NOT_SOUND = (BadZipFile, ParseError, ZlibError, EOFError, LookupError, TypeError, AttributeError, RuntimeError)


def cell_text(value: object) -> str:
    """Return a workbook's cell as a spreadsheet would write it into a CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date | time) else str(value).replace(RETURN, "\r")


class WorkbookWriter:
    """An Excel workbook with one sheet, written row by row: a head that stays in sight, texts as texts."""

    def __init__(self, head: Sequence[str], hidden: Collection[str] = ()) -> None:
        """`hidden`: columns that people need not see.

        Raises: QueryError: no sheet holds so many columns.
        """
        from openpyxl import Workbook
        from openpyxl.utils import get_column_letter

        if len(head) > MOST_COLUMNS:
            raise QueryError(f"{len(head)} columns are more than a workbook holds ({MOST_COLUMNS}): {REMEDY}")
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet()
        weakref.finalize(self, discard, self._sheet)
        self._sheet.freeze_panes = "A2"
        for place, name in enumerate(head, start=1):
            column = self._sheet.column_dimensions[get_column_letter(place)]
            column.width = max(len(name) + 2, 12)
            column.hidden = name in hidden
        self._rows = 0
        self.append(head)

    def append(self, cells: Sequence[str | float | None]) -> None:
        """Write a row.

        Raises: QueryError: a workbook cannot hold it; the message names the row.
        """
        self._rows += 1
        refuse_rows(self._rows - 1)
        self._sheet.append([self._as_text(cell) if isinstance(cell, str) else cell for cell in cells])

    def save(self, file: Any) -> None:
        """Write the whole workbook to a binary file. Raises: OSError: the disk is full or cannot be written."""
        from openpyxl.writer.excel import ExcelWriter

        with TimelessZip(
            file, "w", ZIP_DEFLATED
        ) as archive:  # as openpyxl does, but closed also where the disk is full
            ExcelWriter(self._book, archive).save()

    def _as_text(self, text: str) -> Any:
        """Return a cell that no spreadsheet takes for a formula or an error."""
        if len(text) * 2 > LONGEST_CELL and len(text.encode("utf-16-le")) // 2 > LONGEST_CELL:
            raise QueryError(self._problem(text, f"is longer than a cell can be ({LONGEST_CELL} characters)"))
        if NOT_IN_XML.search(text):
            raise QueryError(self._problem(text, "has a control character, which a workbook cannot hold"))
        kept = text.replace("\r", RETURN)
        if text[:1] not in TAKEN_FOR_OTHERS:
            return kept
        from openpyxl.cell import WriteOnlyCell

        cell = WriteOnlyCell(self._sheet, kept)
        cell.data_type = "s"
        cell.quotePrefix = True  # so that it stays a text when somebody has been in it
        return cell

    def _problem(self, text: str, what: str) -> str:
        return f"row {self._rows}: {text[:60]!r} {what}: {REMEDY}"


class TimelessZip(ZipFile):
    """A zip that does not say when it was made, so that the same rows are the same bytes."""

    def writestr(self, zinfo_or_arcname: Any, data: Any, *args: Any) -> None:
        """Write a file of the workbook, without the time of writing in it."""
        if zinfo_or_arcname == "docProps/core.xml":
            data = WRITTEN_AT.sub(rb"\g<1>1980-01-01T00:00:00Z", data.encode() if isinstance(data, str) else data)
        info = timeless(zinfo_or_arcname) if isinstance(zinfo_or_arcname, str) else zinfo_or_arcname
        super().writestr(info, data, *args)

    def write(self, filename: Any, arcname: Any = None, *args: Any) -> None:
        """Write a file that lies on disk."""
        with open(filename, "rb") as read, self.open(timeless(arcname or filename), "w") as written:
            shutil.copyfileobj(read, written)


WRITTEN_AT = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")


def timeless(name: str) -> ZipInfo:
    """Return what a zip says of a file: its name alone."""
    info = ZipInfo(name)
    info.compress_type = ZIP_DEFLATED
    return info


REMEDY = "end the file's name in .csv"


def discard(sheet: Any) -> None:
    """Remove the temporary file of a sheet that was not saved, as after an error."""
    if not sheet.closed:
        with suppress(OSError, ValueError, StopIteration):  # the disk may still be full
            sheet.close()
        with suppress(OSError):
            sheet._writer.cleanup()


def refuse_rows(rows: int) -> None:
    """Refuse a workbook of so many rows below its head. Raises: QueryError: no sheet holds them."""
    if rows >= MOST_ROWS:
        raise QueryError(f"{rows} rows are more than a workbook holds ({MOST_ROWS - 1}): {REMEDY}")
