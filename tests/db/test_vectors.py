from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, func, select, text, update
from sqlalchemy.orm import Session

from base.errors import LibraryError
from base.files import SegmentFile
from db import vector_rows as sql
from db.catalog import new_session
from db.models import DeadVector, Embedding, Model, Photo, PhotoState, VectorSegment
from db.photo_rows import count_photos, pending_photos, update_photos
from tests.db.conftest import numbered, put_embedded, put_photos, segment_file

pytestmark = pytest.mark.every_database

SHA = bytes(range(32))


def change_state(session: Session, ids: list[int], state: PhotoState) -> None:
    """Do what scanning and adding do: count what is lost, then say it."""
    failure = ("missing", "gone") if state is PhotoState.FAILED else (None, None)
    if state not in sql.FINDABLE:
        sql.lose(session, ids)
    columns = {"state": state, "failure_kind": failure[0], "failure_reason": failure[1]}
    update_photos(session, [{"id": photo_id} | columns for photo_id in ids])


def merged(session: Session, model: Model, names: Sequence[str], file: SegmentFile | None) -> None:
    """Merge segments as their owner does: into one of the vectors that are somebody's."""
    ids = [sql.recorded_ids(session, model, name) for name in names]
    sql.merge_segments(session, model, names, file, np.sort(np.concatenate(ids)))


def alive_of(session: Session, model: Model) -> dict[str, int]:
    return {file.name: file.alive for file in sql.segments_of(session, model)}


def rows_in(session: Session, model: Model, *, restyled: bool = False) -> dict[str, list[int]]:
    """Return {segment: photos that can be found in it}."""
    rows = sql.EmbeddedRows(session, model, restyled=restyled)
    return {file.name: sql.recorded_ids(session, model, file.name, alive=True).tolist() for file in rows.segments()}


def name_of(session: Session, model: Model, photo_id: int) -> str | None:
    file = sql.segment_with(session, model, photo_id)
    return None if file is None else file.name


# Models


def test_library_without_a_model_says_how_to_get_one(session: Session) -> None:
    with pytest.raises(LibraryError, match="aliens init"):
        sql.current_model(session)


def test_current_model_is_the_one_used_last_and_none_is_added_twice(session: Session, model: Model) -> None:
    other = sql.use_model(session, "other-00000000", "other", 16)
    assert sql.current_model(session).id == other.id
    assert sql.use_model(session, model.key, model.name, model.dim).id == model.id
    assert sql.current_model(session).id == model.id
    assert session.query(Model).count() == 2


# Segments


def test_segments_come_the_oldest_first_as_their_files_are_known(session: Session, model: Model, other: Model) -> None:
    files = [
        SegmentFile(name=name, rows=rows, alive=rows, size_bytes=1000 + rows, sha256=name * 64)
        for name, rows in (("f", 1), ("a", 2))
    ]
    ids = put_photos(session, numbered(3), state=PhotoState.EMBEDDED)
    sql.record_segment(session, model, files[0], ids[:1])
    sql.record_segment(session, model, files[1], ids[1:])
    assert sql.segments_of(session, model) == files
    assert sql.segments_of(session, other) == []


def test_segments_of_results_are_told_from_those_of_photos(session: Session, model: Model) -> None:
    put_embedded(session, model, "a", ["/1.jpg"])
    (result,) = put_photos(session, ["/library/2.png"], state=PhotoState.RESTYLED)
    sql.record_segment(session, model, segment_file("b", 1), [result], restyled=True)
    assert [file.name for file in sql.segments_of(session, model, restyled=False)] == ["a"]
    assert [file.name for file in sql.segments_of(session, model, restyled=True)] == ["b"]
    assert [file.name for file in sql.segments_of(session, model)] == ["a", "b"]
    assert list(rows_in(session, model)) == ["a"]
    assert rows_in(session, model, restyled=True) == {"b": [result]}


def test_recorded_vectors_lie_in_their_segment(session: Session, model: Model) -> None:
    one, two, three = put_photos(session, numbered(3), state=PhotoState.EMBEDDED)
    sql.record_segment(session, model, segment_file("a", 2), [three, one])
    assert [name_of(session, model, photo_id) for photo_id in (one, two, three)] == ["a", None, "a"]
    assert sql.recorded_ids(session, model, "a").tolist() == [one, three]


