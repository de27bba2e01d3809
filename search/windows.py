"""Some photos of an order, as a page shows them: their rows, tags and copies, read when they come into view."""

from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.orm import Session

from db.photo_rows import photo_records
from embedding.photo_columns import USUAL_RATIO
from search.answers import Searcher
from search.filters import kinds_of
from search.orders import PhotoOrder
from search.query import parse
from search.ranking import RECORDED
from search.results import Cursor, Hit, read_cursor
from search.standing import CurrentStanding, Standing


@dataclass(frozen=True, slots=True)
class ShownHit(Hit):
    """A hit in its place. rank: counted from 1. tags: that it has, of all vocabularies. ratio: see `Library.ratios`."""

    rank: int = 0
    tags: tuple[str, ...] = ()
    ratio: int = USUAL_RATIO


def standing_of(current: CurrentStanding, session: Session, order: PhotoOrder) -> Standing:
    """Return the library as it stands now, of the kinds of photos that an order is of."""
    return current.at(session, kinds_of(parse(order.text).filters))


def hits_of_window(
    searcher: Searcher, current: CurrentStanding, session: Session, order: PhotoOrder, first: int, count: int
) -> list[ShownHit]:
    """Return the photos of an order from place `first` on, counted from 0; those that have vanished are absent."""
    window = slice(max(first, 0), max(first, 0) + max(count, 0))
    ids = order.photo_ids[window]
    if not len(ids) or not searcher.has_photos(session):
        return []
    of_window = order.copies[np.isin(order.copies[:, 0], ids)] if len(order.copies) else order.copies
    records = photo_records(session, np.unique(np.concatenate([ids, of_window[:, 1]])).tolist())
    columns = standing_of(current, session, order)
    rows, here = columns.columns.positions(ids)
    ratios = np.where(here, columns.columns.ratios[rows], USUAL_RATIO).tolist()
    tags = tags_of(columns, rows)
    hits = []
    for place, photo_id in enumerate(ids.tolist()):
        if photo_id not in records:
            continue
        at = window.start + place
        copies = [records[i] for i in of_window[of_window[:, 0] == photo_id, 1].tolist() if i in records]
        score = None if order.scores is None else float(order.scores[at])
        hits.append(
            ShownHit(
                **{name: getattr(records[photo_id], name) for name in RECORDED},
                score=0.0 if score is None else score,
                percentile=told(order, at),
                above_line=None if score is None or order.stop_line is None else score >= order.stop_line,
                copies=tuple(copies),
                stands_out=order.stands_out,
                rank=at + 1,
                tags=tags[place] if here[place] else (),
                ratio=ratios[place],
            )
        )
    return hits


@dataclass(frozen=True, slots=True)
class HitPage:
    """Some hits of an order, and what goes on behind them: a cursor, None at the end. as_of: see `Library.hit_page`."""

    hits: list[ShownHit]
    cursor: str | None
    as_of: int


def page_of_order(
    searcher: Searcher,
    current: CurrentStanding,
    session: Session,
    order: PhotoOrder,
    *,
    limit: int,
    after: str | None = None,
    rank: int = 1,
    as_of: int | None = None,
) -> HitPage:
    """Return a page of an order: see `Library.hit_page`."""
    cursor = None if after is None else read_cursor(after, order.library, order.question)
    newest = cursor.newest if cursor else order.newest if as_of is None else as_of
    order = known_then(order, newest)
    first = rank - 1 if cursor is None else place_behind(order, cursor)
    hits = hits_of_window(searcher, current, session, order, first, limit)
    end = first + limit
    if end >= len(order):
        return HitPage(hits, None, newest)
    last = Cursor(
        library=order.library,
        query=order.question,
        newest=newest,
        score=0.0 if order.scores is None else float(order.scores[end - 1]),
        photo_id=int(order.photo_ids[end - 1]),
        rank=end,
    )
    return HitPage(hits, str(last), newest)


def known_then(order: PhotoOrder, newest: int) -> PhotoOrder:
    """Return an order without the photos that came later than the one of this id."""
    keep = order.photo_ids <= newest
    if keep.all():
        return order
    scores, beats = (None if values is None else values[keep] for values in (order.scores, order.beats))
    return replace(order, photo_ids=order.photo_ids[keep], scores=scores, beats=beats)


def place_behind(order: PhotoOrder, cursor: Cursor) -> int:
    """Return the place behind a cursor's photo, or behind its place where it has left the order."""
    found = np.flatnonzero(order.photo_ids == cursor.photo_id)
    if len(found):
        return int(found[0]) + 1
    if order.scores is None or order.sort != "score":
        return max(cursor.rank - 1, 0)
    return int(np.searchsorted(-order.scores, -np.float32(cursor.score), side="left"))


def told(order: PhotoOrder, at: int) -> float | None:
    """Return which share of the library scores lower, in percent, where that can be told."""
    beats = None if order.beats is None else float(order.beats[at])
    return None if beats is None or np.isnan(beats) else beats


def tags_of(standing: Standing, rows: np.ndarray) -> list[tuple[str, ...]]:
    """Return the tags of photos by their positions, each once, of one vocabulary after the other."""
    found: list[dict[str, None]] = [{} for _ in rows]
    for vocabulary in standing.tags:
        for mine, tags in zip(found, vocabulary.tags_at(rows), strict=True):
            mine.update(dict.fromkeys(tags))
    return [tuple(tags) for tags in found]


def ratios_of(searcher: Searcher, current: CurrentStanding, session: Session, order: PhotoOrder) -> bytes:
    """Return a byte a photo: see `Library.ratios`."""
    if not len(order) or not searcher.has_photos(session):
        return b""
    columns = standing_of(current, session, order).columns
    rows, here = columns.positions(order.photo_ids)
    return np.where(here, columns.ratios[rows], USUAL_RATIO).astype(np.uint8).tobytes()
