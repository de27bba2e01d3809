"""Queries for verification: what the database itself can tell about its soundness."""

from collections.abc import Iterator

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models import Embedding, Model, Photo, PhotoState, VectorShard


def database_problems(session: Session) -> list[str]:
    """Return what SQLite finds wrong in its own file; other databases check themselves."""
    if session.get_bind().dialect.name != "sqlite":
        return []
    found = [row[0] for row in session.execute(text("PRAGMA integrity_check")) if row[0] != "ok"]
    broken_keys = session.execute(text("PRAGMA foreign_key_check")).all()
    return found + [
        f"row {row[1]} of table {row[0]} points to a row of {row[2]} that is not there" for row in broken_keys
    ]


def embedded_without_vector(session: Session, model: Model) -> list[int]:
    """Return the ids of photos marked embedded for which no vector is recorded."""
    recorded = select(Embedding.photo_id).where(Embedding.model_id == model.id)
    statement = select(Photo.id).where(Photo.state == PhotoState.EMBEDDED, Photo.id.not_in(recorded))
    return list(session.scalars(statement.order_by(Photo.id)))


def vectors_of_shard(session: Session, model: Model, number: int) -> Iterator[tuple[int, int]]:
    """Yield (row, photo id) of the vectors that are recorded in a shard."""
    statement = (
        select(Embedding.row, Embedding.photo_id)
        .join(VectorShard, VectorShard.id == Embedding.shard_id)
        .where(VectorShard.model_id == model.id, VectorShard.number == number)
    )
    yield from session.execute(statement)
