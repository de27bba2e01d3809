"""What stands before the exact comparison: an engine that names candidates, and FAISS's inverted lists or graph as one.

Scores nothing. Its manifest names the segments that it was made of; what lies in others is compared beside it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import faiss
import numpy as np

from base.arrays import Floats, Ids
from base.forks import fork_lock, is_forked
from base.records import derived_problem, read_record, write_record
from embedding.faiss_files import read_faiss, write_faiss
from embedding.index.left import Among, Left, ids_left


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What naming candidates for one query costs: vectors looked at, bytes read of them, and how, in words."""

    rows: int
    bytes_read: int
    how: str


class CandidateEngine(Protocol):
    """An approximate index: names photos that may be the best ones; their scores are computed elsewhere."""

    @property
    def kind(self) -> str:
        """Its name, such as ivf."""
        ...

    @property
    def covers(self) -> Collection[str]:
        """The names of the segments that it was made of; the database may not know some of them any more."""
        ...

    @property
    def recall(self) -> float | None:
        """The recall@10 that was measured with text queries when it was built; None where it is exact by itself."""
        ...

    @property
    def most_hits(self) -> int:
        """The number of hits up to which a query may be answered by it; longer lists are compared exactly."""
        ...

    def answers(self, among: Ids | Left, photos: int) -> bool:
        """Tell whether it names candidates among so few of all photos; where not, they are all compared."""
        ...

    def candidates(self, queries: Floats, k: int, among: Among, share: float) -> Ids:
        """Return photo ids, (n, at least k) int64, for queries (n, d) float32; -1 where there are fewer.

        An id may come twice, and may be of a photo that has vanished.

        Args:
            queries: unit vectors.
            k: how many hits are wanted in the end.
            among: ascending photo ids, or what a filter leaves; only these may be named. None for all.
            share: of all photos, the share that `among` is, from 0 to 1.
        """
        ...

    def cost(self, k: int, share: float) -> Cost:
        """Return what `candidates` costs."""
        ...


APPROXIMATE_FILE = "approximate.faiss"
APPROXIMATE_MANIFEST = "approximation.json"
LEAST_RECALL = 0.99
MOST_HITS = 100  # recall is measured at 10; a list longer than this is compared whole
CANDIDATES_PER_HIT = 4
MOST_NODES = 4_096  # of a graph, kept in mind: comparing all photos is quicker than more
GRAPH_NEIGHBOURS = 32  # about as many vectors are looked at for each node of a graph
MOST_ON_GPU = 2_048  # candidates and lists: FAISS has no more there
GPU_ASKED = fork_lock()  # FAISS's working memory on a GPU serves one thread at a time
FILTERED_SHARE = 0.6  # where a filter leaves less, comparing all that it leaves is exact and quick enough


@dataclass(frozen=True, kw_only=True, slots=True)
class Approximation:
    """What an approximate index is and what was measured of it, stored beside it.

    covers: the names of the segments in it. chosen: the factory string that was asked for, None where it follows from
    the photos. entries: vectors in it, those of vanished photos included. effort: lists visited (ivf: nprobe) or nodes
    kept in mind (hnsw: efSearch) for a query; candidates: named for each, to be compared exactly. recall: recall@10
    against the exact scan over `queries` text queries, at that effort; least_recall: what was asked for.
    trained_entries, trained_effort: the two at the last building from nothing, by which drift is told; seconds: what
    that took.
    """

    model_key: str
    kind: str
    factory: str
    chosen: str | None = None
    dim: int
    covers: tuple[str, ...] = ()
    lists: int = 0
    entries: int = 0
    effort: int = 1
    candidates: int = 256
    recall: float = 0.0
    least_recall: float = 0.99
    queries: int = 0
    trained_entries: int = 0
    trained_effort: int = 0
    seconds: float = 0.0
    size_bytes: int = 0
    sha256: str = ""

    @property
    def sound(self) -> bool:
        """Whether it finds what it should; one that does not is not used."""
        return self.recall >= self.least_recall


