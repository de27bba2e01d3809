"""Exports as answers: written while they are sent, or to a file that has no name first; never cut short in silence."""

import asyncio
import base64
import errno
import queue
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from fastapi import HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from search.export.exporter import ExportManifest

T = TypeVar("T")
CHUNK_BYTES = 1 << 18
MOST_CHUNKS = 8  # written ahead of the client: 2 MB
SIDE_BY_SIDE = 2  # exports at a time
POLL_S = 0.5  # how soon a client is missed that has gone while nothing is sent yet
PATIENCE_S = 60.0  # with a client that takes nothing of what is written for it
KINDS = {
    "csv": "text/csv; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "jsonl": "application/jsonl",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
    "coco": "application/json",
}
STREAMED = ("csv", "tsv", "jsonl")  # whose beginning is right whatever follows
Write = Callable[[BinaryIO], "ExportManifest"]


class ExportSlots:
    """The few places for exports that are made at a time."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(SIDE_BY_SIDE)

    def take(self) -> None:
        """Take one. Raises: HTTPException: 503, all are taken."""
        if not self._free.acquire(blocking=False):
            raise HTTPException(
                503, f"{SIDE_BY_SIDE} exports are being made already: ask again in a minute", {"Retry-After": "30"}
            )

    def give_back(self) -> None:
        """Leave it to the next."""
        self._free.release()

    async def kept(self, work: Callable[[], T]) -> T:
        """Return what is made in a thread, and give the place back when that has ended, whoever still waits for it."""

        def whole() -> T:
            try:
                return work()
            finally:
                self.give_back()

        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, whole))


class ClientGone(OSError):
    """Nobody reads what is exported any more."""


class Pipe:
    """What an export writes to in a thread, and a client reads from: a few chunks at a time.

    Whoever takes none of them for `patience_s` is given up: others want to export.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self.closed = False  # what is written to it then goes nowhere: see HashedFile
        self._gone = threading.Event()
        self._chunks: queue.Queue[bytes | BaseException | None] = queue.Queue(MOST_CHUNKS)
        self._waiting = bytearray()

    def write(self, data: Any) -> int:
        """Take bytes. Raises: ClientGone: nobody reads any more."""
        self._waiting += memoryview(data).cast("B")
        while len(self._waiting) >= CHUNK_BYTES:
            self._put(bytes(self._waiting[:CHUNK_BYTES]))
            del self._waiting[:CHUNK_BYTES]
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Leave it to `write`."""

    def fill(self, write: Write) -> None:
        """Have something written, to its end or an error, which the reader is told."""
        ending: BaseException | None = None
        try:
            write(cast(BinaryIO, self))
            self._put(bytes(self._waiting))
        except BaseException as error:
            ending = error
        finally:
            self.closed = True
            with suppress(ClientGone):
                self._put(ending)

    def _put(self, chunk: bytes | BaseException | None) -> None:
        waited_s = 0.0
        while not self._gone.is_set() and waited_s < self._patience_s:
            with suppress(queue.Full):
                return self._chunks.put(chunk, timeout=min(POLL_S, self._patience_s))
            waited_s += POLL_S
        self._gone.set()
        raise ClientGone(errno.EPIPE, "the client has gone")

    def chunks(self) -> Iterator[bytes]:
        """Yield what is written. Raises: whatever the writer did. ClientGone: it was given up meanwhile."""
        try:
            while (chunk := self._next()) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk
        finally:
            self._gone.set()

    def _next(self) -> bytes | BaseException | None:
        while True:
            with suppress(queue.Empty):
                return self._chunks.get(timeout=POLL_S)
            if self._gone.is_set():
                raise ClientGone(errno.EPIPE, "it took nothing of the export for too long")


class SpooledFile:
    """A file without a name that an export is written to, until its client goes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.is_given_up = False
        self._file = file

    def write(self, data: Any) -> int:
        """Write bytes. Raises: ClientGone: nobody waits for them. OSError: the disk is full."""
        if self.is_given_up:
            raise ClientGone(errno.EPIPE, "the client has gone")
        return self._file.write(data)

    def flush(self) -> None:
        """Hand over to the system."""
        self._file.flush()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._file.closed


