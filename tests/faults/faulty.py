"""Processes with faults at their files: faults.c, compiled, and a process that forks workers which have it loaded."""

import multiprocessing
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("faults.c")
CONTROL = struct.Struct("<QQ")
FOREVER = 1 << 62
LIMIT_S = 600.0  # of one work, on a machine that is busy; most take a second
END_S = 60.0  # until a process that was killed is seen to have ended


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What goes wrong: see faults.c.

    under: the folder whose files it is about. does: "kill", "torn", or the number of an error; "" for nothing, which
    counts events. at: the event, from 1 on; to: with an error, the last event that fails. kinds: of events, by their
    letters. log: where everything that was done is written to.
    """

    under: Path
    does: str | int = ""
    at: int = 0
    to: int = 0
    kinds: str = "wsnc"
    log: Path | None = None

    def environment(self, control: Path) -> dict[str, str]:
        """Return what tells faults.c; `control`: where it counts."""
        said = {
            "FAULTS_UNDER": str(self.under),
            "FAULTS_CONTROL": str(control),
            "FAULTS_DO": str(self.does),
            "FAULTS_AT": str(self.at),
            "FAULTS_TO": str(self.to or self.at),
            "FAULTS_KINDS": self.kinds,
        }
        return said | ({} if self.log is None else {"FAULTS_LOG": str(self.log)})


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, below 0 by a signal; how many events and faults there were; what it said."""

    code: int
    events: int
    faults: int
    said: str


def fault_library(folder: Path) -> Path:
    """Compile faults.c into a folder and return the library. Skips: it cannot be compiled or loaded here."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("faults are made by a library that is compiled here: that takes Linux and a C compiler (cc)")
    library = folder / "faults.so"
    made = subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl", "-lpthread"],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"faults.c is not compiled here: {made.stderr.splitlines()[0]}")
    return library


class Nursery:
    """A process with the faults loaded, and with all that takes seconds to import; it forks whoever is to work."""

    def __init__(self, library: Path, folder: Path) -> None:
        """`library`: that of `fault_library`. `folder`: an empty one, of this nursery alone."""
        self.library = library
        self._folder = folder
        self._asked, theirs = multiprocessing.Pipe()
        code = "import sys; from tests.faults.workers import wait; wait(int(sys.argv[1]))"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, str(theirs.fileno())],
            env=self.environment(),
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
        )
        theirs.close()

    def environment(self) -> dict[str, str]:
        """Return what a process needs to have the faults loaded, without any."""
        named = {name: value for name, value in os.environ.items() if not name.startswith("FAULTS_")}
        one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        return named | one_thread | {"LD_PRELOAD": str(self.library), "ALIENS_BACKEND": "torch"}

    def run(self, work: str, *arguments: object, plan: Plan | None = None) -> Ended:
        """Have a worker do one of the works in `tests.faults.workers`, and wait for its end.

        Raises: AssertionError: it did not end within LIMIT_S, and was killed.
        """
        with self.controlled() as control:
            environment = self.environment() | ({} if plan is None else plan.environment(control))
            code = "import sys; from tests.faults.workers import do; do(*sys.argv[1:])"
            words = [sys.executable, "-c", code, work, *map(str, arguments)]
            said = self._folder / "said"
            self._asked.send((words, str(ROOT), environment, str(said), str(said)))
            hangs = not self._asked.poll(LIMIT_S)
            if hangs:
                self._kill_worker()
            ended = Ended(self._asked.recv(), *counted(control), said.read_text(errors="replace"))
            assert not hangs, f"{work} did not end within {LIMIT_S:g} s and was killed: {plan}, {ended}"
            return ended

    def _kill_worker(self) -> None:
        """Kill the worker at work; all of this, where that does not end it."""
        for pid in children_of(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not self._asked.poll(END_S):
            self._process.kill()

    @contextmanager
    def controlled(self) -> Iterator[Path]:
        """Yield a file in which events are counted."""
        control = self._folder / "control"
        control.write_bytes(bytes(CONTROL.size))
        yield control

    def close(self) -> None:
        """End the process."""
        self._asked.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


def children_of(parent: int) -> list[int]:
    """Return the processes that a process has begun and that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, its_parent = status.read_text().rpartition(")")[2].split()[:2]
            if int(its_parent) == parent and state != "Z":
                found.append(int(status.parent.name))
    return found


def counted(control: Path) -> tuple[int, int]:
    """Return how many events and faults there were."""
    events, faults = CONTROL.unpack(control.read_bytes())
    return events, faults
