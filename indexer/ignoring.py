"""What a walk leaves out: folders that systems make for themselves, and what patterns exclude. Reads no photos.

Patterns are those of .gitignore (see its manual), in files called .aliensignore or given for one call. The later of two
that match counts, a file's before those of the folders above it, and a call's own before all.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from pathspec import GitIgnoreSpec

from base.errors import QueryError
from base.files import open_regular

IGNORE_FILE = ".aliensignore"
MOST_BYTES = 1_000_000  # of such a file

# Exact names, as the systems write them. What begins with a dot is hidden, and left out anyway: .Trashes, .thumbnails,
# QNAP's .@__thumb, Picasa's .picasaoriginals, digiKam's .dtrash.
SYSTEM_FOLDERS = {
    "@eaDir": "Synology DSM: thumbnails and attributes of the files beside it",
    "#recycle": "Synology DSM: deleted files",
    "#snapshot": "Synology DSM: earlier states of the folder",
    "@Recycle": "QNAP QTS: deleted files",
    "@Recently-Snapshot": "QNAP QTS: earlier states of the folder",
    "~snapshot": "NetApp ONTAP over SMB: earlier states of the folder",
    "$RECYCLE.BIN": "Windows: deleted files",
    "$Recycle.Bin": "Windows: deleted files",
    "RECYCLER": "Windows XP: deleted files",
    "System Volume Information": "Windows: restore points and indexes",
    "Network Trash Folder": "macOS over AFP: deleted files",
    "__MACOSX": "macOS: attributes in a zip file, under the names of its files",
    "lost+found": "Linux: what a check of the disk found",
}
SYSTEM_ENDINGS = (".lrdata",)  # Lightroom Classic: previews
SYSTEM_PLACES = {("CaptureOne", "Cache")}  # Capture One: previews
# Libraries of Apple's programs are folders: Photos keeps photos in originals, its forerunners in Masters or Originals;
# all else is made of them.
PHOTO_LIBRARIES = (".aplibrary", ".migratedphotolibrary", ".photolibrary", ".photoslibrary")
ORIGINALS = frozenset(("Masters", "Originals", "originals"))


def is_system_folder(parent: str, name: str) -> bool:
    """Tell whether a system made the folder of this name in a parent folder for itself; `parent` is a path."""
    if name in SYSTEM_FOLDERS or name.endswith(SYSTEM_ENDINGS):
        return True
    if parent.endswith(PHOTO_LIBRARIES):
        return name not in ORIGINALS
    return (os.path.basename(parent), name) in SYSTEM_PLACES


class Patterns(NamedTuple):
    """Patterns, and the folder that they are written for."""

    folder: str
    spec: GitIgnoreSpec

    def say(self, path: str, *, is_folder: bool) -> bool | None:
        """Tell whether a file or folder below is left out, or taken for all that; None where nothing is said of it."""
        below = path[len(self.folder.rstrip("/")) + 1 :] + "/" * is_folder
        said: bool | None = self.spec.check_file(composed(below)).include
        return said


@dataclass(frozen=True, slots=True)
class Rules:
    """What is left out in one folder, by the patterns of a call and those of the folder and of all that hold it.

    folders: the innermost first.
    """

    call: Patterns | None = None
    folders: tuple[Patterns, ...] = ()

    def within(self, own: Patterns | None) -> "Rules":
        """Return what holds in a folder of this one that has patterns of its own, or none."""
        return self if own is None else Rules(self.call, (own, *self.folders))

    def kind_left_out(self, folder: str, name: str, *, is_folder: bool = False) -> str | None:
        """Return why a file or folder is left out, as a kind of what is passed over; None where it is not."""
        if name.startswith("."):
            return "hidden"
        if is_folder and is_system_folder(folder, name):
            return "system_folder"
        if self.call is None and not self.folders:
            return None
        path = os.path.join(folder, name)
        for patterns in (self.call, *self.folders):
            if patterns is not None and (said := patterns.say(path, is_folder=is_folder)) is not None:
                return ("excluded_folder" if is_folder else "excluded") if said else None
        return None


def call_patterns(exclude: Sequence[str]) -> GitIgnoreSpec | None:
    """Return the patterns of a call. Raises: QueryError: one of them is none, or excludes nothing."""
    if not exclude:
        return None
    lines = [rf"\{line}" if line.startswith("#") else line for line in exclude]  # a call has no comments: #recycle
    for line, given in zip(lines, exclude, strict=True):
        spec, wrong = parsed(line)
        if wrong or "\n" in given or all(pattern.include is None for pattern in spec.patterns):
            raise QueryError(
                f"--exclude {given!r} is no pattern that excludes anything: write it as in a .gitignore file, such as "
                "raw/, *_thumb.jpg or /old/**"
            )
    return parsed("\n".join(lines))[0]


def rules_at(root: str, spec: GitIgnoreSpec | None) -> Rules:
    """Return what holds at a place that somebody named: a call's patterns, and those of the folders above it.

    Patterns that leave out the place itself say nothing of it: it was named.
    """
    places, folders = [root], []
    while (parent := os.path.dirname(places[-1])) != places[-1]:
        own, _ = read_patterns(parent)
        if own is not None and not any(own.say(place, is_folder=True) for place in places):
            folders.append(own)
        places.append(parent)
    return Rules(None if spec is None else Patterns(root, spec), tuple(folders))


def read_patterns(folder: str) -> tuple[Patterns | None, list[tuple[str, str]]]:
    """Return the patterns that a folder has of its own, None for none; and what of them is not heeded, with why."""
    path = os.path.join(folder, IGNORE_FILE)
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1) or b""
    except (FileNotFoundError, NotADirectoryError):
        return None, []
    except OSError as error:
        return None, [(path, f"{error.strerror or error}: its patterns exclude nothing")]
    if len(data) > MOST_BYTES:
        return None, [(path, f"has more than {MOST_BYTES / 1e6:g} MB: its patterns exclude nothing")]
    spec, wrong = parsed(os.fsdecode(data.removeprefix(b"\xef\xbb\xbf")))
    return Patterns(folder, spec), [(f"{path}:{number}", f"{line!r} is no pattern") for number, line in wrong]


@lru_cache(maxsize=64)
def parsed(text: str) -> tuple[GitIgnoreSpec, tuple[tuple[int, str], ...]]:
    """Return the patterns of a text, a line each, and the lines that are none, with their numbers from 1."""
    sound, wrong = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        line = composed(line.removesuffix("\r"))
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):
            wrong.append((number, line))
        else:
            sound.append(line)
    return GitIgnoreSpec.from_lines(sound), tuple(wrong)


def composed(text: str) -> str:
    """Return a text in which a letter with its accent is one character, as macOS does not write names."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
