"""HEIF and AVIF are opened: HEIC by libheif, AVIF by what Pillow has. Decodes no pixels."""

import io
from typing import Any

from PIL import AvifImagePlugin, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from base.errors import PhotoError
from embedding.boxes import CUT_SHORT, is_avif, is_cut_short, is_heif
from embedding.nclx import profile_of
from embedding.rgb import PROFILE

REMEDY = "`pip install pillow-heif`, then `aliens add --retry-failed`"
# One photo is decoded by one thread, several at once.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def opened_heif(data: bytes) -> ImageFile | None:
    """Open a HEIF or AVIF, upright or with its orientation as EXIF has it, and with a profile; None for other files.

    Raises: PhotoError: it is truncated, damaged, or coded by what libheif does not decode.
    """
    if not is_heif(data):
        return None
    if is_cut_short(data):
        raise PhotoError("truncated", CUT_SHORT)
    image = opened_avif(data) if is_avif(data) else opened_heic(data)
    if image.info.get(PROFILE) is None and (numbers := nclx_of(image, data)) is not None:
        image.info[PROFILE] = profile_of(numbers["color_primaries"], numbers["transfer_characteristics"])
    return image


def opened_avif(data: bytes) -> ImageFile:
    """Open an AVIF. Raises: PhotoError: it is damaged."""
    try:
        return Image.open(io.BytesIO(data), formats=["AVIF"])
    except UnidentifiedImageError as error:
        reason = "AVIF that cannot be read: it is damaged, or this Pillow was built without AVIF"
        raise PhotoError("damaged", reason) from error


def opened_heic(data: bytes) -> ImageFile:
    """Open a HEIF that libheif reads. Raises: PhotoError: it is damaged or coded otherwise, or libheif is absent."""
    try:
        image: ImageFile = plugin().HeifImageFile(io.BytesIO(data))
    except ImportError as error:
        raise PhotoError("needs a package", f"HEIC is read by pillow-heif, which is absent: {REMEDY}") from error
    except SyntaxError as error:
        raise PhotoError("damaged", f"HEIF that libheif cannot read: {error}") from error
    return image


def nclx_of(image: ImageFile, data: bytes) -> dict[str, Any] | None:
    """Return the numbers that name the colours of a HEIF or AVIF, if it has any; Pillow drops those of an AVIF."""
    if image.format != "AVIF":
        return image.info.get("nclx_profile")
    try:
        said: dict[str, Any] | None = plugin().open_heif(data).info.get("nclx_profile")
    except (ImportError, ValueError, EOFError, SyntaxError, RuntimeError, OSError):  # all that its documents name
        return None
    return said


def plugin() -> Any:
    """Return the package that has libheif, of whose files only the photo itself is of use here."""
    import pillow_heif

    options = pillow_heif.options
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return pillow_heif
