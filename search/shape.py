"""The shape of an answer: how many hits of a hotel, how different, where they end, in what order."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from aliens.errors import QueryError
from search.results import Hit

Sort = Literal["score", "date", "hotel"]
SORTS = ("score", "date", "hotel")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a list of hits should look like.

    per_hotel, per_chain: at most so many hits of one; photos without a hotel, or without a chain, are not limited.
    diverse: 0 orders by score alone, 1 avoids what resembles the hits before (maximal marginal relevance).
    until_stop: end at the suggested stop line. min_score: leave out hits of a lower cosine.
    sort: the order of the hits that were found: by score, by date (newest first), or by the hotel's name.
    after: the cursor of the hit that the list goes on behind.
    exact: compare every photo, even where an approximate index stands.

    Raises: QueryError: a value makes no sense.
    """

    per_hotel: int | None = None
    per_chain: int | None = None
    diverse: float = 0.0
    until_stop: bool = False
    min_score: float | None = None
    sort: Sort = "score"
    after: str | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        for name in ("per_hotel", "per_chain"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise QueryError(f"{name} is {value}: allow at least 1 hit, or leave it out")
        if not 0 <= self.diverse <= 1:
            raise QueryError(f"diverse is {self.diverse:g}: choose a value from 0 (by score alone) to 1")
        if self.sort not in SORTS:
            raise QueryError(f"sort is {self.sort!r}: choose one of {', '.join(SORTS)}")
        if self.min_score is not None and not -1 <= self.min_score <= 1:
            raise QueryError(f"min_score is {self.min_score:g}: a cosine lies between -1 and 1")

    @property
    def identity(self) -> tuple[object, ...]:
        """What decides the list that a cursor points into: all but the cursor itself and the order shown."""
        return tuple(getattr(self, field.name) for field in fields(self) if field.name not in ("after", "sort"))


class Quota:
    """Counts hits by hotel and chain while a list is walked from its top."""

    def __init__(self, shape: Shape) -> None:
        self._limits = {"hotel": shape.per_hotel, "chain": shape.per_chain}
        self._seen: dict[tuple[str, int], int] = {}

    @property
    def limits_anything(self) -> bool:
        """Whether there is a limit at all."""
        return any(limit is not None for limit in self._limits.values())

    def admits(self, hotel_id: int | None, chain_id: int | None) -> bool:
        """Tell whether one more hit of these is allowed, and count it if so."""
        named = [("hotel", hotel_id), ("chain", chain_id)]
        keys = [(kind, key) for kind, key in named if key is not None and self._limits[kind] is not None]
        if any(self._seen.get(key, 0) >= (self._limits[key[0]] or 0) for key in keys):
            return False
        for key in keys:
            self._seen[key] = self._seen.get(key, 0) + 1
        return True


def in_order(hits: Sequence[Hit], sort: Sort) -> list[Hit]:
    """Return hits, which come best first, in the order that was asked for."""
    if sort == "date":
        dated = sorted((hit for hit in hits if hit.date), key=lambda hit: hit.date or datetime.min, reverse=True)
        return [*dated, *(hit for hit in hits if not hit.date)]
    if sort == "hotel":
        return sorted(hits, key=hotel_first)
    return list(hits)


def hotel_first(hit: Hit) -> tuple[bool, str, int]:
    """Return what hits are sorted by to come hotel after hotel; those without one come last."""
    return hit.hotel_id is None, (hit.hotel_name or "").casefold(), hit.hotel_id or 0
