"""Forks: what the child of a process that was at work has to have made anew, so that it waits for nobody.

Of all threads only the one that forks is in the child. A lock that another one held would stay held, and the pools of
OpenMP, by which FAISS and PyTorch share out work, would wait for threads that are gone.
"""

import os
import sys
from functools import cached_property
from threading import Condition, Lock, RLock
from typing import Any
from weakref import WeakSet

OURS = {"aliens", "analysis", "base", "db", "embedding", "indexer", "restyle", "search"}

STARTED_AS = os.getpid()
LONGEST_WAIT_S = 10.0

_locks: WeakSet[Any] = WeakSet()


def is_forked() -> bool:
    """Tell whether this process was forked from one that had imported this."""
    return os.getpid() != STARTED_AS


def fork_lock() -> Lock:
    """Return a lock that is free in a forked child, whoever held it."""
    lock = Lock()
    _locks.add(lock)
    return lock


class UncutByForks:
    """A context for calls that no fork may cut in two: of what keeps locks of its own, which nobody frees in a child.

    A fork waits for the calls in hand, though not for ever: one may itself wait for another process.
    """

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(before=self._stop, after_in_parent=self._go_on, after_in_child=self._renew)

    def __enter__(self) -> None:
        with self._turn:
            self._turn.wait_for(lambda: not self._forks)
            self._calls += 1

    def __exit__(self, *error: object) -> None:
        with self._turn:
            self._calls -= 1
            self._turn.notify_all()

    def _renew(self) -> None:
        self._turn = Condition()
        self._calls = self._forks = 0

    def _stop(self) -> None:
        with self._turn:
            self._forks += 1
            self._turn.wait_for(lambda: not self._calls, LONGEST_WAIT_S)

    def _go_on(self) -> None:
        with self._turn:
            self._forks -= 1
            self._turn.notify_all()


def renew_in_child() -> None:
    """Free the locks, and have the thread that forked compute by itself; other threads of the child have new pools."""
    for lock in list(_locks):
        lock._at_fork_reinit()  # as Python's own packages do
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OURS:
            renew_cached_properties(module)
    if (faiss := sys.modules.get("faiss")) is not None:
        faiss.omp_set_num_threads(1)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


def renew_cached_properties(module: object) -> None:
    """Free the locks that Python 3.11 has in each cached property of a module's classes."""
    for kind in vars(module).values():
        for member in vars(kind).values() if isinstance(kind, type) else ():
            if isinstance(member, cached_property) and hasattr(member, "lock"):
                member.lock = RLock()


os.register_at_fork(after_in_child=renew_in_child)
