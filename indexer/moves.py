"""Photos that moved: a new file whose bytes the library knows of a photo that is no longer at its place.

The photo keeps its number, so that all that was said and made of it stays its own. Decides by bytes and by what lies on
disk, never by names or times alone.
"""

import os
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from db.models import Photo, PhotoState
from db.photo_rows import photos_with_bytes
from indexer.scan import FACTS, said_columns
from indexer.sources import MISSING, found_at

PLACE = ("path", "member", *FACTS)
REMEMBERED = 4_096  # hashes whose photos are remembered: thousands of copies of one picture are looked for once


class MovedPhotos:
    """Tells, during a run, which photo a new file is that was at another place before."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[NamedPhotos, NamedPhotos]] = {}

    def take(self, session: Session, new: Photo, sha256: bytes) -> Photo | None:
        """Return the photo that a file is which was never read before, or None where it is a new one, or a copy.

        No photo is returned twice. Of several that are gone it is the one whose place ends most like the new one.

        Args:
            session: of the library's database.
            new: the row of the file.
            sha256: of its bytes.
        """
        if new.content_sha256 is not None:  # a known photo whose file has other bytes now
            return None
        gone, here = self._with_bytes(session, sha256)
        there = [*here.named_like(new), *here.links.values()]
        again = next((old for old in there if old.id != new.id and is_same_file(old, new)), None)
        if again is not None:
            here.remove(again)
            return again
        moved = gone.named_like(new) or gone.first()
        taken = max(moved, key=lambda old: (common_ending(old, new), -old.id), default=None)
        if taken is not None:
            gone.remove(taken)
        return taken

    def _with_bytes(self, session: Session, sha256: bytes) -> "tuple[NamedPhotos, NamedPhotos]":
        """Return the photos with these bytes that are gone, and those that are at their places."""
        if sha256 not in self._known:
            if len(self._known) == REMEMBERED:
                del self._known[next(iter(self._known))]
            gone, here = NamedPhotos(), NamedPhotos()
            for old in photos_with_bytes(session, sha256):
                if old.state is not PhotoState.PENDING:
                    (gone if has_left(old) else here).add(old)
                    if os.path.islink(old.path):
                        here.links[old.id] = old
            self._known[sha256] = gone, here
        return self._known[sha256]


class NamedPhotos:
    """Photos by their names: of thousands of copies of one picture those of a name are found at once."""

    def __init__(self) -> None:
        self._by_id: dict[int, Photo] = {}
        self._by_name: dict[str, dict[int, Photo]] = {}
        self.links: dict[int, Photo] = {}  # those that are links to other files

    def add(self, photo: Photo) -> None:
        """Take up a photo."""
        self._by_id[photo.id] = photo
        self._by_name.setdefault(last_part(photo), {})[photo.id] = photo

    def remove(self, photo: Photo) -> None:
        """Take a photo away."""
        del self._by_id[photo.id]
        del self._by_name[last_part(photo)][photo.id]
        self.links.pop(photo.id, None)

    def named_like(self, photo: Photo) -> list[Photo]:
        """Return those of the same name."""
        return list(self._by_name.get(last_part(photo), {}).values())

    def first(self) -> list[Photo]:
        """Return the one that was taken up first, if there is any."""
        return list(islice(self._by_id.values(), 1))


def last_part(photo: Photo) -> str:
    """Return the last part of a photo's place."""
    return os.path.basename(photo.member or photo.path)


def has_left(photo: Photo) -> bool:
    """Tell whether nothing lies at a photo's place; a place that cannot be looked at may hold it still."""
    return found_at(photo.path, photo.member).failure_kind == MISSING


def is_same_file(one: Photo, other: Photo) -> bool:
    """Tell whether two places are one: a link and its file, or one name in a folder that links or mounts name twice."""
    (folder, name), (other_folder, other_name) = os.path.split(one.path), os.path.split(other.path)
    try:
        if os.path.islink(one.path) and not os.path.islink(other.path):
            return one.member == other.member and os.path.samefile(one.path, other.path)
        same_name = (name, one.member) == (other_name, other.member)
        return same_name and os.path.samefile(folder, other_folder)
    except OSError:
        return False


def common_ending(one: Photo, other: Photo) -> int:
    """Return how many of the last parts of two places are the same."""
    parts = [f"{photo.path}/{photo.member}".rstrip("/").split("/")[::-1] for photo in (one, other)]
    same = [left == right for left, right in zip(*parts, strict=False)]
    return [*same, False].index(False)


def place_columns(old: Photo, new: Photo) -> dict[str, Any]:
    """Return a moved photo's new place, and what is said of photos there, as columns of the photo that it was."""
    columns = {name: getattr(new, name) for name in PLACE} | said_columns(old, new, moved=True)
    return columns if new.details is None else columns | {"details": (old.details or {}) | new.details}
