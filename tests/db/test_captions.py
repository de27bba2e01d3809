import hashlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, func, insert, select, text
from sqlalchemy.orm import Session

from base.files import PhotoFile
from db.caption_rows import (
    CaptionedPhoto,
    SetCount,
    add_texts,
    caption_sets,
    captioned,
    captions_of,
    containing_words,
    count_lacking,
    find_by_words,
    find_set,
    forget_captions,
    photos_lacking,
    remove_set,
    replace_captions,
    set_key,
    use_set,
)
from db.models import Caption, CaptionSet, CaptionText, Photo, PhotoState
from tests.db.conftest import numbered, put_photos

pytestmark = pytest.mark.every_database

SYNTAX = ['"', "*", "pool*", "NEAR(", "NEAR(pool bed)", "-pool", "^pool", "AND", "OR NOT", "text:pool", "{text}", "\\"]
SYNTAX += ["(", "pool)", "a+b", "'", "''; DROP TABLE photo", "\0", "po\0ol", "日本", "🛁", "ﬁ", "\u200b", ""]


@pytest.fixture
def photo_ids(session: Session) -> list[int]:
    """Five photos that can be found."""
    return put_photos(session, [f"/photos/{number}.jpg" for number in range(5)], state=PhotoState.EMBEDDED)


@pytest.fixture
def lines(session: Session) -> CaptionSet:
    """A set of chosen captions."""
    return use_set(session, "lines.txt-1@m-2", kind="chosen", model="m-2", source="/tmp/lines.txt")


@pytest.fixture
def written(session: Session) -> CaptionSet:
    """A set of generated captions."""
    return use_set(session, "coca-3", kind="generated", model="coca-3", source="coca_ViT-B-32/mscoco")


def found(session: Session, *words: str, k: int = 20) -> list[int]:
    return [hit.photo_id for hit in find_by_words(session, words, k)]


