"""Photos whose pixels are sound, in files that Pillow alone refuses or reads wrongly."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from embedding.decode import decode, decode_to_fit
from embedding.mending import readable_png
from tests.conftest import photo_bytes
from tests.embedding.conftest import SQUARE_32, chunk, encoded, refusal, smooth
from tests.photo_files import tiff

PHOTO = smooth(96, 64)
PIXELS = np.asarray(PHOTO)
GREY = np.asarray(PHOTO.convert("L"))


def shown(data: bytes) -> np.ndarray:
    assert decode(data, SQUARE_32).facts.width_px == 96
    return np.asarray(decode_to_fit(data, (96, 96))).astype(int)


# PNG: metadata


def with_chunks(data: bytes, before: bytes, behind: bytes = b"") -> bytes:
    """Return a PNG with chunks before its pixels and behind them."""
    pixels = data.index(b"IDAT") - 4
    return data[:pixels] + before + data[pixels:-12] + behind + data[-12:]


HUGE = zlib.compress(bytes(3_000_000))
ODD_CHUNKS = {
    "zTXt grows huge": chunk(b"zTXt", b"comment\0\0" + HUGE),
    "iTXt grows huge": chunk(b"iTXt", b"comment\0\1\0\0\0" + HUGE),
    "XMP grows huge": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + HUGE),
    "profile grows huge": chunk(b"iCCP", b"name\0\0" + HUGE),
    "profile of an unknown method": chunk(b"iCCP", b"name\0\1" + HUGE),
    "text of an unknown method": chunk(b"zTXt", b"comment\0\5text"),
    "texts without end": chunk(b"tEXt", b"a\0" + bytes(900_000)) * 75,
    "text with a wrong checksum": chunk(b"tEXt", b"a\0b", checksum=1),
    "unknown with a wrong checksum": chunk(b"abCd", b"", checksum=1),
    "short gamma": chunk(b"gAMA", b"x"),
    "short white point": chunk(b"cHRM", b"x"),
    "short resolution": chunk(b"pHYs", b"x"),
    "short intent": chunk(b"sRGB", b""),
}


@pytest.mark.parametrize("odd", ODD_CHUNKS.values(), ids=ODD_CHUNKS)
def test_metadata_fail_no_png(odd: bytes) -> None:
    data = encoded(PHOTO, "PNG")
    assert np.array_equal(shown(with_chunks(data, odd)), PIXELS)
    assert np.array_equal(shown(with_chunks(data, b"", odd)), PIXELS)


def test_what_a_png_says_beside_odd_metadata_is_kept() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    data = with_chunks(encoded(PHOTO, "PNG", exif=turned), ODD_CHUNKS["zTXt grows huge"])
    facts = decode(data, SQUARE_32).facts
    assert (facts.width_px, facts.height_px) == (64, 96)


@pytest.mark.parametrize("odd", [b"", chunk(b"tEXt", b"comment\0text"), chunk(b"abCd", b"private"), b"trailing"])
def test_a_png_without_odd_metadata_is_not_copied(odd: bytes) -> None:
    data = with_chunks(encoded(PHOTO, "PNG"), b"", odd) if odd != b"trailing" else encoded(PHOTO, "PNG") + odd
    assert readable_png(data) is data


def test_a_png_whose_pixels_have_a_wrong_size_is_refused_whatever_else_it_holds() -> None:
    data = with_chunks(encoded(PHOTO, "PNG"), ODD_CHUNKS["zTXt grows huge"])
    assert refusal(data[: data.index(b"IDAT") + 100]).kind == "truncated"


def test_a_png_without_its_end_is_whole() -> None:
    assert np.array_equal(shown(encoded(PHOTO, "PNG")[:-12]), PIXELS)


# JPEG: the end

JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "without subsampling": {"subsampling": 0, "quality": 95},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("lost_bytes", [1, 2])
def test_a_jpeg_that_lacks_its_end_alone_is_whole(options: dict, mode: str, lost_bytes: int) -> None:
    data = encoded(PHOTO.convert(mode), "JPEG", **options)
    assert np.array_equal(shown(data[:-lost_bytes]), shown(data))


def test_a_large_jpeg_that_lacks_its_end_is_whole() -> None:
    data = encoded(smooth(1600, 1200), "JPEG")
    assert np.array_equal(decode(data[:-2], SQUARE_32).pixels, decode(data, SQUARE_32).pixels)


def test_a_jpeg_with_a_thumbnail_that_lacks_its_end_is_whole() -> None:
    small = encoded(smooth(32, 24), "JPEG")
    data = encoded(PHOTO, "JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + data[2:]
    assert np.array_equal(shown(data[:-2]), shown(data))


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("lost_bytes", [12, 40, 300])
def test_a_jpeg_that_lacks_pixels_is_refused(options: dict, lost_bytes: int) -> None:
    assert refusal(encoded(PHOTO, "JPEG", **options)[:-lost_bytes]).kind == "truncated"


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_jpeg_cut_between_two_restarts_is_refused(place: float) -> None:
    data = encoded(smooth(96, 320), "JPEG", restart_marker_rows=1)
    marks = [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    assert refusal(data[: marks[int(place * len(marks))]]).kind == "truncated"


def test_a_jpeg_with_something_behind_its_end_is_read() -> None:
    data = photo_bytes(1)
    assert np.array_equal(shown(data + b"\0" * 100), shown(data))


# TIFF: planes and byte orders


def deep(values: np.ndarray, dtype: str) -> np.ndarray:
    return values.astype(dtype) * np.dtype(dtype).type(np.iinfo(dtype).max // 255)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("extra", [(), ("unassalpha",), ("assocalpha",), ("unspecified",)])
def test_planes_of_their_own_make_one_picture(
    dtype: str, byteorder: str, tile: tuple[int, int] | None, compression: str | None, extra: tuple[str, ...]
) -> None:
    planes = np.concatenate([PIXELS, np.full((64, 96, len(extra)), 255, np.uint8)], axis=2)
    data = tiff(
        np.moveaxis(deep(planes, dtype), 2, 0),
        photometric="rgb",
        planarconfig="separate",
        extrasamples=extra,
        byteorder=byteorder,
        tile=tile,
        compression=compression,
    )
    if extra == ("unspecified",) and (dtype, compression) == ("u1", None):
        assert refusal(data).kind == "not an image"  # by Pillow, which says so
    else:
        assert np.array_equal(shown(data), PIXELS)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_planes_of_ink_make_one_picture(dtype: str) -> None:
    inks = np.asarray(PHOTO.convert("CMYK"))
    data = tiff(np.moveaxis(deep(inks, dtype), 2, 0), photometric="separated", planarconfig="separate")
    assert np.abs(shown(data) - PIXELS).max() <= 1


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_single_plane_is_a_picture(photometric: str, dtype: str) -> None:
    values = deep(255 - GREY if photometric == "miniswhite" else GREY, dtype)
    data = bytearray(tiff(values, photometric=photometric, byteorder="<"))
    one_after_the_other = data.index(struct.pack("<HHI", 282, 5, 1))  # a resolution, which nobody needs
    data[one_after_the_other : one_after_the_other + 12] = struct.pack("<HHII", 284, 3, 1, 2)
    assert np.array_equal(shown(bytes(data))[:, :, 0], GREY)


def test_a_plane_beside_grey_is_passed_over_or_refused() -> None:
    for dtype, compression in (("u1", None), ("u1", "zlib"), ("u2", None), ("u2", "zlib")):
        planes = deep(np.stack([GREY, 255 - GREY]), dtype)
        data = tiff(
            planes,
            photometric="minisblack",
            planarconfig="separate",
            extrasamples=["unspecified"],
            compression=compression,
            byteorder="<",
        )
        if (dtype, compression) == ("u1", None):
            assert refusal(data).kind == "not an image"
        else:
            assert np.array_equal(shown(data)[:, :, 0], GREY)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_that_pillow_mixes_up_are_refused(compression: str | None) -> None:
    grey_and_alpha = np.stack([GREY, np.full_like(GREY, 255)])
    options = {"planarconfig": "separate", "compression": compression}
    for data in (
        tiff(grey_and_alpha, photometric="minisblack", extrasamples=["unassalpha"], **options),
        tiff(np.moveaxis(PIXELS, 2, 0), photometric="cielab", **options),
    ):
        error = refusal(data)
        assert error.kind == "unsupported"
        assert "save it as PNG" in error.reason


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["i2", "i4", "f4"])
def test_numbers_have_their_byte_order(dtype: str, byteorder: str, compression: str | None) -> None:
    ramp = np.tile(np.linspace(-30_000, 30_000, 96), (64, 1)).astype(dtype)
    row = shown(tiff(ramp, photometric="minisblack", byteorder=byteorder, compression=compression))[0, :, 0]
    assert (row[0], row[-1]) == (0, 255)
    assert (np.diff(row) > 0).all()
