"""The search index: FAISS over unit vectors, keyed by photo id. A derivative of the shards, rebuilt at any time."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from aliens.errors import LibraryError
from aliens.files import atomic_write
from embedding.store import Ids, Vectors16

INDEX_FILE = "photos.faiss"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What an index file holds, stored beside it.

    `generation` is the database's count of changes to the model's vectors: an index of another generation is
    out of date.
    """

    model_key: str
    kind: str
    count: int
    dim: int
    generation: int
    size_bytes: int
    sha256: str


class FaissIndex:
    """Exact inner-product search over float16 vectors, computed in float32; scores are cosines."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, dim: int, parts: Iterable[tuple[Ids, Vectors16]]) -> Self:
        """Build from (ids (n,) int64, vectors (n, dim) float16) parts; every id must come once."""
        flat = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index = faiss.IndexIDMap(flat)
        for ids, vectors in parts:
            index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), ids)
        return cls(index)

    @classmethod
    def open(cls, folder: Path, generation: int) -> Self | None:
        """Return the index of this generation, memory-mapped, or None where there is no sound one."""
        manifest = read_manifest(folder)
        path = folder / INDEX_FILE
        if manifest is None or manifest.generation != generation or not path.exists():
            return None
        if path.stat().st_size != manifest.size_bytes:
            return None
        try:
            index = cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))
        except (RuntimeError, MemoryError):  # FAISS's words for a file that is no index
            return None
        return index if (len(index), index.dim) == (manifest.count, manifest.dim) else None

    def save(self, folder: Path, *, model_key: str, generation: int) -> Manifest:
        """Write the index and its manifest; readers keep the old file until the new one is complete.

        Raises: OSError: the disk is full or cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        data = faiss.serialize_index(self._index).tobytes()
        manifest = Manifest(
            model_key=model_key,
            kind="exact",
            count=len(self),
            dim=self.dim,
            generation=generation,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        # Without a manifest there is no index: a kill between the two writes leaves nothing wrong behind.
        (folder / MANIFEST_FILE).unlink(missing_ok=True)
        with atomic_write(folder / INDEX_FILE) as file:
            file.write(data)
        with atomic_write(folder / MANIFEST_FILE) as file:
            file.write(json.dumps(asdict(manifest), indent=1).encode())
        return manifest

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """The number of dimensions, d."""
        return int(self._index.d)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], Ids]:
        """Return the k best of each query: cosines (n, k) float32, best first, and photo ids (n, k) int64.

        Args:
            queries: unit vectors, (n, d) float32.
            k: where the index holds fewer vectors, fewer columns come back.

        Equal scores are ordered by photo id, so that an answer is the same every time.

        Raises: LibraryError: the queries have another number of dimensions.
        """
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise LibraryError(f"the index holds vectors of {self.dim} dimensions, the queries are {queries.shape}")
        k = min(k, len(self))
        if k < 1:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores, ids = self._index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
        order = np.lexsort((ids, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a folder, or None where there is none that can be read."""
    try:
        return Manifest(**json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def checksum_problem(folder: Path) -> str | None:
    """Compare the index file with its manifest, reading it whole; None when they agree."""
    manifest = read_manifest(folder)
    if manifest is None:
        return "there is no readable manifest"
    try:
        with open(folder / INDEX_FILE, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return str(error)
    return None if digest == manifest.sha256 else "the file's checksum is not the manifest's"
