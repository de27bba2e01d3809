"""Queries of models, vector shards and embeddings: which row of which shard is whose vector, and whether all agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from base.arrays import Longs
from base.errors import LibraryError
from db.models import Embedding, Model, Photo, PhotoState, VectorShard
from db.photo_rows import fetched, pages
from db.settings_rows import read_setting, write_setting

CURRENT_MODEL = "model_key"


@dataclass(frozen=True, slots=True)
class Twin:
    """An embedded photo with the same bytes as another one: where its vector lies and what it looks like."""

    shard_number: int
    row: int
    width_px: int | None
    height_px: int | None
    format: str | None
    grey: bool | None


def use_model(session: Session, key: str, name: str, dim: int) -> Model:
    """Make a model the library's current one, adding it when it is new; the caller commits."""
    model = session.scalar(select(Model).where(Model.key == key))
    if model is None:
        model = Model(key=key, name=name, dim=dim, generation=0)
        session.add(model)
        session.flush()
    write_setting(session, CURRENT_MODEL, key)
    return model


def current_model(session: Session) -> Model:
    """Return the library's current model.

    Raises: LibraryError: the library was never set up to its end.
    """
    key = read_setting(session, CURRENT_MODEL)
    model = session.scalar(select(Model).where(Model.key == key)) if key else None
    if model is None:
        raise LibraryError("the library has no model: run `aliens init` on it")
    return model


def next_shard_number(session: Session, model: Model) -> int:
    """Return a number that no recorded shard of the model has."""
    last = session.scalar(select(func.max(VectorShard.number)).where(VectorShard.model_id == model.id))
    return (last or 0) + 1


def shard_counts(session: Session, model: Model, *, of_photos: bool = False) -> dict[int, int]:
    """Return {number: rows} of the model's shards: all of them, or those of photos, not of restyled ones."""
    statement = select(VectorShard.number, VectorShard.count).where(VectorShard.model_id == model.id)
    if of_photos:
        statement = statement.where(~VectorShard.restyled)
    return dict(session.execute(statement.order_by(VectorShard.number)).all())


def record_shard(
    session: Session, model: Model, number: int, photo_ids: Sequence[int], *, restyled: bool = False
) -> None:
    """Record a shard whose rows are the vectors of these photos, in this order; the caller commits.

    A shard of restyled photos changes nothing that the index and the tags are made of.
    """
    shard = VectorShard(model_id=model.id, number=number, count=len(photo_ids), restyled=restyled)
    session.add(shard)
    session.flush()
    forget_embeddings(session, model, photo_ids)
    rows = [
        {"model_id": model.id, "photo_id": photo_id, "shard_id": shard.id, "row": row}
        for row, photo_id in enumerate(photo_ids)
    ]
    session.execute(insert(Embedding), rows)
    if not restyled:
        mark_changed(session, model)


def forget_embeddings(session: Session, model: Model, photo_ids: Sequence[int]) -> None:
    """Remove the records of these photos' vectors; the caller commits."""
    for page in pages(list(photo_ids)):
        session.execute(delete(Embedding).where(Embedding.model_id == model.id, Embedding.photo_id.in_(page)))


def forget_shard(session: Session, model: Model, number: int) -> int:
    """Remove the records of a shard that is lost and make its photos pending; return how many photos."""
    shard = session.scalar(select(VectorShard).where(VectorShard.model_id == model.id, VectorShard.number == number))
    if shard is None:
        return 0
    owners = select(Photo.id).join(Embedding, Embedding.photo_id == Photo.id)
    embedded = owners.where(Embedding.shard_id == shard.id, Photo.state == PhotoState.EMBEDDED)
    count = make_pending(session, model, session.scalars(embedded).all())
    session.execute(delete(Embedding).where(Embedding.shard_id == shard.id))
    session.delete(shard)
    mark_changed(session, model)
    return count


def make_pending(session: Session, model: Model, photo_ids: Sequence[int]) -> int:
    """Have photos embedded anew; the caller commits. Return how many."""
    for page in pages(list(photo_ids)):
        statement = update(Photo).where(Photo.id.in_(page)).values(state=PhotoState.PENDING)
        session.execute(statement, execution_options={"synchronize_session": False})
    if photo_ids:
        mark_changed(session, model)
    return len(photo_ids)


def mark_changed(session: Session, model: Model) -> None:
    """Count a change to the set of vectors that can be found, so that older indexes are known as such."""
    statement = update(Model).where(Model.id == model.id).values(generation=Model.generation + 1)
    session.execute(statement, execution_options={"synchronize_session": False})


def generation(session: Session, model: Model) -> int:
    """Return how many changes the model's set of vectors has seen."""
    return session.scalars(select(Model.generation).where(Model.id == model.id)).one()


