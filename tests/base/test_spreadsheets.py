"""What spreadsheets make of tables, read back; and workbooks written."""

import codecs
import csv
import io
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base import spreadsheets
from base.errors import QueryError
from base.spreadsheets import (
    WorkbookWriter,
    cell_text,
    has_column,
    is_workbook,
    refuse_rows,
    separator_of,
    table_records,
    western,
)

KNOWN = ("photo_id", "path", "tags")
ROWS = [
    ["photo_id", "p(a, b)", "path", "tags"],
    ["1", "0.5", "/hôtel/ü – ß.jpg", "a tv;a pool"],
    ["2", "", "/東.jpg", ""],
]
EXPECTED = [
    {"photo_id": "1", "path": "/hôtel/ü – ß.jpg", "tags": "a tv;a pool"},
    {"photo_id": "2", "path": "/東.jpg", "tags": ""},
]


def csv_text(rows: list[list[str]] = ROWS, separator: str = ",", ends: str = "\r\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=ends).writerows(rows)
    return text.getvalue()


def csv_file(folder: Path, data: bytes | str, name: str = "table.csv") -> Path:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder / name


def workbook(path: Path, rows: list[list[Any]], title: str | None = None) -> Path:
    """Write a workbook as spreadsheets do; where a title is given, behind a sheet of notes."""
    book = openpyxl.Workbook()
    sheet = book.active
    if title is not None:
        sheet.append(["what this is", "tags"])
        sheet = book.create_sheet(title)
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


def records(path: Path, remarks: list[str] | None = None) -> list[dict[str, str]]:
    return [record for _, record in table_records(path, KNOWN, remarks)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_table_is_read_with_any_separator_mark_and_end_of_lines(
    tmp_path: Path, separator: str, encoding: str, ends: str
) -> None:
    remarks: list[str] = []
    path = csv_file(tmp_path, csv_text(separator=separator, ends=ends).encode(encoding))
    assert records(path, remarks) == EXPECTED
    assert remarks == []
    assert has_column(path, "path")
    assert not has_column(path, "caption")


def test_utf_16_is_read_in_both_orders_of_bytes(tmp_path: Path) -> None:
    data = codecs.BOM_UTF16_BE + csv_text(separator="\t").encode("utf-16-be")
    assert records(csv_file(tmp_path, data)) == EXPECTED


def test_excels_plain_csv_keeps_its_accents_and_is_told_of_once(tmp_path: Path) -> None:
    remarks: list[str] = []
    rows = [ROWS[0], ROWS[1], ["3", "", "/“é”.jpg", ""]]
    path = csv_file(tmp_path, csv_text(rows, ";").encode("cp1252"))
    assert [record["path"] for record in records(path, remarks)] == ["/hôtel/ü – ß.jpg", "/“é”.jpg"]
    assert len(remarks) == 1
    assert "table.csv is not UTF-8, but read as Excel's plain CSV of western Europe (cp1252)" in remarks[0]


def test_what_somebody_typed_may_stand_beside_utf_8_that_excel_did_not_understand(tmp_path: Path) -> None:
    utf8 = csv_text().encode()
    shown = utf8.decode("cp1252", "surrogateescape")  # as Excel opens an unmarked file
    edited = shown.replace("a pool", "a café").encode("cp1252", "surrogateescape")
    assert [record["tags"] for record in records(csv_file(tmp_path, edited))] == ["a tv;a café", ""]
    assert records(csv_file(tmp_path, edited))[0]["path"] == EXPECTED[0]["path"]


@given(st.text(st.characters(codec="utf-8")))
def test_utf_8_is_never_read_as_anything_else(text: str) -> None:
    assert western(text.encode().decode("utf-8", "surrogateescape")) == text


@given(st.text("aé–ß“ü€ ", min_size=1))
def test_windows_letters_between_plain_ones_are_read(text: str) -> None:
    spaced = " ".join(text)
    assert western(spaced.encode("cp1252").decode("utf-8", "surrogateescape")) == spaced


@pytest.mark.parametrize(
    ("head", "separator"),
    [
        ("photo_id;p(a, b);p(c, d);p(e, f, g);tags", ";"),
        ('photo_id,tags,"a;b;c;d;e"', ","),
        ("photo_id\ttags", "\t"),
        ("tags", ","),
        ("x;y;z", ";"),
        ("", ","),
    ],
)
def test_the_separator_is_that_by_which_columns_are_known(head: str, separator: str) -> None:
    assert separator_of(head, KNOWN) == separator


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line", ["sep={}\r\n", "SEP={}\n", '"sep={}"\r'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_first_line_that_names_the_separator_is_no_row(
    tmp_path: Path, separator: str, line: str, encoding: str
) -> None:
    text = line.format(separator) + csv_text(separator=separator, ends="\n")
    path = csv_file(tmp_path, text.encode(encoding))
    assert list(table_records(path, KNOWN)) == [(3, EXPECTED[0]), (4, EXPECTED[1])]
    assert has_column(path, "path")


def test_a_separator_that_is_named_goes_before_what_the_head_looks_like(tmp_path: Path) -> None:
    assert records(csv_file(tmp_path, "sep=;\nx,y,z;tags\na,b,c;a tv\n")) == [{"tags": "a tv"}]
    assert records(csv_file(tmp_path, "sep=;\n")) == []


def test_columns_may_stand_in_any_order_beside_others_and_rows_may_be_empty_or_short(tmp_path: Path) -> None:
    text = ",,,\nTAGS, Path ,note,PHOTO_ID,,\na tv,/a,x,1,,\n,,,,,\n\n,/b\n, , ,,,\n"
    found = list(table_records(csv_file(tmp_path, text), KNOWN))
    assert found == [
        (3, {"tags": "a tv", "path": "/a", "photo_id": "1"}),
        (6, {"tags": "", "path": "/b", "photo_id": ""}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photo_id,tags,TAGS\n1,a,b\n", "table.csv:1: there are two columns 'tags'"),
        ("id,words\n1,a\n", "table.csv:1: it has no column photo_id or path or tags, but id, words"),
        ("photo_id,tags\n".encode("utf-16-le").decode(), "it is no text, or UTF-16 without its mark: save it as"),
        ("path,tags\n/a,b.jpg,a tv\n", "table.csv:2: there are 3 cells, but 2 columns: put quotes around"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        records(csv_file(tmp_path, text))


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert records(csv_file(tmp_path, "")) == []


# Workbooks


@pytest.mark.parametrize("title", [None, "Sheet2"])
def test_a_workbook_is_known_by_what_it_is_and_its_sheet_by_its_columns(tmp_path: Path, title: str | None) -> None:
    path = workbook(tmp_path / "table.csv", [*ROWS, [None, None], []], title)
    assert is_workbook(path)
    assert records(path) == EXPECTED
    assert records(csv_file(tmp_path, csv_text(), "text.xlsx")) == EXPECTED


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (7, "7"),
        (7.0, "7"),
        (0.25, "0.25"),
        (True, "TRUE"),
        (False, "FALSE"),
        (date(2024, 3, 1), "2024-03-01"),
        (datetime(2024, 3, 1), "2024-03-01"),
        (datetime(2024, 3, 1, 12, 30), "2024-03-01T12:30:00"),
        (time(12, 30), "12:30:00"),
        ("a_x000D_b", "a\rb"),
    ],
)
def test_a_workbooks_cell_is_the_text_that_a_spreadsheet_shows(value: object, text: str) -> None:
    assert cell_text(value) == text


def with_cells(path: Path, old: str, new: str) -> Path:
    """Write a workbook anew with other XML in its sheet."""
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    assert old.encode() in parts[sheet]
    parts[sheet] = parts[sheet].replace(old.encode(), new.encode())
    with ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


UNCOMPUTED = '<c r="B3"><f>LOWER("A")</f><v /></c>'


def with_formula(folder: Path) -> Path:
    return workbook(folder / "t.xlsx", [["photo_id", "tags"], [1, "a tv"], [2, '=LOWER("A")']])


@pytest.mark.parametrize("cell", [UNCOMPUTED, '<c r="B3"><f>LOWER("A")</f></c>'])
def test_a_formula_that_was_not_computed_is_refused_with_the_remedy(tmp_path: Path, cell: str) -> None:
    path = with_cells(with_formula(tmp_path), UNCOMPUTED, cell)
    with pytest.raises(ValueError, match="row 3: a formula without a value: open the file in a spreadsheet and save"):
        records(path)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<c r="B3" t="str"><f>LOWER("A")</f><v>a</v></c>', "a"),
        ('<c r="B3" t="str"><f>LOWER("")</f><v></v></c>', ""),
        ('<c r="B3"><f>1-1</f><v>0</v></c>', "0"),
        ('<c r="B3" t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
    ],
)
def test_a_formula_counts_as_what_it_was_computed_to(tmp_path: Path, cell: str, text: str) -> None:
    path = with_cells(with_formula(tmp_path), UNCOMPUTED, cell)
    assert [record["tags"] for record in records(path)] == ["a tv", text]


@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
def test_formulas_are_found_wherever_a_sheet_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(spreadsheets, "SCANNED_BYTES", at_once)
    with pytest.raises(ValueError, match="row 3: a formula without a value"):
        records(with_formula(tmp_path))
    assert records(workbook(tmp_path / "plain.xlsx", ROWS)) == EXPECTED


@pytest.mark.parametrize(
    ("start", "message"),
    [(spreadsheets.OLE_START, "older Excel file, or one with a password"), (spreadsheets.ZIP_START, "no sound Excel")],
)
def test_a_workbook_that_cannot_be_read_is_refused_with_the_remedy(tmp_path: Path, start: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"{message}.*\.csv"):
        records(csv_file(tmp_path, start + b"\0" * 600, "table.xlsx"))


def test_a_damaged_workbook_is_refused_wherever_it_is_damaged(tmp_path: Path) -> None:
    whole = workbook(tmp_path / "t.xlsx", ROWS).read_bytes()
    refused = 0
    for place in range(0, len(whole), 97):
        damaged = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        try:
            records(csv_file(tmp_path, damaged, "damaged.xlsx"))
        except ValueError:
            refused += 1
    assert refused > 20


@given(
    st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@#'\t\n\r＝"),
            max_size=9,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_texts_come_through_a_workbook_as_texts(cells: list[str]) -> None:
    cells = ["".join(c for c in cell if c not in "\ufffe\uffff") for cell in cells]
    writer, data = WorkbookWriter(["n", *map(str, range(len(cells)))]), io.BytesIO()
    writer.append([1.5, *cells])
    writer.save(data)
    _, (number, *read) = openpyxl.load_workbook(data).active.iter_rows()
    assert (number.value, number.data_type) == (1.5, "n")
    assert [cell_text(cell.value) for cell in read] == [cell.replace("\r\n", "\r\n") for cell in cells]
    assert all(cell.data_type == "s" for cell, text in zip(read, cells, strict=True) if text)


def test_what_looks_like_a_formula_stays_a_text_when_somebody_has_been_in_its_cell() -> None:
    writer, data = WorkbookWriter(["a", "b", "exported"], hidden=["exported"]), io.BytesIO()
    writer.append(["=1+1", "#N/A", "x"])
    writer.save(data)
    sheet = openpyxl.load_workbook(data).active
    assert [(c.value, c.data_type, c.quotePrefix) for c in sheet[2]][:2] == [("=1+1", "s", True), ("#N/A", "s", True)]
    assert sheet.freeze_panes == "A2"
    assert [sheet.column_dimensions[name].hidden for name in "ABC"] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 32_768, r"row 3: 'x+' is longer than a cell can be \(32767 characters\): end the file's name in \.csv"),
        ("🏨" * 16_384, r"row 3: .* is longer than a cell can be"),
        ("bell\x07", r"row 3: 'bell\\x07' has a control character, which a workbook cannot hold: end .*\.csv"),
        ("\uffff", "row 3: .* has a control character"),
    ],
)
def test_what_a_workbook_cannot_hold_is_refused_with_the_remedy(text: str, message: str) -> None:
    writer = WorkbookWriter(["name"])
    writer.append(["x" * 32_767])
    with pytest.raises(QueryError, match=message):
        writer.append([text])


def test_more_rows_or_columns_than_a_sheet_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_rows(1_048_575)
    with pytest.raises(QueryError, match=r"1048576 rows are more than a workbook holds \(1048575\): end .*\.csv"):
        refuse_rows(1_048_576)
    with pytest.raises(QueryError, match=r"16385 columns are more than a workbook holds \(16384\)"):
        WorkbookWriter([str(number) for number in range(16_385)])
    monkeypatch.setattr(spreadsheets, "MOST_ROWS", 3)
    writer = WorkbookWriter(["n"])
    writer.append([1])
    writer.append([2])
    with pytest.raises(QueryError, match="3 rows are more than a workbook holds"):
        writer.append([3])


def test_a_workbook_that_is_not_saved_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    writer = WorkbookWriter(["n"])
    writer.append([1])
    assert len(list(tmp_path.iterdir())) == 1
    del writer
    assert list(tmp_path.iterdir()) == []
