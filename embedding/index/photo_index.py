"""What searching asks: the vectors on disk, with what was added or has vanished since they were written.

Combines the exact rows, rows that came later, and a mask of rows whose photos cannot be found any more; plans whether
all of them are compared, or the candidates that an approximate engine names.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Floats, Halves, Ids, Longs
from base.errors import LibraryError
from embedding.index.approximate import APPROXIMATE_MANIFEST, ApproximateIndex, CandidateEngine, read_approximation
from embedding.index.exact import MANIFEST_FILE, SAMPLE_ROWS, FaissIndex, IndexManifest, best
from embedding.index.milvus import MILVUS_MANIFEST, MilvusEngine, read_collection
from embedding.store import VectorStore

BLOCK_ROWS = 8_192  # float32 at a time, when every score is computed
FLOAT16_BYTES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a search is answered: by what, over how many rows, what that reads, and why.

    recall: recall@10 as measured with text queries when an approximate index was built; None: exact.
    """

    engine: str
    rows: int
    bytes_read: int
    reason: str
    recall: float | None = None


class PhotoIndex:
    """All photos that can be found. Scores are cosines in float32 of the float16 vectors."""

    def __init__(
        self,
        base: FaissIndex,
        *,
        live: Bools | None = None,
        extra_ids: Ids | None = None,
        extra_vectors: Halves | None = None,
        engine: CandidateEngine | None = None,
        rebuilt: bool = False,
        note: str = "",
    ) -> None:
        """`live`: (rows of base,), which may be found; None for all. Extra rows: (m,) int64 and (m, d) float16.

        engine: names candidates among the rows of `base`; None: all are compared. rebuilt: whether `base` was made
        anew from the shards, for want of a sound file.
        """
        self.base = base
        self.engine = engine
        self.rebuilt = rebuilt
        self.note = note
        self.dim = base.dim
        self._live = live
        self._extra_ids = np.empty(0, np.int64) if extra_ids is None else extra_ids
        self._extra = np.empty((0, base.dim), np.float16) if extra_vectors is None else extra_vectors

    @cached_property
    def ids(self) -> Ids:
        """The ids of all photos that can be found, (n,) int64."""
        here = self.base.ids if self._live is None else self.base.ids[self._live]
        return np.concatenate([here, self._extra_ids])

    def __len__(self) -> int:
        return self._findable + len(self._extra_ids)

    def search(
        self, queries: NDArray[np.floating], k: int, *, among: Ids | None = None, exact: bool = False
    ) -> tuple[Floats, Ids]:
        """Return the k best of each query: cosines (n, k) float32, best first, and photo ids (n, k) int64.

        Args:
            queries: unit vectors, (n, d) float32.
            k: where there are fewer photos, fewer columns come back.
            among: ascending photo ids; only these may be hits, and unknown ones are passed over. None for all.
            exact: compare every photo, even where an approximate index stands.

        Equal scores are ordered by photo id. Raises: LibraryError: the queries have another number of dimensions.
        """
        self.base.check_dimensions(queries)
        if self._compares_all(k, among, "as was asked for" if exact else None):
            scores, ids = self.base.search(queries, k, self._mask(among))
        else:
            scores, ids = self._compare_candidates(np.asarray(queries, np.float32), k, among)
        extra = slice(None) if among is None else np.isin(self._extra_ids, among)
        if len(extra_ids := self._extra_ids[extra]):
            more = products(np.asarray(queries, np.float32), self._extra[extra])
            scores = np.concatenate([scores, more], axis=1)
            ids = np.concatenate([ids, np.broadcast_to(extra_ids, more.shape)], axis=1)
            scores, ids = best(scores, ids, k)
        return scores, ids

    def plan(self, k: int, *, among: Ids | None = None, exact: str | None = None) -> Plan:
        """Return how `search` answers; `exact`: why every photo has to be compared, None where it need not be."""
        rows = len(self) if among is None else len(among)
        if (reason := self._compares_all(k, among, exact)) or self.engine is None:
            size_bytes = rows * self.dim * FLOAT16_BYTES
            return Plan(engine="exact", rows=rows, bytes_read=size_bytes, reason=reason or "")
        cost = self.engine.cost(k, rows / max(len(self), 1))
        reason = f"{cost.how}, its candidates compared exactly"
        return Plan(
            engine=self.engine.kind,
            rows=cost.rows,
            bytes_read=cost.bytes_read,
            reason=reason,
            recall=self.engine.recall,
        )

    def with_engine(self, engine: CandidateEngine | None, note: str = "") -> "PhotoIndex":
        """Return the same photos, with candidates from another engine, and a note beside this one's."""
        return PhotoIndex(
            self.base,
            live=self._live,
            extra_ids=self._extra_ids,
            extra_vectors=self._extra,
            engine=engine,
            rebuilt=self.rebuilt,
            note="; ".join(filter(None, [self.note, note])),
        )

    def beside(self, ids: Ids, vectors: Halves) -> "PhotoIndex":
        """Return the same photos and others, ids (m,) and vectors (m, d), which are compared one by one."""
        return PhotoIndex(
            self.base,
            live=self._live,
            extra_ids=np.concatenate([self._extra_ids, ids]),
            extra_vectors=np.concatenate([self._extra, vectors]),
            engine=self.engine,
            rebuilt=self.rebuilt,
            note=self.note,
        )

    @property
    def extra(self) -> tuple[Ids, Halves]:
        """The photos that lie beside the base: ids (m,) and vectors (m, d)."""
        return self._extra_ids, self._extra

    def _compares_all(self, k: int, among: Ids | None, exact: str | None) -> str | None:
        """Return why every photo that may be a hit is compared, or None where an engine names candidates."""
        whole = "every photo is compared" if among is None else "the photos that the filter leaves are compared"
        if self.engine is None:
            return whole
        if exact is not None:
            return f"{whole}, {exact}"
        if k > self.engine.most_hits:
            return f"{whole}, since {k} hits are more than {self.engine.kind} is asked for"
        if among is not None and not self.engine.answers(among, len(self)):
            return f"{whole}, since it leaves {len(among) / max(len(self), 1):.1%} of them"
        return None

    def _compare_candidates(self, queries: Floats, k: int, among: Ids | None) -> tuple[Floats, Ids]:
        """Return what `search` does of the base's rows, by comparing the engine's candidates exactly."""
        assert self.engine is not None
        named = self.engine.candidates(queries, k, among, 1.0 if among is None else len(among) / max(len(self), 1))
        wanted = min(k, self._findable if among is None else len(among))
        parts = []
        for query, ids in zip(queries, named, strict=True):
            ids = np.unique(ids[ids >= 0])
            rows, known = self._rows(ids)
            rows = rows[known if self._live is None else known & self._live[rows]]
            if len(rows) < wanted:  # the engine named too few: nothing may be lost
                parts.append(self.base.search(query[np.newaxis], k, self._mask(among)))
            else:
                scores = self.base.decoded(rows) @ query
                parts.append(best(scores[np.newaxis], self.base.ids[rows][np.newaxis], k))
        if not parts:
            return self.base.search(queries, k, self._mask(among))
        scores, ids = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return scores, ids

    @cached_property
    def _findable(self) -> int:
        """The number of rows of the base whose photos can be found."""
        return len(self.base) if self._live is None else int(self._live.sum())

    def scores(self, query: Floats, *, among: Ids | None = None) -> tuple[Floats, Ids]:
        """Return the cosine of every photo with a query (d,), (m,) float32, and photo ids (m,); in no order."""
        rows = np.arange(len(self.base)) if (mask := self._mask(among)) is None else np.flatnonzero(mask)
        extra = np.ones(len(self._extra_ids), bool) if among is None else np.isin(self._extra_ids, among)
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            part = self.base.vectors[block[0] : block[-1] + 1] if len(block) == block[-1] - block[0] + 1 else None
            part = self.base.vectors[block] if part is None else part
            found[start : start + len(block)] = part.astype(np.float32) @ query
        more = products(query[np.newaxis], self._extra[extra])[0]
        return np.concatenate([found, more]), np.concatenate([self.base.ids[rows], self._extra_ids[extra]])

    def vectors(self, ids: Ids) -> Floats:
        """Return the vectors of photos, (m, d) float32, in the order of the ids.

        Raises: LibraryError: one of them is not in the index.
        """
        vectors = np.empty((len(ids), self.dim), np.float32)
        rows, here = self._rows(ids)
        if self._live is not None:
            here &= self._live[rows]
        vectors[here] = self.base.vectors[rows[here]]
        for place in np.flatnonzero(~here):
            found = np.flatnonzero(self._extra_ids == ids[place])
            if not len(found):
                raise LibraryError(f"no photo {ids[place]} in the index: take an id that a search shows")
            vectors[place] = self._extra[found[0]]
        return vectors

    def parts(self) -> Iterator[tuple[Ids, Halves]]:
        """Yield all photos' ids (n,) and vectors (n, d), some thousands at a time."""
        for start in range(0, len(self.base), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            keep = slice(None) if self._live is None else self._live[block]
            yield self.base.ids[block][keep], self.base.vectors[block][keep]
        if len(self._extra_ids):
            yield self._extra_ids, self._extra

    def sample(self, count: int) -> Floats:
        """Return vectors (at most count, d) float32 spread evenly over the photos: the same ones at every call."""
        if count == SAMPLE_ROWS and self._live is None and not len(self._extra) and self.base.sample is not None:
            return self.base.sample.astype(np.float32)
        rows = np.arange(len(self.base)) if self._live is None else np.flatnonzero(self._live)
        total = len(rows) + len(self._extra)
        places = np.unique(np.linspace(0, total - 1, min(count, total)).astype(np.int64)) if total else rows[:0]
        here, later = places[places < len(rows)], places[places >= len(rows)] - len(rows)
        return np.concatenate([self.base.vectors[rows[here]], self._extra[later]]).astype(np.float32)

    @cached_property
    def background(self) -> Floats:
        """A sample of the photos' vectors, (s, d) float32, by which all photos' scores are judged."""
        return self.sample(SAMPLE_ROWS)

    def _mask(self, among: Ids | None) -> Bools | None:
        """Return which rows of the base may be found, or None for all."""
        if among is None:
            return self._live
        rows, known = self._rows(among)
        mask = np.zeros(len(self.base), bool)
        mask[rows[known]] = True
        return mask if self._live is None else mask & self._live

    def _rows(self, ids: Ids) -> tuple[Longs, Bools]:
        """Return the row of each photo id, and whether it has one; without one the row means nothing."""
        order, ascending = self._order
        places = np.minimum(np.searchsorted(ascending, ids), max(len(ascending) - 1, 0))
        if not len(ascending):
            return places, np.zeros(len(ids), bool)
        return places if order is None else order[places], ascending[places] == ids

    @cached_property
    def _order(self) -> tuple[Longs | None, Ids]:
        """The rows in ascending order of their ids, None where that is their order, and the ids so ordered."""
        ids = self.base.ids
        if bool((np.diff(ids) > 0).all()):
            return None, ids
        order = np.argsort(ids)
        return order, ids[order]


def products(queries: Floats, vectors: Halves) -> Floats:
    """Return the cosines of queries (n, d) with vectors (m, d), (n, m) float32, without a copy of all vectors."""
    scores = np.empty((len(queries), len(vectors)), np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        scores[:, block] = queries @ vectors[block].astype(np.float32).T
    return scores


REBUILT = "there was no sound index, so one was built in memory: `aliens index` writes it"
COMPARES_ALL = "so every photo is compared: `aliens index` brings it up to date"

Places = Iterator[tuple[int, list[int]]]  # shard number, rows


class FindableRows(Protocol):
    """What the database says of the photos that can be found: see db.vectors.EmbeddedRows."""

    @property
    def generation(self) -> int:
        """How many changes the set of vectors has seen."""
        ...

    def ids(self) -> Ids:
        """Return the photos' ids, ascending."""
        ...

    def places(self, *, after: int = 0, ids: Sequence[int] | None = None) -> Places:
        """Yield where the vectors lie: of shards with numbers beyond `after`; with `ids`, of these photos alone."""
        ...


class CurrentIndex:
    """The index of a model's photos: opened once, and kept as long as neither photos nor files change."""

    def __init__(self, folder: Path, store: VectorStore, model_key: str) -> None:
        self._folder = folder
        self._store = store
        self._model_key = model_key
        self._index: PhotoIndex | None = None
        self._as_of: tuple[int, ...] = ()  # generation and files
        self._opening = threading.Lock()

    def at(self, rows: FindableRows) -> PhotoIndex:
        """Return the index of exactly the photos that can be found now.

        Raises: LibraryError: a shard that is needed is absent or damaged.
        """
        with self._opening:
            now = (rows.generation, *files_stamp(self._folder))
            if self._index is None or self._as_of != now:
                self._index = current_index(self._folder, self._store, self._model_key, rows)
                self._as_of = now
            return self._index


def current_index(folder: Path, store: VectorStore, model_key: str, rows: FindableRows) -> PhotoIndex:
    """Return an index of exactly the photos that can be found now.

    A file that is older than the vectors is used all the same: vectors that came later are compared beside it, and
    photos that have vanished are masked. Without a sound file the index is built in memory, and its `note` says so.
    An approximate index beside it names candidates only where it was made of the same vectors as the file.

    Raises: LibraryError: a shard that is needed is absent or damaged.
    """
    base, generation = FaissIndex.open(folder), rows.generation
    manifest = None if base is None else base.manifest
    if base is None or manifest is None or (manifest.model_key, manifest.dim) != (model_key, store.dim):
        return in_memory(store, rows)
    if manifest.generation != generation and not is_still_there(store, manifest):
        return in_memory(store, rows)
    engine, problem = named_by_milvus(folder, manifest) or approximation(folder, manifest)
    if manifest.generation == generation:
        return noting(PhotoIndex(base, engine=engine, note=problem))
    return noting(topped_up(store, rows, base, manifest).with_engine(engine, note=problem))


def named_by_milvus(folder: Path, manifest: IndexManifest) -> tuple[CandidateEngine | None, str] | None:
    """Return the same as `approximation` of a collection in Milvus, without a connection; None where there is none."""
    about = read_collection(folder) if (folder / MILVUS_MANIFEST).exists() else None
    if about is None:
        return None
    if (about.model_key, about.generation) != (manifest.model_key, manifest.generation):
        return None, f"the collection in Milvus is older than the photos, {COMPARES_ALL}"
    if not about.sound:
        if about.recall is None:
            return None, "the collection in Milvus was not measured, so every photo is compared: `aliens index` does it"
        return None, too_little("collection in Milvus", about.recall)
    return MilvusEngine(about), ""


def noting(index: PhotoIndex) -> PhotoIndex:
    """Have an index's note tell when Milvus stops answering; every photo is compared meanwhile."""
    before = index.note

    def tell(problem: str) -> None:
        index.note = "; ".join(filter(None, [before, problem]))

    if isinstance(index.engine, MilvusEngine):
        index.engine.tell = tell
    return index


def approximation(folder: Path, manifest: IndexManifest) -> tuple[CandidateEngine | None, str]:
    """Return the engine that names candidates for an index, if there is one, and what to say where it is of no use."""
    about = read_approximation(folder) if (folder / APPROXIMATE_MANIFEST).exists() else None
    if about is None:
        return None, ""
    if (about.model_key, about.generation) != (manifest.model_key, manifest.generation):
        return None, f"the {about.kind} index is older than the photos, {COMPARES_ALL}"
    if not about.sound:
        return None, too_little(f"{about.kind} index", about.recall)
    engine = ApproximateIndex.open(folder, manifest.model_key, manifest.generation)
    return engine, "" if engine else f"the {about.kind} index is damaged, {COMPARES_ALL}"


def too_little(name: str, recall: float) -> str:
    """Return what to say of an engine that is not used because of its recall."""
    return (
        f"the {name} finds only {recall:.1%} of what it should, so every photo is compared: "
        "`aliens index` with another --kind or a lower --least-recall changes that"
    )


def files_stamp(folder: Path) -> tuple[int, ...]:
    """Return what changes whenever the files of an index are written anew, so that who has opened them can tell."""
    stats = []
    for name in (MANIFEST_FILE, APPROXIMATE_MANIFEST, MILVUS_MANIFEST):
        try:
            stats.append((folder / name).stat().st_mtime_ns)
        except OSError:
            stats.append(0)
    return tuple(stats)


def in_memory(store: VectorStore, rows: FindableRows) -> PhotoIndex:
    """Build an index from all shards."""
    built = FaissIndex.build(store.dim, store.gather(rows.places()))
    return PhotoIndex(built, rebuilt=True, note=REBUILT if len(built) else "")


def is_still_there(store: VectorStore, manifest: IndexManifest) -> bool:
    """Tell whether the newest shard of an index is still the one it was built from."""
    try:
        return manifest.last_shard > 0 and store.stamp(manifest.last_shard) == manifest.last_stamp
    except OSError:
        return False


def topped_up(store: VectorStore, rows: FindableRows, base: FaissIndex, manifest: IndexManifest) -> PhotoIndex:
    """Put what came since over an older index."""
    now = rows.ids()
    fresh_ids, fresh = together(store, rows.places(after=manifest.last_shard))
    live = np.isin(base.ids, now) & ~np.isin(base.ids, fresh_ids)
    returned = np.setdiff1d(np.setdiff1d(now, base.ids), fresh_ids)  # were missing when the index was written
    back_ids, back = together(store, rows.places(ids=returned.tolist()))
    count = len(fresh_ids) + len(back_ids)
    return PhotoIndex(
        base,
        live=None if live.all() else live,
        extra_ids=np.concatenate([fresh_ids, back_ids]),
        extra_vectors=np.concatenate([fresh, back]),
        note=f"the index is older than {count} of the photos, which were compared beside it" if count else "",
    )


def results_alone(store: VectorStore, places: Iterable[tuple[int, list[int]]]) -> PhotoIndex:
    """Return an index of these rows alone, which no file holds: of restyled photos, which are few."""
    ids, vectors = together(store, places)
    return PhotoIndex(FaissIndex.build(store.dim, ()), extra_ids=ids, extra_vectors=vectors)


def together(store: VectorStore, places: Iterable[tuple[int, list[int]]]) -> tuple[Ids, Halves]:
    """Return the named rows as ids (n,) and vectors (n, d)."""
    parts = list(store.gather(places))
    if not parts:
        return np.empty(0, np.int64), np.empty((0, store.dim), np.float16)
    ids, vectors = zip(*parts, strict=True)
    return np.concatenate(ids), np.concatenate(vectors)