def test_photo_embedded_anew_lies_in_its_new_segment_alone(session: Session, model: Model) -> None:
    one, two = put_embedded(session, model, "a", numbered(2))
    sql.record_segment(session, model, segment_file("b", 1), [two])
    assert rows_in(session, model) == {"a": [one], "b": [two]}
    assert alive_of(session, model) == {"a": 1, "b": 1}
    assert sql.count_embedded(session, model) == 2


def test_vectors_of_more_photos_than_fit_into_one_statement_are_forgotten(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(2100))
    sql.forget_embeddings(session, model, ids[:-1])
    assert rows_in(session, model) == {"a": ids[-1:]}
    assert alive_of(session, model) == {"a": 1}


def test_ids_of_a_segment_ascend_with_or_without_those_not_found(session: Session, model: Model, other: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(2100))
    put_embedded(session, model, "b", ["/other.jpg"])
    change_state(session, ids[100:1200], PhotoState.FAILED)
    assert sql.recorded_ids(session, model, "a").tolist() == ids
    assert sql.recorded_ids(session, model, "a", alive=True).tolist() == ids[:100] + ids[1200:]
    assert sql.recorded_ids(session, model, "c").tolist() == []
    assert sql.recorded_ids(session, other, "a").tolist() == []


def test_deleted_photo_takes_its_vectors_record_along(session: Session, model: Model) -> None:
    (photo_id,) = put_embedded(session, model, "a", ["/1.jpg"])
    session.execute(text("DELETE FROM photo"))
    assert sql.segment_with(session, model, photo_id) is None


# Counts of what is alive


def test_a_vector_dies_once_and_comes_alive_only_in_another_segment(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(4))
    change_state(session, ids[:2], PhotoState.FAILED)
    assert alive_of(session, model) == {"a": 2}
    change_state(session, ids[1:3], PhotoState.PENDING)  # one is missing already, another changed
    assert alive_of(session, model) == {"a": 1}
    sql.record_segment(session, model, segment_file("b", 3), ids[:3])
    change_state(session, ids[:3], PhotoState.EMBEDDED)
    assert alive_of(session, model) == {"a": 1, "b": 3}
    assert sql.miscounted(session, model) == []


def test_what_is_lost_is_counted_for_every_model(session: Session, model: Model, other: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(3))
    sql.record_segment(session, other, segment_file("b", 2), ids[:2])
    change_state(session, ids[1:], PhotoState.FAILED)
    assert (alive_of(session, model), alive_of(session, other)) == ({"a": 1}, {"b": 1})
    assert sql.miscounted(session, model) == sql.miscounted(session, other) == []


def test_losing_nothing_or_what_has_no_vector_changes_nothing(session: Session, model: Model) -> None:
    put_embedded(session, model, "a", numbered(2))
    pending = put_photos(session, ["/pending.jpg"])
    sql.lose(session, [])
    sql.lose(session, [*pending, 999])
    assert alive_of(session, model) == {"a": 2}


def test_what_is_lost_twice_dies_once(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(3))
    sql.lose(session, ids[:2])
    sql.lose(session, ids[1:])
    assert alive_of(session, model) == {"a": 0}
    assert sql.EmbeddedRows(session, model).dead("a").tolist() == ids


def test_a_vector_that_is_replaced_is_dead_whatever_its_photo_was_said_to_be(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(3))
    session.execute(update(Photo).where(Photo.id == ids[0]).values(state=PhotoState.FAILED))  # by hand, not by a scan
    sql.record_segment(session, model, segment_file("b", 1), ids[:1])
    assert sql.EmbeddedRows(session, model).dead("a").tolist() == ids[:1]
    assert alive_of(session, model) == {"a": 2, "b": 1}


def test_dead_rows_are_those_of_one_segment_ascending(session: Session, model: Model, other: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(2100))
    others = put_embedded(session, model, "b", numbered(3, "/b"))
    change_state(session, [*reversed(ids[5:2000:3]), others[0]], PhotoState.FAILED)
    rows = sql.EmbeddedRows(session, model)
    assert rows.dead("a").tolist() == ids[5:2000:3]
    assert rows.dead("b").tolist() == others[:1]
    assert rows.dead("c").tolist() == []
    assert sql.EmbeddedRows(session, other).dead("a").tolist() == []


