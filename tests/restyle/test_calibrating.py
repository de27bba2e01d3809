from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.arrays import Pixels
from base.errors import LibraryError
from base.files import PhotoFile
from base.progress import Progress, Step, silent
from base.records import read_record, write_json, write_record
from base.settings import LibraryFolder
from db.photo_rows import PhotoRecord
from restyle.floors import (
    DEFAULT_FLOORS,
    FEWEST_PHOTOS,
    SAMPLE_PHOTOS,
    Floors,
    KeptFloors,
    library_floors,
    read_floors,
)
from restyle.structure import Structure, structure_of
from tests.conftest import photo_bytes, raising
from tests.restyle.pictures import room

ENOUGH = range(1, FEWEST_PHOTOS + 11)  # photo ids, of which ten may be unreadable


@pytest.fixture(scope="module", autouse=True)
def measured_once() -> Iterator[None]:
    """The same sixty photos are measured again and again here."""
    known: dict[bytes, Structure] = {}

    def remembered(pixels: Pixels) -> Structure:
        key = pixels.tobytes()
        if key not in known:
            known[key] = structure_of(pixels)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("restyle.floors.structure_of", remembered)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> LibraryFolder:
    return LibraryFolder(tmp_path / "library")


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    for number in ENOUGH:
        Image.fromarray(room(number, (96, 72))).save(folder / f"{number}.png")
    return folder


class Files:
    """Where photos lie; counts how often it is asked."""

    def __init__(self, rooms: Path, instead: dict[int, PhotoFile | None] | None = None) -> None:
        self.asked: list[int] = []
        self._rooms = rooms
        self._instead = instead or {}

    def __call__(self, session: object, photo_id: int) -> PhotoRecord | None:
        self.asked.append(photo_id)
        first = (photo_id - 1) % len(ENOUGH) + 1
        file = self._instead.get(photo_id, PhotoFile(str(self._rooms / f"{first}.png")))
        return None if file is None else PhotoRecord(photo_id, file.path, file.member, *[None] * 6)


def floors_of(folder: LibraryFolder, ids: Sequence[int], files: Files, progress: Progress = silent) -> Floors:
    """Return the floors of a library that holds these photos."""
    catalog: Any = SimpleNamespace(folder=folder, model=None)
    session: Any = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("restyle.floors.embedded_ids", lambda session, model: np.array(ids, np.int64))
        patch.setattr("restyle.floors.photo_record", files)
        return library_floors(catalog, session, progress)


def kept_photos(folder: LibraryFolder) -> int:
    """Return how many photos the floors that are kept are of."""
    kept = read_record(folder.floors_file, KeptFloors)
    assert kept is not None
    return kept.photos


def calibrated(folder: LibraryFolder, ids: Sequence[int], files: Files) -> Floors:
    floors = floors_of(folder, ids, files)
    assert len(files.asked) == (len(ids) if len(ids) >= FEWEST_PHOTOS else 0)  # of few none is read
    files.asked.clear()
    return floors


def test_floors_are_calibrated_once_and_read_back(folder: LibraryFolder, rooms: Path) -> None:
    files = Files(rooms)
    seen: list[Step] = []
    floors = floors_of(folder, ENOUGH, files, seen.append)
    assert floors.pairs == len(ENOUGH) * (len(ENOUGH) - 1) // 2
    assert seen == [Step("comparing photos", done, len(ENOUGH)) for done in ENOUGH]
    files.asked.clear()
    assert floors_of(folder, ENOUGH, files) == floors == read_floors(folder, len(ENOUGH))
    assert files.asked == []


def test_a_library_that_grew_or_shrank_by_half_is_calibrated_anew(folder: LibraryFolder, rooms: Path) -> None:
    files = Files(rooms)
    calibrated(folder, ENOUGH, files)
    floors_of(folder, range(1, 91), files)  # 1.5 times as many
    assert files.asked == []
    calibrated(folder, range(1, 92), files)
    assert kept_photos(folder) == 91
    calibrated(folder, ENOUGH, files)  # 91 / 60 > 1.5
    assert kept_photos(folder) == len(ENOUGH)


