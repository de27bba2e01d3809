"""Scanning: what sources hold is compared with what the library knows. Decodes no pixels, embeds nothing."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from base.arrays import Ids
from base.console import counted
from base.errors import LibraryError, SourceError
from base.files import PhotoFile
from base.progress import Progress, Step, silent
from db.detail_rows import note_columns
from db.hotel_rows import add_nameless_hotels, merge_chains, merge_hotels
from db.known_files import compares_bytes
from db.models import Photo, PhotoState
from db.photo_rows import (
    count_under,
    insert_photos,
    mark_columns_changed,
    newest_photo_id,
    pages,
    photo_ids_under,
    photos_at,
    photos_by_id,
    record_scans,
    update_photos,
)
from db.source_rows import known_mounts
from db.vector_rows import lose, remove_photos
from indexer.asked_files import ask_files, is_unasked, was_never_here
from indexer.glance import Glance, changed
from indexer.kept import EXAMPLES, absent_mounts, keep_of_disks, may_be_there, stays_as_it_is, unseen_under
from indexer.mounts import UNREACHABLE
from indexer.own_words import FOLDER, TABLE, OwnWords
from indexer.passed_over import PassedOver, Problem
from indexer.sources import MISSING, FolderSource, FoundPhoto, Source, folders_above, found_at

CHUNK = 1000
STORED_PROBLEMS = 1000  # of one scan; their full number is in its counts
FACTS = ("size_bytes", "mtime_ns", "etag")
IMAGE_FACTS = ("image_id", "image_source", "uploaded_at")  # which Hotels-50K alone has
SAID = (*IMAGE_FACTS, "hotel_id", "hotel_from", "dated_at", "date_from", "latitude", "longitude", "place_from")
DETAILS = "details"


@dataclass(slots=True)
class ScanReport:
    """What a scan found, in photos; `problems` counts rows and folders that could not be used.

    other_files: of them all, how many are passed over by what they are. left_out: photos that the library knows in
    places that are now left out; they stay. kept: those that it knows in a source that holds none any more, which may
    be a disk that is not there. unreached: those at addresses that nobody answered for; known ones stay. unread:
    sources of several that cannot be read. left_out_at, kept_at, unread_at: some of these places and sources.
    """

    found: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    missing: int = 0
    vanished: int = 0
    left_out: int = 0
    kept: int = 0
    unreached: int = 0
    unread: int = 0
    other_files: int = 0
    problems: int = 0
    rehoused: int = 0  # known photos that have another hotel now
    passed_over: PassedOver = field(default_factory=PassedOver)
    left_out_at: list[str] = field(default_factory=list)
    kept_at: list[str] = field(default_factory=list)
    unread_at: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        counts = {each.name: getattr(self, each.name) for each in fields(self)}
        return counts | {"passed_over": self.passed_over.as_json()}

    def update(self, other: "ScanReport") -> None:
        """Count what another scan found."""
        for each in fields(self):
            mine, its = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, PassedOver):
                mine.update(its)
            else:
                setattr(self, each.name, mine + its if isinstance(mine, int) else [*mine, *its][:EXAMPLES])


@dataclass(slots=True)
class SourceScan:
    """One source's part of a scan.

    gone: ids of photos that are not at their places below it. unasked: those of photos whose files were not asked all
    that they say. known: how many of the photos that it found were known, each once.
    """

    source: Source
    report: ScanReport = field(default_factory=ScanReport)
    seconds: float = 0.0
    known: int = 0
    gone: list[int] = field(default_factory=list)
    unasked: list[int] = field(default_factory=list)


@contextmanager
def scanning(
    session: Session,
    sources: Sequence[Source],
    words: OwnWords,
    *,
    retry_failed: bool = False,
    allow_empty: bool = False,
    begun: Callable[[], None] = lambda: None,
    progress: Progress = silent,
) -> Iterator[list[SourceScan]]:
    """Add new photos as pending, make changed ones pending again; at the end mark vanished ones and record the scans.

    Between the two the caller embeds what is pending, which may find that a photo has not vanished but moved, also from
    one source to another. A photo counts as changed when its size or its time of change differs. An unchanged source
    costs no write but the record of its scan. What vanished from a folder keeps its vector, and is not embedded again
    when it is back.

    Args:
        session: committed after every 1,000 photos.
        sources: where to look. Each photo is one source's, also where they overlap.
        words: what people say of the photos there.
        retry_failed: make photos that failed before pending again.
        allow_empty: take sources without photos at their word; otherwise they may be disks that are not there.
        begun: called once there is a photo.
        progress: told how many photos have been found so far.

    Raises: SourceError: no source holds photos, or the only one cannot be read.
    """
    started_at = datetime.now(UTC).replace(tzinfo=None)
    scans = [SourceScan(source) for source in sources]
    not_found = compare_sources(
        session, scans, words, allow_empty=allow_empty, retry_failed=retry_failed, begun=begun, progress=progress
    )
    if not any(scan.report.found or scan.report.kept for scan in scans) and not allow_empty:
        raise nothing_found(session, sources)
    for scan, ids in not_found:
        scan.gone = settle(session, scan, words, ids, retry_failed=retry_failed)
    ask_files(session, [photo_id for scan in scans for photo_id in scan.unasked], progress)
    try:
        yield scans
    except (SQLAlchemyError, LibraryError):  # a statement or a commit failed halfway
        session.rollback()
        raise
    finally:
        for scan in scans:
            mark_vanished(session, scan.gone, scan.report)
            complete(session, scan, is_believed=allow_empty)
        record_scans(session, [columns_of_scan(scan, started_at) for scan in scans])
        session.commit()


def complete(session: Session, scan: SourceScan, *, is_believed: bool) -> None:
    """Complete the report of a scan once its photos are embedded. `is_believed`: a source without photos is."""
    source, report = scan.source, scan.report
    report.passed_over = source.leftovers.passed_over
    report.other_files = report.passed_over.files
    report.problems = len(source.leftovers.problems)
    if source.whole and not report.found and not is_believed:
        report.kept += count_under(session, source.root)
        report.kept_at += [source.root] * bool(report.kept)


def columns_of_scan(scan: SourceScan, started_at: datetime) -> dict[str, Any]:
    """Return the columns of a scan's record."""
    return {
        "root": scan.source.root,
        "kind": scan.source.kind,
        "started_at": started_at,
        "seconds": round(scan.seconds, 3),
        "counts": scan.report.as_json(),
        "problems": [asdict(problem) for problem in scan.source.leftovers.problems[:STORED_PROBLEMS]],
    }


