"""Cosines of all stored vectors with the prompts of a vocabulary: one streamed product, kept on disk.

A file for each segment, `<segment>-<checksum>.npy`, (rows, columns) float16, row for row. Such files are derivatives:
one that is damaged, or of a segment that nobody knows, counts as absent and is computed again. Knows no tags.
"""

import hashlib
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from base.arrays import Floats, Halves, Ids, read_npy
from base.files import files_of_ours, is_unchanged, open_regular, rename_written, temporary_beside
from base.progress import Progress, Step, silent
from embedding.index.product import tensor_of
from embedding.opened_segment import Segment
from embedding.segments import Vectors

if TYPE_CHECKING:
    from torch import Tensor

BACKGROUND_COLUMNS = 1  # the last: how well a photo fits the background
CHECKSUM_DIGITS = 16
FILE_NAME = re.compile(rf"([0-9a-f]+)-([0-9a-f]{{{CHECKSUM_DIGITS}}})\.npy")


class ScoreStore:
    """The scores of one model and one vocabulary."""

    def __init__(self, folder: Path, columns: int) -> None:
        self.folder = folder
        self.columns = columns
        self._vectors = Vectors(0, [], [])
        self._scores: list[Halves | None] = []  # of each segment

    def open(self, vectors: Vectors) -> list[Segment]:
        """Map the scores of photos into memory, and return the segments that have none yet, or damaged ones."""
        files = score_files(self.folder)
        self._vectors = vectors
        self._scores = [self._read(files.get(segment.name), segment) for segment in vectors.segments]
        return [s for s, scores in zip(vectors.segments, self._scores, strict=True) if scores is None and len(s)]

    def _read(self, path: Path | None, segment: Segment) -> Halves | None:
        if path is None or not is_unchanged(path, scores_are_sound):
            return None
        try:
            scores: Halves = read_npy(path, mapped=True)
        except (OSError, ValueError):
            return None
        return scores if scores.dtype == np.float16 and scores.shape == (len(segment), self.columns) else None

    def write(self, name: str, rows: int, blocks: Iterable[Halves]) -> None:
        """Write the scores of a segment, (rows, columns), in blocks one after the other.

        Raises: OSError: the disk is full or cannot be written.
        """
        temporary, descriptor = temporary_beside(self.folder / name)
        digest = seeded(self.folder, name)
        try:
            with open(descriptor, "w+b") as file:
                shape = (rows, self.columns)
                np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
                file.seek(0)
                digest.update(file.read())
                for block in blocks:
                    data = np.ascontiguousarray(block, np.float16).data
                    file.write(data)
                    digest.update(data)
                target = self.folder / f"{name}-{digest.hexdigest()[:CHECKSUM_DIGITS]}.npy"
                rename_written(file, temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        for path in self.folder.glob(f"{name}-*.npy"):
            if path != target:
                path.unlink()

    def of(self, ids: Ids, columns: Sequence[int] | None = None) -> Floats:
        """Return the scores, (n, columns) float32, of photos, or some columns of them; NaN where there are none."""
        found = np.full((len(ids), self.columns if columns is None else len(columns)), np.nan, np.float32)
        places, rows = self._vectors.locate(ids)
        for place in np.unique(places[places >= 0]):
            scores, mine = self._scores[place], places == place
            if scores is None:
                continue
            at = rows[mine]
            block = slice(int(at[0]), int(at[0]) + len(at))  # rows that follow each other are read as one block
            together = len(at) == at[-1] - at[0] + 1 and bool((np.diff(at) == 1).all())
            read = scores[block if together else at]
            found[mine] = read if columns is None else read[:, list(columns)]
        return found


def score_files(folder: Path) -> dict[str, Path]:
    """Return {segment: file} of the scores in a folder."""
    named = ((FILE_NAME.fullmatch(path.name), path) for path in sorted(folder.glob("*.npy")))
    return {match[1]: path for match, path in named if match is not None}


def scores_are_sound(path: Path) -> bool:
    """Tell whether a file of scores is what was written, reading it whole. Raises: OSError: it cannot be read."""
    match = FILE_NAME.fullmatch(path.name)
    if match is None:
        return False
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, lambda: seeded(path.parent, match[1]))
    return digest.hexdigest().startswith(match[2])


def seeded(folder: Path, name: str) -> "hashlib._Hash":
    """Return the beginning of a checksum: scores of another segment or vocabulary have another one."""
    return hashlib.sha256(f"{folder.name}/{name}/".encode())


def merge_scores(folder: Path, parts: Sequence[tuple[Segment, Ids]], new: Segment) -> None:
    """Write the scores of a segment that was made of others; nothing where the scores of one are absent or damaged.

    parts: of each of the others, the ids of the photos whose vectors were taken from it.

    Raises: OSError: the disk is full or cannot be written.
    """
    files = score_files(folder)
    if not all(old.name in files and is_unchanged(files[old.name], scores_are_sound) for old, _ in parts):
        return
    scores = [read_npy(files[old.name], mapped=True) for old, _ in parts]
    columns = {part.shape[1] for part in scores}
    if len(columns) != 1 or any(len(part) != len(old) for part, (old, _) in zip(scores, parts, strict=True)):
        return
    width = columns.pop()

    def blocks() -> Iterator[Halves]:
        for start in range(0, len(new), PIECE_ROWS):
            wanted = new.ids[start : start + PIECE_ROWS]
            block = np.empty((len(wanted), width), np.float16)
            for part, (old, ids) in zip(scores, parts, strict=True):
                mine = ids[slice(*np.searchsorted(ids, [wanted[0], wanted[-1] + 1]))]
                block[np.searchsorted(wanted, mine)] = part[old.rows_of(mine)[0]]
            yield block

    ScoreStore(folder, width).write(new.name, len(new), blocks())


