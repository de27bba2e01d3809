"""What may be typed next: by prefixes and mistyped letters, in any script, with quotes and signs as they have to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text as sql

from aliens.library import Library
from base.names import comparable
from search.query import parse
from search.suggestions import NamedValue, Names, one_edit

HOTELS = ["Grand Hôtel", "Гранд Отель", "グランドホテル", 'The "Quoted" Inn', "O'Neill's", "Casa Coral", "Casa Verde"]


@pytest.fixture
def named(opened: Library) -> Library:
    with opened.catalog.session() as session:
        session.execute(sql("INSERT INTO chain VALUES (1, 'Best Western'), (2, 'Лотте')"))
        for number, name in enumerate(HOTELS, start=1):
            row = {"id": number, "name": name, "chain": 1 + number % 2}
            session.execute(sql("INSERT INTO hotel (id, name, chain_id) VALUES (:id, :name, :chain)"), row)
        session.commit()
    opened.save_search("Mornings", "a breakfast room after:2015", k=20)
    opened.save_search("Of a file", "image:/etc/passwd a room")
    return opened


def labels(library: Library, text: str, caret: int | None = None, k: int = 8) -> list[tuple[str, str]]:
    found = library.suggest(text, len(text) if caret is None else caret, k)
    return [(each.label, each.text) for each in found]


@pytest.mark.parametrize(
    ("typed", "label", "text"),
    [
        ("gra", "Grand Hôtel", 'hotel:"Grand Hôtel" '),
        ("hotel:HÔT", "Grand Hôtel", 'hotel:"Grand Hôtel" '),
        ("hotel:ho\u0302t", "Grand Hôtel", 'hotel:"Grand Hôtel" '),
        ("отел", "Гранд Отель", 'hotel:"Гранд Отель" '),
        ("a room chain:лот", "Лотте", "a room chain:Лотте "),
        ("ホテ", "グランドホテル", "hotel:グランドホテル "),
        ("グ", "グランドホテル", "hotel:グランドホテル "),
        ('hotel:"the "', 'The "Quoted" Inn', 'hotel:"The \\"Quoted\\" Inn" '),
        ("o'ne", "O'Neill's", "hotel:\"O'Neill's\" "),
        ("best wes", "Best Western", 'chain:"Best Western" '),
        ("a pool best wes", "Best Western", 'a pool chain:"Best Western" '),
        ("-chain:best", "Best Western", '-chain:"Best Western" '),
        ("casa corla", "Casa Coral", 'hotel:"Casa Coral" '),
        ("hotel:cssa", "Casa Coral", 'hotel:"Casa Coral" '),
        ("chain:westrn", "Best Western", 'chain:"Best Western" '),
        ("morn", "Mornings", "a breakfast room after:2015"),
        ("cha", "chain:", "chain:"),
        ("-ta", "tag:", "-tag:"),
        ("a pool bef", "before:", "a pool before:"),
        ("orientation:p", "portrait", "orientation:portrait "),
        ("kind:", "any", "kind:any "),
        ("colour:gr", "grey", "color:grey "),
    ],
)
def test_what_is_meant_comes_first(named: Library, typed: str, label: str, text: str) -> None:
    assert labels(named, typed)[0] == (label, text)
    if not text.endswith(":"):
        parse(text)


def test_what_stands_behind_the_caret_stays(named: Library) -> None:
    (found,) = [each for each in named.suggest("a chain:be room", 10) if each.label == "Best Western"]
    assert (found.text, found.caret) == ('a chain:"Best Western" room', 23)
    assert labels(named, "cha room", 3)[0] == ("chain:", "chain: room")
    assert labels(named, "a chain:beroom b", 10)[0][1] == 'a chain:"Best Western" b'


def test_nothing_typed_gives_operators_and_searches(named: Library) -> None:
    found = [label for label, _ in labels(named, "", k=50)]
    assert {"tag:", "chain:", "hotel:", "near:", "year:", "-", "Mornings"} <= set(found)
    assert "Of a file" not in found  # which strangers may not repeat
    assert ("tag:", "a pool tag:") in labels(named, "a pool ")


def test_names_that_change_are_seen(named: Library) -> None:
    assert labels(named, "hotel:newly") == []
    from db.hotel_rows import merge_hotels

    with named.catalog.session() as session:
        merge_hotels(session, [{"id": 1, "name": "Newly Named"}])
        session.commit()
    assert labels(named, "hotel:newly") == [("Newly Named", 'hotel:"Newly Named" ')]
    assert ("Grand Hôtel", 'hotel:"Grand Hôtel" ') not in labels(named, "hotel:grand")


@given(text=st.text(max_size=30), caret=st.integers(-5, 40))
def test_anything_may_stand_in_the_box(text: str, caret: int) -> None:
    from search.suggestions import token_spans, words_at

    at = max(0, min(caret, len(text)))
    for begin, end in token_spans(text, at):
        assert 0 <= begin <= end <= len(text)
    for word in words_at(text, at):
        assert 0 <= word.begin <= at <= max(word.end, at)


@pytest.mark.parametrize("text", ['"' * 50, "a" * 10_000, "tag:" + "x" * 5_000, "\x00", "\ud800", "-" * 99, "+\u202e"])
def test_hostile_texts_are_answered(named: Library, text: str) -> None:
    assert isinstance(labels(named, text), list)


words = st.text("abcde", min_size=1, max_size=7)


@given(one=words, other=words)
def test_one_edit_is_what_the_definition_says(one: str, other: str) -> None:
    def variants(word: str) -> set[str]:
        cut = [(word[:i], word[i:]) for i in range(len(word) + 1)]
        changed = {a + c + b[1:] for a, b in cut for c in "abcde" if b} | {a + b[1:] for a, b in cut if b}
        return (
            changed | {a + c + b for a, b in cut for c in "abcde"} | {a + b[1] + b[0] + b[2:] for a, b in cut if b[1:]}
        )

    assert one_edit(one, other) == (one == other or other in variants(one))


some_names = st.sets(st.text("abc ", min_size=1, max_size=12).filter(str.strip), max_size=20)


@given(names=some_names, typed=st.text("abc", min_size=1, max_size=4))
def test_every_name_that_has_what_was_typed_is_found(names: set[str], typed: str) -> None:
    known = Names(NamedValue(name, name) for name in names)
    found = [each.name for fit, each in known.found(typed) if fit < 3]
    assert set(found) == {name for name in names if typed in comparable(name)}
    assert len(found) == len(set(found))
