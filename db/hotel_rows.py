"""Queries of hotels and chains: those of Hotels-50K, people's own, and how folders name these. No photos' facts."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from base.names import comparable
from db.models import Chain, Hotel, HotelChoice, Photo
from db.photo_rows import fetched, is_photo, pages
from db.settings_rows import read_setting, write_setting

FIRST_OWN_ID = 1_000_000_000  # of hotels and chains that people name; those of Hotels-50K stay below 10,000,000


def known_number(hotel_id: int) -> int | None:
    """Return a hotel's number where it is Hotels-50K's, which people know; None for a hotel that somebody named."""
    return hotel_id if hotel_id < FIRST_OWN_ID else None


@dataclass(frozen=True, kw_only=True, slots=True)
class HotelRecord:
    """A hotel's names."""

    hotel_id: int
    hotel_name: str | None
    chain_name: str | None

    @property
    def number(self) -> int | None:
        """Its number for people: see known_number."""
        return known_number(self.hotel_id)

    @property
    def title(self) -> str:
        """Its name, or else its number."""
        return self.hotel_name or f"hotel {self.hotel_id}"


HOTELS_STAMP = "hotel_names"


def mark_hotels_changed(session: Session) -> None:
    """Say that a hotel or a chain has come, has gone, or is another than before; the caller commits."""
    write_setting(session, HOTELS_STAMP, secrets.token_hex(8))


def hotels_stamp(session: Session) -> str:
    """Return what changes whenever hotels or chains do: random, so never twice the same."""
    return read_setting(session, HOTELS_STAMP) or ""


def merge_chains(session: Session, names: Mapping[int, str]) -> None:
    """Add chains {id: name}, or rename those that are known; the caller commits."""
    known = dict(session.execute(select(Chain.id, Chain.name)).all())
    others = {chain_id: name for chain_id, name in names.items() if known.get(chain_id) != name}
    for chain_id, name in others.items():
        session.merge(Chain(id=chain_id, name=name))
    if others:
        mark_hotels_changed(session)
    session.flush()


def merge_hotels(session: Session, hotels: Iterable[Mapping[str, Any]]) -> None:
    """Add hotels, given as columns of the table, or change those that are known; the caller commits."""
    known = {hotel.id: hotel for hotel in session.scalars(select(Hotel))}
    fresh, changed = [], False
    for columns in hotels:
        hotel = known.get(columns["id"])
        if hotel is None:
            fresh.append(dict(columns))
        else:
            changed |= set_columns(hotel, columns)
    session.bulk_insert_mappings(Hotel.__mapper__, fresh)
    if fresh or changed:
        mark_hotels_changed(session)
    session.flush()


def set_columns(hotel: Hotel, columns: Mapping[str, Any]) -> bool:
    """Change columns of a hotel where they differ, and tell whether any does."""
    others = {name: value for name, value in columns.items() if getattr(hotel, name) != value}
    for name, value in others.items():
        setattr(hotel, name, value)
    return bool(others)


def add_nameless_hotels(session: Session, hotel_ids: Sequence[int]) -> None:
    """Add the hotels that are not known yet, by their ids alone; the caller commits."""
    known = set(session.scalars(select(Hotel.id).where(Hotel.id.in_(hotel_ids)))) if hotel_ids else set()
    fresh = [hotel_id for hotel_id in hotel_ids if hotel_id not in known]
    session.add_all(Hotel(id=hotel_id) for hotel_id in fresh)
    if fresh:
        mark_hotels_changed(session)
    session.flush()


def count_hotels(session: Session) -> tuple[int, int]:
    """Return how many hotels and how many chains the library knows."""
    hotels = session.scalar(select(func.count()).select_from(Hotel))
    chains = session.scalar(select(func.count()).select_from(Chain))
    return hotels or 0, chains or 0


def ids_of_hotels(session: Session, hotel_ids: Sequence[int]) -> Iterator[int]:
    """Yield the ids of the photos of hotels."""
    for page in pages(list(hotel_ids)):
        for rows in fetched(session, select(Photo.id).where(Photo.hotel_id.in_(page), is_photo())):
            yield from (row[0] for row in rows)


