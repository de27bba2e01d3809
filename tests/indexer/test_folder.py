import os
from functools import partial
from pathlib import Path

import pytest

from base.errors import SourceError
from indexer.sources import FileSource, FolderSource, FoundPhoto, has_photo_ending
from indexer.tar_source import TarSource
from tests.by_folder import list_failures, source_at
from tests.conftest import LibraryFactory, photo_bytes
from tests.db.statements import writes
from tests.indexer.conftest import (
    EMBEDDED,
    check_sound,
    found_in,
    lock_folder,
    photos_of,
    problems_of,
    put_named,
    states_of,
    write_tar,
)

NOWHERE = Path("/nowhere/library")


put = partial(put_named, data=b"\xff\xd8")  # which is enough to be found


def bytes_name(folder: Path, name: bytes, data: bytes = b"\xff\xd8") -> str:
    """Write a file with a name that is not UTF-8 and return its path, or skip."""
    path = os.path.join(os.fsencode(folder), name)
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError:
        pytest.skip("the file system takes names in UTF-8 alone")
    return os.fsdecode(path)


def test_photos_of_all_folders_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    put(tmp_path, "b.jpg", "a.jpg", "c/2.png", "c/1.png", "a/9.jpg", "c/deep/er/3.webp", "10.jpg", "9.jpg", "B.jpg")
    found = found_in(FolderSource(tmp_path, NOWHERE))
    assert len(found) == 9
    assert found == [str(path) for path in sorted(map(Path, found))]


def test_size_and_time_of_change_are_the_files(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_234_567_890_123_456_789))
    assert list(FolderSource(tmp_path, NOWHERE).photos()) == [
        FoundPhoto(str(tmp_path / "a.jpg"), size_bytes=2, mtime_ns=1_234_567_890_123_456_789)
    ]


@pytest.mark.parametrize("name", ["a.JPG", "a.Jpeg", "a.b.PNG", "a.webp", "a.TIFF", "a.avif", "a.jfif", ".jpg.jpg"])
def test_endings_of_photos_in_any_case(name: str) -> None:
    assert has_photo_ending(name)


@pytest.mark.parametrize("name", ["jpg", ".jpg", "a.txt", "a.jpg.part", "a.jpg~", "a.pdf", "a.svg", "a.mp4", "a."])
def test_endings_of_other_files(name: str) -> None:
    assert not has_photo_ending(name)


