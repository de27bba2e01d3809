"""Queries of photos, and of the scans that found them; embedded photos column by column."""

import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.models import Chain, Embedding, Hotel, Model, Photo, PhotoState, Scan
from db.settings_rows import read_setting, read_setting_as, write_setting

T = TypeVar("T")
Place = tuple[str, str]  # path, member
PAGE = 1000
FETCHED = 1_024  # fetched at a time: more would lie in memory long enough to slow down Python's garbage collector


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """What search shows of a photo."""

    photo_id: int
    path: str
    member: str
    image_id: int | None
    hotel_id: int | None
    hotel_name: str | None
    chain_id: int | None
    chain_name: str | None
    date: datetime | None  # see `dated`
    kind: str = "photo"  # or "restyled"
    date_from: str | None = None
    latitude: float | None = None  # its own, or else its hotel's, in degrees
    longitude: float | None = None


def photos_at(session: Session, places: Sequence[Place]) -> dict[Place, Photo]:
    """Return the photos that are known at the given places."""
    rows = (
        photo for condition in place_conditions(places) for photo in session.scalars(select(Photo).where(condition))
    )
    return {(photo.path, photo.member): photo for photo in rows}


def place_conditions(places: Sequence[Place]) -> list[ColumnElement[bool]]:
    """Return conditions that a photo lies at one of the given places, in as many statements as they need."""
    members: dict[str, list[str]] = defaultdict(list)
    for path, member in places:
        members[path].append(member)
    files = [path for path, names in members.items() if names == [""]]  # pairs in one list would use no index
    conditions = [and_(Photo.path.in_(page), Photo.member == "") for page in pages(files)]
    return conditions + [
        and_(Photo.path == path, Photo.member.in_(page))
        for path, names in members.items()
        if names != [""]
        for page in pages(names)
    ]


def insert_photos(session: Session, rows: list[dict[str, Any]]) -> None:
    """Add photos, given as columns of the table; the caller commits."""
    if rows and (first := next_photo_id(session)) is not None:
        rows = [{"id": photo_id} | row for photo_id, row in enumerate(rows, start=first)]
    session.bulk_insert_mappings(Photo.__mapper__, rows)


LAST_ID = "last_photo_id"


def next_photo_id(session: Session) -> int | None:
    """Return the id of the next photo, None where the database numbers it: an id that was forgotten is not used again.

    SQLite gives the highest id again once its row is gone; others count on.
    """
    last = read_setting_as(session, LAST_ID, int)
    return None if last is None else max(last, newest_photo_id(session)) + 1


def retire_ids(session: Session, ids: Sequence[int]) -> None:
    """Remember that these ids were given, before their rows are removed; the caller commits."""
    highest = newest_photo_id(session)
    if ids and max(ids) == highest and session.get_bind().dialect.name == "sqlite":
        write_setting(session, LAST_ID, str(max(highest, read_setting_as(session, LAST_ID, int) or 0)))


def update_photos(session: Session, rows: list[dict[str, Any]]) -> None:
    """Change the given columns of photos, each row with its `id`; the caller commits."""
    # Rows with the same columns travel as one statement.
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        by_columns.setdefault(tuple(sorted(row)), []).append(row)
    for group in by_columns.values():
        session.execute(update(Photo), group)


def drop_photos(session: Session, ids: Sequence[int]) -> None:
    """Remove the rows of photos that have no vectors; the caller commits."""
    for page in pages(list(ids)):
        session.execute(delete(Photo).where(Photo.id.in_(page)), execution_options={"synchronize_session": False})


def hashes_of(session: Session, ids: Sequence[int]) -> dict[int, bytes]:
    """Return {photo id: SHA-256 of the bytes that it had when it was read} of the photos that were ever read."""
    found: dict[int, bytes] = {}
    for page in pages(list(ids)):
        first, last = min(page), max(page)
        in_a_row = last - first + 1 == len(set(page))  # then a range is quicker than a list of ids
        condition = Photo.id.between(first, last) if in_a_row else Photo.id.in_(page)
        statement = select(Photo.id, Photo.content_sha256).where(condition, Photo.content_sha256.is_not(None))
        for rows in fetched(session, statement):
            found.update((row[0], row[1]) for row in rows)
    return found


