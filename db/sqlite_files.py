"""SQLite's files: opened to be written, and where that cannot be, read as they lie. Knows no tables.

In WAL mode even a reader writes: SQLite makes a file of shared memory beside the database. Where there is no right to,
or no room, a database that was closed well is read as it lies, and one with commits beside it, left by a process that
was killed, from a copy. What fails at a file is told plainly, by SQLite's codes.
"""

import errno
import math
import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.engine.interfaces import Dialect, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from base.console import shell_word
from base.errors import DamagedDatabaseError, DiskFullError, LibraryBusyError, LibraryError
from base.forks import UncutByForks
from base.names import folded
from base.records import parse_json

UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}
PRIMARY = 0xFF  # of an error's code: the rest says where it happened
SQLITE_BYTES = 1 << 16  # of room that it needs to begin
TOO_MANY = (errno.EMFILE, errno.ENFILE)
SET_UP = (  # readers and one writer at once, and up to 30 s of waiting for a lock
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "busy_timeout = 30000",
)
EARTH_RADIUS_M = 6_371_008.8  # mean radius, International Union of Geodesy and Geophysics
BESIDE = ("-wal", "-journal")  # commits that the database does not hold yet, or changes that are to be taken back
LIES = "lies"  # of a connection that SQLite keeps no locks for: its file, and what that was when it was opened

Stamp = tuple[tuple[int, int, int] | None, ...]

_uncut = UncutByForks()


class UncutCursor(sqlite3.Cursor):
    """A cursor that no fork finds in SQLite's hands, which has locks for the whole process."""

    def execute(self, *arguments: Any) -> Self:
        """Execute a statement."""
        with _uncut:
            return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> Self:
        """Execute a statement with each of several parameters."""
        with _uncut:
            return super().executemany(*arguments)

    def fetchone(self) -> Any:
        """Return the next row."""
        with _uncut:
            return super().fetchone()

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        """Return the next rows."""
        with _uncut:
            return super().fetchmany(size)

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        with _uncut:
            return super().fetchall()

    def close(self) -> None:
        """Let go of the statement."""
        with _uncut:
            super().close()


class UncutConnection(sqlite3.Connection):
    """A connection with such cursors."""

    def cursor(self, *factory: Any) -> Any:
        """Return a new cursor."""
        return super().cursor(UncutCursor)

    def commit(self) -> None:
        """Keep what was changed."""
        with _uncut:
            super().commit()

    def rollback(self) -> None:
        """Take back what was changed."""
        with _uncut:
            super().rollback()

    def close(self) -> None:
        """Close the files."""
        with _uncut:
            super().close()


def sqlite_connection(*arguments: Any, **options: Any) -> sqlite3.Connection:
    """Return a connection, as sqlite3.connect does."""
    with _uncut:
        return sqlite3.connect(*arguments, **options, factory=UncutConnection)


def sqlite_options(url: URL) -> dict[str, Any]:
    """Return the options that an engine of SQLite's is made with."""
    return {"json_deserializer": partial(json_value, str(url.database))}


def json_value(file: str, written: str) -> Any:
    """Return the value of a column of JSON. Raises: DamagedDatabaseError: it is none; nobody but damage writes such."""
    try:
        return parse_json(written)
    except ValueError as error:
        raise damaged(file, f"a value of it is no JSON: {error}", setting_right(file)) from error


def use_sqlite_files(engine: Engine) -> None:
    """Have an engine of SQLite's open its file as it is done here."""
    event.listen(engine, "do_connect", opened_file)
    event.listen(engine, "checkout", refuse_stale)
    event.listen(engine, "rollback", refuse_changed)
    event.listen(engine, "handle_error", tell_plainly)


def opened_file(
    dialect: Dialect, record: ConnectionPoolEntry, arguments: Sequence[Any], options: Mapping[str, Any]
) -> sqlite3.Connection:
    """Open a database to be written; where it cannot be written, so that it can be read.

    Raises: sqlite3.Error: it can be neither. LibraryError: what lies beside it can be read nowhere.
    """
    file = Path(arguments[0])
    if file.is_file() and not os.access(file, os.W_OK) and not Path(f"{file}-shm").exists():
        return opened_to_read(record, file, options)  # what SQLite would make beside it could not be written either
    try:
        return ready(sqlite_connection(*arguments, **options), SET_UP)
    except sqlite3.Error as error:
        if error.sqlite_errorcode & PRIMARY not in UNWRITABLE or not file.is_file():
            raise
        with suppress(sqlite3.Error):  # the first error tells more
            return opened_to_read(record, file, options)
        raise


