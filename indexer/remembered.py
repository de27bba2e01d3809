"""Sources that are remembered: what `aliens add` was told of a place is kept, and said again at each later look.

A place is a folder, a tar, a photo, a pattern of such, an address, a list, or a Hotels-50K tree; its options are
arguments of `aliens.Library.add`. Looks through nothing itself.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from glob import has_magic
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from base.errors import QueryError, SourceError
from base.files import storable
from base.names import nearest
from base.settings import LibraryFolder
from base.tars import is_any_tar
from base.urls import url_of
from db.models import PhotoSource
from db.photo_names import places_meant
from db.photo_rows import count_under, paths_under
from db.source_rows import found_last, put_source, remembered_sources, scanned_times
from indexer.braces import in_series, is_series, names_meant
from indexer.hotels50k import IMAGE_FOLDERS, TRAIN, check_split
from indexer.ignoring import call_patterns, compiled, rules_at
from indexer.mounts import is_mounted, lies_at, mounts_around
from indexer.sources import FolderSource, Source, folders_above, places_named

FOLDER, TAR, FILE, PATTERN = "folder", "tar", "file", "pattern"
ADDRESS, LIST, TREE, TEST_TREE = "address", "list", "hotels50k", "hotels50k-test"
Arguments = dict[str, Any]  # of Library.add


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A place as somebody named it for `Library.add`, and what was said of it."""

    place: str
    kind: str
    options: Arguments = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Call:
    """One look: paths and arguments of `Library.add`, the places that it is of, and what is to be remarked of it."""

    paths: list[str] = field(default_factory=list)
    arguments: Arguments = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class RememberedSource:
    """A source as `aliens sources` lists it.

    kind: folder, tar, file, pattern, address, list, hotels50k, or hotels50k-test: the folder of a split of its test.
    photos: that the library knows there, or that the last look at a list found. options: arguments of `Library.add`.
    looked_at: UTC, None: never to its end. problem: why it cannot be looked at now, None: it is there.
    """

    place: str
    kind: str
    photos: int
    options: Arguments
    added_at: datetime
    looked_at: datetime | None
    problem: str | None

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self) | {"there": self.problem is None}


def told_of(path: str | Path, options: Mapping[str, Any]) -> Told:
    """Return a place that somebody named: what is there now, or else a pattern; how hotels are named is kept of these.

    Of places how hotels are named is kept apart, since photos' own folders have it.
    """
    said = {name: value for name, value in options.items() if name != "hotel_from"}
    if (url := url_of(path)) is not None:
        return Told(place=url, kind=ADDRESS, options=dict(options) if is_series(url) else said)
    if not os.path.lexists(path) and (has_magic(str(path)) or is_series(str(path))):
        return Told(place=storable(os.path.abspath(path)), kind=PATTERN, options=dict(options))
    real = os.path.realpath(path)
    if os.path.isdir(real):
        return Told(place=storable(real), kind=FOLDER, options=said)
    return Told(place=storable(real), kind=TAR if is_any_tar(real) else FILE, options=said)


def told_of_tree(root: Path, split: str, options: Mapping[str, Any]) -> Told:
    """Return a Hotels-50K tree, or the folder of a split of its test, as a place. Raises: QueryError: no such split."""
    check_split(split)
    real = storable(os.path.realpath(root))
    said = {name: value for name, value in options.items() if name != "hotel_from"}
    if split == TRAIN:
        return Told(place=real, kind=TREE, options=said)
    return Told(place=os.path.join(real, IMAGE_FOLDERS[split]), kind=TEST_TREE, options=said)


def told_of_list(path: Path, path_column: str | None, options: Mapping[str, Any]) -> Told:
    """Return a list of photos as a place; its rows name the hotels, if any do."""
    said = {name: value for name, value in options.items() if name != "hotel_from"}
    said |= {} if path_column is None else {"path_column": path_column}
    return Told(place=storable(os.path.realpath(path)), kind=LIST, options=said)


