"""Which photos are asked about: never one that is known, no two of a hotel nor alike, the same every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.tags.choosing import ALIKE, POOL, Choosable, doubt, kind_of_turn, lot, narrowed, next_photos

DIM = 8


def unit_vectors(n: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def pool_of(n: int, hotels: int, seed: int, *, of_tag: bool = True) -> Choosable:
    rng = np.random.default_rng(seed)
    chances = rng.random(n if of_tag else (n, 3)).astype(np.float32)
    groups = [f"hotel {number}" for number in rng.integers(hotels, size=n)]
    return Choosable(np.arange(10, 10 + n), chances, unit_vectors(n, seed), groups)


@given(
    n=st.integers(0, 60),
    hotels=st.integers(1, 30),
    count=st.integers(0, 20),
    turn=st.integers(0, 40),
    of_tag=st.booleans(),
)
def test_each_photo_is_asked_about_once_and_hotels_in_turn(
    n: int, hotels: int, count: int, turn: int, of_tag: bool
) -> None:
    pool = pool_of(n, hotels, seed=n, of_tag=of_tag)
    known = unit_vectors(3, seed=99)
    chosen = next_photos(pool, known, count, turn=turn)
    assert chosen == next_photos(pool, known, count, turn=turn)
    assert len(chosen) == len(set(chosen)) == min(n, count)
    there = {pool.groups[place] for place in range(n)}
    alone = {pool.groups[place] for place in chosen}
    near = (pool.vectors @ pool.vectors.T >= ALIKE).sum() + (pool.vectors @ known.T >= ALIKE).sum()
    if near == n:  # nothing is alike but each with itself
        assert len(alone) == min(len(there), len(chosen))


def test_near_copies_come_last() -> None:
    pool = pool_of(6, 6, seed=1)
    vectors = pool.vectors.copy()
    vectors[3] = vectors[0]
    pool = Choosable(pool.ids, pool.chances, vectors, pool.groups)
    known = vectors[5:6]
    chosen = next_photos(pool, known, 6, turn=20)
    assert set(chosen[4:]) <= {0, 3, 5}
    assert 5 in chosen[4:]


def test_a_tag_is_asked_about_where_it_is_likely_and_then_where_it_is_in_doubt() -> None:
    n = 200
    chances = np.linspace(0.001, 0.999, n).astype(np.float32)
    pool = Choosable(np.arange(n), chances, unit_vectors(n, 3), [f"{number}" for number in range(n)])
    first = next_photos(pool, np.empty((0, DIM), np.float32), 2, turn=0)
    assert first[1] == n - 1  # the likeliest
    later = next_photos(pool, pool.vectors[first], 5, turn=8)
    assert all(abs(chances[place] - 0.5) < 0.2 for place in later)
    kinds = [kind_of_turn(turn, of_tag=True) for turn in range(40)]
    assert kinds.count("likely") == 1
    assert 4 <= kinds.count("random") <= 10
    assert "likely" not in [kind_of_turn(turn, of_tag=False) for turn in range(40)]


def test_hotels_that_are_being_asked_about_are_passed_over() -> None:
    pool = pool_of(30, 3, seed=4)
    chosen = next_photos(pool, np.empty((0, DIM), np.float32), 1, turn=9, met=["hotel 0", "hotel 2"])
    assert pool.groups[chosen[0]] == "hotel 1"


@pytest.mark.parametrize("of_tag", [True, False])
def test_of_many_photos_the_doubtful_ones_are_looked_at(of_tag: bool) -> None:
    n = 5 * POOL
    chances = np.random.default_rng(0).random(n if of_tag else (n, 4)).astype(np.float32)
    free = np.ones(n, bool)
    free[::3] = False
    places = narrowed(np.arange(n), chances, free)
    assert not (places % 3 == 0).any()
    assert 2 * POOL - 100 < len(places) <= 3 * POOL
    left = np.setdiff1d(np.flatnonzero(free), places)
    assert doubt(chances[left]).max() <= np.sort(doubt(chances[places]))[-POOL] + 1e-6
    assert narrowed(np.arange(n), chances, np.zeros(n, bool)).size == 0


def test_a_lot_is_the_same_every_time_and_another_by_a_salt() -> None:
    ids = np.arange(1, 5_000)
    assert (lot(ids) == lot(ids)).all()
    assert len(np.unique(lot(ids))) == len(ids)
    assert np.corrcoef(lot(ids).astype(float), lot(ids, "other").astype(float))[0, 1] < 0.1
    assert abs(np.corrcoef(lot(ids).astype(float), ids)[0, 1]) < 0.1