def compare_sources(
    session: Session,
    scans: Sequence[SourceScan],
    words: OwnWords,
    *,
    allow_empty: bool,
    retry_failed: bool,
    begun: Callable[[], None],
    progress: Progress,
) -> list[tuple[SourceScan, list[int]]]:
    """Compare sources with the library; return the ids of the photos known below their roots that none of them named.

    Of roots below each other they are told of the outermost.
    """
    mounts = known_mounts(session)
    absent = [] if allow_empty else absent_mounts(mounts)
    newest = newest_photo_id(session) if any(scan.source.whole for scan in scans) else 0
    seen = np.zeros(newest + 1, bool)  # by photo id, of those known before
    found = 0

    def tell(before: int, scan: SourceScan, so_far: int) -> None:
        progress(Step("scanning", before + so_far, note=scan.source.root if len(scans) > 1 else ""))

    for scan in scans:
        start = time.monotonic()
        scan.source.absent_mounts = absent
        scan.source.tell = partial(tell_note, progress, found)
        try:
            for known in compare_source(
                session, scan, words, retry_failed=retry_failed, begun=begun, tell=partial(tell, found, scan)
            ):
                seen[known[known <= newest]] = True
                scan.known += len(known)
        except SourceError as error:
            if len(scans) == 1:
                raise
            take_as_unread(scan, error)
        scan.seconds = time.monotonic() - start
        found += scan.report.found
        leftovers = scan.source.leftovers
        if scan.source.whole and not scan.report.found and not allow_empty:
            leftovers.unread.append(scan.source.root)
        elif scan.source.whole and not allow_empty:
            keep_of_disks(session, scan.source, mounts, scan.report, seen)
        for unread in leftovers.unread:
            seen[[photo_id for photo_id in photo_ids_under(session, unread) if photo_id <= newest]] = True
    return [
        (scan, unseen)
        for scan in outermost(scans)
        if (unseen := unseen_under(session, scan.source.root, scan.known, seen))
    ]


