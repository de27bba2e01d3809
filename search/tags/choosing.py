"""Which photos a person is asked about next, so that few labels teach much. Knows arrays alone, and nothing by chance.

First photos at random, with the likeliest one where one tag is asked about, since of a rare one chance finds none; then
those of which what was learnt so far is in most doubt, unlike those that were labelled, and now and then one at random,
for what nobody thought of. No two of a hotel, and no near copies, as long as there are others.

Source: Lewis & Gale 1994 (uncertainty sampling); Settles 2010, section 2 and 3.5 (density, diversity).
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Floats, Ids, Longs, Reals, unit_or_zero

Kind = Literal["random", "likely", "doubtful"]
FIRST = 3  # photos that are labelled before doubt says anything
LIKELIEST = 1  # which of them is the likeliest, where one tag is asked about
RANDOM_EVERY = 8  # of the later ones one in so many is taken at random
ALIKE = 0.985  # cosine from which two photos are nearly the same picture
POOL = 300  # of each kind, that are looked at more closely
MOST_KNOWN = 4_000  # labelled photos that others are compared with
# Powers of the unlikeness to what was labelled, by which doubt is multiplied (benchmarks/labels.py).
NOVELTY_OF_TAG, NOVELTY_OF_PHOTO = 0.25, 1.0


@dataclass(frozen=True, slots=True)
class Choosable:
    """Photos that may be asked about, n of them.

    ids: (n,). chances: as what was learnt so far has them, (n,) of one tag, or (n, t) of all tags of whole photos.
    vectors: (n, d). groups: the hotel of each, or else its folder.
    """

    ids: Ids
    chances: Floats
    vectors: Floats
    groups: Sequence[str]

    @property
    def is_of_tag(self) -> bool:
        """Whether one tag is asked about."""
        return self.chances.ndim == 1


def kind_of_turn(turn: int, *, of_tag: bool) -> Kind:
    """Return how the photo is chosen that is labelled after `turn` others."""
    if turn < FIRST:
        return "likely" if of_tag and turn == LIKELIEST else "random"
    return "random" if turn % RANDOM_EVERY == RANDOM_EVERY - 1 else "doubtful"


def doubt(chances: Floats) -> Floats:
    """Return how little is known of photos, (n,), 1 where chances (n,) are one half; the mean over tags of (n, t)."""
    open_to: Floats = 4 * chances * (1 - chances)
    return open_to if open_to.ndim == 1 else open_to.mean(axis=1)


def lot(ids: Ids, salt: str = "") -> NDArray[np.uint64]:
    """Return a number for each photo, (n,), that is the same every time and says nothing of it; another by a salt.

    Source: the finaliser of SplitMix64, Steele et al. 2014.
    """
    seed = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "little")
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def narrowed(ids: Ids, chances: Floats, free: Bools) -> Longs:
    """Return the places of the photos that are worth a closer look, ascending, of all that are free, (n,).

    Some of each kind: the most doubtful, those that a lot chooses, and the likeliest where chances (n,) are of one tag.
    """
    places = np.flatnonzero(free)
    if len(places) <= POOL:
        return places
    by_lot = lot(ids[places])
    orders: list[NDArray[np.generic]] = [by_lot, -doubt(chances[places])]
    if chances.ndim == 1:
        orders.append(-chances[places])
    best = [np.argpartition(order, POOL - 1)[:POOL] for order in orders]
    return places[np.unique(np.concatenate(best))]


def next_photos(
    pool: Choosable, known: Floats, count: int, *, turn: int, met: Collection[str] = (), salt: str = ""
) -> list[int]:
    """Return the places in a pool of up to `count` photos to ask about, the first first.

    Args:
        pool: the photos.
        known: vectors (m, d) of what was labelled before, and of what somebody is being asked about.
        count: how many are wanted.
        turn: how many were labelled before, or are to be before these.
        met: hotels of which one is being asked about.
        salt: another one gives another lot, as in trials that are repeated.
    """
    if not len(pool.ids):
        return []
    chooser = Chooser(pool, known, met, salt)
    chosen: list[int] = []
    for number in range(turn, turn + min(count, len(pool.ids))):
        chosen.append(chooser.take(kind_of_turn(number, of_tag=pool.is_of_tag)))
    return chosen


class Chooser:
    """Photos that are chosen one after the other, each with those before it in mind."""

    def __init__(self, pool: Choosable, known: Floats, met: Collection[str], salt: str) -> None:
        self._pool = pool
        self._lot = lot(pool.ids, salt).astype(np.float64) / 2.0**64
        self._doubt = doubt(pool.chances)
        self._power = NOVELTY_OF_TAG if pool.is_of_tag else NOVELTY_OF_PHOTO
        names, self._group = np.unique(np.array(pool.groups, object).astype(str), return_inverse=True)
        self._taken = np.zeros(len(pool.ids), bool)
        self._met = np.isin(names, [*met])  # hotels of which one is chosen
        self._centre = pool.vectors.mean(axis=0) if len(pool.ids) > 1 else np.zeros_like(pool.vectors[0])
        self._moved = unit_or_zero(pool.vectors - self._centre)
        self._near = np.full(len(pool.ids), -1.0, np.float32)  # cosine with the nearest that is known, from the centre
        self._copy = np.zeros(len(pool.ids), bool)
        latest = known[-MOST_KNOWN:]
        if len(latest):
            self._near = (self._moved @ unit_or_zero(latest - self._centre).T).max(axis=1)
            self._copy = (pool.vectors @ latest.T).max(axis=1) >= ALIKE

    def take(self, kind: Kind) -> int:
        """Return the place of the next photo. At least one is left."""
        free = ~self._taken
        for others in (~self._copy & ~self._met[self._group], ~self._copy, ~self._met[self._group]):
            if (free & others).any():
                free &= others
                break
        place = int(np.where(free, self._worth(kind), -np.inf).argmax())
        self._taken[place] = self._met[self._group[place]] = True
        self._near = np.maximum(self._near, self._moved @ self._moved[place])
        self._copy |= self._pool.vectors @ self._pool.vectors[place] >= ALIKE
        return place

    def _worth(self, kind: Kind) -> Reals:
        if kind == "random":
            return self._lot
        if kind == "likely":
            return self._pool.chances
        unlike = np.maximum(1 - self._near, 1e-3)
        worth: Reals = (self._doubt + 1e-9) * unlike**self._power
        return worth
