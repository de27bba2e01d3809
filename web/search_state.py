"""What a search page is asked: the whole of its state, as it stands in the address. Answers nothing."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query

from search.saved import names_file

if TYPE_CHECKING:
    from search.saved import NamedSearch

LONGEST_QUERY = 10_000  # characters
IDS = r"^([0-9]{1,18}(,[0-9]{1,18}){0,99})?$"
UPLOAD = re.compile(r"(?<!\S)[-+]?image:u_[\w-]+(?::[0-9.]+)?(?!\S)")

Sorting = Literal["score", "newest", "oldest", "hotel"]
Viewing = Literal["grid", "map"]
SAVED_SORTS: dict[str, Sorting] = {"score": "score", "date": "newest", "hotel": "hotel"}  # as saved searches name them


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchState:
    """A query, how its photos are ordered and shown, and photos that are, or are not, what is meant."""

    q: str = ""
    sort: Sorting = "score"
    view: Viewing = "grid"
    more: tuple[int, ...] = ()
    less: tuple[int, ...] = ()

    @property
    def typed(self) -> str:
        """The query without the photos that were dropped on the page: these are shown as chips."""
        return UPLOAD.sub("", self.q).strip()

    @property
    def dropped(self) -> list[str]:
        """The terms of the photos that were dropped."""
        return UPLOAD.findall(self.q)

    def address(self, **changes: Any) -> str:
        """Return the query string of this state with some values changed; what is the default is left out."""
        state = replace(self, **changes)
        default = SearchState()
        said = {
            "q": state.q.strip(),
            "sort": state.sort,
            "view": state.view,
            "more": ",".join(map(str, state.more)),
            "less": ",".join(map(str, state.less)),
        }
        defaults = {"q": "", "sort": default.sort, "view": default.view, "more": "", "less": ""}
        return urlencode({name: value for name, value in said.items() if value != defaults[name]})

    def without(self, photo_id: int) -> str:
        """Return the query string of this state without a photo that is, or is not, what is meant."""
        return self.address(
            more=tuple(each for each in self.more if each != photo_id),
            less=tuple(each for each in self.less if each != photo_id),
        )

    def without_dropped(self, term: str) -> str:
        """Return the query string of this state without a photo that was dropped."""
        return self.address(q=" ".join([self.typed, *(each for each in self.dropped if each != term)]))


def state_asked(
    q: Annotated[str, Query(max_length=LONGEST_QUERY)] = "",
    sort: Sorting = "score",
    view: Viewing = "grid",
    more: Annotated[str, Query(pattern=IDS)] = "",
    less: Annotated[str, Query(pattern=IDS)] = "",
) -> SearchState:
    """Return the state that an address asks for."""
    return SearchState(q=q, sort=sort, view=view, more=listed_ids(more), less=listed_ids(less))


def listed_ids(text: str) -> tuple[int, ...]:
    """Return the numbers of a list such as 3,14,15, each once."""
    return tuple(dict.fromkeys(int(part) for part in text.split(",") if part))


AskedState = Annotated[SearchState, Depends(state_asked)]


@dataclass(frozen=True, slots=True)
class SavedLink:
    """A saved search as the page links to it. left_out: options that the page does not have, and goes without."""

    name: str
    address: str
    left_out: str = ""


def saved_links(searches: "Iterable[NamedSearch]") -> list[SavedLink]:
    """Return saved searches as links; those that look for files of this machine are for its command line alone."""
    return [
        saved_link(saved)
        for saved in searches
        if not names_file(saved.text or "")
        and not any(isinstance(saved.options.get(n), str) for n in ("image", "like"))
    ]


def saved_link(saved: "NamedSearch") -> SavedLink:
    """Return a saved search as an address that repeats it."""
    said = dict(saved.options)
    like = said.pop("like", None)
    state = SearchState(
        q=" ".join(filter(None, [saved.text, like and f"like:{like}"])),
        sort=SAVED_SORTS[said.pop("sort", "score")],
        more=tuple(said.pop("more_like", ())),
        less=tuple(said.pop("less_like", ())),
    )
    said.pop("k", None)  # the page shows all
    return SavedLink(saved.name, state.address(), ", ".join(f"{name} {value}" for name, value in said.items()))
