"""A photo's bytes become the square of pixels that an encoder takes; many are read at once. Normalises nothing."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from base.arrays import Pixels
from base.errors import PhotoError
from base.files import PhotoFile
from base.memory import MemoryBudget
from embedding.apart import found_apart, goes_apart, header_apart
from embedding.boxes import CUT_SHORT, is_cut_short, is_jxl, jxl_size
from embedding.brightness import brightness_of, is_grey
from embedding.camera_raw import camera_of_raw, is_camera_raw, raw_is_cut_short
from embedding.exif import SILENT, Camera, camera_of, orientation_of, says_nothing
from embedding.heif import opened_heif
from embedding.mending import MOST_SCANS, PNG_START, has_endless_scans, lacks_end, mend, readable_png
from embedding.plugin_decoders import PluginPicture, plugin_picture, too_many_pixels
from embedding.resizing import fitted_square, whole_resized
from embedding.rgb import PROFILE, in_srgb, to_rgb

# Our own cap replaces Pillow's, which warns on stderr from one size on and raises from twice that size on.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # notes on odd EXIF blocks and palettes
MAX_PIXELS, DECODE_THREADS = 100_000_000, 4
PIXEL_BYTES = 24  # that a pixel takes while it is decoded and made RGB: measured 4 to 21, the most for WebP
SCAN_BYTES = 6  # that a pixel of a JPEG takes even where it is decoded smaller: a progressive one is kept whole
JPEGS = ("JPEG", "MPO")  # as Pillow names them: the second has other pictures behind it, as many phones write it
PIXELS_AT_ONCE = MemoryBudget(MAX_PIXELS * PIXEL_BYTES)  # of all threads: the largest photos are decoded alone

JPEG_START, JPEG_HEAD_BYTES = b"\xff\xd8\xff", 1 << 18  # a segment of a JPEG, such as EXIF's, has at most 64 KiB
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")  # of Pillow's; no PostScript
JXL, RAW = "JXL", "RAW"  # what photos are called that plug-ins decode
DRAFT_MARGIN = 3.0  # a JPEG may be decoded smaller while it stays this many times larger than what is wanted
MOST_SQUARES = 4  # whole photos are made smaller at once while they are no larger, in squares, than this
SPACE = slice(16, 20)  # of a colour profile: which colours it is of (ICC.1:2010, table 17)
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
    """What was learned of a whole photo; width and height are upright, in pixels.

    grey, brightness (mean L*, 0 to 100): of the square that the encoder takes of it, as it lies in that.
    """

    width_px: int
    height_px: int
    format: str
    grey: bool
    brightness: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedPhoto:
    """A square of pixels for the encoder, uint8 (s, s, 3), the photo's facts, and what its camera says of it."""

    pixels: Pixels
    facts: Facts
    camera: Camera


