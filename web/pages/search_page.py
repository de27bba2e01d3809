"""The search page, and the tiles that it fetches while one scrolls."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from web.opened import Served
from web.rendering import page

FIRST = 60  # hits that come with the page itself, so that it can be seen without a script

search_pages = APIRouter()


@search_pages.get("/")
async def search_page(
    request: Request, served: Served, q: Annotated[str, Query(max_length=10_000)] = ""
) -> HTMLResponse:
    """Return the page of a query, with its first hits."""
    order = await served.ordered(q)
    hits = await served.compute(served.library.hits_at, order, 0, FIRST)
    return page(request, "search.html", order=order, hits=hits, first=1)
