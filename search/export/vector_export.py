"""Vectors for other programs: clip-retrieval's folder, one Parquet file, or a .npy file beside a list of its rows.

Streamed, in the order of the photos' numbers. Files appear under their names only when all are complete.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.orm import Session

from base import __version__
from base.arrays import Halves, Ids
from base.errors import QueryError
from base.files import atomic_write
from base.progress import Progress, Step, silent
from base.records import MANIFEST_FILE, manifest_path, write_json
from db.models import Model
from db.photo_rows import hotels_and_chains
from embedding.photo_table import KINDS, Columns, PhotoTable
from embedding.segments import Vectors
from embedding.vector_layouts import IMAGE_PATH, IMAGES, METADATA, VECTOR, Layout, NpyWriter, VectorManifest
from search.answers import PLAIN, Feedback, Question, Searcher, read_query
from search.export.exporter import file_and_manifest, partial_folder, put_in_place, refuse_folder, refuse_name
from search.export.tables import CsvWriter, newest_captions
from search.filters import chosen, kinds_of
from search.photo_parts import photo_parts
from search.query import Filter, Query
from search.ranking import Shape

PART_ROWS = 1_000_000  # of a pair of clip-retrieval's files, and a few more: as many as it writes itself
ENDINGS: dict[str, Layout] = {"": "clip-retrieval", ".parquet": "parquet", ".npy": "npy"}
FURTHER: dict[str, Any] = {  # columns that may be asked for
    name: KINDS[name]
    for name in (
        "hotel_id",
        "date",
        "latitude",
        "longitude",
        "width_px",
        "height_px",
        "format",
        "image_source",
        "image_id",
    )
} | dict.fromkeys(("hotel_name", "chain_name", "caption"), pa.string())


def columns_of_vectors(columns: Sequence[str]) -> list[str]:
    """Return the further columns that are asked for, each once. Raises: QueryError: there is no such column."""
    for name in columns:
        if name not in FURTHER and name not in (IMAGE_PATH, "photo_id"):
            raise QueryError(f"no column {name!r} to export beside vectors: choose of {', '.join(FURTHER)}")
    return [name for name in dict.fromkeys(columns) if name in FURTHER]


def layout_of(path: Path, layout: Layout | None) -> Layout:
    """Return the layout that was asked for, or that a path's ending names. Raises: QueryError: it names none."""
    if layout is not None and layout not in get_args(Layout):
        raise QueryError(f"no layout {layout!r}: choose of {', '.join(get_args(Layout))}")
    found = layout or ENDINGS.get(path.suffix.lower())
    if found is None:
        raise QueryError(
            f"{path.name!r} does not say in what layout: end it in .parquet or .npy, leave the ending out for a folder "
            "in clip-retrieval's, or give --layout"
        )
    if found == "npy" and path.suffix.lower() != ".npy":  # by which it is known again
        raise QueryError(f"{path.name!r} is to be a .npy file: end it in .npy")
    return found


def photos_meant(
    searcher: Searcher, session: Session, text: str | None, k: int | None, tags: Sequence[str]
) -> Ids | None:
    """Return the ids, ascending, of the photos that a query and tags leave; None for all of the library.

    Raises: QueryError: the query cannot be read, or asks for the impossible.
    """
    query = read_query(text, None, None)
    query = Query(query.terms, (*query.filters, *(Filter("tag", tag) for tag in tags)))
    if kinds_of(query.filters) != {"photo"}:
        raise QueryError("vectors are exported of photos, not of restyled ones: leave kind: out of the query")
    if query.terms:
        found = searcher.search(Question(query, PLAIN, Feedback(), Shape(copies=True)), 100 if k is None else k)
        return np.array(sorted(hit.photo_id for hit in found), np.int64)
    if k is not None:
        raise QueryError("-n (or -k) is for queries with words: add --query TEXT, or leave it out")
    choice = chosen(searcher.catalog, session, searcher.store, query.filters)
    if choice.untagged:
        raise QueryError(choice.note)
    return choice.ids


