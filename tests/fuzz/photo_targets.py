"""Photos of every format: sound ones are drawn here, damaged ones are decoded or refused."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from base.errors import PhotoError
from embedding.decode import Preprocessing, decode, decode_to_fit, read_camera, read_header
from embedding.exif import ORIENTATION
from tests.fuzz.target import Target
from tests.photo_files import dng, heic, jxl

SIZE_PX = (48, 40)
MOST_PIXELS = 2_000_000
SQUARE = Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3)
PNG_START = b"\x89PNG\r\n\x1a\n"


def picture(mode: str = "RGB") -> Image.Image:
    """Return a small picture of smooth noise."""
    noise = np.random.default_rng(7).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    drawn = Image.fromarray(noise, "RGBA").resize(SIZE_PX, Image.Resampling.BILINEAR)
    if mode in ("I;16", "I", "F"):
        deep = np.asarray(drawn.convert("L")).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        return Image.fromarray(deep * 200)
    return drawn.convert("RGB").convert(mode) if mode != "RGBA" else drawn


def saved(file_format: str, mode: str = "RGB", **options: Any) -> bytes:
    """Return the picture as a file."""
    data = io.BytesIO()
    picture(mode).save(data, file_format, **options)
    return data.getvalue()


def exif() -> bytes:
    """Return an EXIF block with a camera, a date and a place."""
    said = Image.Exif()
    said[ORIENTATION], said[0x0132], said[0x010F] = 6, "2023:05:17 18:03:59", "Maker"
    said.get_ifd(0x8769).update({0x9003: "2023:05:17 18:03:59", 0x9286: b"ASCII\0\0\0words"})
    said.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    return said.tobytes()


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def tiffs() -> list[bytes]:
    """Return TIFFs of all the ways in which their pixels may lie."""
    packed = ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"]
    files = [saved("TIFF", compression=kind) for kind in packed]
    files += [saved("TIFF", "1", compression=kind) for kind in ("group3", "group4", "tiff_ccitt")]
    files += [saved("TIFF", mode, compression="tiff_lzw") for mode in ("L", "I;16", "F", "CMYK", "RGBA", "P", "LAB")]
    files.append(saved("TIFF", compression="tiff_lzw", tiffinfo={317: 2}, exif=exif(), icc_profile=PROFILE))
    return [*files, saved("TIFF", save_all=True, append_images=[picture("L")]), saved("TIFF", big_tiff=True)]


def jpegs() -> list[bytes]:
    """Return JPEGs: plain, progressive, grey, CMYK, with what phones write into them, and several in a file."""
    said = {"exif": exif(), "icc_profile": PROFILE, "comment": b"words", "dpi": (72, 72)}
    return [
        *(saved("JPEG", mode, quality=60) for mode in ("RGB", "L", "CMYK")),
        saved("JPEG", progressive=True, restart_marker_blocks=2),
        saved("JPEG", subsampling=0, **said),
        saved("MPO", save_all=True, append_images=[picture("RGB")]),
    ]


def pngs() -> list[bytes]:
    """Return PNGs of all depths, with what they may carry, and one that moves."""
    files = [saved("PNG", mode) for mode in ("RGB", "L", "1", "P", "LA", "RGBA", "I;16")]
    moving = saved("PNG", save_all=True, append_images=[picture("RGB").transpose(Image.Transpose.ROTATE_180)])
    return [*files, moving, saved("PNG", exif=exif(), icc_profile=PROFILE, dpi=(72, 72), transparency=(1, 2, 3))]


def with_checksums(data: bytes, rng: random.Random) -> bytes:
    """Return a PNG whose chunks mostly have the right checksums, behind which readers look no further."""
    if rng.random() < 0.2 or not data.startswith(PNG_START):
        return data
    parts, place = [PNG_START], len(PNG_START)
    while place + 8 <= len(data):
        (size_bytes,) = struct.unpack_from(">I", data, place)
        body = data[place + 4 : place + 8 + size_bytes]
        parts.append(data[place : place + 4] + body + struct.pack(">I", zlib.crc32(body)))
        place += 12 + size_bytes
    return b"".join(parts)


def webps() -> list[bytes]:
    """Return WebPs: with and without loss, clear, moving, and with what phones write into them."""
    moving = saved("WEBP", save_all=True, append_images=[picture("L")])
    said = {"exif": exif(), "icc_profile": PROFILE}
    return [saved("WEBP"), saved("WEBP", lossless=True), saved("WEBP", "RGBA", **said), moving]


def with_profile(profile: bytes, rng: random.Random) -> bytes:
    """Return a photo with a colour profile."""
    return saved(rng.choice(("JPEG", "PNG", "TIFF", "WEBP")), rng.choice(("RGB", "L")), icc_profile=profile[:60_000])


def with_exif(block: bytes, rng: random.Random) -> bytes:
    """Return a photo with an EXIF block."""
    return saved(rng.choice(("JPEG", "PNG", "WEBP")), exif=block[:60_000])


def feed_photo(data: bytes, folder: Path) -> None:
    """Do with a photo all that is done with photos."""
    refused = False
    for way in (read_header, partial(decode_to_fit, box=(32, 32), max_pixels=MOST_PIXELS), read_camera):
        try:
            way(data)
        except PhotoError as error:
            refused = True
            assert error.kind and error.reason
    photo = decode(data, SQUARE, MOST_PIXELS)
    assert photo.pixels.shape == (32, 32, 3) and photo.pixels.dtype == np.uint8
    assert 0 <= photo.facts.brightness <= 100
    assert photo.facts.width_px * photo.facts.height_px <= MOST_PIXELS
    assert not refused


def several(*ways: Callable[[], bytes]) -> Callable[[], Sequence[bytes]]:
    """Return what makes some files."""
    return lambda: [way() for way in ways]


def of_format(name: str, make: Callable[[], Sequence[bytes]], **options: Any) -> Target:
    """Return the target of a format."""
    return Target(f"photo {name}", make, feed_photo, refusals=(PhotoError,), **options)


PHOTO_TARGETS = [
    of_format("JPEG", jpegs),
    of_format("PNG", pngs, finish=with_checksums),
    of_format("WebP", webps),
    of_format(
        "GIF", several(partial(saved, "GIF", "P"), partial(saved, "GIF", save_all=True, append_images=[picture("L")]))
    ),
    of_format("TIFF", tiffs),
    of_format("BMP", lambda: [saved("BMP", mode) for mode in ("RGB", "L", "1", "P", "RGBA")]),
    of_format(
        "TGA",
        lambda: [
            saved("TGA", mode, compression=way) for mode in ("RGB", "L", "P", "RGBA") for way in (None, "tga_rle")
        ],
    ),
    of_format(
        "netpbm",
        lambda: (
            [saved("PPM", mode) for mode in ("RGB", "L", "1", "I")]
            + [b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12", b"P1 3 2 1 0 1 1 0 1", b"PF\n1 1\n-1.0\n" + bytes(12)]
        ),
    ),
    of_format(
        "JPEG 2000",
        lambda: [
            saved("JPEG2000", mode, **way)
            for mode in ("RGB", "L", "RGBA")
            for way in ({}, {"no_jp2": True}, {"tile_size": (16, 16), "irreversible": True})
        ],
    ),
    of_format("HEIC", lambda: [heic(picture()), heic(picture("RGBA"), exif=exif()), heic(picture("L"), quality=-1)]),
    of_format(
        "AVIF",
        lambda: [
            saved("AVIF", speed=10),
            saved("AVIF", "RGBA", speed=10, exif=exif(), icc_profile=PROFILE),
            saved("AVIF", speed=10, save_all=True, append_images=[picture()]),
        ],
    ),
    of_format("JPEG XL", lambda: [jxl(picture()), jxl(picture("RGBA")), jxl(picture(), use_container=True)], share=0.3),
    of_format("camera raw", lambda: [dng(picture()), dng(picture(), saved("JPEG"))], share=0.3),
    of_format("colour profile", lambda: [PROFILE], finish=with_profile),
    of_format("EXIF", lambda: [exif(), b"Exif\0\0" + exif()], finish=with_exif),
]
