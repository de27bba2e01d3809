"""One segment, opened: of a file that lies here, or of rows that lie in Milvus alone. Knows no SQL, and no others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Floats, Halves, Ids, Longs, places_in, read_npy
from base.errors import LibraryError
from base.files import atomic_write

BLOCK_ROWS = 8_192  # float32 at a time
REMEDY = "run `aliens verify` for the whole picture, and `aliens verify --repair` to embed its photos anew"


class Segment:
    """An opened segment; its arrays lie in the file, and stay readable when that is removed."""

    def __init__(self, name: str, index: Any) -> None:
        """`index`: FAISS's, of ids over float16 codes."""
        self.name = name
        self._index = index
        self.flat = faiss.downcast_index(index.index)  # the codes alone: searched by rows
        ids: Ids = faiss.vector_to_array(index.id_map)
        self.ids = ids
        self.vectors: Halves = np.asarray(Codes(index)) if len(ids) else np.empty((0, int(index.d)), np.float16)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_searchable(self) -> bool:
        """Whether FAISS would compare by inner products; a flipped bit of its header could have it do otherwise."""
        return bool(self.flat.is_trained) and self.flat.metric_type == faiss.METRIC_INNER_PRODUCT

    def rows_of(self, ids: Ids) -> tuple[Longs, Bools]:
        """Return the row of each photo id, (m,), and whether it has one; without one the row means nothing."""
        return places_in(self.ids, ids)

    def mask_of(self, ids: Ids) -> Bools:
        """Return which rows are of these photos, ids (m,) ascending: (rows,)."""
        if not len(self):
            return np.zeros(0, bool)
        ids = ids[slice(*np.searchsorted(ids, [self.ids[0], self.ids[-1] + 1]))]
        mask = np.zeros(len(self), bool)
        if len(ids) < len(self):
            rows, here = self.rows_of(ids)
            mask[rows[here]] = True
        else:
            _, mask = places_in(ids, self.ids)
        return mask

    def vector(self, photo_id: int) -> Halves:
        """Return a photo's vector, (d,). Raises: LibraryError: it is not here."""
        (row,), (here,) = self.rows_of(np.array([photo_id]))
        if not here:
            raise LibraryError(f"segment {self.name} has no vector of photo {photo_id}: {REMEDY}")
        vector: Halves = self.vectors[row]
        return vector

    def decoded(self, rows: Longs) -> Floats:
        """Return vectors by their rows, (m, d) float32; FAISS converts a few hundred quicker than NumPy."""
        vectors: Floats = self.flat.sa_decode(self.vectors[rows].view(np.uint8))
        return vectors


BRING_BACK = "`aliens index --kind exact`"
ELSEWHERE = f"the vectors of this library lie in Milvus alone: {BRING_BACK} brings them back, and then this works"


class RemoteRows:
    """Rows of a segment that lie elsewhere, (rows, d) float16: parts are fetched, and checked by their sums."""

    def __init__(self, name: str, ids: Ids, sums: Longs, dim: int, fetch: Callable[[Ids], Halves]) -> None:
        self.shape = (len(ids), dim)
        self._name = name
        self._ids = ids
        self._sums = sums
        self._fetch = fetch
        self.dead: Bools | None = None  # which rows may be gone from there, (rows,)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, rows: Any) -> Halves:
        """Return rows; zeros for those of the dead that are not there any more."""
        one = isinstance(rows, int | np.integer)
        rows = np.arange(len(self))[np.atleast_1d(rows) if one else rows]
        vectors = self._checked(rows, self.dead)
        found: Halves = vectors[0] if one else vectors
        return found

    def strict(self, rows: Longs) -> Halves:
        """Return rows, (n, d), the dead among them. Raises: LibraryError: one is not there, or another one."""
        return self._checked(rows, None)

    def _checked(self, rows: Longs, dead: Bools | None) -> Halves:
        vectors = self._fetch(self._ids[rows])
        wrong = row_sums(vectors) != self._sums[rows]
        if dead is not None:  # others took their places
            vectors[wrong & dead[rows]] = 0
            wrong &= ~dead[rows]
        if wrong.any():
            raise LibraryError(
                f"the vector of photo {self._ids[rows][wrong][0]} came back from Milvus as another one than segment "
                f"{self._name} had: see that nothing else writes to its collection; `aliens verify` tells more"
            )
        return vectors

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__array_interface__":
            raise AttributeError(name)
        raise LibraryError(ELSEWHERE)  # what needs all rows at hand


class RemoteSegment(Segment):
    """A segment whose rows lie in Milvus alone: its ids are here."""

    def __init__(self, name: str, stub: NDArray[np.int64], dim: int, fetch: Callable[[Ids], Halves]) -> None:
        """stub: ids and sums of the rows, (2, rows)."""
        self.name = name
        self.ids = stub[0]
        self.rows = RemoteRows(name, stub[0], stub[1], dim, fetch)
        self.vectors = self.rows  # type: ignore[assignment] # as far as it goes

    @property
    def flat(self) -> Any:
        """FAISS's codes, which are not here. Raises: LibraryError."""
        raise LibraryError(ELSEWHERE)

    @property
    def is_searchable(self) -> bool:
        """Whether FAISS can compare its rows."""
        return False

    def decoded(self, rows: Longs) -> Floats:
        """Return vectors by their rows, (m, d) float32."""
        return self.vectors[rows].astype(np.float32)


def row_sums(vectors: Halves) -> Longs:
    """Return a sum of each vector's bytes, (n,) int64, by which one is told that has changed.

    Its halves, as whole numbers, times odd random numbers, added up in 64 bits: no single change leaves it as it was.
    """
    numbers = np.ascontiguousarray(vectors).view(np.uint16)
    odd = np.random.default_rng(1).integers(0, 1 << 63, numbers.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    sums: Longs = np.concatenate(
        [np.empty(0, np.int64)]
        + [
            (numbers[at : at + BLOCK_ROWS].astype(np.uint64) * odd).sum(axis=1, dtype=np.uint64).view(np.int64)
            for at in range(0, len(numbers), BLOCK_ROWS)
        ]
    )
    return sums


def write_stub(path: Path, segment: Segment) -> None:
    """Write the ids and sums of a segment's rows. Raises: OSError: the disk is full or cannot be written."""
    with atomic_write(path) as file:
        np.save(file, np.stack([segment.ids, row_sums(segment.vectors)]))


def read_stub(path: Path, rows: int) -> NDArray[np.int64] | None:
    """Return ids and sums, (2, rows), memory-mapped; None where they cannot be read."""
    try:
        stub: NDArray[np.int64] = read_npy(path, mapped=True)
    except (OSError, ValueError):
        return None
    return stub if stub.shape == (2, rows) and stub.dtype == np.int64 else None


class Codes:
    """The codes of an index as NumPy takes them, (rows, d) float16: whoever has an array of them keeps the index."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.__array_interface__ = {
            "version": 3,
            "typestr": "<f2",
            "shape": (int(index.ntotal), int(index.d)),
            "data": (int(faiss.downcast_index(index.index).codes.data()), True),  # mapped to be read alone
        }
