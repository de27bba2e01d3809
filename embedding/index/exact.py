"""Exact search: every vector is compared where it lies, float16 on disk, float32 in the arithmetic."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Floats, Halves, Ids
from base.errors import LibraryError
from embedding.index.product import best_of_product, is_worth_it
from embedding.opened_segment import ELSEWHERE, Segment
from embedding.segments import Vectors

RANGE_ROWS = 32_768  # a thread gets at least so many rows; fewer are not worth another one
PIECE_ROWS = 65_536  # whose scores are ordered together: FAISS looks at the others of a segment as well, if only so far
FEW_ROWS = 20_000  # photos of a filter that are looked up one by one
DECODED_ROWS = 512  # whose float32 stay in a core's cache


class Piece(NamedTuple):
    """Rows of a segment, from `begin` to `end`; `mask`: which rows of the segment may be found, None for all."""

    segment: Segment
    mask: Bools | None
    begin: int
    end: int


def exact_search(
    vectors: Vectors, queries: NDArray[np.floating], k: int, among: Ids | None = None
) -> tuple[Floats, Ids]:
    """Return the k best of each query: cosines (n, k) float32, best first, and photo ids (n, k) int64.

    Args:
        vectors: the photos.
        queries: unit vectors, (n, d) float32.
        k: where there are fewer photos, fewer columns come back.
        among: ascending photo ids; only these may be hits. None for all.

    Equal scores are ordered by photo id, so that an answer is the same every time.

    Raises: LibraryError: the queries have another number of dimensions.
    """
    check_dimensions(vectors, queries)
    refuse_remote(vectors)
    masks = vectors.masks(among)
    there = sum(len(s) if mask is None else int(mask.sum()) for s, mask in zip(vectors.segments, masks, strict=True))
    k = min(k, there)
    if k < 1:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    pieces = [
        Piece(segment, mask, 0, len(segment))
        for segment, mask in zip(vectors.segments, masks, strict=True)
        if len(segment) and (mask is None or mask.any())
    ]
    queries, wanted = np.ascontiguousarray(queries, dtype=np.float32), min(k + 1, there)
    while True:
        scores, ids = best(*scan_pieces(pieces, queries, wanted), wanted)
        cut_through_equals = wanted < there and bool((scores[:, k - 1] == scores[:, -1]).any())
        if not cut_through_equals:  # FAISS chooses among equal scores as it likes: all of them are looked at
            return scores[:, :k], ids[:, :k]
        wanted = min(2 * wanted, there)


def scores_from(
    vectors: Vectors, query: Floats, least: float = -np.inf, among: Ids | None = None, share: float = 1.0
) -> tuple[Floats, Ids]:
    """Return all photos whose cosine with a query (d,) is at least `least`: scores (m,) and ids (m,), in no order.

    `share`: of the photos, how many these are about; `among`: as of `exact_search`.
    """
    query = np.ascontiguousarray(query, np.float32)[np.newaxis]
    if among is not None and len(among) < FEW_ROWS:
        scores, ids = scores_of_few(vectors, query[0], among)
        keep = scores >= least
        return scores[keep], ids[keep]
    refuse_remote(vectors)
    pieces = [
        Piece(segment, mask, begin, min(begin + PIECE_ROWS, len(segment)))
        for segment, mask in zip(vectors.segments, vectors.masks(among), strict=True)
        if mask is None or mask.any()
        for begin in range(0, len(segment), PIECE_ROWS)
    ]

    def work(share_of: list[Piece]) -> list[tuple[Floats, Ids]]:
        faiss.omp_set_num_threads(1)
        return [piece_from(piece, query, least, share) for piece in share_of]

    threads = min(faiss.omp_get_max_threads(), max(len(pieces), 1))
    with ThreadPoolExecutor(threads) as pool:
        parts = [part for done in pool.map(work, [pieces[at::threads] for at in range(threads)]) for part in done]
    empty = (np.empty(0, np.float32), np.empty(0, np.int64))
    found = [empty, *parts]
    return np.concatenate([scores for scores, _ in found]), np.concatenate([ids for _, ids in found])


def scores_of_few(vectors: Vectors, query: Floats, ids: Ids) -> tuple[Floats, Ids]:
    """Return the cosines, (m,), of those of the photos that are here, and their ids: each is looked up."""
    places, rows = vectors.locate(ids)
    scores = np.empty(len(ids), np.float32)
    for place in np.unique(places[places >= 0]):
        mine = np.flatnonzero(places == place)
        for at in range(0, len(mine), DECODED_ROWS):
            part = mine[at : at + DECODED_ROWS]
            scores[part] = vectors.segments[place].decoded(rows[part]) @ query
    return scores[places >= 0], ids[places >= 0]


def piece_from(piece: Piece, query: Floats, least: float, share: float) -> tuple[Floats, Ids]:
    """Return what of a piece scores at least so much: FAISS gives the best k quicker than those above a bound."""
    rows = piece.end - piece.begin
    k = min(rows, int(1.3 * share * rows) + 64)
    while True:
        scores, ids = scan_piece(piece, query, k)
        if k == rows or scores[0, -1] < least:
            keep = (scores[0] >= least) & (ids[0] >= 0)
            return scores[0, keep], ids[0, keep]
        k = min(rows, 4 * k)


def refuse_remote(vectors: Vectors) -> None:
    """Raise LibraryError where rows lie in Milvus alone: to compare all means to have them."""
    if vectors.is_remote:
        raise LibraryError(ELSEWHERE)


def check_dimensions(vectors: Vectors, queries: NDArray[np.floating]) -> None:
    """Raise LibraryError unless queries are (n, d)."""
    if queries.ndim != 2 or queries.shape[1] != vectors.dim:
        raise LibraryError(f"the index holds vectors of {vectors.dim} dimensions, the queries are {queries.shape}")


def scan_pieces(pieces: list[Piece], queries: Floats, k: int) -> tuple[Floats, Ids]:
    """Return scores and photo ids, (n, at least k), of which the k best are among them.

    Rows are shared out to threads: FAISS itself spreads only queries over them, and one query is what people ask.
    """
    rows = sum(piece.end - piece.begin for piece in pieces)
    if is_worth_it(len(queries), rows):
        return best_of_product([(p.segment.vectors, p.segment.ids, p.mask) for p in pieces], queries, k)
    threads = min(faiss.omp_get_max_threads(), max(rows // RANGE_ROWS, 1))
    if len(queries) > threads:  # FAISS shares them out
        parts = [scan_piece(piece, queries, k) for piece in pieces]
    else:

        def work(share: list[Piece]) -> list[tuple[Floats, Ids]]:
            faiss.omp_set_num_threads(1)
            return [scan_piece(piece, queries, k) for piece in share]

        with ThreadPoolExecutor(threads) as pool:
            parts = [part for share in pool.map(work, share_out(pieces, rows, threads)) for part in share]
    scores, ids = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    return scores, ids


def share_out(pieces: list[Piece], rows: int, threads: int) -> list[list[Piece]]:
    """Return the pieces cut into as many shares of about equally many rows."""
    cuts = np.linspace(0, rows, threads + 1).astype(int).tolist()
    cut: list[list[Piece]] = [[] for _ in range(threads)]
    start = 0
    for piece in pieces:
        size = piece.end - piece.begin
        for share, low, high in zip(cut, cuts, cuts[1:], strict=False):
            begin, end = max(low - start, 0), min(high - start, size)
            if begin < end:
                share.append(piece._replace(begin=piece.begin + begin, end=piece.begin + end))
        start += size
    return cut


def scan_piece(piece: Piece, queries: Floats, k: int) -> tuple[Floats, Ids]:
    """Return the k best of a piece: scores and photo ids, (n, at most k); where it has fewer, -inf and -1."""
    segment, mask, begin, end = piece
    bits = None if mask is None else np.packbits(mask, bitorder="little")  # which FAISS reads: it has to outlive it
    chosen = None if bits is None else faiss.IDSelectorBitmap(bits)
    if end - begin < len(segment):
        span = faiss.IDSelectorRange(begin, end, True)
        chosen = span if chosen is None else faiss.IDSelectorAnd(span, chosen)
        parameters = faiss.SearchParameters(sel=chosen)
    else:
        parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)
    scores, rows = segment.flat.search(queries, min(k, end - begin), params=parameters)
    ids = segment.ids[rows]
    absent = rows < 0
    if absent.any():
        scores[absent], ids[absent] = -np.inf, -1
    return scores, ids


def best(scores: Floats, ids: Ids, k: int) -> tuple[Floats, Ids]:
    """Return the k best of scores and ids, each (n, m), best first; equal scores in the order of the ids."""
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)


SCORED_ROWS = 1_024  # of 512 dimensions: 1 MB, which stays in a core's cache


def all_cosines(vectors: Vectors, queries: NDArray[np.floating]) -> tuple[Ids, Halves]:
    """Return the ids of all photos, (n,) as they lie in segments, and their cosines with queries, (n, m) float16.

    For a few queries, where PyTorch is not loaded: FAISS compares float16 rows three times as fast as NumPy does.

    Args:
        vectors: the photos.
        queries: unit vectors, (m, d) float32.

    Raises: LibraryError: the queries have another number of dimensions.
    """
    check_dimensions(vectors, queries)
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    spans = [(s, at) for s in vectors.segments for at in range(0, len(s), RANGE_ROWS)]

    def span(segment: Segment, start: int) -> Halves:
        faiss.omp_set_num_threads(1)
        rows = segment.vectors[start : start + RANGE_ROWS]
        found = np.empty((len(rows), len(queries)), np.float16)
        block = faiss.IndexScalarQuantizer(vectors.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        block.is_trained = True  # float16 has nothing to learn
        for at in range(0, len(rows), SCORED_ROWS):
            codes = rows[at : at + SCORED_ROWS]
            faiss.copy_array_to_vector(np.ascontiguousarray(codes).view(np.uint8).ravel(), block.codes)
            block.ntotal = len(codes)
            scores, places = block.search(queries, len(codes))
            for query in range(len(queries)):
                found[at + places[query], query] = scores[query]
        return found

    with ThreadPoolExecutor(faiss.omp_get_max_threads()) as pool:
        parts = list(pool.map(lambda each: span(*each), spans))
    cosines = np.concatenate([np.empty((0, len(queries)), np.float16), *parts])
    live = [np.ones(len(s), bool) if m is None else m for s, m in zip(vectors.segments, vectors.live, strict=True)]
    ids = np.concatenate([np.empty(0, np.int64), *(segment.ids for segment in vectors.segments)])
    keep = np.concatenate([np.empty(0, bool), *live])
    return (ids, cosines) if keep.all() else (ids[keep], cosines[keep])
