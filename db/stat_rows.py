"""Aggregates over all photos that can be found: how many have each value of a column; whose brightness is not known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.models import Photo, PhotoState
from db.photo_rows import COLUMNS, SAID_AT, fetched

COUNTED: dict[str, ColumnElement[Any] | InstrumentedAttribute[Any]] = {
    "hotel_id": Photo.hotel_id,
    "source": Photo.image_source,
    "width_px": Photo.width_px,
    "height_px": Photo.height_px,
    "format": Photo.format,
    "brightness": Photo.brightness,
    "year": func.substr(cast(SAID_AT, Text), 1, 4),
    "date_from": COLUMNS["date_from"],
}
FOUND = Photo.state == PhotoState.EMBEDDED


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoTotals:
    """Photos that can be found, and of how many something is known.

    size_bytes: of all of them together. grey, coloured: without any colour, and with some.
    """

    photos: int
    size_bytes: int
    grey: int
    coloured: int
    brightness_known: int


def photo_totals(session: Session) -> PhotoTotals:
    """Count the photos that can be found, in one look at all of them."""
    row = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(Photo.size_bytes), 0),
            func.count(case((Photo.grey.is_(True), 1))),
            func.count(Photo.grey),
            func.count(Photo.brightness),
        ).where(FOUND)
    ).one()
    return PhotoTotals(
        photos=row[0], size_bytes=int(row[1] or 0), grey=row[2], coloured=row[3] - row[2], brightness_known=row[4]
    )


def counted_by(session: Session, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield (value of each name, photos) of the photos that can be found; None where a value is not known.

    `names` are keys of COUNTED.
    """
    columns = [COUNTED[name] for name in names]
    for rows in fetched(session, select(*columns, func.count()).where(FOUND).group_by(*columns)):
        yield from rows


def own_places(session: Session) -> Iterator[Sequence[tuple[float, float, int | None]]]:
    """Yield (latitude, longitude, hotel id) of photos that have a place of their own, in degrees, some at a time."""
    meant = (FOUND, Photo.latitude.is_not(None), Photo.longitude.is_not(None))
    yield from fetched(session, select(Photo.latitude, Photo.longitude, Photo.hotel_id).where(*meant))


def unmeasured(session: Session, after_id: int, limit: int) -> Sequence[tuple[int, str, str, bytes | None]]:
    """Return (id, path, member, SHA-256) of the next photos whose brightness is not known, by their ids."""
    columns = (Photo.id, Photo.path, Photo.member, Photo.content_sha256)
    meant = (FOUND, Photo.brightness.is_(None), Photo.content_sha256.is_not(None), Photo.id > after_id)
    return [
        (row[0], row[1], row[2], row[3])
        for row in session.execute(select(*columns).where(*meant).order_by(Photo.id).limit(limit))
    ]


def count_unmeasured(session: Session) -> int:
    """Return how many there are."""
    meant = (FOUND, Photo.brightness.is_(None), Photo.content_sha256.is_not(None))
    return session.scalar(select(func.count()).where(*meant)) or 0
