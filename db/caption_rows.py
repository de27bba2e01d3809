"""Queries of captions: sets of them, their texts, which photo has which, and the search of their words."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    column,
    delete,
    exists,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.orm import Session

from base.files import PhotoFile
from base.names import spellings
from db import postgres
from db.models import Caption, CaptionSet, CaptionText, Embedding, Model, Photo, PhotoState
from db.photo_rows import PAGE, pages

Scored = tuple[str, float | None]  # a caption and its score, which generated captions lack

Found = Select[int, str, str, str, float | None, str]  # the columns of a CaptionedPhoto

READABLE_LENGTH = 80  # of a key's 255 characters
MODEL_LENGTH = 160


@dataclass(frozen=True, slots=True)
class CaptionedPhoto:
    """A photo with a caption that was found."""

    photo_id: int
    path: str
    member: str
    text: str
    score: float | None  # cosine between photo and caption; absent for generated ones
    set_key: str

    @property
    def file(self) -> PhotoFile:
        """Where the photo's bytes lie."""
        return PhotoFile(self.path, self.member)


@dataclass(frozen=True, slots=True)
class SetCount:
    """A set of captions: `photos` have captions of it, `captions` in all."""

    key: str
    kind: str
    model: str
    source: str
    photos: int
    captions: int


def set_key(readable: str, content: bytes, model_key: str) -> str:
    """Return the key of captions that a model chose, such as `captions.txt-1a2b3c4d@starter-5e6f7a8b`.

    The digits are of the SHA-256 of `content`: whatever besides the model decides the captions.
    """
    readable = re.sub(r"[^\w.-]+", "-", readable)[:READABLE_LENGTH]
    return f"{readable}-{hashlib.sha256(content).hexdigest()[:8]}@{model_key[-MODEL_LENGTH:]}"


def use_set(session: Session, key: str, *, kind: str, model: str, source: str) -> CaptionSet:
    """Return the set with this key, adding it when it is new; the caller commits."""
    caption_set = find_set(session, key)
    if caption_set is None:
        caption_set = CaptionSet(key=key, kind=kind, model=model, source=source)
        session.add(caption_set)
        session.flush()
    return caption_set


def find_set(session: Session, key: str) -> CaptionSet | None:
    """Return the set with this key, or None."""
    return session.scalar(select(CaptionSet).where(CaptionSet.key == key))


def add_texts(session: Session, texts: Sequence[str]) -> dict[str, int]:
    """Return the id of every text, adding those that are new; the caller commits."""
    digests = {hashlib.sha256(text.encode()).digest(): text for text in texts}
    ids = text_ids(session, list(digests))
    fresh = [{"digest": digest, "text": text} for digest, text in digests.items() if digest not in ids]
    if fresh:
        # Another process may have added the same text since.
        session.execute(unless_known(session), fresh)
        ids |= text_ids(session, [row["digest"] for row in fresh])
    return {text: ids[digest] for digest, text in digests.items()}


def unless_known(session: Session) -> Insert:
    """Return the statement that adds texts, and passes over those that are there."""
    if session.get_bind().dialect.name == postgres.NAME:
        return postgres_insert(CaptionText).on_conflict_do_nothing()
    return insert(CaptionText).prefix_with("OR IGNORE", dialect="sqlite")


def text_ids(session: Session, digests: list[Any]) -> dict[bytes, int]:
    """Return the ids of the texts that are known, by their SHA-256."""
    ids: dict[bytes, int] = {}
    for page in pages(digests):
        rows = session.execute(select(CaptionText.digest, CaptionText.id).where(CaptionText.digest.in_(page)))
        ids.update((row[0], row[1]) for row in rows)
    return ids


def replace_captions(session: Session, caption_set: CaptionSet, captions: Mapping[int, Sequence[Scored]]) -> None:
    """Give photos their captions of a set, best first, instead of those that they have; the caller commits.

    Args:
        session: of the library's database.
        caption_set: whose captions these are.
        captions: {photo id: its captions}.
    """
    forget_captions(session, list(captions), caption_set)
    ids = add_texts(session, [text for scored in captions.values() for text, _ in scored])
    rows = [
        {"set_id": caption_set.id, "photo_id": photo_id, "rank": rank, "text_id": ids[text], "score": score}
        for photo_id, scored in captions.items()
        for rank, (text, score) in enumerate(scored, start=1)
    ]
    if rows:
        session.execute(insert(Caption), rows)


def forget_captions(session: Session, photo_ids: Sequence[int], caption_set: CaptionSet | None = None) -> None:
    """Remove photos' captions, of one set or of all; the caller commits. For photos that look otherwise now."""
    for page in pages(list(photo_ids)):
        statement = delete(Caption).where(Caption.photo_id.in_(page))
        if caption_set is not None:
            statement = statement.where(Caption.set_id == caption_set.id)
        session.execute(statement, execution_options={"synchronize_session": False})


