"""A command in a process and a group of its own: started, read line by line, stopped, found again. Knows no records."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import base

COMMAND = Path(base.__file__).parents[1] / "cli.py"  # beside the packages, also where they are installed
SPEAKING = {"ALIENS_PROGRESS": "json", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
LONGEST_LINE = 1_000_000  # bytes; the rest of a longer one is left out
CHUNK_BYTES = 1 << 16
ESCALATION = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))  # and how long each is given


async def start_child(words: Sequence[str], library: Path, model_key: str) -> asyncio.subprocess.Process:
    """Start the command `aliens WORDS` on a library, with progress as JSON. Raises: OSError: it cannot be started.

    model_key: of the model that pages show; commands that take one go by it.
    """
    at = words.index("--") if "--" in words else len(words)
    whole = [*words[:at], f"--library={library}", *words[at:]]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(COMMAND),
        *whole,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | SPEAKING | {"ALIENS_USE": model_key},
        start_new_session=True,  # so that Ctrl-C in the server's terminal is not its own
    )


async def lines_of(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield a stream's lines; of one that is too long the beginning."""
    line = bytearray()
    while chunk := await stream.read(CHUNK_BYTES):
        first, *others = chunk.split(b"\n")
        line += first[: max(LONGEST_LINE - len(line), 0)]
        for part in others:
            yield line.decode("utf-8", "replace")
            line = bytearray(part[:LONGEST_LINE])
    if line:
        yield line.decode("utf-8", "replace")


async def stop_child(process: asyncio.subprocess.Process) -> None:
    """Have a child's group end: asked as by Ctrl-C, then told, then killed. Returns when it has ended."""
    for number, patience_s in ESCALATION:
        if process.returncode is not None:
            return
        signal_group(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), patience_s)
            return


def stop_orphan(pid: int, born: str) -> None:
    """Have a process end that a server left behind which is no more; nothing where it has ended, or cannot be told."""
    for number, patience_s in ESCALATION:
        if not born or birth_of(pid) != born:
            return
        signal_group(pid, number)
        until = time.monotonic() + patience_s
        while birth_of(pid) == born and time.monotonic() < until:
            time.sleep(0.05)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the group that a child leads, if it is still there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def birth_of(pid: int) -> str:
    """Return what tells a living process from a later one of its number; empty where none is, or on other systems.

    Source: proc(5), field 22 of /proc/PID/stat, in ticks since the system began; a zombie has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{boot} {fields[19]}"
