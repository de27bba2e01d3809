"""Whether the server is well, and its figures for monitoring."""

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from base import __version__
from web.metrics import CONTENT_TYPE
from web.opened import Served

health = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether the server can answer, and what of it cannot."""

    ok: bool = Field(description="whether nothing is amiss")
    version: str
    photos: int = Field(description="photos that can be found", examples=[1_124_215])
    index: str | None = Field(description="the kind of index on disk; null where every photo is compared")
    free_bytes: int = Field(description="room on the disk that holds the library")
    amiss: list[str] = Field(description="what is wrong, in words")


@health.get(
    "/healthz",
    responses={503: {"model": Health, "description": "Something is amiss."}},
)
async def health_now(served: Served) -> Health:
    """Say whether the library opens, has its index, and has room on its disk. Cheap: nothing is computed."""
    found = await served.compute(served.library.health)
    told = Health(ok=not found.amiss, version=__version__, **found.as_json())
    return told if told.ok else JSONResponse(told.model_dump(), 503)  # type: ignore[return-value]


@health.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Figures in Prometheus's text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
async def figures(served: Served) -> Response:
    """Return the server's figures: requests, the steps of searches, computations, jobs, caches."""
    return Response(await asyncio.to_thread(served.metrics.text), media_type=CONTENT_TYPE)
