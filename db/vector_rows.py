"""Queries of models, segments and embeddings: in which segment whose vector lies, and whether all agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    String,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session

from base.arrays import Longs
from base.console import counted
from base.errors import DamagedDatabaseError, LibraryError
from base.files import SegmentFile
from base.records import parse_json
from db.models import Base, DeadVector, Embedding, Model, Photo, PhotoState, VectorSegment
from db.photo_rows import drop_photos, fetched, pages, retire_ids
from db.settings_rows import read_setting, write_setting

CURRENT_MODEL = "model_key"


@dataclass(frozen=True, slots=True)
class Twin:
    """An embedded photo with the same bytes as another one: where its vector lies and what it looks like."""

    photo_id: int
    segment: SegmentFile
    width_px: int | None
    height_px: int | None
    format: str | None
    grey: bool | None
    brightness: float | None


def add_model(session: Session, key: str, name: str, dim: int) -> Model:
    """Return a model's row, adding it when it is new; the caller commits."""
    model = session.scalar(select(Model).where(Model.key == key))
    if model is None:
        model = Model(key=key, name=name, dim=dim)
        session.add(model)
        session.flush()
    return model


def use_model(session: Session, key: str, name: str, dim: int) -> Model:
    """Make a model the library's current one, adding it when it is new; the caller commits."""
    model = add_model(session, key, name, dim)
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


FINDABLE = (PhotoState.EMBEDDED, PhotoState.RESTYLED)
SEGMENT = (
    VectorSegment.name,
    VectorSegment.rows,
    VectorSegment.alive,
    VectorSegment.size_bytes,
    VectorSegment.sha256,
)


def segment_file(name: str, rows: int, alive: int, size_bytes: int, sha256: str) -> SegmentFile:
    """Return the columns of SEGMENT as what they say."""
    return SegmentFile(name=name, rows=rows, alive=alive, size_bytes=size_bytes, sha256=sha256)


def segments_of(session: Session, model: Model, *, restyled: bool | None = None) -> list[SegmentFile]:
    """Return the model's segments, the oldest first: those of photos, or of restyled ones; None for all."""
    statement = select(*SEGMENT).where(VectorSegment.model_id == model.id).order_by(VectorSegment.id)
    if restyled is not None:
        statement = statement.where(VectorSegment.restyled == restyled)
    return [segment_file(*row) for row in session.execute(statement)]


def record_segment(
    session: Session, model: Model, file: SegmentFile, photo_ids: Sequence[int], *, restyled: bool = False
) -> None:
    """Record a new segment that holds the vectors of these photos; the caller commits.

    The photos are those that can be found, or will be at the end of the caller's transaction.
    """
    forget_embeddings(session, model, photo_ids)
    segment_id = add_segment(session, model, file, restyled=restyled)
    rows = [{"model_id": model.id, "photo_id": photo_id, "segment_id": segment_id} for photo_id in photo_ids]
    session.execute(insert(Embedding), rows)


def add_segment(session: Session, model: Model, file: SegmentFile, *, restyled: bool) -> int:
    """Add a segment's row and return its id; the caller commits."""
    columns = {name: getattr(file, name) for name in ("name", "rows", "alive", "size_bytes", "sha256")}
    done = session.execute(insert(VectorSegment).values(model_id=model.id, restyled=restyled, **columns))
    return int(done.inserted_primary_key[0])  # type: ignore[attr-defined] # a CursorResult, as of every INSERT


def merge_segments(session: Session, model: Model, names: Sequence[str], file: SegmentFile | None, ids: Longs) -> None:
    """Record that a new segment stands in the place of others, all of photos or all of results; the caller commits.

    ids: of the photos whose vectors lie in it. Without a file nobody's vector lies in the others.
    """
    older = select(VectorSegment.id, VectorSegment.restyled).where(
        VectorSegment.model_id == model.id, VectorSegment.name.in_(names)
    )
    found = session.execute(older).all()
    older_ids = [row[0] for row in found]
    if file is not None:
        segment_id = add_segment(session, model, file, restyled=found[0][1])
        moved = update(Embedding).where(Embedding.segment_id.in_(older_ids)).values(segment_id=segment_id)
        session.execute(moved, execution_options={"synchronize_session": False})
        set_dead(
            session, model, file.name, np.setdiff1d(ids, recorded_ids(session, model, file.name, alive=True)).tolist()
        )
    session.execute(delete(DeadVector).where(DeadVector.segment_id.in_(older_ids)))
    session.execute(delete(VectorSegment).where(VectorSegment.id.in_(older_ids)))


