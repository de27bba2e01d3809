"""Jobs as people follow them: the list, one job with what it gave, and the line that other pages show of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from web.jobs.job_records import JobRecord
from web.jobs.outcomes import yield_of
from web.opened import Opened, Served
from web.rendering import page

jobs_pages = APIRouter()
JobId = Annotated[int, Path(ge=1)]
SHOWN = 50  # jobs in the list
MOST_SHOWN = 500  # of what one job gave


def seen_after(job_id: int) -> RedirectResponse:
    """Return the answer that leads to a job's page."""
    return RedirectResponse(f"/jobs/{job_id}", 303)


@jobs_pages.get("/jobs")
async def jobs_page(request: Request, served: Served) -> HTMLResponse:
    """Return the list of jobs."""
    return page(request, "jobs.html", jobs=(await served.look(served.jobs.all))[:SHOWN])


@jobs_pages.get("/jobs/{job_id}")
async def job_page(request: Request, served: Served, job_id: JobId) -> HTMLResponse:
    """Return the page of one job."""
    job = await served.look(served.jobs.find, job_id)
    return page(request, "job.html", job=job, **await given_by(served, job))


async def given_by(served: Opened, job: JobRecord) -> dict[str, Any]:
    """Return what a job has given, as its page shows it."""
    lines = await served.compute(served.jobs.lines, job.id)
    given = yield_of(job, lines)
    return {"given": given, "kept": await served.look(served.jobs.kept_file, job), "most": MOST_SHOWN}


@jobs_pages.get("/jobs/{job_id}/line")
async def job_line(request: Request, served: Served, job_id: JobId) -> HTMLResponse:
    """Return a job as a line: what it does, how far it is, and what can be done about it."""
    return page(request, "job_line.html", job=await served.look(served.jobs.find, job_id))


@jobs_pages.get("/jobs/{job_id}/given")
async def job_given(request: Request, served: Served, job_id: JobId) -> HTMLResponse:
    """Return what a job has given so far."""
    job = await served.look(served.jobs.find, job_id)
    return page(request, "job_given.html", job=job, **await given_by(served, job))


@jobs_pages.get("/jobs/{job_id}/file")
async def job_file(served: Served, job_id: JobId) -> FileResponse:
    """Return the file that an export has written."""
    job = await served.look(served.jobs.find, job_id)
    kept = await served.look(served.jobs.kept_file, job)
    if kept is None or job.request.get("format") == "imagefolder":
        raise HTTPException(404, f"job {job_id} has written no file that can be sent")
    return FileResponse(kept, filename=f"tags-{job_id}{kept[kept.rindex('.kept') + 5 :]}")


@jobs_pages.post("/jobs/{job_id}/cancel")
async def cancel_by_form(request: Request, served: Served, job_id: JobId) -> Response:
    """Have a job stop; returns its line, or leads to its page."""
    await served.jobs.cancel(job_id)
    if "hx-request" in request.headers:
        return page(request, "job_line.html", job=await served.look(served.jobs.find, job_id))
    return seen_after(job_id)


@jobs_pages.post("/jobs/{job_id}/repeat")
async def repeat_by_form(served: Served, job_id: JobId) -> RedirectResponse:
    """Queue the same job again, and lead to it."""
    return seen_after(await served.jobs.repeat(job_id))
