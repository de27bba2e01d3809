"""What searching asks: the photos that can be found, with an engine that names candidates where one stands.

Plans whether all of them are compared, or the candidates that an approximate engine names and what it does not cover.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.arrays import Floats, Ids
from base.console import counted
from base.errors import LibraryError
from base.files import files_of_ours
from base.forks import fork_lock
from embedding.index.approximate import (
    APPROXIMATE_FILE,
    APPROXIMATE_MANIFEST,
    ApproximateIndex,
    CandidateEngine,
    read_approximation,
)
from embedding.index.exact import best, check_dimensions, exact_search, refuse_remote, scores_from
from embedding.index.gpu_scan import GpuScan, gpu_scan
from embedding.index.left import Among, among_beside, ids_left
from embedding.index.milvus import MILVUS_MANIFEST, MilvusEngine, read_collection
from embedding.opened_segment import ELSEWHERE
from embedding.segments import FindableRows, SegmentStore, Vectors

FLOAT16_BYTES = 2
SAMPLE_ROWS = 4_096  # what is known of all photos' scores is told by these


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
        self, base: Vectors, *, engine: CandidateEngine | None = None, note: str = "", scan: GpuScan | None = None
    ) -> None:
        """engine: names candidates among the segments that it covers; None: all photos are compared.

        scan: compares all photos on a GPU; None: the CPU does.
        """
        self.base = base
        self.engine = engine
        self.scan = scan
        self.note = note
        self.dim = base.dim
        covers = () if engine is None else engine.covers
        self.covered = base.only(covers)
        self.uncovered = base.without(covers)

    @cached_property
    def ids(self) -> Ids:
        """The ids of all photos that can be found, ascending, (n,) int64."""
        return self.base.ids

    def __len__(self) -> int:
        return len(self.base)

    def search(
        self, queries: NDArray[np.floating], k: int, *, among: Among = None, exact: bool = False
    ) -> tuple[Floats, Ids]:
        """Return the k best of each query: cosines (n, k) float32, best first, and photo ids (n, k) int64.

        Args:
            queries: unit vectors, (n, d) float32.
            k: where there are fewer photos, fewer columns come back.
            among: ascending photo ids, or what a filter leaves; only these may be hits, and unknown ones are passed
                over. None for all.
            exact: compare every photo, even where an approximate index stands.

        Equal scores are ordered by photo id. Raises: LibraryError: the queries have another number of dimensions.
        """
        check_dimensions(self.base, queries)
        if self.is_remote:
            return self._search_remote(np.asarray(queries, np.float32), k, among, exact=exact)
        if self._compares_all(k, among, "as was asked for" if exact else None):
            if self.scan is not None and among is None:
                return self.scan.search(self.base, queries, k)
            return exact_search(self.base, queries, k, ids_left(among))
        scores, ids = self._compare_candidates(np.asarray(queries, np.float32), k, among)
        if len(self.uncovered):
            more, more_ids = exact_search(self.uncovered, queries, k, among_beside(among, self.beside_ids))
            scores, ids = np.concatenate([scores, more], axis=1), np.concatenate([ids, more_ids], axis=1)
            scores, ids = best(scores, ids, k)
        return scores, ids

    @property
    def is_remote(self) -> bool:
        """Whether vectors lie in Milvus alone: answers are its own then."""
        return self.base.is_remote

    def _search_remote(self, queries: Floats, k: int, among: Among, *, exact: bool) -> tuple[Floats, Ids]:
        """Return what `search` does where rows lie in Milvus alone: its scores, and those of the others computed here.

        Raises: LibraryError: all are to be compared, Milvus gives no answer, or it cannot name so many.
        """
        refuse_remote(self.base if exact else self.base.only(()))
        if not isinstance(self.engine, MilvusEngine) or len(self.base.remote.without(self.engine.covers)):
            raise LibraryError(f"{self.note or 'the collection in Milvus is not known'}; {ELSEWHERE}")
        away = self.base.remote
        near = self.base.without(away.names)
        if not len(queries) or not k:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores, ids = self.engine.hits(
            queries, min(k, max(len(away), 1)), among, lambda some: away.locate(some)[0] >= 0
        )
        more, more_ids = exact_search(near, queries, k, among_beside(among, near.ids))
        scores, ids = np.concatenate([scores, more], axis=1), np.concatenate([ids, more_ids], axis=1)
        scores, ids = best(scores, ids, k)
        there = int((ids >= 0).sum(axis=1).min())
        return scores[:, :there], ids[:, :there]

    @cached_property
    def beside_ids(self) -> Ids:
        """The ids of the photos that the engine does not cover, ascending."""
        return self.uncovered.ids

    def plan(self, k: int, *, among: Among = None, exact: str | None = None) -> Plan:
        """Return how `search` answers; `exact`: why every photo has to be compared, None where it need not be."""
        rows, row_bytes = len(self) if among is None else len(among), self.dim * FLOAT16_BYTES
        if self.is_remote and isinstance(self.engine, MilvusEngine):
            beside = len(self.base) - len(self.base.remote)
            more = f", and {counted(beside, 'photo')} here are compared exactly" if beside else ""
            if among is not None and not self.engine.answers(among, len(self)):
                more += f"; filters that leave at most {self.engine.about.least_share:.0%} were found to lose more hits"
            over = f", measured over {counted(self.engine.about.measured, 'photo')}" if self.engine.recall else ""
            return Plan(
                engine=self.engine.kind,
                rows=beside,
                bytes_read=beside * row_bytes,
                reason=f"{self.engine.where} gives its own scores, since vectors lie there alone{over}{more}",
                recall=self.engine.recall,
            )
        if (reason := self._compares_all(k, among, exact)) or self.engine is None:
            return Plan(engine="exact", rows=rows, bytes_read=rows * row_bytes, reason=reason or "")
        share = rows / max(len(self), 1)
        cost, beside = self.engine.cost(k, share), round(len(self.uncovered) * share)
        more = f", and {counted(beside, 'photo')} beside them" if beside else ""
        return Plan(
            engine=self.engine.kind,
            rows=cost.rows + beside,
            bytes_read=cost.bytes_read + beside * row_bytes,
            reason=f"{cost.how}, its candidates compared exactly{more}",
            recall=self.engine.recall,
        )

    def with_engine(self, engine: CandidateEngine | None) -> "PhotoIndex":
        """Return the same photos, with candidates from another engine."""
        return PhotoIndex(self.base, engine=engine, note=self.note, scan=self.scan)

    def beside(self, others: Vectors) -> "PhotoIndex":
        """Return the same photos and others, which are compared one by one."""
        return PhotoIndex(self.base.beside(others), engine=self.engine, note=self.note)

    def _compares_all(self, k: int, among: Among, exact: str | None) -> str | None:
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

    def _compare_candidates(self, queries: Floats, k: int, among: Among) -> tuple[Floats, Ids]:
        """Return what `search` does of the segments that the engine covers, by comparing its candidates exactly."""
        assert self.engine is not None
        covered = self.covered
        named = self.engine.candidates(queries, k, among, 1.0 if among is None else len(among) / max(len(self), 1))
        wanted = min(k, len(covered) if among is None else len(among))
        parts = []
        for query, ids in zip(queries, named, strict=True):
            ids = np.unique(ids[ids >= 0])
            places, rows = covered.locate(ids)
            if int((places >= 0).sum()) < wanted:  # the engine named too few: nothing may be lost
                parts.append(exact_search(covered, query[np.newaxis], k, ids_left(among)))
                continue
            scores = np.full(len(ids), -np.inf, np.float32)
            for place in np.unique(places[places >= 0]):
                mine = places == place
                scores[mine] = covered.segments[place].decoded(rows[mine]) @ query
            found = scores > -np.inf
            parts.append(best(scores[np.newaxis, found], ids[np.newaxis, found], k))
        if not parts:
            return exact_search(covered, queries, k, ids_left(among))
        width = min(part[0].shape[1] for part in parts)
        scores, ids = (np.concatenate([array[:, :width] for array in arrays]) for arrays in zip(*parts, strict=True))
        return scores, ids

    def scores(
        self, query: Floats, *, among: Among = None, least: float = -np.inf, share: float = 1.0
    ) -> tuple[Floats, Ids]:
        """Return the cosine of every photo with a query (d,), (m,) float32, and photo ids (m,); in no order.

        `least`: leave out what scores lower; `share`: of the photos, how many are left about.
        """
        return scores_from(self.base, query, least, ids_left(among), share)

    def vectors(self, ids: Ids) -> Floats:
        """Return the vectors of photos, (m, d) float32, in the order of the ids.

        Raises: LibraryError: one of them is not in the index.
        """
        return self.base.gather(ids)

    def sample(self, count: int) -> Floats:
        """Return vectors (at most count, d) float32 spread evenly over the photos: the same ones at every call."""
        return self.base.sample(count)

    @cached_property
    def background(self) -> Floats:
        """A sample of the photos' vectors, (s, d) float32, by which all photos' scores are judged."""
        return self.sample(SAMPLE_ROWS)


class CurrentIndex:
    """The index of a model's photos: opened once, and kept as long as neither photos nor files change."""

    def __init__(self, folder: Path, store: SegmentStore, model_key: str) -> None:
        self._folder = folder
        self._store = store
        self._model_key = model_key
        self._index: PhotoIndex | None = None
        self._as_of: tuple[int, ...] = ()  # of the engine's files
        self._opening = fork_lock()
        self._scan: GpuScan | None = None  # outlives photos and files that change: most segments stay

    def at(self, rows: FindableRows) -> PhotoIndex:
        """Return the index of exactly the photos that can be found now.

        Raises: LibraryError: a segment is absent or damaged.
        """
        with self._opening:
            vectors, now = self._store.current(rows), files_stamp(self._folder)
            if self._index is None or self._index.base is not vectors or self._as_of != now:
                self._scan = self._scan or gpu_scan()
                self._index = current_index(self._folder, self._model_key, vectors, self._scan)
                self._as_of = now
            return self._index


