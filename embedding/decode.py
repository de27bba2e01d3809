"""A photo's bytes become the square of pixels that an encoder takes; many are read at once. Normalises nothing."""

import io
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from base.arrays import Pixels
from base.errors import PhotoError
from base.files import PhotoFile

# Our own cap replaces Pillow's, which warns on stderr from one size on and raises from twice that size on.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # notes on odd EXIF blocks and palettes
MAX_PIXELS = 100_000_000
DECODE_THREADS = 4

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")  # no PostScript
DRAFT_MARGIN = 3.0  # a JPEG may be decoded smaller while it stays this many times larger than what is wanted
GREY_SPREAD = 10  # R, G and B of a grey photo differ by no more than JPEG's rounding, out of 255
EXIF_ORIENTATION = 0x0112  # Exif 2.32, table 4: the tag, and below what makes each orientation upright
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PILLOW_INTERPOLATION = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """How a model wants its photos: the fields of open_clip's PreprocessCfg that matter for inference."""

    size_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What was learned of a whole photo; width and height are upright, in pixels."""

    width_px: int
    height_px: int
    format: str
    grey: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedPhoto:
    """A square of pixels for the encoder, uint8 (s, s, 3), and the photo's facts."""

    pixels: Pixels
    facts: Facts


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photo that has no square now, and why."""

    file: PhotoFile
    reason: str


def decode(data: bytes, preprocessing: Preprocessing, max_pixels: int = MAX_PIXELS) -> DecodedPhoto:
    """Decode any image that Pillow reads for an encoder: first frame, upright, RGB, resized and cropped.

    Raises: PhotoError: the bytes are empty, no image, truncated, or hold more than `max_pixels` pixels.
    """
    with damage_as_photo_error(), open_image(data, max_pixels) as image:
        width, height = image.size
        rgb, extent = shrunk_rgb(image, resized_image(image.size, preprocessing))
        pixels = square(rgb, preprocessing, extent)
        orientation = orientation_of(image)
        if orientation in UPRIGHT:
            pixels = np.asarray(Image.fromarray(pixels).transpose(UPRIGHT[orientation]))
        facts = Facts(
            width_px=height if orientation >= 5 else width,
            height_px=width if orientation >= 5 else height,
            format=str(image.format),
            grey=is_grey(pixels),
        )
    return DecodedPhoto(pixels=pixels, facts=facts)


def read_squares(files: Sequence[PhotoFile], preprocessing: Preprocessing) -> list[Pixels | Unreadable]:
    """Read and decode photos in threads: each one's square, uint8 (s, s, 3), or why there is none."""

    def read(file: PhotoFile) -> Pixels | Unreadable:
        try:
            return decode(file.read(), preprocessing).pixels
        except OSError as error:
            return Unreadable(file, str(error.strerror or error))
        except PhotoError as error:
            return Unreadable(file, error.reason)

    with ThreadPoolExecutor(DECODE_THREADS, "decode") as pool:
        return list(pool.map(read, files))


