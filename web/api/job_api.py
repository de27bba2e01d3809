"""Jobs: started, watched, cancelled."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from base.errors import QueryError
from web.jobs.events import brief_state, job_events
from web.jobs.job_records import State
from web.jobs.job_requests import AnyJob, ExportJob, Request, TagJob
from web.opened import Served

working = APIRouter(tags=["jobs"])
JobNumber = Annotated[int, Path(ge=1, description="the job's number")]
MOST_LINES = 1_000


class ListedJob(BaseModel):
    """A job as it is now. Times are in seconds since 1970; `lines` counts what it has printed, see its output."""

    id: int
    kind: str
    state: State
    what: str
    done: int
    total: int | None
    unit: str
    note: str
    problem: str
    lines: int
    left_out: int
    created_at: float
    started_at: float | None
    ended_at: float | None


class JobState(ListedJob):
    """A job by itself: with what was asked, and its last notes."""

    request: dict[str, Any]
    said: list[str]


class JobOutput(BaseModel):
    """Lines that a job has printed, most of them objects of JSON; `total`: how many there are."""

    first: int
    total: int
    lines: list[str]


class FolderBelow(BaseModel):
    """A folder that photos may be added from: its root's key, the path below that, and what is in it."""

    root: str
    name: str
    inside: str
    folders: list[str]
    tars: list[str]
    more: int


def refuse_file_names(request: Request) -> None:
    """Raise QueryError: a vocabulary is named as a file, which no stranger may have read."""
    named = request.vocabulary if isinstance(request, TagJob | ExportJob) else None
    if named and ("/" in named or named.lower().endswith((".toml", ".txt"))):
        raise QueryError(f"the vocabulary {named[:80]!r} is named as a file: name one that the library knows")


@working.get("/jobs", response_model=list[ListedJob])
async def list_jobs(served: Served) -> list[dict[str, Any]]:
    """Return all jobs that are kept, the newest first."""
    return [brief_state(job) for job in await served.look(served.jobs.all)]


@working.post("/jobs", status_code=201, response_model=JobState)
async def start_job(served: Served, response: Response, job: AnyJob) -> dict[str, Any]:
    """Queue a job; the same one is not queued twice. One runs at a time."""
    refuse_file_names(job)
    job_id = await served.jobs.start(job.kind, job.model_dump(exclude={"kind"}, mode="json"))
    response.headers["Location"] = f"/api/v1/jobs/{job_id}"
    return (await served.look(served.jobs.find, job_id)).as_json()


@working.get("/jobs/events", response_class=EventSourceResponse)
async def follow_jobs(served: Served) -> AsyncIterator[ServerSentEvent]:
    """Tell the states of jobs as they change: events `jobs` with all of them, and `idle` in the end."""
    async for event in job_events(served.jobs):
        yield event


@working.get("/jobs/{job_id}", response_model=JobState, responses={404: {"description": "There is no such job."}})
async def one_job(served: Served, job_id: JobNumber) -> dict[str, Any]:
    """Return a job."""
    return (await served.look(served.jobs.find, job_id)).as_json()


@working.get("/jobs/{job_id}/output", responses={404: {"description": "There is no such job."}})
async def job_output(
    served: Served,
    job_id: JobNumber,
    first: Annotated[int, Query(ge=0, description="the first line, counted from 0")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 100,
) -> JobOutput:
    """Return what a job has printed."""
    job = await served.look(served.jobs.find, job_id)
    lines = await served.compute(served.jobs.lines, job_id, first, limit)
    return JobOutput(first=first, total=job.lines, lines=lines)


@working.delete("/jobs/{job_id}", response_model=JobState, responses={404: {"description": "There is no such job."}})
async def cancel_job(served: Served, job_id: JobNumber) -> dict[str, Any]:
    """Have a job stop that waits or runs; what it has done so far is kept. It ends a little later."""
    await served.jobs.cancel(job_id)
    return (await served.look(served.jobs.find, job_id)).as_json()


@working.post(
    "/jobs/{job_id}/repeat",
    status_code=201,
    response_model=JobState,
    responses={404: {"description": "There is no such job."}},
)
async def repeat_job(served: Served, job_id: JobNumber) -> dict[str, Any]:
    """Queue the same job again: it goes on where an earlier one stopped."""
    return (await served.look(served.jobs.find, await served.jobs.repeat(job_id))).as_json()


@working.get("/folders")
async def list_folders(
    served: Served,
    root: Annotated[str, Query(max_length=64, description="a root's key; without one, the roots are listed")] = "",
    inside: Annotated[str, Query(max_length=10_000, description="a path below the root")] = "",
) -> list[FolderBelow]:
    """Return folders that photos may be added from: the roots, or one with the names of what is in it."""
    places = served.jobs.places
    if not root:
        found = await served.compute(places.roots)
        return [
            FolderBelow(root=each.key, name=each.path.name, inside="", folders=[], tars=[], more=0) for each in found
        ]
    seen = await served.compute(places.look, root, inside)
    return [
        FolderBelow(
            root=root,
            name=seen.root.path.name,
            inside=seen.inside,
            folders=list(seen.folders),
            tars=list(seen.tars),
            more=seen.more,
        )
    ]
