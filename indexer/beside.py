"""What members of a tar say of the photo beside them: a .json its columns, a .txt its caption, a .cls its class.

So WebDataset and img2dataset write data sets: members of one photo have one name up to its first dot. Reads no photos.
Source: the WebDataset format, github.com/webdataset/webdataset.
"""

import os
from collections import defaultdict
from contextlib import suppress
from typing import Any

from base.records import parse_json
from base.tars import MOST_SIDE_BYTES, SIDE_ENDINGS, TarIndex, member_bytes
from indexer.details import kept_details

CAPTION, LABEL = "caption", "class"  # the columns that .txt and .cls become


class Beside:
    """The members of one tar that say something of others."""

    def __init__(self, path: str, stamp: int | str, index: TarIndex) -> None:
        self._path, self._stamp, self._index = path, stamp, index
        self._sides: dict[str, dict[str, str]] = defaultdict(dict)  # by the name that they share, by ending
        for name, (_, size_bytes) in index.members.items():
            if name.endswith(SIDE_ENDINGS) and size_bytes <= MOST_SIDE_BYTES:
                key, ending = shared_name(name)
                self._sides[key][ending] = name
        shared = {shared_name(name)[0] for name in index.members if not name.endswith(SIDE_ENDINGS)}
        self.used = {name for key in shared & self._sides.keys() for name in self._sides[key].values()}

    def details_of(self, member: str) -> dict[str, Any] | None:
        """Return what is said of a photo, None where nothing is. Raises: OSError, tarfile.TarError: as the tar's."""
        sides = self._sides.get(shared_name(member)[0])
        if not sides:
            return None
        said: dict[str, Any] = {}
        if "json" in sides:
            with suppress(ValueError):  # what is no JSON says nothing
                parsed = parse_json(self._text(sides["json"]))
                said = parsed if isinstance(parsed, dict) else {}
        for ending, column in (("txt", CAPTION), ("cls", LABEL)):
            if ending in sides and said.get(column) in (None, ""):
                said[column] = self._text(sides[ending])
        return kept_details(said)

    def _text(self, name: str) -> str:
        if name in self._index.sides:
            return self._index.sides[name]
        return member_bytes(self._path, self._stamp, *self._index.members[name]).decode("utf-8", "replace")


def shared_name(member: str) -> tuple[str, str]:
    """Return the name that a photo and what is said of it share, and the rest of this one."""
    folder, name = os.path.split(member)
    stem, _, ending = name.partition(".")
    return os.path.join(folder, stem), ending.lower()