def opened_to_read(record: ConnectionPoolEntry, file: Path, options: Mapping[str, Any]) -> sqlite3.Connection:
    """Open a database without SQLite's locks, and remember what it was then.

    Raises: sqlite3.Error: it is none, or damaged. LibraryError: what lies beside it can be read nowhere.
    """
    record.info[LIES] = file, stamp_of(file)
    return from_copy(file, options) if any(stamp_of(file)[1:]) else as_it_lies(file, options)


def distance_m(
    latitude: float | None, longitude: float | None, to_latitude: float, to_longitude: float
) -> float | None:
    """Return the way along the earth between two places, in metres, of degrees, by the haversine formula."""
    if latitude is None or longitude is None:
        return None
    here, there = math.radians(latitude), math.radians(to_latitude)
    east = math.sin(math.radians(longitude - to_longitude) / 2) ** 2
    half = math.sin((here - there) / 2) ** 2 + math.cos(here) * math.cos(there) * east
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(half, 1)))


def number_in(cell: object) -> float | None:
    """Return what a cell of a table says as a number; None where it is none, such as 10 rooms."""
    try:
        value = float(cell) if isinstance(cell, str | int | float) else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def ready(connection: sqlite3.Connection, pragmas: Sequence[str]) -> sqlite3.Connection:
    """Return a connection that knows `folded`, `distance_m` and `number`, once pragmas were run; closed on errors."""
    try:
        connection.create_function("folded", 1, folded, deterministic=True)
        connection.create_function("distance_m", 4, distance_m, deterministic=True)
        connection.create_function("number", 1, number_in, deterministic=True)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def as_it_lies(file: Path, options: Mapping[str, Any]) -> sqlite3.Connection:
    """Open a database to be read without SQLite's locks."""
    connection = sqlite_connection(f"file:{quote(str(file))}?mode=ro&immutable=1", **dict(options, uri=True))
    return ready(connection, ["schema_version"])  # reads, which opening alone does not


def from_copy(file: Path, options: Mapping[str, Any]) -> sqlite3.Connection:
    """Open a copy of a database with what lies beside it; its files go when the connection is closed.

    Raises: LibraryError: it cannot be copied, or is being changed.
    """
    before = stamp_of(file)
    try:
        with TemporaryDirectory(prefix="aliens-") as folder:
            copy = Path(folder) / file.name
            for suffix in ("", *BESIDE):
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{file}{suffix}", f"{copy}{suffix}")
            # The commits come into the copy, so that nothing beside it is needed any more.
            connection = ready(sqlite_connection(copy, **options), ["journal_mode = DELETE", "query_only = ON"])
    except (OSError, sqlite3.OperationalError) as error:
        raise LibraryError(
            f"the newest commits of {file} lie beside it, and where nothing can be written they can be read from a "
            f"copy alone, which could not be made ({getattr(error, 'strerror', None) or error}): name a folder with "
            "room by TMPDIR"
        ) from error
    if stamp_of(file) != before:
        connection.close()
        raise LibraryError(changed_meanwhile(file))
    return connection


def stamp_of(file: Path) -> Stamp:
    """Return what tells one state of a database's file, and of each that may lie beside it, from another.

    None for one that is absent or empty.
    """
    stamps = []
    for suffix in ("", *BESIDE):
        try:
            stat = os.stat(f"{file}{suffix}")
        except FileNotFoundError:
            stat = None
        stamps.append((stat.st_ino, stat.st_mtime_ns, stat.st_size) if stat is not None and stat.st_size else None)
    return tuple(stamps)


def changed_meanwhile(file: Path) -> str:
    """Return what to say of a database that changed under a reader without SQLite's locks."""
    return f"{file} was changed while it was read, by somebody who may write it: do the same again"


def refuse_stale(connection: Any, record: ConnectionPoolEntry, proxy: Any) -> None:
    """Have a file opened anew that was changed since it was opened without SQLite's locks."""
    if LIES in record.info:
        file, before = record.info[LIES]
        if stamp_of(file) != before:
            raise DisconnectionError


def refuse_changed(connection: Connection) -> None:
    """Have nobody rely on what was read of a file as it lies while somebody wrote to it.

    Raises: LibraryError: that happened.
    """
    if not connection.invalidated and LIES in connection.info:  # Ctrl-C within a statement invalidates it
        file, before = connection.info[LIES]
        if not any(before[1:]) and stamp_of(file)[0] != before[0]:
            raise LibraryError(changed_meanwhile(file))