def count(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_key_is_readable_and_says_what_decided_the_captions() -> None:
    digits = hashlib.sha256(b"lines").hexdigest()[:8]
    assert set_key("captions.txt", b"lines", "starter-5e6f7a8b") == f"captions.txt-{digits}@starter-5e6f7a8b"
    assert set_key("my captions\n\udcff.txt", b"lines", "m") == f"my-captions-.txt-{digits}@m"
    assert len(set_key("x" * 300, b"lines", "m" * 300 + "-5e6f7a8b")) <= 255
    assert set_key("x" * 300, b"lines", "m" * 300 + "-5e6f7a8b").endswith("-5e6f7a8b")


def test_a_set_is_made_once(session: Session, lines: CaptionSet) -> None:
    assert use_set(session, lines.key, kind="chosen", model="m-2", source="elsewhere").id == lines.id
    assert find_set(session, lines.key) is lines
    assert find_set(session, "other") is None


def test_texts_are_kept_once_page_after_page(session: Session) -> None:
    texts = [f"caption {number}" for number in range(2500)]
    first = add_texts(session, texts[:1200])
    again = add_texts(session, [*texts, *texts[:10]])
    assert {text: again[text] for text in texts[:1200]} == first
    assert len(set(again.values())) == 2500 == count(session, CaptionText)
    assert add_texts(session, []) == {}


def test_a_text_that_another_process_adds_meanwhile_is_taken(engine: Engine, session: Session) -> None:
    digest = hashlib.sha256(b"a pool").digest()
    added: list[bytes] = []

    def add_first(connection, cursor, statement, *others):  # type: ignore[no-untyped-def]
        if statement.startswith("INSERT") and not added:
            added.append(digest)
            connection.execute(insert(CaptionText).values(digest=digest, text="a pool"))

    event.listen(engine, "before_cursor_execute", add_first)
    ids = add_texts(session, ["a pool", "a bed"])
    assert ids["a pool"] == session.scalar(select(CaptionText.id).where(CaptionText.digest == digest))
    assert count(session, CaptionText) == 2


def test_captions_are_ordered(session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet) -> None:
    replace_captions(session, lines, {photo_ids[0]: [("a pool", 0.5), ("a bed", 0.25)], photo_ids[1]: [("a bed", 0.3)]})
    replace_captions(session, written, {photo_ids[0]: [("a room", None)]})
    assert captions_of(session, photo_ids) == {
        photo_ids[0]: [("a pool", 0.5, lines.key), ("a bed", 0.25, lines.key), ("a room", None, written.key)],
        photo_ids[1]: [("a bed", 0.3, lines.key)],
    }
    assert captions_of(session, []) == {}


def test_captions_are_replaced_in_their_set_alone(
    session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet
) -> None:
    replace_captions(session, lines, {photo_ids[0]: [("a pool", 0.5), ("a bed", 0.25)]})
    replace_captions(session, written, {photo_ids[0]: [("a room", None)]})
    replace_captions(session, lines, {photo_ids[0]: [("a lobby", 0.75)]})
    replace_captions(session, lines, {})
    assert captions_of(session, photo_ids) == {
        photo_ids[0]: [("a lobby", 0.75, lines.key), ("a room", None, written.key)]
    }


def test_captions_of_photos_that_changed_are_forgotten(
    session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet
) -> None:
    for caption_set in (lines, written):
        replace_captions(session, caption_set, {photo_id: [("a pool", None)] for photo_id in photo_ids})
    forget_captions(session, photo_ids[:2])
    forget_captions(session, photo_ids[2:3], lines)
    assert captioned(session, lines, photo_ids) == set(photo_ids[3:])
    assert captioned(session, written, photo_ids) == set(photo_ids[2:])


def test_photos_that_lack_captions_come_in_the_order_of_their_ids(
    session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet
) -> None:
    put_photos(session, ["/photos/pending.jpg"])
    replace_captions(session, lines, {photo_ids[1]: [("a pool", 0.5)]})
    replace_captions(session, written, {photo_ids[2]: [("a pool", None)]})
    expected = [(photo_ids[number], f"/photos/{number}.jpg", "") for number in (0, 2, 3, 4)]
    assert list(photos_lacking(session, lines)) == expected
    assert count_lacking(session, lines) == 4


def test_photos_may_get_captions_while_those_that_lack_them_are_listed(
    session: Session, lines: CaptionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.caption_rows.PAGE", 10)
    ids = put_photos(session, numbered(23), state=PhotoState.EMBEDDED)
    seen = []
    for photo_id, _, _ in photos_lacking(session, lines):
        seen.append(photo_id)
        if photo_id % 3:  # the others stay without: they are not yielded again
            replace_captions(session, lines, {photo_id: [("a pool", 0.5)]})
        session.commit()
    assert seen == ids
    assert count_lacking(session, lines) == sum(photo_id % 3 == 0 for photo_id in ids)


def test_many_photos_take_few_statements(engine: Engine, session: Session, lines: CaptionSet) -> None:
    ids = put_photos(session, numbered(2000), state=PhotoState.EMBEDDED)
    statements = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    replace_captions(session, lines, {photo_id: [("a pool", 0.5), ("a bed", 0.4)] for photo_id in ids})
    assert count(session, Caption) == 4000
    assert len(statements) < 20


def test_all_words_must_occur_in_one_caption(
    session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet
) -> None:
    replace_captions(session, lines, {photo_ids[0]: [("a pool by the sea", 0.3)], photo_ids[1]: [("a pool", 0.4)]})
    replace_captions(session, written, {photo_ids[1]: [("the sea", None)], photo_ids[2]: [("Two POOLS at sea", None)]})
    assert set(found(session, "pool")) == set(photo_ids[:3])  # stemmed: pools is pool
    assert set(found(session, "pool", "sea")) == {photo_ids[0], photo_ids[2]}
    assert found(session, "sea", "lobby") == []
    assert len(found(session, "pool", k=2)) == 2


def test_what_is_found_says_where_it_is_and_whose_caption_it_is(session: Session, lines: CaptionSet) -> None:
    (photo_id,) = put_photos(session, ["/photos.tar"], member="1.jpg", state=PhotoState.EMBEDDED)
    replace_captions(session, lines, {photo_id: [("a king-size bed", 0.25)]})
    (hit,) = find_by_words(session, ["king-size"], 5)
    assert hit == CaptionedPhoto(photo_id, "/photos.tar", "1.jpg", "a king-size bed", 0.25, lines.key)
    assert hit.file == PhotoFile("/photos.tar", "1.jpg")


def test_a_photo_is_found_once_and_the_best_comes_first(
    session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet
) -> None:
    replace_captions(session, lines, {photo_ids[0]: [("a pool", 0.2)], photo_ids[1]: [("a pool", 0.4)]})
    replace_captions(session, written, {photo_ids[1]: [("a pool between some trees and two white houses", None)]})
    hits = find_by_words(session, ["pool"], 5)
    assert [(hit.photo_id, hit.text, hit.score) for hit in hits] == [
        (photo_ids[1], "a pool", 0.4),
        (photo_ids[0], "a pool", 0.2),
    ]


def test_photos_that_cannot_be_found_now_are_not_found_by_their_captions(session: Session, lines: CaptionSet) -> None:
    (photo_id,) = put_photos(session, ["/photos/failed.jpg"], state=PhotoState.FAILED)
    replace_captions(session, lines, {photo_id: [("a pool", 0.2)]})
    assert found(session, "pool") == []


@pytest.mark.parametrize("word", SYNTAX)
def test_full_text_syntax_is_only_words(word: str, session: Session, photo_ids: list[int], lines: CaptionSet) -> None:
    replace_captions(session, lines, {photo_ids[0]: [("a lobby with plants", 0.2)]})
    assert found(session, word) == []
    assert found(session, "lobby", word) in ([], photo_ids[:1])
    assert count(session, Photo) == 5


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=4))
@example(["+", '""', '"a" OR b'])
def test_no_words_make_the_search_fail(session: Session, words: list[str]) -> None:
    assert find_by_words(session, words, 3) == []


