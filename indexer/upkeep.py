"""Keeping the index up to date with the vectors: the exact rows, and the approximate index that a library may have."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats, Halves, Ids
from base.errors import LibraryError
from base.settings import LibraryFolder, asset
from db.catalog import disk_errors, disposing, new_session, open_library, writing
from db.models import Model
from db.settings_rows import read_setting, write_setting
from db.vector_rows import EmbeddedRows, current_model, generation, shard_counts
from embedding.index.approximate import ApproximateIndex, Approximation, read_approximation, remove_approximation
from embedding.index.building import IndexChoice, Progress, built, drift, nothing, resolved, tuned
from embedding.index.exact import FaissIndex, IndexManifest, read_index_manifest
from embedding.index.milvus import Collection, absolute_uri, read_collection
from embedding.index.milvus_sync import CollectionContent, leave, sync
from embedding.index.photo_index import PhotoIndex, current_index, is_still_there
from embedding.store import VectorStore

PROBES_FILE = "probes.txt"


def probe_texts() -> list[str]:
    """Return the case study's 15 tags and 200 descriptions of hotel photos.

    Raises: AliensError: CV-Aliens runs outside a checkout.
    """
    lines = (asset("indexer/probes.txt")).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


INDEX_SETTING = "index"

Texts = Callable[[], Floats]  # gives the vectors of the texts that recall is measured by: loads a model


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexHooks:
    """What the caller is told meanwhile."""

    starting: Callable[[], None] = lambda: None
    progress: Progress = nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexReport:
    """What bringing the index up to date did.

    exact, approximation: what stands now, None for no approximate index. rewritten, approximated: which of the two
    were written. why: what made the approximate one be built anew. milvus: the collection in Milvus, None for none;
    problem: why Milvus could not be brought up to date, so that searching compares every photo.
    """

    exact: IndexManifest
    rewritten: bool
    approximation: Approximation | None = None
    approximated: bool = False
    why: str = ""
    milvus: Collection | None = None
    problem: str = ""


def index_choice(session: Session) -> IndexChoice:
    """Return what index the library should have."""
    kept = read_setting(session, INDEX_SETTING)
    return IndexChoice(**json.loads(kept)) if kept else IndexChoice()


def choose_index(session: Session, choice: IndexChoice) -> None:
    """Say what index the library should have; the caller commits."""
    write_setting(session, INDEX_SETTING, json.dumps(asdict(choice)))


def update_index(
    session: Session,
    folder: LibraryFolder,
    model: Model,
    store: VectorStore,
    texts: Texts | None = None,
    *,
    choice: IndexChoice | None = None,
    hooks: IndexHooks | None = None,
    rebuild: bool = False,
) -> IndexReport:
    """Bring the index up to date with the vectors.

    What an older file holds is taken from it; only vectors that came since are read from their shards. `texts` is
    called only when recall has to be measured. Without it an approximate index cannot grow; it stays as it is, with
    the exact one that it belongs to, and searching compares beside it what came since. `choice`: what the library
    should have, by default what was chosen before. With `rebuild` the approximate index is built anew even where it
    need not be.

    Raises:
        LibraryError: a shard is absent or damaged, FAISS cannot build what was chosen, or a Milvus that has just
            been chosen gives no answer; where one stops answering later, the report tells the problem.
        OSError: the disk is full or cannot be written.
    """
    hooks, where = hooks or IndexHooks(), folder.index(model.key)
    choice = choice or index_choice(session)
    if texts is None and (left := usable(where, model.key)) is not None:
        return left
    rows = exact_rows(session, where, model, store, hooks)
    if choice.milvus is not None:
        content = CollectionContent(base=rows.base, exact=rows.exact, fresh=came_since(session, model, store, rows))
        report = synced(rows, content, choice, texts, hooks.progress, rebuild)
        remove_approximation(where)
        return report
    report = approximated(rows, choice, texts, hooks.progress, rebuild)
    leave(where)  # last: what stood before serves until the other stands
    return report


def approximated(
    rows: "Rows", choice: IndexChoice, texts: Texts | None, progress: Progress, rebuild: bool
) -> IndexReport:
    """Bring the approximate index up to date; see `update_index`."""
    kind, about = resolved(choice, len(rows.base)), read_approximation(rows.where)
    if kind == "exact":
        remove_approximation(rows.where)
        about = None
    if kind == "exact" or texts is None:
        return IndexReport(exact=rows.exact, rewritten=rows.rewritten, approximation=about)
    model_key = rows.exact.model_key
    wanted = about is not None and suits(about, choice, kind, model_key) and not rebuild
    if wanted and ApproximateIndex.open(rows.where, model_key, rows.exact.generation) is not None:
        return IndexReport(exact=rows.exact, rewritten=rows.rewritten, approximation=about)
    index, why = extended(rows, texts, progress) if wanted else (None, "")
    if index is None:
        index = built(rows.base, kind, choice, model_key, texts(), progress)
    index.save(rows.where, rows.exact.generation)
    return IndexReport(
        exact=rows.exact, rewritten=rows.rewritten, approximation=index.about, approximated=True, why=why
    )


def usable(where: Path, model_key: str) -> IndexReport | None:
    """Return an exact and an approximate index that belong together, be they older than the vectors; else None."""
    manifest, about = read_index_manifest(where), read_approximation(where)
    if manifest is None or about is None or FaissIndex.open(where, manifest.generation) is None:
        return None
    if ApproximateIndex.open(where, model_key, manifest.generation) is None:
        return None
    return IndexReport(exact=manifest, rewritten=False, approximation=about)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The exact index as it is now.

    extra: what has come to it, ids (m,) and vectors (m, d), since it was of the generation `before`; None where that
    is not known, since it was built anew.
    """

    where: Path
    base: PhotoIndex
    exact: IndexManifest
    rewritten: bool
    before: int = -1
    extra: tuple[Ids, Halves] | None = None


