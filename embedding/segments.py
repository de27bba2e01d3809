"""Vectors on disk: immutable segments, each one FAISS file that is searched where it lies. Knows no SQL.

A segment holds photo ids, ascending, over unit vectors in float16. It is renamed into place whole; whoever writes one
records it in the database after that, and what was never recorded is removed by `remove_strays`.
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Floats, Halves, Ids, Longs, spread_places
from base.errors import LibraryError
from base.files import SegmentFile, checksum_problem, files_of_ours, size_problem
from base.forks import fork_lock
from embedding.faiss_files import read_faiss, write_segment
from embedding.opened_segment import BLOCK_ROWS, ELSEWHERE, REMEDY, RemoteSegment, Segment, read_stub

SUFFIX = ".faiss"
OPENINGS = 5  # as often segments are looked up anew that were merged away while they were opened


class FindableRows(Protocol):
    """What the database says of the photos that can be found: see db.vector_rows.EmbeddedRows."""

    def segments(self) -> list[SegmentFile]:
        """Return the segments that their vectors lie in."""
        ...

    def dead(self, name: str) -> Ids:
        """Return the ids, ascending, of a segment's rows that are dead."""
        ...


class Vectors:
    """The photos that can be found, as they lie in segments at one moment."""

    def __init__(self, dim: int, segments: Sequence[Segment], live: Sequence[Bools | None]) -> None:
        """`live`: of each segment which rows can be found, (rows,); None for all."""
        self.dim = dim
        self.segments = list(segments)
        self.live = list(live)
        self.counts = [len(s) if mask is None else int(mask.sum()) for s, mask in zip(segments, live, strict=True)]

    def __len__(self) -> int:
        return sum(self.counts)

    @cached_property
    def is_remote(self) -> bool:
        """Whether rows of any of them lie in Milvus alone."""
        return any(isinstance(segment, RemoteSegment) for segment in self.segments)

    @property
    def remote(self) -> Self:
        """Those of the segments whose rows lie in Milvus alone."""
        return self._some([isinstance(segment, RemoteSegment) for segment in self.segments])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the segments."""
        return tuple(segment.name for segment in self.segments)

    def only(self, names: Collection[str]) -> Self:
        """Return those of the segments that have these names."""
        return self._some([segment.name in names for segment in self.segments])

    def without(self, names: Collection[str]) -> Self:
        """Return those of the segments that have other names."""
        return self._some([segment.name not in names for segment in self.segments])

    def _some(self, keep: Sequence[bool]) -> Self:
        places = [place for place, kept in enumerate(keep) if kept]
        return type(self)(self.dim, [self.segments[p] for p in places], [self.live[p] for p in places])

    def where(self, may_be_found: Callable[[Ids], Bools]) -> Self:
        """Return the photos of which a rule holds: given ids (n,), it says of which, (n,)."""
        rules = [may_be_found(segment.ids) for segment in self.segments]
        live = [rule if mask is None else rule & mask for rule, mask in zip(rules, self.live, strict=True)]
        return type(self)(self.dim, self.segments, live)

    def beside(self, others: "Vectors") -> Self:
        """Return these photos and others."""
        return type(self)(self.dim, self.segments + others.segments, self.live + others.live)

    def ids_of(self, place: int) -> Ids:
        """Return the ids, ascending, of the photos of one segment, by its place among them."""
        ids, live = self.segments[place].ids, self.live[place]
        return ids if live is None else ids[live]

    @property
    def ids(self) -> Ids:
        """The ids of all photos, ascending, (n,) int64."""
        parts = [self.ids_of(place) for place in range(len(self.segments))]
        parts = sorted((part for part in parts if len(part)), key=lambda part: int(part[0]))
        ids = np.concatenate([np.empty(0, np.int64), *parts])
        return ids if bool((np.diff(ids) > 0).all()) else np.sort(ids, kind="stable")

    def masks(self, among: Ids | None) -> list[Bools | None]:
        """Return of each segment which rows may be found, (rows,); None for all. `among`: ascending; None for all."""
        if among is None:
            return self.live
        masks = [segment.mask_of(among) for segment in self.segments]
        return [mask if live is None else mask & live for mask, live in zip(masks, self.live, strict=True)]

    def locate(self, ids: Ids) -> tuple[Longs, Longs]:
        """Return the place of each photo's segment, (m,), -1 for photos that are not here, and its row in it."""
        places, rows = np.full(len(ids), -1, np.int64), np.zeros(len(ids), np.int64)
        if not len(ids):
            return places, rows
        low, high = int(ids.min()), int(ids.max())
        for place, (segment, live) in enumerate(zip(self.segments, self.live, strict=True)):
            if not len(segment) or segment.ids[0] > high or segment.ids[-1] < low:
                continue
            at, here = segment.rows_of(ids)
            if live is not None:
                here &= live[at]
            places[here], rows[here] = place, at[here]
        return places, rows

    def gather(self, ids: Ids) -> Floats:
        """Return the vectors of photos, (m, d) float32, in the order of the ids.

        Raises: LibraryError: one of them is not here.
        """
        places, rows = self.locate(ids)
        if len(absent := ids[places < 0]):
            raise LibraryError(f"no photo {absent[0]} in the index: take an id that a search shows")
        vectors = np.empty((len(ids), self.dim), np.float32)
        for place in np.unique(places):
            mine = places == place
            vectors[mine] = self.segments[place].vectors[rows[mine]]
        return vectors

    def halves(self, ids: Ids) -> Iterator[Halves]:
        """Yield vectors as they lie on disk, (m, d) float16, in the order of the ids, some thousands at a time.

        Raises: LibraryError: one of them is not here.
        """
        for start in range(0, len(ids), BLOCK_ROWS):
            places, rows = self.locate(block := ids[start : start + BLOCK_ROWS])
            if (absent := block[places < 0]).size:
                raise LibraryError(f"no photo {absent[0]} in the index: take an id that a search shows")
            if (places == places[0]).all() and (np.diff(rows) == 1).all():  # as nearly always: nothing is copied
                yield self.segments[places[0]].vectors[rows[0] : rows[-1] + 1]
                continue
            vectors = np.empty((len(block), self.dim), np.float16)
            for place in np.unique(places):
                mine = places == place
                vectors[mine] = self.segments[place].vectors[rows[mine]]
            yield vectors

    def parts(self) -> Iterable[tuple[Ids, Halves]]:
        """Yield all photos' ids (n,) and vectors (n, d), some thousands at a time."""
        for segment, live in zip(self.segments, self.live, strict=True):
            for start in range(0, len(segment), BLOCK_ROWS):
                block = slice(start, start + BLOCK_ROWS)
                keep = slice(None) if live is None else live[block]
                yield segment.ids[block][keep], segment.vectors[block][keep]

    def sample(self, count: int) -> Floats:
        """Return vectors (at most count, d) float32, spread evenly over the photos by their ids: the same each time."""
        return self.gather(self.some_ids(count))

    def some_ids(self, count: int) -> Ids:
        """Return the ids of photos, at most `count`, spread evenly over all: the same each time."""
        ids = self.ids
        return ids[spread_places(len(ids), count)]


