import hashlib
from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db import tag_rows as module
from db.catalog import new_session
from db.models import Model, TagLabel
from db.photo_rows import update_photos
from db.tag_rows import (
    Label,
    all_labels,
    count_labels,
    current_vocabulary,
    find_tagging,
    forget_labels,
    keep_tagging,
    known_photos,
    labels_in_turn,
    labels_of,
    photos_by_image_id,
    photos_by_place,
    set_labels,
    taggings,
    vocabulary_keys,
)
from db.vector_rows import use_model
from tests.db.conftest import put_photos

pytestmark = pytest.mark.every_database

DEFINITION = {"name": "own", "tags": [["a pool", ["a pool"], ""]]}


# Taggings


def test_a_tagging_is_found_by_key_by_name_and_as_the_current_one(session: Session, model: Model) -> None:
    assert find_tagging(session, model, None) is None
    assert vocabulary_keys(session, model) == []
    keep_tagging(session, model, "own-1", DEFINITION, {"threshold": 0.3})
    keep_tagging(session, model, "other-1", {"name": "other"}, {"threshold": 0.4})
    session.commit()
    assert find_tagging(session, model, None) == ({"name": "other"}, {"threshold": 0.4})
    assert find_tagging(session, model, "own-1") == (DEFINITION, {"threshold": 0.3})
    assert find_tagging(session, model, "own") == (DEFINITION, {"threshold": 0.3})
    assert find_tagging(session, model, "unknown") is None
    assert vocabulary_keys(session, model) == ["other-1", "own-1"]


def test_a_tagging_is_kept_once_and_the_newest_decision_counts(session: Session, model: Model) -> None:
    keep_tagging(session, model, "own-1", DEFINITION, {"threshold": 0.3})
    keep_tagging(session, model, "other-1", {"name": "other"}, {})
    keep_tagging(session, model, "own-1", DEFINITION, {"threshold": 0.5, "links": {"0": {"x": [0.25]}}})
    session.commit()
    session.expire_all()
    assert find_tagging(session, model, None) == (DEFINITION, {"threshold": 0.5, "links": {"0": {"x": [0.25]}}})
    assert vocabulary_keys(session, model) == ["own-1", "other-1"]


def test_of_two_vocabularies_of_one_name_the_newest_is_found(session: Session, model: Model) -> None:
    for key in ("own-1", "own-2", "own-1"):
        keep_tagging(session, model, key, DEFINITION, {"key": key})
    assert find_tagging(session, model, "own") == (DEFINITION, {"key": "own-1"})


def test_every_model_has_taggings_of_its_own(session: Session, model: Model) -> None:
    keep_tagging(session, model, "own-1", DEFINITION, {"model": "first"})
    other = use_model(session, "other-00000000", "other", 8)
    assert find_tagging(session, other, "own-1") is None
    keep_tagging(session, other, "own-1", DEFINITION, {"model": "second"})
    assert find_tagging(session, model, None) == (DEFINITION, {"model": "first"})
    assert find_tagging(session, other, None) == (DEFINITION, {"model": "second"})
    assert vocabulary_keys(session, other) == ["own-1"]
    assert taggings(session, model) == [("own-1", DEFINITION, {"model": "first"})]
    assert taggings(session, other) == [("own-1", DEFINITION, {"model": "second"})]


def test_taggings_come_newest_first_and_are_found_in_any_case(session: Session, model: Model) -> None:
    for key, name in (("Own-1", "Own"), ("other-1", "other"), ("own-2", "own")):
        keep_tagging(session, model, key, {"name": name}, {})
    assert [key for key, _, _ in taggings(session, model)] == ["own-2", "other-1", "Own-1"]
    assert find_tagging(session, model, "OTHER") == ({"name": "other"}, {})
    assert find_tagging(session, model, "own-1") == ({"name": "Own"}, {})
    assert current_vocabulary(session) == "own-2"


# Labels


def put_read_photos(session: Session, paths: Sequence[str]) -> list[int]:
    """Insert photos that were read, each with bytes of its own, and return their ids."""
    ids = put_photos(session, paths)
    update_photos(session, [{"id": photo_id, "content_sha256": digest(photo_id)} for photo_id in ids])
    return ids


def digest(content: object) -> bytes:
    return hashlib.sha256(str(content).encode()).digest()


def test_labels_are_set_replaced_counted_and_forgotten(session: Session) -> None:
    first, second, third = put_read_photos(session, ["/a", "/b", "/c"])
    labels = [Label(third, "a pool", True), Label(first, "a tv", False), Label(first, "a pool", True)]
    assert set_labels(session, labels) == 3
    assert list(all_labels(session)) == [labels[2], labels[1], labels[0]]
    assert set_labels(session, [Label(first, "a tv", True), Label(second, "a tv", True)]) == 2
    assert count_labels(session) == 4
    assert sorted(labels_of(session, [second, first, 99])) == [
        Label(first, "a pool", True),
        Label(first, "a tv", True),
        Label(second, "a tv", True),
    ]
    assert list(labels_of(session, [])) == []
    assert forget_labels(session, [Label(first, "a tv", False), Label(second, "a pool", True)]) == 1
    assert forget_labels(session, []) == 0
    assert set_labels(session, []) == 0
    assert count_labels(session) == 3


