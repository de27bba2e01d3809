"""A library's photos as columns on disk: what streams over all of them read, several times as fast as the database.

One Arrow file, a derivative of the database, beside a manifest that names the segments whose photos are in it. What
lies in others has to be read beside it. Knows no SQL.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from base.arrays import Ids
from base.files import atomic_write, is_unchanged, sha256_of
from base.records import derived_problem, read_record, write_record
from embedding.segments import Vectors

KINDS = {
    "photo_id": pa.int64(),
    "path": pa.string(),
    "member": pa.string(),
    "image_id": pa.int64(),
    "hotel_id": pa.int64(),
    "image_source": pa.string(),
    "width_px": pa.int64(),
    "height_px": pa.int64(),
    "format": pa.string(),
    "date": pa.string(),  # as people say it, 2015-01-31 17:40:00; absent where only the file's time is known
    "date_from": pa.string(),
    "mtime_ns": pa.int64(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
}
READ_ROWS = 65_536  # beside a table, at a time
TABLE_FILE, TABLE_MANIFEST = "photos.arrow", "photos.json"

Columns = dict[str, Any]  # {name: pyarrow.Array}


@dataclass(frozen=True, kw_only=True, slots=True)
class TableManifest:
    """What a table holds: the photos of which segments, as they were when the database had which stamp."""

    covers: tuple[str, ...]
    stamp: str
    size_bytes: int
    sha256: str


class PhotoTable:
    """The file, memory-mapped."""

    def __init__(self, reader: Any, about: TableManifest) -> None:
        self.about = about
        self._reader = reader

    @classmethod
    def open(cls, folder: Path, stamp: str) -> Self | None:
        """Return the table of this stamp, or None where there is none, or a damaged one."""
        about = read_record(folder / TABLE_MANIFEST, TableManifest)
        if about is None or about.stamp != stamp or not is_unchanged(folder / TABLE_FILE, table_is_sound):
            return None
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(folder / TABLE_FILE)))
        except (OSError, pa.ArrowException):
            return None
        return cls(reader, about) if reader.schema.names == list(KINDS) else None

    @staticmethod
    def write(folder: Path, stamp: str, covers: Sequence[str], parts: Iterable[Mapping[str, Sequence[Any]]]) -> None:
        """Write the columns of the photos of these segments, part by part, in the order of their ids.

        Raises: OSError: the disk is full or cannot be written.
        """
        schema, path = pa.schema(list(KINDS.items())), folder / TABLE_FILE
        (folder / TABLE_MANIFEST).unlink(missing_ok=True)  # between the two writes there is none
        with atomic_write(path) as file, pa.ipc.new_file(file, schema) as writer:
            for part in parts:
                writer.write_batch(pa.RecordBatch.from_pydict(arrays(part), schema=schema))
        about = TableManifest(covers=tuple(covers), stamp=stamp, size_bytes=path.stat().st_size, sha256=sha256_of(path))
        write_record(folder / TABLE_MANIFEST, about)

    def columns(self, names: Sequence[str]) -> Iterator[Columns]:
        """Yield the named columns, part by part, in the order of the photos' ids."""
        for number in range(self._reader.num_record_batches):
            batch = self._reader.get_batch(number)
            yield {name: batch.column(name) for name in names}


def put_together(
    parts: Iterable[Columns], covered: Vectors, later: Ids, read: Callable[[Ids], Iterable[Columns]]
) -> Iterator[Columns]:
    """Yield the columns of photos in the order of their ids: a table's, and what has to be read beside it.

    Args:
        parts: the table's columns, `photo_id` among them.
        covered: the photos that may still be taken from the table.
        later: the ids, ascending, of the photos that may not.
        read: gives the columns of some of these.
    """
    for part in parts:
        ids = part["photo_id"].to_numpy()
        keep = covered.locate(ids)[0] >= 0
        if not keep.all():
            part = {name: values.filter(pa.array(keep)) for name, values in part.items()}
        count = int(np.searchsorted(later, ids[-1])) if len(ids) else 0
        if count:
            found = [part, *read(later[:count])]
            joined = {name: pa.concat_arrays([columns[name] for columns in found]) for name in part}
            order = pa.array(np.argsort(joined["photo_id"].to_numpy(), kind="stable"))
            part, later = {name: values.take(order) for name, values in joined.items()}, later[count:]
        if len(part["photo_id"]):
            yield part
    for start in range(0, len(later), READ_ROWS):
        yield from read(later[start : start + READ_ROWS])


def table_is_sound(path: Path) -> bool:
    """Tell whether a table's file is what its manifest says, reading it whole."""
    return table_problem(path.parent) is None


def table_problem(folder: Path, *, quick: bool = False) -> str | None:
    """Return what is wrong with a table's files, reading them whole, or None; None where there is none.

    quick: compare sizes alone.
    """
    path, manifest = folder / TABLE_FILE, folder / TABLE_MANIFEST
    return derived_problem(path, manifest, read_record(manifest, TableManifest), quick=quick)


def remove_table(folder: Path) -> None:
    """Remove a table, where there is one."""
    for name in (TABLE_MANIFEST, TABLE_FILE):
        (folder / name).unlink(missing_ok=True)


def arrays(part: Mapping[str, Sequence[Any]]) -> Columns:
    """Return columns of plain values as Arrow arrays."""
    return {name: pa.array(values, KINDS[name]) for name, values in part.items()}
