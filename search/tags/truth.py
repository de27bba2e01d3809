"""Truth: what is known of photos' tags, from a file and from people's labels, as one array."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Floats
from base.console import counted
from base.errors import QueryError
from base.files import PhotoFile, real_place
from base.names import spellings
from db.photo_rows import Place, hashes_of, photos_beginning
from db.tag_rows import all_labels, known_photos, labels_stamp, photos_by_image_id, photos_by_place
from search.tags.tag_files import TagRow, bytes_check, known_tag, read_tag_file
from search.tags.vocabulary import MOST_NAMED, Vocabulary, bare, unknown_in_words

Row = TypeVar("Row", bound=TagRow)
BATCH = 1000
FEW = 3  # names in a note
KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of n photos: values (n, t) float32, 1 the photo has the tag, 0 it has not, NaN unknown."""

    photo_ids: Sequence[int]
    values: Floats
    unknown_photos: Sequence[str] = ()  # rows whose photo the library does not know
    unknown_tags: Counter[str] = field(default_factory=Counter)  # tags that the vocabulary does not have
    remarks: Sequence[str] = ()  # on how the file was read, and its tags
    source: Literal["labels", "file"] = "file"  # people's labels alone, or a file with these put over it
    stamp: str = ""  # how many labels of people's there were before these were read, and the newest

    @property
    def key(self) -> str:
        """What tells this truth from others: where it is from, and a hash of what it says of which photos."""
        order = np.argsort(np.array(self.photo_ids, np.int64))
        digest = hashlib.sha256(np.array(self.photo_ids, "<i8")[order].tobytes())
        digest.update(np.nan_to_num(self.values[order], nan=-1).astype(np.int8).tobytes())
        return f"{self.source}-{digest.hexdigest()[:KEY_DIGITS]}"

    @property
    def notes(self) -> list[str]:
        """How the file was read, and which of its tags and rows could not be used, in words."""
        photos = counted(len(self.unknown_photos), "photo")
        left_out = f"left out {photos} that the library does not know: {first_few(self.unknown_photos)}"
        return [*self.remarks, *[left_out] * bool(self.unknown_photos)]


def first_few(names: Sequence[object]) -> str:
    """Return the first of some names, and ... where there are more."""
    return ", ".join(map(str, names[:FEW])) + (", ..." if len(names) > FEW else "")


def doubts(doubtful: Sequence[str]) -> list[str]:
    """Return what is to be said of rows whose photo_id and path are two photos."""
    return [f"{counted(len(doubtful), 'row')} taken by path: {first_few(doubtful)}"] * bool(doubtful)


def read_truth(session: Session, vocabulary: Vocabulary, path: Path) -> Truth:
    """Return what a file says, with people's labels put over it.

    A row says all of its photo: tags that it does not list are absent, except those marked unknown, as in `?a pool`.

    Raises: QueryError: the file cannot be read, or none of its photos or tags is known here.
    """
    rows: dict[int, Floats] = {}
    unknown_photos, unknown_tags, places = [], Counter[str](), vocabulary.places()
    remarks: list[str] = []
    doubtful: list[str] = []
    for row, photo_id in with_photo_ids(session, read_tag_file(path, remarks), doubtful):
        if photo_id is None:
            unknown_photos.append(row.where)
            continue
        values = rows.setdefault(photo_id, np.zeros(len(vocabulary.tags), np.float32))
        for tags, value in ((row.tags, 1.0), (row.unknown, np.nan)):
            for tag in tags:
                name = known_tag(tag, places)
                if name is None:
                    unknown_tags[tag] += 1
                else:
                    values[places[name]] = value
    if not rows:
        raise QueryError(
            f"{path}: none of its {len(unknown_photos)} photos is in the library; a row names its photo by photo_id, "
            "image_id or path (absolute, or relative to the file's folder)"
        )
    if all(not np.any(values > 0) for values in rows.values()):
        raise QueryError(f"{path}: no row has a tag of the vocabulary {vocabulary.key}")
    if unknown_tags:
        near = {tag: vocabulary.near(tag) for tag in sorted(unknown_tags)[:MOST_NAMED]}
        remarks.append(f"left out tags that the vocabulary does not have: {unknown_in_words(near)}")
    truth = with_labels(session, vocabulary, rows, unknown_photos, unknown_tags)
    return replace(truth, remarks=[*remarks, *doubts(doubtful)])


def label_truth(session: Session, vocabulary: Vocabulary) -> Truth:
    """Return people's labels alone; whatever they left open is unknown.

    Raises: QueryError: there are none.
    """
    truth = all_said(session, vocabulary)
    if not truth.photo_ids:
        raise QueryError("nobody has set a label yet: `aliens label` asks for some, or name a file of labels")
    return truth


