"""The parts of suggestions: rankings and intervals, folds, lists of words, what users type."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from base.arrays import unit_or_zero
from base.errors import QueryError
from search.tags.suggesting import SampledPhotos, TextBoard
from search.tags.trial_measures import average_precisions, compared, folds, weighted_precision
from search.tags.uncovered import WordsHere, clusters_of
from search.tags.vocabulary import as_vocabulary, bare, check_tag, read_vocabulary
from search.tags.vocabulary_edits import MOST_PROMPTS
from search.tags.word_list import MOST_TRIED, TriedText, everyday_words, phrasings, tags_named, tried_texts

STUDY = read_vocabulary("case-study")


@given(st.integers(0, 1000))
def test_average_precision_is_that_of_scikit_learn_and_counts_photos_as_often_as_they_were_drawn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    has = rng.permutation([True, False, *(rng.random(20) < 0.3)])
    scores = rng.permutation(len(has)).astype(np.float32)
    other = rng.permutation(len(has)).astype(np.float32)
    found = average_precisions(has, np.stack([scores, other], axis=1))
    assert found == pytest.approx([average_precision_score(has, scores), average_precision_score(has, other)])
    weights = np.ones((1, len(has)))
    assert weighted_precision(has, scores, weights) == pytest.approx(found[:1])
    assert weighted_precision(has, scores, 3 * weights) == pytest.approx(found[:1])
    left_out = np.where(np.arange(len(has)) < 15, 1.0, 0.0)[np.newaxis]
    if has[:15].any():
        assert weighted_precision(has, scores, left_out)[0] == pytest.approx(
            average_precision_score(has[:15], scores[:15])
        )
    else:
        assert np.isnan(weighted_precision(has, scores, left_out)[0])


def test_equal_rankings_differ_by_nothing_and_better_ones_by_more_than_noise() -> None:
    rng = np.random.default_rng(0)
    has, groups = rng.random(200) < 0.3, np.repeat(np.arange(20), 10)
    noise, good = rng.random(200).astype(np.float32), (has + 0.1 * rng.random(200)).astype(np.float32)
    assert compared(has, noise, noise, groups)[1:] == (0, 0)
    (before, after), low, high = compared(has, noise, good, groups)
    assert after == pytest.approx(1)
    assert 0 < low < after - before < high


def test_no_hotel_is_on_both_sides_of_a_fold_and_every_photo_is_judged_once() -> None:
    rng = np.random.default_rng(1)
    has = rng.random(120) < 0.2
    for groups in (rng.integers(0, 12, 120), np.arange(120), np.repeat([0, 1], 60)):
        judged = []
        for others, rows in folds(has, groups):
            assert not set(groups[others]) & set(groups[rows])
            assert has[others].any()
            judged += rows.tolist()
        assert sorted(judged) == list(range(120))


def test_groups_of_photos_are_the_same_each_time_the_largest_first_and_equal_photos_are_one() -> None:
    rng = np.random.default_rng(2)
    photos = np.concatenate([rng.normal(at, 0.01, (size, 8)) for at, size in ((0, 20), (1, 50))]).astype(np.float32)
    found = clusters_of(photos, 2)
    assert [len(rows) for rows in found] == [50, 20]
    assert all(np.array_equal(a, b) for a, b in zip(found, clusters_of(photos, 2), strict=True))
    assert [len(rows) for rows in clusters_of(np.ones((40, 8), np.float32), 20)] == [40]


class Babble:
    """An encoder whose texts lie anywhere: no word is near to any photo."""

    logit_scale = 100.0

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.stack([np.random.default_rng(list(text.encode())).normal(size=64) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_no_word_fits_where_the_model_tells_none_or_none_is_nearer_than_chance() -> None:
    rng = np.random.default_rng(3)
    photos = unit_or_zero(rng.normal(size=(300, 64)).astype(np.float32))
    whole = SampledPhotos(np.arange(300), photos, 300)
    words = WordsHere(TextBoard(Babble()), STUDY, whole, photos.mean(axis=0))  # type: ignore[arg-type]
    for group in (photos[:20], photos[20:22], -photos[:50]):
        naming = words.named(group)
        assert (naming.name, naming.tag) == (None, None)
    words._usable[:] = False
    assert words.named(photos[:20]).name is None


def test_everyday_words_can_be_tags_and_come_once() -> None:
    words = everyday_words()
    assert len(words) > 1_500
    assert len({bare(word) for word in words}) == len(words)
    assert {"a fireplace", "a staircase", "a bathroom", "people", "an oven", "curtains"} <= set(words)
    # Of photos of people nobody should read these, whatever a model thinks.
    assert not {"an ape", "a monkey", "a gorilla", "a chimpanzee", "a swine", "a slave", "a corpse"} & set(words)
    for word in words:
        check_tag(word)
        assert word == word.lower()
        assert not word.startswith("#")


def test_every_tag_that_comes_along_has_phrasings_that_can_be_prompts() -> None:
    by_tag, templates = phrasings()
    assert templates[0] == "{}"
    assert all(template.count("{}") == 1 for template in templates)
    for vocabulary in (STUDY, read_vocabulary("hotel")):
        assert [tag.name for tag in vocabulary.tags if bare(tag.name) not in by_tag] == []
    for tag, texts in by_tag.items():
        assert tag == bare(tag)
        assert len(set(texts)) == len(texts) < MOST_PROMPTS
        assert all(text.isprintable() and text == text.strip() and bare(text) != tag for text in texts)


def test_words_to_try_are_for_a_tag_that_they_name(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(
        "# mine\n\na sofa: a davenport, a  settee\nA TIN BATH\nетажерка\nno tag: a thing\n", encoding="utf-8"
    )
    found = tried_texts(STUDY, ["a tin bath", "bathtub: a tin bath"], path)
    assert found == [
        TriedText("a tin bath"),
        TriedText("a tin bath", "a bathtub"),
        TriedText("a davenport", "a sofa"),
        TriedText("a settee", "a sofa"),
        TriedText("етажерка"),
        TriedText("no tag: a thing"),
    ]
    assert tags_named(STUDY, "a free-standing bathtub with a shower") == ["a shower", "a bathtub"]
    assert tags_named(STUDY, "a bed") == []
    assert tags_named(as_vocabulary({"tags": {"ванна": []}}, "mine"), "Большая ванна") == ["ванна"]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ([" "], "nothing to try in ' '"),
        (["a \x07 bell"], "cannot be a prompt"),
        (["x" * 301], "up to 300 characters"),
        ([f"thing {n}" for n in range(MOST_TRIED + 1)], "1001 texts are too many"),
    ],
)
def test_words_that_cannot_be_tried_are_named(typed: list[str], told: str) -> None:
    with pytest.raises(QueryError, match=told):
        tried_texts(STUDY, typed, None)


def test_files_of_words_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("# nothing\n", encoding="utf-8")
    binary.write_bytes(b"a tub\n\xff\xfe\x00")
    with pytest.raises(QueryError, match="holds no words to try"):
        tried_texts(STUDY, [], empty)
    with pytest.raises(QueryError, match="binary"):
        tried_texts(STUDY, [], binary)
    with pytest.raises(QueryError, match=r"nowhere\.txt cannot be read"):
        tried_texts(STUDY, [], tmp_path / "nowhere.txt")
