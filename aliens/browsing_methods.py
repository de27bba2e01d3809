"""What a library can do for those who look around in it: whole orders, windows of them, facets, suggestions, a map."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aliens.search_methods import SearchMethods
from base.arrays import Floats
from search.results import Hit

if TYPE_CHECKING:
    from search.orders import Facet, MappedPlace, PhotoOrder, SuggestedTerm


class BrowsingMethods(SearchMethods):
    """Looking around. All texts may come from strangers: none of them reads a file of this machine."""

    def order(
        self,
        text: str = "",
        *,
        more_like: Sequence[int] = (),
        less_like: Sequence[int] = (),
        uploads: Mapping[str, Floats] | None = None,
        sort: str = "score",
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
        from search.orders import LONGEST, PhotoOrder

        found = self.search(text or "room", k=LONGEST, more_like=more_like, less_like=less_like)  # SKELETON
        return PhotoOrder(
            text=text,
            photo_ids=np.array([hit.photo_id for hit in found], np.int64),
            scores=np.array([hit.score for hit in found], np.float32),
            beats=np.array([hit.percentile or 0 for hit in found], np.float32),
            above=sum(bool(hit.above_line) for hit in found),
            stop_line=found.stop_line,
            stands_out=found.stands_out,
            total=found.explanation.selected or found.explanation.photos,
            photos=found.explanation.photos,
            note=found.note,
        )

    def hits_at(self, order: "PhotoOrder", first: int, count: int) -> list[Hit]:
        """Return the photos of an order from place `first` on, counted from 0; those that have vanished are absent."""
        from db.photo_rows import photo_records
        from search.results import as_hit

        ids = order.photo_ids[first : first + count].tolist()
        with self.catalog.session() as session:
            records = photo_records(session, ids)
        scores = [0.0] * len(ids) if order.scores is None else order.scores[first : first + count].tolist()
        return [as_hit(records[i], score) for i, score in zip(ids, scores, strict=True) if i in records]

    def ratios(self, order: "PhotoOrder") -> bytes:
        """Return a byte a photo, in the order's order: width over height as 32 (1 + log2), clipped to 0..64.

        0 is 1:2 or taller, 32 is a square, 64 is 2:1 or wider.
        """
        return bytes([50]) * len(order)  # SKELETON

    def facets(self, order: "PhotoOrder") -> "list[Facet]":
        """Count, of the photos above the stop line, the values of each property, each without its own filter."""
        return []  # SKELETON

    def mapped(self, order: "PhotoOrder") -> "list[MappedPlace]":
        """Return the places of the photos above the stop line."""
        return []  # SKELETON

    def suggest(self, text: str, caret: int, k: int = 8) -> "list[SuggestedTerm]":
        """Return what may be typed next: tags, hotels, chains, operators and saved searches, the likeliest first."""
        return []  # SKELETON

    def refuse_files(self, text: str) -> None:
        """Raise QueryError: a query names a file of this machine, which no stranger may have read."""
        # SKELETON
