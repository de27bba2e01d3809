import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from base.errors import QueryError, SourceError
from base.spreadsheets import WorkbookWriter
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.file_server import serving_files
from tests.indexer.conftest import check_invariants, photos_of, problems_of, put_named, write_tar

ROWS: list[dict[str, Any]] = [
    {"path": "00.jpg", "hotel": "Blue Door", "price": "70", "Фото": "да", "date": "2015-01-31", "note": ""},
    {"path": "01.jpg", "hotel": "Blue Door", "price": "cheap", "Фото": "нет", "date": "", "note": "=1+1"},
    {"path": "sub/ё.jpg", "hotel": "", "price": "1.10", "Фото": "", "date": "", "note": "a, b"},
]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A folder with two photos and one below."""
    folder = fill_folder(tmp_path / "listed", range(2), "{:02d}.jpg")
    return put_named(folder, "sub/ё.jpg", data=photo_bytes(33))


def write_list(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist([row | {"vector": [0.5, 0.25], "stars": 4.5} for row in rows])
        pq.write_table(table, path)
    elif path.suffix == ".xlsx":
        book = WorkbookWriter(list(rows[0]))
        for row in rows:
            book.append(list(row.values()))
        with path.open("wb") as file:
            book.save(file)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="", encoding="utf-8") as text:
            writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx", ".jsonl", ".parquet"])
def test_a_list_names_photos_and_says_more_of_them(library: LibraryFactory, listed: Path, ending: str) -> None:
    photo_list = write_list(listed / f"list{ending}", ROWS)
    with library.open() as opened:
        report = opened.add(photo_list=photo_list)
        assert (report.scan.new, report.run.encoded, report.metadata.hotels) == (3, 3, {"Blue Door": 2})
        check_invariants(library.folder)
        photos = {Path(where).name: photo for where, photo in photos_of(library.folder).items()}
        more = {"stars": 4.5} if ending == ".parquet" else {}
        assert photos["00.jpg"].details == {"price": "70", "Фото": "да"} | more
        assert photos["ё.jpg"].details == {"price": "1.10", "note": "a, b"} | more
        assert (photos["00.jpg"].dated_at, photos["00.jpg"].date_from) == (datetime(2015, 1, 31), "table")
        assert opened.add(photo_list=photo_list).scan.unchanged == 3

        def found(*filters: str) -> set[str]:
            return {Path(hit.path).name for hit in opened.search(" ".join(["a room", *filters]))}

        assert found("column:price>1.05") == {"00.jpg", "ё.jpg"}
        assert found("column:price=1.1") == found("column:PRICE<=1.1") == {"ё.jpg"}
        assert found("column:фото=ДА") == {"00.jpg"}
        assert found("-column:фото=да") == {"01.jpg", "ё.jpg"}
        assert found("column:note") == {"01.jpg", "ё.jpg"}
        assert found('column:"note~A, b"') == {"ё.jpg"}
        assert found("column:price>=1", "column:price<10") == {"ё.jpg"}
        assert set(opened.order("a room column:price>1.05").photo_ids) == {photos["00.jpg"].id, photos["ё.jpg"].id}
        with pytest.raises(QueryError, match=r"no column 'prize' of this library \(near it: price\)"):
            found("column:prize=1")
        if ending == ".csv":  # what a later list says is put over what an earlier one said
            write_list(photo_list, [ROWS[0] | {"price": "99", "new": "yes", "note": "x"}, *ROWS[1:]])
            assert opened.add(photo_list=photo_list).scan.unchanged == 3
            assert found("column:price=99", "column:new=yes", "column:фото=да") == {"00.jpg"}
            assert set(opened.order("a room column:price=99").photo_ids) == {photos["00.jpg"].id}


@pytest.mark.parametrize("problem", ["=", ">=3", "price>=", "price>many", '"  =3"'])
def test_column_filters_that_make_no_sense(library: LibraryFactory, problem: str) -> None:
    with library.open() as opened, pytest.raises(QueryError, match="expected a "):
        opened.search(f"a room column:{problem}")


def test_a_library_without_lists_says_where_columns_come_from(library: LibraryFactory, ten_photos: Path) -> None:
    library.add(ten_photos / "00.jpg")
    with library.open() as opened, pytest.raises(QueryError, match="`aliens add --list FILE` takes them along"):
        opened.search("a room column:price=1")


def test_places_that_a_list_may_name(library: LibraryFactory, listed: Path, tmp_path: Path) -> None:
    tar = write_tar(listed / "a.tar", {"r/1.jpg": photo_bytes(41), "r/2.jpg": photo_bytes(42)})
    (listed / "link.jpg").symlink_to(listed / "00.jpg")
    with serving_files(listed) as server:
        rows = [
            ("00.jpg", "kept"),
            (str(listed / "00.jpg"), "again, by its whole path"),
            (f"file://{listed}/01.jpg", "kept"),
            ("link.jpg", "again, by a link"),
            ("sub\\ё.jpg", "kept, as Windows writes it"),
            ("sub/\u0435\u0308.jpg", "again, in other letters"),
            ("a.tar!r/1.jpg", "kept"),
            (f"{server.address}/sub/%D1%91.jpg", "kept"),
            (f"{server.address}/nothing.jpg", "missing"),
            ("https://me:hunter2@host/x.jpg", "refused"),
            ("", "names none"),
            ("gone.jpg", "missing"),
            (str(library.folder.restyled / "x.png"), "ours"),
        ]
        photo_list = write_list(tmp_path / "places.csv", [{"URL": place, "say": said} for place, said in rows])
        photo_list = photo_list.rename(listed / "places.csv")
        with library.open() as opened:
            report = opened.add(photo_list=photo_list, path_column="url")
    states = {where.removeprefix(f"{listed}/"): photo.state.value for where, photo in photos_of(library.folder).items()}
    assert {name for name, state in states.items() if state == "embedded"} == {
        *("00.jpg", "01.jpg", "sub/ё.jpg", f"{tar.name}!r/1.jpg"),
        f"{server.address}/sub/%D1%91.jpg",
    }
    assert (report.scan.found, report.scan.missing) == (7, 2)
    problems = problems_of(library.folder)
    assert len(problems) == 6 and "hunter2" not in str(problems)
    assert problems[0] == {"where": f"{photo_list}:3", "reason": f"names {listed / '00.jpg'} again"}


def test_rows_that_are_wrong_are_told_and_the_others_taken(library: LibraryFactory, listed: Path) -> None:
    photo_list = listed / "list.csv"
    photo_list.write_text(
        "path,lat,lon,date\n00.jpg,91,2,\n01.jpg,1,2,soon\n00.jpg,1,2,3,4\nsub/ё.jpg,48,2,2015-01-31\n"
    )
    with library.open() as opened:
        report = opened.add(photo_list=photo_list)
    assert (report.run.encoded, report.scan.problems) == (3, 3)
    reasons = [problem["reason"] for problem in problems_of(library.folder)]
    assert reasons[0] == "latitude '91': a latitude lies between -90 and 90 degrees"
    assert reasons[1].startswith("date 'soon'") and reasons[2].startswith("has 5 cells")
    assert photos_of(library.folder)[str(listed / "sub" / "ё.jpg")].latitude == 48


@pytest.mark.parametrize(
    ("name", "content", "options", "why"),
    [
        ("a.csv", "name,price\nx,1\n", {}, "no column path, photo, file or url, but name, price"),
        ("a.csv", "path,price\nx,1\n", {"path_column": "url"}, "no column 'url', but path, price"),
        ("a.csv", "path,file\nx,y\n", {}, "path and file both mean path: say one with --path-column"),
        ("a.csv", "path,a,a\nx,1,2\n", {}, "two columns 'a'"),
        ("a.csv", "path\n", {}, "names no photo"),
        ("a.csv", "", {}, "names no photo"),
        ("a.jsonl", "{\n", {}, "row 1 is no JSON"),
        ("a.jsonl", "[" * 100_000, {}, "row 1 is no JSON"),
        ("a.parquet", "PAR1 and no more", {}, "no sound Parquet file"),
        ("a.csv", "path\x00\n", {}, "it is no text"),
    ],
)
def test_lists_that_cannot_be_used(
    library: LibraryFactory, tmp_path: Path, name: str, content: str, options: dict[str, str], why: str
) -> None:
    (tmp_path / name).write_text(content)
    with library.open() as opened:
        with pytest.raises(SourceError, match=why):
            opened.add(photo_list=tmp_path / name, **options)
        with pytest.raises(SourceError, match=r"no such|No such"):
            opened.add(photo_list=tmp_path / "absent.csv")
        with pytest.raises(QueryError, match="either paths, or a list"):
            opened.add(tmp_path, photo_list=tmp_path / name)
        with pytest.raises(QueryError, match="name it with --list"):
            opened.add(tmp_path, path_column="url")
    assert not photos_of(library.folder)
