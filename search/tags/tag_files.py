"""Tag files: what exports, people and other programs wrote about photos. Reads rows; knows no library."""

import csv
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import numpy as np

from base.arrays import Bools
from base.errors import QueryError
from base.files import open_regular, rereadable
from base.records import parse_json
from base.spreadsheets import FORMULA_START, table_records
from search.results import HIGHEST
from search.tags.vocabulary import SEPARATOR, UNKNOWN, bare

GUARD = "'"
METADATA_FILE = "metadata.jsonl"  # of a Hugging Face imagefolder
EXPORTED = "exported"  # the column of an export that says what it was exported with: see Exported


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote of a photo into a column of its own, `exported`, so that it goes wherever the file goes.

    By it an edit is told from what was there, and a photo by its number, also where the file was renamed, sorted, or
    saved as another kind of table. As a text: `case-study-1f3a9c02/8040/9f8e7d6c5b4a3928`.

    vocabulary: its key. decided: the tags that the photo had, as hexadecimal digits, a bit for each tag of the
    vocabulary. photo: the first digits of the SHA-256 of its bytes, by which the same picture is known.
    """

    vocabulary: str
    decided: str
    photo: str

    @classmethod
    def of(cls, text: str, where: str) -> "Exported | None":
        """Return what a cell says, None for an empty one. Raises: ValueError: no export wrote it."""
        if not text:
            return None
        found = WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f"{where}: {EXPORTED} is {text!r}, which no export wrote: leave that column as it was")
        return cls(*found.groups())

    def tags(self, names: list[str]) -> set[str]:
        """Return the tags that the photo had, of those of its vocabulary."""
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(self.decided), np.uint8))
        return {name for name, bit in zip(names, bits.tolist(), strict=False) if bit}


CHECK_BYTES = 8  # of a SHA-256: no two photos of any library share them by chance
WRITTEN = re.compile(r"(.+)/((?:[0-9a-f]{2})*)/([0-9a-f]{16})")


def exported_cells(vocabulary: str, decided: Bools, hashes: Sequence[bytes]) -> list[str]:
    """Return the cells of the column `exported`, of photos with decided tags (n, t) and the SHA-256 of their bytes.

    Empty for those that were never read, whose vectors were imported: no label can be kept for them.
    """
    bits = np.packbits(decided, axis=1)  # (n, ceil(t / 8)) uint8
    digits, width = bits.tobytes().hex(), 2 * bits.shape[1]
    return [
        f"{vocabulary}/{digits[row * width : (row + 1) * width]}/{bytes_check(sha256)}" if sha256 else ""
        for row, sha256 in enumerate(hashes)
    ]


def bytes_check(sha256: bytes) -> str:
    """Return the hexadecimal digits by which an exported row knows a photo's bytes again."""
    return sha256[:CHECK_BYTES].hex()


@dataclass(frozen=True, slots=True)
class TagRow:
    """What a file says of one photo.

    `where` names the row for messages. `tags` are those that the photo has; of those in `unknown` nothing is known.
    `set_by_hand` and `unset_by_hand` are labels that an export carried along, `exported` is how it was exported.
    """

    where: str
    photo_id: int | None
    image_id: int | None
    path: str | None  # absolute
    member: str
    tags: tuple[str, ...]
    unknown: tuple[str, ...]
    set_by_hand: tuple[str, ...]
    unset_by_hand: tuple[str, ...]
    exported: Exported | None = None

    def __str__(self) -> str:
        named = {"photo_id": self.photo_id, "image_id": self.image_id, "path": self.path, "member": self.member}
        shown = ", ".join(f"{name} {value}" for name, value in named.items() if value not in (None, ""))
        return f"{os.path.basename(self.where)} ({shown})"


