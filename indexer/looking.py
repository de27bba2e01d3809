"""Looks that take long, several at a time and in order: at addresses, whose servers are far. Knows no photos."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

from base.remote import THREADS

T = TypeVar("T")
U = TypeVar("U")
AHEAD = 4 * THREADS  # places that are looked at before they are wanted


def looks_in_order(places: Iterable[T], takes_long: Callable[[T], bool], look: Callable[[T], U]) -> Iterator[U]:
    """Yield what a look at each place gives, in order; looks that take long are taken several at a time."""
    places = iter(places)
    first = next(places, None)
    if first is None:
        return
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(THREADS, "looking") as pool:  # which starts threads only as they are needed
        try:
            for place in chain([first], places):
                if not waiting and not takes_long(place):
                    yield look(place)
                    continue
                waiting.append(pool.submit(look, place))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
