"""Saved searches: a query and its options under a name, kept in the library's database."""

import difflib
from collections.abc import Mapping
from typing import Any

from base.errors import QueryError
from base.settings import LibraryFolder
from db.catalog import disk_errors, disposing, new_session, open_library
from db.models import SavedSearch
from db.settings_rows import find_saved_search, forget_search, save_search, saved_searches
from search.query import parse

LONGEST_NAME = 255


def save_named(folder: LibraryFolder, name: str, text: str, options: Mapping[str, Any]) -> None:
    """Keep a search under a name, in place of an earlier one of that name.

    Raises: QueryError: the name is empty or too long, or the text cannot be read.
    """
    name = checked(name)
    parse(text)
    with disk_errors(folder), disposing(open_library(folder)) as engine, new_session(engine) as session:
        save_search(session, name, text, options)
        session.commit()


def saved_search(folder: LibraryFolder, name: str) -> tuple[str, dict[str, Any]]:
    """Return the text and the options of a saved search.

    Raises: QueryError: none has this name; the message lists what is near.
    """
    name = checked(name)
    with disposing(open_library(folder)) as engine, new_session(engine) as session:
        saved = find_saved_search(session, name)
        if saved is not None:
            return saved.query, saved.options
        raise unknown_search(name, [search.name for search in saved_searches(session)])


def list_saved(folder: LibraryFolder) -> list[SavedSearch]:
    """Return all saved searches, by name."""
    with disposing(open_library(folder)) as engine, new_session(engine) as session:
        return saved_searches(session)


def forget(folder: LibraryFolder, name: str) -> None:
    """Remove a saved search.

    Raises: QueryError: none has this name.
    """
    name = checked(name)
    with disk_errors(folder), disposing(open_library(folder)) as engine, new_session(engine) as session:
        if not forget_search(session, name):
            raise unknown_search(name, [search.name for search in saved_searches(session)])
        session.commit()


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
