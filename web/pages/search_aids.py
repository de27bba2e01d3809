"""What stands beside the photos of a search: facets, suggestions, places on the map, saved searches."""

from dataclasses import astuple
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse

from base.errors import QueryError
from web.opened import Opened, Served
from web.pages.search_page import asked_order
from web.rendering import page
from web.search_state import IDS, LONGEST_QUERY, SAVED_SORTS, AskedState, SearchState, Sorting, listed_ids, saved_links

aid_pages = APIRouter()


@aid_pages.get("/facets")
async def search_facets(request: Request, served: Served, state: AskedState) -> HTMLResponse:
    """Return the properties of a query's photos, each value with the address that asks for it, or no longer does."""
    order = await asked_order(served, state)
    facets = await served.compute(served.library.facets, order)
    terms = [value.term for facet in facets for value in facet.values]
    addresses = await served.compute(toggled_addresses, served, state, terms)
    return page(request, "search_facets.html", state=state, facets=facets, address=addresses.__getitem__)


def toggled_addresses(served: Opened, state: SearchState, terms: list[str]) -> dict[str, str]:
    """Return {filter: query string of a state with it, or without it where it has it}."""
    return {term: state.address(q=served.library.toggled_filter(state.q, term)) for term in terms}


@aid_pages.get("/suggestions")
async def search_suggestions(
    request: Request,
    served: Served,
    q: Annotated[str, Query(max_length=LONGEST_QUERY)] = "",
    caret: Annotated[int, Query(ge=0, le=LONGEST_QUERY)] = 0,
) -> HTMLResponse:
    """Return what may be typed next, as options of the search box."""
    terms = await served.compute(served.library.suggest, q, min(caret, len(q)))
    return page(request, "search_suggestions.html", terms=terms)


@aid_pages.get("/map/places")
async def search_places(served: Served, state: AskedState) -> JSONResponse:
    """Return places as [latitude, longitude, photos, title, term, best photo], in degrees."""
    order = await asked_order(served, state)
    places = await served.compute(served.library.mapped, order)
    return JSONResponse([astuple(place) for place in places])


@aid_pages.get("/filtered")
async def search_filtered(
    served: Served, state: AskedState, term: Annotated[str, Query(max_length=2_000)]
) -> JSONResponse:
    """Return a query with a filter, or without it where it has it already."""
    return JSONResponse({"q": await served.compute(served.library.toggled_filter, state.q, term)})


@aid_pages.get("/searches")
async def searches_saved(request: Request, served: Served) -> HTMLResponse:
    """Return the saved searches as a list of links."""
    return await saved_list(request, served)


@aid_pages.post("/searches")
async def save_a_search(
    request: Request,
    served: Served,
    name: Annotated[str, Form(max_length=300)],
    q: Annotated[str, Form(max_length=LONGEST_QUERY)] = "",
    sort: Annotated[Sorting, Form()] = "score",
    more: Annotated[str, Form(pattern=IDS)] = "",
    less: Annotated[str, Form(pattern=IDS)] = "",
) -> HTMLResponse:
    """Keep a query under a name; return the list with it.

    Raises: QueryError: it has a photo that was dropped on the page, or an order that saved searches do not know.
    """
    state = SearchState(q=q, sort=sort, more=listed_ids(more), less=listed_ids(less))
    if state.dropped:
        raise QueryError("a photo that was dropped here is kept for an hour only: take it out, then save the search")
    if sort not in SAVED_SORTS.values():
        raise QueryError(f"saved searches do not know the order {sort}: choose another, then save the search")
    await served.compute(served.library.refuse_files, q)
    known = next(name for name, ours in SAVED_SORTS.items() if ours == sort)
    options: dict[str, Any] = {"more_like": state.more, "less_like": state.less, "sort": known}
    await served.compute(served.library.save_search, name, q or None, **options)
    return await saved_list(request, served)


@aid_pages.post("/searches/forget")
async def forget_a_search(request: Request, served: Served, name: Annotated[str, Form(max_length=300)]) -> HTMLResponse:
    """Remove a saved search; return the list without it."""
    await served.compute(served.library.forget_search, name)
    return await saved_list(request, served)


async def saved_list(request: Request, served: Served) -> HTMLResponse:
    """Return the list of saved searches."""
    saved = saved_links(await served.compute(served.library.saved_searches))
    return page(request, "search_saved.html", saved=saved)
