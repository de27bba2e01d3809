"""What a library can do with its photos by hotel: tables of tags, ranked hotels, galleries."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aliens.tag_methods import TagMethods
from base.progress import Progress

if TYPE_CHECKING:
    from search.gallery import Gallery
    from search.hotels import HotelSort, HotelTable

Where = str | os.PathLike[str]


class HotelMethods(TagMethods):
    """Hotels: what they have, which show something best, what to show of them."""

    def hotels(
        self,
        name: str | int | None = None,
        *,
        tags: str | Sequence[str] = (),
        missing: str | Sequence[str] = (),
        sort: "HotelSort" = "name",
        vocabulary: str | None = None,
        progress: Progress | None = None,
    ) -> "HotelTable":
        """Return the hotels with their tags: what their photos show, how surely, by which photo; what none shows.

        Args:
            name: only hotels of this number, or with this in their names.
            tags: only hotels that have all these tags.
            missing: only hotels of which no photo shows any of these.
            sort: name, chain, photos (most first), tags (most first) or missing (most first).
            vocabulary: one that the library was tagged with, by default the latest.
            progress: told of the photos joined.

        Raises: QueryError: the library was not tagged, no photo belongs to a hotel, or no hotel is so.
        """
        from db.vector_rows import EmbeddedRows
        from search.gallery import Rooms
        from search.hotels import hotel_table

        with self._tagging(vocabulary) as (session, tagging), self.showing(progress) as tell:
            wanted, absent = (
                [tagging.vocabulary.position(tag) for tag in ([names] if isinstance(names, str) else names)]
                for names in (tags, missing)
            )
            rooms = Rooms(self.encoder, self.searcher.background(session))
            vectors = self.store.current(EmbeddedRows(session, self.model))
            named = None if name is None else str(name)
            table = hotel_table(session, tagging, rooms, vectors, name=named, progress=tell)
            table.narrowed(wanted, absent, sort)
        return table

    def gallery(self, hotel: str | int, *, n: int = 12, progress: Progress | None = None) -> "Gallery":
        """Suggest the n photos that show a hotel best, in order: one of each kind of room before a second, no copies.

        Photos that are small, blurred, badly exposed, text or people are passed over. Nothing need be tagged.

        Args:
            hotel: its number, or its name or a part of it.
            n: how many photos.
            progress: told of the photos opened: at most 60, or three for each that is asked for.

        Raises: QueryError: no hotel is meant, or several are, or none of its photos can be found.
        """
        from search.gallery import GalleryMaker
        from search.hotels import one_hotel

        with self.catalog.session() as session, self.showing(progress) as tell:
            hotel_id, title = one_hotel(session, hotel)
            return GalleryMaker(self.searcher, session, self.encoder, n).gallery(hotel_id, title, tell)