def count_embedded(session: Session, model: Model) -> int:
    """Return how many photos can be found."""
    statement = (
        select(func.count())
        .select_from(Embedding)
        .join(Photo, Photo.id == Embedding.photo_id)
        .where(Embedding.model_id == model.id, Photo.state == PhotoState.EMBEDDED)
    )
    return session.scalar(statement) or 0


def any_vector(session: Session, model: Model) -> bool:
    """Tell whether the model has any vector, be it of a photo that cannot be found now."""
    return (
        session.scalars(select(Embedding.photo_id).where(Embedding.model_id == model.id).limit(1)).first() is not None
    )


def embedded_ids(session: Session, model: Model) -> Longs:
    """Return the ids of all photos that can be found, ascending, (n,) int64."""
    statement = (
        select(Embedding.photo_id)
        .join(Photo, Photo.id == Embedding.photo_id)
        .where(Embedding.model_id == model.id, Photo.state == PhotoState.EMBEDDED)
        .order_by(Embedding.photo_id)
    )
    ids = (row[0] for rows in fetched(session, statement) for row in rows)
    return np.fromiter(ids, np.int64)


def embedded_places(
    session: Session,
    model: Model,
    *,
    after: int = 0,
    ids: Sequence[int] | None = None,
    state: PhotoState = PhotoState.EMBEDDED,
) -> Iterator[tuple[int, list[int]]]:
    """Yield (shard number, rows) of every photo that can be found, shard after shard.

    Of shards with numbers beyond `after`; with `ids`, of these photos alone; with another state, of restyled ones.
    """
    statement = (
        select(VectorShard.number, Embedding.row)
        .join(VectorShard, VectorShard.id == Embedding.shard_id)
        .join(Photo, Photo.id == Embedding.photo_id)
        .where(Embedding.model_id == model.id, Photo.state == state)
        .order_by(VectorShard.number, Embedding.row)
    )
    if after:
        statement = statement.where(VectorShard.number > after)
    wanted = [statement] if ids is None else [statement.where(Photo.id.in_(page)) for page in pages(list(ids))]
    for part in wanted:
        rows = (row for batch in fetched(session, part) for row in batch)
        for number, group in groupby(rows, key=itemgetter(0)):
            yield number, [row for _, row in group]


class EmbeddedRows:
    """What an index asks of the database: which photos can be found, and where their vectors lie."""

    def __init__(self, session: Session, model: Model) -> None:
        self._session = session
        self._model = model

    @property
    def generation(self) -> int:
        """How many changes the model's set of vectors has seen."""
        return generation(self._session, self._model)

    def ids(self) -> Longs:
        """Return the ids of all photos that can be found, ascending, (n,) int64."""
        return embedded_ids(self._session, self._model)

    def places(self, *, after: int = 0, ids: Sequence[int] | None = None) -> Iterator[tuple[int, list[int]]]:
        """Yield (shard number, rows): see `embedded_places`."""
        return embedded_places(self._session, self._model, after=after, ids=ids)


def place_of(session: Session, model: Model, photo_id: int) -> tuple[int, int] | None:
    """Return (shard number, row) of a photo's vector, or None where it has none."""
    statement = (
        select(VectorShard.number, Embedding.row)
        .join(VectorShard, VectorShard.id == Embedding.shard_id)
        .where(Embedding.model_id == model.id, Embedding.photo_id == photo_id)
    )
    row = session.execute(statement).first()
    return (row[0], row[1]) if row else None


def twin(session: Session, model: Model, sha256: bytes) -> Twin | None:
    """Return the first embedded photo whose bytes have this hash, or None."""
    statement = (
        select(
            VectorShard.number,
            Embedding.row,
            Photo.width_px,
            Photo.height_px,
            Photo.format,
            Photo.grey,
        )
        .join(Embedding, Embedding.photo_id == Photo.id)
        .join(VectorShard, VectorShard.id == Embedding.shard_id)
        .where(Photo.content_sha256 == sha256, Embedding.model_id == model.id)
        .order_by(Photo.id)
        .limit(1)
    )
    row = session.execute(statement).first()
    return Twin(*row) if row else None


# Built once: it is asked for every photo, from several threads.
KNOWN_BYTES = (
    select(Embedding.photo_id)
    .join(Photo, Photo.id == Embedding.photo_id)
    .where(Photo.content_sha256 == bindparam("sha256"), Embedding.model_id == bindparam("model_id"))
    .limit(1)
)


def knows_bytes(connection: Connection, model: Model, sha256: bytes) -> bool:
    """Tell whether the model has a vector of a photo whose bytes have this hash."""
    return connection.execute(KNOWN_BYTES, {"sha256": sha256, "model_id": model.id}).first() is not None


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
