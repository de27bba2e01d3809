"""Restyled photos before and after, in words and in figures."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from web.api.result_api import ResultNumber, result_numbered
from web.jobs.outcomes import yield_of
from web.opened import Opened, Served
from web.pages.jobs_page import seen_after
from web.rendering import page

restyled_pages = APIRouter()
RESULTS = 24  # on a page


async def results_shown(served: Opened, job_id: int | None, photo: int | None) -> tuple[list[Any], list[str]]:
    """Return results, the newest first, of a job, of a photo or all; and why a job left photos out."""
    if job_id is None:
        return list(await served.compute(served.library.restyled, photo=photo))[::-1], []
    job = await served.look(served.jobs.find, job_id)
    given = yield_of(job, await served.compute(served.jobs.lines, job_id))
    known = {result.id: result for result in await served.compute(served.library.restyled)}
    return [known[number] for number in dict.fromkeys(given.results) if number in known], given.failed


@restyled_pages.get("/restyled")
async def restyled_page(
    request: Request,
    served: Served,
    job: Annotated[int | None, Query(ge=1)] = None,
    photo: Annotated[int | None, Query(ge=1, lt=1 << 63)] = None,
    first: Annotated[int, Query(ge=0)] = 0,
) -> HTMLResponse:
    """Return a page of restyled photos."""
    found, failed = await results_shown(served, job, photo)
    shown = found[first : first + RESULTS]
    return page(
        request,
        "restyled.html",
        results=await served.compute(lambda: [described_result(result) for result in shown]),
        total=len(found),
        first=first,
        step=RESULTS,
        failed=failed,
        job=job,
        photo=photo,
    )


@restyled_pages.get("/restyled/{result_id}")
async def one_restyled_page(request: Request, served: Served, result_id: ResultNumber) -> HTMLResponse:
    """Return one restyled photo, large."""
    result = await result_numbered(served, result_id)
    return page(request, "restyled_one.html", item=await served.compute(described_result, result))


def described_result(result: Any) -> dict[str, Any]:
    """Return what a page shows of a result; the template has the words."""
    lineage, scores = result.lineage, result.lineage.scores
    return asdict(lineage) | {
        "id": result.id,
        "photo": lineage.source_photo_id,
        "searchable": result.photo_id,
        "made_at": result.made_at,
        "exists": result.exists,
        "size": result.measured,
        "kept": round(100 * scores["edge_f1"]),
        "noticed": round(100 * scores["protan_share"]),
        "wasted": round(100 * scores["protan_wasted"]),
        "attempts": len(lineage.attempts),
    }


@restyled_pages.post("/restyled/add")
async def make_searchable(served: Served, id: Annotated[list[int], Form()]) -> RedirectResponse:
    """Start a job after which searches find these results."""
    return seen_after(await served.jobs.start("add_results", {"results": id}))
