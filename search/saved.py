"""Saved searches: a query and its options under a name, kept in the library's database."""

import difflib
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from base.errors import QueryError
from db.catalog import Catalog
from db.models import SavedSearch
from db.settings_rows import find_saved_search, forget_search, save_search, saved_searches
from search.answers import SearchOptions
from search.query import parse, with_whole_paths

LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class NamedSearch:
    """A search that was saved: `library.search(saved.text, **saved.options)` repeats it.

    every: whether all photos above the stop line were asked for: `library.stream` then. left_out: options of another
    version, which this one does not have.
    """

    name: str
    text: str | None
    options: dict[str, Any]
    every: bool = False
    left_out: dict[str, Any] = field(default_factory=dict)


def save_named(catalog: Catalog, name: str, text: str | None, options: SearchOptions) -> None:
    """Keep a search under a name, in place of an earlier one of that name; paths of photo files are kept in full.

    Raises: QueryError: the name is empty or too long, or the text cannot be read.
    """
    name, text = checked(name), with_whole_paths(text or "")
    parse(text)
    with catalog.saving() as session:
        save_search(session, name, text, options.said)
        session.commit()


def named_search(catalog: Catalog, name: str) -> NamedSearch:
    """Return a saved search.

    Raises: QueryError: none has this name; the message lists what is near.
    """
    name = checked(name)
    with catalog.session() as session:
        saved = find_saved_search(session, name)
        if saved is not None:
            return understood(saved)
        raise unknown_search(name, [search.name for search in saved_searches(session)])


def named_searches(catalog: Catalog) -> list[NamedSearch]:
    """Return all saved searches, by name."""
    with catalog.session() as session:
        return [understood(saved) for saved in saved_searches(session)]


def forget_named(catalog: Catalog, name: str) -> None:
    """Remove a saved search.

    Raises: QueryError: none has this name.
    """
    name = checked(name)
    with catalog.saving() as session:
        if not forget_search(session, name):
            raise unknown_search(name, [search.name for search in saved_searches(session)])
        session.commit()


def understood(saved: SavedSearch) -> NamedSearch:
    """Return a row as a search, with the options that this version has."""
    kinds = {field.name: field.type for field in fields(SearchOptions)}
    known, left_out = {}, {}
    for name, value in saved.options.items():
        try:
            known[name] = msgspec.convert(ids_in(name, value), kinds[name])
        except (KeyError, ValueError):  # of another version
            left_out[name] = value
    every = bool(known.pop("every", False))
    return NamedSearch(saved.name, saved.query or None, known, every, left_out)


def ids_in(name: str, value: Any) -> Any:
    """Return ids that were saved as a text such as 42,7 as a list; everything else as it is."""
    if name in ("more_like", "less_like") and isinstance(value, str):
        return [int(part) for part in value.split(",")]
    return value


def checked(name: str) -> str:
    """Return a name without spaces around it. Raises: QueryError: no search can have it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        readable = False
    else:
        readable = True
    if not readable or not name.strip() or len(name) > LONGEST_NAME:
        raise QueryError(f"{name[:40]!r} is no name for a search: give one of 1 to {LONGEST_NAME} characters of text")
    return name.strip()


def unknown_search(name: str, known: list[str]) -> QueryError:
    """Return the error for a name that no search has."""
    near = difflib.get_close_matches(name, known, n=3) or known[:3]
    return QueryError(
        f"no search is saved as {name!r}"
        + (f" (there are: {', '.join(near)})" if near else ": keep one with `aliens search TEXT --save NAME`")
    )
