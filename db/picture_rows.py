"""Queries of single photos for those who look at them: where a picture's bytes lie, which they are, what is known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from db.models import Chain, Hotel, Photo, PhotoState, Restyling, Scan
from db.photo_rows import DATED, dated, is_photo, pages

COPIES_LISTED = 50  # of a photo's copies


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFile:
    """Where a picture's bytes lie, and which they were when it was read.

    sha256: of its bytes, None where an earlier version did not ask. size_bytes: of them. mtime_ns: of the file at
    `path`, the tar's where there is a `member`. result: whether it lies among the library's restyled photos.
    """

    path: str
    member: str = ""
    sha256: bytes | None = None
    size_bytes: int | None = None
    mtime_ns: int | None = None
    result: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoDetails:
    """What the library knows of a photo.

    width_px, height_px: upright. date_from: table, camera, upload or file. place_from: table, camera or hotel.
    image_source: traffickcam or travel_website, of Hotels-50K.
    """

    photo_id: int
    file: PictureFile
    kind: str  # photo or restyled
    image_id: int | None
    image_source: str | None
    width_px: int | None
    height_px: int | None
    format: str | None
    grey: bool | None
    date: datetime | None
    date_from: str | None
    latitude: float | None
    longitude: float | None
    place_from: str | None
    hotel_id: int | None
    hotel_name: str | None
    chain_name: str | None
    columns: dict[str, Any] = field(default_factory=dict)  # what a list says of it besides


SHOWN = Photo.state.in_((PhotoState.EMBEDDED, PhotoState.RESTYLED))


def can_be_an_id(number: int) -> bool:
    """Tell whether a database can hold this number."""
    return abs(number) < 1 << 63


def picture_file(session: Session, photo_id: int) -> PictureFile | None:
    """Return where a photo's bytes lie; None where none of this number can be found."""
    columns = (Photo.path, Photo.member, Photo.content_sha256, Photo.size_bytes, Photo.mtime_ns, Photo.state)
    return file_of(session.execute(select(*columns).where(Photo.id == photo_id, SHOWN)).first())


def file_of(row: Any) -> PictureFile | None:
    """Return the columns of a photo as a file."""
    if row is None:
        return None
    return PictureFile(
        path=row[0],
        member=row[1],
        sha256=row[2],
        size_bytes=row[3],
        mtime_ns=row[4],
        result=row[5] is PhotoState.RESTYLED,
    )


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """How large a photo is, upright, in pixels, and what tells its bytes from others; None where that is not known."""

    width_px: int | None
    height_px: int | None
    sha256: bytes | None

    @property
    def version(self) -> str:
        """16 hexadecimal digits that tell the photo's bytes from others; empty where they are not known."""
        return "" if self.sha256 is None else self.sha256.hex()[:16]


def picture_facts(session: Session, photo_ids: Sequence[int]) -> dict[int, PictureFacts]:
    """Return {photo id: its picture's facts} of those of the photos that can be found."""
    found: dict[int, PictureFacts] = {}
    for page in pages(list(photo_ids)):
        columns = (Photo.id, Photo.width_px, Photo.height_px, Photo.content_sha256)
        rows = session.execute(select(*columns).where(Photo.id.in_(page), SHOWN))
        found.update((row[0], PictureFacts(row[1], row[2], row[3])) for row in rows)
    return found


def scanned_roots(session: Session) -> list[str]:
    """Return every folder, tar file and photo that was ever added, the longest path first."""
    return sorted(session.scalars(select(Scan.root).distinct()), key=len, reverse=True)


def named_one_by_one(session: Session) -> bool:
    """Tell whether photos were ever added by their own names or by a list, which may lie below no place of a scan."""
    return session.scalar(select(Scan.id).where(Scan.kind.in_(("file", "list"))).limit(1)) is not None


