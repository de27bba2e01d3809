"""What the pages of hotels show, gathered of the library: hotels with their amenities, and what was asked of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query

from search.hotels import HotelSort
from web.opened import Opened
from web.pages.photo_views import SmallPhoto, small_photos

if TYPE_CHECKING:
    from search.hotel_hits import HotelHit, HotelHits
    from search.hotels import TaggedHotel, TagOfHotel

ON_A_PAGE = 24  # hotels
PICTURED = 5  # photos of a hotel in a list
MOST_TAGS = 20  # that hotels are narrowed by


@dataclass(frozen=True, kw_only=True, slots=True)
class HotelsAsked:
    """Which hotels are asked for, in which order, and the page of them, from 1."""

    name: str = ""
    words: str = ""
    tags: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    sort: HotelSort = "name"
    vocabulary: str | None = None
    page: int = 1

    def address(self, **changes: Any) -> str:
        """Return the query string of this with some values changed; what is the default is left out."""
        asked = replace(self, **changes)
        said: list[tuple[str, str]] = [("words", asked.words), ("name", asked.name)]
        said += [("tag", tag) for tag in asked.tags] + [("missing", tag) for tag in asked.missing]
        said += [("sort", "" if asked.sort == "name" else asked.sort), ("vocabulary", asked.vocabulary or "")]
        said += [("page", "" if asked.page == 1 else str(asked.page))]
        return urlencode([(name, value) for name, value in said if value])

    @property
    def narrows(self) -> bool:
        """Whether only some of the hotels are asked for."""
        return bool(self.name or self.tags or self.missing)


def hotels_asked(
    name: Annotated[str, Query(max_length=300)] = "",
    words: Annotated[str, Query(max_length=10_000)] = "",
    tag: Annotated[list[str] | None, Query(max_length=MOST_TAGS)] = None,
    missing: Annotated[list[str] | None, Query(max_length=MOST_TAGS)] = None,
    sort: HotelSort = "name",
    vocabulary: Annotated[str, Query(max_length=255)] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> HotelsAsked:
    """Return what an address asks for."""
    return HotelsAsked(
        name=name.strip(),
        words=words.strip(),
        tags=tuple(filter(None, tag or ())),
        missing=tuple(filter(None, missing or ())),
        sort=sort,
        vocabulary=vocabulary or None,
        page=page,
    )


AskedHotels = Annotated[HotelsAsked, Depends(hotels_asked)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Amenity:
    """What a hotel's photos show: `tags` by one photo, which shows them best; the surest of them leads."""

    tags: "list[TagOfHotel]"
    photo: SmallPhoto


@dataclass(frozen=True, kw_only=True, slots=True)
class HotelCard:
    """A hotel in a list. amenities: pictured; others: tags that the hotel has besides."""

    hotel: "TaggedHotel"
    amenities: list[Amenity]
    others: "list[TagOfHotel]"


def card(served: Opened, hotel: "TaggedHotel", pictured: int = PICTURED, asked: Sequence[str] = ()) -> HotelCard:
    """Return a hotel as it stands in a list, each photo once.

    What was asked for comes first, then what is sure before what is likely, then by the share of its photos.
    """

    def place(tag: "TagOfHotel") -> tuple[bool, bool, float]:
        return tag.tag not in asked, tag.grade != "sure", -tag.share

    has = sorted((tag for tag in hotel.tags if tag.grade), key=place)
    by_photo: dict[int, list[TagOfHotel]] = {}
    for tag in has:
        by_photo.setdefault(tag.best_photo or 0, []).append(tag)
    there = {photo.photo_id: photo for photo in small_photos(served, list(by_photo)[:pictured])}
    amenities = [Amenity(tags=by_photo[photo_id], photo=photo) for photo_id, photo in there.items()]
    shown = {tag.tag for amenity in amenities for tag in amenity.tags}
    return HotelCard(hotel=hotel, amenities=amenities, others=[tag for tag in has if tag.tag not in shown])


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedHotels:
    """A page of hotels, or why there is none (`problem`).

    kind: tags or words, by which they are listed. counts: how many hotels show each tag, most first. all: hotels of the
    library; total: those that were asked for. pages: of them; page: which this is. cards: by tags; hits: by words.
    """

    kind: str
    problem: str = ""
    notes: Sequence[str] = ()
    counts: Sequence[tuple[str, int]] = ()
    all: int = 0
    total: int = 0
    page: int = 1
    pages: int = 1
    cards: Sequence[HotelCard] = ()
    hits: "Sequence[tuple[HotelHit, list[SmallPhoto]]]" = ()
    stands_out: bool | None = None


def found_hotels(served: Opened, hits: "HotelHits") -> "list[tuple[HotelHit, list[SmallPhoto]]]":
    """Return hotels that were found by words, each with its best photos."""
    return [(hit, small_photos(served, [each.photo_id for each in hit.best])) for hit in hits]
