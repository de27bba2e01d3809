"""Vectors as other programs have written them: opened, and read part by part. Checks their form, not what they say.

Three layouts: clip-retrieval's folder, Parquet files with a column of vectors, a .npy file beside a list of paths.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from base.arrays import read_npy
from base.console import counted
from base.errors import SourceError
from base.files import open_regular
from base.spreadsheets import is_parquet
from embedding.vector_layouts import IMAGES, METADATA, VECTOR, Layout, maker_of
from indexer.vector_records import RecordFile, Records, naming_file

BLOCK_ROWS = 8_192  # vectors at a time
# What columns of vectors are called: ours, clip-retrieval's, LAION's, those of data sets and of vector databases.
VECTOR_NAMES = (VECTOR, "embeddings", "image_embedding", "image_embeddings", "img_emb", "clip_embedding", "vector")
BESIDE = (".parquet", ".csv", ".tsv", ".txt")  # endings of a list of paths beside a .npy file, of the same name
OURS = ("photo_id",)  # a column of our own exports that means nothing in another library
KNOWN = (
    f"name a folder with {IMAGES}/*.npy and {METADATA}/*.parquet, as clip-retrieval writes it, a Parquet file or a "
    "folder of them with a column of vectors, or a .npy file with a list of paths beside it"
)

Block = tuple[int, NDArray[np.floating[Any]]]  # the number of the first row, from 0, and vectors (m, d)


class Part(Protocol):
    """One file of vectors, and what is said of each."""

    path: Path
    rows: int
    dim: int
    listed: RecordFile

    def blocks(self) -> Iterator[NDArray[np.floating[Any]]]:
        """Yield vectors (m, d), some thousands at a time. Raises: SourceError: they cannot be read."""
        ...


class NpyVectors:
    """Vectors in a .npy file, memory-mapped."""

    def __init__(self, path: Path, listed: RecordFile) -> None:
        """Raises: SourceError: it is no such file, or another number of rows is listed."""
        self.path, self.listed = path, listed
        with naming_file(path):
            self._array = read_npy(path, mapped=True)
            if self._array.dtype.kind != "f" or self._array.dtype.itemsize > 8 or self._array.ndim != 2:
                raise ValueError(
                    f"it holds {self._array.dtype.name} of shape {self._array.shape}, not vectors: save an array "
                    "(photos, dimensions) of float16, float32 or float64 by numpy.save"
                )
        self.rows, self.dim = self._array.shape
        if listed.rows is not None and listed.rows != self.rows:
            raise other_count(path, self.rows, listed.path, listed.rows)

    def blocks(self) -> Iterator[NDArray[np.floating[Any]]]:
        """Yield vectors."""
        for start in range(0, self.rows, BLOCK_ROWS):
            yield self._array[start : start + BLOCK_ROWS]


class ParquetVectors:
    """Vectors in a column of a Parquet file, whose other columns say what they are of."""

    def __init__(self, path: Path, column: str | None, path_column: str | None, without: Sequence[str]) -> None:
        """Raises: SourceError: it cannot be read, or has not one column of vectors."""
        import pyarrow.parquet as pq

        self.path = path
        with naming_file(path), open_regular(path) as file:
            opened = pq.ParquetFile(file)
            schema = opened.schema_arrow
            lists = [field.name for field in schema if is_list_of_floats(field.type)]
            self._column = column_of_vectors(lists, column)
        self.listed = RecordFile(path, path_column, without=[*lists, *without])
        self.rows = int(self.listed.rows or 0)
        self.dim = next((part.shape[1] for part in self.blocks()), 0)

    def blocks(self) -> Iterator[NDArray[np.floating[Any]]]:
        """Yield vectors."""
        import pyarrow.parquet as pq

        row = 0
        with naming_file(self.path), open_regular(self.path) as file:
            for batch in pq.ParquetFile(file).iter_batches(BLOCK_ROWS, columns=[self._column]):
                if len(batch):
                    yield rows_of_lists(batch.column(0), row)
                row += len(batch)


@dataclass(frozen=True, slots=True)
class VectorFiles:
    """All vectors at a place, in their order, with what is said of each."""

    path: Path
    layout: Layout
    parts: Sequence[Part]

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return sum(part.rows for part in self.parts)

    @property
    def dim(self) -> int:
        """How many dimensions they have."""
        return self.parts[0].dim

    def blocks(self) -> Iterator[Block]:
        """Yield the vectors, some thousands at a time. Raises: SourceError: they cannot be read."""
        start = 0
        for part in self.parts:
            for vectors in part.blocks():
                yield start, vectors
                start += len(vectors)

    def records(self, *, whole: bool = True) -> Records:
        """Yield what is said of each: see `RecordFile.records`. Raises: SourceError: too many or too few are listed."""
        for part in self.parts:
            count = 0
            for places, rest in part.listed.records(whole=whole):
                count += len(places)
                yield places, rest
            if count != part.rows:
                raise other_count(part.path, part.rows, part.listed.path, count)

    def where(self, row: int) -> str:
        """Return how a message names a row, from 0: its file, and its number in it, from 1."""
        for part in self.parts:
            if row < part.rows:
                return f"{part.path}, row {row + 1}"
            row -= part.rows
        return str(self.path)


def vectors_at(
    path: Path, listed: Path | None = None, *, path_column: str | None = None, column: str | None = None
) -> VectorFiles:
    """Open the vectors at a place, whatever their layout.

    Args:
        path: a folder or a file.
        listed: the list of paths of a .npy file's rows; None: the file of the same name beside it.
        path_column: the column that holds paths; None: by its name.
        column: the column of a Parquet file that holds vectors; None: by its name.

    Raises: SourceError: there are none, they cannot be read, or their counts or dimensions differ.
    """
    if not path.exists():
        raise SourceError(f"nothing is at {path}: {KNOWN}")
    if listed is not None and path.suffix.lower() != ".npy":
        raise SourceError(f"a list of paths, {listed}, belongs to a .npy file, which {path} is not: leave it out")
    is_pairs, without = (path / IMAGES).is_dir(), OURS if maker_of(path) is not None else ()
    if column is not None and (is_pairs or path.suffix.lower() == ".npy"):
        raise SourceError(f"{column!r} is to be a column of vectors, and {path} has none, but .npy files: leave it out")
    if is_pairs:
        files = VectorFiles(path, "clip-retrieval", clip_retrieval_parts(path, path_column, without))
    elif path.is_dir():
        found = sorted(path.glob("*.parquet"))
        if not found:
            raise SourceError(f"{path} holds no vectors that are known: {KNOWN}")
        files = VectorFiles(path, "parquet", [ParquetVectors(file, column, path_column, without) for file in found])
    elif path.suffix.lower() == ".npy":
        beside = listed or list_beside(path)
        files = VectorFiles(path, "npy", [NpyVectors(path, RecordFile(beside, path_column, without=without))])
    else:
        with naming_file(path):
            if not is_parquet(path):
                raise ValueError(f"it is no Parquet file: {KNOWN}")
        files = VectorFiles(path, "parquet", [ParquetVectors(path, column, path_column, without)])
    for part in files.parts:
        if part.rows and part.dim != files.dim:
            raise SourceError(
                f"{part.path} has vectors of {part.dim} dimensions, {files.parts[0].path} of {files.dim}: all are to "
                "be one model's"
            )
    if not files.rows:
        raise SourceError(f"{path} holds no vectors: its files are empty")
    return files


def clip_retrieval_parts(path: Path, path_column: str | None, without: Sequence[str]) -> list[Part]:
    """Return the parts of a folder as clip-retrieval writes it. Raises: SourceError: a file of a pair is absent."""
    arrays = sorted((path / IMAGES).glob("*.npy"), key=number_at_end)
    if not arrays:
        raise SourceError(f"{path / IMAGES} holds no .npy file: {KNOWN}")
    lists = {number_at_end(file)[0]: file for file in (path / METADATA).glob("*.parquet")}
    if spare := sorted(lists.keys() - {number_at_end(file)[0] for file in arrays}):
        raise SourceError(f"{lists[spare[0]]} has no vectors in {path / IMAGES}: bring all files of the folder")
    parts: list[Part] = []
    for file in arrays:
        beside = lists.get(number_at_end(file)[0])
        if beside is None:
            raise SourceError(
                f"{file} has no {METADATA}/{METADATA}_{number_at_end(file)[0]}.parquet beside it, which says of which "
                "photos its vectors are: bring all files of the folder"
            )
        parts.append(NpyVectors(file, RecordFile(beside, path_column, without=without)))
    return parts


def number_at_end(file: Path) -> tuple[str, str]:
    """Return what follows the last underscore of a file's name, such as 007 of img_emb_007.npy, and the name."""
    return file.stem.rpartition("_")[2], file.name


