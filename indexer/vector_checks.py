"""Vectors of others are looked at before they are taken: numbers, lengths, and whether the same model made them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.arrays import Floats, Halves, unit
from base.console import counted
from base.errors import ModelMismatchError, SourceError
from base.files import PhotoFile
from db.models import Model
from embedding.decode import Unreadable, read_squares
from embedding.encoder import Encoder
from embedding.vector_layouts import Maker
from indexer.vector_files import Block, VectorFiles

UNIT_WITHIN = 1.5e-3  # of 1: float16, and dividing by a norm in float16, change a length by less than 0.1 %
LOOKED_AT = 16  # photos that are encoded anew
AGREES = 0.95  # cosine of two vectors of one photo by one model: another program's left 1.000
CACHED_ROWS = 512  # vectors at a time, which a processor's cache holds
LEAST_SQUARE = 1e-30  # of a length in float32: below it the squares of its numbers are lost
with np.errstate(over="ignore", invalid="ignore"):
    HALF_SQUARES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32) ** 2  # of each float16
LIBRARYS = "make a library for that model by `aliens init --model NAME`"


@dataclass(slots=True)
class VectorCheck:
    """What is wrong with vectors, and which rows show it first; rows are counted from 0.

    normalize: make them of length 1 instead of refusing others. lengthened: how many that were.
    """

    files: VectorFiles
    normalize: bool = False
    lengthened: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, tuple[int, float]] = field(default_factory=dict)

    def halves(self, blocks: Iterator[Block]) -> Iterator[tuple[int, Halves]]:
        """Yield vectors as the library has them, (m, d) float16, as long as nothing is wrong.

        Then the rest is only counted. Raises: SourceError: a vector is not finite, zero, or not of length 1.
        """
        for start, vectors in blocks:
            found = self.looked_at(start, vectors)
            if found is None:
                for later, rest in blocks:
                    self.looked_at(later, rest)
                raise self._error()
            yield start, found

    def looked_at(self, start: int, vectors: NDArray[np.floating[Any]]) -> Halves | None:
        """Return vectors as float16, of length 1; None where one of these, or of those before, is wrong."""
        norms = norms_of(vectors)
        self._note("finite", start, ~np.isfinite(norms), norms)
        self._note("zero", start, norms == 0, norms)
        others = np.isfinite(norms) & (norms != 0) & (np.abs(norms - 1) > UNIT_WITHIN)
        if self.normalize:
            self.lengthened += int(others.sum())
        else:
            self._note("unit", start, others, norms)
        if self.counts:
            return None
        if others.any():
            longer: NDArray[Any] = vectors / norms[:, None]  # in float64, which no length of theirs overflows
            return longer.astype(np.float16)
        return vectors.astype(np.float16, copy=False)

    def _note(self, what: str, start: int, wrong: NDArray[np.bool_], norms: NDArray[np.floating[Any]]) -> None:
        if count := int(wrong.sum()):
            self.counts[what] = self.counts.get(what, 0) + count
            at = int(wrong.argmax())
            self.first.setdefault(what, (start + at, float(norms[at])))

    def _error(self) -> SourceError:
        """Return the error of what was counted: the worst of it."""
        what = next(each for each in ("finite", "zero", "unit") if each in self.counts)
        row, norm = self.first[what]
        said, remedy = {
            "finite": ("hold numbers that are none (NaN) or infinite", "embed these photos anew"),
            "zero": ("are zero", "leave these photos out: a vector of zeros is like nothing"),
            "unit": (
                f"are not of length 1 (this one's is {norm:.4g})",
                "--normalize makes them so, if their directions alone were meant",
            ),
        }[what]
        return SourceError(
            f"{self.counts[what]} of {counted(self.files.rows, 'vector')} {said}, first in {self.files.where(row)}: "
            f"{remedy}; nothing was changed"
        )


def norms_of(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the lengths of vectors (m, d), (m,); not finite where a number is not."""
    squares = np.empty(len(vectors), np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(vectors), CACHED_ROWS):
            some = vectors[start : start + CACHED_ROWS]
            if some.dtype == np.float16 and some.flags.c_contiguous:  # by a table: in half of the time
                found = HALF_SQUARES.take(some.view(np.uint16)).sum(axis=1)
            else:
                found = squares_of(some)
            squares[start : start + CACHED_ROWS] = found
        return np.sqrt(squares)


