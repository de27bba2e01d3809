"""Queries of hotels and chains."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Chain, Hotel


def merge_chains(session: Session, names: Mapping[int, str]) -> None:
    """Add chains {id: name}, or rename those that are known; the caller commits."""
    known = dict(session.execute(select(Chain.id, Chain.name)).all())
    for chain_id, name in names.items():
        if known.get(chain_id) != name:
            session.merge(Chain(id=chain_id, name=name))
    session.flush()


def merge_hotels(session: Session, hotels: Iterable[Mapping[str, Any]]) -> None:
    """Add hotels, given as columns of the table, or change those that are known; the caller commits."""
    known = {hotel.id: hotel for hotel in session.scalars(select(Hotel))}
    fresh = []
    for columns in hotels:
        hotel = known.get(columns["id"])
        if hotel is None:
            fresh.append(dict(columns))
        else:
            for name, value in columns.items():
                if getattr(hotel, name) != value:
                    setattr(hotel, name, value)
    session.bulk_insert_mappings(Hotel.__mapper__, fresh)
    session.flush()


def count_hotels(session: Session) -> tuple[int, int]:
    """Return how many hotels and how many chains the library knows."""
    hotels = session.scalar(select(func.count()).select_from(Hotel))
    chains = session.scalar(select(func.count()).select_from(Chain))
    return hotels or 0, chains or 0
