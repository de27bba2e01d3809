"""Where photos come from: folders, tar files and photos, and what every source gives. Decodes nothing."""

import os
import re
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from glob import has_magic
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG
from typing import Any

from base.errors import SourceError
from base.files import storable
from base.remote import Unreachable, facts_at
from base.settings import LibraryFolder
from base.tars import is_any_tar, is_tar, tar_index, tar_stamp, without_tar_ending
from base.urls import url_of
from indexer.braces import in_series
from indexer.ignoring import IGNORE_FILE, Pattern, Patterns, Rules, call_patterns, read_patterns, rules_at
from indexer.looking import looks_in_order
from indexer.mounts import UNREACHABLE, device_of, is_folder_entry, kind_of_error, mounts_around
from indexer.passed_over import PHOTO_ENDINGS, Leftovers, PassedOver, Problem, ending_of, kind_by_bytes, start_of

NAME_ONE = "name a folder of photos, a photo or a .tar file"
MOST_NAMED = 20  # paths in a message
RULES_KEPT = 1_000  # of folders that were looked into last
MISSING = "missing"
NAME = attrgetter("name")
BAD_NAME = "its name is not valid UTF-8: rename it"


@dataclass(slots=True)  # and not frozen, which takes thrice as long: one is made of every file at each look
class FoundPhoto:
    """A photo that a source names, never changed; `size_bytes` is None where there is no such file.

    target: the file that the photo is a link to. details: what is said of it besides, by column.
    """

    path: str
    member: str = ""
    size_bytes: int | None = None
    mtime_ns: int | None = None
    image_id: int | None = None
    hotel_id: int | None = None
    hotel_from: str | None = None  # this and what follows: see db.models.Photo
    image_source: str | None = None
    uploaded_at: datetime | None = None
    dated_at: datetime | None = None
    date_from: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    place_from: str | None = None
    failure_kind: str | None = None
    failure_reason: str | None = None
    target: str = ""
    etag: str | None = None
    details: Mapping[str, Any] | None = None
    row: Any = None  # of the list that names it: an indexer.metadata.Row


Filtered = Callable[[str, list[os.DirEntry[str]]], list[os.DirEntry[str]]]  # what is left of a folder's entries


class Source(ABC):
    """A folder, a tar file, photos named one by one, or a Hotels-50K tree.

    `chains` is {id: name} and `hotels` {id: columns of the hotel table}: empty for most sources. `beside` is {real
    path: source} of all that are read in one go: each reads what lies below it. `glance`: see indexer.glance.
    """

    kind: str
    whole = True  # whether it names every photo below its root, so that others there have vanished

    def __init__(self, root: str | Path, rules: Rules = Rules()) -> None:  # noqa: B008 - frozen
        self.path = real_place_of(root)  # one place, by whatever links it is reached
        self.root = storable(self.path)  # as the database keeps it
        typed = storable(url_of(root) or os.path.abspath(root))
        name = os.path.basename(typed.rstrip("/"))
        is_tar_file = is_any_tar(name) and not os.path.isdir(root)
        self.typed_name = without_tar_ending(name) if is_tar_file else name  # a hotel's
        self.within: dict[str, str] = {}  # places below that were named as well, and their typed names
        self.named = self.root if typed == self.root else f"{typed} (which is {self.root})"  # for messages
        self.leftovers = Leftovers()
        self.chains: dict[int, str] = {}
        self.hotels: dict[int, dict[str, Any]] = {}
        self.beside: Mapping[str, Source] = {self.path: self}
        self.glance: Filtered | None = None
        self.mounts: dict[str, bool] = {}  # that were met: see db.models.PhotoSource
        self.absent_mounts: Sequence[str] = ()  # where disks were seen before, and none is now
        self.tell: Callable[[str], object] = lambda note: None  # hears what takes long before photos are found
        self._rules = rules
        self._rules_in: dict[str, Rules] = {}

    @property
    def folders(self) -> Iterable[str]:
        """The folders that what it finds lies in, or below, by their real paths."""
        return [self.path]

    @abstractmethod
    def photos(self) -> Iterator[FoundPhoto]:
        """Yield every photo in a stable order.

        Raises: SourceError: the source cannot be read at all.
        """

    def left_out(self, path: str, member: str = "", *, is_folder: bool = False) -> tuple[str, str] | None:
        """Return why a photo or folder below the root is not looked at, as a kind of what is passed over, and where.

        That is the outermost folder that is left out, or the file itself; None where it is looked at.
        """
        below = path[len(self.path.rstrip("/")) + 1 :].split("/")
        outside, inside = ([part for part in parts if part not in ("", ".")] for parts in (below, member.split("/")))
        folder, rules = self.path, self._rules
        for at, name in enumerate((*outside, *inside), start=1):
            is_last = at == len(outside) + len(inside)
            inner = is_folder if is_last else at != len(outside)  # a member's tar is a file
            rules = self._rules_of(folder) if at <= len(outside) else rules
            kind = rules.kind_left_out(folder, name, is_folder=inner)
            folder = os.path.join(folder, name)
            if kind is None and inner and self.is_ours(folder):
                kind = "ours"
            if kind is not None:
                return kind, folder
        return None

    def is_ours(self, folder: str) -> bool:
        """Tell whether a folder is the library, or holds restyled photos."""
        return False

    def finds(self, path: str) -> bool:
        """Tell whether a file or folder, named by its real path, is one that the source comes to by itself."""
        return path == self.path

    def _rules_of(self, folder: str) -> Rules:
        """Return what is left out in a folder at or below the root."""
        if folder not in self._rules_in:
            outer = self._rules if folder == self.path else self._rules_of(os.path.dirname(folder))
            if len(self._rules_in) >= RULES_KEPT:
                self._rules_in.clear()
            self._rules_in[folder] = outer.within(read_patterns(folder)[0])
        return self._rules_in[folder]


