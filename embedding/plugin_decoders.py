"""Processes that decode photos, so that a hostile one costs itself alone; and what the plug-ins decode in them.

Camera raw and JPEG XL are decoded by plug-ins, of the extra `formats`. The processes are started when they are needed,
and end by themselves; see plugin_process.
"""

import atexit
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from base.errors import AliensError, PhotoError
from base.forks import fork_lock
from base.records import parse_json
from embedding import plugin_process

Format = Literal["RAW", "JXL"]
PLUGINS = {"RAW": ("rawpy", "camera raw"), "JXL": ("pillow_jxl", "JPEG XL")}  # the package, and the format's name
REMEDY = "`pip install -e '.[formats]'`, then `aliens add --retry-failed`"
MOST = 2  # processes: a preview is found in some hundredths of a second, and a photo may take gigabytes
LONGEST_S = 120.0  # for one photo: 100 megapixels of JPEG XL take a tenth of that
FLIPS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's, and the orientations of EXIF that they are
AT_LEAST_BYTES = 2 << 30  # of address space, for Python and the plug-in
PIPE_BYTES = 1 << 20  # that the system keeps for the other side: Linux has 64 KiB, in which each photo has 60 parts
ROOT = Path(__file__).resolve().parents[1]  # where our packages lie, for processes that import them
PIXEL_BYTES = 32  # that a pixel may take besides: measured 8 to 13 for JPEG XL, 20 for raw


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginPicture:
    """What a plug-in found: a preview, as JPEG, or decoded pixels; and what holds of the whole photo.

    size: width and height in pixels, before they are turned as `orientation` says, which is EXIF's. turned: whether
    the decoded pixels are upright already.
    """

    jpeg: bytes | None
    image: Image.Image | None
    size: tuple[int, int]
    orientation: int
    turned: bool
    taken_at: datetime | None


Answer = tuple[dict[str, Any], list[bytes]]  # what a process says, and its bytes in parts


class PluginProcesses:
    """At most so many processes that decode, each one photo after another."""

    def __init__(self, most: int, program: Sequence[str] = ()) -> None:
        """`program`: what Python runs in them; empty: plugin_process."""
        self._most = most
        self._program = program
        self._lock = fork_lock()
        self._renew()
        os.register_at_fork(after_in_child=self._renew)
        atexit.register(self.close)

    def _renew(self) -> None:
        """Forget all processes: a forked child has none of its own."""
        self._turns = threading.BoundedSemaphore(self._most)
        self._idle: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """End the processes that wait for work."""
        while self._idle:
            end_process(self._idle.pop())

    def ask(self, request: dict[str, Any], data: bytes) -> Answer | None:
        """Return a process's answer, None where it died. Raises: PhotoError: it took too long."""
        with self._turns:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            answer = answered_in_time(process, request, data) if process is not None else None
            if answer is None:  # one that waited may just have ended by itself, so a new one is asked as well
                process = start_process(self._program)
                answer = answered_in_time(process, request, data)
            if answer is not None and process is not None:
                with self._lock:
                    self._idle.append(process)
            return answer


PROCESSES = PluginProcesses(MOST)


def start_process(program: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    """Start a process that decodes, by a program; Ctrl-C is not for it, and its end is that of stdin.

    Raises: AliensError: the system lets none be started, which is no fault of a photo.
    """
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)}
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", *(program or [plugin_process.__file__])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | own,
            process_group=0,
        )
    except OSError as error:
        raise AliensError(
            f"no process can be started to decode photos ({error.strerror}): end other programs, or allow more by "
            "`ulimit -n` and `ulimit -u`"
        ) from error
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError, AttributeError):  # a system has less, or no more for this user: it goes in more parts
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # type: ignore[arg-type] # both are pipes
    return process


def end_process(process: "subprocess.Popen[bytes]") -> None:
    """End a process, whatever it does."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()


def answered_in_time(process: "subprocess.Popen[bytes]", request: dict[str, Any], data: bytes) -> Answer | None:
    """Return a process's answer; None where it ended before, and is gone now. Raises: PhotoError: it took too long."""
    too_long = threading.Event()

    def end() -> None:
        too_long.set()  # before anybody can see that the process has ended
        process.kill()

    alarm = threading.Timer(LONGEST_S, end)
    alarm.daemon = True
    alarm.start()
    answer = None
    try:
        answer = exchanged(process, request, data)
        if answer is None and too_long.is_set():
            raise PhotoError("damaged", f"decoding it took over {LONGEST_S:g} s, which no sound photo does")
    finally:
        alarm.cancel()
        if answer is None:
            end_process(process)
    return answer


def exchanged(process: "subprocess.Popen[bytes]", request: dict[str, Any], data: bytes) -> Answer | None:
    """Send a request and receive its answer; None where the process ends before, or answers nonsense."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.write(data)
        process.stdin.flush()
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        about = parse_json(line)
        parts = [process.stdout.read(size_bytes) for size_bytes in about["bytes"]]
        return (about, parts) if [*map(len, parts)] == about["bytes"] else None
    except (OSError, ValueError):
        return None


def plugin_picture(data: bytes, file_format: Format, max_pixels: int) -> PluginPicture:
    """Return what the format's plug-in finds in a file.

    Raises: PhotoError: the plug-in is not installed, cannot decode the file, or dies of it; the photo has more pixels.
    """
    package, name = PLUGINS[file_format]
    if find_spec(package) is None:
        raise PhotoError("needs an extra", f"{name} is read by the package {package}, which is absent: {REMEDY}")
    request = {
        "format": file_format,
        "bytes": len(data),
        "max_pixels": max_pixels,
        "memory_bytes": AT_LEAST_BYTES + max_pixels * PIXEL_BYTES,
    }
    answer = PROCESSES.ask(request, data)
    if answer is None:
        raise PhotoError("damaged", f"decoding it crashed, maybe for lack of memory, which no sound {name} does")
    about, (payload, exif, icc) = answer
    if "kind" in about:
        if "size" in about:
            raise too_many_pixels(about["size"], max_pixels)
        raise PhotoError(about["kind"], f"{name} that cannot be read: {about['reason']}")
    return read_answer(about, payload, exif, icc)


def read_answer(about: dict[str, Any], payload: bytes, exif: bytes, icc: bytes) -> PluginPicture:
    """Return what an answer says."""
    image = None
    if "pixels" in about:
        image = Image.frombytes(about["mode"], tuple(about["pixels"]), payload)
        image.info |= {name: said for name, said in (("exif", exif), ("icc_profile", icc)) if said}
    return PluginPicture(
        jpeg=None if image else payload,
        image=image,
        size=tuple(about["size"]),
        orientation=FLIPS.get(about.get("flip", 0), 1),
        turned=not about.get("was_jpeg", False),
        taken_at=datetime.fromisoformat(about["taken_at"]) if about.get("taken_at") else None,
    )


def too_many_pixels(size: tuple[int, int], max_pixels: int) -> PhotoError:
    """Return the error of a photo with more pixels than are decoded."""
    return PhotoError(
        "too large",
        f"{size[0]} x {size[1]} px is over the cap of {max_pixels / 1e6:g} megapixels: raise it with --max-megapixels",
    )
