"""Photos to search by, handed in by people: checked, encoded in a process of their own, kept for an hour.

PyTorch stays out of the server: the process that encodes ends once nobody has handed in a photo for a while.
"""

import io
import multiprocessing
import os
import re
import secrets
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from time import monotonic

import anyio
import anyio.to_thread

from aliens.library import Library
from base.arrays import Floats
from base.errors import AliensError, PhotoError, QueryError
from web.web_settings import WebSettings

KEPT_S = 3600.0
IDLE_S = 600.0  # after which the process that encodes ends
AT_ONCE = 2  # photos that are received or encoded
MOST_WAITING = 8  # that wait for their turn, their bytes not yet received
MOST_KEPT = 500  # of some 30 kB each; then the oldest go early
SHOWN_PX = 960  # of what is shown of a photo
TAKEN = "JPEG, PNG, WebP, HEIC or AVIF"
STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"RIFF": "WebP"}
FORMATS_TAKEN = ("JPEG", "MPO", "PNG", "WEBP")  # as Pillow names them; a phone's JPEG may be an MPO
TERM = re.compile(r"image:(u_[A-Za-z0-9_-]+)")


class NoUpload(QueryError):
    """A photo that was handed in is kept no longer, or never was."""

    status = 410


class UploadsBusy(AliensError):
    """More photos are handed in than can be taken."""

    status = 503


class UploadTooLarge(AliensError):
    """A photo that is handed in has too many bytes or pixels."""

    status = 413


class NoSuchFormat(AliensError):
    """What is handed in is no photo of a format that is taken."""

    status = 415


class UnreadableUpload(AliensError):
    """A photo that is handed in is damaged."""

    status = 422


@dataclass(frozen=True, slots=True)
class Upload:
    """A photo to search by: its unit vector (d,) float32, a small picture of it (WebP), and until when it is kept."""

    vector: Floats
    picture: bytes
    until_s: float


class Uploads:
    """Takes photos, a few at a time, and keeps what is needed to search by them. For one event loop."""

    def __init__(self, library: Library, settings: WebSettings, *, clock: Callable[[], float] = monotonic) -> None:
        """`clock` tells seconds."""
        self._library, self._settings, self._clock = library, settings, clock
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._turns: anyio.CapacityLimiter | None = None
        self._encoder = EncodingProcess(library, settings.upload_px)

    def __len__(self) -> int:
        return len(self._kept)

    def turn(self) -> anyio.CapacityLimiter:
        """Return what lets few photos be received at a time. Raises: UploadsBusy: too many wait already."""
        if self._turns is None:
            self._turns = anyio.CapacityLimiter(AT_ONCE)
        if self._turns.statistics().tasks_waiting >= MOST_WAITING:
            raise UploadsBusy("too many photos are handed in at once: try again in a few seconds")
        return self._turns

    async def take(self, data: bytes) -> str:
        """Check, encode and keep a photo, given as a file's bytes; return its id.

        Raises: NoSuchFormat, UploadTooLarge, UnreadableUpload: the message says what is wrong with it.
        """
        await anyio.to_thread.run_sync(refuse, data, self._settings)
        try:
            vector, picture = await anyio.to_thread.run_sync(self._encoder.encode, data, abandon_on_cancel=True)
        except PhotoError as error:
            raise refused(error, self._settings) from error
        upload_id = f"u_{secrets.token_urlsafe(16)}"
        self._forget_old()
        while len(self._kept) >= MOST_KEPT:
            self._kept.popitem(last=False)
        self._kept[upload_id] = Upload(vector, picture, self._clock() + KEPT_S)
        return upload_id

    def find(self, upload_id: str) -> Upload:
        """Return a photo that was handed in. Raises: NoUpload: it is kept no longer."""
        self._forget_old()
        try:
            return self._kept[upload_id]
        except KeyError:
            raise NoUpload(
                "the photo to search by is kept no longer (photos that are handed in are kept for an hour): "
                "hand it in again"
            ) from None

    def vectors(self, text: str) -> dict[str, Floats]:
        """Return {id: unit vector (d,) float32} of the photos that a query names. Raises: NoUpload."""
        return {upload_id: self.find(upload_id).vector for upload_id in TERM.findall(text)}

    def _forget_old(self) -> None:
        now = self._clock()
        while self._kept and next(iter(self._kept.values())).until_s <= now:
            self._kept.popitem(last=False)

    def close(self) -> None:
        """Forget all photos, and end the process that encodes."""
        self._kept.clear()
        self._encoder.end()


def refuse(data: bytes, settings: WebSettings) -> None:
    """Look at how a file begins, and decode nothing.

    Raises:
        NoSuchFormat: it is of no kind that is taken.
        UploadTooLarge: it holds more bytes or pixels than are taken.
        UnreadableUpload: it is damaged.
    """
    if len(data) > settings.upload_bytes:
        raise too_many_bytes(settings)
    if not data:
        raise UnreadableUpload("the file is empty (0 bytes)")
    from embedding.boxes import is_heif

    if is_heif(data):  # whose header is for the process that decodes as well
        return
    kind = next((kind for start, kind in STARTS.items() if data.startswith(start)), None)
    if kind is None or (kind == "WebP" and data[8:12] != b"WEBP"):
        raise NoSuchFormat(f"this is {impostor(data)}: photos to search by are {TAKEN}")
    from embedding.decode import open_image

    try:
        with open_image(data, settings.upload_px) as image:
            known = image.format in FORMATS_TAKEN
    except PhotoError as error:
        raise refused(error, settings) from error
    if not known:
        raise UnreadableUpload("this photo cannot be used: it begins as a JPEG, PNG or WebP and is none")


