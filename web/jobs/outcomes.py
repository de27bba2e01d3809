"""What a job's command has said and given, by kind: how it ended, and what there is to show of it."""

import json
import signal
import time
from dataclasses import dataclass, field, replace
from typing import Any

from base.errors import QueryError
from base.records import parse_json
from web.jobs.job_records import JobRecord

BUSY = "another process or thread is changing"  # so begins the catalog's word for a library that another one writes to
STOPPED = 130
LEFT_OUT = " is left out: "  # so `aliens restyle` tells of a photo
KEPT_OF_RESULT = ("result_id", "source_photo_id", "made_now", "rung")
KEPT_OF_PICK = ("photo_id", "kind", "why", "hotel_name")


def kept_line(kind: str, line: str) -> str:
    """Return what is kept of a line that a job printed: of results what names them, the library has the rest."""
    names = {"restyle": KEPT_OF_RESULT, "add_results": KEPT_OF_RESULT, "candidates": KEPT_OF_PICK}.get(kind)
    record = as_object(line)
    if names is None or record is None:
        return line
    return json.dumps({name: record[name] for name in names if name in record})


def as_object(line: str) -> dict[str, Any] | None:
    """Return the object of a line of JSON, or None."""
    try:
        record = parse_json(line) if line.startswith("{") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def ended(job: JobRecord, code: int, *, cancelled: bool, stopping: bool) -> JobRecord:
    """Return a job as it is after its process has ended with an exit code; negative: by a signal.

    It waits again where another process changes the library.
    """
    last = next((line for line in reversed(job.said) if line.startswith("aliens: ")), "").removeprefix("aliens: ")
    now = time.time()
    if code == 0:
        return replace(job, state="done", ended_at=now)
    if cancelled:
        return replace(job, state="cancelled", ended_at=now)
    if stopping:
        return replace(job, state="interrupted", ended_at=now, problem="the server was stopped while it ran")
    if code < 0 or code == STOPPED:
        name = signal_name(-code) if code < 0 else "SIGINT"
        return replace(job, state="interrupted", ended_at=now, problem=f"its process was stopped from outside ({name})")
    if BUSY in last:
        return replace(job, state="queued", started_at=None, pid=None, born="", said=[], problem=last)
    if job.lines and job.kind in ("add", "verify", "restyle"):  # which end with 1 for what they have found
        return replace(job, state="done", ended_at=now)
    return replace(job, state="failed", ended_at=now, problem=last or f"it ended with exit code {code} and no word")


def signal_name(number: int) -> str:
    """Return what a signal is called; most real-time signals have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Yield:
    """What a job has given.

    results: numbers of restyled photos. picks: candidates, each with photo_id, kind and why. findings: of a check,
    each with part, what and remedy. report: the object that others print in the end. failed: photos that were left
    out, each with the reason.
    """

    results: list[int] = field(default_factory=list)
    picks: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def yield_of(job: JobRecord, lines: list[str]) -> Yield:
    """Return what a job has given, by the lines that it printed."""
    records = [record for line in lines if (record := as_object(line)) is not None]
    failed = [line for line in job.said if LEFT_OUT in line]
    if job.kind in ("restyle", "add_results"):
        return Yield(results=[record["result_id"] for record in records if "result_id" in record], failed=failed)
    if job.kind == "candidates":
        return Yield(picks=records)
    if job.kind == "verify":
        return Yield(findings=records)
    return Yield(report=records[-1] if records else {})


def picks_of(job: JobRecord, lines: list[str]) -> list[dict[str, Any]]:
    """Return the candidates of a job. Raises: QueryError: it was no search for candidates, or has found none."""
    picks = yield_of(job, lines).picks if job.kind == "candidates" else []
    if not picks:
        raise QueryError(f"job {job.id} has picked no photos")
    return picks
