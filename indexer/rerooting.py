"""A folder, tar or photo that was moved: the library is told where it lies now, and nothing is read or embedded anew.

Looks first whether the new place holds what the old one held. Changes all that the library keeps by place, or nothing.
"""

import hashlib
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from base.console import counted, shell_word
from base.errors import PhotoError, QueryError
from base.files import PhotoFile, storable
from base.progress import Progress, Step, silent
from db.catalog import Catalog
from db.models import PhotoSource
from db.photo_names import places_meant
from db.photo_rows import count_under, mark_columns_changed
from db.place_rows import (
    Rerooted,
    ids_and_paths_under,
    is_within,
    merge_pairs,
    pairs_at,
    reroot_photos,
    reroot_records,
)
from db.source_rows import put_source, remembered_sources
from indexer.mounts import lies_at
from indexer.remembered import is_part, told_of
from indexer.sources import found_at

LOOKED_AT = 2_000  # photos, spread over all
READ = 16  # of those whose time of change is another one


@dataclass(kw_only=True, slots=True)
class MoveReport:
    """What was moved: `photos` in number, of which `there` of the `looked_at` were found at the new place.

    touched: of these, those with another time of change, so that `add` reads them once. merged: photos that were known
    at both places. sources: their new places. still_there: whether something is at the old place.
    """

    old: str
    new: str
    photos: int = 0
    looked_at: int = 0
    there: int = 0
    touched: int = 0
    merged: int = 0
    sources: list[str] = field(default_factory=list)
    still_there: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return asdict(self)

    def __str__(self) -> str:
        looked = f": {self.there} of {counted(self.looked_at, 'photo')} looked at are there" if self.looked_at else ""
        return f"{counted(self.photos, 'photo')} known at {self.old} are at {self.new} now{looked}"

    @property
    def notes(self) -> list[str]:
        """What people should know besides."""
        said = [f"{counted(self.merged, 'photo')} known at both places are one now"] * bool(self.merged)
        if self.there < self.looked_at:
            said.append(f"`aliens add {shell_word(self.new)}` finds out which photos are not there")
        if self.touched:
            said.append(
                "their files have other times of change: the next `aliens add` reads them, and embeds none anew"
            )
        if self.still_there:
            said.append(f"{self.old} is still there, and is looked at no more")
        return said


