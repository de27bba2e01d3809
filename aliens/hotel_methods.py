"""What a library can do with its photos by hotel: tables of tags, ranked hotels, galleries."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from aliens.owner import Where
from aliens.tag_methods import TagMethods
from base.errors import QueryError
from base.progress import Progress
from search.answers import SearchOptions

if TYPE_CHECKING:
    from search.gallery import Gallery, Rooms
    from search.hotel_hits import HotelHits
    from search.hotel_pages import HotelFormat, HotelManifest
    from search.hotels import HotelSort, HotelTable
    from search.tags.tagging import Tagging


class HotelMethods(TagMethods):
    """Hotels: what they have, which show something best, what to show of them."""

    def hotels(
        self,
        name: str | int | Sequence[str | int] | None = None,
        *,
        tags: str | Sequence[str] = (),
        missing: str | Sequence[str] = (),
        sort: "HotelSort" = "name",
        vocabulary: str | None = None,
        progress: Progress | None = None,
    ) -> "HotelTable":
        """Return the hotels with their tags: what their photos show, how surely, by which photo; what none shows.

        Args:
            name: only hotels of this number, or with this in their names; or of several.
            tags: only hotels that have all these tags.
            missing: only hotels of which no photo shows any of these.
            sort: name, chain, photos (most first), tags (most first) or missing (most first).
            vocabulary: one that the library was tagged with, by default the latest.
            progress: told of the photos joined.

        Raises: QueryError: the library was not tagged, no photo belongs to a hotel, or no hotel is so.
        """
        with self._tagging(vocabulary) as (session, tagging), self.showing(progress) as tell:
            return self._hotels(session, tagging, name, tags, missing, sort, self._rooms(session), tell)

    def narrow_hotels(
        self,
        table: "HotelTable",
        *,
        name: str | int | Sequence[str | int] | None = None,
        tags: str | Sequence[str] = (),
        missing: str | Sequence[str] = (),
        sort: "HotelSort" = "name",
    ) -> "HotelTable":
        """Return what `hotels` returns of a table of all hotels, without joining photos again; arguments as there.

        Raises: QueryError: no hotel is so, or there is no such tag.
        """
        import numpy as np

        from search.hotels import hotel_ids_named, tag_places
        from search.tags.tagging import known_vocabularies

        with self.catalog.session() as session:
            words = known_vocabularies(session, self.model).only(table.vocabulary)
            wanted, absent = (
                tag_places(words, words.all[0], [names] if isinstance(names, str) else names)
                for names in (tags, missing)
            )
            rows = table.rows
            if name is not None:
                meant = hotel_ids_named(session, *([name] if isinstance(name, str | int) else name))
                rows = rows[np.isin(table.hotels.ids[rows], meant)]
        narrow = table.part(rows)
        if not len(rows):
            raise QueryError(f"no photo of {name!r} can be found: `aliens failures` says what became of them")
        narrow.narrowed(wanted, absent, sort)
        return narrow

    def hotels_state(self, vocabulary: str | None = None) -> tuple[str, int]:
        """Return what changes whenever a table of hotels may, and how many photos it would be made of."""
        from db.hotel_rows import hotels_stamp
        from db.photo_rows import columns_stamp
        from db.tag_rows import labels_stamp, tagging_stamp
        from db.vector_rows import EmbeddedRows
        from search.results import digest

        with self.catalog.session() as session:
            segments = EmbeddedRows(session, self.model).segments()
            stamps = (columns_stamp(session), hotels_stamp(session), labels_stamp(session))
            said = (*stamps, tagging_stamp(session, self.model, vocabulary))
            return digest([(file.name, file.alive) for file in segments], *said), sum(file.alive for file in segments)

    def search_hotels(
        self,
        text: str | None = None,
        *,
        k: int = 10,
        image: Where | None = None,
        like: int | None = None,
        min_score: float | None = None,
        until_stop: bool = False,
        after: str | None = None,
    ) -> "HotelHits":
        """Return the k hotels whose best photos are nearest to a text, a photo, or both, best first.

        Arguments and errors are those of `search`, but that `k` counts hotels. Photos of no hotel are passed over.
        """
        from search.hotel_hits import ranked_hotels

        options = SearchOptions(
            image=None if image is None else os.fspath(image), like=like, min_score=min_score, until_stop=until_stop
        )
        return ranked_hotels(self.searcher, options.question(text, after), k)

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

    def export_hotels(
        self,
        path: Where,
        *,
        format: "HotelFormat | None" = None,
        name: str | int | Sequence[str | int] | None = None,
        query: str | None = None,
        k: int | None = None,
        tags: str | Sequence[str] = (),
        missing: str | Sequence[str] = (),
        sort: "HotelSort" = "name",
        gallery: int | None = None,
        vocabulary: str | None = None,
        progress: Progress | None = None,
    ) -> "HotelManifest":
        """Write the hotels with their tags, a row each, or a page with their pictures; and a manifest beside the file.

        A tag's column says yes (sure), maybe (likely), unknown (what the model cannot tell), or nothing. The file
        appears under its name only when it is complete.

        Args:
            path: the file to write: .csv, .tsv, .xlsx, .jsonl, .json, .parquet or .html.
            format: by default by the path's ending.
            name: only hotels of this number, or with this in their names; or of several.
            query: only the k best hotels for this text, as `search_hotels` finds them.
            k: with a query: how many hotels, by default 100.
            tags: only hotels that have all these tags.
            missing: only hotels of which no photo shows any of these.
            sort: as of `hotels`.
            gallery: suggest so many photos of each, which opens photos; by default 8 for a page, else none.
            vocabulary: one that the library was tagged with, by default the latest.
            progress: told of the hotels written.

        Raises:
            QueryError: what is asked for makes no sense, no hotel is left, or too many are for a page or a workbook.
            OutputError: the file cannot be written.
        """
        from search.gallery import GalleryMaker
        from search.hotel_pages import hotel_format, write_hotels

        chosen = hotel_format(Path(path), format)
        if k is not None and query is None:
            raise QueryError("-n (or -k) is for queries: add --query TEXT, or leave it out")
        if query is not None and name is not None:
            raise QueryError(
                "a name and a query both say which hotels: leave one out, or write hotel:NAME in the query"
            )
        which, about = name, ""
        if query is not None:
            found = self.search_hotels(query, k=100 if k is None else k)
            which, about = [hit.hotel_id for hit in found], found.explanation.notes
            if not which:
                raise QueryError(f"no hotel is left for {query!r}: loosen its filters")
        n = 8 if gallery is None and chosen == "html" else gallery
        with self._tagging(vocabulary) as (session, tagging), self.showing(progress) as tell:
            rooms = self._rooms(session)
            table = self._hotels(session, tagging, which, tags, missing, sort, rooms, tell)
            table.query, table.notes = query, [*filter(None, [about]), *table.notes]
            hotel_format(Path(path), format, len(table))
            maker = None if n is None else GalleryMaker(self.searcher, session, self.encoder, n, rooms)
            return write_hotels(table, Path(path), chosen, maker, tell)

    def _rooms(self, session: Session) -> "Rooms":
        """Return what tells the rooms that photos show."""
        from search.gallery import Rooms

        return Rooms(self.encoder, self.searcher.background(session))

    def _hotels(
        self,
        session: Session,
        tagging: "Tagging",
        which: str | int | Sequence[str | int] | None,
        tags: str | Sequence[str],
        missing: str | Sequence[str],
        sort: "HotelSort",
        rooms: "Rooms",
        tell: Progress,
    ) -> "HotelTable":
        """Return the table of hotels that are meant by names or numbers, one or several; None for all."""
        from db.vector_rows import EmbeddedRows
        from search.hotels import hotel_ids_named, hotel_table, tag_places
        from search.tags.tagging import known_vocabularies

        words = known_vocabularies(session, self.model)
        wanted, absent = (
            tag_places(words, tagging.vocabulary, [names] if isinstance(names, str) else names)
            for names in (tags, missing)
        )
        names = [which] if isinstance(which, str | int) else which
        chosen = None if names is None else hotel_ids_named(session, *names)
        vectors = self.store.current(EmbeddedRows(session, self.model))
        table = hotel_table(session, tagging, rooms, vectors, chosen=chosen, progress=tell)
        table.narrowed(wanted, absent, sort)
        return table
