"""A pool of photos to choose from: those that a query finds, or a sample of the library, with their vectors.

However large the library is, a pool is small. Opens no photo.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats
from base.errors import QueryError
from db.photo_rows import PhotoRecord, hotels_of, photo_records
from db.vector_rows import embedded_ids
from search.answers import PLAIN, Feedback, Question, Searcher, read_query
from search.filters import chosen, kinds_of
from search.query import Filter, Query
from search.ranking import Shape

DRAWN = 4  # times as many photos are drawn as the pool takes: the hotels that it is spread over


@dataclass(frozen=True, slots=True)
class Pool:
    """Photos with their unit vectors (m, d). note: what people should know of how they were chosen, or nothing."""

    records: list[PhotoRecord]
    vectors: Floats
    note: str = ""


def read_pool(
    searcher: Searcher, text: str | None, tags: Sequence[str] = (), *, most: int, least: int, seed: int = 0
) -> Pool:
    """Return the photos that a query finds above its stop line, best first, or else a sample.

    A query without words to look for, and none at all, gives a sample of what its filters leave, drawn by the seed and
    spread over hotels.

    Args:
        searcher: of the library.
        text: a query (docs/query-language.md), or None.
        tags: tags that every photo must have.
        most: how many photos at most.
        least: so many are taken of a query's photos even where fewer lie above its stop line.
        seed: of the sample.

    Raises: QueryError: the query cannot be read or asks for something impossible, or no photo is left.
    """
    query = read_query(text, None, None)
    query = Query(query.terms, (*query.filters, *(Filter("tag", tag) for tag in tags)))
    if kinds_of(query.filters) != {"photo"}:
        raise QueryError("candidates are photos that nobody has restyled: leave kind: out of the query")
    with searcher.catalog.session() as session:
        if query.terms:
            ids, note = found(searcher, query, most, least)
        else:
            ids, note = sampled(session, searcher, query.filters, most, seed)
        records = photo_records(session, ids)
        vectors = searcher.vectors(session, ids)
    there = [photo_id for photo_id in ids if photo_id in records and photo_id in vectors]
    if not there:
        raise QueryError("no photo is left to choose from: loosen the query or the tags, or add photos")
    return Pool([records[photo_id] for photo_id in there], np.stack([vectors[photo_id] for photo_id in there]), note)


def found(searcher: Searcher, query: Query, most: int, least: int) -> tuple[list[int], str]:
    """Return what a query finds, best first: what lies above its stop line, and at least so many; and a note."""
    results = searcher.search(Question(query, PLAIN, Feedback(), Shape()), most)
    above = [hit.photo_id for hit in results if hit.above_line is not False]
    ids = [hit.photo_id for hit in results[: max(least, len(above))]]
    note = results.note
    if len(above) < len(ids):
        below = f"{len(ids) - len(above)} of the {len(ids)} photos lie below the query's stop line"
        note = "; ".join(filter(None, [note, f"{below}: they may show something else"]))
    return ids, note


def sampled(
    session: Session, searcher: Searcher, filters: Sequence[Filter], most: int, seed: int
) -> tuple[list[int], str]:
    """Return a sample of the photos that filters leave, ascending, spread over hotels; and a note."""
    choice = chosen(searcher.catalog, session, searcher.store, filters)
    ids = embedded_ids(session, searcher.catalog.model) if choice.ids is None else choice.ids
    if len(ids) <= most:
        return ids.tolist(), choice.note
    drawn = np.random.default_rng(seed).permutation(ids)[: DRAWN * most].tolist()
    hotels = {photo_id: hotel for photo_id, (hotel, _) in hotels_of(session, drawn).items()}
    taken = sorted(spread_over(drawn, hotels, most))
    sample = f"a sample of {len(taken)} of {len(ids)} photos: others with --seed, more with --pool"
    return taken, "; ".join(filter(None, [choice.note, sample]))


def spread_over(ids: Sequence[int], hotels: Mapping[int, int | None], most: int) -> list[int]:
    """Return so many of the photos, taking one of each hotel in turn; photos of no hotel are each their own."""
    by_hotel: dict[tuple[str, int], list[int]] = defaultdict(list)
    for photo_id in ids:
        hotel = hotels.get(photo_id)
        by_hotel[("photo", photo_id) if hotel is None else ("hotel", hotel)].append(photo_id)
    rounds = [(at, photo_id) for photos in by_hotel.values() for at, photo_id in enumerate(photos)]
    return [photo_id for _, photo_id in sorted(rounds, key=lambda turn: turn[0])][:most]
