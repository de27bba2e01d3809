"""Libraries that the code of every revision has made (tests/data/make_libraries.py) lose nothing by an upgrade."""

import csv
import json
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import aliens
from aliens.library import Library
from base import __version__
from base.errors import LibraryError
from db.revisions import MIGRATIONS, REVISION, current_revision
from tests.conftest import FakeEncoder
from tests.data.make_libraries import AT, COMMITS, HERE
from tests.unwritable import unwritable, without_rights

pytestmark = pytest.mark.sqlite("libraries of earlier versions are files")

REVISIONS = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))
KEPT = [*sorted(COMMITS)]
OLDER = [revision for revision in KEPT if revision < REVISION]
REPLACED = {"vector_shard", "embedding", "alembic_version", "model.generation", "tag_label"}  # looked at by themselves
FILLED = {"scan", "setting"}  # grow by themselves
COPY = "12"  # the number of photos/copy.jpg
READ_ONLY = """
import sys, aliens
from base.errors import LibraryError
with aliens.open(sys.argv[1]) as library:
    for use in (lambda: library.search("sofa", k=1), lambda: library.update_index()):
        try:
            use()
        except LibraryError as error:
            print(error)
"""


def unpacked(revision: str, folder: Path) -> Path:
    """Return the folder of a library, its photos and the answers that were given by who made it."""
    with tarfile.open(HERE / "libraries" / f"{revision}.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder / revision


def opened(root: Path) -> Library:
    return aliens.open(root / "library", encoder=FakeEncoder())


def brought_up_to_date(root: Path) -> None:
    with opened(root) as library:
        library.save_search("after", "a sofa")


def tables(root: Path) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """{table: (its columns, its rows)} of a library's database."""
    with sqlite3.connect(f"file:{root / 'library' / 'library.db'}?mode=ro", uri=True) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for name in names:
            if not name.startswith("caption_words"):
                rows = database.execute(f"SELECT * FROM {name}")
                found[name] = ([column[0] for column in rows.description], rows.fetchall())
    database.close()
    return found


def said(root: Path, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a table of an older library, as some of its columns."""
    names, rows = tables(root).get(table, (list(columns), []))
    return sorted(tuple(row[names.index(column)] for column in columns) for row in rows)


def answers(root: Path) -> list[dict[str, Any]]:
    """What a search for a sofa found; from revision 0007 on one of several copies."""
    return [json.loads(line) for line in (root / "answers" / "search.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module", params=KEPT)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def before(revision: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library as it was made."""
    return unpacked(revision, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def now(revision: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The same, brought up to date and told where its photos are now."""
    root = unpacked(revision, tmp_path_factory.mktemp("now"))
    brought_up_to_date(root)
    with opened(root) as library:
        yield library


def test_a_library_is_kept_of_every_revision_but_one_that_is_in_the_making() -> None:
    assert REVISIONS[-1] == REVISION
    assert set(REVISIONS[:-1]) <= set(KEPT) <= set(REVISIONS)
    assert sorted(path.name[:4] for path in (HERE / "libraries").iterdir()) == KEPT
    assert sum(path.stat().st_size for path in (HERE / "libraries").iterdir()) < 1 << 20


def test_nothing_that_the_tables_held_is_lost(revision: str, before: Path, now: Library) -> None:
    assert current_revision(now.catalog.engine) == REVISION
    then = tables(before)
    assert then["alembic_version"][1] == [(revision,)]
    after = tables(now.path.parent)
    for table, (columns, rows) in then.items():
        if table in REPLACED:
            continue
        kept = [column for column in columns if f"{table}.{column}" not in REPLACED]
        now_columns, now_rows = after[table]
        was = {repr([row[columns.index(column)] for column in kept]) for row in rows}
        have = {repr([row[now_columns.index(column)] for column in kept]) for row in now_rows}
        assert was <= have, table
        assert len(rows) == len(now_rows) or table in FILLED | {"saved_search", "photo_source"}, table
    found = {row[0] for row in said(before, "embedding", "photo_id")}
    assert {row[0] for row in said(now.path.parent, "embedding", "photo_id")} == found


def test_it_answers_as_the_version_that_made_it(revision: str, before: Path, now: Library) -> None:
    then = {answer["path"]: answer["score"] for answer in answers(before)}
    hits = {hit.path: hit.score for hit in now.search("sofa", k=100, copies=revision < "0007")}
    assert len(then) >= 11
    assert hits == pytest.approx(then, abs=1e-5)
    assert now.encoder.encoded_photos == 0  # type: ignore[attr-defined] # of the fake one
    assert [failure.where for failure in now.failures() if failure.kind == "not an image"] == [
        AT.format(revision) + "/photos/broken.jpg"
    ]


@pytest.mark.parametrize("kind", ["tags", "captions"])
def test_its_exports_say_the_same(revision: str, before: Path, now: Library, tmp_path: Path, kind: str) -> None:
    answer = before / "answers" / f"{kind}.csv"
    if revision < "0002":
        assert not answer.exists()
        return
    mine = tmp_path / "mine.csv"
    now.export(mine) if kind == "tags" else now.export_captions(mine)
    with open(answer, newline="") as old, open(mine, newline="") as new:
        then, after = list(csv.DictReader(old)), list(csv.DictReader(new))
    known = [column for column in then[0] if column in after[0] and not column.startswith(("exported", "date"))]
    assert {"photo_id", "path", *(("tags", "set_by_hand", "p(a pool)") if kind == "tags" else ("caption",))} <= set(
        known
    )
    if revision < "0006":  # where labels belonged to files, and not to their bytes
        then, after = ([row for row in rows if row["photo_id"] != COPY] for rows in (then, after))
    assert [[row[column] for column in known] for row in after] == [[row[column] for column in known] for row in then]
    if kind == "tags":
        assert {row["set_by_hand"] for row in after} > {"a pool"}


def test_what_people_said_and_made_is_there(revision: str, now: Library) -> None:
    if revision >= "0002":
        by_hand = {photo: [row.by_hand for row in now.tags_of(photo) if row.by_hand is not None] for photo in (1, 2)}
        assert by_hand == {1: [True], 2: [False]}
        assert now.tag().scored == 0
    if revision >= "0003":
        assert {"sofas", "after"} == {search.name for search in now.saved_searches()}
    if revision >= "0004":
        assert [result.lineage.source_photo_id for result in now.restyled()] == [1, 2]
        assert len(now.search("sofa kind:restyled", k=10)) == 2
    if revision >= "0007":
        assert {hit.hotel_name for hit in now.search("sofa chain:azura", k=10)} == {"jp01"}


def test_it_is_whole_and_adding_its_photos_again_costs_nothing(revision: str, now: Library) -> None:
    root = now.path.parent
    now.move_source(AT.format(revision), root)
    encoded = now.encoder.encoded_photos  # type: ignore[attr-defined]
    looked_at, again = (now.add(root / "photos") for _ in range(2))  # at first for what earlier versions did not read
    assert (looked_at.run.encoded, looked_at.scan.new) == (0, 0)
    assert (again.run.encoded, again.run.reused, again.scan.new) == (0, 0, 0)
    assert now.encoder.encoded_photos == encoded  # type: ignore[attr-defined]
    assert now.verify() == []


@pytest.mark.parametrize("revision", OLDER)
def test_a_kill_at_any_statement_of_an_upgrade_leaves_all_as_it_was(revision: str, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    root, step = unpacked(revision, tmp_path), 1
    before, executed = tables(root), 0

    def count(*told: object) -> None:
        nonlocal executed
        executed += not str(told[2]).lstrip().startswith(("SELECT", "PRAGMA", "BEGIN"))
        if executed == step:
            raise Killed

    while True:
        with opened(root) as library:
            executed = 0
            event.listen(library.catalog.engine, "before_cursor_execute", count)
            try:
                library.save_search("after", "a sofa")
                break
            except Killed:
                event.remove(library.catalog.engine, "before_cursor_execute", count)
        left = tables(root)
        if left["alembic_version"] == before["alembic_version"]:
            assert left == before
        step = 1 + step * 3 // 2
    assert step > 3
    with opened(root) as library:
        assert current_revision(library.catalog.engine) == REVISION
        assert len(library.search("sofa", k=100, copies=True)) == len(answers(root)) + (revision >= "0007")
        library.repair()
        assert [d for d in library.verify() if d.part not in ("photo", "result")] == []


@pytest.mark.parametrize("revision", [OLDER[0], OLDER[-1]])
def test_where_it_cannot_be_written_it_says_what_to_do(revision: str, tmp_path: Path) -> None:
    root = unpacked(revision, tmp_path)
    with unwritable(root / "library"):
        lines = without_rights(READ_ONLY, root / "library").splitlines()
    assert len(lines) == 2
    assert (
        "was made by an earlier CV-Aliens and has to be brought up to date, but cannot be written: copy it" in lines[0]
    )
    assert "copy it to where you may write" in lines[1]


def test_one_of_a_later_version_is_refused_with_both_versions_and_left_as_it_is(tmp_path: Path) -> None:
    root = unpacked(KEPT[-1], tmp_path)
    brought_up_to_date(root)
    for change, named in (
        ("UPDATE alembic_version SET version_num = '9998'", "a newer CV-Aliens (its"),
        ("INSERT OR REPLACE INTO setting VALUES ('program', '7.1.0')", "a newer CV-Aliens, 7.1.0 (its"),
        ("DROP TABLE setting", "a newer CV-Aliens (its"),
    ):
        with sqlite3.connect(root / "library" / "library.db") as database:
            database.execute(change)
        database.close()
        held = (root / "library" / "library.db").read_bytes()
        with pytest.raises(LibraryError) as refused:
            opened(root)
        told = f"tables are of revision 9998), and this is {__version__}, which knows them up to {REVISION}: update"
        assert named in str(refused.value)
        assert told in str(refused.value)
        assert (root / "library" / "library.db").read_bytes() == held


def test_who_makes_or_upgrades_a_library_leaves_its_version_there(tmp_path: Path) -> None:
    root = unpacked(OLDER[-1], tmp_path)
    brought_up_to_date(root)
    aliens.create(tmp_path / "new" / "library", encoder=FakeEncoder()).close()
    for folder in (root, tmp_path / "new"):
        assert ("program", __version__) in said(folder, "setting", "name", "value")
