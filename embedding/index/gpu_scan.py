"""Exact search where FAISS sees an NVIDIA GPU: the GPU compares every photo and names candidates, the CPU scores them.

A GPU's products differ from the CPU's in their last digits, by at most what is reckoned with here; so what it names is
looked at until no other photo can be among the best, and the answer is the CPU scan's to the last bit. Where that
cannot be shown, or the vectors do not fit, the CPU compares them all.
"""

from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Floats, Halves, Ids
from base.forks import is_forked
from embedding.index.approximate import GPU_ASKED, MOST_ON_GPU, gpu_resources, gpus
from embedding.index.exact import exact_search
from embedding.opened_segment import Segment
from embedding.segments import Vectors

WORTH_COPYING = 20  # queries that a process has asked of a segment: copying it takes as long as some of them on a CPU
LEAST_ROWS = 100_000  # fewer are compared quicker where they lie
MORE_NAMED = 64  # candidates beyond twice those that are wanted, at first
GROWS = 4  # times as many are named where they were too few
SUMMING = 1e-4  # at most what adding up in float32, in any order, moves a product of unit vectors of float16 by
LONGEST = 1 + 2.0**-10  # of a unit vector in float16

Answer = tuple[Floats, Ids]  # of a query: scores, best first, and photo ids
Copy = Callable[[Halves], Any]  # from vectors (rows, d) to an index of them in the GPU's memory


def copied(vectors: Halves) -> Any:
    """Return FAISS's flat index of vectors (rows, d) in the GPU's memory, in float16.

    Raises: RuntimeError: they do not fit.
    """
    options = faiss.GpuIndexFlatConfig()
    options.useFloat16 = True
    index = faiss.GpuIndexFlatIP(gpu_resources(), vectors.shape[1], options)
    for at in range(0, len(vectors), LEAST_ROWS):
        index.add(vectors[at : at + LEAST_ROWS].astype(np.float32))
    return index


class GpuScan:
    """The copies of segments on a GPU, made once they are worth it. Threads may share it; one asks at a time."""

    def __init__(self, copy: Copy = copied, worth: int = WORTH_COPYING, least_rows: int = LEAST_ROWS) -> None:
        self._copy = copy
        self._worth = worth
        self._least_rows = least_rows
        self._copies: dict[str, Any] = {}
        self._asked = 0
        self._too_large: set[str] = set()

    def search(self, vectors: Vectors, queries: NDArray[np.floating], k: int) -> tuple[Floats, Ids]:
        """Return the k best of each query, as `exact_search` does of all photos."""
        k = min(k, len(vectors))
        if k < 1 or not len(queries) or 2 * k > MOST_ON_GPU or len(vectors) < self._least_rows or is_forked():
            return exact_search(vectors, queries, k)
        queries = np.ascontiguousarray(queries, np.float32)
        with GPU_ASKED:
            self._asked += len(queries)
            is_there = self._asked >= self._worth and self._all_copied(vectors)
            found = self._answers(vectors, queries, k) if is_there else {}
        if left := [query for query in range(len(queries)) if query not in found]:
            scores, ids = exact_search(vectors, queries[left], k)
            found |= {query: (scores[place], ids[place]) for place, query in enumerate(left)}
        answers = [found[query] for query in range(len(queries))]
        return np.stack([scores for scores, _ in answers]), np.stack([ids for _, ids in answers])

    def _all_copied(self, vectors: Vectors) -> bool:
        """Have all segments be copied; False where they do not fit. What the vectors have no more is let go."""
        self._copies = {name: copy for name, copy in self._copies.items() if name in vectors.names}
        if self._too_large & set(vectors.names):
            return False
        for segment in vectors.segments:
            if segment.name in self._copies or not len(segment):
                continue
            try:
                self._copies[segment.name] = self._copy(segment.vectors)
            except RuntimeError:  # FAISS's for too little memory
                self._too_large.add(segment.name)
                self._copies.clear()
                return False
        return True

    def _answers(self, vectors: Vectors, queries: Floats, k: int) -> dict[int, Answer]:
        """Return the k best of each query, by its place, of those for which the GPU has named enough."""
        errors, found = gpu_rounding_errors(queries), dict[int, Answer]()
        left, named = list(range(len(queries))), min(2 * k + MORE_NAMED, MOST_ON_GPU)
        while left:
            asked, parts = np.ascontiguousarray(queries[left]), []
            for segment, live in zip(vectors.segments, vectors.live, strict=True):
                if len(segment):
                    scores, rows = self._copies[segment.name].search(asked, min(named, len(segment)))
                    parts.append((segment, live, scores, rows))
            for place, query in enumerate(left):
                these = [(segment, live, scores[place], rows[place]) for segment, live, scores, rows in parts]
                answer = settled(these, queries[query], k, errors[query])
                if answer is not None:
                    found[query] = answer
            left = [query for query in left if query not in found]
            if named == MOST_ON_GPU:
                break
            named = min(GROWS * named, MOST_ON_GPU)
        return found


# A segment, its living rows; rough scores, best first, and their rows.
Named = tuple[Segment, Bools | None, Floats, Ids]


def settled(parts: list[Named], query: Floats, k: int, error: float) -> Answer | None:
    """Return the k best photos by exact scores, or None where others than those named may be among them."""
    all_scores, all_ids, bound = [], [], -np.inf
    for segment, live, rough, rows in parts:
        if len(rows) < len(segment):
            bound = max(bound, float(rough[-1]) + error)
        rows = rows[rows >= 0]
        rows = np.sort(rows if live is None else rows[live[rows]])
        all_scores.append(scores_of_codes(segment.vectors[rows], query))
        all_ids.append(segment.ids[rows])
    scores, ids = np.concatenate(all_scores), np.concatenate(all_ids)
    order = np.lexsort((ids, -scores))[:k]
    if len(order) < k or scores[order[-1]] <= bound:
        return None
    return scores[order], ids[order]


def scores_of_codes(vectors: Halves, query: Floats) -> Floats:
    """Return the cosines, (m,), of vectors (m, d) and a query (d,), to the bit those of FAISS's scan of a segment."""
    m, d = vectors.shape
    scores = np.empty(m, np.float32)
    if not m:
        return scores
    block = faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    block.is_trained = True  # float16 has nothing to learn
    faiss.copy_array_to_vector(np.ascontiguousarray(vectors).view(np.uint8).ravel(), block.codes)
    block.ntotal = m
    found, rows = block.search(query[np.newaxis], m)
    scores[rows[0]] = found[0]
    return scores


def gpu_rounding_errors(queries: Floats) -> Floats:
    """Return by how much a GPU's scores of queries (n, d), which it takes in float16, may be off, (n,)."""
    moved = np.linalg.norm(queries.astype(np.float16).astype(np.float32) - queries, axis=1)
    errors: Floats = (moved * LONGEST + SUMMING).astype(np.float32)
    return errors


def gpu_scan() -> GpuScan | None:
    """Return what searches on the GPU, or None where FAISS sees none."""
    return GpuScan() if gpus() else None
