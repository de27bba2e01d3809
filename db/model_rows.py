"""Queries of a library's models: which there are, which is in use, and which photos have no vector of one.

Every embedded photo has a vector of the model in use; other models may lack some.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import Session

from base.errors import QueryError
from base.files import SegmentFile
from base.names import comparable, nearest
from db.models import DeadVector, Embedding, Model, Photo, PhotoState, TaggingRun, VectorSegment
from db.photo_rows import PAGE, pages
from db.vector_rows import SEGMENT, current_model, segment_file, segments_of


def library_models(session: Session) -> list[Model]:
    """Return all models of a library, the one in use first, the others as they came."""
    used = current_model(session)
    return [used, *session.scalars(select(Model).where(Model.id != used.id).order_by(Model.id))]


def other_models(session: Session, model: Model) -> list[Model]:
    """Return the models of a library but for one."""
    return list(session.scalars(select(Model).where(Model.id != model.id).order_by(Model.id)))


def find_model(session: Session, name: str) -> Model | None:
    """Return the model of a library that a name means: its name, its key, or the beginning of either; None for none.

    Capitals make no difference. What is a whole name goes before what begins so.

    Raises: QueryError: it is several.
    """
    known, asked = library_models(session), comparable(name.rstrip("/"))
    whole = [each for each in known if asked in (comparable(each.name), comparable(each.key))]
    begun = [each for each in known if asked and is_beginning(asked, each)]
    for meant in (whole, begun):
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise QueryError(
                f"{name!r} is several models of this library: say {' or '.join(each.key for each in meant)}"
            )
    return None


def named_model(session: Session, name: str) -> Model:
    """Return the model of a library that a name means: see `find_model`. Raises: QueryError: there is none."""
    model = find_model(session, name)
    if model is not None:
        return model
    known = library_models(session)
    near = nearest(name, [spelling for each in known for spelling in (each.name, each.key)])
    here = ", ".join(each.name for each in known)
    raise QueryError(
        f"no model {name!r} in this library, which has {here}"
        + (f" (near it: {', '.join(near)})" if near else "")
        + ": `aliens embed --model NAME` makes vectors of another, `aliens models` lists them"
    )


def is_beginning(asked: str, model: Model) -> bool:
    """Tell whether a model's name or key begins so, `asked` as names are compared; a folder's also by its last part."""
    names = [model.name, model.key]
    if model.name.startswith("local-dir:"):
        names.append(model.name.rpartition("/")[2])
    return any(comparable(each).startswith(asked) for each in names)


def lacks_vector(model: Model) -> ColumnElement[bool]:
    """Return the condition that a photo has no vector of a model recorded."""
    return ~exists().where(Embedding.photo_id == Photo.id, Embedding.model_id == model.id)


def count_without_vector(session: Session, model: Model) -> int:
    """Return how many embedded photos have no vector of a model."""
    embedded = select(func.count()).select_from(Photo).where(Photo.state == PhotoState.EMBEDDED)
    return session.scalar(embedded.where(lacks_vector(model))) or 0


def counted_without_vector(session: Session, model: Model) -> int:
    """Return what `count_without_vector` does, by the counts of living rows that segments have: at once."""
    embedded = session.scalar(select(func.count()).select_from(Photo).where(Photo.state == PhotoState.EMBEDDED)) or 0
    return max(embedded - sum(file.alive for file in segments_of(session, model, restyled=False)), 0)


def largest_without_vector(session: Session, model: Model) -> int:
    """Return how many pixels the largest of the embedded photos has that have no vector of a model."""
    largest = select(func.max(Photo.width_px * Photo.height_px)).where(Photo.state == PhotoState.EMBEDDED)
    return session.scalar(largest.where(lacks_vector(model))) or 0


def photos_without_vector(session: Session, model: Model, after_id: int = 0) -> list[Photo]:
    """Return the next embedded photos that have no vector of a model, in the order of their ids."""
    statement = select(Photo).where(Photo.state == PhotoState.EMBEDDED, Photo.id > after_id, lacks_vector(model))
    return list(session.scalars(statement.order_by(Photo.id).limit(PAGE)))


def embedded_bytes(session: Session, ids: Sequence[int]) -> dict[int, bytes | None]:
    """Return {photo id: hash of its bytes} of those of the photos that are embedded now, and keep them so.

    Where a database has several writers their rows are locked until the caller's transaction ends.
    """
    found: dict[int, bytes | None] = {}
    for page in pages(list(ids)):
        statement = select(Photo.id, Photo.content_sha256).where(Photo.id.in_(page), Photo.state == PhotoState.EMBEDDED)
        found.update((row[0], row[1]) for row in session.execute(statement.with_for_update(read=True)))
    return found


def vectors_of_bytes(session: Session, model: Model, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, SegmentFile]]:
    """Return {hash of bytes: (photo with these bytes, segment with its vector)} of the bytes that a model has seen."""
    found: dict[bytes, tuple[int, SegmentFile]] = {}
    for page in pages(list(hashes)):
        statement = (
            select(Photo.content_sha256, Photo.id, *SEGMENT)
            .join(Embedding, Embedding.photo_id == Photo.id)
            .join(VectorSegment, VectorSegment.id == Embedding.segment_id)
            .where(Embedding.model_id == model.id, Photo.content_sha256.in_(page))
        )
        for row in session.execute(statement):
            if row[0] is not None:
                found[row[0]] = (row[1], segment_file(*row[2:]))
    return found


def remove_model(session: Session, model: Model) -> None:
    """Remove a model and all that is recorded of its vectors, which must not be in use; the caller commits."""
    segments = select(VectorSegment.id).where(VectorSegment.model_id == model.id).scalar_subquery()
    for statement in (
        delete(DeadVector).where(DeadVector.segment_id.in_(segments)),
        delete(Embedding).where(Embedding.model_id == model.id),
        delete(VectorSegment).where(VectorSegment.model_id == model.id),
        delete(TaggingRun).where(TaggingRun.model_id == model.id),
        delete(Model).where(Model.id == model.id),
    ):
        session.execute(statement, execution_options={"synchronize_session": False})
