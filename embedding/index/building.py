"""Which index a library gets; building it, measuring what it finds, and making it search until it finds enough."""

import os
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import faiss
import numpy as np

from base.arrays import Floats
from base.errors import LibraryError
from base.progress import Progress, Step, silent
from embedding.index.approximate import (
    LEAST_RECALL,
    ApproximateIndex,
    Approximation,
    CandidateEngine,
    by_distance,
    gpus,
    inverted_lists,
)
from embedding.index.photo_index import PhotoIndex

Kind = Literal["auto", "exact", "ivf", "hnsw"]
KINDS = ("auto", "exact", "ivf", "hnsw")
EXACT_SUFFICES = 250_000  # photos: of so many all are compared in about 10 ms, which nothing approximate is worth
SCALAR_BYTES = 32 << 20  # of one byte a dimension: up to here nothing is gained by shorter codes
MEMORY_SHARE = 0.5  # of the machine's memory that an index may take
POINTS_PER_LIST = 39  # fewer photos for a list than that make poor clusters, says FAISS


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexChoice:
    """What index a library should have: a kind, or a factory string of FAISS, and how much it must find.

    milvus: URI of a Milvus that names the candidates in place of a file. It may hold a password. remote_only: vectors
    are to lie there alone.

    Raises: LibraryError: a value makes no sense.
    """

    kind: Kind = "auto"
    factory: str | None = None
    least_recall: float = LEAST_RECALL
    milvus: str | None = None
    remote_only: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LibraryError(f"{self.kind!r} is no kind of index: choose {', '.join(KINDS)} or milvus:URI")
        if not 0 < self.least_recall <= 1:
            raise LibraryError(f"the least recall is {self.least_recall:g}: choose a value above 0 and up to 1")
        if self.factory is not None and self.kind in ("auto", "exact"):
            raise LibraryError(
                f"a factory string needs --kind ivf or hnsw, not {'milvus' if self.milvus else self.kind}"
            )
        if self.remote_only and self.milvus is None:
            raise LibraryError("--remote-only keeps vectors in Milvus alone: give --kind milvus:URI")
        if self.milvus is not None and not self.milvus.strip():
            raise LibraryError("milvus: needs a URI, such as milvus:http://localhost:19530 or milvus:photos.db")


def resolved(choice: IndexChoice, photos: int) -> Literal["exact", "ivf", "hnsw"]:
    """Return the kind of index that so many photos get."""
    if choice.milvus is not None:
        return "exact"  # the candidates come from Milvus
    if choice.kind == "auto":
        return "exact" if photos <= EXACT_SUFFICES else "ivf"
    return choice.kind if photos > POINTS_PER_LIST else "exact"


def factory_string(kind: Literal["ivf", "hnsw"], photos: int, dim: int, *, memory_bytes: int, gpu: bool) -> str:
    """Return FAISS's description of an index that suits so many vectors of `dim` dimensions.

    Lists: about 4 sqrt(photos), a power of 2. Codes: one byte a dimension (SQ8) while they are small, or on GPUs,
    which know nothing finer; else products of two dimensions in 4 bits each, which FAISS compares in registers
    (Andre et al. 2015, "Cache locality is not enough"), of four where memory is short.
    """
    if kind == "hnsw":
        return "HNSW32_SQ8"
    lists = 1
    while lists * 2 <= min(4 * photos**0.5, photos / POINTS_PER_LIST):
        lists *= 2
    if gpu or photos * dim <= SCALAR_BYTES or dim % 4:
        return f"IVF{lists},SQ8"
    short = photos * dim / 4 > memory_bytes * MEMORY_SHARE
    return f"IVF{lists},PQ{dim // 4 if short else dim // 2}x4fsr"


def building_flops(photos: int, dim: int) -> float:
    """Return about how many floating-point operations building inverted lists takes: k-means, then each photo's list.

    Half as many again as the products alone, for the codes and for measuring recall: 1,124,215 photos of 512 dimensions
    took 1.2 times their products on two cores.
    """
    lists = min(4 * photos**0.5, photos / POINTS_PER_LIST)
    return float(1.5 * 2 * dim * lists * (ROUNDS * lists * TRAINED_PER_LIST + photos))