class ExportedRows:
    """The photos that are exported: what is said of each, and its vector, part by part."""

    def __init__(
        self,
        session: Session,
        model: Model,
        vectors: Vectors,
        table: PhotoTable | None,
        ids: Ids | None,
        columns: Sequence[str],
    ) -> None:
        """`ids`: ascending; None for all. `columns`: besides the path and the number."""
        self.schema = pa.schema({IMAGE_PATH: pa.string(), "photo_id": pa.int64()} | {n: FURTHER[n] for n in columns})
        self.most = len(vectors) if ids is None else len(ids)
        of_hotels = [name for name in ("hotel_name", "chain_name") if name in columns]
        stored = ["path", "member", *(name for name in columns if name in KINDS), *["hotel_id"] * bool(of_hotels)]
        self._parts = photo_parts(session, model, vectors, table, stored, None if ids is None else ids.tolist())
        self._session, self._vectors = session, vectors
        self._hotels, self._chains = hotels_and_chains(session) if of_hotels else ({}, {})

    def parts(self) -> Iterator[tuple[Any, Iterator[Halves]]]:
        """Yield a pyarrow.RecordBatch, and the vectors of its rows, (m, d) some thousands at a time."""
        for part in self._parts:
            found = part["photo_id"].to_numpy()
            here = self._vectors.locate(found)[0] >= 0
            arrays = [self._values(field.name, part) for field in self.schema]
            batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
            if not here.all():  # photos that came while this goes on
                batch, found = batch.filter(pa.array(here)), found[here]
            yield batch, self._vectors.halves(found)

    def _values(self, name: str, part: Columns) -> Any:
        """Return a column of some photos as a pyarrow.Array."""
        match name:
            case "image_path":
                in_tar = pc.not_equal(part["member"], "")
                if not pc.any(in_tar).as_py():
                    return part["path"]
                return pc.if_else(in_tar, pc.binary_join_element_wise(part["path"], part["member"], "!"), part["path"])
            case "hotel_name":
                return pa.array([name for name, _ in self._of_hotels(part)], pa.string())
            case "chain_name":
                chains = [
                    None if chain_id is None else self._chains.get(chain_id) for _, chain_id in self._of_hotels(part)
                ]
                return pa.array(chains, pa.string())
            case "caption":
                return newest_captions(self._session, part["photo_id"].to_pylist())
        return part[name]

    def _of_hotels(self, part: Columns) -> Iterator[tuple[str | None, int | None]]:
        """Yield name and chain of each photo's hotel."""
        for hotel_id in part["hotel_id"].to_pylist():
            yield self._hotels.get(hotel_id, (None, None))


class VectorWriter(Protocol):
    """Writes rows and their vectors."""

    def write(self, batch: Any, vectors: Iterator[Halves]) -> None:
        """Write a pyarrow.RecordBatch and the vectors of its rows. Raises: OSError: the disk is full."""
        ...

    def close(self) -> None:
        """Write what comes last."""
        ...


class FolderPairs:
    """clip-retrieval's pairs of files in a folder: img_emb/img_emb_0.npy beside metadata/metadata_0.parquet.

    Source: clip_retrieval/clip_inference/writer.py; numbers have leading zeros, since it reads files in their order.
    """

    def __init__(self, folder: Path, dim: int, most: int) -> None:
        """`most`: how many rows there are at most."""
        self._folder, self._dim = folder, dim
        self._digits = len(str(max(most - 1, 0) // PART_ROWS))
        self._number = -1
        self._pair: tuple[BinaryIO, NpyWriter, BinaryIO, Any] | None = None
        for name in (IMAGES, METADATA):
            (folder / name).mkdir(exist_ok=True)
            for left in (folder / name).iterdir():  # by an export that was stopped
                left.unlink()

    def write(self, batch: Any, vectors: Iterator[Halves]) -> None:
        """Write a batch, into a new pair where the last one is full."""
        if self._pair is not None and self._pair[1].rows >= PART_ROWS:
            self.close()
        if self._pair is None:
            self._pair = self._opened(batch.schema)
        _, npy, _, table = self._pair
        for some in vectors:
            npy.write(some)
        table.write_batch(batch)

    def _opened(self, schema: Any) -> tuple[BinaryIO, NpyWriter, BinaryIO, Any]:
        from pyarrow.parquet import ParquetWriter

        self._number += 1
        number = str(self._number).zfill(self._digits)
        vectors, listed = (
            open(self._folder / name / f"{name}_{number}{ending}", "w+b")  # noqa: SIM115 - closed in close()
            for name, ending in ((IMAGES, ".npy"), (METADATA, ".parquet"))
        )
        return vectors, NpyWriter(vectors, self._dim), listed, ParquetWriter(listed, schema, use_dictionary=False)

    def close(self) -> None:
        """Complete the pair in hand, and have it on disk."""
        if self._pair is not None:
            vectors, npy, listed, table = self._pair
            self._pair = None
            with vectors, listed:
                npy.close()
                table.close()
                for file in (vectors, listed):
                    file.flush()
                    os.fsync(file.fileno())


class ParquetColumn:
    """One Parquet file with the vectors in a column, float32, which every reader of Parquet knows."""

    def __init__(self, file: BinaryIO, schema: Any, dim: int) -> None:
        from pyarrow.parquet import ParquetWriter

        # Said to lack no number and no row, they are written in a quarter of the time, and read in half of it.
        self._kind = pa.list_(pa.field("element", pa.float32(), nullable=False), dim)
        self._schema = schema.append(pa.field(VECTOR, self._kind, nullable=False))
        compression = {field.name: "snappy" for field in schema} | {f"{VECTOR}.list.element": "none"}
        self._writer = ParquetWriter(
            file, self._schema, compression=compression, use_dictionary=schema.names, write_statistics=schema.names
        )

    def write(self, batch: Any, vectors: Iterator[Halves]) -> None:
        """Write a batch as a group of rows."""
        numbers = np.concatenate([some.astype(np.float32) for some in vectors]).reshape(-1)
        column = pa.FixedSizeListArray.from_arrays(pa.array(numbers), type=self._kind)
        self._writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, column], schema=self._schema))

    def close(self) -> None:
        """Write the file's foot."""
        self._writer.close()