CaptionColumns = list[dict[str, Any]]  # of a photo's captions, without the photo


def caption_columns(session: Session, photo_ids: Sequence[int]) -> dict[int, CaptionColumns]:
    """Return {photo id: its captions of all sets} of those photos that have any."""
    columns = (Caption.photo_id, Caption.set_id, Caption.rank, Caption.text_id, Caption.score)
    found: dict[int, CaptionColumns] = {}
    for page in pages(list(photo_ids)):
        for photo_id, *values in session.execute(select(*columns).where(Caption.photo_id.in_(page))):
            found.setdefault(photo_id, []).append(
                dict(zip(("set_id", "rank", "text_id", "score"), values, strict=True))
            )
    return found


def give_captions(session: Session, given: Mapping[int, CaptionColumns]) -> None:
    """Give photos, {photo id: captions}, these in place of all that they have; the caller commits."""
    forget_captions(session, list(given))
    rows = [columns | {"photo_id": photo_id} for photo_id, captions in given.items() for columns in captions]
    if rows:
        session.execute(insert(Caption), rows)


def lacking(set_id: int) -> ColumnElement[bool]:
    """Return the condition that a photo is embedded and has no caption of a set."""
    captioned = exists().where(Caption.set_id == set_id, Caption.photo_id == Photo.id)
    return (Photo.state == PhotoState.EMBEDDED) & ~captioned


def count_lacking(session: Session, caption_set: CaptionSet, model: Model | None = None) -> int:
    """Return how many embedded photos have no caption of a set; `model`: of those that have a vector of it."""
    counted = select(func.count()).select_from(Photo).where(lacking(caption_set.id))
    if model is not None:
        counted = counted.where(exists().where(Embedding.photo_id == Photo.id, Embedding.model_id == model.id))
    return session.scalar(counted) or 0


def photos_lacking(session: Session, caption_set: CaptionSet) -> Iterator[tuple[int, str, str]]:
    """Yield (id, path, member) of the embedded photos without a caption of a set, in the order of their ids.

    The caller may give them captions and commit meanwhile; those left out are not yielded again.
    """
    last_id = 0
    places = select(Photo.id, Photo.path, Photo.member).order_by(Photo.id).limit(PAGE)
    while rows := session.execute(places.where(lacking(caption_set.id), Photo.id > last_id)).all():
        yield from ((row[0], row[1], row[2]) for row in rows)
        last_id = rows[-1][0]


def captioned(session: Session, caption_set: CaptionSet, photo_ids: Sequence[int]) -> set[int]:
    """Return those of the photos that have captions of a set."""
    found: set[int] = set()
    for page in pages(list(photo_ids)):
        statement = select(Caption.photo_id).where(Caption.set_id == caption_set.id, Caption.photo_id.in_(page))
        found.update(session.scalars(statement))
    return found


def captions_of(session: Session, photo_ids: Sequence[int]) -> dict[int, list[tuple[str, float | None, str]]]:
    """Return {photo id: [(text, score, set's key)]}, set after set, best first, of the photos with captions."""
    found: dict[int, list[tuple[str, float | None, str]]] = {}
    for page in pages(list(photo_ids)):
        statement = (
            select(Caption.photo_id, CaptionText.text, Caption.score, CaptionSet.key)
            .join(CaptionText, CaptionText.id == Caption.text_id)
            .join(CaptionSet, CaptionSet.id == Caption.set_id)
            .where(Caption.photo_id.in_(page))
            .order_by(Caption.photo_id, Caption.set_id, Caption.rank)
        )
        for photo_id, text, score, key in session.execute(statement):
            found.setdefault(photo_id, []).append((text, score, key))
    return found


def all_captions(session: Session) -> Iterator[tuple[int, str, str, str, int, float | None, str]]:
    """Yield (photo id, path, member, set's key, rank, score, text) of all photos that can be found, photo by photo."""
    statement = (
        select(Photo.id, Photo.path, Photo.member, CaptionSet.key, Caption.rank, Caption.score, CaptionText.text)
        .join(Caption, Caption.photo_id == Photo.id)
        .join(CaptionSet, CaptionSet.id == Caption.set_id)
        .join(CaptionText, CaptionText.id == Caption.text_id)
        .where(Photo.state == PhotoState.EMBEDDED)
        .order_by(Photo.id, Caption.set_id, Caption.rank)
    )
    with session.execute(statement, execution_options={"yield_per": PAGE}) as rows:
        for row in rows:
            yield row[0], row[1], row[2], row[3], row[4], row[5], row[6]