def read_photo_ids(session: Session) -> Iterator[int]:
    """Yield the ids of all photos that were ever read, in any order."""
    for rows in fetched(session, select(Photo.id).where(Photo.content_sha256.is_not(None))):
        yield from map(FIRST, rows)


def photos_with_bytes(session: Session, sha256: bytes) -> Iterator[Photo]:
    """Yield the photos, not the restyled ones, whose bytes had this hash when they were read, the first known first."""
    yield from session.scalars(WITH_BYTES, {"sha256": sha256})


def pending_photos(session: Session, after_id: int = 0, limit: int = PAGE) -> list[Photo]:
    """Return the next pending photos, in the order of their ids."""
    statement = select(Photo).where(Photo.state == PhotoState.PENDING, Photo.id > after_id)
    return list(session.scalars(statement.order_by(Photo.id).limit(limit)))


def embedded_rows(session: Session, after_id: int = 0, limit: int = PAGE) -> list[Photo]:
    """Return the next embedded photos, in the order of their ids."""
    statement = select(Photo).where(Photo.state == PhotoState.EMBEDDED, Photo.id > after_id)
    return list(session.scalars(statement.order_by(Photo.id).limit(limit)))


def count_photos(session: Session) -> dict[PhotoState, int]:
    """Return how many photos are in each state; restyled ones are no photos."""
    rows = session.execute(select(Photo.state, func.count()).where(is_photo()).group_by(Photo.state)).all()
    return {state: 0 for state in PhotoState if state is not PhotoState.RESTYLED} | dict(rows)


def is_photo() -> ColumnElement[bool]:
    """Return the condition that a row is a photo, be it one that cannot be found, and not a restyled one."""
    return Photo.state != PhotoState.RESTYLED


def photos_beginning(session: Session, digits: bytes) -> Iterator[int]:
    """Yield the ids of photos whose bytes have a SHA-256 that begins so: those that can be found first."""
    statement = select(Photo.id).where(Photo.content_sha256.between(digits, digits.ljust(32, b"\xff")), is_photo())
    yield from session.scalars(statement.order_by(Photo.state != PhotoState.EMBEDDED, Photo.id))


# Built once: it is asked for every photo whose bytes are known.
WITH_BYTES = select(Photo).where(Photo.content_sha256 == bindparam("sha256"), is_photo()).order_by(Photo.id)


def photo_ids_under(session: Session, root: str) -> Iterator[int]:
    """Yield the ids of photos in a folder and its subfolders, or in a tar file."""
    for rows in fetched(session, select(Photo.id).where(is_under(session, root), is_photo())):
        yield from map(FIRST, rows)


def present_ids_under(session: Session, root: str) -> Iterator[int]:
    """Yield the ids of photos in a folder and its subfolders, or in a tar file, but for those that are missing."""
    here = (is_under(session, root), is_photo(), Photo.failure_kind.is_distinct_from("missing"))
    for rows in fetched(session, select(Photo.id).where(*here)):
        yield from map(FIRST, rows)


def paths_under(session: Session, root: str) -> Iterator[str]:
    """Yield the path of each photo in a folder and its subfolders, or in a tar file."""
    for rows in fetched(session, select(Photo.path).where(is_under(session, root), is_photo())):
        yield from map(FIRST, rows)


FIRST = itemgetter(0)


def is_under(session: Session, root: str, path: InstrumentedAttribute[str] = Photo.path) -> ColumnElement[bool]:
    """Return the condition that a photo, by its `path`, lies in a folder or its subfolders, or in a tar file."""
    prefix, dialect = root.rstrip("/") + "/", session.get_bind().dialect.name
    after = prefix[:-1] + chr(ord("/") + 1)
    if dialect == "sqlite":  # which compares texts by their bytes, so an index can answer it
        inside = and_(path >= prefix, path < after)
    elif dialect == "postgresql":  # which does so by these operators, and has an index for them
        inside = and_(path.bool_op("~>=~")(prefix), path.bool_op("~<~")(after))
    else:
        inside = func.substr(path, 1, len(prefix)) == prefix
    return or_(path == root, inside)


