"""Tables of tags as files: CSV that spreadsheets may open, JSON Lines, Parquet, COCO. Batches in, bytes out."""

import json
import re
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from search.tags.files import FORMULA_START, GUARD
from search.tags.vocabulary import SEPARATOR

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
    """UTF-8 with a head; lists as texts with semicolons; cells that a spreadsheet would compute begin with '."""

    def __init__(self, file: Sink, schema: Any, tags: Sequence[str]) -> None:
        from pyarrow.csv import CSVWriter

        fields = [(guarded_text(field.name), pa.string() if is_list(field) else field.type) for field in schema]
        self._schema = pa.schema(fields)
        self._writer = CSVWriter(file, self._schema)

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


def json_line(record: dict[str, Any], floats: Sequence[str]) -> str:
    """Return a record as one line; float32 values in the few digits that they were rounded to."""
    for name in floats:
        if record.get(name) is not None:
            record[name] = round(record[name], 6)
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