def read_approximation(folder: Path) -> Approximation | None:
    """Return the manifest in a folder, or None where there is none that can be read."""
    return read_record(folder / APPROXIMATE_MANIFEST, Approximation)


def remove_approximation(folder: Path) -> None:
    """Remove an approximate index, where there is one."""
    for name in (APPROXIMATE_MANIFEST, APPROXIMATE_FILE):
        (folder / name).unlink(missing_ok=True)


def approximation_problem(folder: Path, *, quick: bool = False) -> str | None:
    """Return what is wrong with an approximate index's files, reading them whole, or None; None where there is none.

    quick: compare sizes alone.
    """
    path, manifest = folder / APPROXIMATE_FILE, folder / APPROXIMATE_MANIFEST
    return derived_problem(path, manifest, read_approximation(folder), quick=quick)


class ApproximateIndex:
    """Inverted lists or a graph over photo ids; see CandidateEngine."""

    most_hits = MOST_HITS

    def __init__(self, index: Any, about: Approximation, *, writable: bool = True) -> None:
        """`index` lies in the machine's memory; it is searched on a GPU where FAISS sees one."""
        self.about = about
        self._writable = writable
        self._index = index

    @classmethod
    def open(cls, folder: Path, model_key: str, *, writable: bool = False) -> Self | None:
        """Return the index of a model's vectors in a folder, or None where there is no sound one.

        To one that is `writable` photos can be added; it is read into memory whole.
        """
        about = read_approximation(folder)
        if about is None or about.model_key != model_key:
            return None
        index = read_faiss(folder / APPROXIMATE_FILE, about.size_bytes, writable=writable)
        if index is None or (index.ntotal, index.d) != (about.entries, about.dim):
            return None
        return cls(index, about, writable=writable)

    def save(self, folder: Path) -> None:
        """Write the index, and the manifest that names the segments in it.

        Raises: OSError: the disk is full or cannot be written.
        """
        (folder / APPROXIMATE_MANIFEST).unlink(missing_ok=True)  # between the two writes there is none
        size_bytes, sha256 = write_faiss(self._index, folder / APPROXIMATE_FILE)
        self.about = replace(self.about, size_bytes=size_bytes, sha256=sha256)
        write_record(folder / APPROXIMATE_MANIFEST, self.about)

    def with_effort(self, effort: int, candidates: int) -> Self:
        """Return the same index, searched harder or less hard."""
        return type(self)(
            self._index, replace(self.about, effort=effort, candidates=candidates), writable=self._writable
        )

    @property
    def kind(self) -> str:
        """The kind: ivf or hnsw."""
        return self.about.kind

    @property
    def covers(self) -> Collection[str]:
        """The names of the segments in it."""
        return self.about.covers

    @property
    def recall(self) -> float:
        """Recall@10 as measured with text queries."""
        return self.about.recall

    @property
    def _searched(self) -> Any:
        return self._gpu_copy if self.about.lists and gpus() else self._index

    @cached_property
    def _gpu_copy(self) -> Any:
        return on_gpu(self._index)

    def answers(self, among: Ids | Left, photos: int) -> bool:
        """Tell whether it names candidates among so few of all photos; FAISS filters nothing on GPUs."""
        return len(among) > FILTERED_SHARE * photos and self._searched is self._index

    @property
    def most_effort(self) -> int:
        """The effort beyond which there is nothing to gain."""
        return self.about.lists or min(max(self.about.entries, 1), MOST_NODES)

    def candidates(self, queries: Floats, k: int, among: Among, share: float) -> Ids:
        """Return photo ids, (n, at least k) int64; -1 where there are fewer. See CandidateEngine."""
        ids = ids_left(among)
        selector = None if ids is None else id_selector(ids)
        count, effort = max(self.about.candidates, CANDIDATES_PER_HIT * k), self._effort(share)
        count = min(count, max(self.about.entries, 1))
        if self._searched is not self._index:
            count, effort = min(count, MOST_ON_GPU), min(effort, MOST_ON_GPU)
        parameters = self._parameters(effort, count, None if selector is None else selector[0])
        with nullcontext() if self._searched is self._index else GPU_ASKED:
            _, named = self._searched.search(np.ascontiguousarray(queries, np.float32), count, params=parameters)
        found: Ids = named
        return found

    def cost(self, k: int, share: float) -> Cost:
        """Return what `candidates` costs; for a graph a guess from the nodes that it keeps in mind."""
        effort, entries = self._effort(share), self.about.entries
        if self.about.lists:
            rows = min(entries, round(entries * effort / self.about.lists))
            how = f"{effort} of {self.about.lists} lists"
        else:
            rows, how = min(entries, effort * GRAPH_NEIGHBOURS), f"about {effort} steps through the graph"
        return Cost(rows=rows, bytes_read=round(rows * self.about.size_bytes / max(entries, 1)), how=how)

    def _effort(self, share: float) -> int:
        """Return the effort for a filter that leaves a share of the photos: its hits lie farther away."""
        return min(self.most_effort, round(self.about.effort / max(share, 0.01)))

    def _parameters(self, effort: int, count: int, selector: Any) -> Any:
        options = {} if selector is None else {"sel": selector}
        if self.about.lists:
            inner = faiss.SearchParametersIVF(nprobe=effort, **options)
            if isinstance(self._index, faiss.IndexPreTransform):
                return faiss.SearchParametersPreTransform(index_params=inner)
            return inner
        return faiss.SearchParametersHNSW(efSearch=max(effort, count), **options)

    def add(self, ids: Ids, vectors: Floats) -> None:
        """Add photos, (m,) and (m, d) float32, to the lists that they are nearest to, or to the graph.

        Which segments are covered then, `about` has to be told.

        Raises: ValueError: the index was not opened as writable.
        """
        if not self._writable:
            raise ValueError("the index is memory-mapped: open it with writable=True to add photos")
        with by_distance(inverted_lists(self._index) if self.about.lists else None):
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)
        self.about = replace(self.about, entries=int(self._index.ntotal))
        self.__dict__.pop("_gpu_copy", None)