def count_under(session: Session, root: str) -> int:
    """Return how many photos are known in a folder and its subfolders, or in a tar file."""
    counted = select(func.count()).select_from(Photo).where(is_under(session, root), is_photo())
    return session.scalar(counted) or 0


def count_rows_under(session: Session, root: str) -> int:
    """Return how many rows there are of what lies there, restyled photos as well: an index alone tells that."""
    return session.scalar(select(func.count()).select_from(Photo).where(is_under(session, root))) or 0


def count_pending(session: Session) -> int:
    """Return how many photos wait to be embedded."""
    return session.scalar(select(func.count()).where(Photo.state == PhotoState.PENDING)) or 0


def photos_by_id(session: Session, ids: Sequence[int]) -> Iterator[Photo]:
    """Yield the photos with these ids, in the order of their ids, as they are now: another session may change them."""
    for page in pages(sorted(ids)):
        statement = select(Photo).where(Photo.id.in_(page)).order_by(Photo.id)
        yield from session.scalars(statement, execution_options={"populate_existing": True})


def any_pending_elsewhere(session: Session) -> bool:
    """Tell whether a photo that waits to be embedded lies at an address."""
    statement = select(Photo.id).where(Photo.state == PhotoState.PENDING, Photo.path.contains("://")).limit(1)
    return session.scalar(statement) is not None


def failure_counts(session: Session) -> dict[str, int]:
    """Return how many photos failed, by kind, most first."""
    statement = (
        select(Photo.failure_kind, func.count())
        .where(Photo.state == PhotoState.FAILED)
        .group_by(Photo.failure_kind)
        .order_by(func.count().desc(), Photo.failure_kind)
    )
    return {kind or "unknown": count for kind, count in session.execute(statement)}


def failed_photos(session: Session, kind: str | None = None) -> Iterator[Photo]:
    """Yield the photos that failed, in the order of their ids."""
    statement = select(Photo).where(Photo.state == PhotoState.FAILED).order_by(Photo.id)
    if kind is not None:
        statement = statement.where(Photo.failure_kind == kind)
    with session.scalars(statement.execution_options(yield_per=PAGE)) as rows:
        yield from rows


def all_photos(session: Session) -> Iterator[Photo]:
    """Yield every photo, and every restyled one, in the order of their ids, without holding them all."""
    with session.scalars(select(Photo).order_by(Photo.id).execution_options(yield_per=PAGE)) as rows:
        yield from rows


SAID_AT = func.coalesce(Photo.dated_at, Photo.uploaded_at)
DATED = (Photo.dated_at, Photo.date_from, Photo.uploaded_at, Photo.mtime_ns)
PLACED = (func.coalesce(Photo.latitude, Hotel.latitude), func.coalesce(Photo.longitude, Hotel.longitude))


def dated(
    dated_at: datetime | None, date_from: str | None, uploaded_at: datetime | None, mtime_ns: int | None
) -> tuple[datetime | None, str | None]:
    """Return a photo's date, of the columns of DATED, and who says so: table, camera, upload, or its file's own time.

    Dates are those of the clock where the photo was taken, without a zone; times of files are UTC.
    """
    if dated_at is not None:
        return dated_at, date_from
    if uploaded_at is not None:
        return uploaded_at, "upload"
    date = time_of(mtime_ns)
    return date, None if date is None else "file"