def take_as_unread(scan: SourceScan, error: SourceError) -> None:
    """Note that a source cannot be read, so that nothing below it counts as gone."""
    scan.report.unread, scan.report.unread_at = 1, [scan.source.root]
    scan.source.leftovers.problems.append(Problem(scan.source.root, str(error)))
    scan.source.leftovers.unread.append(scan.source.root)


def outermost(scans: Sequence[SourceScan]) -> list[SourceScan]:
    """Return those of whole sources that lie below no other."""
    roots = {scan.source.root for scan in scans if scan.source.whole}
    return [scan for scan in scans if scan.source.whole and roots.isdisjoint(folders_above(scan.source.root))]


def tell_note(progress: Progress, found: int, note: str) -> None:
    """Tell what takes long before more photos are found."""
    progress(Step("scanning", found, note=note))


def compare_source(
    session: Session,
    scan: SourceScan,
    words: OwnWords,
    *,
    retry_failed: bool,
    begun: Callable[[], None],
    tell: Callable[[int], None],
) -> Iterator[Ids]:
    """Compare a source with the library; yield the ids of the photos that were known, a chunk at a time.

    `begun`: called once there is one to be compared. `tell`: hears now and then how many were found.
    """
    source, report = scan.source, scan.report
    words.begin(source)
    glance = Glance(session, lambda same: tell(report.found + same))
    if isinstance(source, FolderSource) and not retry_failed and words.are_none and compares_bytes(session):
        source.glance = glance.changed
    hotels_known = False
    photos = source.photos()
    while chunk := list(islice(photos, CHUNK)):
        if not hotels_known:  # only once there is a photo: a source without photos changes nothing
            if source.chains or source.hotels:  # most sources name none: those that are known need not be read
                merge_chains(session, source.chains)
                merge_hotels(session, source.hotels.values())
            begun()
            hotels_known = True
        told = words.told(chunk)
        rest, ids = (told, []) if retry_failed or source.glance is not None else changed(session, told)
        report.found += len(ids)
        report.unchanged += len(ids)
        if rest:
            known = scan_chunk(session, source, rest, report, retry_failed=retry_failed)
            scan.unasked += [photo.id for photo in known if is_unasked(photo)]
            ids += [photo.id for photo in known]
        session.commit()
        tell(report.found + len(glance.ids))
        yield np.array(ids, np.int64)
    report.found += len(glance.ids)
    report.unchanged += len(glance.ids)
    yield np.array(glance.ids, np.int64)


IS_BACK = (MISSING, UNREACHABLE, "unreadable", "name")  # kinds of failures that are over where a file can be looked at


def nothing_found(session: Session, sources: Sequence[Source]) -> SourceError:
    """Return the error for sources without photos."""
    passed_over = PassedOver()
    for each in sources:
        passed_over.update(each.leftovers.passed_over)
    problems = [problem for source in sources for problem in source.leftovers.problems]
    where = ", ".join(source.named for source in sources[:EXAMPLES])
    more = f" and {len(sources) - EXAMPLES} more" if len(sources) > EXAMPLES else ""
    met = [f"{problem.where}: {problem.reason}" for problem in problems[:EXAMPLES]]
    met += [f"{len(problems) - EXAMPLES} more problems"] * (len(problems) > EXAMPLES)
    met += [f"passed over: {passed_over}"] * bool(passed_over.counts)
    why = f" ({'; '.join(met)})" if met else ""
    known = sum(count_under(session, source.root) for source in sources if source.whole)
    is_lost = known and not passed_over.counts["excluded"] + passed_over.counts["excluded_folder"]
    it, its, them = ("it", "its", "it") if len(sources) == 1 else ("they", "their", "them")
    return SourceError(
        f"no photos under {where}{more}{why}: nothing was changed"
        + (f". If {it} lost {its} {counted(known, 'photo')} for good, add {them} with --allow-empty" if is_lost else "")
    )


