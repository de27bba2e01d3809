"""An imagefolder: photos and metadata.jsonl, as Hugging Face's `datasets` loads it. Copies photos, decodes none."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aliens.errors import QueryError
from aliens.files import TEMPORARY_SUFFIX, PhotoFile
from search.export.tables import JsonlWriter, Sink

PHOTOS_A_FOLDER = 1000
OURS = re.compile(rf"images/\d{{4,}}/\d+\.\w+({re.escape(TEMPORARY_SUFFIX)})?")
ENDINGS = {"JPEG": ".jpg", "TIFF": ".tiff"}  # else the format's own name


class FolderWriter:
    """Copies each photo to images/NNNN/ID.ending and writes metadata.jsonl; photos that are there already stay.

    Photos that cannot be read any more are left out and named in `left_out`. What an interrupted run left of photos
    that this one has not goes away.
    """

    def __init__(self, folder: Path, file: Sink, schema: Any, tags: Sequence[str], link: bool) -> None:
        self.left_out: list[str] = []
        self.left_out_tags: Counter[str] = Counter()
        self._folder = folder
        self._link = link
        self._metadata = JsonlWriter(file, schema, tags)
        found = (str(path.relative_to(folder)) for path in folder.glob("images/*/*"))
        self._strays = {name for name in found if OURS.fullmatch(name)}

    def write(self, batch: Any) -> None:
        """Copy a batch's photos and write their lines."""
        import pyarrow as pa

        columns = (batch.column(name).to_pylist() for name in ("photo_id", "path", "member", "format", "tags"))
        names: list[str | None] = []
        for photo_id, path, member, file_format, tags in zip(*columns, strict=True):
            ending = ENDINGS.get(file_format, f".{file_format.lower()}") if file_format else Path(member or path).suffix
            name = f"images/{photo_id // PHOTOS_A_FOLDER:04d}/{photo_id}{ending}"
            try:
                self._place(PhotoFile(path, member), self._folder / name)
            except SourceGone as error:
                self.left_out.append(str(error))
                self.left_out_tags.update(tags)
            else:
                names.append(name)
                self._strays.discard(os.path.normpath(name))
                continue
            names.append(None)
        table = batch.add_column(0, "file_name", pa.array(names, pa.string()))
        self._metadata.write(table.filter(table.column("file_name").is_valid()))

    def close(self) -> None:
        """Remove what is not of this export."""
        for stray in self._strays:
            (self._folder / stray).unlink()
        self._metadata.close()

    def _place(self, source: PhotoFile, target: Path) -> None:
        """Copy or link a photo unless it is there; a copy that a killed run left is under another name."""
        link = self._link and not source.member
        if is_link(source.path, target) if link else is_copy(source, target):
            return
        try:
            if link:
                os.stat(source.path)
            content = b"" if link else source.read()
        except OSError as error:
            raise SourceGone(f"{source}: {error.strerror or error}") from error
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + TEMPORARY_SUFFIX)
        try:
            temporary.unlink(missing_ok=True)
            if link:
                temporary.symlink_to(source.path)
            else:
                temporary.write_bytes(content)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class SourceGone(Exception):
    """A photo's file cannot be read any more."""


def is_link(path: str, target: Path) -> bool:
    """Tell whether a link leads to a photo that is there."""
    return target.is_symlink() and os.readlink(target) == path and target.exists()


def is_copy(source: PhotoFile, target: Path) -> bool:
    """Tell whether a copy is as large as its photo and younger; a photo that is gone or in a tar is like none."""
    try:
        photo, copy = os.stat(source.path), os.lstat(target)
    except OSError:
        return False
    same = copy.st_size == photo.st_size and copy.st_mtime_ns >= photo.st_mtime_ns
    return not source.member and same and not target.is_symlink()


def refuse_existing(folder: Path) -> None:
    """Refuse to write an imagefolder over something else.

    Raises: QueryError: there is something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise QueryError(f"{folder} is there already: remove it, or choose another name")