def photo_records(session: Session, ids: Sequence[int]) -> dict[int, PhotoRecord]:
    """Return what search shows of the photos with these ids that are embedded, and of restyled ones."""
    records = {}
    for page in pages(list(ids)):
        statement = (
            select(
                Photo.id,
                Photo.path,
                Photo.member,
                Photo.image_id,
                Photo.hotel_id,
                Hotel.name,
                Hotel.chain_id,
                Chain.name,
                *DATED,
                *PLACED,
                Photo.state,
            )
            .outerjoin(Hotel, Photo.hotel_id == Hotel.id)
            .outerjoin(Chain, Hotel.chain_id == Chain.id)
            .where(Photo.id.in_(page), Photo.state.in_((PhotoState.EMBEDDED, PhotoState.RESTYLED)))
        )
        for row in session.execute(statement):
            date, date_from = dated(row[8], row[9], row[10], row[11])
            records[row[0]] = PhotoRecord(
                *row[:8],
                date=date,
                kind="restyled" if row[-1] is PhotoState.RESTYLED else "photo",
                date_from=date_from,
                latitude=row[12],
                longitude=row[13],
            )
    return records


def photo_record(session: Session, photo_id: int) -> PhotoRecord | None:
    """Return what search shows of one photo; None where none of this number can be found."""
    return photo_records(session, [photo_id]).get(photo_id) if abs(photo_id) < 1 << 63 else None  # as databases count