def refused(error: PhotoError, settings: WebSettings) -> AliensError:
    """Return the error of a photo that cannot be decoded."""
    if error.kind == "too large":
        most = settings.upload_px / 1e6
        return UploadTooLarge(f"this photo has more than {most:g} megapixels: hand in a smaller one")
    return UnreadableUpload(f"this photo cannot be used: {error.reason}")


def impostor(data: bytes) -> str:
    """Return what a file that is no photo seems to be."""
    from embedding.boxes import is_jxl
    from embedding.camera_raw import is_camera_raw

    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "a drawing (SVG)"
    if start.startswith((b"<!doctype html", b"<html")) or b"<script" in start:
        return "a web page (HTML)"
    names = {b"gif8": "a GIF", b"%pdf": "a PDF", b"pk\x03\x04": "a ZIP file", b"bm": "a BMP", b"ii*\0": "a TIFF"}
    if is_jxl(data) or is_camera_raw(data):
        return "a JPEG XL" if is_jxl(data) else "a camera's raw photo"
    if start[4:8] == b"ftyp":
        return "a film (MP4 or MOV)"
    return next((name for begin, name in names.items() if start.startswith(begin)), "no photo")


def too_many_bytes(settings: WebSettings) -> UploadTooLarge:
    """Return the error of a file that is too large."""
    return UploadTooLarge(f"this file has more than {settings.upload_bytes / 1e6:g} MB: hand in a smaller one")


class EncodingProcess:
    """A process with the library's model: started when it is needed, replaced when it dies, ended when it idles."""

    def __init__(self, library: Library, max_pixels: int) -> None:
        self._library, self._max_pixels = library, max_pixels
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._idle: threading.Timer | None = None
        self._at_work = 0
        self._ended = False

    @property
    def pids(self) -> list[int]:
        """The process, where there is one."""
        pool = self._pool
        return [] if pool is None else list(pool._processes or {})

    def encode(self, data: bytes) -> tuple[Floats, bytes]:
        """Return a photo's unit vector (d,) float32 and a small picture of it (WebP).

        A process that dies meanwhile, such as for lack of memory, is replaced, and the photo is tried once more.

        Raises:
            PhotoError: it cannot be decoded.
            UploadsBusy: the process dies of it, or is ended.
        """
        with self._lock:
            self._at_work += 1
            self._cancel_end()
        try:
            for _ in range(2):
                pool = self._started()
                try:
                    doing: Future[tuple[Floats, bytes]] = pool.submit(encoded_upload, data, self._max_pixels)
                    return doing.result()
                except (BrokenProcessPool, CancelledError, RuntimeError):  # it died, or was ended at this moment
                    self._drop(pool)
            raise UploadsBusy("photos cannot be encoded now: the process that does it has died; try again")
        finally:
            with self._lock:
                self._at_work -= 1
                if not self._at_work and self._pool is not None:
                    self._idle = threading.Timer(IDLE_S, self._end_if_idle)
                    self._idle.daemon = True
                    self._idle.start()

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._ended:
                raise UploadsBusy("the server ends: hand the photo in again once it is back")
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    1, multiprocessing.get_context("spawn"), open_for_encoding, (self._library,)
                )
            return self._pool

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)

    def _end_if_idle(self) -> None:
        with self._lock:
            if self._at_work:
                return
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)

    def _cancel_end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def end(self) -> None:
        """End the process now, whatever it does, and start none any more."""
        with self._lock:
            self._ended = True
            self._cancel_end()
            pool, self._pool = self._pool, None
        if pool is not None:
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
                process.join()


_opened: Library | None = None  # of the process that encodes


def open_for_encoding(library: Library) -> None:
    """Prepare the process that encodes: Ctrl-C is for the server, whose end is its own."""
    global _opened
    _opened = library
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_server, daemon=True).start()


def end_with_server() -> None:
    """Wait for the server to end, in whatever way, and end this process as well."""
    server = multiprocessing.parent_process()
    if server is not None:
        server.join()
        os._exit(0)


def encoded_upload(data: bytes, max_pixels: int) -> tuple[Floats, bytes]:
    """Return a photo's unit vector (d,) and a small picture of it. Raises: PhotoError: it cannot be decoded."""
    from embedding.decode import decode_to_fit

    assert _opened is not None
    vector = _opened.encode_photo(data, max_pixels=max_pixels)
    file = io.BytesIO()
    decode_to_fit(data, (SHOWN_PX, SHOWN_PX), max_pixels).save(file, "WEBP", quality=80)
    return vector, file.getvalue()
