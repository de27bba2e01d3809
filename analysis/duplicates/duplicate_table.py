"""Groups of copies as files for spreadsheets and programs: a row a photo, with a manifest beside the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.duplicates.duplicates_found import DuplicateGroup, Duplicates, GroupedPhoto
from base.console import counted
from base.errors import OutputError, QueryError
from base.files import HashedFile
from base.progress import Progress, silent
from base.spreadsheets import refuse_rows
from search.copies import copies_counted
from search.export.exporter import facts_of_file, file_and_manifest, refuse_name, stream
from search.export.tables import TABLE_WRITERS

DUPLICATE_FORMATS = {".csv": "csv", ".tsv": "tsv", ".xlsx": "xlsx", ".jsonl": "jsonl", ".parquet": "parquet"}
ROWS_AT_ONCE = 4_096  # photos
COLUMN_KINDS = {
    "group": pa.int64(),
    "keep": pa.string(),
    "photo_id": pa.int64(),
    "path": pa.string(),
    "member": pa.string(),
    "evidence": pa.string(),
    "cosine": pa.float32(),
    "bits": pa.int64(),
    "cropped": pa.string(),
    "why": pa.string(),
    "width_px": pa.int64(),
    "height_px": pa.int64(),
    "format": pa.string(),
    "size_bytes": pa.int64(),
    "date": pa.string(),
    "date_from": pa.string(),
    "hotel_id": pa.int64(),
    "labels": pa.int64(),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateManifest:
    """What a file of copies holds and how they were found, kept beside it."""

    cv_aliens: str
    made_at: str  # UTC
    format: str
    file: str
    sha256: str
    size_bytes: int
    photos: int
    groups: int
    copies: int
    spare_bytes: int
    looked_at: int  # photos
    model: str
    cosine: float | None  # from which pairs were looked at; None: by bytes alone
    compared: float  # share of all pairs, 1 unless it was stopped
    notes: list[str]

    def __str__(self) -> str:
        return f"{copies_counted(self.copies)} in {counted(self.groups, 'group')}"


class DuplicateBatches:
    """Groups as a stream of record batches: of each the photo to keep, then its copies."""

    unit = "photos"
    schema = pa.schema(list(COLUMN_KINDS.items()))

    def __init__(self, found: Duplicates) -> None:
        self.rows = 0
        self._photos = [(group, photo) for group in found for photo in group.photos]

    def batches(self) -> Iterator[Any]:
        """Yield pyarrow.RecordBatch after RecordBatch, and count the rows on the way."""
        for start in range(0, len(self._photos), ROWS_AT_ONCE):
            some = [row_of_copy(group, photo) for group, photo in self._photos[start : start + ROWS_AT_ONCE]]
            self.rows += len(some)
            yield pa.RecordBatch.from_pylist(some, schema=self.schema)


def row_of_copy(group: DuplicateGroup, photo: GroupedPhoto) -> dict[str, Any]:
    """Return a photo of a group as a row of a table: what is so says yes, what is not nothing."""
    values = photo.as_json()
    return values | {
        "group": group.number,
        "keep": "yes" if photo.is_kept else None,
        "cropped": "yes" if photo.cropped else None,
        "why": photo.said,
        "member": photo.member or None,
    }


def duplicate_format(path: Path) -> str:
    """Return the format that a path's ending names. Raises: QueryError: it names none."""
    if path.suffix.lower() not in DUPLICATE_FORMATS:
        raise QueryError(f"{path.name!r} does not say in what format: end it in {', '.join(DUPLICATE_FORMATS)}")
    return DUPLICATE_FORMATS[path.suffix.lower()]


def write_duplicates(found: Duplicates, path: Path, progress: Progress = silent) -> DuplicateManifest:
    """Write groups of copies, a row a photo, and a manifest beside the file; it appears when it is complete.

    Raises:
        QueryError: the ending names no format, or there are more photos than a workbook takes.
        OutputError: the file cannot be written.
    """
    file_format = duplicate_format(path)
    refuse_name(path)
    if path.is_dir():
        raise QueryError(f"{path} is a folder: name a new file in it")
    table = DuplicateBatches(found)
    if file_format == "xlsx":
        refuse_rows(sum(len(group.photos) for group in found))
    try:
        with file_and_manifest(path) as (file, write_beside):
            hashed = HashedFile(file)
            stream(table, TABLE_WRITERS[file_format](hashed, table.schema, []), progress)
            manifest = manifest_of_copies(found, path, file_format, hashed)
            write_beside(manifest)
        return manifest
    except OSError as error:
        raise OutputError(
            f"{error.filename or path} cannot be written: {error.strerror or error}. Nothing is left under {path}"
        ) from error


def manifest_of_copies(found: Duplicates, path: Path, file_format: str, hashed: HashedFile) -> DuplicateManifest:
    """Return the manifest of a file that is complete."""
    told = found.summary
    return DuplicateManifest(
        **facts_of_file(path, file_format, hashed),
        photos=sum(len(group.photos) for group in found),
        groups=len(found),
        copies=len(found.copies),
        spare_bytes=sum(group.spare_bytes for group in found),
        looked_at=told.photos,
        model=told.model,
        cosine=told.cosine,
        compared=told.compared,
        notes=found.notes,
    )
