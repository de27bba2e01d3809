"""Photos to search by, kept for an hour."""

from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message

from web.opened import Served
from web.uploads import UnreadableUpload, too_many_bytes
from web.web_settings import WebSettings

uploading = APIRouter(tags=["uploads"])

FORM_BYTES = 10_000  # of a form around the photo
PATIENCE_S = 60.0  # for a photo's bytes to arrive

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": {
                        "photo": {
                            "type": "string",
                            "format": "binary",
                            "description": "a JPEG, PNG, WebP, HEIC or AVIF of at most 20 MB and 50 megapixels",
                        }
                    },
                }
            }
        },
    }
}


class UploadedPhoto(BaseModel):
    """A photo that was handed in: `term` in a query searches by it."""

    id: str = Field(examples=["u_5b1Zl0kV3nqkq1d0wWm2Vw"])
    term: str = Field(examples=["image:u_5b1Zl0kV3nqkq1d0wWm2Vw"])


UPLOAD_ANSWERS: dict[int | str, dict[str, Any]] = {
    413: {"description": "More bytes or pixels than are taken."},
    415: {"description": "No JPEG, PNG, WebP, HEIC or AVIF."},
    503: {"description": "Too many at once: try again after `Retry-After` seconds."},
}


@uploading.post("/uploads", status_code=201, responses=UPLOAD_ANSWERS, openapi_extra=BODY)
async def take_upload(request: Request, served: Served) -> UploadedPhoto:
    """Hand in a photo to search by. It is kept for an hour, and no part of the library."""
    settings = served.settings
    if length_said(request.headers.get("content-length")) > settings.upload_bytes + FORM_BYTES:
        raise too_many_bytes(settings)
    async with served.uploads.turn():
        data = await photo_in(request, settings)
        upload_id = await served.uploads.take(data)
    return UploadedPhoto(id=upload_id, term=f"image:{upload_id}")


@uploading.get(
    "/uploads/{upload_id}/image",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}, 410: {"description": "It is kept no longer."}},
)
async def upload_picture(served: Served, upload_id: Annotated[str, Path(max_length=100)]) -> Response:
    """Return a photo that was handed in, small, as WebP."""
    found = served.uploads.find(upload_id)
    return Response(found.picture, media_type="image/webp", headers={"Cache-Control": "private, max-age=600"})


def length_said(text: str | None) -> int:
    """Return a length as a header gives it; 0 where it gives none that makes sense."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


async def photo_in(request: Request, settings: WebSettings) -> bytes:
    """Return the bytes of the form's field `photo`, received in PATIENCE_S, never more than are taken.

    Raises: UploadTooLarge, UnreadableUpload.
    """
    received, receive = 0, request.receive

    async def counted_receive() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > settings.upload_bytes + FORM_BYTES:
            raise too_many_bytes(settings)
        return message

    form_request = Request(request.scope, counted_receive)
    try:
        with anyio.fail_after(PATIENCE_S):
            async with form_request.form(max_files=1, max_fields=4, max_part_size=FORM_BYTES) as form:
                photo = form.get("photo")
                if not isinstance(photo, UploadFile):
                    raise UnreadableUpload("there is no photo in the form: send it as the multipart field 'photo'")
                return await photo.read()
    except TimeoutError:
        raise UnreadableUpload(f"the photo did not arrive within {PATIENCE_S:g} s: try again") from None
    except HTTPException as error:
        raise UnreadableUpload(f"the form cannot be read: {error.detail}") from error