def read_tag_file(path: Path, remarks: list[str] | None = None) -> Iterator[TagRow]:
    """Yield the rows of a table (CSV, or an Excel workbook), a JSON Lines, Parquet or COCO file, or an imagefolder.

    A row names its photo by photo_id, image_id or path (relative to the file's folder), and its tags in `tags`:
    a list, or a text with semicolons. `remarks` is added to where people should know how the file was read.

    Raises: QueryError: the file cannot be read, or has no such columns; the message names the place.
    """
    is_folder = path.is_dir()
    if is_folder:
        path = path / METADATA_FILE
    readers = {".jsonl": jsonl_records, ".parquet": parquet_records, ".json": coco_records}
    reader = readers.get(path.suffix.lower())
    if reader is None and path.suffix.lower() not in TABLE_ENDINGS:
        raise QueryError(
            f"tags cannot be read from {path.name!r}: give a {', '.join(TABLE_ENDINGS)}, .jsonl, .parquet or COCO "
            ".json file"
        )
    try:
        with rereadable(path, pipe=not is_folder) as source:
            found = sheet_records(source, remarks) if reader is None else reader(source)
            yield from (tag_row(record, f"{path}:{line}", path.parent) for line, record in found)
    except OSError as error:
        raise QueryError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"{path}:{line_not_utf8(path)}: the file is not UTF-8 ({error}): save it as UTF-8") from error
    except (ValueError, csv.Error) as error:  # JSONDecodeError and ArrowInvalid are ValueErrors
        raise QueryError(f"{path} cannot be read as a {path.suffix} file of tags: {error}") from error


