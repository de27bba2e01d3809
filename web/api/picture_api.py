"""Photos' pictures by their ids."""

from collections.abc import Awaitable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from web.opened import Served
from web.photo_numbers import PhotoNumber
from web.thumbnails import NoPicture, ReadyPicture, View

pictures = APIRouter(tags=["photos"])

MOST_WIDE_PX = 16_384
FOR_EVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"  # the address says nothing of the bytes
NOT_THERE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 32" role="img" aria-label="no picture">'
    b'<path fill="#8882" d="M0 0h48v32H0z"/><g fill="none" stroke="#888" stroke-width="1.6" stroke-linecap="round">'
    b'<path d="m17 21 4-4 3 3 3-4 4 5M17 10h14v12H17zM14 26 34 6"/></g></svg>'
)

PICTURE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/webp": {}, "image/jpeg": {}}, "description": "The picture, upright."},
    304: {"description": "The client has it."},
    404: {"description": "No such photo, or its file is gone or another one than was added."},
}

Width = Annotated[int, Query(ge=1, le=MOST_WIDE_PX, description="pixels; 480, 960, 1600 and 3200 are made")]
Seen = Annotated[View, Query(description="protan: as somebody sees it who has no cones for red")]
Version = Annotated[str, Query(max_length=64, description="the photo's `version`; then it may be kept for ever")]


@pictures.get("/photos/{photo_id}/image", response_class=Response, responses=PICTURE_ANSWERS)
async def picture(
    request: Request,
    served: Served,
    photo_id: PhotoNumber,
    w: Width = 480,
    view: Seen = "plain",
    v: Version = "",
) -> Response:
    """Return a photo, upright, as JPEG or WebP, at most w pixels wide."""
    asked = served.thumbnails.picture(
        partial(served.library.picture_file, photo_id), w, view, request.headers.get("if-none-match", "")
    )
    return await answered(request, asked, v)


async def answered(request: Request, asked: Awaitable[ReadyPicture], version: str) -> Response:
    """Return the answer of a picture that was asked for, be it that the client has it, or that there is none.

    Raises: NoPicture: there is none, and it is no browser that shows it in a page.
    """
    try:
        found = await asked
    except NoPicture as error:
        if request.headers.get("sec-fetch-dest") != "image":
            raise
        return Response(NOT_THERE, error.status, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
    headers = {"ETag": found.etag, "Cache-Control": FOR_EVER if version == found.version else ASK_AGAIN}
    if found.data is None:
        return Response(status_code=304, headers=headers)
    return Response(found.data, media_type=found.media_type, headers=headers)
