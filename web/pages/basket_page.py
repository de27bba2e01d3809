"""The basket: photos picked, candidates asked for, and how they are to be restyled."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from base.errors import QueryError
from web.api.basket_api import put_result
from web.jobs.job_requests import MOST_PHOTOS, Engine, Palette
from web.jobs.outcomes import picks_of, yield_of
from web.opened import Opened, Served
from web.pages.jobs_page import seen_after
from web.rendering import page
from web.search_state import IDS, Sorting, listed_ids

basket_pages = APIRouter()
TILES = 120  # shown at a time
Ids = Annotated[list[int], Form()]
Strategies = Literal["mixed", "detailed", "opposite-palette", "minimal"]


def counted_answer(request: Request, served: Opened) -> Response:
    """Return the basket's count as text; without a script the browser is led to the basket."""
    if "hx-request" not in request.headers and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/basket", 303)
    count = len(served.basket)
    return HTMLResponse(str(count) if count else "", headers={"HX-Trigger": "basket-changed"})


@basket_pages.get("/basket/count")
async def basket_count(served: Served) -> HTMLResponse:
    """Return how many photos the basket holds, as text; nothing where it is empty."""
    count = len(served.basket)
    return HTMLResponse(str(count) if count else "")


@basket_pages.post("/basket/photos")
async def put_photos(
    request: Request,
    served: Served,
    id: Ids = [],  # noqa: B006 - FastAPI copies it
    q: Annotated[str | None, Form(max_length=10_000)] = None,
    sort: Annotated[Sorting, Form()] = "score",
    more: Annotated[str, Form(pattern=IDS)] = "",
    less: Annotated[str, Form(pattern=IDS)] = "",
    k: Annotated[int, Form(ge=1, le=100_000)] = 100_000,
) -> Response:
    """Put photos into the basket: some by their ids, or the first k of a result."""
    if id:
        await served.compute(served.basket.put, id)
    elif q is not None:
        await put_result(served, q, k, sort=sort, more=listed_ids(more), less=listed_ids(less))
    else:
        raise QueryError("say which photos: give ids, or a query")
    return counted_answer(request, served)


@basket_pages.post("/basket/remove")
async def remove_photos_picked(request: Request, served: Served, id: Ids) -> Response:
    """Take photos out of the basket."""
    await served.compute(served.basket.remove, id)
    return counted_answer(request, served)


@basket_pages.post("/basket/clear")
async def clear_basket(request: Request, served: Served) -> Response:
    """Take all photos out of the basket."""
    await served.compute(served.basket.clear)
    return counted_answer(request, served)


@basket_pages.post("/basket/undo")
async def undo_basket(request: Request, served: Served) -> Response:
    """Take the last change of the basket back."""
    await served.compute(served.basket.undo)
    return counted_answer(request, served)


async def basket_values(served: Opened, first: int = 0, count: int = TILES) -> dict[str, object]:
    """Return what the basket's grid shows, from place `first` on."""
    record = served.basket.record()
    ids = record.now.photo_ids[first : first + count]
    known = await served.compute(served.library.photos_numbered, ids)
    return {
        "photos": [(photo_id, known.get(photo_id), record.now.why.get(photo_id, "")) for photo_id in ids],
        "first": first,
        "next": first + count if first + count < len(record.now.photo_ids) else None,
        "total": len(record.now.photo_ids),
        "undo": record.before is not None,
    }


@basket_pages.get("/basket")
async def basket_page(request: Request, served: Served) -> HTMLResponse:
    """Return the basket's page."""
    candidates = next((job for job in await served.look(served.jobs.all) if job.kind == "candidates"), None)
    active = [job for job in await served.look(served.jobs.active) if job.kind == "restyle"]
    return page(
        request,
        "basket.html",
        palettes=await served.compute(served.library.palettes),
        engines=await served.compute(served.library.engines),
        candidates=candidates,
        active=active,
        most=MOST_PHOTOS,
        **await basket_values(served),
        **await candidate_values(served),
    )


