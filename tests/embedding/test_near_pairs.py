import numpy as np
import pytest

from embedding.index.near_pairs import FlatRows, PairSearch, best_bound, same_vectors
from embedding.segments import Vectors
from tests.embedding.conftest import as_unit, segment_of


def made_vectors(count: int, dim: int, skew: float) -> np.ndarray:
    """Unit vectors, a tenth near to another one; with `skew` they share a mean, and few directions matter."""
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((count, dim)) * np.arange(1, dim + 1) ** -skew
    vectors[:, 0] += bool(skew)
    few = count // 10
    size = np.linalg.norm(vectors[few : 2 * few], axis=1, keepdims=True) / np.sqrt(dim)
    vectors[:few] = vectors[few : 2 * few] + draw.standard_normal((few, dim)) * draw.uniform(0, 0.6, (few, 1)) * size
    vectors[:4] = vectors[count // 2]
    return as_unit(vectors)


def stored(vectors: np.ndarray) -> Vectors:
    """Put vectors into three segments, one with dead rows and of ids between those of another."""
    ids, third = np.arange(len(vectors)) * 3 + 1, len(vectors) // 3
    parts = [slice(0, third, 2), slice(1, third, 2), slice(third, None)]
    segments = [segment_of(ids[part], vectors[part], str(number)) for number, part in enumerate(parts)]
    alive = np.arange(len(segments[2])) % 7 > 0
    return Vectors(vectors.shape[1], segments, [None, None, alive])


@pytest.mark.parametrize(("count", "dim", "skew"), [(2_000, 512, 0.0), (2_000, 300, 0.7), (900, 20, 0.0)])
@pytest.mark.parametrize("least", [0.85, 0.97])
def test_the_pairs_are_those_of_numpy(
    monkeypatch: pytest.MonkeyPatch, count: int, dim: int, skew: float, least: float
) -> None:
    monkeypatch.setattr("embedding.index.near_pairs.GROUP_ROWS", 1_300)  # so that there are several, of several tiles
    vectors = stored(made_vectors(count, dim, skew))
    among = None if least < 0.9 else vectors.ids[::2]
    search = PairSearch(vectors, least, among)
    parts = list(search)
    ids = vectors.ids if among is None else among
    cosines = vectors.gather(ids) @ vectors.gather(ids).T
    found = np.zeros_like(cosines)
    for part in parts:
        found[np.searchsorted(ids, part.ones), np.searchsorted(ids, part.others)] += part.cosines
    upper = np.triu(np.minimum(cosines, 1), 1)
    near = upper >= least
    sure = np.abs(upper - least) > 1e-5  # other sums may fall on the other side
    assert near.sum() > 10
    assert np.array_equal((found > 0)[sure], near[sure])
    assert np.abs(found - upper)[found > 0].max() < 1e-5  # each once
    assert search.compared == search.pairs == len(ids) * (len(ids) - 1) // 2


def test_few_directions_suffice_where_others_matter_little() -> None:
    skewed = FlatRows(stored(made_vectors(3_000, 512, 0.9)), None).spread(2_000)
    assert best_bound(skewed, 0.97).width < 512
    assert best_bound(made_vectors(2_000, 512, 0.0), 0.2).directions is None  # where bounds would let nearly all pass


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_vectors_or_none(count: int) -> None:
    segments = [segment_of(np.arange(count), np.tile(np.float32([1, 0, 0, 0]), (count, 1)))] if count else []
    vectors = Vectors(4, segments, [None] * len(segments))
    pairs = [part for part in PairSearch(vectors, 0.9) if len(part.ones)]
    assert [(part.ones.tolist(), part.others.tolist()) for part in pairs] == ([([0], [1])] if count == 2 else [])
    assert [ids.tolist() for ids in same_vectors(FlatRows(vectors, None))] == ([[0, 1]] if count == 2 else [])


def test_a_search_that_is_left_ends_its_threads() -> None:
    search = PairSearch(stored(made_vectors(2_500, 64, 0.0)), 0.9)
    parts = iter(search)
    next(parts)
    parts.close()  # type: ignore[attr-defined]
    assert 0 < search.compared < search.pairs
