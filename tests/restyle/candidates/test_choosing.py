import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aliens.library import Library
from base.progress import Step
from db.photo_rows import PhotoRecord
from restyle.candidates.picking import choose
from restyle.palettes import read_palette
from search.pool import read_pool
from tests.conftest import raising
from tests.restyle.pictures import mosaic, room, wall

PALETTE = read_palette("fern")
PEACH, PALE = (255, 190, 160), (200, 205, 205)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = {
        "1 detailed": mosaic(1),
        "2 peach": wall(PEACH),
        "3 minimal": wall(PALE),
        "4 room": room(4),
        "5 room": room(5),
        "6 small": room(6, (100, 80)),
        "7 panorama": room(7, (1000, 300)),
        "8 dark": (room(8) * 0.1).astype(np.uint8),
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "9 truncated.png").write_bytes((tmp_path / "1 detailed.png").read_bytes()[:3000])
    return tmp_path


def records(folder: Path) -> list[PhotoRecord]:
    paths = [*sorted(folder.glob("*.png")), folder / "gone.png"]
    return [PhotoRecord(n, str(path), "", None, None, None, None, None, None) for n, path in enumerate(paths, start=1)]


def vectors(count: int) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(count, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class NoWords:
    """An encoder whose texts are far from every photo but the ones given."""

    logit_scale = 100.0

    def __init__(self, vectors: np.ndarray, people: int) -> None:
        self._person = vectors[people]

    def encode_texts(self, texts: tuple[str, ...]) -> np.ndarray:
        near = np.array(["person" in text for text in texts])[:, None]
        return np.where(near, self._person, -self._person).astype(np.float32)


def test_the_three_kinds_are_found_and_every_other_photo_has_a_reason(folder: Path) -> None:
    done: list[Step] = []
    photos = records(folder)
    choice = choose(photos, vectors(10), PALETTE, n=3, progress=done.append)
    picked = {pick.kind: Path(pick.looked.record.path).stem for pick in choice}
    assert picked == {"detailed": "1 detailed", "opposite-palette": "2 peach", "minimal": "3 minimal"}
    assert choice.rejections == {"unreadable": 2, "too small": 1, "panorama": 1, "too dark": 1}
    assert all(rejection.reason for rejection in choice.rejected)
    assert choice.fit + len(choice.rejected) == len(photos)
    assert done == [Step("measuring", n, 10) for n in range(1, 11)]


def test_fewer_come_back_where_fewer_are_fit(folder: Path) -> None:
    assert len(choose(records(folder), vectors(10), PALETTE, n=1 << 70)) == 5
    opposed = choose(records(folder), vectors(10), PALETTE, n=50, strategy="opposite-palette")
    assert {pick.kind for pick in opposed} == {"opposite-palette"}
    assert len(opposed) < 5


def test_what_the_model_takes_for_people_is_rejected_as_its_guess(folder: Path) -> None:
    photos, embedded = records(folder), vectors(10)
    choice = choose(photos, embedded, PALETTE, n=6, encoder=NoWords(embedded, people=3))
    assert [(r.photo_id, r.kind) for r in choice.rejected if r.kind == "people"] == [(4, "people")]
    assert "a guess" in next(r.reason for r in choice.rejected if r.kind == "people")
    assert all(pick.looked.record.photo_id != 4 for pick in choice)


def test_nothing_to_choose_from(tmp_path: Path) -> None:
    gone = records(tmp_path)  # of an empty folder
    choice = choose(gone, vectors(1), PALETTE, n=3, encoder=NoWords(vectors(1), people=0))
    assert (list(choice), choice.fit, choice.rejections) == ([], 0, {"unreadable": 1})


def test_stopping_leaves_no_thread_at_work(folder: Path) -> None:
    before = threading.active_count()

    with pytest.raises(KeyboardInterrupt):
        choose(records(folder) * 30, vectors(300), PALETTE, n=3, progress=raising(KeyboardInterrupt()))
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "ThreadPoolExecutor" in thread.name:
            thread.join(timeout=10)
    assert threading.active_count() <= before


def test_sample_hotels_give_three_kinds_of_different_hotels(sample_library: Library) -> None:
    pool = read_pool(sample_library.searcher, None, most=120, least=10)
    choice = choose(pool.records, pool.vectors, PALETTE, n=6, encoder=sample_library.encoder)
    assert [pick.kind for pick in choice] == ["detailed", "opposite-palette", "minimal"] * 2
    hotels = [pick.looked.record.hotel_id for pick in choice]
    assert len(set(hotels)) == 6
    by_kind = {pick.kind: pick.looked.measures for pick in choice}
    assert by_kind["detailed"].edge_density > 2 * by_kind["minimal"].edge_density
    assert by_kind["opposite-palette"].warm > 0.5
    again = choose(pool.records, pool.vectors, PALETTE, n=6, encoder=sample_library.encoder)
    assert [p.looked.record for p in again] == [p.looked.record for p in choice]
