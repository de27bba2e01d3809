"""What a server holds while it runs: the library, its settings, and what lets a few computations run at a time."""

import functools
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar, cast

import anyio
import anyio.to_thread
from fastapi import Depends, Request

from aliens.library import Library
from base.errors import AliensError
from web.web_settings import WebSettings

P = ParamSpec("P")
T = TypeVar("T")


class TooBusy(AliensError):
    """More is asked at once than can be answered soon."""


class Opened:
    """The library that is served, and what is kept of it in memory."""

    def __init__(self, library: Library, settings: WebSettings) -> None:
        self.library = library
        self.settings = settings
        self._limiter: anyio.CapacityLimiter | None = None

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns that takes its time, in a thread, a few at once.

        Raises: TooBusy: too many wait already.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self.settings.side_by_side)
        if self._limiter.statistics().tasks_waiting >= self.settings.waiting:
            raise TooBusy("too many questions at once: ask again in a second")
        return await anyio.to_thread.run_sync(functools.partial(function, *args, **kwargs), limiter=self._limiter)


def held(request: Request) -> Opened:
    """Return what the server holds."""
    return cast(Opened, request.app.state.opened)


Served = Annotated[Opened, Depends(held)]