def scan_chunk(
    session: Session, source: Source, chunk: list[FoundPhoto], report: ScanReport, *, retry_failed: bool
) -> list[Photo]:
    """Compare one chunk with the library; return the photos that were known."""
    named = {found.hotel_id for found in chunk if found.hotel_id is not None}
    add_nameless_hotels(session, sorted(named - source.hotels.keys()))
    known = photos_at(session, [(found.path, found.member) for found in chunk])
    targets = photos_at(session, [(found.target, "") for found in chunk if found.target])
    inserts: list[dict[str, Any]] = []
    changes: list[tuple[Photo, dict[str, Any]]] = []
    places: set[tuple[str, str]] = set()
    for found in chunk:
        is_others = found.failure_kind == "name" and not found.member and os.path.lexists(found.path)  # once escaped
        if (found.path, found.member) in places or is_others:
            source.leftovers.problems.append(Problem(found.path, "two files would be kept under this name"))
            continue
        places.add((found.path, found.member))
        if may_be_there(source, found):
            stays_as_it_is(source, found, known.get((found.path, found.member)), report)
            continue
        report.found += 1
        report.unreached += found.failure_kind == UNREACHABLE
        report.missing += found.failure_kind == MISSING
        photo, real = known.get((found.path, found.member)), targets.get((found.target, ""))
        if photo is None and real is not None and real.failure_kind != MISSING:  # a link to a photo that is known
            report.found -= 1
            source.leftovers.passed_over.note("link")
            continue
        if photo is None:
            report.new += 1
            inserts.append(columns_of(found, (*FACTS, *SAID, DETAILS)) | state_of(found))
            continue
        if found.failure_kind == UNREACHABLE:
            source.leftovers.problems.append(
                Problem(str(PhotoFile(found.path, found.member)), found.failure_reason or "")
            )
        columns = changed_columns(photo, found, retry_failed=retry_failed)
        report.changed += "state" in columns
        report.unchanged += "state" not in columns
        report.rehoused += "hotel_id" in columns
        changes.append((photo, columns))
    insert_photos(session, inserts)
    change_photos(session, changes)
    note_columns(session, (found.details for found in chunk if found.details))
    return list(known.values())


def change_photos(session: Session, changes: Sequence[tuple[Photo, dict[str, Any]]]) -> None:
    """Change columns of photos, none of many; the caller commits."""
    updates = [(photo, columns) for photo, columns in changes if columns]
    lose(session, [photo.id for photo, columns in updates if "state" in columns])
    update_photos(session, [{"id": photo.id} | columns for photo, columns in updates])
    if any("state" not in columns and photo.state is PhotoState.EMBEDDED for photo, columns in updates):
        mark_columns_changed(session)


def changed_columns(photo: Photo, found: FoundPhoto, *, retry_failed: bool) -> dict[str, Any]:
    """Return the columns in which a known photo differs from what was found."""
    changes = said_columns(photo, found)
    if found.details is not None and (photo.details or {}) | dict(found.details) != photo.details:
        changes[DETAILS] = (photo.details or {}) | dict(found.details)
    if found.failure_kind == UNREACHABLE:  # it may be there still
        return changes
    if found.failure_kind == MISSING and was_never_here(photo):  # a list names it, and its vector was imported
        return changes
    if found.failure_kind is not None:
        if (photo.failure_kind, photo.failure_reason) == (found.failure_kind, found.failure_reason):
            return changes
        return changes | state_of(found)
    told = FACTS if found.size_bytes is not None else FACTS[1:]  # some servers do not tell how many bytes there are
    facts_differ = any(getattr(found, name) != getattr(photo, name) for name in told)
    is_back = photo.failure_kind in IS_BACK
    if facts_differ or is_back or (retry_failed and photo.state is PhotoState.FAILED):
        return changes | {name: getattr(found, name) for name in told} | state_of(found)
    return changes


