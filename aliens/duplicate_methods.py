"""What a library can say of its copies: which photos are one picture, and which of them is the one to keep."""

from typing import TYPE_CHECKING

from aliens.owner import Owner
from base.errors import QueryError
from base.progress import Progress

if TYPE_CHECKING:
    from analysis.duplicates.duplicates_found import Duplicates


class DuplicateMethods(Owner):
    """Finding copies, of which none is ever removed."""

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
