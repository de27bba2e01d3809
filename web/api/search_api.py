"""Searching by program: hits page by page, what they have in common, where they are, what may be typed next."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from web.api.photo_api import LocalTime
from web.opened import Opened, Served
from web.photo_numbers import LAST_ID, PhotoNumber
from web.search_state import LONGEST_QUERY, Sorting

if TYPE_CHECKING:
    from search.orders import PhotoOrder
    from search.windows import ShownHit

MOST_HITS = 500

searching = APIRouter(tags=["search"])


class AskedQuery(BaseModel):
    """What is looked for, in which order."""

    q: str = Field("", max_length=LONGEST_QUERY, description="in the query language; empty: all photos")
    more: list[PhotoNumber] = Field([], max_length=100, description="ids of photos that are what is meant")
    less: list[PhotoNumber] = Field([], max_length=100, description="ids of photos that are not what is meant")
    sort: Sorting = Field(
        "score", description="without words to look for, score is newest; else the photos above the line are sorted"
    )


def asked_query(
    q: Annotated[str, Query(max_length=LONGEST_QUERY, description=AskedQuery.model_fields["q"].description)] = "",
    more: Annotated[list[PhotoNumber], Query(max_length=100, description="ids of photos that are what is meant")] = [],  # noqa: B006 - FastAPI copies it
    less: Annotated[list[PhotoNumber], Query(max_length=100, description="ids of photos that are not")] = [],  # noqa: B006
    sort: Annotated[Sorting, Query(description=AskedQuery.model_fields["sort"].description)] = "score",
) -> AskedQuery:
    """Return what the address of a request asks for."""
    return AskedQuery(q=q, more=more, less=less, sort=sort)


Asked = Annotated[AskedQuery, Depends(asked_query)]


class PhotoFound(BaseModel):
    """A photo that was found. Its picture is at /api/v1/photos/{photo_id}/image."""

    rank: int = Field(description="its place, counted from 1")
    photo_id: int
    name: str = Field(description="of its file")
    kind: str = Field(description="photo or restyled")
    score: float | None = Field(description="cosine with what was looked for; null where nothing was")
    beats: float | None = Field(description="percent of a sample of the library's photos that score lower")
    above_line: bool | None = Field(description="whether it lies above the suggested stop line; null without one")
    hotel_id: int | None
    hotel: str | None
    chain: str | None
    date: LocalTime | None
    date_from: str | None = Field(description="who says so: table, camera, upload, or file, its file's own time")
    latitude: float | None = Field(description="degrees; its own, else its hotel's")
    longitude: float | None
    tags: list[str]
    copies: list[int] = Field(description="ids of copies, which are listed with it")


class SearchAnswer(BaseModel):
    """A page of hits. `total` and `above` are of all pages, copies counted with their photos."""

    total: int = Field(description="photos that the filters leave, all of which are ordered")
    above: int | None = Field(description="photos above the suggested stop line; null where it cannot be told")
    stop_line: float | None = Field(description="the cosine below which photos are probably not what was asked for")
    stands_out: bool | None = Field(description="false: nothing here looks like that; null where it cannot be told")
    photos: int = Field(description="photos of the library")
    reachable: int = Field(description="photos that pages lead to, at most 100,000 of the total")
    note: str
    as_of: int = Field(description="give it with `rank`, so that ranks stay those of this page while photos come")
    cursor: str | None = Field(description="give it as `cursor` for the next page; null at the end")
    hits: list[PhotoFound]


class CountedValue(BaseModel):
    """A value of a property: how it reads, the filter that asks for it, how many photos have it."""

    value: str
    term: str
    count: int
    chosen: bool


class CountedFacet(BaseModel):
    """A property of the photos that were found; counts follow the query, without the property's own filters."""

    name: str = Field(description="tag, chain, hotel, source, size, colour or year")
    vocabulary: str = Field(description="of tags; else empty")
    values: list[CountedValue]
    others: int = Field(description="further values, which are not listed")
    unknown: int = Field(description="photos of which it is not known")


class FacetAnswer(BaseModel):
    """What the photos above the stop line have in common, or all photos where there is no line."""

    above: int | None
    total: int
    facets: list[CountedFacet]


class PlaceFound(BaseModel):
    """A place of photos that were found; places near each other come as one where there are many."""

    latitude: float
    longitude: float
    count: int
    title: str = Field(description="the hotel's name; empty for several")
    term: str = Field(description="the filter that asks for it")
    photo_id: int = Field(description="the best photo there")


