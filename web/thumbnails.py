"""Photos' pictures for a browser: upright, small, and those of the bytes that the library knows. Knows no requests."""

import base64
import hashlib
import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

import anyio
import anyio.to_thread

from base.errors import AliensError, PhotoError
from base.files import PhotoFile
from base.urls import url_of
from web.thumbnail_store import ThumbnailStore

if TYPE_CHECKING:
    from PIL import Image

    from aliens.picture_methods import PictureFile

View = Literal["plain", "protan"]
Find = Callable[[], "PictureFile | None"]
WIDTHS_PX = (480, 960, 1600, 3200)  # the last for zooming into photos of cameras
TALLEST = 4  # times the width: 12,800 px at most, where WebP ends at 16,383
AS_IT_IS_BYTES = 40_000  # a JPEG of no more is sent as it lies there
QUALITY, METHOD = 80, 2  # of WebP
PLACEHOLDER_PX = 100  # what a placeholder is made of
LOOKERS, RENDERERS = 4, 2  # threads that look photos up, and that make pictures
MOST_WAITING = 400  # pictures asked for at a time: a screen of several windows


class NoPicture(AliensError):
    """There is no picture of a photo: it is unknown, gone, another one by now, or cannot be read."""

    status = 404


class PicturesBusy(AliensError):
    """More pictures are asked for than can be made soon."""

    status = 503


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyPicture:
    """A picture ready to be sent. etag: tells it from every other. version: tells the photo's bytes from others.

    data: None where the client has it.
    """

    data: bytes | None
    media_type: str
    etag: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A photo's file. unchanged: by its size and time it is the one that was added; else its bytes have to be read."""

    file: "PictureFile"
    unchanged: bool


class Thumbnails:
    """Makes pictures in threads of its own, so that searches do not wait for them, and keeps them."""

    def __init__(self, store: ThumbnailStore) -> None:
        self.store = store
        self._looking: anyio.CapacityLimiter | None = None
        self._rendering: anyio.CapacityLimiter | None = None
        self._protan = threading.Lock()  # it takes all cores for itself

    def close(self) -> None:
        """Let go of the file of thumbnails."""
        self.store.close()

    async def picture(self, find: Find, width_px: int, view: View = "plain", known_etags: str = "") -> ReadyPicture:
        """Return a picture at most so wide, upright, of the next larger of WIDTHS_PX.

        `find` gives the photo's file, in a thread. The picture has no data where it is one of `known_etags`.

        Raises: NoPicture, PicturesBusy.
        """
        if self._looking is None or self._rendering is None:
            self._looking, self._rendering = anyio.CapacityLimiter(LOOKERS), anyio.CapacityLimiter(RENDERERS)
        if self._rendering.statistics().tasks_waiting >= MOST_WAITING:
            raise PicturesBusy("too many pictures at once: ask again in a second")
        width_px = next((width for width in WIDTHS_PX if width >= width_px), WIDTHS_PX[-1])
        to_thread = anyio.to_thread.run_sync
        found = await to_thread(self._at_hand, find, width_px, view, known_etags, limiter=self._looking)
        if isinstance(found, Found):
            return await to_thread(self._made, found, width_px, view, limiter=self._rendering)
        return found

    def _at_hand(self, find: Find, width_px: int, view: View, known_etags: str) -> "Found | ReadyPicture":
        """Return a picture that is kept or known, or what it can be made of."""
        found = looked_up(find())
        if not found.unchanged or found.file.sha256 is None:
            return found
        if etag_of(found.file.sha256, width_px, view) in known_etags:
            return made_picture(None, "", found.file.sha256, width_px, view)
        return self._kept(found.file.sha256, width_px, view) or found

    def _kept(self, sha256: bytes, width_px: int, view: View) -> ReadyPicture | None:
        data = self.store.get(sha256, width_px) if view == "plain" else None
        if data is None:
            return None
        return made_picture(data, "image/webp", sha256, width_px, view)

    def _made(self, found: Found, width_px: int, view: View) -> ReadyPicture:
        """Return a picture made of the photo's file, and keep it. Raises: NoPicture."""
        file = PhotoFile(found.file.path, found.file.member)
        try:
            with file.lent() as data:
                sha256 = hashlib.sha256(data).digest()
                if found.file.sha256 is not None and sha256 != found.file.sha256:
                    raise NoPicture(
                        "this photo's file is another one than the library knows: `aliens add` takes it in anew"
                    )
                if view == "protan":
                    with self._protan:
                        made = webp(seen_picture(data, width_px))
                    return made_picture(made, "image/webp", sha256, width_px, view)
                if kept := self._kept(sha256, width_px, view):
                    return kept
                if is_small_jpeg(data) and not file.is_remote:  # what is far is kept
                    if self.store.keeps and self.store.placeholder(sha256) is None:
                        self.store.put(sha256, 0, None, placeholder_of(fitting(data, PLACEHOLDER_PX)))
                    return made_picture(data, "image/jpeg", sha256, width_px, view)
                image = fitting(data, width_px)
        except OSError as error:
            raise NoPicture(
                f"this photo's file cannot be read now ({error.strerror or type(error).__name__}): is its disk there? "
                "`aliens add` notes what has vanished"
            ) from error
        except PhotoError as error:
            raise NoPicture(f"this photo cannot be shown: {error.reason}") from error
        made = webp(image)
        self.store.put(sha256, width_px, made, placeholder_of(image))
        return made_picture(made, "image/webp", sha256, width_px, view)

    def placeholder(self, sha256: bytes | None) -> str:
        """Return the ThumbHash of a photo's bytes in base64; empty where no picture of them was made yet."""
        found = None if sha256 is None else self.store.placeholder(sha256)
        return "" if found is None else base64.b64encode(found).decode()


