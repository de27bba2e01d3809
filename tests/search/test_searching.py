"""What searching promises on the sample hotels, and while photos come and go."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy import text as sql

from aliens.library import Library
from base.errors import QueryError
from db.models import Photo
from embedding.index.photo_index import PhotoIndex
from search.ranking import Sort
from search.results import Cursor
from tests.conftest import LibraryFactory, fill_folder


def ids(hits: object) -> list[int]:
    return [hit.photo_id for hit in hits]  # type: ignore[attr-defined]


def with_hotels(library: Library) -> Library:
    """Give the ten photos three hotels of two chains; photo 10 has none."""
    with library.catalog.session() as session:
        session.execute(sql("INSERT INTO chain VALUES (1, 'Azura'), (2, 'Best Western')"))
        session.execute(
            sql("INSERT INTO hotel VALUES (1, 'One', 1, 48.85, 2.35), (2, 'Two', 1, 0, 0), (3, 'Three', 2, 0, 0)")
        )
        session.execute(sql("UPDATE photo SET hotel_id = 1 + id % 3 WHERE id < 10"))
        for photo in session.scalars(select(Photo)):
            photo.uploaded_at = datetime(2015, 1, 20 - photo.id, 10)
        session.commit()
    return library


def hide(library: Library, photo_id: int) -> None:
    """Let a photo be of a source that the test's query leaves out."""
    with library.catalog.session() as session:
        session.execute(sql("UPDATE photo SET image_source = 'hidden' WHERE id = :id"), {"id": photo_id})
        session.commit()


def test_results_know_percentile_line_and_explanation(sample_library: Library) -> None:
    results = sample_library.search("a swimming pool", k=20)
    percentiles = [hit.percentile for hit in results]
    assert percentiles == sorted(percentiles, reverse=True)
    assert 90 < percentiles[0] <= 100
    assert results.stop_line is not None
    assert [hit.above_line for hit in results] == [hit.score >= results.stop_line for hit in results]
    explanation = results.explanation
    assert explanation.photos == 240
    assert (explanation.selected, explanation.filters, explanation.recall) == (None, "", None)
    assert {"index", "filter", "encode", "search"} <= set(explanation.times_ms)
    assert "swimming pool" in "\n".join(explanation.as_lines())


def test_until_stop_ends_at_the_line_and_all_streams_to_it(sample_library: Library) -> None:
    everything = sample_library.search("a swimming pool", k=240)
    above = [hit for hit in everything if hit.above_line]
    assert 0 < len(above) < 240
    assert ids(sample_library.search("a swimming pool", k=240, until_stop=True)) == ids(above)
    assert ids(sample_library.stream("a swimming pool")) == ids(above)


def test_all_above_a_score_of_ones_own(sample_library: Library) -> None:
    hits = list(sample_library.stream("a swimming pool", min_score=-1.0))
    assert ids(hits) == ids(sample_library.search("a swimming pool", k=1000))
    assert len(hits) == 240


def test_at_most_so_many_of_a_hotel_and_of_a_chain(sample_library: Library) -> None:
    whole = sample_library.search("a bedroom", k=240)
    limited = sample_library.search("a bedroom", k=240, per_hotel=2)
    hotels = Counter(hit.hotel_id for hit in limited)
    assert set(hotels.values()) == {2}
    assert ids(limited) == [p for p in ids(whole) if p in set(ids(limited))]  # order is kept
    for hotel in hotels:
        assert ids([h for h in whole if h.hotel_id == hotel])[:2] == ids([h for h in limited if h.hotel_id == hotel])
    chains = Counter(hit.chain_id for hit in sample_library.search("a bedroom", k=240, per_chain=1))
    assert all(count == 1 for chain, count in chains.items() if chain is not None)


