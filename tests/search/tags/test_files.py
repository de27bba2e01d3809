import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.parquet import write_table

from base.errors import QueryError
from search.tags.tag_files import TagRow, known_tag, read_tag_file, unguarded
from search.tags.vocabulary import bare

RECORDS: list[dict[str, Any]] = [
    {"photo_id": 1, "image_id": 500001, "path": "a/1.jpg", "member": "", "tags": ["a pool", "a tv"]},
    {"photo_id": 2, "image_id": None, "path": "/b.tar", "member": "2.jpg", "tags": ["?a bar", "a tv"]},
    {"photo_id": 3, "image_id": 500003, "path": None, "member": None, "tags": []},
]


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    return [(row.photo_id, row.image_id, row.path, row.member, row.tags, row.unknown) for row in read_tag_file(path)]


def expected(folder: Path) -> list[tuple[Any, ...]]:
    return [
        (1, 500001, str(folder / "a/1.jpg"), "", ("a pool", "a tv"), ()),
        (2, None, "/b.tar", "2.jpg", ("a tv",), ("a bar",)),
        (3, 500003, None, "", (), ()),
    ]


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


CSV = (
    "photo_id,image_id,path,member,tags,other\n"
    "1,500001,a/1.jpg,,a pool; a tv;,x\n"
    "2,,/b.tar,2.jpg,? a bar;a tv,\n"
    "3,500003,,,,\n"
)


# Formats


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_csv_file_is_read(tmp_path: Path, start: bytes, ends: str) -> None:
    path = written(tmp_path / "tags.csv", start + CSV.replace("\n", ends).encode())
    assert rows_of(path) == expected(tmp_path)


@pytest.mark.parametrize("name", ["tags.jsonl", "folder/metadata.jsonl"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_json_lines_and_imagefolders_are_read(tmp_path: Path, name: str, start: bytes) -> None:
    lines = "\n\n".join(json.dumps(record) for record in RECORDS)
    path = written(tmp_path / name, start + lines.encode())
    assert rows_of(path.parent if "folder" in name else path) == expected(path.parent)


def test_a_parquet_file_is_read_without_its_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "tags.parquet"
    write_table(pa.Table.from_pylist([record | {"p(a pool)": 0.5} for record in RECORDS]), path)
    assert rows_of(path) == expected(tmp_path)


def test_a_coco_file_is_read(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg", "image_id": 5, "member": "m"}],
        "categories": [{"id": 1, "name": "a pool"}, {"id": 2, "name": "a tv"}],
        "annotations": [{"image_id": 7, "category_id": 2}, {"image_id": 7, "category_id": 1}],
    }
    path = written(tmp_path / "tags.json", json.dumps(content))
    assert rows_of(path) == [
        (7, None, str(tmp_path / "a.jpg"), "", ("a tv", "a pool"), ()),
        (8, 5, str(tmp_path / "b.jpg"), "m", (), ()),
    ]


def test_an_imagefolders_file_name_is_a_path_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path / "metadata.jsonl", '{"file_name": "images/0000/1.jpg", "tags": "a pool;a tv"}')
    assert rows_of(path) == [(None, None, str(tmp_path / "images/0000/1.jpg"), "", ("a pool", "a tv"), ())]


def test_labels_that_an_export_carried_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "photo_id,tags,set_by_hand,unset_by_hand\n1,a tv,a pool;a tv,a bar\n")
    (row,) = read_tag_file(path)
    assert row == TagRow(f"{path}:2", 1, None, None, "", ("a tv",), (), ("a pool", "a tv"), ("a bar",))


def test_a_row_is_named_by_its_line_even_after_a_cell_of_several_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 'photo_id,note,tags\n1,"two\nlines",a tv\n2,,a tv\n')
    assert [row.where for row in read_tag_file(path)] == [f"{path}:3", f"{path}:4"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("'=cmd|'/c calc'!A1", "=cmd|'/c calc'!A1"),
        ("'+1", "+1"),
        ("'＝1", "＝1"),
        ("''=1", "'=1"),
        ("'twas", "'twas"),
        ("'", "'"),
        ("", ""),
        ("=1", "=1"),
    ],
)
def test_what_an_export_put_before_a_formula_is_taken_away_and_nothing_else(cell: str, expected: str) -> None:
    assert unguarded(cell) == expected


@given(st.text(alphabet="'=+-@ab", max_size=5))
def test_a_guarded_formula_is_read_back(rest: str) -> None:
    for start in "=+-@":
        assert unguarded(f"'{start}{rest}") == start + rest


def test_a_formula_is_an_ordinary_tag(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "photo_id,tags\n1,'=cmd|'/c calc'!A1;a tv;'tis\n")
    names = {bare("=cmd|'/c calc'!A1"), "tv", "'tis"}
    assert [known_tag(tag, names) for tag in rows_of(path)[0][4]] == ["=cmd|'/c calc'!a1", "tv", "'tis"]
    assert known_tag("'=other", names) is None


