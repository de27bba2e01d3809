import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from embedding.text_tower import ClipTokenizer

THEIRS = SimpleTokenizer()
MINE = ClipTokenizer.from_open_clip(THEIRS)

PARTS = (
    st.text(max_size=30)
    | st.text("aesxſKİß'’ <>_&;#!1½Ⅳ\t\u00a0\u200b\u0301\x1b[", max_size=20)
    | st.sampled_from(
        ["<start_of_text>", "<END_of_text>", "!<start_of_text>", "&amp;", "&lt;b&gt;", "â€™", "schoÌ\u0088n", "ﬁn"]
    )
    | st.sampled_from(
        ["bathtub with a view", "don't we'll 'S 'ſ", "ванная с видом", "海景浴缸", "حمام", "호텔", "🛁🌅", "a\ud800b"]
    )
)


def padded(texts: list[str]) -> list[list[int]]:
    return [row + [0] * (THEIRS.context_length - len(row)) for row in MINE(texts).tolist()]


@settings(max_examples=200)
@given(st.lists(PARTS, max_size=6).map("".join))
def test_the_ids_are_those_of_open_clip_for_any_text(text: str) -> None:
    assert padded([text]) == THEIRS([text]).tolist()


@pytest.mark.parametrize("text", ["café", "Málaga à l'été", "phố cổ", "한국 바다", "ガラス", "\u212b"])
def test_letters_in_one_character_or_in_two_are_the_same_tokens(text: str) -> None:
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert composed != apart
    assert padded([composed]) == padded([apart]) == THEIRS([apart]).tolist()


def test_every_letter_and_sign_is_read_alike() -> None:
    """Letters, digits and other signs are told apart as theirs are, in the middle of a word and of signs."""
    chosen = [*range(0x3000), *range(0x3000, 0xD800, 31), *range(0xE000, 0x110000, 499)]
    texts = [f"a{c}!{c}1 '{c}" for c in map(chr, chosen)]
    differing = [text for text in texts if MINE([text])[0, 1:-1].tolist() != THEIRS.encode(text)]
    assert not differing


def test_long_texts_are_cut_and_short_ones_filled() -> None:
    texts = ["", "pool", "a very long text " * 1000, "b" * 300]
    assert padded(texts) == THEIRS(texts).tolist()
    assert MINE([]).shape == (0, 0)
    assert MINE(["pool"]).shape == (1, 3)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "merges.txt"
    MINE.write(path)
    read = ClipTokenizer.read(path, MINE.context)
    assert read.ids == MINE.ids == THEIRS.encoder
    assert read(["ванная, bathtub"]).tolist() == MINE(["ванная, bathtub"]).tolist()


@pytest.mark.parametrize(
    "other",
    [
        SimpleTokenizer(clean="canonicalize"),
        SimpleTokenizer(reduction_mask="random"),
        SimpleTokenizer(additional_special_tokens=["<mask>"]),
        HFTokenizer.__new__(HFTokenizer),
    ],
    ids=["cleans otherwise", "drops tokens", "more tokens", "of another library"],
)
def test_another_tokenizer_is_not_taken_for_clips(other: object) -> None:
    assert ClipTokenizer.from_open_clip(other) is None