@basket_pages.get("/basket/body")
async def basket_body(request: Request, served: Served) -> HTMLResponse:
    """Return the basket's grid, with what can be done with all of it."""
    return page(request, "basket_body.html", **await basket_values(served))


@basket_pages.get("/basket/tiles")
async def basket_tiles(request: Request, served: Served, first: Annotated[int, Query(ge=0)] = 0) -> HTMLResponse:
    """Return more of the basket's grid."""
    return page(request, "basket_tiles.html", **await basket_values(served, first))


async def candidate_values(served: Opened) -> dict[str, object]:
    """Return the picks of the last search for candidates that has ended, and which of them are in the basket."""
    job = next(
        (job for job in await served.look(served.jobs.all) if job.kind == "candidates" and job.state == "done"), None
    )
    picks = [] if job is None else yield_of(job, await served.compute(served.jobs.lines, job.id)).picks
    inside = set(served.basket.record().now.photo_ids)
    left = [pick for pick in picks if pick["photo_id"] not in inside]
    return {"picked_by": job, "picks": picks, "left": left}


@basket_pages.get("/basket/found")
async def basket_found(request: Request, served: Served) -> HTMLResponse:
    """Return the candidates that were found last."""
    return page(request, "basket_found.html", **await candidate_values(served))


@basket_pages.post("/basket/candidates")
async def ask_for_candidates(
    served: Served,
    q: Annotated[str, Form(max_length=10_000)] = "",
    n: Annotated[int, Form(ge=1, le=200)] = 6,
    palette: Annotated[Palette, Form()] = "fern",
    strategy: Annotated[Strategies, Form()] = "mixed",
) -> RedirectResponse:
    """Start a search for candidates."""
    asked = {"query": q.strip(), "n": n, "palette": palette, "strategy": strategy}
    await served.jobs.start("candidates", asked)
    return RedirectResponse("/basket#candidates", 303)


@basket_pages.post("/basket/candidates/{job_id}")
async def put_candidates(request: Request, served: Served, job_id: int) -> Response:
    """Put the candidates that a job has found into the basket, with their reasons."""
    job = await served.look(served.jobs.find, job_id)
    picks = picks_of(job, await served.compute(served.jobs.lines, job_id))
    why = {pick["photo_id"]: "; ".join(pick["why"]) for pick in picks}
    await served.compute(served.basket.put, list(why), why, as_found=True)
    return counted_answer(request, served)


@basket_pages.post("/basket/restyle")
async def restyle_basket(
    served: Served,
    palette: Annotated[Palette, Form()] = "fern",
    engine: Annotated[Engine, Form()] = "regrade",
    strength: Annotated[str, Form(max_length=10)] = "",
    seed: Annotated[int, Form(ge=0, lt=1 << 32)] = 0,
    add: Annotated[bool, Form()] = False,
) -> RedirectResponse:
    """Start restyling what is in the basket; photos that have left the library meanwhile are passed over."""
    picked = served.basket.record().now.photo_ids
    known = await served.compute(served.library.photos_numbered, picked)
    photos = [photo_id for photo_id in picked if photo_id in known]
    if not photos:
        raise QueryError("the basket is empty: pick photos, or ask for candidates, first")
    if len(photos) > MOST_PHOTOS:
        raise QueryError(f"the basket holds {len(photos):,} photos, and one job takes {MOST_PHOTOS:,}: take some out")
    arguments = {"photos": photos, "palette": palette, "engine": engine, "seed": seed, "add": add}
    return seen_after(await served.jobs.start("restyle", arguments | {"strength": share_of(strength)}))


def share_of(text: str) -> float | None:
    """Return the share that a text says in percent, None if it is empty. Raises: QueryError: it says no share."""
    if not text.strip():
        return None
    try:
        percent = float(text)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise QueryError(f"the strongest change is {text!r}: give a number from 0 to 100, or nothing")
    return percent / 100
