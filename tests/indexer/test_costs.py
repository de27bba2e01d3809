"""What adding a photo costs: nothing that grows with the library's photos."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

import aliens
from tests.conftest import LibraryFactory, fill_folder, photo_bytes

LARGE = "photo|embedding|dead_vector"  # tables with a row for each photo
SCANNED = re.compile(rf"SCAN ({LARGE})\b")


def executed(engine: Engine) -> list[tuple[str, Any]]:
    """Collect what is asked of a database from now on."""
    statements: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def keep(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        one = parameters[0] if executemany and not isinstance(parameters, dict) else parameters
        statements.append((statement, one))

    return statements


def scans(engine: Engine, statements: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    """Return the statements that look through a whole large table, or index of one, with what SQLite says of them."""
    found = []
    with engine.connect() as connection:
        for statement, parameters in statements:
            if statement.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                found += [(statement, row[3]) for row in plan if SCANNED.search(row[3])]
    return found


@pytest.mark.sqlite("how a statement is carried out is asked of SQLite")
def test_the_scan_of_a_table_would_be_noticed(stocked: LibraryFactory, photos: Path) -> None:
    with stocked.open() as opened:
        statements = executed(opened.catalog.engine)
        opened.info()  # counts all photos
        assert scans(opened.catalog.engine, statements)


@pytest.mark.sqlite("how a statement is carried out is asked of SQLite")
@pytest.mark.parametrize("change", ["new", "known bytes", "other bytes", "gone"])
def test_adding_a_photo_looks_through_no_table_of_photos(stocked: LibraryFactory, tmp_path: Path, change: str) -> None:
    folder = fill_folder(tmp_path / "more", (100, 101))
    stocked.add(folder)
    if change == "new":
        (folder / "102.jpg").write_bytes(photo_bytes(102))
    elif change == "known bytes":
        (folder / "102.jpg").write_bytes(photo_bytes(3))
    elif change == "other bytes":
        (folder / "100.jpg").write_bytes(photo_bytes(200, size=(80, 60)))
    else:
        (folder / "100.jpg").unlink()
    with aliens.open(stocked.folder.root, encoder=stocked.encoder) as opened:
        statements = executed(opened.catalog.engine)
        report = opened.add(folder)
        assert (report.run.done, report.scan.vanished) == ((0, 1) if change == "gone" else (1, 0))
        assert len(statements) > 10
        assert scans(opened.catalog.engine, statements) == []
