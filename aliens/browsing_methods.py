"""What a library can do for those who look around in it: whole orders, windows of them, facets, suggestions, a map."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from aliens.search_methods import SearchMethods
from base.arrays import Floats

if TYPE_CHECKING:
    from search.facets import Facet, FacetValue
    from search.maps import MappedPlace
    from search.orders import OrderSort, PhotoOrder
    from search.standing import CurrentStanding
    from search.suggestions import SuggestedTerm, Suggester
    from search.windows import HitPage, ShownHit


class BrowsingMethods(SearchMethods):
    """Looking around. All texts may come from strangers: none of them reads a file of this machine."""

    @cached_property
    def _standing(self) -> "CurrentStanding":
        """The library as it stands, in memory."""
        from search.standing import CurrentStanding

        return CurrentStanding(self.searcher)

    @property
    def state(self) -> str:
        """What changes whenever an answer may: photos come or go, or have other hotels, dates, tags or labels."""
        from search.standing import library_state

        with self.catalog.session() as session:
            return library_state(session, self.searcher)

    def order(
        self,
        text: str = "",
        *,
        more_like: Sequence[int] = (),
        less_like: Sequence[int] = (),
        uploads: Mapping[str, Floats] | None = None,
        sort: "OrderSort" = "score",
    ) -> "PhotoOrder":
        """Return every photo in the order of a query; without words, the newest first.

        Args:
            text: in the query language; `image:NAME` means one of `uploads`, never a file.
            more_like: ids of photos that are what is meant.
            less_like: ids of photos that are not.
            uploads: unit vectors (d,) by name.
            sort: score, newest, oldest or hotel.

        Raises: QueryError: as `search`, or an image is not among the uploads.
        """
        from search.orders import Wanted, order_of

        wanted = Wanted(
            text=text, more_like=tuple(more_like), less_like=tuple(less_like), uploads=uploads or {}, sort=sort
        )
        with self.catalog.session() as session:
            return order_of(self.searcher, self._standing, session, wanted)

    def hits_at(self, order: "PhotoOrder", first: int, count: int) -> "list[ShownHit]":
        """Return the photos of an order from place `first` on, counted from 0; those that have vanished are absent."""
        from search.windows import hits_of_window

        with self.catalog.session() as session:
            return hits_of_window(self.searcher, self._standing, session, order, first, count)

    def hit_page(
        self,
        order: "PhotoOrder",
        *,
        limit: int = 50,
        after: str | None = None,
        rank: int = 1,
        as_of: int | None = None,
    ) -> "HitPage":
        """Return a page of an order, that of its beginning or what follows.

        Args:
            order: of the same query and options as the page before.
            limit: how many photos.
            after: the cursor that the page before ended with: photos that came meanwhile stay out.
            rank: the place of the first photo, counted from 1, where there is no cursor.
            as_of: of an earlier page: photos that came since stay out, so that ranks are those of that page.

        Raises: QueryError: the cursor is none, or of another library or query.
        """
        from search.windows import page_of_order

        with self.catalog.session() as session:
            return page_of_order(
                self.searcher, self._standing, session, order, limit=limit, after=after, rank=rank, as_of=as_of
            )

    def ratios(self, order: "PhotoOrder") -> bytes:
        """Return a byte a photo, in the order's order: width over height as 32 (1 + log2), clipped to 0..64.

        0 is 1:2 or taller, 32 is a square, 64 is 2:1 or wider; 3:2 where a size is not known.
        """
        from search.windows import ratios_of

        with self.catalog.session() as session:
            return ratios_of(self.searcher, self._standing, session, order)

    def facets(self, order: "PhotoOrder") -> "list[Facet]":
        """Count, of the photos above the stop line, the values of each property, each without its own filter."""
        from search.facets import facets_of

        with self.catalog.session() as session:
            return facets_of(self.searcher, self._standing, session, order)

    def hotels_like(self, order: "PhotoOrder", typed: str, k: int = 20) -> "list[FacetValue]":
        """Return the hotels with these letters in their names, as `facets` counts them, those of most photos first."""
        from search.facets import hotels_called

        with self.catalog.session() as session:
            return hotels_called(self.searcher, self._standing, session, order, typed, k)

    def toggled_filter(self, text: str, term: str) -> str:
        """Return a query with a filter more, such as chain:Azura, or without it where it has it.

        Raises: QuerySyntaxError: one of them cannot be read.
        """
        from search.query_edits import toggled_filter

        return toggled_filter(text, term)

    def mapped(self, order: "PhotoOrder") -> "list[MappedPlace]":
        """Return the places of the photos above the stop line, near ones as one where they are many."""
        from search.maps import places_of_order

        with self.catalog.session() as session:
            return places_of_order(self.searcher, self._standing, session, order)

    @cached_property
    def _suggester(self) -> "Suggester":
        """What knows the names that may be typed."""
        from search.suggestions import Suggester

        return Suggester(self.catalog)

    def suggest(self, text: str, caret: int, k: int = 8) -> "list[SuggestedTerm]":
        """Return what may be typed next: tags, hotels, chains, operators and saved searches, the likeliest first."""
        with self.catalog.session() as session:
            return self._suggester.suggest(session, text, caret, k)

    def refuse_files(self, text: str) -> None:
        """Raise QueryError: a query names a file of this machine, which no stranger may have read."""
        from search.orders import without_files

        with self.catalog.session() as session:
            without_files(session, text, {})