class MapAnswer(BaseModel):
    """Where the photos above the stop line were taken, the best photo's place first."""

    places: list[PlaceFound]


class SuggestionFound(BaseModel):
    """What may be typed next."""

    text: str = Field(description="the whole query with it")
    caret: int = Field(description="where the caret stands then, in characters")
    kind: str = Field(description="tag, hotel, chain, source, operator or saved")
    label: str
    about: str


class SuggestionAnswer(BaseModel):
    """What may be typed next, the likeliest first."""

    suggestions: list[SuggestionFound]


async def order_of_query(served: Opened, asked: AskedQuery) -> "PhotoOrder":
    """Return every photo in the order that is asked for. Raises: QueryError, TooBusy."""
    return await served.ordered(asked.q, more_like=asked.more, less_like=asked.less, sort=asked.sort)


@searching.get("/search")
async def search_results(
    served: Served,
    asked: Asked,
    limit: Annotated[int, Query(ge=1, le=MOST_HITS, description="photos of a page")] = 50,
    cursor: Annotated[str | None, Query(max_length=1_000, description="of the page before")] = None,
    rank: Annotated[int, Query(ge=1, le=LAST_ID, description="of the first photo, in place of a cursor")] = 1,
    as_of: Annotated[int | None, Query(ge=0, le=LAST_ID, description="of an earlier page")] = None,
) -> SearchAnswer:
    """Return photos in the order of a query, copies as one, page by page."""
    order = await order_of_query(served, asked)
    page = await served.compute(served.library.hit_page, order, limit=limit, after=cursor, rank=rank, as_of=as_of)
    return SearchAnswer(
        total=order.total,
        above=order.above,
        stop_line=order.stop_line,
        stands_out=order.stands_out,
        photos=order.photos,
        reachable=len(order),
        note=order.note,
        as_of=page.as_of,
        cursor=page.cursor,
        hits=[as_found(hit, order.scores is not None) for hit in page.hits],
    )


def as_found(hit: "ShownHit", scored: bool) -> PhotoFound:
    """Return a hit as programs get it: without the folders of this machine."""
    known = {name: getattr(hit, name) for name in PhotoFound.model_fields if hasattr(hit, name)}
    known |= {"name": (hit.member or hit.path).rsplit("/", 1)[-1], "score": hit.score if scored else None}
    known |= {"beats": hit.percentile, "hotel": hit.hotel_name, "chain": hit.chain_name}
    return PhotoFound(**known | {"copies": [copy.photo_id for copy in hit.copies]})


@searching.get("/search/facets")
async def facets_found(served: Served, asked: Asked) -> FacetAnswer:
    """Return how many of the photos above the stop line have each tag, hotel, year and the like."""
    order = await order_of_query(served, asked)
    facets = await served.compute(served.library.facets, order)
    said = {"above": order.above, "total": order.total, "facets": facets}
    return FacetAnswer.model_validate(said, from_attributes=True)


@searching.get("/search/hotels")
async def hotels_found(
    served: Served,
    asked: Asked,
    name: Annotated[str, Query(min_length=1, max_length=200, description="a part of hotels' names")],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[CountedValue]:
    """Return hotels by a part of their names, with how many of the photos above the line are theirs."""
    order = await order_of_query(served, asked)
    hotels = await served.compute(served.library.hotels_like, order, name, limit)
    return [CountedValue.model_validate(hotel, from_attributes=True) for hotel in hotels]


@searching.get("/search/map")
async def places_found(served: Served, asked: Asked) -> MapAnswer:
    """Return where the photos above the stop line were taken."""
    order = await order_of_query(served, asked)
    places = await served.compute(served.library.mapped, order)
    return MapAnswer.model_validate({"places": places}, from_attributes=True)


@searching.get("/suggestions")
async def terms_suggested(
    served: Served,
    q: Annotated[str, Query(max_length=LONGEST_QUERY, description="the query as far as it is typed")] = "",
    caret: Annotated[int | None, Query(ge=0, le=LONGEST_QUERY, description="in characters; by default the end")] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 8,
) -> SuggestionAnswer:
    """Return what may be typed next at the caret: tags, hotels, chains, operators, saved searches."""
    found = await served.compute(served.library.suggest, q, len(q) if caret is None else caret, limit)
    return SuggestionAnswer.model_validate({"suggestions": found}, from_attributes=True)
