"""Queries of restyled photos, and of the games of the recognition quiz that people play with them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ScalarSelect, delete, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from base.files import checksum_problem
from base.settings import LibraryFolder
from db.models import Embedding, Model, Photo, PhotoState, QuizGame, Restyling
from db.photo_rows import hashes_of, next_photo_id, pages
from db.vector_rows import remove_photos


def keep_restyling(session: Session, columns: dict[str, Any]) -> Restyling:
    """Keep a result, given as columns of the table, in place of an earlier one of its wish; the caller commits."""
    kept = find_restyling(session, columns["wish"])
    if kept is None:
        kept = Restyling()
        session.add(kept)
    for name, value in columns.items():
        setattr(kept, name, value)
    session.flush()
    return kept


def find_restyling(session: Session, wish: str) -> Restyling | None:
    """Return the newest result of a wish, or None."""
    return session.scalars(select(Restyling).where(Restyling.wish == wish).order_by(Restyling.id.desc())).first()


def all_restylings(
    session: Session, *, source_photo_id: int | None = None, engine: str | None = None
) -> list[Restyling]:
    """Return results, in the order in which they were first made: of all photos and engines, or of one.

    A photo's results are those of the bytes that it has.
    """
    statement = select(Restyling).order_by(Restyling.id)
    if source_photo_id is not None:
        sha256 = select(Photo.content_sha256).where(Photo.id == source_photo_id).scalar_subquery()
        statement = statement.where(Restyling.source_sha256 == sha256)
    if engine is not None:
        statement = statement.where(Restyling.engine == engine)
    return list(session.scalars(statement))


def restylings_of(session: Session, ids: Sequence[int]) -> dict[int, Restyling]:
    """Return {id: result} of the results with these ids that are known."""
    found: dict[int, Restyling] = {}
    for page in pages(list(ids)):
        found.update((row.id, row) for row in session.scalars(select(Restyling).where(Restyling.id.in_(page))))
    return found


def restylings_at(session: Session, paths: Sequence[str]) -> list[int]:
    """Return the ids of the results whose files lie at these paths, relative to the library's folder."""
    found: list[int] = []
    for page in pages(list(paths)):
        found += session.scalars(select(Restyling.id).where(Restyling.path.in_(page)))
    return found


def count_made_of(session: Session, photo_ids: Sequence[int]) -> int:
    """Return how many results were made of the bytes of these photos."""
    hashes = set(hashes_of(session, photo_ids).values())
    return sum(
        session.scalar(select(func.count()).where(Restyling.source_sha256.in_(page))) or 0
        for page in pages(list(hashes))
    )


def count_restylings(session: Session, model: Model) -> tuple[int, int]:
    """Return how many results there are, and how many of them are in the library, with a vector of the model."""
    return session.scalar(select(func.count()).select_from(Restyling)) or 0, session.scalar(
        select(func.count())
        .select_from(Restyling)
        .join(Embedding, Embedding.photo_id == Restyling.result_photo_id)
        .where(Embedding.model_id == model.id)
    ) or 0


def file_problem(folder: LibraryFolder, kept: Restyling) -> str | None:
    """Return what is wrong with a result's file, reading it whole, or None."""
    path = folder.root / kept.path
    if kept.sha256 is None:  # an earlier version kept no checksum
        return None if path.is_file() else f"{path} is gone"
    return checksum_problem(path, kept.sha256)


def result_photos(session: Session, model: Model, ids: Sequence[int]) -> dict[int, Photo]:
    """Return {result's id: its row among the photos} of the results with these ids that have a vector of the model."""
    statement = (
        select(Restyling.id, Photo)
        .join(Photo, Photo.id == Restyling.result_photo_id)
        .join(Embedding, Embedding.photo_id == Photo.id)
        .where(Embedding.model_id == model.id)
    )
    found: dict[int, Photo] = {}
    for page in pages(list(ids)):
        found.update((row[0], row[1]) for row in session.execute(statement.where(Restyling.id.in_(page))))
    return found


def put_result_photo(session: Session, restyling_id: int, columns: dict[str, Any]) -> int:
    """Give a result a row among the photos, or change the one that it has; the caller commits. Return its id.

    The row at its place is its own, or else, in a library that was moved, the one that it had at its place before.
    """
    photo = session.scalar(select(Photo).where(Photo.path == columns["path"], Photo.member == ""))
    if photo is None:
        had = select(Photo).join(Restyling, Restyling.result_photo_id == Photo.id).where(Restyling.id == restyling_id)
        photo = session.scalar(had)
    if photo is None:
        photo = Photo(id=next_photo_id(session), member="")
        session.add(photo)
    for name, value in columns.items():
        setattr(photo, name, value)
    session.flush()
    session.execute(update(Restyling).where(Restyling.id == restyling_id).values(result_photo_id=photo.id))
    return photo.id


def results_follow(session: Session) -> None:
    """Have restyled photos be of their photos' hotels, and at their places; the caller commits."""
    source = aliased(Photo)

    def of_source(column: InstrumentedAttribute[Any]) -> ScalarSelect[Any]:
        sources = select(getattr(source, column.key)).join(Restyling, Restyling.source_photo_id == source.id)
        return sources.where(Restyling.result_photo_id == Photo.id).limit(1).correlate(Photo).scalar_subquery()

    followed = {column: of_source(column) for column in (Photo.hotel_id, Photo.latitude, Photo.longitude)}
    known = exists().where(Restyling.result_photo_id == Photo.id, Restyling.source_photo_id.is_not(None))
    differ = or_(*(column.is_distinct_from(source_s) for column, source_s in followed.items()))
    meant = (Photo.state == PhotoState.RESTYLED, known, differ)
    if session.scalar(select(Photo.id).where(*meant).limit(1)) is not None:  # most often none is: nothing is written
        statement = update(Photo).where(*meant).values(followed)
        session.execute(statement, execution_options={"synchronize_session": False})


def forget_restylings(session: Session, ids: Sequence[int]) -> None:
    """Remove results, and their rows among the photos, from the database; the caller commits."""
    for page in pages(list(ids)):
        rows = session.scalars(select(Restyling.result_photo_id).where(Restyling.id.in_(page))).all()
        session.execute(delete(Restyling).where(Restyling.id.in_(page)))
        remove_photos(session, [photo_id for photo_id in rows if photo_id is not None])


def keep_game(
    session: Session, *, player: str, method: str, right: int, n: int, answers: Sequence[Mapping[str, Any]]
) -> QuizGame:
    """Keep a game that was just played: `right` of `n` were recognised; the caller commits."""
    now = datetime.now(UTC).replace(tzinfo=None)
    game = QuizGame(
        played_at=now, player=player, method=method, right=right, n=n, answers=[dict(answer) for answer in answers]
    )
    session.add(game)
    return game


def games(session: Session) -> list[QuizGame]:
    """Return all games, in the order in which they were played."""
    return list(session.scalars(select(QuizGame).order_by(QuizGame.played_at, QuizGame.id)))
