"""Processes that are killed at random moments, and begun again until one comes to its end."""

import os
import random
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess


def killed_until_done(
    start: Callable[[], BaseProcess], moments: random.Random, span_s: tuple[float, float], most: int
) -> int:
    """Start a process again and again, killing it with SIGKILL at a moment of a span, until one is left alone or ends.

    Return how many were killed, at most `most`.
    """
    kills = 0
    while True:
        process = start()
        if kills < most:
            process.join(moments.uniform(*span_s))
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
        process.join()
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -signal.SIGKILL
