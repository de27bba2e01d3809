"""Photos of risky kinds are decoded in processes of their own, so that a crash or a hang costs that photo alone.

What all browsers have shown for years, JPEG, PNG, GIF and WebP, is decoded in place, by decoders that are attacked
every day. Here it is said which photos are which, and processes are started, asked, and ended: they run photo_process,
or plugin_process for what `embedding.plugin_decoders` asks. Those that nobody asks end by themselves. Decodes nothing.
"""

import atexit
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from base.errors import AliensError, PhotoError
from base.forks import fork_lock
from base.memory import MemoryBudget
from base.records import parse_json
from embedding.boxes import is_jxl
from embedding.camera_raw import is_camera_raw

PLAIN_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")  # of JPEG, PNG and GIF; WebP has its length inside
MOST = max(2, min(16, os.cpu_count() or 2))  # processes: as many as there are photos in hand
LONGEST_S = 120.0  # for one photo: 100 megapixels of JPEG XL take a tenth of that
AT_LEAST_BYTES = 2 << 30  # of address space, for Python and what decodes
PIPE_BYTES = 1 << 20  # that the system keeps for the other side: Linux has 64 KiB, in which each photo has 60 parts
ROOT = Path(__file__).resolve().parents[1]  # where our packages lie, for processes that import them
MOST_PIXEL_BYTES = 32  # that a pixel may take besides: measured 8 to 13 for JPEG XL, 20 for raw

Size = tuple[int, int]
Answer = tuple[dict[str, Any], list[bytes]]  # what a process says, and its bytes in parts


class DecoderProcesses:
    """At most so many processes that decode, each one photo after another."""

    def __init__(self, most: int, program: Sequence[str]) -> None:
        """`program`: what Python runs in them, a file's path or ("-m", its module's name)."""
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


PHOTO_PROCESSES = DecoderProcesses(MOST, ("-m", "embedding.photo_process"))


def goes_apart(data: bytes) -> bool:
    """Tell by its first bytes whether a photo is decoded in a process of its own, by Pillow or libheif.

    JPEG XL and camera raw, which go to plug-ins, are none of these.
    """
    is_plain = data.startswith(PLAIN_STARTS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
    return bool(data) and not is_plain and not is_jxl(data) and not is_camera_raw(data)


def header_apart(data: bytes, max_pixels: int) -> dict[str, Any]:
    """Return what photo_process says of a photo without decoding it. Raises: PhotoError: as `found_apart`."""
    return checked_answer(PHOTO_PROCESSES.ask(header_request(data, max_pixels), data))[0]


def found_apart(
    data: bytes, max_pixels: int, wanted: Callable[[Size], dict[str, Any]], budget: MemoryBudget, pixel_bytes: int
) -> tuple[dict[str, Any], bytes]:
    """Return what photo_process makes of a photo.

    Args:
        data: the photo's bytes.
        max_pixels: that it may have.
        wanted: returns what is asked of a photo of an upright size in pixels.
        budget: of which so many `pixel_bytes` a pixel are held meanwhile.
        pixel_bytes: see there.

    Raises: PhotoError: it cannot be decoded, or the process died of it.
    """
    width, height = header_apart(data, max_pixels)["size"]
    request = header_request(data, max_pixels) | wanted((width, height))
    with budget.holding(width * height * pixel_bytes):
        about, (payload, *_) = checked_answer(PHOTO_PROCESSES.ask(request, data))
    return about, payload


def header_request(data: bytes, max_pixels: int) -> dict[str, Any]:
    """Return the request for what a photo says before it is decoded."""
    memory_bytes = AT_LEAST_BYTES + max_pixels * MOST_PIXEL_BYTES + 2 * len(data)
    return {"want": "header", "bytes": len(data), "max_pixels": max_pixels, "memory_bytes": memory_bytes}


def checked_answer(answer: Answer | None) -> Answer:
    """Return an answer that says what was asked. Raises: PhotoError: it says why not, or the process died."""
    if answer is None:
        raise PhotoError("damaged", "decoding it crashed, maybe for lack of memory, which no sound photo does")
    if "kind" in answer[0]:
        raise PhotoError(answer[0]["kind"], answer[0]["reason"])
    return answer


def start_process(program: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start a process that decodes, by a program; Ctrl-C is not for it, and its end is that of stdin.

    Raises: AliensError: the system lets none be started, which is no fault of a photo.
    """
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(packages_path())}
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", *program],
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


def packages_path() -> list[str]:
    """Return where processes look for packages: where this one does and in its order, so that both have the same ones.

    Ours are among them in any case. The working folder of an interactive Python, "", may be another one by now.
    """
    return list(dict.fromkeys([*(place or str(ROOT) for place in sys.path), str(ROOT)]))


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
