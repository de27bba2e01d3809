"""Which photos have the tags that answers of a query have: by a file of true tags, and by people's labels."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from base.arrays import Ids
from base.console import counted
from base.errors import QueryError
from db.tag_rows import all_labels
from search.tags.tag_files import known_tag, read_tag_file
from search.tags.truth import doubts, first_few, with_photo_ids
from search.tags.vocabulary import bare

Findable = Callable[[Ids], Ids]  # which of some photos, ascending ids, can be found now
HAS, LACKS, UNKNOWN = 1, 0, -1


@dataclass(frozen=True, slots=True)
class AskedTags:
    """Tags that a photo has to have, and tags that it must not have, as tags are compared (see `bare`)."""

    wanted: tuple[str, ...]
    refused: tuple[str, ...]

    @classmethod
    def of(cls, tags: Sequence[str], where: str) -> Self:
        """Return what a row says: `a pool;-a balcony`. Raises: QueryError: no tag is to be there."""
        wanted = tuple(bare(tag) for tag in tags if not tag.startswith("-"))
        refused = tuple(bare(tag[1:]) for tag in tags if tag.startswith("-"))
        if not wanted or not all((*wanted, *refused)):
            raise QueryError(f"{where}: tags are {'; '.join(tags)!r}: name at least one that the photos have")
        return cls(wanted, refused)


@dataclass(frozen=True, slots=True)
class TruthByTags:
    """What is known of photos, ascending ids (n,), and some tags: values (n, t) int8, HAS, LACKS or UNKNOWN."""

    ids: Ids
    places: dict[str, int]  # {bare tag: its column}
    values: NDArray[np.int8]

    @classmethod
    def read(
        cls,
        session: Session,
        path: Path | None,
        asked: Iterable[AskedTags],
        findable: Findable,
        remarks: list[str],
    ) -> Self:
        """Return what a file says, with people's labels put over it; of None these alone, which leave much unknown.

        A row of the file says all of its photo: tags that it does not list are absent, except those marked ?so.

        Raises: QueryError: the file cannot be read, or nothing is known of any photo.
        """
        names = dict.fromkeys(tag for each in asked for tag in (*each.wanted, *each.refused))
        places = {tag: at for at, tag in enumerate(names)}
        rows: dict[int, NDArray[np.int8]] = {}
        if path is not None:
            read_file(session, path, places, rows, remarks)
        for label in all_labels(session):
            place = places.get(bare(label.tag))
            if place is not None:
                rows.setdefault(label.photo_id, np.full(len(places), UNKNOWN, np.int8))[place] = label.present
        ids = np.array(sorted(rows), np.int64)
        there = findable(ids)
        if not len(there):
            raise QueryError(
                "queries that say tags need photos of which it is known whether they have them: name a file of true "
                "tags (--truth FILE), or label photos with `aliens label`"
                if path is None
                else f"{path}: none of its photos can be found in the library"
            )
        if len(there) < len(ids):
            remarks.append(f"left out {counted(len(ids) - len(there), 'photo')} with tags that cannot be found now")
        return cls(there, places, np.stack([rows[photo_id] for photo_id in there.tolist()]))

    def answers(self, asked: AskedTags) -> tuple[Ids, Ids]:
        """Return the photos of which it is known whether they have the tags, and those that have them; ascending."""
        wanted = self.values[:, [self.places[tag] for tag in asked.wanted]]
        refused = self.values[:, [self.places[tag] for tag in asked.refused]]
        no = (wanted == LACKS).any(axis=1) | (refused == HAS).any(axis=1)
        yes = (wanted == HAS).all(axis=1) & (refused == LACKS).all(axis=1)
        return self.ids[yes | no], self.ids[yes]


def read_file(
    session: Session, path: Path, places: dict[str, int], rows: dict[int, NDArray[np.int8]], remarks: list[str]
) -> None:
    """Add what a file of true tags says to rows, {photo id: (t,)}. Raises: QueryError: it cannot be read."""
    unknown, doubtful = [], list[str]()
    for row, photo_id in with_photo_ids(session, read_tag_file(path, remarks), doubtful):
        if photo_id is None:
            unknown.append(row.where)
            continue
        values = rows.setdefault(photo_id, np.full(len(places), LACKS, np.int8))
        for tags, value in ((row.tags, HAS), (row.unknown, UNKNOWN)):
            for tag in tags:
                name = known_tag(tag, places)
                if name is not None:
                    values[places[name]] = value
    remarks += doubts(doubtful)
    if unknown:
        photos = counted(len(unknown), "photo")
        remarks.append(f"left out {photos} of {path.name} that the library does not know: {first_few(unknown)}")
