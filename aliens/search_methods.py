"""What a library can do for those who look for photos."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from aliens.owner import Owner, Where
from base.errors import QueryError
from base.listing import Listing
from db.photo_names import Named, number_or_path, photo_ids
from db.photo_rows import PhotoRecord, photo_record
from search.answers import PLAIN, Searcher, SearchOptions
from search.ranking import Shape
from search.results import Hit, Results

if TYPE_CHECKING:
    from search.saved import NamedSearch

Sort = Literal["score", "date", "hotel"]


class SearchMethods(Owner):
    """Searching, and searches that are kept."""

    @cached_property
    def searcher(self) -> Searcher:
        """What answers questions."""
        return Searcher(self.catalog, self.store, self.index, lambda: self.encoder)

    def search(
        self,
        text: str | None = None,
        *,
        k: int = 10,
        image: Where | None = None,
        like: Named | None = None,
        more_like: Sequence[Named] = (),
        less_like: Sequence[Named] = (),
        per_hotel: int | None = None,
        per_chain: int | None = None,
        diverse: float = 0.0,
        sort: Sort = "score",
        until_stop: bool = False,
        min_score: float | None = None,
        page: int = 1,
        after: str | None = None,
        copies: bool = False,
        exact: bool = False,
        templates: Sequence[str] = PLAIN,
    ) -> Results:
        """Return the k best photos, best first.

        Of a text, an image and a photo at least one must be given; several are summed as unit vectors.

        Args:
            text: what to look for, in the query language: words, -negated, filters (docs/query-language.md).
            k: how many photos at most.
            image: path of a photo to look for; it need not be in the library.
            like: id or path of a photo of the library to look for; it is not among the hits itself.
            more_like: ids or paths of photos of the library that are what was meant: look more like them.
            less_like: ids or paths of photos that are not.
            per_hotel: at most so many hits of a hotel.
            per_chain: at most so many hits of a chain.
            diverse: 0 orders by score alone, 1 avoids what resembles the hits before.
            sort: the order in which the photos found are shown: score, date or hotel.
            until_stop: end at the suggested stop line.
            min_score: leave out hits of a lower cosine.
            page: which page of k photos, counted anew each time.
            after: a cursor, `Hit.cursor` or `Results.cursor`: go on behind it, whatever was added meanwhile.
            copies: list copies of a photo as well; by default they come as one, with `Hit.copies`.
            exact: compare every photo, even where an approximate index stands.
            templates: prompts that each text is averaged over, each with {} for the text.

        Raises:
            QueryError: nothing was asked for, or something impossible: the message says what.
            ModelMismatchError: the model is no longer the one that the library was made by.
        """
        options = SearchOptions(
            k=k,
            image=None if image is None else os.fspath(image),
            like=None if like is None else number_or_path(like),
            more_like=tuple(map(number_or_path, more_like)),
            less_like=tuple(map(number_or_path, less_like)),
            per_hotel=per_hotel,
            per_chain=per_chain,
            diverse=diverse,
            sort=sort,
            until_stop=until_stop,
            min_score=min_score,
            copies=copies,
            exact=exact,
        )
        return self.searcher.search(options.question(text, after, page, templates), k)

    def stream(
        self,
        text: str | None = None,
        *,
        image: Where | None = None,
        like: Named | None = None,
        more_like: Sequence[Named] = (),
        less_like: Sequence[Named] = (),
        per_hotel: int | None = None,
        per_chain: int | None = None,
        diverse: float = 0.0,
        until_stop: bool = False,
        min_score: float | None = None,
        after: str | None = None,
        copies: bool = False,
        exact: bool = False,
        templates: Sequence[str] = PLAIN,
        tell: Callable[[str], None] | None = None,
    ) -> Iterator[Hit]:
        """Yield every photo above `min_score`, or else above the suggested stop line, best first, however many.

        Arguments and errors are those of `search`. `tell` hears in the end what is to be noted of the answer.
        """
        options = SearchOptions(
            image=None if image is None else os.fspath(image),
            like=None if like is None else number_or_path(like),
            more_like=tuple(map(number_or_path, more_like)),
            less_like=tuple(map(number_or_path, less_like)),
            per_hotel=per_hotel,
            per_chain=per_chain,
            diverse=diverse,
            until_stop=until_stop,
            min_score=min_score,
            copies=copies,
            exact=exact,
        )
        question = options.question(text, after, templates=templates)
        return self.searcher.stream(question, tell or self.tell)

    def similar(
        self,
        photo: Named,
        *,
        k: int = 10,
        other_hotels: bool = False,
        per_hotel: int | None = None,
        per_chain: int | None = None,
        diverse: float = 0.0,
        sort: Sort = "score",
        page: int = 1,
        after: str | None = None,
        copies: bool = False,
    ) -> Results:
        """Return the k photos most like one of the library's; it and its copies are not among them.

        `photo`: its id or its path; a file that is not in the library is compared as it lies there. With `copies` its
        copies are among them; with `other_hotels` no hit is of its own hotel. The others are those of `search`.

        Raises: QueryError: the photo is unknown or has no hotel.
        """
        shape = Shape(
            per_hotel=per_hotel,
            per_chain=per_chain,
            diverse=diverse,
            sort=sort,
            page=page,
            after=after,
            copies=copies,
        )
        return self.searcher.search(self.searcher.like(photo, shape, other_hotels=other_hotels), k)

    def save_search(self, name: str, text: str | None = None, **options: Any) -> None:
        """Keep a search under a name, in place of an earlier one; `options` are those of `search`, or every=True.

        Raises:
            QueryError: the name is empty or too long, or the text cannot be read.
            TypeError: there is no such option.
        """
        from search.saved import save_named

        save_named(self.catalog, name, text, SearchOptions(**options))

    def saved_search(self, name: str) -> "NamedSearch":
        """Return a saved search: `library.search(saved.text, **saved.options)` repeats it.

        Raises: QueryError: none has this name; the message lists what is near.
        """
        from search.saved import named_search

        return named_search(self.catalog, name)

    def saved_searches(self) -> "Listing[NamedSearch]":
        """Return all saved searches, by name."""
        from search.saved import named_searches

        return Listing(named_searches(self.catalog))

    def forget_search(self, name: str) -> None:
        """Remove a saved search. Raises: QueryError: none has this name."""
        from search.saved import forget_named

        forget_named(self.catalog, name)

    def photo_ids(self, photos: Named | Iterable[Named]) -> list[int]:
        """Return the ids of one photo or several, each once, in turn; they may be named by id or by path.

        A path may be relative to the working folder, and name a member of a tar as FILE.tar/NAME. What is all digits
        is an id: a file called 12 is ./12.

        Raises: QueryError: the library knows no photo at a path; the message says what is near.
        """
        several = isinstance(photos, Iterable) and not isinstance(photos, str)
        names: list[Named] = list(photos) if several else [photos]  # type: ignore[arg-type, list-item]
        with self.catalog.session() as session:
            return photo_ids(session, self.path, names)

    def photo(self, photo_id: int) -> PhotoRecord:
        """Return what is known of a photo. Raises: QueryError: there is none of this number, or it cannot be found."""
        with self.catalog.session() as session:
            record = photo_record(session, photo_id)
        if record is None:
            raise QueryError(f"no photo {photo_id} in {self.path}: take a number that a search shows")
        return record
