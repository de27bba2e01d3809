"""Photos and their tags as Arrow record batches, and those as files: CSV, JSON Lines, Parquet, COCO."""

import json
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.orm import Session

from base.arrays import Bools, Ids, Longs
from base.errors import QueryError
from base.spreadsheets import FORMULA_START, WorkbookWriter
from db.caption_rows import captions_of
from db.catalog import Catalog
from db.detail_rows import columns_known, detail_rows
from db.hotel_rows import hotel_places
from db.photo_rows import hashes_of, hotels_and_chains
from embedding.photo_table import KINDS
from embedding.segments import SegmentStore
from search.filters import chosen
from search.list_columns import DETAIL, DETAILS, heading_of, is_detail
from search.query import Filter
from search.tags.tag_files import EXPORTED, GUARD, exported_cells
from search.tags.tagging import TaggedPhotos, Tagging, vocabularies_of
from search.tags.vocabulary import SEPARATOR

PROBABILITY, COSINE = "p", "cos"  # p(a bathtub), cos(a bathtub)
MANY = {"probabilities": PROBABILITY, "cosines": COSINE}  # stand for a column for each tag
TAG_LIST = pa.list_(pa.string())
DERIVED = {
    "hotel_name": pa.string(),
    "chain_id": pa.int64(),
    "chain_name": pa.string(),
    "tags": TAG_LIST,
    "sure_tags": TAG_LIST,
    "set_by_hand": TAG_LIST,
    "unset_by_hand": TAG_LIST,
    EXPORTED: pa.string(),
    "caption": pa.string(),
    "score": pa.float32(),
}
DEFAULT_COLUMNS = (
    "photo_id",
    "path",
    "member",
    "image_id",
    "hotel_id",
    "hotel_name",
    "chain_id",
    "chain_name",
    "date",
    "date_from",
    "latitude",
    "longitude",
    "tags",
    "sure_tags",
    "set_by_hand",
    "unset_by_hand",
    EXPORTED,
    "probabilities",
)
HOTEL_PLACE = ("latitude", "longitude")  # of a photo, or else of its hotel
NANOSECONDS = 1_000_000_000  # of a second
DIGITS = 4  # of probabilities and cosines
FLOAT_DIGITS = 6  # of float32 where it is written as a decimal number by Python


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which photos are exported: those with all the tags named, of the whole library or of a query's hits.

    tags: of the vocabulary that is exported. others: of other vocabularies; `among`: that have them, or filters leave.
    note: what people should know of the query's answer, or nothing.
    """

    tags: tuple[str, ...] = ()
    hits: Mapping[int, float] | None = None  # {photo id: score}, best first
    others: tuple[str, ...] = ()
    among: Ids | None = None  # ascending
    note: str = ""


def selected(
    catalog: Catalog, session: Session, store: SegmentStore, tagging: Tagging, tags: Sequence[str], *, named: bool
) -> Selection:
    """Return the selection of the photos that have all these tags, of whichever vocabularies.

    `named`: the vocabulary that is exported was asked for, so its tags go before those of others.

    Raises: QueryError: no vocabulary has such a tag, several have, or photos came after the last tagging with one.
    """
    if not tags:
        return Selection()
    words = vocabularies_of(catalog, session)
    own, others = [], []
    for name in tags:
        vocabulary, place = words.find(name, tagging.vocabulary if named else None)
        if vocabulary.key == tagging.vocabulary.key:
            own.append(vocabulary.names[place])
        else:
            others.append(name)
    if not others:
        return Selection(tags=tuple(own))
    choice = chosen(catalog, session, store, [Filter("tag", name) for name in others])
    if choice.untagged:
        raise QueryError(choice.note)
    return Selection(tags=tuple(own), others=tuple(others), among=choice.ids)


def left_by_filters(
    catalog: Catalog, session: Session, store: SegmentStore, filters: Sequence[Filter], selection: Selection
) -> Selection:
    """Return those photos of a selection that filters leave. Raises: QueryError: a filter asks for the impossible."""
    choice = chosen(catalog, session, store, filters)
    if choice.untagged:
        raise QueryError(choice.note)
    both = choice.ids if selection.among is None or choice.ids is None else np.intersect1d(choice.ids, selection.among)
    return replace(selection, among=selection.among if both is None else both, note=choice.note)


class TagTable:
    """The photos of a selection with the chosen columns, as a stream of record batches."""

    unit = "photos"

    def __init__(self, session: Session, tagging: Tagging, columns: Sequence[str], selection: Selection) -> None:
        self.tagging = tagging
        asked = columns or DEFAULT_COLUMNS
        given = columns_known(session) if any(name not in KINDS | DERIVED | MANY for name in asked) else []
        self.names = expanded(asked, selection.hits is not None, tagging.vocabulary.names, given)
        kinds = KINDS | DERIVED
        kinds |= {name: pa.string() for name in self.names if is_detail(name)}
        heads = [heading_of(name, KINDS | DERIVED) for name in self.names]
        self.schema = pa.schema([(h, kinds.get(name, pa.float32())) for h, name in zip(heads, self.names, strict=True)])
        self.tag_counts = np.zeros(len(tagging.vocabulary.tags), np.int64)
        self.rows = 0
        self._session = session
        self._selection = selection
        self._wanted = [tagging.vocabulary.position(tag) for tag in selection.tags]
        self._places = {name: place for place, name in enumerate(tagging.vocabulary.names)}
        self._tag_names = pa.array(tagging.vocabulary.names)
        hotels, chains = hotels_and_chains(session)
        self._hotel_ids = np.array(sorted(hotels), np.int64)
        facts = [hotels[hotel_id] for hotel_id in self._hotel_ids.tolist()]
        self._of_hotels = {
            "hotel_name": pa.array([name for name, _ in facts], pa.string()),
            "chain_id": pa.array([chain_id for _, chain_id in facts], pa.int64()),
            "chain_name": pa.array([None if chain is None else chains.get(chain) for _, chain in facts], pa.string()),
        }
        places = hotel_places(session) if set(HOTEL_PLACE) & set(self.names) else {}
        self._of_hotels |= {
            name: pa.array(
                [places.get(hotel_id, (None, None))[at] for hotel_id in self._hotel_ids.tolist()], pa.float64()
            )
            for at, name in enumerate(HOTEL_PLACE)
        }

    def batches(self) -> Iterator[Any]:
        """Yield pyarrow.RecordBatch after RecordBatch, and count rows and tags on the way."""
        hits, among = self._selection.hits, self._selection.among
        stored = {"hotel_id", "mtime_ns", *self.names} & KINDS.keys()
        ids = None if hits is None else list(hits)
        for photos in self.tagging.photos(sorted(stored), ids):
            keep = photos.decided[:, self._wanted].all(axis=1)
            if among is not None:
                keep &= np.isin(photos.photo_ids, among)
            rows = None if keep.all() else np.flatnonzero(keep)
            count = len(photos.decided) if rows is None else len(rows)
            if count:
                yield self._batch(photos, rows)
                decided = photos.decided if rows is None else photos.decided[rows]
                self.tag_counts += decided.sum(axis=0)
                self.rows += count

    def _batch(self, photos: TaggedPhotos, rows: Longs | None) -> Any:
        batch = pa.RecordBatch.from_arrays([self._column(name, photos) for name in self.names], schema=self.schema)
        return batch if rows is None else batch.take(pa.array(rows))

    def _column(self, name: str, photos: TaggedPhotos) -> Any:
        """Return one column of some photos as a pyarrow.Array."""
        if name in ("date", "date_from", *HOTEL_PLACE):
            return self._date_or_place(name, photos)
        if name in KINDS:
            return photos.columns[name]
        if is_detail(name):
            ids = photos.photo_ids.tolist()
            cells = detail_rows(self._session, name.removeprefix(DETAIL), ids)
            return pa.array([cells.get(photo_id) for photo_id in ids], pa.string())
        match name:
            case "tags":
                return chosen_names(photos.decided, self._tag_names)
            case "sure_tags":
                return chosen_names(photos.sure, self._tag_names)
            case "set_by_hand" | "unset_by_hand":
                return said(photos, present=name == "set_by_hand")
            case "exported":
                known = hashes_of(self._session, photos.photo_ids.tolist())
                hashes = [known.get(photo_id, b"") for photo_id in photos.photo_ids.tolist()]
                return pa.array(exported_cells(self.tagging.vocabulary.key, photos.decided, hashes), pa.string())
            case "caption":
                return newest_captions(self._session, photos.photo_ids.tolist())
            case "score":
                hits = self._selection.hits or {}
                return pa.array([hits.get(photo_id) for photo_id in photos.photo_ids.tolist()], pa.float32())
            case "hotel_name" | "chain_id" | "chain_name":
                return self._of_hotel(name, photos.columns["hotel_id"])
        kind, _, tag = name.removesuffix(")").partition("(")
        values = photos.probabilities if kind == PROBABILITY else photos.scores
        column = np.round(values[:, self._places[tag]], DIGITS)
        return pa.array(column, pa.float32(), from_pandas=True)  # NaN, not scored yet, becomes null

    def _date_or_place(self, name: str, photos: TaggedPhotos) -> Any:
        """Return dates, with those of files where no other is known, or places, with hotels' where none is its own."""
        known = photos.columns[name]
        if name in HOTEL_PLACE:
            return pc.coalesce(known, self._of_hotel(name, photos.columns["hotel_id"]))
        files = photos.columns["mtime_ns"]
        if name == "date_from":
            return pc.coalesce(known, pc.if_else(pc.is_valid(files), "file", pa.scalar(None, pa.string())))
        seconds = pc.cast(pc.divide(files, NANOSECONDS), pa.timestamp("s"))
        return pc.coalesce(known, pc.cast(seconds, pa.string()))  # a tenth of the time of strftime

    def _of_hotel(self, name: str, hotel_ids: Any) -> Any:
        """Return what is known of the photos' hotels; looked up in order, since hashing 50,000 ids takes longer."""
        if not len(self._hotel_ids):
            return pa.nulls(len(hotel_ids), (DERIVED | KINDS)[name])
        at = np.searchsorted(self._hotel_ids, hotel_ids.fill_null(int(self._hotel_ids[0])).to_numpy())
        return self._of_hotels[name].take(pa.array(at, mask=hotel_ids.is_null().to_numpy(zero_copy_only=False)))


