"""Queries that choose photos by conditions on their rows and on their hotels. Knows no query language."""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, UTC, datetime
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
from db import postgres
from db.models import Chain, Embedding, Hotel, Model, Photo, PhotoState
from db.photo_rows import SAID_AT, fetched, pages
from db.sqlite_files import EARTH_RADIUS_M

Condition = ColumnElement[bool]

FARTHEST_NS = 2**63 - 1  # what 64 bits hold, from 1677 to 2262


def chosen_photos(
    session: Session,
    model: Model,
    conditions: Sequence[Condition],
    hotels: Sequence[int] | Select[Any] | None,
    states: Sequence[PhotoState] = (PhotoState.EMBEDDED,),
    within: Ids | None = None,
) -> Ids:
    """Return the ids of the photos that can be found and meet all conditions, ascending (n,) int64.

    `hotels`: ids of hotels, or a statement that selects them; only their photos are meant. None for all photos.
    `states`: of photos that can be found, of restyled photos, or of both. `within`: ids of a few; None for all.
    """
    if not states:
        return np.empty(0, np.int64)
    statement = (
        select(Embedding.photo_id)
        .join(Photo, Photo.id == Embedding.photo_id)
        .where(Embedding.model_id == model.id, Photo.state.in_(states), *conditions)
    )
    if within is None:
        return np.sort(np.fromiter(selected_ids(session, statement, hotels), np.int64))
    parts = (statement.where(Photo.id.in_(page)) for page in pages(within.tolist()))
    return np.sort(np.fromiter((i for part in parts for i in selected_ids(session, part, hotels)), np.int64))


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


def of_any_hotel() -> Condition:
    """Photos that belong to a hotel."""
    return Photo.hotel_id.is_not(None)


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
    """Photos taken, or else uploaded, then or later; where both are unknown, files of that time."""
    return or_(moment <= SAID_AT, and_(SAID_AT.is_(None), Photo.mtime_ns >= nanoseconds(moment)))


def until(moment: datetime) -> Condition:
    """Photos taken, or else uploaded, earlier; where both are unknown, files of an earlier time."""
    return or_(moment > SAID_AT, and_(SAID_AT.is_(None), Photo.mtime_ns < nanoseconds(moment)))


def of_year(year: int) -> Condition:
    """Photos taken, or else uploaded, in a year; 0: those of which neither is known."""
    if not year:
        return SAID_AT.is_(None)
    begun = datetime(year, 1, 1) <= SAID_AT
    return begun if year == MAXYEAR else and_(begun, datetime(year + 1, 1, 1) > SAID_AT)


def nanoseconds(moment: datetime) -> int:
    """Return a time of UTC as files have it, in nanoseconds since 1970; far times as the farthest that one may have."""
    return max(-FARTHEST_NS, min(int(moment.replace(tzinfo=UTC).timestamp()) * 10**9, FARTHEST_NS))


def in_circle(
    session: Session, table: type[Photo] | type[Hotel], centre: tuple[float, float], radius_m: float
) -> Condition:
    """Photos that have places of their own, or hotels, in a circle on the earth: degrees, metres."""
    latitude, longitude = centre
    reach = math.degrees(radius_m / EARTH_RADIUS_M) + 1e-9  # north and south; by that the index narrows them
    band = table.latitude.between(latitude - reach, latitude + reach)
    if session.get_bind().dialect.name == "sqlite":
        return and_(band, func.distance_m(table.latitude, table.longitude, latitude, longitude) <= radius_m)
    north, east = func.radians(table.latitude - latitude) / 2, func.radians(table.longitude - longitude) / 2
    cosines = func.cos(func.radians(table.latitude)) * math.cos(math.radians(latitude))
    half = func.power(func.sin(north), 2) + cosines * func.power(func.sin(east), 2)
    return and_(band, 2 * EARTH_RADIUS_M * func.asin(func.sqrt(func.least(half, 1))) <= radius_m)


def hotels_within(session: Session, centre: tuple[float, float], radius_m: float) -> list[int]:
    """Return the ids of the hotels in a circle on the earth: degrees, metres."""
    return list(session.scalars(select(Hotel.id).where(in_circle(session, Hotel, centre, radius_m)).order_by(Hotel.id)))


def at_own_place(session: Session, centre: tuple[float, float], radius_m: float, hotels: Condition) -> Condition:
    """Photos in a circle by their own places; those without one by the condition that their hotels are."""
    return or_(in_circle(session, Photo, centre, radius_m), and_(Photo.latitude.is_(None), hotels))


HAVING = {  # what a library may lack altogether
    "hotel": select(Photo.id).where(Photo.hotel_id.is_not(None)),
    "chain": select(Photo.id).join(Hotel, Hotel.id == Photo.hotel_id).where(Hotel.chain_id.is_not(None)),
    "own place": select(Photo.id).where(Photo.latitude.is_not(None)),
    "hotel's place": select(Hotel.id).where(Hotel.latitude.is_not(None), Hotel.longitude.is_not(None)),
    "date": select(Photo.id).where(SAID_AT.is_not(None)),
}


def any_with(session: Session, what: str) -> bool:
    """Tell whether any photo has a hotel, a chain, an own place or a date, or any hotel a place."""
    return session.scalars(HAVING[what].limit(1)).first() is not None


def sized(at_least: bool, width_px: int, height_px: int) -> Condition:
    """Photos of at least, or at most, so many pixels each way."""
    if at_least:
        return and_(Photo.width_px >= width_px, Photo.height_px >= height_px)
    return and_(Photo.width_px <= width_px, Photo.height_px <= height_px)


def longer_side(least_px: int, below_px: int) -> Condition:
    """Photos whose longer side has at least, and below, so many pixels."""
    longer = or_(Photo.width_px >= least_px, Photo.height_px >= least_px)
    return and_(longer, Photo.width_px < below_px, Photo.height_px < below_px)


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
    which is slower: see `db.sqlite_files`. PostgreSQL compares all of them by itself. Other databases find a path that
    is composed throughout, or decomposed throughout, as nearly all are.
    """
    columns = (Photo.path, Photo.member)
    forms, wanted = spellings(part), folded(part)
    dialect = session.get_bind().dialect.name
    if dialect == postgres.NAME:
        return or_(*(postgres.contains_letters(column, part) for column in columns))
    if dialect != "sqlite":
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


def all_hotels(session: Session) -> Iterator[tuple[int, str | None]]:
    """Yield every hotel's id and name."""
    for rows in fetched(session, select(Hotel.id, Hotel.name)):
        yield from rows


def all_chains(session: Session) -> dict[int, str]:
    """Return {id: name} of all chains."""
    return dict(session.execute(select(Chain.id, Chain.name)).all())


def all_sources(session: Session) -> list[str]:
    """Return the sources that photos are of."""
    return sorted(session.scalars(select(Photo.image_source).where(Photo.image_source.is_not(None)).distinct()))
