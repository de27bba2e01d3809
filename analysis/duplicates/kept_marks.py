"""What pictures are told apart by, of photos that are opened for it once: kept in the library's folder by their bytes.

The file is of use, and nothing more: where it is damaged or cannot be written, photos are opened again.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Ids, places_in, read_npy
from base.errors import PhotoError
from base.files import PhotoFile, atomic_write
from base.progress import Progress, Step
from db.duplicate_rows import CopyFacts
from embedding.index.near_pairs import NearPairs
from embedding.picture_marks import (
    GRID,
    HASH_BITS,
    Cells,
    Hash,
    PictureMark,
    SamePicture,
    mark_of,
    may_be_same,
    same_picture,
    small_picture,
    window_hashes,
)
from search.copies import SAME

RECORD = np.dtype([("sha256", "u1", 32), ("bits", "u1", HASH_BITS // 8), ("cells", "i1", (GRID, GRID, 3))])
SAVED_AFTER = 5_000  # photos that were opened: a minute's work
OPENED_AT_ONCE = 256
KEPT_WINDOWS = 4_096  # photos: 6 MB


class KeptMarks:
    """The marks of photos, each opened at most once, and compared by them."""

    def __init__(self, path: Path) -> None:
        """`path`: of the file that keeps them."""
        self._path = path
        self._by_bytes = dict(read_marks(path))
        self._by_photo: dict[int, PictureMark] = {}
        self._files: dict[int, CopyFacts] = {}
        self._unsaved = 0
        self.unread: set[int] = set()  # photos that could not be opened, or are others by now
        self._windows = lru_cache(KEPT_WINDOWS)(self._windows_of)

    def take(self, photos: Mapping[int, CopyFacts], progress: Progress) -> None:
        """Open those of the photos whose marks are not known, once; what was done is kept, however it ends."""
        self._files.update(photos)
        missing = []
        for photo_id, facts in photos.items():
            known = None if facts.content_sha256 is None else self._by_bytes.get(facts.content_sha256)
            if known is not None:
                self._by_photo[photo_id] = known
            elif photo_id not in self._by_photo:
                missing.append(facts)
        done = len(photos) - len(missing)
        try:
            for facts, mark in opened_marks(missing):
                self._keep(facts, mark)
                done += 1
                progress(Step("opening", done, len(photos)))
        finally:
            self.save()

    def _keep(self, facts: CopyFacts, mark: PictureMark | None) -> None:
        if mark is None:
            self.unread.add(facts.photo_id)
            return
        self._by_photo[facts.photo_id] = mark
        if facts.content_sha256 is not None:
            self._by_bytes[facts.content_sha256] = mark
            self._unsaved += 1
        if self._unsaved >= SAVED_AFTER:
            self.save()

    def save(self) -> None:
        """Write the file anew, where there is something new; a disk that takes no more is no harm."""
        if not self._unsaved:
            return
        records = np.empty(len(self._by_bytes), RECORD)
        records["sha256"] = np.frombuffer(b"".join(self._by_bytes), np.uint8).reshape(-1, 32)
        records["bits"] = [mark.bits for mark in self._by_bytes.values()]
        records["cells"] = [mark.cells for mark in self._by_bytes.values()]
        with suppress(OSError):
            with atomic_write(self._path) as file:
                np.save(file, records, allow_pickle=False)
            self._unsaved = 0

    def knows(self, photo_id: int) -> bool:
        """Tell whether a photo's mark is known."""
        return photo_id in self._by_photo

    def possible(self, pairs: NearPairs) -> Bools:
        """Return which pairs of photos may be one picture, (p,); of files that are not there, by the model alone."""
        same_vector: Bools = pairs.cosines >= SAME
        ids, bits, cells = self._table
        places, known = zip(*(places_in(ids, each) for each in (pairs.ones, pairs.others)), strict=True)
        both = np.flatnonzero(known[0] & known[1])
        one, other = (PictureMark(bits[at[both]], cells[at[both]]) for at in places)
        result: Bools = same_vector & ~known[0] & ~known[1]
        result[both] = may_be_same(one, other, same_vector[both])
        return result

    @cached_property
    def _table(self) -> tuple[Ids, Hash, Cells]:
        """The marks of all photos taken, by their ids, which ascend."""
        ids = sorted(self._by_photo)
        marks = [self._by_photo[photo_id] for photo_id in ids]
        bits = np.array([mark.bits for mark in marks], np.uint8).reshape(-1, HASH_BITS // 8)
        return (
            np.array(ids, np.int64),
            bits,
            np.array([mark.cells for mark in marks], np.int8).reshape(-1, GRID, GRID, 3),
        )

    def same_picture(self, one: int, other: int, *, same_vector: bool) -> SamePicture | None:
        """Return how alike two photos are, whose marks are known, or None where they are two pictures."""

        def windows() -> tuple[Hash, Hash]:
            return self._windows(one), self._windows(other)

        with suppress(OSError, PhotoError):  # gone since
            return same_picture(self._by_photo[one], self._by_photo[other], windows, same_vector=same_vector)
        return None

    def _windows_of(self, photo_id: int) -> Hash:
        facts = self._files[photo_id]
        return window_hashes(small_picture(PhotoFile(facts.path, facts.member), facts.content_sha256))


def opened_marks(photos: Sequence[CopyFacts]) -> Iterator[tuple[CopyFacts, PictureMark | None]]:
    """Yield photos with their marks, None of those that cannot be read; several are opened at a time."""

    def opened(facts: CopyFacts) -> PictureMark | None:
        try:
            return mark_of(small_picture(PhotoFile(facts.path, facts.member), facts.content_sha256))
        except (OSError, PhotoError):
            return None

    pool = ThreadPoolExecutor(os.cpu_count(), "marks")
    try:
        for start in range(0, len(photos), OPENED_AT_ONCE):
            some = photos[start : start + OPENED_AT_ONCE]
            yield from zip(some, pool.map(opened, some), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def read_marks(path: Path) -> Iterator[tuple[bytes, PictureMark]]:
    """Yield what a file keeps, (SHA-256 of bytes, mark); nothing where there is no sound one."""
    try:
        records: NDArray[np.void] = read_npy(path)
    except (OSError, ValueError):
        return
    if records.dtype != RECORD or records.ndim != 1:
        return
    for sha256, bits, cells in zip(records["sha256"], records["bits"], records["cells"], strict=True):
        yield sha256.tobytes(), PictureMark(bits, cells)