def looked_up(file: "PictureFile | None") -> Found:
    """Return whether a photo's file is the one that was added, by its size and time. Raises: NoPicture: it is gone."""
    if file is None:
        raise NoPicture("there is no such photo: it was forgotten, or is not in a folder that was added")
    if url_of(file.path) is not None:  # its server is asked only where no picture of it is kept
        return Found(file=file, unchanged=True)
    try:
        stat = os.stat(file.path)
    except OSError as error:
        raise NoPicture(
            f"this photo's file is not there any more ({error.strerror}): `aliens add` notes what has vanished"
        ) from error
    same_size = bool(file.member) or stat.st_size == file.size_bytes
    return Found(file=file, unchanged=same_size and stat.st_mtime_ns == file.mtime_ns)


def etag_of(sha256: bytes, width_px: int, view: View) -> str:
    """Return what tells a picture from every other, as HTTP writes it."""
    return f'"{sha256.hex()[:32]}-{width_px}{"" if view == "plain" else f"-{view}"}"'


def version_of(sha256: bytes) -> str:
    """Return what tells a photo's bytes from others, as `Library.picture_versions` does."""
    return sha256.hex()[:16]


def made_picture(data: bytes | None, media_type: str, sha256: bytes, width_px: int, view: View) -> ReadyPicture:
    """Return a picture of the photo whose bytes have this hash."""
    etag = etag_of(sha256, width_px, view)
    return ReadyPicture(data=data, media_type=media_type, etag=etag, version=version_of(sha256))


def is_small_jpeg(data: bytes) -> bool:
    """Tell whether a photo needs no thumbnail: a whole, upright JPEG that browsers show, of few bytes."""
    from embedding.decode import JPEG_START, MAX_PIXELS, damage_as_photo_error, open_image
    from embedding.exif import orientation_of
    from embedding.mending import lacks_end

    if len(data) > AS_IT_IS_BYTES or not data.startswith(JPEG_START) or lacks_end(data):
        return False
    with damage_as_photo_error(), open_image(data, MAX_PIXELS) as image:
        upright = image.mode in ("RGB", "L") and orientation_of(image) == 1
        return upright and max(image.size) <= WIDTHS_PX[-1] and image.format == "JPEG"


def fitting(data: bytes, width_px: int) -> "Image.Image":
    """Return a photo upright in sRGB, at most so wide and TALLEST times so tall, never enlarged.

    Raises: PhotoError: as `embedding.decode.decode`.
    """
    from embedding.decode import decode_to_fit

    def box(size: tuple[int, int]) -> tuple[int, int]:
        scale = min(1.0, width_px / size[0], TALLEST * width_px / size[1])
        return ceil(scale * size[0]), ceil(scale * size[1])

    return decode_to_fit(data, box)


def seen_picture(data: bytes, width_px: int) -> "Image.Image":
    """Return a photo as a protanope sees it. Raises: PhotoError: as `fitting`."""
    import numpy as np
    from PIL import Image

    from restyle.protanopia import seen

    return Image.fromarray(seen(np.asarray(fitting(data, width_px))))


def webp(image: "Image.Image") -> bytes:
    """Return a picture as a file, with nothing of what the photo's file said besides."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=METHOD)
    return file.getvalue()


def placeholder_of(image: "Image.Image") -> bytes:
    """Return the ThumbHash of a picture: its colours in up to 25 bytes."""
    import numpy as np
    import thash

    small = image.copy()
    small.thumbnail((PLACEHOLDER_PX, PLACEHOLDER_PX))
    rgba = np.asarray(small.convert("RGBA")).reshape(-1)
    return bytes(thash.rgba_to_thumb_hash(small.width, small.height, rgba))