def decode_to_fit(data: bytes, box: Size, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode any image that Pillow reads for people: upright, RGB, whole, no larger than `box` in pixels.

    Raises: PhotoError: as `decode`.
    """
    with damage_as_photo_error(), open_image(data, max_pixels) as image:
        rgb, _ = shrunk_rgb(image, fitted_square(image.size, max(box)))
        orientation = orientation_of(image)
        rgb.thumbnail(box[::-1] if orientation >= 5 else box, Image.Resampling.LANCZOS)
        return rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Open an image without decoding its pixels.

    Raises: PhotoError: the bytes are empty, no image, or hold more than `max_pixels` pixels.
    """
    if not data:
        raise PhotoError("empty", "the file is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise PhotoError("not an image", f"no image format that is read here (starts with {data[:8]!r})") from error
    if image.width * image.height > max_pixels:
        raise PhotoError(
            "too large",
            f"{image.width} x {image.height} px is over the cap of {max_pixels / 1e6:g} megapixels: "
            "raise it with --max-megapixels",
        )
    return image


@contextmanager
def damage_as_photo_error() -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into a PhotoError."""
    try:
        yield
    except PhotoError:
        raise
    except MemoryError as error:
        raise PhotoError("too large", "the photo does not fit into memory") from error
    # Pillow's decoders raise nearly every built-in exception on damaged files; one photo must not end a run.
    except Exception as error:
        kind = "truncated" if "truncated" in str(error).lower() else "damaged"
        raise PhotoError(kind, f"{type(error).__name__}: {error}") from error


def shrunk_rgb(image: Image.Image, wanted: Size) -> tuple[Image.Image, tuple[float, float]]:
    """Decode the pixels to RGB; also return the width and height in pixels, whole or not, that the photo fills.

    A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size while that is well over what is wanted of it, which
    costs a fraction (libjpeg's scaling). Its last column and row are then filled in part only: 683 rows become 341.5.
    """
    drafted = None
    if image.format == "JPEG":
        drafted = image.draft(image.mode, (round(wanted[0] * DRAFT_MARGIN), round(wanted[1] * DRAFT_MARGIN)))
    rgb = to_rgb(image)
    return rgb, rgb.size if drafted is None else (drafted[1][2], drafted[1][3])


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, where the EXIF block is damaged, which is no fault of the pixels.

    To be asked after the pixels are there: Pillow turns a TIFF upright itself and then drops the tag.
    """
    try:
        orientation = int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # Pillow raises nearly every built-in exception on a damaged block
        return 1
    return orientation if orientation in UPRIGHT else 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB: 16-bit and float are scaled, transparency is laid on white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0, neginf=0)
        low, high = values.min(), values.max()
        eight_bit = (values - low) * (255 / max(high - low, 1e-12))
        return Image.fromarray(eight_bit.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")  # a copy even of RGB: `image` will be closed


def square(image: Image.Image, preprocessing: Preprocessing, extent: tuple[float, float] | None = None) -> Pixels:
    """Resize and crop or pad an RGB image as the model's own transform does; uint8 (s, s, 3).

    Args:
        image: the photo, whole.
        preprocessing: how the model wants it.
        extent: width and height in pixels of what the photo fills of the image, if not all of it.

    Source: open_clip.transform.image_transform and torchvision's Resize and CenterCrop, on Pillow images.
    Only the pixels inside the crop are computed, which gives the same values as resizing before cropping.
    """
    s = preprocessing.size_px
    resample = PILLOW_INTERPOLATION[preprocessing.interpolation]
    width, height = extent or image.size
    full_width, full_height = resized_image((width, height), preprocessing)
    if preprocessing.resize_mode == "longest":
        canvas = Image.new("RGB", (s, s), (preprocessing.fill_color,) * 3)
        whole = image.resize((full_width, full_height), resample, box=(0, 0, width, height))
        canvas.paste(whole, ((s - full_width) // 2, (s - full_height) // 2))
        return np.asarray(canvas)
    left, top = round((full_width - s) / 2), round((full_height - s) / 2)
    x_scale, y_scale = width / full_width, height / full_height
    box = (left * x_scale, top * y_scale, (left + s) * x_scale, (top + s) * y_scale)
    return np.asarray(image.resize((s, s), resample, box=box))


def resized_image(size: tuple[float, float], preprocessing: Preprocessing) -> Size:
    """Return the size to which the model's transform resizes a whole photo, before it crops or pads."""
    s = preprocessing.size_px
    width, height = size
    if preprocessing.resize_mode == "squash":
        return s, s
    if preprocessing.resize_mode == "longest":
        return fitted_square(size, s)
    short = min(size)
    return int(s * width / short), int(s * height / short)


def fitted_square(size: tuple[float, float], side_px: int) -> Size:
    """Return the size with the same shape whose longer side is `side_px`."""
    scale = side_px / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def is_grey(pixels: Pixels) -> bool:
    """Tell whether a uint8 (s, s, 3) photo has no colour."""
    red, green, blue = np.moveaxis(pixels[::4, ::4].astype(np.int16), 2, 0)
    return all(np.abs(one - other).max() <= GREY_SPREAD for one, other in ((red, green), (green, blue), (blue, red)))
