"""What is known of a photo by program, and what people say of its tags."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, WithJsonSchema

from web.opened import Opened, Served
from web.pages.photo_views import tags_shown
from web.photo_numbers import PhotoNumber
from web.thumbnails import NoPicture, version_of

looking = APIRouter(tags=["photos"])

VocabularyName = Annotated[
    str | None, Query(max_length=255, description="its key or name; by default the one that was used last")
]
LocalTime = Annotated[  # of no time zone, so that it is no date-time of RFC 3339
    datetime, WithJsonSchema({"type": "string", "description": "by the clock where it was taken, as ISO 8601"})
]
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "There is no photo of this number (any more)."}}


class CaptionOfPhoto(BaseModel):
    """A caption. score: its cosine with the photo; null where a model wrote it. source: the key of its set."""

    text: str
    score: float | None
    source: str


class CopyOfPhoto(BaseModel):
    """Another photo with the same bytes."""

    photo_id: int
    path: str


class PhotoOut(BaseModel):
    """What is known of a photo.

    path: below the folder that was added, whose name leads it. version: tells its bytes from others; as `v` of its
    picture it may be kept for ever. date: by the clock where it was taken. date_from: table, camera, upload or file.
    latitude, longitude: degrees. place_from: table, camera or hotel.
    columns: what a list that was added says of it besides.
    """

    photo_id: int
    kind: str = Field(description="photo or restyled")
    path: str
    version: str
    width_px: int | None
    height_px: int | None
    size_bytes: int | None
    format: str | None
    grey: bool | None
    image_id: int | None
    source: str | None
    date: LocalTime | None
    date_from: str | None
    latitude: float | None
    longitude: float | None
    place_from: str | None
    hotel_id: int | None
    hotel_name: str | None
    chain_name: str | None
    columns: dict[str, Any]
    captions: list[CaptionOfPhoto]
    copies: list[CopyOfPhoto]


class TagOut(BaseModel):
    """A tag of a photo. has: whether the photo shows it; sure: surely, else likely. by_hand: what a person said."""

    tag: str
    has: bool
    sure: bool
    probability: float
    cosine: float
    by_hand: bool | None


class TagsOut(BaseModel):
    """A photo's tags of a vocabulary, those that it shows first."""

    photo_id: int
    vocabulary: str
    tags: list[TagOut]
    notes: list[str]


@looking.get("/photos/{photo_id}", responses=UNKNOWN)
async def photo_by_id(served: Served, photo_id: PhotoNumber) -> PhotoOut:
    """Return what is known of a photo."""
    sheet = await served.compute(served.library.sheet_of, photo_id)
    if sheet is None:
        raise unknown(photo_id)
    about = sheet.details
    known = {name: getattr(about, name) for name in PhotoOut.model_fields if hasattr(about, name)}
    known |= {"path": sheet.shown_path, "size_bytes": about.file.size_bytes, "source": about.image_source}
    return PhotoOut(
        version="" if about.file.sha256 is None else version_of(about.file.sha256),
        captions=[CaptionOfPhoto(text=text, score=score, source=key) for text, score, key in sheet.captions],
        copies=[CopyOfPhoto(photo_id=copy_id, path=path) for copy_id, path in sheet.copies],
        **known,
    )


@looking.get("/photos/{photo_id}/labels", responses=UNKNOWN)
async def labels_of_photo(served: Served, photo_id: PhotoNumber, vocabulary: VocabularyName = None) -> TagsOut:
    """Return a photo's tags, and what people said of them."""
    return await served.compute(tags_out, served, photo_id, vocabulary)


def tags_out(served: Opened, photo_id: int, vocabulary: str | None) -> TagsOut:
    """Return a photo's tags as they are sent. Raises: NoPicture, QueryError: no such photo, or no such vocabulary."""
    known_photo(served, photo_id)
    found = tags_shown(served.library, photo_id, vocabulary)
    tags = [TagOut.model_validate(tag, from_attributes=True) for tag in [*found.has, *found.others]]
    return TagsOut(photo_id=photo_id, vocabulary=found.vocabulary, tags=tags, notes=found.notes)


def known_photo(served: Opened, photo_id: int) -> None:
    """Raise NoPicture: there is no photo of this number."""
    if photo_id not in served.library.picture_facts([photo_id]):
        raise unknown(photo_id)


def unknown(photo_id: int) -> NoPicture:
    """Return the error for a photo that is not here."""
    return NoPicture(f"there is no photo {photo_id} here (any more): take one that a search shows")
