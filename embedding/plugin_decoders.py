"""What the plug-ins of the extra `formats` decode, camera raw and JPEG XL, in processes that run plugin_process."""

from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Literal

from PIL import Image

from base.errors import PhotoError
from embedding import plugin_process
from embedding.apart import AT_LEAST_BYTES, MOST_PIXEL_BYTES, DecoderProcesses

Format = Literal["RAW", "JXL"]
PLUGINS = {"RAW": ("rawpy", "camera raw"), "JXL": ("pillow_jxl", "JPEG XL")}  # the package, and the format's name
REMEDY = "`pip install -e '.[formats]'`, then `aliens add --retry-failed`"
FLIPS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's, and the orientations of EXIF that they are
MOST = 2  # processes: a preview is found in some hundredths of a second, and a photo may take gigabytes
PROCESSES = DecoderProcesses(MOST, (plugin_process.__file__,))


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginPicture:
    """What a plug-in found: a preview, as JPEG, or decoded pixels; and what holds of the whole photo.

    size: width and height in pixels, before they are turned as `orientation` says, which is EXIF's. turned: whether
    the decoded pixels are upright already.
    """

    jpeg: bytes | None
    image: Image.Image | None
    size: tuple[int, int]
    orientation: int
    turned: bool
    taken_at: datetime | None


def plugin_picture(data: bytes, file_format: Format, max_pixels: int) -> PluginPicture:
    """Return what the format's plug-in finds in a file.

    Raises: PhotoError: the plug-in is not installed, cannot decode the file, or dies of it; the photo has more pixels.
    """
    package, name = PLUGINS[file_format]
    if find_spec(package) is None:
        raise PhotoError("needs an extra", f"{name} is read by the package {package}, which is absent: {REMEDY}")
    request = {
        "format": file_format,
        "bytes": len(data),
        "max_pixels": max_pixels,
        "memory_bytes": AT_LEAST_BYTES + max_pixels * MOST_PIXEL_BYTES,
    }
    answer = PROCESSES.ask(request, data)
    if answer is None:
        raise PhotoError("damaged", f"decoding it crashed, maybe for lack of memory, which no sound {name} does")
    about, (payload, exif, icc) = answer
    if "kind" in about:
        if "size" in about:
            raise too_many_pixels(about["size"], max_pixels)
        raise PhotoError(about["kind"], f"{name} that cannot be read: {about['reason']}")
    return read_answer(about, payload, exif, icc)


def read_answer(about: dict[str, Any], payload: bytes, exif: bytes, icc: bytes) -> PluginPicture:
    """Return what an answer says."""
    image = None
    if "pixels" in about:
        image = Image.frombytes(about["mode"], tuple(about["pixels"]), payload)
        image.info |= {name: said for name, said in (("exif", exif), ("icc_profile", icc)) if said}
    return PluginPicture(
        jpeg=None if image else payload,
        image=image,
        size=tuple(about["size"]),
        orientation=FLIPS.get(about.get("flip", 0), 1),
        turned=not about.get("was_jpeg", False),
        taken_at=datetime.fromisoformat(about["taken_at"]) if about.get("taken_at") else None,
    )


def too_many_pixels(size: tuple[int, int], max_pixels: int) -> PhotoError:
    """Return the error of a photo with more pixels than are decoded."""
    return PhotoError(
        "too large",
        f"{size[0]} x {size[1]} px is over the cap of {max_pixels / 1e6:g} megapixels: raise it with --max-megapixels",
    )
