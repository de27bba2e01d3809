"""What the pages of photos show, gathered of the library: the photo, its tags, its neighbours in an order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import numpy as np
from fastapi import Depends, Query

from base.errors import QueryError
from web.opened import Opened
from web.search_state import AskedState, SearchState
from web.thumbnails import NoPicture, version_of

if TYPE_CHECKING:
    from aliens.library import Library
    from aliens.picture_methods import PhotoDetails, PhotoSheet
    from restyle.restyled import Result
    from search.orders import PhotoOrder
    from search.results import Hit
    from search.tags.summary import PhotoTags, TagOfPhoto

LARGEST_PX = 3200  # of a picture
AROUND = 15  # photos on either side that the large view swipes through
OF_HOTEL = 12  # other photos of the hotel
LOOK_NEAR_KM = 5  # around a photo's place


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoInOrder(SearchState):
    """The search that a photo's page was reached from, and the photo's place in it, counted from 1."""

    rank: int | None = None

    @property
    def has_order(self) -> bool:
        """Whether it was reached from a search."""
        return bool(self.q.strip() or self.more or self.less or self.rank is not None)

    def at(self, rank: int | None) -> str:
        """Return the query string of a photo's page at a place."""
        return "&".join(filter(None, [self.address(), "" if rank is None else f"rank={rank}"]))


def photo_in_order(
    state: AskedState, rank: Annotated[int | None, Query(ge=1, le=1_000_000_000)] = None
) -> PhotoInOrder:
    """Return the search and the place that an address tells."""
    return PhotoInOrder(q=state.q, sort=state.sort, view=state.view, more=state.more, less=state.less, rank=rank)


