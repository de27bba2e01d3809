from collections.abc import Callable
from datetime import datetime
from itertools import chain
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from db import photo_rows as sql
from db.catalog import new_session
from db.hotel_rows import merge_chains, merge_hotels
from db.models import Model, Photo, PhotoState
from tests.db.conftest import numbered, put_embedded, put_photos

pytestmark = pytest.mark.every_database


def paths_under(session: Session, root: str) -> set[str]:
    return {photo.path for photo in sql.photos_by_id(session, list(sql.photo_ids_under(session, root)))}


def scan_of(root: str, found: int) -> dict[str, Any]:
    started_at = datetime(2026, 1, 2, 3, 4, 5)
    columns = {"root": root, "kind": "folder", "started_at": started_at, "seconds": 0.5}
    return columns | {"counts": {"found": found}, "problems": []}


def test_photos_are_found_by_path_and_member(session: Session) -> None:
    put_photos(session, ["/a.tar"], member="1.jpg")
    put_photos(session, ["/a.tar"], member="2.jpg")
    put_photos(session, ["/b.jpg"])
    places = [("/a.tar", "2.jpg"), ("/b.jpg", ""), ("/a.tar", ""), ("/c.jpg", "")]
    assert sql.photos_at(session, places).keys() == {("/a.tar", "2.jpg"), ("/b.jpg", "")}


def test_a_thousand_places_are_looked_up_at_once(session: Session) -> None:
    put_photos(session, numbered(1500))
    found = sql.photos_at(session, [(path, "") for path in numbered(1000)])
    assert sorted(path for path, _ in found) == numbered(1000)


def test_rows_with_different_columns_are_all_updated(session: Session) -> None:
    one, two, three = put_photos(session, numbered(3))
    sql.update_photos(
        session,
        [
            {"id": one, "size_bytes": 1},
            {"id": two, "state": PhotoState.FAILED, "failure_kind": "empty", "failure_reason": "0 bytes"},
            {"id": three, "size_bytes": 3},
        ],
    )
    session.expire_all()
    photos = {photo.id: photo for photo in sql.all_photos(session)}
    assert (photos[one].size_bytes, photos[three].size_bytes) == (1, 3)
    assert (photos[two].state, photos[two].failure_kind, photos[two].size_bytes) == (PhotoState.FAILED, "empty", None)


def test_updating_nothing_is_no_error(session: Session) -> None:
    sql.update_photos(session, [])
    assert sql.count_photos(session)[PhotoState.PENDING] == 0


def test_pending_photos_come_page_by_page_in_the_order_of_their_ids(session: Session, model: Model) -> None:
    pending = put_photos(session, numbered(1200))
    put_embedded(session, model, "a", ["/embedded.jpg"])
    pending += put_photos(session, ["/late.jpg"])
    pages_of_ids, last = [], 0
    while page := [photo.id for photo in sql.pending_photos(session, last)]:
        pages_of_ids.append(page)
        last = page[-1]
    assert [len(page) for page in pages_of_ids] == [1000, 201]
    assert list(chain.from_iterable(pages_of_ids)) == pending
    assert [photo.id for photo in sql.pending_photos(session, limit=2)] == pending[:2]


def test_every_state_is_counted_even_when_no_photo_has_it(session: Session, model: Model) -> None:
    assert sql.count_photos(session) == {PhotoState.PENDING: 0, PhotoState.EMBEDDED: 0, PhotoState.FAILED: 0}
    put_photos(session, ["/a.jpg", "/b.jpg"])
    put_embedded(session, model, "a", ["/c.jpg"])
    assert sql.count_photos(session) == {PhotoState.PENDING: 2, PhotoState.EMBEDDED: 1, PhotoState.FAILED: 0}


ROOTS = ["/photos", "/ph%tos", "/ph_tos", "/a/b0", "/комнаты", "/a\nb", "/a'b\"c", "/x\U0001f6c1", "/ö", "/z\uffff"]


@pytest.mark.parametrize("root", ROOTS)
def test_photos_under_a_folder_are_not_those_of_folders_with_similar_names(session: Session, root: str) -> None:
    inside = [f"{root}/{name}" for name in ("1.jpg", "deep/er/2.jpg", "\x01.jpg", "ÿ.jpg", "\U0010ffff/\U0010ffff.jpg")]
    similar = [f"{root}{end}" for end in ("2/1.jpg", ".jpg", "0", "0/1.jpg", "!/1.jpg", "\U0010ffff")]
    similar += [f"/other{root}/1.jpg", root.upper() + "/1.jpg", root[:-1] + "/1.jpg", "/photos9/1.jpg"]
    put_photos(session, inside + similar + ["/phot0s/1.jpg", "/phXtos/1.jpg"])
    assert paths_under(session, root) == set(inside)
    assert paths_under(session, root + "/") == set(inside)
    assert sql.count_under(session, root) == len(inside)