def find_by_words(session: Session, words: Sequence[str], k: int) -> list[CaptionedPhoto]:
    """Return up to k photos that can be found and have a caption with all these words, each with its best caption.

    In SQLite the order is that of bm25 over stemmed words ("pools" finds "pool"), elsewhere that of the scores, and a
    word is found inside others too; in PostgreSQL, of English words, their other forms as well.
    """
    dialect = session.get_bind().dialect.name
    if dialect == "sqlite":
        statement = matching_words(words)
    else:
        statement = containing_words(words, by_postgres=dialect == postgres.NAME)
    found: dict[int, CaptionedPhoto] = {}
    with session.execute(statement.execution_options(yield_per=PAGE)) as rows:
        for row in rows:
            found.setdefault(row[0], CaptionedPhoto(*row))
            if len(found) == k:
                break
    return list(found.values())


def captioned_photos() -> Found:
    """Return the statement of every caption of a photo that can be found, as columns of a CaptionedPhoto."""
    return (
        select(Photo.id, Photo.path, Photo.member, CaptionText.text, Caption.score, CaptionSet.key)
        .select_from(CaptionText)
        .join(Caption, Caption.text_id == CaptionText.id)
        .join(CaptionSet, CaptionSet.id == Caption.set_id)
        .join(Photo, Photo.id == Caption.photo_id)
        .where(Photo.state == PhotoState.EMBEDDED)
    )


def matching_words(words: Sequence[str]) -> Found:
    """Return the statement of the captions with all these words, best first, by SQLite's FTS5.

    Every word is quoted, so that nothing in it is read as FTS5's own syntax; a NUL would end the query. A caption may
    have its letters composed or decomposed, which FTS5 takes for the same in Latin script alone.
    """
    query = " ".join('"' + word.replace('"', '""').replace("\0", " ") + '"' for word in words)
    query = " OR ".join(spellings(query))
    index = table("caption_words", column("rowid"))
    # bm25() must stand beside MATCH, which a materialised subquery guarantees.
    matched = (
        select(index.c.rowid.label("id"), literal_column("bm25(caption_words)").label("distance"))
        .where(literal_column("caption_words").op("MATCH")(query))
        .cte("matched")
        .prefix_with("MATERIALIZED", dialect="sqlite")
    )
    found = captioned_photos().join(matched, matched.c.id == CaptionText.id)
    return found.order_by(matched.c.distance, Caption.score.desc(), Photo.id, Caption.set_id, Caption.rank)


def containing_words(words: Sequence[str], *, by_postgres: bool = False) -> Found:
    """Return the statement of the captions that contain all these words, best first, by any database's LIKE.

    by_postgres: all letters are compared, and English words found in their other forms.
    """
    words, text = [word for word in words if word], func.lower(CaptionText.text)
    conditions = (
        [false()]
        if not words
        else [
            or_(postgres.contains_letters(CaptionText.text, word), postgres.says_word(CaptionText.text, word))
            if by_postgres
            else or_(*(text.contains(form.lower(), autoescape=True) for form in spellings(word)))
            for word in words
        ]
    )
    by_score = func.coalesce(Caption.score, -1).desc()  # generated captions have none
    return captioned_photos().where(*conditions).order_by(by_score, Photo.id, Caption.set_id, Caption.rank)


def caption_sets(session: Session) -> list[SetCount]:
    """Return all sets of captions with their counts, in the order in which they were made."""
    photos = func.count(Caption.photo_id.distinct())
    statement = (
        select(CaptionSet.key, CaptionSet.kind, CaptionSet.model, CaptionSet.source, photos, func.count(Caption.rank))
        .outerjoin(Caption, Caption.set_id == CaptionSet.id)
        .group_by(CaptionSet.id, CaptionSet.key, CaptionSet.kind, CaptionSet.model, CaptionSet.source)
        .order_by(CaptionSet.id)
    )
    return [SetCount(*row) for row in session.execute(statement)]


def remove_set(session: Session, key: str) -> bool:
    """Remove a set, its captions, and the texts that no photo has any more; the caller commits.

    Return whether there was such a set.
    """
    caption_set = find_set(session, key)
    if caption_set is None:
        return False
    unsynchronised = {"synchronize_session": False}
    session.execute(delete(Caption).where(Caption.set_id == caption_set.id), execution_options=unsynchronised)
    session.delete(caption_set)
    session.flush()
    drop_unused_texts(session)
    return True


def drop_unused_texts(session: Session) -> None:
    """Remove the texts that no photo has any more; the caller commits."""
    unused = ~exists().where(Caption.text_id == CaptionText.id)
    session.execute(delete(CaptionText).where(unused), execution_options={"synchronize_session": False})
