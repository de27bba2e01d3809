"""The index of a library: what stands, the approximate one that is built when asked for, and when that is worth it.

The vectors themselves are the exact index, so nothing has to be done for photos to be found.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats
from base.console import counted, megabytes
from base.errors import LibraryError
from base.progress import Progress, Step, silent
from base.settings import asset
from db.catalog import Catalog
from db.settings_rows import read_setting_as, write_setting
from db.vector_rows import EmbeddedRows, recorded_ids, segments_of
from embedding.encoder import Encoder
from embedding.index.approximate import (
    ApproximateIndex,
    Approximation,
    approximation_problem,
    read_approximation,
    remove_approximation,
)
from embedding.index.building import (
    EXACT_SUFFICES,
    GROWN,
    IndexChoice,
    building_flops,
    built,
    drift,
    resolved,
    tuned,
)
from embedding.index.milvus import Collection, absolute_uri, read_collection, shown_uri, write_collection
from embedding.index.milvus_fields import FieldSource
from embedding.index.milvus_rows import bring_rows_back, keep_rows_there
from embedding.index.milvus_sync import leave, sync
from embedding.index.photo_index import PhotoIndex
from embedding.opened_segment import BLOCK_ROWS, RemoteSegment
from embedding.segments import SegmentStore, Vectors
from indexer.merging import merge, merge_due

MILVUS = "milvus:"
INNER = {"units", "alive", "parts", "digests", "stamps", "sending", "sent"}  # of a collection's record: told to nobody


def probe_texts() -> list[str]:
    """Return the case study's 15 tags and 200 descriptions of hotel photos.

    By them the recall of an index is measured: texts' vectors lie apart from photos' vectors, so an index that finds
    photos by photos may still lose them by texts.
    """
    lines = asset("indexer/probes.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


INDEX_SETTING = "index"

Fields = Callable[[Session], FieldSource]
Texts = Callable[[], Floats]  # gives the vectors of the texts that recall is measured by: loads a model


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexReport:
    """What index a library has, and what bringing it up to date did.

    photos, segments, size_bytes: of the vectors, which are the exact index. approximation: the approximate one, None
    for none; beside: how many photos it, or the collection in Milvus, does not cover. written: whether that was built,
    extended or sent just now. why: what made the approximate one be built anew. milvus: the collection in Milvus, None
    for none; problem: why Milvus could not be brought up to date, so that searching compares every photo. advice: when
    building it would be worth the time.
    """

    photos: int
    segments: int
    size_bytes: int
    approximation: Approximation | None = None
    milvus: Collection | None = None
    beside: int = 0
    written: bool = False
    why: str = ""
    problem: str = ""
    advice: str = ""

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        why = f"the approximate index was built anew: {self.why}" if self.why else ""
        return [said for said in (why, self.problem, self.advice) if said]

    def rows(self) -> list[tuple[str, str]]:
        """Return what stands, line by line."""
        about, milvus = self.approximation, self.milvus
        segments = counted(self.segments, "segment")
        rows = [("exact", f"{counted(self.photos, 'photo')} in {segments}, {megabytes(self.size_bytes)}")]
        if about is not None:
            found = f"recall@10 {about.recall:.4f} over {about.queries} text queries"
            effort = (
                f"visiting {about.effort} of {about.lists} lists"
                if about.lists
                else f"keeping {about.effort} nodes in mind"
            )
            rows += [
                (about.kind, f"{about.factory}, {counted(about.entries, 'photo')}, {megabytes(about.size_bytes)}"),
                ("finds", found + ("" if about.sound else f": less than {about.least_recall:g}, so it is not used")),
                ("by", f"{effort}, {about.candidates} candidates compared exactly"),
            ]
        if milvus is not None:
            found = "every vector is compared" if milvus.exact else "recall@10 was not measured"
            if milvus.recall is not None:
                found = f"recall@10 {milvus.recall:.4f} over {milvus.queries} text queries"
            away = f", {counted(len(milvus.remote), 'segment')} there alone" if milvus.remote else ""
            rows += [
                ("milvus", f"{shown_uri(milvus.uri)}, {counted(milvus.entries, 'photo')} in {milvus.name}{away}"),
                ("finds", found + ("" if milvus.sound else f": less than {milvus.least_recall:g}, so it is not used")),
                ("by", f"{milvus.candidates} candidates compared exactly" + unanswered(milvus.least_share)),
            ]
        if self.beside:
            rows.append(("beside", f"{counted(self.beside, 'photo')} came later and are compared exactly"))
        return rows

    def __str__(self) -> str:
        return "\n".join(f"{name:8}{what}" for name, what in self.rows())

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        about, milvus = self.approximation, self.milvus
        there = milvus and {name: value for name, value in asdict(milvus).items() if name not in INNER}
        there = there and there | {"uri": shown_uri(milvus.uri) if milvus else ""}
        return {
            "exact": {"photos": self.photos, "segments": self.segments, "size_bytes": self.size_bytes},
            "approximate": about and asdict(about),
            "milvus": there,
            "beside": self.beside,
            "why": self.why,
        }


def unanswered(least_share: float) -> str:
    """Return which filters Milvus does not answer, in words."""
    if least_share == 0:
        return ""
    few = "" if least_share >= 1 else f" that leave at most {least_share:.0%} of the photos"
    return f"; filters{few} are answered without it"


def index_choice(session: Session) -> IndexChoice:
    """Return what index the library should have. Raises: DamagedDatabaseError: what is kept makes no sense."""
    return read_setting_as(session, INDEX_SETTING, IndexChoice) or IndexChoice()


def choose_index(session: Session, choice: IndexChoice) -> None:
    """Say what index the library should have; the caller commits."""
    write_setting(session, INDEX_SETTING, json.dumps(asdict(choice)))


SIDE = 512  # of the matrices by whose product the machine's speed is known
WORTH_SHARE = 0.25  # of the photos, beside an approximate index: then building it anew is worth the time


def index_report(catalog: Catalog, session: Session, store: SegmentStore) -> IndexReport:
    """Return what index stands, and when it is worth building. Reads manifests alone."""
    model, where = catalog.model, catalog.folder.index(catalog.model.key)
    files, choice = segments_of(session, model, restyled=False), index_choice(session)
    photos, milvus, about = sum(file.alive for file in files), read_collection(where), read_approximation(where)
    covers = milvus.covers if milvus is not None else about.covers if about is not None else ()
    beside = sum(file.alive for file in files if file.name not in covers)
    stale = "" if about is None or not about.sound else drift(about, photos - beside) or ""
    report = IndexReport(
        photos=photos,
        segments=len(files),
        size_bytes=sum(file.size_bytes for file in files if milvus is None or file.name not in milvus.remote),
        approximation=about,
        milvus=milvus,
        beside=0 if milvus is None and about is None else beside,
    )
    return replace(report, advice=advice(report, choice, model.dim, stale))


def advice(report: IndexReport, choice: IndexChoice, dim: int, stale: str = "") -> str:
    """Return whether, and for how many minutes, building the index that was chosen would be worth it; else nothing.

    stale: why the approximate index may find less than was measured, if it may. One that did not find enough is not
    advised again until the library is twice as large.
    """
    about, photos = report.approximation, report.photos
    if choice.milvus is not None:
        said = (
            f"{counted(report.beside, 'photo')} are not in Milvus yet and are compared here: `aliens index` sends them"
        )
        return said if report.beside else ""
    kind = resolved(choice, photos)
    if kind == "exact":
        return ""
    cost = f"`aliens index` builds one of all photos in {minutes(build_s(about, photos, dim))}"
    if about is None:
        return f"every photo is compared, for want of an approximate index: {cost}"
    if not about.sound:
        return (
            f"the library has grown, so another try may find enough: {cost}" if photos > GROWN * about.entries else ""
        )
    if stale:
        return f"the {kind} index may find less than was measured, since {stale}: {cost}"
    if report.beside > max(WORTH_SHARE * photos, EXACT_SUFFICES / GROWN):
        return f"{counted(report.beside, 'photo')} came after the {kind} index and are compared beside it: {cost}"
    return ""


def build_s(about: Approximation | None, photos: int, dim: int) -> float:
    """Return about how long building an approximate index takes, in seconds: by the last time, or by the arithmetic."""
    if about is not None and about.seconds and about.trained_entries:
        return about.seconds * photos / about.trained_entries
    square = np.ones((SIDE, SIDE), np.float32)
    start = time.perf_counter()
    square @ square
    return building_flops(photos, dim) / (2 * SIDE**3 / (time.perf_counter() - start))


def minutes(seconds: float) -> str:
    """Return a span of time in words."""
    return "less than a minute" if seconds < 60 else f"about {counted(round(seconds / 60), 'minute')}"


def approximated(
    base: PhotoIndex, where: Path, choice: IndexChoice, model_key: str, texts: Texts, progress: Progress, rebuild: bool
) -> tuple[bool, str]:
    """Bring the approximate index up to date; return whether it was written, and why it was built anew."""
    kind, about = resolved(choice, len(base)), read_approximation(where)
    if kind == "exact":
        remove_approximation(where)
        return False, ""
    wanted = about is not None and suits(about, choice, kind, model_key) and not rebuild
    if wanted and about is not None and is_as_it_should_be(about, base, where, model_key):
        return False, ""
    index, why = extended(base, where, model_key, texts, progress) if wanted else (None, "")
    if index is None:
        index = built(base, kind, choice, model_key, texts(), progress)
    index.save(where)
    return True, why


def is_as_it_should_be(about: Approximation, base: PhotoIndex, where: Path, model_key: str) -> bool:
    """Tell whether there is nothing to build: all is covered, or it did not find enough and little has changed."""
    if approximation_problem(where) is not None or ApproximateIndex.open(where, model_key) is None:
        return False
    if not about.sound:
        return len(base) <= GROWN * about.entries
    return not len(base.base.without(about.covers)) and drift(about, len(base)) is None


def suits(about: Approximation, choice: IndexChoice, kind: str, model_key: str) -> bool:
    """Tell whether an approximate index is what was chosen."""
    is_of = (about.kind, about.chosen, about.model_key, about.least_recall)
    return is_of == (kind, choice.factory, model_key, choice.least_recall)


def extended(
    base: PhotoIndex, where: Path, model_key: str, texts: Texts, progress: Progress
) -> tuple[ApproximateIndex | None, str]:
    """Return the approximate index with the photos that came since, or None and why it has to be built anew."""
    index = ApproximateIndex.open(where, model_key, writable=True)
    if index is None or approximation_problem(where) is not None:
        return None, "it was damaged"
    if not index.about.sound:
        return None, f"the library has grown since it found only {index.about.recall:.1%}"
    later = base.base.without(index.about.covers)
    why, done = drift(replace(index.about, entries=index.about.entries + len(later)), len(base)), 0
    if why is not None:
        return None, why
    for ids, vectors in later.parts():
        index.add(ids, vectors.astype(np.float32))
        done += len(ids)
        progress(Step("indexing", done, len(later)))
    index.about = replace(index.about, covers=base.base.names)
    index = tuned(index, base, texts(), progress)
    why = drift(index.about, len(base))
    return (index, "") if why is None else (None, why)


def reindex(
    catalog: Catalog,
    store: SegmentStore,
    encoder: Encoder,
    change: Callable[[IndexChoice], IndexChoice] = lambda choice: choice,
    *,
    fields: Fields | None = None,
    rebuild: bool = False,
    progress: Progress = silent,
) -> IndexReport:
    """Bring a library's index up to date, after changing what index it should have.

    The choice is kept once the index stands. The model is loaded only where recall has to be measured. `fields` gives
    what Milvus is told of photos besides their vectors.

    Raises: LibraryError: another process works on the library, the disk is full, or FAISS cannot build the choice.
    """
    model, where = catalog.model, catalog.folder.index(catalog.model.key)

    def texts() -> Floats:
        return encoder.encode_texts(probe_texts())

    with catalog.writing() as session:
        before = index_choice(session)
        choice = change(before)
        if not (choice.remote_only and (choice.milvus, rebuild) == (before.milvus, False)):
            bring_back(catalog, session, store, progress)
        merge_due(catalog, session, store)
        if choice.remote_only:
            drop_orphans(catalog, session, store)
        base, why, problem = PhotoIndex(store.current(EmbeddedRows(session, model))), "", ""
        if choice.milvus is not None:
            every = Vectors(base.dim, base.base.segments, [None] * len(base.base.segments))
            rows = every if choice.remote_only else None
            send = partial(
                sync, rows=rows, fields=fields(session) if fields else None, rebuild=rebuild, progress=progress
            )
            written, problem = synced(base, where, choice, model.key, texts, send)
            remove_approximation(where)
            if choice.remote_only and not problem:
                written |= keep_away(catalog, session, store, where, choice, progress)
        else:
            written, why = approximated(base, where, choice, model.key, texts, progress, rebuild)
            leave(where)  # last: what stood before serves until the other stands
        choose_index(session, choice)  # last: building takes minutes, and others want to write meanwhile
        session.commit()
        report = index_report(catalog, session, store)
    return replace(report, written=written, why=why, problem=problem)


def keep_away(
    catalog: Catalog, session: Session, store: SegmentStore, where: Path, choice: IndexChoice, progress: Progress
) -> bool:
    """Have vectors lie in Milvus alone; return whether any lay here. What says that they shall is kept before.

    Raises: LibraryError: the collection does not find what it should, or gives back other vectors than were sent.
    """
    about = read_collection(where)
    if about is None or not about.sound:
        found = "was not measured" if about is None or about.recall is None else f"is {about.recall:.1%}"
        raise LibraryError(
            f"the recall of the collection {found}, so vectors stay here: `aliens index` with a lower --least-recall "
            "makes do with it"
        )
    choose_index(session, choice)
    session.commit()
    files = segments_of(session, catalog.model, restyled=False)
    here = [file for file in files if store.path(file.name).exists()]
    keep_rows_there(where, store, files, progress)
    return bool(here)


def bring_back(catalog: Catalog, session: Session, store: SegmentStore, progress: Progress) -> None:
    """Have vectors here again that lie in Milvus alone. Raises: LibraryError: they cannot be had; nothing is lost."""
    model, where = catalog.model, catalog.folder.index(catalog.model.key)

    def rewrite(segment: RemoteSegment) -> None:
        ids = recorded_ids(session, model, segment.name)
        for start in range(0, len(ids), BLOCK_ROWS):  # all of them are as they were
            segment.rows.strict(segment.rows_of(ids[start : start + BLOCK_ROWS])[0])
        merge(catalog, session, store, [(segment, ids)])

    bring_rows_back(store, segments_of(session, model, restyled=False), rewrite, progress)
    about = read_collection(where)
    if about is not None and about.remote:
        write_collection(where, replace(about, remote=()))


def drop_orphans(catalog: Catalog, session: Session, store: SegmentStore) -> None:
    """Write segments anew that have rows which are nobody's: a photo has one row in Milvus."""
    for file in segments_of(session, catalog.model, restyled=False):
        if file.alive < file.rows and not store.is_remote(file.name):
            ids = recorded_ids(session, catalog.model, file.name)
            if len(ids) < file.rows:
                merge(catalog, session, store, [(store.open(file), ids)])