def exact_rows(session: Session, where: Path, model: Model, store: VectorStore, hooks: IndexHooks) -> Rows:
    """Bring the exact index up to date and return it."""
    now, before = generation(session, model), read_index_manifest(where)
    exact = FaissIndex.open(where, now)
    if exact is not None and before is not None:
        return Rows(where=where, base=PhotoIndex(exact), exact=before, rewritten=False)
    hooks.starting()
    older = current_index(where, store, model.key, EmbeddedRows(session, model))
    exact = older.base if older.rebuilt else FaissIndex.build(model.dim, older.parts())
    last_shard, last_stamp = newest_shard(session, model, store)
    written = exact.save(where, model_key=model.key, generation=now, last_shard=last_shard, last_stamp=last_stamp)
    if older.rebuilt or before is None:
        return Rows(where=where, base=PhotoIndex(exact), exact=written, rewritten=True)
    return Rows(
        where=where,
        base=PhotoIndex(exact),
        exact=written,
        rewritten=True,
        before=before.generation,
        extra=older.extra,
    )


def newest_shard(session: Session, model: Model, store: VectorStore) -> tuple[int, int]:
    """Return the number and the stamp of the newest shard; 0 and 0 where there is none, or none that can be read."""
    last_shard = max(shard_counts(session, model), default=0)
    try:
        return (last_shard, store.stamp(last_shard)) if last_shard else (0, 0)
    except OSError:
        return 0, 0


def came_since(session: Session, model: Model, store: VectorStore, rows: Rows) -> Ids | None:
    """Return the photos whose vectors are newer than the collection in Milvus, (m,), None where that is unknown."""
    about = read_collection(rows.where)
    if about is None:
        return None
    last = replace(rows.exact, last_shard=about.last_shard, last_stamp=about.last_stamp)
    if not is_still_there(store, last):
        return None
    places = EmbeddedRows(session, model).places(after=about.last_shard)
    return np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in store.gather(places))])


def synced(
    rows: Rows, content: CollectionContent, choice: IndexChoice, texts: Texts | None, progress: Progress, rebuild: bool
) -> IndexReport:
    """Bring the collection in Milvus up to date; see `update_index`."""
    about = read_collection(rows.where)
    try:
        now, written = sync(rows.where, content, choice, texts=texts, progress=progress, rebuild=rebuild)
    except LibraryError as error:
        if about is None or about.uri != absolute_uri(choice.milvus or ""):
            raise
        return IndexReport(exact=rows.exact, rewritten=rows.rewritten, milvus=about, problem=str(error))
    return IndexReport(exact=rows.exact, rewritten=rows.rewritten, approximated=written, milvus=now)


def suits(about: Approximation, choice: IndexChoice, kind: str, model_key: str) -> bool:
    """Tell whether an approximate index is what was chosen."""
    is_of = (about.kind, about.chosen, about.model_key, about.least_recall)
    return is_of == (kind, choice.factory, model_key, choice.least_recall)


def extended(rows: Rows, texts: Texts, progress: Progress) -> tuple[ApproximateIndex | None, str]:
    """Return the approximate index with the photos that came since, or None and why it has to be built anew."""
    if rows.extra is None:
        return None, "it was damaged, or older than the exact one"
    index = ApproximateIndex.open(rows.where, rows.exact.model_key, rows.before, writable=True)
    if index is None:
        return None, "it was damaged, or older than the exact one"
    ids, vectors = rows.extra
    if len(ids):
        index.add(ids, vectors.astype(np.float32))
    why = drift(index.about, len(rows.base))
    if why is None:
        index = tuned(index, rows.base, texts(), progress)
        why = drift(index.about, len(rows.base))
    return (index, "") if why is None else (None, why)


class TextEncoder(Protocol):
    """What measuring an index needs of an encoder."""

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors (n, d) of texts."""
        ...


def reindex(
    folder: LibraryFolder,
    load_encoder: Callable[[Model], TextEncoder],
    change: Callable[[IndexChoice], IndexChoice] = lambda choice: choice,
    *,
    hooks: IndexHooks | None = None,
    rebuild: bool = False,
) -> IndexReport:
    """Bring a library's index up to date, after changing what index it should have.

    The choice is kept once the index stands. `load_encoder` is called only where recall has to be measured.

    Raises: LibraryError: another process works on the library, the disk is full, or FAISS cannot build the choice.
    """
    with (
        disk_errors(folder),
        disposing(open_library(folder)) as engine,
        writing(folder),
        new_session(engine) as session,
    ):
        model = current_model(session)
        choice = change(index_choice(session))
        report = update_index(
            session,
            folder,
            model,
            VectorStore(folder.vectors(model.key), model.dim),
            lambda: load_encoder(model).encode_texts(probe_texts()),
            choice=choice,
            hooks=hooks,
            rebuild=rebuild,
        )
        choose_index(session, choice)  # last: building takes minutes, and others want to write meanwhile
        session.commit()
    return report
