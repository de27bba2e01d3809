"""What a library keeps for its pages and can tell them of itself: small records, places, whether it changes now."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aliens.owner import Owner
from base.records import read_record, write_record
from db.photo_rows import PhotoRecord

if TYPE_CHECKING:
    from indexer.inventory import ScannedPlace

T = TypeVar("T")


class DeskMethods(Owner):
    """Records of pages, photos by their numbers, places that were looked at."""

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