def count_alive(session: Session, segment_ids: Sequence[int]) -> None:
    """Keep how many rows of segments are not dead; the caller commits."""
    dead = select(func.count()).where(DeadVector.segment_id == VectorSegment.id).scalar_subquery()
    statement = update(VectorSegment).where(VectorSegment.id.in_(segment_ids)).values(alive=VectorSegment.rows - dead)
    session.execute(statement, execution_options={"synchronize_session": False})


def set_dead(session: Session, model: Model, name: str, photo_ids: Sequence[int]) -> None:
    """Say which rows of a segment are dead, whatever was said before; the caller commits."""
    named = select(VectorSegment.id).where(VectorSegment.model_id == model.id, VectorSegment.name == name)
    segment_id = session.scalars(named).one()
    session.execute(delete(DeadVector).where(DeadVector.segment_id == segment_id))
    if photo_ids:
        session.execute(insert(DeadVector), [{"segment_id": segment_id, "photo_id": i} for i in photo_ids])
    count_alive(session, [segment_id])


def lose(session: Session, photo_ids: Sequence[int], model: Model | None = None) -> None:
    """Take the vectors of these photos for dead, of one model or of all; the caller commits.

    To be called before a photo's state says that it cannot be found, or before its vector lies elsewhere. A row that is
    dead stays so: a photo that is back gets a row in another segment.
    """
    is_dead = and_(DeadVector.segment_id == Embedding.segment_id, DeadVector.photo_id == Embedding.photo_id)
    for page in pages(list(photo_ids)):
        dying = (
            select(Embedding.segment_id, Embedding.photo_id)
            .outerjoin(DeadVector, is_dead)
            .where(Embedding.photo_id.in_(page), DeadVector.photo_id.is_(None))
        )
        here = select(Embedding.segment_id).where(Embedding.photo_id.in_(page))
        if model is not None:
            here, dying = here.where(Embedding.model_id == model.id), dying.where(Embedding.model_id == model.id)
        segment_ids = list(session.scalars(here.distinct()))
        if segment_ids:  # locked, where the database has several writers, so that no count of theirs is lost
            session.execute(select(VectorSegment.id).where(VectorSegment.id.in_(segment_ids)).with_for_update())
            session.execute(insert(DeadVector).from_select(["segment_id", "photo_id"], dying))
            count_alive(session, segment_ids)


def forget_embeddings(session: Session, model: Model, photo_ids: Sequence[int]) -> None:
    """Remove the records of these photos' vectors; the caller commits."""
    for page in pages(list(photo_ids)):
        lose(session, page, model)
        session.execute(delete(Embedding).where(Embedding.model_id == model.id, Embedding.photo_id.in_(page)))


def remove_photos(session: Session, ids: Sequence[int]) -> None:
    """Remove photos, or restyled ones, for good; the caller commits.

    Their vectors are dead, their ids are given to no other. Captions go with them, labels stay with the bytes.
    """
    retire_ids(session, ids)
    for page in pages(list(ids)):
        lose(session, page)
        drop_photos(session, page)


def forget_segment(session: Session, model: Model, name: str) -> None:
    """Remove the records of a segment that is lost; the caller commits. See `pend_without_vector`."""
    named = select(VectorSegment.id).where(VectorSegment.model_id == model.id, VectorSegment.name == name)
    segment_id = session.scalar(named)
    if segment_id is None:
        return
    session.execute(delete(Embedding).where(Embedding.segment_id == segment_id))
    session.execute(delete(DeadVector).where(DeadVector.segment_id == segment_id))
    session.execute(delete(VectorSegment).where(VectorSegment.id == segment_id))


def pend_without_vector(session: Session, model: Model) -> int:
    """Have photos embedded anew that are marked embedded and have no vector; the caller commits. Return how many.

    model: the one in use. What other models have of these photos is dead until they are embedded.
    """
    ids = list(embedded_without_vector(session, model))
    lose(session, ids)
    for page in pages(ids):
        statement = update(Photo).where(Photo.id.in_(page)).values(state=PhotoState.PENDING)
        session.execute(statement, execution_options={"synchronize_session": False})
    return len(ids)


