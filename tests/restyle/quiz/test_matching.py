import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restyle.quiz.game import Mixup, cosines, match


def unit_vectors(rng: np.random.Generator, n: int, d: int = 64) -> np.ndarray:
    vectors = rng.normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(1, 25), st.integers(0, 2**32 - 1), st.integers(0, 5))
@settings(max_examples=60)
def test_results_that_are_their_originals_with_noise_are_all_found(n: int, seed: int, order: int) -> None:
    rng = np.random.default_rng(seed)
    originals = unit_vectors(rng, n)
    results = originals + unit_vectors(rng, n) * 0.3
    ids = rng.permutation(1000)[:n].tolist()
    matching = match("embedding", cosines(results, originals), ids, ids, seed=order)
    assert (matching.right, matching.n, matching.accuracy, matching.top1) == (n, n, 1.0, 1.0)
    assert matching.confusions == ()


@given(st.permutations(range(8)), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_a_permutation_is_recovered_and_every_exchange_is_a_confusion(permutation: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    originals = unit_vectors(rng, 8)
    results = originals[permutation] + unit_vectors(rng, 8) * 0.3  # result i resembles original permutation[i]
    result_ids, source_ids = [100 + i for i in range(8)], [200 + i for i in range(8)]
    matching = match("hog", cosines(results, originals), result_ids, source_ids)
    moved = [i for i in range(8) if permutation[i] != i]
    assert matching.right == 8 - len(moved)
    assert matching.top1 == pytest.approx(1 - len(moved) / 8)
    assert [(c.result_id, c.source_id, c.taken_for_id) for c in matching.confusions] == [
        (100 + i, 200 + i, 200 + permutation[i]) for i in moved
    ]
    assert all(c.similarity > c.own_similarity for c in matching.confusions)


@pytest.mark.parametrize("alike", [False, True])
def test_similarities_that_say_nothing_are_right_by_chance_alone(alike: bool) -> None:
    rng = np.random.default_rng(3)
    n, games = 10, 400
    ids = list(range(n))
    found = [match("x", np.ones((n, n)) if alike else rng.random((n, n)), ids, ids, seed=seed) for seed in range(games)]
    # One of 10 on average; the standard error over 400 games is 0.005 for assignment, at most 0.015 for top-1.
    assert np.mean([game.accuracy for game in found]) == pytest.approx(0.1, abs=0.025)
    assert np.mean([game.top1 for game in found]) == pytest.approx(0.1, abs=0.05)


def test_assignment_settles_what_two_results_claim() -> None:
    similarities = np.array([[0.9, 0.1], [0.8, 0.7]], np.float32)  # both resemble the first most
    matching = match("embedding", similarities, [1, 2], [10, 20])
    assert (matching.accuracy, matching.top1) == (1.0, 0.5)


def test_a_confusion_says_what_was_taken_for_what() -> None:
    similarities = np.array([[0.25, 0.75], [0.5, 0.125]], np.float32)
    matching = match("embedding", similarities, [1, 2], [10, 20])
    assert matching.confusions == (
        Mixup(result_id=1, source_id=10, taken_for_id=20, similarity=0.75, own_similarity=0.25),
        Mixup(result_id=2, source_id=20, taken_for_id=10, similarity=0.5, own_similarity=0.125),
    )


def test_cosines_of_any_lengths_and_of_nothing() -> None:
    vectors = np.array([[3, 4], [0, 0]], np.float32)
    np.testing.assert_allclose(cosines(vectors, np.array([[6, 8], [-3, -4]], np.float32)), [[1, -1], [0, 0]], atol=1e-6)
