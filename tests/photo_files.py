"""Photos in the formats of phones and cameras, made up: HEIC, JPEG XL, and a DNG, which is a camera's raw file.

Source: Adobe's Digital Negative 1.7.1, chapter 4; TIFF 6.0, section 2.
"""

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image


def heic(picture: Image.Image, **options: Any) -> bytes:
    """Return a picture as HEIC; `options` go to pillow-heif."""
    import pillow_heif

    data = io.BytesIO()
    pillow_heif.from_pillow(picture).save(data, **options)
    return data.getvalue()


def tiff(values: np.ndarray, **options: object) -> bytes:
    """Return values as a TIFF; `options` go to tifffile."""
    data = io.BytesIO()
    tifffile.imwrite(data, values, **options)
    return data.getvalue()


def jxl(picture: Image.Image, **options: Any) -> bytes:
    """Return a picture as JPEG XL; `options` go to the plug-in."""
    plugin = pytest.importorskip("pillow_jxl.JpegXLImagePlugin", reason="JPEG XL needs the extra `formats`")
    data = io.BytesIO()
    picture.encoderinfo = {"effort": 1} | options  # type: ignore[attr-defined]
    plugin._save(picture, data, "")
    return data.getvalue()


SHORT, LONG, ASCII, BYTE, RATIONAL = 3, 4, 2, 1, 10
Field = tuple[int, bytes]  # a type, and the values


def dng(scene: Image.Image, preview: bytes = b"", *, orientation: int = 1, taken: str = "2023:05:17 18:03:59") -> bytes:
    """Return a DNG of a scene, 16 bits a pixel of a mosaic RGGB, with a preview (JPEG) if there is any."""
    rgb = (np.asarray(scene.convert("RGB")).astype(float) / 255) ** 2.2 * 60_000
    mosaic = rgb[:, :, 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = rgb[::2, ::2, 0], rgb[1::2, 1::2, 2]
    pixels = mosaic.astype("<u2").tobytes()
    stamp = Image.new("RGB", (16, 12)).tobytes()
    height, width = mosaic.shape
    at_stamp = 8 + len(preview)  # the mosaic is the last
    at_mosaic = at_stamp + len(stamp)
    sensor = {
        0xFE: numbers(LONG, 0),
        **size(width, height, 16, 32803, 1, at_mosaic, len(pixels)),
        0x828D: numbers(SHORT, 2, 2),
        0x828E: (BYTE, bytes((0, 1, 1, 2))),
        0xC61A: numbers(LONG, 0),
        0xC61D: numbers(LONG, 60_000),
    }
    seen = {}
    if preview:
        with Image.open(io.BytesIO(preview)) as image:
            seen = {0xFE: numbers(LONG, 1), **size(*image.size, 8, 6, 7, 8, len(preview), samples=3)}
    below = [directory for directory in (sensor, seen) if directory]
    first = {
        0xFE: numbers(LONG, 1),
        **size(16, 12, 8, 2, 1, at_stamp, len(stamp), samples=3),
        0x10F: (ASCII, b"Maker\0"),
        0x110: (ASCII, b"Camera\0"),
        0x112: numbers(SHORT, orientation),
        0x132: (ASCII, taken.encode() + b"\0"),
        0x14A: (LONG, b"\0" * 4 * len(below)),
        0xC612: (BYTE, bytes((1, 4, 0, 0))),
        0xC614: (ASCII, b"Maker Camera\0"),
        0xC621: (RATIONAL, struct.pack("<18i", *(n for row in XYZ_TO_CAMERA for n in (row, 10_000)))),
        0xC628: (5, struct.pack("<6I", *(1, 1) * 3)),
    }
    return file_of(first, below, preview + stamp + pixels)


XYZ_TO_CAMERA = (32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572)  # of sRGB, in ten thousandths


def numbers(kind: int, *values: int) -> Field:
    """Return a field of whole numbers."""
    return kind, struct.pack(f"<{len(values)}{'H' if kind == SHORT else 'I'}", *values)


def size(
    width: int, height: int, bits: int, photometric: int, compression: int, at: int, size_bytes: int, samples: int = 1
) -> dict[int, Field]:
    """Return the fields that say how the pixels of a directory lie."""
    return {
        0x100: numbers(LONG, width),
        0x101: numbers(LONG, height),
        0x102: numbers(SHORT, *(bits,) * samples),
        0x103: numbers(SHORT, compression),
        0x106: numbers(SHORT, photometric),
        0x111: numbers(LONG, at),
        0x115: numbers(SHORT, samples),
        0x116: numbers(LONG, height),
        0x117: numbers(LONG, size_bytes),
        0x11C: numbers(SHORT, 1),
    }


def file_of(first: dict[int, Field], below: list[dict[int, Field]], body: bytes) -> bytes:
    """Return the file: its directories, and the body, in which places were counted as if it came first."""
    shift = sum(len(packed(directory, 0)) for directory in (first, *below))
    directories, starts = b"", []
    for directory in below:
        starts.append(8 + len(directories))
        directories += packed(moved(directory, shift), starts[-1])
    place = 8 + len(directories)
    first = moved(first, shift) | {0x14A: numbers(LONG, *starts)}
    return b"II*\0" + struct.pack("<I", place) + directories + packed(first, place) + body


def moved(directory: Mapping[int, Field], shift: int) -> dict[int, Field]:
    """Return a directory whose pixels lie further back."""
    (at,) = struct.unpack("<I", directory[0x111][1])
    return dict(directory) | {0x111: numbers(LONG, at + shift)}


def packed(directory: Mapping[int, Field], place: int) -> bytes:
    """Return a directory as it lies at a place."""
    sizes = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, 5: 8, RATIONAL: 8}
    table, extra = struct.pack("<H", len(directory)), b""
    behind = place + 2 + 12 * len(directory) + 4
    for tag, (kind, data) in sorted(directory.items()):
        value = data.ljust(4, b"\0")
        if len(data) > 4:
            value = struct.pack("<I", behind + len(extra))
            extra += data + b"\0" * (len(data) % 2)
        table += struct.pack("<HHI", tag, kind, len(data) // sizes[kind]) + value
    return table + b"\0\0\0\0" + extra
