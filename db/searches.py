"""Queries of saved searches."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import SavedSearch


def save_search(session: Session, name: str, query: str, options: Mapping[str, Any]) -> None:
    """Keep a search under a name, in place of an earlier one of that name; the caller commits."""
    now = datetime.now(UTC).replace(tzinfo=None)
    session.merge(SavedSearch(name=name, query=query, options=dict(options), saved_at=now))


def saved_searches(session: Session) -> list[SavedSearch]:
    """Return all saved searches, by name."""
    return list(session.scalars(select(SavedSearch).order_by(SavedSearch.name)))


def find_saved_search(session: Session, name: str) -> SavedSearch | None:
    """Return the search saved under a name, or None."""
    return session.get(SavedSearch, name)


def forget_search(session: Session, name: str) -> bool:
    """Remove a saved search; the caller commits. Return whether there was one."""
    saved = find_saved_search(session, name)
    if saved is not None:
        session.delete(saved)
    return saved is not None
