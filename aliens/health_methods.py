"""What tells in a moment whether a library can answer: for servers that are watched."""

import shutil
from dataclasses import asdict, dataclass, field
from typing import Any

from aliens.owner import Owner
from base.errors import AliensError

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


class HealthMethods(Owner):
    """Whether the library can answer."""

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
