"""An imagefolder: photos and metadata.jsonl, as Hugging Face's `datasets` loads it. Copies photos, decodes none."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aliens.errors import QueryError
from aliens.files import PhotoFile
from search.export.tables import JsonlWriter, Sink

PHOTOS_A_FOLDER = 1000
ENDINGS = {"JPEG": ".jpg", "TIFF": ".tiff"}  # else the format's own name


class FolderWriter:
    """Copies each photo to images/NNNN/ID.ending and writes metadata.jsonl; photos that are there already stay.

    Photos that cannot be read any more are left out and counted in `left_out`.
    """

    def __init__(self, folder: Path, file: Sink, schema: Any, tags: Sequence[str], link: bool) -> None:
        self.left_out: list[str] = []
        self._folder = folder
        self._link = link
        self._metadata = JsonlWriter(file, schema, tags)

    def write(self, batch: Any) -> None:
        """Copy a batch's photos and write their lines."""
        import pyarrow as pa

        columns = (batch.column(name).to_pylist() for name in ("photo_id", "path", "member", "format"))
        names: list[str | None] = []
        for photo_id, path, member, file_format in zip(*columns, strict=True):
            ending = ENDINGS.get(file_format, f".{file_format.lower()}") if file_format else Path(member or path).suffix
            name = f"images/{photo_id // PHOTOS_A_FOLDER:04d}/{photo_id}{ending}"
            try:
                self._place(PhotoFile(path, member), self._folder / name)
            except SourceGone as error:
                self.left_out.append(str(error))
            else:
                names.append(name)
                continue
            names.append(None)
        table = batch.add_column(0, "file_name", pa.array(names, pa.string()))
        self._metadata.write(table.filter(table.column("file_name").is_valid()))

    def close(self) -> None:
        """Nothing comes last."""
        self._metadata.close()

    def _place(self, source: PhotoFile, target: Path) -> None:
        """Copy or link a photo unless it is there; a copy that a killed run left is under another name."""
        if target.exists() and (target.is_symlink() or (not source.member and same_size(source.path, target))):
            return
        try:
            content = b"" if self._link and not source.member else source.read()
        except OSError as error:
            raise SourceGone(f"{source}: {error.strerror or error}") from error
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if content or not self._link:
            temporary = target.with_name(target.name + ".tmp")
            temporary.write_bytes(content)
            os.replace(temporary, target)
        elif Path(source.path).exists():
            target.symlink_to(source.path)
        else:
            raise SourceGone(f"{source}: No such file or directory")


class SourceGone(Exception):
    """A photo's file cannot be read any more."""


def same_size(path: str, target: Path) -> bool:
    """Tell whether a copy is as large as its photo; a photo that is gone is like none."""
    try:
        return os.stat(path).st_size == target.stat().st_size
    except OSError:
        return False


def refuse_existing(folder: Path) -> None:
    """Refuse to write an imagefolder over something else.

    Raises: QueryError: there is something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise QueryError(f"{folder} is there already: remove it, or choose another name")