def test_more_photos_are_lost_than_fit_into_one_statement(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(1500)) + put_embedded(session, model, "b", numbered(900, "/b"))
    change_state(session, ids[200:2300], PhotoState.FAILED)
    assert alive_of(session, model) == {"a": 200, "b": 100}


def test_wrong_counts_are_named_and_counted_anew(session: Session, model: Model, other: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(3))
    put_embedded(session, model, "b", numbered(2, "/b"))
    put_embedded(session, model, "c", numbered(1, "/c"))
    sql.record_segment(session, other, segment_file("d", 3), ids)
    session.execute(update(Photo).where(Photo.path.startswith("/c")).values(state=PhotoState.FAILED))
    session.execute(update(VectorSegment).where(VectorSegment.name.in_(["b", "d"])).values(alive=7))
    assert sorted(sql.miscounted(session, model)) == [("b", 7, 2), ("c", 1, 0)]
    lost = session.scalars(select(Photo.id).where(Photo.path.startswith("/c"))).all()
    for name, dead in (("b", []), ("c", lost)):
        sql.set_dead(session, model, name, dead)
        assert sql.EmbeddedRows(session, model).dead(name).tolist() == list(dead)
    assert sql.miscounted(session, model) == []
    assert alive_of(session, model) == {"a": 3, "b": 2, "c": 0}
    assert sql.miscounted(session, other) == [("d", 7, 3)]


PHOTOS = 6
STATES = (PhotoState.PENDING, PhotoState.EMBEDDED, PhotoState.FAILED)
some_photos = st.lists(st.integers(0, PHOTOS - 1), min_size=1, max_size=PHOTOS, unique=True)
steps = st.one_of(
    st.tuples(st.just("embed"), some_photos),
    st.tuples(st.sampled_from(["fail", "change", "forget"]), some_photos),
    st.tuples(st.sampled_from(["merge", "lose a segment"]), st.lists(st.integers(0, 9), min_size=1, max_size=3)),
)


@settings(max_examples=25)
@given(st.lists(steps, max_size=12))
def test_whatever_happens_to_photos_the_counts_of_what_is_alive_are_right(
    migrated_engine: Engine, steps: list[tuple[str, list[int]]]
) -> None:
    with new_session(migrated_engine) as session:  # never committed
        model = sql.use_model(session, "fake-00000000", "fake", 48)
        ids = put_photos(session, numbered(PHOTOS))
        held: dict[str, list[int]] = {}  # {segment: photos whose vectors were written to its file}
        for number, (what, chosen) in enumerate(steps):
            files = sql.segments_of(session, model)
            some = [ids[place] for place in chosen] if what not in ("merge", "lose a segment") else []
            names = sorted({files[place % len(files)].name for place in chosen}) if files and not some else []
            if what == "embed":
                change_state(session, some, PhotoState.PENDING)
                sql.record_segment(session, model, segment_file(f"s{number}", len(some)), some)
                change_state(session, some, PhotoState.EMBEDDED)
                held[f"s{number}"] = some
            elif what in ("fail", "change"):
                change_state(session, some, PhotoState.FAILED if what == "fail" else PhotoState.PENDING)
            elif what == "forget":
                sql.forget_embeddings(session, model, some)
                sql.pend_without_vector(session, model)
            elif what == "merge" and names:
                kept = [photo_id for name in names for photo_id in sql.recorded_ids(session, model, name).tolist()]
                held[f"s{number}"] = kept
                merged(session, model, names, segment_file(f"s{number}", len(kept)) if kept else None)
            elif names:
                sql.forget_segment(session, model, names[0])
            assert sql.miscounted(session, model) == []
            found = sorted(photo_id for alive in rows_in(session, model).values() for photo_id in alive)
            assert sql.embedded_ids(session, model).tolist() == found
            assert sum(alive_of(session, model).values()) == sql.count_embedded(session, model) == len(found)
            for name, alive in rows_in(session, model).items():
                dead = sql.EmbeddedRows(session, model).dead(name).tolist()
                assert sorted(set(held[name]) - set(dead)) == alive
                assert set(dead) <= set(held[name])
            dangling = select(DeadVector).where(DeadVector.segment_id.not_in(select(VectorSegment.id)))
            assert session.scalars(dangling).all() == []


