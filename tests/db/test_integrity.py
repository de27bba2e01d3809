from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from base.errors import DamagedDatabaseError
from db.catalog import new_session
from db.models import Model, PhotoState
from db.vector_rows import database_problems, embedded_without_vector, integrity_problems, use_model
from tests.db.conftest import put_embedded, put_photos
from tests.db.statements import damage_page, garble

pytestmark = pytest.mark.sqlite("it is about what is wrong in SQLite's file")


def test_sound_database_has_no_problems(session: Session, model: Model) -> None:
    put_embedded(session, model, "a", ["/1.jpg", "/2.jpg"])
    session.commit()
    assert database_problems(session) == []
    assert list(embedded_without_vector(session, model)) == []


def test_row_that_points_nowhere_is_named(session: Session) -> None:
    session.execute(text("PRAGMA foreign_keys = OFF"))
    put_photos(session, ["/1.jpg"], hotel_id=404)
    assert database_problems(session) == ["row 1 of table photo points to a row of hotel that is not there"]


def test_embedded_photos_without_a_vector_of_the_model_are_found(session: Session, model: Model) -> None:
    put_embedded(session, model, "a", ["/1.jpg"])
    put_photos(session, ["/pending.jpg"])
    without = put_photos(session, ["/2.jpg"], state=PhotoState.EMBEDDED)
    without += put_embedded(session, use_model(session, "other-00000000", "other", 16), "b", ["/3.jpg"])
    assert list(embedded_without_vector(session, model)) == without


# Damaged pages


@pytest.fixture
def full(engine: Engine, session: Session, model: Model) -> Engine:
    """A database with photos of several pages."""
    put_embedded(session, model, "a", [f"/{number:04d}.jpg" for number in range(300)], content_sha256=bytes(32))
    session.commit()
    return engine


def zero(page: bytearray) -> None:
    page[:] = bytes(len(page))


def swap_entries(page: bytearray) -> None:
    page[8:10], page[10:12] = page[10:12], page[8:10]  # the first two cells' places, of a leaf


@pytest.mark.parametrize("change", [garble, zero])
@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("photo", "photo"),
        ("embedding", "embedding"),
        ("vector_segment", "vector_segment"),
        ("caption_words_data", "caption_words_data"),
        ("ix_photo_place", "photo"),
        ("sqlite_autoindex_setting_1", "setting"),
    ],
)
def test_a_page_that_makes_no_sense_is_named_by_its_table_and_by_it_alone(
    full: Engine, name: str, table: str, change: Callable[[bytearray], object]
) -> None:
    damage_page(full, name, change)
    with new_session(full) as session:
        found = database_problems(session)
    assert found
    assert {problem.partition(": ")[0] for problem in found} == {f"table {table}"}


def test_a_row_in_the_wrong_place_is_named_with_its_table(full: Engine) -> None:
    with new_session(full) as session:
        use_model(session, "other-00000000", "other", 16)
        session.commit()
    damage_page(full, "model", swap_entries)
    with new_session(full) as session:
        found = database_problems(session)
    assert [problem for problem in found if problem.startswith("table model: ") and "out of order" in problem], found


def test_every_damaged_table_is_named_and_every_line_is_a_problem_of_its_own(full: Engine) -> None:
    with new_session(full) as session:
        use_model(session, "other-00000000", "other", 16)
        session.commit()
    damage_page(full, "photo", garble)
    damage_page(full, "embedding", garble)
    damage_page(full, "model", swap_entries)
    with new_session(full) as session:
        found = database_problems(session)
    assert {problem.partition(":")[0] for problem in found} == {"table photo", "table embedding", "table model"}
    assert len(set(found)) == len(found)
    assert not [problem for problem in found if "\n" in problem or "***" in problem]


def test_a_sound_table_beside_damaged_ones_is_still_read(full: Engine) -> None:
    damage_page(full, "photo", garble)
    with new_session(full) as session:
        assert integrity_problems(session, "photo") != []
        assert integrity_problems(session, "vector_segment") == []


def test_a_page_that_belongs_to_no_table_is_named_without_one(full: Engine) -> None:
    with full.begin() as connection:
        connection.execute(text("PRAGMA writable_schema = ON"))
        connection.execute(text("DELETE FROM sqlite_master WHERE name = 'ix_photo_hotel_id'"))
        connection.execute(text("PRAGMA writable_schema = OFF"))
    full.dispose()
    with new_session(full) as session:
        found = database_problems(session)
    assert found
    assert all("never used" in problem and not problem.startswith("table ") for problem in found)


def test_a_database_that_cannot_be_looked_through_is_an_error(full: Engine) -> None:
    damage_page(full, "sqlite_master", garble)  # where the tables are listed
    with new_session(full) as session, pytest.raises(DamagedDatabaseError, match="malformed"):
        database_problems(session)
