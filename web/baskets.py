"""The basket: photos that were picked to be restyled, kept in the library's folder, one for each library."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aliens.library import Library
from base.errors import QueryError
from web.jobs.job_records import version_of_file

MOST_PHOTOS = 100_000  # as many as an order has
LONGEST_WHY = 500  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class PickedPhotos:
    """What is in a basket: ids in the order in which they were put in, and why some were picked, by id."""

    photo_ids: list[int] = field(default_factory=list)
    why: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class BasketRecord:
    """A basket, and what it was before the last change."""

    now: PickedPhotos = field(default_factory=PickedPhotos)
    before: PickedPhotos | None = None


class Basket:
    """The basket of a library. Several servers may change it; each change may be taken back once."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._read: tuple[tuple[int, int], BasketRecord] | None = None  # by `version_of_file`

    def __len__(self) -> int:
        return len(self.record().now.photo_ids)

    @property
    def _path(self) -> Path:
        return self._library.desk / "basket.json"

    def record(self) -> BasketRecord:
        """Return the basket as it is; an empty one where there is none, or none that can be read."""
        try:
            version = version_of_file(self._path.stat())
        except OSError:
            return BasketRecord()
        read = self._read  # which other threads may change meanwhile
        if read is None or read[0] != version:
            read = self._read = version, self._library.read_desk(self._path, BasketRecord) or BasketRecord()
        return read[1]

    def put(self, photo_ids: Sequence[int], why: Mapping[int, str] | None = None, *, as_found: bool = False) -> int:
        """Put photos in that are not there yet, and return how many those were.

        Args:
            photo_ids: which photos.
            why: reasons for some, by id.
            as_found: pass over restyled photos and those that have left the library, in place of refusing them.

        Raises:
            QueryError: a photo cannot be in a basket, or the basket would hold too many.
            LibraryError: the library cannot be written.
        """
        reasons = why or {}
        known = self._library.photos_numbered(photo_ids)
        if not as_found:
            if unknown := [photo_id for photo_id in photo_ids if photo_id not in known]:
                raise QueryError(f"there is no photo {unknown[0]} in the library any more: search again")
            if restyled := [photo_id for photo_id in photo_ids if known[photo_id].kind == "restyled"]:
                raise QueryError(f"photo {restyled[0]} is a restyled one: pick the photo that it was made of")
        photo_ids = [each for each in photo_ids if each in known and known[each].kind != "restyled"]
        with self._library.at_desk():
            old = self.record()
            there = set(old.now.photo_ids)
            new = [photo_id for photo_id in dict.fromkeys(photo_ids) if photo_id not in there]
            if len(there) + len(new) > MOST_PHOTOS:
                raise QueryError(f"the basket holds {len(there):,} photos, and at most {MOST_PHOTOS:,}: pick fewer")
            told = {photo_id: reasons[photo_id][:LONGEST_WHY] for photo_id in photo_ids if reasons.get(photo_id)}
            if new or told:
                now = PickedPhotos(photo_ids=[*old.now.photo_ids, *new], why=old.now.why | told)
                self._write(BasketRecord(now=now, before=old.now))
        return len(new)

    def remove(self, photo_ids: Iterable[int]) -> int:
        """Take photos out, and return how many were in. Raises: LibraryError: the library cannot be written."""
        gone = set(photo_ids)
        with self._library.at_desk():
            old = self.record().now
            left = [photo_id for photo_id in old.photo_ids if photo_id not in gone]
            if len(left) < len(old.photo_ids):
                why = {photo_id: reason for photo_id, reason in old.why.items() if photo_id not in gone}
                self._write(BasketRecord(now=PickedPhotos(photo_ids=left, why=why), before=old))
        return len(old.photo_ids) - len(left)

    def clear(self) -> int:
        """Take all photos out, and return how many were in. Raises: LibraryError: the library cannot be written."""
        return self.remove(self.record().now.photo_ids)

    def undo(self) -> None:
        """Make the basket what it was before the last change; again: what it was after it. Raises: LibraryError."""
        with self._library.at_desk():
            old = self.record()
            if old.before is not None:
                self._write(BasketRecord(now=old.before, before=old.now))

    def _write(self, record: BasketRecord) -> None:
        self._library.write_desk(self._path, record)
        self._read = version_of_file(self._path.stat()), record  # nobody else writes meanwhile
