"""Labelling photo by photo: of one tag, or of whole photos."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from web.api.tag_api import looked_at, tag_looked_at
from web.opened import Served
from web.pages.tags_page import Key, Name
from web.rendering import page

label_pages = APIRouter()


@label_pages.get("/tags/label")
async def label_page(request: Request, served: Served, tag: Name = "", vocabulary: Key = "") -> HTMLResponse:
    """Return the page that asks of one photo after the other whether it has a tag, or which tags it has."""
    look = await looked_at(served, vocabulary or None)
    found = await tag_looked_at(served, look, tag) if tag else None
    return page(request, "tag_label.html", look=look, tag=found)
