"""What is known of all photos, a number each: what filters, facets and orders of a million photos are told by.

Held in memory, some 40 bytes a photo, and put together of what was known before and of photos that came since. Knows no
SQL, opens no photo.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Doubles, Ids, Longs, places_in
from embedding.segments import Vectors

UNDATED = np.iinfo(np.int64).min
DIGEST_BYTES = 32
SQUARE, OCTAVE, FLATTEST, TALLEST = 32, 32, 64, 0  # of the byte that says how wide a photo is
USUAL_RATIO = 50  # 3:2, for photos whose size is not known
SPARSE = 4  # numbers to a photo, from which ids are looked for instead of looked up
WORDS = 4  # of a vector, 64 bits each, by which rows are found that may be equal

Part = Mapping[str, Sequence[Any]]
Read = Callable[[Ids | None], Iterable[Part]]


@dataclass(frozen=True, kw_only=True)
class PhotoColumns:
    """Columns of n photos, in the order of their ids, and of which segments they are.

    ids: ascending, (n,). hotel_ids: 0 where there is none. sources: names; source: their places, -1 where there is
    none. width_px, height_px: upright, 0 where they are not known. grey: 1 without any colour, 0 with, -1 not known.
    taken_us: when, in microseconds since 1970 by the clock there, UNDATED where nothing says so; by_file: only the
    file's own time does. latitude, longitude: its own place, degrees, NaN without. content: of its bytes' hash, 0 where
    they were never read.
    """

    vectors: Vectors
    stamp: str
    ids: Ids
    hotel_ids: Longs
    sources: tuple[str, ...]
    source: NDArray[np.int16]
    width_px: NDArray[np.int32]
    height_px: NDArray[np.int32]
    grey: NDArray[np.int8]
    taken_us: Longs
    by_file: Bools
    latitude: Doubles
    longitude: Doubles
    content: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, vectors: Vectors, stamp: str, read: Read, before: "PhotoColumns | None" = None) -> "PhotoColumns":
        """Return the columns of photos.

        Args:
            vectors: the photos.
            stamp: what changes with the columns of photos whose vectors stay.
            read: gives the values of photos with ids, or of all, in the order of their ids: see `COLUMNS_READ`.
            before: earlier columns: what they have is not read again, unless the stamp has changed.
        """
        ids = vectors.ids
        if before is None or before.stamp != stamp:
            return cls.put_together(vectors, stamp, ids, coded(read(None)), None)
        known = vectors.only(before.vectors.names).locate(ids)[0] >= 0  # a row that has died stays dead
        fresh = ids[~known]
        return cls.put_together(vectors, stamp, ids, coded(read(fresh) if len(fresh) else ()), before)

    @classmethod
    def put_together(
        cls, vectors: Vectors, stamp: str, ids: Ids, fresh: dict[str, Any], before: "PhotoColumns | None"
    ) -> "PhotoColumns":
        """Return the columns of photos from those that were known before and fresh ones, which go first."""
        columns: dict[str, Any] = {name: np.full(len(ids), empty, kind) for name, (kind, empty) in CODES.items()}
        sources: list[str] = list(before.sources) if before else []
        for known in filter(None, [before.as_codes() if before else None, fresh]):
            rows, here = places_in(ids, known["ids"])
            for name in CODES:
                columns[name][rows[here]] = known[name][here]
            if known is fresh:
                places = {name: place for place, name in enumerate(sources)}
                sources += [name for name in fresh["sources"] if name not in places]
                renumbered = np.array([*map(sources.index, fresh["sources"]), -1], np.int16)
                columns["source"][rows[here]] = renumbered[fresh["source"][here]]
        return cls(vectors=vectors, stamp=stamp, ids=ids, sources=tuple(sources), **columns)

    def as_codes(self) -> dict[str, Any]:
        """Return the columns by their names."""
        return {"ids": self.ids} | {name: getattr(self, name) for name in CODES}

    def positions(self, ids: Ids) -> tuple[Longs, Bools]:
        """Return where photos stand in the columns, (m,), and whether they do; where not, the place means nothing."""
        if not len(self) or self._lookup is None:
            return places_in(self.ids, ids)
        rows = self._lookup[np.clip(ids - self.ids[0], 0, len(self._lookup) - 1)].astype(np.int64)
        return rows, self.ids[rows] == ids

    @cached_property
    def _lookup(self) -> NDArray[np.int32] | None:
        """Of each number from the first id to the last, where the photo stands; None where most numbers are none's."""
        span = int(self.ids[-1] - self.ids[0]) + 1
        if span > SPARSE * len(self):
            return None
        places = np.zeros(span, np.int32)
        places[self.ids - self.ids[0]] = np.arange(len(self), dtype=np.int32)
        return places

    def mask_of(self, ids: Ids) -> Bools:
        """Return which photos these are, (n,)."""
        mask = np.zeros(len(self), bool)
        rows, here = self.positions(ids)
        mask[rows[here]] = True
        return mask

    @cached_property
    def ratios(self) -> NDArray[np.uint8]:
        """Width over height as 32 (1 + log2), (n,), clipped to 0..64; what is not known as 3:2."""
        known = (self.width_px > 0) & (self.height_px > 0)
        wide = np.divide(self.width_px, self.height_px, out=np.ones(len(self), np.float32), where=known)
        steps = np.clip(np.rint(SQUARE + OCTAVE * np.log2(wide)), TALLEST, FLATTEST)
        return np.where(known, steps, USUAL_RATIO).astype(np.uint8)

    @cached_property
    def newest_first(self) -> NDArray[np.int32]:
        """The photos' positions, the newest first, those without a date last; of one moment the latest found first."""
        order = np.argsort(-self.taken_us[::-1].astype(np.float64), kind="stable")
        return (len(self) - 1 - order).astype(np.int32)

    @cached_property
    def years(self) -> NDArray[np.int16]:
        """The year of each photo's date, (n,); 0 where a camera, a table or an upload does not say it."""
        years = self.taken_us.view("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970
        return np.where(self.by_file | (self.taken_us == UNDATED), 0, years).astype(np.int16)

    @cached_property
    def twins(self) -> NDArray[np.int32]:
        """The position of the first photo that has the very same vector, (n,): its own, where there is no other."""
        first = np.arange(len(self), dtype=np.int32)
        beginnings = self._beginnings()
        rows = repeated(beginnings)
        for part in np.split(rows, np.flatnonzero(np.diff(beginnings[rows])) + 1) if len(rows) else ():
            vectors = self.vectors.gather(self.ids[part]).astype(np.float16)
            whole = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.dtype.itemsize * vectors.shape[1])))
            _, at, which = np.unique(whole.ravel(), return_index=True, return_inverse=True)
            first[part] = part[at[which]]
        return first

    @cached_property
    def twinned(self) -> Bools:
        """Which photos have the vector of another one, (n,)."""
        others = self.twins != np.arange(len(self), dtype=np.int32)
        others[self.twins[others]] = True
        twinned: Bools = others
        return twinned

    def distinct(self, mask: Bools | None = None) -> int:
        """Return how many photos there are, or are in a mask (n,), those of one vector counted once."""
        twins = np.flatnonzero(self.twinned if mask is None else self.twinned & mask)
        several = len(self) if mask is None else int(np.count_nonzero(mask))
        return several - len(twins) + len(np.unique(self.twins[twins]))

    @cached_property
    def odd(self) -> Longs:
        """The positions, ascending, of photos that have the bytes of another one, and yet another vector.

        Two processors, or two versions of a library, may compute them so; with them come those of their vectors.
        """
        rows = repeated(self.content, besides=0)
        starts = np.flatnonzero(np.diff(self.content[rows], prepend=0))
        if not len(rows):
            return rows
        vectors = self.twins[rows]
        differ = np.maximum.reduceat(vectors, starts) != np.minimum.reduceat(vectors, starts)
        mixed = rows[np.repeat(differ, np.diff(starts, append=len(rows)))]
        return np.union1d(mixed, np.flatnonzero(self.twinned & np.isin(self.twins, self.twins[mixed])))

    def _beginnings(self) -> NDArray[np.uint64]:
        """What equal vectors have in common, (n,): some of their numbers."""
        found = np.zeros(len(self), np.uint64)
        for place, segment in enumerate(self.vectors.segments):
            live, numbers = self.vectors.live[place], segment.vectors.view(np.uint64)
            words = numbers[:, : min(WORDS, numbers.shape[1])]
            mixed = np.zeros(len(segment), np.uint64)
            for column in range(words.shape[1]):
                mixed = (mixed ^ words[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            ids = segment.ids if live is None else segment.ids[live]
            found[self.positions(ids)[0]] = mixed if live is None else mixed[live]
        return found


CODES: dict[str, tuple[Any, Any]] = {
    "hotel_ids": (np.int64, 0),
    "source": (np.int16, -1),
    "width_px": (np.int32, 0),
    "height_px": (np.int32, 0),
    "grey": (np.int8, -1),
    "taken_us": (np.int64, UNDATED),
    "by_file": (np.bool_, False),
    "latitude": (np.float64, np.nan),
    "longitude": (np.float64, np.nan),
    "content": (np.uint64, 0),
}
COLUMNS_READ = (
    *("photo_id", "hotel_id", "image_source", "width_px", "height_px", "grey", "date", "mtime_ns"),
    *("latitude", "longitude", "content_sha256"),
)


def coded(parts: Iterable[Part]) -> dict[str, Any]:
    """Return the columns of what was read as codes: as PhotoColumns has them."""
    sources: dict[str, int] = {}
    found: dict[str, list[Any]] = {name: [np.empty(0, kind)] for name, (kind, _) in CODES.items()}
    found["ids"] = [np.empty(0, np.int64)]
    for part in parts:
        for name, values in codes_of(part, sources).items():
            found[name].append(values)
    return {name: np.concatenate(arrays) for name, arrays in found.items()} | {"sources": tuple(sources)}


def codes_of(part: Part, sources: dict[str, int]) -> dict[str, Any]:
    """Return some photos' columns as codes; sources that come up are added to those that are known."""
    dates = np.array(part["date"], "datetime64[us]").view(np.int64)  # None is no time, which is UNDATED
    files = numbers(part["mtime_ns"], np.int64, UNDATED)
    by_file = (dates == UNDATED) & (files != UNDATED)
    hashes = b"".join(digest or bytes(DIGEST_BYTES) for digest in part["content_sha256"])
    return {
        "ids": np.array(part["photo_id"], np.int64),
        "hotel_ids": numbers(part["hotel_id"], np.int64, 0),
        "source": np.array(
            [-1 if name is None else sources.setdefault(name, len(sources)) for name in part["image_source"]], np.int16
        ),
        "width_px": numbers(part["width_px"], np.int32, 0),
        "height_px": numbers(part["height_px"], np.int32, 0),
        "grey": numbers(part["grey"], np.int8, -1),
        "taken_us": np.where(by_file, files // 1000, dates),
        "by_file": by_file,
        "latitude": np.array(part["latitude"], np.float64),  # None is NaN
        "longitude": np.array(part["longitude"], np.float64),
        "content": np.frombuffer(hashes, np.uint64).reshape(-1, DIGEST_BYTES // 8)[:, 0],
    }


def numbers(values: Sequence[Any], kind: Any, absent: int) -> NDArray[Any]:
    """Return numbers as an array, with `absent` in place of None."""
    try:
        return np.array(values, kind)
    except TypeError:
        return np.array([absent if value is None else value for value in values], kind)


def repeated(keys: NDArray[np.uint64], besides: int | None = None) -> Longs:
    """Return the positions of keys (n,) that come more than once, equal ones beside each other, each part ascending."""
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    rows = order[np.concatenate([same, [False]]) | np.concatenate([[False], same])] if len(keys) else order
    return rows if besides is None else rows[keys[rows] != besides]