def list_beside(path: Path) -> Path:
    """Return the list of paths beside a .npy file. Raises: SourceError: there is none, or several."""
    found = [beside for ending in BESIDE if (beside := path.with_suffix(ending)).is_file()]
    maker = maker_of(path)
    found = [file for file in found if maker is not None and file.name in maker.size_bytes] or found
    if len(found) == 1:
        return found[0]
    names = " nor ".join(path.with_suffix(ending).name for ending in BESIDE)
    why = f"neither {names} is beside it" if not found else f"{' and '.join(file.name for file in found)} are beside it"
    raise SourceError(f"{path} does not say of which photos its vectors are, and {why}: name the list by --ids")


def column_of_vectors(names: Sequence[str], asked: str | None) -> str:
    """Return the name of the column of vectors. Raises: ValueError: it is not clear, or not there."""
    if asked is not None:
        if asked not in names:
            raise ValueError(f"{asked!r} is no column of vectors: those are {', '.join(names) or 'none'}")
        return asked
    usual = [name for name in VECTOR_NAMES if name in names]
    if len(names) == 1 or usual:
        return (usual or list(names))[0]
    if not names:
        raise ValueError("it has no column of vectors, that is of lists of float16, float32 or float64")
    raise ValueError(f"it has several columns of vectors, {', '.join(names)}: say which one by --column")


