"""Truth: what is known of photos' tags, from a file and from people's labels, as one array."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats
from base.console import counted
from base.errors import QueryError
from db.tag_rows import all_labels, known_photos, photos_by_image_id, photos_by_place
from search.tags.tag_files import TagRow, read_tag_file
from search.tags.vocabulary import Vocabulary, bare

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of n photos: values (n, t) float32, 1 the photo has the tag, 0 it has not, NaN unknown."""

    photo_ids: Sequence[int]
    values: Floats
    unknown_photos: Sequence[str] = ()  # rows whose photo the library does not know
    unknown_tags: Counter[str] = field(default_factory=Counter)  # tags that the vocabulary does not have

    @property
    def notes(self) -> list[str]:
        """Which rows and tags of a file could not be used, in words."""
        rows = ", ".join(self.unknown_photos[:3]) + (", ..." if len(self.unknown_photos) > 3 else "")
        photos = counted(len(self.unknown_photos), "photo")
        tags = f"left out tags that the vocabulary does not have: {', '.join(sorted(self.unknown_tags))}"
        return [f"left out {photos} that the library does not know: {rows}"] * bool(self.unknown_photos) + [
            tags
        ] * bool(self.unknown_tags)


def read_truth(session: Session, vocabulary: Vocabulary, path: Path) -> Truth:
    """Return what a file says, with people's labels put over it.

    A row says all of its photo: tags that it does not list are absent, except those marked unknown, as in `?a pool`.

    Raises: QueryError: the file cannot be read, or none of its photos or tags is known here.
    """
    rows: dict[int, Floats] = {}
    unknown_photos, unknown_tags, places = [], Counter[str](), vocabulary.places()
    for row, photo_id in with_photo_ids(session, read_tag_file(path)):
        if photo_id is None:
            unknown_photos.append(row.where)
            continue
        values = rows.setdefault(photo_id, np.zeros(len(vocabulary.tags), np.float32))
        for tags, value in ((row.tags, 1.0), (row.unknown, np.nan)):
            for tag in tags:
                place = places.get(bare(tag))
                if place is None:
                    unknown_tags[tag] += 1
                else:
                    values[place] = value
    if not rows:
        raise QueryError(
            f"{path}: none of its {len(unknown_photos)} photos is in the library; a row names its photo by photo_id, "
            "image_id or path (absolute, or relative to the file's folder)"
        )
    if all(not np.any(values > 0) for values in rows.values()):
        raise QueryError(f"{path}: no row has a tag of the vocabulary {vocabulary.key}")
    return with_labels(session, vocabulary, rows, unknown_photos, unknown_tags)


def label_truth(session: Session, vocabulary: Vocabulary) -> Truth:
    """Return people's labels alone; whatever they left open is unknown.

    Raises: QueryError: there are none.
    """
    truth = with_labels(session, vocabulary, {}, [], Counter())
    if not truth.photo_ids:
        raise QueryError("nobody has set a label yet: `aliens tags set PHOTO_ID TAG`, or name a file of labels")
    return truth


def with_labels(
    session: Session,
    vocabulary: Vocabulary,
    rows: dict[int, Floats],
    unknown_photos: Sequence[str],
    unknown_tags: Counter[str],
) -> Truth:
    """Return the rows with people's labels put over them."""
    places = vocabulary.places()
    for label in all_labels(session):
        place = places.get(bare(label.tag))
        if place is not None:
            values = rows.setdefault(label.photo_id, np.full(len(vocabulary.tags), np.nan, np.float32))
            values[place] = label.present
    stacked = np.stack(list(rows.values())) if rows else np.empty((0, len(vocabulary.tags)), np.float32)
    return Truth(list(rows), stacked, unknown_photos, unknown_tags)


def with_photo_ids(session: Session, rows: Iterable[TagRow]) -> Iterator[tuple[TagRow, int | None]]:
    """Yield every row with the id of its photo, or None where the library does not know it.

    A photo is known by its path, else by Hotels-50K's number; a bare photo_id counts where a row has neither, since
    the ids of another library mean other photos.
    """
    stream = iter(rows)
    while batch := list(islice(stream, BATCH)):
        places = photos_by_place(session, [(row.path, row.member) for row in batch if row.path])
        images = photos_by_image_id(session, [row.image_id for row in batch if row.image_id is not None])
        ids = known_photos(session, [row.photo_id for row in batch if row.photo_id is not None])
        for row in batch:
            found = places.get((row.path or "", row.member))
            if found is None and row.image_id is not None:
                found = images.get(row.image_id)
            if found is None and row.path is None and row.image_id is None and row.photo_id in ids:
                found = row.photo_id
            yield row, found
