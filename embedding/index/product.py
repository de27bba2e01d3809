"""Many queries at once: one matrix product over all rows, by PyTorch where it is loaded already.

FAISS compares float16 rows query by query, so that 15 queries take 11 to 16 times as long as one. PyTorch takes
seconds to import: whoever has not loaded it is quicker without.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from base.arrays import Bools, Floats, Halves, Ids

if TYPE_CHECKING:
    import torch


LEAST_QUERIES = 4
GROUP_QUERIES = 64
LANES = 16  # float32 in a register of AVX-512: products of another width take twice as long
BLOCK_ROWS = 1_024  # of 512 dimensions in float32: 2 MB
CHUNK_ROWS = 16_384  # whose scores are looked through at once


def is_worth_it(queries: int, rows: int) -> bool:
    """Tell whether the product is quicker than FAISS."""
    return queries >= LEAST_QUERIES and rows >= CHUNK_ROWS and "torch" in sys.modules


def best_of_product(vectors: Halves, queries: Floats, k: int, mask: Bools | None) -> tuple[Floats, Ids]:
    """Return scores and rows, (n, at least k), of which the k best of each query are among them.

    vectors: (rows, d). queries: (n, d) float32. mask: (rows,), which may be found, at least k; None for all.
    """
    import torch

    threads = torch.get_num_threads()
    cuts = np.linspace(0, len(vectors), threads + 1).astype(int).tolist()
    halves = tensor_of(vectors)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            groups = []
            for start in range(0, len(queries), GROUP_QUERIES):
                group = queries[start : start + GROUP_QUERIES]
                ranges = pool.map(lambda a, b, group=group: scan_rows(halves, group, k, mask, a, b), cuts, cuts[1:])
                parts = [kept for part in ranges for kept in part]
                groups += [joined([part[query] for part in parts], k) for query in range(len(group))]
    finally:
        torch.set_num_threads(threads)
    scores, rows = zip(*groups, strict=True)
    return np.stack(scores), np.stack(rows)


Kept = list[tuple[Floats, Ids]]  # of each query: scores and rows that may be among the best


def scan_rows(vectors: "torch.Tensor", queries: Floats, k: int, mask: Bools | None, begin: int, end: int) -> list[Kept]:
    """Return, chunk after chunk, what of the rows from `begin` to `end` may be among the best of each query."""
    import torch

    turned = padded(queries).T.contiguous()  # (d, at least n)
    single = torch.empty((BLOCK_ROWS, vectors.shape[1]))
    scores = torch.empty((CHUNK_ROWS, turned.shape[1]))
    least = np.full(len(queries), -np.inf, np.float32)  # the k-th best score so far
    chunks: list[Kept] = []
    with torch.inference_mode():
        for start in range(begin, end, CHUNK_ROWS):
            rows = min(CHUNK_ROWS, end - start)
            for at in range(0, rows, BLOCK_ROWS):
                count = min(BLOCK_ROWS, rows - at)
                single[:count] = vectors[start + at : start + at + count]
                torch.mm(single[:count], turned, out=scores[at : at + count])
            found = scores[:rows, : len(queries)].numpy()
            if mask is not None:
                found = np.where(mask[start : start + rows, np.newaxis], found, -np.inf)
            if rows > k:
                least = np.maximum(least, kth_best(found, k) if not chunks else least)
            places, columns = np.nonzero((found >= least) & (found > -np.inf))
            order = np.argsort(columns, kind="stable")
            splits = np.searchsorted(columns[order], np.arange(1, len(queries)))
            kept = list(
                zip(
                    np.split(found[places, columns][order], splits),
                    np.split(places[order] + start, splits),
                    strict=True,
                )
            )
            chunks.append(kept)
            if len(chunks) % 8 == 0:
                least = np.maximum(least, [kth_best(joined_scores(chunks, q), k) for q in range(len(queries))])
    return chunks


def joined_scores(chunks: list[Kept], query: int) -> Floats:
    """Return all scores kept of a query."""
    return np.concatenate([chunk[query][0] for chunk in chunks])


def kth_best(scores: Floats, k: int) -> Floats:
    """Return the k-th best of scores (m,), or of each column of (m, n); minus infinity where there are fewer."""
    if len(scores) < k:
        return np.full(scores.shape[1:], -np.inf, np.float32)
    kth: Floats = np.partition(scores, len(scores) - k, axis=0)[len(scores) - k]
    return kth


def joined(parts: list[tuple[Floats, Ids]], k: int) -> tuple[Floats, Ids]:
    """Return the k best of what was kept of one query; of equal scores the first rows."""
    scores, rows = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.lexsort((rows, -scores))[:k]
    return scores[order], rows[order].astype(np.int64)


def padded(queries: Floats) -> "torch.Tensor":
    """Return queries, with rows of zeros up to a full register."""
    import torch

    full = np.zeros((-(-len(queries) // LANES) * LANES, queries.shape[1]), np.float32)
    full[: len(queries)] = queries
    return torch.from_numpy(full)


def tensor_of(vectors: Halves) -> "torch.Tensor":
    """Return vectors as a tensor over the same memory, which PyTorch would rather were writable."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(vectors)