def found_url(url: str, *, fresh: bool = True, **columns: Any) -> FoundPhoto:
    """Return the photo at an address: with what its server says of it, or as missing, unreachable or unreadable."""
    try:
        facts = facts_at(url, fresh=fresh)
    except OSError as error:
        absent = isinstance(error, FileNotFoundError)
        kind = MISSING if absent else UNREACHABLE if isinstance(error, Unreachable) else "unreadable"
        return FoundPhoto(url, **columns, failure_kind=kind, failure_reason=str(error.strerror or error))
    return FoundPhoto(url, size_bytes=facts.size_bytes, mtime_ns=facts.mtime_ns, etag=facts.etag, **columns)


def found_file(path: str, **columns: Any) -> FoundPhoto:
    """Return the photo at a place: with size and time of change, or as missing or unreadable."""
    if url_of(path) is not None:
        return found_url(path, **columns)
    text = storable(path)
    if text != path:
        return FoundPhoto(text, **columns, failure_kind="name", failure_reason=BAD_NAME)
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return FoundPhoto(path, **columns, failure_kind=MISSING, failure_reason="there is no such file")
    except OSError as error:
        return FoundPhoto(
            path, **columns, failure_kind=kind_of_error(error), failure_reason=str(error.strerror or error)
        )
    if not S_ISREG(stat.st_mode):  # reading a pipe would never end
        return FoundPhoto(path, **columns, failure_kind="unreadable", failure_reason="no regular file")
    return FoundPhoto(path, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, **columns)


def found_at(path: str, member: str = "") -> FoundPhoto:
    """Return what is at a photo's place now: the photo itself, or why it cannot be read, `missing` where it is gone."""
    # Of thousands of members of one tar its server is asked once.
    found = found_url(path, fresh=not member) if url_of(path) is not None else found_file(path)
    if not member or found.failure_kind is not None:
        return replace(found, member=member)
    try:
        size_bytes = tar_index(path, tar_stamp(path)).members[member][1]
    except KeyError:
        return FoundPhoto(path, member, failure_kind=MISSING, failure_reason="the tar file has no such member any more")
    except Unreachable as error:
        return FoundPhoto(path, member, failure_kind=UNREACHABLE, failure_reason=error.strerror)
    except (OSError, tarfile.TarError) as error:
        return FoundPhoto(path, member, failure_kind=kind_of_error(error), failure_reason=str(error))
    return replace(found, member=member, size_bytes=size_bytes)


