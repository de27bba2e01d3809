"""Runs jobs one after the other: the oldest that waits, as a command; its progress goes into its record.

Several servers may serve one library: the one that holds the lock runs jobs, the others see them.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aliens.library import Library
from base.console import note
from base.errors import AliensError, LibraryError, QueryError
from base.files import is_locked
from base.progress import said_step
from web.jobs.allowed_places import AllowedPlaces
from web.jobs.child import birth_of, lines_of, start_child, stop_child, stop_orphan
from web.jobs.job_records import MOST_SAID, JobRecord, JobStore, State
from web.jobs.job_requests import CandidatesJob, ExportJob, Request, TagJob, as_request
from web.jobs.outcomes import ended, kept_line
from web.web_settings import WebSettings

POLL_S = 1.0  # between two looks at what other servers may have written, and two records of progress
BUSY_S = 5.0  # until a job is tried again that another writer kept from running
LATE_S = 5.0  # that output, or the exit code, of a child that has ended is waited for
UNKNOWN_CODE = 255  # as asyncio has it, of a child that somebody else has waited for
LONGEST_NOTE = 500  # characters
MOST_WAITING = 100  # jobs


class NoSuchJob(QueryError):
    """There is no job of a number."""

    status = 404


class JobRunner:
    """The jobs of one library: started, followed, cancelled and repeated."""

    def __init__(self, library: Library, settings: WebSettings) -> None:
        self.places = AllowedPlaces(library, settings)
        self.is_stopping = False
        self._library = library
        self._store = JobStore(library)
        self._lock: int | None = None
        self._now: JobRecord | None = None  # newer than its record on disk
        self._saving = threading.Lock()  # a thread goes on that writes down progress, also when nobody waits for it
        self._not_before: dict[int, float] = {}
        self._changed = asyncio.Event()

    def all(self) -> list[JobRecord]:
        """Return all jobs, the newest first."""
        now = self._now
        return [now if now is not None and job.id == now.id else job for job in self._store.all()]

    def active(self) -> list[JobRecord]:
        """Return the jobs that wait or run, the newest first."""
        return [job for job in self.all() if job.is_active]

    def count(self, state: State) -> int:
        """Return how many jobs are in a state."""
        return sum(job.state == state for job in self.all())

    def find(self, job_id: int) -> JobRecord:
        """Return a job. Raises: NoSuchJob."""
        now = self._now
        job = now if now is not None and now.id == job_id else self._store.one(job_id)
        if job is None:
            raise NoSuchJob(f"there is no job {job_id} any more: the latest are listed at /jobs")
        return job

    def lines(self, job_id: int, first: int = 0, count: int | None = None) -> list[str]:
        """Return what a job printed, line by line."""
        return self._store.lines(job_id, first, count)

    def kept_file(self, job: JobRecord) -> str | None:
        """Return the path of the file or folder that an export has written, or None."""
        if job.kind != "export" or job.state != "done":
            return None
        request = as_request(job.kind, job.request)
        path = f"{self._store.kept_file(job.id)}{request.ending if isinstance(request, ExportJob) else ''}"
        return path if os.path.exists(path) else None

    async def start(self, kind: str, arguments: dict[str, Any]) -> int:
        """Queue a job, and return its number; the same job is not queued twice.

        Args:
            kind: add, tag, candidates, restyle, verify, index or export.
            arguments: the fields of its request, see `web.jobs.job_requests`.

        Raises:
            QueryError: a field makes no sense, or names what may not be read.
            LibraryError: the library cannot be written, or too many jobs wait.
        """
        request = as_request(kind, arguments)
        if len(await asyncio.to_thread(self.active)) >= MOST_WAITING:
            raise LibraryError(f"{MOST_WAITING} jobs wait already: cancel some at /jobs, or come back later")
        if isinstance(request, CandidatesJob | ExportJob) and request.query:
            await asyncio.to_thread(self._library.refuse_files, request.query)
        await asyncio.to_thread(request.words, self.places.resolve, self._store.folder)
        plain = request.model_dump(exclude={"kind"}, mode="json")
        job = await asyncio.to_thread(self._store.add, kind, plain)
        self._tell()
        return job.id

    async def cancel(self, job_id: int) -> None:
        """Have a job stop that waits or runs; one that has ended stays as it is. Raises: NoSuchJob, LibraryError."""
        if (await asyncio.to_thread(self.find, job_id)).is_active:
            await asyncio.to_thread(self._store.ask_to_cancel, job_id)
            self._tell()

    async def repeat(self, job_id: int) -> int:
        """Queue the same job again, and return its new number. Raises: NoSuchJob; as `start`."""
        job = await asyncio.to_thread(self.find, job_id)
        return await self.start(job.kind, job.request)

    async def wait_for_change(self) -> None:
        """Return when a job has changed, or a second has passed: another server may have changed one."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), POLL_S)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run jobs meanwhile; a job that runs at the end is stopped, and can be repeated."""
        self._changed = asyncio.Event()
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self.is_stopping = True
            self._tell()
            await task
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    async def _run(self) -> None:
        while not self.is_stopping:
            job = None
            try:
                job = await self._next()
                if job is not None:
                    await self._work(job)
                    continue
            except (LibraryError, OSError):  # the disk is full or gone: what waits is tried again
                self._now = None
            except Exception as error:  # the jobs behind it are run all the same
                note(f"aliens: a job could not be run: {error!r}")
                if job is not None:
                    said = f"the server could not run it: {error!r}"
                    await self._finish(replace(self._now or job, state="failed", problem=said, ended_at=time.time()))
            await self.wait_for_change()

    async def _next(self) -> JobRecord | None:
        """Return the oldest job that may run, if it is this server's to run jobs."""
        if not await asyncio.to_thread(self._holds_lock):
            return None
        await self._drop_cancelled()
        for job in reversed(await asyncio.to_thread(self._store.all)):
            if job.state == "queued" and self._not_before.get(job.id, 0.0) <= time.monotonic():
                return job
        return None

    async def _drop_cancelled(self) -> None:
        """Cancel the jobs that wait and are not wanted any more."""
        if await asyncio.to_thread(self._cancel_waiting):
            self._tell()

    def _cancel_waiting(self) -> bool:
        unwanted = [job for job in self.all() if job.state == "queued" and self._store.is_to_be_cancelled(job.id)]
        for job in unwanted:
            self._store.save(replace(job, state="cancelled", ended_at=time.time()))
        return bool(unwanted)

    def _holds_lock(self) -> bool:
        """Take the lock where nobody has it. Whoever had it before may have left jobs that seem to run."""
        if self._lock is not None:
            return True
        if not self._store.folder.is_dir():  # there never was a job
            return False
        lock = os.open(self._store.folder / "runner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if is_locked(lock) is False:
            os.close(lock)
            return False
        for job in self._store.all():
            if job.state == "running":
                stop_orphan(job.pid or 0, job.born)
                stopped = "the server was stopped while it ran: repeat it, and it goes on where it stopped"
                self._store.save(replace(job, state="interrupted", ended_at=time.time(), problem=stopped))
        self._lock = lock
        return True

    def _save(self, job: JobRecord) -> None:
        self._store.save(job)
        self._tell()

    def _save_progress(self) -> None:
        """Write down how far the job is that runs, unless it has ended meanwhile."""
        with self._saving:
            now = self._now
            if now is not None and now.state == "running":
                self._store.save(now)

    def _save_end(self, job: JobRecord) -> None:
        with self._saving:
            self._store.save(job)

    async def _work(self, job: JobRecord) -> None:
        """Run a job to its end."""
        try:
            request = as_request(job.kind, job.request)
            words = await asyncio.to_thread(self._words_of, request, self._store.kept_file(job.id))
            process = await start_child(words, self._library.path, self._library.model.key)
        except (AliensError, OSError) as error:
            self._save(replace(job, state="failed", problem=str(error), ended_at=time.time()))
            return
        self._now = replace(
            job, state="running", started_at=time.time(), pid=process.pid, born=birth_of(process.pid), problem=""
        )
        self._tell()
        beside = self._read_output(request, process), self._read_errors(process), self._watch(process)
        *reading, stopping = [asyncio.create_task(each) for each in beside]
        try:
            code = await self._until_the_end(process, asyncio.gather(*reading))
        finally:
            for task in (*reading, stopping):
                task.cancel()
            if process.returncode is None:
                await stop_child(process)
        cancelled = self._store.is_to_be_cancelled(job.id)
        await self._finish(ended(self._now, code, cancelled=cancelled, stopping=self.is_stopping))

    async def _until_the_end(self, process: asyncio.subprocess.Process, reading: "asyncio.Future[Any]") -> int:
        """Return a child's exit code, once what it said is read; what it left behind may hold its output open.

        `Process.wait` alone would wait for that, too.
        """
        while not reading.done() and process.returncode is None:
            await asyncio.wait((reading,), timeout=POLL_S / 4)
        await asyncio.wait((reading,), timeout=LATE_S)
        if reading.done():
            await reading
        until = time.monotonic() + LATE_S
        while process.returncode is None and (birth_of(process.pid) or time.monotonic() < until):
            await asyncio.sleep(POLL_S / 100)
        return UNKNOWN_CODE if process.returncode is None else process.returncode

    def _words_of(self, request: Request, kept: Path) -> list[str]:
        """Return a command's words; a vocabulary that is saved and not tagged with yet is named by its file there."""
        if isinstance(request, TagJob) and request.vocabulary is not None:
            with suppress(QueryError):  # of a name that the library does not know the command says what is wrong
                if self._library.vocabulary(request.vocabulary).key == request.vocabulary:
                    means = self._library.tag_with(request.vocabulary)
                    request = request.model_copy(update={"vocabulary": means})
        return request.words(self.places.resolve, kept)

    async def _finish(self, job: JobRecord) -> None:
        """Keep how a job ended; where the disk is full, it is tried until there is room."""
        if job.state == "queued":  # another process changes the library
            self._not_before[job.id] = time.monotonic() + BUSY_S
        while True:
            self._now = job
            try:
                await asyncio.to_thread(self._save_end, job)
                break
            except (LibraryError, OSError):
                if self.is_stopping:
                    break
                await asyncio.sleep(POLL_S)
        self._now = None
        self._tell()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Write down progress once a second, and stop the child when somebody asks for it."""
        written: JobRecord | None = None
        written_at = -POLL_S
        while True:
            now = self._now
            if now is None:
                return
            if now is not written and time.monotonic() - written_at >= POLL_S:
                written, written_at = now, time.monotonic()
                with suppress(LibraryError, OSError):  # progress can wait until there is room
                    await asyncio.to_thread(self._save_progress)
            with suppress(LibraryError, OSError):
                await self._drop_cancelled()
            if self.is_stopping or self._store.is_to_be_cancelled(now.id):
                await stop_child(process)
                return
            await asyncio.gather(asyncio.sleep(POLL_S / 4), self.wait_for_change())

    async def _read_output(self, request: Request, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None and self._now is not None
        async for line in lines_of(process.stdout):
            kept = await asyncio.to_thread(self._store.append, self._now.id, kept_line(request.kind, line))
            now = self._now  # which may have changed meanwhile
            self._now = replace(now, lines=now.lines + kept, left_out=now.left_out + (not kept))

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None and self._now is not None
        async for line in lines_of(process.stderr):
            step = said_step(line)
            if step is not None:
                self._now = replace(
                    self._now,
                    what=step.what,
                    done=step.done,
                    total=step.total,
                    unit=step.unit,
                    note=step.note[:LONGEST_NOTE],
                )
            elif line.strip():
                self._now = replace(self._now, said=[*self._now.said, line[:LONGEST_NOTE]][-MOST_SAID:])
            self._tell()
