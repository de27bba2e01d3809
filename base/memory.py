"""Memory: what threads share, each waiting until others have given theirs back; what is free; what is given back."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class MemoryBudget:
    """So many bytes, of which each thread holds what it needs at the moment.

    A thread that holds some must not ask for more of the same budget: two such would wait for each other.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = self._free_bytes = total_bytes
        self._given_back = threading.Condition()

    @contextmanager
    def holding(self, size_bytes: int) -> Iterator[None]:
        """Hold so many bytes, once they are free; whoever needs more than there are at all holds all of them."""
        size_bytes = min(size_bytes, self._total_bytes)
        with self._given_back:
            self._given_back.wait_for(lambda: self._free_bytes >= size_bytes)
            self._free_bytes -= size_bytes
        try:
            yield
        finally:
            with self._given_back:
                self._free_bytes += size_bytes
                self._given_back.notify_all()


def give_memory_back() -> None:
    """Have the C library return what nobody uses, where it is glibc: it keeps some 100 MB of a million rows.

    Source: malloc_trim(3).
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def free_memory_bytes() -> int | None:
    """Return how much memory a process may still take, of the machine or of its container; None off Linux.

    Source: proc_meminfo(5), MemAvailable; Linux's control groups, version 2: memory.max, and memory.current without
    inactive_file, which is given back where it is needed.
    """
    try:
        told = Path("/proc/meminfo").read_text()
        free = next(int(line.split()[1]) * 1024 for line in told.splitlines() if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    with suppress(OSError, ValueError):  # no limit is the word max
        group = Path("/sys/fs/cgroup")
        limit, taken = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        cached = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        taken -= next((int(size) for name, size in cached if name == "inactive_file"), 0)
        free = min(free, max(0, limit - taken))
    return free
