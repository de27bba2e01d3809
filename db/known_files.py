"""What the library knows of files, row by row as the driver gives it: a look at what has not changed reads no more."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from db.models import Photo, PhotoState
from db.photo_rows import FIRST, fetched, pages

# A photo that is to be looked at more closely: one that failed, or whose file was not asked all that it can say.
IS_OPEN = (Photo.failure_kind.is_not(None)) | (
    (Photo.state == PhotoState.EMBEDDED)
    & (Photo.content_sha256.is_(None) | (Photo.exif_read.is_(None) & Photo.image_id.is_(None)))
)
KNOWN_FILE = (Photo.path, Photo.id, Photo.size_bytes, Photo.mtime_ns)
WITH_HOTELS = (*KNOWN_FILE, Photo.hotel_id, Photo.hotel_from)
KnownFile = Sequence[Any]  # these columns


FILES = (Photo.member == "") & ~IS_OPEN
AHEAD = 4_000  # rows that are read at once
# Built once: it is asked for every few thousand files.
FROM = select(*KNOWN_FILE).where(Photo.path >= bindparam("first"), FILES).order_by(Photo.path).limit(AHEAD)
AT = select(*WITH_HOTELS).where(Photo.path.in_(bindparam("paths", expanding=True)), FILES)
BEYOND = "\U0010ffff"  # comes after every path


def compares_bytes(session: Session) -> bool:
    """Tell whether the database puts paths in the order in which Python does, as SQLite does."""
    return session.get_bind().dialect.name == "sqlite"


def known_files_from(session: Session, path: str) -> tuple[dict[str, KnownFile], str]:
    """Return {path: what is known} of the next files from a path on, but for open ones, and up to which path."""
    rows = list(chain.from_iterable(fetched(session, FROM, {"first": path})))
    return dict(zip(map(FIRST, rows), rows, strict=True)), rows[-1][0] if len(rows) == AHEAD else BEYOND


def known_files(session: Session, paths: Sequence[str]) -> dict[str, KnownFile]:
    """Return {path: what is known, with hotels} of files that are known, but for open ones."""
    asked = (fetched(session, AT, {"paths": page}) for page in pages([*paths]))
    return {row[0]: row for answer in asked for rows in answer for row in rows}
