"""Some photos of an order, as a page shows them: their rows, tags and copies, read when they come into view."""

from dataclasses import dataclass, fields

import numpy as np
from sqlalchemy.orm import Session

from db.photo_rows import PhotoRecord, photo_records
from embedding.photo_columns import USUAL_RATIO
from search.answers import Searcher
from search.filters import kinds_of
from search.orders import PhotoOrder
from search.query import parse
from search.results import Hit
from search.standing import CurrentStanding, Standing

RECORDED_NAMES = tuple(field.name for field in fields(PhotoRecord))


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
                **{name: getattr(records[photo_id], name) for name in RECORDED_NAMES},
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
