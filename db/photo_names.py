"""Photos as people name them: by number, or by a path, inside a tar too. Finds out which are meant; opens none."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import SupportsIndex

from sqlalchemy import select
from sqlalchemy.orm import Session

from base.console import FilePath, shell_word
from base.errors import QueryError
from base.files import PhotoFile, real_place, storable
from base.names import nearest, spellings
from base.urls import url_of
from db.models import Photo, PhotoState
from db.photo_rows import Place, is_photo, is_under, pages, photos_at

Named = SupportsIndex | str | os.PathLike[str]

NUMBER = re.compile(r"-?[0-9]+")
MOST_DIGITS = 20  # of a number that is worth looking for: databases hold 19
LONGEST_PATH = 4_096  # characters of a file's path, as systems allow them
LONGEST_SHOWN = 300  # characters of a path in a message
LISTED = 5_000  # names of a folder that a mistyped one is compared with
FEW = 3  # photos that a message names


def number_or_path(name: Named) -> int | str:
    """Return a photo's number, or its path in full: what is all digits is a number, and a file called 12 is ./12.

    Raises: QueryError: it is empty, or longer than any number.
    """
    if not isinstance(name, str | os.PathLike):
        return name.__index__()
    text = os.fspath(name)
    if not NUMBER.fullmatch(text):
        return url_of(name) or os.path.abspath(checked_path(text))
    if len(text) > MOST_DIGITS:
        raise QueryError(f"no photo {text[:40]}: take a number that a search shows, or name a file")
    return int(text)


def checked_path(text: str) -> str:
    """Return a path as it is. Raises: QueryError: it is empty, or no file can have it."""
    if not text:
        raise QueryError("a photo's name is empty: give its number, as searches show it, or its path")
    try:
        nameable = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        nameable = False
    if not nameable:
        raise QueryError(f"no file can be called {text[:LONGEST_SHOWN]!r}: give a photo's number or its path")
    return text


def photo_ids(session: Session, root: str | os.PathLike[str], names: Iterable[Named]) -> list[int]:
    """Return the numbers of photos, each once, in the order in which they were named; in few statements, however many.

    A number is taken as it is: whoever uses it knows whether there is such a photo.

    Args:
        session: of the library's database.
        root: the library's folder, for messages.
        names: numbers, or paths as typed: relative to the working folder, by links, members as FILE.tar/NAME.

    Raises: QueryError: the library knows no photo at a path; the message says what is near.
    """
    meant = {number_or_path(name): str(name) for name in names}
    known = photos_called(session, [each for each in meant if isinstance(each, str)])
    unknown = [typed for each, typed in meant.items() if isinstance(each, str) and each not in known]
    if unknown:
        raise unknown_photo(session, root, unknown)
    return list(dict.fromkeys(known[each] if isinstance(each, str) else each for each in meant))


def photos_called(session: Session, paths: Sequence[str]) -> dict[str, int]:
    """Return {path: photo id} of those paths that the library knows, however links and letters name them."""
    found: dict[str, int] = {}
    for ways in (without_links, places_meant):  # looking for links takes calls of the system, so it comes second
        places = {path: ways(path) for path in paths if path not in found}
        ids = ids_of_files(session, [place for names in places.values() for place in names])
        found |= {path: ids[place] for path, names in places.items() for place in names[::-1] if place in ids}
    left = [path for path in paths if path not in found]
    return found | (ids_of_members(session, left) if left else {})


def photos_known(session: Session, paths: Sequence[str]) -> dict[str, int]:
    """Return {path: photo id} of whole paths, and TAR/MEMBER or TAR!MEMBER, that the library has just so.

    Looks at no file: whoever asks need not be allowed to know which there are.
    """
    whole = [path for path in paths if (path.startswith("/") or url_of(path)) and "\0" not in path]
    places = {path: spelt_places([path]) for path in whole}
    ids = ids_of_files(session, [place for names in places.values() for place in names])
    found = {path: ids[place] for path, names in places.items() for place in names[::-1] if place in ids}
    members = {path: list(parts_of(path)) for path in whole if path not in found}
    tars = tars_among(session, [tar for pairs in members.values() for tar, _ in pairs])
    asked = {(tar, name): path for path, pairs in members.items() for tar, name in pairs if tar in tars}
    return found | {asked[place]: photo.id for place, photo in photos_at(session, list(asked)).items()}


def ids_of_files(session: Session, places: Sequence[str]) -> dict[str, int]:
    """Return {path: photo id} of the photos that lie in files of their own."""
    known: dict[str, int] = {}
    for page in pages(list(dict.fromkeys(places))):
        rows = session.execute(select(Photo.path, Photo.id).where(Photo.path.in_(page), Photo.member == ""))
        known.update((row[0], row[1]) for row in rows)
    return known


def ids_of_members(session: Session, paths: Sequence[str]) -> dict[str, int]:
    """Return {path: photo id} of photos inside tars: FILE.tar/NAME, or FILE.tar!NAME as searches show them."""
    places: dict[str, list[str]] = {}  # of tars, each looked for once
    parts = {path: list(parts_of(path)) for path in paths}
    for tar in {tar for pairs in parts.values() for tar, _ in pairs}:
        places[tar] = places_meant(tar)
    tars = tars_among(session, [place for names in places.values() for place in names])
    asked: dict[Place, str] = {}
    for path, pairs in parts.items():
        for tar, member in pairs:
            for place in tars.intersection(places[tar]):
                for name in (member, f"./{member}"):
                    asked |= {(place, form): path for form in spellings(name)}
    return {asked[place]: photo.id for place, photo in photos_at(session, list(asked)).items()}


def tars_among(session: Session, paths: Sequence[str]) -> set[str]:
    """Return those of some paths that are tars with photos of the library."""
    tars: set[str] = set()
    for page in pages(list(dict.fromkeys(paths))):
        tars.update(session.scalars(select(Photo.path).where(Photo.path.in_(page), Photo.member != "").distinct()))
    return tars


def parts_of(path: str) -> Iterator[tuple[str, str]]:
    """Yield every (tar, member) that a path may mean."""
    for found in re.finditer(r"[/!]", path[:LONGEST_PATH]):
        tar, member = path[: found.start()], path[found.end() :]
        if tar and member:
            yield tar, member


def without_links(path: str) -> list[str]:
    """Return the places that a path names if no link is in it: its letters may be composed or not."""
    return spelt_places([url_of(path) or os.path.abspath(path)])


def places_meant(path: str | Path) -> list[str]:
    """Return the places that a path may name: as typed first, since an earlier version may know photos by a link."""
    if (url := url_of(path)) is not None:
        return spelt_places([url.rstrip("/")])
    return spelt_places([os.path.abspath(path), real_place(path), os.path.realpath(path)])


def spelt_places(names: Sequence[str]) -> list[str]:
    """Return paths as the database may have them: folder and name may be written by different programs."""
    ways = ((folder, name) for path in names for folder, name in [os.path.split(path)])
    spelt = (
        os.path.join(folder_form, name_form)
        for folder, name in ways
        for folder_form in dict.fromkeys([folder, *spellings(folder)])
        for name_form in dict.fromkeys([name, *spellings(name)])
    )
    return list(dict.fromkeys(map(storable, spelt)))


def unknown_photo(session: Session, root: str | os.PathLike[str], names: Sequence[str]) -> QueryError:
    """Return the error for paths where the library knows no photo: it tells of the first."""
    name = FilePath(names[0]).near[:LONGEST_SHOWN]
    others = f" (nor at {len(names) - 1} other of the paths)" if len(names) > 1 else ""
    said = f"no photo {name} in {root}{others}"
    if os.path.isdir(names[0]):
        return QueryError(f"{said}: it is a folder, so name a photo in it")
    if os.path.isfile(names[0]):
        return QueryError(f"{said}: take it up with `aliens add {shell_word(name)}`")
    if near := near_photos(session, names[0]):
        return QueryError(f"{said}; near it: {', '.join(FilePath(path).near for path in near)}")
    return QueryError(f"{said}: name a photo by its number or its path, as searches show them")


def no_vector(session: Session, root: str | os.PathLike[str], photo_id: int) -> QueryError:
    """Return the error for a photo that has no vector, with the reason where the library knows the photo."""
    photo = session.get(Photo, photo_id) if abs(photo_id) < 1 << 63 else None  # as databases count
    said = f"no photo {photo_id} with a vector in {root}"
    if photo is None:
        return QueryError(f"{said}: take an id that a search shows")
    if photo.state is PhotoState.RESTYLED:
        return no_photo(photo)
    place = PhotoFile(photo.path, photo.member)
    if photo.state is PhotoState.EMBEDDED:
        return QueryError(f"{said}: {place} has none by this model yet, `aliens embed --model NAME` makes it")
    if photo.failure_kind is None:
        return QueryError(f"{said}: {place} waits for `aliens add`, which embeds it")
    return QueryError(f"{said}: {place} cannot be used ({photo.failure_reason or photo.failure_kind})")


def no_photo(result: Photo) -> QueryError:
    """Return the error for a restyled photo where only photos can be meant."""
    return QueryError(
        f"photo {result.id} is a restyled one ({result.path}), which has no tags of its own: name what it was made of"
    )


def near_photos(session: Session, path: str) -> list[str]:
    """Return known photos that a mistyped path may mean: of its folder those of a like name, else some of its name."""
    folder, name = os.path.split(path)
    for place in places_meant(folder or "."):
        below = is_under(session, place)
        rows = session.scalars(select(Photo.path).where(below, Photo.member == "", is_photo()).limit(LISTED))
        beside = [os.path.basename(each) for each in rows if os.path.dirname(each) == place]
        if near := nearest(name, beside):
            return [os.path.join(folder, each) for each in near]
    same = Photo.path.endswith("/" + storable(name), autoescape=True)
    return list(session.scalars(select(Photo.path).where(same, is_photo()).limit(FEW))) if name else []
