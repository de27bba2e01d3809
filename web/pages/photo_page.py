"""The page of one photo: large, with its tags to correct, and all that is known of it; and the page's fragments."""

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from base.desktop import has_desktop, show_in_folder
from base.errors import AliensError
from base.urls import plain_url, url_of
from web.opened import Opened, Served
from web.pages.photo_views import (
    LOOK_NEAR_KM,
    AskedPlace,
    SmallPhoto,
    Walk,
    photo_view,
    tags_shown,
    tiles_of,
    walk_through,
)
from web.rendering import page
from web.thumbnails import NoPicture

SIMILAR = 12  # photos that are shown as similar
LOOPBACK = ("127.0.0.1", "::1")

photo_pages = APIRouter()


class FolderHere(AliensError):
    """A folder cannot be opened for somebody who is elsewhere, or where there is no desktop."""

    status = 403


@photo_pages.get("/photo/{photo_id}")
async def photo_page(
    request: Request,
    served: Served,
    photo_id: int,
    asked: AskedPlace,
    seen: Literal["plain", "protan"] = "plain",
    vocabulary: Annotated[str | None, Query(max_length=255)] = None,
) -> Response:
    """Return the page of a photo. `seen`: how the photo is shown from the beginning."""
    view = await served.compute(photo_view, served, photo_id, vocabulary)
    walk, note = await walked(served, photo_id, asked)
    return page(
        request,
        "photo.html",
        photo=view,
        walk=walk,
        asked=asked,
        note=note,
        seen=seen,
        may_open=may_open(request, served) and url_of(view.details.file.path) is None,
        may_see_paths=served.settings.is_loopback,
        near_km=LOOK_NEAR_KM,
    )


async def walked(served: Opened, photo_id: int, asked: AskedPlace) -> tuple[Walk | None, str]:
    """Return the neighbours of a photo in the order that one came from, and why there are none."""
    if not asked.has_order:
        return None, ""
    try:
        order = await served.ordered(asked.q, more_like=asked.more, less_like=asked.less, sort=asked.sort)
    except AliensError as error:
        return None, str(error)
    return await served.compute(walk_through, served, order, photo_id, asked), ""


@photo_pages.get("/photo/{photo_id}/tags")
async def photo_tags_fragment(
    request: Request, served: Served, photo_id: int, vocabulary: Annotated[str | None, Query(max_length=255)] = None
) -> Response:
    """Return the photo's tags of a vocabulary."""
    tags = await served.compute(tags_shown, served.library, photo_id, vocabulary)
    return page(request, "photo_tags.html", tags=tags, photo_id=photo_id, asked=None)


@photo_pages.post("/photo/{photo_id}/labels")
async def correct_tag(
    request: Request,
    served: Served,
    photo_id: int,
    tag: Annotated[str, Form(max_length=300)],
    say: Annotated[Literal["yes", "no", "model"], Form()],
    vocabulary: Annotated[str, Form(max_length=255)],
    back: Annotated[str, Form(max_length=12_000)] = "",
) -> Response:
    """Say that a photo has a tag, or has it not, or leave it to the model again; return its tags."""
    present = {"yes": True, "no": False, "model": None}[say]
    await served.compute(served.library.label, photo_id, tag, present, vocabulary=vocabulary)
    if "hx-request" in request.headers:
        tags = await served.compute(tags_shown, served.library, photo_id, vocabulary)
        return page(request, "photo_tags.html", tags=tags, photo_id=photo_id, asked=None)
    return RedirectResponse(f"/photo/{photo_id}?{back}" if back else f"/photo/{photo_id}", 303)


@photo_pages.get("/photo/{photo_id}/similar")
async def similar_photos(
    request: Request, served: Served, photo_id: int, others: Annotated[bool, Query()] = False
) -> Response:
    """Return the photos most like one; with `others`, of other hotels alone."""
    record = await served.compute(served.library.photo, photo_id)

    def found() -> list[SmallPhoto]:
        return tiles_of(served, served.library.similar(photo_id, k=SIMILAR, other_hotels=others))

    tiles = await served.compute(found)
    has_hotel = record.hotel_id is not None
    return page(request, "photo_similar.html", tiles=tiles, photo_id=photo_id, others=others, has_hotel=has_hotel)


@photo_pages.post("/photo/{photo_id}/folder")
async def open_folder(request: Request, served: Served, photo_id: int) -> Response:
    """Have the desktop of this machine open the photo's folder."""
    if not may_open(request, served):
        raise FolderHere(
            "a photo's folder is opened on the machine that serves the library, for those who sit at it: copy its path"
        )
    file = await served.compute(served.library.picture_file, photo_id)
    if file is not None and url_of(file.path) is not None:
        raise FolderHere(f"this photo lies in no folder of this machine, but at {plain_url(file.path)}")
    if file is None or not Path(file.path).exists():
        raise NoPicture("this photo's file is not there any more: `aliens add` notes what has vanished")
    await served.compute(show_in_folder, Path(file.path))
    if "hx-request" in request.headers:
        return Response(status_code=204)
    return RedirectResponse(f"/photo/{photo_id}", 303)


def may_open(request: Request, served: Opened) -> bool:
    """Tell whether whoever asks sits at this machine, and it has a desktop.

    Behind a reverse proxy everybody comes from loopback: whoever set a token or another host's name may have one.
    """
    settings = served.settings
    here = request.client is not None and request.client.host in LOOPBACK
    alone = settings.is_loopback and settings.token is None and not settings.hosts
    return alone and here and has_desktop()