def current_index(folder: Path, model_key: str, vectors: Vectors, scan: GpuScan | None = None) -> PhotoIndex:
    """Return an index of photos, with the engine that a folder holds for them; its `note` says why there is none."""
    engine, problem = named_by_milvus(folder, model_key) or approximation(folder, model_key)
    index = PhotoIndex(vectors, engine=engine, note=problem, scan=scan)
    if isinstance(engine, MilvusEngine):

        def tell(problem: str) -> None:  # every photo is compared while Milvus gives no answer
            index.note = problem

        engine.tell = tell
    return index


def named_by_milvus(folder: Path, model_key: str) -> tuple[CandidateEngine | None, str] | None:
    """Return the same as `approximation` of a collection in Milvus, without a connection; None where there is none."""
    about = read_collection(folder) if (folder / MILVUS_MANIFEST).exists() else None
    if about is None:
        return None
    if about.model_key != model_key or not about.covers:
        return None, f"the collection in Milvus is not whole, {COMPARES_ALL}"
    if not about.sound:
        if about.recall is None:
            return None, "the collection in Milvus was not measured, so every photo is compared: `aliens index` does it"
        return None, too_little("collection in Milvus", about.recall)
    return MilvusEngine(about), ""


def approximation(folder: Path, model_key: str) -> tuple[CandidateEngine | None, str]:
    """Return the engine that names candidates, if there is one, and what to say where it is of no use."""
    if not (folder / APPROXIMATE_MANIFEST).exists():
        return None, ""
    about = read_approximation(folder)
    if about is None or about.model_key != model_key:
        return None, f"the approximate index is damaged, {COMPARES_ALL}"
    if not about.sound:
        return None, too_little(f"{about.kind} index", about.recall)
    engine = ApproximateIndex.open(folder, model_key)
    return engine, "" if engine else f"the {about.kind} index is damaged, {COMPARES_ALL}"


COMPARES_ALL = "so every photo is compared: `aliens index` mends it"


def too_little(name: str, recall: float) -> str:
    """Return what to say of an engine that is not used because of its recall."""
    return (
        f"the {name} finds only {recall:.1%} of what it should, so every photo is compared: "
        "`aliens index` with another --kind or a lower --least-recall changes that"
    )


def files_stamp(folder: Path) -> tuple[int, ...]:
    """Return what changes whenever the files of an engine are written anew, so that who has opened them can tell."""
    stats = []
    for name in (APPROXIMATE_MANIFEST, MILVUS_MANIFEST):
        try:
            stats.append((folder / name).stat().st_mtime_ns)
        except OSError:
            stats.append(0)
    return tuple(stats)


def strays_of_index(folder: Path) -> list[Path]:
    """Return the files in an engine's folder that belong to none: left by a process that was killed."""
    mine = {MILVUS_MANIFEST}
    if (folder / APPROXIMATE_MANIFEST).exists():
        mine |= {APPROXIMATE_FILE, APPROXIMATE_MANIFEST}
    return [path for path in files_of_ours(folder) if path.name not in mine]
