"""Which routes are limited: dependencies of whole routers."""

from fastapi import Request

from web.opened import Served


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
