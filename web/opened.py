"""What a server holds while it runs: the library, its settings, and what lets a few computations run at a time."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar, cast

import anyio
import anyio.to_thread
from fastapi import Depends, Request

from aliens.library import Library
from base.errors import AliensError
from web.baskets import Basket
from web.hotel_tables import HotelTables
from web.jobs.runner import JobRunner
from web.thumbnail_store import ThumbnailStore
from web.thumbnails import Thumbnails
from web.uploads import Uploads
from web.web_settings import WebSettings

if TYPE_CHECKING:
    from search.orders import PhotoOrder

P = ParamSpec("P")
T = TypeVar("T")


class TooBusy(AliensError):
    """More is asked at once than can be answered soon."""


class Opened:
    """The library that is served, and what is kept of it in memory."""

    def __init__(self, library: Library, settings: WebSettings) -> None:
        self.library = library
        self.settings = settings
        self.thumbnails = Thumbnails(ThumbnailStore(library.path / "thumbnails.db", settings.thumbnails_bytes))
        self.uploads = Uploads(library, settings)
        self.hotel_tables = HotelTables(self)
        self.jobs = JobRunner(library, settings)
        self.basket = Basket(library)
        self._limiter: anyio.CapacityLimiter | None = None

    def close(self) -> None:
        """End what runs beside the server, and let go of what is kept."""
        self.uploads.close()
        self.thumbnails.close()

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns that takes its time, in a thread, a few at once.

        Raises: TooBusy: too many wait already.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self.settings.side_by_side)
        if self._limiter.statistics().tasks_waiting >= self.settings.waiting:
            raise TooBusy("too many questions at once: ask again in a second")
        return await anyio.to_thread.run_sync(functools.partial(function, *args, **kwargs), limiter=self._limiter)

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
