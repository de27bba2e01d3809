import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from base.memory import MemoryBudget, free_memory_bytes


def test_threads_never_hold_more_than_there_is_together() -> None:
    budget, held, most, lock = MemoryBudget(100), [0], [0], threading.Lock()

    def work(size_bytes: int) -> None:
        with budget.holding(size_bytes):
            with lock:
                held[0] += size_bytes
                most[0] = max(most[0], held[0])
            with lock:
                held[0] -= size_bytes

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [60, 50, 30, 20, 10] * 50))
    assert held == [0]
    assert 60 <= most[0] <= 100


def test_what_is_larger_than_all_has_it_alone() -> None:
    budget, begun, alone = MemoryBudget(100), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        with budget.holding(1000):
            alone.set()

    with ThreadPoolExecutor(1) as pool:
        with budget.holding(1):
            waiting = pool.submit(work)
            begun.wait()
            assert not alone.is_set()
        waiting.result()
    assert alone.is_set()


def test_small_ones_pass_a_large_one_that_waits() -> None:
    budget = MemoryBudget(100)

    def hold(size_bytes: int) -> int:
        with budget.holding(size_bytes):
            return size_bytes

    with ThreadPoolExecutor(2) as pool:
        with budget.holding(50):
            large = pool.submit(hold, 80)
            assert pool.submit(hold, 50).result() == 50
            assert not large.done()
        assert large.result() == 80


def test_memory_is_given_back_after_an_error() -> None:
    budget = MemoryBudget(100)
    for _ in range(3):
        with pytest.raises(KeyError), budget.holding(100):
            raise KeyError
    with budget.holding(100):
        pass


def test_free_memory_is_that_of_the_machine_or_of_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "/proc/meminfo": "MemTotal:  32000000 kB\nMemAvailable:  20000000 kB\n",
        "/sys/fs/cgroup/memory.max": "8000000000\n",
        "/sys/fs/cgroup/memory.current": "3000000000\n",
        "/sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 1000000000\n",
    }

    def read(self: Path) -> str:
        if str(self) not in told:
            raise FileNotFoundError(self)
        return told[str(self)]

    monkeypatch.setattr(Path, "read_text", read)
    assert free_memory_bytes() == 6_000_000_000
    told["/sys/fs/cgroup/memory.max"] = "max\n"
    assert free_memory_bytes() == 20_000_000 * 1024
    told.clear()
    assert free_memory_bytes() is None
