import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import QueryError
from base.settings import LibraryFolder, asset
from search.export.tables import (
    DEFAULT_COLUMNS,
    CocoWriter,
    CsvWriter,
    JsonlWriter,
    ParquetWriter,
    TsvWriter,
    guarded,
    guarded_text,
)
from search.tags.tag_files import unguarded
from tests.conftest import LibraryFactory
from tests.search.export.conftest import EVIL_NAMES, EVIL_TAGS, decided_tags, evil_vocabulary, export, tag

FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")
texts = st.text(st.characters(codec="utf-8") | st.sampled_from("=+-@'\t\r\n＝＋－＠"), max_size=8)


SIZES = {"width_px": pa.int64(), "height_px": pa.int64()}
SCHEMA = pa.schema({"photo_id": pa.int64(), "path": pa.string(), "tags": pa.list_(pa.string()), **SIZES})


def record(path: str, tags: list[str]) -> pa.RecordBatch:
    values = {"photo_id": 1, "path": path, "tags": tags, "width_px": 3, "height_px": 2}
    return pa.RecordBatch.from_pylist([values], schema=SCHEMA)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@given(st.lists(texts | st.none(), min_size=1))
def test_what_guards_a_column_can_be_undone(cells: list[str | None]) -> None:
    column = guarded(pa.array(cells, pa.string())).to_pylist()
    assert [cell if cell is None else unguarded(cell) for cell in column] == cells
    assert not any(cell.startswith(FORMULA_STARTS) for cell in column if cell)


@given(texts)
def test_a_head_is_guarded_as_a_cell_is(text: str) -> None:
    assert guarded_text(text) == guarded(pa.array([text])).to_pylist()[0]
    assert unguarded(guarded_text(text)) == text


@given(st.lists(st.tuples(texts, st.lists(texts.filter(lambda text: ";" not in text))), min_size=1))
def test_pythons_csv_reads_back_every_text(rows: list[tuple[str, list[str]]]) -> None:
    sink = io.BytesIO()
    schema = pa.schema([("name", pa.string()), ("tags", pa.list_(pa.string()))])
    writer = CsvWriter(sink, schema, [])
    names, tags = zip(*rows, strict=True)
    writer.write(
        pa.RecordBatch.from_arrays([pa.array(names), pa.array(tags, schema.field("tags").type)], schema=schema)
    )
    writer.close()
    read = list(csv.reader(io.StringIO(sink.getvalue().decode(), newline="")))
    assert read[0] == ["name", "tags"]
    assert [(unguarded(name), unguarded(cell)) for name, cell in read[1:]] == [(n, ";".join(t)) for n, t in rows]


def test_awkward_names_and_tags_come_through_csv(small: LibraryFactory, tmp_path: Path) -> None:
    export(small.folder, tmp_path / "out.csv")
    rows = rows_of(tmp_path / "out.csv")
    assert [unguarded(row["hotel_name"]) for row in rows] == EVIL_NAMES
    assert {unguarded(row["chain_name"]) for row in rows} == {'=HYPERLINK("x"),'}
    decided = decided_tags(small.folder)
    for row in rows:
        assert unguarded(row["tags"]).split(";") == decided[int(row["photo_id"])]
        assert Path(unguarded(row["path"])).is_file()
    for place, name in enumerate(EVIL_TAGS):
        assert name in unguarded(rows[place]["set_by_hand"]).split(";")


def test_no_cell_and_no_head_is_a_formula(small: LibraryFactory, tmp_path: Path) -> None:
    export(small.folder, tmp_path / "out.csv", columns=[*DEFAULT_COLUMNS, "cosines"])
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    risky = [cell for cell in cells if cell.startswith(FORMULA_STARTS) and not is_number(cell)]
    assert risky == []
    assert sum(cell.startswith("'") for cell in cells) > 10  # there was something to guard


def test_a_head_that_is_a_formula_is_guarded() -> None:
    sink = io.BytesIO()
    CsvWriter(sink, pa.schema([("=evil", pa.string()), ("tame", pa.string())]), []).close()
    assert next(csv.reader(io.StringIO(sink.getvalue().decode()))) == ["'=evil", "tame"]


def test_pandas_reads_csv_as_python_does(small: LibraryFactory, tmp_path: Path) -> None:
    export(small.folder, tmp_path / "out.csv")
    frame = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert frame.to_dict("records") == rows_of(tmp_path / "out.csv")
    numbers = pd.read_csv(tmp_path / "out.csv")
    assert numbers["photo_id"].tolist() == list(range(1, 11))
    assert numbers["p(+1)"].between(0, 1).all()