@pytest.mark.sqlite("its full-text search takes a letter with and without its accent for the same")
def test_words_are_found_whatever_signs_they_are_in(session: Session, photo_ids: list[int], lines: CaptionSet) -> None:
    replace_captions(session, lines, {photo_ids[0]: [('the "Ñandú" suite (2 beds)', 0.2)]})
    for word in ('"Ñandú"', "nandu", "(2", "suite*", "-beds"):
        assert found(session, word) == photo_ids[:1], word


def test_other_databases_look_into_the_text(
    session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet
) -> None:
    replace_captions(session, written, {photo_ids[0]: [("A 100% Cotton bed_linen", None)]})
    replace_captions(session, lines, {photo_ids[1]: [("cotton and 1000 beds", 0.2)], photo_ids[2]: [("cotton", 0.4)]})

    def containing(*words: str) -> list[int]:
        return [row[0] for row in session.execute(containing_words(words))]

    assert containing("COTTON") == [photo_ids[2], photo_ids[1], photo_ids[0]]
    assert containing("cotton", "bed") == [photo_ids[1], photo_ids[0]]
    assert containing("100%") == containing("bed_l") == photo_ids[:1]  # % and _ are only signs
    assert containing("'", '"') == []


def test_sets_are_listed_with_their_counts(
    session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet
) -> None:
    replace_captions(session, lines, {photo_id: [("a pool", 0.5), ("a bed", 0.4)] for photo_id in photo_ids[:3]})
    assert caption_sets(session) == [
        SetCount(lines.key, "chosen", "m-2", "/tmp/lines.txt", photos=3, captions=6),
        SetCount(written.key, "generated", "coca-3", "coca_ViT-B-32/mscoco", photos=0, captions=0),
    ]


def test_a_set_goes_with_the_texts_that_nobody_has_any_more(
    session: Session, photo_ids: list[int], lines: CaptionSet, written: CaptionSet
) -> None:
    replace_captions(session, lines, {photo_ids[0]: [("a pool", 0.5), ("a bed", 0.4)]})
    replace_captions(session, written, {photo_ids[1]: [("a bed", None)]})
    assert remove_set(session, lines.key)
    session.commit()
    assert [entry.key for entry in caption_sets(session)] == [written.key]
    assert list(session.scalars(select(CaptionText.text))) == ["a bed"]
    assert found(session, "bed") == [photo_ids[1]]
    assert found(session, "pool") == []
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("INSERT INTO caption_words(caption_words, rank) VALUES ('integrity-check', 1)"))
    assert not remove_set(session, lines.key)


def test_a_removed_photo_loses_its_captions(session: Session, photo_ids: list[int], lines: CaptionSet) -> None:
    replace_captions(session, lines, {photo_id: [("a pool", 0.5)] for photo_id in photo_ids[:2]})
    session.execute(delete(Photo).where(Photo.id == photo_ids[0]))
    session.commit()
    assert captions_of(session, photo_ids).keys() == {photo_ids[1]}
    assert found(session, "pool") == [photo_ids[1]]