async def sent_export(
    request: Request, slots: ExportSlots, write: Write, file_format: str, name: str
) -> StreamingResponse:
    """Return an export as an answer; what cannot be exported is told before the first byte.

    An error behind that breaks the connection, so that no client takes a part for the whole.

    Args:
        request: who asks.
        slots: the server's places for exports.
        write: writes the export to a file.
        file_format: its format.
        name: the file's name, plain ASCII.

    Raises: QueryError: as `Library.export`. HTTPException: 503, too many are being made; 507, the disk is full.
    """
    slots.take()
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    if file_format in STREAMED:
        return await streamed(slots, write, KINDS[file_format], headers)
    return await spooled(request, slots, write, KINDS[file_format], headers)


async def streamed(slots: ExportSlots, write: Write, kind: str, headers: dict[str, str]) -> StreamingResponse:
    """Return an export that is written while it is sent; its place is taken already."""
    pipe = Pipe()

    def work() -> None:
        try:
            pipe.fill(write)
        finally:
            slots.give_back()

    threading.Thread(target=work, name="export", daemon=True).start()
    chunks = pipe.chunks()
    try:
        first = await run_in_threadpool(next, chunks, b"")
    except OSError as error:
        raise full_disk(error) from error

    def all_chunks() -> Iterator[bytes]:
        try:
            yield first
            yield from chunks
        finally:
            chunks.close()  # type: ignore[attr-defined] # a generator

    return StreamingResponse(all_chunks(), media_type=kind, headers=headers)


async def spooled(
    request: Request, slots: ExportSlots, write: Write, kind: str, headers: dict[str, str]
) -> StreamingResponse:
    """Return an export that was written to a file first, with its length and checksum (RFC 9530)."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is sent, or when nobody wants it
    except OSError as error:
        slots.give_back()
        raise full_disk(error) from error
    spool = SpooledFile(file)
    try:
        manifest = await written(request, slots, write, spool)
    except BaseException as error:
        spool.is_given_up = True  # so that the writer ends, which may still be at it
        file.close()
        if isinstance(error, OSError):
            raise full_disk(error) from error
        raise
    length = file.tell()
    file.seek(0)
    digest = base64.b64encode(bytes.fromhex(manifest.sha256)).decode()
    headers |= {"Content-Length": str(length), "Repr-Digest": f"sha-256=:{digest}:", "X-Checksum": manifest.sha256}

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while chunk := await run_in_threadpool(file.read, CHUNK_BYTES):
                yield chunk
        finally:
            file.close()

    return StreamingResponse(chunks(), media_type=kind, headers=headers)


async def written(request: Request, slots: ExportSlots, write: Write, spool: SpooledFile) -> "ExportManifest":
    """Have an export written, and given up when its client goes."""
    work = asyncio.ensure_future(slots.kept(partial(write, cast(BinaryIO, spool))))
    try:
        while not (await asyncio.wait({work}, timeout=POLL_S))[0]:
            spool.is_given_up = spool.is_given_up or await request.is_disconnected()
        return work.result()
    finally:
        work.cancel()  # nobody waits for it any more


class Nowhere:
    """A file that keeps nothing, for the manifest of what would be written."""

    closed = False

    def write(self, data: Any) -> int:
        """Take bytes."""
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Do nothing."""


async def export_manifest(slots: ExportSlots, write: Write) -> "ExportManifest":
    """Return the manifest of an export, which is made for that and thrown away. Raises: as `sent_export`."""
    slots.take()
    return await slots.kept(partial(write, cast(BinaryIO, Nowhere())))


def full_disk(error: OSError) -> HTTPException:
    """Return the answer for an export that could not be written."""
    if error.errno == errno.ENOSPC:
        return HTTPException(507, "the server's disk is full: the export could not be written; make room and try again")
    return HTTPException(500, f"the export could not be written: {error.strerror or error}")
