"""Whole orders: the photos of `Library.search` in its order, at once; and what they do for strangers."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql

import aliens
from aliens.library import Library
from base.errors import QueryError, QuerySyntaxError
from tests.conftest import LibraryFactory, fill_folder, photo_bytes

WORDS = ["a pool", "a bed -window", "sea +sand:0.5", "like:3", "a room like:5:0.5", "-a like:2", "like:1 -like:4"]
FILTERS = ["", "size:small", "orientation:landscape", "path:.jpg", "-path:03", "year:none", "before:9999", "color:grey"]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Photos 1 to 24; some have the bytes of others, some their picture in other bytes, and one other vectors."""
    folder = tmp_path_factory.mktemp("copied")
    photos = fill_folder(folder / "photos", range(16), "{:02d}.jpg")
    for number in range(16, 20):
        shutil.copy(photos / f"{number % 3:02d}.jpg", photos / f"{number}.jpg")
    for number in range(20, 24):
        data = (photos / f"{number % 5:02d}.jpg").read_bytes()
        (photos / f"{number}.jpg").write_bytes(data + bytes(number))
    library = LibraryFactory(folder / "library")
    library.add(photos)
    opened = library.open()
    with opened.catalog.session() as session:  # as if another processor had embedded one of the same bytes
        of_another = "(SELECT content_sha256 FROM photo WHERE id = 9)"
        session.execute(sql(f"UPDATE photo SET content_sha256 = {of_another} WHERE id = 8"))
        session.execute(sql("UPDATE photo SET grey = (id % 3 = 0)"))
        session.commit()
    return opened


def searched(library: Library, text: str, **options: Any) -> tuple[list[tuple[int, tuple[int, ...]]], Any]:
    """The photos that a search shows with their copies, and the search."""
    found = library.search(text, k=1_000, exact=True, **options)
    return [(hit.photo_id, tuple(copy.photo_id for copy in hit.copies)) for hit in found], found


def ordered(library: Library, text: str, **options: Any) -> tuple[list[tuple[int, tuple[int, ...]]], Any]:
    """The same of an order."""
    order = library.order(text, **options)
    hits = library.hits_at(order, 0, 1_000)
    return [(hit.photo_id, tuple(copy.photo_id for copy in hit.copies)) for hit in hits], order