# What cannot be read


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", '{"photo_id": 1, "tags": []}\n{"photo_id": 2, "tags": ["\xe9"]}'.encode("latin-1"), r":2: .*utf-8"),
        ("t.csv", "photo_id,tag\n1,a tv\n", r"t\.csv:2: there is no column 'tags'"),
        ("t.csv", "photo,tag\n1,a tv\n", r"t\.csv:1: it has no column photo_id or .*, but photo, tag"),
        ("t.csv", "photo_id,tags,Tags\n1,a tv,\n", r"t\.csv:1: there are two columns 'tags'"),
        ("t.csv", "photo_id,path,tags\n1,a, b.jpg,a tv\n", r"t\.csv:2: there are 4 cells, but 3 columns: put quotes"),
        ("t.csv", "photo_id,tags,exported\n1,a tv,x\n", r"t\.csv:2: exported is 'x', which no export wrote"),
        ("t.csv", "photo_id,tags\n1.2E+05,a tv\n", r"t\.csv:2: photo_id is '1.2E\+05', not a whole number"),
        ("t.csv", "tags\na tv\n", r"t\.csv:2: no photo_id, image_id or path"),
        ("t.csv", "photo_id,tags\n1,a tv\nseven,a tv\n", r"t\.csv:3: photo_id is 'seven', not a whole number"),
        ("t.csv", f"photo_id,tags\n1,{'x' * 200_000}\n", "field larger than field limit"),
        ("t.jsonl", '{"photo_id": 1, "tags": []}\n{"photo_id": 2, "tags"\n', r"t\.jsonl:2: "),
        ("t.jsonl", '{"photo_id": 1, "tags": []}\n[1]\n', r"t\.jsonl:2: there is no column 'tags'"),
        ("t.jsonl", '{"photo_id": 1, "tags": 5}\n', r"t\.jsonl:1: tags is 5, not a list or a text"),
        ("t.jsonl", '{"photo_id": 1, "tags": {"a tv": 1}}\n', r"t\.jsonl:1: tags is .*, not a list or a text"),
        ("t.jsonl", '{"photo_id": 1, "tags": [7]}\n', r"t\.jsonl:1: tags is \[7\], not a list or a text"),
        ("t.jsonl", '{"photo_id": 1, "tags": [], "set_by_hand": true}\n', r":1: set_by_hand is True, not a list"),
        ("t.jsonl", '{"photo_id": 1.5, "tags": []}\n', r"t\.jsonl:1: photo_id is 1\.5, not a whole number"),
        ("t.jsonl", '{"photo_id": true, "tags": []}\n', r"t\.jsonl:1: photo_id is True, not a whole number"),
        ("t.jsonl", '{"photo_id": Infinity, "tags": []}\n', r"t\.jsonl:1: photo_id is inf, not a whole number"),
        ("t.jsonl", '{"image_id": NaN, "tags": []}\n', r"t\.jsonl:1: image_id is nan, not a whole number"),
        ("t.jsonl", '{"image_id": [1], "tags": []}\n', r"t\.jsonl:1: image_id is \[1\], not a whole number"),
        ("t.csv", f"photo_id,tags\n1{'0' * 30},a tv\n", r"t\.csv:2: photo_id is .*, not a whole number"),
        ("t.jsonl", '{"path": "\\ud800", "tags": []}\n', r"t\.jsonl:1: .*path"),
        (
            "t.jsonl",
            '{"photo_id": 1, "tags": []}\n' + "[" * 5_000 + "]" * 5_000,
            r"t\.jsonl:2: it is nested more than 100 deep",
        ),
        ("t.jsonl", f'{{"photo_id": 1, "tags": {"[" * 200}{"]" * 200}}}', r"t\.jsonl:1: it is nested more than 100"),
        (
            "t.json",
            "[" * 5_000 + "]" * 5_000,
            "t.json cannot be read as a .json file of tags: it is nested more than 100 deep",
        ),
        ("t.parquet", b"PAR1 or not", "t.parquet cannot be read as a .parquet file"),
        ("t.json", "[]", "a COCO file holds images, annotations and categories"),
        ("t.json", "{", "cannot be read as a .json file"),
        ("t.json", '{"images": [{}], "annotations": [], "categories": []}', "cannot be read as a .json file"),
        ("t.json", '{"images": 5, "annotations": [], "categories": []}', "cannot be read as a .json file"),
        ("t.json", '{"images": [], "annotations": [{"image_id": 1, "category_id": 9}], "categories": []}', "cannot be"),
        ("t.ods", "", "tags cannot be read from 't.ods': give a .csv, .tsv, .txt, .xlsx"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = written(tmp_path / name, content)
    with pytest.raises(QueryError, match=message):
        list(read_tag_file(path))


BROKEN = ["\udc80", "\ud800", "a\udfffb"]
LISTS = ["tags", "set_by_hand", "unset_by_hand"]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("column", ["path", "file_name", "member", *LISTS])
def test_half_a_character_in_json_lines_is_refused_with_line_and_column(
    tmp_path: Path, broken: str, column: str
) -> None:
    for cell in (broken, ["a tv", broken])[: 1 + (column in LISTS)]:
        record = {"photo_id": 2, "tags": []} | {column: cell}
        path = written(tmp_path / "t.jsonl", '{"photo_id": 1, "tags": []}\n' + json.dumps(record))
        with pytest.raises(QueryError, match=rf"t\.jsonl:2: {column} is .*which holds half a character"):
            list(read_tag_file(path))


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("column", ["path", "file_name", "member", "tags"])
def test_half_a_character_in_a_coco_file_is_refused_with_image_and_column(
    tmp_path: Path, broken: str, column: str
) -> None:
    images: list[dict[str, Any]] = [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}]
    name = broken if column == "tags" else "a pool"
    if column != "tags":
        images[1][column] = broken
    content = {"images": images, "categories": [{"id": 1, "name": name}]}
    path = written(tmp_path / "t.json", json.dumps(content | {"annotations": [{"image_id": 8, "category_id": 1}]}))
    shown = "path" if column == "file_name" else column  # a COCO image's path is its file_name
    with pytest.raises(QueryError, match=rf"t\.json:2: {shown} is .*which holds half a character"):
        list(read_tag_file(path))


