from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliens.library import Library
from base.errors import QueryError
from search.pool import read_pool, spread_over
from tests.conftest import LibraryFactory


def test_a_whole_library_of_few_photos(opened: Library) -> None:
    pool = read_pool(opened.searcher, None, most=50, least=5)
    assert [record.photo_id for record in pool.records] == list(range(1, 11))
    assert pool.vectors.shape == (10, 48)
    assert np.linalg.norm(pool.vectors, axis=1) == pytest.approx(1, abs=1e-3)
    assert pool.note == ""


def test_a_sample_by_its_seed(stocked: LibraryFactory) -> None:
    searcher = stocked.open().searcher
    samples = [[r.photo_id for r in read_pool(searcher, None, most=4, least=1, seed=s).records] for s in (1, 1, 2)]
    assert samples[0] == samples[1] == sorted(samples[0])
    assert samples[0] != samples[2]
    assert len(samples[0]) == 4
    assert "4 of 10" in read_pool(searcher, None, most=4, least=1).note


def test_photos_that_a_query_finds_best_first_with_their_own_vectors(sample_library: Library) -> None:
    pool = read_pool(sample_library.searcher, "bathtub", most=60, least=5)
    hits = sample_library.search("bathtub", k=60)
    above = [hit.photo_id for hit in hits if hit.above_line is not False]
    ids = [record.photo_id for record in pool.records]
    assert ids == [hit.photo_id for hit in hits[: max(5, len(above))]]
    text = sample_library.encoder.encode_texts(("bathtub",))[0]
    assert pool.vectors @ text == pytest.approx([hit.score for hit in hits[: len(ids)]], abs=2e-3)


def test_few_hits_above_the_line_are_filled_up_with_a_word(sample_library: Library) -> None:
    pool = read_pool(sample_library.searcher, "swimming pool", most=200, least=150)
    assert len(pool.records) == 150
    assert "below the query's stop line" in pool.note


def test_filters_alone_choose_what_is_sampled(sample_library: Library) -> None:
    hotel = sample_library.search("bathroom", k=1)[0].hotel_id
    pool = read_pool(sample_library.searcher, f"hotel:{hotel}", most=100, least=5)
    assert {record.hotel_id for record in pool.records} == {hotel}
    sample = read_pool(sample_library.searcher, "color:color", most=20, least=5)
    assert len({record.hotel_id for record in sample.records}) > 15


def test_what_cannot_be_asked_is_refused(library: LibraryFactory, photos: Path) -> None:
    with pytest.raises(QueryError, match="no photo is left"):
        read_pool(library.open().searcher, None, most=10, least=1)
    library.add(photos)
    opened = library.open()
    for text, tags, said in (
        ("kind:restyled", [], "kind:"),
        (None, ["bathtub"], "aliens tag"),
        ("path:nowhere", [], "no photo is left"),
        (" ", [], "empty"),
    ):
        with pytest.raises(QueryError, match=said):
            read_pool(opened.searcher, text, tags, most=10, least=1)


@given(st.lists(st.none() | st.integers(1, 4), max_size=40), st.integers(0, 50))
def test_hotels_take_turns(hotels: list[int | None], most: int) -> None:
    ids = list(range(len(hotels)))
    taken = spread_over(ids, dict(zip(ids, hotels, strict=True)), most)
    assert len(taken) == len(set(taken)) == min(most, len(ids))
    left = set(ids) - set(taken)
    counts = {hotel: sum(hotels[i] == hotel for i in taken) for hotel in range(1, 5)}
    waiting = {hotels[i] for i in left} - {None}
    if None in {hotels[i] for i in left}:  # photos of no hotel come in the first turn
        assert max(counts.values(), default=0) <= 1
    if waiting:
        assert max(counts.values()) - min(counts[hotel] for hotel in waiting if hotel) <= 1
