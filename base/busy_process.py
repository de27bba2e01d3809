"""How a process is set up in which many threads compute at once for a long time: quicker together, not each alone."""

import ctypes
from contextlib import suppress

from threadpoolctl import threadpool_limits

M_ARENA_MAX = -8  # of malloc.h
ARENAS = 2


def suit_many_threads() -> None:
    """Let threads share memory that was freed, and none wait for others by spinning. It holds for the whole process.

    BLAS gets one thread for each call: its own threads spin for 25 ms after each product, on the cores that search.
    Threads of the C library, where it is glibc, share two arenas; each of the 8 for each core keeps what was freed in
    it, some 100 MB of a million photos. Sources: OPENBLAS_THREAD_TIMEOUT of OpenBLAS; M_ARENA_MAX of mallopt(3).
    """
    import numpy  # noqa: F401 # whose BLAS is told

    threadpool_limits(limits=1, user_api="blas")
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, ARENAS)
