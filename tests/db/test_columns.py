from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db import photo_rows as module
from db.catalog import new_session
from db.models import Chain, Hotel, Model, PhotoState
from db.photo_rows import COLUMNS, embedded_columns, hotels_and_chains, update_photos
from db.vector_rows import current_model, record_segment, use_model
from tests.db.conftest import put_embedded, put_photos, segment_file

pytestmark = pytest.mark.every_database


def rows_of(session: Session, model: Model, names: list[str], ids: list[int] | None = None) -> list[tuple[object, ...]]:
    """Return (photo id, names...) of the photos."""
    return [
        row
        for columns in embedded_columns(session, model, names, ids)
        for row in zip(*(columns[name] for name in ["photo_id", *names]), strict=True)
    ]


def test_every_column_of_a_photo_is_read(session: Session, model: Model) -> None:
    session.add(Hotel(id=100, name="Azura One"))
    session.flush()
    values: dict[str, Any] = {
        "member": "x.jpg",
        "image_id": 500001,
        "hotel_id": 100,
        "image_source": "traffickcam",
        "width_px": 640,
        "height_px": 480,
        "format": "JPEG",
        "mtime_ns": 5,
        "latitude": 48.5,
        "longitude": 2.5,
    }
    (photo,) = put_embedded(session, model, "g", ["/a.tar"], **values, uploaded_at=datetime(2015, 1, 31, 17, 40))
    values |= {"date": "2015-01-31 17:40:00", "date_from": "upload"}
    (columns,) = embedded_columns(session, model, list(COLUMNS))
    expected = values | {"photo_id": photo, "path": "/a.tar"}
    assert {name: list(column) for name, column in columns.items()} == {name: [v] for name, v in expected.items()}


def test_photos_come_by_id_whatever_segment_their_vectors_lie_in(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", ["/a", "/b"]) + put_embedded(session, model, "b", ["/c", "/d"])
    record_segment(session, model, segment_file("c", 2), [ids[3], ids[0]])
    assert rows_of(session, model, ["path", "member"]) == [
        (photo_id, path, "") for photo_id, path in zip(ids, ("/a", "/b", "/c", "/d"), strict=True)
    ]


def test_photos_that_cannot_be_found_do_not_come(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", ["/a", "/b", "/c"])
    put_photos(session, ["/pending"])
    update_photos(session, [{"id": ids[1], "state": PhotoState.PENDING}])
    assert rows_of(session, model, []) == [(ids[0],), (ids[2],)]
    assert rows_of(session, model, [], [ids[2], ids[1], 99, ids[0]]) == [(ids[2],), (ids[0],)]
    other = use_model(session, "other-00000000", "other", 8)
    assert rows_of(session, other, ["path"]) == []


def test_a_name_may_be_asked_twice(session: Session, model: Model) -> None:
    (photo,) = put_embedded(session, model, "a", ["/a"])
    (columns,) = embedded_columns(session, model, ["path", "photo_id", "path"])
    assert {name: list(values) for name, values in columns.items()} == {"photo_id": [photo], "path": ["/a"]}


def test_an_empty_library_or_no_ids_give_nothing(session: Session, model: Model) -> None:
    assert list(embedded_columns(session, model, ["path"])) == []
    put_embedded(session, model, "a", ["/a"])
    assert list(embedded_columns(session, model, ["path"], [])) == []
    assert list(embedded_columns(session, model, ["path"], [99])) == []


def test_a_large_library_comes_whole_in_parts(session: Session, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = put_embedded(session, model, "a", [f"/{number}" for number in range(23)])
    monkeypatch.setattr(module, "ROWS", 6)
    monkeypatch.setattr("db.photo_rows.FETCHED", 4)
    parts = [list(columns["photo_id"]) for columns in embedded_columns(session, model, ["path"])]
    assert [len(part) for part in parts] == [8, 8, 7]
    assert [photo_id for part in parts for photo_id in part] == ids


def test_more_ids_than_a_statement_takes_come_in_their_order(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", [f"/{number}" for number in range(2500)])
    wanted = [*ids[::-2], 99_999, *ids[::2]]
    assert rows_of(session, model, ["path"], wanted) == [
        (photo_id, f"/{photo_id - ids[0]}") for photo_id in wanted if photo_id != 99_999
    ]


@pytest.fixture(scope="module")
def eleven(migrated_engine: Engine) -> Engine:
    """A database of eleven embedded photos in three segments."""
    with new_session(migrated_engine) as session:
        model = use_model(session, "fake-00000000", "fake", 48)
        for name, rows in (("a", 5), ("b", 1), ("c", 5)):
            put_embedded(session, model, name, [f"/{name}/{row}" for row in range(rows)])
        session.commit()
    return migrated_engine


@given(ids=st.lists(st.integers(1, 14), max_size=20), rows=st.integers(1, 9), fetched=st.integers(1, 9))
def test_the_size_of_the_parts_changes_nothing(eleven: Engine, ids: list[int], rows: int, fetched: int) -> None:
    with new_session(eleven) as session, pytest.MonkeyPatch.context() as patch:
        model = current_model(session)
        names = ["path", "member"]
        whole = {row[0]: row for row in rows_of(session, model, names)}
        patch.setattr(module, "ROWS", rows)
        patch.setattr("db.photo_rows.FETCHED", fetched)
        assert rows_of(session, model, names) == list(whole.values())
        assert rows_of(session, model, names, ids) == [whole[photo_id] for photo_id in ids if photo_id in whole]
    assert len(whole) == 11


def test_hotels_and_chains_are_read_whole(session: Session) -> None:
    session.add_all([Chain(id=7, name="Azura Bay"), Hotel(id=1, name="One", chain_id=7), Hotel(id=2, name=None)])
    session.flush()
    assert hotels_and_chains(session) == ({1: ("One", 7), 2: (None, None)}, {7: "Azura Bay"})
