"""A picture of any mode becomes 8-bit RGB in sRGB, by the colour profile that it carries. Reads no files."""

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

from base.arrays import Doubles

PROFILE = "icc_profile"  # under which Pillow keeps what a picture says of its colours
CLEAR = "transparency"  # under which it keeps which value is transparent
SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}  # Pillow's modes, and their names in ICC.1:2010, table 19
MOST_PROFILE_BYTES = 1 << 23  # a printing press's has up to 3 MB
PROFILES_KEPT = 16  # the photos of a camera or a phone all carry the same
ROUNDING = 1  # of 255: what moves every colour by no more is sRGB itself
STRIP_PIXELS = 1 << 20  # of a deep picture, brought down to 8 bits at once
WHITE_IS_ZERO = 0  # TIFF 6.0, section 8: PhotometricInterpretation
UNSIGNED = 1  # TIFF 6.0, section 19: SampleFormat


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB: 16-bit and float are scaled, transparency is laid on white.

    Grey and CMYK come in sRGB. What is RGB already is not copied, and keeps its profile for `in_srgb`, which costs
    little once the picture is small.
    """
    image.load()
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    picture = eight_bit(image) if deep else image
    if picture.has_transparency_data:
        picture = on_white(picture)
    elif picture.mode == "1":
        picture = picture.convert("L")
    if is_negative(image):
        picture = picture.point(range(255, -1, -1))
    return picture if picture.mode == "RGB" else in_srgb(picture)


def eight_bit(image: Image.Image) -> Image.Image:
    """Return a 16-bit, 32-bit or float image as 8-bit grey, with an alpha channel where one of its values is clear.

    12 and 16 bits keep their brightness; of others, which have no white of their own, the darkest value becomes black
    and the brightest white. Infinity is the brightest, what is no number the darkest.
    """
    if image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM"):
        low, high = 0.0, 65_535.0
        scale = 2.0 ** (-4 if tiff_tag(image, TiffImagePlugin.BITSPERSAMPLE) == (12,) else -8)
    else:
        ranges = [extremes(values) for _, values in strips(image)]
        low, high = min(lowest for lowest, _ in ranges), max(highest for _, highest in ranges)
        low, high = (low, high) if low <= high else (0.0, 0.0)  # nothing but infinities
        scale = 255 / max(high - low, 1e-12)
    clear = image.info.get(CLEAR)
    grey = Image.new("L" if clear is None else "LA", image.size)
    for top, values in strips(image):
        alpha = [] if clear is None else [np.where(values == clear, 0, 255).astype(np.uint8)]
        np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
        levels = ((values - low) * scale).astype(np.uint8)
        grey.paste(Image.fromarray(np.dstack([levels, *alpha]) if alpha else levels), (0, top))
    grey.info = {name: said for name, said in image.info.items() if name != CLEAR}
    return grey


def extremes(values: Doubles) -> tuple[float, float]:
    """Return the lowest and the highest number; infinity and its negative where there is none."""
    numbers = np.isfinite(values)
    return float(values.min(where=numbers, initial=np.inf)), float(values.max(where=numbers, initial=-np.inf))


def strips(image: Image.Image) -> Iterator[tuple[int, Doubles]]:
    """Yield a deep image's values from the top down, each strip with its first row: whole they would take gigabytes."""
    unsigned = image.mode == "I" and tiff_tag(image, TiffImagePlugin.SAMPLEFORMAT, (UNSIGNED,))[0] == UNSIGNED
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        values = np.asarray(strip).astype(np.float64)
        yield top, values % 2**32 if unsigned else values  # Pillow takes 32 unsigned bits for signed ones


def on_white(image: Image.Image) -> Image.Image:
    """Return a transparent image laid on white, grey or RGB; one that would be nothing but white, as if it were solid.

    Writers of BMP and TGA leave the fourth byte of every pixel 0 and mean nothing by it.
    """
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = rgba.getchannel("A")
    picture = rgba.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")
    if alpha.getextrema() in ((0, 0), (255, 255)):
        return picture
    white = Image.new(picture.mode, image.size, "white")
    white.paste(picture, mask=alpha)
    white.info = image.info
    return white


def is_negative(image: Image.Image) -> bool:
    """Tell whether Pillow gives a TIFF's white as black: it inverts 8 bits alone, and where nothing is said as well."""
    photometric = tiff_tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
    if photometric is None and isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.mode in ("1", "L") and "group" not in str(image.info.get("compression"))  # faxes are white on 0
    return photometric == WHITE_IS_ZERO and image.mode not in ("1", "L")


def tiff_tag(image: Image.Image, tag: int, default: Any = None) -> Any:
    """Return a tag of a TIFF; `default` where it has none, or the image is no TIFF."""
    return image.tag_v2.get(tag, default) if isinstance(image, TiffImagePlugin.TiffImageFile) else default


def in_srgb(picture: Image.Image) -> Image.Image:
    """Return a grey, CMYK or RGB picture as RGB in sRGB.

    A profile that is damaged, or of other colours than the picture's, says nothing: the picture is taken as it is.
    """
    profile = picture.info.get(PROFILE)
    transform = srgb_transform(profile, picture.mode) if isinstance(profile, bytes) else None
    rgb = picture.convert("RGB") if transform is None else transform.apply(picture)
    if transform is not None or picture.mode in ("CMYK", "LAB"):
        rgb.info = {}  # what the profile says does not hold of these numbers, or not any more
    return rgb


@lru_cache(PROFILES_KEPT)
def srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what turns pixels of a mode into sRGB; None where a profile cannot, or where they are sRGB already.

    The colours of the white and black points are kept (relative colorimetric, with black point compensation), as
    photo editors do. A transform may be used by several threads at once: littleCMS changes nothing in it.
    """
    if len(profile) > MOST_PROFILE_BYTES or mode not in SPACES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != SPACES[mode]:
            return None
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", intent, flags)
        colours = swatches(mode)
        moved = np.abs(np.asarray(transform.apply(colours), np.int16) - np.asarray(colours.convert("RGB")))
    except Exception:  # Pillow raises nearly every built-in exception on a damaged profile
        return None
    return None if mode != "CMYK" and moved.max() <= ROUNDING else transform


def swatches(mode: str) -> Image.Image:
    """Return a picture with every mixture of 16 levels of each of a mode's colours."""
    levels = np.arange(0, 256, 17).astype(np.uint8)
    mixtures = np.stack(np.meshgrid(*[levels] * Image.getmodebands(mode)), axis=-1)
    return Image.frombytes(mode, (len(levels), mixtures.size // mixtures.shape[-1] // len(levels)), mixtures.tobytes())