def stray_scores(folder: Path, known: Collection[str]) -> list[Path]:
    """Return what belongs to no segment that is known, and what killed runs left half written."""
    mine = {path for name, path in score_files(folder).items() if name in known}
    return [path for path in files_of_ours(folder) if path not in mine]


def remove_scores(folder: Path, known: Collection[str]) -> None:
    """Remove what `stray_scores` finds."""
    for path in stray_scores(folder, known):
        path.unlink(missing_ok=True)


BLOCK_ROWS = 2_048  # of 512 dimensions: 2 MB of float16, which stays in a core's cache
PIECE_ROWS = 16_384  # what a thread takes at a time


def score_segments(
    scores: ScoreStore,
    segments: Sequence[Segment],
    *,
    texts: Floats,
    background: Floats,
    scale: float,
    progress: Progress = silent,
) -> None:
    """Write the scores of segments: the cosine with each text, and in the last column the background, if there is one.

    The background's score is log(mean(exp(scale cos))) / scale over its texts: a soft maximum, in units of cosine.
    Each segment's are written as they are done, so that a killed run loses only the one in hand. Memory does not grow
    with the number of photos.

    `texts` (t, d) and `background` (b, d) unit vectors; `scale` is the model's logit scale; `progress` is called with
    the number of photos done so far.

    Raises: OSError: the disk is full or cannot be written.
    """
    import torch  # takes seconds; whoever reads scores can do without

    both = text_columns(texts, background)
    done, total = 0, sum(map(len, segments))
    # The threads read files and multiply, each on one core: torch's own would wait for the reading.
    workers = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "score", initializer=torch.set_num_threads, initargs=(1,))
    starts = ((segment, start) for segment in segments for start in range(0, len(segment), PIECE_ROWS))
    waiting: deque[Future[Halves]] = deque()

    def ahead() -> None:
        while len(waiting) < 3 * workers and (at := next(starts, None)) is not None:
            waiting.append(pool.submit(piece_of_scores, *at, both, len(texts), scale))

    def blocks(segment: Segment) -> Iterator[Halves]:
        nonlocal done
        for _ in range(0, len(segment), PIECE_ROWS):
            ahead()
            block = waiting.popleft().result()
            ahead()
            yield block
            done += len(block)
            progress(Step("scoring", done, total))

    try:
        for segment in segments:
            scores.write(segment.name, len(segment), blocks(segment))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(workers)


def piece_of_scores(segment: Segment, start: int, both: "Tensor", texts: int, scale: float) -> Halves:
    """Return the scores of a segment's rows from `start` on, PIECE_ROWS at most; `both`: as `text_columns` has them."""
    import torch

    halves = tensor_of(segment.vectors[start : start + PIECE_ROWS])
    single = torch.empty((BLOCK_ROWS, len(both)))
    with torch.inference_mode():
        found = []
        for at in range(0, len(halves), BLOCK_ROWS):
            block = halves[at : at + BLOCK_ROWS]
            single[: len(block)] = block
            found.append(scored(single[: len(block)], both, texts, scale))
        return np.concatenate(found)


def score_vectors(vectors: NDArray[np.floating], *, texts: Floats, background: Floats, scale: float) -> Floats:
    """Return the scores, (n, t + 1) float32, of vectors (n, d), as `score_segments` would write them."""
    import torch

    stored = torch.from_numpy(np.asarray(vectors, np.float16)).float()
    with torch.inference_mode():
        return scored(stored, text_columns(texts, background), len(texts), scale).astype(np.float32)


def background_scores(vectors: Floats, background: Floats, scale: float) -> Floats:
    """Return how well vectors (n, d) fit a background, (n,), as `score_vectors` has it last; PyTorch is not loaded."""
    fits = scale * (vectors @ background.T)  # (n, b)
    best = fits.max(axis=1)
    soft = best + np.log(np.exp(fits - best[:, np.newaxis]).mean(axis=1))
    kept: Floats = (soft / scale).astype(np.float16).astype(np.float32)
    return kept


def text_columns(texts: Floats, background: Floats) -> "Tensor":
    """Return the texts (t, d) and the background's (b, d) as the columns of one matrix, (d, t + b)."""
    import torch

    return torch.from_numpy(np.concatenate([texts, background])).T.contiguous()


def scored(vectors: "Tensor", both: "Tensor", texts: int, scale: float) -> Halves:
    """Return the scores (n, texts + 1) float16 of vectors (n, d); without a background there is no last column."""
    import torch

    product = vectors @ both  # (n, t + b)
    if both.shape[1] == texts:
        cosines: Halves = product.half().numpy()
        return cosines
    soft = torch.logsumexp(product[:, texts:] * scale, dim=1) - np.log(both.shape[1] - texts)
    product[:, texts] = soft / scale
    scores: Halves = product[:, : texts + BACKGROUND_COLUMNS].half().numpy()
    return scores
