"""Queries that choose photos by conditions on their rows and on their hotels. Knows no query language."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    LargeBinary,
    Select,
    and_,
    bindparam,
    cast,
    func,
    not_,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from base.arrays import Ids
from base.names import folded, spellings
from db.models import Chain, Embedding, Hotel, Model, Photo, PhotoState
from db.photo_rows import fetched, pages

Condition = ColumnElement[bool]

FARTHEST_NS = 2**63 - 1  # what 64 bits hold, from 1677 to 2262


def chosen_photos(
    session: Session,
    model: Model,
    conditions: Sequence[Condition],
    hotels: Sequence[int] | Select[Any] | None,
    states: Sequence[PhotoState] = (PhotoState.EMBEDDED,),
) -> Ids:
    """Return the ids of the photos that can be found and meet all conditions, ascending (n,) int64.

    `hotels`: ids of hotels, or a statement that selects them; only their photos are meant. None for all photos.
    `states`: of photos that can be found, of restyled photos, or of both.
    """
    if not states:
        return np.empty(0, np.int64)
    statement = (
        select(Embedding.photo_id)
        .join(Photo, Photo.id == Embedding.photo_id)
        .where(Embedding.model_id == model.id, Photo.state.in_(states), *conditions)
    )
    return np.sort(np.fromiter(selected_ids(session, statement, hotels), np.int64))


def selected_ids(session: Session, statement: Select[Any], hotels: Sequence[int] | Select[Any] | None) -> Iterator[int]:
    """Yield the first column of a statement about photos, narrowed to hotels."""
    if hotels is None:
        statements = [statement]
    elif isinstance(hotels, Select):
        statements = [statement.where(Photo.hotel_id.in_(hotels))]
    else:
        statements = [statement.where(Photo.hotel_id.in_(page)) for page in pages(list(hotels))]
    for part in statements:
        for rows in fetched(session, part):
            yield from (row[0] for row in rows)


def negated(condition: Condition) -> Condition:
    """Return the condition of all other photos, those included of which nothing is known."""
    return not_(func.coalesce(condition, False))


def of_hotels(hotels: Select[Any]) -> Condition:
    """Photos of the hotels that a statement selects."""
    return Photo.hotel_id.in_(hotels)


def without_chain() -> Condition:
    """Photos of no hotel, or of a hotel that belongs to no chain."""
    return or_(Photo.hotel_id.is_(None), Photo.hotel_id.in_(select(Hotel.id).where(Hotel.chain_id.is_(None))))


def hotels_of_chains(chain_ids: Sequence[int]) -> Select[Any]:
    """Return the statement that selects the hotels of chains."""
    return select(Hotel.id).where(Hotel.chain_id.in_(chain_ids))


def hotel_ids(session: Session, hotels: Select[Any]) -> set[int]:
    """Return the ids of the hotels that a statement selects."""
    return {row[0] for rows in fetched(session, hotels) for row in rows}


def hotels_named(hotel_ids: Sequence[int]) -> Select[Any]:
    """Return the statement that selects hotels by their ids.

    The ids stand in the statement itself: databases allow fewer parameters than a library may have hotels.
    """
    ids: BindParameter[Any] = bindparam("hotel_ids", list(hotel_ids), unique=True, expanding=True, literal_execute=True)
    return select(Hotel.id).where(Hotel.id.in_(ids))


def from_source(names: Sequence[str]) -> Condition:
    """Photos of Hotels-50K's sources, such as traffickcam."""
    return Photo.image_source.in_(names)


def since(moment: datetime) -> Condition:
    """Photos uploaded then or later; where that is unknown, files of that time."""
    return or_(Photo.uploaded_at >= moment, and_(Photo.uploaded_at.is_(None), Photo.mtime_ns >= nanoseconds(moment)))


def until(moment: datetime) -> Condition:
    """Photos uploaded earlier; where that is unknown, files of an earlier time."""
    return or_(Photo.uploaded_at < moment, and_(Photo.uploaded_at.is_(None), Photo.mtime_ns < nanoseconds(moment)))


def nanoseconds(moment: datetime) -> int:
    """Return a time of UTC as files have it, in nanoseconds since 1970; far times as the farthest that one may have."""
    return max(-FARTHEST_NS, min(int(moment.replace(tzinfo=UTC).timestamp()) * 10**9, FARTHEST_NS))


def sized(at_least: bool, width_px: int, height_px: int) -> Condition:
    """Photos of at least, or at most, so many pixels each way."""
    if at_least:
        return and_(Photo.width_px >= width_px, Photo.height_px >= height_px)
    return and_(Photo.width_px <= width_px, Photo.height_px <= height_px)


def oriented(orientation: str) -> Condition:
    """Photos that are landscape, portrait or square, upright as people see them."""
    if orientation == "landscape":
        return Photo.width_px > Photo.height_px
    if orientation == "portrait":
        return Photo.width_px < Photo.height_px
    return Photo.width_px == Photo.height_px


def colourless(wanted: bool) -> Condition:
    """Photos without any colour, or with some."""
    return Photo.grey.is_(wanted)


def path_contains(session: Session, part: str) -> Condition:
    """Photos whose path, or name inside a tar, contains these letters, in either case and however they are written.

    In SQLite, ASCII is compared by LIKE; other letters by Python, in the paths that have all that is ASCII in `part`,
    which is slower: see `db.sqlite_files`. Other databases find a path that is composed throughout, or
    decomposed throughout, as nearly all are.
    """
    columns = (Photo.path, Photo.member)
    forms, wanted = spellings(part), folded(part)
    if session.get_bind().dialect.name != "sqlite":
        lower = [(func.lower(column), form.lower()) for column in columns for form in forms]
        return or_(*(column.contains(form, autoescape=True) for column, form in lower))

    def holds(column: InstrumentedAttribute[str]) -> Condition:
        pieces = [column.contains(piece, autoescape=True) for piece in re.findall(r"[\x00-\x7f]+", forms[0])]
        plain = func.length(column) == func.length(cast(column, LargeBinary))  # the column holds nothing but ASCII
        letters = func.instr(func.folded(column), wanted) > 0
        if part.isascii():
            return and_(*pieces, or_(plain, letters))
        return and_(*pieces, letters if wanted.isascii() else and_(not_(plain), letters))  # ß is ss

    return or_(*map(holds, columns))


def all_hotels(session: Session) -> Iterator[tuple[int, str | None, float | None, float | None]]:
    """Yield every hotel's id, name, latitude and longitude in degrees."""
    for rows in fetched(session, select(Hotel.id, Hotel.name, Hotel.latitude, Hotel.longitude)):
        yield from rows


def all_chains(session: Session) -> dict[int, str]:
    """Return {id: name} of all chains."""
    return dict(session.execute(select(Chain.id, Chain.name)).all())


def all_sources(session: Session) -> list[str]:
    """Return the sources that photos are of."""
    return sorted(session.scalars(select(Photo.image_source).where(Photo.image_source.is_not(None)).distinct()))