def synced(
    base: PhotoIndex,
    where: Path,
    choice: IndexChoice,
    model_key: str,
    texts: Texts,
    send: Callable[..., tuple[Collection, bool]],
) -> tuple[bool, str]:
    """Bring the collection in Milvus up to date; return whether that took writing, and what went wrong.

    Raises: LibraryError: a Milvus that has just been chosen gives no answer.
    """
    about = read_collection(where)
    try:
        _, written = send(where, base, model_key, choice, texts=texts)
    except LibraryError as error:
        if about is None or about.uri != absolute_uri(choice.milvus or ""):
            raise
        return False, str(error)
    return written, ""


def changed_choice(
    choice: IndexChoice,
    kind: str | None = None,
    factory: str | None = None,
    least_recall: float | None = None,
    remote_only: bool = False,
) -> IndexChoice:
    """Return a choice of index, changed; another kind forgets the factory string, and that vectors lie elsewhere.

    `kind`: auto, exact, ivf, hnsw, or milvus:URI. Raises: LibraryError: a value makes no sense.
    """
    if kind is not None and kind.startswith(MILVUS):
        uri = absolute_uri(kind.removeprefix(MILVUS))
        choice = replace(choice, kind="auto", factory=factory, milvus=uri, remote_only=remote_only)
    elif kind is not None:
        choice = replace(choice, kind=kind, factory=factory, milvus=None, remote_only=remote_only)  # type: ignore[arg-type] # checks it
    elif factory is not None:
        choice = replace(choice, factory=factory, remote_only=choice.remote_only or remote_only)
    elif remote_only:
        choice = replace(choice, remote_only=True)
    return choice if least_recall is None else replace(choice, least_recall=least_recall)
