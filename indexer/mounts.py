"""Disks that are not there: an unplugged drive or a share that does not answer is no deletion of what lies on it.

A disk is known by the folder that it was seen in, a mount point. Gone is it where nothing is mounted there any more, be
the folder empty, absent or filled with something else.
"""

import errno
import os
from collections.abc import Iterable

# What systems answer for a disk or a share that is there by its name alone. A refusal (EACCES) is an answer.
UNANSWERED = frozenset(
    (
        errno.EIO,
        errno.ENXIO,
        errno.ENODEV,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENETRESET,
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.ECONNREFUSED,
        getattr(errno, "EREMOTEIO", errno.EIO),
        getattr(errno, "ENOMEDIUM", errno.EIO),
    )
)

UNREACHABLE = "unreachable"  # a kind of failure: the photo may be there, and what is known of it stays


def kind_of_error(error: Exception) -> str:
    """Return the kind of failure that an error means which the system has raised of a file."""
    return UNREACHABLE if isinstance(error, OSError) and error.errno in UNANSWERED else "unreadable"


def is_folder_entry(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry of a listing is a folder, and no link to one; what does not answer is looked at as a file.

    Listings of some file systems do not tell, so that the entry itself is asked.
    """
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def is_mounted(place: str) -> bool:
    """Tell whether something is mounted at a place now."""
    try:
        os.stat(place)  # which has an automounter mount what it promises
        return os.path.ismount(place)
    except OSError:
        return False


def mount_of(place: str) -> str:
    """Return the innermost mount point at or above a real path, / on the system's own disk, and for an address."""
    while place.startswith("/") and not os.path.ismount(place):
        place = os.path.dirname(place)
    return place if place.startswith("/") else "/"


def mounts_around(places: Iterable[str]) -> dict[str, bool]:
    """Return the mount points, but for /, that real paths lie at or below: of none is known that disks change there."""
    return {mount: False for mount in map(mount_of, places) if mount != "/"}


def device_of(folder: str) -> int | None:
    """Return the number of the device that a folder lies on, None where it does not answer."""
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def lies_at(place: str, root: str) -> bool:
    """Tell whether a place is a root, or lies below it."""
    return place == root or place.startswith(root.rstrip("/") + "/")


def lies_at_any(place: str, roots: Iterable[str]) -> bool:
    """Tell whether a place is one of some roots, or lies below one."""
    return any(lies_at(place, root) for root in roots)
