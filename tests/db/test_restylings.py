from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from db import restyling_rows as sql
from db.models import Model, Photo, PhotoState
from db.photo_rows import count_photos, photo_ids_under, photo_records, update_photos
from db.tag_rows import known_photos
from db.vector_rows import EmbeddedRows, count_embedded, embedded_ids, miscounted, record_segment, recorded_ids
from tests.db.conftest import put_embedded, put_photos, segment_file

pytestmark = pytest.mark.every_database


def columns(wish: str, photo_id: int | None = None, **changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"source_photo_id": photo_id, "wish": wish, "path": f"restyled/{wish}.png"}
    said |= {"engine": "regrade", "fingerprint": "regrade-1", "palette": "fern", "rung": "regrade"}
    return said | {"lineage": {"wish": wish}, "seconds": 1.5, "made_at": datetime(2026, 1, 2)} | changes


def put_result(session: Session, model: Model, name: str, photo_id: int, wish: str = "w") -> tuple[int, int]:
    """Keep a result and add it in a segment of its own; return its id and its photo's."""
    result = sql.keep_restyling(session, columns(wish, photo_id))
    row = sql.put_result_photo(session, result.id, {"path": f"/library/{wish}.png", "state": PhotoState.RESTYLED})
    record_segment(session, model, segment_file(name, 1), [row], restyled=True)
    return result.id, row


def alive_in(session: Session, model: Model, *, restyled: bool) -> dict[str, list[int]]:
    rows = EmbeddedRows(session, model, restyled=restyled)
    return {file.name: recorded_ids(session, model, file.name, alive=True).tolist() for file in rows.segments()}


def test_a_result_is_found_by_its_wish_and_replaced_by_the_next_of_that_wish(session: Session) -> None:
    assert sql.find_restyling(session, "w") is None
    first = sql.keep_restyling(session, columns("w", lineage={"list": [1, {"a": None}]}))
    other = sql.keep_restyling(session, columns("v"))
    again = sql.keep_restyling(session, columns("w", rung="boundary", seconds=2.5))
    session.commit()
    session.expire_all()
    assert again.id == first.id != other.id
    found = sql.find_restyling(session, "w")
    assert found is not None
    assert (found.rung, found.seconds, found.made_at) == ("boundary", 2.5, datetime(2026, 1, 2))
    assert [row.id for row in sql.all_restylings(session)] == [first.id, other.id]


def test_results_are_listed_by_photo_and_by_engine(session: Session) -> None:
    one, two, copy = put_photos(session, ["/1", "/2", "/copy of 2"])
    of_bytes = {one: b"1" * 32, two: b"2" * 32, copy: b"2" * 32}
    update_photos(session, [{"id": photo, "content_sha256": sha256} for photo, sha256 in of_bytes.items()])
    ids = [
        sql.keep_restyling(session, columns(f"{photo}{engine}", photo, engine=engine, source_sha256=of_bytes[photo])).id
        for photo in (one, two)
        for engine in ("regrade", "sd15")
    ]
    assert [row.id for row in sql.all_restylings(session, source_photo_id=copy)] == ids[2:]
    assert [row.id for row in sql.all_restylings(session, source_photo_id=two)] == ids[2:]
    assert [row.id for row in sql.all_restylings(session, engine="sd15")] == ids[1::2]
    assert [row.id for row in sql.all_restylings(session, source_photo_id=one, engine="sd15")] == [ids[1]]
    assert sql.restylings_of(session, [ids[3], 99, ids[0]]).keys() == {ids[0], ids[3]}
    assert sql.restylings_of(session, range(1, 2501)).keys() == set(ids)


def test_a_result_survives_the_rows_of_its_photos(session: Session, model: Model) -> None:
    (photo_id,) = put_embedded(session, model, "a", ["/1"])
    number, row = put_result(session, model, "b", photo_id)
    session.execute(delete(Photo).where(Photo.id.in_([photo_id, row])))
    session.commit()
    session.expire_all()
    (kept,) = sql.all_restylings(session)
    assert (kept.id, kept.source_photo_id, kept.result_photo_id) == (number, None, None)


def test_an_added_result_is_counted_apart_and_is_no_photo(session: Session, model: Model) -> None:
    (photo_id,) = put_embedded(session, model, "a", ["/photos/1"])
    number, row = put_result(session, model, "b", photo_id)
    sql.keep_restyling(session, columns("not added", photo_id))
    assert sql.count_restylings(session, model) == (2, 1)
    assert count_embedded(session, model) == 1
    assert embedded_ids(session, model).tolist() == [photo_id]
    assert alive_in(session, model, restyled=False) == {"a": [photo_id]}
    assert alive_in(session, model, restyled=True) == {"b": [row]}
    assert count_photos(session)[PhotoState.EMBEDDED] == sum(count_photos(session).values()) == 1
    assert list(photo_ids_under(session, "/")) == [photo_id]
    assert known_photos(session, [photo_id, row]).keys() == {photo_id}
    records = photo_records(session, [photo_id, row])
    assert {found: record.kind for found, record in records.items()} == {photo_id: "photo", row: "restyled"}
    assert {key: photo.id for key, photo in sql.result_photos(session, model, [number, number + 1]).items()} == {
        number: row
    }


def test_a_result_added_again_keeps_its_row(session: Session, model: Model) -> None:
    (photo_id,) = put_embedded(session, model, "a", ["/1"])
    number, row = put_result(session, model, "b", photo_id)
    changed = {"path": "/library/w.png", "state": PhotoState.RESTYLED, "size_bytes": 7}
    assert sql.put_result_photo(session, number, changed) == row
    session.expire_all()
    photo = session.get(Photo, row)
    assert photo is not None
    assert photo.size_bytes == 7


def test_forgetting_results_takes_their_rows_and_vectors_along_and_no_photo(session: Session, model: Model) -> None:
    one, two = put_embedded(session, model, "a", ["/1", "/2"])
    number, row = put_result(session, model, "b", one)
    kept, kept_row = put_result(session, model, "c", two, wish="v")
    sql.forget_restylings(session, [number, 99])
    session.commit()
    session.expire_all()
    assert [found.id for found in sql.all_restylings(session)] == [kept]
    assert session.get(Photo, row) is None
    assert session.get(Photo, kept_row) is not None
    assert embedded_ids(session, model).tolist() == [one, two]
    assert alive_in(session, model, restyled=True) == {"b": [], "c": [kept_row]}
    assert miscounted(session, model) == []


@pytest.mark.parametrize("method", ["person", "embedding"])
def test_games_are_kept_in_the_order_in_which_they_were_played(session: Session, method: str) -> None:
    for right in (3, 6):
        answers = [{"result": 1, "chosen": 2, "right": False}]
        sql.keep_game(session, player="Зоя", method=method, right=right, n=6, answers=answers)
        session.commit()
    session.expire_all()
    played = sql.games(session)
    assert [(game.player, game.method, game.right, game.n) for game in played] == [
        ("Зоя", method, 3, 6),
        ("Зоя", method, 6, 6),
    ]
    assert played[0].answers == [{"result": 1, "chosen": 2, "right": False}]
    assert played[0].played_at <= played[1].played_at
