"""Many queries at once: one matrix product over all rows, by PyTorch, and the best of it compared anew, exactly.

FAISS compares float16 rows query by query, so that 15 queries take 11 to 16 times as long as one. PyTorch takes
seconds to import: whoever has not loaded it is quicker without, unless there is much to compare.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Floats, Halves, Ids, Longs

if TYPE_CHECKING:
    import torch


LEAST_QUERIES = 4
WORTH_LOADING = 200_000_000  # rows times queries: FAISS compares them in about 12 s of one core, PyTorch is there in 3
GROUP_QUERIES = 1_024  # that are compared with a block while it is in the cache, and all best of which are at hand
LANES = 16  # float32 in a register of AVX-512: products of another width take twice as long
BLOCK_ROWS = 2_048  # of 512 dimensions in float32: 4 MB
CHUNK_ROWS = 16_384  # whose scores are looked through at once, of few queries
CHUNK_SCORES = BLOCK_ROWS * GROUP_QUERIES  # of more queries: 4 MB of bfloat16
MOST_ROUGH = 16  # times k: so many rows are kept of each query before they are compared exactly
DOT_PAIRS = 1_024  # rows and queries that are compared exactly at once: 4 MB of both in float32
# Rounding a number to bfloat16, of 8 significant bits, moves it by at most its 2^-8th part, and so a vector's length.
ROUNDING = 2.0**-8
SUMMING = 1e-4  # at most what adding up in float32 moves a product of unit vectors by


def is_worth_it(queries: int, rows: int) -> bool:
    """Tell whether the product is quicker than FAISS."""
    if queries < LEAST_QUERIES or rows < CHUNK_ROWS:
        return False
    return "torch" in sys.modules or queries * rows >= WORTH_LOADING


Block = tuple[Halves, Ids, Bools | None]  # vectors (rows, d), their photo ids (rows,), which may be found


def best_of_product(blocks: Sequence[Block], queries: Floats, k: int) -> tuple[Floats, Ids]:
    """Return the k best scores and photo ids of each query, (n, k); which of equal ones is left open.

    Beside the answer and the photos' ids, memory grows with neither the rows nor the queries.

    blocks: what is compared; at least k rows of all together may be found. queries: (n, d) float32, unit vectors.
    """
    import torch

    threads = torch.get_num_threads()
    scores, ids = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for start in range(0, len(queries), GROUP_QUERIES):
                some = slice(start, start + GROUP_QUERIES)
                group = QueryGroup(queries[some], k)
                parts = list(pool.map(group.best_of, dealt_out(blocks, threads, group.chunk_rows)))
                _, found, photos = k_best(together(parts), k)
                scores[some], ids[some] = found.reshape(-1, k), photos.reshape(-1, k)
    finally:
        torch.set_num_threads(threads)
    return scores, ids


def dealt_out(blocks: Sequence[Block], threads: int, chunk_rows: int) -> list[list[Block]]:
    """Return chunks of the blocks, dealt out to threads, to each about as many rows."""
    chunks = [
        (vectors[at : at + chunk_rows], ids[at : at + chunk_rows], None if mask is None else mask[at : at + chunk_rows])
        for vectors, ids, mask in blocks
        for at in range(0, len(vectors), chunk_rows)
    ]
    ends = np.cumsum([len(vectors) for vectors, _, _ in chunks])
    cuts = np.searchsorted(ends, np.linspace(0, ends[-1], threads + 1), side="right").tolist()
    return [chunks[low:high] for low, high in pairwise(cuts)]


Found = tuple[Longs, Floats, Longs]  # of each pair of a query and a row: the query, the score, the row of its share
NOTHING: Found = (np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))


class QueryGroup:
    """Some queries that are compared together, by several threads at once."""

    def __init__(self, queries: Floats, k: int) -> None:
        """`queries`: (n, d) float32."""
        import torch

        from embedding.device import cpu_has_bfloat16

        self.queries = torch.from_numpy(np.ascontiguousarray(queries))
        self.k = k
        self.kind = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
        full = np.zeros((-(-len(queries) // LANES) * LANES, queries.shape[1]), np.float32)
        full[: len(queries)] = queries
        self.turned = torch.from_numpy(full).T.contiguous().to(self.kind)  # (d, at least n)
        self.errors = rounding_errors(self.queries, self.turned.T[: len(queries)])
        # Below which rough scores are not among the best. A thread may overwrite what another has raised just now: each
        # of both is right.
        self.bounds = np.full(len(queries), -np.inf, np.float32)
        fitting = CHUNK_SCORES // self.turned.shape[1] // BLOCK_ROWS * BLOCK_ROWS
        self.chunk_rows = min(max(fitting, BLOCK_ROWS), CHUNK_ROWS)

    def best_of(self, chunks: Sequence[Block]) -> tuple[Longs, Floats, Ids]:
        """Return the k best pairs of each query and a row that may be found, or fewer: queries, scores, photo ids."""
        best, rough, waiting = NOTHING, NOTHING, [NOTHING]
        starts = np.cumsum([0, *(len(vectors) for vectors, _, _ in chunks)])
        enough = len(self.queries) * self.k
        for start, (_, _, mask), product in zip(starts, chunks, self._products(chunks), strict=False):
            columns, found, rows = self._promising(product, mask)
            waiting.append((columns, found, start + rows))
            if sum(len(each[0]) for each in waiting) >= enough:
                rough, waiting = self._cut(together([rough, *waiting])), [NOTHING]
            if len(rough[0]) > MOST_ROUGH * enough:  # so alike that rounding hides which are better
                best, rough = self._settled(best, rough, chunks), NOTHING
        columns, scores, rows = self._settled(best, self._cut(together([rough, *waiting])), chunks)
        ids = np.concatenate([np.empty(0, np.int64), *(photos for _, photos, _ in chunks)])
        return columns, scores, ids[rows]

    def _products(self, chunks: Sequence[Block]) -> Iterator["torch.Tensor"]:
        """Yield of each chunk the rough scores, (rows, at least n)."""
        import torch

        single = torch.zeros((BLOCK_ROWS, self.queries.shape[1]))
        left = single if self.kind == torch.float32 else torch.zeros(single.shape, dtype=self.kind)
        scores = torch.empty((self.chunk_rows, self.turned.shape[1]), dtype=self.kind)
        for vectors, _, _ in chunks:
            halves, rows = tensor_of(vectors), len(vectors)
            with torch.inference_mode():
                for at in range(0, rows, BLOCK_ROWS):
                    count = min(BLOCK_ROWS, rows - at)
                    single[:count] = halves[at : at + count]  # straight to bfloat16 takes six times as long
                    if left is not single:
                        left[:count] = single[:count]
                    torch.mm(left[:count], self.turned, out=scores[at : at + count])
            yield scores[:rows]

    def _promising(self, scores: "torch.Tensor", mask: Bools | None) -> Found:
        """Return the pairs that may be among the best, by rough scores (rows, at least n)."""
        import torch

        if np.isneginf(self.bounds).any() and len(scores) > self.k:
            every = scores[:, : len(self.queries)].T.float().contiguous().numpy()  # (n, rows)
            self._raise_to(kth_best(every if mask is None else np.where(mask, every, -np.inf), self.k))
        rows, columns = np.divmod(np.flatnonzero(at_least(scores, self.bounds)), scores.shape[1])
        if mask is not None:
            rows, columns = rows[mask[rows]], columns[mask[rows]]
        rough: Floats = scores[torch.from_numpy(rows), torch.from_numpy(columns)].float().numpy()
        return columns, rough, rows

    def _raise_to(self, kth: Floats) -> None:
        """Raise the bounds by the k-th best of some rough scores, (n,).

        k rows have at least that score, less what both roundings hide; others of that score may look as much worse.
        """
        np.maximum(self.bounds, kth - 2 * self.errors - ROUNDING * np.abs(kth), out=self.bounds, where=kth > -np.inf)

    def _cut(self, rough: Found) -> Found:
        """Return those pairs that still may be among the best, and raise the bounds by them."""
        columns, scores, rows = by_query(*rough)
        self._raise_to(self._kth(columns, scores))
        keep = scores >= self.bounds[columns]
        return columns[keep], scores[keep], rows[keep]

    def _settled(self, best: Found, rough: Found, chunks: Sequence[Block]) -> Found:
        """Return the k best pairs of each query with their exact scores, and raise the bounds by them."""
        columns, _, rows = rough
        order = np.argsort(rows, kind="stable")
        exact = (columns[order], self._dots(columns[order], rows[order], chunks), rows[order])
        columns, scores, rows = k_best(together([best, exact]), self.k)
        kth = self._kth(columns, scores)
        np.maximum(self.bounds, kth - self.errors, out=self.bounds)
        return columns, scores, rows

    def _kth(self, columns: Longs, scores: Floats) -> Floats:
        """Return the k-th best score of each query, (n,), of pairs by query and best first; -inf where it has fewer."""
        counts = np.bincount(columns, minlength=len(self.queries))
        kth = np.full(len(self.queries), -np.inf, np.float32)
        full = counts >= self.k
        kth[full] = scores[(np.cumsum(counts) - counts + self.k - 1)[full]]
        return kth

    def _dots(self, columns: Longs, rows: Longs, chunks: Sequence[Block]) -> Floats:
        """Return the exact scores, (m,), of queries and rows (m,), ascending; each depends on these two alone."""
        import torch

        found, first = np.empty(len(rows), np.float32), 0
        cuts = np.searchsorted(rows, np.cumsum([0, *(len(vectors) for vectors, _, _ in chunks)]))
        for (vectors, _, _), begin, end in zip(chunks, cuts, cuts[1:], strict=False):
            for at in range(begin, end, DOT_PAIRS):
                part = slice(at, min(at + DOT_PAIRS, end))
                of_rows = tensor_of(vectors)[torch.from_numpy(rows[part] - first)].float().numpy()
                of_queries = self.queries[torch.from_numpy(columns[part])].numpy()
                found[part] = np.einsum("ij,ij->i", of_rows, of_queries)
            first += len(vectors)
        return found


def together(parts: Sequence[Found]) -> Found:
    """Return all pairs as one."""
    columns, scores, rows = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return columns, scores, rows


def rounding_errors(queries: "torch.Tensor", rounded: "torch.Tensor") -> Floats:
    """Return by how much the rough scores of queries (n, d) may be wrong, (n,), before they are rounded themselves.

    By the inequality of Cauchy and Schwarz: what rounding moves a vector by, times the other's length.
    """
    import torch

    if rounded.dtype == torch.float32:
        return np.full(len(queries), SUMMING, np.float32)
    moved = (rounded.float() - queries).norm(dim=1)
    errors: Floats = (moved * (1 + ROUNDING) + ROUNDING * queries.norm(dim=1) + SUMMING).numpy()
    return errors


def at_least(scores: "torch.Tensor", bounds: Floats) -> Bools:
    """Return which scores (rows, at least n) are not below the bounds (n,), as far as the scores' type tells."""
    import torch

    full = torch.full((scores.shape[1],), np.inf)
    full[: len(bounds)] = torch.from_numpy(bounds)
    low = full.to(scores.dtype)
    if scores.dtype == torch.bfloat16 and bool((low > 0).all()):
        # Above zero, such numbers ascend as the whole numbers of the same bits do, which NumPy compares ten times as
        # fast as PyTorch does bfloat16; those below zero are whole numbers below zero.
        whole: Bools = scores.view(torch.int16).numpy() >= low.view(torch.int16).numpy()
        return whole
    result: Bools = (scores >= low).numpy()
    return result


