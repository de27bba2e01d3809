"""What a library holds, in numbers."""

from typing import TYPE_CHECKING

from aliens.tag_methods import TagMethods
from base.progress import Progress

if TYPE_CHECKING:
    from analysis.stats.library_stats import LibraryStats
    from indexer.unmeasured import MeasureReport


class StatsMethods(TagMethods):
    """The data set understood."""

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
