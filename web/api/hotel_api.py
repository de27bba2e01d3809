"""Hotels and their amenities by program, and their export."""

import shutil
import tempfile
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask

from base.progress import silent
from search.hotel_pages import HotelFormat
from search.hotels import HotelSort
from web.opened import Opened, Served
from web.pages.hotel_views import MOST_TAGS

if TYPE_CHECKING:
    from search.hotels import TaggedHotel

lodging = APIRouter(tags=["hotels"])

MEDIA_TYPES: dict[HotelFormat, str] = {
    "csv": "text/csv; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "html": "text/html; charset=utf-8",
}
NamePart = Annotated[str, Query(max_length=300, description="only hotels with this in their names, or of this number")]
Shown = Annotated[list[str] | None, Query(max_length=MOST_TAGS, description="only hotels that show all these tags")]
Missing = Annotated[list[str] | None, Query(max_length=MOST_TAGS, description="and of which no photo shows these")]
VocabularyKey = Annotated[str, Query(max_length=255, description="its key or name; by default the one used last")]


class TagOfHotelOut(BaseModel):
    """What a hotel's photos show. share: of its photos, 0 to 1. best_photo: the one that shows it best."""

    tag: str
    grade: str | None = Field(description="sure, likely, or null where no photo shows it")
    photos: int
    share: float
    best_photo: int | None


class HotelOut(BaseModel):
    """A hotel and what its photos show; `missing`: tags that no photo shows, but those that the model cannot tell."""

    hotel_id: int
    hotel_name: str | None
    chain_name: str | None
    photos: int
    sure: list[str]
    likely: list[str]
    missing: list[str]
    no_photo_of: list[str]
    rooms: dict[str, int]
    tags: list[TagOfHotelOut]


class HotelsOut(BaseModel):
    """A page of hotels; `total`: how many there are that were asked for."""

    total: int
    vocabulary: str
    hotels: list[HotelOut]
    notes: list[str]


class RankedHotelOut(BaseModel):
    """A hotel that was found by words. score: its best photo's cosine. shown: its photos above the stop line."""

    hotel_id: int
    hotel_name: str | None
    chain_name: str | None
    score: float
    shown: int | None
    photos: int
    best: list[int] = Field(description="numbers of its best photos, best first")


class RankedHotelsOut(BaseModel):
    """Hotels, best first; `cursor` goes on behind them, null at the end."""

    hotels: list[RankedHotelOut]
    stop_line: float | None
    stands_out: bool | None
    cursor: str | None


@lodging.get("/hotels")
async def list_hotels(
    served: Served,
    name: NamePart = "",
    tag: Shown = None,
    missing: Missing = None,
    sort: HotelSort = "name",
    vocabulary: VocabularyKey = "",
    first: Annotated[int, Query(ge=0, le=10_000_000, description="how many to pass over")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> HotelsOut:
    """Return hotels with their tags: what their photos show, how surely, by which photo."""
    whole = await served.hotel_tables.table(vocabulary or None)

    def narrowed() -> HotelsOut:
        table = served.library.narrow_hotels(whole, name=name or None, tags=tag or (), missing=missing or (), sort=sort)
        found = [hotel_out(hotel) for hotel in table[first : first + limit]]
        return HotelsOut(total=len(table), vocabulary=table.vocabulary, hotels=found, notes=table.notes)

    return await served.compute(narrowed)


@lodging.get("/hotels/ranked")
async def ranked_by_words(
    served: Served,
    q: Annotated[str, Query(min_length=1, max_length=10_000, description="in the query language")],
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
) -> RankedHotelsOut:
    """Return the hotels whose best photos are nearest to a text, best first."""

    def found() -> RankedHotelsOut:
        served.library.refuse_files(q)
        hits = served.library.search_hotels(q, k=limit, after=cursor)
        best = [[each.photo_id for each in hit.best] for hit in hits]
        known = [name for name in RankedHotelOut.model_fields if name != "best"]
        hotels = [
            RankedHotelOut(best=photos, **{name: getattr(hit, name) for name in known})
            for hit, photos in zip(hits, best, strict=True)
        ]
        return RankedHotelsOut(hotels=hotels, stop_line=hits.stop_line, stands_out=hits.stands_out, cursor=hits.cursor)

    return await served.compute(found)


@lodging.get(
    "/hotels/export",
    response_class=FileResponse,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The whole table."}},
)
async def export_hotels_file(
    served: Served,
    format: HotelFormat = "csv",
    name: NamePart = "",
    id: Annotated[int | None, Query(description="only the hotel of this number")] = None,
    tag: Shown = None,
    missing: Missing = None,
    sort: HotelSort = "name",
    vocabulary: VocabularyKey = "",
) -> FileResponse:
    """Return all hotels that are asked for as a file: the bytes that `aliens export hotels` writes."""
    options: dict[str, Any] = {"name": id if id is not None else name or None, "tags": tag or (), "sort": sort}
    options |= {"missing": missing or (), "vocabulary": vocabulary or None}
    served.exports.take()  # as for other exports: searches do not wait for it
    path = await served.exports.kept(partial(exported, served, format, options))
    return FileResponse(
        path,
        media_type=MEDIA_TYPES[format],
        filename=path.name,
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True),
    )


def exported(served: Opened, file_format: HotelFormat, options: dict[str, Any]) -> FilePath:
    """Write hotels to a file in a new folder, and return it. Raises: as `Library.export_hotels`."""
    folder = FilePath(tempfile.mkdtemp(prefix="aliens-hotels-"))
    path = folder / f"hotels.{file_format}"
    try:
        served.library.export_hotels(path, format=file_format, progress=silent, **options)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return path


@lodging.get("/hotels/{hotel_id}", responses={404: {"description": "No photo of such a hotel."}})
async def hotel_by_id(
    served: Served,
    hotel_id: Annotated[int, Path(description="the hotel's number")],
    vocabulary: VocabularyKey = "",
) -> HotelOut:
    """Return a hotel with its tags."""
    return hotel_out(await served.hotel_tables.hotel(hotel_id, vocabulary or None))


def hotel_out(hotel: "TaggedHotel") -> HotelOut:
    """Return a hotel as it is sent: photos by their numbers, no paths."""
    return HotelOut.model_validate(hotel, from_attributes=True)