@pytest.mark.parametrize("column", ["path", "member", "tags", "set_by_hand"])
def test_a_parquet_cell_that_is_not_utf_8_is_refused_with_row_and_column(tmp_path: Path, column: str) -> None:
    columns: dict[str, Any] = {"photo_id": pa.array([1, 2]), "path": pa.array(["a", "b"])}
    columns |= {"tags": pa.array([["a tv"], ["a tv"]]), "member": pa.array(["", ""])}
    raw = pa.array([b"fine", b"caf\xe9"]).cast(pa.binary()).view(pa.string())
    columns[column] = pa.ListArray.from_arrays([0, 1, 2], raw) if column in ("tags", "set_by_hand") else raw
    write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(QueryError, match=rf"t\.parquet:2: {column} is not UTF-8 .*: write it as UTF-8"):
        list(read_tag_file(tmp_path / "t.parquet"))


def test_bytes_of_half_a_character_are_not_utf_8(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", b'\n{"photo_id": 1, "tags": "\xed\xa0\x80"}\n')
    with pytest.raises(QueryError, match=r"t\.jsonl:2: the file is not UTF-8 .*: save it as UTF-8"):
        list(read_tag_file(path))


@pytest.mark.parametrize("value", ["7", '["a.jpg"]', "{}", "true"])
def test_a_path_that_is_no_text_is_refused(tmp_path: Path, value: str) -> None:
    path = written(tmp_path / "t.jsonl", f'{{"path": {value}, "tags": []}}')
    with pytest.raises(QueryError, match=r"t\.jsonl:1: path is .*, not a text"):
        list(read_tag_file(path))


def test_in_a_folder_that_is_no_utf_8_only_absolute_paths_name_photos(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system knows UTF-8 alone")
    (folder / "t.csv").write_text("path,tags\n/a.jpg,a tv\nb.jpg,a tv\n", encoding="utf-8")
    rows = read_tag_file(folder / "t.csv")
    assert next(rows).path == "/a.jpg"
    with pytest.raises(QueryError, match=r"relative to a folder whose name is no UTF-8.*rename that folder"):
        next(rows)


def test_rows_before_the_error_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "photo_id,tags\n1,a tv\nseven,a tv\n")
    rows = read_tag_file(path)
    assert next(rows).photo_id == 1
    with pytest.raises(QueryError, match="seven"):
        next(rows)


@pytest.mark.parametrize("name", ["gone.csv", "gone.jsonl", "gone.parquet", "gone.json", "folder"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(QueryError, match=rf"{name}(/metadata\.jsonl)? cannot be read: .*[Nn]o such file"):
        list(read_tag_file(tmp_path / name))


@pytest.mark.parametrize("value", [7, 7.0, "7", "7.0", "7,00", np.int64(7)])
def test_a_whole_number_may_be_written_in_several_ways(value: Any) -> None:
    from search.tags.tag_files import number

    assert number({"photo_id": value}, "photo_id", "here") == 7
    assert number({"photo_id": ""}, "photo_id", "here") is None
    assert number({}, "photo_id", "here") is None