class SegmentStore:
    """The segments of one model in one folder; threads may share it."""

    def __init__(self, folder: Path, dim: int, fetch: Callable[[Ids], Halves] | None = None) -> None:
        """`fetch` gives rows, (n, dim), that lie in Milvus alone, by their ids."""
        self.folder = folder
        self.dim = dim
        self._fetch = fetch
        self.damaged: set[str] = set()  # names of segments that were seen to be: merging leaves them alone
        self._opened: dict[str, Segment] = {}
        self._current: dict[tuple[tuple[str, int], ...], Vectors] = {}
        self._opening = fork_lock()

    def path(self, name: str) -> Path:
        """Return where a segment lies."""
        return self.folder / f"{name}{SUFFIX}"

    def stub(self, name: str) -> Path:
        """Return where the ids of a segment lie whose rows are elsewhere."""
        return self.folder / f"{name}.npy"

    def is_remote(self, name: str) -> bool:
        """Tell whether a segment's rows are elsewhere."""
        return not self.path(name).exists() and self.stub(name).exists()

    def write(self, ids: Ids, vectors: NDArray[np.floating]) -> SegmentFile:
        """Write a new segment, float16; it is on disk when this returns.

        Raises:
            LibraryError: ids (n,) and vectors (n, dim) do not fit, or an id comes twice.
            OSError: the disk is full or cannot be written.
        """
        if vectors.shape != (len(ids), self.dim):
            raise LibraryError(
                f"a segment of {len(ids)} ids takes vectors ({len(ids)}, {self.dim}), not {vectors.shape}"
            )
        order = np.argsort(ids, kind="stable")
        starts = range(0, len(ids), BLOCK_ROWS)
        return self.write_parts((ids[p], vectors[p]) for p in (order[start : start + BLOCK_ROWS] for start in starts))

    def write_parts(self, parts: Iterable[tuple[Ids, NDArray[np.floating]]]) -> SegmentFile:
        """Write a new segment of (ids (n,), vectors (n, dim)) parts; the ids ascend from part to part. See `write`."""
        name = secrets.token_hex(8)
        written, rows = write_segment(self.path(name), self.dim, ascending(parts))
        return SegmentFile(name=name, rows=rows, alive=rows, size_bytes=written.size_bytes, sha256=written.sha256)

    def open(self, file: SegmentFile) -> Segment:
        """Return an opened segment, memory-mapped. Raises: LibraryError: it is absent or damaged."""
        segment = self._opened.get(file.name)
        if segment is None:
            segment = self._opened[file.name] = self._open(file)
        return segment

    def _has_moved(self, segment: Segment) -> bool:
        """Tell whether a segment's rows have left for Milvus since it was opened, or come back; then it is closed."""
        moved = self.is_remote(segment.name) != isinstance(segment, RemoteSegment)
        if moved:
            self._opened.pop(segment.name, None)
        return moved

    def let_go(self, name: str) -> None:
        """Close a segment unless somebody holds it: a removed file that is open takes its space on the disk still."""
        self._opened.pop(name, None)

    def _open(self, file: SegmentFile) -> Segment:
        path = self.path(file.name)
        if self.is_remote(file.name):
            stub = read_stub(self.stub(file.name), file.rows)
            if stub is None:
                raise LibraryError(
                    f"the ids of a segment whose rows are in Milvus are damaged, {self.stub(file.name)}: {REMEDY}"
                )
            return RemoteSegment(file.name, stub, self.dim, self._fetch or refuse_to_fetch)
        try:
            index = read_faiss(path, file.size_bytes)
            segment = None if index is None else Segment(file.name, index)
        except AttributeError:  # FAISS's words for an index of another kind
            segment = None
        if segment is None and not path.exists():
            raise SegmentGone(f"segment {path} is absent: {REMEDY}")
        if segment is None or segment.vectors.shape != (file.rows, self.dim) or not segment.is_searchable:
            size_bytes = path.stat().st_size if path.exists() else 0
            raise LibraryError(
                f"segment {path} is damaged ({size_bytes} bytes, not {file.rows} vectors of {self.dim} dimensions in "
                f"{file.size_bytes} bytes): {REMEDY}"
            )
        return segment

    def vector(self, find: Callable[[], SegmentFile | None], photo_id: int) -> Halves | None:
        """Return a photo's vector, (d,), be it one that cannot be found now; `find` says in which segment it lies.

        None where it lies in none. Raises: LibraryError: the segment is absent or damaged.
        """
        for opening in range(OPENINGS):
            file = find()
            try:
                return None if file is None else self.open(file).vector(photo_id)
            except SegmentGone:  # merged away since, perhaps
                if opening == OPENINGS - 1 or file == find():
                    raise
        raise AssertionError("unreachable")

    def current(self, rows: FindableRows) -> Vectors:
        """Return the photos that can be found now; the same object as long as they are the same.

        A row that has died stays dead, so the names of the segments and their counts of living rows say all.

        Raises: LibraryError: a segment is absent or damaged.
        """
        with self._opening:
            for opening in range(OPENINGS):
                files = rows.segments()
                now = tuple((file.name, file.alive) for file in files)
                try:
                    known = self._current.get(now)
                    if known is None or any([self._has_moved(segment) for segment in known.segments]):  # all that have
                        return self._opened_now(now, files, rows)
                    return known
                except SegmentGone:  # merged away since, perhaps
                    if opening == OPENINGS - 1 or files == rows.segments():
                        raise
            raise AssertionError("unreachable")

    def _opened_now(self, now: tuple[tuple[str, int], ...], files: list[SegmentFile], rows: FindableRows) -> Vectors:
        segments = [self.open(file) for file in files]
        live = [living(file, segment, rows) for file, segment in zip(files, segments, strict=True)]
        for segment, mask in zip(segments, live, strict=True):
            if isinstance(segment, RemoteSegment):
                segment.rows.dead = None if mask is None else ~mask
        vectors = Vectors(self.dim, segments, live)
        while len(self._current) >= KEPT_MOMENTS:
            self._current.pop(next(iter(self._current)))
        self._current[now] = vectors
        kept = {name for moment in self._current for name, _ in moment}
        self._opened = {name: segment for name, segment in list(self._opened.items()) if name in kept}
        return vectors

    def problem(self, file: SegmentFile, *, quick: bool = False) -> str | None:
        """Return what is wrong with a segment's file, reading it whole, or None; `quick`: by its size alone."""
        path = self.path(file.name)
        if self.is_remote(file.name):
            stub = self.stub(file.name)
            return None if read_stub(stub, file.rows) is not None else f"{stub} is damaged"
        return size_problem(path, file.size_bytes) or (None if quick else checksum_problem(path, file.sha256))

    def strays(self, recorded: Collection[str]) -> list[Path]:
        """Return files that belong to no recorded segment: left by a process that was killed."""
        mine = {place for name in recorded for place in (self.path(name), self.stub(name))}
        return [path for path in files_of_ours(self.folder) if path not in mine]

    def remove_strays(self, recorded: Collection[str]) -> int:
        """Remove what `strays` finds and return how many files that were."""
        strays = self.strays(recorded)
        for path in strays:
            path.unlink(missing_ok=True)
        return len(strays)


