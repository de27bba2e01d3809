"""Paths of photos for people elsewhere: only what lies below a folder that was added, named from there on."""

import os
from collections.abc import Sequence

from base.files import PhotoFile, real_place
from base.urls import url_of


def root_of(path: str, roots: Sequence[str]) -> str | None:
    """Return the innermost of the folders, tars or photos that were added at or below which a path lies, or None."""
    place = real_place(path)
    for root in roots:
        real = url_of(root) or os.path.realpath(root)
        if place in (root, real) or place.startswith((root.rstrip("/") + "/", real.rstrip("/") + "/")):
            return root
    return None


def lies_below(path: str, roots: Sequence[str]) -> bool:
    """Tell whether a photo lies in one of the folders that were added, whatever links lead to it."""
    return root_of(path, roots) is not None


def shown_path(path: str, member: str, roots: Sequence[str]) -> str:
    """Return a photo's path for people: that of the outermost folder that was added is left out but for its name."""
    root = root_of(path, sorted(roots, key=len))
    if url_of(path) is not None:
        below = os.path.basename(path) if root is None else path[len(os.path.dirname(root)) :].strip("/")
    else:
        below = os.path.basename(path) if root is None else os.path.relpath(real_place(path), os.path.dirname(root))
    return str(PhotoFile(below, member))
