from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from db.models import Model, PhotoState
from db.stat_rows import PhotoTotals, count_unmeasured, counted_by, own_places, photo_totals, unmeasured
from tests.db.conftest import put_embedded, put_photos

pytestmark = pytest.mark.every_database


def test_totals_of_no_photo_are_zero(session: Session) -> None:
    assert photo_totals(session) == PhotoTotals(photos=0, size_bytes=0, grey=0, coloured=0, brightness_known=0)


def test_only_photos_that_can_be_found_count(session: Session, model: Model) -> None:
    put_embedded(session, model, "a", ["/a", "/b"], grey=True, size_bytes=5, brightness=1.5, width_px=3, height_px=2)
    put_embedded(session, model, "b", ["/c"], grey=False, width_px=3)
    put_embedded(session, model, "c", ["/d"], width_px=3)
    put_photos(session, ["/pending"], width_px=9)
    put_photos(session, ["/restyled"], state=PhotoState.RESTYLED, width_px=9, size_bytes=9)
    assert photo_totals(session) == PhotoTotals(photos=4, size_bytes=10, grey=2, coloured=1, brightness_known=2)
    assert sorted(counted_by(session, "width_px")) == [(3, 4)]
    assert set(counted_by(session, "width_px", "height_px")) == {(3, 2, 2), (3, None, 2)}
    assert set(counted_by(session, "brightness")) == {(1.5, 2), (None, 2)}


def test_a_date_that_was_taken_goes_before_an_upload(session: Session, model: Model) -> None:
    upload = datetime(2016, 1, 1)
    put_embedded(session, model, "a", ["/a"], uploaded_at=upload)
    put_embedded(session, model, "b", ["/b"], uploaded_at=upload, dated_at=datetime(999, 5, 5), date_from="table")
    put_embedded(session, model, "c", ["/c"])
    found = set(counted_by(session, "year", "date_from"))
    assert found == {("2016", "upload", 1), ("0999", "table", 1), (None, None, 1)}


def test_own_places_need_both_coordinates(session: Session, model: Model) -> None:
    put_embedded(session, model, "a", ["/a"], latitude=1.5, longitude=-2.5)
    put_embedded(session, model, "b", ["/b"], latitude=1.5)
    assert [tuple(row) for rows in own_places(session) for row in rows] == [(1.5, -2.5, None)]


def test_photos_without_brightness_come_by_their_numbers_some_at_a_time(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", ["/a", "/b", "/c"], content_sha256=bytes(32))
    put_embedded(session, model, "b", ["/known"], content_sha256=bytes(32), brightness=3.0)
    put_photos(session, ["/pending"], content_sha256=bytes(32))
    assert count_unmeasured(session) == 3
    assert unmeasured(session, 0, 2) == [(ids[0], "/a", "", bytes(32)), (ids[1], "/b", "", bytes(32))]
    assert [row[0] for row in unmeasured(session, ids[1], 2)] == ids[2:]
