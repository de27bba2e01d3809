"""SQLite's files where they cannot be written: what was committed is read, or refused loudly, never something older."""

import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from base.errors import DiskFullError, LibraryBusyError, LibraryError
from db.catalog import connect
from db.sqlite_files import error_of_sqlite
from tests.unwritable import unwritable, without_rights

pytestmark = pytest.mark.sqlite("it is about SQLite's files")

KILLED = """
import os, signal, sqlite3, sys

database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA journal_mode = WAL")
database.execute("INSERT INTO t VALUES ('newest')")
database.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""
READ = """
import json, sys
from urllib.parse import quote
from sqlalchemy import text
from db.catalog import connect
from db.sqlite_files import error_of_sqlite

found = []
for path in sys.argv[1:]:
    engine = connect(f"sqlite:///{quote(path)}")
    with engine.connect() as connection:
        found.append(list(connection.execute(text("SELECT name FROM t")).scalars()))
    engine.dispose()
print(json.dumps(found))
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database in WAL mode that was closed well."""
    file = tmp_path / "closed" / "a database?.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (name)")
        connection.execute("INSERT INTO t VALUES ('old')")
    return file


@pytest.fixture
def left(database: Path, tmp_path: Path) -> Path:
    """The same, with a commit beside it of a process that was killed."""
    shutil.copytree(database.parent, tmp_path / "left")
    file = tmp_path / "left" / database.name
    done = subprocess.run([sys.executable, "-c", KILLED, str(file)])
    assert done.returncode == -signal.SIGKILL
    assert Path(f"{file}-wal").stat().st_size
    return file


@pytest.fixture
def no_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process thinks that it may not write, whoever it is."""
    monkeypatch.setattr("db.sqlite_files.os.access", lambda path, mode: False)


