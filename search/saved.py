"""Saved searches: a query and its options under a name, kept in the library's database."""

from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from base.errors import QueryError
from base.names import comparable, nearest
from db.catalog import Catalog
from db.models import SavedSearch
from db.photo_names import photo_ids, photos_called
from db.settings_rows import find_saved_search, save_search, saved_searches
from db.tag_rows import current_vocabulary
from search.answers import SearchOptions, by_number
from search.query import format_query, parse, with_whole_paths
from search.tags.tagging import known_vocabularies

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
    """Keep a search under a name, in place of an earlier one of that name.

    Photos of the library are kept by their numbers, which moves leave as they are, paths of other files in full, and
    tags with their vocabularies, so that it goes on meaning what it means.

    Raises: QueryError: the name is empty or too long, the text cannot be read, or a tag is in several vocabularies.
    """
    name, text = checked(name), with_whole_paths(text or "")
    with catalog.saving() as session:
        text, options = with_numbers(session, catalog.folder.root, text, options)
        text = with_vocabularies(catalog, session, text)
        before = search_called(session, name)
        if before is not None and before.name != name:
            session.delete(before)
        save_search(session, name, text, options.said)
        session.commit()


def with_numbers(session: Session, root: Path, text: str, options: SearchOptions) -> tuple[str, SearchOptions]:
    """Return a query and options that name photos of the library by their numbers; as they stand where they do.

    Raises: QueryError: the library knows no photo at a path, and there is no such file.
    """
    query, like = parse(text), options.like
    numbered, _ = by_number(session, root, query)
    if isinstance(like, str):
        like = photos_called(session, [like]).get(like, like)
    more, less = (tuple(photo_ids(session, root, names)) for names in (options.more_like, options.less_like))
    options = replace(options, like=like, more_like=more, less_like=less)
    return text if numbered == query else format_query(numbered), options


def names_file(text: str) -> bool:
    """Tell whether a query names a file of this machine, which no stranger is told of; or cannot be read."""
    try:
        return any(isinstance(term.value, str) and term.kind != "text" for term in parse(text).terms)
    except QueryError:
        return True


def named_search(catalog: Catalog, name: str) -> NamedSearch:
    """Return a saved search.

    Raises: QueryError: none has this name; the message lists what is near.
    """
    name = checked(name)
    with catalog.session() as session:
        found = understood(known_search(session, name))
        return replace(found, text=found.text and as_meant(catalog, session, found.text))


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
        session.delete(known_search(session, name))
        session.commit()


def keep_meanings(catalog: Catalog) -> None:
    """Have the searches that earlier versions saved name their tags' vocabularies, before another becomes current."""
    with catalog.saving() as session:
        for saved in saved_searches(session):
            saved.query = as_meant(catalog, session, saved.query)
        session.commit()


def search_called(session: Session, name: str) -> SavedSearch | None:
    """Return the search of a name: the one that is spelt so, or else the one whose name compares equal; or None."""
    asked = comparable(name)
    exact = find_saved_search(session, name)
    return exact or next((each for each in saved_searches(session) if comparable(each.name) == asked), None)


def as_meant(catalog: Catalog, session: Session, text: str) -> str:
    """Return what an earlier version saved, with the vocabularies that it meant: the current one where it has the tag.

    What no longer makes sense stays as it is: whoever searches so is told.
    """
    with suppress(QueryError):
        return with_vocabularies(catalog, session, text, current_vocabulary(session))
    return text


def with_vocabularies(catalog: Catalog, session: Session, text: str, first: str | None = None) -> str:
    """Return a query whose tags are named with their vocabularies; as it stands where they are, or where it has none.

    `first`: the key of a vocabulary that is meant where several have a tag.

    Raises: QueryError: it cannot be read, or several vocabularies have a tag.
    """
    query = parse(text)
    if all(part.name != "tag" for part in query.filters):
        return text
    words = known_vocabularies(session, catalog.model)
    preferred = words.called(first) if first else None
    filters = tuple(
        replace(part, value=words.in_full(part.value, preferred)) if part.name == "tag" else part
        for part in query.filters
    )
    return text if filters == query.filters else format_query(replace(query, filters=filters))


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


def known_search(session: Session, name: str) -> SavedSearch:
    """Return the search of a name. Raises: QueryError: there is none; the message lists what is near."""
    if (saved := search_called(session, name)) is not None:
        return saved
    known = [search.name for search in saved_searches(session)]
    near = nearest(name, known) or known[:3]
    raise QueryError(
        f"no search is saved as {name!r}"
        + (f" (there are: {', '.join(near)})" if near else ": keep one with `aliens search TEXT --save NAME`")
    )
