import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from base.errors import LibraryError
from db.models import Model, PhotoState
from db.photo_rows import count_photos, pending_photos, update_photos
from db.vector_rows import (
    Twin,
    any_vector,
    count_embedded,
    current_model,
    embedded_places,
    forget_embeddings,
    forget_shard,
    generation,
    make_pending,
    mark_changed,
    next_shard_number,
    place_of,
    record_shard,
    shard_counts,
    twin,
    use_model,
)
from tests.db.conftest import put_embedded, put_photos

SHA = bytes(range(32))


def numbered(count: int, folder: str = "/photos") -> list[str]:
    return [f"{folder}/{number:04d}.jpg" for number in range(count)]


def fail(session: Session, photo_id: int) -> None:
    failed = {"state": PhotoState.FAILED, "failure_kind": "missing", "failure_reason": "gone"}
    update_photos(session, [{"id": photo_id} | failed])


def test_library_without_a_model_says_how_to_get_one(session: Session) -> None:
    with pytest.raises(LibraryError, match="aliens init"):
        current_model(session)


def test_current_model_is_the_one_used_last_and_none_is_added_twice(session: Session, model: Model) -> None:
    other = use_model(session, "other-00000000", "other", 16)
    assert current_model(session).id == other.id
    assert use_model(session, model.key, model.name, model.dim).id == model.id
    assert current_model(session).id == model.id
    assert session.query(Model).count() == 2


def test_shards_are_numbered_from_one_for_every_model(session: Session, model: Model) -> None:
    other = use_model(session, "other-00000000", "other", 16)
    assert next_shard_number(session, model) == 1
    put_embedded(session, model, 1, ["/1.jpg"])
    put_embedded(session, model, 7, ["/2.jpg", "/3.jpg"])
    assert next_shard_number(session, model) == 8
    assert next_shard_number(session, other) == 1
    assert shard_counts(session, model) == {1: 1, 7: 2}
    assert shard_counts(session, other) == {}


def test_recorded_vectors_lie_at_their_rows(session: Session, model: Model) -> None:
    one, two, three = put_photos(session, numbered(3))
    record_shard(session, model, 4, [three, one])
    assert [place_of(session, model, photo_id) for photo_id in (one, two, three)] == [(4, 1), None, (4, 0)]


def test_photo_embedded_anew_lies_in_its_new_shard_alone(session: Session, model: Model) -> None:
    _, two = put_embedded(session, model, 1, numbered(2))
    record_shard(session, model, 2, [two])
    assert place_of(session, model, two) == (2, 0)
    assert list(embedded_places(session, model)) == [(1, [0]), (2, [0])]
    assert count_embedded(session, model) == 2


def test_vectors_of_more_photos_than_fit_into_one_statement_are_forgotten(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, 1, numbered(2100))
    forget_embeddings(session, model, ids[:-1])
    assert list(embedded_places(session, model)) == [(1, [2099])]


def test_forgotten_shard_makes_its_photos_pending(session: Session, model: Model) -> None:
    lost = put_embedded(session, model, 1, numbered(1100))
    kept = put_embedded(session, model, 2, ["/kept.jpg"])
    fail(session, lost[0])
    before = generation(session, model)
    assert forget_shard(session, model, 1) == 1099
    assert generation(session, model) > before
    assert [photo.id for photo in pending_photos(session, limit=2000)] == lost[1:]
    assert count_photos(session) == {PhotoState.PENDING: 1099, PhotoState.EMBEDDED: 1, PhotoState.FAILED: 1}
    assert shard_counts(session, model) == {2: 1}
    assert place_of(session, model, lost[0]) is None
    assert place_of(session, model, kept[0]) == (2, 0)


def test_forgetting_an_unknown_shard_changes_nothing(session: Session, model: Model) -> None:
    put_embedded(session, model, 1, ["/1.jpg"])
    before = generation(session, model)
    assert forget_shard(session, model, 9) == 0
    assert generation(session, model) == before
    assert count_embedded(session, model) == 1


def test_made_pending_are_the_named_photos_alone(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, 1, numbered(2100))
    assert make_pending(session, model, ids[:2050]) == 2050
    assert count_photos(session)[PhotoState.PENDING] == 2050
    assert count_embedded(session, model) == 50


def test_generation_counts_the_changes_of_one_model(session: Session, model: Model) -> None:
    other = use_model(session, "other-00000000", "other", 16)
    assert generation(session, model) == 0
    ids = put_embedded(session, model, 1, ["/1.jpg"])
    assert generation(session, model) == 1
    mark_changed(session, model)
    assert generation(session, model) == 2
    make_pending(session, model, ids)
    assert generation(session, model) == 3
    make_pending(session, model, [])
    assert generation(session, model) == 3
    assert generation(session, other) == 0


def test_only_embedded_photos_can_be_found(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, 1, numbered(4))
    fail(session, ids[1])
    make_pending(session, model, [ids[2]])
    assert count_embedded(session, model) == 2
    assert list(embedded_places(session, model)) == [(1, [0, 3])]


def test_any_vector_counts_though_no_photo_can_be_found(session: Session, model: Model) -> None:
    assert not any_vector(session, model)
    ids = put_embedded(session, model, 1, ["/1.jpg"])
    fail(session, ids[0])
    assert count_embedded(session, model) == 0
    assert any_vector(session, model)
    assert not any_vector(session, use_model(session, "other-00000000", "other", 16))


def test_places_come_shard_after_shard_and_row_after_row(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, 3, numbered(4))
    put_embedded(session, model, 1, numbered(2, "/other"))
    record_shard(session, model, 2, [ids[2], ids[0]])
    assert list(embedded_places(session, model)) == [(1, [0, 1]), (2, [0, 1]), (3, [1, 3])]


def test_twin_is_the_first_photo_with_the_same_bytes(session: Session, model: Model) -> None:
    facts = {"width_px": 3, "height_px": 2, "format": "PNG", "grey": True}
    put_photos(session, ["/pending.jpg"], content_sha256=SHA)
    put_embedded(session, model, 1, ["/other.jpg"], content_sha256=bytes(32))
    put_embedded(session, model, 2, ["/first.jpg"], content_sha256=SHA, **facts)
    put_embedded(session, model, 3, ["/second.jpg", "/third.jpg"], content_sha256=SHA)
    assert twin(session, model, SHA) == Twin(2, 0, 3, 2, "PNG", True)
    assert twin(session, model, b"\xff" * 32) is None


def test_twin_may_be_a_photo_that_has_vanished_but_not_one_of_another_model(session: Session, model: Model) -> None:
    (photo_id,) = put_embedded(session, model, 1, ["/1.jpg"], content_sha256=SHA)
    fail(session, photo_id)
    assert twin(session, model, SHA) == Twin(1, 0, None, None, None, None)
    assert twin(session, use_model(session, "other-00000000", "other", 16), SHA) is None


def test_twin_is_looked_up_without_reading_every_copy(engine: Engine, session: Session, model: Model) -> None:
    put_embedded(session, model, 1, numbered(50), content_sha256=SHA)
    session.commit()
    asked = []
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2:4]))
    assert twin(session, model, SHA) == Twin(1, 0, None, None, None, None)
    ((statement, parameters),) = asked
    with engine.connect() as connection:
        assert len(connection.exec_driver_sql(statement, parameters).all()) == 1


def test_deleted_photo_takes_its_vectors_record_along(session: Session, model: Model) -> None:
    (photo_id,) = put_embedded(session, model, 1, ["/1.jpg"])
    session.execute(text("DELETE FROM photo"))
    assert place_of(session, model, photo_id) is None
