import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.names import comparable, folded, nearest, spellings

letters = st.text("aeıÅåßﬁK \t\u0301\u0308\u0345éΐϊ한글がぁ") | st.text()


@given(letters)
def test_however_a_text_is_written_it_is_the_same_text(text: str) -> None:
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
    assert {folded(form) for form in forms} == {folded(text)}
    assert {comparable(form) for form in forms} == {comparable(text)}
    assert set(spellings(text)) == forms
    assert spellings(text)[0] == unicodedata.normalize("NFC", text)


@given(letters)
def test_what_is_compared_is_compared_with_itself(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert comparable(f" {comparable(text)}\n") == comparable(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ÉTÉ", "e\u0301te\u0301"), ("Straße", "STRASSE"), ("\u212bngström", "ångstro\u0308m"), ("가", "\u1100\u1161")],
)
def test_case_and_composition_make_no_difference(one: str, other: str) -> None:
    assert folded(one) == folded(other)


def test_letters_that_differ_stay_different() -> None:
    assert len({folded(word) for word in ("ete", "été", "ètè", "эте")}) == 4
    assert folded("a  b") != folded("a b")
    assert comparable(" A \u3000 b\n") == "a b"


def test_near_names_are_found_however_they_are_written() -> None:
    known = ["Ho\u0302tel du Lac", "Casa Coral", "hôtel de la Gare"]
    assert nearest("HÔTEL DU LAC", known)[0] == "Ho\u0302tel du Lac"
    assert nearest("gare", known) == ["hôtel de la Gare"]
    assert nearest("zzz", known) == []