def names(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM t")]


def test_where_nothing_can_be_written_a_database_is_read_as_it_lies(database: Path, tmp_path: Path) -> None:
    """What SQLite makes has the rights of the database: who may write that again could not write the others."""
    empty_wal, alone = (Path(shutil.copytree(database.parent, tmp_path / name)) for name in ("empty wal", "alone"))
    (empty_wal / f"{database.name}-wal").touch()
    with unwritable(database.parent), unwritable(empty_wal), unwritable(alone / database.name):
        files = [folder / database.name for folder in (database.parent, empty_wal, alone)]
        assert json.loads(without_rights(READ, *files)) == [["old"]] * 3
    assert list(database.parent.iterdir()) == [database]
    assert list(alone.iterdir()) == [alone / database.name]


def test_commits_that_a_killed_process_left_are_read_where_nothing_can_be_written(left: Path, tmp_path: Path) -> None:
    beside = {"as it was": None, "no -shm": None, "an empty -shm": b"", "an -shm of noise": os.urandom(32_768)}
    for name, memory in beside.items():
        folder = Path(shutil.copytree(left.parent, tmp_path / "copies" / name))
        if memory is not None:
            Path(f"{folder / left.name}-shm").write_bytes(memory)
    Path(f"{tmp_path / 'copies' / 'no -shm' / left.name}-shm").unlink()
    before = {path: path.read_bytes() for path in (tmp_path / "copies").glob("*/*")}
    with unwritable(tmp_path / "copies"):
        files = [tmp_path / "copies" / name / left.name for name in beside]
        assert json.loads(without_rights(READ, *files)) == [["old", "newest"]] * 4
    assert {path: path.read_bytes() for path in (tmp_path / "copies").glob("*/*")} == before


def test_changes_that_are_to_be_taken_back_are_not_read(database: Path, tmp_path: Path) -> None:
    """A process was killed in a transaction of a database without WAL: half of it stands in the file."""
    plain = tmp_path / "plain" / "plain.db"
    plain.parent.mkdir()
    script = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for statement in ('CREATE TABLE t (name)', \"INSERT INTO t VALUES ('old')\", 'PRAGMA cache_size = 1',\n"
        "    'BEGIN', \"UPDATE t SET name = 'half'\",\n"
        "    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) '\n"
        "    \"INSERT INTO t SELECT 'half' FROM n\"):\n"
        "    database.execute(statement)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(plain)], check=True)
    assert Path(f"{plain}-journal").stat().st_size
    with unwritable(plain.parent):
        assert json.loads(without_rights(READ, plain)) == [["old"]]


@pytest.mark.usefixtures("no_right")
def test_without_room_for_a_copy_none_is_read(left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{left}-shm").unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(LibraryError, match=r"the newest commits of .* copy alone.*No such file.*by TMPDIR"):
        connect(f"sqlite:///{quote(str(left))}")


@pytest.fixture
def changing(database: Path, no_right: None) -> Iterator[sqlite3.Connection]:
    """Somebody else, who may write the database."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        yield connection
    assert names(database)[-1] == "newest"


def test_what_others_commit_is_seen_by_the_next_to_ask(database: Path, changing: sqlite3.Connection) -> None:
    engine = connect(f"sqlite:///{quote(str(database))}")
    seen = []
    for statement in ("SELECT 1", "INSERT INTO t VALUES ('newest')", "PRAGMA wal_checkpoint(TRUNCATE)"):
        changing.execute(statement).fetchall()
        with engine.connect() as connection:
            seen.append(list(connection.execute(text("SELECT name FROM t")).scalars()))
    engine.dispose()
    assert seen == [["old"], ["old", "newest"], ["old", "newest"]]


def test_a_file_that_is_written_while_it_is_read_is_refused(database: Path, changing: sqlite3.Connection) -> None:
    engine = connect(f"sqlite:///{quote(str(database))}")
    with pytest.raises(LibraryError, match="was changed while it was read"), engine.connect() as connection:
        connection.execute(text("SELECT name FROM t")).all()
        changing.execute("INSERT INTO t VALUES ('newest')")
        changing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    engine.dispose()


def test_commits_beside_a_file_that_is_read_change_nothing_of_it(database: Path, changing: sqlite3.Connection) -> None:
    engine = connect(f"sqlite:///{quote(str(database))}")
    with engine.connect() as connection:
        changing.execute("INSERT INTO t VALUES ('newest')")
        assert list(connection.execute(text("SELECT name FROM t")).scalars()) == ["old"]
    engine.dispose()


# Whoever reads or writes, what SQLite says is told by its code


@pytest.mark.parametrize(
    ("before", "kind", "message"),
    [
        ("PRAGMA query_only = ON", LibraryError, r"closed cannot be written \(its database is read-only here\)"),
        ("PRAGMA max_page_count = 1", DiskFullError, "the disk that holds .*closed is full: free some space"),
        ("PRAGMA busy_timeout = 0", LibraryBusyError, "another program keeps the database .* locked: wait for it"),
    ],
)
def test_what_a_statement_meets_is_told_of(database: Path, before: str, kind: type[LibraryError], message: str) -> None:
    engine = connect(f"sqlite:///{quote(str(database))}")
    with closing(sqlite3.connect(database)) as other, engine.connect() as connection:
        connection.exec_driver_sql(before)
        if kind is LibraryBusyError:
            other.execute("BEGIN IMMEDIATE")
        with pytest.raises(kind, match=message):
            connection.execute(text("INSERT INTO t VALUES (:name)"), {"name": "x" * 20_000})
    engine.dispose()


def test_a_database_for_which_no_more_files_may_be_opened_is_told_with_what_helps(database: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 1, hard))  # those below may be free
        with pytest.raises(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(LibraryError, match=r"db cannot be opened: .* \(too many files are open; .*`ulimit -n`\)"):
            connect(f"sqlite:///{quote(str(database))}")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


@pytest.mark.parametrize(
    ("code", "room", "kind", "message"),
    [
        (sqlite3.SQLITE_IOERR_WRITE, True, LibraryError, r"the disk failed at .*x\.db \(input/output error\)"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, False, DiskFullError, "is full"),
        (sqlite3.SQLITE_IOERR_READ, False, LibraryError, "the disk failed"),
        (sqlite3.SQLITE_CANTOPEN, False, DiskFullError, "is full"),
        (sqlite3.SQLITE_CANTOPEN, True, LibraryError, r"x\.db cannot be opened: said \(No such file or directory: see"),
        (sqlite3.SQLITE_READONLY_DBMOVED, True, LibraryError, "cannot be written"),
        (sqlite3.SQLITE_READONLY, False, DiskFullError, "is full"),
        (sqlite3.SQLITE_LOCKED, True, LibraryBusyError, "locked"),
        (sqlite3.SQLITE_IOERR_NOMEM, True, None, ""),
        (sqlite3.SQLITE_ERROR, True, None, ""),
    ],
)
def test_an_error_is_told_by_its_code_and_by_what_room_there_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    room: bool,
    kind: type[LibraryError] | None,
    message: str,
) -> None:
    monkeypatch.setattr("db.sqlite_files.has_no_room", lambda folder: not room)
    error = sqlite3.OperationalError("said")
    error.sqlite_errorcode = code
    told = error_of_sqlite(error, tmp_path / "x.db")
    assert type(told) is (kind or type(None))
    assert told is None or re.search(message, str(told))