@given(
    words=st.sampled_from(WORDS),
    filters=st.lists(st.sampled_from(FILTERS), max_size=2),
    more=st.sets(st.integers(1, 24), max_size=2),
    less=st.sets(st.integers(1, 24), max_size=2),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_order_is_what_a_search_finds(
    copied: Library, words: str, filters: list[str], more: set[int], less: set[int]
) -> None:
    text = " ".join([words, *filters])
    clicks = {"more_like": sorted(more), "less_like": sorted(less)}
    expected, search = searched(copied, text, **clicks)
    found, order = ordered(copied, text, **clicks)
    assert found == expected
    assert order.photo_ids.tolist() == [photo_id for photo_id, _ in expected]
    assert order.scores == pytest.approx([hit.score for hit in search], abs=1e-6)
    assert order.beats == pytest.approx([hit.percentile for hit in search], abs=100 * 6 / 24)  # last digits of copies
    assert order.stop_line == pytest.approx(search.stop_line)
    assert order.above == sum(bool(hit.above_line) for hit in search)
    assert order.stands_out == search.stands_out
    assert order.total == len(order)


@given(texts=st.lists(st.sampled_from(FILTERS), max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_filters_alone_give_the_newest_first_and_copies_as_one(copied: Library, texts: list[str]) -> None:
    order = copied.order(" ".join(texts))
    among = {photo_id for photo_id, _ in searched(copied, " ".join(["a pool", *texts]))[0]}
    assert (order.scores, order.above, order.stands_out, order.total) == (None, None, None, len(order))
    assert len(among) >= len(order) >= len(among) - 1  # the same bytes with another vector
    dates = [hit.date for hit in copied.hits_at(order, 0, 100)]
    assert dates == sorted(dates, reverse=True)
    assert copied.order(" ".join(texts), sort="oldest").photo_ids.tolist() == order.photo_ids[::-1].tolist()


@pytest.mark.parametrize("text", ["a bathtub", "a pool chain:none", "like:7", "an amazing view year:2016"])
def test_on_the_sample_hotels(sample_library: Library, text: str) -> None:
    for sort, ours in (("score", "score"), ("date", "newest"), ("hotel", "hotel")):
        expected, search = searched(sample_library, text, until_stop=sort != "score", sort=sort)
        found, order = ordered(sample_library, text, sort=ours)
        assert found[: len(expected)] == expected
        beats = [hit.percentile for hit in search]
        assert order.beats[: len(search)] == pytest.approx(beats, abs=100 / 240 + 1e-3)  # of its own last digits
        assert order.above == sum(bool(hit.above_line) for hit in search)


def test_what_is_not_above_the_line_follows_by_score_in_every_order(sample_library: Library) -> None:
    plain, newest = sample_library.order("a pool"), sample_library.order("a pool", sort="newest")
    assert plain.above is not None
    assert set(newest.photo_ids[: plain.above]) == set(plain.photo_ids[: plain.above])
    assert newest.photo_ids[plain.above :].tolist() == plain.photo_ids[plain.above :].tolist()
    assert newest.scores is not None
    assert dict(zip(newest.photo_ids.tolist(), newest.scores.tolist(), strict=True)) == pytest.approx(
        dict(zip(plain.photo_ids.tolist(), plain.scores.tolist(), strict=True))  # type: ignore[union-attr]
    )


def test_what_is_like_some_photos_needs_no_words(sample_library: Library) -> None:
    alone, liked = sample_library.order("", more_like=[7]), sample_library.order("like:7")
    assert alone.photo_ids.tolist() == liked.photo_ids.tolist()
    with pytest.raises(QueryError, match="nothing to look for"):
        sample_library.order("", less_like=[7])
    with pytest.raises(QueryError, match="only what to leave out"):
        sample_library.order("-pool chain:none")


def test_only_so_many_are_ordered(sample_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, plain = sample_library.order("a pool"), sample_library.order("")
    monkeypatch.setattr("search.orders.LONGEST", 30)
    monkeypatch.setattr("search.orders.MANY", 50)
    order = sample_library.order("a pool")
    assert order.photo_ids.tolist() == whole.photo_ids[:30].tolist()
    assert (order.total, order.above, order.photos) == (240, whole.above, 240)
    assert sample_library.order("").photo_ids.tolist() == plain.photo_ids[:30].tolist()
    assert sample_library.order("").total == 240
    assert len(sample_library.order("a room", sort="newest")) == 30


def test_uploaded_photos_are_meant_by_their_names(copied: Library) -> None:
    vector = copied.encoder.encode_texts(["something"])[0]
    order = copied.order("image:u_1", uploads={"u_1": vector})
    assert order.stands_out is None
    with copied.catalog.session() as session:
        scores, ids = copied.index(session).search(vector[np.newaxis], 1)
    assert (order.photo_ids[0], order.scores[0]) == (ids[0, 0], pytest.approx(scores[0, 0]))  # type: ignore[index]
    with pytest.raises(QueryError, match="drop or paste it again"):
        copied.order("image:u_2 a pool", uploads={"u_1": vector})


@pytest.mark.parametrize("name", ["here.jpg", "photos/00.jpg", "../photos/00.jpg", "/etc/passwd", "/nowhere", "~/x"])
def test_no_file_is_read_for_a_stranger(
    copied: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(copied.path.parent)
    (tmp_path / "here.jpg").write_bytes(photo_bytes(1))
    monkeypatch.setattr("os.path.isfile", pytest.fail)
    monkeypatch.setattr("os.path.realpath", pytest.fail)
    for text in (f'image:"{name}"', f'like:"{name}"', f'a pool -like:"{name}"'):
        with pytest.raises(QueryError) as said:
            copied.order(text)
        with pytest.raises(QueryError):
            copied.refuse_files(text)
        assert str(copied.path) not in str(said.value)


def test_a_photo_of_the_library_may_be_named_by_its_whole_path(copied: Library) -> None:
    path = copied.photo(4).path
    assert copied.order(f'like:"{path}"').photo_ids.tolist() == copied.order("like:4").photo_ids.tolist()
    copied.refuse_files(f'a room like:"{path}" -like:7')
    with pytest.raises(QuerySyntaxError):
        copied.refuse_files('"open')


def test_a_library_without_photos_has_empty_orders(library: LibraryFactory) -> None:
    opened = library.open()
    for text in ("", "a pool", "like:3", "chain:none"):
        order = opened.order(text)
        assert (len(order), order.total, order.photos) == (0, 0, 0)
        assert (opened.hits_at(order, 0, 10), opened.facets(order), opened.mapped(order)) == ([], [], [])
        assert opened.ratios(order) == b""


def test_photos_that_come_go_or_are_replaced_are_seen(library: LibraryFactory, opened: Library, photos: Path) -> None:
    states = [opened.state]
    assert len(opened.order("pool")) == len(opened.order("")) == 10

    def changed(expected: int) -> None:
        states.append(opened.state)
        assert len(set(states)) == len(states)
        expected_ids, _ = searched(opened, "pool")
        assert ordered(opened, "pool")[0] == expected_ids
        assert len(opened.order("")) == len(expected_ids) == expected
        assert opened.state == states[-1]

    (photos / "20.jpg").write_bytes(photo_bytes(20))
    library.add(photos)
    changed(11)
    (photos / "03.jpg").unlink()
    library.add(photos)
    changed(10)
    (photos / "04.jpg").write_bytes(photo_bytes(104, (64, 96)))
    library.add(photos)
    changed(10)
    portrait = opened.order("orientation:portrait")
    assert portrait.photo_ids.tolist() == [5]
    assert opened.ratios(portrait) == bytes([32 - 19])
    shutil.copy(photos / "05.jpg", photos / "06.jpg")
    library.add(photos)
    changed(9)


def test_an_order_of_before_shows_what_is_still_there(library: LibraryFactory, opened: Library, photos: Path) -> None:
    order = opened.order("pool")
    gone = int(order.photo_ids[2])
    (photos / f"{gone - 1:02d}.jpg").unlink()
    library.add(photos)
    hits = opened.hits_at(order, 0, 100)
    assert [hit.rank for hit in hits] == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert len(opened.ratios(order)) == 10
    assert opened.hits_at(order, 100, 5) == opened.hits_at(order, 0, 0) == []


def test_merged_segments_change_no_order(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, before = library.open(), []
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
    for number in range(10):
        library.add(photos / f"{number:02d}.jpg")
        before.append(ordered(opened, "pool")[0])
    assert before[-1] == searched(opened, "pool")[0]
    with aliens.open(opened.path, encoder=library.encoder) as fresh:
        assert ordered(fresh, "pool")[0] == before[-1]
