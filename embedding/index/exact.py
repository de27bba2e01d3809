"""Exact search: every vector is compared, float16 on disk, float32 in the arithmetic.

One memory-mapped FAISS file, written whole or not at all, and a manifest that says what it was made of.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from base.arrays import Bools, Floats, Halves, Ids, Longs
from base.errors import LibraryError
from base.files import atomic_write
from base.records import read_json, write_json
from embedding.index.product import best_of_product, is_worth_it

WRITTEN_BYTES = 1 << 24  # at a time


class Written(NamedTuple):
    """What a file holds, for its manifest."""

    size_bytes: int
    sha256: str


def write_faiss(index: Any, path: Path) -> Written:
    """Write an index; readers keep the old file until the new one is complete.

    Raises: OSError: the disk is full or cannot be written.
    """
    digest, size_bytes = hashlib.sha256(), 0
    errors: list[BaseException] = []
    with atomic_write(path) as file:

        def write(data: bytes) -> int:
            nonlocal size_bytes
            try:
                file.write(data)
            except BaseException as error:  # FAISS would turn it into one of its own, or into nothing
                errors.append(error)
                return 0
            digest.update(data)
            size_bytes += len(data)
            return len(data)

        try:
            writer = faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(write), WRITTEN_BYTES)
            faiss.write_index(index, writer)
        except RuntimeError:
            raise (errors or [OSError("FAISS could not write the index")])[0] from None
        del writer  # writes what it has kept; what fails then, FAISS does not say
        if errors:
            raise errors[0]
    return Written(size_bytes, digest.hexdigest())


def read_faiss(path: Path, size_bytes: int, *, writable: bool = False) -> Any:
    """Return the index in a file, or None where there is no sound one.

    Memory-mapped where its kind allows it, unless it is to be written to: FAISS ends the process where a mapped one is.
    """
    try:
        if path.stat().st_size != size_bytes:
            return None
        return faiss.read_index(str(path), 0 if writable else faiss.IO_FLAG_MMAP_IFC)
    except (OSError, RuntimeError, MemoryError):  # FAISS's words for a file that is no index
        return None


INDEX_FILE = "photos.faiss"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexManifest:
    """What an index file holds, stored beside it.

    generation: the database's count of changes to the model's vectors; an index of another generation is older than
    they are. last_shard, last_stamp: the newest vector shard in the index, and what tells it from another of that
    number (`VectorStore.stamp`); 0 and 0 where no shard is in it.
    """

    model_key: str
    kind: str
    count: int
    dim: int
    generation: int
    size_bytes: int
    sha256: str
    last_shard: int = 0
    last_stamp: int = 0


def read_index_manifest(folder: Path) -> IndexManifest | None:
    """Return the manifest in a folder, or None where there is none that can be read."""
    return read_json(folder / MANIFEST_FILE, IndexManifest, whole=True)


def checksum_problem(path: Path, sha256: str) -> str | None:
    """Compare a file with the checksum in its manifest, reading it whole; None when they agree."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return str(error)
    return None if digest == sha256 else "the file's checksum is not the manifest's"


SAMPLE_FILE = "sample.npy"
SAMPLE_ROWS = 4_096  # kept beside the index: what is known of all photos' scores is told by these
RANGE_ROWS = 32_768  # a thread gets at least so many rows; fewer are not worth another one