def test_of_contradicting_labels_the_last_counts(session: Session) -> None:
    (photo,) = put_read_photos(session, ["/a"])
    assert (
        set_labels(session, [Label(photo, "a tv", True), Label(photo, "a tv", True), Label(photo, "a tv", False)]) == 1
    )
    assert list(all_labels(session)) == [Label(photo, "a tv", False)]


def test_a_label_takes_the_place_of_one_that_is_written_otherwise(session: Session) -> None:
    first, second = put_read_photos(session, ["/a", "/b"])
    composed, apart = "m\u00e9ridienne", "me\u0301ridienne"
    session.add_all(
        TagLabel(content_sha256=digest(photo), tag=apart, present=True, made_at=datetime(2020, 1, 1))
        for photo in (first, second)
    )
    assert set_labels(session, [Label(first, composed, False)]) == 1
    assert list(all_labels(session)) == [Label(first, composed, False), Label(second, apart, True)]
    assert forget_labels(session, [Label(second, composed, True)]) == 1


def test_labels_beyond_a_page_are_all_set(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    ids = put_read_photos(session, [f"/{number}" for number in range(10)])
    labels = [Label(photo_id, "a tv", bool(photo_id % 2)) for photo_id in ids]
    assert set_labels(session, labels) == 10
    assert set_labels(session, labels) == 10
    assert list(all_labels(session)) == labels


def test_the_time_of_a_label_is_kept(session: Session) -> None:
    (photo,) = put_read_photos(session, ["/a"])
    set_labels(session, [Label(photo, "a tv", True)])
    label = session.get(TagLabel, (digest(photo), "a tv"))
    assert label is not None
    assert label.made_at.year >= 2024


def test_labels_belong_to_bytes(session: Session) -> None:
    one, copy, other, unread = *put_read_photos(session, ["/a", "/copy", "/b"]), *put_photos(session, ["/unread"])
    update_photos(session, [{"id": copy, "content_sha256": digest(one)}])
    set_labels(session, [Label(one, "a tv", False), Label(copy, "a tv", True), Label(other, "a pool", True)])
    said = [Label(one, "a tv", True), Label(copy, "a tv", True), Label(other, "a pool", True)]  # the last one counts
    assert list(all_labels(session)) == said
    assert count_labels(session) == 2
    update_photos(session, [{"id": other, "content_sha256": digest(one)}])  # the file was overwritten with a copy
    assert list(labels_of(session, [other])) == [Label(other, "a tv", True)]
    update_photos(session, [{"id": other, "content_sha256": digest(other)}])  # and is what it was again
    assert list(all_labels(session)) == said
    assert forget_labels(session, [Label(copy, "a tv", True), Label(unread, "a tv", True)]) == 1
    assert list(all_labels(session)) == said[2:]
    with pytest.raises(KeyError):
        set_labels(session, [Label(unread, "a tv", True)])


def test_labels_in_turn_give_each_label_once(session: Session) -> None:
    ids = put_read_photos(session, [f"/{number}" for number in range(9)])
    labels = [Label(ids[at], tag, True) for at in (0, 1, 4, 8) for tag in ("a pool", "a tv")]
    set_labels(session, labels)
    up_to = labels_in_turn(session)
    assert up_to(ids[0]) == labels[:2]
    assert up_to(ids[3]) == labels[2:4]
    assert up_to(ids[3]) == up_to(ids[3]) == []
    assert up_to(ids[8] + 100) == labels[4:]
    assert up_to(ids[8] + 200) == []


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "=1", "ä"]), st.sampled_from([True, False, None])), max_size=15))
def test_labels_are_like_a_dictionary(migrated_engine: Engine, steps: list[tuple[str, bool | None]]) -> None:
    with new_session(migrated_engine) as session:  # never committed
        (photo,) = put_read_photos(session, ["/a"])
        expected: dict[str, bool] = {}
        for tag, present in steps:
            if present is None:
                assert forget_labels(session, [Label(photo, tag, False)]) == (tag in expected)
                expected.pop(tag, None)
            else:
                set_labels(session, [Label(photo, tag, present)])
                expected[tag] = present
        assert {label.tag: label.present for label in all_labels(session)} == expected


# Photos


def test_photos_are_known_by_id_number_and_place(session: Session) -> None:
    first, second = put_photos(session, ["/a", "/b"])
    (member,) = put_photos(session, ["/b"], member="x.jpg", image_id=500001)
    assert known_photos(session, [first, 99, second]) == {first: ("/a", ""), second: ("/b", "")}
    assert photos_by_image_id(session, [500001, 7]) == {500001: member}
    assert photos_by_place(session, [("/a", ""), ("/b", "x.jpg"), ("/b", "y.jpg"), ("/c", "")]) == {
        ("/a", ""): first,
        ("/b", "x.jpg"): member,
    }
    assert (known_photos(session, []), photos_by_image_id(session, []), photos_by_place(session, [])) == ({}, {}, {})


def test_many_photos_are_known_page_by_page(session: Session) -> None:
    ids = put_photos(session, [f"/{number}" for number in range(2500)])
    assert known_photos(session, [*ids, 99_999]).keys() == set(ids)
    places = photos_by_place(session, [(f"/{number}", "") for number in range(3000)])
    assert [places[f"/{number}", ""] for number in range(2500)] == ids
    assert len(places) == 2500
