"""The index as it has to be now: the file's, brought up to date where photos came or went since it was written."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from embedding.index.approximate import APPROXIMATE_MANIFEST, ApproximateIndex, read_approximation
from embedding.index.engine import CandidateEngine
from embedding.index.exact import FaissIndex
from embedding.index.manifest import MANIFEST_FILE, Manifest, read_manifest
from embedding.index.milvus import MILVUS_MANIFEST, MilvusEngine, read_collection
from embedding.index.photo_index import PhotoIndex
from embedding.store import Ids, Vectors16, VectorStore

REBUILT = "there was no sound index, so one was built in memory: `aliens index` writes it"
COMPARES_ALL = "so every photo is compared: `aliens index` brings it up to date"

Places = Iterator[tuple[int, list[int]]]  # shard number, rows


class EmbeddedRows(Protocol):
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


def current_index(folder: Path, store: VectorStore, model_key: str, rows: EmbeddedRows) -> PhotoIndex:
    """Return an index of exactly the photos that can be found now.

    A file that is older than the vectors is used all the same: vectors that came later are compared beside it, and
    photos that have vanished are masked. Without a sound file the index is built in memory, and its `note` says so.
    An approximate index beside it names candidates only where it was made of the same vectors as the file.

    Raises: LibraryError: a shard that is needed is absent or damaged.
    """
    manifest, base = read_manifest(folder), FaissIndex.open(folder)
    if base is None or manifest is None or manifest.model_key != model_key or base.dim != store.dim:
        return in_memory(store, rows)
    if manifest.generation != rows.generation and not is_still_there(store, manifest):
        return in_memory(store, rows)
    engine, problem = named_by_milvus(folder, manifest) or approximation(folder, manifest)
    if manifest.generation == rows.generation:
        return noting(PhotoIndex(base, engine=engine, note=problem))
    return noting(topped_up(store, rows, base, manifest).with_engine(engine, note=problem))


def named_by_milvus(folder: Path, manifest: Manifest) -> tuple[CandidateEngine | None, str] | None:
    """Return the same as `approximation` of a collection in Milvus, without a connection; None where there is none."""
    about = read_collection(folder)
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


def approximation(folder: Path, manifest: Manifest) -> tuple[CandidateEngine | None, str]:
    """Return the engine that names candidates for an index, if there is one, and what to say where it is of no use."""
    about = read_approximation(folder)
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


def in_memory(store: VectorStore, rows: EmbeddedRows) -> PhotoIndex:
    """Build an index from all shards."""
    built = FaissIndex.build(store.dim, store.gather(rows.places()))
    return PhotoIndex(built, rebuilt=True, note=REBUILT if len(built) else "")


def is_still_there(store: VectorStore, manifest: Manifest) -> bool:
    """Tell whether the newest shard of an index is still the one it was built from."""
    try:
        return manifest.last_shard > 0 and store.stamp(manifest.last_shard) == manifest.last_stamp
    except OSError:
        return False


def topped_up(store: VectorStore, rows: EmbeddedRows, base: FaissIndex, manifest: Manifest) -> PhotoIndex:
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


def together(store: VectorStore, places: Iterable[tuple[int, list[int]]]) -> tuple[Ids, Vectors16]:
    """Return the named rows as ids (n,) and vectors (n, d)."""
    parts = list(store.gather(places))
    if not parts:
        return np.empty(0, np.int64), np.empty((0, store.dim), np.float16)
    ids, vectors = zip(*parts, strict=True)
    return np.concatenate(ids), np.concatenate(vectors)