names = st.text(st.sampled_from("ab%_0./-ö\uffff\U0001f6c1"), min_size=1, max_size=3)


@given(paths=st.lists(st.lists(names, min_size=1, max_size=4).map("/".join), max_size=12, unique=True), root=names)
def test_photos_under_a_folder_are_of_paths_below_it(migrated_engine: Engine, paths: list[str], root: str) -> None:
    with new_session(migrated_engine) as session:  # never committed
        put_photos(session, paths)
        inside = {path for path in paths if path == root or path.startswith(root.rstrip("/") + "/")}
        assert paths_under(session, root) == inside
        assert sql.count_under(session, root) == len(inside)


@pytest.mark.sqlite("PostgreSQL looks through few photos rather than into an index; see test_postgres")
@pytest.mark.parametrize("ask", [lambda *args: list(sql.photo_ids_under(*args)), sql.count_under], ids=["ids", "count"])
def test_photos_under_a_folder_are_found_by_an_index_and_not_by_looking_at_all(
    engine: Engine, session: Session, ask: Callable[..., object]
) -> None:
    asked: list[tuple[str, Any]] = []
    session.connection()
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2:4]))
    ask(session, "/photos")
    ((statement, parameters),) = asked
    with engine.connect() as connection:
        steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert not [step for step in steps if step.startswith("SCAN")]
    assert all("ix_photo_place" in step for step in steps if step.startswith("SEARCH"))


def test_results_are_no_photos_under_a_folder(session: Session) -> None:
    put_photos(session, ["/library/1.jpg"])
    put_photos(session, ["/library/2.png"], state=PhotoState.RESTYLED)
    assert paths_under(session, "/library") == {"/library/1.jpg"}
    assert sql.count_under(session, "/library") == 1


def test_pending_photos_are_counted(session: Session, model: Model) -> None:
    assert sql.count_pending(session) == 0
    put_photos(session, numbered(2))
    put_embedded(session, model, "a", ["/embedded.jpg"])
    assert sql.count_pending(session) == 2


def test_the_stamp_of_the_columns_is_never_twice_the_same(session: Session) -> None:
    stamps = [sql.columns_stamp(session)]
    for _ in range(3):
        sql.mark_columns_changed(session)
        stamps.append(sql.columns_stamp(session))
        assert sql.columns_stamp(session) == stamps[-1]
    assert len(set(stamps)) == 4


def test_photos_in_a_tar_are_under_it_and_all_photos_are_under_the_root_folder(session: Session) -> None:
    put_photos(session, ["/photos/a.tar"], member="1.jpg")
    put_photos(session, ["/photos/a.tar2"], member="1.jpg")
    assert paths_under(session, "/photos/a.tar") == {"/photos/a.tar"}
    assert paths_under(session, "/") == {"/photos/a.tar", "/photos/a.tar2"}


def test_photos_come_by_id_as_they_are_now(session: Session) -> None:
    ids = put_photos(session, numbered(2500))
    held = list(sql.photos_by_id(session, ids))
    assert [photo.id for photo in held] == ids
    session.commit()
    with new_session(cast(Engine, session.get_bind())) as other:
        sql.update_photos(other, [{"id": ids[7], "path": "/elsewhere"}])
        other.commit()
    assert [photo.path for photo in sql.photos_by_id(session, [ids[8], ids[7], 99_999])] == ["/elsewhere", held[8].path]


def test_bytes_are_known_of_photos_that_were_read(session: Session) -> None:
    ids = put_photos(session, numbered(1500), content_sha256=b"1" * 32)
    unread = put_photos(session, ["/unread"])
    assert sql.hashes_of(session, [*ids, *unread]) == dict.fromkeys(ids, b"1" * 32)
    assert [photo.id for photo in sql.photos_with_bytes(session, b"1" * 32)] == ids
    sql.drop_photos(session, ids)
    assert sql.hashes_of(session, ids) == {}


def test_failures_are_counted_by_kind_most_first(session: Session) -> None:
    for kind, names in (("truncated", "ab"), ("empty", "cd"), ("missing", "efg")):
        put_photos(session, list(names), state=PhotoState.FAILED, failure_kind=kind, failure_reason="why")
    put_photos(session, ["pending"])
    assert list(sql.failure_counts(session).items()) == [("missing", 3), ("empty", 2), ("truncated", 2)]


