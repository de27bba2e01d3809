"""What benchmarks measure by: calls in turns, bytes read once, a process's memory and what it has written (Linux)."""

import contextlib
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

REPEATS = 9


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call takes: by the clock, and of processors."""
    start, before_s = time.perf_counter(), processor_s()
    work()
    return time.perf_counter() - start, processor_s() - before_s


def processor_s() -> float:
    """Return what this process, and those that it started and that have ended, had of processors, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def median_ms(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of a call, in ms, after one that warms up."""
    return medians_ms({"": work}, repeats)[""]


def medians_ms(works: Mapping[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Return the median time of each call, in ms; in turns, so that a busy machine disturbs all alike."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():  # warms up
        work()
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) * 1000 for name, times in taken.items()}


def reader(arrays: Sequence[np.ndarray], cores: int) -> Callable[[], int]:
    """Return what reads arrays once on all cores: sums them as 64-bit numbers, from the first aligned one on."""
    shares: list[list[np.ndarray]] = [[] for _ in range(cores)]
    for array in arrays:
        flat = array.reshape(-1).view(np.uint8)
        begin = -flat.ctypes.data % 8
        words = flat[begin : begin + (len(flat) - begin) // 8 * 8].view(np.uint64)
        for share, part in zip(shares, np.array_split(words, cores), strict=True):
            share.append(part)

    def read() -> int:
        with ThreadPoolExecutor(cores) as pool:
            return sum(pool.map(lambda share: sum(int(part.sum()) for part in share), shares))

    return read


def memory_mb(kind: str) -> float:
    """Return this process's memory in MB.

    kind: RssAnon, its own; RssFile, mapped pages of files, which the system takes back at will; VmHWM, the most that it
    has held of both.
    """
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[kind].split()[0]) / 1000


def tree_processor_s() -> float:
    """Return the processor time that this process and all below it have taken, those that have ended included."""
    below: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            words = path.read_text().rpartition(")")[2].split()
            below.setdefault(int(words[1]), []).append(int(path.parent.name))
            ticks[int(path.parent.name)] = sum(map(int, words[11:15]))
    total, left = 0, [os.getpid()]
    while left:
        process = left.pop()
        total += ticks.get(process, 0)
        left += below.get(process, [])
    return total / os.sysconf("SC_CLK_TCK")


def written_bytes() -> tuple[int, int]:
    """Return what this process has handed to the system to be written, and what of it had to go to a disk."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["wchar"]), int(lines["write_bytes"])
