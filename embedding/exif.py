"""When and where a camera says that a photo was taken: its EXIF block, which may hold anything. Decodes no pixels.

Source: CIPA DC-008, "Exchangeable image file format for digital still cameras: Exif Version 2.32", 4.6.5 and 4.6.6.
"""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from PIL import Image

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
DATE_TAKEN, DATE_DIGITIZED = 0x9003, 0x9004  # of EXIF's block
DATE_CHANGED = 0x0132  # of the first one
ORIENTATION = 0x0112  # of the first one: 1 is upright, 2 to 8 are turned or mirrored
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, STATUS = 1, 2, 3, 4, 9
NO_FIX = "V"  # the status of a receiver that did not know where it was
WRITTEN = re.compile(r"(\d{4})[:/.-](\d{1,2})[:/.-](\d{1,2})[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?", re.ASCII)
EARLIEST = 1826  # the year of the oldest photo that there is: clocks that were never set, and fields of zeros, say less
MOST_EXIF_BYTES = 1 << 22  # JPEG's has at most 64 KiB, several of them more; each number becomes an object
EXIF_CHUNK = b"eXIf"  # of a PNG


@dataclass(frozen=True, slots=True)
class Camera:
    """What a camera says of a photo; None where it says nothing, or nothing that can be.

    taken_at: the wall clock where it was taken, whatever the zone. latitude, longitude: degrees, both or none.
    """

    taken_at: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"taken_at": self.taken_at and self.taken_at.isoformat()}

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Self:
        """Return what `record` gave."""
        return cls(**record | {"taken_at": record["taken_at"] and datetime.fromisoformat(record["taken_at"])})


SILENT = Camera()


def camera_of(image: Image.Image) -> Camera:
    """Return what the camera says of an opened image. Of a PNG only once its pixels are decoded, as Pillow wants it."""
    return camera_by(lambda: exif_of(image))


def exif_of(image: Image.Image) -> Image.Exif:
    """Return an image's EXIF block; an empty one in place of what is larger than any camera writes."""
    block = image.info.get("exif") or b""
    return Image.Exif() if len(block) > MOST_EXIF_BYTES else image.getexif()


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, where the EXIF block is damaged, which is no fault of the pixels.

    To be asked after the pixels are there: Pillow turns a TIFF upright itself and then drops the tag.
    """
    try:
        orientation = int(exif_of(image).get(ORIENTATION, 1))
    except Exception:  # Pillow raises nearly every built-in exception on a damaged block
        return 1
    return orientation if orientation in range(2, 9) else 1


def camera_by(read: Callable[[], Image.Exif]) -> Camera:
    """Return what the camera says in an EXIF block that is to be read; nothing where that is damaged."""
    try:
        exif = read()
        if not exif:
            return SILENT
        place = place_of(dict(exif.get_ifd(GPS_IFD))) or (None, None)
        own = exif.get_ifd(EXIF_IFD)
        dates = (own.get(DATE_TAKEN), own.get(DATE_DIGITIZED), exif.get(DATE_CHANGED))
        return Camera(next(filter(None, map(wall_time, dates)), None), *place)
    except Exception:  # Pillow raises nearly every built-in one on a damaged block, which is no fault of the photo
        return SILENT


def says_nothing(image_format: str | None, data: bytes) -> bool:
    """Tell whether a file holds no EXIF block that is worth decoding its pixels for."""
    return image_format == "PNG" and EXIF_CHUNK not in data


def wall_time(written: Any) -> datetime | None:
    """Return a date as EXIF writes it, `2019:05:17 18:03:59`, or None for one that cannot be.

    Its time zone, where EXIF has one, is left out: photos of May are those of May where they were taken.
    """
    match = WRITTEN.match(text_of(written))
    if match is None or int(match[1]) < EARLIEST:
        return None
    with suppress(ValueError):
        return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]
    return None


def place_of(gps: dict[int, Any]) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees, or None where the receiver knew none, or one that cannot be.

    The point 0, 0 lies in the sea, and is what receivers without a fix write.
    """
    if text_of(gps.get(STATUS)).upper() == NO_FIX:
        return None
    latitude = degrees(gps.get(LATITUDE), gps.get(LATITUDE_REF), "NS", 90)
    longitude = degrees(gps.get(LONGITUDE), gps.get(LONGITUDE_REF), "EW", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    return latitude, longitude


def degrees(written: Any, half: Any, halves: str, most: int) -> float | None:
    """Return degrees, minutes and seconds as degrees, below 0 in the second of two halves of the earth; or None."""
    side = text_of(half).upper()[:1]
    if not isinstance(written, tuple | list) or not 1 <= len(written) <= 3 or not side or side not in halves:
        return None
    parts: list[float] = [float(part) for part in written]
    whole = sum(part / 60**place for place, part in enumerate(parts))
    if not (math.isfinite(whole) and all(part >= 0 for part in parts) and whole <= most):
        return None
    return float(-whole if side == halves[1] else whole)


def text_of(written: Any) -> str:
    """Return what a field holds as text, without the zeros and spaces that fill it up."""
    text = written.decode("ascii", "replace") if isinstance(written, bytes) else str(written or "")
    return text.strip("\0 \t\r\n")