def test_pages_put_together_are_the_list(sample_library: Library) -> None:
    options: dict[str, Any]
    for options in ({}, {"per_hotel": 3}, {"diverse": 0.5}, {"min_score": 0.1}):
        whole = ids(sample_library.search("a kitchen", k=60, **options))
        page = sample_library.search("a kitchen", k=25, **options)
        paged = ids(page)
        while len(paged) < 60 and page.cursor is not None:
            page = sample_library.search("a kitchen", k=25, **options, after=page.cursor)
            paged += ids(page)
        assert paged[: len(whole)] == whole[: len(paged)]
        assert len(set(paged)) == len(paged)


def test_the_last_page_has_no_cursor(opened: Library) -> None:
    first = opened.search("pool", k=6)
    last = opened.search("pool", k=6, after=first.cursor)
    assert (len(first), len(last), last.cursor) == (6, 4, None)


def test_photos_added_between_pages_do_not_shift_them(library: LibraryFactory, opened: Library, tmp_path: Path) -> None:
    whole = ids(opened.search("pool", k=10))
    first = opened.search("pool", k=4)
    library.add(fill_folder(tmp_path / "more", range(100, 130)))
    assert len(opened.search("pool", k=100)) == 40
    second = opened.search("pool", k=100, after=first.cursor)
    assert ids(first) + ids(second) == whole


def test_a_photo_that_vanishes_between_pages_is_left_out_and_no_other(
    library: LibraryFactory, opened: Library, photos: Path
) -> None:
    whole = opened.search("pool", k=10)
    first = opened.search("pool", k=4)
    Path(first[3].path).unlink()  # the one that the cursor names
    Path(whole[6].path).unlink()
    library.add(photos)
    second = opened.search("pool", k=10, after=first.cursor)
    assert ids(second) == [photo_id for photo_id in ids(whole)[4:] if photo_id != whole[6].photo_id]


def test_a_cursor_of_another_query_or_library_is_refused(opened: Library, sample_library: Library) -> None:
    cursor = opened.search("pool", k=2).cursor
    with pytest.raises(QueryError, match="another query"):
        opened.search("sauna", k=2, after=cursor)
    with pytest.raises(QueryError, match="another query"):
        opened.search("pool", k=2, after=cursor, per_hotel=1)
    with pytest.raises(QueryError, match="another library"):
        sample_library.search("pool", k=2, after=cursor)


def test_sorted_by_date_or_hotel_the_same_photos_come(opened: Library) -> None:
    with_hotels(opened)
    best = opened.search("pool", k=6)
    by_date = opened.search("pool", k=6, sort="date")
    by_hotel = opened.search("pool", k=6, sort="hotel")
    assert sorted(ids(best)) == sorted(ids(by_date)) == sorted(ids(by_hotel))
    assert ids(by_date) == sorted(ids(best))  # the dates fall as the ids rise
    names = [hit.hotel_name for hit in by_hotel if hit.hotel_name]
    assert names == sorted(names)


@pytest.mark.parametrize("sort", ["date", "hotel"])
def test_sorted_pages_hold_every_photo_once(opened: Library, sort: Sort) -> None:
    with_hotels(opened)
    whole, paged, after = ids(opened.search("pool", k=10)), [], None
    while len(paged) < 10:
        page = opened.search("pool", k=3, sort=sort, after=after)
        assert sorted(ids(page)) == sorted(whole[len(paged) : len(paged) + 3])
        paged += ids(page)
        after = page.cursor
    assert (len(paged), after) == (10, None)


@pytest.mark.parametrize("gone", [[3], [2, 3], [3, 4], [0, 1, 2, 3], [3, 4, 5, 6, 7, 8]])
def test_a_page_goes_on_where_the_cursors_photo_has_left_the_list(opened: Library, gone: list[int]) -> None:
    path = "a pool -source:hidden"
    hide(opened, 10)
    whole = ids(opened.search(path, k=10))
    first = opened.search(path, k=4)
    for place in gone:
        hide(opened, whole[place])
    second = opened.search(path, k=10, after=first.cursor)
    assert ids(second) == [photo_id for place, photo_id in enumerate(whole) if place > 3 and place not in gone]


