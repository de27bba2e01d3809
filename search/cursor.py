"""Cursors: where a page of hits ended, as text that a person can pass on. Stable while photos are added."""

import base64
import binascii
import hashlib
import json
import math
from dataclasses import dataclass

from aliens.errors import QueryError

HIGHEST = 2**63 - 1  # of the numbers that a database holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """A place in the list of one query in one library.

    library, query: digests of both. newest: the highest photo id when the first page was shown; later photos stay
    out of the following pages. score, photo_id: of the last hit; rank: how many hits were shown, it included.
    """

    library: str
    query: str
    newest: int
    score: float
    photo_id: int
    rank: int

    def __str__(self) -> str:
        values = [self.library, self.query, self.newest, self.score, self.photo_id, self.rank]
        return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(text: str, library: str, query: str) -> Cursor:
    """Return the cursor that a text stands for.

    Raises: QueryError: it is none, or one of another library or of another query.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        names = ("library", "query", "newest", "score", "photo_id", "rank")
        kinds = (str, str, int, float, int, int)
        cursor = Cursor(**{n: kind(v) for n, kind, v in zip(names, kinds, values, strict=True)})
        if not (
            math.isfinite(cursor.score)
            and all(0 <= n <= HIGHEST for n in (cursor.newest, cursor.photo_id, cursor.rank))
        ):
            raise ValueError("a number that no page ends with")
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise QueryError(f"{text[:40]!r} is no cursor: take the one that the page before ended with") from error
    if cursor.library != library:
        raise QueryError("the cursor is of another library: ask this library for its first page, without a cursor")
    if cursor.query != query:
        raise QueryError("the cursor is of another query: repeat the query and its options, or leave the cursor out")
    return cursor


def digest(*parts: object) -> str:
    """Return 12 hex digits that tell one sequence of values from another."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
