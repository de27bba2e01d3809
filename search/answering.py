"""One query answered: the ranked photos are walked from the top, and shaped into the list that was asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from aliens.errors import QueryError
from db.photos import PAGE, hotels_of, newest_photo_id, photo_records
from embedding.index.photo_index import PhotoIndex
from embedding.store import Ids
from search.cursor import Cursor
from search.diversity import diverse
from search.relevance import percentiles, stop_line
from search.results import Hit, as_hit
from search.shape import Quota, Shape

FIRST_FETCH = 64  # photos asked of the index at first; four times as many whenever they do not suffice
ONE_SCAN = 10_000  # beyond this many, all scores are computed and sorted at once
POOL = 500  # photos that diversity chooses from
NOISE = 1e-6  # scores nearer than this are one score, computed in two ways
CLEARLY = 1e-5  # scores further apart than this are two

Vector = NDArray[np.float32]
Ranked = tuple[int, float]  # photo id, score


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A query made ready: its unit vector (d,), the photos that it may find, those that it must not.

    among: ascending photo ids, or None for all. without: ids that are never hits, such as the query photo's own.
    library, query: digests for cursors.
    """

    vector: Vector
    among: Ids | None
    without: frozenset[int]
    library: str
    query: str


class Answer:
    """The photos of one query in their order; nothing is computed before it is asked for."""

    def __init__(
        self,
        session: Session,
        index: PhotoIndex,
        sample: NDArray[np.float32],
        asked: Asked,
        shape: Shape,
        cursor: Cursor | None = None,
    ) -> None:
        self._session = session
        self._index = index
        self._sample = sample
        self._asked = asked
        self._shape = shape
        self._cursor = cursor

    @cached_property
    def _background(self) -> NDArray[np.float32]:
        """The query's scores over a sample of the library's photos, (s,)."""
        scores: NDArray[np.float32] = self._sample @ self._asked.vector
        return scores

    @cached_property
    def stop_line(self) -> float | None:
        """The score below which photos are probably not what was asked for; None where it cannot be told."""
        return stop_line(self._background)

    @cached_property
    def newest(self) -> int:
        """The highest photo id that this list, all its pages, may hold."""
        return self._cursor.newest if self._cursor else newest_photo_id(self._session)

    @property
    def lowest_score(self) -> float:
        """The score at which the list ends."""
        lowest = -1.0 if self._shape.min_score is None else self._shape.min_score
        return max(lowest, self.stop_line) if self._shape.until_stop and self.stop_line is not None else lowest

    @property
    def compares_all(self) -> str | None:
        """Why every photo is compared, in words for people; None where an index may name candidates.

        A page goes on where the one before ended, and a limit or diversity looks far down the list: an approximate
        answer would have other gaps at each depth.
        """
        if self._shape.exact:
            return "as was asked for"
        if Quota(self._shape).limits_anything:
            return "since limits by hotel or chain look far down the list"
        if self._shape.diverse:
            return f"since a diverse list is chosen from the {POOL} best"
        return None if self._cursor is None else "since a page goes on exactly where the one before ended"

    @property
    def exact(self) -> bool:
        """Whether every photo is compared."""
        return self.compares_all is not None

    def depth(self, k: int) -> int:
        """Return how many photos are asked of the index for k hits: one more tells whether a next page exists.

        Limits and diversity look further down, and the cursor's photo stands there too.
        """
        needed = min(k, len(self._index)) + 1 + (self._cursor.rank if self._cursor else 0)
        if self._shape.diverse:
            needed = max(needed, POOL)
        if Quota(self._shape).limits_anything:
            needed = max(needed, PAGE)
        return needed + len(self._asked.without) + (FIRST_FETCH if self.exact else 0)

    def hits(self, k: int) -> tuple[list[Hit], bool]:
        """Return at most k hits, best first, and whether more follow."""
        k = min(k, len(self._index))
        found: list[Hit] = []
        stream = self._shaped(k)
        while len(found) <= k and (batch := list(islice(stream, k + 1 - len(found)))):
            found.extend(self._as_hits(batch, first_rank=len(found) + 1))  # photos that vanished meanwhile are absent
        return found[:k], len(found) > k

    def stream(self) -> Iterator[Hit]:
        """Yield every hit down to `min_score` or the stop line, best first, whatever their number.

        Raises: QueryError: the shape asks for an order that is not known before the last photo is.
        """
        if self._shape.sort != "score":
            raise QueryError(f"all photos come by score, not by {self._shape.sort}: leave --sort or --all out")
        if self._shape.diverse:
            raise QueryError("all photos cannot be had in a diverse order: leave --diverse or --all out")
        rank, stream = 1, self._shaped(len(self._index), whole=True)
        while batch := list(islice(stream, PAGE)):
            hits = self._as_hits(batch, first_rank=rank)
            yield from hits
            rank += len(hits)

    def _shaped(self, k: int, whole: bool = False) -> Iterator[Ranked]:
        """Yield photos and scores as the list shows them, behind the cursor."""
        admitted = self._admitted(self._walk(len(self._index) if whole else self.depth(k)))
        if self._shape.diverse:
            ranked = list(self._diverse(list(islice(admitted, POOL))))
            yield from ranked if self._cursor is None else behind_in(self._cursor, ranked)
        else:
            yield from admitted if self._cursor is None else behind(self._cursor, admitted)

    def _diverse(self, pool: list[Ranked]) -> Iterator[Ranked]:
        if pool:
            ids, scores = [photo_id for photo_id, _ in pool], np.array([score for _, score in pool], np.float32)
            for place in diverse(self._index.vectors(np.array(ids)), scores, len(pool), self._shape.diverse):
                yield pool[int(place)]

    def _admitted(self, ranked: Iterator[Ranked]) -> Iterator[Ranked]:
        """Yield what may be in the list: down to its lowest score, and within the limits by hotel and chain."""
        quota, lowest = Quota(self._shape), self.lowest_score
        while batch := list(islice(ranked, PAGE if quota.limits_anything else 1)):
            hotels = hotels_of(self._session, [photo_id for photo_id, _ in batch]) if quota.limits_anything else {}
            for photo_id, score in batch:
                if score < lowest:
                    return
                allowed = photo_id not in self._asked.without and photo_id <= self.newest
                if allowed and quota.admits(*hotels.get(photo_id, (None, None))):
                    yield photo_id, score

    def _walk(self, first: int) -> Iterator[Ranked]:
        """Yield all photos, best first, fetching some at a time."""
        size, seen = first, set[int]()
        while True:
            scores, ids = self._top(size)
            for score, photo_id in zip(scores.tolist(), ids.tolist(), strict=True):
                if photo_id not in seen:
                    seen.add(photo_id)
                    yield photo_id, score
            if len(ids) < size:
                return
            size *= 4

    def _top(self, size: int) -> tuple[NDArray[np.float32], Ids]:
        asked = self._asked
        if size <= ONE_SCAN:
            scores, ids = self._index.search(asked.vector[np.newaxis], size, among=asked.among, exact=self.exact)
            return scores[0], ids[0]
        scores, ids = self._everything
        return scores[:size], ids[:size]

    @cached_property
    def _everything(self) -> tuple[NDArray[np.float32], Ids]:
        """All scores, (n,) float32, best first, and the photos' ids."""
        scores, ids = self._index.scores(self._asked.vector, among=self._asked.among)
        order = np.lexsort((ids, -scores))
        return scores[order], ids[order]

    def _as_hits(self, ranked: Sequence[Ranked], first_rank: int) -> list[Hit]:
        records = photo_records(self._session, [photo_id for photo_id, _ in ranked])
        there = [(records[photo_id], score) for photo_id, score in ranked if photo_id in records]
        beaten = percentiles(self._background, np.array([s for _, s in there], np.float32))
        shown = self._cursor.rank if self._cursor else 0
        return [
            replace(
                as_hit(record, score),
                percentile=None if np.isnan(percentile) else float(percentile),
                above_line=None if self.stop_line is None else score >= self.stop_line,
                place=self._cursor_at(record.photo_id, score, shown + first_rank + place),
            )
            for place, ((record, score), percentile) in enumerate(zip(there, beaten, strict=True))
        ]

    def _cursor_at(self, photo_id: int, score: float, rank: int) -> Cursor:
        asked = self._asked
        return Cursor(
            library=asked.library, query=asked.query, newest=self.newest, score=score, photo_id=photo_id, rank=rank
        )


def behind(cursor: Cursor, ranked: Iterator[Ranked]) -> Iterator[Ranked]:
    """Yield, of photos by falling scores, what follows the cursor's photo, or its place where it has left the list.

    It may have vanished, or may not meet the filters and limits any more.
    """
    near: list[Ranked] = []  # which follow its place, if the photo itself does not come
    for photo_id, score in ranked:
        if photo_id == cursor.photo_id:
            yield from ranked
            return
        if follows(cursor, photo_id, score):
            near.append((photo_id, score))
        if score < cursor.score - CLEARLY:
            break
    yield from near
    yield from ranked


def follows(cursor: Cursor, photo_id: int, score: float) -> bool:
    """Tell whether a photo has its place behind the cursor's: a lower score, or the same one and a higher id."""
    return score < cursor.score if abs(score - cursor.score) > NOISE else photo_id > cursor.photo_id


def behind_in(cursor: Cursor, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
    """Return, of photos in any order, what follows the cursor's photo; without it, what stands where it stood."""
    places = [place for place, (photo_id, _) in enumerate(ranked) if photo_id == cursor.photo_id]
    return ranked[places[0] + 1 :] if places else ranked[max(cursor.rank - 1, 0) :]
