"""The basket by program."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from web.jobs.job_requests import Text
from web.opened import Opened, Served
from web.photo_numbers import PhotoNumber
from web.search_state import Sorting

picking = APIRouter(tags=["baskets"])
MOST_AT_ONCE = 10_000


class BasketState(BaseModel):
    """The basket: how many photos it holds, those from `first` on, and why photos were picked, by id."""

    total: int
    first: int
    photo_ids: list[int]
    why: dict[int, str]


class BasketChange(BaseModel):
    """How a change went: how many photos were put in or taken out, and how many there are now."""

    changed: int
    total: int


class PhotosPut(BaseModel):
    """Photos by their ids, or the first k of what a query finds."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[list[PhotoNumber], Field(max_length=MOST_AT_ONCE)] = []
    q: Annotated[str, Field(max_length=10_000)] | None = None
    k: Annotated[int, Field(ge=1, le=100_000)] = 100
    why: Annotated[dict[int, Text], Field(max_length=MOST_AT_ONCE)] = {}


async def put_result(
    served: Opened,
    text: str,
    k: int,
    *,
    sort: Sorting = "score",
    more: tuple[int, ...] = (),
    less: tuple[int, ...] = (),
) -> int:
    """Put the first k photos of a query into the basket, restyled ones left out; return how many were new.

    Raises: QueryError, TooBusy, LibraryError.
    """
    order = await served.ordered(text, more_like=more, less_like=less, sort=sort)
    return await served.compute(served.basket.put, order.photo_ids[:k].tolist(), as_found=True)


@picking.get("/basket")
async def basket_photos(
    served: Served,
    first: Annotated[int, Query(ge=0, le=100_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 1_000,
) -> BasketState:
    """Return what is in the basket."""
    now = served.basket.record().now
    shown = now.photo_ids[first : first + limit]
    why = {photo_id: now.why[photo_id] for photo_id in shown if photo_id in now.why}
    return BasketState(total=len(now.photo_ids), first=first, photo_ids=shown, why=why)


@picking.post("/basket")
async def basket_put(served: Served, put: PhotosPut) -> BasketChange:
    """Put photos into the basket; those that are in it stay where they are."""
    changed = await served.compute(served.basket.put, put.ids, put.why) if put.ids else 0
    if put.q is not None:
        changed += await put_result(served, put.q, put.k)
    return BasketChange(changed=changed, total=len(served.basket))


@picking.delete("/basket")
async def basket_clear(served: Served) -> BasketChange:
    """Take all photos out of the basket."""
    return BasketChange(changed=await served.compute(served.basket.clear), total=len(served.basket))


@picking.delete("/basket/{photo_id}")
async def basket_remove(served: Served, photo_id: int) -> BasketChange:
    """Take a photo out of the basket, if it is there."""
    return BasketChange(changed=await served.compute(served.basket.remove, [photo_id]), total=len(served.basket))


@picking.post("/basket/undo")
async def basket_undo(served: Served) -> BasketChange:
    """Take the last change back; once more: make it again."""
    before = len(served.basket)
    await served.compute(served.basket.undo)
    return BasketChange(changed=abs(len(served.basket) - before), total=len(served.basket))


@picking.get("/palettes")
async def list_palettes(served: Served) -> list[dict[str, Any]]:
    """Return the palettes: their colours from dark to light, and as the visitors see them."""
    return [asdict(each) for each in await served.compute(served.library.palettes)]


@picking.get("/engines")
async def list_engines(served: Served) -> list[dict[str, Any]]:
    """Return what restyles photos, and for what cannot be used on this machine the commands that fetch it."""
    return [asdict(each) for each in await served.compute(served.library.engines)]
