"""Many queries at once: one matrix product over all rows, by PyTorch where it is loaded already.

FAISS compares float16 rows query by query, so that 15 queries take 11 to 16 times as long as one. PyTorch takes
seconds to import: whoever has not loaded it is quicker without.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from base.arrays import Bools, Floats, Halves, Ids, Longs

if TYPE_CHECKING:
    import torch


LEAST_QUERIES = 4
GROUP_QUERIES = 64
LANES = 16  # float32 in a register of AVX-512: products of another width take twice as long
BLOCK_ROWS = 2_048  # of 512 dimensions in float32: 4 MB
CHUNK_ROWS = 16_384  # whose scores are looked through at once
# bfloat16 has 8 significant bits: rounding both factors, and the sum, moves the product of unit vectors by at most
# 3 x 2^-8. Twice that may lie between a row and the k-th best; the bound is rounded as well, and float32 adds a little.
ROUGH_MARGIN = 7.1 / 256


def is_worth_it(queries: int, rows: int) -> bool:
    """Tell whether the product is quicker than FAISS."""
    return queries >= LEAST_QUERIES and rows >= CHUNK_ROWS and "torch" in sys.modules


Block = tuple[Halves, Ids, Bools | None]  # vectors (rows, d), their photo ids (rows,), which may be found
Kept = list[tuple[Floats, Ids]]  # of each query: scores and photo ids that may be among the best


def best_of_product(blocks: Sequence[Block], queries: Floats, k: int) -> tuple[Floats, Ids]:
    """Return scores and photo ids, (n, at least k), of which the k best of each query are among them.

    blocks: what is compared; at least k rows of all together may be found. queries: (n, d) float32.
    """
    import torch

    threads = torch.get_num_threads()
    cut = dealt_out(blocks, threads)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            groups = []
            for start in range(0, len(queries), GROUP_QUERIES):
                group = queries[start : start + GROUP_QUERIES]
                parts = [
                    kept for part in pool.map(lambda s, group=group: scan_blocks(s, group, k), cut) for kept in part
                ]
                groups += [joined([part[query] for part in parts], k) for query in range(len(group))]
    finally:
        torch.set_num_threads(threads)
    scores, ids = zip(*groups, strict=True)
    return np.stack(scores), np.stack(ids)


def dealt_out(blocks: Sequence[Block], threads: int) -> list[list[Block]]:
    """Return chunks of the blocks, dealt out to threads, to each about as many rows."""
    chunks = [
        (vectors[at : at + CHUNK_ROWS], ids[at : at + CHUNK_ROWS], None if mask is None else mask[at : at + CHUNK_ROWS])
        for vectors, ids, mask in blocks
        for at in range(0, len(vectors), CHUNK_ROWS)
    ]
    ends = np.cumsum([len(vectors) for vectors, _, _ in chunks])
    cuts = np.searchsorted(ends, np.linspace(0, ends[-1], threads + 1), side="right").tolist()
    return [chunks[low:high] for low, high in pairwise(cuts)]


def scan_blocks(blocks: Sequence[Block], queries: Floats, k: int) -> list[Kept]:
    """Return, block after block of at most CHUNK_ROWS, what may be among the best of each query.

    Where the processor multiplies bfloat16, all rows are compared in that first, and those that may be among the best
    by its error are compared anew.
    """
    import torch

    from embedding.device import cpu_has_bfloat16

    rough = cpu_has_bfloat16()
    kind, margin = (torch.bfloat16, ROUGH_MARGIN) if rough else (torch.float32, 0.0)
    turned = padded(queries).T.contiguous().to(kind)  # (d, at least n)
    single = torch.zeros((BLOCK_ROWS, queries.shape[1]))
    left = torch.zeros((BLOCK_ROWS, queries.shape[1]), dtype=kind) if rough else single
    scores = torch.empty((CHUNK_ROWS + BLOCK_ROWS, turned.shape[1]), dtype=kind)
    least = np.full(len(queries), -np.inf, np.float32)  # the k-th best score so far
    bounds = torch.full((turned.shape[1],), np.inf)
    chunks: list[Kept] = []
    with torch.inference_mode():
        for vectors, _, mask in blocks:
            halves, rows = tensor_of(vectors), len(vectors)
            for at in range(0, rows, BLOCK_ROWS):
                count = min(BLOCK_ROWS, rows - at)
                single[:count] = halves[at : at + count]
                if rough:
                    left.copy_(single)
                # Always of whole blocks: a score depends, in its last bit, on how many rows are multiplied with it.
                torch.mm(left, turned, out=scores[at : at + BLOCK_ROWS])
            if not chunks and rows > k:
                found = scores[:rows, : len(queries)].float().numpy()
                least = kth_best(found if mask is None else np.where(mask[:, np.newaxis], found, -np.inf), k)
            bounds[: len(queries)] = torch.from_numpy(least - np.float32(margin))
            places, columns = np.divmod(np.flatnonzero((scores[:rows] >= bounds.to(kind)).numpy()), turned.shape[1])
            if mask is not None:
                places, columns = places[mask[places]], columns[mask[places]]
            order = np.argsort(columns, kind="stable")
            places, columns = places[order], columns[order]
            splits = np.searchsorted(columns, np.arange(1, len(queries)))
            kept = scores[torch.from_numpy(places), torch.from_numpy(columns)].float().numpy()
            chunks.append(list(zip(np.split(kept, splits), np.split(places, splits), strict=True)))
            if len(chunks) % 8 == 0:
                least = np.maximum(least, [kth_best(joined_scores(chunks, q), k) for q in range(len(queries))])
    if chunks:
        least = np.maximum(least, [kth_best(joined_scores(chunks, q), k) for q in range(len(queries))])
    return [
        [
            compared(block, query, *of_query, float(low) - margin, rough)
            for query, low, of_query in zip(queries, least, kept, strict=True)
        ]
        for block, kept in zip(blocks, chunks, strict=True)
    ]


def compared(block: Block, query: Floats, scores: Floats, rows: Longs, least: float, rough: bool) -> tuple[Floats, Ids]:
    """Return scores and photo ids of those rows of a block whose scores are not below the least."""
    vectors, ids, _ = block
    keep = scores >= least
    scores, rows = scores[keep], rows[keep]
    if rough:
        scores = np.einsum("ij,j->i", vectors[rows].astype(np.float32), query)
    return scores, ids[rows]


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
    """Return the k best of what was kept of one query; of equal scores the lowest ids."""
    scores, ids = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.lexsort((ids, -scores))[:k]
    return scores[order], ids[order].astype(np.int64)


def padded(queries: Floats) -> "torch.Tensor":
    """Return queries, with rows of zeros up to a full register."""
    import torch

    full = np.zeros((-(-len(queries) // LANES) * LANES, queries.shape[1]), np.float32)
    full[: len(queries)] = queries
    return torch.from_numpy(full)


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
