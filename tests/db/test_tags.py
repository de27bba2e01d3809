import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db import tag_rows as module
from db.catalog import new_session
from db.models import Model, TagLabel
from db.tag_rows import (
    Label,
    all_labels,
    count_labels,
    find_tagging,
    forget_labels,
    keep_tagging,
    known_photos,
    labels_between,
    photos_by_image_id,
    photos_by_place,
    set_labels,
    vocabulary_keys,
)
from db.vector_rows import use_model
from tests.db.conftest import put_photos

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


# Labels


def test_labels_are_set_replaced_counted_and_forgotten(session: Session) -> None:
    first, second, third = put_photos(session, ["/a", "/b", "/c"])
    labels = [Label(third, "a pool", True), Label(first, "a tv", False), Label(first, "a pool", True)]
    assert set_labels(session, labels) == 3
    assert list(all_labels(session)) == [labels[2], labels[1], labels[0]]
    assert set_labels(session, [Label(first, "a tv", True), Label(second, "a tv", True)]) == 2
    assert count_labels(session) == 4
    assert list(labels_between(session, first, second)) == [
        Label(first, "a pool", True),
        Label(first, "a tv", True),
        Label(second, "a tv", True),
    ]
    assert list(labels_between(session, third + 1, third + 9)) == []
    assert forget_labels(session, [Label(first, "a tv", False), Label(second, "a pool", True)]) == 1
    assert forget_labels(session, []) == 0
    assert set_labels(session, []) == 0
    assert count_labels(session) == 3


def test_of_contradicting_labels_the_last_counts(session: Session) -> None:
    (photo,) = put_photos(session, ["/a"])
    assert (
        set_labels(session, [Label(photo, "a tv", True), Label(photo, "a tv", True), Label(photo, "a tv", False)]) == 1
    )
    assert list(all_labels(session)) == [Label(photo, "a tv", False)]


def test_labels_beyond_a_page_are_all_set(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    ids = put_photos(session, [f"/{number}" for number in range(10)])
    labels = [Label(photo_id, "a tv", bool(photo_id % 2)) for photo_id in ids]
    assert set_labels(session, labels) == 10
    assert set_labels(session, labels) == 10
    assert list(all_labels(session)) == labels


def test_the_time_of_a_label_is_kept(session: Session) -> None:
    (photo,) = put_photos(session, ["/a"])
    set_labels(session, [Label(photo, "a tv", True)])
    label = session.get(TagLabel, (photo, "a tv"))
    assert label is not None
    assert label.made_at.year >= 2024


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "=1", "ä"]), st.sampled_from([True, False, None])), max_size=15))
def test_labels_are_like_a_dictionary(migrated_engine: Engine, steps: list[tuple[str, bool | None]]) -> None:
    with new_session(migrated_engine) as session:  # never committed
        (photo,) = put_photos(session, ["/a"])
        expected: dict[str, bool] = {}
        for tag, present in steps:
            if present is None:
                assert forget_labels(session, [Label(photo, tag, False)]) == (tag in expected)
                expected.pop(tag, None)
            else:
                set_labels(session, [Label(photo, tag, present)])
                expected[tag] = present
        assert {label.tag: label.present for label in all_labels(session)} == expected


@pytest.fixture(scope="module")
def migrated_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    from db.catalog import create_database

    return create_database(f"sqlite:///{tmp_path_factory.mktemp('labels') / 'test.db'}")


# Photos


def test_photos_are_known_by_id_number_and_place(session: Session) -> None:
    first, second = put_photos(session, ["/a", "/b"])
    (member,) = put_photos(session, ["/b"], member="x.jpg", image_id=500001)
    assert known_photos(session, [first, 99, second]) == {first, second}
    assert photos_by_image_id(session, [500001, 7]) == {500001: member}
    assert photos_by_place(session, [("/a", ""), ("/b", "x.jpg"), ("/b", "y.jpg"), ("/c", "")]) == {
        ("/a", ""): first,
        ("/b", "x.jpg"): member,
    }
    assert (known_photos(session, []), photos_by_image_id(session, []), photos_by_place(session, [])) == (set(), {}, {})


def test_many_photos_are_known_page_by_page(session: Session) -> None:
    ids = put_photos(session, [f"/{number}" for number in range(2500)])
    assert known_photos(session, [*ids, 99_999]) == set(ids)
    places = photos_by_place(session, [(f"/{number}", "") for number in range(3000)])
    assert [places[f"/{number}", ""] for number in range(2500)] == ids
    assert len(places) == 2500
