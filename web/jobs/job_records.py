"""Jobs as they are kept in the library's folder: a record each, and the lines that it printed. Runs nothing."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from aliens.library import Library
from base.files import read_regular

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
MOST_KEPT = 200  # jobs that have ended
MOST_LINES_BYTES = 8_000_000  # of what one job prints
MOST_SAID = 100  # notes of one job: the last ones


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """A job: what was asked, and how far it is.

    request: the fields of its request. what, done, total, unit, note: the step in hand, as `base.progress.Step`.
    said: its last notes. problem: why it failed. lines, left_out: of what it printed, kept and not. created_at,
    started_at, ended_at: seconds since 1970. pid, born: of its process, and what tells that from a later one.
    """

    id: int
    kind: str
    request: dict[str, Any]
    state: State = "queued"
    what: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    note: str = ""
    said: list[str]
    problem: str = ""
    lines: int = 0
    left_out: int = 0
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    pid: int | None = None
    born: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("queued", "running")

    @property
    def created(self) -> datetime:
        """When it was asked for, UTC."""
        return datetime.fromtimestamp(self.created_at, UTC)

    @property
    def seconds(self) -> float | None:
        """How long it has run, or ran; None where it never began."""
        return None if self.started_at is None else max((self.ended_at or time.time()) - self.started_at, 0.0)

    def as_json(self) -> dict[str, Any]:
        """Return what clients are told: all but what tells processes apart."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("pid", "born")}


def version_of_file(stat: os.stat_result) -> tuple[int, int]:
    """Return what tells a record's file from the one that it took the place of, be it in the same tick of the clock."""
    return stat.st_mtime_ns, stat.st_ino


class JobStore:
    """The jobs of a library. Several servers may look; one at a time runs jobs, and writes the records that exist."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._read: dict[int, tuple[tuple[int, int], JobRecord]] = {}  # by `version_of_file`

    @property
    def folder(self) -> Path:
        """Where they lie; it may not be there yet."""
        return self._library.desk / "jobs"

    def all(self) -> list[JobRecord]:
        """Return all jobs, the newest first; what cannot be read is passed over."""
        found: dict[int, tuple[tuple[int, int], JobRecord]] = {}
        for job_id, path, version in self._files():
            known = self._read.get(job_id)
            if known is None or known[0] != version:
                record = self._library.read_desk(path, JobRecord)
                known = None if record is None or record.id != job_id else (version, record)
            if known is not None:
                found[job_id] = known
        self._read = found
        return [found[job_id][1] for job_id in sorted(found, reverse=True)]

    def one(self, job_id: int) -> JobRecord | None:
        """Return a job, of which alone the file is looked at; None where it is not there, or cannot be read."""
        path = self.folder / f"{job_id}.json"
        try:
            version = version_of_file(path.stat())
        except OSError:
            return None
        known = self._read.get(job_id)
        if known is not None and known[0] == version:
            return known[1]
        record = self._library.read_desk(path, JobRecord)
        return record if record is not None and record.id == job_id else None

    def _files(self) -> Iterator[tuple[int, Path, tuple[int, int]]]:
        try:
            entries = list(os.scandir(self.folder))
        except OSError:
            return
        for entry in entries:
            stem, ending = os.path.splitext(entry.name)
            if ending == ".json" and stem.isdecimal():
                with suppress(OSError):
                    yield int(stem), Path(entry.path), version_of_file(entry.stat())

    def add(self, kind: str, request: dict[str, Any]) -> JobRecord:
        """Queue a job; where the same one is queued already, return that.

        Raises: LibraryError: the disk is full or cannot be written.
        """
        with self._library.at_desk("jobs"):
            jobs = self.all()
            for job in jobs:
                if job.state == "queued" and (job.kind, job.request) == (kind, request):
                    return job
            number = 1 + max((job_id for job_id, *_ in self._files()), default=0)
            job = JobRecord(id=number, kind=kind, request=request, said=[], created_at=time.time())
            self.save(job)
            for old in [job for job in jobs if not job.is_active][MOST_KEPT:]:
                self._remove(old.id)
        return job

    def save(self, job: JobRecord) -> None:
        """Write a job's record. Raises: LibraryError: the disk is full or cannot be written."""
        self._library.write_desk(self.folder / f"{job.id}.json", job)

    def _remove(self, job_id: int) -> None:
        for path in self.folder.glob(f"{job_id}.*"):
            if path.is_file():
                path.unlink(missing_ok=True)

    def ask_to_cancel(self, job_id: int) -> None:
        """Leave word for whoever runs jobs. Raises: LibraryError: the disk is full or cannot be written."""
        with self._library.at_desk("jobs") as folder:
            (folder / f"{job_id}.cancel").touch()

    def is_to_be_cancelled(self, job_id: int) -> bool:
        """Tell whether somebody left word."""
        return (self.folder / f"{job_id}.cancel").exists()

    def kept_file(self, job_id: int) -> Path:
        """Return the beginning of the name of what a job writes."""
        return self.folder / f"{job_id}.kept"

    def append(self, job_id: int, line: str) -> bool:
        """Keep a line that a job printed; False where there are too many, or where there is no room."""
        try:
            with open(self.folder / f"{job_id}.lines", "ab") as file:
                data = f"{line}\n".encode("utf-8", "replace")
                if file.tell() + len(data) > MOST_LINES_BYTES:
                    return False
                file.write(data)
        except OSError:
            return False
        return True

    def lines(self, job_id: int, first: int = 0, count: int | None = None) -> list[str]:
        """Return what a job printed, from line `first` on, counted from 0; a line that is not whole is not among it."""
        try:
            text = read_regular(self.folder / f"{job_id}.lines").decode("utf-8", "replace")
        except OSError:
            return []
        whole = text.split("\n")[:-1]
        return whole[first : None if count is None else first + count]
