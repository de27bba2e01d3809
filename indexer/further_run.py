"""A run that gives the photos of a library vectors of a model which is not in use, beside searches, tags and exports.

Photos are read, grouped and encoded as in `indexer.pipeline`, in the order of their ids, so that their vectors are bit
for bit those of a library that was made by this model alone. The library's lock is held only while a batch is recorded,
and waited for where another process has it. What is known of photos is not touched.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import compress

import numpy as np
from sqlalchemy.orm import Session

from base.errors import LibraryBusyError
from base.files import PhotoFile
from base.progress import Progress, Step
from db.catalog import Catalog
from db.model_rows import count_without_vector, embedded_bytes, largest_without_vector, photos_without_vector
from db.models import Photo
from db.vector_rows import Twin, record_segment, segment_with, segments_of
from embedding.decode import MAX_PIXELS
from embedding.encoder import Encoder
from embedding.segments import SegmentStore
from indexer.merging import merge_due
from indexer.pipeline import COMMIT_PHOTOS, Batch, Entry, Run, RunReport, all_pending, prefix
from indexer.reading import Content, Failure, Outcome
from indexer.sources import MISSING
from indexer.stages import LocalStages

EXAMPLES = 3  # photos that a report names
CHANGED = "the file has changed since it was added"


@dataclass(slots=True)
class LeftOut:
    """Photos that got no vector: how many are gone, changed or unreadable, and some of them, each with the reason."""

    gone: int = 0
    changed: int = 0
    unreadable: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    def note(self, kind: str, where: str, reason: str) -> None:
        """Count a photo; `kind` is one of the fields."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < EXAMPLES:
            self.examples.append((where, reason))

    @property
    def photos(self) -> int:
        """How many they are."""
        return self.gone + self.changed + self.unreadable


class FurtherRun(Run):
    """One run over all photos that the model in use has embedded and this one has not.

    `catalog`, `store`, `encoder`: of this model. Of its report, `failed` counts photos that were left out when they
    were read. left_out: all that got no vector. recorded: how many photos did.
    """

    def __init__(self, catalog: Catalog, store: SegmentStore, encoder: Encoder) -> None:
        super().__init__(catalog, store, LocalStages(encoder))
        self.left_out = LeftOut()
        self.recorded = 0
        self._progress: Progress = lambda step: None

    def embed(self, progress: Progress) -> RunReport:
        """See `Run.embed`; what is recorded is for the photos alone that have not changed since they were added."""
        self._progress = progress
        return super().embed(progress)

    def _begin(self, session: Session) -> None:
        """Count what there is to do; what a killed run has left is removed unless somebody may be writing now."""
        self.report.total = count_without_vector(session, self._model)
        largest = largest_without_vector(session, self._model)
        self._stages.max_pixels = max(MAX_PIXELS, largest)  # as they were let in before
        try:
            with self._catalog.lock():
                known = [file.name for file in segments_of(session, self._model)]
                self.report.strays = self._store.remove_strays(known)
        except LibraryBusyError:
            pass

    def _photos(self, session: Session) -> Iterator[Photo]:
        return all_pending(lambda last_id: photos_without_vector(session, self._model, last_id), session)

    def _add(self, session: Session, photo: Photo, outcome: Outcome) -> None:
        if isinstance(outcome, Content) and is_another(photo, outcome):
            outcome = Failure("changed", CHANGED)
        super()._add(session, photo, outcome)

    def _fail(self, photo: Photo, failure: Failure) -> None:
        kind = "gone" if failure.kind == MISSING else "changed" if failure.kind == "changed" else "unreadable"
        self._leave_out(kind, photo, failure.reason)

    def _leave_out(self, kind: str, photo: Photo, reason: str) -> None:
        self.report.failed += 1
        self.left_out.note(kind, str(PhotoFile(photo.path, photo.member)), reason)
        if self.report.failed % COMMIT_PHOTOS == 0:  # a disk may not be there: nothing else is told then
            self._tell(self._progress)

    def _add_known(self, session: Session, photo: Photo, content: Content, known: Twin) -> None:
        """Take a photo with known bytes as a twin; its segment may be merged away at this moment."""
        vector = self._store.vector(lambda: segment_with(session, self._model, known.photo_id), known.photo_id)
        if vector is None:  # the other photo has left the library meanwhile
            self._leave_out("changed", photo, CHANGED)
            self.report.reused -= 1
            return
        columns = {"id": photo.id, "content_sha256": content.sha256}
        self._batch.entries.append(Entry(columns, vector, twin_id=known.photo_id))

    def _commit(self, session: Session, batch: Batch) -> None:
        """Write a batch as one segment and record it, without the photos that have changed or gone meanwhile."""
        if not batch.entries:
            return
        for group in batch.vectors:  # before the lock is held, which others wait for
            group.result()
        with ExitStack() as held:
            if not self._lock_granted(held):
                fresh = len({entry.vector for entry in batch.entries if isinstance(entry.vector, int)})
                self.report.encoded -= fresh
                self.report.reused -= len(batch.entries) - fresh
                return
            session.commit()  # so that it sees what others have committed meanwhile
            self._record(session, batch)
            session.commit()
            self._has_vectors = True
            merge_due(self._catalog, session, self._store, thorough=False)

    def _record(self, session: Session, batch: Batch) -> None:
        ids = [entry.columns["id"] for entry in batch.entries]
        now = embedded_bytes(session, ids)
        stays = [
            entry.columns["id"] in now and now[entry.columns["id"]] in (None, entry.columns["content_sha256"])
            for entry in batch.entries
        ]
        kept = list(compress(ids, stays))
        if kept:
            file = self._store.write(np.array(kept, np.int64), batch.halves()[stays])
            record_segment(session, self._model, file, kept)
            kept_bytes = (entry.columns["content_sha256"] for entry in compress(batch.entries, stays))
            self._committed.append({prefix(sha256) for sha256 in kept_bytes})
            self.recorded += len(kept)
        for photo_id in set(ids) - set(kept):
            self.left_out.note("changed", f"photo {photo_id}", "it has changed, or left the library, meanwhile")

    def _lock_granted(self, held: ExitStack) -> bool:
        """Wait for the library's lock; False where somebody stops the run meanwhile."""
        while True:
            try:
                held.enter_context(self._catalog.lock())
                return True
            except LibraryBusyError:
                if self._stop.is_set() or self._raised is not None:
                    return False
                self._tell_waiting()

    def _tell_waiting(self) -> None:
        note = "waiting for another process that changes the library"
        try:
            self._progress(Step("embedding", self.report.done, self.report.total, note=note))
        except BaseException as error:  # as in _tell
            self._raised = self._raised or error


def is_another(photo: Photo, content: Content) -> bool:
    """Tell whether a photo's file holds other bytes than those that the library knows.

    Where it does not know them, as of imported vectors, size and time of change tell.
    """
    if photo.content_sha256 is not None:
        return photo.content_sha256 != content.sha256
    if photo.size_bytes is not None and photo.size_bytes != content.size_bytes and not photo.member:
        return True
    if photo.member or photo.mtime_ns is None:
        return False
    try:
        return photo.mtime_ns != os.stat(photo.path).st_mtime_ns
    except OSError:
        return True