def time_of(mtime_ns: int | None) -> datetime | None:
    """Return a file's time, UTC without a zone as all times here, or None where it is unknown or makes no sense."""
    try:
        return None if mtime_ns is None else datetime.fromtimestamp(mtime_ns / 1e9, UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return None


def hotels_of(session: Session, ids: Sequence[int]) -> dict[int, tuple[int | None, int | None]]:
    """Return {photo id: (hotel id, chain id)} of photos."""
    known: dict[int, tuple[int | None, int | None]] = {}
    for page in pages(list(ids)):
        statement = select(Photo.id, Photo.hotel_id, Hotel.chain_id).outerjoin(Hotel, Photo.hotel_id == Hotel.id)
        known.update({row[0]: (row[1], row[2]) for row in session.execute(statement.where(Photo.id.in_(page)))})
    return known


def newest_photo_id(session: Session) -> int:
    """Return the highest id of a photo, 0 where there is none."""
    return session.scalar(select(func.max(Photo.id))) or 0


def first_scan(session: Session) -> tuple[str, datetime] | None:
    """Return where and when the library's first photos were looked for: no other library has the same."""
    row = session.execute(select(Scan.root, Scan.started_at).order_by(Scan.id).limit(1)).first()
    return (row[0], row[1]) if row else None


def record_scans(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Add the records of looks at folders and the like, given as columns of the table; the caller commits."""
    session.execute(insert(Scan), rows)


def latest_scans(session: Session) -> list[Scan]:
    """Return the last scan of every root, newest first."""
    newest = select(func.max(Scan.id)).group_by(Scan.root)
    return list(session.scalars(select(Scan).where(Scan.id.in_(newest)).order_by(Scan.id.desc())))


def forget_scans(session: Session, root: str) -> None:
    """Remove the records of looks at a folder or a file, and at what lies below it; the caller commits."""
    for scan in session.scalars(select(Scan)):  # few, and LIKE would not tell capitals from small letters
        if scan.root == root or scan.root.startswith(root.rstrip("/") + "/"):
            session.delete(scan)
    session.flush()


def pages(ids: list[T]) -> Iterator[list[T]]:
    """Yield the ids, or the like, in lists that fit into one statement."""
    for start in range(0, len(ids), PAGE):
        yield ids[start : start + PAGE]


def fetched(
    session: Session, statement: Select[*tuple[Any, ...]], parameters: Mapping[str, Any] | None = None
) -> Iterator[Sequence[Any]]:
    """Yield rows as the database's driver gives them: half the time of SQLAlchemy's own rows.

    Only for columns that need no conversion: numbers and texts.
    """
    connection = session.connection()
    if connection.dialect.name != "sqlite":  # drivers that would fetch everything at once unless told otherwise
        # Closed also where whoever takes the rows stops: a cursor of the server's would stay open there.
        with connection.execute(statement, parameters, execution_options={"yield_per": FETCHED}) as result:
            yield from result.partitions()
        return
    result = connection.execute(statement, parameters)
    while result.cursor is not None and (rows := result.cursor.fetchmany(FETCHED)):
        yield rows


COLUMNS_STAMP = "photo_columns"


def mark_columns_changed(session: Session) -> None:
    """Say that a photo that can be found has another hotel, or the like, than before; the caller commits."""
    write_setting(session, COLUMNS_STAMP, secrets.token_hex(8))


def columns_stamp(session: Session) -> str:
    """Return what changes whenever a photo's columns change while its vector stays: random, so never twice the same."""
    return read_setting(session, COLUMNS_STAMP) or ""


ROWS = 65_536  # handed on at a time
COLUMNS: dict[str, ColumnElement[Any] | InstrumentedAttribute[Any]] = {
    "photo_id": Photo.id,
    "path": Photo.path,
    "member": Photo.member,
    "image_id": Photo.image_id,
    "hotel_id": Photo.hotel_id,
    "image_source": Photo.image_source,
    "width_px": Photo.width_px,
    "height_px": Photo.height_px,
    "format": Photo.format,
    "date": func.substr(cast(SAID_AT, Text), 1, len("2015-01-31 17:40:00")),
    "date_from": case((Photo.dated_at.is_not(None), Photo.date_from), (Photo.uploaded_at.is_not(None), "upload")),
    "mtime_ns": Photo.mtime_ns,
    "latitude": Photo.latitude,
    "longitude": Photo.longitude,
}

FURTHER: dict[str, InstrumentedAttribute[Any]] = {"grey": Photo.grey, "content_sha256": Photo.content_sha256}

Columns = dict[str, Sequence[Any]]


def embedded_columns(
    session: Session,
    model: Model,
    names: Sequence[str],
    ids: Sequence[int] | None = None,
    states: Sequence[PhotoState] = (PhotoState.EMBEDDED,),
) -> Iterator[Columns]:
    """Yield {name: values} of the photos that can be found, some thousands at a time, in the order of their ids.

    `names` are keys of COLUMNS or FURTHER; `photo_id` is always among what comes back. With `ids` only these photos
    come, in this order; those that cannot be found are left out. `states`: of photos, of restyled ones, or of both.
    """
    names, known = list(dict.fromkeys(["photo_id", *names])), COLUMNS | FURTHER
    statement: Select[Any] = (
        select(*(known[name] for name in names))
        .join(Embedding, Embedding.photo_id == Photo.id)
        .where(Embedding.model_id == model.id, Photo.state.in_(states))
    )
    if ids is None:
        batches = fetched(session, statement.order_by(Photo.id))
    else:
        batches = (rows_in_order(session, statement, page) for page in pages(list(ids)))
    gathered: list[list[Any]] = [[] for _ in names]
    for rows in batches:
        for values, fresh in zip(gathered, zip(*rows, strict=True), strict=False):  # no rows give no columns
            values.extend(fresh)
        if len(gathered[0]) >= ROWS:
            yield dict(zip(names, gathered, strict=True))
            gathered = [[] for _ in names]
    if gathered[0]:
        yield dict(zip(names, gathered, strict=True))


def rows_in_order(session: Session, statement: Select[Any], ids: list[int]) -> list[Any]:
    """Return the rows of these photos, in the order of the ids."""
    by_id = {row[0]: row for row in session.execute(statement.where(Photo.id.in_(ids)))}
    return [by_id[photo_id] for photo_id in ids if photo_id in by_id]


def hotels_and_chains(session: Session) -> tuple[dict[int, tuple[str | None, int | None]], dict[int, str]]:
    """Return {hotel id: (name, chain id)} and {chain id: name}: small enough to hold, and far quicker than a join."""
    hotels = fetched(session, select(Hotel.id, Hotel.name, Hotel.chain_id))
    chains = session.execute(select(Chain.id, Chain.name)).all()
    return {row[0]: (row[1], row[2]) for rows in hotels for row in rows}, dict(chains)