class NpyAndList:
    """A .npy file, and a CSV file whose rows say of which photos its rows are."""

    def __init__(self, file: BinaryIO, listed: BinaryIO, schema: Any, dim: int) -> None:
        self._npy, self._list = NpyWriter(file, dim), CsvWriter(listed, schema, [])

    def write(self, batch: Any, vectors: Iterator[Halves]) -> None:
        """Write a batch."""
        for some in vectors:
            self._npy.write(some)
        self._list.write(batch)

    def close(self) -> None:
        """Complete both."""
        self._npy.close()
        self._list.close()


def export_vectors(
    session: Session,
    model: Model,
    vectors: Vectors,
    path: Path,
    layout: Layout,
    *,
    table: PhotoTable | None = None,
    ids: Ids | None = None,
    columns: Sequence[str] = (),
    progress: Progress = silent,
) -> VectorManifest:
    """Write photos' vectors with their paths, and a manifest inside or beside.

    Args:
        session: of the library's database.
        model: that made them.
        vectors: of all photos that can be found.
        path: the folder or file to write.
        layout: how.
        table: of the photos' columns on disk, where there is one, which is quicker than the database.
        ids: only these photos, ascending; None for all.
        columns: besides path and number, such as hotel_name or caption.
        progress: told of the photos written.

    Raises:
        QueryError: no photo is left, no such column, or something is at the path that is to become a folder.
        OutputError: the output cannot be written.
    """
    rows = ExportedRows(session, model, vectors, table, ids, columns_of_vectors(columns))
    if not rows.most:
        raise QueryError("no photo is left to export: loosen the query or the tags, or add photos")
    if not path.name or (layout != "clip-retrieval" and path.is_dir()):
        raise QueryError(f"{path} is a folder: name a new {'folder' if layout == 'clip-retrieval' else 'file'} in it")
    refuse_name(path)
    write = {"clip-retrieval": write_pairs, "parquet": write_parquet, "npy": write_npy}[layout]
    return write(rows, model, path, progress)


def write_pairs(rows: ExportedRows, model: Model, path: Path, progress: Progress) -> VectorManifest:
    """Write a folder as clip-retrieval's, under another name until it is complete."""
    refuse_folder(path)
    with partial_folder(path) as partial:
        with closing(FolderPairs(partial, model.dim, rows.most)) as writer:
            count = pour(rows, writer, progress)
        files = [file for name in (IMAGES, METADATA) for file in sorted((partial / name).iterdir())]
        manifest = manifest_for(model, "clip-retrieval", count, rows, {str(f.relative_to(partial)): f for f in files})
        write_json(partial / MANIFEST_FILE, manifest)
        put_in_place(partial, path)
    return manifest


def write_parquet(rows: ExportedRows, model: Model, path: Path, progress: Progress) -> VectorManifest:
    """Write one Parquet file and its manifest."""
    with file_and_manifest(path) as (file, write_beside):
        with closing(ParquetColumn(file, rows.schema, model.dim)) as writer:
            count = pour(rows, writer, progress)
        manifest = manifest_for(model, "parquet", count, rows, {path.name: file})
        write_beside(manifest)
    return manifest


def write_npy(rows: ExportedRows, model: Model, path: Path, progress: Progress) -> VectorManifest:
    """Write a .npy file, its list and its manifest. A new list never stands beside older vectors."""
    listed = path.with_suffix(".csv")
    with file_and_manifest(path) as (file, write_beside), atomic_write(listed) as beside:
        with closing(NpyAndList(file, beside, rows.schema, model.dim)) as writer:
            count = pour(rows, writer, progress)
        manifest = manifest_for(model, "npy", count, rows, {path.name: file, listed.name: beside})
        write_beside(manifest)
        for older in (manifest_path(path), path):
            older.unlink(missing_ok=True)
    return manifest


def pour(rows: ExportedRows, writer: VectorWriter, progress: Progress) -> int:
    """Write all rows, one part while the next is read from the database; return how many there were."""
    count, waiting = 0, Future[None]()
    waiting.set_result(None)
    with ThreadPoolExecutor(1, "vectors") as pool:
        for batch, vectors in rows.parts():
            waiting.result()
            waiting = pool.submit(writer.write, batch, vectors)
            count += len(batch)
            progress(Step("exporting", count, rows.most))
        waiting.result()
    if not count:
        raise QueryError("no photo is left to export: all have been forgotten meanwhile")
    return count


def manifest_for(model: Model, layout: Layout, count: int, rows: ExportedRows, files: dict[str, Any]) -> VectorManifest:
    """Return the manifest of files, {name: path or open file}."""
    return VectorManifest(
        cv_aliens=__version__,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        layout=layout,
        model=model.key,
        model_name=model.name,
        dim=model.dim,
        normalised=True,
        precision="float16",
        photos=count,
        columns=rows.schema.names,
        size_bytes={name: size_of(file) for name, file in files.items()},
    )


def size_of(file: Path | BinaryIO) -> int:
    """Return the size of a file in bytes, also of one that is being written."""
    if isinstance(file, Path):
        return file.stat().st_size
    file.flush()
    return os.fstat(file.fileno()).st_size
