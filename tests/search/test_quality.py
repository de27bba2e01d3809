"""Meaning, measured: the 15 tags of the case study as searches over the sample hotels with the embedded model."""

from collections.abc import Sequence

import numpy as np
import pytest

from aliens.library import Library
from search.answers import PLAIN
from search.tags.vocabulary import read_vocabulary

TAGS = read_vocabulary("case-study").names
MODEL_CARD_PROMPTS = ("{}", "a photo of {}", "a hotel room with {}", "a hotel photo of {}")


def relevant(library: Library, tags: dict[int, set[str]], tag: str, templates: Sequence[str]) -> np.ndarray:
    """Return, best hit first over all photos, whether the photo truly has the tag."""
    hits = library.search(tag, k=len(tags), templates=templates)
    assert len(hits) == len(tags)
    return np.array([tag in tags[hit.image_id] for hit in hits if hit.image_id is not None])


def average_precision(relevant: np.ndarray) -> float:
    precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
    return float(precision[relevant].mean())


@pytest.mark.parametrize("templates", [PLAIN, MODEL_CARD_PROMPTS], ids=["plain text", "model card's four prompts"])
def test_searches_for_the_15_tags(
    sample_library: Library,
    sample_tags: dict[int, set[str]],
    templates: Sequence[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    precisions, averages, lines = [], [], []
    for tag in TAGS:
        found = relevant(sample_library, sample_tags, tag, templates)
        in_top = int(found[:15].sum())
        precisions.append(in_top / 15)
        averages.append(average_precision(found))
        recall = in_top / found.sum()
        lines.append(f"{tag:<17} {recall:12.2f} {in_top / 15:15.2f} {averages[-1]:19.2f} {found.sum():8d} photos")
    with capsys.disabled():
        print(f"\n\nprompts: {', '.join(templates)}")
        print(f"{'tag':<17} {'recall at 15':>12} {'precision at 15':>15} {'average precision':>19} {'true':>8}")
        print("\n".join(lines))
        print(f"{'mean':<17} {'':>12} {np.mean(precisions):15.3f} {np.mean(averages):19.3f}")
    assert np.mean(precisions) >= 0.74
    assert np.mean(averages) >= 0.70


def test_two_things_asked_for_at_once_come_first(sample_library: Library, sample_tags: dict[int, set[str]]) -> None:
    wanted = {"a bathtub", "an amazing view"}
    hits = sample_library.search("bathtub with a view", k=10)
    both = sum(wanted <= sample_tags[hit.image_id] for hit in hits if hit.image_id is not None)
    assert np.mean([wanted <= tags for tags in sample_tags.values()]) < 0.04
    assert both >= 5
