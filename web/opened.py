"""What a server holds while it runs: the library, its settings, and what lets a few computations run at a time."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar, cast

import anyio
import anyio.to_thread
from fastapi import Depends, Request

from aliens.library import Library
from base.errors import AliensError
from web.metrics import Metrics
from web.rates import Rates
from web.web_settings import WebSettings

if TYPE_CHECKING:
    from search.orders import PhotoOrder

P = ParamSpec("P")
T = TypeVar("T")


STEPS = {"hits_at": "rows"}  # what a search's steps are called that are methods of their own


class TooBusy(AliensError):
    """More is asked at once than can be answered soon."""


class Opened:
    """The library that is served, and what is kept of it in memory."""

    def __init__(self, library: Library, settings: WebSettings) -> None:
        self.library = library
        self.settings = settings
        self.metrics = Metrics()
        self.rates = Rates(settings)
        self._limiter: anyio.CapacityLimiter | None = None

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns that takes its time, in a thread, a few at once.

        Raises: TooBusy: too many wait already.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self.settings.side_by_side)
        if self._limiter.statistics().tasks_waiting >= self.settings.waiting:
            raise TooBusy("too many questions at once: ask again in a second")
        asked = perf_counter()

        def timed() -> T:
            self.metrics.took("wait", perf_counter() - asked)
            with self.metrics.timed(STEPS.get(name := getattr(function, "__name__", "other"), name)):
                return function(*args, **kwargs)

        return await anyio.to_thread.run_sync(timed, limiter=self._limiter)

    async def ordered(
        self, text: str, *, more_like: Sequence[int] = (), less_like: Sequence[int] = (), sort: str = "score"
    ) -> "PhotoOrder":
        """Return every photo in the order of a query: see `Library.order`.

        Raises: QueryError, TooBusy.
        """
        return await self.compute(self.library.order, text, more_like=more_like, less_like=less_like, sort=sort)


def held(request: Request) -> Opened:
    """Return what the server holds."""
    return cast(Opened, request.app.state.opened)


Served = Annotated[Opened, Depends(held)]
