import json
import tomllib
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import OutputError, QueryError
from base.names import comparable
from base.settings import asset
from search.tags.vocabulary import (
    MAX_TAGS,
    Group,
    Tag,
    Vocabulary,
    as_content,
    as_vocabulary,
    bare,
    new_vocabulary,
    read_vocabulary,
)

CASE_STUDY = [
    "a pool",
    "a king-size bed",
    "an amazing view",
    "a restaurant",
    "a kitchen",
    "a balcony",
    "a shower",
    "a bathtub",
    "a sofa",
    "a tv",
    "a chair",
    "a minibar",
    "a mirror",
    "two beds",
    "a table",
]
FORMULA = "=cmd|'/c calc'!A1"

words = st.text(min_size=1, max_size=12)
tuples = st.lists(words, min_size=1, max_size=3).map(tuple)
vocabularies = st.builds(
    Vocabulary,
    name=words,
    tags=st.lists(st.builds(Tag, words, tuples, st.text(max_size=5)), min_size=1, max_size=5).map(tuple),
    templates=tuples,
    background=tuples,
    groups=st.lists(st.builds(Group, st.sampled_from(["contrast", "exclude"]), tuples), max_size=2).map(tuple),
)


def vocabulary_of(content: str) -> Vocabulary:
    return as_vocabulary(tomllib.loads(content), "mine")


