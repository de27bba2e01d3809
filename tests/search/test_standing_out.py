"""Whether the best hits are more than the nearest photos: told against words that mean nothing."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text as sql

import aliens
from aliens.library import Library
from db.settings_rows import read_setting
from embedding.encoder import Encoder
from search.pool import read_pool
from search.query_vectors import QUERIES_OF_NOTHING, keep_nonsense, kept_nonsense
from search.ranking import nonsense_line
from search.results import NOTHING
from tests.conftest import LibraryFactory


class LikeStarter:
    """The embedded model, of which no text tower can be kept: that takes seconds."""

    def __init__(self, starter: Encoder) -> None:
        self._starter = starter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._starter, name)


def scores(photos: int, words: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 0.04, (photos, words)).astype(np.float32)


def test_the_line_is_the_mean_best_of_as_many_photos_as_were_looked_at() -> None:
    found = scores(500)
    assert nonsense_line(found, 500) == pytest.approx(float(found.max(axis=0).mean()))


@given(st.floats(0.1, 3), st.floats(-0.5, 0.5), st.integers(1, 10**7))
def test_the_line_moves_with_the_scores(stretched: float, moved: float, photos: int) -> None:
    found = scores(60)
    assert nonsense_line(stretched * found + np.float32(moved), photos) == pytest.approx(
        stretched * nonsense_line(found, photos) + moved, abs=1e-4
    )


@pytest.mark.parametrize("photos", [1, 10, 20_000])
def test_the_best_of_other_numbers_of_photos_is_foreseen(photos: int) -> None:
    means = [scores(photos, seed=seed).max(axis=0).mean() for seed in range(1, 6)]
    assert nonsense_line(scores(500), photos) == pytest.approx(np.mean(means), abs=0.025)
    assert nonsense_line(scores(500), photos) <= nonsense_line(scores(500), photos + 1)


@pytest.mark.parametrize("query", ["a snake", "a giraffe", "an astronaut -pool", "dskjfh sdkjfh wek"])
def test_what_no_photo_shows_is_told(sample_library: Library, query: str) -> None:
    results = sample_library.search(query, k=3)
    assert results.stands_out is False
    assert results.note == results.about_the_line == NOTHING
    assert [hit.as_json()["stands_out"] for hit in results] == [False] * 3
    assert NOTHING in "\n".join(results.explanation.as_lines())


@pytest.mark.parametrize("query", ["a pool", "bathtub with a view", "a bathroom -bathtub", "a balcony +sea:0.5"])
def test_what_photos_show_is_not(sample_library: Library, query: str) -> None:
    for options in ({}, {"page": 2}, {"per_hotel": 1}, {"diverse": 0.5}, {"sort": "hotel"}):
        results = sample_library.search(query, k=3, **options)  # type: ignore[arg-type]
        assert results.stands_out is True
        assert NOTHING not in results.note


def test_it_is_told_of_the_list_not_of_the_page(sample_library: Library) -> None:
    assert sample_library.search("a pool", k=50, page=4).stands_out is True
    assert sample_library.search("a pool", k=300, page=2).stands_out is True
    assert sample_library.search("a giraffe", k=1, min_score=0.9).note == NOTHING


def test_photos_are_looked_for_without_it(sample_library: Library) -> None:
    assert sample_library.similar(1).stands_out is None
    assert sample_library.search("a giraffe like:1").stands_out is None
    assert sample_library.search("a giraffe", more_like=[1]).stands_out is None


def test_whoever_takes_a_querys_photos_is_told(stocked: LibraryFactory, tmp_path: Path) -> None:
    opened, notes = stocked.open(), list[str]()
    query = next(word for word in map(str, range(99)) if opened.search(word).stands_out is False)
    assert list(opened.stream(query, min_score=-1, tell=notes.append))
    assert notes == [NOTHING]
    assert read_pool(opened.searcher, query, most=5, least=5).note == NOTHING
    opened.search(query, k=2).write_sheet(tmp_path / "none.jpg")
    opened.tag()
    assert NOTHING in opened.export(tmp_path / "none.csv", query=query, k=3).notes


def test_of_few_photos_it_is_told_as_well(starter: Encoder, sample_library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with aliens.create(tmp_path / "library", encoder=LikeStarter(starter)) as library:
        for hit in sample_library.search("a pool", k=3):
            shutil.copy(hit.path, folder)
            library.add(folder)
            assert library.search("a pool").stands_out is True
            assert library.search("a snake").stands_out is False


def test_a_filter_that_leaves_few_photos_asks_for_less(sample_library: Library) -> None:
    whole = sample_library.search("a kitchen", k=1)
    elsewhere = f"a kitchen hotel:{whole[0].hotel_id}"
    assert sample_library.search(elsewhere).stands_out is True
    assert sample_library.search("a kitchen path:nowhere").stands_out is None


def test_nonsense_is_computed_once_and_kept(library: LibraryFactory, opened: Library, photos: Path) -> None:
    with opened.catalog.session() as session:
        kept = kept_nonsense(session, opened.model)
        settings = session.execute(sql("SELECT name FROM setting WHERE name LIKE 'nonsense%'")).all()
    assert kept is not None
    np.testing.assert_allclose(kept, opened.encoder.encode_texts(QUERIES_OF_NOTHING), atol=1e-3)
    asked: list[object] = []
    encode = opened.encoder.encode_texts
    opened.encoder.encode_texts = lambda texts: asked.append(texts) or encode(texts)  # type: ignore[method-assign]
    told = opened.search("pool").stands_out
    opened.add(photos)
    assert not asked
    with opened.catalog.saving() as session:  # as in a library of an earlier version
        session.execute(sql("DELETE FROM setting WHERE name LIKE 'nonsense%'"))
        session.commit()
    older = library.open()
    assert older.search("pool").stands_out == told == older.search("pool").stands_out
    assert len(asked) == 1
    keep_nonsense(older.catalog, older.encoder)
    with older.catalog.session() as session:
        whole = read_setting(session, settings[0][0])
    assert whole is not None
    for damaged in (whole[:-4], f"!{whole[1:]}", f"{whole[:-8]}AHwAfAB8"):  # cut short, no Base64, infinite
        with older.catalog.saving() as session:
            session.execute(sql("UPDATE setting SET value = :value WHERE name LIKE 'nonsense%'"), {"value": damaged})
            session.commit()
        with older.catalog.session() as session:
            assert kept_nonsense(session, older.model) is None
        keep_nonsense(older.catalog, older.encoder)
        with older.catalog.session() as session:
            assert read_setting(session, settings[0][0]) == whole
