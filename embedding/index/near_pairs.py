"""All pairs of photos whose vectors are nearly the same, exactly: in blocks, by what a few dimensions let be at most.

Turned into their principal directions, vectors differ in the first few above all, and the lengths of the rests bound
what the others can add (Cauchy and Schwarz). Only pairs for which that bound reaches the threshold are compared whole:
none is missed. Memory grows neither with the photos nor with their pairs, but by the photos' ids.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from base.arrays import Bools, Floats, Halves, Ids, Longs, spread_places
from embedding.index.product import LANES, ROUNDING, SUMMING, tensor_of
from embedding.segments import Vectors

if TYPE_CHECKING:
    import torch

GROUP_ROWS = 32_768  # that all others are compared with at a time: 4 MB of 64 bfloat16 each
CHUNK_ROWS = 1_024  # of those others, to a thread
TILE_ROWS = 1_024  # of the group at once: 2 MB of scores
DOT_PAIRS = 512  # that are compared whole at once: 2 MB of both in float32
SAMPLE_ROWS = 4_096
WIDTHS = (32, 64, 128, 256)  # numbers of which bounds are tried, the length of the rest among them
WHOLE_DOT = 60  # times a number of a product costs as much as one of a pair that is picked out of its rows


class NearPairs(NamedTuple):
    """Some pairs of photos: the ids of both, (p,) each, and their cosines, (p,) float32."""

    ones: Ids
    others: Ids
    cosines: Floats

    def some(self, which: "slice | Bools | Longs") -> "NearPairs":
        """Return some of the pairs."""
        return NearPairs(self.ones[which], self.others[which], self.cosines[which])


class FlatRows:
    """Vectors as one list of rows, wherever they lie."""

    def __init__(self, vectors: Vectors, among: Ids | None) -> None:
        """`among`: the photos that count, ascending; None for all."""
        self._segments = vectors.segments
        self._kept = [None if mask is None else np.flatnonzero(mask) for mask in vectors.masks(among)]
        self.dim = vectors.dim
        parts = [s.ids if kept is None else s.ids[kept] for s, kept in zip(self._segments, self._kept, strict=True)]
        self._starts = np.cumsum([0, *map(len, parts)])
        self.ids: Ids = np.concatenate([np.empty(0, np.int64), *parts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def block(self, start: int, stop: int) -> Halves:
        """Return the rows from one place to before another, (n, d): where they lie, if they lie side by side."""
        parts = []
        for segment, kept, first, end in zip(
            self._segments, self._kept, self._starts[:-1], self._starts[1:], strict=True
        ):
            low, high = max(start, first) - first, min(stop, end) - first
            if low < high:
                parts.append(segment.vectors[low:high] if kept is None else segment.vectors[kept[low:high]])
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, self.dim), np.float16), *parts])

    def spread(self, count: int) -> Floats:
        """Return at most so many rows spread evenly over all, (n, d) float32: the same each time."""
        rows = [self.block(place, place + 1) for place in spread_places(len(self), count).tolist()]
        return np.concatenate([np.empty((0, self.dim), np.float16), *rows]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Bound:
    """What the product of two vectors is at most, less a threshold, as a product of shorter ones.

    Of a vector x with the mean c taken off, p is turned into the principal directions and r the length of the rest:
    x . y <= p . q + r s + f(x) + f(y), where f(x) = c . (x - c) + c . c / 2. Without the mean, which all have in
    common, rounding to bfloat16 moves little; f stands in two numbers, so that it is hardly rounded at all.

    mean: (d,) float32. directions: (d, m) float32, orthonormal; None: all of the vector, with no rest.
    """

    mean: "torch.Tensor"
    directions: "torch.Tensor | None"
    width: int

    def short(self, vectors: Halves) -> "Shortened":
        """Return what is compared in place of vectors, (n, d)."""
        import torch

        centred = tensor_of(vectors).float() - self.mean
        parts = torch.zeros((len(centred), self.width - SUMMANDS))
        if self.directions is None:
            parts[:, : centred.shape[1]] = centred
        else:
            torch.mm(centred, self.directions, out=parts[:, :-1])
            rest = centred.square().sum(dim=1) - parts[:, :-1].square().sum(dim=1)
            parts[:, -1] = rest.clamp(min=0).sqrt()
        rounded = parts.bfloat16()
        moved = float((rounded.float() - parts).norm(dim=1).max()) if len(parts) else 0.0
        length = float(parts.norm(dim=1).max()) if len(parts) else 0.0
        return Shortened(rounded, centred @ self.mean + self.mean.square().sum() / 2, moved, length)


class Shortened(NamedTuple):
    """Vectors made shorter. parts: bfloat16. shared: f of each. moved, length: the most of a row by rounding, and all.

    Two of them, one `added` and the other `taken`, give products that are not below zero for every pair that counts.
    """

    parts: "torch.Tensor"
    shared: "torch.Tensor"
    moved: float
    length: float

    def added(self) -> "torch.Tensor":
        """Return the one side of a product, (n, width) bfloat16."""
        return self._beside(*halved(self.shared), 1.0, 1.0)

    def taken(self, least: float, other: "Shortened") -> "torch.Tensor":
        """Return the other side, less the threshold and with what rounding of both may hide of a bound, at most."""
        hidden = self.moved * other.length + other.moved * self.length + self.moved * other.moved + SUMMING
        return self._beside(1.0, 1.0, *halved(self.shared - least + hidden))

    def _beside(self, *summands: "torch.Tensor | float") -> "torch.Tensor":
        import torch

        both = torch.empty((len(self.parts), self.parts.shape[1] + SUMMANDS), dtype=torch.bfloat16)
        both[:, :-SUMMANDS] = self.parts
        for place, summand in enumerate(summands):
            both[:, self.parts.shape[1] + place] = summand
        return both


SUMMANDS = 4  # numbers of a row that stand for f of both sides


def halved(numbers: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return numbers as the sums of two of bfloat16, which are off by their 2^-16th part at most."""
    high = numbers.bfloat16()
    return high, (numbers - high.float()).bfloat16()