class FolderSource(Source):
    """Every photo under a folder, sorted by path.

    Hidden files, the library itself, results, folders of systems and what patterns exclude are left out; so is what
    another source names that is read in the same go. Links to files are followed, unless they lead to what is found
    anyway, or by another link; links to folders are not, so that no loop can be walked.
    """

    kind = "folder"

    def __init__(
        self,
        root: Path,
        library: Path,
        rules: Rules = Rules(),  # noqa: B008 - frozen
        *,
        may_be_gone: bool = False,
    ) -> None:
        super().__init__(root, rules)
        self._targets: set[str] = set()  # of links that were followed
        self._passed_over = {os.path.realpath(library), os.path.realpath(LibraryFolder(library).restyled)}
        self._is_gone = may_be_gone and not os.path.exists(self.path)
        if not os.path.isdir(self.path) and not self._is_gone:
            raise SourceError(f"no folder {self.named}: {NAME_ONE}")

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos in the order of their paths."""
        self._targets.clear()
        if not self._is_gone:
            yield from self._walk(self.path, self._rules, device_of(self.path))

    def _walk(self, folder: str, rules: Rules, device: int | None) -> Iterator[FoundPhoto]:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=NAME)
        except OSError as error:
            self._cannot_read(folder, str(error.strerror or error))
            return
        if IGNORE_FILE in map(NAME, entries):
            rules = rules.within(self._own_patterns(folder))
        if self.glance is not None and not rules.say_anything:
            several = len(self.beside) > 1
            mine = [entry for entry in entries if entry.path not in self.beside] if several else entries
            entries = self.glance(folder, mine)
        for entry in entries:
            path, name = entry.path, entry.name
            is_folder = is_folder_entry(entry)
            if path in self.beside or name == IGNORE_FILE or (is_folder and self.is_ours(path)):
                continue
            if (kind := rules.kind_left_out(folder, name, is_folder=is_folder)) is not None:
                self.leftovers.passed_over.note(kind, name if is_folder else ending_of(name))
            elif is_folder:
                if (inside := device_of(path)) not in (None, device):
                    self.mounts[storable(path)] = False
                yield from self._walk(path, rules, inside)
            elif (target := os.path.realpath(path) if entry.is_symlink() else "") and self._leads_on(path, target):
                continue
            elif has_photo_ending(name):
                found = found_file(path, target=target)
                if found.failure_kind is None:  # links that lead nowhere are told of one by one
                    self._targets.add(target)
                    if target and device_of(target) != device:
                        self.mounts.update(mounts_around([target]))
                yield found
            elif is_tar(name):
                self._targets.add(target)
                yield from self._tar(path, rules)
            else:
                self.leftovers.passed_over.note_file(name, partial(start_of, path))

    def _own_patterns(self, folder: str) -> Patterns | None:
        own, wrong = read_patterns(folder)
        self.leftovers.problems += [Problem(storable(where), reason) for where, reason in wrong]
        return own

    def is_ours(self, folder: str) -> bool:
        """Tell whether a folder is the library, or holds restyled photos of it or of another."""
        return folder in self._passed_over or holds_results(Path(folder))

    def _leads_on(self, path: str, target: str) -> bool:
        """Tell whether a link leads to a folder, or to what is found anyway, and count it."""
        if (has_photo_ending(path) or is_tar(path)) and os.path.isdir(target):
            return False  # a photo or a tar by its name, which cannot be read
        source = next((self.beside[place] for place in (target, *folders_above(target)) if place in self.beside), None)
        if target in self._targets or (source is not None and source.finds(target)):
            self.leftovers.passed_over.note("link")
        elif not os.path.isdir(target):
            return False
        elif not self.is_ours(target):
            self.leftovers.passed_over.note("linked_folder", storable(path))
        return True

    def finds(self, path: str) -> bool:
        """Tell whether the walk comes to a file or folder below the root by itself."""
        is_folder = os.path.isdir(path)
        is_taken = is_folder or ((has_photo_ending(path) or is_tar(path)) and os.path.isfile(path))
        return is_taken and self.left_out(path, is_folder=is_folder) is None

    def _tar(self, path: str, rules: Rules) -> Iterator[FoundPhoto]:
        from indexer.tar_source import TarSource  # which is a source as those here

        tar = TarSource(Path(path), rules)
        tar.leftovers = self.leftovers
        try:
            yield from tar.photos()
        except SourceError as error:
            self._cannot_read(path, str(error))

    def _cannot_read(self, path: str, reason: str) -> None:
        self.leftovers.problems.append(Problem(storable(path), reason))
        self.leftovers.unread.append(storable(path))


class FileSource(Source):
    """Photos that are named one by one, by their paths: also where their endings are not those of photos."""

    kind = "file"
    whole = False

    def __init__(self, *paths: str | Path, exclude: tuple[Pattern, ...] = ()) -> None:
        super().__init__(paths[0])
        self.paths = dict.fromkeys(map(real_place_of, paths))
        first = url_of(paths[0]) or storable(os.path.abspath(paths[0]))
        self.named = first + f" and {len(paths) - 1} more" * (len(paths) > 1)
        self._exclude = exclude

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos."""
        yield from filter(None, looks_in_order(self.paths, lambda path: url_of(path) is not None, self._found_at))

    def _found_at(self, path: str) -> FoundPhoto | None:
        """Return a photo, None where it is left out."""
        folder, name = os.path.split(path)
        if Patterns(folder, self._exclude).say(path, is_folder=False):
            self.leftovers.passed_over.note("excluded", ending_of(name))
            return None
        found = found_file(path)
        is_named_so = found.failure_kind is not None or has_photo_ending(name) or url_of(path) is not None
        if is_named_so or kind_by_bytes(start_of(path)) == "picture":
            return found
        self.leftovers.passed_over.note_file(name, partial(start_of, path))
        return None

    @property
    def folders(self) -> Iterable[str]:
        """The folders of the photos."""
        return dict.fromkeys(map(os.path.dirname, self.paths))

    def finds(self, path: str) -> bool:
        """Tell whether it is one of them."""
        return path in self.paths


