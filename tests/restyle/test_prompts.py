import pytest

from base.errors import QueryError
from restyle.palettes import (
    TOKENS,
    PromptTemplate,
    build_prompt,
    palette_names,
    read_palette,
    scene_of,
    tokens_of,
    with_article,
)

TEMPLATE = PromptTemplate("a {scene}{things}, overgrown with ferns", "people, text", ("red", "peach"))


@pytest.mark.parametrize(
    ("tags", "prompt"),
    [
        (["a bathtub"], "a hotel bathroom with a bathtub"),
        (["a bathtub", "a mirror", "a shower"], "a hotel bathroom with a bathtub, a mirror and a shower"),
        (["a king-size bed", "an amazing view"], "a hotel bedroom with a king-size bed and an amazing view"),
        (["two beds"], "a hotel bedroom with two beds"),
        (["a kitchen", "at night"], "a hotel kitchen at night"),
        (["a restaurant", "a table"], "a hotel restaurant with a table"),
        (["a pool"], "a hotel pool"),
        (["a balcony", "a chair"], "a hotel balcony with a chair"),
        (["a shower", "a bedroom"], "a hotel bedroom with a shower"),
        (["umbrella", "bathtub", "towels", "snow"], "a hotel bathroom with an umbrella, a bathtub, towels and snow"),
        ([], "a hotel room"),
    ],
)
def test_a_prompt_says_what_is_in_the_photo(tags: list[str], prompt: str) -> None:
    assert build_prompt(TEMPLATE, tags) == (f"{prompt}, overgrown with ferns", "people, text, red, peach")


def test_a_caption_is_put_last_or_where_the_template_places_it() -> None:
    assert build_prompt(TEMPLATE, ["a sofa"], "A white couch. ")[0] == (
        "a hotel room with a sofa, overgrown with ferns, A white couch"
    )
    placed = PromptTemplate("{caption}, a {scene} full of moss, {caption}")
    assert build_prompt(placed, [], "a couch")[0] == "a couch, a hotel room full of moss, a couch"
    assert build_prompt(placed, [], None) == ("a hotel room full of moss", "")
    assert build_prompt(PromptTemplate("moss, {caption}, ferns"), [])[0] == "moss, ferns"


def test_things_are_left_out_until_the_prompt_fits_what_clip_reads() -> None:
    tags = [f"a painting number {number}" for number in range(40)]
    prompt, _ = build_prompt(TEMPLATE, tags)
    assert tokens_of(prompt) <= TOKENS
    assert "a painting number 3" in prompt and "a painting number 39" not in prompt
    assert prompt.endswith("overgrown with ferns")


def test_the_estimate_of_tokens_is_no_less_than_clip_counts() -> None:
    from open_clip import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    for name in palette_names():
        tags = ["a freestanding bathtub", "a double washbasin", "toiletries", "a hair dryer", "a whirlpool"]
        prompt, negative = build_prompt(read_palette(name).prompt, tags, "a bathroom with a sink and a mirror")
        for text in (prompt, negative):
            assert len(tokenizer.encode(text)) <= tokens_of(text) <= TOKENS


@pytest.mark.parametrize("text", ["a {mood}", "{scene.name}", "{scene!r}", "{scene:>9}", "a {}", "a {0}"])
def test_unknown_placeholders_are_refused_with_the_list(text: str) -> None:
    with pytest.raises(QueryError, match=r"\{scene\}, \{things\}, \{caption\}"):
        PromptTemplate(text)
    with pytest.raises(QueryError, match="brace"):
        PromptTemplate("a {scene")


def test_scene_and_things() -> None:
    assert scene_of(["a bathroom", "a mirror", "a mirror"]) == ("hotel bathroom", ["a mirror"])


def test_articles() -> None:
    tags = ["bathtub", "oven", "a tv", "two beds", "glass", "pillows"]
    assert list(map(with_article, tags)) == ["a bathtub", "an oven", "a tv", "two beds", "a glass", "pillows"]


def test_a_long_caption_is_cut_and_leaves_the_things_where_they_are() -> None:
    template = read_palette("fern").prompt
    caption = "a bright bathroom in the old wing, photographed by its owner, " * 10
    prompt, _ = build_prompt(template, ["a bathtub", "a mirror", "towels"], caption)
    assert tokens_of(prompt) <= TOKENS
    assert "with a bathtub, a mirror and towels" in prompt
    assert "a bright bathroom in the old wing" in prompt
    assert not prompt.endswith(",")
