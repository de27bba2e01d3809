"""Changing a library: one process at a time, and one error for a disk that is full or cannot be written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from aliens.errors import LibraryError
from aliens.settings import LibraryFolder

LOCK_TIMEOUT_S = 1.0  # long enough for `aliens verify` to have looked whether the lock is free


@contextmanager
def writing(folder: LibraryFolder) -> Iterator[None]:
    """Hold the library's lock: one process at a time changes it.

    Raises: LibraryError: another process holds it.
    """
    try:
        with FileLock(folder.lock_file, timeout=LOCK_TIMEOUT_S):
            yield
    except Timeout as error:
        raise LibraryError(
            f"another process is changing {folder.root}: wait for it to end (searching meanwhile is fine)"
        ) from error


@contextmanager
def disk_errors(folder: LibraryFolder) -> Iterator[None]:
    """Turn the system's and the database's words for a disk that is full or cannot be written into one error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LibraryError(full(folder.root)) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LibraryError(f"{error.filename or folder.root} cannot be written ({error.strerror})") from error
        raise
    except DBAPIError as error:
        if "disk is full" in str(error):
            raise LibraryError(full(folder.root)) from error
        raise LibraryError(f"the library's database failed: {error.orig}") from error


def full(root: Path) -> str:
    """Return the message for a full disk."""
    return (
        f"the disk that holds {root} is full: free some space and run the same command again; "
        "what was done so far is kept"
    )
