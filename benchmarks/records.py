"""What a benchmark leaves behind: a line of JSON in results.jsonl for each run, with machine, date, versions, figures.

    @recorded                                        around main: the record is written when main has ended well
    def main() -> None:
        ...
        figure("aliens add", 24.1, "photos/s")       wherever one is known; does nothing where nothing is recorded

Whatever main prints is in the record as well. The processes that it starts record nothing of their own. The environment
variable ALIENS_RECORDS names another file; where it is empty nothing is recorded. docs/measured.md is made of the
records: see measured.py.
"""

import contextlib
import errno
import fcntl
import functools
import importlib.metadata
import io
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from base import __version__
from base.records import converted

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
VARIABLE = "ALIENS_RECORDS"
PACKAGES = ("torch", "open_clip_torch", "faiss-cpu", "faiss-gpu", "numpy", "pillow")
# Of a processor's flags, those that decide how fast it multiplies.
FLAGS = (
    "avx2 avx512f avx512_vnni avx512_bf16 avx512_fp16 avx_vnni amx_tile amx_bf16 amx_int8 asimddp bf16 i8mm sve sve2"
)
MADE = ("benchmarks/results.jsonl", "docs/measured.md")  # by benchmarks themselves: no change of ours


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number with its unit; `value` is None where there was none to compute, such as a ratio to nothing."""

    value: float | None
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a benchmark ran on. load_before, load_after: processes that ran or waited, in the mean over a minute."""

    system: str
    processor: str
    cores: int
    usable_cores: int
    flags: list[str]
    memory_gb: float
    gpus: list[str]
    load_before: float
    load_after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One run. date: of its beginning, UTC. commit: "" outside of a repository; changed: files were not as in it."""

    benchmark: str
    arguments: list[str]
    date: str
    seconds: float
    commit: str
    changed: bool
    machine: Machine
    versions: dict[str, str]
    figures: dict[str, Figure]
    printed: list[str]


@dataclass(slots=True)
class Running:
    """A run of which a record will be made."""

    figures: dict[str, Figure] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


RUNNING: list[Running] = []  # at most one: a benchmark is a process


def figure(name: str, value: float, unit: str) -> None:
    """Note a figure of the benchmark that runs; its unit is such as s, photos/s, MB, times or share.

    Raises: ValueError: name or unit is empty, or the name was used already.
    """
    if not name or not unit:
        raise ValueError(f"figure {name!r} with unit {unit!r}: give both")
    if not RUNNING:
        return
    if name in RUNNING[0].figures:
        raise ValueError(f"figure {name!r} was noted already: call the second otherwise")
    RUNNING[0].figures[name] = Figure(value=float(value) if math.isfinite(value) else None, unit=unit)


def beside(program: str, version: str) -> None:
    """Note the version of another program that was measured."""
    if RUNNING:
        RUNNING[0].versions[program] = version


def recorded(main: Callable[[], None]) -> Callable[[], None]:
    """Have a benchmark's main leave a record when it ends well and has noted figures."""

    @functools.wraps(main)
    def run() -> None:
        place = os.environ.get(VARIABLE, str(RESULTS))
        if not place:
            main()
            return
        os.environ[VARIABLE] = ""  # for the processes that it starts
        running, printed = Running(), Copied(sys.stdout)
        began, start, load = datetime.now(UTC), time.perf_counter(), load_average()
        RUNNING.append(running)
        try:
            with contextlib.redirect_stdout(printed):
                main()
        finally:
            RUNNING.clear()
            os.environ[VARIABLE] = place
        if not running.figures:
            say("no figure was noted, so nothing is recorded")
            return
        commit, changed = commit_of(HERE.parent)
        record = Record(
            benchmark=Path(sys.argv[0]).stem,
            arguments=[told(word) for word in sys.argv[1:]],
            date=began.isoformat(timespec="seconds").replace("+00:00", "Z"),
            seconds=round(time.perf_counter() - start, 1),
            commit=commit,
            changed=changed,
            machine=machine(load),
            versions=versions() | running.versions,
            figures=running.figures,
            printed=told(printed.getvalue()).splitlines(),
        )
        try:
            append(Path(place), record)
        except OSError as error:
            say(f"the run is not recorded, since {place} cannot be written: {error.strerror}. Its figures stand above")

    return run


class Copied(io.StringIO):
    """A stream that keeps what it hands on to another one."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        """Keep a text and hand it on."""
        super().write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        """Hand on."""
        self._stream.flush()

    def fileno(self) -> int:
        """Return the other stream's."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Tell of the other stream."""
        return self._stream.isatty()


def say(what: str) -> None:
    """Print a note."""
    print(f"note: {what}", file=sys.stderr)


def told(text: str) -> str:
    """Return a text without the places of this machine that a record need not name."""
    return text.replace(str(HERE.parent.resolve()), ".").replace(str(HERE.parent), ".").replace(str(Path.home()), "~")


def append(path: Path, record: Record) -> None:
    """Append a record as one line, in one call: others may append at the same time, and a kill costs no other line.

    Raises: OSError: the disk is full or cannot be written.
    """
    line = json.dumps(asdict(record), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a line was cut short: it shall not spoil this one
            line = b"\n" + line
        if os.write(descriptor, line) < len(line):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_records(path: Path = RESULTS, tell: Callable[[str], None] = say) -> list[Record]:
    """Return all records of a file, the oldest first; `tell` hears of lines that are none, such as one cut short."""
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            records.append(converted(json.loads(line), Record))
        except ValueError as error:  # among them JSONDecodeError and UnicodeDecodeError
            if line.strip():
                tell(f"{path.name}, line {number} is no record and is passed over: {error}")
    return sorted(records, key=lambda record: record.date)


def machine(load_before: float) -> Machine:
    """Return what this process runs on."""
    told_of = processor()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=told_of.get("model name") or told_of.get("Model") or platform.processor() or "unknown",
        cores=os.cpu_count() or 1,
        usable_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        flags=[f for f in FLAGS.split() if f in told_of.get("flags", told_of.get("Features", "")).split()],
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        gpus=gpus(),
        load_before=round(load_before, 2),
        load_after=round(load_average(), 2),
    )


def processor() -> dict[str, str]:
    """Return what Linux says of the first core; nothing elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}


def gpus() -> list[str]:
    """Return the name, memory and driver of each NVIDIA GPU."""
    if shutil.which("nvidia-smi") is None:
        return []
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def load_average() -> float:
    """Return how many processes ran or waited in the mean over the last minute."""
    return os.getloadavg()[0]


def versions() -> dict[str, str]:
    """Return the versions of Python, of ours, and of what computes."""
    return {"python": platform.python_version(), "cv-aliens": __version__} | dict(installed())


def installed() -> Iterator[tuple[str, str]]:
    """Yield the versions of packages that are there."""
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


def commit_of(folder: Path) -> tuple[str, bool]:
    """Return the commit that a folder's repository stands at, and whether files differ from it; "" where it is none."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
        return done.stdout.rstrip() if done.returncode == 0 else ""

    if shutil.which("git") is None or git("rev-parse", "--show-toplevel") != str(folder.resolve()):
        return "", False
    changed = [line for line in git("status", "--porcelain").splitlines() if line[3:] not in MADE]
    return git("rev-parse", "--short=12", "HEAD"), bool(changed)