def move_place(
    catalog: Catalog,
    old: Path,
    new: Path,
    *,
    merge: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> MoveReport:
    """Tell a library where a folder, tar or photo lies now, with all that lies below it; all or nothing.

    Args:
        catalog: of the library.
        old: where it was, as the library knows it, be it there or not.
        new: where it is now.
        merge: photos that are known at both places, with the same bytes, become one.
        force: even where fewer than half of the photos are there.
        progress: told of photos looked at, and of rows.

    Raises:
        QueryError: the library knows nothing at `old`; nothing is at `new`, or too little of what was at `old`; photos
            are known there already.
        LibraryError: another process or thread changes the library, or the disk is full.
    """
    with catalog.writing() as session:
        rerooted = Rerooted(known_place(session, old), new_place(new))
        if rerooted.old == rerooted.new:
            raise QueryError(
                f"{new} is where the library has it already: `aliens add {shell_word(new)}` looks there again"
            )
        report = MoveReport(old=rerooted.old, new=rerooted.new, still_there=os.path.lexists(rerooted.old))
        look_for(session, rerooted, report, progress)
        if 2 * report.there < report.looked_at and not force:
            raise too_few(rerooted, report)
        merge_known(session, rerooted, report, merge=merge)
        results = lies_at(os.path.realpath(catalog.folder.root), rerooted.new)  # the library has moved along
        report.photos = reroot_photos(
            session, rerooted, results=results, tell=lambda done, total: progress(Step("moving", done, total, "rows"))
        )
        report.sources = reroot_records(session, rerooted)
        remember_part(session, rerooted, report)
        mark_columns_changed(session)
        session.commit()
    return report


def known_place(session: Session, old: Path) -> str:
    """Return the place that somebody names, as the library knows it. Raises: QueryError: it knows nothing there."""
    sources = {source.place for source in remembered_sources(session)}
    for place in places_meant(old):
        if count_under(session, place) or any(lies_at(source, place) for source in sources):
            return place
    raise QueryError(f"the library knows no photo at {old}: `aliens sources` lists the places that it knows")


def new_place(new: Path) -> str:
    """Return a place as the library keeps it. Raises: QueryError: nothing is there, or its name cannot be kept."""
    place = os.path.realpath(new)
    if storable(place) != place:
        raise QueryError(f"{storable(place)} cannot be kept: its name is not valid UTF-8, so rename it")
    if not os.path.exists(place):
        raise QueryError(f"nothing is at {new}: name the place where the photos are now")
    return place


def look_for(session: Session, rerooted: Rerooted, report: MoveReport, progress: Progress) -> None:
    """Look whether photos are at their new places: sizes and times of change of some, bytes where times differ."""
    step = max(count_under(session, rerooted.old) // LOOKED_AT, 1)
    doubtful: list[tuple[PhotoFile, bytes]] = []
    rows = ids_and_paths_under(session, rerooted.old, step)
    for done, (_, path, member, size_bytes, mtime_ns, sha256) in enumerate(rows, start=1):
        found = found_at(rerooted.of(path), member)
        if size_bytes is None:  # it was not there before either
            continue
        report.looked_at += 1
        if found.failure_kind is None and found.size_bytes == size_bytes:
            report.there += 1
            if found.mtime_ns != mtime_ns:
                report.touched += 1
                doubtful += [(PhotoFile(found.path, member), sha256)] * (sha256 is not None)
        if done % 100 == 0 or done == len(rows):
            progress(Step("looking for photos", done, len(rows)))
    read = doubtful[:: max(len(doubtful) // READ, 1)][:READ]
    others = sum(not has_bytes(file, sha256) for file, sha256 in read)
    report.there -= others if len(read) == len(doubtful) else len(doubtful) * bool(others)


def has_bytes(file: PhotoFile, sha256: bytes) -> bool:
    """Tell whether a file has the bytes that a photo had when it was read."""
    try:
        return hashlib.sha256(file.read()).digest() == sha256
    except (OSError, PhotoError):
        return False


def too_few(rerooted: Rerooted, report: MoveReport) -> QueryError:
    """Return the error for a place that does not hold what the old one held."""
    inside = os.path.join(rerooted.new, os.path.basename(rerooted.old))
    hint = f"is it {shell_word(inside)}?" if os.path.exists(inside) else "name the place that holds what it held"
    return QueryError(
        f"{rerooted.new} does not hold what {rerooted.old} held: of {counted(report.looked_at, 'photo')} looked at, "
        f"{report.there} are there with the same size and bytes: {hint} (--force moves them all the same)"
    )


def merge_known(session: Session, rerooted: Rerooted, report: MoveReport, *, merge: bool) -> None:
    """Make one of photos that are known at both places. Raises: QueryError: some are, and they cannot be merged."""
    pairs = pairs_at(session, rerooted)
    if is_within(rerooted.new, rerooted.old) and (inside := count_under(session, rerooted.new)):
        raise QueryError(
            f"{counted(inside, 'photo')} are known at {rerooted.new} already, which lies in {rerooted.old}: "
            f"`aliens add {shell_word(rerooted.old)}` knows photos that moved by their bytes"
        )
    unlike = sum(not same for _, _, same in pairs)
    if unlike:
        raise QueryError(
            f"{counted(unlike, 'photo')} known at {rerooted.new} have other bytes than those at {rerooted.old}: "
            f"`aliens add {shell_word(rerooted.new)}` looks at them; `aliens forget {shell_word(rerooted.old)}` lets "
            "the others go"
        )
    if pairs and not merge:
        raise QueryError(
            f"{counted(len(pairs), 'photo')} are known at {rerooted.new} already, with the same bytes: --merge makes "
            "each pair one photo, which keeps the older number and all that was said of it"
        )
    merge_pairs(session, pairs)
    report.merged = len(pairs)


def remember_part(session: Session, rerooted: Rerooted, report: MoveReport) -> None:
    """Remember the new place where a part of a source was moved to where nobody would look for it again."""
    sources: dict[str, PhotoSource] = {source.place: source for source in remembered_sources(session)}
    above = [source for place, source in sources.items() if is_within(rerooted.old, place)]
    told = told_of(Path(rerooted.new), {})
    if rerooted.new in sources or report.sources or not above or is_part(told, sources):
        return
    nearest = max(above, key=lambda source: len(source.place))
    options = {name: value for name, value in nearest.options.items() if name in ("exclude", "metadata")}
    put_source(session, None, told.place, told.kind, options).scanned_at = nearest.scanned_at
    session.flush()
    report.sources.append(told.place)
