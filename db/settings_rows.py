"""Queries of what the library keeps for people: its own settings, and saved searches."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from base import __version__
from base.records import converted, parse_json
from db.models import SavedSearch, Setting
from db.sqlite_files import damaged_value

T = TypeVar("T")
PROGRAM = "program"  # the version that made the tables, or changed them last


def read_setting(session: Session, name: str) -> str | None:
    """Return a setting's value, or None where it was never set."""
    setting = session.get(Setting, name)
    return setting.value if setting else None


def read_setting_as(session: Session, name: str, kind: type[T]) -> T | None:
    """Return a setting that is kept as JSON, as a value of a type, or None where it was never set.

    Raises: DamagedDatabaseError: it is no such JSON; nobody but damage writes such.
    """
    written = read_setting(session, name)
    try:
        return None if written is None else converted(parse_json(written), kind)
    except ValueError as error:
        raise damaged_value(session.get_bind().engine, f"its setting {name} makes no sense: {error}") from error


def write_setting(session: Session, name: str, value: str) -> None:
    """Set a setting; the caller commits."""
    session.merge(Setting(name=name, value=value))


def note_program(session: Session) -> None:
    """Keep the version that has changed the tables, unless no library was set up in them to its end; as above."""
    if session.scalar(select(Setting).where(Setting.name != PROGRAM).limit(1)):
        write_setting(session, PROGRAM, __version__)


def save_search(session: Session, name: str, query: str, options: Mapping[str, Any]) -> None:
    """Keep a search under a name, in place of an earlier one of that name; the caller commits."""
    now = datetime.now(UTC).replace(tzinfo=None)
    session.merge(SavedSearch(name=name, query=query, options=dict(options), saved_at=now))


def saved_searches(session: Session) -> list[SavedSearch]:
    """Return all saved searches, by name."""
    return list(session.scalars(select(SavedSearch).order_by(SavedSearch.name)))


def find_saved_search(session: Session, name: str) -> SavedSearch | None:
    """Return the search saved under a name, or None."""
    return session.get(SavedSearch, name)
