"""The process in which photos that go apart are opened and decoded: see `embedding.apart`, which asks it.

Requests and answers are plugin_process's: {"want": "header"}, a "square" for an encoder, or what is to
"fit" a box, with "max_pixels" and "memory_bytes". It imports no PyTorch, which takes seconds, and more memory than
photos do.
"""

from dataclasses import asdict
from typing import Any

from base.errors import PhotoError
from embedding.decode import Preprocessing, camera_here, decode_here, fit_here, header_here
from embedding.plugin_process import Found, serve_requests


def answer_to(request: dict[str, Any], data: bytes) -> Found:
    """Return what is wanted of a photo, or why there is none."""
    try:
        return WANTED[request["want"]](request, data)
    except PhotoError as error:
        return {"kind": error.kind, "reason": error.reason}, b""


def header(request: dict[str, Any], data: bytes) -> Found:
    """Return what a photo says of itself."""
    found = header_here(data, request["max_pixels"])
    camera = camera_here(data)
    return {
        "size": (found.width_px, found.height_px),
        "format": found.format,
        "camera": camera.record(),
    }, b""


def squared_photo(request: dict[str, Any], data: bytes) -> Found:
    """Return the square that an encoder takes, and the photo's facts."""
    photo = decode_here(data, Preprocessing(**request["preprocessing"]), request["max_pixels"], by_torch=False)
    return {"facts": asdict(photo.facts), "camera": photo.camera.record()}, photo.pixels.tobytes()


def fitted_photo(request: dict[str, Any], data: bytes) -> Found:
    """Return a photo that fits a box, RGB."""
    image = fit_here(data, tuple(request["box"]), request["max_pixels"])
    return {"pixels": image.size}, image.tobytes()


WANTED = {"header": header, "square": squared_photo, "fit": fitted_photo}

if __name__ == "__main__":
    serve_requests(answer_to)
