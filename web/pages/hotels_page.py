"""Hotels and their amenities, and the page of one hotel; the pages' fragments."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from base.errors import QueryError
from base.progress import silent
from web.opened import Opened, Served
from web.pages.hotel_views import ON_A_PAGE, AskedHotels, HotelsAsked, ListedHotels, card, found_hotels
from web.pages.photo_views import small_photos
from web.rendering import page
from web.thumbnails import NoPicture

GALLERY = 12  # photos that are suggested to show a hotel
PHOTOS = 48  # of a hotel, on its page
PICTURED_ALL = 200  # photos of amenities on a hotel's page

hotels_pages = APIRouter()


@hotels_pages.get("/hotels")
async def hotels_page(request: Request, served: Served, asked: AskedHotels, now: bool = False) -> Response:
    """Return the page of hotels: by their amenities, or by words. `now`: have it whole, however long that takes."""
    hotels = await served.compute(served.library.count_hotels)
    vocabularies = await served.compute(served.library.vocabulary_keys)
    about: dict[str, Any] = {"asked": asked, "hotels": hotels, "vocabularies": vocabularies}
    if not hotels or not (vocabularies or asked.words):
        return page(request, "hotels.html", **about, listed=None, waits=False)
    if not (asked.words or now) and not await served.hotel_tables.at_hand(asked.vocabulary):
        return page(request, "hotels.html", **about, listed=None, waits=True)
    return page(request, "hotels.html", **about, listed=await listed(served, asked), waits=False)


@hotels_pages.get("/hotels/list")
async def hotels_list(request: Request, served: Served, asked: AskedHotels) -> Response:
    """Return the hotels of the page alone."""
    return page(request, "hotels_list.html", asked=asked, listed=await listed(served, asked))


async def listed(served: Opened, asked: HotelsAsked) -> ListedHotels:
    """Return what the list shows: a page of hotels with what is known of all of them, or why there is none."""
    try:
        if asked.words:
            return await by_words(served, asked)
        whole = await served.hotel_tables.table(asked.vocabulary)
    except QueryError as error:
        return ListedHotels(kind="words" if asked.words else "tags", problem=str(error))
    counts = sorted(whole.counts().items(), key=lambda pair: (-pair[1], pair[0]))
    shared = ListedHotels(kind="tags", counts=counts, all=len(whole), notes=whole.notes)

    def narrowed() -> ListedHotels:
        narrow = served.library.narrow_hotels(
            whole, name=asked.name or None, tags=asked.tags, missing=asked.missing, sort=asked.sort
        )
        pages = -(-len(narrow) // ON_A_PAGE)
        number = min(asked.page, pages)
        hotels = narrow[(number - 1) * ON_A_PAGE : number * ON_A_PAGE]
        cards = [card(served, hotel, asked=asked.tags) for hotel in hotels]
        return replace(shared, cards=cards, total=len(narrow), page=number, pages=pages)

    try:
        return await served.compute(narrowed)
    except QueryError as error:
        return replace(shared, problem=str(error))


async def by_words(served: Opened, asked: HotelsAsked) -> ListedHotels:
    """Return the hotels that are nearest to words. Raises: QueryError: as `Library.search_hotels`."""

    def found() -> ListedHotels:
        served.library.refuse_files(asked.words)
        hits = served.library.search_hotels(asked.words, k=ON_A_PAGE)
        notes = list(filter(None, [hits.explanation.notes]))
        return ListedHotels(kind="words", hits=found_hotels(served, hits), notes=notes, stands_out=hits.stands_out)

    return await served.compute(found)


@hotels_pages.get("/hotel/{hotel_id}")
async def hotel_page(
    request: Request,
    served: Served,
    hotel_id: int,
    vocabulary: Annotated[str, Query(max_length=255)] = "",
    whole: bool = False,
) -> Response:
    """Return the page of a hotel; `whole`: with its gallery, however long that takes."""
    library = served.library
    about = await served.compute(library.hotel_details, hotel_id)
    if about is None or not about.photos:
        raise NoPicture(f"there is no photo of a hotel {hotel_id} here (any more): take one of the list of hotels")
    vocabularies = await served.compute(library.vocabulary_keys)
    shown = None
    if vocabularies:
        tagged = await served.hotel_tables.hotel(hotel_id, vocabulary or None)
        shown = await served.compute(card, served, tagged, PICTURED_ALL)
    ids, _ = await served.compute(library.photos_of_hotel, hotel_id, count=PHOTOS)
    return page(
        request,
        "hotel.html",
        about=about,
        shown=shown,
        vocabularies=vocabularies,
        vocabulary=vocabulary or (vocabularies[0] if vocabularies else ""),
        photos_shown=await served.compute(small_photos, served, ids),
        whole=whole,
        **(await suggested(served, hotel_id) if whole else {}),
        term=library.hotel_term(hotel_id, about.hotel_name),
        chain_term="" if about.chain_name is None else library.filter_term("chain", about.chain_name),
    )


@hotels_pages.get("/hotel/{hotel_id}/gallery")
async def hotel_gallery(request: Request, served: Served, hotel_id: int) -> Response:
    """Return the photos that are suggested to show a hotel, which opens some of them."""
    return page(request, "hotel_gallery.html", **await suggested(served, hotel_id))


async def suggested(served: Opened, hotel_id: int) -> dict[str, Any]:
    """Return the photos that are suggested to show a hotel, or why there are none."""
    try:
        chosen = await served.compute_heavy(served.library.gallery, hotel_id, n=GALLERY, progress=silent)
    except QueryError as error:
        return {"gallery": None, "photos": {}, "problem": str(error)}
    found = await served.compute(small_photos, served, [photo.photo_id for photo in chosen])
    return {"gallery": chosen, "photos": {photo.photo_id: photo for photo in found}, "problem": ""}
