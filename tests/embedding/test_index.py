"""The exact search over segments, and what searching asks of all photos that can be found."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from base.errors import LibraryError
from embedding.index import exact, product
from embedding.index.exact import Piece, exact_search
from embedding.index.photo_index import SAMPLE_ROWS, PhotoIndex
from embedding.index.product import is_worth_it
from embedding.segments import Vectors
from tests.embedding.conftest import as_unit, in_segments, segment_of, unit_vectors

DIM = 8
WAYS = ("FAISS", "FAISS in threads", "one product")


@contextmanager
def compared_by(way: str) -> Iterator[None]:
    """Have photos compared in one of the ways that are otherwise chosen by their number, in pieces of a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "RANGE_ROWS", 5)
        patch.setattr(exact.faiss, "omp_get_max_threads", lambda: 3 if way == "FAISS in threads" else 1)
        patch.setattr(exact, "is_worth_it", lambda queries, rows: way == "one product")
        patch.setattr(product, "CHUNK_ROWS", 32)
        patch.setattr(product, "BLOCK_ROWS", 16)
        yield


@st.composite
def photos_of(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Photos in random segments, some of them dead: their ids, `where` they lie, and which are `live`."""
    ids = np.array(draw(st.lists(st.integers(1, 2**40), min_size=1, max_size=70, unique=True)), np.int64)
    segments = draw(st.integers(1, 6))
    some = st.lists(st.integers(0, segments - 1), min_size=len(ids), max_size=len(ids))
    dead = draw(st.sets(st.integers(0, len(ids) - 1), max_size=len(ids) - 1))
    return {
        "ids": ids,
        "where": np.array(draw(some), np.int64),
        "live": ~np.isin(np.arange(len(ids)), list(dead)),
    }


def drawn_filter(data: st.DataObject, ids: np.ndarray) -> np.ndarray | None:
    """Return some of the ids and some unknown ones, ascending, or None."""
    chosen = data.draw(st.none() | st.sets(st.sampled_from(ids.tolist())), "among")
    unknown = data.draw(st.sets(st.integers(0, 2**41), max_size=5), "unknown")
    return None if chosen is None else np.array(sorted(chosen | unknown), np.int64)


# Searching


@settings(max_examples=150)
@given(data=st.data(), photos=photos_of(), way=st.sampled_from(WAYS))
def test_exact_search_equals_numpy_to_the_last_of_equal_scores(
    data: st.DataObject, photos: dict[str, np.ndarray], way: str
) -> None:
    ids, live = photos["ids"], photos["live"]
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    stored = draw.integers(-2, 3, (len(ids), DIM)).astype(np.float16)  # whole numbers: no product is rounded
    queries = draw.integers(-2, 3, (data.draw(st.integers(1, 7), "queries"), DIM)).astype(np.float32)
    k, among = data.draw(st.integers(1, 100), "k"), drawn_filter(data, ids)

    with compared_by(way):
        scores, found = exact_search(in_segments(ids, stored, photos["where"], live), queries, k, among)

    eligible = live if among is None else live & np.isin(ids, among)
    every, left = queries @ stored[eligible].astype(np.float32).T, ids[eligible]
    order = np.lexsort((np.broadcast_to(left, every.shape), -every), axis=1)[:, :k]
    assert found.tolist() == left[order].tolist()
    assert scores.tolist() == np.take_along_axis(every, order, axis=1).tolist()
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)
    assert scores.shape == found.shape == (len(queries), min(k, len(left)))


@settings(max_examples=150)
@given(data=st.data(), photos=photos_of(), way=st.sampled_from(WAYS))
def test_cosines_are_numpys_and_segments_change_no_bit_of_them(
    data: st.DataObject, photos: dict[str, np.ndarray], way: str
) -> None:
    ids, live = photos["ids"], photos["live"]
    dim = data.draw(st.sampled_from([1, 3, 8, 16, 33, 384]), "dim")
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    stored, queries = unit_vectors(len(ids), dim, seed).astype(np.float16), unit_vectors(5, dim, seed + 1)
    for row in range(1, data.draw(st.integers(0, len(ids) - 1), "twins") + 1):
        stored[row] = stored[row - 1]  # equal scores
    queries = queries[: data.draw(st.integers(1, 5), "queries")]
    k, among = data.draw(st.integers(1, 100), "k"), drawn_filter(data, ids)

    with compared_by(way):
        scores, found = exact_search(in_segments(ids, stored, photos["where"], live), queries, k, among)
        eligible = live if among is None else live & np.isin(ids, among)
        alone = in_segments(ids[eligible], stored[eligible], np.zeros(int(eligible.sum()), np.int64))
        one_segment = exact_search(alone, queries, k)

    assert (scores == one_segment[0]).all()
    assert (found == one_segment[1]).all()
    every = queries @ stored[eligible].astype(np.float32).T
    for query_scores, query_ids, truth in zip(scores, found, every, strict=True):
        score_of = dict(zip(ids[eligible].tolist(), truth.tolist(), strict=True))
        assert query_scores == pytest.approx(np.sort(truth)[::-1][:k], abs=1e-5)
        assert query_scores == pytest.approx([score_of[photo_id] for photo_id in query_ids.tolist()], abs=1e-5)
        assert len(set(query_ids.tolist())) == len(query_ids)
        ranked = list(zip(-query_scores, query_ids, strict=True))
        assert ranked == sorted(ranked)  # best first, and by id where scores are equal


@settings(max_examples=60)
@given(photos=photos_of(), kinds=st.integers(1, 6), way=st.sampled_from(WAYS))
def test_the_first_of_many_hits_are_the_hits_of_a_shorter_list(
    photos: dict[str, np.ndarray], kinds: int, way: str
) -> None:
    ids = photos["ids"]
    stored = unit_vectors(kinds, DIM, 3).astype(np.float16)[np.arange(len(ids)) % kinds]
    vectors, query = in_segments(ids, stored, photos["where"], photos["live"]), unit_vectors(1, DIM, 4)
    with compared_by(way):
        whole = exact_search(vectors, query, len(ids))[1][0].tolist()
        assert sorted(whole) == vectors.ids.tolist()
        for k in range(1, len(whole) + 1):
            assert exact_search(vectors, query, k)[1][0].tolist() == whole[:k]


def some_photos(rows: int = 50, segments: int = 3) -> Vectors:
    return in_segments(2**40 + 3 * np.arange(rows), unit_vectors(rows, DIM), np.arange(rows) % segments)


@pytest.mark.parametrize("shape", [(1, DIM + 1), (1, DIM - 1), (DIM,), (1, 1, DIM)])
def test_queries_of_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    index = PhotoIndex(some_photos())
    for search in (lambda queries: exact_search(some_photos(), queries, 3), lambda queries: index.search(queries, 3)):
        with pytest.raises(LibraryError, match="holds vectors of 8 dimensions") as caught:
            search(np.ones(shape, dtype=np.float32))
        assert str(shape) in str(caught.value)


def test_queries_need_not_be_contiguous_float32() -> None:
    queries = unit_vectors(4, DIM, 3)
    scores, ids = exact_search(some_photos(), np.asfortranarray(queries.astype(np.float64)), 5)
    expected_scores, expected_ids = exact_search(some_photos(), queries, 5)
    assert (ids == expected_ids).all()
    assert (scores == expected_scores).all()


@pytest.mark.parametrize(
    ("vectors", "among"),
    [
        (Vectors(DIM, [], []), None),
        (in_segments(np.empty(0, np.int64), unit_vectors(0, DIM), np.array([], np.int64)), None),
        (Vectors(DIM, [segment_of(np.empty(0, np.int64), unit_vectors(0, DIM))], [None]), None),
        (Vectors(DIM, [segment_of(np.arange(3), unit_vectors(3, DIM))], [np.zeros(3, bool)]), None),
        (some_photos(), np.array([1, 2])),
        (some_photos(), np.empty(0, np.int64)),
    ],
    ids=["no segments", "no photos", "an empty segment", "all dead", "unknown photos", "an empty filter"],
)
@pytest.mark.parametrize("way", WAYS)
def test_where_nothing_may_be_found_answers_have_no_columns(
    vectors: Vectors, among: np.ndarray | None, way: str
) -> None:
    with compared_by(way):
        for scores, ids in (
            exact_search(vectors, unit_vectors(2, DIM), 3, among),
            PhotoIndex(vectors).search(unit_vectors(2, DIM), 3, among=among),
        ):
            assert scores.shape == ids.shape == (2, 0)
            assert (scores.dtype, ids.dtype) == (np.float32, np.int64)


# Shared out


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8), threads=st.integers(1, 6))
def test_threads_get_every_row_once_and_about_as_many(sizes: list[int], threads: int) -> None:
    pieces = [
        Piece(segment_of(100 * number + np.arange(rows), unit_vectors(rows, DIM)), None, 0, rows)
        for number, rows in enumerate(sizes)
    ]
    shared = exact.share_out(pieces, sum(sizes), threads)
    rows = [photo for share in shared for piece in share for photo in piece.segment.ids[piece.begin : piece.end]]
    assert rows == [photo for piece in pieces for photo in piece.segment.ids]
    loads = [sum(piece.end - piece.begin for piece in share) for share in shared]
    assert len(loads) == threads
    assert max(loads) - min(loads) <= 1


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8), threads=st.integers(1, 6))
def test_a_product_is_cut_into_chunks_that_hold_every_row_once(sizes: list[int], threads: int) -> None:
    ends = np.cumsum([0, *sizes])
    vectors, ids = unit_vectors(ends[-1], DIM).astype(np.float16), np.arange(ends[-1])
    mask = ids % 3 == 0
    blocks = [(vectors[low:high], ids[low:high], mask[low:high]) for low, high in pairwise(ends)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(product, "CHUNK_ROWS", 16)
        shared = product.dealt_out([*blocks, (vectors, ids, None)], threads, 16)
    chunks = [chunk for share in shared for chunk in share]
    assert len(shared) == threads
    assert np.concatenate([chunk[1] for chunk in chunks]).tolist() == 2 * ids.tolist()
    for halves, chunk_ids, chosen in chunks:
        assert len(chunk_ids) <= 16
        assert (halves == vectors[chunk_ids]).all()
        assert chosen is None or (chosen == mask[chunk_ids]).all()


def test_one_product_is_worth_it_for_many_queries_and_rows_where_pytorch_is_loaded_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    assert is_worth_it(4, 16_384)
    assert not is_worth_it(3, 10**6)
    assert not is_worth_it(100, 16_383)
    monkeypatch.delitem(sys.modules, "torch")
    assert not is_worth_it(100, 10**6)
    assert is_worth_it(1_000, 10**6)  # enough for PyTorch to be loaded


# All photos that can be found


@given(data=st.data(), photos=photos_of(), piece=st.integers(1, 9), least=st.sampled_from([-np.inf, -0.1, 0.1, 2]))
def test_the_score_of_every_photo_is_numpys(
    data: st.DataObject, photos: dict[str, np.ndarray], piece: int, least: float
) -> None:
    ids, live, query = photos["ids"], photos["live"], unit_vectors(1, DIM, 5)[0]
    stored, among = unit_vectors(len(ids), DIM).astype(np.float16), drawn_filter(data, ids)
    index = PhotoIndex(in_segments(ids, stored, photos["where"], live))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedding.index.exact.PIECE_ROWS", piece)
        patch.setattr("embedding.index.exact.DECODED_ROWS", piece)
        patch.setattr("embedding.index.exact.FEW_ROWS", data.draw(st.sampled_from([0, 20_000]), "looked up below"))
        share = data.draw(st.sampled_from([0.0, 0.5, 1.0]), "share")
        scores, found = index.scores(query, among=among, least=least, share=share)
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)
    eligible = live if among is None else live & np.isin(ids, among)
    whole = stored.astype(np.float32) @ query
    assume(not (np.abs(whole - least) < 1e-6).any())
    eligible = eligible & (whole >= least)
    order, expected = np.argsort(found), np.argsort(ids[eligible])
    assert found[order].tolist() == ids[eligible][expected].tolist()
    truth = stored[eligible].astype(np.float32) @ query
    assert scores[order] == pytest.approx(truth[expected], abs=1e-6)


def test_an_index_tells_of_its_photos() -> None:
    vectors = some_photos()
    index = PhotoIndex(vectors)
    assert (len(index), index.dim, index.ids.tolist()) == (50, DIM, vectors.ids.tolist())
    chosen = index.ids[[40, 3, 3]]
    assert (index.vectors(chosen) == vectors.gather(chosen)).all()
    assert (index.sample(7) == vectors.sample(7)).all()
    assert index.background.shape == (50, DIM)
    assert SAMPLE_ROWS > 50
    with pytest.raises(LibraryError, match="no photo 5 in the index"):
        index.vectors(np.array([5]))


def test_photos_beside_others_are_found_with_them() -> None:
    later = in_segments(np.array([7, 9]), unit_vectors(2, DIM, 9), np.array([0, 1]))
    index, query = PhotoIndex(some_photos(), note="so"), unit_vectors(2, DIM, 9).astype(np.float16).astype(np.float32)
    both = index.beside(later)
    assert (len(both), both.ids[:2].tolist(), both.note) == (52, [7, 9], "so")
    assert both.search(query, 1)[1].tolist() == [[7], [9]]
    assert 7 not in index.search(query, 50)[1]


def test_the_plan_without_an_engine_tells_what_is_read() -> None:
    index = PhotoIndex(some_photos())
    plan = index.plan(10)
    assert (plan.engine, plan.rows, plan.bytes_read, plan.recall) == ("exact", 50, 50 * DIM * 2, None)
    assert plan.reason == "every photo is compared"
    few = index.plan(10, among=index.ids[:7])
    assert (few.rows, few.reason) == (7, "the photos that the filter leaves are compared")


@pytest.mark.parametrize("rough", [False, True])
def test_a_product_in_bfloat16_first_finds_the_same(monkeypatch: pytest.MonkeyPatch, rough: bool) -> None:
    """Scores lie so close together that bfloat16 cannot tell most of the best from others."""
    monkeypatch.setattr("embedding.device.cpu_has_bfloat16", lambda: rough)
    draw = np.random.default_rng(5)
    centre = unit_vectors(1, 64, 1)
    stored = as_unit(centre + 0.02 * draw.standard_normal((3_000, 64))).astype(np.float16)
    queries = as_unit(unit_vectors(5, 64, 2) * 0.3 + centre)
    ids = np.arange(10, 3_010)
    scores, found = product.best_of_product([(stored, ids, None)], queries, 10)
    truth = queries.astype(np.float64) @ stored.astype(np.float64).T
    best = np.argsort(-truth, axis=1)[:, :10]
    assert [sorted(row) for row in (found - 10).tolist()] == [sorted(row) for row in best.tolist()]
    np.testing.assert_allclose(np.sort(scores)[:, ::-1], np.take_along_axis(truth, best, axis=1), atol=1e-6)


@pytest.mark.parametrize("most_rough", [0, 16])
@pytest.mark.parametrize("rough", [False, True])
def test_many_queries_over_many_chunks_find_the_best_whatever_is_put_off(
    monkeypatch: pytest.MonkeyPatch, rough: bool, most_rough: int
) -> None:
    """Several groups of queries, bounds that are raised again and again, rough scores made exact in between."""
    monkeypatch.setattr("embedding.device.cpu_has_bfloat16", lambda: rough)
    for name, value in (("MOST_ROUGH", most_rough), ("CHUNK_ROWS", 64), ("BLOCK_ROWS", 32), ("GROUP_QUERIES", 20)):
        monkeypatch.setattr(product, name, value)
    stored, queries = unit_vectors(2_000, 24, 1).astype(np.float16), unit_vectors(50, 24, 2)
    mask = np.random.default_rng(3).random(2_000) < 0.6
    ids = 7 + 3 * np.arange(2_000)
    blocks = [(stored[:900], ids[:900], mask[:900]), (stored[900:], ids[900:], None)]
    scores, found = product.best_of_product(blocks, queries, 15)
    truth = queries @ stored.astype(np.float32).T
    truth[:, :900][:, ~mask[:900]] = -np.inf
    best = np.argsort(-truth, axis=1)[:, :15]
    assert (found == ids[best]).all()
    np.testing.assert_allclose(scores, np.take_along_axis(truth, best, axis=1), atol=1e-6)


def test_rounding_moves_no_score_further_than_is_reckoned_with() -> None:
    import torch

    queries, rows = torch.from_numpy(unit_vectors(50, 64, 1)), torch.from_numpy(unit_vectors(500, 64, 2))
    rounded, exact_scores = queries.bfloat16(), queries @ rows.T
    rough = rounded.float() @ rows.bfloat16().float().T
    errors = product.rounding_errors(queries, rounded)
    assert bool(((rough - exact_scores).abs().numpy() <= errors[:, np.newaxis]).all())
    assert errors.max() < 3 / 256  # what two roundings of numbers, not of vectors, would be


def test_a_tensor_over_vectors_lies_where_they_lie_and_is_made_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    vectors = unit_vectors(4, DIM, 1).astype(np.float16)
    vectors.flags.writeable = False  # as those of a mapped file
    tensor = product.tensor_of(vectors[1:])
    assert tensor.data_ptr() == vectors[1:].__array_interface__["data"][0]
    assert tensor.tolist() == vectors[1:].tolist()
    assert not vectors.flags.writeable
    assert len(recwarn) == 0