def is_list_of_floats(kind: Any) -> bool:
    """Tell whether a column of Parquet holds vectors."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and pa.types.is_floating(kind.value_type))


def rows_of_lists(column: Any, first: int) -> NDArray[np.floating[Any]]:
    """Return lists as an array (m, d). Raises: ValueError: they are not of one length, or one is absent.

    first: the number of the first row, for messages.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if column.null_count:
        row = first + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0]) + 1
        raise ValueError(f"row {row} has no vector")
    lengths = pc.list_value_length(column).to_numpy()
    if (differs := np.flatnonzero(lengths != lengths[0])).size:
        row = first + int(differs[0]) + 1
        raise ValueError(f"row {row} has {lengths[differs[0]]} numbers, the rows before it {lengths[0]}")
    numbers = column.flatten()
    if numbers.null_count:
        at = int(np.flatnonzero(numbers.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"row {first + at // int(lengths[0]) + 1} lacks a number")
    array: NDArray[np.floating[Any]] = numbers.to_numpy(zero_copy_only=False)
    return array.reshape(len(lengths), int(lengths[0]))


def other_count(vectors: Path, rows: int, listed: Path, count: int) -> SourceError:
    """Return the error of vectors beside a list of another length."""
    return SourceError(
        f"{vectors} has {counted(rows, 'vector')}, and {listed} {counted(count, 'row')}: they are to be of the same "
        "photos, in the same order; nothing was changed"
    )
