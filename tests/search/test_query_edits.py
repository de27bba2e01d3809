import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import QuerySyntaxError
from search.query import Filter, format_filter, parse
from search.query_edits import toggled_filter


@pytest.mark.parametrize(
    ("before", "term", "after"),
    [
        ("", "chain:Azura", "chain:Azura"),
        ("a pool", 'chain:"Best Western"', 'a pool chain:"Best Western"'),
        ("a pool, with view!", "year:2015", "a pool, with view! year:2015"),
        ('a  "-pool" ', "tag:bathtub", 'a  "-pool" tag:bathtub'),  # what was typed stays as it is
        ('a "chain:Azura"', "chain:Azura", 'a "chain:Azura" chain:Azura'),
        ("a pool chain:Azura at night", 'chain:"azura"', "a pool at night"),
        ("chain:none", "chain:none", ""),
        ("chain:Azura a pool", "chain:Azura", "a pool"),
        ("a pool chain:Azura hotel:3", "chain:Azura", "a pool hotel:3"),
        ("a room -chain:Azura", "chain:Azura", "a room -chain:Azura chain:Azura"),  # the opposite is another filter
        ("a room -chain:Azura", "-chain:Azura", "a room"),
        ("a room tag:bathtub", 'tag:"a bathtub"', "a room"),
        ("a room color:gray color:grey", "color:grey", "a room"),
        ("a pool size:>=10x10", "size:>=10x10", "a pool"),
    ],
)
def test_a_filter_goes_in_and_out(before: str, term: str, after: str) -> None:
    assert toggled_filter(before, term) == after


WORDS = ["a pool", "-bed", "+sea:2", '"x: y"', "tag:sofa>0.5", "like:3"]
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@given(words=st.lists(st.sampled_from(WORDS), max_size=4), name=names)
def test_what_is_put_in_and_taken_out_leaves_the_query_as_it_was(words: list[str], name: str) -> None:
    text, part = "  ".join(words), Filter("hotel", name)
    once = toggled_filter(text, format_filter(part))
    assert parse(once).filters == (*parse(text).filters, part)
    assert parse(once).terms == parse(text).terms
    assert parse(toggled_filter(once, format_filter(part))) == parse(text)


@pytest.mark.parametrize(("text", "term"), [('a "pool', "chain:x"), ("a pool", 'chain:"x')])
def test_what_cannot_be_read_is_refused(text: str, term: str) -> None:
    with pytest.raises(QuerySyntaxError, match="never closed"):
        toggled_filter(text, term)