def id_selector(ids: Ids) -> tuple[Any, Any]:
    """Return FAISS's selector of photo ids (m,), and the array that it reads, which has to outlive it."""
    chosen = np.zeros(int(ids[-1]) + 1 if len(ids) else 1, bool)
    chosen[ids] = True
    bits = np.packbits(chosen, bitorder="little")
    return faiss.IDSelectorBitmap(bits), bits


def inverted_lists(index: Any) -> Any:
    """Return the part of an index that holds inverted lists, or None."""
    try:
        return faiss.extract_index_ivf(index)
    except RuntimeError:
        return None


@contextmanager
def by_distance(ivf: Any) -> Iterator[None]:
    """Have photos put into the list of the nearest centroid meanwhile, not of that of the largest product.

    The lists are Voronoi cells, which a text then visits in the order of its products with their centroids. Without
    this the longest centroids would attract photos from afar. `ivf`: an index of inverted lists, or None.
    """
    quantizer = None if ivf is None else faiss.downcast_index(ivf.quantizer)
    if not isinstance(quantizer, faiss.IndexFlat):
        yield
        return
    nearest, probing = faiss.IndexFlatL2(ivf.d), ivf.quantizer
    nearest.add(quantizer.reconstruct_n(0, ivf.nlist))
    ivf.quantizer = nearest
    try:
        yield
    finally:
        ivf.quantizer = probing
        nearest.this.own(True)  # the assignment above gave it away


def gpus() -> int:
    """Return how many GPUs FAISS sees; its CPU build sees none, and a forked child cannot use its parent's."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") and not is_forked() else 0


def on_gpu(index: Any) -> Any:
    """Return a copy of an index on the first GPU, or the index itself where it cannot be there."""
    if not gpus():
        return index
    try:
        return faiss.index_cpu_to_gpu(gpu_resources(), 0, index)
    except RuntimeError:  # a kind that FAISS has only for CPUs, or too little memory there
        return index


@cache
def gpu_resources() -> Any:
    """Return FAISS's working memory on the GPU: one for all indexes."""
    return faiss.StandardGpuResources()
