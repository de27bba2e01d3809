"""What a library keeps for its pages and can tell them of itself: records, places, whether it changes or can answer."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aliens.owner import Owner
from base.errors import AliensError
from base.records import read_record, write_record
from db.photo_rows import PhotoRecord

if TYPE_CHECKING:
    from indexer.inventory import ScannedPlace

T = TypeVar("T")
ROOM_BYTES = 100_000_000  # below which a disk counts as full: a segment of 100,000 photos


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryHealth:
    """Whether a library can answer.

    photos: that can be found. index: the kind of the approximate index; None where every photo is compared.
    free_bytes: room on its disk. amiss: what is wrong, in words; empty where all is well.
    """

    photos: int
    index: str | None
    free_bytes: int
    amiss: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return its fields."""
        return asdict(self)


class DeskMethods(Owner):
    """Records of pages, photos by their numbers, places that were looked at, and whether the library can answer."""

    @property
    def desk(self) -> Path:
        """The folder of what pages keep; it may not be there yet."""
        return self.folder.pages

    @contextmanager
    def at_desk(self, inside: str = "") -> Iterator[Path]:
        """Yield the folder of what pages keep, or one inside it, while nobody else changes records there.

        Raises: LibraryError: the disk is full or cannot be written.
        """
        from base.files import folder_lock, make_folder
        from db.catalog import disk_errors

        with disk_errors(self.folder):
            folder = self.desk / inside
            make_folder(folder)
            with folder_lock(folder):
                yield folder

    def write_desk(self, path: Path, record: object) -> None:
        """Write a record of a page's, whole or not at all.

        Raises: LibraryError: the disk is full or cannot be written.
        """
        from db.catalog import disk_errors

        with disk_errors(self.folder):
            write_record(path, record)

    def read_desk(self, path: Path, kind: type[T]) -> T | None:
        """Return a record of a page's, or None where there is no sound one."""
        return read_record(path, kind)

    def photos_numbered(self, photo_ids: Sequence[int]) -> dict[int, PhotoRecord]:
        """Return what is known of photos, restyled ones as well, by their numbers; those not to be found are absent."""
        from db.photo_rows import photo_records

        with self.catalog.session() as session:
            return photo_records(session, [photo_id for photo_id in photo_ids if abs(photo_id) < 1 << 63])

    def scanned_places(self) -> "list[ScannedPlace]":
        """Return the folders, tars and trees that photos were looked for in, the latest first."""
        from indexer.inventory import list_places

        return list_places(self.catalog)

    def is_being_changed(self) -> bool:
        """Tell whether another process or thread changes the library; takes a second where one does."""
        from indexer.verify import is_being_written

        return is_being_written(self.catalog)

    def is_writable(self) -> bool:
        """Tell whether this library can be changed from here."""
        return os.access(self.path, os.W_OK)

    def health(self) -> LibraryHealth:
        """Tell whether the library opens, has its vectors and its index, and has room: nothing is read or computed."""
        photos, kind, amiss = 0, None, list[str]()
        try:
            with self.catalog.session() as session:
                index = self.index(session)
            photos, kind = len(index), None if index.engine is None else index.engine.kind
            amiss += [index.note] if index.note else []
        except AliensError as error:
            amiss.append(str(error))
        file = self.folder.database_file
        if self.folder.database_url() == self.folder.own_database_url() and not file.exists():
            amiss.append(f"{file} is not there any more: put the library back, or open it where it is now")
        free_bytes = shutil.disk_usage(self.path).free
        if free_bytes < ROOM_BYTES:
            amiss.append(f"{free_bytes / 1e6:.0f} MB are free on the disk of {self.path}: free some space")
        return LibraryHealth(photos=photos, index=kind, free_bytes=free_bytes, amiss=amiss)
