"""Searching by program."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from web.opened import Served

searching = APIRouter(tags=["search"])


@searching.get("/search")
async def search_results(
    served: Served,
    q: Annotated[str, Query(max_length=10_000, description="what to look for, in the query language")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """Return the best photos of a query."""
    order = await served.ordered(q)
    hits = await served.compute(served.library.hits_at, order, 0, limit)
    return {"total": order.total, "above": order.above, "hits": [hit.as_json() for hit in hits]}
