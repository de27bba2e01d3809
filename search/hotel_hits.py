"""Hotels ranked by what their photos show: each by its best photo. Compares nothing itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from base.errors import QueryError
from base.listing import Listing
from db.hotel_rows import HotelRecord
from search.answers import Question, Searcher
from search.filters import OfHotels
from search.results import Hit, Results, hit_cells

A_HOTEL = 5  # photos of a hotel that a list of hotels keeps
EVERY = 1 << 40  # more hits than there are photos


@dataclass(frozen=True, kw_only=True, slots=True)
class HotelHit(HotelRecord):
    """A hotel that was found.

    score: its best photo's cosine. shown: how many of its photos lie above the suggested stop line; None where that
    cannot be told. photos: how many were compared, with filters those that meet them. best: the five best, best first.
    """

    score: float
    shown: int | None
    photos: int
    best: list[Hit]
    cursor: str | None  # where it stands; a list of hotels goes on behind it

    def as_json(self) -> dict[str, Any]:
        """Return its values by their names, its photos as a search's hits."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        best = [{name: value for name, value in hit.as_json().items() if name != "cursor"} for hit in self.best]
        return plain | {"best": best}


class HotelHits(Listing[HotelHit]):
    """Hotels, best first.

    stop_line, stands_out, explanation: of the search for their photos. cursor: where the next page begins; None at the
    end.
    """

    columns = ("hotel_id", "hotel_name", "chain_name", "score", "shown", "photos")

    def __init__(self, hits: Iterable[HotelHit], found: Results) -> None:
        super().__init__(hits)
        self.stop_line = found.stop_line
        self.stands_out = found.stands_out
        self.explanation = found.explanation
        self.cursor = found.cursor

    def write_sheet(self, path: str | Path, title: str = "") -> None:
        """Write a row of photos for each hotel. Raises: QueryError, OutputError: as embedding.sheet.write_picture."""
        from embedding.sheet import Section, write_sheet

        rows = [Section(f"{hit.title}  {hit.score:.3f}", hit_cells(hit.best)) for hit in self]
        write_sheet(rows, title or self.explanation.query, Path(path))


def ranked_hotels(searcher: Searcher, question: Question, k: int) -> HotelHits:
    """Return the k hotels whose best photos are nearest to what was asked for, best first.

    By the best photo, since that ranked hotels best by every tag of the samples and of real hotels; means of the best
    two or three, or of all photos, are worse (benchmarks/hotel_table.py). Photos of no hotel are passed over. Copies
    count for each hotel that shows them.

    Raises: QueryError: as `Searcher.search`; or no photo that is left belongs to a hotel.
    """
    if k < 1:
        raise QueryError(f"k is {k}: ask for at least 1 hotel")
    question = replace(question, shape=replace(question.shape, copies=True))
    by_hotel = replace(question, shape=replace(question.shape, per_hotel=1))
    found = searcher.search(by_hotel, k)
    are_of_none = any(hit.hotel_id is None for hit in found)
    if are_of_none:
        found = searcher.search(replace(by_hotel, of_hotels=OfHotels()), k)
    if are_of_none and not found and question.shape.after is None:
        raise QueryError("no photo that is left belongs to a hotel: `aliens add --help` says how photos get one")
    photos = photos_of(searcher, question, [hit.hotel_id for hit in found if hit.hotel_id is not None])
    hits = [
        HotelHit(
            hotel_id=leader.hotel_id or 0,
            hotel_name=leader.hotel_name,
            chain_name=leader.chain_name,
            score=leader.score,
            shown=None if found.stop_line is None else sum(bool(hit.above_line) for hit in photos[leader.hotel_id]),
            photos=len(photos[leader.hotel_id]),
            best=photos[leader.hotel_id][:A_HOTEL],
            cursor=leader.cursor,
        )
        for leader in found
        if photos[leader.hotel_id]  # unless they have vanished meanwhile
    ]
    return HotelHits(hits, found)


def photos_of(searcher: Searcher, question: Question, hotels: Sequence[int]) -> dict[int | None, list[Hit]]:
    """Return the photos of these hotels that answer a question, best first."""
    photos: dict[int | None, list[Hit]] = {hotel_id: [] for hotel_id in hotels}
    if hotels:
        everything = replace(question.shape, per_hotel=None, after=None, until_stop=False, min_score=None, exact=True)
        theirs = replace(question, shape=everything, of_hotels=OfHotels(tuple(hotels)))
        for hit in searcher.search(theirs, EVERY):
            photos[hit.hotel_id].append(hit)
    return photos
