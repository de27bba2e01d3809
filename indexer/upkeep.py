"""Keeping the index up to date with the vectors: the exact rows, and the approximate index that a library may have."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats, Halves, Ids
from base.console import megabytes
from base.errors import LibraryError
from base.progress import Progress, Step, silent
from base.settings import asset
from db.catalog import Catalog
from db.models import Model
from db.settings_rows import read_setting, write_setting
from db.vector_rows import EmbeddedRows, generation, shard_counts
from embedding.encoder import Encoder
from embedding.index.approximate import ApproximateIndex, Approximation, read_approximation, remove_approximation
from embedding.index.building import IndexChoice, built, drift, resolved, tuned
from embedding.index.exact import FaissIndex, IndexManifest, read_index_manifest
from embedding.index.milvus import Collection, absolute_uri, read_collection, shown_uri
from embedding.index.milvus_sync import CollectionContent, leave, sync
from embedding.index.photo_index import PhotoIndex, current_index, is_still_there
from embedding.store import VectorStore

MILVUS = "milvus:"


def probe_texts() -> list[str]:
    """Return the case study's 15 tags and 200 descriptions of hotel photos.

    By them the recall of an index is measured: texts' vectors lie apart from photos' vectors, so an index that finds
    photos by photos may still lose them by texts.
    """
    lines = asset("indexer/probes.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


INDEX_SETTING = "index"

Texts = Callable[[], Floats]  # gives the vectors of the texts that recall is measured by: loads a model


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

    @property
    def written(self) -> list[str]:
        """What was written, in words."""
        exact, about, lines = self.exact, self.approximation, []
        if self.rewritten:
            lines.append(f"index: {exact.count} photos, {exact.kind}, {megabytes(exact.size_bytes)}")
        if self.approximated and about is not None:
            lines.append(
                f"index: {about.entries} photos, {about.factory}, {megabytes(about.size_bytes)}, "
                f"recall@10 {about.recall:.4f}" + ("" if about.sound else ", which is too little: it is not used")
            )
        if self.milvus is not None and not self.problem:
            lines.append(f"index: {self.milvus.entries} photos in Milvus")
        return lines

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        why = f"the approximate index was built anew: {self.why}" if self.why else ""
        return [said for said in (why, self.problem) if said]

    def rows(self) -> list[tuple[str, str]]:
        """Return what stands, line by line."""
        about, milvus = self.approximation, self.milvus
        rows = [("exact", f"{self.exact.count} photos, {megabytes(self.exact.size_bytes)}")]
        if about is not None:
            found = f"recall@10 {about.recall:.4f} over {about.queries} text queries"
            effort = (
                f"visiting {about.effort} of {about.lists} lists"
                if about.lists
                else f"keeping {about.effort} nodes in mind"
            )
            rows += [
                (about.kind, f"{about.factory}, {about.entries} photos, {megabytes(about.size_bytes)}"),
                ("finds", found + ("" if about.sound else f": less than {about.least_recall:g}, so it is not used")),
                ("by", f"{effort}, {about.candidates} candidates compared exactly"),
            ]
        if milvus is not None:
            found = "every vector is compared" if milvus.exact else "recall@10 was not measured"
            if milvus.recall is not None:
                found = f"recall@10 {milvus.recall:.4f} over {milvus.queries} text queries"
            rows += [
                ("milvus", f"{shown_uri(milvus.uri)}, {milvus.entries} photos in {milvus.name}"),
                ("finds", found + ("" if milvus.sound else f": less than {milvus.least_recall:g}, so it is not used")),
                ("by", f"{milvus.candidates} candidates compared exactly" + unanswered(milvus.least_share)),
            ]
        return rows

    def __str__(self) -> str:
        return "\n".join(f"{name:8}{what}" for name, what in self.rows())

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        about, milvus = self.approximation, self.milvus
        there = milvus and asdict(milvus) | {"uri": shown_uri(milvus.uri)}
        return {
            "exact": asdict(self.exact),
            "approximate": about and asdict(about),
            "milvus": there,
            "why": self.why,
        }


def unanswered(least_share: float) -> str:
    """Return which filters Milvus does not answer, in words."""
    if least_share == 0:
        return ""
    few = "" if least_share >= 1 else f" that leave at most {least_share:.0%} of the photos"
    return f"; filters{few} are answered without it"


def index_choice(session: Session) -> IndexChoice:
    """Return what index the library should have."""
    kept = read_setting(session, INDEX_SETTING)
    return IndexChoice(**json.loads(kept)) if kept else IndexChoice()


def choose_index(session: Session, choice: IndexChoice) -> None:
    """Say what index the library should have; the caller commits."""
    write_setting(session, INDEX_SETTING, json.dumps(asdict(choice)))


def update_index(
    catalog: Catalog,
    session: Session,
    store: VectorStore,
    texts: Texts | None = None,
    *,
    choice: IndexChoice | None = None,
    rebuild: bool = False,
    progress: Progress = silent,
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
    model, where = catalog.model, catalog.folder.index(catalog.model.key)
    choice = choice or index_choice(session)
    if texts is None and (left := usable(where, model.key)) is not None:
        return left
    rows = exact_rows(session, where, model, store, progress)
    if choice.milvus is not None:
        content = CollectionContent(base=rows.base, exact=rows.exact, fresh=came_since(session, model, store, rows))
        report = synced(rows, content, choice, texts, progress, rebuild)
        remove_approximation(where)
        return report
    report = approximated(rows, choice, texts, progress, rebuild)
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


def exact_rows(session: Session, where: Path, model: Model, store: VectorStore, progress: Progress) -> Rows:
    """Bring the exact index up to date and return it."""
    now = generation(session, model)
    exact = FaissIndex.open(where, now)
    if exact is not None and exact.manifest is not None:
        return Rows(where=where, base=PhotoIndex(exact), exact=exact.manifest, rewritten=False)
    progress(Step("building the index", 0))
    older = current_index(where, store, model.key, EmbeddedRows(session, model))
    before = older.base.manifest
    exact = older.base if older.rebuilt else FaissIndex.build(model.dim, older.parts())
    last_shard, last_stamp = newest_shard(session, model, store)
    written = exact.save(where, model_key=model.key, generation=now, last_shard=last_shard, last_stamp=last_stamp)
    if before is None:  # built anew from the shards
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


def reindex(
    catalog: Catalog,
    store: VectorStore,
    encoder: Encoder,
    change: Callable[[IndexChoice], IndexChoice] = lambda choice: choice,
    *,
    rebuild: bool = False,
    progress: Progress = silent,
) -> IndexReport:
    """Bring a library's index up to date, after changing what index it should have.

    The choice is kept once the index stands. The model is loaded only where recall has to be measured.

    Raises: LibraryError: another process works on the library, the disk is full, or FAISS cannot build the choice.
    """
    with catalog.writing() as session:
        choice = change(index_choice(session))
        report = update_index(
            catalog,
            session,
            store,
            lambda: encoder.encode_texts(probe_texts()),
            choice=choice,
            rebuild=rebuild,
            progress=progress,
        )
        choose_index(session, choice)  # last: building takes minutes, and others want to write meanwhile
        session.commit()
    return report


def changed_choice(
    choice: IndexChoice, kind: str | None = None, factory: str | None = None, least_recall: float | None = None
) -> IndexChoice:
    """Return a choice of index, changed; another kind forgets the factory string.

    `kind`: auto, exact, ivf, hnsw, or milvus:URI. Raises: LibraryError: a value makes no sense.
    """
    if kind is not None and kind.startswith(MILVUS):
        uri = absolute_uri(kind.removeprefix(MILVUS))
        choice = replace(choice, kind="auto", factory=factory, milvus=uri)
    elif kind is not None:
        choice = replace(choice, kind=kind, factory=factory, milvus=None)  # type: ignore[arg-type] # checks it
    elif factory is not None:
        choice = replace(choice, factory=factory)
    return choice if least_recall is None else replace(choice, least_recall=least_recall)