class FaissIndex:
    """Exact inner-product search over float16 vectors, computed in float32; scores are cosines."""

    def __init__(self, index: Any, sample: Halves | None = None, manifest: IndexManifest | None = None) -> None:
        """`sample`: some of its vectors, spread evenly, (s, d), as they lie beside the file; `manifest`: the file's."""
        self.sample = sample
        self.manifest = manifest
        self._index = index  # IDMap: row -> photo id
        self._flat = faiss.downcast_index(index.index)  # the rows themselves

    @classmethod
    def build(cls, dim: int, parts: Iterable[tuple[Ids, Halves]]) -> Self:
        """Build from (ids (n,) int64, vectors (n, dim) float16) parts; every id must come once."""
        flat = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index = faiss.IndexIDMap(flat)
        for ids, vectors in parts:
            index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), ids)
        return cls(index)

    @classmethod
    def open(cls, folder: Path, generation: int | None = None) -> Self | None:
        """Return the index, memory-mapped, or None where there is no sound one, or none of this generation."""
        manifest = read_index_manifest(folder)
        if manifest is None or generation not in (None, manifest.generation):
            return None
        try:
            file = read_faiss(folder / INDEX_FILE, manifest.size_bytes)
            index = cls(file, read_sample(folder, manifest.dim), manifest)
        except AttributeError:  # there is none, or one of another kind
            return None
        return index if (len(index), index.dim) == (manifest.count, manifest.dim) else None

    def save(
        self, folder: Path, *, model_key: str, generation: int, last_shard: int = 0, last_stamp: int = 0
    ) -> IndexManifest:
        """Write the index and its manifest; readers keep the old file until the new one is complete.

        `last_shard`, `last_stamp`: see IndexManifest. Raises: OSError: the disk is full or cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # A kill between the files leaves the old manifest beside the new file: one of another size is not opened,
        # and one of the same size is topped up by its ids, as an older one is.
        size_bytes, sha256 = write_faiss(self._index, folder / INDEX_FILE)
        with atomic_write(folder / SAMPLE_FILE) as file:
            rows = np.unique(np.linspace(0, max(len(self) - 1, 0), min(SAMPLE_ROWS, len(self))).astype(np.int64))
            np.save(file, self.vectors[rows])
        manifest = IndexManifest(
            model_key=model_key,
            kind="exact",
            count=len(self),
            dim=self.dim,
            generation=generation,
            size_bytes=size_bytes,
            sha256=sha256,
            last_shard=last_shard,
            last_stamp=last_stamp,
        )
        write_json(folder / MANIFEST_FILE, manifest)
        return manifest

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """The number of dimensions, d."""
        return int(self._index.d)

    @cached_property
    def ids(self) -> Ids:
        """The photo ids of the rows, (n,) int64."""
        ids: Ids = faiss.vector_to_array(self._index.id_map)
        return ids

    @cached_property
    def vectors(self) -> Halves:
        """The rows, (n, d) float16, as they lie in the file: nothing is copied."""
        if not len(self):
            return np.empty((0, self.dim), np.float16)
        codes = faiss.rev_swig_ptr(self._flat.codes.data(), len(self) * self.dim * 2)
        vectors: Halves = codes.view(np.float16).reshape(len(self), self.dim)
        return vectors

    def decoded(self, rows: Longs) -> Floats:
        """Return vectors by their rows, (m, d) float32; FAISS converts a few hundred quicker than NumPy."""
        vectors: Floats = self._flat.sa_decode(self.vectors[rows].view(np.uint8))
        return vectors

    def search(self, queries: NDArray[np.floating], k: int, mask: Bools | None = None) -> tuple[Floats, Ids]:
        """Return the k best of each query: cosines (n, k) float32, best first, and photo ids (n, k) int64.

        Args:
            queries: unit vectors, (n, d) float32.
            k: where there are fewer vectors, fewer columns come back.
            mask: (rows,), which rows may be found; None for all.

        Equal scores are ordered by photo id, so that an answer is the same every time.

        Raises: LibraryError: the queries have another number of dimensions.
        """
        self.check_dimensions(queries)
        there = len(self) if mask is None else int(mask.sum())
        k = min(k, there)
        if k < 1:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        queries, wanted = np.ascontiguousarray(queries, dtype=np.float32), min(k + 1, there)
        while True:
            scores, rows = self._scan(queries, wanted, mask)
            scores, ids = best(scores, self.ids[rows], wanted)
            cut_through_equals = wanted < there and bool((scores[:, k - 1] == scores[:, -1]).any())
            if not cut_through_equals:  # FAISS chooses among equal scores as it likes: all of them are looked at
                return scores[:, :k], ids[:, :k]
            wanted = min(2 * wanted, there)

    def check_dimensions(self, queries: NDArray[np.floating]) -> None:
        """Raise LibraryError unless queries are (n, d)."""
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise LibraryError(f"the index holds vectors of {self.dim} dimensions, the queries are {queries.shape}")

    def _scan(self, queries: Floats, k: int, mask: Bools | None) -> tuple[Floats, Ids]:
        """Return scores and rows, (n, at least k), of which the k best are among them; cut over threads by rows.

        FAISS itself spreads only queries over threads, and one query is what people ask.
        """
        if is_worth_it(len(queries), len(self)):
            return best_of_product(self.vectors, queries, k, mask)
        bits = None if mask is None else np.packbits(mask, bitorder="little")
        chosen = None if bits is None else faiss.IDSelectorBitmap(bits)
        threads = min(faiss.omp_get_max_threads(), max(len(self) // RANGE_ROWS, 1))
        cuts = np.linspace(0, len(self), threads + 1).astype(int).tolist()

        def scan(begin: int, end: int) -> tuple[Floats, Ids]:
            faiss.omp_set_num_threads(1)
            selector = faiss.IDSelectorRange(begin, end, True)
            both = selector if chosen is None else faiss.IDSelectorAnd(selector, chosen)
            found: tuple[Floats, Ids] = self._flat.search(
                queries, min(k, end - begin), params=faiss.SearchParameters(sel=both)
            )
            return found

        if threads == 1 or len(queries) > threads:
            parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)
            scores, rows = self._flat.search(queries, k, params=parameters)
            return scores, rows
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(scan, cuts, cuts[1:]))
        scores, rows = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
        scores[rows < 0] = -np.inf  # a range that holds fewer than k
        return scores, rows


def best(scores: Floats, ids: Ids, k: int) -> tuple[Floats, Ids]:
    """Return the k best of scores and ids, each (n, m), best first; equal scores in the order of the ids."""
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)


def read_sample(folder: Path, dim: int) -> Halves | None:
    """Return the sample beside an index, or None where there is no sound one."""
    try:
        sample = np.load(folder / SAMPLE_FILE)
    except Exception:  # NumPy evaluates a header, so a damaged one may raise anything
        return None
    sound = sample.ndim == 2 and sample.shape[1] == dim and sample.dtype == np.float16
    return sample if sound else None