SPOILT: list[dict[str, Any]] = [
    {},
    {"photos": 60},
    {"photos": "60", "floors": {}},
    {"photos": 0, "floors": {"hog": 0.5, "edge_f1": 0.5, "shift": 0.02, "pairs": 3}},
    {"photos": 60, "floors": [0.5, 0.5]},
    {"photos": 60, "floors": {"hog": 7, "edge_f1": 0.5, "shift": 0.02, "pairs": 3}},
    {"photos": 60, "floors": {"hog": float("nan"), "edge_f1": 0.5, "shift": 0.02, "pairs": 3}},
    {"photos": 60, "floors": {"hog": "0.5", "edge_f1": 0.5, "shift": 0.02, "pairs": 3}},
]


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("write", [write_json, write_record])
def test_a_file_that_says_something_else_is_as_good_as_none(
    folder: LibraryFolder, spoilt: dict[str, Any], write: Callable[[Path, object], None]
) -> None:
    folder.restyled.mkdir(parents=True)
    write(folder.floors_file, spoilt)
    assert read_floors(folder, len(ENOUGH)) is None


@pytest.mark.parametrize("spoilt", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_spoilt_file_is_replaced(folder: LibraryFolder, rooms: Path, spoilt: bytes) -> None:
    folder.restyled.mkdir(parents=True)
    folder.floors_file.write_bytes(spoilt)
    assert read_floors(folder, len(ENOUGH)) is None
    floors = calibrated(folder, ENOUGH, Files(rooms))
    assert read_floors(folder, len(ENOUGH)) == floors


def test_floors_in_which_a_digit_has_changed_are_calibrated_anew(folder: LibraryFolder, rooms: Path) -> None:
    floors = calibrated(folder, ENOUGH, Files(rooms))
    told = folder.floors_file.read_text()
    folder.floors_file.write_text(told.replace(f'"hog": {floors.hog}', '"hog": 0.99'))
    assert folder.floors_file.read_text() != told
    assert read_floors(folder, len(ENOUGH)) is None
    assert calibrated(folder, ENOUGH, Files(rooms)) == floors == read_floors(folder, len(ENOUGH))


def test_photos_that_cannot_be_read_are_passed_over(folder: LibraryFolder, rooms: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged.jpg").write_bytes(photo_bytes(1)[:200])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    instead: dict[int, PhotoFile | None] = {
        3: None,
        4: PhotoFile(str(tmp_path / "gone.jpg")),
        5: PhotoFile(str(tmp_path / "damaged.jpg")),
        6: PhotoFile(str(tmp_path / "empty.jpg")),
        7: PhotoFile(str(tmp_path / "folder.jpg")),
        8: PhotoFile(str(rooms / "8.png"), "no-tar.jpg"),
    }
    floors = calibrated(folder, ENOUGH, Files(rooms, instead))
    readable = len(ENOUGH) - len(instead)
    assert floors.pairs == readable * (readable - 1) // 2


@pytest.mark.parametrize("ids", [(), range(1, 2), range(1, FEWEST_PHOTOS)], ids=len)
def test_few_photos_get_the_default_floors_and_none_are_kept(
    folder: LibraryFolder, rooms: Path, ids: Sequence[int]
) -> None:
    assert calibrated(folder, ids, Files(rooms)) == DEFAULT_FLOORS
    assert not folder.restyled.exists()


def test_floors_for_photos_that_are_all_away_for_now_do_not_stay(folder: LibraryFolder, rooms: Path) -> None:
    away = Files(rooms, dict.fromkeys(ENOUGH))
    assert calibrated(folder, ENOUGH, away) == DEFAULT_FLOORS
    assert calibrated(folder, ENOUGH, Files(rooms)).pairs


def test_of_a_large_library_a_sample_is_read_that_is_spread_over_it(folder: LibraryFolder, rooms: Path) -> None:
    files = Files(rooms)
    floors_of(folder, range(1, 10_001), files)
    assert len(files.asked) == len(set(files.asked)) == SAMPLE_PHOTOS
    assert (min(files.asked), max(files.asked)) == (1, 10_000)
    gaps = {later - sooner for sooner, later in zip(files.asked, files.asked[1:], strict=False)}
    assert gaps <= {67, 68}


def test_a_full_disk_is_told_and_leaves_nothing(
    folder: LibraryFolder, rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("base.files.os.fsync", raising(OSError(28, "No space left on device")))
        with pytest.raises(LibraryError, match="is full"):
            floors_of(folder, ENOUGH, Files(rooms))
    assert list(folder.restyled.iterdir()) == []
