"""Copies of a photo come as one, wherever they lie, and those of the photo asked for are passed over."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text as sql

from aliens.library import Library
from search.results import Results
from tests.conftest import LibraryFactory, fill_folder


def ids(hits: object) -> list[int]:
    return [hit.photo_id for hit in hits]  # type: ignore[attr-defined]


@pytest.fixture
def opened(stocked: LibraryFactory, photos: Path) -> Library:
    """The photos 1 to 10; 11 and 12 have the bytes of 00.jpg (1), 13 the picture of 01.jpg (2) in other bytes."""
    for name in ("11.jpg", "12.jpg"):
        shutil.copy(photos / "00.jpg", photos / name)
    (photos / "13.jpg").write_bytes((photos / "01.jpg").read_bytes() + b"and a note")
    stocked.add(photos)
    return stocked.open()


def test_each_photo_comes_once_with_its_copies_and_k_counts_photos(opened: Library) -> None:
    hits = opened.search("pool", k=10)
    assert sorted(ids(hits)) == list(range(1, 11))
    copies = {hit.photo_id: [copy.photo_id for copy in hit.copies] for hit in hits if hit.copies}
    assert copies == {1: [11, 12], 2: [13]}
    assert not hits.more
    first = next(hit for hit in hits if hit.photo_id == 1)
    assert [copy["photo_id"] for copy in first.as_json()["copies"]] == [11, 12]
    assert first.as_json()["copies"][0]["path"].endswith("11.jpg")
    assert first.copies_mark == "(+2 copies)"
    assert any("(+2 copies)" in cell.lines[1] for section in hits.sections() for cell in section.cells)


def test_all_copies_are_listed_where_that_is_asked_for(opened: Library) -> None:
    whole = ids(opened.search("pool", k=100, copies=True))
    assert sorted(whole) == list(range(1, 14))
    assert whole[whole.index(1) :][:3] == [1, 11, 12]
    assert [photo for photo in whole if photo not in (11, 12, 13)] == ids(opened.search("pool", k=100))


@pytest.mark.parametrize("options", [{}, {"diverse": 0.4}, {"per_hotel": 1}])
def test_pages_put_together_are_the_list(opened: Library, options: dict[str, Any]) -> None:
    whole = ids(opened.search("pool", k=10, **options))
    for k in (1, 3, 4, 10):
        pages = [opened.search("pool", k=k, page=page, **options) for page in range(1, 12)]
        assert [photo for page in pages for photo in ids(page)] == whole
        assert [page.more for page in pages] == [page * k < len(whole) for page in range(1, 12)]
        after: str | None = None
        for page in pages:
            if not page:
                break
            assert page[0].place.rank == 1 + (page.page - 1) * k  # type: ignore[union-attr]
            assert ids(opened.search("pool", k=k, after=after, **options)) == ids(page)
            after = page.cursor


def test_all_photos_come_once(opened: Library) -> None:
    assert ids(opened.stream("pool", min_score=-1)) == ids(opened.search("pool", k=10))
    assert len(list(opened.stream("pool", min_score=-1, copies=True))) == 13


def test_the_first_copy_that_the_filters_leave_stands_for_all(opened: Library) -> None:
    hits = opened.search("pool path:photos/1", k=20)  # 11.jpg, 12.jpg, 13.jpg
    assert {hit.photo_id: len(hit.copies) for hit in hits} == {11: 1, 13: 0}


def test_a_limit_by_hotel_counts_photos_and_takes_the_copy_that_it_allows(opened: Library) -> None:
    with opened.catalog.session() as session:
        session.execute(sql("INSERT INTO hotel VALUES (1, 'One', NULL, 0, 0), (2, 'Two', NULL, 0, 0)"))
        session.execute(sql("UPDATE photo SET hotel_id = 1"))
        session.execute(sql("UPDATE photo SET hotel_id = 2 WHERE id IN (12, 13)"))
        session.commit()
    shown = ids(opened.search("pool", k=20, per_hotel=1))
    best = ids(opened.search("pool", k=1))[0]
    copies = {1: 12, 2: 13}
    others = [photo for photo in ids(opened.search("pool", k=20)) if photo in copies and photo != best]
    assert shown == [best, copies[others[0]]]


def test_a_vanished_photos_copy_takes_its_place_and_no_page_shows_it_again(opened: Library, photos: Path) -> None:
    place = ids(opened.search("pool", k=10)).index(1) + 1
    first = opened.search("pool", k=place)
    assert first[-1].photo_id == 1
    opened.add(photos)
    (photos / "11.jpg").unlink()
    opened.add(photos)
    assert not {1, 11, 12} & set(ids(opened.search("pool", k=10, after=first.cursor)))
    (photos / "00.jpg").unlink()
    opened.add(photos)
    assert ids(opened.search("pool", k=10))[place - 1] == 12


def test_copies_of_the_photo_asked_for_are_passed_over_and_counted(opened: Library) -> None:
    similar = opened.similar(1, k=20)
    assert sorted(ids(similar)) == list(range(2, 11))
    assert similar.note == "passed over: 2 copies of what was asked for (--copies lists them)"
    assert "1 copy of" in opened.similar(13, k=20).note
    assert 2 not in ids(opened.similar(13, k=20))
    assert {11, 12} <= set(ids(opened.similar(1, k=20, copies=True)))
    assert not opened.similar(3).note
    assert not {1, 11, 12} & set(ids(opened.search("like:11 pool", k=20)))
    assert not {1, 11, 12} & set(ids(opened.search("pool", k=20, less_like=[12])))


def test_a_file_finds_its_own_photo_in_the_library(opened: Library, photos: Path) -> None:
    best = opened.search(image=photos / "12.jpg", k=3)[0]
    assert (best.photo_id, len(best.copies)) == (1, 2)
    assert best.score == pytest.approx(1, abs=1e-3)


def test_a_photo_with_many_copies_takes_one_place(library: LibraryFactory, photos: Path) -> None:
    for number in range(200):
        shutil.copy(photos / "00.jpg", photos / f"copy-{number}.jpg")
    library.add(photos)
    opened = library.open()
    for results in (opened.search("pool", k=10), opened.search("pool", k=10, per_chain=1)):
        assert len(results) == 10
        assert max(len(hit.copies) for hit in results) == 200
    assert sum(1 + len(hit.copies) for hit in opened.stream("pool", min_score=-1)) == 210


def test_pictures_that_score_alike_are_no_copies(opened: Library, photos: Path) -> None:
    vectors = np.zeros((2, opened.model.dim), np.float32)
    vectors[0, 0], vectors[1, 1] = 1, 1
    encoder = opened.encoder
    encoder.encode_images = lambda pixels: vectors[: len(pixels)]  # type: ignore[method-assign]
    encoder.encode_prompts = lambda text, templates: np.full(opened.model.dim, 1 / 48**0.5, np.float32)  # type: ignore[method-assign]
    fill_folder(photos, (20, 21))
    opened.add(photos)
    hits: Results = opened.search("pool", k=20)
    assert {14, 15} <= set(ids(hits))
    assert [hit.copies for hit in hits if hit.photo_id in (14, 15)] == [(), ()]