@dataclass(frozen=True, slots=True)
class WholePhoto:
    """An image's pixels, maybe drafted: RGB with the colours of its profile; the rest is said of the file's.

    extent: width and height in pixels, whole or not, that the photo fills of `rgb`. size: as stored, not upright.
    orientation: of EXIF. camera: what it says besides.
    """

    rgb: Image.Image
    extent: tuple[float, float]
    size: Size
    format: str
    orientation: int
    camera: Camera


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photo that has no square now, and why."""

    file: PhotoFile
    reason: str


def decode(data: bytes, preprocessing: Preprocessing, max_pixels: int = MAX_PIXELS) -> DecodedPhoto:
    """Decode any photo for an encoder: first frame, upright, RGB, resized and cropped.

    Raises: PhotoError: the bytes are empty, no image, truncated, or hold more than `max_pixels` pixels.
    """
    if not goes_apart(data):
        return decode_here(data, preprocessing, max_pixels)
    asked = {"want": "square", "preprocessing": asdict(preprocessing)}
    about, square = found_apart(data, max_pixels, lambda size: asked, PIXELS_AT_ONCE, PIXEL_BYTES)
    pixels = np.frombuffer(square, np.uint8).reshape(preprocessing.size_px, preprocessing.size_px, 3)
    return DecodedPhoto(pixels=pixels, facts=Facts(**about["facts"]), camera=Camera.of_record(about["camera"]))


def decode_here(
    data: bytes, preprocessing: Preprocessing, max_pixels: int = MAX_PIXELS, *, by_torch: bool = True
) -> DecodedPhoto:
    """Do what `decode` does in this process. Raises: PhotoError: as that."""
    wanted = partial(resized_image, preprocessing=preprocessing)
    with lent_rgb(data, wanted, max_pixels) as photo:
        pixels = square(photo.rgb, preprocessing, photo.extent, by_torch=by_torch)
        brightness = brightness_of(photo_in(pixels, photo.extent, preprocessing))
    width, height = photo.size
    if photo.orientation in UPRIGHT:
        pixels = np.asarray(Image.fromarray(pixels).transpose(UPRIGHT[photo.orientation]))
    facts = Facts(
        width_px=height if photo.orientation >= 5 else width,
        height_px=width if photo.orientation >= 5 else height,
        format=photo.format,
        grey=is_grey(pixels),
        brightness=brightness,
    )
    return DecodedPhoto(pixels=pixels, facts=facts, camera=photo.camera)


def read_squares(files: Sequence[PhotoFile], preprocessing: Preprocessing) -> list[Pixels | Unreadable]:
    """Read and decode photos in threads: each one's square, uint8 (s, s, 3), or why there is none."""

    def read(file: PhotoFile) -> Pixels | Unreadable:
        try:
            with file.lent() as data:
                return decode(data, preprocessing).pixels
        except OSError as error:
            return Unreadable(file, str(error.strerror or error))
        except PhotoError as error:
            return Unreadable(file, error.reason)

    with ThreadPoolExecutor(DECODE_THREADS, "decode") as pool:
        return list(pool.map(read, files))


