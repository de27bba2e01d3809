from typing import Any

import pytest
from sqlalchemy.orm import Session

from db.hotel_rows import add_nameless_hotels, count_hotels, hotels_stamp, merge_chains, merge_hotels
from db.models import Chain, Hotel
from tests.db.statements import writes

pytestmark = pytest.mark.every_database


def hotel(hotel_id: int, **columns: Any) -> dict[str, Any]:
    return {
        "id": hotel_id,
        "name": f"Hotel {hotel_id}",
        "chain_id": None,
        "latitude": None,
        "longitude": None,
    } | columns


def test_chains_are_added_renamed_and_kept(session: Session) -> None:
    merge_chains(session, {1: "Azura", 2: "Linea"})
    merge_chains(session, {2: "Linea Hotels", 3: "Metropol"})
    assert {chain.id: chain.name for chain in session.query(Chain)} == {1: "Azura", 2: "Linea Hotels", 3: "Metropol"}


def test_hotels_are_added_changed_and_kept(session: Session) -> None:
    merge_chains(session, {7: "Azura"})
    merge_hotels(session, [hotel(1, chain_id=7), hotel(2, latitude=1.5, longitude=-2.5)])
    merge_hotels(session, [hotel(2, name="The Inn", latitude=1.5, longitude=-2.5), hotel(3)])
    session.commit()
    rows = {row.id: (row.name, row.chain_id, row.latitude, row.longitude) for row in session.query(Hotel)}
    assert rows == {
        1: ("Hotel 1", 7, None, None),
        2: ("The Inn", None, 1.5, -2.5),
        3: ("Hotel 3", None, None, None),
    }


def test_hotels_and_chains_that_are_known_as_they_are_cost_no_write(session: Session) -> None:
    merge_chains(session, {7: "Azura"})
    merge_hotels(session, [hotel(1, chain_id=7)])
    session.commit()
    with writes() as statements:
        merge_chains(session, {7: "Azura"})
        merge_hotels(session, [hotel(1, chain_id=7)])
        assert statements == []
        stamp = hotels_stamp(session)
        merge_hotels(session, [hotel(1, chain_id=None)])
        assert len(statements) == 2  # and the word that hotels have changed
    assert hotels_stamp(session) != stamp


def test_nameless_hotels_are_added_beside_those_that_are_known(session: Session) -> None:
    merge_hotels(session, [hotel(1), hotel(2)])
    add_nameless_hotels(session, [])
    add_nameless_hotels(session, [2, 3])
    add_nameless_hotels(session, [3, 4])
    assert {row.id: row.name for row in session.query(Hotel)} == {1: "Hotel 1", 2: "Hotel 2", 3: None, 4: None}
    merge_hotels(session, [hotel(3)])
    assert session.get_one(Hotel, 3).name == "Hotel 3"


def test_hotels_and_chains_are_counted(session: Session) -> None:
    assert count_hotels(session) == (0, 0)
    merge_chains(session, {7: "Azura", 8: "Linea"})
    merge_hotels(session, [hotel(number) for number in range(5)])
    assert count_hotels(session) == (5, 2)