class Calls:
    """Calls to be made: places of which the same is said are one."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def put(self, paths: Sequence[str], arguments: Arguments, told: Told, before: Iterable[str] = ()) -> None:
        """Have a place looked at. `before`: names of the arguments that were said before; such a table may be gone."""
        table, remarks = arguments.get("metadata"), []
        if "metadata" in before and table is not None and not os.path.exists(table):
            arguments = {name: value for name, value in arguments.items() if name != "metadata"}
            remarks = [f"{table}, which was said to be of {told.place}, is not there: looked at without it"]
        key = json.dumps(arguments, sort_keys=True, ensure_ascii=False)
        call = self._calls.setdefault(key, Call(arguments=arguments))
        call.paths += paths
        call.told.append(told)
        call.remarks += remarks

    def all(self) -> list[Call]:
        """Return them in the order in which they came."""
        return list(self._calls.values())


def calls_for(session: Session, told: Sequence[tuple[str, Told]], library: Path) -> list[Call]:
    """Return the calls that look at named places: each with what is said of it now, and else with what was said before.

    told: pairs of a path, as it was typed, or of nothing for a tree, and its place.
    """
    known, calls = {source.place: source for source in remembered_sources(session)}, Calls()
    roots = scanned_times(session).keys()
    for path, each in told:
        before = known.get(each.place)
        options = dict({} if before is None or each.kind != before.kind else before.options) | each.options
        options = {name: value for name, value in options.items() if value is not None}
        meant = Told(place=each.place, kind=each.kind, options=options)
        for paths, arguments in paths_and_arguments(meant, library, () if "hotel_from" in each.options else roots):
            typed = [path] if paths == [each.place] else paths
            calls.put(typed, arguments, meant, options.keys() - each.options.keys())
    return calls.all()


def calls_for_all(session: Session, library: Path) -> tuple[list[Call], dict[str, str]]:
    """Return the calls that look at all sources again, and {place: why} of those that cannot be looked at now."""
    calls, absent, roots = Calls(), dict[str, str](), scanned_times(session).keys()
    for source in remembered_sources(session):
        if (why := absence_of(source, library)) is not None:
            absent[source.place] = why
            continue
        told = Told(place=source.place, kind=source.kind, options=source.options)
        for paths, arguments in paths_and_arguments(told, library, roots):
            calls.put(paths, arguments, told, told.options)
    return calls.all(), absent


def paths_and_arguments(told: Told, library: Path, roots: Iterable[str]) -> Iterator[tuple[list[str], Arguments]]:
    """Yield paths and arguments of `Library.add` for a place.

    New matches of a pattern, which are none of the roots that were looked at, have their hotels named as the pattern
    was told to; of the others something else may have been said since.
    """
    said = {name: value for name, value in told.options.items() if name != "hotel_from"}
    if told.kind == LIST:
        yield [], dict(told.options) | {"photo_list": told.place}
    elif told.kind == TREE:
        yield [], said | {"hotels50k": told.place}
    elif told.kind == TEST_TREE:
        root, split = tree_and_split(told.place)
        yield [], said | {"hotels50k": root, "split": split}
    elif told.kind == ADDRESS or "hotel_from" not in told.options or not roots:
        yield [told.place], dict(told.options)
    else:
        matches = {str(match): storable(os.path.realpath(match)) in roots for match in matches_of(told, library)}
        known, fresh = ([match for match, is_known in matches.items() if is_known is such] for such in (True, False))
        if known:
            yield known, said
        if fresh:
            yield fresh, dict(told.options)


def matches_of(source: PhotoSource | Told, library: Path) -> list[Path]:
    """Return what a pattern stands for now."""
    patterns = call_patterns(source.options.get("exclude", ()))
    try:
        names = [place for place in in_series([Path(source.place)])[0] if isinstance(place, Path)]
        return places_named(names, library, patterns, may_be_gone=False)[0]
    except SourceError:
        return []


def tree_and_split(place: str) -> tuple[str, str]:
    """Return the root of a Hotels-50K tree, and the split, of the folder of a split of its test."""
    split = next((name for name, below in IMAGE_FOLDERS.items() if place.endswith(f"/{below}")), TRAIN)
    return place.removesuffix(f"/{IMAGE_FOLDERS[split]}"), split


def absence_of(source: PhotoSource, library: Path) -> str | None:
    """Return why a source cannot be looked at now, None where it can: what it holds is not looked at here."""
    place = source.place
    if source.kind == ADDRESS:  # which only a look asks
        return None
    if source.kind == PATTERN:
        return None if matches_of(source, library) else "nothing matches it now"
    if source.kind == TEST_TREE:
        place, _ = tree_and_split(place)
    try:
        os.stat(place)
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be looked at ({error.strerror or error})"
    lost = [mount for mount in source.mounts if lies_at(place, mount) and not is_mounted(mount)]
    return f"its disk is not there: nothing is mounted at {lost[0]}" if lost and is_empty(place) else None


def is_empty(folder: str) -> bool:
    """Tell whether a folder holds nothing at all."""
    return os.path.isdir(folder) and not os.listdir(folder)


def begin(session: Session, told: Iterable[Told]) -> None:
    """Remember new places once photos were found there, so that a kill in the midst forgets none; the caller commits.

    A table is kept only once it was used.
    """
    known = {source.place: source for source in remembered_sources(session)}
    for each in outer_first(told):
        if each.place not in known and not is_part(each, known):
            options = {name: value for name, value in each.options.items() if name != "metadata"}
            known[each.place] = put_source(session, None, each.place, each.kind, options)
    session.flush()


def end(session: Session, told: Sequence[Told], sources: Sequence[Source]) -> None:
    """Remember what was said of places that were looked through, when, and which disks were met; the caller commits.

    Disks that are looked for in vain are among those that were met, as long as photos of theirs are known.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    met = {mount: several for source in sources for mount, several in source.mounts.items()}
    behind_links = {m: several for m, several in met.items() if not any(lies_at(m, each.place) for each in told)}
    known = {source.place: source for source in remembered_sources(session)}
    for each in outer_first(told):
        if each.place not in known and (is_part(each, known) or not is_lasting(each)):
            continue
        source = put_source(session, known.get(each.place), each.place, each.kind, each.options)
        known[each.place] = source
        around = {} if each.kind in (PATTERN, ADDRESS) else mounts_around([each.place])
        mounts = around | behind_links | {m: several for m, several in met.items() if lies_at(m, each.place)}
        if source.mounts != mounts:
            source.mounts = mounts
        if source.scanned_at is None:
            for part in list(known.values()) if each.kind == FOLDER else ():
                if part is not source and is_part(part, {each.place: source}):
                    session.delete(known.pop(part.place))
        if source.scanned_at is None or each.kind in (FILE, PATTERN, ADDRESS):  # of others its record tells
            source.scanned_at = now
    session.flush()


