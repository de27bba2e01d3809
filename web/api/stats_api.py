"""The library in numbers by program."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from base.progress import silent
from web.opened import Served

numbering = APIRouter(tags=["library"])


class LibraryNumbers(BaseModel):
    """What the library holds. Tables are lists of rows, the most frequent values first, years by year."""

    library: str = Field(description="the name of its folder")
    summary: dict[str, Any] = Field(description="single numbers; sizes in px, brightness as mean L*, 0 to 100")
    states: list[dict[str, Any]] = Field(description="photos by state")
    failures: list[dict[str, Any]] = Field(description="photos that could not be used, by the kind of reason")
    chains: list[dict[str, Any]] = Field(description="chains with their hotels and photos; last, those of no chain")
    sources: list[dict[str, Any]]
    formats: list[dict[str, Any]]
    colours: list[dict[str, Any]] = Field(description="photos with colour, and without any")
    sizes: list[dict[str, Any]] = Field(description="the most frequent widths and heights, in px")
    brightness: list[dict[str, Any]] = Field(description="photos by mean L*, in bins of 1")
    years: list[dict[str, Any]] = Field(description="photos by year, and by who says so: camera, table or upload")
    places: list[dict[str, Any]] = Field(description="hotels and photos by square degree, by its south-west corner")
    tags: list[dict[str, Any]] = Field(description="photos of each tag by chain; empty where nothing was tagged")
    notes: list[str] = Field(description="what readers should know")


@numbering.get("/stats")
async def library_numbers(served: Served) -> LibraryNumbers:
    """Return the library in numbers: no photo is opened. Of a million photos it takes some seconds."""
    found = await served.compute_heavy(served.library.stats, progress=silent)
    return LibraryNumbers(**found.as_json() | {"library": served.library.path.name})
