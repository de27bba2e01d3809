from datetime import UTC, datetime
from typing import Any

import pytest

from aliens.library import Library
from analysis.stats.counting import count_library
from analysis.stats.library_stats import LibraryStats
from base.progress import Step
from db.models import Hotel, PhotoState
from db.photo_rows import insert_photos
from search.tags.summary import ChainCount
from tests.conftest import LibraryFactory

TODAY = datetime(2026, 6, 1, tzinfo=UTC)


def counted_of(library: Library, **options: object) -> LibraryStats:
    with library.catalog.session() as session:
        return count_library(session, "hotels", today=TODAY, **options)  # type: ignore[arg-type]


@pytest.fixture
def stats(odd: Library) -> LibraryStats:
    return counted_of(odd)


def rows(stats: LibraryStats, table: str) -> list[tuple[object, ...]]:
    return list(zip(*stats.tables[table].values(), strict=True))


def test_photos_are_those_that_can_be_found_and_the_others_have_their_states(stats: LibraryStats) -> None:
    told = stats.summary
    assert (told.photos_known, told.photos, told.size_bytes) == (13, 10, 10_000)
    assert told.states == {"pending": 1, "embedded": 10, "failed": 2}
    assert rows(stats, "failures") == [("trun<b>cated", 2)]


def test_hotels_and_chains(stats: LibraryStats) -> None:
    told = stats.summary
    assert [(row[0], row[1], row[3], row[6]) for row in rows(stats, "hotels")] == [
        (1, "One", "<script>", 4),
        (2, None, "<script>", 2),
        (3, "Nowhere", "日本 $x^2$", 1),
        (4, "Alone", None, 1),
        (5, "Date line", None, 1),
    ]
    assert rows(stats, "chains") == [(7, "<script>", 2, 6), (8, "日本 $x^2$", 1, 1), (None, "no chain", 2, 2)]
    assert (told.hotels, told.hotels_without_photos, told.photos_without_hotel) == (5, 1, 1)
    assert (told.chains, told.chainless_hotels, told.chainless_photos) == (2, 2, 2)
    assert (told.photos_a_hotel.mean, told.photos_a_hotel.median, told.photos_a_hotel.most) == (1.8, 1, 4)
    assert told.balance_of_hotels.gini == pytest.approx(14 / 45)  # 2 x (2+3+3+3 + 1+1+1) / 25, half of it over 9 / 5
    assert told.balance_of_chains.gini == pytest.approx(5 / 14)


def test_how_photos_look(stats: LibraryStats) -> None:
    told = stats.summary
    assert rows(stats, "sizes") == [(350, 233, 9), (60_000, 20, 1)]
    assert rows(stats, "formats") == [("JPEG", 9), ("not known", 1)]
    assert rows(stats, "colours") == [("colour", 8), ("grey", 1), ("not known", 1)]
    assert rows(stats, "sources") == [("not said", 6), ("traffickcam", 4)]
    assert (told.width.median, told.width.most, told.sizes) == (350, 60_000, 2)


def test_brightness_of_those_of_which_it_is_known(stats: LibraryStats) -> None:
    told = stats.summary
    assert (told.brightness.n, told.brightness_unknown) == (7, 3)
    assert told.brightness.mean == pytest.approx((4 * 20.25 + 2 * 100 + 0) / 7)
    assert [row for row in rows(stats, "brightness") if row[2]] == [(0, 1, 1), (20, 21, 4), (99, 100, 2)]
    assert any("brightness is not known of 3 photos" in note and "--measure" in note for note in stats.notes)


def test_years_of_clocks_that_were_not_set_are_told(stats: LibraryStats) -> None:
    assert rows(stats, "years") == [
        (1970, "upload", 2),
        (2015, "camera", 1),
        (2015, "upload", 4),
        (2100, "upload", 1),
    ]
    told = stats.summary
    assert (told.old_years, told.future_years, told.undated) == (2, 1, 2)
    assert {("years", "3 different"), ("  2015", "5, 50.0%"), ("  without a date", "2, 20.0%")} <= set(stats.as_rows())
    assert any("2 photos dated 1970 or earlier, 1 photo dated later than 2026" in note for note in stats.notes)


def test_places_are_of_photos_or_else_of_their_hotels_where_these_can_be(stats: LibraryStats) -> None:
    assert rows(stats, "places") == [(48, 2, 1, 5), (-1, -1, 1, 2), (89, 179, 1, 0)]
    told = stats.summary
    assert (told.placed_hotels, told.misplaced_hotels, told.placed_photos) == (3, 2, 1)


def test_a_hotel_of_any_number_is_told_from_its_neighbour(library: LibraryFactory) -> None:
    opened, far = library.open(), 2**63 - 1  # which float64 would round, as it would the number before it
    with opened.catalog.writing() as session:
        session.add_all(Hotel(id=number, name="Far", latitude=10.5, longitude=20.5) for number in (far, far - 1))
        session.flush()
        own: dict[str, Any] = {"latitude": 30.5, "longitude": 40.5, "place_from": "camera"}
        photos = [{"hotel_id": far} | own, {"hotel_id": far}, {"hotel_id": far - 1}, {"hotel_id": far - 1}, own]
        rest = {"member": "", "state": PhotoState.EMBEDDED}
        for at, photo in enumerate(photos):
            insert_photos(session, [{"path": f"/{at}.jpg"} | rest | photo])
        session.commit()
    assert rows(counted_of(opened), "places") == [(10, 20, 2, 3), (30, 40, 0, 2)]


def test_tags_by_chain(odd: Library) -> None:
    tags = [ChainCount(chain_id=7, chain="<script>", photos=6, tags={"pool": 3}, sure={"pool": 1})]
    stats = counted_of(odd, tags=tags, vocabulary="words-1")
    assert rows(stats, "tags") == [(7, "<script>", "pool", 3, 0.5, 1)]
    assert ("tags", "words-1") in stats.as_rows()
    assert ("  pool", "3, 30.0%") in stats.as_rows()


def test_an_empty_library_and_one_without_hotels(library: LibraryFactory) -> None:
    stats = counted_of(library.open())
    assert (stats.summary.photos, stats.summary.hotels, stats.summary.balance_of_hotels) == (0, 0, None)
    assert stats.notes == []
    assert "photos" in str(stats)
    assert all(not row for name in ("hotels", "chains", "sizes", "years", "places") for row in rows(stats, name))


def test_each_look_is_told(odd: Library) -> None:
    steps: list[Step] = []
    counted_of(odd, progress=steps.append)
    assert [step.done for step in steps] == list(range(1, steps[-1].total + 1))  # type: ignore[operator]


def test_tables_are_data_frames(odd: Library) -> None:
    pandas = pytest.importorskip("pandas")
    stats = odd.stats()
    for name in stats.tables:
        assert isinstance(getattr(stats, name), pandas.DataFrame), name
    assert stats.hotels["photos"].sum() == 9
    assert stats.sizes.loc[0, "width_px"] == 350
    assert len(stats.tags) == 0


def test_as_json_is_plain_and_has_no_single_hotels(stats: LibraryStats) -> None:
    found = stats.as_json()
    assert found["summary"]["balance_of_hotels"]["n"] == 5
    assert found["chains"][0] == {"chain_id": 7, "chain": "<script>", "hotels": 2, "photos": 6}
    assert "hotels" not in found
