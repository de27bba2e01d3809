"""How vectors lie in files that other programs read: names, the manifest beside them, .npy written part by part.

What both ways share, in and out. Knows no photos, no SQL.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from base.records import manifest_path, read_json

Layout = Literal["clip-retrieval", "parquet", "npy"]
# clip-retrieval's names: see clip_retrieval/clip_inference/writer.py.
IMAGES, METADATA = "img_emb", "metadata"
IMAGE_PATH, VECTOR = "image_path", "embedding"  # names of columns
NPY_HEAD_BYTES = 128  # of a .npy file, room enough for any number of rows


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorManifest:
    """What exported vectors are, kept beside them.

    model: the key, with a hash over weights and preprocessing. model_name: by which it is loaded. normalised: whether
    all are of length 1. precision: of their numbers as the library has them. made_at: UTC.
    """

    cv_aliens: str
    made_at: str
    layout: Layout
    model: str
    model_name: str
    dim: int
    normalised: bool
    precision: str
    photos: int
    columns: list[str]
    size_bytes: dict[str, int]  # of each file, by its name

    def __str__(self) -> str:
        size_mb = sum(self.size_bytes.values()) / 1e6
        return f"{self.photos} vectors of {self.dim} dimensions by {self.model}, {size_mb:.1f} MB ({self.layout})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """What of a manifest says whose vectors these are, and in which files they lie."""

    model: str
    model_name: str = ""
    size_bytes: dict[str, int] = field(default_factory=dict)


def maker_of(path: Path) -> Maker | None:
    """Return what the manifest of exported vectors, a folder or a file, says of the model; None where there is none."""
    return read_json(manifest_path(path), Maker)


class NpyWriter:
    """Writes vectors (n, d) to a file that is open, as numpy.save would, without having them all; n comes out at last.

    Source: numpy.lib.format, version 1.0.
    """

    def __init__(self, file: BinaryIO, dim: int, kind: type[np.floating[Any]] = np.float16) -> None:
        self.rows = 0
        self._file = file
        self._dim = dim
        self._kind = np.dtype(kind).newbyteorder("<")
        self._begin = file.tell()
        file.write(self._head())

    def write(self, vectors: NDArray[np.floating[Any]]) -> None:
        """Write vectors (m, d). Raises: OSError: the disk is full or cannot be written."""
        self._file.write(np.ascontiguousarray(vectors, self._kind).data)
        self.rows += len(vectors)

    def close(self) -> None:
        """Write how many there are into the head; the file stays open."""
        end = self._file.tell()
        self._file.seek(self._begin)
        self._file.write(self._head())
        self._file.seek(end)

    def _head(self) -> bytes:
        said = f"{{'descr': '{self._kind.str}', 'fortran_order': False, 'shape': ({self.rows}, {self._dim}), }}"
        length = NPY_HEAD_BYTES - len(b"\x93NUMPY\x01\x00") - 2
        return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + said.ljust(length - 1).encode() + b"\n"
