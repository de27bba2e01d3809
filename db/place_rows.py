"""Queries by which photos, and all that is kept of places, get other places: a folder, a tar or a photo was moved."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from db.models import HotelChoice, Photo, PhotoSource, PhotoState, Restyling, Scan
from db.photo_rows import fetched, is_photo, is_under, mark_columns_changed, newest_photo_id, pages, update_photos
from db.vector_rows import remove_photos

ROWS_AT_ONCE = 50_000  # between two looks at how far it is
ASIDE = "//moving"  # where photos are for the moment while old and new places overlap: no path begins so


@dataclass(frozen=True, slots=True)
class Rerooted:
    """A place and what it is now: all that lies at or below it comes along."""

    old: str
    new: str

    def of(self, place: str) -> str:
        """Return what a place is now; one that lies elsewhere stays."""
        below = self.old.rstrip("/") + "/"
        if place == self.old:
            return self.new
        return self.new.rstrip("/") + "/" + place[len(below) :] if place.startswith(below) else place

    def path(self, column: InstrumentedAttribute[str]) -> ColumnElement[str]:
        """Return the new path of a photo that lies there, as the database computes it."""
        below = func.substr(column, len(self.old.rstrip("/")) + 1)
        return case((column == self.old, self.new), else_=self.new.rstrip("/") + below)


def ids_and_paths_under(session: Session, root: str, step: int) -> list[tuple[Any, ...]]:
    """Return (id, path, member, size, time, hash) of some photos there, each `step`-th, spread over all of them."""
    columns = (Photo.id, Photo.path, Photo.member, Photo.size_bytes, Photo.mtime_ns, Photo.content_sha256)
    statement = select(*columns).where(is_under(session, root), is_photo(), Photo.id % step == 0)
    return [tuple(row) for rows in fetched(session, statement) for row in rows]


def pairs_at(session: Session, rerooted: Rerooted) -> list[tuple[int, int, bool]]:
    """Return (old id, new id, whether their bytes are the same) of photos whose new places are of known photos."""
    known = aliased(Photo)
    same = and_(known.content_sha256.is_not(None), known.content_sha256 == Photo.content_sha256)
    statement = (
        select(Photo.id, known.id, case((same, 1), else_=0))
        .join(known, and_(known.path == rerooted.path(Photo.path), known.member == Photo.member))
        .where(is_under(session, rerooted.old), is_photo(), ~is_under(session, rerooted.old, known.path))
    )
    return [(row[0], row[1], bool(row[2])) for row in session.execute(statement)]


def merge_pairs(session: Session, pairs: list[tuple[int, int, bool]]) -> None:
    """Have photos take the places of others with the same bytes, which go; the caller commits.

    What was said and made of the other is the first one's; one that was missing is to be read again.
    """
    for page in pages(pairs):
        kept = {new: old for old, new, _ in page}
        for row in session.scalars(select(Restyling).where(Restyling.source_photo_id.in_(kept))):
            row.source_photo_id = kept[row.source_photo_id or 0]
        failed = select(Photo.id).where(Photo.id.in_(kept.values()), Photo.state == PhotoState.FAILED)
        again = {"state": PhotoState.PENDING, "failure_kind": None, "failure_reason": None}
        update_photos(session, [{"id": photo_id} | again for photo_id in session.scalars(failed)])
        session.flush()
        remove_photos(session, list(kept))


def reroot_photos(session: Session, rerooted: Rerooted, *, results: bool, tell: Callable[[int, int], None]) -> int:
    """Give photos their new places, in the caller's transaction; return how many.

    Args:
        session: the caller commits.
        rerooted: which place is which now.
        results: restyled photos that lie there as well.
        tell: hears how many of all rows were looked at.
    """
    steps = [rerooted]
    if is_within(rerooted.new, rerooted.old) or is_within(rerooted.old, rerooted.new):
        steps = [Rerooted(rerooted.old, ASIDE), Rerooted(ASIDE, rerooted.new)]
    last, moved = newest_photo_id(session), 0
    for at, step in enumerate(steps):
        for start in range(1, last + 1, ROWS_AT_ONCE):
            meant = [is_under(session, step.old), Photo.id.between(start, start + ROWS_AT_ONCE - 1)]
            meant += [] if results else [is_photo()]
            done = session.execute(
                update(Photo).where(*meant).values(path=step.path(Photo.path)),
                execution_options={"synchronize_session": False},
            )
            moved += int(done.rowcount) if at == 0 else 0  # type: ignore[attr-defined] # a CursorResult
            tell(at * last + min(start + ROWS_AT_ONCE - 1, last), len(steps) * last)
    return moved


def is_within(place: str, root: str) -> bool:
    """Tell whether a place lies below another one."""
    return place.startswith(root.rstrip("/") + "/")


def reroot_records(session: Session, rerooted: Rerooted) -> list[str]:
    """Give what is kept of places its new places, and return the sources that have others now; the caller commits.

    Of a hotel's folder that is named twice now, and of a source, what was said of the old place counts.
    """
    for choice in list(session.scalars(select(HotelChoice))):
        if (root := rerooted.of(choice.root)) != choice.root:
            if (there := session.get(HotelChoice, root)) is not None:
                session.delete(there)
                session.flush()
            choice.root = root
            session.flush()
    for scan in session.scalars(select(Scan)):
        scan.root = rerooted.of(scan.root)
        scan.problems = [problem | {"where": rerooted.of(problem["where"])} for problem in scan.problems]
    places = []
    known = {source.place: source for source in session.scalars(select(PhotoSource))}
    for source in list(known.values()):
        if "metadata" in source.options:
            source.options = source.options | {"metadata": rerooted.of(source.options["metadata"])}
        source.mounts = {mount: of for mount, of in source.mounts.items() if rerooted.of(mount) == mount}
        if (place := rerooted.of(source.place)) != source.place:
            if place in known and known[place] is not source:
                session.delete(known[place])
                session.flush()
            source.place = place
            places.append(place)
    session.flush()
    return places


def bring_results_home(session: Session, library: str, restyled: str) -> None:
    """Have the rows of restyled photos say where they lie in a library that was moved; the caller commits.

    Args:
        session: of its database.
        library: the real path of its folder.
        restyled: that of the folder of its restyled photos.
    """
    elsewhere = (Photo.state == PhotoState.RESTYLED, ~is_under(session, restyled))
    statement = select(Photo.id, Restyling.path).join(Restyling, Restyling.result_photo_id == Photo.id)
    rows = session.execute(statement.where(*elsewhere)).all()
    if rows:  # most often none is: nothing is written
        update_photos(session, [{"id": row[0], "path": f"{library}/{row[1]}"} for row in rows])
        mark_columns_changed(session)
