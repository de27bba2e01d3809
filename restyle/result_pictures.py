"""Results as pictures: PNG or JPEG files that say how they were made. Knows no library."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from base.arrays import Pixels
from base.errors import QueryError
from base.files import atomic_write

FileFormat = Literal["png", "jpg"]

JPEG_QUALITY = 92
MOST_COMMENT_BYTES = 65_533  # of one JPEG segment: its length is told in 16 bits, which count themselves
TOLD_APART = "attempts"  # left out of a JPEG where all together is longer; the database has it
SRGB = 1  # Exif 2.32, table 5: ColorSpace
PERCEPTUAL = b"\0"  # PNG 1.2, 4.2.2.3: the rendering intent of the chunk sRGB


def write_result_picture(
    path: Path, pixels: Pixels, parameters: Mapping[str, Any], description: str, file_format: FileFormat
) -> None:
    """Write a picture, (h, w, 3) uint8 sRGB, whole or not at all: it is on disk when this returns.

    Raises:
        QueryError: the format is not one of those that parameters are kept in.
        OSError: the disk is full or cannot be written.
    """
    if file_format not in get_args(FileFormat):
        raise QueryError(f"results are written as png or jpg, not as {file_format!r}")
    image = Image.fromarray(pixels)
    with atomic_write(path) as file:
        if file_format == "png":
            save_png(image, file, parameters, description)
        else:
            save_jpeg(image, file, parameters, description)


def save_png(image: Image.Image, file: BinaryIO, parameters: Mapping[str, Any], description: str) -> None:
    """Write a PNG that says that it is sRGB, and how it was made."""
    info = PngInfo()
    info.add(b"sRGB", PERCEPTUAL)
    info.add_itxt("parameters", lineage_json(parameters))
    info.add_itxt("Description", description)
    image.save(file, "PNG", pnginfo=info)


def save_jpeg(image: Image.Image, file: BinaryIO, parameters: Mapping[str, Any], description: str) -> None:
    """Write a JPEG that says that it is sRGB, and how it was made."""
    comment = lineage_json(parameters).encode()
    if len(comment) > MOST_COMMENT_BYTES:
        comment = lineage_json({name: value for name, value in parameters.items() if name != TOLD_APART}).encode()
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = description.encode("ascii", "replace").decode()  # Exif has no other letters
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = SRGB
    image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, comment=comment, exif=exif)  # every pixel its colour


def lineage_json(parameters: Mapping[str, Any]) -> str:
    """Return parameters as JSON in ASCII, which every reader of metadata takes."""
    return json.dumps(parameters, ensure_ascii=True)
