"""What adding photos, verifying and counting make of results that lie in the library."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from base.errors import SourceError
from base.files import PhotoFile
from base.settings import LibraryFolder
from db.models import Photo, PhotoState
from indexer.sources import FolderSource
from tests.by_folder import disagreements as verify
from tests.by_folder import list_failures, repair, session_of, source_at, take_inventory
from tests.conftest import LibraryFactory
from tests.indexer.conftest import (
    check_sound,
    empty_library,
    found_in,
    photos_of,
    put,
    segments_in,
    states_of,
    vectors_of,
)
from tests.restyled import add_results, keep_results, results_of


@pytest.fixture
def inside(template: LibraryFactory, photos: Path) -> LibraryFactory:
    """A library that lies inside its photos' folder, with a result that was added and one that was not."""
    library = empty_library(template, photos / "library")
    library.add(photos)
    keep_results(library.folder, [1], library.encoder)
    keep_results(library.folder, [2])
    return library


def test_a_folder_that_holds_the_library_does_not_give_its_results(inside: LibraryFactory, photos: Path) -> None:
    before = vectors_of(inside.folder)
    report = inside.add(photos)
    assert (report.scan.found, report.scan.unchanged, report.scan.vanished, report.run.total) == (10, 10, 0, 0)
    assert vectors_of(inside.folder) == before
    assert list(list_failures(inside.folder)) == []
    assert list(states_of(inside.folder).values()).count(("restyled", None)) == 1
    check_sound(inside.folder)


def test_a_folder_that_is_the_library_gives_its_photos_and_no_results(template: LibraryFactory, photos: Path) -> None:
    library = empty_library(template, photos / "library")
    shutil.move(photos / "00.jpg", library.folder.root / "00.jpg")
    library.add(library.folder.root)
    keep_results(library.folder, [1])
    assert found_in(FolderSource(library.folder.root, library.folder.root)) == ["00.jpg"]


def test_results_of_another_library_are_no_photos_either(inside: LibraryFactory, photos: Path) -> None:
    shutil.copytree(inside.folder.root, photos / "backup")
    put(photos / "restyled", 0)  # of no library
    report = inside.add(photos)
    assert (report.scan.found, report.scan.new) == (11, 1)


@pytest.mark.parametrize("linked", [False, True], ids=["by its path", "by a link to the library"])
def test_results_cannot_be_added_as_photos(inside: LibraryFactory, tmp_path: Path, linked: bool) -> None:
    root = inside.folder.root
    if linked:
        (tmp_path / "link").symlink_to(root)
        root = tmp_path / "link"
    (result, *_) = sorted((root / "restyled").iterdir())
    for path in (result, root / "restyled"):
        with pytest.raises(SourceError, match="which are no photos of hotels: `aliens restyle list --add`"):
            inside.add(path)
    assert len(photos_of(inside.folder)) == 11
    assert source_at(root, root).kind == "folder"


def test_a_copy_of_a_result_elsewhere_is_a_photo_like_any_other(inside: LibraryFactory, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    (result,) = (photo for photo in photos_of(inside.folder).values() if photo.state is PhotoState.RESTYLED)
    shutil.copy(result.path, copies / "copy.png")
    report = inside.add(copies)
    assert (report.run.total, report.run.reused, report.run.failed) == (1, 1, 0)  # its bytes have a vector
    assert states_of(inside.folder)["copy.png"] == ("embedded", None)
    check_sound(inside.folder)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "result 1 of photo 1 is gone: {}"),
        (append, "result 1: {} is not what was written: its checksum is another one"),
    ],
)
def test_a_result_that_is_gone_or_another_is_told_and_forgotten_by_repair(
    inside: LibraryFactory, damage: Callable[[Path], None], said: str
) -> None:
    added, waiting = sorted(inside.folder.restyled.iterdir())
    damage(added), damage(waiting)
    found = verify(inside.folder)
    assert [disagreement.part for disagreement in found] == ["result", "result"]
    assert found[0].what == said.format(added)
    assert found[0].remedy == "`aliens restyle 1` makes it anew, `aliens verify --repair` forgets it"
    before = vectors_of(inside.folder)
    assert repair(inside.folder) == 0
    assert verify(inside.folder) == []
    assert vectors_of(inside.folder) == before
    assert list(inside.folder.restyled.iterdir()) == []
    inventory = take_inventory(inside.folder)
    assert (inventory.restyled, inventory.restyled_added, inventory.photos["embedded"]) == (0, 0, 10)
    assert len(photos_of(inside.folder)) == 10


def test_a_result_of_an_earlier_version_that_was_changed_since_it_was_added_is_told(inside: LibraryFactory) -> None:
    with session_of(inside.folder) as session:
        session.execute(text("UPDATE restyling SET sha256 = NULL"))  # which kept no checksum
        session.commit()
    assert verify(inside.folder) == []
    added = min(inside.folder.restyled.iterdir())
    with open(added, "ab") as file:
        file.write(b"more")
    (told,) = verify(inside.folder)
    assert (told.part, told.remedy) == ("result", "`aliens restyle list --add`")
    assert f"{added} is not what was added" in told.what
    assert add_results(inside.folder, inside.encoder) == 2
    assert verify(inside.folder) == []


def test_a_result_of_a_moved_library_is_told_and_mended_by_adding_it(inside: LibraryFactory, tmp_path: Path) -> None:
    moved = LibraryFolder(inside.folder.root.rename(tmp_path / "moved"))
    (told,) = verify(moved)
    assert (told.part, told.remedy) == ("result", "`aliens restyle list --add`")
    assert add_results(moved, inside.encoder) == 2
    assert verify(moved) == []


def test_a_photo_whose_file_vanished_keeps_its_result(inside: LibraryFactory, photos: Path) -> None:
    (photos / "00.jpg").unlink()
    assert inside.add(photos).scan.vanished == 1
    with results_of(inside.folder) as (session, results):
        (result,) = results.all(1)
        photo = session.get(Photo, result.photo_id)
        assert (photo.state, result.exists) == (PhotoState.RESTYLED, True)
        assert os.path.samefile(PhotoFile(photo.path).path, result.path)
    assert verify(inside.folder) == []


def test_repair_of_photos_leaves_results_alone(inside: LibraryFactory) -> None:
    lost, kept = segments_in(inside.folder)
    (inside.folder.vectors(inside.encoder.key) / f"{lost.name}.faiss").unlink()
    assert repair(inside.folder) == 10
    assert [file.name for file in segments_in(inside.folder)] == [kept.name]
    with session_of(inside.folder) as session:
        (row,) = (photo for photo in photos_of(inside.folder).values() if photo.state is PhotoState.RESTYLED)
        assert session.get(Photo, row.id) is not None
    inside.add(inside.folder.root.parent)
    assert verify(inside.folder) == []
    assert take_inventory(inside.folder).restyled_added == 1


def test_a_damaged_segment_of_results_makes_no_photo_pending_and_can_be_added_again(inside: LibraryFactory) -> None:
    before = vectors_of(inside.folder)
    _, lost = segments_in(inside.folder)
    path = inside.folder.vectors(inside.encoder.key) / f"{lost.name}.faiss"
    path.write_bytes(path.read_bytes()[:-1])
    (told,) = verify(inside.folder)
    assert told.part == "segment"
    assert told.what.startswith(f"segment {lost.name} of 1 photos: ")
    assert repair(inside.folder) == 0
    assert verify(inside.folder) == []
    assert take_inventory(inside.folder).restyled_added == 0
    assert add_results(inside.folder, inside.encoder) == 2
    assert vectors_of(inside.folder) == before
    assert verify(inside.folder) == []