def tell_plainly(context: ExceptionContext) -> None:
    """Say what can be done where SQLite meets a page that makes no sense, or a disk fails under it.

    Raises:
        DamagedDatabaseError: its file is damaged.
        LibraryError: the disk is full, fails or cannot be written, or somebody keeps the file locked.
    """
    error, engine = context.original_exception, context.engine
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY
    file = str(engine.url.database) if engine is not None else "the database"
    if code == sqlite3.SQLITE_CORRUPT or (code == sqlite3.SQLITE_NOTADB and context.connection is not None):
        raise damaged(file, str(error), restoring(file)) from error
    if (told := error_of_sqlite(error, Path(file))) is not None:
        raise told from error


def damaged(file: str, problem: str, remedy: str) -> DamagedDatabaseError:
    """Return the error for a database file that is damaged."""
    error = DamagedDatabaseError(f"{file} is damaged ({problem}): {remedy}")
    error.problem = problem
    return error


def damaged_value(engine: Engine, problem: str) -> DamagedDatabaseError:
    """Return the error for a value that makes no sense, of whatever database."""
    file = str(engine.url.database)
    if engine.dialect.name == "sqlite":
        return damaged(file, problem, setting_right(file))
    return damaged(f"the database {file}", problem, "restore it from a backup, or set the value right by SQL")


def restoring(file: str) -> str:
    """Return what to do with a database file that is damaged."""
    return (
        f"restore {file} from a backup, or save what is whole: "
        f"`sqlite3 {shell_word(file)} .dump | sed 's/^ROLLBACK.*/COMMIT;/' | sqlite3 saved.db`, "
        "put saved.db in its place, and run `aliens verify --repair`"
    )


def setting_right(file: str) -> str:
    """Return what to do with a sound file in which values make no sense."""
    return f"restore {file} from a backup, or set the values right by `sqlite3 {shell_word(file)}`"


def error_of_sqlite(error: BaseException | None, file: Path) -> LibraryError | None:
    """Return what an error of SQLite's at a file is to people; None where it says nothing of disks and locks."""
    whole = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    code = whole & PRIMARY
    is_reading = whole == sqlite3.SQLITE_IOERR_READ
    if code == sqlite3.SQLITE_FULL or (code in UNWRITABLE and not is_reading and has_no_room(file.parent)):
        return DiskFullError(full(file.parent))  # without room SQLite cannot even open what it would write to
    if code == sqlite3.SQLITE_READONLY:
        return LibraryError(unwritable(file.parent, "its database is read-only here"))
    if code == sqlite3.SQLITE_IOERR and whole != sqlite3.SQLITE_IOERR_NOMEM:
        return LibraryError(failing(file))
    if code == sqlite3.SQLITE_CANTOPEN:
        return LibraryError(f"the database {file} cannot be opened: {error} ({why_unopened(file)})")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LibraryBusyError(
            f"another program keeps the database {file} locked: wait for it to end, or end it, and do the same again"
        )
    return None


def has_no_room(folder: Path) -> bool:
    """Tell whether the disk that holds a folder is too full for SQLite to begin."""
    try:
        space = os.statvfs(folder)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < SQLITE_BYTES and not space.f_flag & os.ST_RDONLY


def why_unopened(file: Path) -> str:
    """Return why a file that SQLite could not open cannot be, which it does not tell, and what helps."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError as error:
        if error.errno in TOO_MANY:
            return too_many()
        return f"{error.strerror}: see that it is there, and that you may read it"
    return "see that its folder, and what lies beside it, may be read and written"


def too_many() -> str:
    """Return what is wrong, and what helps, where no more files may be opened."""
    return "too many files are open; end other programs, or allow more by `ulimit -n`"


def unwritable(where: object, why: str) -> str:
    """Return the message for what cannot be written, though there may be room."""
    return (
        f"{where} cannot be written ({why}): a library can be searched there; to change it, copy it to where you may "
        "write"
    )


def failing(where: object) -> str:
    """Return the message for a disk that neither reads nor writes what it should."""
    return (
        f"the disk failed at {where} (input/output error): what was committed is kept; copy the library to another one "
        "if that happens again, and see what `aliens verify` says of it there"
    )


def full(root: Path) -> str:
    """Return the message for a full disk."""
    return (
        f"the disk that holds {root} is full: free some space and run the same command again; "
        "what was done so far is kept"
    )