def recorded_ids(session: Session, model: Model, name: str, *, alive: bool = False) -> Longs:
    """Return the ids, ascending, of the photos whose vectors lie in a segment; `alive`: of those that can be found."""
    statement = (
        select(Embedding.photo_id)
        .join(VectorSegment, VectorSegment.id == Embedding.segment_id)
        .where(VectorSegment.model_id == model.id, VectorSegment.name == name)
    )
    if alive:
        statement = statement.join(Photo, Photo.id == Embedding.photo_id).where(Photo.state.in_(FINDABLE))
    ids = (row[0] for rows in fetched(session, statement) for row in rows)
    return np.sort(np.fromiter(ids, np.int64))


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
    statement = select(VectorSegment.id).where(VectorSegment.model_id == model.id).limit(1)
    return session.scalars(statement).first() is not None


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


class EmbeddedRows:
    """What is asked of the database to open the segments: which there are, and which of their rows are dead."""

    def __init__(self, session: Session, model: Model, *, restyled: bool = False) -> None:
        self._session = session
        self._model = model
        self._restyled = restyled

    def segments(self) -> list[SegmentFile]:
        """Return the segments of photos, or of restyled ones."""
        return segments_of(self._session, self._model, restyled=self._restyled)

    def dead(self, name: str) -> Longs:
        """Return the ids, ascending, of a segment's rows that are dead."""
        return dead_ids(self._session, self._model, name)


def dead_ids(session: Session, model: Model, name: str) -> Longs:
    """Return the ids, ascending, of a segment's rows that are dead."""
    statement = (
        select(DeadVector.photo_id)
        .join(VectorSegment, VectorSegment.id == DeadVector.segment_id)
        .where(VectorSegment.model_id == model.id, VectorSegment.name == name)
    )
    ids = (row[0] for rows in fetched(session, statement) for row in rows)
    return np.sort(np.fromiter(ids, np.int64))


def segment_with(session: Session, model: Model, photo_id: int) -> SegmentFile | None:
    """Return the segment that a photo's vector lies in, or None where it has none."""
    statement = (
        select(*SEGMENT)
        .join(Embedding, Embedding.segment_id == VectorSegment.id)
        .where(Embedding.model_id == model.id, Embedding.photo_id == photo_id)
    )
    row = session.execute(statement).first()
    return segment_file(*row) if row else None


TWIN = (
    select(Photo.id, *SEGMENT, Photo.width_px, Photo.height_px, Photo.format, Photo.grey, Photo.brightness)
    .join(Embedding, Embedding.photo_id == Photo.id)
    .join(VectorSegment, VectorSegment.id == Embedding.segment_id)
    .where(Photo.content_sha256 == bindparam("sha256"), Embedding.model_id == bindparam("model_id"))
    .order_by(Photo.id)
    .limit(1)
)


def twin(session: Session, model: Model, sha256: bytes) -> Twin | None:
    """Return the first photo with a vector whose bytes have this hash, or None."""
    row = session.execute(TWIN, {"sha256": sha256, "model_id": model.id}).first()
    if row is None:
        return None
    facts = dict(zip(("width_px", "height_px", "format", "grey", "brightness"), row[6:], strict=True))
    return Twin(row[0], segment_file(*row[1:6]), **facts)


# Built once: it is asked for every photo, from several threads.
KNOWN_BYTES = (
    select(Photo.content_sha256)
    .join(Embedding, Embedding.photo_id == Photo.id)
    .where(Photo.content_sha256.in_(bindparam("hashes", expanding=True)), Embedding.model_id == bindparam("model_id"))
)


def known_among(connection: Connection, model: Model, hashes: Sequence[bytes]) -> set[bytes]:
    """Return those of some SHA-256 that are of the bytes of a photo of which the model has a vector."""
    rows = connection.execute(KNOWN_BYTES.distinct(), {"hashes": list(hashes), "model_id": model.id})
    return {sha256 for (sha256,) in rows if sha256 is not None}


