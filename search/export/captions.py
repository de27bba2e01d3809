"""Export of captions: every caption of every photo that can be found, one a row, with a manifest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from sqlalchemy.orm import Session

from aliens import __version__
from aliens.errors import QueryError
from db.captions import all_captions, caption_sets
from search.export.run import HashedFile, file_and_manifest, stream
from search.export.tables import CsvWriter, JsonlWriter, ParquetWriter, Sink, TableWriter

CaptionFormat = Literal["csv", "jsonl", "parquet"]
ROWS = 16_384
SCHEMA = pa.schema(
    [
        ("photo_id", pa.int64()),
        ("path", pa.string()),
        ("member", pa.string()),
        ("set", pa.string()),
        ("rank", pa.int64()),
        ("score", pa.float64()),
        ("caption", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionManifest:
    """What an export of captions holds and where it came from, kept beside it."""

    cv_aliens: str
    made_at: str  # UTC
    format: CaptionFormat
    file: str
    sha256: str
    size_bytes: int
    captions: int
    columns: list[str]
    sets: dict[str, str]  # {set: the model that chose or wrote its captions}


class CaptionTable:
    """All captions as a stream of record batches."""

    def __init__(self, session: Session) -> None:
        self.rows = 0
        self._session = session

    def batches(self) -> Iterator[Any]:
        """Yield pyarrow.RecordBatch after RecordBatch, and count the rows on the way."""
        captions = all_captions(self._session)
        while rows := list(islice(captions, ROWS)):
            columns = zip(SCHEMA, zip(*rows, strict=True), strict=True)
            self.rows += len(rows)
            yield pa.RecordBatch.from_arrays([pa.array(values, field.type) for field, values in columns], schema=SCHEMA)


def export_captions(
    session: Session,
    path: Path,
    file_format: CaptionFormat,
    *,
    progress: Callable[[int], None] = lambda captions: None,
) -> CaptionManifest:
    """Write all captions to `path`, and a manifest beside it; the file appears only when it is complete.

    Raises: QueryError: there are no captions, or the file cannot be written.
    """
    writers: dict[str, Callable[[Sink, Any, list[str]], TableWriter]]
    writers = {"csv": CsvWriter, "jsonl": JsonlWriter, "parquet": ParquetWriter}
    sets = {found.key: found.model for found in caption_sets(session) if found.captions}
    if not sets:
        raise QueryError("no photo has a caption yet: give them some with `aliens caption --from FILE`")
    table = CaptionTable(session)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_and_manifest(path) as (file, write_beside):
            hashed = HashedFile(file)
            stream(table, writers[file_format](hashed, SCHEMA, []), progress)
            manifest = CaptionManifest(
                cv_aliens=__version__,
                made_at=datetime.now(UTC).isoformat(timespec="seconds"),
                format=file_format,
                file=path.name,
                sha256=hashed.hexdigest(),
                size_bytes=hashed.size_bytes,
                captions=table.rows,
                columns=SCHEMA.names,
                sets=sets,
            )
            write_beside(manifest)
    except OSError as error:
        raise QueryError(f"{error.filename or path} cannot be written: {error.strerror or error}") from error
    return manifest
