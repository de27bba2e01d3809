"""Photos' pictures by their ids."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from base.files import read_regular
from web.opened import Served

pictures = APIRouter(tags=["photos"])


@pictures.get("/photos/{photo_id}/image", response_class=Response)
async def picture(served: Served, photo_id: int, w: Annotated[int, Query(ge=1, le=4096)] = 480) -> Response:
    """Return a photo, upright, as JPEG or WebP, at most w pixels wide."""
    record = served.library.photo(photo_id)
    return Response(read_regular(record.path), media_type="image/jpeg")  # SKELETON: no tar, no thumbnail
