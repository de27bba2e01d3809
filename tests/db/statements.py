"""What a test's code does to databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, Pool, event


@contextmanager
def writes() -> Iterator[list[str]]:
    """Yield a list that fills with every statement, of whatever engine, that changes rows."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if statement.split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE", "REPLACE"):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


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
