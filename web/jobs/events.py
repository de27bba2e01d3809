"""Whole states of jobs, told as they change: a client that comes back needs no log of what it missed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi.sse import ServerSentEvent

from web.jobs.job_records import JobRecord
from web.jobs.runner import JobRunner

ENDED_SHOWN = 20  # jobs that have ended, in each event
LONG = {"request", "said"}  # which may be ten thousand photos, and are asked for by themselves


def shown_states(runner: JobRunner) -> list[dict[str, Any]]:
    """Return the jobs that clients follow: all that wait or run, and the last that have ended, the newest first."""
    jobs = runner.all()
    ended = {job.id for job in [job for job in jobs if not job.is_active][:ENDED_SHOWN]}
    return [brief_state(job) for job in jobs if job.is_active or job.id in ended]


def brief_state(job: JobRecord) -> dict[str, Any]:
    """Return what clients are told of a job among others: what may be long is asked for by itself."""
    return {name: value for name, value in job.as_json().items() if name not in LONG}


async def job_events(runner: JobRunner) -> AsyncIterator[ServerSentEvent]:
    """Yield an event `jobs` with all states whenever one changes; ends, with `idle`, when none waits or runs."""
    told: list[dict[str, Any]] | None = None
    while True:
        states = await asyncio.to_thread(shown_states, runner)
        if states != told:
            told = states
            yield ServerSentEvent(event="jobs", data=states)
        if runner.is_stopping or not any(state["state"] in ("queued", "running") for state in states):
            yield ServerSentEvent(event="idle", data=len(states))
            return
        await runner.wait_for_change()
