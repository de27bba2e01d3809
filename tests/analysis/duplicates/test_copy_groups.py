from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from analysis.duplicates.copy_groups import BestPairs, Classes, linked, starred
from analysis.duplicates.keepers import keeping_order, leading_order, may_go, why_kept
from db.duplicate_rows import CopyFacts
from embedding.index.near_pairs import NearPairs

PHOTO = CopyFacts(1, "/a.jpg", "", None, 800, 600, "JPEG", 90_000, b"1" * 32, datetime(2020, 1, 1), "file", 0)


def test_a_chain_is_no_group() -> None:
    """Of a camera that turns each photo is like the next, and the first shows nothing of the last."""
    links = linked([(number, number + 1, 0.99) for number in range(1, 10)])
    groups = list(starred(range(1, 11), links))
    assert groups == [(1, [2]), (3, [4]), (5, [6]), (7, [8]), (9, [10])]
    assert next(starred([5, *range(1, 5), *range(6, 11)], links)) == (5, [4, 6])
    for head, taken in groups:
        assert all(other in links[head] for other in taken)  # each was compared with the one that is kept


def test_the_hub_leads_and_no_clearly_larger_photo_goes() -> None:
    framed = replace(PHOTO, width_px=820, height_px=615)
    assert leading_order(PHOTO, 5) < leading_order(framed, 3)
    large = replace(PHOTO, width_px=4_000, height_px=3_000)
    assert leading_order(large, 1) < leading_order(PHOTO, 5)
    assert (may_go(PHOTO, framed), may_go(large, PHOTO), may_go(PHOTO, large)) == (True, True, False)
    links = linked([(1, 2, 0.99), (1, 3, 0.99)])
    assert next(starred([1, 2, 3], links, lambda head, other: other != 3)) == (1, [2])


def test_classes_join_those_that_share_a_photo() -> None:
    classes = Classes()
    classes.join([5, 7])
    classes.join([9, 11])
    assert (classes.of(5), classes.of(6), classes.others.tolist()) == ([5, 7], [6], [7, 11])
    classes.join([7, 9])
    assert (classes.members, classes.others.tolist()) == ({5: [5, 7, 9, 11]}, [7, 9, 11])


def test_of_too_many_pairs_the_nearest_stay() -> None:
    best, draw = BestPairs(most=100, least=0.5), np.random.default_rng(0)
    every = []
    for start in range(0, 1_000, 50):
        cosines = draw.uniform(0.5, 1, 50).astype(np.float32)
        every.extend(cosines.tolist())
        best.add(NearPairs(np.arange(start, start + 50), np.arange(start, start + 50) + 1, cosines))
    held = best.pairs()
    assert best.dropped and best.least > 0.5
    assert 90 <= len(held.ones) <= 200
    assert sorted(held.cosines.tolist()) == sorted(cosine for cosine in every if cosine > best.least)
    equal = BestPairs(most=10, least=0.5)
    equal.add(NearPairs(np.arange(50), np.arange(50) + 1, np.ones(50, np.float32)))
    assert len(equal.pairs().ones) == 10


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"width_px": 400, "height_px": 300}, "largest: 800 x 600 px"),
        ({"format": "WEBP"}, "JPEG, nearest to a camera's own"),
        ({"size_bytes": 40_000}, "as large, and least compressed"),
        ({"date": datetime(2021, 1, 1), "size_bytes": 91_000}, "oldest file"),
        ({"size_bytes": 89_000}, "as large, and least compressed"),
        ({"member": "b.jpg"}, "a file of its own, not in a tar"),
        ({"path": "/a/copy of a.jpg"}, "shortest path"),
        ({"path": "/b.jpg"}, "first by name"),
    ],
)
def test_the_better_photo_is_kept_and_why(changes: dict[str, object], why: str) -> None:
    other = replace(PHOTO, photo_id=0, content_sha256=b"2" * 32, **changes)  # type: ignore[arg-type]
    assert min([other, PHOTO], key=keeping_order) is PHOTO
    assert why_kept(PHOTO, [other]) == why


def test_a_photo_dated_by_its_camera_goes_before_a_heavier_one_and_labels_break_ties() -> None:
    dated = replace(PHOTO, date_from="camera")
    assert why_kept(dated, [replace(PHOTO, size_bytes=200_000, content_sha256=b"2" * 32)]) == "has its camera's date"
    labelled = replace(PHOTO, labels=2, content_sha256=None)
    assert min([PHOTO, labelled], key=keeping_order) is labelled
    assert why_kept(labelled, [PHOTO]) == "has more labels"
