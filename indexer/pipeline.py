"""The committer: takes pending photos as they were read, cuts groups to be embedded, and records batches of them.

Finds no photos, and neither reads nor embeds: see `indexer.stages`. Ctrl-C is a wish to stop soon: work in hand is
finished and kept.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Halves
from base.errors import ClusterError
from base.files import PhotoFile
from base.progress import Progress, Step
from db.caption_rows import CaptionColumns, caption_columns, forget_captions, give_captions
from db.catalog import Catalog
from db.models import Photo, PhotoState
from db.photo_rows import (
    any_pending_elsewhere,
    count_pending,
    drop_photos,
    hashes_of,
    mark_columns_changed,
    pending_photos,
    update_photos,
)
from db.vector_rows import Twin, any_vector, known_among, record_segment, segments_of, twin
from embedding.decode import Facts
from embedding.segments import SegmentStore
from indexer.asked_files import camera_columns
from indexer.interrupts import stop_on_interrupt
from indexer.merging import merge_due
from indexer.moves import MovedPhotos, place_columns
from indexer.other_models import OtherModels
from indexer.reading import Content, Decoded, Failure, Outcome
from indexer.stages import Coming, Stages

COMMIT_PHOTOS = 256  # recorded together: a kill loses at most about so many photos' work
MOST_CAPTIONED = 10_000  # overwritten photos whose captions are remembered
MOST_ENTRIES = 4 * COMMIT_PHOTOS  # a group is encoded, full or not, when so many photos have come since it began


@dataclass(slots=True)
class RunReport:
    """What a run did, in photos; `encoded` were new to the model, `reused` had bytes that it had seen.

    moved: of the reused ones, those that the library knew at places where they are no longer.
    """

    total: int = 0
    encoded: int = 0
    reused: int = 0
    moved: int = 0
    failed: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    strays: int = 0

    @property
    def done(self) -> int:
        """How many photos are no longer pending."""
        return self.encoded + self.reused + self.failed

    def update(self, other: "RunReport") -> None:
        """Count what a later run did."""
        for each in fields(self):
            mine, its = getattr(self, each.name), getattr(other, each.name)
            setattr(self, each.name, mine or its if isinstance(mine, bool) else mine + its)


@dataclass(slots=True)
class Entry:
    """A photo of the batch in hand; `vector` is a row of the batch's new vectors, or a vector that was known.

    twin_id: of a photo that had its bytes. replaces: the row of the new place of a photo that has moved.
    """

    columns: dict[str, Any]
    vector: int | Halves
    twin_id: int | None = None
    replaces: int | None = None


@dataclass(slots=True)
class Batch:
    """Photos that are read but not yet recorded.

    New photos are encoded in groups of exactly the encoder's batch size (a group that known photos interrupt for
    long, and the last one, apart), cut from the pending photos in the order of their ids. A batch is recorded only
    between groups, so a resumed run cuts the same groups and gives the same bits.
    """

    entries: list[Entry] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[Decoded] = field(default_factory=list)  # the group in hand
    group_start: int = 0  # which entry began it
    vectors: list[Coming] = field(default_factory=list)  # of its groups
    rows: dict[bytes, int] = field(default_factory=dict)  # content hash -> row of the new vectors
    seen: list[Facts] = field(default_factory=list)  # what each row's photo looks like
    moves: dict[int, dict[str, Any]] = field(default_factory=dict)  # {row of the new place: columns}, the vector stays

    def is_embedded(self) -> bool:
        """Tell whether all its vectors are there."""
        return all(vectors.done() for vectors in self.vectors)

    def halves(self) -> Halves:
        """Return the vectors of all entries, of which there is at least one: (n, d) float16."""
        groups = [vectors.result() for vectors in self.vectors]
        fresh = np.concatenate(groups).astype(np.float16) if groups else np.empty((0, 0), np.float16)
        return np.stack([fresh[e.vector] if isinstance(e.vector, int) else e.vector for e in self.entries])


class Run:
    """One run over all pending photos of a library.

    Which photos those are, what becomes of each and how a batch is recorded are methods of their own, so that another
    run may read, group and encode other photos just so: see indexer.further_run.
    """

    def __init__(self, catalog: Catalog, store: SegmentStore, stages: Stages) -> None:
        self._catalog = catalog
        self._model = catalog.model
        self._store = store
        self._stages = stages
        self._batch = Batch()
        self._cut: deque[Batch] = deque()  # whole, and not yet recorded: vectors are still to come
        self._raised: BaseException | None = None  # by the caller's callback
        self._stop = threading.Event()  # set by Ctrl-C
        self._moved = MovedPhotos()
        self._captions: dict[bytes, CaptionColumns] = {}  # of bytes that were overwritten
        # Prefixes of the content hashes of the last batches: a photo that was read ahead may have the bytes of one that
        # was recorded since. What was recorded earlier was known when the photo was read.
        self._committed: deque[set[int]] = deque(maxlen=3 + stages.read_ahead // COMMIT_PHOTOS + stages.most_cut)
        self._has_vectors = False
        self.report = RunReport()

    def embed(self, progress: Progress) -> RunReport:
        """Embed every pending photo; Ctrl-C ends the run and keeps all that was encoded.

        So does an error of the callback's, which is raised once all is kept.

        Raises: OSError, DiskFullError: the disk is full; all that was committed is kept.
        """
        start = time.monotonic()
        with self._catalog.session() as session, stop_on_interrupt() as self._stop:
            self._begin(session)
            self._has_vectors = any_vector(session, self._model)
            outcomes = self._stages.outcomes(
                self._photos(session), self._known_among, elsewhere=any_pending_elsewhere(session)
            )
            try:
                try:
                    for photo, outcome in outcomes:
                        self._add(session, photo, outcome)
                        self._advance(session, progress)
                        if self._stop.is_set() or self._raised is not None:
                            self._drop_group()
                            break
                    self._embed()
                except ClusterError as error:  # which says that photos cannot be read there, or that none is left
                    self._drop_group()
                    self._raised = self._raised or error
                self._end_batch()
                self._commit_cut(session)
                is_stopped = self._stop.is_set() or self._raised is not None
                self.report.interrupted = is_stopped and self.report.done < self.report.total
            finally:
                outcomes.close()
                self.report.seconds = time.monotonic() - start
            self._tell(progress)
        if self._raised is not None:
            raise self._raised
        return self.report

    def _begin(self, session: Session) -> None:
        """Remove what a killed run has left, and count what there is to do."""
        self.report.strays = self._store.remove_strays([file.name for file in segments_of(session, self._model)])
        self.report.total = count_pending(session)
        self._others = OtherModels(self._catalog, session)
        self.report.strays += self._others.remove_strays(session)

    def _photos(self, session: Session) -> Iterator[Photo]:
        """Yield the photos to embed, in the order of their ids."""
        return all_pending(lambda last_id: pending_photos(session, last_id), session)

    def _tell(self, progress: Progress) -> None:
        """Tell how far the run is; what that raises ends the run."""
        report = self.report
        note = f"{report.failed} failed" if report.failed else ""
        try:
            progress(Step("embedding", report.done, report.total, note=note))
        except BaseException as error:  # an interrupt of a notebook's may arrive here as well
            self._raised = self._raised or error

    def _known_among(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Return those of some bytes' SHA-256 of which the model has vectors; reading threads may ask."""
        if not self._has_vectors:
            return set()
        with self._catalog.engine.connect() as connection:
            return known_among(connection, self._model, hashes)

    def _add(self, session: Session, photo: Photo, outcome: Outcome) -> None:
        """Sort one outcome into the batch: failed, known bytes, or new bytes."""
        batch, report = self._batch, self.report
        if isinstance(outcome, Content):
            if outcome.sha256 in batch.rows:
                report.reused += 1
                row = batch.rows[outcome.sha256]
                batch.entries.append(Entry(facts(photo, outcome, batch.seen[row]), row))
                return
            if any(outcome.sha256 in earlier.rows for earlier in self._cut):
                self._commit_cut(session)  # so that it is known
            known = self._twin(session, outcome)
            if known is not None:
                report.reused += 1
                self._add_known(session, photo, outcome, known)
                return
            if outcome.decoded is None:  # the photo with these bytes was embedded anew with others meanwhile
                outcome = self._stages.read_again(PhotoFile(photo.path, photo.member))
        if isinstance(outcome, Failure):
            self._fail(photo, outcome)
        elif outcome.decoded is not None:
            report.encoded += 1
            row = batch.rows[outcome.sha256] = len(batch.rows)
            batch.seen.append(outcome.decoded.facts)
            if not batch.waiting:
                batch.group_start = len(batch.entries)
            batch.waiting.append(outcome.decoded)
            batch.entries.append(Entry(facts(photo, outcome, outcome.decoded.facts), row))

    def _fail(self, photo: Photo, failure: Failure) -> None:
        """Have a photo be recorded as failed."""
        self.report.failed += 1
        self._batch.failures.append(
            {
                "id": photo.id,
                "state": PhotoState.FAILED,
                "failure_kind": failure.kind,
                "failure_reason": failure.reason,
            }
        )

    def _add_known(self, session: Session, photo: Photo, content: Content, known: Twin) -> None:
        """Take up a photo with known bytes: as the one that it was at another place, or as a twin."""
        batch = self._batch
        old = self._moved.take(session, photo, content.sha256)
        if old is None:
            vector = self._store.open(known.segment).vector(known.photo_id)
            batch.entries.append(Entry(facts(photo, content, known), vector, twin_id=known.photo_id))
            return
        columns = facts(old, content, known) | place_columns(old, photo)
        if old.state is PhotoState.EMBEDDED:
            batch.moves[photo.id] = columns
        else:  # it was known to be missing, and its vector is dead
            vector = self._store.open(known.segment).vector(known.photo_id)
            batch.entries.append(Entry(columns, vector, twin_id=old.id, replaces=photo.id))

    def _twin(self, session: Session, content: Content) -> Twin | None:
        """Return an embedded photo with the same bytes; asks the database only where there may be one."""
        if content.decoded is not None and not any(prefix(content.sha256) in batch for batch in self._committed):
            return None
        return twin(session, self._model, content.sha256)

    def _advance(self, session: Session, progress: Progress) -> None:
        """Have a full group embedded, record full batches whose vectors are there."""
        batch = self._batch
        since_group_began = len(batch.entries) - batch.group_start
        if len(batch.waiting) == self._stages.group_photos or (batch.waiting and since_group_began >= MOST_ENTRIES):
            self._embed()
            self._tell(progress)
        if len(batch.entries) >= COMMIT_PHOTOS and not batch.waiting:
            self._end_batch()
            while self._cut and (len(self._cut) > self._stages.most_cut or self._cut[0].is_embedded()):
                self._commit(session, self._cut.popleft())
        elif len(batch.failures) + len(batch.moves) >= COMMIT_PHOTOS:
            self._commit_others(session, batch)
            self._tell(progress)

    def _embed(self) -> None:
        """Have the group in hand embedded."""
        if self._batch.waiting:
            self._batch.vectors.append(self._stages.embed(self._batch.waiting))
            self._batch.waiting = []

    def _end_batch(self) -> None:
        """Begin another batch; the one in hand is recorded when its vectors are there."""
        self._cut.append(self._batch)
        self._batch = Batch()

    def _commit_cut(self, session: Session) -> None:
        """Record the batches that were cut, in their order, waiting for their vectors."""
        while self._cut:
            self._commit(session, self._cut.popleft())

    def _drop_group(self) -> None:
        """Leave the group in hand, decoded but not encoded, to the next run, so that it is cut there the same."""
        batch, fresh = self._batch, len(self._batch.waiting)
        if fresh:
            dropped = len(batch.entries) - batch.group_start
            self.report.encoded -= fresh
            self.report.reused -= dropped - fresh
            del batch.entries[batch.group_start :]
            batch.waiting.clear()

    def _commit(self, session: Session, batch: Batch) -> None:
        """Write a batch as one segment, then record it and its photos in one transaction; merge small segments."""
        if batch.entries:
            vectors, ids = batch.halves(), [entry.columns["id"] for entry in batch.entries]
            record_segment(session, self._model, self._store.write(np.array(ids, dtype=np.int64), vectors), ids)
            self._others.follow(session, {e.columns["id"]: e.columns["content_sha256"] for e in batch.entries})
            self._change_photos(session, batch.entries)
            self._committed.append({prefix(sha256) for sha256 in batch.rows})
        self._commit_others(session, batch)
        if batch.entries:
            self._has_vectors = True
            merge_due(self._catalog, session, self._store, thorough=False)

    def _change_photos(self, session: Session, entries: list[Entry]) -> None:
        """Record what was learnt of the photos that get a vector; captions follow the bytes that they are of."""
        before = hashes_of(session, [entry.columns["id"] for entry in entries])
        self._hand_on_captions(session, entries, before)
        replaced = [entry.replaces for entry in entries if entry.replaces is not None]
        drop_photos(session, replaced)
        update_photos(session, [entry.columns for entry in entries])
        self.report.moved += len(replaced)

    def _hand_on_captions(self, session: Session, entries: list[Entry], before: dict[int, bytes]) -> None:
        """Take captions from photos that look otherwise now, and give them to those that have these bytes now.

        A later batch may have them: a series that is renamed by one gives every name to another photo.
        """
        now = {entry.columns["id"]: entry.columns["content_sha256"] for entry in entries}
        twins = {entry.columns["id"]: entry.twin_id for entry in entries if entry.twin_id is not None}
        changed = [photo_id for photo_id, sha256 in before.items() if sha256 != now[photo_id]]
        known = caption_columns(session, [*changed, *twins.values()])
        self._captions |= {before[photo_id]: known[photo_id] for photo_id in changed if photo_id in known}
        forget_captions(session, changed)
        given = {photo_id: known[twin_id] for photo_id, twin_id in twins.items() if twin_id in known}
        for photo_id in now.keys() - given.keys():
            if now[photo_id] in self._captions and now[photo_id] != before.get(photo_id):
                given[photo_id] = self._captions[now[photo_id]]
        give_captions(session, given)
        for sha256 in list(self._captions)[:-MOST_CAPTIONED]:
            del self._captions[sha256]

    def _commit_others(self, session: Session, batch: Batch) -> None:
        """Record, and commit, failures and photos that moved with their vectors."""
        if batch.moves:
            drop_photos(session, list(batch.moves))
            update_photos(session, list(batch.moves.values()))
            mark_columns_changed(session)
            self.report.moved += len(batch.moves)
        update_photos(session, batch.failures)
        session.commit()
        batch.failures, batch.moves = [], {}


def prefix(sha256: bytes) -> int:
    """Return the first 8 bytes of a hash: enough to ask the database rarely in vain, at a third of the memory."""
    return int.from_bytes(sha256[:8])


def facts(photo: Photo, content: Content, seen: Facts | Twin) -> dict[str, Any]:
    """Return the columns of a photo that is about to be recorded as embedded."""
    return camera_columns(photo, content.camera) | {
        "id": photo.id,
        "state": PhotoState.EMBEDDED,
        "failure_kind": None,
        "failure_reason": None,
        "size_bytes": content.size_bytes,
        "content_sha256": content.sha256,
        "width_px": seen.width_px,
        "height_px": seen.height_px,
        "format": seen.format,
        "grey": seen.grey,
        "brightness": seen.brightness,
    }


def all_pending(page_behind: Callable[[int], list[Photo]], session: Session) -> Iterator[Photo]:
    """Yield the photos that wait, in the order of their ids, page by page; `page_behind` gives those behind an id."""
    last_id = 0
    while page := page_behind(last_id):
        yield from page
        last_id = page[-1].id
        session.expunge_all()