def decode_to_fit(data: bytes, box: Size | Callable[[Size], Size], max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode any photo for people: upright, RGB, whole, no larger than `box` in pixels.

    Args:
        data: the photo's bytes.
        box: width and height, or what says them of the whole photo's.
        max_pixels: that the photo may have.

    Raises: PhotoError: as `decode`.
    """
    if not goes_apart(data):
        return fit_here(data, box, max_pixels)

    def asked(size: Size) -> dict[str, Any]:
        return {"want": "fit", "box": box(size) if callable(box) else box}

    about, pixels = found_apart(data, max_pixels, asked, PIXELS_AT_ONCE, PIXEL_BYTES)
    return Image.frombytes("RGB", tuple(about["pixels"]), pixels)


def fit_here(data: bytes, box: Size | Callable[[Size], Size], max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Do what `decode_to_fit` does in this process. Raises: PhotoError: as that."""
    box_of = box if callable(box) else lambda size: box

    def wanted(size: Size) -> Size:  # before it is known which way it is turned
        return fitted_square(size, max(*box_of(size), *box_of(size[::-1])))

    with lent_rgb(data, wanted, max_pixels) as photo:
        turned = photo.orientation >= 5
        width, height = box_of(photo.size[::-1] if turned else photo.size)
        photo.rgb.thumbnail((height, width) if turned else (width, height), Image.Resampling.LANCZOS)
        rgb = in_srgb(photo.rgb)
        rgb.info = {}  # what the file said of itself, its profile above all, holds no longer
        return rgb.transpose(UPRIGHT[photo.orientation]) if photo.orientation in UPRIGHT else rgb


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


@damage_as_photo_error()
def open_image(data: bytes, max_pixels: int) -> ImageFile:
    """Open an image that browsers show as well, JPEG, PNG, GIF or WebP, without decoding its pixels.

    Raises: PhotoError: the bytes are empty, no such image, damaged, or hold more than `max_pixels` pixels.
    """
    if goes_apart(data):
        raise PhotoError("not an image", f"no JPEG, PNG, GIF or WebP (starts with {data[:8]!r})")
    return open_here(data, max_pixels)


@damage_as_photo_error()
def open_here(data: bytes, max_pixels: int) -> ImageFile:
    """Open an image in this process, without decoding its pixels: any but what plug-ins decode.

    Raises: PhotoError: the bytes are empty, no image, damaged, or hold more than `max_pixels` pixels.
    """
    if not data:
        raise PhotoError("empty", "the file is empty (0 bytes)")
    if data.startswith(PNG_START):
        data = readable_png(data)
    try:
        image = opened_heif(data) or Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise PhotoError("not an image", f"no image format that is read here (starts with {data[:8]!r})") from error
    if image.width * image.height > max_pixels:
        raise too_many_pixels(image.size, max_pixels)
    return image


def upright_size(data: bytes, max_pixels: int = MAX_PIXELS) -> Size:
    """Return a photo's width and height in pixels, upright, at the least cost that its format allows.

    Raises: PhotoError: as `decode`, as far as that shows without decoding.
    """
    header = read_header(data, max_pixels)
    return header.width_px, header.height_px


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What the start of a photo's file says; width and height are upright. camera: None where that takes more."""

    width_px: int
    height_px: int
    format: str
    camera: Camera | None = None


def read_header(data: bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """Return what a photo's bytes say of it at the least cost for its format. Raises: PhotoError: as `decode`."""
    if goes_apart(data):
        about = header_apart(data, max_pixels)
        camera = Camera.of_record(about["camera"])
        return Header(width_px=about["size"][0], height_px=about["size"][1], format=about["format"], camera=camera)
    if is_jxl(data):
        width, height = known_jxl_size(data, max_pixels)
        return Header(width_px=width, height_px=height, format=JXL)
    if is_camera_raw(data):
        with lent_raw(data, lambda size: (1, 1), max_pixels) as photo:
            width, height = photo.size[::-1] if photo.orientation >= 5 else photo.size
        return Header(width_px=width, height_px=height, format=RAW, camera=photo.camera)
    return header_here(data, max_pixels)


def header_here(data: bytes, max_pixels: int) -> Header:
    """Return what an image's bytes say of it, opened in this process. Raises: PhotoError: as `open_here`."""
    with damage_as_photo_error(), open_here(data, max_pixels) as image:
        turned = image.format != "TIFF" and orientation_of(image) >= 5  # Pillow has turned a TIFF already
        width, height = image.size[::-1] if turned else image.size
        return Header(width_px=width, height_px=height, format=str(image.format))


@contextmanager
def lent_rgb(data: bytes, wanted: Callable[[Size], Size], max_pixels: int) -> Iterator[WholePhoto]:
    """Lend the pixels of a photo, whole, with what it says of them; its memory is held for no longer.

    Raises: PhotoError: the bytes are empty, no photo, damaged, or hold more than `max_pixels` pixels; a plug-in that
        decodes them is not installed.
    """
    if is_jxl(data):
        lent = lent_jxl(data, max_pixels)
    else:
        lent = (lent_raw if is_camera_raw(data) else lent_image)(data, wanted, max_pixels)
    with lent as photo:
        yield photo


@contextmanager
def lent_image(data: bytes, wanted: Callable[[Size], Size], max_pixels: int) -> Iterator[WholePhoto]:
    """Lend the pixels of an image that `open_here` opens.

    A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size while that is well over what is wanted of it, which
    costs a fraction (libjpeg's scaling). Its last column and row are then filled in part only: 683 rows become 341.5.

    Raises: PhotoError: the bytes are empty, no image, damaged, or hold more than `max_pixels` pixels.
    """
    with damage_as_photo_error(), open_here(data, max_pixels) as image:
        size = width, height = image.size
        needed_bytes, drafted = width * height * PIXEL_BYTES, None
        if image.format in JPEGS:
            if has_endless_scans(data):
                raise PhotoError(
                    "damaged", f"it goes over its pixels more than {MOST_SCANS} times, as no camera writes"
                )
            least_width, least_height = wanted(size)
            drafted = image.draft(image.mode, (round(least_width * DRAFT_MARGIN), round(least_height * DRAFT_MARGIN)))
            if not lacks_end(data):
                needed_bytes = width * height * SCAN_BYTES + image.width * image.height * PIXEL_BYTES
        camera = None if image.format == "PNG" else camera_of(image)  # of a TIFF the file may be closed afterwards
        with PIXELS_AT_ONCE.holding(needed_bytes):
            mend(image, data)
            rgb = to_rgb(image)
            extent = rgb.size if drafted is None else (drafted[1][2], drafted[1][3])
            yield WholePhoto(rgb, extent, size, str(image.format), orientation_of(image), camera or camera_of(image))


@contextmanager
def lent_jxl(data: bytes, max_pixels: int) -> Iterator[WholePhoto]:
    """Lend the pixels of a JPEG XL. EXIF says how to turn one that was a JPEG; libjxl turns all others itself.

    Raises: PhotoError: as `lent_rgb`.
    """
    width, height = known_jxl_size(data, max_pixels)
    with PIXELS_AT_ONCE.holding(width * height * PIXEL_BYTES), damage_as_photo_error():
        found = plugin_picture(data, "JXL", max_pixels)
        assert found.image is not None
        if found.image.info.get(PROFILE, b"")[SPACE] == b"CMYK" and found.image.mode != "CMYK":
            raise PhotoError("unsupported", "a JPEG XL in CMYK, whose black the plug-in drops: save it as RGB")
        orientation = 1 if found.turned else orientation_of(found.image)
        camera = camera_of(found.image)
        rgb = to_rgb(found.image)
        yield WholePhoto(rgb, rgb.size, found.size, JXL, orientation, camera)


@contextmanager
def lent_raw(data: bytes, wanted: Callable[[Size], Size], max_pixels: int) -> Iterator[WholePhoto]:
    """Lend the pixels of a camera's raw photo: of its preview, or developed at half the size where that is none.

    Its size is that of the sensor's visible part. A preview is turned as the raw file says, unless it stands upright
    already while the sensor's picture lies on its side.

    Raises: PhotoError: as `lent_rgb`.
    """
    if raw_is_cut_short(data):
        raise PhotoError("truncated", CUT_SHORT)
    found = plugin_picture(data, "RAW", max_pixels)
    if found.jpeg is not None:
        with lent_image(found.jpeg, wanted, max_pixels) as preview:
            yield preview_of(preview, found, data)
        return
    assert found.image is not None
    with damage_as_photo_error(), PIXELS_AT_ONCE.holding(found.image.width * found.image.height * PIXEL_BYTES):
        rgb = found.image
        size = found.size[::-1] if found.orientation >= 5 else found.size  # it is developed upright
        yield WholePhoto(rgb, rgb.size, size, RAW, 1, camera_of_raw(data, SILENT, found.taken_at))


def preview_of(preview: WholePhoto, found: PluginPicture, data: bytes) -> WholePhoto:
    """Return a raw photo's preview as the photo.

    What EXIF says in the preview decides nothing: where the camera wrote none, LibRaw puts its own there.
    """
    lies = found.size[0] > found.size[1]
    stands_already = found.orientation >= 5 and lies != (preview.size[0] > preview.size[1])
    orientation = 1 if stands_already else found.orientation
    size = found.size[::-1] if stands_already else found.size
    camera = camera_of_raw(data, preview.camera, found.taken_at)
    return replace(preview, size=size, format=RAW, orientation=orientation, camera=camera)


@damage_as_photo_error()
def known_jxl_size(data: bytes, max_pixels: int) -> Size:
    """Return the upright size of a JPEG XL. Raises: PhotoError: its header is damaged, or tells of more pixels."""
    if is_cut_short(data):
        raise PhotoError("truncated", CUT_SHORT)
    try:
        size = jxl_size(data)
    except ValueError as error:
        raise PhotoError("damaged", f"JPEG XL: {error}") from error
    if size[0] * size[1] > max_pixels:
        raise too_many_pixels(size, max_pixels)
    return size


def read_camera(data: bytes) -> Camera:
    """Return what the camera says of a photo, without decoding its pixels where its format lets that be."""
    try:
        if goes_apart(data):
            return Camera.of_record(header_apart(data, MAX_PIXELS)["camera"])
        if is_jxl(data) or is_camera_raw(data):
            with lent_rgb(data, lambda size: (1, 1), MAX_PIXELS) as photo:
                return photo.camera
    except PhotoError:
        return SILENT
    return camera_here(data)


def camera_here(data: bytes) -> Camera:
    """Return what the camera says of an image, opened in this process."""
    try:
        with damage_as_photo_error(), open_here(data, MAX_PIXELS) as image:
            if says_nothing(image.format, data):
                return SILENT
            needed_bytes = image.width * image.height * PIXEL_BYTES if image.format == "PNG" else 0
            with PIXELS_AT_ONCE.holding(needed_bytes):
                return camera_of(image)
    except PhotoError:
        return SILENT


def camera_at(file: PhotoFile) -> Camera:
    """Return what the camera says of a photo, reading no more of its file than that takes.

    Raises: OSError, PhotoError: as `PhotoFile.read`.
    """
    start = file.start(JPEG_HEAD_BYTES)
    if start.startswith(JPEG_START):  # whose EXIF block comes first
        return read_camera(start)
    with file.lent() as data:
        return read_camera(data)


def square(
    image: Image.Image,
    preprocessing: Preprocessing,
    extent: tuple[float, float] | None = None,
    *,
    by_torch: bool = True,
) -> Pixels:
    """Resize and crop or pad an RGB image as the model's own transform does; uint8 (s, s, 3).

    Args:
        image: the photo, whole.
        preprocessing: how the model wants it.
        extent: width and height in pixels of what the photo fills of the image, if not all of it.
        by_torch: see resizing.py; without, Pillow does it, which differs by rounding.

    Source: open_clip.transform.image_transform and torchvision's Resize and CenterCrop, on Pillow images.
    Of a panorama, or where Pillow resizes, only the pixels inside the crop are computed, which gives the same values.
    """
    s = preprocessing.size_px
    resample = PILLOW_INTERPOLATION[preprocessing.interpolation]
    width, height = extent or image.size
    full = full_width, full_height = resized_image((width, height), preprocessing)
    is_whole = by_torch and (width, height) == image.size
    whole = whole_resized(image, full, resample, MOST_SQUARES * s * s) if is_whole else None
    if preprocessing.resize_mode == "longest":
        canvas = Image.new("RGB", (s, s), (preprocessing.fill_color,) * 3)
        whole = whole or image.resize(full, resample, box=(0, 0, width, height))
        canvas.paste(in_srgb(whole), ((s - full_width) // 2, (s - full_height) // 2))
        return np.asarray(canvas)
    left, top = round((full_width - s) / 2), round((full_height - s) / 2)
    if whole is not None:
        return np.asarray(in_srgb(whole.crop((left, top, left + s, top + s))))
    x_scale, y_scale = width / full_width, height / full_height
    box = (left * x_scale, top * y_scale, (left + s) * x_scale, (top + s) * y_scale)
    return np.asarray(in_srgb(image.resize((s, s), resample, box=box)))


def photo_in(pixels: Pixels, size: tuple[float, float], preprocessing: Preprocessing) -> Pixels:
    """Return the part of an encoder's square that a photo of this size fills: all of it, but where it was padded."""
    if preprocessing.resize_mode != "longest":
        return pixels
    s = preprocessing.size_px
    width, height = resized_image(size, preprocessing)
    left, top = (s - width) // 2, (s - height) // 2
    return pixels[top : top + height, left : left + width]


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
