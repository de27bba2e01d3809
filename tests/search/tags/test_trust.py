from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from aliens.library import Library
from db.vector_rows import EmbeddedRows
from embedding.segments import Vectors
from search.nonsense import NONSENSE
from search.tags.calibration import LEARNING, Calibration, Method
from search.tags.links import Link
from search.tags.trust import FEW, KINDS, muted_in_words, noise_and_kind, trust_in_words

MIXED = Calibration(method="signal", scale=25.0, mean=np.zeros(2, np.float32), std=np.ones(2, np.float32), photos=240)


@pytest.fixture(scope="module")
def vectors(sample_library: Library) -> Iterator[Vectors]:
    with sample_library.catalog.session() as session:
        yield sample_library.store.current(EmbeddedRows(session, sample_library.model))


def only(vectors: Vectors, ids: list[int]) -> Vectors:
    """Return some of the photos of a library in one segment."""
    (segment,) = vectors.segments
    return Vectors(vectors.dim, [segment], [np.isin(segment.ids, ids)])


def ids_with(sample_library: Library, sample_tags: dict[int, set[str]], tags: set[str]) -> list[int]:
    return [hit.photo_id for hit in sample_library.search("a photo", k=240) if sample_tags[hit.image_id or 0] & tags]


def test_words_that_mean_nothing_are_some_sixty_different_ones() -> None:
    assert 50 <= len(set(NONSENSE)) == len(NONSENSE) <= 70


@pytest.mark.parametrize(
    ("tags", "alike"),
    [({"a bathtub", "a shower"}, "a bathroom"), ({"a king-size bed", "two beds"}, "a bedroom")],
)
def test_a_library_of_one_kind_of_room_is_seen_to_be_one(
    sample_library: Library, vectors: Vectors, sample_tags: dict[int, set[str]], tags: set[str], alike: str
) -> None:
    ids = ids_with(sample_library, sample_tags, tags)
    assert len(ids) > 50
    assert noise_and_kind(only(vectors, ids), sample_library.encoder)[1] == alike


@pytest.mark.parametrize("every", [2, 7, 11])
def test_mixed_libraries_are_not_accused_and_their_noise_is_alike(
    sample_library: Library, vectors: Vectors, every: int
) -> None:
    noise, alike = noise_and_kind(only(vectors, vectors.ids[::every].tolist()), sample_library.encoder)
    assert alike == ""
    whole, _ = noise_and_kind(vectors, sample_library.encoder)
    assert noise == pytest.approx(whole, rel=0.2)


def test_of_few_photos_nobody_can_say_that_they_are_alike(
    sample_library: Library, vectors: Vectors, sample_tags: dict[int, set[str]]
) -> None:
    ids = ids_with(sample_library, sample_tags, {"a bathtub"})[:19]
    assert noise_and_kind(only(vectors, ids), sample_library.encoder)[1] == ""


def test_how_far_to_trust_tags_is_said_by_method_model_and_length() -> None:
    for method in ("signal", "calibrated", "uncalibrated", "softmax"):
        words = trust_in_words(replace(MIXED, method=method), 15, "starter")  # type: ignore[arg-type]
        assert words.startswith("on our sample hotels about ")
        assert "`aliens label`" in words
        assert ("--method signal" in words) == (method != "signal")
    assert "with the model starter" in trust_in_words(MIXED, 15, "ViT-B-32/openai")
    assert trust_in_words(MIXED, 126, "starter") != trust_in_words(MIXED, 15, "starter")


@pytest.mark.parametrize("method", LEARNING)
def test_photos_that_are_few_or_alike_are_named_where_they_are_compared(method: Method) -> None:
    few, alike = replace(MIXED, method=method, photos=1), replace(MIXED, method=method, alike=KINDS[1])
    assert trust_in_words(few, 15, "starter").startswith("a library of 1 photo has few to compare with each other")
    assert "has few" not in trust_in_words(replace(few, photos=FEW), 15, "starter")
    assert trust_in_words(alike, 15, "starter").startswith("nearly all photos look like a bathroom: ")
    for other in (replace(few, method="softmax"), replace(alike, method="uncalibrated")):
        assert trust_in_words(other, 15, "starter").startswith("on our sample hotels")


def test_where_labels_taught_nothing_is_to_be_said() -> None:
    links = {0: Link("platt", slope=1.0)}
    assert trust_in_words(replace(MIXED, links=links, learnt_on="signal"), 15, "starter") == ""
    assert trust_in_words(replace(MIXED, links=links, learnt_on="calibrated"), 15, "starter") != ""


def test_muted_tags_are_named_the_first_few_of_them() -> None:
    assert muted_in_words([]) == ""
    assert muted_in_words(["a tv"]) == "the model cannot tell these here and gives them to no photo: a tv"
    assert muted_in_words([str(n) for n in range(10)]).endswith("0, 1, 2, 3, 4, 5, 6, 7 and 2 more")