def kth_best(scores: Floats, k: int) -> Floats:
    """Return the k-th best of each row of scores (n, m), (n,)."""
    kth: Floats = np.partition(scores, -k, axis=1)[:, -k]
    return kth


def by_query(columns: Longs, scores: Floats, rows: Longs) -> Found:
    """Return pairs by query, and of each query the best first."""
    bits = (scores + np.float32(0)).view(np.uint32)  # adding nothing makes -0 a 0
    ascending: NDArray[np.uint32] = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    order = np.argsort((columns.astype(np.uint64) << np.uint64(32)) | ~ascending)  # one number each: sorted fastest
    return columns[order], scores[order], rows[order]


def k_best(pairs: Found, k: int) -> Found:
    """Return the k best pairs of each query, or fewer where there are fewer, by query and best first."""
    columns, scores, rows = by_query(*pairs)
    keep = np.arange(len(columns)) - np.searchsorted(columns, columns, side="left") < k
    return columns[keep], scores[keep], rows[keep]


def tensor_of(vectors: Halves) -> "torch.Tensor":
    """Return vectors as a tensor over the same memory, to be read alone; it keeps the vectors."""
    import torch

    return torch.from_numpy(np.asarray(Unguarded(vectors)))


class Unguarded:
    """An array that does not say that it is to be read alone: PyTorch warns of those that do, whatever it is for.

    Switching warnings off would do so for all threads.
    """

    def __init__(self, array: Halves) -> None:
        self._array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}
