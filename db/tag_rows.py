"""Queries of vocabularies, taggings and human labels."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import delete, exists, func, insert, select, tuple_
from sqlalchemy.orm import Session

from base.names import comparable, spellings
from db.models import Model, Photo, TaggingRun, TagLabel, VocabularyText
from db.photo_rows import PAGE, Place, hashes_of, is_photo, pages
from db.settings_rows import read_setting, write_setting

CURRENT_VOCABULARY = "vocabulary_key"


class Label(NamedTuple):
    """What a person says: the photo has the tag, or has it not. Kept with the photo's bytes, not with its place.

    The tag is named as vocabularies compare tags, without article and case, so that all of them mean the same.
    """

    photo_id: int
    tag: str
    present: bool


def keep_tagging(
    session: Session,
    model: Model,
    key: str,
    definition: Mapping[str, Any],
    decision: Mapping[str, Any],
    *,
    as_current: bool = True,
) -> None:
    """Keep a vocabulary and how its scores become tags, and make it the library's current one; the caller commits.

    as_current: otherwise the current one stays that.
    """
    vocabulary = session.scalar(select(VocabularyText).where(VocabularyText.key == key))
    if vocabulary is None:
        vocabulary = VocabularyText(key=key, definition=dict(definition))
        session.add(vocabulary)
        session.flush()
    mine = (TaggingRun.model_id == model.id, TaggingRun.vocabulary_id == vocabulary.id)
    run = session.scalar(select(TaggingRun).where(*mine))
    if run is None:
        run = TaggingRun(model_id=model.id, vocabulary_id=vocabulary.id)
        session.add(run)
    run.decision = dict(decision)
    run.changed_at = datetime.now(UTC).replace(tzinfo=None)
    if as_current:
        write_setting(session, CURRENT_VOCABULARY, key)


def current_vocabulary(session: Session) -> str | None:
    """Return the key of the vocabulary that the library was last tagged with, or None."""
    return read_setting(session, CURRENT_VOCABULARY)


def taggings(session: Session, model: Model) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return (key, definition, decision) of every vocabulary that the library was tagged with, newest first."""
    statement = (
        select(VocabularyText.key, VocabularyText.definition, TaggingRun.decision)
        .join(TaggingRun, TaggingRun.vocabulary_id == VocabularyText.id)
        .where(TaggingRun.model_id == model.id)
        .order_by(TaggingRun.changed_at.desc(), TaggingRun.id.desc())
    )
    return [tuple(row) for row in session.execute(statement)]


def taggings_stamp(session: Session, model: Model) -> list[tuple[str, datetime]]:
    """Return what changes whenever the library is tagged, or tags are decided otherwise."""
    statement = (
        select(VocabularyText.key, TaggingRun.changed_at)
        .join(TaggingRun, TaggingRun.vocabulary_id == VocabularyText.id)
        .where(TaggingRun.model_id == model.id)
        .order_by(VocabularyText.key)
    )
    return [(row[0], row[1]) for row in session.execute(statement)]


def labels_stamp(session: Session) -> tuple[int, datetime | None]:
    """Return what changes whenever people label photos, or take labels back: how many there are, and the newest."""
    row = session.execute(select(func.count(), func.max(TagLabel.made_at))).one()
    return row[0], row[1]