def holds_results(folder: Path) -> bool:
    """Tell whether a folder holds the restyled photos of a library, be it a copy of this one or another."""
    library = LibraryFolder(folder.parent)
    return folder == library.restyled and (library.database_file.exists() or library.config_file.exists())


def has_photo_ending(name: str) -> bool:
    """Tell by its ending whether a file is a photo; a name that begins with its last dot has none."""
    at = name.rfind(".")
    return name[at:].lower() in PHOTO_ENDINGS and name[:at].rpartition("/")[2].strip(".") != ""


def real_place_of(root: str | Path) -> str:
    """Return an address as it is, without a slash at its end, and a path without links."""
    url = url_of(root)
    return os.path.realpath(root) if url is None else url.rstrip("/")


def folders_above(place: str) -> Iterator[str]:
    """Yield the folders that a place lies in, the innermost first."""
    while (parent := os.path.dirname(place)) != place:
        yield parent
        place = parent


def sources_at(
    paths: Sequence[str | Path], library: Path, *, exclude: Sequence[str] = (), may_be_gone: bool = False
) -> list[Source]:
    """Return the sources for places: folders, .tar files and photos, each place once, and photos together as one.

    What lies in a named folder is left to that, unless it leaves it out.

    Args:
        paths: where to look: paths and addresses. One at which nothing is may be a pattern, such as photos/*/rooms,
            photos/**/*.tar or shards-{000..099}.tar.
        library: the library's folder, which is no source of photos.
        exclude: patterns, as in .gitignore files, of what is left out below each path.
        may_be_gone: take a path at which nothing is for a folder that is no longer there.

    Raises:
        SourceError: nothing is at some of the paths, or restyled photos are.
        QueryError: a pattern to exclude is none.
    """
    from indexer.remote_sources import sources_of_urls  # which know the sources here
    from indexer.tar_source import TarSource

    patterns = call_patterns(exclude)
    places, absent = in_series(paths)
    local = [place for place in places if isinstance(place, Path)]
    sources, remote = sources_of_urls(
        [place for place in places if isinstance(place, str)], patterns, may_be_gone=may_be_gone
    )
    photos: list[str | Path] = [*remote]
    found, passed_over = places_named(local, library, patterns, may_be_gone=may_be_gone)
    for path in [*found, *absent]:
        place = os.path.realpath(path)
        if place in sources:
            continue
        is_tar_file = is_any_tar(path.name) and not os.path.isdir(path)
        if is_tar_file and (os.path.exists(path) or not may_be_gone):
            sources[place] = TarSource(path, rules_at(place, patterns))
        elif path in absent and not may_be_gone:
            photos.append(path)
        elif os.path.isdir(path) or not os.path.exists(path):
            sources[place] = FolderSource(path, library, rules_at(place, patterns), may_be_gone=may_be_gone)
        else:
            photos.append(path)
    named = dict(sources)
    sources = {place: source for place, source in named.items() if not is_found_above(place, named)}
    for place in named.keys() - sources.keys():
        outermost = next(above for above in reversed([*folders_above(place)]) if above in sources)
        sources[outermost].within[named[place].root] = named[place].typed_name
    if photos := [path for path in photos if not is_found_above(real_place_of(path), named)]:
        one_by_one = FileSource(*photos, exclude=patterns)
        sources |= dict.fromkeys(one_by_one.paths, one_by_one)
    for source in sources.values():
        source.beside = sources
    all_of_them = list(dict.fromkeys(sources.values()))
    all_of_them[0].leftovers.passed_over.update(passed_over)
    return all_of_them


