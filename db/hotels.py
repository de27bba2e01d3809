"""Queries of hotels and chains."""

from collections.abc import Iterable, Mapping, Sequence
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


def add_nameless_hotels(session: Session, hotel_ids: Sequence[int]) -> None:
    """Add the hotels that are not known yet, by their ids alone; the caller commits."""
    known = set(session.scalars(select(Hotel.id).where(Hotel.id.in_(hotel_ids)))) if hotel_ids else set()
    session.add_all(Hotel(id=hotel_id) for hotel_id in hotel_ids if hotel_id not in known)
    session.flush()


def count_hotels(session: Session) -> tuple[int, int]:
    """Return how many hotels and how many chains the library knows."""
    hotels = session.scalar(select(func.count()).select_from(Hotel))
    chains = session.scalar(select(func.count()).select_from(Chain))
    return hotels or 0, chains or 0
