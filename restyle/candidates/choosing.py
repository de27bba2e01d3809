"""The whole way from a pool of photos to candidates: open, measure, judge, pick. Asks no database, prints nothing."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from db.photos import PhotoRecord
from restyle.candidates.gates import Looked, Rejection, look, rejected, spoilt
from restyle.candidates.guesses import SURE, Texts, guesses
from restyle.candidates.picking import Picked, Picker, Strategy, in_turn
from restyle.palettes import Palette

GUESSED = {"text": "looks like text, a plan or a logo", "people": "looks like a photo of people"}

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was picked, what was rejected and why, and how many photos passed every gate."""

    picks: list[Picked]
    rejected: list[Rejection]
    fit: int

    @property
    def rejections(self) -> dict[str, int]:
        """How many photos were rejected, by kind, most first."""
        return dict(Counter(rejection.kind for rejection in self.rejected).most_common())


def choose(
    records: Sequence[PhotoRecord],
    vectors: Vectors,
    palette: Palette,
    *,
    n: int,
    strategy: Strategy = "mixed",
    encoder: Texts | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Choice:
    """Pick n of the photos to restyle; fewer where fewer are fit. The same pool gives the same picks.

    Args:
        records: the pool, m photos; each of them is opened.
        vectors: their unit vectors, (m, d).
        palette: what colours are opposed to.
        n: how many.
        strategy: which kinds.
        encoder: the model of the vectors, which guesses what is text and what shows people; None: nobody guesses.
        progress: called with the number of photos opened, and of all.
    """
    looked: list[Looked] = []
    places: list[int] = []
    refused: list[Rejection] = []
    for place, seen in enumerate(looks(records, palette, progress)):
        if isinstance(seen, Rejection):
            refused.append(seen)
        elif reason := spoilt(seen.measures):
            refused.append(rejected(seen.record, *reason))
        else:
            looked.append(seen)
            places.append(place)
    unwanted = guessed([photo.record for photo in looked], vectors[places], encoder)
    refused += unwanted.values()
    fit = [at for at, photo in enumerate(looked) if photo.record.photo_id not in unwanted]
    picker = Picker([looked[at] for at in fit], vectors[places][fit])
    for kinds in islice(in_turn(strategy), min(n, len(fit))):
        if not any(picker.pick(kind) for kind in kinds):
            break
    return Choice(picker.picked, refused + picker.rejected, len(fit))


def looks(
    records: Sequence[PhotoRecord], palette: Palette, progress: Callable[[int, int], None]
) -> Iterator[Looked | Rejection]:
    """Yield what is seen of each photo, in order; several are opened at a time."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for done, seen in enumerate(pool.map(lambda record: look(record, palette), records), start=1):
            progress(done, len(records))
            yield seen
    finally:
        pool.shutdown(cancel_futures=True)


def guessed(records: Sequence[PhotoRecord], vectors: Vectors, encoder: Texts | None) -> dict[int, Rejection]:
    """Return, by photo id, the photos that the model takes for text or for people."""
    found: dict[int, Rejection] = {}
    if encoder is None or not records:
        return found
    for kind, sure in guesses(vectors, encoder).items():
        for record, how_sure in zip(records, sure.tolist(), strict=True):
            if how_sure >= SURE and record.photo_id not in found:
                reason = f"{GUESSED[kind]}: a guess of the library's model, {how_sure:.2f} sure"
                found[record.photo_id] = rejected(record, kind, reason)
    return found