# Merging and forgetting


def test_merged_segments_become_one_that_counts_what_is_alive(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(3)) + put_embedded(session, model, "b", numbered(2, "/b"))
    put_embedded(session, model, "c", numbered(1, "/c"))
    change_state(session, ids[2:4], PhotoState.FAILED)
    merged(session, model, ["a", "b"], segment_file("d", 5))
    assert alive_of(session, model) == {"c": 1, "d": 3}
    assert sql.recorded_ids(session, model, "d").tolist() == ids  # of the missing ones as well
    assert rows_in(session, model)["d"] == [*ids[:2], ids[4]]
    assert sql.segments_of(session, model)[-1].rows == 5
    assert sql.miscounted(session, model) == []


@pytest.mark.parametrize("restyled", [False, True])
def test_what_is_merged_stays_of_photos_or_of_results(session: Session, model: Model, restyled: bool) -> None:
    state = PhotoState.RESTYLED if restyled else PhotoState.EMBEDDED
    for name in "ab":
        ids = put_photos(session, [f"/{name}"], state=state)
        sql.record_segment(session, model, segment_file(name, 1), ids, restyled=restyled)
    merged(session, model, ["a", "b"], segment_file("c", 2))
    assert [file.name for file in sql.segments_of(session, model, restyled=restyled)] == ["c"]
    assert alive_of(session, model) == {"c": 2}


def test_segments_that_hold_nobodys_vector_are_only_forgotten(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(2))
    sql.record_segment(session, model, segment_file("b", 2), ids)
    merged(session, model, ["a"], None)
    assert rows_in(session, model) == {"b": ids}


def test_merging_touches_no_segment_of_another_model(session: Session, model: Model, other: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(2))
    sql.record_segment(session, other, segment_file("b", 2), ids)
    merged(session, model, ["a", "b"], segment_file("c", 2))
    assert (alive_of(session, model), alive_of(session, other)) == ({"c": 2}, {"b": 2})
    assert sql.recorded_ids(session, other, "b").tolist() == ids


def test_photos_of_a_forgotten_segment_become_pending(session: Session, model: Model, other: Model) -> None:
    lost = put_embedded(session, model, "a", numbered(1100))
    kept = put_embedded(session, model, "b", ["/kept.jpg"])
    change_state(session, lost[:1], PhotoState.FAILED)
    sql.record_segment(session, other, segment_file("o", 1099), lost[1:])
    sql.forget_segment(session, model, "a")
    assert sql.pend_without_vector(session, model) == 1099
    assert alive_of(session, other) == {"o": 0}  # what other models have is dead until the photos are embedded
    assert sql.miscounted(session, other) == []
    assert [photo.id for photo in pending_photos(session, limit=2000)] == lost[1:]
    assert count_photos(session) == {PhotoState.PENDING: 1099, PhotoState.EMBEDDED: 1, PhotoState.FAILED: 1}
    assert alive_of(session, model) == {"b": 1}
    assert sql.segment_with(session, model, lost[0]) is None
    assert name_of(session, model, kept[0]) == "b"


def test_forgetting_a_segment_of_another_model_changes_nothing(session: Session, model: Model, other: Model) -> None:
    put_embedded(session, model, "a", ["/1.jpg"])
    sql.forget_segment(session, model, "b")
    sql.forget_segment(session, other, "a")
    assert sql.pend_without_vector(session, model) == 0
    assert sql.count_embedded(session, model) == 1
    assert alive_of(session, model) == {"a": 1}


def test_forgotten_segment_of_results_leaves_no_photo_pending(session: Session, model: Model) -> None:
    (result,) = put_photos(session, ["/library/1.png"], state=PhotoState.RESTYLED)
    sql.record_segment(session, model, segment_file("a", 1), [result], restyled=True)
    sql.forget_segment(session, model, "a")
    assert sql.pend_without_vector(session, model) == 0
    assert pending_photos(session) == sql.segments_of(session, model) == []


