"""How often one client may ask for what costs something."""

from fastapi import Request
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from web.problem_kinds import TOO_MANY
from web.problems import problem_of
from web.web_settings import WebSettings


class Rates:
    """Counts what clients ask, in memory."""

    def __init__(self, settings: WebSettings) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._limited = settings.is_limited

    async def count(self, request: Request, per_s: int) -> None:
        """Count a request. Raises: Problem: its client asks more often than so many times a second."""
        if not self._limited:
            return
        route = request.scope.get("route")
        client = request.client.host if request.client else ""
        if not await self._limiter.hit(RateLimitItemPerSecond(per_s), client, getattr(route, "path", "")):
            raise problem_of(TOO_MANY, f"asked more than {per_s} times a second: ask again in a second")