def said_columns(known: Photo, said: FoundPhoto | Photo, *, moved: bool = False) -> dict[str, Any]:
    """Return the columns of a known photo in which what its source says of it differs, and counts.

    A table's word goes before Hotels-50K's, that before a folder's; who says nothing takes nothing away. A hotel
    belongs to the place: a photo that has `moved` is of the one there.
    """
    names: list[str] = []
    if said.image_id is not None:
        names += IMAGE_FACTS
    by_folder = said.hotel_from == FOLDER
    says_hotel = said.hotel_from is not None or said.hotel_id is not None
    goes_before = known.hotel_from == TABLE or (by_folder and known.hotel_from is None and known.hotel_id is not None)
    if says_hotel and (moved or said.hotel_from == TABLE or not goes_before):
        names += ("hotel_id", "hotel_from")
    if said.date_from == TABLE:
        names += ("dated_at", "date_from")
    if said.place_from == TABLE:
        names += ("latitude", "longitude", "place_from")
    return {name: getattr(said, name) for name in names if getattr(said, name) != getattr(known, name)}


def columns_of(found: FoundPhoto, names: Iterable[str]) -> dict[str, Any]:
    """Return a photo's place and the named columns."""
    return {"path": found.path, "member": found.member} | {name: getattr(found, name) for name in names}


def state_of(found: FoundPhoto) -> dict[str, Any]:
    """Return the columns of a found photo's state."""
    state = PhotoState.PENDING if found.failure_kind is None else PhotoState.FAILED
    return {"state": state, "failure_kind": found.failure_kind, "failure_reason": found.failure_reason}


def settle(
    session: Session, scan: SourceScan, words: OwnWords, not_found: Sequence[int], *, retry_failed: bool
) -> list[int]:
    """Look at the places of photos that no source named; return the ids of those that are gone.

    A file may be there that no listing names, such as one without a photo's ending that was added by its own name, or
    one that is left out now. What is left out and was never read yet is let go.
    """
    words.begin(scan.source)
    gone: list[int] = []
    for page in pages(list(not_found)):
        changes, unread = [], []
        for photo in photos_by_id(session, page):
            found = found_at(photo.path, photo.member)
            if may_be_there(scan.source, found):
                continue
            if found.failure_kind == MISSING:
                gone += [photo.id] * (not was_never_here(photo))
            elif (place := place_left_out(scan.source, photo)) is None:
                (told,) = words.told([found])
                changes.append((photo, changed_columns(photo, told, retry_failed=retry_failed)))
            elif photo.state is PhotoState.PENDING and photo.content_sha256 is None:
                unread.append(photo.id)
            else:
                scan.report.left_out += 1
                if place not in scan.report.left_out_at and len(scan.report.left_out_at) < EXAMPLES:
                    scan.report.left_out_at.append(place)
        scan.report.rehoused += sum("hotel_id" in columns for _, columns in changes)
        change_photos(session, changes)
        remove_photos(session, unread)
        session.commit()
    return gone


def place_left_out(source: Source, photo: Photo) -> str | None:
    """Return the folder or file by which a photo is left out, by a system's name or by patterns; None where it is not.

    The innermost source that it lies below says so.
    """
    place = next((folder for folder in folders_above(photo.path) if folder in source.beside), source.path)
    found = source.beside[place].left_out(photo.path, photo.member)
    return None if found is None or found[0] in ("hidden", "ours") else found[1]


def mark_vanished(session: Session, gone: Sequence[int], report: ScanReport) -> None:
    """Mark those of the photos that are gone as missing which have not moved meanwhile."""
    columns = {"state": PhotoState.FAILED, "failure_kind": MISSING, "failure_reason": "the file is no longer there"}
    for page in pages(list(gone)):
        vanished = [
            photo
            for photo in photos_by_id(session, page)
            if photo.failure_kind != MISSING and found_at(photo.path, photo.member).failure_kind == MISSING
        ]
        change_photos(session, [(photo, columns) for photo in vanished])
        report.vanished += len(vanished)