def all_said(session: Session, vocabulary: Vocabulary) -> Truth:
    """Return people's labels alone; there may be none."""
    return replace(with_labels(session, vocabulary, {}, [], Counter()), source="labels")


def with_labels(
    session: Session,
    vocabulary: Vocabulary,
    rows: dict[int, Floats],
    unknown_photos: Sequence[str],
    unknown_tags: Counter[str],
) -> Truth:
    """Return the rows with people's labels put over them."""
    places, stamp = vocabulary.places(), str(labels_stamp(session))
    for label in all_labels(session):
        place = places.get(bare(label.tag))
        if place is not None:
            values = rows.setdefault(label.photo_id, np.full(len(vocabulary.tags), np.nan, np.float32))
            values[place] = label.present
    stacked = np.stack(list(rows.values())) if rows else np.empty((0, len(vocabulary.tags)), np.float32)
    return Truth(list(rows), stacked, unknown_photos, unknown_tags, stamp=stamp)


def with_photo_ids(
    session: Session, rows: Iterable[Row], doubtful: list[str] | None = None
) -> Iterator[tuple[Row, int | None]]:
    """Yield every row with the id of its photo, or None where the library does not know it.

    A row that was exported is of a photo with the bytes of then: the one with its photo_id, whatever became of its
    path, else the one at its path, else wherever these bytes lie now. Any other row is known by its path, else by
    Hotels-50K's number; a bare photo_id counts where it has neither, since the ids of another library mean other
    photos. `doubtful` is added to where such a photo_id and the path are two photos: the path counts.

    Raises: QueryError: photo_id and path of a row are two photos that were both exported: columns were mixed up.
    """
    stream = iter(rows)
    while batch := list(islice(stream, BATCH)):
        known = known_photos(session, [row.photo_id for row in batch if row.photo_id is not None])
        asked = [row for row in batch if row.path and known.get(row.photo_id or 0) != (row.path, row.member)]
        places = photos_by_place(session, [place for row in asked for place in likely_places(row)])
        images = photos_by_image_id(session, [row.image_id for row in batch if row.image_id is not None])
        hashes = hashes_of(session, [*{*known, *places.values(), *images.values()}])
        as_exported = {row.photo_id for row in batch if row.photo_id and is_of_bytes(row, hashes, row.photo_id)}
        for row in batch:
            by_path = next((places[place] for place in likely_places(row) if place in places), None)
            if row.photo_id is not None and known.get(row.photo_id) == (row.path, row.member):
                by_path = row.photo_id
            by_image = None if row.image_id is None else images.get(row.image_id)
            place = known.get(row.photo_id or 0)
            if row.exported is None:
                yield row, photo_meant(row, place, by_path, by_image, doubtful)
            else:
                if (
                    place and by_path != row.photo_id and {by_path, row.photo_id} <= as_exported
                ):  # columns were mixed up
                    problem = two_photos(row, place, by_path)
                    raise QueryError(f"{problem}: write both as they were, or leave one of them empty")
                same = (i for i in (row.photo_id, by_path, by_image) if i is not None and is_of_bytes(row, hashes, i))
                anywhere = photos_beginning(session, bytes.fromhex(row.exported.photo))
                yield row, next(chain(same, anywhere), None)


def is_of_bytes(row: TagRow, hashes: Mapping[int, bytes], photo_id: int) -> bool:
    """Tell whether a photo has the bytes that a row's had when it was exported."""
    return row.exported is not None and photo_id in hashes and bytes_check(hashes[photo_id]) == row.exported.photo


def photo_meant(
    row: TagRow, place: Place | None, by_path: int | None, by_image: int | None, doubtful: list[str] | None
) -> int | None:
    """Return the photo that a row means which no export wrote, or None: see with_photo_ids.

    place: where the photo lies that has the row's photo_id here. by_path, by_image: the photos that its path and its
    number name.
    """
    if place is not None and by_path not in (None, row.photo_id) and doubtful is not None:
        doubtful.append(two_photos(row, place, by_path))
    if by_path is not None or by_image is not None:
        return by_image if by_path is None else by_path
    return row.photo_id if place is not None and row.path is None and row.image_id is None else None


def two_photos(row: TagRow, place: Place, by_path: int | None) -> str:
    """Return in words that a row's photo_id and its path are two photos."""
    return f"{row.where}: photo_id {row.photo_id} is {PhotoFile(*place)}, but {row.path} is photo {by_path}"


def likely_places(row: TagRow) -> list[Place]:
    """Return where a row's photo may be known: as it says, by its folder's real name, as other systems put accents."""
    if not row.path:
        return []
    paths = [spelling for path in (row.path, real_place(row.path)) for spelling in (path, *spellings(path))]
    members = dict.fromkeys((row.member, *spellings(row.member)))
    return [(path, member) for path in dict.fromkeys(paths) for member in members]