def test_failed_photos_are_listed_all_or_of_one_kind(session: Session) -> None:
    put_photos(session, ["a", "b"], state=PhotoState.FAILED, failure_kind="empty", failure_reason="why")
    put_photos(session, ["c"])
    put_photos(session, ["d"], state=PhotoState.FAILED, failure_kind="truncated", failure_reason="why")
    assert [photo.path for photo in sql.failed_photos(session)] == ["a", "b", "d"]
    assert [photo.path for photo in sql.failed_photos(session, "empty")] == ["a", "b"]
    assert list(sql.failed_photos(session, "unheard of")) == []


def test_all_photos_come_in_the_order_of_their_ids_beyond_one_page(session: Session) -> None:
    ids = put_photos(session, numbered(2100))
    assert [photo.id for photo in sql.all_photos(session)] == ids


def test_records_of_embedded_photos_name_hotel_and_chain(session: Session, model: Model) -> None:
    merge_chains(session, {7: "Azura"})
    place = {"latitude": None, "longitude": None}
    merge_hotels(
        session,
        [{"id": 1, "name": "One", "chain_id": 7} | place, {"id": 2, "name": None, "chain_id": None} | place],
    )
    (one,) = put_embedded(session, model, "a", ["/1.jpg"], image_id=11, hotel_id=1)
    (two,) = put_embedded(session, model, "b", ["/2.jpg"], image_id=12, hotel_id=2)
    (plain,) = put_embedded(session, model, "c", ["/3.tar"], member="3.jpg")
    (pending,) = put_photos(session, ["/4.jpg"])
    uploaded = datetime(2015, 3, 2, 10, 30)
    sql.update_photos(session, [{"id": one, "uploaded_at": uploaded, "mtime_ns": 5}])
    sql.update_photos(session, [{"id": two, "mtime_ns": 1_500_000_000}])
    assert sql.photo_records(session, [plain, pending, one, two, 999]) == {
        one: sql.PhotoRecord(one, "/1.jpg", "", 11, 1, "One", 7, "Azura", uploaded, date_from="upload"),
        two: sql.PhotoRecord(
            two, "/2.jpg", "", 12, 2, *[None] * 3, datetime(1970, 1, 1, 0, 0, 1, 500_000), date_from="file"
        ),
        plain: sql.PhotoRecord(plain, "/3.tar", "3.jpg", None, None, None, None, None, None),
    }


@pytest.mark.parametrize("mtime_ns", [None, 10**30, -(10**30)])
def test_a_time_that_makes_no_sense_is_no_date(mtime_ns: int | None) -> None:
    assert sql.time_of(mtime_ns) is None


def test_hotels_and_chains_of_photos(session: Session, model: Model) -> None:
    merge_chains(session, {7: "Azura"})
    merge_hotels(session, [{"id": 1, "name": "One", "chain_id": 7, "latitude": None, "longitude": None}])
    one, two = put_photos(session, ["/1.jpg", "/2.jpg"])
    sql.update_photos(session, [{"id": one, "hotel_id": 1}])
    assert sql.hotels_of(session, [one, two, 999]) == {one: (1, 7), two: (None, None)}
    assert sql.newest_photo_id(session) == two


def test_records_of_more_photos_than_fit_into_one_statement(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(2100))
    assert sorted(sql.photo_records(session, ids)) == ids


def test_latest_scan_of_every_root_newest_first(session: Session) -> None:
    for root, found in (("/a", 1), ("/b", 2), ("/a", 3), ("/c", 4), ("/b", 5)):
        sql.record_scans(session, [scan_of(root, found)])
        session.flush()
    assert [(scan.root, scan.counts["found"]) for scan in sql.latest_scans(session)] == [
        ("/b", 5),
        ("/c", 4),
        ("/a", 3),
    ]


@pytest.mark.parametrize(("count", "lengths"), [(0, []), (1, [1]), (1000, [1000]), (2001, [1000, 1000, 1])])
def test_pages_hold_every_id_once(count: int, lengths: list[int]) -> None:
    ids = list(range(count))
    found = list(sql.pages(ids))
    assert [len(page) for page in found] == lengths
    assert list(chain.from_iterable(found)) == ids


def test_photo_is_pending_unless_said_otherwise(session: Session) -> None:
    session.add(Photo(path="/1.jpg"))
    session.flush()
    assert [photo.member for photo in sql.pending_photos(session)] == [""]
