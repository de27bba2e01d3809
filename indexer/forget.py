"""Forgetting: photos, and all that is known of them, leave the library; their files stay where they are."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from base.console import counted, shell_word
from base.errors import QueryError
from base.names import comparable, nearest
from base.settings import LibraryFolder
from base.urls import url_of
from db.caption_rows import drop_unused_texts
from db.catalog import Catalog
from db.conditions import all_hotels
from db.hotel_rows import drop_empty_hotels, drop_hotels, forget_choices, ids_of_hotels
from db.photo_names import photos_called, places_meant
from db.photo_rows import (
    failed_photos,
    forget_scans,
    hashes_of,
    pages,
    photo_ids_under,
)
from db.restyling_rows import count_made_of, forget_restylings, restylings_at, restylings_of
from db.source_rows import drop_sources, remembered_sources, sources_called
from db.tag_rows import drop_labels_of_nothing
from db.vector_rows import remove_photos
from embedding.segments import SegmentStore
from indexer.moves import has_left
from indexer.other_models import merge_all
from indexer.sources import MISSING, folders_above

FEW = 3  # names that a message shows


@dataclass(kw_only=True, slots=True)
class ForgetReport:
    """What was forgotten, or would be."""

    photos: int = 0
    labels: int = 0  # that people had set; those of bytes that other photos have stay
    hotels: list[str] = field(default_factory=list)
    restyled: int = 0  # results, with their files
    restyled_left: int = 0  # results made of these photos, which stay
    choices: list[str] = field(default_factory=list)  # places whose folders name no hotels any more
    sources: list[str] = field(default_factory=list)  # places that are looked at no more
    taken_up: str | None = None  # a source in which they lie, and which is looked at again
    back: int = 0  # photos known to be missing whose files are there again, which stay

    def __str__(self) -> str:
        parts = [counted(self.photos, "photo")] if self.photos or not self.restyled else []
        parts += [counted(self.restyled, "restyled photo")] * bool(self.restyled)
        said = " and ".join(parts)
        if self.hotels:
            said += f" of {', '.join(self.hotels[:FEW])}" + (", ..." if len(self.hotels) > FEW else "")
        return said + (f", {counted(self.labels, 'label')} set by hand" if self.labels else "")

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        left = f"{counted(self.restyled_left, 'restyled photo')} made of them stay: name their files to forget them too"
        back = f"{counted(self.back, 'photo')} left alone whose files are there again: `aliens add` takes them up"
        said = [left] * bool(self.restyled_left) + [back] * bool(self.back)
        if self.taken_up is not None:
            where = shell_word(self.taken_up)
            said.append(
                f"`aliens add` takes them up again where it looks at {self.taken_up}, if their files are there: leave "
                f"them out by `aliens add {where} --exclude PATTERN`, or by a file .aliensignore"
            )
        if self.choices:
            where = shell_word(self.choices[0])
            said.append(
                f"that folders there name hotels goes as well: `aliens add {where} --hotel-from folder` says it again"
            )
        return said

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self)


@dataclass(slots=True)
class Meant:
    """What is to be forgotten: ids of photos, of hotels and of results, and the places that were named."""

    photos: set[int] = field(default_factory=set)
    hotels: dict[int, str] = field(default_factory=dict)
    results: set[int] = field(default_factory=set)
    places: list[str] = field(default_factory=list)


def forget(
    catalog: Catalog,
    store: SegmentStore,
    paths: Sequence[str | Path] = (),
    *,
    hotels: Sequence[str] = (),
    gone: bool = False,
    dry_run: bool = False,
) -> ForgetReport:
    """Let photos leave a library, with vectors, captions and labels; all or nothing.

    Args:
        catalog: of the library.
        store: its vectors.
        paths: photos, folders, tar files, or restyled photos, whether or not they are still there.
        hotels: full names or numbers; all of their photos.
        gone: photos that `aliens add` found missing, and that are missing still.
        dry_run: change nothing, and return what would be forgotten.

    Raises:
        QueryError: nothing was named, the library knows nothing there, or no such hotel.
        LibraryError: another process changes the library, or the disk is full.
    """
    if not paths and not hotels and not gone:
        raise QueryError("say what to forget: paths, --hotel NAME or --gone")
    report = ForgetReport()
    with catalog.writing() as session:
        meant = what_is_meant(session, catalog.folder, paths, hotels)
        if gone:
            missing = {photo.id: has_left(photo) for photo in failed_photos(session, MISSING)}
            meant.photos.update(photo_id for photo_id, left in missing.items() if left)
            report.back = len(missing) - sum(missing.values())
        files = remove_meant(session, catalog.folder, meant, report)
        if dry_run:
            session.rollback()
            return report
        session.commit()
        for file in files:
            file.unlink(missing_ok=True)
        merge_all(catalog, session, store)
    return report


def remove_meant(session: Session, folder: LibraryFolder, meant: Meant, report: ForgetReport) -> list[Path]:
    """Remove rows, and return the files of results that are to go once this is committed; the caller commits."""
    ids = sorted(meant.photos)
    report.photos, report.hotels = len(ids), list(meant.hotels.values())
    report.restyled = len(meant.results)
    results = sorted(meant.results)
    files = [folder.root / row.path for row in restylings_of(session, results).values()]
    forget_restylings(session, results)
    report.restyled_left = count_made_of(session, ids)
    for page in pages(ids):
        hashes = list(set(hashes_of(session, page).values()))
        remove_photos(session, page)
        report.labels += drop_labels_of_nothing(session, hashes)
    drop_unused_texts(session)
    drop_hotels(session, list(meant.hotels))
    for place in meant.places:
        forget_scans(session, place)
        report.choices += forget_choices(session, place)
        report.sources += drop_sources(session, place)
    remembered = {source.place for source in remembered_sources(session)}
    above = (each for place in meant.places if os.path.exists(place) for each in folders_above(place))
    report.taken_up = next((each for each in above if each in remembered), None)
    drop_empty_hotels(session)
    return files


def what_is_meant(session: Session, folder: LibraryFolder, paths: Iterable[str | Path], hotels: Iterable[str]) -> Meant:
    """Return the photos, hotels and results that are named.

    Raises: QueryError: the library knows nothing at a path, or no such hotel.
    """
    meant = Meant()
    for path in paths:
        known = ((place, list(photo_ids_under(session, place))) for place in places_meant(path))
        found = next((each for each in known if each[1]), None)
        below = str(path) if url_of(path) else os.path.relpath(os.path.realpath(path), os.path.realpath(folder.root))
        if found is not None:
            meant.places.append(found[0])
            meant.photos.update(found[1])
        elif sources := sources_called(session, places_meant(path)):
            meant.places += [source.place for source in sources]
        elif results := restylings_at(session, [Path(below).as_posix()]):
            meant.results.update(results)
        elif members := photos_called(session, [str(path)]):
            meant.photos.update(members.values())
        else:
            raise QueryError(f"the library knows no photo at {path}: name a photo, folder or tar as searches show it")
    for name in hotels:
        meant.hotels |= hotels_meant(session, name)
    meant.photos.update(ids_of_hotels(session, list(meant.hotels)))
    return meant


def hotels_meant(session: Session, name: str) -> dict[int, str]:
    """Return {id: name} of the hotels of a full name or a number. Raises: QueryError: there is none."""
    rows = [(row[0], row[1] or str(row[0])) for row in all_hotels(session)]
    asked = comparable(name)
    meant = {hotel_id: known for hotel_id, known in rows if asked in (comparable(known), str(hotel_id))}
    if not meant:
        if not rows:
            raise QueryError(f"no hotel {name!r}: no photo of this library has a hotel")
        near = nearest(name, (known for _, known in rows))
        choice = f"near it: {', '.join(near)}" if near else "`aliens search` shows the hotels of photos"
        raise QueryError(f"no hotel {name!r} in this library ({choice}): give its whole name or its number")
    return meant