def test_a_photo_without_a_vector_of_the_model_is_embedded_anew(session: Session, model: Model, other: Model) -> None:
    kept = put_embedded(session, model, "a", numbered(2))
    put_photos(session, ["/failed.jpg"], state=PhotoState.FAILED, failure_kind="empty", failure_reason="0 bytes")
    without = put_photos(session, numbered(1100, "/without"), state=PhotoState.EMBEDDED)
    without += put_embedded(session, other, "b", ["/3.jpg"])
    assert sql.pend_without_vector(session, model) == 1101
    assert [photo.id for photo in pending_photos(session, limit=2000)] == without
    assert sql.embedded_ids(session, model).tolist() == kept
    assert sql.pend_without_vector(session, model) == 0


# What can be found


def test_only_embedded_photos_can_be_found(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(4))
    change_state(session, ids[1:2], PhotoState.FAILED)
    change_state(session, ids[2:3], PhotoState.PENDING)
    assert sql.count_embedded(session, model) == 2
    assert sql.embedded_ids(session, model).tolist() == [ids[0], ids[3]]
    assert rows_in(session, model) == {"a": [ids[0], ids[3]]}


def test_any_vector_counts_though_no_photo_can_be_found(session: Session, model: Model, other: Model) -> None:
    assert not sql.any_vector(session, model)
    ids = put_embedded(session, model, "a", ["/1.jpg"])
    change_state(session, ids, PhotoState.FAILED)
    assert sql.count_embedded(session, model) == 0
    assert sql.any_vector(session, model)
    assert not sql.any_vector(session, other)


def test_ids_of_photos_that_can_be_found_ascend_across_segments(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(4))
    ids += put_embedded(session, model, "b", numbered(2, "/other"))
    sql.record_segment(session, model, segment_file("c", 2), [ids[2], ids[0]])
    assert rows_in(session, model) == {"a": [ids[1], ids[3]], "b": ids[4:], "c": [ids[0], ids[2]]}
    assert sql.embedded_ids(session, model).tolist() == ids


# Twins


def twin_in(session: Session, model: Model, photo_id: int) -> sql.Twin:
    """Return the twin that a photo without facts is."""
    file = sql.segment_with(session, model, photo_id)
    assert file is not None
    return sql.Twin(photo_id, file, width_px=None, height_px=None, format=None, grey=None, brightness=None)


def test_twin_is_the_first_photo_with_the_same_bytes(session: Session, model: Model) -> None:
    facts = {"width_px": 3, "height_px": 2, "format": "PNG", "grey": True, "brightness": 61.25}
    put_photos(session, ["/pending.jpg"], content_sha256=SHA)
    put_embedded(session, model, "a", ["/other.jpg"], content_sha256=bytes(32))
    (first,) = put_embedded(session, model, "b", ["/first.jpg"], content_sha256=SHA, **facts)
    put_embedded(session, model, "c", ["/second.jpg", "/third.jpg"], content_sha256=SHA)
    assert sql.twin(session, model, SHA) == sql.Twin(first, segment_file("b", 1), 3, 2, "PNG", True, 61.25)
    assert sql.twin(session, model, b"\xff" * 32) is None


def test_twin_may_be_a_vanished_photo_but_none_of_another_model(session: Session, model: Model, other: Model) -> None:
    (photo_id,) = put_embedded(session, model, "a", ["/1.jpg"], content_sha256=SHA)
    change_state(session, [photo_id], PhotoState.FAILED)
    assert sql.twin(session, model, SHA) == twin_in(session, model, photo_id)
    assert sql.twin(session, other, SHA) is None


def test_twin_is_looked_up_without_reading_every_copy(engine: Engine, session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(50), content_sha256=SHA)
    session.commit()
    expected, asked = twin_in(session, model, ids[0]), []
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2:4]))
    assert sql.twin(session, model, SHA) == expected
    ((statement, parameters),) = asked
    with engine.connect() as connection:
        assert len(connection.exec_driver_sql(statement, parameters).all()) == 1


def test_a_photo_has_one_vector_of_a_model(session: Session, model: Model) -> None:
    ids = put_embedded(session, model, "a", numbered(3))
    sql.record_segment(session, model, segment_file("b", 3), ids)
    assert session.scalar(select(func.count()).select_from(Embedding)) == 3