def is_found_above(place: str, sources: Mapping[str, Source]) -> bool:
    """Tell whether one of the sources, by their real paths, comes by itself to a place below it."""
    return any(above in sources and sources[above].finds(place) for above in folders_above(place))


def places_named(
    paths: Sequence[Path], library: Path, exclude: tuple[Pattern, ...], *, may_be_gone: bool
) -> tuple[list[Path], PassedOver]:
    """Return the places that paths and patterns name, and what patterns passed over. Raises: SourceError: as above."""
    found: list[Path] = []
    wrong: list[str] = []
    passed_over = PassedOver()
    for path in paths:
        if os.path.exists(path) or (may_be_gone and not has_magic(str(path))):
            found.append(path)
            continue
        matching = places_matching(path, library, exclude, passed_over) if has_magic(str(path)) else []
        found += matching
        wrong += [str(path)] * (not matching)
    if wrong:
        more = f" and {len(wrong) - MOST_NAMED} more" * (len(wrong) > MOST_NAMED)
        what = "name folders of photos, photos or .tar files" if len(wrong) > 1 else NAME_ONE
        raise SourceError(f"nothing is at {', '.join(wrong[:MOST_NAMED])}{more}: {what}")
    restyled = os.path.realpath(LibraryFolder(library).restyled)
    for path in found:
        if Path(os.path.realpath(path)).is_relative_to(restyled):
            raise SourceError(
                f"{path} lies among the library's restyled photos, which are no photos of hotels: "
                "`aliens restyle list --add` adds them as what they are"
            )
    return found, passed_over


def places_matching(pattern: Path, library: Path, exclude: tuple[Pattern, ...], passed_over: PassedOver) -> list[Path]:
    """Return what a pattern matches, in order, but for what a walk would leave out, and what lies below another match.

    `**` stands for any folders, but for links to them.
    """
    at = next(number for number, part in enumerate(pattern.parts) if has_magic(part))
    base = Path(*pattern.parts[:at])
    if not os.path.isdir(base):
        return []
    walk = FolderSource(base, library, rules_at(os.path.realpath(base), exclude))
    says_hidden = any(part.startswith(".") for part in pattern.parts[at:])
    folders: set[Path] = set()
    found = []
    try:
        matching = sorted(base.glob(str(Path(*pattern.parts[at:]))))
    except (ValueError, re.error):  # it is no pattern either
        return []
    for path in matching:
        if not folders.isdisjoint(path.parents):
            continue
        is_folder = path.is_dir()
        below = os.path.join(walk.path, path.relative_to(base))
        left_out = walk.left_out(below, is_folder=is_folder)
        if left_out is not None and not (says_hidden and left_out[0] == "hidden"):
            if left_out[0] not in ("ours", "hidden"):  # a pattern means nothing hidden
                passed_over.note(left_out[0], os.path.basename(left_out[1]))
            continue
        found.append(path)
        folders.update([path] * is_folder)
    return found
