"""The process in which camera raw and JPEG XL are decoded: a crash, or memory without end, ends no other.

Started by its path. Each request on stdin is a line of JSON, {"format", "bytes", "max_pixels", "memory_bytes"}, and the
file's bytes; each answer on stdout a line of JSON and the bytes that it counts. It imports nothing of ours.

LibRaw's history is one of overflows, the plug-in for JPEG XL decodes before it says how large a picture is, and both
write to stderr what they please.
"""

import io
import json
import os
import resource
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

PATIENCE_S = 60.0  # after which it ends if nobody asks: a server keeps it no longer than it is of use
LEAST_PREVIEW_PX = 640  # of its longer side: a smaller one is a stamp, and the photo is developed instead
LEAST_BITS = 1  # of a file for each pixel of its sensor: with fewer there is no photo, and LibRaw would show black
RAW, JXL = "RAW", "JXL"


Found = tuple[dict[str, Any], *tuple[bytes, ...]]  # what is said of a file, and up to three parts of bytes


def serve_requests(found: Callable[[dict[str, Any], bytes], Found]) -> None:
    """Answer requests until there are no more, by what is found in files."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # for what decoders print
    requests = sys.stdin.buffer
    while select.select([requests], [], [], PATIENCE_S)[0] and (line := requests.readline()):
        request = json.loads(line)  # noqa: TID251 # it imports nothing of ours
        data = requests.read(request["bytes"])
        if len(data) < request["bytes"]:
            return
        answer = found_or_why_not(found, request, data)
        del data
        write_answer(answers, *answer)
        del answer


def write_answer(answers: BinaryIO, about: dict[str, Any], payload: bytes, exif: bytes = b"", icc: bytes = b"") -> None:
    """Write an answer."""
    about |= {"bytes": [len(payload), len(exif), len(icc)]}
    answers.write(json.dumps(about).encode() + b"\n")
    for part in (payload, exif, icc):
        answers.write(part)
    answers.flush()


def found_or_why_not(found: Callable[[dict[str, Any], bytes], Found], request: dict[str, Any], data: bytes) -> Found:
    """Return what is found in a file, or {"kind", "reason"} of why that cannot be known."""
    with suppress(ValueError, OSError):
        limit_bytes = request["memory_bytes"]
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        return found(request, data)
    except MemoryError:
        return {"kind": "too large", "reason": "it takes more memory than a photo of this size should"}, b""
    except Exception as error:
        return {"kind": "damaged", "reason": f"{type(error).__name__}: {first_line(error)}"}, b""


def found_in(request: dict[str, Any], data: bytes) -> Found:
    """Return what a plug-in finds in a file."""
    return (raw_photo if request["format"] == RAW else decoded_jxl)(data, request["max_pixels"])


def first_line(error: Exception) -> str:
    """Return an error's first line; LibRaw's come as bytes."""
    text = error.args[0] if error.args else ""
    words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return (words.splitlines() or [""])[0][:200]


def raw_photo(data: bytes, max_pixels: int) -> Found:
    """Return a raw photo's preview as JPEG, or where it has none of use, its pixels, developed at half the size."""
    import rawpy

    with rawpy.RawPy() as raw:
        try:
            raw.open_buffer(io.BytesIO(data))
        except rawpy.LibRawFileUnsupportedError:
            return {"kind": "unsupported", "reason": "LibRaw knows no such camera: develop it to JPEG first"}, b""
        about, sensor_pixels = raw_facts(raw)
        preview = jpeg_in(raw)
    if longer_side_px(preview) >= LEAST_PREVIEW_PX:
        return about, preview
    if 8 * len(data) < LEAST_BITS * sensor_pixels:
        return {"kind": "truncated", "reason": "the file is truncated, it has too few bytes for its sensor"}, b""
    if sensor_pixels > max_pixels:
        return {"kind": "too large", "size": about["size"]}, b""
    try:
        pixels = developed(data)
    except rawpy.LibRawError:
        if preview:
            return about, preview
        raise
    return about | {"pixels": [pixels.shape[1], pixels.shape[0]], "mode": "RGB"}, pixels.tobytes()


def raw_facts(raw: Any) -> tuple[dict[str, Any], int]:
    """Return what holds of an opened raw photo, and how many pixels its sensor has."""
    sizes, taken_at = raw.sizes, raw.other.timestamp
    size = [sizes.width, sizes.height]
    if 0 < sizes.crop_width <= sizes.width and 0 < sizes.crop_height <= sizes.height:
        size = [sizes.crop_width, sizes.crop_height]
    is_dated = taken_at is not None and taken_at.year > 1970  # a clock that was never set
    about = {"size": size, "flip": sizes.flip, "taken_at": taken_at.isoformat() if is_dated else None}
    return about, sizes.raw_width * sizes.raw_height


def developed(data: bytes) -> Any:
    """Return a raw photo's pixels, upright, sRGB (h, w, 3) uint8, of half its width and height."""
    import rawpy

    with rawpy.RawPy() as raw:  # a new one: LibRaw unpacks nothing more of one whose preview was asked for
        raw.open_buffer(io.BytesIO(data))
        raw.unpack()
        return raw.postprocess(half_size=True, use_camera_wb=True)


def jpeg_in(raw: Any) -> bytes:
    """Return the largest preview as JPEG, empty where there is none.

    Those of another kind are left: rawpy takes a grey one for colours, and reads behind its end.
    """
    import rawpy

    try:
        found = raw.extract_thumb()
    except (rawpy.LibRawError, NotImplementedError):
        return b""
    return found.data if found.format == rawpy.ThumbFormat.JPEG else b""


def longer_side_px(jpeg: bytes) -> int:
    """Return the longer side of a JPEG in pixels; 0 where it is none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            return max(image.size)
    except Exception:  # Pillow raises nearly every built-in exception on damaged files
        return 0


def decoded_jxl(data: bytes, max_pixels: int) -> Found:
    """Return the pixels of a JPEG XL, upright, with what it says of itself; of one that was a JPEG, not upright."""
    from PIL import Image
    from pillow_jxl import JpegXLImagePlugin as plugin

    Image.MAX_IMAGE_PIXELS = None
    plugin.DECODE_THREADS = 1
    try:
        image: Any = plugin.JXLImageFile(io.BytesIO(data))
        image.load()
    except RuntimeError as error:  # which speaks of how libjxl was built
        raise ValueError("what libjxl cannot decode") from error
    about = {"size": image.size, "pixels": image.size, "mode": image.mode, "was_jpeg": bool(image.jpeg)}
    exif, icc = image.info.get("exif"), image.info.get("icc_profile")
    return about, image.tobytes(), exif or b"", icc or b""


if __name__ == "__main__":
    serve_requests(found_in)
