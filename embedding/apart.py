"""Photos of risky kinds are decoded in processes of their own, so that a crash or a hang costs that photo alone.

What all browsers have shown for years, JPEG, PNG, GIF and WebP, is decoded in place, by decoders that are attacked
every day. Here it is said which photos are which, and processes are asked, which run photo_process. Decodes nothing.
"""

import os
from collections.abc import Callable
from typing import Any

from base.errors import PhotoError
from base.memory import MemoryBudget
from embedding.boxes import is_jxl
from embedding.camera_raw import is_camera_raw
from embedding.plugin_decoders import AT_LEAST_BYTES, Answer, PluginProcesses
from embedding.plugin_decoders import PIXEL_BYTES as MOST_PIXEL_BYTES

PLAIN_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")  # of JPEG, PNG and GIF; WebP has its length inside
MOST = max(2, min(16, os.cpu_count() or 2))  # processes: as many as there are photos in hand
PHOTO_PROCESSES = PluginProcesses(MOST, ("-m", "embedding.photo_process"))

Size = tuple[int, int]


def goes_apart(data: bytes) -> bool:
    """Tell by its first bytes whether a photo is decoded in a process of its own, by Pillow or libheif.

    JPEG XL and camera raw, which go to plug-ins, are none of these.
    """
    is_plain = data.startswith(PLAIN_STARTS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
    return bool(data) and not is_plain and not is_jxl(data) and not is_camera_raw(data)


def header_apart(data: bytes, max_pixels: int) -> dict[str, Any]:
    """Return what photo_process says of a photo without decoding it. Raises: PhotoError: as `found_apart`."""
    return checked_answer(PHOTO_PROCESSES.ask(header_request(data, max_pixels), data))[0]


def found_apart(
    data: bytes, max_pixels: int, wanted: Callable[[Size], dict[str, Any]], budget: MemoryBudget, pixel_bytes: int
) -> tuple[dict[str, Any], bytes]:
    """Return what photo_process makes of a photo.

    Args:
        data: the photo's bytes.
        max_pixels: that it may have.
        wanted: returns what is asked of a photo of an upright size in pixels.
        budget: of which so many `pixel_bytes` a pixel are held meanwhile.
        pixel_bytes: see there.

    Raises: PhotoError: it cannot be decoded, or the process died of it.
    """
    width, height = header_apart(data, max_pixels)["size"]
    request = header_request(data, max_pixels) | wanted((width, height))
    with budget.holding(width * height * pixel_bytes):
        about, (payload, *_) = checked_answer(PHOTO_PROCESSES.ask(request, data))
    return about, payload


def header_request(data: bytes, max_pixels: int) -> dict[str, Any]:
    """Return the request for what a photo says before it is decoded."""
    memory_bytes = AT_LEAST_BYTES + max_pixels * MOST_PIXEL_BYTES + 2 * len(data)
    return {"want": "header", "bytes": len(data), "max_pixels": max_pixels, "memory_bytes": memory_bytes}


def checked_answer(answer: Answer | None) -> Answer:
    """Return an answer that says what was asked. Raises: PhotoError: it says why not, or the process died."""
    if answer is None:
        raise PhotoError("damaged", "decoding it crashed, maybe for lack of memory, which no sound photo does")
    if "kind" in answer[0]:
        raise PhotoError(answer[0]["kind"], answer[0]["reason"])
    return answer