def written(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "mine.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


# What comes along


def test_the_default_holds_the_case_studys_tags_word_for_word_and_in_order() -> None:
    vocabulary = read_vocabulary("case-study")
    assert vocabulary.names == CASE_STUDY
    assert [vocabulary.texts(tag) for tag in vocabulary.tags] == [[name] for name in CASE_STUDY]


def test_the_extended_vocabulary_holds_at_least_a_hundred_tags_more() -> None:
    vocabulary = read_vocabulary("hotel")
    assert len(vocabulary.tags) >= 115
    assert set(CASE_STUDY) <= set(vocabulary.names)
    assert all(tag.heading for tag in vocabulary.tags)


# Definition and key


@given(vocabularies)
def test_every_vocabulary_is_read_back_from_its_definition(vocabulary: Vocabulary) -> None:
    read_back = Vocabulary.from_definition(json.loads(json.dumps(vocabulary.definition())))
    assert read_back == vocabulary
    assert read_back.key == vocabulary.key


def test_the_key_changes_when_anything_changes() -> None:
    vocabulary = read_vocabulary("case-study")
    first, *others = vocabulary.tags
    changed = [
        vocabulary,
        replace(vocabulary, name="other"),
        replace(vocabulary, templates=("a photo of {}",)),
        replace(vocabulary, background=vocabulary.background[1:]),
        replace(vocabulary, groups=()),
        replace(vocabulary, groups=(Group("exclude", vocabulary.groups[0].tags),)),
        replace(vocabulary, tags=tuple(others)),
        replace(vocabulary, tags=(*others, first)),
        replace(vocabulary, tags=(replace(first, name="the pool"), *others)),
        replace(vocabulary, tags=(replace(first, prompts=("a swimming pool",)), *others)),
        replace(vocabulary, tags=(replace(first, heading="outside"), *others)),
    ]
    assert len({other.key for other in changed}) == len(changed)


# Reading


def test_every_entry_of_a_file_is_read(tmp_path: Path) -> None:
    content = """
    name = "bathing"
    templates = ["{}", "a photo of {}."]
    background = ["nothing"]
    [tags.water]
    "a pool" = ["a pool", "a swimming pool"]
    "a bathtub" = []
    [tags.dry]
    "a towel" = []
    [[groups]]
    rule = "exclude"
    tags = ["a pool", "a bathtub"]
    """
    vocabulary = read_vocabulary(written(tmp_path, content))
    assert vocabulary == Vocabulary(
        name="bathing",
        tags=(
            Tag("a pool", ("a pool", "a swimming pool"), "water"),
            Tag("a bathtub", ("a bathtub",), "water"),
            Tag("a towel", ("a towel",), "dry"),
        ),
        templates=("{}", "a photo of {}."),
        background=("nothing",),
        groups=(Group("exclude", ("a pool", "a bathtub")),),
    )
    assert vocabulary.texts(vocabulary.tags[0]) == [
        "a pool",
        "a photo of a pool.",
        "a swimming pool",
        "a photo of a swimming pool.",
    ]


def test_a_file_may_hold_tags_alone_and_is_named_after_itself(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(written(tmp_path, '[tags]\n"a pool" = []\n'))
    assert (vocabulary.name, vocabulary.names, vocabulary.templates) == ("mine", ["a pool"], ("{}",))
    assert vocabulary.background


@pytest.mark.parametrize("name", [FORMULA, "+1", "a tv, large", 'a "suite"', "プール", "<b>", "$5$", "x" * 200])
def test_a_tag_may_be_called_almost_anything(tmp_path: Path, name: str) -> None:
    assert read_vocabulary(written(tmp_path, f"[tags]\n{json.dumps(name)} = []\n")).names == [name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name = ", "is no TOML file"),
        (b"[tags]\n'caf\xe9' = []", "is no TOML file"),
        ("[tags]\n'a pool' = []\n'a pool' = []", r"is no TOML file.*\(is a name there twice\?\)"),
        ("[tags]\n'a pool' = []\n'A pool' = []", r"the tag 'A pool' is there twice \(as 'a pool'\)"),
        ("[tags]\n'a pool' = []\n'pool' = []", r"the tag 'pool' is there twice \(as 'a pool'\)"),
        ("[tags.one]\n'a pool' = []\n[tags.two]\n'a pool' = []", "the tag 'a pool' is there twice"),
        ("[tags.one]\nx = []\n[tags.two]\nx = []", "the tag 'x' is there twice"),
        ("", "tags should be a table"),
        ("[tags]", "it holds no tags"),
        ("tags = ['a pool']", "tags should be a table"),
        ("[tags]\n'a pool' = ['a pool', ' ']", "the prompts of 'a pool': a text is empty"),
        ("[tags]\n'a pool' = 'a pool'", "the prompts of 'a pool' should be a list of texts"),
        ("[tags]\n'a pool' = [1]", "the prompts of 'a pool' should be a list of texts"),
        ("[tags.a.b]\n'a pool' = []", "the prompts of 'b' should be a list of texts"),
        ("[tags]\n'a pool;a bar' = []", "the tag 'a pool;a bar' holds ';'"),
        ("[tags]\n'?a pool' = []", r"the tag '\?a pool' begins with '\?'"),
        ('[tags]\n"a pool\\na bar" = []', r"the tag 'a pool\\na bar' holds .* unprintable"),
        ("[tags]\n'' = []", "the tag '' should be 1 to 200 characters"),
        ("[tags]\n' a pool' = []", "without space around"),
        (f"[tags]\n'{'x' * 201}' = []", "should be 1 to 200 characters"),
        ("threshold = 1\n[tags]\nx = []", "unknown entry 'threshold': known are name, templates"),
        ("name = 'my words'\n[tags]\nx = []", "the name 'my words' should be"),
        ("name = '../up'\n[tags]\nx = []", "the name '../up' should be"),
        ("name = 7\n[tags]\nx = []", "the name 7 should be"),
        ("templates = ['a photo']\n[tags]\nx = []", "the template 'a photo' needs one {}"),
        ("templates = ['{} {}']\n[tags]\nx = []", "the template '{} {}' needs one {}"),
        ("templates = []\n[tags]\nx = []", "templates should be a list of texts"),
        ("background = ['']\n[tags]\nx = []", "background: a text is empty"),
        ("groups = ['x']\n[tags]\nx = []", r"groups should be written as \[\[groups\]\]"),
        ("[tags]\nx = []\n[groups]\nrule = 'contrast'", r"groups should be written as \[\[groups\]\]"),
        ("[tags]\nx = []\ny = []\n[[groups]]\nrule = 'contrast'\ntags = ['x', 'z']", "a group names 'z', which is no"),
        ("[tags]\nx = []\ny = []\n[[groups]]\nrule = 'both'\ntags = ['x', 'y']", "the rule 'both' of a group"),
        ("[tags]\nx = []\ny = []\n[[groups]]\nrule = 'contrast'\ntags = ['x']", "two or more different tags, not x"),
        ("[tags]\nx = []\ny = []\n[[groups]]\nrule = 'contrast'\ntags = ['x', 'x']", "different tags, not x, x"),
        ("[tags]\nx = []\n[[groups]]\nrule = 'contrast'", "the tags of a group should be a list"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_name(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(QueryError, match=message) as caught:
        read_vocabulary(path)
    assert path in str(caught.value)


def test_ten_thousand_tags_are_possible_and_one_more_is_not() -> None:
    tags: dict[str, list[str]] = {f"tag {number}": [] for number in range(MAX_TAGS)}
    assert MAX_TAGS == 10_000
    assert len(as_vocabulary({"tags": tags}, "many").tags) == 10_000
    with pytest.raises(ValueError, match="it holds 10001 tags; up to 10000 are possible"):
        as_vocabulary({"tags": tags | {"one more": []}}, "many")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"gone\.toml cannot be read: No such file"):
        read_vocabulary(str(tmp_path / "gone.toml"))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(QueryError, match=r"no vocabulary 'hotels'.*case-study, hotel"):
        read_vocabulary("hotels")


# Names of tags


@pytest.mark.parametrize("name", ["a bathtub", "bathtub", "the bathtub", "A BATHTUB", " bathtub "])
def test_a_tag_is_found_with_and_without_article(name: str) -> None:
    assert read_vocabulary("case-study").position(name) == CASE_STUDY.index("a bathtub")


def test_near_names_are_suggested_for_an_unknown_tag() -> None:
    vocabulary = read_vocabulary("case-study")
    with pytest.raises(QueryError, match=rf"no tag 'batub' in the vocabulary {vocabulary.key}: did you mean 'a batht"):
        vocabulary.position("batub")
    with pytest.raises(QueryError, match=r"no tag 'zzzzzz'.*`aliens tag list` lists them"):
        vocabulary.position("zzzzzz")


@pytest.mark.parametrize(("name", "expected"), [("a", "a"), ("the a", "a"), ("An  Open bath", "open bath"), ("", "")])
def test_what_is_compared_has_neither_article_nor_case(name: str, expected: str) -> None:
    assert bare(name) == expected


def test_accents_that_are_put_together_otherwise_make_no_other_tag() -> None:
    composed, apart = (unicodedata.normalize(form, "ein Café, übel") for form in ("NFC", "NFD"))
    assert composed != apart
    assert bare(composed) == bare(apart)
    assert as_vocabulary({"tags": {apart: []}}, "x").position(composed) == 0


@given(st.text())
def test_an_article_makes_no_difference(name: str) -> None:
    plain = comparable(name)
    if plain:
        assert bare(f"the {plain}") == plain


# Texts with a tag a line


@pytest.mark.parametrize(
    "content",
    [
        b"a pool\na tv\nan amazing view\n",
        b"\xef\xbb\xbfa pool\r\n\r\n  a tv  \r\n# what people like\r\nan amazing view",
        b"a pool\ra tv\r\r  # old Mac\ran amazing view\r",
        "a pool\na tv\nan amazing view\n".encode("utf-16"),
    ],
)
def test_a_text_has_a_tag_a_line_however_it_was_saved(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "my words.TXT"
    path.write_bytes(content)
    vocabulary = read_vocabulary(str(path))
    assert vocabulary.name == "my-words"
    assert vocabulary.names == ["a pool", "a tv", "an amazing view"]
    assert [vocabulary.texts(tag) for tag in vocabulary.tags] == [["a pool"], ["a tv"], ["an amazing view"]]


def test_behind_a_colon_stand_prompts() -> None:
    found = as_content(["pool: a swimming pool , an outdoor pool,", "16:9", "海: the sea", "bar:"])
    assert found == {"tags": {"pool": ["a swimming pool", "an outdoor pool"], "16:9": [], "海": ["the sea"], "bar": []}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it holds no tags: write one a line"),
        (b"# nothing\n\n", "it holds no tags: write one a line"),
        (b"a pool\n\na tv\nPool\n", "line 4: the tag 'Pool' is there already, in line 1"),
        (b"a pool\nbl\xe4ue\n", "line 2 is not UTF-8: save the file as UTF-8 text"),
        (b"a pool\na tv;a bed\n", "line 2: the tag 'a tv;a bed' holds ';'"),
        (b"a \x1b[31mpool\n", r"line 1: the tag 'a \\x1b\[31mpool' holds ';' or an unprintable character"),
        (b"?a pool\n", r"line 1: the tag '\?a pool' begins with '\?'"),
        (b"x" * 100_000, "line 1: the tag 'x{200}' should be 1 to 200 characters"),
        (b": water\n", "line 1: the tag '' should be 1 to 200 characters"),
        ("a pool\n".encode("utf-16-le"), "line 1: the tag 'a"),
    ],
)
def test_a_text_that_makes_no_sense_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(QueryError, match=f"words.txt: {message}"):
        read_vocabulary(str(path))


def test_a_text_of_too_many_tags_or_none_that_can_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"line {MAX_TAGS + 1}: up to {MAX_TAGS} tags are possible"):
        as_content(str(number) for number in range(10**9))
    with pytest.raises(QueryError, match=r"absent\.txt cannot be read: No such file"):
        read_vocabulary(str(tmp_path / "absent.txt"))
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(QueryError, match=r"folder\.txt cannot be read: "):
        read_vocabulary(str(tmp_path / "folder.txt"))


@pytest.mark.parametrize(
    ("stem", "name"), [("客房", "客房"), ("!!", "vocabulary"), ("my words", "my-words"), ("x" * 90, "x" * 64)]
)
def test_a_vocabulary_is_called_as_its_file_as_far_as_names_can(tmp_path: Path, stem: str, name: str) -> None:
    for path, content in ((tmp_path / f"{stem}.txt", "pool"), (tmp_path / f"{stem}.toml", '[tags]\n"pool" = []')):
        path.write_text(content, encoding="utf-8")
        assert read_vocabulary(str(path)).name == name


# Beginning one


@pytest.mark.parametrize("name", ["words.toml", "deeper/words.txt"])
def test_a_new_vocabulary_works_as_it_stands_and_overwrites_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = new_vocabulary(path, plain=False)
    assert path.read_text(encoding="utf-8") == content == new_vocabulary(None, plain=name.endswith("txt"))
    vocabulary = read_vocabulary(str(path))
    assert (vocabulary.name, len(vocabulary.tags)) == ("words", 7)
    assert vocabulary.position("pool") == 0
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(QueryError, match=r"words\.\w+ is there already: choose another name"):
        new_vocabulary(path, plain=False)
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_new_vocabulary_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for path, plain in ((tmp_path / "words.csv", False), (tmp_path / "words.toml", True)):
        with pytest.raises(QueryError, match=r"words\.(csv|toml)"):
            new_vocabulary(path, plain=plain)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        new_vocabulary(tmp_path / "file" / "words.toml", plain=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("most", [-1, True, 2.5, "3", MAX_TAGS + 1])
def test_how_many_tags_a_photo_may_have_is_a_number(most: object) -> None:
    with pytest.raises(ValueError, match="most, the tags a photo may have, is"):
        as_vocabulary({"tags": {"a pool": []}, "most": most}, "own")


def test_a_vocabulary_that_does_not_say_how_many_has_the_key_that_it_always_had() -> None:
    plain, most = (as_vocabulary({"tags": {"a pool": []}, **said}, "own") for said in ({}, {"most": 3}))
    assert "most" not in plain.definition()
    assert read_vocabulary("case-study").key == "case-study-928dcd08"  # its name and eight hexadecimal digits
    assert plain.key != most.key
    assert Vocabulary.from_definition(json.loads(json.dumps(most.definition()))) == most


def test_a_photo_of_a_hotel_shows_one_room_one_kind_of_bed_and_one_colour() -> None:
    hotel = read_vocabulary("hotel")
    headings = {tag.name: tag.heading for tag in hotel.tags}
    groups = [{headings[tag] for tag in group.tags} for group in hotel.groups if group.rule == "exclude"]
    assert groups == [{"room"}, {"bed"}, {"palette"}]
    assert hotel.most == 5
    assert asset("search/vocabularies/new").is_dir()
