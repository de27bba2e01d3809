"""Vectors on disk: immutable shards of unit vectors and the photo ids beside them. Knows no SQL, searches nothing.

A shard is two files, `000001.ids.npy` (n,) int64 and `000001.npy` (n, d) float16. The vectors are renamed into
place last, so a shard without `000001.npy` does not exist; whoever writes one records it in the database after
that, and what was never recorded is removed by `remove_strays`.
"""

import io
import os
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.arrays import Halves, Ids
from base.errors import LibraryError
from base.files import TEMPORARY_SUFFIX, atomic_write

STAMP_BYTES = 4096  # of the vectors
ALL_IDS = 1 << 24  # bytes: more than a shard's ids take


class VectorStore:
    """The shards of one model in one folder."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder = folder
        self.dim = dim

    def write(self, number: int, ids: Ids, vectors: NDArray[np.floating]) -> int:
        """Write a new shard, float16, and return its size in bytes; it is on disk when this returns.

        Raises:
            LibraryError: ids (n,) and vectors (n, dim) do not fit, or the shard exists.
            OSError: the disk is full or cannot be written.
        """
        if vectors.shape != (len(ids), self.dim):
            raise LibraryError(f"a shard of {len(ids)} ids takes vectors ({len(ids)}, {self.dim}), not {vectors.shape}")
        if self._vectors_file(number).exists():
            raise LibraryError(f"shard {self._vectors_file(number)} exists: shards are never changed")
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, array in (
            (self._ids_file(number), ids.astype(np.int64)),
            (self._vectors_file(number), vectors.astype(np.float16, order="C")),
        ):
            with atomic_write(path) as file:
                np.save(file, array)
        return self.size_bytes(number)

    def read(self, number: int) -> tuple[Ids, Halves]:
        """Return a shard's ids, (n,) int64, and memory-mapped vectors, (n, dim) float16.

        Raises: LibraryError: a file is absent or damaged.
        """
        try:
            ids = np.load(self._ids_file(number))
            vectors = np.load(self._vectors_file(number), mmap_mode="r")
        except Exception as error:  # NumPy evaluates a header, so a damaged one may raise anything
            raise LibraryError(f"shard {self._vectors_file(number)} cannot be read ({error}): {REMEDY}") from error
        if ids.dtype != np.int64 or ids.ndim != 1:
            raise LibraryError(
                f"shard {self._vectors_file(number)} has ids of {ids.dtype} {ids.shape}, not int64 (n,): {REMEDY}"
            )
        if vectors.shape != (len(ids), self.dim) or vectors.dtype != np.float16:
            raise LibraryError(
                f"shard {self._vectors_file(number)} holds {vectors.dtype} {vectors.shape} for {len(ids)} photos, "
                f"not float16 ({len(ids)}, {self.dim}): {REMEDY}"
            )
        return ids, vectors

    def stamp(self, number: int) -> int:
        """Return what tells a shard from another of the same number: a checksum of its ids and of its first vectors.

        A copy of the library has the same. Raises: OSError: the shard does not exist.
        """
        return zlib.crc32(head_of(f"{self.folder}/{number:06d}.ids.npy", ALL_IDS)) << 31 ^ zlib.crc32(
            head_of(f"{self.folder}/{number:06d}.npy", STAMP_BYTES)
        )  # below 2^63

    def read_into(self, number: int, buffer: Halves) -> None:
        """Read a shard's vectors into `buffer`, (n, dim) float16 and contiguous, with as little ado as possible.

        Raises: LibraryError: the file is absent, damaged, or does not hold exactly n vectors.
        """
        expected = npy_header(buffer.shape)
        header, beyond = bytearray(len(expected)), bytearray(1)
        path = f"{self.folder}/{number:06d}.npy"
        try:  # no file object: a library has thousands of shards of a few hundred photos
            descriptor = os.open(path, os.O_RDONLY)
            try:
                count = os.readv(descriptor, [header, buffer.reshape(-1).view(np.uint8).data, beyond])
            finally:
                os.close(descriptor)
        except OSError as error:
            raise LibraryError(f"shard {path} cannot be read ({error}): {REMEDY}") from error
        if header != expected or count != len(expected) + buffer.nbytes:
            raise LibraryError(f"shard {path} does not hold float16 {buffer.shape}: {REMEDY}")

    def gather(self, places: Iterable[tuple[int, list[int]]]) -> Iterator[tuple[Ids, Halves]]:
        """Yield (ids, vectors) of the named rows, shard after shard.

        Args:
            places: (shard number, rows in that shard).

        Raises: LibraryError: a shard is absent or damaged, or holds fewer rows.
        """
        for number, rows in places:
            ids, vectors = self.read(number)
            if rows and max(rows) >= len(ids):
                raise LibraryError(f"shard {self._vectors_file(number)} has no row {max(rows)}: {REMEDY}")
            yield ids[rows], vectors[rows]

    def size_bytes(self, number: int) -> int:
        """Return what a shard takes on disk, in bytes."""
        return self._ids_file(number).stat().st_size + self._vectors_file(number).stat().st_size

    def strays(self, recorded: set[int]) -> list[Path]:
        """Return files that belong to no recorded shard: left by a process that was killed."""
        if not self.folder.exists():
            return []
        mine = {path for number in recorded for path in (self._ids_file(number), self._vectors_file(number))}
        return sorted(
            path
            for path in self.folder.iterdir()
            if path not in mine and path.name.endswith((".npy", TEMPORARY_SUFFIX))
        )

    def remove_strays(self, recorded: set[int]) -> int:
        """Remove what `strays` finds and return how many files that were."""
        strays = self.strays(recorded)
        for path in strays:
            path.unlink()
        return len(strays)

    def _ids_file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.ids.npy"

    def _vectors_file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npy"


def head_of(path: str, size_bytes: int) -> bytes:
    """Return a file's first bytes, quickly: a library has thousands of shards."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, size_bytes)
    finally:
        os.close(descriptor)


@lru_cache(maxsize=64)
def npy_header(shape: tuple[int, ...]) -> bytes:
    """Return the bytes that NumPy writes before a float16 array of this shape."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": shape})
    return header.getvalue()


REMEDY = "run `aliens verify` for the whole picture, and `aliens verify --repair` to embed its photos anew"