def test_a_diverse_page_goes_on_where_the_cursors_photo_has_left_the_list(opened: Library) -> None:
    query = "a pool -source:hidden"
    hide(opened, 10)
    first = opened.search(query, k=4, diverse=0.2)
    hide(opened, first[3].photo_id)
    whole = ids(opened.search(query, k=10, diverse=0.2))
    second = opened.search(query, k=10, diverse=0.2, after=first.cursor)
    assert ids(second) == whole[3:]


def test_scores_computed_in_another_way_neither_repeat_nor_skip_photos(
    opened: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "a pool -source:hidden"
    hide(opened, 10)
    whole = ids(opened.search(path, k=10))
    first = opened.search(path, k=4)
    hide(opened, whole[3])
    for shift in (-3e-7, 3e-7):
        search = PhotoIndex.search

        def shifted(*arguments: Any, by: float = shift, search: Any = search, **options: Any) -> Any:
            scores, found = search(*arguments, **options)
            return scores + np.float32(by), found

        with monkeypatch.context() as patch:
            patch.setattr(PhotoIndex, "search", shifted)
            assert ids(opened.search(path, k=10, after=first.cursor)) == whole[4:]


def test_limits_and_diversity_compare_the_photos_once(sample_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    search = PhotoIndex.search

    def counted(index: PhotoIndex, queries: Any, k: int, **options: Any) -> Any:
        sizes.append(k)
        return search(index, queries, k, **options)

    monkeypatch.setattr(PhotoIndex, "search", counted)
    options: dict[str, Any]
    for options in ({"per_hotel": 1}, {"per_chain": 1}, {"diverse": 0.5}):
        sizes.clear()
        assert sample_library.search("a kitchen", k=5, **options)
        assert len(sizes) == 1


def test_cursors_are_written_only_where_they_are_read(opened: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Cursor] = []
    monkeypatch.setattr(Cursor, "__str__", lambda cursor: written.append(cursor) or "written")
    results = opened.search("pool", k=10)
    assert not written
    assert results[3].cursor == "written"
    assert len(written) == 1


def test_similar_photos_are_others_and_of_other_hotels_where_asked(opened: Library) -> None:
    with_hotels(opened)
    similar = opened.similar(4, k=10)
    assert len(similar) == 9
    assert 4 not in ids(similar)
    elsewhere = opened.similar(4, k=10, other_hotels=True)
    assert 1 + 4 % 3 not in {hit.hotel_id for hit in elsewhere}
    assert 10 in ids(elsewhere)  # which has no hotel
    with pytest.raises(QueryError, match="photo 10 belongs to no hotel"):
        opened.similar(10, other_hotels=True)
    with pytest.raises(QueryError, match="no photo 999"):
        opened.similar(999)


def test_feedback_moves_the_query_towards_what_was_meant(
    sample_library: Library, sample_tags: dict[int, set[str]]
) -> None:
    def share(hits: object) -> float:
        found = [hit for hit in hits if hit.photo_id not in clicked]  # type: ignore[attr-defined]
        return float(np.mean(["a bathtub" in sample_tags[hit.image_id] for hit in found[:15]]))

    before = sample_library.search("a bathroom", k=40)
    right = [hit.photo_id for hit in before if "a bathtub" in sample_tags[hit.image_id]][:3]
    wrong = [hit.photo_id for hit in before if "a bathtub" not in sample_tags[hit.image_id]][:3]
    clicked = {*right, *wrong}
    after = sample_library.search("a bathroom", k=40, more_like=right, less_like=wrong)
    assert not clicked & set(ids(after))
    assert share(after) > share(before)


def test_diverse_hits_resemble_each_other_less(sample_library: Library) -> None:
    def resemblance(hits: object) -> float:
        with sample_library.catalog.session() as session:
            vectors = np.stack([sample_library.searcher.vector(session, photo_id) for photo_id in ids(hits)])
        return float((vectors @ vectors.T)[~np.eye(len(vectors), dtype=bool)].mean())

    plain, spread = (sample_library.search("a bedroom", k=12, diverse=d) for d in (0, 0.6))
    assert resemblance(spread) < resemblance(plain)
    assert ids(spread)[0] == ids(plain)[0]


def test_filters_in_the_text_choose_the_photos(sample_library: Library) -> None:
    hits = sample_library.search("a bedroom chain:none", k=240)
    assert hits
    assert {hit.chain_id for hit in hits} == {None}
    assert hits.explanation.selected == len(hits)
    assert not set(ids(hits)) & set(ids(sample_library.search("a bedroom -chain:none", k=240)))


def test_negation_by_the_minus_sign(sample_library: Library, sample_tags: dict[int, set[str]]) -> None:
    def bathtubs(query: str) -> int:
        return sum("a bathtub" in sample_tags[hit.image_id or 0] for hit in sample_library.search(query, k=20))

    assert 2 * bathtubs("a bathroom -bathtub") < bathtubs("a bathroom")


def test_a_tiny_weight_and_a_huge_one_rank_as_any_other(sample_library: Library) -> None:
    plain = ids(sample_library.search("sea", k=20))
    for weight in ("0.00001", "0." + "0" * 100 + "1", "1" + "0" * 100):
        assert ids(sample_library.search(f"+sea:{weight}", k=20)) == plain


@pytest.mark.parametrize("text", ["-shower", '-"shower curtain" -tv', "chain:none", "-shower chain:none"])
def test_nothing_but_what_to_leave_out_is_refused_with_a_remedy(sample_library: Library, text: str) -> None:
    with pytest.raises(QueryError, match="say what to look for as well"):
        sample_library.search(text)


def test_a_filter_that_leaves_nothing_gives_nothing(sample_library: Library) -> None:
    results = sample_library.search("a bedroom path:/no/such/folder")
    assert (list(results), results.cursor) == ([], None)


def test_ten_thousand_words_are_a_query(sample_library: Library) -> None:
    assert len(sample_library.search("bathtub with a view " * 2500, k=3)) == 3


@pytest.mark.parametrize("k", [10_000_000, 10**20])
@pytest.mark.parametrize("shape", [{}, {"per_hotel": 100}, {"diverse": 0.1}])
def test_asking_for_more_than_there_are_gives_all(sample_library: Library, k: int, shape: dict[str, Any]) -> None:
    assert len(sample_library.search("a bedroom", k=k, **shape)) == 240


def test_a_photo_deleted_while_it_is_shown_is_left_out(opened: Library) -> None:
    first = opened.search("pool", k=10)
    with opened.catalog.session() as session:  # by another process, which has not changed the index yet
        session.execute(sql("UPDATE photo SET state = 'failed' WHERE id = :id"), {"id": first[0].photo_id})
        session.commit()
    assert ids(opened.search("pool", k=9)) == ids(first)[1:]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({}, "every photo is compared, since 1"),
        ({"exact": True}, "every photo is compared, as was asked for"),
        ({"per_hotel": 1}, "every photo is compared, since limits by hotel"),
        ({"diverse": 0.5}, "every photo is compared, since a diverse list"),
        ({"after": ""}, "every photo is compared, since a page goes on"),
    ],
)
def test_why_every_photo_is_compared_is_told_truly(opened: Library, shape: dict[str, Any], words: str) -> None:
    class Engine:
        kind, recall, most_hits, least_share = "few", None, 10, 0.0

    first = opened.search("pool", k=2)
    with opened.catalog.session() as session:
        opened.index(session).engine = Engine()  # type: ignore[assignment]
    if "after" in shape:
        shape = {"after": first.cursor}
    assert opened.search("pool", k=100, **shape).explanation.reason.startswith(words)