def outer_first(told: Iterable[Told]) -> list[Told]:
    """Return places, each once, those that others lie in before these."""
    return sorted({each.place: each for each in told}.values(), key=lambda each: each.place)


def is_lasting(each: Told) -> bool:
    """Tell whether a place is there, or is a pattern, which may match something later."""
    return each.kind in (PATTERN, ADDRESS) or os.path.lexists(each.place)


def is_part(each: Told | PhotoSource, known: Mapping[str, PhotoSource]) -> bool:
    """Tell whether a place of which nothing is said is found anyway, as part of a folder that is remembered."""
    if each.options or each.kind not in (FOLDER, TAR, FILE):
        return False
    above = [known[place] for place in folders_above(each.place) if place in known]
    return any(source.kind == FOLDER and finds(source, each.place) for source in above)


def finds(folder: PhotoSource, place: str) -> bool:
    """Tell whether a look at a remembered folder comes to a place below it."""
    if not os.path.isdir(folder.place):
        return False
    rules = rules_at(folder.place, call_patterns(folder.options.get("exclude", ())))
    return FolderSource(Path(folder.place), Path(os.devnull), rules).finds(place)


def list_sources(session: Session, folder: LibraryFolder) -> list[RememberedSource]:
    """Return the remembered sources, in the order of their places."""
    looks = scanned_times(session)
    return [
        RememberedSource(
            place=source.place,
            kind=source.kind,
            photos=count_of(session, source),
            options=source.options,
            added_at=source.added_at,
            looked_at=max(filter(None, (source.scanned_at, looks.get(source.place))), default=None),
            problem=absence_of(source, folder.root),
        )
        for source in remembered_sources(session)
    ]


def count_of(session: Session, source: PhotoSource) -> int:
    """Return how many photos the library knows at a source; of a list, how many the last look at it found."""
    if source.kind == TREE:
        return count_under(session, os.path.join(source.place, IMAGE_FOLDERS[TRAIN]))
    if source.kind == LIST:
        return found_last(session, source.place)
    if source.kind == PATTERN or is_series(source.place):
        return count_meant(session, names_meant(source.place))
    return count_under(session, source.place)


def count_meant(session: Session, names: Sequence[str]) -> int:
    """Return how many photos the library knows at places that patterns match, or have matched."""
    plain = {name for name in names if not has_magic(name)}
    patterns = [compiled(name).regex.pattern for name in names if name not in plain]
    regex = re.compile("|".join(f"/{pattern}(/.*)?" for pattern in patterns), re.DOTALL)
    return sum(
        not plain.isdisjoint((path, *folders_above(path))) or (bool(patterns) and regex.fullmatch(path) is not None)
        for path in paths_under(session, folder_meant(names))
    )


def folder_meant(names: Sequence[str]) -> str:
    """Return the folder in which everything lies that patterns match."""
    begin = os.path.commonprefix(list(names))  # noqa: RUF071 - of characters, cut at its last folder
    return os.path.dirname(MAGIC.split(begin, maxsplit=1)[0])


MAGIC = re.compile(r"[*?[]")


def look_no_more(session: Session, path: Path) -> int:
    """Forget a source, or photos that were named one by one in a folder; return how many photos of it stay.

    Raises: QueryError: no such place is remembered.
    """
    sources = remembered_sources(session)
    places = [*places_meant(path), storable(os.path.abspath(path))]
    meant = [source for source in sources if source.place in places]
    meant = meant or [each for each in sources if each.kind == FILE and os.path.dirname(each.place) in places]
    if not meant:
        known = nearest(str(path), (source.place for source in sources))
        near = f"near it: {', '.join(known)}" if known else "`aliens sources` lists those that are"
        raise QueryError(f"{path} is not remembered as a source; {near}")
    photos = sum(count_of(session, source) for source in meant)
    for source in meant:
        session.delete(source)
    session.flush()
    return photos
