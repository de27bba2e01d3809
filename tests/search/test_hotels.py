"""Tables of hotels: joined as NumPy would join them, photo by photo, whatever hotels and photos are called."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aliens
from aliens.library import Library
from base.errors import QueryError
from base.settings import LibraryFolder
from db.models import Chain, Hotel, Photo
from db.photo_rows import mark_columns_changed
from embedding.encoder import Encoder
from search.hotels import DENIED, SAID, Joined, bar_of, evidence_of
from search.tags.calibration import Calibration
from search.tags.tagging import Tagging
from tests.conftest import LibraryFactory, photo_bytes

EVIL = "<script>alert(1)</script>\x1b[31m \u202e ホテル 東京"
HOTELS = {1: "Grand Hotel", 2: None, 3: EVIL, 4: "Grand Hotel Annexe", 5: "Empty Inn"}  # the last has no photo
HOTEL_OF_PHOTO = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 3, 7: 3, 8: 4}  # 9 and 10 belong to none


def put_into_hotels(library: Library, hotels: dict[int, str | None], of_photo: dict[int, int]) -> None:
    """Give photos hotels, as a Hotels-50K tree would."""
    with library.catalog.writing() as session:
        session.merge(Chain(id=1, name="=Chain"))
        for number, name in hotels.items():
            session.merge(Hotel(id=number, name=name, chain_id=1 if number == 1 else None))
        session.flush()
        for photo in session.query(Photo):
            photo.hotel_id = of_photo.get(photo.id)
        mark_columns_changed(session)
        session.commit()


@pytest.fixture
def tagged(stocked: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """Ten photos, eight of them of four hotels, tagged."""
    monkeypatch.chdir(photos.parent)
    with stocked.open() as opened:
        put_into_hotels(opened, HOTELS, HOTEL_OF_PHOTO)
        opened.tag()
        yield opened


def evidence_by_photo(library: Library) -> dict[int, np.ndarray]:
    with library.catalog.session() as session:
        tagging = Tagging.open(library.catalog, session, library.store)
        parts = [(photos.photo_ids, evidence_of(tagging, photos)) for photos in tagging.photos()]
    return {i: row for ids, rows in parts for i, row in zip(ids.tolist(), rows, strict=True)}


values = st.sampled_from([-1.5, 0.0, 0.4, 0.99, 1.0, 1.2, 3.0, float("inf"), float("-inf")])


@given(
    photos=st.lists(st.tuples(st.integers(0, 4), st.tuples(values, values)), min_size=1, max_size=30),
    cut=st.integers(0, 30),
)
def test_joining_part_by_part_is_joining_photo_by_photo(
    photos: list[tuple[int, tuple[float, float]]], cut: int
) -> None:
    joined = Joined(5, 2)
    hotels, evidence = np.array([h for h, _ in photos]), np.array([e for _, e in photos], np.float32)
    ids = np.arange(1, len(photos) + 1) * 7
    for part in (slice(0, cut), slice(cut, None)):
        joined.add(hotels[part], ids[part], evidence[part].copy())
    for hotel in range(5):
        mine = evidence[hotels == hotel]
        assert joined.photos[hotel] == len(mine)
        for tag in range(2):
            order = np.argsort(-mine[:, tag], kind="stable")
            best, second = ([*mine[order, tag], DENIED, DENIED])[:2]
            assert (joined.best[hotel, tag], joined.second[hotel, tag]) == (best, second)
            assert joined.shown[hotel, tag] == (mine[:, tag] >= 1).sum()
            assert joined.likely[hotel, tag] == (best >= 1)
            if best > DENIED:
                assert joined.best_ids[hotel, tag] == ids[hotels == hotel][order[0]]
            sure = best == SAID or (best >= 1 and best + second >= 2)
            assert joined.sure[hotel, tag] == sure


def test_no_hotel_lacks_what_the_model_cannot_tell(tagged: Library) -> None:
    table = tagged.hotels()
    table.untold = np.arange(len(table.names)) == 0
    for tags, missing in (([], [0]), ([0], [])):
        with pytest.raises(QueryError, match=f"cannot tell {table.names[0]} in this library"):
            table.narrowed(tags, missing, "name")
    table.narrowed([], [1], "name")
    assert len(table)


def test_a_table_says_of_every_hotel_what_its_photos_show(tagged: Library) -> None:
    for photo_id, tag in ((1, "a pool"), (3, "a pool"), (4, "a tv"), (6, "a bathtub"), (9, "a sofa")):
        tagged.label(photo_id, tag)  # the fake encoder tells nothing from nonsense
    evidence = evidence_by_photo(tagged)
    table = tagged.hotels()
    assert [hotel.hotel_id for hotel in table] == [3, 1, 4, 2]  # by name, the nameless last; none without photos
    assert any(hotel.likely or hotel.sure for hotel in table)
    for hotel in table:
        ids = [photo for photo, of in HOTEL_OF_PHOTO.items() if of == hotel.hotel_id]
        rows = np.stack([evidence[i] for i in ids])
        assert hotel.photos == len(ids)
        for place, tag in enumerate(hotel.tags):
            assert tag.photos == (rows[:, place] >= 1).sum()
            assert tag.share == pytest.approx(tag.photos / len(ids), abs=1e-4)
            assert (tag.grade is not None) == (tag.photos > 0)
            if tag.photos:
                assert tag.best_photo == ids[int(rows[:, place].argmax())]
                assert Path(str(tag.best_path)).name == f"{tag.best_photo - 1:02d}.jpg"
        named = [*hotel.sure, *hotel.likely, *hotel.missing]
        assert len(named) == len(set(named)) == len(table.names) - int(table.untold.sum())
    assert table[1].hotel_name == "Grand Hotel" and table[1].chain_name == "=Chain"
    assert any("2 photos belong to no hotel: 9, 10" in note for note in table.notes)
    assert json.loads(json.dumps(table[0].as_json()))["hotel_name"] == EVIL
    assert table.to_pandas()["photos"].tolist() == [2, 3, 1, 2]
    assert "HotelTable: 4 records" in repr(table)


def test_what_people_say_stands_above_the_model(tagged: Library) -> None:
    def pool(hotel_id: int) -> Any:
        return next(tag for tag in tagged.hotels(hotel_id)[0].tags if tag.tag == "a pool")

    tagged.label(5, "a pool", True)
    assert (pool(2).grade, pool(2).best_photo) == ("sure", 5)
    for photo_id in (4, 5):
        tagged.label(photo_id, "a pool", False)
    assert (pool(2).grade, pool(2).photos, pool(2).best_path) == (None, 0, None)


def test_by_another_method_decided_tags_count(tagged: Library) -> None:
    tagged.tag(method="uncalibrated", threshold=0.5)
    with tagged.catalog.session() as session:
        tagging = Tagging.open(tagged.catalog, session, tagged.store)
        decided = {
            i: row for p in tagging.photos() for i, row in zip(p.photo_ids.tolist(), p.decided.tolist(), strict=True)
        }
    assert any(any(row) for row in decided.values())
    for hotel in tagged.hotels():
        ids = [photo for photo, of in HOTEL_OF_PHOTO.items() if of == hotel.hotel_id]
        for place, tag in enumerate(hotel.tags):
            counted = sum(decided[i][place] for i in ids)
            assert tag.photos == counted
            assert tag.grade == ("sure" if counted > 1 else "likely" if counted else None)


def test_a_photo_counts_for_its_hotel_as_far_below_the_threshold_as_without_one() -> None:
    photos = SimpleNamespace(
        photo_ids=np.arange(4), probabilities=np.array([[0.45], [0.75], [0.85], [np.nan]], np.float32), labels={}
    )
    none = np.zeros(1, np.float32)
    for threshold, bar, shown in ((0.5, 0.4, [1, 1, 1, 0]), (0.9, 0.8, [0, 0, 1, 0]), (0.8, 0.7, [0, 1, 1, 0])):
        calibration = Calibration(method="signal", scale=1.0, mean=none, std=none + 1, threshold=threshold)
        assert bar_of(calibration) == pytest.approx(bar)
        tagging: Any = SimpleNamespace(calibration=calibration, vocabulary=SimpleNamespace(names=["a pool"]))
        evidence = evidence_of(tagging, photos)  # type: ignore[arg-type]
        assert (evidence[:, 0] >= 1).tolist() == list(map(bool, shown))
        assert evidence[3, 0] == DENIED
        if threshold == 0.9:
            assert evidence[2, 0] < 1.5  # little above the bar: alone it makes nothing sure


def test_hotels_are_chosen_by_name_and_by_tags(tagged: Library) -> None:
    assert [hotel.hotel_id for hotel in tagged.hotels("grand")] == [1, 4]
    assert [hotel.hotel_id for hotel in tagged.hotels("grand hotel")] == [1]  # just that name
    assert [hotel.hotel_id for hotel in tagged.hotels(2)] == [2]
    tagged.label(1, "a pool", True)
    with_pool = [hotel.hotel_id for hotel in tagged.hotels(tags="pool")]
    without = [hotel.hotel_id for hotel in tagged.hotels(missing=["a pool"])]
    assert [hotel.hotel_id for hotel in tagged.hotels(tags="case-study/pool")] == with_pool
    assert 1 in with_pool and sorted(with_pool + without) == [1, 2, 3, 4]
    assert [hotel.photos for hotel in tagged.hotels(sort="photos")] == [3, 2, 2, 1]
    assert tagged.hotels(sort="chain")[0].hotel_id == 1
    for sort in ("tags", "missing"):
        assert len(tagged.hotels(sort=sort)) == 4  # type: ignore[arg-type]


REFUSED: list[tuple[Callable[[Library], object], str]] = [
    (lambda library: library.hotels("nowhere"), "no hotel 'nowhere'"),
    (lambda library: library.hotels("Empty Inn"), "no photo of what was named can be found"),
    (lambda library: library.hotels(tags=["pool"], missing=["pool"]), "none of 4 hotels is so"),
    (lambda library: library.hotels(tags=["poool"]), "no tag 'poool'"),
    (lambda library: library.hotels(sort="size"), "sort is 'size': choose one of name, chain"),
    (lambda library: library.gallery("grand h"), "2 hotels have 'grand h' in their names: name one by its number"),
    (lambda library: library.gallery(1, n=0), "n is 0: ask for 1 to 200 photos"),
    (lambda library: library.gallery(5), "no photo of Empty Inn can be found"),
    (lambda library: library.search_hotels("a pool", k=0), "k is 0: ask for at least 1 hotel"),
]


def test_what_makes_no_sense_is_refused(tagged: Library) -> None:
    for ask, said in REFUSED:
        with pytest.raises(QueryError, match=said):
            ask(tagged)


def test_hotels_that_people_named_are_told_apart_by_their_names(tagged: Library) -> None:
    own = {1_000_000_001: "Lone Inn", 1_000_000_002: "Lone Inn North"}
    put_into_hotels(tagged, own, {1: 1_000_000_001, 2: 1_000_000_002})
    with pytest.raises(QueryError, match=r"its whole name: 'Lone Inn', 'Lone Inn North'$"):
        tagged.gallery("Lone")
    assert tagged.gallery("Lone Inn").hotel_id == 1_000_000_001


def test_libraries_without_hotels_or_tags_say_so(stocked: LibraryFactory) -> None:
    with stocked.open() as opened:
        with pytest.raises(QueryError, match="is not tagged yet"):
            opened.hotels()
        opened.tag()
        with pytest.raises(QueryError, match="no photo of this library belongs to a hotel"):
            opened.hotels()
        with pytest.raises(QueryError, match="no photo that is left belongs to a hotel"):
            opened.search_hotels("a pool")


def test_of_photos_added_since_the_tagging_nothing_is_known(tagged: Library, photos: Path, tmp_path: Path) -> None:
    (photos / "new.jpg").write_bytes(photo_bytes(77))
    tagged.add(photos)
    put_into_hotels(tagged, {}, HOTEL_OF_PHOTO | {11: 5})
    (inn,) = tagged.hotels("Empty Inn")
    assert (inn.photos, inn.sure, inn.likely, inn.missing) == (1, [], [], [])
    assert 5 not in [hotel.hotel_id for hotel in tagged.hotels(missing="a pool")]
    assert tagged.hotels(sort="missing")[-1].hotel_id == 5
    tagged.export_hotels(tmp_path / "inn.json", name="Empty Inn")
    (row,) = json.loads((tmp_path / "inn.json").read_text(encoding="utf-8"))
    assert {row[name] for name in tagged.hotels().names} == {"unknown"}
    tagged.label(11, "a pool")
    (inn,) = tagged.hotels("Empty Inn")
    assert (inn.sure, inn.missing, inn.tags[0].share) == (["a pool"], [], 1)
    assert any("1 photo came after the last tagging" in note for note in tagged.hotels().notes)


def test_hotels_are_ranked_by_their_best_photos(tagged: Library) -> None:
    everything = list(tagged.stream("a pool", min_score=-1))
    best: dict[int, float] = {}
    for hit in everything:
        if hit.hotel_id is not None:
            best.setdefault(hit.hotel_id, hit.score)
    found = tagged.search_hotels("a pool")
    assert [(hit.hotel_id, pytest.approx(hit.score)) for hit in found] == list(best.items())
    for hit in found:
        mine = [photo.photo_id for photo in everything if photo.hotel_id == hit.hotel_id]
        assert [photo.photo_id for photo in hit.best] == mine[:5]
        assert hit.photos == len(mine)
    assert json.loads(json.dumps(found[0].as_json(), default=str))["best"][0]["photo_id"] == found[0].best[0].photo_id


def test_pages_of_hotels_are_the_whole_list(tagged: Library, tmp_path: Path) -> None:
    whole = [hit.hotel_id for hit in tagged.search_hotels("a pool")]
    pages, after = [], None
    for _ in whole:
        page = tagged.search_hotels("a pool", k=1, after=after)
        pages += [hit.hotel_id for hit in page]
        after = page.cursor
    assert (pages, after) == (whole, None)
    chosen = tagged.search_hotels("a pool hotel:grand -hotel:annexe")
    assert [(hit.hotel_id, hit.photos) for hit in chosen] == [(1, 3)]
    chosen.write_sheet(tmp_path / "sheet.jpg")
    assert (tmp_path / "sheet.jpg").stat().st_size > 1000


@pytest.mark.parametrize("options", [{"text": "a pool"}, {"like": 2}])
def test_hotels_that_share_a_photo_each_have_it(library: LibraryFactory, photos: Path, options: dict[str, Any]) -> None:
    (photos / "10.jpg").write_bytes((photos / "00.jpg").read_bytes())  # photo 11, the only one of hotel 2
    (photos / "11.jpg").write_bytes((photos / "01.jpg").read_bytes())  # photo 12, of hotel 3
    library.add(photos)
    with library.open() as opened:
        put_into_hotels(opened, {1: "A", 2: "B", 3: "C"}, dict.fromkeys(range(1, 11), 1) | {11: 2, 12: 3})
        found = opened.search_hotels(**options)
        kept = {hit.hotel_id: hit for hit in found}
        assert set(kept) == {1, 2, 3}
        assert [kept[2].photos, [photo.photo_id for photo in kept[2].best]] == [1, [11]]
        assert [kept[3].photos, [photo.photo_id for photo in kept[3].best]] == [1, [12]]
        assert [hit.score for hit in found] == [pytest.approx(hit.best[0].score) for hit in found]


def test_a_hotel_called_as_anothers_number_is_another(stocked: LibraryFactory) -> None:
    own = 1_000_000_007
    with stocked.open() as opened:
        put_into_hotels(opened, {3: "Three", own: "3"}, {1: 3, 2: 3, 3: own})
        everyone = {hit.hotel_id: hit.photos for hit in opened.search_hotels("a pool")}
        assert everyone == {3: 2, own: 1}
        for k in (1, 2):
            assert all(hit.photos == everyone[hit.hotel_id] for hit in opened.search_hotels("a pool", k=k))
        opened.tag()
        assert [hotel.hotel_id for hotel in opened.hotels(3)] == [3]
        assert opened.gallery(3).hotel_id == 3
        with pytest.raises(QueryError, match="no hotel '4'"):
            opened.hotels(4)
        others = opened.similar(1, k=20, other_hotels=True)
        assert {hit.photo_id for hit in others} == set(range(3, 11))
        assert others.explanation.filters == "-hotel:3"


def test_photos_of_no_hotel_are_left_out_before_they_are_read(
    opened: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worst = [hit.photo_id for hit in opened.stream("a pool", min_score=-1)][-2:]
    put_into_hotels(opened, {1: "A", 2: "B"}, dict(zip(worst, (1, 2), strict=True)))
    asked = list[int]()
    search = opened.searcher.search
    monkeypatch.setattr(opened.searcher, "search", lambda question, k: asked.append(k) or search(question, k))
    assert [hit.hotel_id for hit in opened.search_hotels("a pool", k=1)] == [1]
    assert asked[:2] == [1, 1] and len(asked) == 3
    page = opened.search_hotels("a pool", k=1)
    assert page.explanation.as_lines()[1] == "filter:  of any hotel (2 of 10 photos)"
    assert [hit.hotel_id for hit in opened.search_hotels("a pool", k=1, after=page.cursor)] == [2]
    assert page[0].best[0].photo_id == worst[0]


def test_sample_hotels_have_what_they_have(
    tagged_samples: LibraryFolder, starter: Encoder, sample_tags: dict[int, set[str]]
) -> None:
    """As much as the starter model can tell: benchmarks/hotel_table.py measures it whole."""
    with aliens.open(tagged_samples.root, encoder=starter) as library:
        table = library.hotels()
        with library.catalog.session() as session:
            images = dict(session.query(Photo.id, Photo.image_id).all())
            hotel_of = dict(session.query(Photo.id, Photo.hotel_id).all())
        right = said = 0
        for hotel in table:
            true = set().union(*(sample_tags[images[i] or 0] for i, h in hotel_of.items() if h == hotel.hotel_id))
            said += len(hotel.sure)
            right += len(true & set(hotel.sure))
        assert len(table) == 30 and right / said > 0.8
        assert sum(hotel.rooms.get("bedroom", 0) for hotel in table) > 50
        first = library.search_hotels("a swimming pool", k=5)
        best = [images[hit.best[0].photo_id] for hit in first]
        assert sum("a pool" in sample_tags[image or 0] for image in best) >= 4
