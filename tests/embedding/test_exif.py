"""What cameras say: read from every format, and never at the price of the photo."""

import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from embedding.decode import decode, read_camera
from embedding.exif import (
    DATE_CHANGED,
    DATE_DIGITIZED,
    DATE_TAKEN,
    EXIF_IFD,
    GPS_IFD,
    SILENT,
    Camera,
    place_of,
    wall_time,
)
from tests.conftest import FakeEncoder, photo_bytes
from tests.embedding.conftest import chunk, encoded

# As embedding.decode has it, but for pytest, which takes every warning for an error.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

SYDNEY = {1: "S", 2: (33.0, 51.0, 24.0), 3: "E", 4: (151.0, 12.0, 36.0)}
TAKEN, SAID = datetime(2019, 5, 17, 18, 3, 59), "2019:05:17 18:03:59"


def exif_block(gps: dict[int, Any] | None = None, **dates: str) -> bytes:
    """Return an EXIF block with these dates: taken, digitized, changed."""
    exif = Image.Exif()
    if "changed" in dates:
        exif[DATE_CHANGED] = dates["changed"]
    for name, tag in (("taken", DATE_TAKEN), ("digitized", DATE_DIGITIZED)):
        if name in dates:
            exif.get_ifd(EXIF_IFD)[tag] = dates[name]
    if gps:
        exif.get_ifd(GPS_IFD).update(gps)
    return exif.tobytes()


def photo_with(block: bytes, file_format: str = "JPEG") -> bytes:
    return encoded(Image.open(io.BytesIO(photo_bytes(1))), file_format, exif=block)


def both_ways(data: bytes) -> Camera:
    """Return what is read while the pixels are decoded, once the header alone gives the same."""
    camera = decode(data, FakeEncoder.preprocessing).camera
    assert read_camera(data) == camera
    return camera


@pytest.mark.parametrize("file_format", ["JPEG", "MPO", "PNG", "TIFF", "WEBP", "AVIF"])
def test_every_format_that_cameras_write_tells_its_date_and_place(file_format: str) -> None:
    camera = both_ways(photo_with(exif_block(SYDNEY, taken=SAID), file_format))
    assert camera.taken_at == TAKEN
    assert (camera.latitude, camera.longitude) == pytest.approx((-33.8566667, 151.21))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "TGA", "JPEG2000"])
def test_photos_without_a_block_tell_nothing(file_format: str) -> None:
    assert both_ways(photo_bytes(1, file_format=file_format)) == SILENT


@pytest.mark.parametrize(
    ("dates", "taken"),
    [
        ({"taken": SAID, "digitized": "2020:01:01 00:00:00", "changed": "2021:01:01 00:00:00"}, TAKEN),
        ({"digitized": SAID, "changed": "2021:01:01 00:00:00"}, TAKEN),
        ({"changed": SAID}, TAKEN),
        ({"taken": "0000:00:00 00:00:00", "digitized": SAID}, TAKEN),
        ({"taken": "    :  :     :  :  ", "changed": SAID}, TAKEN),
        ({"taken": "2019:02:30 10:00:00"}, None),
    ],
)
def test_the_date_is_the_first_that_can_be(dates: dict[str, str], taken: datetime | None) -> None:
    assert both_ways(photo_with(exif_block(**dates))).taken_at == taken


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (SAID, TAKEN),
        (f"{SAID}\0\0", TAKEN),
        (SAID.encode(), TAKEN),
        ("2019-05-17T18:03:59.25+09:00", TAKEN),  # the clock's own hour stays
        ("2019:05:17 18:03", TAKEN.replace(second=0)),
        ("1:1:1 1:1:1", None),
        ("0001:01:01 00:00:00", None),
        ("2019:13:01 00:00:00", None),
        ("2019:05:17 25:00:00", None),
        ("", None),
        (None, None),
        (7, None),
        ((1, 2), None),
        (b"\xff\xfe", None),
    ],
)
def test_dates_as_programs_write_them(written: Any, read: datetime | None) -> None:
    assert wall_time(written) == read


@pytest.mark.parametrize(
    "change",
    [
        {2: (91.0, 0.0, 0.0)},
        {4: (180.0, 0.0, 1.0)},
        {2: (float("nan"), 0.0, 0.0)},
        {2: (IFDRational(1, 0), 0.0, 0.0)},
        {2: (-33.0, 51.0, 24.0)},
        {2: ()},
        {2: 33.0},
        {1: None},
        {1: "X"},
        {3: b"\xff"},
        {9: "V"},  # no fix
        {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
    ],
)
def test_places_that_cannot_be_are_none(change: dict[int, Any]) -> None:
    assert place_of(SYDNEY) is not None
    assert place_of({tag: value for tag, value in (SYDNEY | change).items() if value is not None}) is None


@pytest.mark.parametrize("written", [(33.5,), (33, 30.0), (IFDRational(67, 2), 0, 0), [33, 30, 0]])
def test_degrees_may_come_with_or_without_minutes_and_seconds(written: Any) -> None:
    assert place_of(SYDNEY | {1: b"n\0", 2: written}) == pytest.approx((33.5, 151.21))


@given(
    half=st.sampled_from(["N", "S"]),
    parts=st.tuples(st.integers(0, 89), st.integers(0, 59), st.integers(0, 5999)),
)
def test_degrees_are_put_together(half: str, parts: tuple[int, int, int]) -> None:
    whole, minutes, hundredths = parts
    found = place_of(SYDNEY | {1: half, 2: (whole, minutes, IFDRational(hundredths, 100))})
    assert abs(found[0]) == pytest.approx(whole + minutes / 60 + hundredths / 360_000)
    assert (found[0] <= 0) if half == "S" else (found[0] >= 0)


@given(block=st.binary(max_size=200))
def test_no_block_harms_its_photo(block: bytes) -> None:
    whole = exif_block(SYDNEY, taken=SAID)
    for exif in (b"Exif\0\0" + block, whole[: len(block)], whole[: 10 + len(block) // 2] + block):
        data = photo_with(exif)
        assert decode(data, FakeEncoder.preprocessing).facts.width_px in (96, 64)
        assert isinstance(read_camera(data), Camera)


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "loops": lambda block: block.replace(bytes([0x87, 0x69]), bytes([0x88, 0x25])),
    "many": lambda block: block[:14] + b"\xff\xff" + block[16:],
    "far": lambda block: block[:10] + b"\xff\xff\xff\xf0" + block[14:],
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_damaged_blocks_say_nothing_wrong(damage: str, file_format: str) -> None:
    data = photo_with(DAMAGED[damage](exif_block(SYDNEY, taken=SAID)), file_format)
    decoded = decode(data, FakeEncoder.preprocessing)
    assert decoded.facts.format == file_format
    assert decoded.camera.taken_at in (None, TAKEN)


def test_a_block_behind_a_png_s_pixels_is_read() -> None:
    data = photo_bytes(1, file_format="PNG")
    block = chunk(b"eXIf", exif_block(taken=SAID).removeprefix(b"Exif\0\0"))
    assert both_ways(data[:-12] + block + data[-12:]).taken_at == TAKEN


def test_the_header_of_no_photo_says_nothing() -> None:
    for data in (b"", b"no photo", photo_bytes(1)[:30], photo_bytes(1, file_format="PNG")[:60]):
        assert read_camera(data) == SILENT
