"""Memory that threads share, each waiting until others have given theirs back; and what the system gets back."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


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
