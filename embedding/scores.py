"""Cosines of all stored vectors with the prompts of a vocabulary: one streamed product, kept on disk.

A piece is two files, `000001.npy` (n, columns) float16, the rows of several vector shards one after the other, and
`000001.shards.npy` (k, 3) int64, each shard's number, rows and stamp. The scores are renamed into place
last. Pieces are derivatives: whatever is damaged or out of date counts as absent and is computed again. Knows no tags.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from base.arrays import Floats, Halves, Longs
from base.errors import LibraryError
from base.files import TEMPORARY_SUFFIX, atomic_write
from base.progress import Progress, Step, silent
from embedding.store import VectorStore

if TYPE_CHECKING:
    from torch import Tensor

SHARDS_SUFFIX = ".shards.npy"
BACKGROUND_COLUMNS = 1  # the last: how well a photo fits the background


class ShardPart(NamedTuple):
    """A vector shard as a piece knows it: its number, its rows, and what tells it from others of that number."""

    number: int
    rows: int
    stamp: int


class ScoreStore:
    """The score shards of one model and one vocabulary."""

    def __init__(self, folder: Path, columns: int) -> None:
        self.folder = folder
        self.columns = columns
        self._pieces: list[Halves] = []
        self._piece_of: dict[int, tuple[int, int]] = {}  # shard number: (piece, first row)

    def open(self, store: VectorStore, counts: Mapping[int, int]) -> Sequence[ShardPart]:
        """Map the pieces into memory and return the vector shards that have no scores yet.

        Args:
            store: the vector shards.
            counts: {number: rows} of the shards that the database knows.

        Raises: LibraryError: a vector shard is absent.
        """
        try:
            current = {number: ShardPart(number, rows, store.stamp(number)) for number, rows in counts.items()}
        except OSError as error:
            raise LibraryError(f"{error.filename} is absent: run `aliens verify --repair`") from error
        self._pieces, self._piece_of = [], {}
        for path in sorted(self.folder.glob(f"*{SHARDS_SUFFIX}")):
            self._open_piece(path, current)
        return [part for number, part in sorted(current.items()) if number not in self._piece_of]

    def _open_piece(self, path: Path, current: Mapping[int, ShardPart]) -> None:
        try:
            parts = [ShardPart(*map(int, row)) for row in np.load(path)]
            scores = np.load(self._scores_file(path), mmap_mode="r")
        except Exception:  # NumPy evaluates a header, so a damaged one may raise anything
            return
        if scores.dtype != np.float16 or scores.shape != (sum(part.rows for part in parts), self.columns):
            return
        if parts and current.get(parts[0].number, parts[0]) != parts[0]:
            return  # its first shard names the file, which will be written over: the others' scores would go with it
        start = 0
        for part in parts:
            if current.get(part.number) == part:
                self._piece_of[part.number] = (len(self._pieces), start)
            start += part.rows
        self._pieces.append(scores)

    def write(self, parts: Sequence[ShardPart], scores: Iterable[Halves]) -> None:
        """Write a piece: the scores of these shards, in blocks one after the other.

        Raises: OSError: the disk is full or cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        shards_file = self.folder / f"{parts[0].number:06d}{SHARDS_SUFFIX}"
        self._scores_file(shards_file).unlink(missing_ok=True)
        with atomic_write(shards_file) as file:
            np.save(file, np.array(parts, np.int64))
        shape = (sum(part.rows for part in parts), self.columns)
        with atomic_write(self._scores_file(shards_file)) as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
            for block in scores:
                file.write(np.ascontiguousarray(block, np.float16).data)

    def gather(self, numbers: Longs, rows: Longs) -> Floats:
        """Return the scores, (n, columns) float32, of rows of vector shards; NaN where there are none.

        Args:
            numbers: shard numbers, (n,) int64.
            rows: rows within the shards, (n,) int64.
        """
        found = np.full((len(numbers), self.columns), np.nan, np.float32)
        shards, which = np.unique(numbers, return_inverse=True)
        places = np.array([self._piece_of.get(int(number), (-1, 0)) for number in shards]).reshape(-1, 2)
        pieces, positions = places[which, 0], places[which, 1] + rows
        for piece in np.unique(pieces[pieces >= 0]):
            mine = pieces == piece
            at = positions[mine]
            block = slice(int(at[0]), int(at[0]) + len(at))  # rows that follow each other are read as one block
            together = len(at) == at[-1] - at[0] + 1 and bool((np.diff(at) == 1).all())
            found[mine] = self._pieces[piece][block if together else at]
        return found

    def remove_strays(self) -> None:
        """Remove what a killed run left half written."""
        for path in self.folder.glob(f"*{TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)

    @staticmethod
    def _scores_file(shards_file: Path) -> Path:
        return shards_file.with_name(shards_file.name.removesuffix(SHARDS_SUFFIX) + ".npy")


PIECE_ROWS = 65_536
BLOCK_ROWS = 2_048  # of 512 dimensions: 2 MB of float16, which stays in a core's cache


def score_shards(
    store: VectorStore,
    scores: ScoreStore,
    parts: Sequence[ShardPart],
    *,
    texts: Floats,
    background: Floats,
    scale: float,
    progress: Progress = silent,
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
    import torch  # takes seconds; whoever reads scores can do without

    both = text_columns(texts, background)
    done, total = 0, sum(part.rows for part in parts)

    def write(piece: Sequence[ShardPart]) -> int:
        with torch.inference_mode():
            scores.write(piece, blocks(store, piece, both, len(texts), scale))
        return sum(part.rows for part in piece)

    # The threads read files, multiply and write at once, each on one core: torch's own would wait for the reading.
    workers = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "score", initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[int]] = deque()
    try:
        for piece in [*pieces(parts), None]:
            if piece is not None:
                waiting.append(pool.submit(write, piece))
            while waiting and (piece is None or len(waiting) > 2 * workers):
                done += waiting.popleft().result()
                progress(Step("scoring", done, total))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(workers)


def blocks(
    store: VectorStore, parts: Sequence[ShardPart], both: "Tensor", texts: int, scale: float
) -> Iterator[Halves]:
    """Yield the scores (n, texts + 1) float16 of the shards, a few thousand rows at a time."""
    import torch

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


def score_vectors(vectors: NDArray[np.floating], *, texts: Floats, background: Floats, scale: float) -> Floats:
    """Return the scores, (n, t + 1) float32, of vectors (n, d), as `score_shards` would write them."""
    import torch

    stored = torch.from_numpy(np.asarray(vectors, np.float16)).float()
    with torch.inference_mode():
        return scored(stored, text_columns(texts, background), len(texts), scale).astype(np.float32)


def text_columns(texts: Floats, background: Floats) -> "Tensor":
    """Return the texts (t, d) and the background's (b, d) as the columns of one matrix, (d, t + b)."""
    import torch

    return torch.from_numpy(np.concatenate([texts, background])).T.contiguous()


def scored(vectors: "Tensor", both: "Tensor", texts: int, scale: float) -> Halves:
    """Return the scores (n, texts + 1) float16 of vectors (n, d)."""
    import torch

    product = vectors @ both  # (n, t + b)
    soft = torch.logsumexp(product[:, texts:] * scale, dim=1) - np.log(both.shape[1] - texts)
    product[:, texts] = soft / scale
    scores: Halves = product[:, : texts + BACKGROUND_COLUMNS].half().numpy()
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
