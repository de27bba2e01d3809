"""Queries of sources: the places that photos were added from, with what was said of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from db.models import PhotoSource, Scan


def remembered_sources(session: Session) -> list[PhotoSource]:
    """Return all sources in the order of their places."""
    return list(session.scalars(select(PhotoSource).order_by(PhotoSource.place)))


def sources_called(session: Session, places: Sequence[str]) -> list[PhotoSource]:
    """Return those sources that have one of these places."""
    return [source for source in remembered_sources(session) if source.place in set(places)]


def put_source(
    session: Session, source: PhotoSource | None, place: str, kind: str, options: Mapping[str, Any]
) -> PhotoSource:
    """Remember a place, or what is said now of one that is remembered, and return its row; the caller commits."""
    if source is None:
        now = datetime.now(UTC).replace(tzinfo=None)
        source = PhotoSource(place=place, kind=kind, options=dict(options), mounts={}, added_at=now)
        session.add(source)
    elif (source.kind, source.options) != (kind, dict(options)):
        source.kind, source.options = kind, dict(options)
    return source


def known_mounts(session: Session) -> dict[str, bool]:
    """Return {mount point that was met at a source, or behind a link in one: whether several disks were there}."""
    found: dict[str, bool] = {}
    for mounts in session.scalars(select(PhotoSource.mounts)):
        for mount, several in mounts.items():
            found[mount] = several or found.get(mount, False)
    return found


def drop_sources(session: Session, root: str) -> list[str]:
    """Forget the sources at a place and below it, and return their places; the caller commits."""
    prefix = root.rstrip("/") + "/"
    here: ColumnElement[bool] = or_(PhotoSource.place == root, func.substr(PhotoSource.place, 1, len(prefix)) == prefix)
    places = list(session.scalars(select(PhotoSource.place).where(here).order_by(PhotoSource.place)))
    session.execute(delete(PhotoSource).where(here))
    return places


def scanned_times(session: Session) -> dict[str, datetime]:
    """Return {root: when it was looked through last, UTC} of all places that photos were looked for in."""
    rows = session.execute(select(Scan.root, func.max(Scan.started_at)).group_by(Scan.root))
    return {row[0]: row[1] for row in rows}


def found_last(session: Session, place: str) -> int:
    """Return how many photos the last look at a place found."""
    newest = select(Scan.counts).where(Scan.root == place).order_by(Scan.started_at.desc(), Scan.id.desc()).limit(1)
    return int((session.scalar(newest) or {}).get("found", 0))
