"""Thumbnails and placeholders kept on disk, in a SQLite file beside the library; without it all are made anew."""

import sqlite3
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS thumbnail (
    id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, width INTEGER NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS ix_thumbnail ON thumbnail (sha256, width);
CREATE INDEX IF NOT EXISTS ix_thumbnail_size ON thumbnail (id, size);
CREATE TABLE IF NOT EXISTS placeholder (sha256 BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
"""
ROOM = 0.9  # of the limit that stays filled when the oldest are evicted
COUNTED_ANEW = 500  # thumbnails kept, after which what other servers have kept is counted as well
WAIT_S = 1.0  # for another server that writes


class ThumbnailStore:
    """Keeps small pictures by the SHA-256 of the photo's bytes and a width; the oldest go once there is no room.

    It is a cache: where the disk is full, the folder may not be written, or the file is damaged, nothing is kept.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path, self._limit_bytes = path, limit_bytes
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._kept_bytes = self._since_counted = 0
        with suppress(sqlite3.Error):
            self._open()

    @property
    def keeps(self) -> bool:
        """Whether there is a file that anything is kept in."""
        return self._database is not None

    @property
    def kept_bytes(self) -> int:
        """How much is kept: what other servers keep of late is not counted yet."""
        return self._kept_bytes if self.keeps else 0

    def _open(self) -> None:
        database = sqlite3.connect(self._path, timeout=WAIT_S, check_same_thread=False, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.executescript(TABLES)
            self._database = database
            self._count()
            weakref.finalize(self, database.close)  # by a server that never ran, too
        except sqlite3.OperationalError:  # it may not be written, or the disk is full
            self._database = None
            database.close()
            raise
        except sqlite3.DatabaseError:  # it is no database any more, and nothing is lost with it
            self._database = None
            database.close()
            with suppress(OSError):
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            raise

    def _count(self) -> None:
        assert self._database is not None
        row = self._database.execute("SELECT coalesce(sum(size), 0) FROM thumbnail INDEXED BY ix_thumbnail_size")
        self._kept_bytes, self._since_counted = row.fetchone()[0], 0

    def get(self, sha256: bytes, width_px: int) -> bytes | None:
        """Return the thumbnail of these bytes and this width, or None."""
        return self._read("SELECT data FROM thumbnail WHERE sha256 = ? AND width = ?", (sha256, width_px))

    def placeholder(self, sha256: bytes) -> bytes | None:
        """Return the placeholder of these bytes, some 25 bytes, or None."""
        return self._read("SELECT data FROM placeholder WHERE sha256 = ?", (sha256,))

    def _read(self, statement: str, values: Sequence[bytes | int]) -> bytes | None:
        if self._database is None:
            return None
        with self._lock, suppress(sqlite3.Error):
            row = self._database.execute(statement, values).fetchone()
            return None if row is None else bytes(row[0])
        return None

    def put(self, sha256: bytes, width_px: int, data: bytes | None, placeholder: bytes | None) -> None:
        """Keep a thumbnail, a placeholder, or both, where that is possible."""
        if self._database is None:
            return
        with self._lock, suppress(sqlite3.Error):
            if placeholder is not None:
                self._database.execute("INSERT OR IGNORE INTO placeholder VALUES (?, ?)", (sha256, placeholder))
            if data is None:
                return
            values = (sha256, width_px, len(data), data)
            self._database.execute(
                "INSERT OR IGNORE INTO thumbnail (sha256, width, size, data) VALUES (?, ?, ?, ?)", values
            )
            self._kept_bytes += len(data)
            self._since_counted += 1
            if self._kept_bytes > self._limit_bytes or self._since_counted >= COUNTED_ANEW:
                self._count()
            if self._kept_bytes > self._limit_bytes:
                self._evict()

    def _evict(self) -> None:
        """Remove the oldest until a tenth of the room is free."""
        assert self._database is not None
        surplus, last = self._kept_bytes - int(ROOM * self._limit_bytes), 0
        for number, size in self._database.execute("SELECT id, size FROM thumbnail ORDER BY id"):
            surplus, last = surplus - size, number
            if surplus <= 0:
                break
        self._database.execute("DELETE FROM thumbnail WHERE id <= ?", (last,))
        self._count()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None