def memory_bytes() -> int:
    """Return the machine's memory, in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # a system that does not say
        return 8 << 30


TRAINED_PER_LIST = 64
TRAINED_CODES = 65_536
ROUNDS = 8  # of k-means
GRAPH_CONSTRUCTION = 64  # efConstruction: nodes kept in mind while the graph grows
RAISE = 1.1  # the factor by which the effort is raised until enough is found
GAIN = 0.0005  # a raise that finds less than this more is not worth it: the codes are too coarse for the candidates
FEWEST_CANDIDATES, MOST_CANDIDATES = 256, 4096
RECALL_AT = 10
CLOSE = 1e-6  # scores nearer than this are equal: photos with the same bytes stand for each other
# Built anew once it holds this many times the photos, is searched this many times as hard, or this share is stale:
GROWN, HARDER, STALE = 2.0, 2.0, 0.1


def built(
    base: PhotoIndex,
    kind: Literal["ivf", "hnsw"],
    choice: IndexChoice,
    model_key: str,
    texts: Floats,
    progress: Progress = silent,
) -> ApproximateIndex:
    """Build an approximate index of all photos of `base` and raise its effort until it finds enough.

    `texts`: unit vectors of text queries, (q, d) float32, by which recall is measured. The same vectors give the
    same index. Raises: LibraryError: FAISS does not know the factory string, or cannot build it.
    """
    factory = choice.factory or factory_string(kind, len(base), base.dim, memory_bytes=memory_bytes(), gpu=gpus() > 0)
    about = Approximation(
        model_key=model_key,
        kind=kind,
        factory=factory,
        chosen=choice.factory,
        dim=base.dim,
        covers=base.base.names,
        least_recall=choice.least_recall,
    )
    start = time.monotonic()
    try:
        index = tuned(filled(train(factory, base, progress), about, base, progress), base, texts, progress)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LibraryError(
            f"FAISS cannot build {factory!r} from {len(base)} photos of {base.dim} dimensions ({reason}): "
            "choose another --factory, or leave it out"
        ) from error
    index.about = replace(
        index.about,
        trained_entries=index.about.entries,
        trained_effort=index.about.effort,
        seconds=round(time.monotonic() - start, 1),
    )
    return index


def filled(trained: Any, about: Approximation, base: PhotoIndex, progress: Progress) -> ApproximateIndex:
    """Return an index of all photos. Raises: LibraryError: it is of another kind than `about` says."""
    ivf = inverted_lists(trained)
    kind = "ivf" if ivf is not None else "hnsw" if hasattr(inner(trained), "hnsw") else "neither"
    if kind != about.kind:
        raise LibraryError(
            f"{about.factory!r} is no index of the kind {about.kind}: leave --factory out, or choose another --kind"
        )
    index = ApproximateIndex(trained, replace(about, lists=0 if ivf is None else int(ivf.nlist)))
    done = 0
    for ids, vectors in base.base.parts():
        index.add(ids, vectors.astype(np.float32))
        done += len(ids)
        progress(Step("indexing", done, len(base)))
    return index


def inner(index: Any) -> Any:
    """Return what an index that translates ids holds, or the index itself."""
    return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexIDMap) else index


def train(factory: str, base: PhotoIndex, progress: Progress) -> Any:
    """Return an empty index of FAISS that knows how the photos are spread."""
    index = faiss.index_factory(base.dim, factory, faiss.METRIC_INNER_PRODUCT)
    ivf = inverted_lists(index)
    if ivf is None:
        if hasattr(index, "hnsw"):
            index.hnsw.efConstruction = GRAPH_CONSTRUCTION
        index.train(base.sample(TRAINED_CODES))
        return faiss.IndexIDMap(index)
    sample = base.sample(max(ivf.nlist * TRAINED_PER_LIST, TRAINED_CODES))
    progress(Step("clustering", 0, len(sample)))
    if isinstance(index, faiss.IndexPreTransform):  # turns the vectors first: FAISS trains all of it
        index.train(sample)
        return index
    centroids = faiss.Kmeans(base.dim, ivf.nlist, niter=ROUNDS, seed=1, max_points_per_centroid=TRAINED_PER_LIST)
    centroids.cp.min_points_per_centroid = 1
    centroids.train(sample)
    probing = faiss.IndexFlatIP(base.dim)
    probing.add(centroids.centroids)
    ivf.quantizer, ivf.own_fields = probing, True  # which it owns from now on
    with by_distance(ivf):
        index.train(sample[:: max(1, len(sample) // TRAINED_CODES)])
    return index


def tuned(index: ApproximateIndex, base: PhotoIndex, texts: Floats, progress: Progress = silent) -> ApproximateIndex:
    """Return the index at the least effort at which it finds enough, by `recall_at_10`; `about` tells what it finds.

    Where no effort suffices, the manifest says so (`sound`), and the index is not used.
    """
    goal, trained = index.about.least_recall, index.about.trained_effort
    most = min(index.most_effort, round(HARDER * trained)) if trained else index.most_effort  # beyond it is built anew
    truth = best_scores(base, texts)
    effort, candidates, before = max(1, index.most_effort // 256 if index.about.lists else 16), FEWEST_CANDIDATES, -1.0
    effort = max(effort, trained)  # an index that has only grown is not searched less than before
    while True:
        found = recall_at_10(index.with_effort(effort, candidates), base, texts, truth)
        progress(Step("measuring", int(1000 * min(found / goal, 1)), 1000))
        if found >= goal or (effort >= most and candidates >= MOST_CANDIDATES):
            break
        if found - before < GAIN and candidates < MOST_CANDIDATES:
            candidates *= 2
        else:
            effort = min(most, round(effort * RAISE) + 1)
        before = found
    index = index.with_effort(effort, candidates)
    index.about = replace(index.about, recall=found, queries=len(texts))
    return index


def best_scores(base: PhotoIndex, texts: Floats) -> Floats:
    """Return the exact scores, (q, up to 10) float32, of the best photos for each text."""
    scores, _ = base.search(texts, RECALL_AT, exact=True)
    return scores


def recall_at_10(index: CandidateEngine, base: PhotoIndex, texts: Floats, truth: Floats) -> float:
    """Return the share of the 10 best photos of each text, by the exact scan, that an index finds.

    Photos of equal scores stand for each other. `truth`: see `best_scores`.
    """
    if not truth.size:
        return 1.0
    found = 0
    searched = base.with_engine(index)
    for text, best in zip(texts, truth, strict=True):
        scores, _ = searched.search(text[np.newaxis], RECALL_AT)
        found += int((scores[0] >= best[-1] - CLOSE).sum())
    return found / truth.size


def drift(about: Approximation, photos: int) -> str | None:
    """Return why an index that has grown should be built anew, or None.

    photos: how many can be found now; the index's entries beyond them are of photos that have vanished or changed.
    """
    if about.entries > GROWN * about.trained_entries:
        return f"it holds {about.entries} photos and was trained on {about.trained_entries}"
    if not about.sound:
        harder = about.effort / about.trained_effort
        return f"it finds only {about.recall:.1%}, searched {harder:.1f} times as hard as when it was built"
    if about.entries - photos > STALE * about.entries:
        return f"{about.entries - photos} of its {about.entries} photos have vanished or changed"
    return None