def photo_details(session: Session, photo_id: int) -> PhotoDetails | None:
    """Return what is known of a photo, or of a restyled one; None where none of this number can be found."""
    row = session.execute(
        select(Photo, Hotel, Chain.name, *DATED)
        .outerjoin(Hotel, Photo.hotel_id == Hotel.id)
        .outerjoin(Chain, Hotel.chain_id == Chain.id)
        .where(Photo.id == photo_id, SHOWN)
    ).first()
    if row is None:
        return None
    photo, hotel = row[0], row[1]
    date, date_from = dated(row[3], row[4], row[5], row[6])
    latitude, longitude, place_from = photo.latitude, photo.longitude, photo.place_from
    if latitude is None and hotel is not None and hotel.latitude is not None:
        latitude, longitude, place_from = hotel.latitude, hotel.longitude, "hotel"
    return PhotoDetails(
        photo_id=photo.id,
        file=PictureFile(
            path=photo.path,
            member=photo.member,
            sha256=photo.content_sha256,
            size_bytes=photo.size_bytes,
            mtime_ns=photo.mtime_ns,
            result=photo.state is PhotoState.RESTYLED,
        ),
        kind="restyled" if photo.state is PhotoState.RESTYLED else "photo",
        image_id=photo.image_id,
        image_source=photo.image_source,
        width_px=photo.width_px,
        height_px=photo.height_px,
        format=photo.format,
        grey=photo.grey,
        date=date,
        date_from=date_from,
        latitude=latitude,
        longitude=longitude,
        place_from=place_from,
        hotel_id=photo.hotel_id,
        hotel_name=None if hotel is None else hotel.name,
        chain_name=row[2],
        columns=photo.details or {},
    )


def made_of(session: Session, photo_id: int) -> tuple[int, int | None] | None:
    """Return the number of the result that a restyled photo is, and that of the photo it was made of, if it is here."""
    statement = select(Restyling.id, Restyling.source_photo_id).where(Restyling.result_photo_id == photo_id)
    row = session.execute(statement).first()
    return None if row is None else (row[0], row[1])


def same_bytes(sha256: bytes) -> ColumnElement[bool]:
    """Return the condition that a row is a photo with these bytes that can be found."""
    return (Photo.content_sha256 == sha256) & is_photo() & SHOWN


def copies_of(session: Session, photo_id: int, sha256: bytes | None) -> list[tuple[int, PictureFile]]:
    """Return the ids and files of other photos with the same bytes, the first known first, at most COPIES_LISTED."""
    if sha256 is None:
        return []
    columns = (Photo.path, Photo.member, Photo.content_sha256, Photo.size_bytes, Photo.mtime_ns, Photo.state, Photo.id)
    statement = select(*columns).where(same_bytes(sha256), Photo.id != photo_id).order_by(Photo.id).limit(COPIES_LISTED)
    found = [(row[6], file_of(row)) for row in session.execute(statement)]
    return [(copy_id, file) for copy_id, file in found if file is not None]


def photos_of_hotel(session: Session, hotel_id: int, first: int, count: int) -> tuple[list[int], int]:
    """Return ids of a hotel's photos that can be found, from place `first` on in the order of ids, and how many all."""
    meant = (Photo.hotel_id == hotel_id, Photo.state == PhotoState.EMBEDDED)
    ids = session.scalars(select(Photo.id).where(*meant).order_by(Photo.id).offset(first).limit(count))
    return list(ids), session.scalar(select(func.count()).select_from(Photo).where(*meant)) or 0


@dataclass(frozen=True, kw_only=True, slots=True)
class HotelDetails:
    """A hotel's names and place, in degrees, and how many of its photos can be found."""

    hotel_id: int
    hotel_name: str | None
    chain_name: str | None
    latitude: float | None
    longitude: float | None
    photos: int


def hotel_details(session: Session, hotel_id: int) -> HotelDetails | None:
    """Return what is known of a hotel; None where there is none of this number."""
    statement = select(Hotel, Chain.name).outerjoin(Chain, Hotel.chain_id == Chain.id).where(Hotel.id == hotel_id)
    row = session.execute(statement).first()
    if row is None:
        return None
    hotel = row[0]
    return HotelDetails(
        hotel_id=hotel.id,
        hotel_name=hotel.name,
        chain_name=row[1],
        latitude=hotel.latitude,
        longitude=hotel.longitude,
        photos=photos_of_hotel(session, hotel_id, 0, 0)[1],
    )