def newest_captions(session: Session, ids: Sequence[int]) -> Any:
    """Return the best caption of the newest set of each photo, as a pyarrow.Array; null where it has none."""
    newest: dict[int, str] = {}
    for photo_id, captions in captions_of(session, ids).items():  # set after set, best first
        last = captions[-1][2]
        newest[photo_id] = next(text for text, _, key in captions if key == last)
    return pa.array([newest.get(photo_id) for photo_id in ids], pa.string())


def expanded(columns: Sequence[str], with_score: bool, tags: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the columns' names, with `probabilities` and `cosines` spelt out for every tag, and `details`.

    `given`: the names of the columns that lists gave photos.

    Raises: QueryError: no such column.
    """
    names: list[str] = []
    for column in columns:
        plain = column.removeprefix(DETAIL)
        if column == DETAILS and DETAILS not in given:
            names += [f"{DETAIL}{name}" for name in given]
        elif plain in given and column not in KINDS | DERIVED | MANY:
            names.append(f"{DETAIL}{plain}")
        elif column in MANY:
            names += [f"{MANY[column]}({tag})" for tag in tags]
        elif column in KINDS or column in DERIVED:
            names.append(column)
        else:
            known = ", ".join([*KINDS, *DERIVED, *MANY, DETAILS, *given])
            raise QueryError(f"no column {column!r} to export: choose of {known}")
    if with_score and "score" not in names:
        names.insert(0, "score")
    return list(dict.fromkeys(names))


def chosen_names(chosen: Bools, names: Any) -> Any:
    """Return a list of names for each row of (n, t) bool."""
    offsets = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(np.nonzero(chosen)[1])))


def said(photos: TaggedPhotos, present: bool) -> Any:
    """Return the tags that people have set, or unset, as a list for each photo."""
    if not photos.labels:
        return pa.ListArray.from_arrays(
            pa.array(np.zeros(len(photos.decided) + 1, np.int32)), pa.array([], pa.string())
        )
    labels = (photos.labels.get(photo_id, {}) for photo_id in photos.photo_ids.tolist())
    return pa.array([sorted(tag for tag, says in of_photo.items() if says is present) for of_photo in labels], TAG_LIST)


ROW_GROUP_ROWS = 65_536
FORMULA = f"^{GUARD}*[{re.escape(FORMULA_START)}]"


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: Any, /) -> int:
        """Write bytes and return their number."""
        ...


class TableWriter(Protocol):
    """Writes record batches to a file that is open."""

    def write(self, batch: Any) -> None:
        """Write a pyarrow.RecordBatch."""
        ...

    def close(self) -> None:
        """Write what comes last."""
        ...


class CsvWriter:
    """UTF-8 with a head; lists as texts with semicolons; cells that a spreadsheet would compute begin with '.

    No mark says that it is UTF-8: many programs would take one for a part of the first name. For Excel there are
    workbooks.
    """

    separator = ","

    def __init__(self, file: Sink, schema: Any, tags: Sequence[str]) -> None:
        from pyarrow.csv import CSVWriter, WriteOptions

        fields = [(guarded_text(field.name), pa.string() if is_list(field) else field.type) for field in schema]
        self._schema = pa.schema(fields)
        self._writer = CSVWriter(file, self._schema, write_options=WriteOptions(delimiter=self.separator))

    def write(self, batch: Any) -> None:
        """Write a batch."""
        columns = [self._cells(column) for column in batch.columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Write what is left in memory."""
        self._writer.close()

    @staticmethod
    def _cells(column: Any) -> Any:
        if pa.types.is_list(column.type):
            column = pc.binary_join(column, SEPARATOR)
        return guarded(column) if pa.types.is_string(column.type) else column


class TsvWriter(CsvWriter):
    """The same with tabs between the cells."""

    separator = "\t"


class XlsxWriter:
    """An Excel workbook: lists as texts with semicolons, texts as texts, numbers as numbers; written at the end."""

    def __init__(self, file: Sink, schema: Any, tags: Sequence[str]) -> None:
        self._file = file
        self._book = WorkbookWriter(schema.names, hidden=(EXPORTED,))

    def write(self, batch: Any) -> None:
        """Write a batch's rows to a file of the system's temporary folder."""
        for row in zip(*map(self._cells, batch.columns), strict=True):
            self._book.append(row)

    def close(self) -> None:
        """Write the workbook."""
        self._book.save(self._file)

    @staticmethod
    def _cells(column: Any) -> list[Any]:
        if pa.types.is_list(column.type):
            column = pc.binary_join(column, SEPARATOR)
        if pa.types.is_floating(column.type):
            column = pc.round(column.cast(pa.float64()), FLOAT_DIGITS)
        cells: list[Any] = column.to_pylist()
        return cells


class ParquetWriter:
    """Lists stay lists; rows in groups of about 65,536."""

    def __init__(self, file: Sink, schema: Any, tags: Sequence[str]) -> None:
        from pyarrow.parquet import ParquetWriter as ArrowWriter

        self._writer = ArrowWriter(file, schema)
        self._waiting: list[Any] = []

    def write(self, batch: Any) -> None:
        """Write a batch, once there are rows enough."""
        self._waiting.append(batch)
        if sum(waiting.num_rows for waiting in self._waiting) >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the file's foot."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
            self._waiting = []


class JsonlWriter:
    """One JSON object a line; nothing is left out, what is not known is null."""

    def __init__(self, file: Sink, schema: Any, tags: Sequence[str]) -> None:
        self._file = file
        self._floats = [field.name for field in schema if pa.types.is_floating(field.type)]

    def write(self, batch: Any) -> None:
        """Write a batch."""
        self._file.write("".join(json_line(record, self._floats) for record in batch.to_pylist()).encode())

    def close(self) -> None:
        """Nothing comes last."""


class CocoWriter:
    """COCO's images, categories and annotations: for each tag of a photo one whose box is the whole picture.

    COCO knows no tags of whole pictures; this is how its tools read them. A row's other columns stay with its image.
    """

    def __init__(self, file: Sink, schema: Any, tags: Sequence[str]) -> None:
        self._file = file
        self._categories = {tag: number for number, tag in enumerate(tags, start=1)}
        self._floats = [field.name for field in schema if pa.types.is_floating(field.type)]
        self._annotations = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        weakref.finalize(self, self._annotations.close)  # or when an error has stopped the export
        self._images = self._count = 0
        categories = [{"id": number, "name": tag} for tag, number in self._categories.items()]
        head = {"info": {"description": "tags by CV-Aliens"}, "licenses": [], "categories": categories}
        self._file.write(json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "images": [')

    def write(self, batch: Any) -> None:
        """Write a batch's images, and keep its annotations for the end."""
        for record in batch.to_pylist():
            width, height = record.pop("width_px") or 0, record.pop("height_px") or 0
            image = {"id": record["photo_id"], "file_name": record["path"], "width": width, "height": height}
            probabilities = {tag: record.pop(f"p({tag})", None) for tag in self._categories}
            self._file.write((", " if self._images else "").encode())
            self._file.write(json_line(image | record, self._floats).strip().encode())
            self._images += 1
            for tag in record["tags"]:
                self._count += 1
                annotation = {
                    "id": self._count,
                    "image_id": record["photo_id"],
                    "category_id": self._categories[tag],
                    "bbox": [0, 0, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    "score": probabilities[tag],
                }
                text = (", " if self._count > 1 else "") + json_line(annotation, ["score"]).strip()
                self._annotations.write(text.encode())

    def close(self) -> None:
        """Write the annotations."""
        self._file.write(b'], "annotations": [')
        self._annotations.seek(0)
        shutil.copyfileobj(self._annotations, self._file)
        self._annotations.close()
        self._file.write(b"]}\n")


TABLE_WRITERS: dict[str, Callable[[Sink, Any, list[str]], TableWriter]] = {
    "csv": CsvWriter,
    "tsv": TsvWriter,
    "xlsx": XlsxWriter,
    "jsonl": JsonlWriter,
    "parquet": ParquetWriter,
}


def json_line(record: dict[str, Any], floats: Sequence[str]) -> str:
    """Return a record as one line; float32 values in the few digits that they were rounded to."""
    for name in floats:
        if record.get(name) is not None:
            record[name] = round(record[name], FLOAT_DIGITS)
    return json.dumps(record, ensure_ascii=False) + "\n"


def guarded(column: Any) -> Any:
    """Return a string column whose cells no spreadsheet takes for formulas; `files.unguarded` undoes it."""
    risky = pc.fill_null(pc.match_substring_regex(column, FORMULA), False)
    if not pc.any(risky).as_py():
        return column
    return pc.if_else(risky, pc.binary_join_element_wise(GUARD, column, ""), column)


def guarded_text(text: str) -> str:
    """Return one text that no spreadsheet takes for a formula."""
    return GUARD + text if re.match(FORMULA, text) else text


def is_list(field: Any) -> bool:
    """Tell whether a field holds lists."""
    return bool(pa.types.is_list(field.type))
