"""The basket: photos picked, candidates asked for, and how they are to be restyled."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

basket_pages = APIRouter()


@basket_pages.get("/basket/count")
async def basket_count() -> HTMLResponse:
    """Return how many photos the basket holds, as text; nothing where it is empty."""
    return HTMLResponse("")
