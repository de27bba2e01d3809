import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from base.arrays import unit
from base.errors import QueryError
from search.query_vectors import compose, moved

X, Y, Z = np.eye(3, dtype=np.float32)


def test_terms_are_summed_with_their_weights_and_made_unit_again() -> None:
    assert compose(np.stack([X, Y]), np.array([1, 1])) == pytest.approx((X + Y) / np.sqrt(2))
    assert compose(np.stack([X, Y]), np.array([3, -4])) == pytest.approx([0.6, -0.8, 0])
    assert compose(X[np.newaxis], np.array([0.001])) == pytest.approx(X)


@pytest.mark.parametrize("scale", [1e-300, 1e-45, 1e-5, 1, 1e38, 1e300])
def test_only_the_ratio_of_the_weights_matters(scale: float) -> None:
    weights = np.array([3, -4]) * scale
    assert compose(np.stack([X, Y]), weights) == pytest.approx([0.6, -0.8, 0])


def test_weights_that_nothing_compares_with_leave_the_heavier_term() -> None:
    assert compose(np.stack([X, Y]), np.array([1e308, 1e-308])) == pytest.approx(X)


@pytest.mark.parametrize("weights", [[np.inf, 1], [np.inf, -np.inf], [np.nan, 1], [0, 0]])
def test_weights_that_are_no_numbers_are_refused(weights: list[float]) -> None:
    with pytest.raises(QueryError, match="weights of the query cannot be used"):
        compose(np.stack([X, Y]), np.array(weights))


def test_a_negated_term_lowers_what_resembles_it_and_leaves_the_order_of_the_rest() -> None:
    query = compose(np.stack([X, Y]), np.array([1, -0.3]))
    assert query @ Y < 0 < query @ X
    photos = np.stack([unit(X + 0.1 * Z), unit(X + 0.9 * Z)])
    assert (np.argsort(photos @ query) == np.argsort(photos @ X)).all()


@pytest.mark.parametrize("weights", [[1, -1], [1e-30, -1e-30], [0.5, -0.5], [1e300, -1e300]])
def test_terms_that_cancel_each_other_out_are_refused(weights: list[float]) -> None:
    with pytest.raises(QueryError, match="cancel each other out"):
        compose(np.stack([X, X]), np.array(weights))


@given(
    arrays.arrays(np.float32, (4, 8), elements=st.floats(-1, 1, width=32)),
    arrays.arrays(np.float32, 4, elements=st.floats(-4, 4, width=32)),
)
def test_a_query_is_one_unit_vector_or_refused(vectors: np.ndarray, weights: np.ndarray) -> None:
    try:
        query = compose(vectors, weights)
    except QueryError:
        assert np.linalg.norm(weights @ vectors) < 1e-3
    else:
        assert (query.shape, query.dtype) == ((8,), np.float32)
        assert np.linalg.norm(query) == pytest.approx(1, abs=1e-5)


def test_feedback_moves_towards_the_mean_of_the_ones_and_from_that_of_the_others() -> None:
    further = moved(X, np.stack([Y, Y]), np.stack([Z]))
    assert further == pytest.approx(unit(X + 0.75 * Y - 0.15 * Z))
    assert moved(X, np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)) == pytest.approx(X)
    assert moved(X, np.empty((0, 3), np.float32), Z[np.newaxis]) @ Z < 0
