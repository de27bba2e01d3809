"""Photos of an earlier version, or of imported vectors, are read once to learn how bright they are. Embeds nothing."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from base.console import counted
from base.errors import PhotoError
from base.files import PhotoFile
from base.progress import Progress, Step
from db.catalog import Catalog
from db.photo_rows import mark_columns_changed, update_photos
from db.stat_rows import count_unmeasured, unmeasured
from embedding.decode import Preprocessing, decode
from indexer.pipeline import COMMIT_PHOTOS
from indexer.reading import DECODE_THREADS


@dataclass(slots=True)
class MeasureReport:
    """How many photos were measured, and how many could not be: they are gone, damaged, or others by now."""

    measured: int = 0
    unread: int = 0

    def __str__(self) -> str:
        unread = f", {self.unread} could not be read or are others by now: `aliens add FOLDER` looks at them"
        return f"measured the brightness of {counted(self.measured, 'photo')}{unread if self.unread else ''}"


def measure_brightness(catalog: Catalog, preprocessing: Preprocessing, progress: Progress) -> MeasureReport:
    """Measure how bright the photos are of which that is not known, as if they were embedded now.

    May be stopped at any time: what was measured is kept, some hundreds of photos at a time.

    Raises: LibraryError: another process changes the library, or the disk is full or cannot be written.
    """

    def measured(file: PhotoFile, sha256: bytes | None) -> dict[str, Any]:
        with suppress(OSError, PhotoError), file.lent() as data:
            if hashlib.sha256(data).digest() == sha256:
                facts = decode(data, preprocessing).facts
                return {"brightness": facts.brightness, "grey": facts.grey}
        return {}

    report, last_id = MeasureReport(), 0
    with catalog.writing() as session, ThreadPoolExecutor(DECODE_THREADS, "brightness") as pool:
        total = count_unmeasured(session)
        while rows := unmeasured(session, last_id, COMMIT_PHOTOS):
            files = [PhotoFile(path, member) for _, path, member, _ in rows]
            found = pool.map(measured, files, [row[3] for row in rows])
            known = [{"id": row[0]} | columns for row, columns in zip(rows, found, strict=True) if columns]
            update_photos(session, known)
            mark_columns_changed(session)
            session.commit()
            report.measured += len(known)
            report.unread += len(rows) - len(known)
            last_id = rows[-1][0]
            progress(Step("measuring", report.measured + report.unread, total))
    return report
