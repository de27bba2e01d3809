"""Copies of photos are looked for: by bytes, then by the model, then by pixels. Changes nothing in the library."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from analysis.duplicates.copy_calibration import (
    MOST_PAIRS,
    SAMPLE_PHOTOS,
    SAMPLE_VECTORS,
    CopyCalibration,
    calibrate_copies,
    known_calibration,
)
from analysis.duplicates.copy_groups import BestPairs, Classes, linked, starred
from analysis.duplicates.duplicates_found import DuplicateGroup, Duplicates, DuplicateSummary, GroupedPhoto
from analysis.duplicates.keepers import keeping_order, leading_order, may_go, why_kept
from analysis.duplicates.kept_marks import KeptMarks
from base.arrays import Ids, places_in
from base.progress import Progress, Step
from base.records import write_record
from base.settings import LibraryFolder
from db.duplicate_rows import CopyFacts, copy_facts, ids_by_bytes
from embedding.encoder import Encoder
from embedding.index.near_pairs import FlatRows, NearPairs, PairSearch, same_vectors
from embedding.picture_marks import SamePicture
from embedding.segments import Vectors
from search.copies import SAME

MARKS_FILE = "marks.npy"
MILLION = 1_000_000
CONFIRMED_AT_ONCE = 16_384  # pairs: 13 MB of their marks


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyWish:
    """How copies are looked for. among: ids, ascending; None for all photos. cosine: by default calibrated."""

    among: Ids | None = None
    same_bytes: bool = False
    cosine: float | None = None
    recalibrate: bool = False


class CopySearch:
    """Looks for the copies among the photos of a library, once. Ctrl-C ends the step in hand: what is found is told."""

    def __init__(
        self,
        session: Session,
        folder: LibraryFolder,
        vectors: Vectors,
        model_key: str,
        encoder: Callable[[], Encoder],
        wish: CopyWish,
        progress: Progress,
    ) -> None:
        """`vectors`: of all photos that can be found. `encoder`: asked for where copies are made to calibrate by."""
        self._session, self._vectors, self._encoder = session, vectors, encoder
        self._folder, self._wish, self._progress = folder.duplicates, wish, progress
        self._facts: dict[int, CopyFacts] = {}
        self._marks = KeptMarks(self._folder / MARKS_FILE)
        self._likenesses: dict[tuple[int, int], SamePicture | None] = {}
        self._ids = vectors.ids if wish.among is None else np.intersect1d(vectors.ids, wish.among)
        self.summary = DuplicateSummary(photos=len(self._ids), model=model_key)

    def found(self) -> Duplicates:
        """Return the groups of copies."""
        classes = Classes()
        for ids in ids_by_bytes(self._session):
            if len(mine := self._asked(ids)) > 1:
                classes.join(mine)
        links: dict[int, dict[int, float]] = {}
        if not self._wish.same_bytes:
            links = self._near(classes)
        groups = sorted(self._groups(classes, links), key=lambda group: (-spare_of(group), group[0].photo_id))
        numbered = [DuplicateGroup(number, group) for number, group in enumerate(groups, start=1)]
        return Duplicates(numbered, self.summary)

    def _asked(self, ids: Sequence[int]) -> list[int]:
        """Return those of some photos that are looked at."""
        rows = np.array(ids, np.int64)
        found: list[int] = rows[places_in(self._ids, rows)[1]].tolist()
        return found

    def _near(self, classes: Classes) -> dict[int, dict[int, float]]:
        """Return the links between classes that the model finds near and whose pixels agree."""
        told = self.summary
        told.cosine = self._wish.cosine
        if told.cosine is None:
            told.calibration = self._calibration()
            told.cosine = told.calibration.cosine
        rows = FlatRows(self._vectors, np.setdiff1d(self._ids, classes.others, assume_unique=True))
        for ids in same_vectors(rows):
            classes.join(ids.tolist())
        near = self._near_pairs(np.setdiff1d(self._ids, classes.others, assume_unique=True))
        told.pairs = len(near.ones)
        several = (photo_id for members in classes.members.values() for photo_id in members)
        self._learn(np.unique(np.concatenate([near.ones, near.others, np.fromiter(several, np.int64)])).tolist())
        with self._ended_by_ctrl_c():
            self._marks.take(self._facts, self._progress)
        told.unread = len(self._marks.unread)
        links = linked(list(self._confirmed(near)))
        told.confirmed = sum(map(len, links.values())) // 2
        return links

    def _calibration(self) -> CopyCalibration:
        """Return from which cosine pairs are looked at: as measured before, or measured now."""
        path, photos = self._folder / f"{self.summary.model}.json", len(self._vectors)
        known = None if self._wish.recalibrate else known_calibration(path, photos)
        if known is not None:
            return known
        facts = list(copy_facts(self._session, self._vectors.some_ids(SAMPLE_PHOTOS).tolist()).values())
        vectors = self._vectors.gather(np.array([fact.photo_id for fact in facts], np.int64))
        sample = self._vectors.sample(SAMPLE_VECTORS)
        measured = calibrate_copies(self._encoder, facts, vectors, sample, photos, self._progress)
        with suppress(OSError):  # a library that cannot be written is measured each time
            write_record(path, measured)
        return measured

    def _near_pairs(self, ids: Ids) -> NearPairs:
        """Return the pairs of photos that are as near as copies are."""
        told = self.summary
        assert told.cosine is not None
        search = PairSearch(self._vectors, told.cosine, ids)
        best = BestPairs(MOST_PAIRS, told.cosine)
        scale, unit = (MILLION, "million pairs") if search.pairs > 100 * MILLION else (1, "pairs")
        with self._ended_by_ctrl_c():
            for found in search:
                best.add(found)
                self._progress(Step("comparing", search.compared // scale, search.pairs // scale, unit))
        told.compared = search.compared / search.pairs if search.pairs else 1.0
        told.dropped, told.cosine = best.dropped, best.least
        return best.pairs()

    @contextmanager
    def _ended_by_ctrl_c(self) -> Iterator[None]:
        """Have Ctrl-C end a step, and go on with what it has found."""
        try:
            yield
        except KeyboardInterrupt:
            self.summary.stopped = True

    def _learn(self, ids: Sequence[int]) -> None:
        """Read what is known of photos."""
        self._facts.update(copy_facts(self._session, [i for i in ids if i not in self._facts]))

    def _confirmed(self, near: NearPairs) -> Iterator[tuple[int, int, float]]:
        """Yield those of the pairs that are one picture."""
        with self._ended_by_ctrl_c():
            for start in range(0, len(near.ones), CONFIRMED_AT_ONCE):
                some = near.some(slice(start, start + CONFIRMED_AT_ONCE))
                places = np.flatnonzero(self._marks.possible(some))
                for one, other, cosine in zip(*(values[places].tolist() for values in some), strict=True):
                    if self._same(one, other, cosine):
                        yield one, other, cosine
                self._progress(Step("confirming", start + len(some.ones), len(near.ones), "pairs"))

    def _same(self, one: int, other: int, cosine: float) -> bool:
        """Tell whether two photos are one picture; of files that are not there, the model has to see no difference."""
        if not (self._marks.knows(one) and self._marks.knows(other)):
            return cosine >= SAME and one in self._marks.unread and other in self._marks.unread
        same = self._marks.same_picture(one, other, same_vector=cosine >= SAME)
        if same is not None:
            self._likenesses[min(one, other), max(one, other)] = same
        return same is not None

    def _groups(self, classes: Classes, links: Mapping[int, Mapping[int, float]]) -> Iterator[list[GroupedPhoto]]:
        """Yield the groups, each with the one to keep first."""
        heads = list({*classes.members, *links})
        self._learn(list({photo_id for head in heads for photo_id in classes.of(head)}))
        best = {
            head: min(known, key=keeping_order)
            for head in heads
            if (known := [self._facts[i] for i in classes.of(head) if i in self._facts])
        }
        order = sorted(best, key=lambda head: leading_order(best[head], len(links.get(head, ()))))
        for head, taken in starred(order, links, lambda head, other: may_go(best[head], best[other])):
            kept = best[head]
            group = [kept]
            cosines = {photo_id: 1.0 for photo_id in classes.of(head)}
            cosines |= {photo_id: links[head][other] for other in taken for photo_id in classes.of(other)}
            evidence = {}
            for photo_id, cosine in cosines.items():
                if photo_id != kept.photo_id and photo_id in self._facts:
                    said = self._evidence(kept, self._facts[photo_id], cosine)
                    if said is not None:
                        evidence[photo_id] = said
                        group.append(self._facts[photo_id])
            if len(group) > 1:
                yield list(self._described(group, evidence, cosines))

    def _evidence(self, kept: CopyFacts, other: CopyFacts, cosine: float) -> tuple[str, SamePicture | None] | None:
        """Return how a photo is known to be a copy of the kept one, or None where it is not."""
        if kept.content_sha256 is not None and kept.content_sha256 == other.content_sha256:
            return "bytes", None
        one, two = sorted((kept.photo_id, other.photo_id))
        if (one, two) not in self._likenesses and not self._same(one, two, cosine):
            return None
        same = self._likenesses.get((one, two))
        return ("vector", None) if same is None else ("picture", same)

    def _described(
        self,
        group: Sequence[CopyFacts],
        evidence: Mapping[int, tuple[str, SamePicture | None]],
        cosines: Mapping[int, float],
    ) -> Iterator[GroupedPhoto]:
        """Yield the photos of a group: the kept one, then its copies, the surest first."""
        kept, *others = group
        why = why_kept(kept, others)
        others.sort(key=lambda facts: (evidence[facts.photo_id][0] != "bytes", -cosines[facts.photo_id], facts.path))
        for facts in (kept, *others):
            how, same = evidence.get(facts.photo_id, ("kept", None))
            yield GroupedPhoto(
                evidence=how,
                cosine=cosines[facts.photo_id],
                bits=None if same is None else same.bits,
                cropped=same is not None and same.cropped,
                why="" if evidence.get(facts.photo_id) else why,
                **{name: getattr(facts, name) for name in facts.__slots__ if name != "content_sha256"},
            )


def spare_of(group: Sequence[GroupedPhoto]) -> int:
    """Return how many bytes a group's copies take."""
    return sum(photo.size_bytes or 0 for photo in group[1:])
