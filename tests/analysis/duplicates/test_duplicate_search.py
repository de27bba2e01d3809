import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aliens.library import Library
from analysis.duplicates import copy_calibration, duplicate_search, kept_marks
from analysis.duplicates.copy_calibration import affordable, known_calibration
from base.errors import QueryError
from db.photo_rows import update_photos
from embedding.picture_marks import made_copies
from tests.conftest import LibraryFactory, stopping_at


@pytest.fixture(scope="module")
def planted(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 sample photos, and copies of the first two: the same file, others saved anew, smaller, cropped."""
    folder = tmp_path_factory.mktemp("planted")
    for number, path in enumerate(sorted(samples.rglob("*.jpg"))[::20]):
        shutil.copy(path, folder / f"{number:02d}.jpg")
    for number in (0, 1):
        pixels = np.asarray(Image.open(folder / f"{number:02d}.jpg").convert("RGB"))
        for kind, data in made_copies(pixels):
            (folder / f"{number:02d}_{kind.split()[0]}.jpg").write_bytes(data)
    shutil.copy(folder / "00.jpg", folder / "00_same.jpg")
    shutil.copy(folder / "05.jpg", folder / "05_same.jpg")
    return folder


@pytest.fixture(scope="module")
def made(template: LibraryFactory, planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of them, to be copied."""
    factory = LibraryFactory(tmp_path_factory.mktemp("made") / "library", template.folder.root)
    factory.add(planted)
    return factory.folder.root


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Iterator[Library]:
    """A copy of it, opened."""
    factory = LibraryFactory(tmp_path / "copied", made)
    yield factory.open()
    factory.close()


def names(library: Library, **options: object) -> list[list[str]]:
    found = library.duplicates(**options)  # type: ignore[arg-type]
    return sorted([Path(photo.path).name for photo in group.photos] for group in found)


def test_what_was_planted_is_found_and_nothing_else(copied: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {Path(group.kept.path).stem[:2]: group for group in copied.duplicates(cosine=0.9)}
    assert {name: len(group.copies) for name, group in groups.items()} == {"00": 6, "01": 5, "05": 1}
    assert not {"half", "cropped"} & set(groups["01"].kept.path.split("_"))  # which are smaller
    assert groups["05"].copies[0].said == "same file"
    first = groups["00"].photos
    assert sum(photo.evidence == "bytes" for photo in first) == (Path(first[0].path).stem in ("00", "00_same"))
    assert {Path(copy.path).stem for copy in first if copy.cropped} == {"00_cropped"}
    # What photos are told apart by is kept: no photo is opened twice, and a damaged file of it is made anew.
    with monkeypatch.context() as patch:
        patch.setattr(kept_marks, "small_picture", lambda *_: pytest.fail("opened again"))
        patch.setattr(kept_marks.KeptMarks, "same_picture", lambda *_, **__: None)
        assert names(copied, cosine=0.9) == [["00.jpg", "00_same.jpg"], ["05.jpg", "05_same.jpg"]]
    marks = copied.path / "duplicates" / duplicate_search.MARKS_FILE
    marks.write_bytes(marks.read_bytes()[:200])
    assert len(copied.duplicates(cosine=0.9)) == 3


def test_filters_bytes_alone_and_wrong_wishes(copied: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_marks, "small_picture", lambda *_: pytest.fail("a photo was opened"))
    same = [["00.jpg", "00_same.jpg"], ["05.jpg", "05_same.jpg"]]
    assert names(copied, same_bytes=True) == same
    assert names(copied, same_bytes=True, query="path:05") == same[1:]
    assert names(copied, same_bytes=True, query="path:nowhere") == []
    for options, why in (
        ({"cosine": 1.5}, "from 0.5 to 1"),
        ({"cosine": float("nan")}, "from 0.5 to 1"),
        ({"query": "a pool"}, "has words to look for"),
        ({"cosine": 0.9, "same_bytes": True}, "leave one of both out"),
    ):
        with pytest.raises(QueryError, match=why):
            copied.duplicates(**options)  # type: ignore[arg-type]


def test_files_that_are_gone_and_photos_without_a_hash(copied: Library, planted: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(planted, tmp_path / "moved"))
    (moved / "01_half.jpg").write_bytes(b"other bytes by now")
    with copied.catalog.writing() as session:
        rows = session.connection().exec_driver_sql("SELECT id, path FROM photo").all()
        update_photos(session, [{"id": i, "path": str(moved / Path(path).name)} for i, path in rows])
        update_photos(session, [{"id": i, "content_sha256": None} for i, path in rows if "same" in path])
        session.commit()
    found = copied.duplicates(cosine=0.9)
    assert found.summary.unread == 1 and "1 photo near to others could not be opened" in " ".join(found.notes)
    by_name = {Path(photo.path).name: photo for group in found for photo in group.photos}
    assert "01_half.jpg" not in by_name
    assert by_name["05_same.jpg"].evidence in ("kept", "picture")  # by its pixels, whose bytes nobody knows
    shutil.rmtree(moved)
    (copied.path / "duplicates" / duplicate_search.MARKS_FILE).unlink()
    gone = copied.duplicates(cosine=0.9)
    said = {photo.evidence for group in gone for photo in group.photos}
    assert said == {"kept", "vector"}  # the model sees no difference, and there is nothing to look at
    assert "files not there" in gone[0].copies[0].said


def test_calibration_is_measured_on_the_library_and_kept(copied: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_search, "SAMPLE_PHOTOS", 6)
    found = copied.duplicates()
    measured = found.summary.calibration
    assert measured is not None and (measured.sampled, measured.copies) == (6, 30)
    assert measured.cosine == found.summary.cosine and 0.8 <= measured.cosine < 1
    assert measured.confirmed["saved at JPEG quality 60"] == 1
    assert "of 30 copies made of 6 photos of this library" in found.notes[0]
    assert {Path(group.kept.path).stem[:2] for group in found} == {"00", "01", "05"}
    monkeypatch.setattr(copy_calibration, "made_copies", lambda _: pytest.fail("measured again"))
    assert copied.duplicates().summary.calibration == measured
    path = copied.path / "duplicates" / f"{copied.model.key}.json"
    assert known_calibration(path, 2 * measured.photos) == measured
    assert known_calibration(path, 2 * measured.photos + 1) is None


def test_the_cosine_is_raised_where_pairs_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    assert affordable(0.8, sample, 1_000)[0] == 0.8
    monkeypatch.setattr(copy_calibration, "MOST_PAIRS", 1_000)
    cosine, pairs = affordable(0.8, sample, 1_000)
    assert cosine > 0.8 and 0 < pairs <= 1_000
    assert affordable(0.8, sample[:1], 10) == (0.8, 0)


def test_ctrl_c_ends_a_step_and_what_was_found_is_told(copied: Library) -> None:
    found = copied.duplicates(cosine=0.9, progress=stopping_at("confirming"))
    assert found.summary.stopped and found.notes[0].startswith("stopped")
    assert {Path(group.kept.path).stem[:2] for group in found} >= {"00", "05"}


def test_an_empty_library_has_no_copies(library: LibraryFactory) -> None:
    found = library.open().duplicates()
    assert list(found) == [] and found.summary.photos == 0
    assert "no photo could be opened" in found.notes[0]


def test_a_burst_of_one_pool_is_no_group(library: LibraryFactory, tmp_path: Path) -> None:
    """The camera turns a little each time: neighbours are near, and still other pictures."""
    wide = np.random.default_rng(1).integers(0, 255, (12, 90, 3), np.uint8)
    scene = Image.fromarray(wide).resize((2_700, 360), Image.Resampling.BICUBIC)
    (tmp_path / "burst").mkdir()
    for number in range(12):
        data = io.BytesIO()
        scene.crop((number * 120, 0, number * 120 + 540, 360)).save(data, "JPEG")
        (tmp_path / "burst" / f"{number:02d}.jpg").write_bytes(data.getvalue())
    library.add(tmp_path / "burst")
    assert list(library.open().duplicates(cosine=0.5)) == []