def squares_of(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return squared lengths of vectors (m, d), (m,): of float32 in its own numbers where these hold them."""
    found: NDArray[np.float64] = np.zeros(len(vectors))
    if vectors.dtype == np.float32:
        found = np.einsum("ij,ij->i", vectors, vectors).astype(np.float64)
    beyond = ~((found > LEAST_SQUARE) & np.isfinite(found))
    if beyond.any():
        wide: NDArray[Any] = vectors[beyond].astype(np.float64)
        found[beyond] = np.einsum("ij,ij->i", wide, wide)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCheck:
    """How alike vectors are to those that the library's model gives for the same photos.

    photos: how many were encoded. cosine: the median, None where no photo was there. others: photos that are clearly
    other pictures than their vectors say.
    """

    photos: int = 0
    cosine: float | None = None
    others: int = 0


def refuse_other_maker(model: Model, said: str, key: str, name: str = "") -> None:
    """Refuse vectors that are said to be another model's.

    Args:
        model: the library's.
        said: who says so, for the message.
        key: the maker's key or name.
        name: its name, beside a key.

    Raises: ModelMismatchError: it is another one.
    """
    if not is_called(model, key):
        other = key + (f" ({name})" if name and name != key else "")
        raise ModelMismatchError(
            f"{said} was made by {other}, and this library is of {model.key} ({model.name}): {LIBRARYS}, or import "
            "into a library of that model; nothing was changed"
        )


def is_called(model: Model, said: str) -> bool:
    """Tell whether a model is meant: by its key, its name, or as OpenAI and clip-retrieval write it."""
    plain = said.strip().removeprefix("open_clip:")
    names = {plain, f"{plain.replace('/', '-')}/openai", plain.replace("|", "/")}
    return model.key in names or model.name.casefold() in {name.casefold() for name in names}


def compared_with_model(
    model: Model, encoder: Encoder, taken: Mapping[PhotoFile, Halves], maker: Maker | None, of: str
) -> ModelCheck:
    """Encode some photos and compare. Raises: ModelMismatchError: the vectors are another model's.

    Args:
        model: the library's.
        encoder: that model.
        taken: photos whose files are there, with their vectors (d,).
        maker: what the vectors' manifest says.
        of: what they are called, for the message.
    """
    if not taken:  # the model is not loaded in vain
        return ModelCheck()
    squares = read_squares(list(taken), encoder.preprocessing)
    pairs = [
        (square, vector)
        for square, vector in zip(squares, taken.values(), strict=True)
        if not isinstance(square, Unreadable)
    ]
    if not pairs:
        return ModelCheck()
    ours: Floats = encoder.encode_images(np.stack([square for square, _ in pairs]))
    theirs = unit(np.stack([vector for _, vector in pairs]).astype(np.float32))
    cosines = (ours * theirs).sum(axis=1)
    median = float(np.median(cosines))
    if median < AGREES:
        though = f", though their manifest says {maker.model}" if maker else ""
        raise ModelMismatchError(
            f"the vectors in {of} are another model's than this library's {model.key}{though}, or of other pictures "
            f"than lie at their paths: the median cosine with {counted(len(pairs), 'photo')} encoded anew is "
            f"{median:.3f}, and more than {AGREES:g} is expected: {LIBRARYS}; nothing was changed"
        )
    return ModelCheck(photos=len(pairs), cosine=median, others=int((cosines < AGREES).sum()))
