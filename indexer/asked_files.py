"""What files say of photos that have vectors, and were not asked before: imported ones, and those of earlier versions.

Decodes no pixels, embeds nothing.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from sqlalchemy.orm import Session

from base.errors import PhotoError
from base.files import PhotoFile
from base.progress import Progress, Step
from db.models import Photo, PhotoState
from db.photo_rows import mark_columns_changed, pages, photos_by_id, update_photos
from embedding.decode import DECODE_THREADS, camera_at, read_camera, read_header
from embedding.exif import Camera
from indexer.own_words import TABLE

CAMERA = "camera"  # who says something of a photo, beside a table and a folder


def camera_columns(photo: Photo, camera: Camera) -> dict[str, Any]:
    """Return what the camera says of a photo's bytes as columns, all that no table has said."""
    columns: dict[str, Any] = {"exif_read": True}
    if photo.date_from != TABLE:
        columns |= {"dated_at": camera.taken_at, "date_from": CAMERA if camera.taken_at else None}
    if photo.place_from != TABLE:
        columns |= {"latitude": camera.latitude, "longitude": camera.longitude}
        columns["place_from"] = None if camera.latitude is None else CAMERA
    return columns


def is_unasked(photo: Photo) -> bool:
    """Tell whether a photo has a vector, and its file still knows more of it.

    Its vector was imported, so that nobody has read it; or an earlier version embedded it, which did not ask its
    camera: Hotels-50K's have none.
    """
    if photo.state is not PhotoState.EMBEDDED or was_never_here(photo):
        return False
    return photo.content_sha256 is None or (photo.exif_read is None and photo.image_id is None)


def was_never_here(photo: Photo) -> bool:
    """Tell whether a photo can be found by a vector that was imported, and never had a file at its place."""
    return photo.state is PhotoState.EMBEDDED and photo.size_bytes is None


def asked_columns(photo: Photo) -> dict[str, Any]:
    """Return what a photo's file says of it besides what is known: what its camera does, of one never read all.

    Nothing where it cannot be read.
    """
    file = PhotoFile(photo.path, photo.member)
    with suppress(OSError, PhotoError):
        if photo.content_sha256 is not None:
            return camera_columns(photo, camera_at(file))
        with file.lent() as data:
            header, sha256 = read_header(data), hashlib.sha256(data).digest()
            facts = {name: getattr(header, name) for name in ("width_px", "height_px", "format")}
            return camera_columns(photo, header.camera or read_camera(data)) | facts | {"content_sha256": sha256}
    return {}


def ask_files(session: Session, photo_ids: Sequence[int], progress: Progress) -> None:
    """Read what files say of photos that have vectors, once; one that cannot be read is asked again the next time."""
    done = 0
    with ThreadPoolExecutor(DECODE_THREADS, "headers") as pool:
        for page in pages(list(photo_ids)):
            photos = [photo for photo in photos_by_id(session, page) if is_unasked(photo)]
            found = list(zip(photos, pool.map(asked_columns, photos), strict=True))
            update_photos(session, [{"id": photo.id} | columns for photo, columns in found if columns])
            if any(says_more(photo, columns) for photo, columns in found):
                mark_columns_changed(session)
            session.commit()
            done += len(page)
            progress(Step("reading dates and places", done, len(photo_ids)))


def says_more(photo: Photo, columns: dict[str, Any]) -> bool:
    """Tell whether a file says more of a photo than that it was asked."""
    return any(value != getattr(photo, name) for name, value in columns.items() if name != "exif_read")
