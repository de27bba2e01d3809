"""A photo's bytes become the square of pixels that an encoder takes. Reads no files and normalises nothing."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from aliens.errors import PhotoError

# Our own cap replaces Pillow's, which warns on stderr from one size on and raises from twice that size on.
Image.MAX_IMAGE_PIXELS = None
MAX_PIXELS = 100_000_000

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
DRAFT_MARGIN = 1.25  # a JPEG may be decoded smaller while it stays this many times larger than the square
GREY_SPREAD = 10  # R, G and B of a grey photo differ by no more than JPEG's rounding, out of 255

PILLOW_INTERPOLATION = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


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

    pixels: NDArray[np.uint8]
    facts: Facts


def decode(data: bytes, preprocessing: Preprocessing, max_pixels: int = MAX_PIXELS) -> DecodedPhoto:
    """Decode any image that Pillow reads: first frame, upright by its EXIF orientation, RGB.

    Raises: PhotoError: the bytes are empty, no image, truncated, or hold more than `max_pixels` pixels.
    """
    try:
        with open_image(data, max_pixels) as image:
            width, height = image.size
            shrink_jpeg(image, preprocessing)
            rgb = to_rgb(image)
            # Asked after the pixels are there: Pillow turns a TIFF upright itself and then drops the tag.
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
            if orientation in UPRIGHT:
                rgb = rgb.transpose(UPRIGHT[orientation])
            pixels = square(rgb, preprocessing)
            facts = Facts(
                width_px=height if orientation >= 5 else width,
                height_px=width if orientation >= 5 else height,
                format=str(image.format),
                grey=is_grey(pixels),
            )
            return DecodedPhoto(pixels=pixels, facts=facts)
    except PhotoError:
        raise
    except MemoryError as error:
        raise PhotoError("too large", "the photo does not fit into memory") from error
    # Pillow's decoders raise nearly every built-in exception on damaged files; one photo must not end a run.
    except Exception as error:
        kind = "truncated" if "truncated" in str(error).lower() else "damaged"
        raise PhotoError(kind, f"{type(error).__name__}: {error}") from error


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an image without decoding its pixels.

    Raises: PhotoError: the bytes are empty, no image, or hold more than `max_pixels` pixels.
    """
    if not data:
        raise PhotoError("empty", "the file is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise PhotoError("not an image", f"no image format that Pillow reads (starts with {data[:8]!r})") from error
    if image.width * image.height > max_pixels:
        raise PhotoError(
            "too large",
            f"{image.width} x {image.height} px is over the cap of {max_pixels / 1e6:g} megapixels: "
            "raise it with --max-megapixels",
        )
    return image


def shrink_jpeg(image: Image.Image, preprocessing: Preprocessing) -> None:
    """Have a large JPEG decoded at 1/2, 1/4 or 1/8 of its size, which costs a fraction (libjpeg's scaling)."""
    if image.format != "JPEG" or preprocessing.resize_mode == "squash":
        return
    side = max(image.size) if preprocessing.resize_mode == "longest" else min(image.size)
    scale = preprocessing.size_px * DRAFT_MARGIN / side
    image.draft(image.mode, (round(image.width * scale), round(image.height * scale)))


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit RGB: 16-bit and float are scaled, transparency is laid on white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        low, high = values.min(), values.max()
        eight_bit = (values - low) * (255 / max(high - low, 1e-12))
        return Image.fromarray(eight_bit.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def square(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Resize and crop or pad an RGB image as the model's own transform does; uint8 (s, s, 3).

    Source: open_clip.transform.image_transform and torchvision's Resize and CenterCrop, on Pillow images.
    Only the pixels inside the crop are computed, which gives the same values as resizing before cropping.
    """
    s = preprocessing.size_px
    resample = PILLOW_INTERPOLATION[preprocessing.interpolation]
    width, height = image.size
    if preprocessing.resize_mode == "squash":
        return np.asarray(image.resize((s, s), resample))
    if preprocessing.resize_mode == "longest":
        scale = s / max(width, height)
        resized = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), resample)
        fill = (preprocessing.fill_color,) * 3
        canvas = Image.new("RGB", (s, s), fill)
        canvas.paste(resized, ((s - resized.width) // 2, (s - resized.height) // 2))
        return np.asarray(canvas)
    short = min(width, height)
    full_width, full_height = int(s * width / short), int(s * height / short)
    left, top = round((full_width - s) / 2), round((full_height - s) / 2)
    x_scale, y_scale = width / full_width, height / full_height
    box = (left * x_scale, top * y_scale, (left + s) * x_scale, (top + s) * y_scale)
    return np.asarray(image.resize((s, s), resample, box=box))


def is_grey(pixels: NDArray[Any]) -> bool:
    """Tell whether a uint8 (s, s, 3) photo has no colour."""
    sample = pixels[::4, ::4].astype(np.int16)
    return bool((sample.max(axis=2) - sample.min(axis=2)).max() <= GREY_SPREAD)
