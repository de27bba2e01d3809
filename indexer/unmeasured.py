"""Photos that an earlier version embedded are read once more, to learn how bright they are. Embeds nothing."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from base.console import counted
from base.errors import PhotoError
from base.files import PhotoFile
from base.progress import Progress, Step
from db.catalog import Catalog
from db.photo_rows import update_photos
from db.stat_rows import count_unmeasured, unmeasured
from embedding.decode import Preprocessing, decode
from indexer.pipeline import COMMIT_PHOTOS, DECODE_THREADS


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

    def brightness(file: PhotoFile, sha256: bytes | None) -> float | None:
        try:
            with file.lent() as data:
                same = hashlib.sha256(data).digest() == sha256
                return decode(data, preprocessing).facts.brightness if same else None
        except (OSError, PhotoError):
            return None

    report, last_id = MeasureReport(), 0
    with catalog.writing() as session, ThreadPoolExecutor(DECODE_THREADS, "brightness") as pool:
        total = count_unmeasured(session)
        while rows := unmeasured(session, last_id, COMMIT_PHOTOS):
            files = [PhotoFile(path, member) for _, path, member, _ in rows]
            found = list(pool.map(brightness, files, [row[3] for row in rows]))
            known = [
                {"id": row[0], "brightness": value} for row, value in zip(rows, found, strict=True) if value is not None
            ]
            update_photos(session, known)
            session.commit()
            report.measured += len(known)
            report.unread += len(rows) - len(known)
            last_id = rows[-1][0]
            progress(Step("measuring", report.measured + report.unread, total))
    return report
