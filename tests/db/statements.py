"""What a test's code does to databases."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Pool, event, text


@contextmanager
def asked(keep: Callable[[str], bool] = lambda statement: True) -> Iterator[list[str]]:
    """Yield a list that fills with every statement, of whatever engine, or with those to be kept."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if keep(statement):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def writes() -> AbstractContextManager[list[str]]:
    """Yield a list that fills with every statement, of whatever engine, that changes rows."""
    return asked(lambda statement: statement.split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE", "REPLACE"))


@contextmanager
def connections() -> Iterator[list[Any]]:
    """Yield a list of the connections, of whatever engine, that were opened meanwhile and are open now."""
    found: list[Any] = []

    def opened(connection: Any, record: Any) -> None:
        found.append(connection)

    def closed(connection: Any, record: Any) -> None:
        found.remove(connection)

    event.listen(Pool, "connect", opened)
    event.listen(Pool, "close", closed)
    try:
        yield found
    finally:
        event.remove(Pool, "connect", opened)
        event.remove(Pool, "close", closed)


def damage_page(engine: Engine, name: str, change: Callable[[bytearray], object]) -> Path:
    """Change the first page of a table or an index in SQLite's file, and return the file.

    Of `sqlite_master` it is changed behind the head of the file.
    """
    with engine.connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        page_bytes = connection.execute(text("PRAGMA page_size")).scalar_one()
        page = connection.scalar(text("SELECT rootpage FROM sqlite_master WHERE name = :name"), {"name": name})
    engine.dispose()
    path = Path(engine.url.database or "")
    data = bytearray(path.read_bytes())
    start, end = ((page - 1) * page_bytes, page * page_bytes) if page else (100, page_bytes)
    content = data[start:end]
    change(content)
    data[start:end] = content
    path.write_bytes(data)
    return path


def garble(page: bytearray) -> None:
    page[:] = b"\xa5" * len(page)