def test_the_columns_stand_in_the_same_order_every_time(tagged_samples: LibraryFolder, tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        export(tagged_samples, tmp_path / name, "csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    head = list(rows_of(tmp_path / "one.csv")[0])
    fixed = list(DEFAULT_COLUMNS[:-1])
    assert head[: len(fixed)] == fixed
    assert head[len(fixed)] == "p(a pool)"
    assert head[-1] == "p(a table)"


def test_json_lines_are_objects_without_nan(unscored: LibraryFactory, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    tag(unscored.folder, evil_vocabulary(), unscored.encoder)
    export(unscored.folder, tmp_path / "out.jsonl", columns=["photo_id", "tags", "caption", "cosines"])
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    records = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [record["photo_id"] for record in records] == list(range(1, 12))
    decided = decided_tags(unscored.folder)
    assert [record["tags"] for record in records] == [decided[record["photo_id"]] for record in records]
    assert records[10]["caption"] is None
    assert -1 <= records[10]["cos(+1)"] <= 1
    assert len(str(records[0]["cos(+1)"])) <= 7  # the digits of a float32 that was rounded, not of a float64


def test_parquet_holds_lists_and_nulls(unscored: LibraryFactory, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="1 photo came after the last tagging: run `aliens tag` first"):
        export(unscored.folder, tmp_path / "out.parquet")
    tag(unscored.folder, evil_vocabulary(), unscored.encoder)
    export(unscored.folder, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.field("tags").type == pa.list_(pa.field("element", pa.string()))
    assert table.column("hotel_name").null_count == 1
    assert not table.column("hotel_name")[10].is_valid
    decided = decided_tags(unscored.folder)
    assert table.column("tags").to_pylist() == [decided[photo_id] for photo_id in range(1, 12)]
    frame = pd.read_parquet(tmp_path / "out.parquet")
    assert [list(tags) for tags in frame["tags"]] == table.column("tags").to_pylist()
    assert frame["hotel_name"].isna().sum() == 1


def test_parquet_groups_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.export.tables.ROW_GROUP_ROWS", 3)
    schema = pa.schema([("n", pa.int64())])
    sink = io.BytesIO()
    writer = ParquetWriter(sink, schema, [])
    for start in range(0, 20):
        writer.write(pa.RecordBatch.from_arrays([pa.array([start])], schema=schema))
    writer.close()
    file = pq.ParquetFile(io.BytesIO(sink.getvalue()))
    assert file.read().column("n").to_pylist() == list(range(20))
    assert file.num_row_groups == 7


def test_coco_is_consistent(tagged_samples: LibraryFolder, tmp_path: Path) -> None:
    export(tagged_samples, tmp_path / "out.json")
    content: dict[str, Any] = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    with open(asset("search/vocabularies") / "case-study.toml", encoding="utf-8") as file:
        names = [line.split('"')[1] for line in file if line.startswith('"') and line.rstrip().endswith("= []")]
    assert [category["name"] for category in content["categories"]] == names
    assert [category["id"] for category in content["categories"]] == list(range(1, 16))
    images = {image["id"]: image for image in content["images"]}
    assert len(images) == len(content["images"]) == 240
    annotations = content["annotations"]
    assert [annotation["id"] for annotation in annotations] == list(range(1, len(annotations) + 1))
    tags: dict[int, list[str]] = {photo_id: [] for photo_id in images}
    for annotation in annotations:
        image = images[annotation["image_id"]]
        assert annotation["bbox"] == [0, 0, image["width"], image["height"]]
        assert annotation["area"] == image["width"] * image["height"] > 0
        assert 0 <= annotation["score"] <= 1
        tags[annotation["image_id"]].append(names[annotation["category_id"] - 1])
    assert tags == decided_tags(tagged_samples)
    assert all(Path(image["file_name"]).is_file() for image in images.values())


def test_coco_with_no_tag_at_all_is_valid_json() -> None:
    sink = io.BytesIO()
    writer = CocoWriter(sink, SCHEMA, ["a pool"])
    writer.write(record("x", []))
    writer.close()
    content = json.loads(sink.getvalue())
    assert (len(content["images"]), content["annotations"]) == (1, [])


@pytest.mark.parametrize("writer", [CsvWriter, TsvWriter, JsonlWriter, CocoWriter])
def test_text_is_utf_8_without_a_mark(writer: Any) -> None:
    sink = io.BytesIO()
    opened = writer(sink, SCHEMA, ["浴缸"])
    opened.write(record("東京", ["浴缸"]))
    opened.close()
    assert "東京" in sink.getvalue().decode("utf-8")
    assert "浴缸" in sink.getvalue().decode("utf-8")
    assert not sink.getvalue().startswith(b"\xef\xbb\xbf")
