from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.photo_rows import PhotoRecord
from restyle.candidates.gates import Looked
from restyle.candidates.measures import Measures
from restyle.candidates.picking import KINDS, LEAST_WARM, Picker, in_turn, strength

PLAIN = Measures(
    edge_density=0.1,
    entropy_bits=5.0,
    flat=0.5,
    colours=30.0,
    warm=0.2,
    palette_distance=10.0,
    sharpness=2.0,
    lightness=50.0,
    contrast=80.0,
    dark=0.0,
    white=0.0,
)


def photo(photo_id: int, hotel_id: int | None = None, sha256: str = "", **measures: float) -> Looked:
    record = PhotoRecord(photo_id, f"/{photo_id}.jpg", "", None, hotel_id, None, None, None, None)
    thumbnail = np.zeros(256, np.float32)
    thumbnail[photo_id % 256] = 1
    return Looked(record, 640, 480, sha256 or str(photo_id), replace(PLAIN, **measures), thumbnail)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def apart(count: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, 24)))


def ids(picker: Picker) -> list[int]:
    return [pick.looked.record.photo_id for pick in picker.picked]


def test_each_kind_finds_its_strongest_photo() -> None:
    photos = [photo(n) for n in range(30)]
    photos[4] = photo(4, edge_density=0.25)
    photos[11] = photo(11, warm=0.9, palette_distance=20.0)
    photos[17] = photo(17, flat=0.9, edge_density=0.03, colours=5.0)
    for kind, best in zip(KINDS, (4, 11, 17), strict=True):
        picker = Picker(photos, apart(30))
        picker.pick(kind)
        assert ids(picker) == [best]


def test_reasons_have_numbers_and_the_share_of_photos_beaten() -> None:
    photos = [photo(n, edge_density=n / 100) for n in range(1, 26)]
    picker = Picker(photos, apart(25))
    pick = picker.pick("detailed")
    assert pick is not None
    assert pick.reasons[0] == "more outlines than 96 %"
    assert pick.why.endswith("of 25 photos")
    assert len(pick.reasons) == 1  # its entropy is all others', which is no reason
    minimal = picker.pick("minimal")
    assert minimal is not None
    assert minimal.why.startswith("fewer outlines than ")  # as flat as all others, which is no reason either


def test_one_photo_of_a_hotel_while_there_are_others() -> None:
    photos = [photo(n, hotel_id=n // 10, edge_density=0.1 + n / 1000) for n in range(40)]
    picker = Picker(photos, apart(40))
    for _ in range(6):
        picker.pick("detailed")
    hotels = [pick.looked.record.hotel_id for pick in picker.picked]
    assert sorted(hotels[:4]) == [0, 1, 2, 3]  # type: ignore[type-var]
    assert len(hotels) == 6


def test_photos_of_no_hotel_do_not_exclude_each_other() -> None:
    picker = Picker([photo(1), photo(2), photo(3, hotel_id=7)], apart(3))
    assert all(picker.pick("detailed") for _ in range(3))


def test_picks_are_spread_over_the_embedding() -> None:
    groups = np.repeat(np.eye(4, 24), 10, axis=0) + 0.05 * np.random.default_rng(1).normal(size=(40, 24))
    shortlist = [0, 10, 20, 30]  # equally strong: the lowest ids would all be of one group
    photos = [photo(n, edge_density=0.25 if n in (*shortlist, 1, 2, 3) else 0.1) for n in range(40)]
    picker = Picker(photos, unit(groups))
    for _ in range(4):
        picker.pick("detailed")
    assert len({n // 10 for n in ids(picker)}) >= 3


def test_doubles_of_picked_photos_are_rejected_and_the_next_best_is_picked() -> None:
    photos = [photo(1, edge_density=0.3, sha256="x"), photo(2, edge_density=0.29, sha256="x"), photo(3)]
    vectors = apart(3)
    vectors[1] = vectors[0]
    picker = Picker(photos, vectors)
    while picker.pick("detailed"):
        pass
    assert ids(picker) == [1, 3]
    assert [(one.photo_id, one.kind) for one in picker.rejected] == [(2, "near-duplicate")]
    assert "photo 1" in picker.rejected[0].reason


def test_what_is_not_opposed_is_not_picked_as_opposed() -> None:
    photos = [photo(n, warm=LEAST_WARM / 2) for n in range(5)]
    picker = Picker(photos, apart(5))
    assert picker.pick("opposite-palette") is None
    assert picker.pick("minimal") is not None
    assert strength("opposite-palette", replace(PLAIN, warm=0.0)) == 0


def test_nothing_is_picked_of_nothing() -> None:
    assert Picker([], np.empty((0, 24), np.float32)).pick("minimal") is None


@given(st.integers(0, 30), st.integers(0, 10**6), st.sampled_from(["mixed", *KINDS]))
@settings(max_examples=40)
def test_picks_are_different_and_the_same_each_time(count: int, seed: int, strategy: str) -> None:
    random = np.random.default_rng(seed)
    photos = [
        photo(
            n, hotel_id=int(random.integers(0, 5)) or None, edge_density=random.uniform(0, 0.3), warm=random.uniform()
        )
        for n in range(count)
    ]
    runs = []
    for _ in range(2):
        picker = Picker(photos, apart(count, seed) if count else np.empty((0, 24), np.float32))
        for kinds in islice(in_turn(strategy), 8):  # type: ignore[arg-type]
            any(picker.pick(kind) for kind in kinds)
        runs.append([(pick.looked.record.photo_id, pick.kind) for pick in picker.picked])
    assert runs[0] == runs[1]
    assert len({photo_id for photo_id, _ in runs[0]}) == len(runs[0]) <= 8


@pytest.mark.parametrize(("strategy", "first"), [("mixed", KINDS), ("minimal", ("minimal",) * 3)])
def test_mixed_takes_the_three_kinds_in_turn(strategy: str, first: tuple[str, ...]) -> None:
    assert tuple(kinds[0] for kinds in islice(in_turn(strategy), 3)) == first  # type: ignore[arg-type]
    if strategy == "mixed":
        assert all(set(kinds) == set(KINDS) for kinds in islice(in_turn("mixed"), 4))


def test_one_photo_is_one_photo() -> None:
    picker = Picker([photo(1)], apart(1))
    picker.pick("detailed")
    assert [pick.why.endswith("of 1 photo") for pick in picker.picked] == [True]