AskedPlace = Annotated[PhotoInOrder, Depends(photo_in_order)]


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallPhoto:
    """A photo among others: its number, its name for people, its size in pixels, what tells its bytes from others.

    placeholder: its ThumbHash in base64; empty where no picture of it was made yet.
    """

    photo_id: int
    name: str
    width_px: int
    height_px: int
    version: str
    placeholder: str = ""

    def picture(self, width_px: int) -> str:
        """Return the address of its picture."""
        version = f"&v={self.version}" if self.version else ""
        return f"/api/v1/photos/{self.photo_id}/image?w={width_px}{version}"

    def slide(self, place: int, address: str) -> dict[str, Any]:
        """Return what the large view shows of it; its page has this address."""
        scale = min(1.0, LARGEST_PX / self.width_px, LARGEST_PX / self.height_px)
        return {
            "place": place,
            "address": address,
            "src": self.picture(LARGEST_PX),
            "shown": self.picture(1600),
            "small": self.picture(480),
            "width": round(scale * self.width_px),
            "height": round(scale * self.height_px),
            "alt": self.name,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """A photo's neighbours in an order: its own rank from 1, how many there are, and those around it with theirs."""

    rank: int
    count: int
    around: list[tuple[int, SmallPhoto]]

    def at(self, rank: int) -> SmallPhoto | None:
        """Return the photo at a rank, if it is near."""
        return next((photo for place, photo in self.around if place == rank), None)


def small_photos(served: Opened, ids: Sequence[int], names: dict[int, str] | None = None) -> list[SmallPhoto]:
    """Return photos as they stand among others; those that cannot be found are left out."""
    facts = served.library.picture_facts(ids)
    return [
        SmallPhoto(
            photo_id=photo_id,
            name=(names or {}).get(photo_id, ""),
            width_px=facts[photo_id].width_px or 3,
            height_px=facts[photo_id].height_px or 2,
            version=facts[photo_id].version,
            placeholder=served.thumbnails.placeholder(facts[photo_id].sha256),
        )
        for photo_id in ids
        if photo_id in facts
    ]


def walk_through(served: Opened, order: "PhotoOrder", photo_id: int, asked: PhotoInOrder) -> Walk | None:
    """Return a photo's neighbours in an order; None where it does not stand in it."""
    place = (asked.rank or 0) - 1
    if not (0 <= place < len(order) and int(order.photo_ids[place]) == photo_id):
        places = np.flatnonzero(order.photo_ids == photo_id)
        if not len(places):
            return None
        place = int(places[0])
    first = max(place - AROUND, 0)
    ids = order.photo_ids[first : place + AROUND + 1].tolist()
    there = {photo.photo_id: photo for photo in small_photos(served, ids)}
    around = [(rank, there[each]) for rank, each in enumerate(ids, start=first + 1) if each in there]
    return Walk(rank=place + 1, count=len(order), around=around)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownTags:
    """A photo's tags of one vocabulary, among those that the library was tagged with; none where it was not tagged.

    has: those that it shows and those that a person denied, the likeliest first. terms: the filter that asks for each.
    """

    vocabulary: str = ""
    vocabularies: list[str]
    has: "list[TagOfPhoto]"
    others: "list[TagOfPhoto]"
    terms: dict[str, str]
    notes: list[str]


def tags_shown(library: "Library", photo_id: int, vocabulary: str | None) -> ShownTags:
    """Return a photo's tags. Raises: QueryError: there is no such photo, or no such vocabulary."""
    known = library.vocabulary_keys()
    if not known:
        return ShownTags(vocabularies=[], has=[], others=[], terms={}, notes=[])
    named = [key for key in known if vocabulary in (None, key, key.rpartition("-")[0])]
    if not named:
        raise QueryError(f"the library was not tagged with {vocabulary!r}: choose of {', '.join(known)}")
    chosen = named[0]
    found: PhotoTags = library.tags_of(photo_id, chosen)
    shown = [tag for tag in found if tag.has or tag.by_hand is not None]
    which = f"{chosen.rpartition('-')[0]}/" if len(known) > 1 else ""  # several may have a tag of that name
    return ShownTags(
        vocabulary=chosen,
        vocabularies=known,
        has=sorted(shown, key=lambda tag: tag.probability, reverse=True),  # a denied one stays where it stood
        others=[tag for tag in found if not tag.has and tag.by_hand is None],
        terms={tag.tag: library.filter_term("tag", f"{which}{tag.tag}") for tag in found},
        notes=found.notes,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoView:
    """All that the page of a photo shows of it. tags: None of a restyled photo, which has none of its own."""

    sheet: "PhotoSheet"
    tags: ShownTags | None
    hotel_term: str
    chain_term: str
    of_hotel: list[SmallPhoto]
    hotel_photos: int
    restyled: "list[Result]"

    @property
    def details(self) -> "PhotoDetails":
        """What the library knows of it."""
        return self.sheet.details

    @property
    def title(self) -> str:
        """What it is called on its page."""
        name = self.sheet.shown_path.replace("!", "/").rpartition("/")[2]
        return self.details.hotel_name or name

    @property
    def alt(self) -> str:
        """What it shows, as far as that is known, for those who do not see it."""
        said = [tag.tag for tag in self.tags.has if tag.has][:4] if self.tags else []
        captions = [text for text, _, _ in self.sheet.captions][:1]
        return ", ".join([*captions, *said]) or self.title

    @property
    def shown_px(self) -> tuple[int, int]:
        """Width and height that it is shown at where there is room: a small photo twice as large."""
        width, height = self.details.width_px or 480, self.details.height_px or 320
        scale = max(1.0, min(2.0, 1200 / width))
        return round(scale * width), round(scale * height)

    def slides(self, walk: Walk | None, asked: PhotoInOrder) -> dict[str, Any]:
        """Return what the large view swipes through: the photos around this one, or it alone."""
        own = SmallPhoto(
            photo_id=self.details.photo_id,
            name=self.alt,
            width_px=self.details.width_px or 480,
            height_px=self.details.height_px or 320,
            version=self.version,
        )
        around = [(1, own)] if walk is None else walk.around
        return {
            "place": 1 if walk is None else walk.rank,
            "slides": [photo.slide(place, f"/photo/{photo.photo_id}?{asked.at(place)}") for place, photo in around],
        }

    @property
    def version(self) -> str:
        """What tells its bytes from others."""
        sha256 = self.details.file.sha256
        return "" if sha256 is None else version_of(sha256)

    def picture(self, width_px: int, seen: str = "plain") -> str:
        """Return the address of its picture."""
        said = (
            {"w": width_px}
            | ({} if seen == "plain" else {"view": seen})
            | ({"v": self.version} if self.version else {})
        )
        return f"/api/v1/photos/{self.details.photo_id}/image?{urlencode(said)}"


def tiles_of(served: Opened, hits: "Iterable[Hit]") -> list[SmallPhoto]:
    """Return hits as small photos."""
    names = {hit.photo_id: hit.hotel_name or "" for hit in hits}
    return small_photos(served, list(names), names)


def photo_view(served: Opened, photo_id: int, vocabulary: str | None) -> PhotoView:
    """Return all that is known of a photo. Raises: NoPicture: there is none of this number."""
    library = served.library
    sheet = library.sheet_of(photo_id)
    if sheet is None:
        raise NoPicture(f"there is no photo {photo_id} here (any more): take one that a search shows")
    details = sheet.details
    ids, hotel_photos = (
        ([], 0) if details.hotel_id is None else library.photos_of_hotel(details.hotel_id, count=OF_HOTEL + 1)
    )
    is_photo = details.kind == "photo"
    return PhotoView(
        sheet=sheet,
        tags=tags_shown(library, photo_id, vocabulary) if is_photo else None,
        hotel_term="" if details.hotel_id is None else library.hotel_term(details.hotel_id, details.hotel_name),
        chain_term="" if details.chain_name is None else library.filter_term("chain", details.chain_name),
        of_hotel=small_photos(served, [each for each in ids if each != photo_id][:OF_HOTEL]),
        hotel_photos=hotel_photos,
        restyled=[result for result in library.restyled(photo=photo_id) if result.exists] if is_photo else [],
    )
