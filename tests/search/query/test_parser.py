"""Every construct of the query language, and that plain text means just that text."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from base.console import one_line
from base.errors import QuerySyntaxError
from search.hints import hints
from search.query import FILTER_NAMES, NEGATED, Filter, Query, Term, format_query, parse, query_of


def text(value: str, weight: float = 1.0) -> Term:
    return Term("text", value, weight)


@pytest.mark.parametrize(
    "words",
    [
        "bathtub with a view",
        "a twin-size bed",
        "C-3PO",
        "check-in at 10:30",
        "the guest's room",
        "l'hôtel d'Angleterre",
        'a 32" tv',
        "-",
        "+",
        "a - b + c",
        "--",
        "rock & roll, (nice!) 100% $5",
        "2*balcony",
        "2:golden retriever",
        "sea:0.5",
        "chair:0.5",
        "5*hotel",
        "back\\slash",
        "hotel: nice",
        "hotel :nice",
        "note:this",
        "10:30",
        "3",
        "海の見える風呂",
        "вид на море",
        "AND OR NOT",
        "chair:2",
        "hostel:2",
        "a bathroom –bathtub",
        "sea:" + "1" * 50_000,
        "1" * 50_000 + ":x",
    ],
)
def test_plain_text_means_just_that_text(words: str) -> None:
    assert parse(words) == Query((text(words),), ())


def test_spaces_do_not_matter_and_quotes_keep_what_is_between_them() -> None:
    assert parse("  a \t bathtub\nwith a view ") == parse("a bathtub with a view")
    assert parse('"a  -bathtub"') == Query((text("a  -bathtub"),), ())
    assert parse('a "twin -bed" room') == Query((text("a twin -bed room"),), ())
    assert parse(r'"say \"hello\" \\ \n"') == Query((text(r'say "hello" \ \n'),), ())


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("bathroom -shower", [text("bathroom"), text("shower", -NEGATED)]),
        ('bathroom -"shower curtain"', [text("bathroom"), text("shower curtain", -NEGATED)]),
        ("bathroom -shower:1", [text("bathroom"), text("shower", -1)]),
        ("a -shower room", [text("a room"), text("shower", -NEGATED)]),
        ("balcony +sea:0.5", [text("balcony"), text("sea", 0.5)]),
        ('balcony +"sea view":2', [text("balcony"), text("sea view", 2)]),
        ("balcony +sea:.5 +sky:2.", [text("balcony"), text("sea", 0.5), text("sky", 2)]),
        ("+sea +sky", [text("sea"), text("sky")]),
        ("+10:30 +twin-size", [text("10:30"), text("twin-size")]),
        ("+chair:0.5 +tag:0.5", [text("chair", 0.5), text("tag", 0.5)]),
        ("+C-3PO:2", [text("C-3PO", 2)]),
        ("like:42", [Term("photo", 42, 1)]),
        ("like:photos/a.jpg:0.5", [Term("photo", "photos/a.jpg", 0.5)]),
        ('-like:"my photos/a.jpg" like:./42', [Term("photo", "my photos/a.jpg", -NEGATED), Term("photo", "./42", 1)]),
        ("like:42:0.5 -like:7", [Term("photo", 42, 0.5), Term("photo", 7, -NEGATED)]),
        ("image:room.jpg", [Term("image", "room.jpg", 1)]),
        ('-image:"my room.jpg":2', [Term("image", "my room.jpg", -2)]),
        ("+sea:0.5\u3000view", [text("view"), text("sea", 0.5)]),
        ("+10:30\u3000view", [text("view"), text("10:30")]),
        ("+sea:2\xa0", [text("sea", 2)]),
        ("LIKE:42 pool", [text("pool"), Term("photo", 42, 1)]),
    ],
)
def test_terms(query: str, terms: list[Term]) -> None:
    assert parse(query) == Query(tuple(terms), ())


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("hotel:12", Filter("hotel", "12")),
        ('hotel:"Casa Coral"', Filter("hotel", "Casa Coral")),
        ('chain:"Best Western"', Filter("chain", "Best Western")),
        ("-chain:none", Filter("chain", "none", negated=True)),
        ("source:traffickcam", Filter("source", "traffickcam")),
        ('tag:"a bathtub"', Filter("tag", "a bathtub")),
        ("tag:bathtub>0.6", Filter("tag", "bathtub", ">", 0.6)),
        ('tag:"a bathtub">=.6', Filter("tag", "a bathtub", ">=", 0.6)),
        ("-tag:bathtub<0.1", Filter("tag", "bathtub", "<", 0.1, negated=True)),
        ("tag:bathtub<=1", Filter("tag", "bathtub", "<=", 1.0)),
        ("near:48.85,2.35,10km", Filter("near", "48.85,2.35,10km")),
        ("near:-33.9,-151.2,5mi", Filter("near", "-33.9,-151.2,5mi")),
        ("after:2015-01", Filter("after", "2015-01")),
        ("before:2015", Filter("before", "2015")),
        ("size:>=1024x728", Filter("size", ">=1024x728")),
        ("size:<=350x233", Filter("size", "<=350x233")),
        ("size:Large", Filter("size", "Large")),
        ("year:2015", Filter("year", "2015")),
        ("-year:none", Filter("year", "none", negated=True)),
        ("color:grey", Filter("color", "grey")),
        ("colour:Gray", Filter("color", "Gray")),
        ("orientation:portrait", Filter("orientation", "portrait")),
        ("path:/photos/2015", Filter("path", "/photos/2015")),
        ("PATH:x", Filter("path", "x")),
        ("kind:restyled", Filter("kind", "restyled")),
        ("-kind:Photo", Filter("kind", "Photo", negated=True)),
        ("tag:bathtub>0.6\u3000", Filter("tag", "bathtub", ">", 0.6)),
        ("path:" + "x" * 1000, Filter("path", "x" * 1000)),
    ],
)
def test_filters(query: str, wanted: Filter) -> None:
    assert parse(query) == Query((), (wanted,))
    assert parse(f"a pool {query} at night") == Query((text("a pool at night"),), (wanted,))


@pytest.mark.parametrize(
    ("query", "pointed_at", "words"),
    [
        ('pool "open', '"open', 'add a "'),
        ('pool -"', '"', "never closed"),
        ('pool -" "', '" "', "nothing between"),
        ('pool ""', '""', "nothing between"),
        ('"a"b', "b", "expected a space"),
        ('"sea view":0.5', '"sea', "needs a sign"),
        ("+sea:0", "0", "above 0"),
        ("+sea:-1", "-1", "above 0"),
        ("+sea:0,5", "0,5", "above 0"),
        ('+"sea view":x', "x", "above 0"),
        ('like:" "', '" "', "nothing between the quotes"),
        ("like:99999999999999999999", "9", "no photo has such a long number"),
        ("a +chain:Azura", "+chain", "no plus sign"),
        ("a chian:Azura", "chian", "is chain: meant"),
        ("hotle:coral", "hotle", "is hotel: meant"),
        ("hotel:" + "x" * 1001, "x", "1,000 characters"),
        ("hotel:" + "1" * 5000, "1", "1,000 characters"),
        ("tag:" + "x" * 1001 + ">0.5", "x", "1,000 characters"),
        ("path:x " * 100 + "path:y", "path:y", "at most 100 filters"),
        ("word " * 40_000 + "end", "end", "200,000 characters"),
        ("+sea:" + "9" * 5000, "9", "above 0"),
        ("tag:bathtub>2", "2", "between 0 and 1"),
        ("near:91,0,5km", "91", "latitude 91"),
        ("near:0,181,5km", "0,181", "longitude 181"),
        ("near:0,0,0km", "0,0,0", "more than 0"),
        ("near:1.2.3,0,5km", "1.2", "numbers"),
        ("near:48.85,2.35", "48", "latitude,longitude,radius"),
        ("near:north", "north", "latitude,longitude,radius"),
        ("after:2015-13", "2015-13", "no date"),
        ("before:yesterday", "yesterday", "2015-01"),
        ("size:big", "big", "in pixels"),
        ("size:huge", "huge", "small, medium, large"),
        ("year:15", "15", "a year, such as 2015"),
        ("year:0000", "0000", "a year, such as 2015"),
        ("color:red", "red", "a red room"),
        ("orientation:round", "round", "landscape, portrait or square"),
        ("kind:restlyed", "restlyed", "expected photo, restyled or any"),
        ("a pool -kind:any", "any", "of no kind: write kind:photo or kind:restyled"),
        ("path:\udc80", "\udc80", "no text"),
    ],
)
def test_errors_point_at_the_character(query: str, pointed_at: str, words: str) -> None:
    with pytest.raises(QuerySyntaxError, match=words) as error:
        parse(query)
    assert query[error.value.place :].startswith(pointed_at)
    _, line, mark = str(error.value).splitlines()
    assert line[len(mark) - 1 :].startswith(one_line(pointed_at))


@pytest.mark.parametrize("nothing", ["", " ", "\n\t "])
def test_nothing_is_an_empty_query(nothing: str) -> None:
    assert parse(nothing) == Query((), ())


def test_ten_thousand_words() -> None:
    words = " ".join(f"word{number}" for number in range(10_000))
    assert parse(words) == Query((text(words),), ())
    assert len(parse("-" + words.replace(" ", " -")).terms) == 10_000
    with pytest.raises(QuerySyntaxError) as error:
        parse(f'{words} "open')
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("2*balcony sea", ["+balcony:2"]),
        ("0.5:golden retriever", ["+golden:0.5"]),
        ("sea balcony:2", ["+balcony:2"]),
        ("+balcony:2 -sea:0.5", []),
        ('"2*balcony" at 10:30', []),
        ("hotel:12 like:3 5*hotel", []),
        ("chair:2", ["+chair:2, a filter chain:2"]),
        ("hostel:2 sea", ["+hostel:2, a filter hotel:2"]),
        ("2*кровать\u3000sea", ["+кровать:2"]),
        ("2*balcony chian:Azura", []),
        ("a bathroom –bathtub", ["-bathtub"]),
        ("a bathroom −bathtub:0.5 — tv", ["-bathtub:0.5"]),
        ("12:" + "x" * 50_000 + "!" + ' \\"' * 40_000, ["+x"]),
    ],
)
def test_weights_in_another_notation_are_words_with_a_hint(query: str, written: list[str]) -> None:
    found = hints(query)
    assert len(found) == len(written)
    assert all(words in hint for words, hint in zip(written, found, strict=True))


values = st.text(min_size=1).filter(str.strip)
weights = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False).flatmap(
    lambda size: st.sampled_from([size, -size])
)
terms = st.one_of(
    st.builds(Term, st.just("text"), values, st.one_of(st.sampled_from([1.0, -1.0, -NEGATED, 0.5]), weights)),
    st.builds(Term, st.just("photo"), st.integers(0, 2**59), weights),
    st.builds(Term, st.just("photo"), values.filter(lambda name: not name.isdigit()), weights),
    st.builds(Term, st.just("image"), values, weights),
)
free_text = st.one_of(st.none(), values.map(text), st.sampled_from(["tag", "a -b", "like:3"]).map(text))
checked = {
    "near": st.sampled_from(["1,2,3km", "-1.5,-2,3m"]),
    "after": st.sampled_from(["2015", "2015-01-31"]),
    "before": st.sampled_from(["2015", "2015-01-31"]),
    "year": st.sampled_from(["2015", "none"]),
    "size": st.sampled_from([">=1x2", "<=3x4", "5x6", "large"]),
    "color": st.sampled_from(["grey", "Colour"]),
    "orientation": st.sampled_from(["square"]),
    "kind": st.sampled_from(["photo", "Restyled"]),
}
filters = st.sampled_from(FILTER_NAMES).flatmap(
    lambda name: st.builds(
        Filter,
        st.just(name),
        checked.get(name, values),
        *((st.sampled_from([">", "<="]), st.floats(0, 1)) if name == "tag" else (st.just(""), st.none())),
        negated=st.booleans(),
    )
)


@given(free_text, st.lists(terms, max_size=4), st.lists(filters, max_size=3))
@example(None, [text("chair", 0.5), text("tag", -0.5), text("like")], [])
@example(None, [text("K", 2), text("TAG:2", -NEGATED)], [Filter("tag", "a>0.5")])
def test_a_query_survives_being_written_down(free: Term | None, more: list[Term], some: list[Filter]) -> None:
    # words of weight 1 come first, as parse has them
    query = Query((*([free] if free else []), *more), tuple(some))
    assert parse(format_query(query)) == query


@given(st.text())
def test_any_text_is_read_or_refused_with_a_place(anything: str) -> None:
    try:
        query = parse(anything)
    except QuerySyntaxError as error:
        assert 0 <= error.place <= len(anything)
    else:
        assert parse(format_query(query)) == query


@pytest.mark.parametrize(
    ("words", "query"),
    [
        (["a pool -sauna"], "a pool -sauna"),
        (['chain:"Best Western" a pool'], 'chain:"Best Western" a pool'),
        (["a", "pool", "chain:Best Western"], 'a pool chain:"Best Western"'),
        (["a", "pool", "-chain:Best Western"], 'a pool -chain:"Best Western"'),
        (["a", "bathroom", "-shower curtain"], 'a bathroom -"shower curtain"'),
        (["a", "bathroom", "-shower curtain:0.5"], 'a bathroom -"shower curtain":0.5'),
        (["at", "night", "image:my photos/room.jpg:2"], 'at night image:"my photos/room.jpg":2'),
        (["a", "pool", "hotel:Inn 5:30"], 'a pool hotel:"Inn 5:30"'),
        (["a", "pool", 'tag:"two beds">0.6'], 'a pool tag:"two beds">0.6'),
        (["a pool", "at night"], "a pool at night"),
        (["a", "path:back\\slash dir"], 'a path:"back\\\\slash dir"'),
        (["a", "- b", "note:this and that"], "a - b note:this and that"),
        ([""], ""),
    ],
)
def test_words_of_a_shell_mean_what_it_read_as_one(words: list[str], query: str) -> None:
    assert query_of(words) == query


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["C", "Z"], exclude_characters='"')), min_size=2))
def test_words_without_spaces_are_joined_as_they_are(words: list[str]) -> None:
    assert query_of(words) == " ".join(words)
