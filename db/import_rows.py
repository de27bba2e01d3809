"""Queries for many photos that come at once with their vectors: which are known, and their rows in bulk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, literal, select, text
from sqlalchemy.orm import Session

from base.files import SegmentFile
from db.models import Base, Embedding, Model, Photo, PhotoState
from db.photo_rows import LAST_ID, Place, newest_photo_id, place_conditions
from db.settings_rows import read_setting_as
from db.vector_rows import add_segment

CACHE_KIB = 262_144  # of SQLite's pages: names come in no order, and each belongs somewhere else in an index
PHOTO = Base.metadata.tables[Photo.__tablename__]
USUAL_CACHE_KIB = 2_000  # SQLite's own


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A photo that the library has at a place, and whether its bytes were read, and whether it has a vector."""

    photo_id: int
    was_read: bool
    has_vector: bool


def known_places(session: Session, model: Model, places: Sequence[Place]) -> dict[Place, KnownPlace]:
    """Return what the library has at these places, restyled photos included."""
    found: dict[Place, KnownPlace] = {}
    for condition in place_conditions(places):
        of_model = (Embedding.photo_id == Photo.id) & (Embedding.model_id == model.id)
        columns = (Photo.path, Photo.member, Photo.id, Photo.content_sha256.is_not(None), Photo.state)
        statement = select(*columns, Embedding.photo_id).outerjoin(Embedding, of_model).where(condition)
        for path, member, photo_id, was_read, state, has_vector in session.execute(statement):
            is_result = state is PhotoState.RESTYLED
            found[path, member] = KnownPlace(photo_id, bool(was_read) or is_result, has_vector is not None)
    return found


def first_free_id(session: Session) -> int:
    """Return the first of the ids that no photo has, or had; the caller holds the library's lock."""
    return max(newest_photo_id(session), read_setting_as(session, LAST_ID, int) or 0) + 1


@contextmanager
def many_rows(session: Session) -> Iterator[None]:
    """Give the database room for writing very many rows."""
    if session.get_bind().dialect.name != "sqlite":
        yield
        return
    session.execute(text(f"PRAGMA cache_size = -{CACHE_KIB}"))
    try:
        yield
    finally:
        session.rollback()  # what is not committed, which would hold the pages
        session.execute(text(f"PRAGMA cache_size = -{USUAL_CACHE_KIB}"))


def insert_numbered(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Add photos, given as columns of the table, ids included; the caller commits."""
    session.connection().execute(insert(PHOTO), rows)  # past the mapper, which takes as long again


def record_run(session: Session, model: Model, file: SegmentFile, first_id: int) -> None:
    """Record a segment of new photos whose ids follow each other from `first_id` on; the caller commits."""
    segment_id, last_id = add_segment(session, model, file, restyled=False), first_id + file.rows - 1
    photos = select(Photo.id, literal(model.id), literal(segment_id)).where(Photo.id.between(first_id, last_id))
    session.execute(insert(Embedding).from_select(["photo_id", "model_id", "segment_id"], photos))
    if session.get_bind().dialect.name == "postgresql":  # whose own numbers are to go on from there
        session.execute(select(func.setval(func.pg_get_serial_sequence("photo", "id"), last_id)))