def sheet_records(path: Path, remarks: list[str] | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (row, record) of a table with a head; what exports put before formulas in CSV files is taken away again.

    But not from tags, which `known_tag` knows with it and without: workbooks are made of CSV files, and these of them.
    """
    for line, record in table_records(path, COLUMNS, remarks):
        yield line, {name: unguarded(cell) if name in TEXT_COLUMNS else cell for name, cell in record.items()}


def jsonl_records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (line, record) of a file with one JSON object a line."""
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield number, parse_json(line)
                except ValueError as error:
                    what = f"{error.msg} at character {error.pos + 1}" if isinstance(error, JSONDecodeError) else error
                    raise ValueError(f"{path}:{number}: {what}") from error


def parquet_records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (row, record) of a Parquet file, only the columns that matter."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        columns = [name for name in file.schema_arrow.names if name in COLUMNS]
        start = 1
        for batch in file.iter_batches(columns=columns):
            try:
                rows = batch.to_pylist()
            except UnicodeDecodeError as error:
                row, name = place_not_utf8(batch)
                raise ValueError(f"{path}:{start + row}: {name} is not UTF-8 ({error}): write it as UTF-8") from error
            yield from enumerate(rows, start=start)
            start += len(rows)


def place_not_utf8(batch: Any) -> tuple[int, str]:
    """Return the row and the column of the first cell of a pyarrow.RecordBatch that is not UTF-8."""
    for row in range(batch.num_rows):
        for name in batch.schema.names:
            try:
                batch.column(name)[row].as_py()
            except UnicodeDecodeError:
                return row, name
    raise AssertionError("every cell is UTF-8")


def coco_records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (position, record) of the images of a COCO file, with the categories of their annotations as tags."""
    content = parse_json(path.read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise ValueError("a COCO file holds images, annotations and categories")
    try:
        names = {category["id"]: category["name"] for category in content["categories"]}
        tags: dict[Any, list[str]] = {}
        for annotation in content["annotations"]:
            tags.setdefault(annotation["image_id"], []).append(names[annotation["category_id"]])
        for position, image in enumerate(content["images"], start=1):
            known = {"photo_id": image["id"], "path": image.get("path") or image.get("file_name")}
            yield position, {"tags": tags.get(image["id"], [])} | known | {k: image[k] for k in image if k in COLUMNS}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"an image, annotation or category is not as COCO has it ({error!r})") from error


TEXT_COLUMNS = ("path", "member", "file_name", EXPORTED)
COLUMNS = ("photo_id", "image_id", *TEXT_COLUMNS, "tags", "set_by_hand", "unset_by_hand")
TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm")  # of what base.spreadsheets reads


def tag_row(record: Any, where: str, folder: Path) -> TagRow:
    """Return what a record says.

    Raises: ValueError: it names no photo or holds no tags.
    """
    if not isinstance(record, Mapping) or "tags" not in record:
        raise ValueError(f"{where}: there is no column 'tags'")
    path = text(record, "path", where) or text(record, "file_name", where)
    tags = tag_list(record, "tags", where)
    row = TagRow(
        where=where,
        photo_id=number(record, "photo_id", where),
        image_id=number(record, "image_id", where),
        path=place(folder, path, where) if path else None,
        member=text(record, "member", where),
        tags=tuple(tag for tag in tags if not tag.startswith(UNKNOWN)),
        unknown=tuple(tag[1:].strip() for tag in tags if tag.startswith(UNKNOWN)),
        set_by_hand=tuple(tag_list(record, "set_by_hand", where)),
        unset_by_hand=tuple(tag_list(record, "unset_by_hand", where)),
        exported=Exported.of(text(record, EXPORTED, where), where),
    )
    if row.photo_id is None and row.image_id is None and row.path is None:
        raise ValueError(f"{where}: no photo_id, image_id or path says which photo is meant")
    return row


def text(record: Mapping[str, Any], name: str, where: str) -> str:
    """Return a text of a record, empty where it has none.

    Raises: ValueError: it is something else.
    """
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{where}: {name} is {value!r}, not a text")
    return unicode_text(value, name, where)


def unicode_text(value: str, name: str, where: str) -> str:
    """Return a text as it is.

    Raises: ValueError: it holds half a character, which JSON can write and no database takes.
    """
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{where}: {name} is {value!r}, which holds half a character: write whole ones, in UTF-8")
    return value


def place(folder: Path, path: str, where: str) -> str:
    """Return a photo's absolute path, from one that may be relative to the file's folder.

    Raises: ValueError: the folder's name is no UTF-8, so no photo in it can be in a library.
    """
    found = str((folder / path).absolute())
    if any("\ud800" <= character <= "\udfff" for character in found):
        raise ValueError(
            f"{where}: path is {path!r}, relative to a folder whose name is no UTF-8 ({found!r}): rename that folder, "
            "or write absolute paths"
        )
    return found


def number(record: Mapping[str, Any], name: str, where: str) -> int | None:
    """Return a whole number of a record, or None where it is empty.

    Raises: ValueError: it is something else.
    """
    value = record.get(name)
    if value is None or value == "":
        return None
    try:
        whole = int(WHOLE.sub(r"\1", value) if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if (
        whole is None
        or isinstance(value, bool)
        or abs(whole) > HIGHEST
        or (isinstance(value, float) and whole != value)
    ):
        raise ValueError(f"{where}: {name} is {value!r}, not a whole number")
    return whole


WHOLE = re.compile(r"(\d)[.,]0*$")  # 7.0 or 7,00, as programs write that take whole numbers for others


def tag_list(record: Mapping[str, Any], name: str, where: str) -> list[str]:
    """Return tags given as a list or as one text with semicolons.

    Raises: ValueError: they are given as something else.
    """
    value = record.get(name)
    if value is None:
        return []
    parts = value.split(SEPARATOR) if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{where}: {name} is {value!r}, not a list or a text of tags")
    return [unicode_text(part.strip(), name, where) for part in parts if part.strip()]


def line_not_utf8(path: Path) -> int:
    """Return the number of the first line that is not UTF-8; 1 of a pipe, which gives everything once."""
    with suppress(OSError), TextIOWrapper(open_regular(path), "utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line):
                return number
    return 1


def unguarded(cell: str) -> str:
    """Return a CSV cell as it was before an export guarded it against being taken for a formula."""
    start = cell.lstrip(GUARD)[:1]
    return cell[1:] if cell.startswith(GUARD) and start and start in FORMULA_START else cell


def known_tag(tag: str, names: Collection[str]) -> str | None:
    """Return which of some bare names a tag of a file means, or None; it may be guarded as its cell was."""
    return next((name for name in (bare(tag), bare(unguarded(tag))) if name in names), None)
