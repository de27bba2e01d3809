"""Made-up vectors in segments: of which sizes, with a library or without one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.files import SegmentFile
from base.records import read_record, write_record
from embedding.segments import SegmentStore, Vectors
from indexer.merging import FAN_OUT, MOST_ROWS, SMALLEST_ROWS

RECORD = "segments.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Segments that no database knows."""

    dim: int
    files: tuple[SegmentFile, ...]


def as_merged(photos: int) -> list[int]:
    """Return the sizes of the segments that a library has which has grown, as merging by tiers leaves them."""
    sizes, size = [], MOST_ROWS
    while size >= SMALLEST_ROWS:
        sizes += [size] * (photos // size)
        photos, size = photos % size, size // FAN_OUT
    return sizes + [photos] * (photos > 0)


def write_segments(store: SegmentStore, sizes: Sequence[int], blocks: Iterable[np.ndarray]) -> list[SegmentFile]:
    """Write segments of these sizes, one by one, and return them; photo ids ascend from 1.

    blocks: unit vectors, (n, d), at least as many as the sizes want.
    """
    rest, first, more = np.empty((0, store.dim), np.float32), 1, iter(blocks)

    def parts(size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal rest, first
        while size:
            if not len(rest):
                rest = next(more)
            part, rest = rest[:size], rest[size:]
            yield np.arange(first, first + len(part)), part
            first, size = first + len(part), size - len(part)

    return [store.write_parts(parts(size)) for size in sizes]


def stored(folder: Path, dim: int, sizes: Sequence[int], blocks: Callable[[], Iterable[np.ndarray]]) -> Vectors:
    """Return vectors in segments of these sizes, written to a folder at the first call."""
    record = read_record(folder / RECORD, Stored)
    if record is None or [file.rows for file in record.files] != list(sizes) or record.dim != dim:
        store = SegmentStore(folder / "segments", dim)
        store.remove_strays(())
        write_record(folder / RECORD, Stored(dim=dim, files=tuple(write_segments(store, sizes, blocks()))))
    return opened(folder)


def opened(folder: Path) -> Vectors:
    """Return the vectors that `stored` has written to a folder."""
    record = read_record(folder / RECORD, Stored)
    assert record is not None, folder
    store = SegmentStore(folder / "segments", record.dim)
    return Vectors(record.dim, [store.open(file) for file in record.files], [None] * len(record.files))
