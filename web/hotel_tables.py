"""The table of hotels that pages and programs page through: joined once, kept while nothing has changed."""

from typing import TYPE_CHECKING

import anyio

from base.progress import silent
from web.thumbnails import NoPicture

if TYPE_CHECKING:
    from search.hotels import HotelTable, TaggedHotel
    from web.opened import Opened

AT_ONCE = 50_000  # photos whose table is joined while somebody waits for a page


class HotelTables:
    """The table of the vocabulary that was asked for last. For one event loop."""

    def __init__(self, served: "Opened") -> None:
        self._served = served
        self._turn: anyio.Lock | None = None  # of several who ask at once, one joins, and none holds a thread
        self._state = ""
        self._table: HotelTable | None = None

    async def at_hand(self, vocabulary: str | None) -> bool:
        """Tell whether a table is kept, or joined so soon that one may wait for it."""
        state, photos = await self._served.compute(self._served.library.hotels_state, vocabulary)
        return state == self._state or photos <= AT_ONCE

    async def table(self, vocabulary: str | None) -> "HotelTable":
        """Return the hotels with their tags, by their names.

        Raises: QueryError: the library was not tagged (with it), or no photo belongs to a hotel.
        """
        self._turn = self._turn or anyio.Lock()
        library = self._served.library
        async with self._turn:
            state, _ = await self._served.compute(library.hotels_state, vocabulary)
            if self._table is None or state != self._state:
                self._table = None  # two would lie in memory
                self._table = await self._served.compute(
                    self._served.library.hotels, vocabulary=vocabulary, progress=silent
                )
                self._state = state
            return self._table

    async def hotel(self, hotel_id: int, vocabulary: str | None) -> "TaggedHotel":
        """Return one hotel with its tags.

        Raises: NoPicture: none of its photos can be found; QueryError: as `table`.
        """
        library = self._served.library
        state, photos = await self._served.compute(library.hotels_state, vocabulary)
        if state != self._state and photos > AT_ONCE:
            return (await self._served.compute(library.hotels, hotel_id, vocabulary=vocabulary, progress=silent))[0]
        table = await self.table(vocabulary)
        rows = (table.hotels.ids[table.rows] == hotel_id).nonzero()[0]
        if not len(rows):
            raise NoPicture(f"there is no photo of a hotel {hotel_id} here (any more)")
        return table[int(rows[0])]
