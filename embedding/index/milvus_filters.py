"""Filters of Milvus: expressions that let exactly the photos through that may be found."""

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from base.arrays import Ids
from embedding.index.left import Among, Left

IDS_AT_ONCE = 8_192  # named by one expression, about 64 kB of text; milvus-lite takes 0.2 s for so many
RANGES_AT_ONCE = 128  # beyond this milvus-lite takes longer for more ranges than for one more search


def expressions_of(among: Among) -> Iterator[str]:
    """Yield filters that together let exactly the photos through that may be found."""
    if among is None:
        yield ""
    elif isinstance(among, Left):
        yield among.expression
    else:
        yield from expressions(among)


def expressions(ids: Ids) -> Iterator[str]:
    """Yield filters that together let exactly these photos through, ids (m,) ascending: ranges, and what is single."""
    cuts = np.flatnonzero(np.diff(ids) != 1) + 1
    firsts, lasts = np.append(0, cuts), np.append(cuts, len(ids)) - 1
    runs = lasts - firsts > 1
    single = np.ones(len(ids), bool)
    ranges = []
    for first, last in zip(firsts[runs].tolist(), lasts[runs].tolist(), strict=True):
        single[first : last + 1] = False
        ranges.append(f"(photo_id >= {ids[first]} and photo_id <= {ids[last]})")
    alone = ids[single].tolist()
    listed = [f"photo_id in {alone[at : at + IDS_AT_ONCE]}" for at in range(0, len(alone), IDS_AT_ONCE)]
    joined = [either(ranges[at : at + RANGES_AT_ONCE]) for at in range(0, len(ranges), RANGES_AT_ONCE)]
    for pair in zip_longest(joined, listed):
        yield " or ".join(filter(None, pair))


def either(parts: list[str]) -> str:
    """Return the expression that one of several holds, as a tree: a server takes no chain of a hundred."""
    if len(parts) <= 2:
        return " or ".join(parts)
    return f"({either(parts[: len(parts) // 2])}) or ({either(parts[len(parts) // 2 :])})"
