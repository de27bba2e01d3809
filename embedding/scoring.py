"""Scoring: one streamed matrix product of all stored vectors with the vectors of texts. Knows no tags."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from embedding.scores import BACKGROUND_COLUMNS, Scores16, ScoreStore, ShardPart
from embedding.store import VectorStore

PIECE_ROWS = 65_536
BLOCK_ROWS = 2_048  # of 512 dimensions: 2 MB of float16, which stays in a core's cache

Vectors = NDArray[np.float32]


def score_shards(
    store: VectorStore,
    scores: ScoreStore,
    parts: Sequence[ShardPart],
    *,
    texts: Vectors,
    background: Vectors,
    scale: float,
    progress: Callable[[int], None] = lambda photos: None,
) -> None:
    """Write the scores of vector shards: the cosine with each text, and in the last column the background.

    The background's score is log(mean(exp(scale cos))) / scale over its texts: a soft maximum, in units of cosine.
    Pieces are written as they are done, so that a killed run loses only those in hand. Memory does not grow with
    the number of photos.

    `parts` are the shards to score; `texts` (t, d) and `background` (b, d) unit vectors; `scale` is the model's
    logit scale; `progress` is called with the number of photos done so far.

    Raises:
        LibraryError: a shard is absent or damaged.
        OSError: the disk is full or cannot be written.
    """
    both = side_by_side(texts, background)
    done, lock = 0, threading.Lock()

    def write(piece: Sequence[ShardPart]) -> None:
        nonlocal done
        scores.write(piece, blocks(store, piece, both, len(texts), scale))
        with lock:
            done += sum(part.rows for part in piece)
            progress(done)

    # The threads read files, multiply and write at once, each on one core: torch's own would wait for the reading.
    workers = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        for _ in pool.map(write, pieces(parts)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(workers)


@torch.inference_mode()
def blocks(
    store: VectorStore, parts: Sequence[ShardPart], both: torch.Tensor, texts: int, scale: float
) -> Iterator[Scores16]:
    """Yield the scores (n, texts + 1) float16 of the shards, a few thousand rows at a time."""
    rows = max(BLOCK_ROWS, max(part.rows for part in parts))
    halves = np.empty((rows, len(both)), np.float16)
    singles = torch.empty((rows, len(both)))
    filled = 0
    for place, part in enumerate(parts):
        store.read_into(part.number, halves[filled : filled + part.rows])
        filled += part.rows
        if place + 1 < len(parts) and filled + parts[place + 1].rows <= rows:
            continue
        singles[:filled] = torch.from_numpy(halves[:filled])
        yield scored(singles[:filled], both, texts, scale)
        filled = 0


@torch.inference_mode()
def score_vectors(vectors: NDArray[np.floating], *, texts: Vectors, background: Vectors, scale: float) -> Vectors:
    """Return the scores, (n, t + 1) float32, of vectors (n, d), as `score_shards` would write them."""
    stored = torch.from_numpy(np.asarray(vectors, np.float16)).float()
    return scored(stored, side_by_side(texts, background), len(texts), scale).astype(np.float32)


def side_by_side(texts: Vectors, background: Vectors) -> torch.Tensor:
    """Return the texts (t, d) and the background's (b, d) as the columns of one matrix, (d, t + b)."""
    return torch.from_numpy(np.concatenate([texts, background])).T.contiguous()


def scored(vectors: torch.Tensor, both: torch.Tensor, texts: int, scale: float) -> Scores16:
    """Return the scores (n, texts + 1) float16 of vectors (n, d)."""
    product = vectors @ both  # (n, t + b)
    soft = torch.logsumexp(product[:, texts:] * scale, dim=1) - np.log(both.shape[1] - texts)
    product[:, texts] = soft / scale
    scores: Scores16 = product[:, : texts + BACKGROUND_COLUMNS].half().numpy()
    return scores


def pieces(parts: Sequence[ShardPart]) -> Iterator[list[ShardPart]]:
    """Yield the shards in groups of about PIECE_ROWS rows."""
    piece: list[ShardPart] = []
    for part in parts:
        piece.append(part)
        if sum(p.rows for p in piece) >= PIECE_ROWS:
            yield piece
            piece = []
    if piece:
        yield piece
