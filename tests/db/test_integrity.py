from sqlalchemy import text
from sqlalchemy.orm import Session

from db.models import Model, PhotoState
from db.vector_rows import database_problems, embedded_without_vector, use_model, vectors_of_shard
from tests.db.conftest import put_embedded, put_photos


def test_sound_database_has_no_problems(session: Session, model: Model) -> None:
    put_embedded(session, model, 1, ["/1.jpg", "/2.jpg"])
    session.commit()
    assert database_problems(session) == []
    assert embedded_without_vector(session, model) == []


def test_row_that_points_nowhere_is_named(session: Session) -> None:
    session.execute(text("PRAGMA foreign_keys = OFF"))
    put_photos(session, ["/1.jpg"], hotel_id=404)
    assert database_problems(session) == ["row 1 of table photo points to a row of hotel that is not there"]


def test_embedded_photos_without_a_vector_of_the_model_are_found(session: Session, model: Model) -> None:
    put_embedded(session, model, 1, ["/1.jpg"])
    put_photos(session, ["/pending.jpg"])
    without = put_photos(session, ["/2.jpg"], state=PhotoState.EMBEDDED)
    without += put_embedded(session, use_model(session, "other-00000000", "other", 16), 1, ["/3.jpg"])
    assert embedded_without_vector(session, model) == without


def test_vectors_of_a_shard_are_those_of_its_model(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, 1, ["/1.jpg", "/2.jpg"])
    put_embedded(session, use_model(session, "other-00000000", "other", 16), 1, ["/3.jpg"])
    assert sorted(vectors_of_shard(session, model, 1)) == [(0, ids[0]), (1, ids[1])]
    assert list(vectors_of_shard(session, model, 2)) == []