def best_bound(sample: Floats, least: float) -> Bound:
    """Return the bound by which pairs of a cosine of `least` or more are found soonest, as a sample (s, d) has it."""
    import torch

    dim = sample.shape[1]
    mean = sample.mean(axis=0) if len(sample) else np.zeros(dim, np.float32)
    whole = Bound(torch.from_numpy(mean), None, -(-(dim + SUMMANDS) // LANES) * LANES)
    if len(sample) < 2:
        return whole
    fitted, tried = sample[::2] - mean, sample[1::2] - mean  # its own directions fit a sample better than the others
    _, turned = np.linalg.eigh(fitted.T @ fitted)
    turned = turned[:, ::-1].astype(np.float32)  # the first direction is the one with most in it
    shared, half = tried @ mean + mean @ mean / 2, len(tried) // 2
    best, lowest = whole, float(whole.width)
    for width in WIDTHS:
        if width >= whole.width:
            break
        directions = np.ascontiguousarray(turned[:, : width - SUMMANDS - 1])
        short = tried @ directions
        rest = np.sqrt(np.maximum((tried**2).sum(axis=1) - (short**2).sum(axis=1), 0))
        bounds = short[:half] @ short[half:].T + np.outer(rest[:half], rest[half:])
        passing = (bounds + shared[:half, None] + shared[half:] >= least - ROUNDING).mean() if half else 1.0
        cost = width + float(passing) * WHOLE_DOT * dim
        if cost < lowest:
            best, lowest = Bound(whole.mean, torch.from_numpy(directions), width), cost
    return best


class PairSearch:
    """Looks through all pairs of some photos for those that are nearly the same. Iterate over it once.

    compared, pairs: how many pairs were compared so far, and how many there are.
    """

    def __init__(self, vectors: Vectors, least: float, among: Ids | None = None) -> None:
        """`least`: the cosine from which a pair counts, above 0. `among`: ids, ascending; None for all photos."""
        self._rows = FlatRows(vectors, among)
        self.least = least
        self.pairs = len(self._rows) * (len(self._rows) - 1) // 2
        self.compared = 0

    def __iter__(self) -> Iterator[NearPairs]:
        """Yield pairs as they are found, each once, some at a time; none where a block of pairs has none."""
        import torch

        rows, threads = self._rows, os.cpu_count() or 1
        bound = best_bound(rows.spread(SAMPLE_ROWS), self.least)
        before = torch.get_num_threads()
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for start in range(0, len(rows), GROUP_ROWS):
                group = PairGroup(rows, bound, start, min(start + GROUP_ROWS, len(rows)), self.least)
                chunks = [*range(start, len(rows), CHUNK_ROWS), len(rows)]
                for found, compared in pool.map(group.pairs_with, pairwise(chunks)):
                    self.compared += compared
                    yield found
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)


class PairGroup:
    """Rows that others, behind them in the list or among them, are compared with, by several threads at once."""

    def __init__(self, rows: FlatRows, bound: Bound, start: int, stop: int, least: float) -> None:
        self._rows, self._bound, self._least = rows, bound, least
        self._start, self._stop = start, stop
        self._whole = rows.block(start, stop)
        self._short = bound.short(self._whole)
        turned = self._short.added()
        self._tiles = [(at, turned[at : at + TILE_ROWS].T.contiguous()) for at in range(0, len(turned), TILE_ROWS)]

    def pairs_with(self, places: tuple[int, int]) -> tuple[NearPairs, int]:
        """Return the pairs of a row between two places and an earlier one of the group; and how many there are."""
        import torch

        first, end = places
        whole = self._rows.block(first, end)
        left = self._bound.short(whole).taken(self._least, self._short)
        scores = torch.empty((len(left), TILE_ROWS), dtype=torch.bfloat16)
        found = []
        for at, tile in self._tiles:
            if self._start + at >= end:
                break
            out = scores if tile.shape[1] == TILE_ROWS else torch.empty((len(left), tile.shape[1]), dtype=left.dtype)
            with torch.inference_mode():
                torch.mm(left, tile, out=out)
            rows, columns = not_below_zero(out)
            columns += at
            earlier = self._start + columns < first + rows
            found.append(self._settled(rows[earlier], columns[earlier], whole, first))
        ones, others, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return NearPairs(ones, others, cosines), self._compared(first, end)

    def _compared(self, first: int, end: int) -> int:
        """Return how many pairs `pairs_with` looks at."""
        later = np.minimum(np.arange(first, end), self._stop) - self._start
        return int(later.sum())

    def _settled(self, rows: Longs, columns: Longs, whole: Halves, first: int) -> NearPairs:
        """Return those of the pairs of a row and a column that reach the threshold when they are compared whole."""
        cosines = np.empty(len(rows), np.float32)
        for at in range(0, len(rows), DOT_PAIRS):
            part = slice(at, at + DOT_PAIRS)
            cosines[part] = dots(whole, rows[part], self._whole, columns[part])
        keep = cosines >= self._least
        ids = self._rows.ids
        ones, others = ids[self._start + columns[keep]], ids[first + rows[keep]]
        return NearPairs(np.minimum(ones, others), np.maximum(ones, others), np.minimum(cosines[keep], np.float32(1)))


def not_below_zero(scores: "torch.Tensor") -> tuple[Longs, Longs]:
    """Return rows and columns of the scores (n, m) bfloat16 that are not below zero.

    Their sign is that of the whole numbers of the same bits, which NumPy looks through ten times as fast.
    """
    import torch

    bits = scores.view(torch.int16).numpy()
    rows = np.flatnonzero(bits.max(axis=1, initial=-1) >= 0)
    at, columns = np.nonzero(bits[rows] >= 0)
    return rows[at], columns


def dots(vectors: Halves, rows: Longs, others: Halves, columns: Longs) -> Floats:
    """Return the product of each row of one array with a row of another, (p,) float32."""
    import torch

    one = tensor_of(vectors).index_select(0, torch.from_numpy(rows)).float()
    other = tensor_of(others).index_select(0, torch.from_numpy(columns)).float()
    products: Floats = (one * other).sum(dim=1).numpy()
    return products


def same_vectors(rows: FlatRows) -> Iterator[Ids]:
    """Yield the ids of photos with one and the same vector, wherever there are several."""
    draw = np.random.default_rng(0).integers(0, 1 << 63, rows.dim, np.uint64) | np.uint64(1)
    marks = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), CHUNK_ROWS):
        block = np.ascontiguousarray(rows.block(start, min(start + CHUNK_ROWS, len(rows))))
        marks[start : start + len(block)] = block.view(np.uint16).astype(np.uint64) @ draw
    order = np.argsort(marks, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], marks[order][1:] != marks[order][:-1]])) if len(order) else order
    for first, end in pairwise([*starts.tolist(), len(order)]):
        if end - first > 1:
            yield rows.ids[order[first:end]]
