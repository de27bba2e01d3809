"""Adding photos, what became of them, and how the library is."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from base.errors import QueryError
from base.progress import silent
from base.urls import url_of
from web.jobs.allowed_places import key_of
from web.jobs.job_requests import TEST_TREE, TREE
from web.opened import Opened, Served
from web.pages.jobs_page import seen_after
from web.rendering import page
from web.search_state import saved_links

library_pages = APIRouter()
FAILURES = 50  # on a page
ALONE = (  # the policy for a page that asks for nothing and runs nothing
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
REPORTED = ("chain", "source", "year")
CARE = {"add", "verify", "index", "tag"}  # kinds of jobs that this page shows


@library_pages.get("/library")
async def library_page(request: Request, served: Served) -> HTMLResponse:
    """Return what the library holds and what can be done about it."""
    jobs = await served.look(served.jobs.all)
    ended = [job for job in jobs if not job.is_active and job.kind in CARE][:1]
    return page(
        request,
        "library.html",
        info=await served.compute(served.library.info),
        places=await scanned_places_shown(served),
        writable=served.library.is_writable(),
        jobs=[job for job in jobs if job.is_active] + ended,
        roots=await served.compute(served.jobs.places.roots),
        saved=saved_links(await served.compute(served.library.saved_searches)),
    )


async def scanned_places_shown(served: Opened) -> list[dict[str, Any]]:
    """Return the places that were looked at: which may be looked at from here again, and which are gone."""
    places = await served.compute(served.library.scanned_places)
    may_look = {root.key for root in await served.compute(served.jobs.places.roots)}
    gone = await served.compute(roots_gone, [place.root for place in places])
    shown = []
    for place in places:
        key = key_of(Path(place.root))
        shown.append({"key": key, "place": place, "may_look": key in may_look, "gone": place.root in gone})
    return shown


def roots_gone(roots: Sequence[str]) -> set[str]:
    """Return those of some places that are not there now; addresses are not asked."""
    return {root for root in roots if url_of(root) is None and not os.path.exists(root)}


@library_pages.get("/library/counts")
async def library_counts(request: Request, served: Served) -> HTMLResponse:
    """Return how many photos there are, in words."""
    return page(request, "library_counts.html", info=await served.compute(served.library.info))


@library_pages.get("/library/now")
async def library_now(request: Request, served: Served) -> HTMLResponse:
    """Return whether another program changes the library now."""
    ours = any(job.state == "running" for job in await served.look(served.jobs.active))
    changing = not ours and await served.compute(served.library.is_being_changed)
    return page(request, "library_now.html", changing=changing)


@library_pages.get("/library/report")
async def library_report(request: Request, served: Served) -> HTMLResponse:
    """Return how many photos there are by chain, source and year."""
    order = await served.ordered("")
    facets = await served.compute(served.library.facets, order)
    chosen = [facet for name in REPORTED for facet in facets if facet.name == name and facet.values]
    return page(request, "library_report.html", facets=chosen)


@library_pages.get("/library/numbers")
async def library_in_numbers(served: Served) -> HTMLResponse:
    """Return what the library holds as the page that `aliens stats` writes, which has its style within."""
    found = await served.compute_heavy(served.library.stats, progress=silent)
    return HTMLResponse(await served.compute_heavy(found.page), headers={"Content-Security-Policy": ALONE})


@library_pages.get("/library/folders")
async def library_folders(
    request: Request,
    served: Served,
    root: Annotated[str, Query(max_length=64)] = "",
    inside: Annotated[str, Query(max_length=10_000)] = "",
) -> HTMLResponse:
    """Return the folders that photos may be added from, to be picked."""
    seen = await served.compute(served.jobs.places.look, root, inside) if root else None
    roots = await served.compute(served.jobs.places.roots)
    return page(request, "library_folders.html", roots=roots, seen=seen)


@library_pages.post("/library/add")
async def add_place(
    served: Served,
    root: Annotated[str, Form(max_length=64)],
    inside: Annotated[str, Form(max_length=10_000)] = "",
    hotel_from: Annotated[Literal["", "folder", "path", "none"], Form()] = "",
) -> RedirectResponse:
    """Start adding the photos of a place."""
    places = [{"root": root, "inside": inside}]
    return seen_after(await served.jobs.start("add", {"places": places, "hotel_from": hotel_from or None}))


@library_pages.post("/library/again")
async def look_at_all(served: Served) -> RedirectResponse:
    """Start looking for new photos in all places that were added before."""
    return seen_after(await served.jobs.start("add", {}))


@library_pages.get("/library/failures")
async def library_failures(
    request: Request,
    served: Served,
    kind: Annotated[str, Query(max_length=64)] = "",
    first: Annotated[int, Query(ge=0)] = 0,
) -> HTMLResponse:
    """Return the photos that could not be used, each with its reason."""
    found = await served.compute(served.library.failures, kind or None)
    info = await served.compute(served.library.info)
    return page(
        request,
        "library_failures.html",
        failures=found[first : first + FAILURES],
        total=len(found),
        first=first,
        step=FAILURES,
        kind=kind,
        kinds=info.failures,
    )


@library_pages.post("/library/retry")
async def retry_failures(served: Served) -> RedirectResponse:
    """Start trying the photos again that failed, in all places that are there."""
    roots = await served.compute(served.jobs.places.roots)
    scanned = {place.root for place in await served.compute(served.library.scanned_places)}
    again = [root for root in roots if str(root.path) in scanned]
    folders = [{"root": root.key} for root in again if root.kind not in (TREE, TEST_TREE)]
    trees = [[{"root": root.key}] for root in again if root.kind in (TREE, TEST_TREE)]
    if not folders and not trees:
        raise QueryError("none of the folders that the photos came from is there now: connect the disk first")
    started = [
        await served.jobs.start("add", {"places": places, "retry_failed": True})
        for places in ([folders] if folders else []) + trees
    ]
    return RedirectResponse("/library#jobs", 303) if len(started) > 1 else seen_after(started[0])


@library_pages.post("/library/verify")
async def verify_library(
    served: Served, quick: Annotated[bool, Form()] = False, repair: Annotated[bool, Form()] = False
) -> RedirectResponse:
    """Start checking the library, or mending what can be mended and then checking."""
    return seen_after(await served.jobs.start("verify", {"quick": quick, "repair": repair}))


@library_pages.post("/library/index")
async def index_library(served: Served) -> RedirectResponse:
    """Start bringing the search index up to date."""
    return seen_after(await served.jobs.start("index", {}))
