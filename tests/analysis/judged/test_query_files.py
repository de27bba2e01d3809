"""Files of queries: whatever a spreadsheet makes of them, what of them the library knows, and what is refused."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from aliens.library import Library
from analysis.judged.query_files import JudgedQueries, read_judged_queries
from analysis.judged.search_settings import SearchSetting
from base.errors import QueryError
from base.spreadsheets import WorkbookWriter
from tests.analysis.judged.conftest import written
from tests.conftest import LibraryFactory


def read(library: Library, path: Path, truth: Path | None = None) -> JudgedQueries:
    setting = SearchSetting(name="ten", searcher=library.searcher)
    with library.catalog.session() as session:
        return read_judged_queries(session, path, partial(setting.findable, session), truth)


def grades(library: Library, path: Path, truth: Path | None = None) -> dict[str, dict[int, int]]:
    return {query.text: dict(query.grades) for query in read(library, path, truth).queries}


ROWS = "query,photo_id,relevance\na pool,1,2\na pool,2,\nотель 部屋,3,1\na pool,4,0\n"
READ = {"a pool": {1: 2, 2: 1, 4: 0}, "отель 部屋": {3: 1}}


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode(),
        b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode(),
        ROWS.replace(",", ";").encode(),
        ROWS.replace(",", "\t").encode(),
        ("sep=;\n" + ROWS.replace(",", ";")).encode(),
        ROWS.encode("utf-16"),
        b'QUERY,note,Photo_ID,relevance\na pool,x,1,2.0\na pool,,2\n\n,,,\n"\xd0\xbe\xd1\x82\xd0\xb5\xd0\xbb\xd1\x8c '
        b'\xe9\x83\xa8\xe5\xb1\x8b",,3,1\n a pool ,,4,0\n',
    ],
    ids=["plain", "BOM, CRLF", "semicolons", "tabs", "sep=", "UTF-16", "other columns, blank rows"],
)
def test_tables_as_spreadsheets_write_them(ten: Library, tmp_path: Path, content: bytes) -> None:
    assert grades(ten, written(tmp_path, content)) == READ


def test_workbooks_and_json_lines(ten: Library, tmp_path: Path) -> None:
    book = WorkbookWriter(["query", "photo_id", "relevance"])
    for line in ROWS.splitlines()[1:]:
        text, photo, grade = line.split(",")
        book.append([text, int(photo), float(grade) if grade else None])
    with open(tmp_path / "queries.xlsx", "wb") as file:
        book.save(file)
    assert grades(ten, tmp_path / "queries.xlsx") == READ
    lines = '{"query": "a pool", "photo_id": 1, "relevance": 2}\n\n{"query": "a pool", "photo_id": "2"}\n'
    assert grades(ten, written(tmp_path, lines, "queries.jsonl")) == {"a pool": {1: 2, 2: 1}}


def test_photos_are_named_by_paths_relative_to_the_file(ten: Library, tmp_path: Path, ten_photos: Path) -> None:
    (tmp_path / "photos").symlink_to(ten_photos)
    absolute = f"query,path\na pool,{ten_photos}/01.jpg\na pool,photos/02.jpg\n"
    assert grades(ten, written(tmp_path, absolute)) == {"a pool": {2: 1, 3: 1}}


def test_what_the_library_does_not_know_is_left_out_and_said(ten: Library, tmp_path: Path) -> None:
    path = written(tmp_path, "query,photo_id\na pool,1\na pool,77\na bed,0\n")
    found = read(ten, path)
    assert [query.text for query in found.queries] == ["a pool"]
    assert [query.where for query in found.queries] == [f"{path}:2"]
    first, second = found.notes
    assert (
        first == "left out 2 photos that the library does not know: queries.csv:3 (photo_id 77), queries.csv:4 "
        "(photo_id 0)"
    )
    assert second == "left out 1 query that no photo of the library answers: 'a bed'"


def test_photos_that_cannot_be_found_now_are_left_out_and_said(
    library: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    (photos / "03.jpg").write_bytes(b"no picture")
    library.add(photos)
    (photos / "04.jpg").unlink()
    library.add(photos)
    path = written(tmp_path, "query,photo_id\na pool,1\na pool,4\na pool,5\n")
    found = read(library.open(), path)
    assert [dict(query.grades) for query in found.queries] == [{1: 1}]
    assert "left out 2 photos that the library cannot find now (`aliens failures` says why)" in found.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("query,photo_id\na pool,1\n,2\n", "queries.csv:3: the query is empty"),
        ("query,photo_id\na pool,\n", "it has neither a photo .* nor tags: give one"),
        ("query,photo_id,tags\na pool,1,a pool\n", "it has both a photo .* and tags: give one"),
        ("query,photo_id,tags\na pool,1,\na pool,,a pool\n", "queries.csv:3: 'a pool' stands in .*:2 already"),
        ("query,photo_id\na pool,seven\n", "photo_id is 'seven', not a whole number"),
        ("query,photo_id,relevance\na pool,1,-1\n", "relevance is -1: give a whole number from 0"),
        ("query,photo_id,relevance\na pool,1,101\n", "relevance is 101"),
        ("query,photo_id,relevance\na pool,1,0.5\n", "relevance is '0.5', not a whole number"),
        ("query,photo_id,relevance\na pool,1,2\na pool,1,1\n", "photo 1 has relevance 1 for 'a pool', and 2 in .*:2"),
        ('query,photo_id\n"""a pool",1\n', "queries.csv:2: the query '\"a pool' cannot be read"),
        ("query,photo_id\n-pool,1\n", "says nothing to look for: write what photos show"),
        ("query,photo_id\nhotel:any,1\n", "says nothing to look for"),
        ("text,photo\na pool,1\n", "it has no column query or photo_id"),
        ("photo_id\n1\n", "there is no column 'query'"),
        ("query,photo_id\na pool,1,2,3\n", "there are 4 cells, but 2 columns"),
        ("query,query,photo_id\na pool,a pool,1\n", "there are two columns 'query'"),
        ("query,photo_id\na pool,99\n", "nothing can be measured: left out 1 photo"),
        ("query,photo_id,relevance\na pool,1,0\n", "left out 1 query that no photo of the library answers: 'a pool'"),
        ("query,photo_id\n", "nothing can be measured: it has no row"),
        ("", "nothing can be measured: it has no row"),
        ("query,tags\na pool,a pool\n", "name a file of true tags"),
        ("query,tags\na pool,-a pool\n", "name at least one that the photos have"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_row(ten: Library, tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        read(ten, written(tmp_path, content))


def test_files_that_cannot_be_read_are_refused(ten: Library, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"'queries.pdf' is no file of this kind: give a .csv"):
        read(ten, tmp_path / "queries.pdf")
    with pytest.raises(QueryError, match="cannot be read: No such file or directory"):
        read(ten, tmp_path / "absent.csv")
    with pytest.raises(QueryError, match=r"queries.jsonl:1: .* at character"):
        read(ten, written(tmp_path, "{\n", "queries.jsonl"))
    with pytest.raises(QueryError, match="there is no column 'query'"):
        read(ten, written(tmp_path, "[1]\n", "queries.jsonl"))
    with pytest.raises(QueryError, match="the file is not UTF-8"):
        read(ten, written(tmp_path, b'{"query": "\xe9"}\n', "queries.jsonl"))


TRUTH = "photo_id,tags\n1,a pool;a chair\n2,The Pool\n3,a chair\n4,?a pool\n5,\n"


def test_tags_say_which_photos_answer_and_of_which_it_is_known(ten: Library, tmp_path: Path) -> None:
    truth = written(tmp_path, TRUTH, "truth.csv")
    path = written(tmp_path, "query,tags\nswimming,a pool\nswimming alone,a pool;-a chair\nboth,Chair;a pool\n")
    found = read(ten, path, truth).queries
    assert [(query.text, query.relevant) for query in found] == [
        ("swimming", [1, 2]), ("swimming alone", [2]), ("both", [1]),
    ]  # fmt: skip
    # Of photo 4 nobody knows whether it has a pool, but it has no chair, so it has not both.
    known = [None if query.judged is None else query.judged.tolist() for query in found]
    assert known == [[1, 2, 3, 5], [1, 2, 3, 5], [1, 2, 3, 4, 5]]


def test_labels_count_alone_or_are_put_over_a_file(
    filled_template: Path, tmp_path: Path, library: LibraryFactory
) -> None:
    shutil.rmtree(library.folder.root)
    shutil.copytree(filled_template, library.folder.root)
    opened = library.open()
    (tmp_path / "words.txt").write_text("a pool\na chair\n", encoding="utf-8")
    opened.tag(str(tmp_path / "words.txt"), method="calibrated")
    opened.label([4, 6], "a pool")
    opened.label([1, 7], "a pool", False)
    path = written(tmp_path, "query,tags\nswimming,a pool\nsitting,a chair\n")
    alone = read(opened, path)
    assert [(query.text, query.relevant) for query in alone.queries] == [("swimming", [4, 6])]
    assert alone.queries[0].judged.tolist() == [1, 4, 6, 7]
    over = read(opened, path, written(tmp_path, TRUTH, "truth.csv"))
    assert [(query.text, query.relevant) for query in over.queries] == [("swimming", [2, 4, 6]), ("sitting", [1, 3])]


def test_a_truth_that_is_not_needed_is_said_and_one_of_strangers_refused(ten: Library, tmp_path: Path) -> None:
    truth = written(tmp_path, "photo_id,tags\n77,a pool\n", "truth.csv")
    found = read(ten, written(tmp_path, "query,photo_id\na pool,1\n"), truth)
    assert found.notes == [f"{truth} was not read: no query of queries.csv has tags"]
    with pytest.raises(QueryError, match="none of its photos can be found in the library"):
        read(ten, written(tmp_path, "query,tags\na pool,a pool\n"), truth)
