"""Ctrl-C as a wish to stop soon, where work in hand is to be finished and kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; only the main thread can listen for it.

    Where Ctrl-C is ignored, as in what a script starts in the background, or is for a handler that Python did not
    install, it is left so.
    """
    stop = threading.Event()
    listens = threading.current_thread() is threading.main_thread()
    if not listens or signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        yield stop
        return

    def note(signal_number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
