"""Queries of what lists say of photos besides what the library knows by itself: columns, kept with each photo."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Float, Text, and_, case, cast, func, or_, select
from sqlalchemy.orm import Session

from base.names import comparable, folded
from db import postgres
from db.models import Photo
from db.photo_rows import fetched, pages
from db.settings_rows import read_setting_as, write_setting

NAMES = "detail_columns"  # the setting that holds the names of all columns: to look for them takes seconds of a million
MOST_NAMES = 5_000
NUMBER = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"


def note_columns(session: Session, details: Iterable[Mapping[str, Any]]) -> None:
    """Remember the names of columns that photos have; the caller commits."""
    names = dict.fromkeys(name for each in details for name in each)
    if not names:
        return
    known = noted(session)
    fresh = [name for name in names if name not in known]
    if fresh:
        write_setting(session, NAMES, json.dumps([*known, *fresh][:MOST_NAMES]))


def noted(session: Session) -> dict[str, None]:
    """Return the names of columns that were noted, in the order in which they came."""
    return dict.fromkeys(read_setting_as(session, NAMES, list[str]) or ())


def columns_known(session: Session) -> list[str]:
    """Return the names of all columns that lists gave photos of this library, in the order in which they came."""
    return list(noted(session))


def columns_called(session: Session, name: str) -> list[str]:
    """Return the columns of a name, compared as names are; none where no photo has such a column."""
    known = noted(session)
    return [name] if name in known else [each for each in known if comparable(each) == comparable(name)]


def details_of(session: Session, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return {photo id: its columns} of those of the photos that have any."""
    found: dict[int, dict[str, Any]] = {}
    for page in pages([photo_id for photo_id in ids if photo_id < 1 << 63]):  # no larger one can be asked for
        rows = session.execute(select(Photo.id, Photo.details).where(Photo.id.in_(page), Photo.details.is_not(None)))
        found.update((row[0], row[1]) for row in rows)
    return found


def cell_of(session: Session, column: str) -> ColumnElement[Any]:
    """Return what a photo has in a column, as a text; null where it has none."""
    if session.get_bind().dialect.name == "sqlite":
        return cast(func.json_extract(Photo.details, f"$.{json.dumps(column)}"), Text)
    cell: ColumnElement[Any] = Photo.details[column].as_string()
    return cell


def filled_column(session: Session, column: str) -> ColumnElement[bool]:
    """Return the condition that a photo has something in a column."""
    return and_(Photo.details.is_not(None), cell_of(session, column).is_not(None))


def number_of(session: Session, cell: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a cell as a number, null where it is none: 10 and "10" are, "10 rooms" is not."""
    if session.get_bind().dialect.name == "sqlite":
        value: ColumnElement[Any] = func.number(cell)
        return value
    return case((cell.regexp_match(NUMBER), cast(cell, Float)), else_=None)


def compared_column(session: Session, column: str, op: str, text: str, number: float | None) -> ColumnElement[bool]:
    """Return the condition that what a photo has in a column compares so with a value.

    Args:
        session: of the library's database.
        column: its name, as it is kept.
        op: = for the same, as names are compared; ~ for a part; >, >=, <, <= for numbers.
        text: the value.
        number: the value as a number, where it is one.
    """
    cell, dialect = cell_of(session, column), session.get_bind().dialect.name
    if op == "~":
        same = contains_text(dialect, cell, text)
    elif op == "=":
        same = same_text(dialect, cell, text)
        if number is not None:
            same = or_(same, number_of(session, cell) == number)
    else:
        value = number_of(session, cell)
        same = {">": value > number, ">=": value >= number, "<": value < number, "<=": value <= number}[op]
    return and_(Photo.details.is_not(None), same)


def contains_text(dialect: str, cell: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that a cell contains a text, as names are compared."""
    if dialect == postgres.NAME:
        return postgres.contains_letters(cell, text)
    if dialect == "sqlite":
        return func.instr(func.folded(func.coalesce(cell, "")), folded(text)) > 0
    return func.lower(cell).contains(text.lower(), autoescape=True)


def same_text(dialect: str, cell: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that a cell is a text, as names are compared."""
    if dialect == postgres.NAME:
        return postgres.same_letters(cell, text)
    return (
        func.folded(func.coalesce(cell, "")) == folded(text)
        if dialect == "sqlite"
        else func.lower(cell) == text.lower()
    )


def detail_rows(session: Session, column: str, ids: Sequence[int]) -> dict[int, str]:
    """Return {photo id: what it has in a column, as a text} of those of the photos that have something there."""
    cell, found = cell_of(session, column), dict[int, str]()
    for page in pages(list(ids)):
        statement = select(Photo.id, cell).where(Photo.id.in_(page), Photo.details.is_not(None))
        found.update((row[0], row[1]) for rows in fetched(session, statement) for row in rows)
    return found