def database_problems(session: Session) -> list[str]:
    """Return what SQLite finds wrong in its own file, by table; other databases check themselves.

    Raises: DamagedDatabaseError: it cannot even be looked through.
    """
    if session.get_bind().dialect.name != "sqlite":
        return []
    if found := integrity_problems(session):  # asked table by table, SQLite tells where, though it gave up before
        tables = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0")).all()
        lines = [(name, line) for name in tables for line in integrity_problems(session, name)]
        named = {line for _, line in lines}
        return [f"table {name}: {line}" for name, line in lines] + [line for line in found if line not in named]
    broken_keys = session.execute(text("PRAGMA foreign_key_check")).all()
    return [f"row {row[1]} of table {row[0]} points to a row of {row[2]} that is not there" for row in broken_keys]


def senseless_values(session: Session) -> list[str]:
    """Return which columns of an SQLite file hold values that cannot be of their type, by table; of others nothing.

    Pages have no checksums: a bit that flips in a date, a state or a number leaves a sound page.
    """
    found: list[str] = []
    if session.get_bind().dialect.name != "sqlite":
        return found
    for table in Base.metadata.sorted_tables:
        checks = [func.sum(column.is_not(None) & ~makes_sense(column), type_=Integer) for column in table.columns]
        for column, count in zip(table.columns, session.execute(select(*checks)).one(), strict=True):
            if count and isinstance(column.type, JSON):  # SQLite knows no NaN, which we write
                value = type_coerce(column, Text)
                count = sum(not is_json(each) for each in session.scalars(select(value).where(~makes_sense(column))))
            if count:
                makes = "makes" if count == 1 else "make"
                found.append(f"table {table.name}: {counted(count, 'value')} of {column.name} {makes} no sense")
    return found


def makes_sense(column: Column[Any]) -> ColumnElement[bool]:
    """Return the condition that a value of a column of an SQLite file can be of its type."""
    kind, written = column.type, type_coerce(column, Text)
    if isinstance(kind, JSON):
        return func.json_valid(written) == 1
    if isinstance(kind, Enum):
        return written.in_(kind.enums)
    if isinstance(kind, DateTime):
        return func.datetime(written).is_not(None)
    if isinstance(kind, Boolean):
        return type_coerce(column, Integer).in_([0, 1])
    kinds = {LargeBinary: ["blob"], Integer: ["integer"], Float: ["real", "integer"], String: ["text"]}
    return func.typeof(written).in_(next(names for each, names in kinds.items() if isinstance(kind, each)))


def is_json(value: str | bytes) -> bool:
    """Tell whether Python reads a value of a column of JSON."""
    try:
        parse_json(value)
    except ValueError:
        return False
    return True


def integrity_problems(session: Session, table: str = "") -> list[str]:
    """Return what SQLite finds wrong in a table and its indexes, or in all of them, line by line."""
    try:
        said = [row[0] for row in session.execute(text("PRAGMA integrity_check" + (f"('{table}')" if table else "")))]
    except DamagedDatabaseError as error:  # it gives up at a page that makes no sense
        said = [error.problem]
    return [line for problem in said for line in problem.splitlines() if line != "ok" and not line.startswith("***")]


def embedded_without_vector(session: Session, model: Model) -> Iterator[int]:
    """Yield the ids of photos marked embedded for which no vector is recorded."""
    recorded = select(Embedding.photo_id).where(Embedding.model_id == model.id)
    statement = select(Photo.id).where(Photo.state == PhotoState.EMBEDDED, Photo.id.not_in(recorded))
    for rows in fetched(session, statement.order_by(Photo.id)):
        yield from (row[0] for row in rows)


def miscounted(session: Session, model: Model) -> list[tuple[str, int, int]]:
    """Return (name, alive as kept, alive as counted) of the segments whose count of living rows is wrong."""
    counted = (
        select(Embedding.segment_id, func.count().label("alive"))
        .join(Photo, Photo.id == Embedding.photo_id)
        .where(Photo.state.in_(FINDABLE))
        .group_by(Embedding.segment_id)
        .subquery()
    )
    alive = func.coalesce(counted.c.alive, 0)
    statement = (
        select(VectorSegment.name, VectorSegment.alive, alive)
        .outerjoin(counted, counted.c.segment_id == VectorSegment.id)
        .where(VectorSegment.model_id == model.id, VectorSegment.alive != alive)
    )
    return [(row[0], row[1], row[2]) for row in session.execute(statement)]
