"""What a server holds while it runs: the opened library, results kept in memory, and limits on what runs at once."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar, cast

import anyio
import anyio.to_thread
from cachetools import LRUCache
from fastapi import Depends, Request

from aliens.library import Library
from base.errors import AliensError
from base.memory import give_memory_back
from web.baskets import Basket
from web.export_streams import ExportSlots
from web.hotel_tables import HotelTables
from web.jobs.runner import JobRunner
from web.metrics import Metrics
from web.rates import Rates
from web.thumbnail_store import ThumbnailStore
from web.thumbnails import Thumbnails
from web.uploads import Uploads
from web.web_settings import WebSettings

if TYPE_CHECKING:
    from base.arrays import Floats
    from search.orders import OrderSort, PhotoOrder

P = ParamSpec("P")
T = TypeVar("T")
LOOKS = 8  # at the library's state, and at jobs, at a time: each takes about a millisecond
TIDIED_AFTER = 8  # orders, each of which leaves some MB of a million photos to the C library: 2 ms
STEPS = {"grid_tiles": "rows", "hit_page": "rows"}  # what the steps of searches are called


class TooBusy(AliensError):
    """More is asked at once than can be answered soon."""


class Opened:
    """The library that is served, and what is kept of it in memory. Used by the server's one event loop alone."""

    def __init__(self, library: Library, settings: WebSettings) -> None:
        self.library = library
        self.settings = settings
        self.thumbnails = Thumbnails(ThumbnailStore(library.path / "thumbnails.db", settings.thumbnails_bytes))
        self.uploads = Uploads(library, settings)
        self.hotel_tables = HotelTables(self)
        self.jobs = JobRunner(library, settings)
        self.basket = Basket(library)
        self.metrics = Metrics()
        self.rates = Rates(settings)
        self.exports = ExportSlots()
        self.tag_looks = asyncio.Lock()  # held by whoever has a vocabulary's tags counted
        self._limiter: anyio.CapacityLimiter | None = None
        self._heavy: anyio.CapacityLimiter | None = None
        self._looking: anyio.CapacityLimiter | None = None
        self._orders: LRUCache[tuple[object, ...], PhotoOrder] = LRUCache(
            settings.orders_bytes, getsizeof=lambda order: order.nbytes
        )
        self._made = 0
        self._being_made: dict[tuple[object, ...], asyncio.Task[PhotoOrder]] = {}
        self._watch()

    def _watch(self) -> None:
        """Have the figures told of what waits, runs and is kept."""
        watch, thumbnails = self.metrics.watch, self.thumbnails.store
        watch("aliens_waiting_computations", "Computations that wait for their turn.", lambda: self._waiting)
        for state in ("queued", "running"):
            count = functools.partial(self.jobs.count, state)
            watch("aliens_jobs", "Jobs that wait or run.", count, state=state)
        caches = {"orders": lambda: self._orders.currsize, "thumbnails": lambda: thumbnails.kept_bytes}
        for cache, read in caches.items():
            watch("aliens_cache_bytes", "Bytes that are kept.", read, cache=cache)
        watch("aliens_cached_orders", "Results that are kept in memory.", lambda: len(self._orders))
        watch("aliens_uploads", "Photos to search by that are kept.", lambda: len(self.uploads))

    @property
    def _waiting(self) -> int:
        limiters = [limiter for limiter in (self._limiter, self._heavy) if limiter is not None]
        return sum(limiter.statistics().tasks_waiting for limiter in limiters)

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
        return await self._compute(self._limiter, function, *args, **kwargs)

    async def compute_heavy(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns that takes seconds, in a thread, one at a time: searches do not wait for it.

        Raises: TooBusy: too many wait already.
        """
        if self._heavy is None:
            self._heavy = anyio.CapacityLimiter(1)
        return await self._compute(self._heavy, function, *args, **kwargs)

    async def _compute(
        self, limiter: anyio.CapacityLimiter, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if limiter.statistics().tasks_waiting >= self.settings.waiting:
            raise TooBusy("too many questions at once: ask again in a second")
        asked = perf_counter()

        def timed() -> T:
            self.metrics.took("wait", perf_counter() - asked)
            with self.metrics.timed(step_of(function)):
                return function(*args, **kwargs)

        return await anyio.to_thread.run_sync(timed, limiter=limiter)

    async def look(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns that reads a little of the disk, in a thread. It waits for no computation."""
        if self._looking is None:
            self._looking = anyio.CapacityLimiter(LOOKS)
        return await anyio.to_thread.run_sync(functools.partial(function, *args, **kwargs), limiter=self._looking)

    async def state(self) -> str:
        """Return what changes whenever an answer may: see `Library.state`. It waits for no computation."""
        return await self.look(lambda: self.library.state)

    async def ordered(
        self,
        text: str,
        *,
        more_like: Sequence[int] = (),
        less_like: Sequence[int] = (),
        sort: "OrderSort" = "score",
    ) -> "PhotoOrder":
        """Return every photo in the order of a query: see `Library.order`.

        What was answered before, and is still so, is not computed again; equal questions at once share one answer.

        Raises: QueryError, TooBusy.
        """
        uploads: Mapping[str, Floats] = self.uploads.vectors(text)
        key = (await self.state(), text, tuple(more_like), tuple(less_like), sort, tuple(sorted(uploads)))
        known = self._orders.get(key)
        if known is not None:
            return known
        making = self._being_made.get(key)
        if making is None:
            order = functools.partial(
                self.library.order, text, more_like=more_like, less_like=less_like, uploads=uploads, sort=sort
            )
            making = self._being_made[key] = asyncio.create_task(self._make(key, order))
            making.add_done_callback(look_at_end)
        return await asyncio.shield(making)  # whoever goes away leaves it to the others

    async def _make(self, key: tuple[object, ...], order: Callable[[], "PhotoOrder"]) -> "PhotoOrder":
        try:
            made = await self.compute(order)
        finally:
            del self._being_made[key]
        self._made += 1
        if self._made % TIDIED_AFTER == 0:
            await self.look(give_memory_back)
        if made.nbytes <= self._orders.maxsize:
            self._orders[key] = made
        return made


def step_of(function: Callable[..., Any]) -> str:
    """Return what a computation is called in the figures: as its method; those of no name are one step."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", "<lambda>")
    return STEPS.get(name, name) if name.isidentifier() else "other"


def look_at_end(task: "asyncio.Task[Any]") -> None:
    """Look at how a task ended: its error is told to those who wait, of whom there may be none any more."""
    if not task.cancelled():
        task.exception()


def warm_up(library: Library) -> None:
    """Put together what the first question would wait for, as long as nobody asks."""
    with suppress(AliensError):
        library.order("")
        library.order("a photo")


def held(request: Request) -> Opened:
    """Return what the server holds."""
    return cast(Opened, request.app.state.opened)


Served = Annotated[Opened, Depends(held)]


async def limited_searches(request: Request, served: Served) -> None:
    """Let a client search so often at one address. Raises: Problem: it does more often."""
    await served.rates.count(request, served.settings.searches_per_s)


async def limited_uploads(request: Request, served: Served) -> None:
    """Let a client hand in photos so often. Raises: Problem: it does more often."""
    if request.method == "POST":
        await served.rates.count(request, served.settings.uploads_per_s)


async def limited_drafts(request: Request, served: Served) -> None:
    """Let a client have drafts of tags tried so often. Raises: Problem: it does more often."""
    if "draft" in request.url.path:
        await served.rates.count(request, served.settings.uploads_per_s)