def photos_by_hotel(session: Session, hotel_ids: Sequence[int]) -> dict[int, int]:
    """Return {hotel id: photos} of those of the hotels that photos are of."""
    counts: dict[int, int] = {}
    for page in pages(list(hotel_ids)):
        statement = select(Photo.hotel_id, func.count()).where(Photo.hotel_id.in_(page), is_photo())
        counts.update((row[0] or 0, row[1]) for row in session.execute(statement.group_by(Photo.hotel_id)))
    return counts


def drop_hotels(session: Session, hotel_ids: Sequence[int]) -> None:
    """Remove those of the hotels that have no photos; the caller commits."""
    used = select(Photo.hotel_id).where(Photo.hotel_id.in_(hotel_ids))
    statement = delete(Hotel).where(Hotel.id.in_(hotel_ids), Hotel.id.not_in(used))
    session.execute(statement, execution_options={"synchronize_session": False})
    mark_hotels_changed(session)


def hotel_places(session: Session) -> dict[int, tuple[float, float]]:
    """Return {hotel id: (latitude, longitude)}, degrees, of the hotels that have both."""
    placed = Hotel.latitude.is_not(None) & Hotel.longitude.is_not(None)
    rows = fetched(session, select(Hotel.id, Hotel.latitude, Hotel.longitude).where(placed))
    return {row[0]: (row[1], row[2]) for found in rows for row in found}


def own_hotels(session: Session) -> dict[str, tuple[int, str]]:
    """Return {name as names are compared: (id, name)} of the hotels that people have named."""
    rows = session.execute(select(Hotel.id, Hotel.name).where(Hotel.id >= FIRST_OWN_ID))
    return {comparable(name): (hotel_id, name) for hotel_id, name in rows if name is not None}


def chains_by_name(session: Session) -> dict[str, int]:
    """Return {name as names are compared: id} of all chains, Hotels-50K's too: a chain is the same everywhere."""
    return {comparable(row[1]): row[0] for row in session.execute(select(Chain.id, Chain.name))}


def add_named(session: Session, table: type[Hotel] | type[Chain], name: str) -> int:
    """Add a hotel, or a chain, that somebody named, and return its id; the caller commits."""
    highest = session.scalar(select(func.max(table.id))) or 0
    number = max(highest + 1, FIRST_OWN_ID)
    session.add(table(id=number, name=name))
    mark_hotels_changed(session)
    session.flush()
    return number


def change_hotel(session: Session, hotel_id: int, columns: Mapping[str, Any]) -> None:
    """Change columns of a hotel where they differ; the caller commits."""
    if set_columns(session.get_one(Hotel, hotel_id), columns):
        mark_hotels_changed(session)
    session.flush()


def drop_empty_hotels(session: Session) -> None:
    """Remove the hotels, and their chains, that people have named and no photo is of any more; the caller commits."""
    of_photos, of_hotels = exists().where(Photo.hotel_id == Hotel.id), exists().where(Hotel.chain_id == Chain.id)
    for table, empty in ((Hotel, ~of_photos), (Chain, ~of_hotels)):
        meant = (table.id >= FIRST_OWN_ID, empty)
        if (
            session.scalar(select(table.id).where(*meant).limit(1)) is not None
        ):  # most often none is: nothing is written
            session.execute(delete(table).where(*meant), execution_options={"synchronize_session": False})
            mark_hotels_changed(session)


def hotel_choices(session: Session) -> list[HotelChoice]:
    """Return how photos get their hotels, at every place that anything was said of."""
    return list(session.scalars(select(HotelChoice)))


def below_place(root: str) -> ColumnElement[bool]:
    """Return the condition that a choice is of a place below another one."""
    prefix = root.rstrip("/") + "/"
    return func.substr(HotelChoice.root, 1, len(prefix)) == prefix


def keep_choice(session: Session, root: str, hotel_from: str, name: str | None) -> HotelChoice:
    """Remember how the photos at a place, and at all below it, get their hotels, and return it; the caller commits."""
    forget_choices(session, root)
    choice = HotelChoice(root=root, hotel_from=hotel_from, name=name)
    session.add(choice)
    session.flush()
    return choice


def forget_choices(session: Session, root: str) -> list[str]:
    """Forget how the photos at a place and below it get their hotels; the caller commits. Return where it was said."""
    meant = or_(HotelChoice.root == root, below_place(root))
    places = list(session.scalars(select(HotelChoice.root).where(meant)))
    session.execute(delete(HotelChoice).where(meant))
    return places
