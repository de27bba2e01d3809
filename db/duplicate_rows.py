"""Queries for finding copies of photos: which have the same bytes, and what tells the one to keep from the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Photo, PhotoState, TagLabel
from db.photo_rows import DATED, dated, fetched, pages

FINDABLE_PHOTO = Photo.state == PhotoState.EMBEDDED


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """What is known of a photo that may be a copy. date_from: see `db.photo_rows.dated`. labels: set by hand."""

    photo_id: int
    path: str
    member: str
    hotel_id: int | None
    width_px: int | None
    height_px: int | None
    format: str | None
    size_bytes: int | None
    content_sha256: bytes | None
    date: datetime | None
    date_from: str | None
    labels: int


def ids_by_bytes(session: Session) -> Iterator[list[int]]:
    """Yield the ids, ascending, of photos that can be found and have the same bytes, wherever there are several."""
    several = (  # answered by the index of hashes alone
        select(Photo.content_sha256)
        .where(Photo.content_sha256.is_not(None))
        .group_by(Photo.content_sha256)
        .having(func.count() > 1)
    )
    statement = (
        select(Photo.content_sha256, Photo.id)
        .where(Photo.content_sha256.in_(several), FINDABLE_PHOTO)
        .order_by(Photo.content_sha256, Photo.id)
    )
    content, ids = b"", list[int]()
    for rows in fetched(session, statement):
        for sha256, photo_id in rows:
            if sha256 != content:
                if len(ids) > 1:
                    yield ids
                content, ids = sha256, []
            ids.append(photo_id)
    if len(ids) > 1:
        yield ids


def copy_facts(session: Session, ids: Sequence[int]) -> dict[int, CopyFacts]:
    """Return {photo id: what is known of it} of those of the photos that can be found."""
    found = {}
    for page in pages(list(ids)):
        statement = select(
            Photo.id,
            Photo.path,
            Photo.member,
            Photo.hotel_id,
            Photo.width_px,
            Photo.height_px,
            Photo.format,
            Photo.size_bytes,
            Photo.content_sha256,
            *DATED,
        ).where(Photo.id.in_(page), FINDABLE_PHOTO)
        rows = session.execute(statement).all()
        labels = label_counts(session, [row[8] for row in rows if row[8] is not None])
        for row in rows:
            found[row[0]] = CopyFacts(*row[:9], *dated(row[9], row[10], row[11], row[12]), labels.get(row[8] or b"", 0))
    return found


def label_counts(session: Session, hashes: Sequence[bytes]) -> dict[bytes, int]:
    """Return {SHA-256 of bytes: how many tags people have set, or unset, of them}."""
    statement = (
        select(TagLabel.content_sha256, func.count())
        .where(TagLabel.content_sha256.in_(hashes))
        .group_by(TagLabel.content_sha256)
    )
    return dict(session.execute(statement).all()) if hashes else {}
