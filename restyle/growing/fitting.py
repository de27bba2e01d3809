"""How much of a garden a photo bears: what leaves its outlines and shapes, tried on a small copy."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from base.arrays import Pixels
from restyle.growing.garden import Amounts, Garden

TRIED_PX = 300  # about the longer side of the small copy: structure is measured at 256
MARGIN = 0.02  # above the floors, since the small copy is not the photo
# In the order in which they are given room, each with how much of the room must be left for those after it.
LADDERS: tuple[tuple[str, tuple[float, ...], float], ...] = (
    ("light", (1.0, 0.6, 0.3), 0.50),
    ("dark", (1.0, 0.6, 0.35, 0.2, 0.1), 0.32),
    ("hanging", (1.0, 0.6, 0.3, 0.15), 0.22),
    ("fronds", (1.0, 0.65, 0.4, 0.25, 0.1), 0.12),
    ("vines", (1.0, 0.6, 0.3), 0.0),
)
ROOM = 0.4  # between the floors and the photo itself, about


def borne_amounts(garden: Garden, slack: Callable[[Pixels], float]) -> Amounts:
    """Return how much of a garden its photo bears.

    Args:
        garden: the photo's.
        slack: by how much outlines and shapes of a picture lie above their floors; below 0 it is not recognised.
    """
    small = garden.reduced(max(1, round(max(garden.start.size) / TRIED_PX)))

    def room(amounts: Amounts) -> float:
        return slack(np.asarray(small.composed(amounts))) - MARGIN

    if room(whole := Amounts()) >= 0:
        return whole
    amounts = whole.times(0.0)
    for name, levels, reserve in LADDERS:
        amounts = (
            largest_borne([replace(amounts, **{name: level}) for level in levels], room, reserve * ROOM) or amounts
        )
    return amounts


def largest_borne(tries: Sequence[Amounts], room: Callable[[Amounts], float], least: float) -> Amounts | None:
    """Return the first of tries, the most first, that leaves so much room; None where none does.

    Found by halving, since less of it leaves more.
    """
    place = bisect_left(tries, True, key=lambda tried: room(tried) >= least)
    return tries[place] if place < len(tries) else None
