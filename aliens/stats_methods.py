"""What a library holds: in numbers, and which of its photos are copies of others."""

from typing import TYPE_CHECKING

from aliens.tag_methods import TagMethods
from base.errors import QueryError
from base.progress import Progress

if TYPE_CHECKING:
    from analysis.duplicates.duplicates_found import Duplicates
    from analysis.stats.library_stats import LibraryStats
    from indexer.unmeasured import MeasureReport


class StatsMethods(TagMethods):
    """The data set understood; copies found, of which none is ever removed."""

    def stats(self, vocabulary: str | None = None, *, progress: Progress | None = None) -> "LibraryStats":
        """Return what the library holds, in numbers: no photo is opened, no model loaded.

        Its members are pandas data frames, such as `stats.hotels` and `stats.sizes`; single numbers are in
        `stats.summary`. It prints as a table, and `stats.write_page("report.html")` writes a page with plots.

        Args:
            vocabulary: whose tags are counted by chain, one that the library was tagged with; by default the latest,
                where there is one.
            progress: told of the looks at all photos.

        Raises: QueryError: the library was not tagged with this vocabulary.
        """
        from analysis.stats.counting import count_library
        from db.tag_rows import vocabulary_keys
        from search.tags.summary import ChainCounts, count_by_chain

        tags, key = ChainCounts([]), None
        with self.catalog.session() as session:
            is_tagged = bool(vocabulary_keys(session, self.model))
        if vocabulary is not None or is_tagged:
            with self._tagging(vocabulary) as (session, tagging):
                tags, key = count_by_chain(session, tagging), tagging.vocabulary.key
        with self.catalog.session() as session, self.showing(progress) as tell:
            return count_library(session, str(self.path), tags=tags, vocabulary=key, notes=tags.notes, progress=tell)

    def measure(self, *, progress: Progress | None = None) -> "MeasureReport":
        """Measure how bright the photos are that an earlier version embedded, which did not ask: each is read once.

        May be stopped at any time; the same call goes on where it stopped.

        Raises: LibraryError: another process changes the library, or the disk is full or cannot be written.
        """
        from indexer.unmeasured import measure_brightness

        with self.showing(progress) as tell:
            return measure_brightness(self.catalog, self.encoder.preprocessing, tell)

    def duplicates(
        self,
        query: str | None = None,
        *,
        same_bytes: bool = False,
        cosine: float | None = None,
        recalibrate: bool = False,
        progress: Progress | None = None,
    ) -> "Duplicates":
        """Return groups of photos that are one picture, each with the one to keep first; nothing is changed.

        The same file is found by its bytes; another size, quality, brightness, a watermark or a crop by the model's
        vectors, and confirmed by a perceptual hash of the pixels. Two moments of one place are two pictures. Each copy
        of a group was compared with the photo that is kept of it. Ctrl-C ends the step in hand, and what was found by
        then is returned: `found.summary.stopped` says so.

        Args:
            query: filters, such as "hotel:1540 path:summer": copies among these photos alone.
            same_bytes: only the same files: no photo is opened, no model loaded.
            cosine: from which photos are looked at as possible copies; by default as copies made of photos of this
                library ask for, which is measured at the first call and kept.
            recalibrate: measure that anew.
            progress: told of photos and pairs.

        Raises:
            QueryError: the query has words or makes no sense, or the cosine is none.
            LibraryError: a part of the vectors is absent or damaged.
        """
        from analysis.duplicates.duplicate_search import CopySearch, CopyWish
        from db.vector_rows import EmbeddedRows
        from search.filters import chosen
        from search.query import parse

        if cosine is not None and not 0.5 <= cosine <= 1:
            raise QueryError(f"the cosine is {cosine:g}: give one from 0.5 to 1, such as 0.95")
        if same_bytes and cosine is not None:
            raise QueryError("the same bytes have no cosine: leave one of both out")
        asked = parse(query) if query else None
        if asked is not None and asked.terms:
            raise QueryError(
                f"{query!r} has words to look for: copies are looked for by filters alone, such as hotel:1540"
            )
        with self.catalog.session() as session, self.showing(progress) as tell:
            filters = () if asked is None else asked.filters
            choice = chosen(self.catalog, session, self.store, filters)
            if choice.untagged:
                raise QueryError(choice.note)
            wish = CopyWish(
                among=choice.ids if filters else None, same_bytes=same_bytes, cosine=cosine, recalibrate=recalibrate
            )
            vectors = self.store.current(EmbeddedRows(session, self.model))
            search = CopySearch(session, self.folder, vectors, self.model.key, lambda: self.encoder, wish, tell)
            return search.found()