def refuse_to_fetch(ids: Ids) -> Halves:
    """Raise LibraryError: the rows lie elsewhere, and nobody has said where."""
    raise LibraryError(ELSEWHERE)


def ascending(parts: Iterable[tuple[Ids, NDArray[np.floating]]]) -> Iterator[tuple[Ids, NDArray[np.floating]]]:
    """Yield what is to be written. Raises: LibraryError: the ids do not ascend, or one comes twice."""
    last = -1
    for ids, vectors in parts:
        if len(ids) and (ids[0] <= last or not bool((np.diff(ids) > 0).all())):
            raise LibraryError("the ids of a segment do not ascend, or one comes twice")
        last = int(ids[-1]) if len(ids) else last
        yield ids, vectors


def living(file: SegmentFile, segment: Segment, rows: FindableRows) -> Bools | None:
    """Return which rows of a segment can be found, None for all.

    Raises: LibraryError: the database has changed since `file` was read, or contradicts itself.
    """
    if file.alive == file.rows:
        return None
    mask = ~segment.mask_of(rows.dead(file.name))
    if int(mask.sum()) != file.alive:
        raise SegmentGone(f"segment {file.name} has {mask.sum()} living rows, and {file.alive} are counted: {REMEDY}")
    return mask


KEPT_MOMENTS = 4  # of photos and of restyled ones, now and just before


class SegmentGone(LibraryError):
    """A segment is not what the database says: it was merged away or lost a photo a moment ago, or is lost itself."""
