"""Exact search on a GPU: here a stand-in rounds as a GPU would, and the answers are the CPU's to the last bit."""

from typing import Any

import numpy as np
import pytest

from embedding.index.exact import exact_search
from embedding.index.gpu_scan import MOST_ON_GPU, GpuScan, gpu_rounding_errors, gpu_scan, scores_of_codes
from embedding.index.photo_index import PhotoIndex
from embedding.segments import Vectors
from tests.embedding.conftest import as_unit, segment_of

DIM = 24


class Rough:
    """What FAISS's index on a GPU answers: of queries in float16, with other last digits, and of equal ones any."""

    def __init__(self, vectors: np.ndarray, noise: float) -> None:
        self.vectors, self.noise, self.asked = vectors.astype(np.float32), noise, []

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        assert k <= min(MOST_ON_GPU, len(self.vectors))
        self.asked.append(k)
        scores = queries.astype(np.float16).astype(np.float32) @ self.vectors.T
        scores += np.random.default_rng(1).uniform(-self.noise, self.noise, scores.shape).astype(np.float32)
        rows = np.argsort(-scores, axis=1)[:, :k]
        return np.take_along_axis(scores, rows, axis=1), rows


class Copying:
    """Copies segments to a stand-in for a GPU; `most` vectors fit in its memory."""

    def __init__(self, noise: float = 1e-5, most: int = 10**9) -> None:
        self.noise, self.most, self.made = noise, most, []

    def __call__(self, vectors: np.ndarray) -> Any:
        if sum(len(made.vectors) for made in self.made) + len(vectors) > self.most:
            raise RuntimeError("Error in allocMemory: out of memory")
        self.made.append(Rough(vectors, self.noise))
        return self.made[-1]


def in_segments(vectors: np.ndarray, sizes: list[int], *, dead: int = 0) -> Vectors:
    """Put vectors in segments, with ids in no order of theirs; `dead`: so many rows of each can be found no more."""
    ids, ends = np.random.default_rng(2).permutation(len(vectors)) + 1, np.cumsum(sizes)
    parts = [at[np.argsort(ids[at])] for at in np.split(np.arange(len(vectors)), ends[:-1])]
    segments = [segment_of(ids[part], vectors[part], str(number)) for number, part in enumerate(parts)]
    return Vectors(DIM, segments, [np.arange(size) >= dead if dead else None for size in sizes])


def same(vectors: Vectors, scan: GpuScan, queries: np.ndarray, k: int) -> bool:
    """Tell whether the answers are those of the CPU's scan of one query after the other."""
    scores, ids = scan.search(vectors, queries, k)
    expected = [exact_search(vectors, query[np.newaxis], k) for query in queries]
    return np.array_equal(ids, np.concatenate([e[1] for e in expected])) and np.array_equal(
        scores.view(np.uint32), np.concatenate([e[0] for e in expected]).view(np.uint32)
    )


def now(copy: Copying) -> GpuScan:
    return GpuScan(copy, worth=0, least_rows=1)


@pytest.mark.parametrize("dead", [0, 3])
@pytest.mark.parametrize("k", [1, 10, 200])
def test_answers_are_the_cpus_to_the_last_bit(k: int, dead: int) -> None:
    draw, copy = np.random.default_rng(0), Copying()
    vectors = in_segments(as_unit(draw.normal(size=(3_000, DIM))), [2_000, 900, 100], dead=dead)
    assert same(vectors, now(copy), as_unit(draw.normal(size=(5, DIM))), k)
    assert [len(made.vectors) for made in copy.made] == [2_000, 900, 100]


@pytest.mark.parametrize("spread", [0.0, 1e-4, 1e-3])
def test_equal_and_nearly_equal_photos_come_in_the_order_of_their_ids(spread: float) -> None:
    draw, copy = np.random.default_rng(0), Copying(noise=5e-5)
    some = as_unit(draw.normal(size=(4, DIM)))
    many = as_unit(some[draw.integers(0, 4, 2_500)] + spread * draw.normal(size=(2_500, DIM)))
    vectors = in_segments(many, [1_500, 1_000])
    assert same(vectors, now(copy), np.concatenate([some, as_unit(draw.normal(size=(3, DIM)))]), 20)
    assert max(copy.made[0].asked) > 2 * 20 + 64  # more had to be named, and in the end all that it can name
    assert same(vectors, now(copy), some, 1_200)  # more than it names


def test_all_photos_may_be_asked_for_and_more() -> None:
    draw = np.random.default_rng(0)
    vectors = in_segments(as_unit(draw.normal(size=(30, DIM))), [29, 1], dead=1)
    for k in (28, 29, 1_000):
        assert same(vectors, now(Copying()), as_unit(draw.normal(size=(2, DIM))), k)
    assert now(Copying()).search(vectors, np.empty((0, DIM), np.float32), 3)[0].shape[0] == 0


def test_what_does_not_fit_is_compared_by_the_cpu() -> None:
    draw, copy = np.random.default_rng(0), Copying(most=500)
    vectors = in_segments(as_unit(draw.normal(size=(600, DIM))), [400, 200])
    scan = now(copy)
    for _ in range(2):
        assert same(vectors, scan, as_unit(draw.normal(size=(2, DIM))), 5)
    assert len(copy.made) == 1 and not copy.made[0].asked  # and is not tried again


def test_segments_are_copied_once_they_are_worth_it_and_only_new_ones() -> None:
    draw, copy = np.random.default_rng(0), Copying()
    vectors = in_segments(as_unit(draw.normal(size=(900, DIM))), [500, 300, 100])
    scan, query = GpuScan(copy, worth=3, least_rows=500), as_unit(draw.normal(size=(1, DIM)))
    fewer = vectors.only(vectors.names[:2])
    for copies in (0, 0, 2, 2):
        assert same(fewer, scan, query, 5)
        assert len(copy.made) == copies
    assert same(vectors, scan, query, 5) and len(copy.made) == 3
    assert same(vectors.only(vectors.names[2:]), scan, query, 5) and len(copy.made) == 3  # too few rows


def test_an_index_asks_the_gpu_where_all_photos_may_be_hits() -> None:
    draw, copy = np.random.default_rng(0), Copying()
    vectors = in_segments(as_unit(draw.normal(size=(300, DIM))), [300])
    index, query = PhotoIndex(vectors, scan=now(copy)), as_unit(draw.normal(size=(1, DIM)))
    among = vectors.ids[::2]
    assert np.array_equal(index.search(query, 5, among=among)[1], exact_search(vectors, query, 5, among)[1])
    assert not copy.made
    assert np.array_equal(index.search(query, 5)[1], exact_search(vectors, query, 5)[1])
    assert len(copy.made[0].asked) == 1


def test_rounding_to_float16_moves_no_score_further_than_is_reckoned_with() -> None:
    draw = np.random.default_rng(0)
    queries, halves = as_unit(draw.normal(size=(50, 512))), as_unit(draw.normal(size=(400, 512))).astype(np.float16)
    exact = queries.astype(np.float64) @ halves.T.astype(np.float64)
    rough = queries.astype(np.float16).astype(np.float32) @ halves.T.astype(np.float32)
    assert (np.abs(rough - exact).max(axis=1) <= gpu_rounding_errors(queries)).all()
    assert len(scores_of_codes(halves[:0], queries[0])) == 0


def test_without_a_gpu_there_is_no_such_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding.index.gpu_scan.gpus", lambda: 0)
    assert gpu_scan() is None