def test_hidden_files_and_folders_are_left_out_and_others_counted(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.JPG", ".3.jpg", "._1.jpg", ".git/4.jpg", "notes.txt", "sub/Thumbs.db", "sub/5.jpeg")
    source = FolderSource(tmp_path, NOWHERE)
    assert found_in(source) == ["1.jpg", "2.JPG", "sub/5.jpeg"]
    assert source.leftovers.passed_over.files == 2
    assert source.leftovers.problems == []


def test_library_inside_the_folder_of_photos_is_left_out(photos: Path) -> None:
    library = LibraryFactory(photos / "library")
    put(library.folder.root, "sheet.jpg")
    put(photos, "library2/10.jpg")
    report = library.add(photos)
    assert (report.scan.found, report.run.failed) == (11, 1)
    assert not any("/library/" in path for path in photos_of(library.folder))


def test_library_is_left_out_though_the_folder_is_reached_by_a_link(photos: Path, tmp_path: Path) -> None:
    library = LibraryFactory(photos / "library")
    put(library.folder.root, "sheet.jpg")
    (tmp_path / "link").symlink_to(photos)
    assert "library/sheet.jpg" not in found_in(source_at(tmp_path / "link", library.folder.root))


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    put(tmp_path, "elsewhere/far.jpg")
    put(folder, "near.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "elsewhere" / "far.jpg")
    (folder / "elsewhere").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    source = FolderSource(folder, NOWHERE)
    assert found_in(source) == ["link.jpg", "near.jpg"]
    assert [found.size_bytes for found in source.photos()] == [2, 2]


def test_link_to_nothing_is_a_missing_photo(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    ((found),) = FolderSource(tmp_path, NOWHERE).photos()
    assert (found.failure_kind, found.failure_reason) == ("missing", "there is no such file")


@pytest.mark.parametrize(
    "name", ["ванна.jpg", "a b  c.jpg", "line\nbreak.jpg", "tab\t.jpg", "'\"%_.jpg", "\U0001f6c1.jpg", "e\u0301.jpg"]
)
def test_any_utf_8_name_is_embedded_found_and_known_again(library: LibraryFactory, photos: Path, name: str) -> None:
    (photos / "00.jpg").rename(photos / name)
    assert library.add(photos).run.encoded == 10
    assert states_of(library.folder)[name] == EMBEDDED
    with library.open() as opened:
        assert str(photos / name) in {hit.path for hit in opened.search(image=photos / name, k=10)}
    assert library.add(photos).scan.unchanged == 10


def test_name_that_is_not_utf_8_is_a_stored_failure(library: LibraryFactory, photos: Path) -> None:
    path = bytes_name(photos, b"caf\xe9.jpg", photo_bytes(99))
    assert library.add(photos).run.encoded == 10
    assert states_of(library.folder)["caf\\xe9.jpg"] == ("failed", "name")
    ((failure),) = list_failures(library.folder)
    assert (failure.kind, failure.where) == ("name", str(photos / "caf\\xe9.jpg"))
    assert "rename it" in failure.reason
    assert library.add(photos).scan.unchanged == 11
    os.rename(path, photos / "café.jpg")
    assert library.add(photos).run.encoded == 1
    assert states_of(library.folder)["caf\\xe9.jpg"] == ("failed", "missing")


def test_name_that_is_not_utf_8_beside_its_own_escaped_form(library: LibraryFactory, photos: Path) -> None:
    bytes_name(photos, b"caf\xe9.jpg")
    (photos / "caf\\xe9.jpg").write_bytes(photo_bytes(99))
    assert library.add(photos).run.encoded == 11


def test_folder_whose_own_name_is_not_utf_8(library: LibraryFactory, tmp_path: Path) -> None:
    folder = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9"))
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("the file system takes names in UTF-8 alone")
    put(Path(folder), "1.jpg")
    library.add(Path(folder))
    assert states_of(library.folder) == {"1.jpg": ("failed", "name")}


def test_folder_that_cannot_be_read_is_a_problem_and_its_photos_are_not_said_to_be_gone(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "locked").mkdir()
    (photos / "00.jpg").rename(photos / "locked" / "00.jpg")
    library.add(photos)
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    lock_folder(monkeypatch, photos / "locked")
    report = library.add(photos)
    assert (report.scan.problems, report.scan.vanished, report.run.encoded) == (1, 0, 1)
    assert problems_of(library.folder) == [{"where": str(photos / "locked"), "reason": "Permission denied"}]


@pytest.mark.parametrize("before", ["new library", "library with photos"])
def test_folder_without_photos_is_refused(library: LibraryFactory, photos: Path, tmp_path: Path, before: str) -> None:
    if before == "library with photos":
        library.add(photos)
    known = states_of(library.folder)
    empty = tmp_path / "empty"
    put(empty, "notes.txt", ".hidden.jpg", "sub/more.txt")
    (empty / "broken.tar").write_bytes(b"x" * 2000)
    with (
        writes() as statements,
        pytest.raises(SourceError, match=rf"no photos under {empty} \({empty}/broken.*: 2 other"),
    ):
        library.add(empty)
    assert statements == []
    assert states_of(library.folder) == known


def test_photos_of_a_folder_that_is_now_empty_are_kept(stocked: LibraryFactory, photos: Path) -> None:
    for path in photos.iterdir():
        path.unlink()
    with pytest.raises(SourceError, match=r"nothing was changed.* lost its 10 photos for good, .* --allow-empty"):
        stocked.add(photos)
    assert set(states_of(stocked.folder).values()) == {EMBEDDED}


def test_photos_of_a_folder_that_is_empty_for_good_are_missing_and_cost_nothing_when_they_are_back(
    stocked: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    photos.rename(tmp_path / "away")
    photos.mkdir()
    report = stocked.add(photos, allow_empty=True)
    assert (report.scan.found, report.scan.vanished) == (0, 10)
    assert set(states_of(stocked.folder).values()) == {("failed", "missing")}
    check_sound(stocked.folder)
    photos.rmdir()
    (tmp_path / "away").rename(photos)
    report = stocked.add(photos)
    assert (report.run.reused, report.run.encoded) == (10, 0)


def test_nothing_at_the_path_is_refused(library: LibraryFactory, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"nothing is at {tmp_path / 'gone'}: name a folder of photos"):
        library.add(tmp_path / "gone")
    with pytest.raises(SourceError, match=rf"no folder {tmp_path / 'gone'}"):
        FolderSource(tmp_path / "gone", library.folder.root)


def test_single_photo_is_added_whatever_its_name_and_no_other_beside_it(stocked: LibraryFactory, photos: Path) -> None:
    (photos / "photo").write_bytes(photo_bytes(99))
    (photos / "00.jpg").unlink()
    assert stocked.add(photos / "photo").run.encoded == 1
    assert set(states_of(stocked.folder).values()) == {EMBEDDED}


def test_source_is_chosen_by_what_is_at_the_path(photos: Path, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.Tar", {})
    assert isinstance(source_at(photos, NOWHERE), FolderSource)
    assert isinstance(source_at(tar, NOWHERE), TarSource)
    assert isinstance(source_at(photos / "00.jpg", NOWHERE), FileSource)


def test_relative_path_becomes_absolute(library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    library.add(Path("photos"))
    library.add(Path("photos/../photos/00.jpg"))
    assert len(photos_of(library.folder)) == 10
    assert all(path.startswith(str(photos)) for path in photos_of(library.folder))
