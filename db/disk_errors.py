"""What a disk or a database that fails is to people: the system's errors by their numbers, SQLite's by their codes.

Damage of a database's file is told in sqlite_files.py.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from base.errors import DiskFullError, LibraryBusyError, LibraryError
from base.settings import LibraryFolder

PRIMARY = 0xFF  # of SQLite's code of an error: the rest says where it happened
SQLITE_BYTES = 1 << 16  # that it needs to begin
UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
TOO_MANY = (errno.EMFILE, errno.ENFILE)


@contextmanager
def disk_errors(folder: LibraryFolder) -> Iterator[None]:
    """Turn the system's and the database's words for a disk that is full or cannot be written into one error."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder.root
        if error.errno in FULL:
            raise DiskFullError(full(folder.root)) from error
        if error.errno in REFUSED:
            raise LibraryError(unwritable(where, str(error.strerror))) from error
        if error.errno == errno.EIO:
            raise LibraryError(failing(where)) from error
        if error.errno in TOO_MANY:
            raise LibraryError(f"{where} cannot be opened: {too_many()}") from error
        raise
    except DBAPIError as error:
        told = error_of_sqlite(error.orig, folder.database_file)
        raise told or LibraryError(f"the library's database failed: {error.orig}") from error


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