def find_tagging(session: Session, model: Model, key: str | None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return (vocabulary definition, decision) of a vocabulary's key or name, by default the current one's, or None."""
    wanted = comparable(key or current_vocabulary(session) or "")
    for known, definition, decision in taggings(session, model):
        if wanted in (comparable(known), comparable(definition["name"])):
            return definition, decision
    return None


def vocabulary_keys(session: Session, model: Model) -> list[str]:
    """Return the keys of the vocabularies that the library was tagged with, newest first."""
    statement = (
        select(VocabularyText.key)
        .join(TaggingRun, TaggingRun.vocabulary_id == VocabularyText.id)
        .where(TaggingRun.model_id == model.id)
        .order_by(TaggingRun.changed_at.desc())
    )
    return list(session.scalars(statement))


def set_labels(session: Session, labels: Iterable[Label]) -> int:
    """Set labels, replacing earlier ones of the same bytes and tag; the caller commits. Return how many.

    Of several labels of one photo and tag the last counts; so does the last of several photos with the same bytes.

    Raises: KeyError: a photo has never been read.
    """
    stream, count = iter({(label.photo_id, label.tag): label for label in labels}.values()), 0
    while page := list(islice(stream, PAGE)):
        now, hashes = datetime.now(UTC).replace(tzinfo=None), hashes_of(session, [label.photo_id for label in page])
        rows = {(hashes[label.photo_id], label.tag): label.present for label in page}
        remove_labels(session, rows)
        session.execute(
            insert(TagLabel),
            [
                {"content_sha256": sha256, "tag": tag, "present": present, "made_at": now}
                for (sha256, tag), present in rows.items()
            ],
        )
        count += len(page)
    return count


def forget_labels(session: Session, labels: Sequence[Label]) -> int:
    """Remove what was said of the bytes of these photos and of tags; the caller commits. Return how many labels."""
    hashes = hashes_of(session, [label.photo_id for label in labels])
    return remove_labels(session, {(hashes[label.photo_id], label.tag) for label in labels if label.photo_id in hashes})


def remove_labels(session: Session, said: Iterable[tuple[bytes, str]]) -> int:
    """Remove labels by bytes and tag; the caller commits. Return how many there were."""
    kept = [(sha256, tag) for sha256, name in said for tag in spellings(name)]  # earlier versions kept any
    removed = session.execute(delete(TagLabel).where(tuple_(TagLabel.content_sha256, TagLabel.tag).in_(kept)))
    return int(removed.rowcount)  # type: ignore[attr-defined] # a CursorResult, as of every DELETE


def drop_labels_of_nothing(session: Session, hashes: Sequence[bytes]) -> int:
    """Remove what was said of bytes that no photo has any more; the caller commits. Return how many labels."""
    removed = 0
    for page in pages(list(hashes)):
        had = exists().where(Photo.content_sha256 == TagLabel.content_sha256, is_photo())
        statement = delete(TagLabel).where(TagLabel.content_sha256.in_(page), ~had)
        done = session.execute(statement, execution_options={"synchronize_session": False})
        removed += int(done.rowcount)  # type: ignore[attr-defined] # a CursorResult, as of every DELETE
    return removed


def all_labels(session: Session) -> Iterator[Label]:
    """Yield every label of every photo that has its bytes, in the order of photos and tags."""
    statement = (  # an outer join, so that a database begins with the labels, which are fewer than photos
        select(Photo.id, TagLabel.tag, TagLabel.present)
        .select_from(TagLabel)
        .outerjoin(Photo, Photo.content_sha256 == TagLabel.content_sha256)
        .order_by(Photo.id, TagLabel.tag)
    )
    with session.execute(statement, execution_options={"yield_per": PAGE}) as rows:
        for row in rows:
            if row[0] is not None:  # bytes that no photo has any more, or not again yet
                yield Label(*row)


def labels_of_tag(session: Session, tag: str) -> list[Label]:
    """Return the labels of a tag, by its bare name, of every photo that has their bytes, in the order of photos."""
    statement = (
        select(Photo.id, TagLabel.present)
        .join(TagLabel, TagLabel.content_sha256 == Photo.content_sha256)
        .where(TagLabel.tag.in_(spellings(tag)))
        .order_by(Photo.id)
    )
    return [Label(photo_id, tag, present) for photo_id, present in session.execute(statement)]


def labels_in_turn(session: Session) -> Callable[[int], list[Label]]:
    """Return what, asked with ascending ids, gives the labels of photos up to each that it has not given before."""
    stream, ahead = all_labels(session), list[Label]()

    def up_to(last_id: int) -> list[Label]:
        found = []
        while (label := ahead.pop() if ahead else next(stream, None)) is not None:
            if label.photo_id > last_id:
                ahead.append(label)
                break
            found.append(label)
        return found

    return up_to


def labels_of(session: Session, photo_ids: Sequence[int]) -> Iterator[Label]:
    """Yield the labels of these photos."""
    for page in pages(list(photo_ids)):
        statement = (
            select(Photo.id, TagLabel.tag, TagLabel.present)
            .join(TagLabel, TagLabel.content_sha256 == Photo.content_sha256)
            .where(Photo.id.in_(page))
        )
        yield from (Label(*row) for row in session.execute(statement))


def count_labels(session: Session) -> int:
    """Return how many labels people have set."""
    return session.scalar(select(func.count()).select_from(TagLabel)) or 0


def tagging_stamp(session: Session, model: Model, key: str | None) -> str:
    """Return what changes whenever the library is tagged anew with a vocabulary, by default the current one."""
    return f"{key or current_vocabulary(session)}: {[tuple(map(str, row)) for row in taggings_stamp(session, model)]}"


def known_photos(session: Session, ids: Sequence[int]) -> dict[int, Place]:
    """Return {id: (path, member)} of those of the ids that are photos of the library."""
    known: dict[int, Place] = {}
    for page in pages(list(ids)):
        rows = session.execute(select(Photo.id, Photo.path, Photo.member).where(Photo.id.in_(page), is_photo()))
        known.update({photo_id: (path, member) for photo_id, path, member in rows})
    return known


def photos_by_image_id(session: Session, image_ids: Sequence[int]) -> dict[int, int]:
    """Return {Hotels-50K's number of a photo: photo id} of those that the library knows."""
    known: dict[int, int] = {}
    for page in pages(list(image_ids)):
        rows = session.execute(select(Photo.image_id, Photo.id).where(Photo.image_id.in_(page)))
        known.update({image_id: photo_id for image_id, photo_id in rows if image_id is not None})
    return known


def photos_by_place(session: Session, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return {(path, member): photo id} of those that the library knows."""
    known: dict[tuple[str, str], int] = {}
    for start in range(0, len(places), PAGE):
        wanted = tuple_(Photo.path, Photo.member).in_(places[start : start + PAGE])
        rows = session.execute(select(Photo.path, Photo.member, Photo.id).where(wanted))
        known.update({(path, member): photo_id for path, member, photo_id in rows})
    return known
