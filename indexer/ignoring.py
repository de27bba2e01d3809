"""What a walk leaves out: folders that systems make for themselves, and what patterns exclude. Reads no photos.

Patterns are those of .gitignore, in files called .aliensignore or given for one call. Of two that match the later
counts, a file's before those of the folders above it, and a call's before all. They are read here, since pathspec
answers otherwise than git where folders are taken back, as in `*`, `!*/`, `!*.jpg`.

Source: the manual of gitignore(5), and git's wildmatch.c.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from base.errors import QueryError
from base.files import open_regular
from base.names import composed

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


class Pattern(NamedTuple):
    """One pattern: what paths it matches, from the folder that it is written for, and whether they are left out."""

    regex: re.Pattern[str]
    leaves_out: bool
    folders_only: bool


class Patterns(NamedTuple):
    """Patterns, the last first, and the folder that they are written for."""

    folder: str
    lines: tuple[Pattern, ...]

    def say(self, path: str, *, is_folder: bool) -> bool | None:
        """Tell whether a file or folder below is left out, or taken for all that; None where nothing is said of it."""
        below = composed(path[len(self.folder.rstrip("/")) + 1 :])
        for pattern in self.lines:
            if (is_folder or not pattern.folders_only) and pattern.regex.fullmatch(below):
                return pattern.leaves_out
        return None


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

    @property
    def say_anything(self) -> bool:
        """Whether there are any patterns."""
        return self.call is not None or bool(self.folders)

    def kind_left_out(self, folder: str, name: str, *, is_folder: bool = False) -> str | None:
        """Return why a file or folder is left out, as a kind of what is passed over; None where it is not."""
        if name.startswith(".") and name != "..":  # which members of tars may have
            return "hidden"
        if is_folder and is_system_folder(folder, name):
            return "system_folder"
        if not self.say_anything:
            return None
        path = os.path.join(folder, name)
        for patterns in (self.call, *self.folders):
            if patterns is not None and (said := patterns.say(path, is_folder=is_folder)) is not None:
                return ("excluded_folder" if is_folder else "excluded") if said else None
        return None


def call_patterns(exclude: Sequence[str]) -> tuple[Pattern, ...]:
    """Return the patterns of a call, the last first. Raises: QueryError: one of them is none."""
    lines: list[Pattern] = []
    for given in exclude:
        line = rf"\{given}" if given.startswith("#") else given  # a call has no comments: #recycle
        found, wrong = parsed(line)
        if wrong or len(found) != 1 or "\n" in given:
            raise QueryError(
                f"--exclude {given!r} is no pattern that excludes anything: write it as in a .gitignore file, such as "
                "raw/, *_thumb.jpg or /old/**"
            )
        lines += found
    return tuple(reversed(lines))


def rules_at(root: str, exclude: tuple[Pattern, ...]) -> Rules:
    """Return what holds at a place that somebody named: a call's patterns, and those of the folders above it.

    Patterns that leave out the place itself say nothing of it: it was named.
    """
    places, folders = [root], []
    while (parent := os.path.dirname(places[-1])) != places[-1]:
        own, _ = read_patterns(parent)
        if own is not None and not any(own.say(place, is_folder=True) for place in places):
            folders.append(own)
        places.append(parent)
    return Rules(Patterns(root, exclude) if exclude else None, tuple(folders))


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
    lines, wrong = parsed(os.fsdecode(data.removeprefix(b"\xef\xbb\xbf")))
    return Patterns(folder, lines), [(f"{path}:{number}", f"{line!r} is no pattern") for number, line in wrong]


@lru_cache(maxsize=64)
def parsed(text: str) -> tuple[tuple[Pattern, ...], tuple[tuple[int, str], ...]]:
    """Return the patterns of a text, a line each, the last first; and the lines that are none, numbered from 1."""
    sound, wrong = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        line = re.sub(r"(?<!\\) +$", "", composed(line.removesuffix("\r")))
        if not line or line.startswith("#"):
            continue
        try:
            sound.append(compiled(line))
        except (ValueError, re.error):
            wrong.append((number, line))
    return tuple(reversed(sound)), tuple(wrong)


def compiled(line: str) -> Pattern:
    """Return the pattern of a line. Raises: ValueError, re.error: it is none."""
    pattern = line.removeprefix("!")
    body = pattern.removesuffix("/")
    parts = body.removeprefix("/").split("/")
    if not any(parts):
        raise ValueError("names nothing")
    if "/" not in body:  # at any depth
        regex = "(?:.+/)?" + part_regex(body)
    else:
        inner = ["(?:.+/)?" if part == "**" else part_regex(part) + "/" for part in parts[:-1]]
        regex = "".join(inner) + (".+" if parts[-1] == "**" else part_regex(parts[-1]))
    return Pattern(re.compile(regex, re.DOTALL), leaves_out=pattern == line, folders_only=body != pattern)


TOKEN = re.compile(
    r"\\(?P<escaped>.)|(?P<stars>\*+)|(?P<any>\?)|\[(?P<but>[!^]?)(?P<set>\]?(?:\\.|[^\]\\])*)\]|(?P<plain>[^\\[])",
    re.DOTALL,
)


def part_regex(part: str) -> str:
    """Return the regular expression of a part of a pattern between slashes. Raises: ValueError: it is none."""
    said, end = "", 0
    while end < len(part):
        found = TOKEN.match(part, end)
        if found is None or "[:" in (found["set"] or ""):  # [ or a backslash without its other half; [[:alpha:]]
            raise ValueError(f"{part[end:]} makes no sense")
        end = found.end()
        if found["stars"] or found["any"]:
            said += "[^/]*" if found["stars"] else "[^/]"
        elif found["set"]:
            inside = re.sub(r"\\(.)|([\[\]&|~^])", lambda each: re.escape(each[1] or each[2]), found["set"])
            said += f"(?!/)[{'^' if found['but'] else ''}{inside}]"
        else:
            said += re.escape(found["escaped"] or found["plain"])
    return said
