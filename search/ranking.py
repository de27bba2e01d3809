"""One query answered: the ranked photos are walked from the top, and shaped into the list that was asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Literal

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats, Ids, Longs
from base.errors import QueryError
from base.names import comparable
from db.photo_rows import PAGE, PhotoRecord, hotels_of, newest_photo_id, photo_records
from embedding.index.left import Among
from embedding.index.photo_index import PhotoIndex
from search.copies import CLEARLY, Copies, Distinct, Ranked, copies_counted
from search.results import NOTHING, Cursor, Hit

Sort = Literal["score", "date", "hotel"]
SORTS = ("score", "date", "hotel")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a list of hits should look like.

    per_hotel, per_chain: at most so many hits of one; photos without a hotel, or without a chain, are not limited.
    diverse: 0 orders by score alone, 1 avoids what resembles the hits before (maximal marginal relevance).
    until_stop: end at the suggested stop line. min_score: leave out hits of a lower cosine.
    sort: the order of the hits that were found: by score, by date (newest first), or by the hotel's name.
    after: the cursor of the hit that the list goes on behind. page: which page of as many hits, the first is 1.
    copies: list the copies of a photo as well, which otherwise come as one with it.
    exact: compare every photo, even where an approximate index stands.

    Raises: QueryError: a value makes no sense.
    """

    per_hotel: int | None = None
    per_chain: int | None = None
    diverse: float = 0.0
    until_stop: bool = False
    min_score: float | None = None
    sort: Sort = "score"
    after: str | None = None
    page: int = 1
    copies: bool = False
    exact: bool = False

    def __post_init__(self) -> None:
        if self.page < 1:
            raise QueryError(f"page is {self.page}: the first page is 1")
        if self.page > 1 and self.after is not None:
            raise QueryError("a page and a cursor both say where to go on: leave one of them out")
        for name in ("per_hotel", "per_chain"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise QueryError(f"{name} is {value}: allow at least 1 hit, or leave it out")
        if not 0 <= self.diverse <= 1:
            raise QueryError(f"diverse is {self.diverse:g}: choose a value from 0 (by score alone) to 1")
        if self.sort not in SORTS:
            raise QueryError(f"sort is {self.sort!r}: choose one of {', '.join(SORTS)}")
        if self.min_score is not None and not -1 <= self.min_score <= 1:
            raise QueryError(f"min_score is {self.min_score:g}: a cosine lies between -1 and 1")

    @property
    def identity(self) -> tuple[object, ...]:
        """What decides the list that a cursor points into: all but the place in it and the order shown."""
        passing = ("after", "page", "sort")
        return tuple(getattr(self, field.name) for field in fields(self) if field.name not in passing)


class Quota:
    """Counts hits by hotel and chain while a list is walked from its top."""

    def __init__(self, shape: Shape) -> None:
        self._limits = {"hotel": shape.per_hotel, "chain": shape.per_chain}
        self._seen: dict[tuple[str, int], int] = {}

    @property
    def limits_anything(self) -> bool:
        """Whether there is a limit at all."""
        return any(limit is not None for limit in self._limits.values())

    def admits(self, hotel_id: int | None, chain_id: int | None) -> bool:
        """Tell whether one more hit of these is allowed, and count it if so."""
        named = [("hotel", hotel_id), ("chain", chain_id)]
        keys = [(kind, key) for kind, key in named if key is not None and self._limits[kind] is not None]
        if any(self._seen.get(key, 0) >= (self._limits[key[0]] or 0) for key in keys):
            return False
        for key in keys:
            self._seen[key] = self._seen.get(key, 0) + 1
        return True


def in_shown_order(hits: Sequence[Hit], sort: Sort) -> list[Hit]:
    """Return hits, which come best first, in the order that was asked for."""
    if sort == "date":
        dated = sorted((hit for hit in hits if hit.date), key=lambda hit: hit.date or datetime.min, reverse=True)
        return [*dated, *(hit for hit in hits if not hit.date)]
    if sort == "hotel":
        return sorted(hits, key=hotel_first)
    return list(hits)


def hotel_first(hit: Hit) -> tuple[bool, str, int]:
    """Return what hits are sorted by to come hotel after hotel; those without one come last."""
    return hit.hotel_id is None, comparable(hit.hotel_name or ""), hit.hotel_id or 0


def diverse(vectors: Floats, scores: Floats, k: int, diversity: float) -> Longs:
    """Return the positions (k,) of photos in the order of maximal marginal relevance.

    Each next photo has the greatest (1 - diversity) relevance - diversity similarity, where similarity is the highest
    cosine with a photo chosen before. Cosines of texts with photos span a narrower range than those between photos,
    so both are put on the scale from 0 to 1 over the given photos. Diversity 0 gives the order of the scores.

    Args:
        vectors: unit vectors (m, d), best first.
        scores: (m,), descending.
        k: how many at most.
        diversity: from 0 to 1.

    Source: Carbonell and Goldstein 1998, "The use of MMR, diversity-based reranking".
    """
    k = min(k, len(scores))
    relevance = scaled(scores)
    similarity = scaled(vectors @ vectors.T)
    chosen = np.zeros(k, np.int64)
    left = np.ones(len(scores), bool)
    nearest = np.zeros(len(scores), np.float32)
    for place in range(k):
        value = (1 - diversity) * relevance - diversity * nearest
        chosen[place] = np.flatnonzero(left)[np.argmax(value[left])] if place else np.argmax(relevance)
        left[chosen[place]] = False
        nearest = np.maximum(nearest, similarity[chosen[place]]) if place else similarity[chosen[place]]
    return chosen


def scaled(values: Floats) -> Floats:
    """Return values moved and stretched to reach from 0 to 1."""
    lowest, highest = float(values.min()), float(values.max())
    stretched: Floats = ((values - lowest) / max(highest - lowest, 1e-6)).astype(np.float32)
    return stretched


FEWEST = 20  # photos from which a stop line is suggested
BEST = 0.99  # the quantile that stands for photos which show what was asked for
WAY = 2 / 3  # how far the line lies from the median, which stands for all others, towards that quantile


def percentiles(background: Floats, scores: Floats) -> Floats:
    """Return, for scores (m,), the share of a query's scores over a sample (s,) that are lower, in percent (m,).

    NaN without a sample.
    """
    if not len(background):
        return np.full(len(scores), np.nan, np.float32)
    return (100 * np.searchsorted(np.sort(background), scores, side="left") / len(background)).astype(np.float32)


def stop_line(background: Floats) -> float | None:
    """Return the score below which photos are probably not what was asked for, or None where it cannot be told.

    The line lies two thirds of the way from the median of the query's scores (s,) over a sample of the library to
    their 99th percentile. It moves with the query, so that texts whose cosines are all high, or all low, are served
    alike; and where few photos stand out, the percentile is far out and takes the line with it. Evaluated, with the
    constants fitted on one set of photos and tested on another, by benchmarks/search_quality.py.
    """
    if len(background) < FEWEST:
        return None
    median, best = np.quantile(background, (0.5, BEST))
    return float(median + WAY * (best - median))


def nonsense_line(scores: Floats, photos: int) -> float:
    """Return how high the best of some photos scores for words without meaning, on average.

    A query whose best hit lies below it says nothing about these photos: what lies nearest is there by chance. Nothing
    is fitted; evaluated by benchmarks/search_quality.py.

    Args:
        scores: of a sample of the library's photos (s,) for some such words (m,): (s, m).
        photos: of how many the best hit is; where they are not as many as the sample, the best of normal scores is
            taken to lie sqrt(2 ln n) deviations above their mean. Source: Leadbetter, Lindgren and Rootzén 1983.
    """
    further = np.sqrt(2 * np.log(max(photos, 1))) - np.sqrt(2 * np.log(len(scores)))
    return float(scores.max(axis=0).mean() + further * scores.std(axis=0).mean())


FIRST_FETCH = 64  # photos asked of the index at first; four times as many whenever they do not suffice
FIRST_PART = 16  # photos looked at together at first
ONE_SCAN = 10_000  # beyond this many, all scores are computed and sorted at once
POOL = 500  # photos that diversity chooses from
NOISE = 1e-6  # scores nearer than this are one score, computed in two ways
RECORDED = tuple(field.name for field in fields(PhotoRecord))  # which a hit has as well


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyQuery:
    """A query made ready: its unit vector (d,), the photos that it may find, those that it must not.

    among: ascending photo ids, what a filter leaves, or None for all. without: ids of photos that are never hits, such
    as the query photo's own; named: their vectors (w, d). nonsense: unit vectors (m, d) of the query with nonsense in
    place of what it looks for; None where it looks for photos. library, query: digests for cursors.
    """

    vector: Floats
    among: Among
    without: frozenset[int]
    named: Floats
    nonsense: Floats | None
    library: str
    query: str


class Answer:
    """The photos of one query in their order; nothing is computed before it is asked for."""

    def __init__(
        self,
        session: Session,
        index: PhotoIndex,
        sample: Floats,
        asked: ReadyQuery,
        shape: Shape,
        cursor: Cursor | None = None,
    ) -> None:
        self.session = session
        self._index = index
        self._photos = len(index)
        self._sample = sample
        self._asked = asked
        self._shape = shape
        self._cursor = cursor
        self._copies = Copies(session, index, asked.without, asked.named)

        self._best: float | None = None

    @cached_property
    def stands_out(self) -> bool | None:
        """Whether the best photo of all pages scores higher than one does for nonsense.

        None where that cannot be told: photos are looked for, or there is none.
        """
        if self._asked.nonsense is None or self._best is None:
            return None
        photos = self._photos if self._asked.among is None else len(self._asked.among)
        return self._best >= nonsense_line(self._sample @ self._asked.nonsense.T, photos)

    @property
    def note(self) -> str:
        """What people should know of the list so far, or nothing."""
        return "; ".join(filter(None, [NOTHING if self.stands_out is False else "", self._passed_over]))

    @property
    def _passed_over(self) -> str:
        passed = self._copies.passed_over
        return f"passed over: {copies_counted(passed)} of what was asked for (--copies lists them)" if passed else ""

    @cached_property
    def _background(self) -> Floats:
        """The query's scores over a sample of the library's photos, (s,)."""
        scores: Floats = self._sample @ self._asked.vector
        return scores

    @cached_property
    def stop_line(self) -> float | None:
        """The score below which photos are probably not what was asked for; None where it cannot be told."""
        return stop_line(self._background)

    @cached_property
    def newest(self) -> int:
        """The highest photo id that this list, all its pages, may hold."""
        return self._cursor.newest if self._cursor else newest_photo_id(self.session)

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
        if self._index.is_remote:  # there is nothing to compare: Milvus is asked for more
            return None
        if Quota(self._shape).limits_anything:
            return "since limits by hotel or chain look far down the list"
        if self._shape.diverse:
            return f"since a diverse list is chosen from the {POOL} best"
        first = self._cursor is None and self._shape.page == 1
        return None if first else "since a page goes on exactly where the one before ended"

    @property
    def exact(self) -> bool:
        """Whether every photo is compared."""
        return self.compares_all is not None

    def depth(self, k: int) -> int:
        """Return how many photos are asked of the index for k hits: one more tells whether a next page exists.

        One more tells that those before it have no further copies. Limits and diversity look further down, and the
        pages before and the cursor's photo stand there too.
        """
        needed = min(k * self._shape.page, self._photos) + 2 + (self._cursor.rank if self._cursor else 0)
        if self._shape.diverse:
            needed = max(needed, POOL)
        if Quota(self._shape).limits_anything:
            needed = max(needed, PAGE)
        return needed + len(self._asked.without) + (FIRST_FETCH if self.exact else 0)

    def hits(self, k: int) -> tuple[list[Hit], bool]:
        """Return at most k hits, best first, and whether more follow."""
        before = min(k * (self._shape.page - 1), self._photos)
        k = min(k, self._photos)
        found: list[Hit] = []
        stream = islice(self._shaped(k), before, None)
        while len(found) <= k and (batch := list(islice(stream, k + 1 - len(found)))):
            # photos that vanished meanwhile are absent
            found.extend(self._as_hits(batch, first_rank=before + len(found) + 1))
        return found[:k], len(found) > k

    def stream(self) -> Iterator[Hit]:
        """Yield every hit down to `min_score` or the stop line, best first, whatever their number.

        Raises: QueryError: the shape asks for an order that is not known before the last photo is.
        """
        if self._shape.sort != "score":
            raise QueryError(f"all photos come by score, not by {self._shape.sort}: leave --sort or --all out")
        if self._shape.diverse:
            raise QueryError("all photos cannot be had in a diverse order: leave --diverse or --all out")
        rank, stream = 1, self._shaped(self._photos, whole=True)
        while batch := list(islice(stream, PAGE)):
            hits = self._as_hits(batch, first_rank=rank)
            yield from hits
            rank += len(hits)

    def _shaped(self, k: int, whole: bool = False) -> Iterator[Distinct]:
        """Yield photos as the list shows them, behind the cursor."""
        admitted = self._admitted(self._walk(self._photos if whole else self.depth(k)))
        if self._shape.diverse:
            ranked = list(self._diverse(list(islice(admitted, POOL))))
            yield from ranked if self._cursor is None else behind_in(self._cursor, ranked)
        else:
            yield from admitted if self._cursor is None else behind(self._cursor, admitted)

    def _diverse(self, pool: list[Distinct]) -> Iterator[Distinct]:
        if pool:
            ids, scores = [each.photo_ids[0] for each in pool], np.array([each.score for each in pool], np.float32)
            for place in diverse(self._index.vectors(np.array(ids)), scores, len(pool), self._shape.diverse):
                yield pool[int(place)]

    def _admitted(self, ranked: Iterator[Ranked]) -> Iterator[Distinct]:
        """Yield what may be in the list: down to its lowest score, and within the limits by hotel and chain."""
        quota, hotels = Quota(self._shape), dict[int, tuple[int | None, int | None]]()

        def parts() -> Iterator[list[Ranked]]:
            for part in in_parts(self._findable(ranked)):
                if quota.limits_anything:
                    hotels.update(hotels_of(self.session, [photo_id for photo_id, _ in part]))
                yield part

        each = (Distinct([photo_id], score) for part in parts() for photo_id, score in part)
        for photo in each if self._shape.copies else self._copies.distinct(parts()):
            copies = sorted(photo.photo_ids)  # the first that its hotel allows stands for all
            shown = next((i for i in copies if quota.admits(*hotels.pop(i, (None, None)))), None)
            if shown is not None:
                copies.remove(shown)
                yield Distinct([shown, *copies], photo.score)

    def _findable(self, ranked: Iterator[Ranked]) -> Iterator[Ranked]:
        lowest = self.lowest_score
        for photo_id, score in ranked:
            if photo_id in self._asked.without or photo_id > self.newest:
                continue
            self._best = score if self._best is None else self._best
            if score < lowest:
                return
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

    def _top(self, size: int) -> tuple[Floats, Ids]:
        asked = self._asked
        if size <= ONE_SCAN:
            scores, ids = self._index.search(asked.vector[np.newaxis], size, among=asked.among, exact=self.exact)
            return scores[0], ids[0]
        scores, ids = self._everything
        return scores[:size], ids[:size]

    @cached_property
    def _everything(self) -> tuple[Floats, Ids]:
        """All scores, (n,) float32, best first, and the photos' ids."""
        scores, ids = self._index.scores(self._asked.vector, among=self._asked.among)
        order = np.lexsort((ids, -scores))
        return scores[order], ids[order]

    def _as_hits(self, found: Sequence[Distinct], first_rank: int) -> list[Hit]:
        records = photo_records(self.session, [photo_id for photo in found for photo_id in photo.photo_ids])
        there = [([records[i] for i in photo.photo_ids if i in records], photo.score) for photo in found]
        there = [(copies, score) for copies, score in there if copies]
        beaten = percentiles(self._background, np.array([s for _, s in there], np.float32))
        shown = self._cursor.rank if self._cursor else 0
        return [
            Hit(
                **{name: getattr(record, name) for name in RECORDED},
                score=score,
                percentile=None if np.isnan(percentile) else float(percentile),
                above_line=None if self.stop_line is None else score >= self.stop_line,
                place=self._cursor_at(record.photo_id, score, shown + first_rank + place),
                copies=tuple(copies),
                stands_out=self.stands_out,
            )
            for place, (([record, *copies], score), percentile) in enumerate(zip(there, beaten, strict=True))
        ]

    def _cursor_at(self, photo_id: int, score: float, rank: int) -> Cursor:
        asked = self._asked
        return Cursor(
            library=asked.library, query=asked.query, newest=self.newest, score=score, photo_id=photo_id, rank=rank
        )


def in_parts(ranked: Iterator[Ranked]) -> Iterator[list[Ranked]]:
    """Yield photos some at a time: few at first, since a page needs no more."""
    size = FIRST_PART
    while part := list(islice(ranked, size)):
        yield part
        size = min(4 * size, PAGE)


def behind(cursor: Cursor, ranked: Iterator[Distinct]) -> Iterator[Distinct]:
    """Yield, of photos by falling scores, what follows the cursor's photo, or its place where it has left the list.

    It may have vanished, or may not meet the filters and limits any more.
    """
    near: list[Distinct] = []  # which follow its place, if the photo itself does not come
    for photo in ranked:
        if cursor.photo_id in photo.photo_ids:
            yield from ranked
            return
        if follows(cursor, photo.photo_ids[0], photo.score):
            near.append(photo)
        if photo.score < cursor.score - CLEARLY:
            break
    yield from near
    yield from ranked


def follows(cursor: Cursor, photo_id: int, score: float) -> bool:
    """Tell whether a photo has its place behind the cursor's: a lower score, or the same one and a higher id."""
    return score < cursor.score if abs(score - cursor.score) > NOISE else photo_id > cursor.photo_id


def behind_in(cursor: Cursor, ranked: Sequence[Distinct]) -> Sequence[Distinct]:
    """Return, of photos in any order, what follows the cursor's photo; without it, what stands where it stood."""
    places = [place for place, photo in enumerate(ranked) if cursor.photo_id in photo.photo_ids]
    return ranked[places[0] + 1 :] if places else ranked[max(cursor.rank - 1, 0) :]
