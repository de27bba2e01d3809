"""The search page, and what it fetches while one types and scrolls: answers, tiles, ratios, ids."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from base.errors import QueryError, QuerySyntaxError
from web.opened import Opened, Served
from web.pages.photo_views import SmallPhoto, small_photos
from web.rendering import page
from web.search_state import AskedState, SearchState, saved_links

if TYPE_CHECKING:
    from search.orders import PhotoOrder
    from search.results import Hit

FIRST = 60  # hits that come with the page itself, so that it can be seen without a script
MOST_TILES = 200  # of a request
ROOM = 60  # characters of a query that are shown before the place of an error
ARRAY = "application/octet-stream"

search_pages = APIRouter()


@dataclass(frozen=True, slots=True)
class Tile:
    """A place in the grid. rank: counted from 1. ratio: as `Library.ratios`. hit: None where the photo has vanished."""

    rank: int
    photo_id: int
    ratio: int
    hit: "Hit | None"
    beats: float | None
    below: bool  # the stop line
    picture: SmallPhoto | None

    @property
    def title(self) -> str:
        """What people call the photo: its hotel, and the name of its file."""
        if self.hit is None:
            return ""
        return ": ".join(filter(None, [self.hit.hotel_name, PurePath(self.hit.member or self.hit.path).name]))


@search_pages.get("/")
async def search_page(
    request: Request, served: Served, state: AskedState, rank: Annotated[int, Query(ge=1, le=100_000)] = 1
) -> HTMLResponse:
    """Return the page of a query, with its first hits, or those from a rank on."""
    saved = saved_links(await served.compute(served.library.saved_searches))
    found = await answer(served, state, rank - 1)
    return page(request, "search.html", 422 if "error" in found else 200, state=state, saved=saved, **found)


@search_pages.get("/answer")
async def search_answer(request: Request, served: Served, state: AskedState) -> HTMLResponse:
    """Return what the page shows of a query; a query that cannot be read, as is common while one types, is said so."""
    return page(request, "search_answer.html", state=state, **await answer(served, state, 0))


@search_pages.get("/results")
async def result_tiles(
    request: Request,
    served: Served,
    state: AskedState,
    first: Annotated[int, Query(ge=0, le=100_000)] = 0,
    count: Annotated[int, Query(ge=1, le=MOST_TILES)] = 100,
) -> HTMLResponse:
    """Return tiles from a place on, counted from 0."""
    order = await asked_order(served, state)
    tiles = await served.compute(grid_tiles, served, order, line_of(order), first, count)
    return page(request, "tiles.html", state=state, tiles=tiles, line=line_of(order), size=len(order))


@search_pages.get("/results/ratios", response_class=Response)
async def result_ratios(served: Served, state: AskedState) -> Response:
    """Return a byte a result: width over height, as `Library.ratios` has it."""
    order = await asked_order(served, state)
    return Response(await served.compute(served.library.ratios, order), media_type=ARRAY)


@search_pages.get("/results/ids", response_class=Response)
async def result_ids(
    served: Served,
    state: AskedState,
    first: Annotated[int, Query(ge=0, le=100_000)] = 0,
    count: Annotated[int, Query(ge=1, le=100_000)] = 100,
) -> Response:
    """Return the ids of results from a place on, 8 bytes each, little-endian."""
    order = await asked_order(served, state)
    return Response(order.photo_ids[first : first + count].astype("<i8").tobytes(), media_type=ARRAY)


async def asked_order(served: Opened, state: SearchState) -> "PhotoOrder":
    """Return every photo in the order of a page's state.

    Raises: QueryError, TooBusy.
    """
    return await served.ordered(state.q, more_like=state.more, less_like=state.less, sort=state.sort)


async def answer(served: Opened, state: SearchState, first: int) -> dict[str, Any]:
    """Return what templates show of a query: its order and tiles, or its error and where that shows."""
    try:
        order = await asked_order(served, state)
    except QueryError as error:
        return {"error": ErrorShown(error, state.q)}
    line = line_of(order)
    tiles = await served.compute(grid_tiles, served, order, line, first, FIRST)
    return {"order": order, "tiles": tiles, "line": line, "size": len(order), "first": first, "step": FIRST}


class ErrorShown:
    """An error of a query as the page shows it: what is wrong, and the query with the place marked."""

    def __init__(self, error: QueryError, text: str) -> None:
        self.before = self.mark = self.after = ""
        self.message = str(error)
        if isinstance(error, QuerySyntaxError):
            self.message = error.lines[0]
            place = min(error.place, len(text))
            self.before, self.mark = text[max(place - ROOM, 0) : place], text[place : place + 1] or " "
            self.after = text[place + 1 : place + ROOM]


def line_of(order: "PhotoOrder") -> int | None:
    """Return how many photos stand above the line that the grid draws; None: it draws none.

    There is none where nothing stands out, and none behind the last photo.
    """
    if order.above is None or order.stands_out is False:
        return None
    return order.above if order.above < len(order) else None


def grid_tiles(served: Opened, order: "PhotoOrder", line: int | None, first: int, count: int) -> list[Tile]:
    """Return places of the grid; a photo that has vanished since keeps its place."""
    hits = {hit.photo_id: hit for hit in served.library.hits_at(order, first, count)}
    ratios = served.library.ratios(order)[first : first + count]
    ids = order.photo_ids[first : first + count].tolist()
    pictures = {photo.photo_id: photo for photo in small_photos(served, ids)}
    beats = [None] * len(ids) if order.beats is None else order.beats[first : first + count].tolist()
    return [
        Tile(
            place + 1,
            photo_id,
            ratio,
            hits.get(photo_id),
            beaten,
            line is not None and place >= line,
            pictures.get(photo_id),
        )
        for place, (photo_id, ratio, beaten) in enumerate(zip(ids, ratios, beats, strict=True), start=first)
    ]
