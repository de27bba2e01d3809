import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.ranking import diverse, scaled


def ranked(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (count, 4) and their cosines with one direction, best first."""
    vectors = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.argsort(-vectors[:, 0])
    return vectors[order], vectors[order, 0]


@given(st.integers(1, 30), st.integers(1, 40), st.floats(0, 1))
def test_every_photo_comes_once_the_best_first(count: int, k: int, diversity: float) -> None:
    vectors, scores = ranked(count)
    places = diverse(vectors, scores, k, diversity).tolist()
    assert places[0] == 0
    assert len(places) == len(set(places)) == min(k, count)


def test_without_diversity_the_scores_decide() -> None:
    vectors, scores = ranked(40)
    assert diverse(vectors, scores, 40, 0.0).tolist() == list(range(40))


def test_a_copy_of_the_first_photo_comes_last() -> None:
    vectors, scores = ranked(12)
    vectors[1], scores[1] = vectors[0], scores[0]
    assert diverse(vectors, scores, 12, 1.0).tolist()[-1] == 1
    assert 1 in diverse(vectors, scores, 2, 0.0)


def test_each_choice_has_the_greatest_marginal_relevance() -> None:
    vectors, scores = ranked(15, seed=3)
    relevance, similarity = scaled(scores), scaled(vectors @ vectors.T)
    chosen = [0]
    while len(chosen) < 15:
        rest = [place for place in range(15) if place not in chosen]
        chosen.append(max(rest, key=lambda place: 0.6 * relevance[place] - 0.4 * similarity[place, chosen].max()))
    assert diverse(vectors, scores, 15, 0.4).tolist() == chosen


def test_more_diversity_means_less_resemblance_among_the_first() -> None:
    vectors, scores = ranked(200, seed=5)

    def resemblance(diversity: float) -> float:
        first = vectors[diverse(vectors, scores, 10, diversity)]
        return float((first @ first.T).mean())

    assert resemblance(0) > resemblance(0.5) > resemblance(1)


@pytest.mark.parametrize("count", [1, 2])
def test_photos_that_are_all_alike_keep_their_order(count: int) -> None:
    vectors = np.tile(np.array([1, 0], np.float32), (count, 1))
    assert diverse(vectors, np.full(count, 0.5, np.float32), 9, 0.7).tolist() == list(range(count))
