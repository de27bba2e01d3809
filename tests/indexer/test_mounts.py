"""Disks that are not there, in folders and behind links, and shares that do not answer: nothing is deleted."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from db.source_rows import remembered_sources
from indexer.mounts import is_mounted, mount_of
from tests.by_folder import disagreements, session_of
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.indexer.conftest import HotelsTree, check_invariants, problems_of, states_of, write_tar

EMBEDDED, MISSING = ("embedded", None), ("failed", "missing")


class Disks:
    """Disks that are plugged into folders: what lies in them is there while they are."""

    def __init__(self, away: Path) -> None:
        self.mounted: set[str] = set()
        self._away = away

    def plug(self, place: Path) -> None:
        if (self._away / place.name).exists():
            shutil.rmtree(place, ignore_errors=True)
            (self._away / place.name).rename(place)
        self.mounted.add(str(place))

    def unplug(self, place: Path) -> None:
        self._away.mkdir(exist_ok=True)
        place.rename(self._away / place.name)
        place.mkdir()
        self.mounted.remove(str(place))

    def is_mount(self, place: str) -> bool:
        return place == "/" or (str(place) in self.mounted and os.path.isdir(place))

    def device_of(self, folder: str) -> int:
        mounts = [mount for mount in self.mounted if f"{folder}/".startswith(f"{mount}/")]
        return 1 + len(max(mounts, key=len, default=""))


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    disks = Disks(tmp_path / "away")
    monkeypatch.setattr("indexer.mounts.os.path.ismount", disks.is_mount)
    monkeypatch.setattr("indexer.sources.device_of", disks.device_of)
    return disks


@pytest.fixture
def drive(disks: Disks, library: LibraryFactory, photos: Path) -> Path:
    """A drive plugged in below a source, with two photos, which the library knows beside ten others."""
    drive = photos / "drive"
    drive.mkdir()
    disks.plug(drive)
    fill_folder(drive, (20, 21))
    assert library.add(photos).run.encoded == 12
    return drive


def mounts_of(library: LibraryFactory) -> list[dict[str, bool]]:
    with session_of(library.folder) as session:
        return [source.mounts for source in remembered_sources(session)]


def test_mount_points_are_the_systems() -> None:
    assert (mount_of("/"), is_mounted("/"), is_mounted("/nowhere")) == ("/", True, False)


@pytest.mark.parametrize("state", ["empty", "vanished", "something else in it", "another disk"])
def test_an_unplugged_drive_is_no_deletion(
    library: LibraryFactory, photos: Path, drive: Path, disks: Disks, state: str
) -> None:
    disks.unplug(drive)
    if state == "vanished":
        drive.rmdir()
    elif state != "empty":
        (drive / "other.jpg").write_bytes(photo_bytes(30))
        disks.mounted |= {str(drive)} if state == "another disk" else set()
    (photos / "00.jpg").unlink()
    for _ in range(2):  # it is remembered for as long as it is away
        report = library.add(photos)
        assert (report.scan.kept, report.scan.kept_at) == (2, [str(drive)])
    assert f"`aliens add {photos} --allow-empty` believes it" in "".join(report.notes)
    states = states_of(library.folder)
    assert (states["20.jpg"], states["21.jpg"], states["00.jpg"]) == (EMBEDDED, EMBEDDED, MISSING)
    check_invariants(library.folder)
    disks.mounted.discard(str(drive))
    disks.plug(drive)
    (drive / "20.jpg").unlink()
    report = library.add(photos)  # what was deleted from a disk that is there is
    kept = 2 if state == "another disk" else 0  # that of the other disk, and what may be on a third one
    assert (report.scan.kept, report.run.encoded) == (kept, 0)
    assert states_of(library.folder)["20.jpg"] == (EMBEDDED if kept else MISSING)
    assert mounts_of(library) == [{str(drive): state == "another disk"}]


def test_verify_tells_once_of_an_unplugged_drive_and_names_no_remedy_that_would_delete(
    library: LibraryFactory, photos: Path, disks: Disks, drive: Path
) -> None:
    (photos / "00.jpg").unlink()
    disks.unplug(drive)
    gone, lost = disagreements(library.folder)
    assert (gone.what, gone.remedy) == (f"{photos}/00.jpg: No such file or directory", f"`aliens add {photos}`")
    assert lost.what == f"2 photos cannot be looked at: their disk is not there, nothing is mounted at {drive}"
    assert "allow-empty" not in lost.remedy
    disks.plug(drive)
    assert [told.what for told in disagreements(library.folder)] == [gone.what]


def test_a_drive_that_is_gone_for_good_is_believed_and_looked_for_no_more(
    library: LibraryFactory, photos: Path, drive: Path, disks: Disks
) -> None:
    disks.unplug(drive)
    report = library.add(photos, allow_empty=True)
    assert (report.scan.kept, report.scan.vanished, mounts_of(library)) == (0, 2, [{}])
    shutil.copy(photos / "01.jpg", drive / "02.jpg")
    assert library.add(photos).scan.kept == 0


def test_photos_that_were_copied_to_where_a_drive_was_are_as_they_were(
    library: LibraryFactory, photos: Path, drive: Path, disks: Disks
) -> None:
    disks.unplug(drive)
    shutil.copytree(photos.parent / "away" / "drive", drive, dirs_exist_ok=True)
    report = library.add(photos)
    assert (report.scan.kept, report.scan.unchanged, mounts_of(library)) == (0, 12, [{}])


def test_links_to_an_unplugged_drive_lead_nowhere_and_are_kept(
    library: LibraryFactory, photos: Path, tmp_path: Path, disks: Disks
) -> None:
    drive = tmp_path / "usb"
    drive.mkdir()
    disks.plug(drive)
    (drive / "far.jpg").write_bytes(photo_bytes(40))
    (photos / "link.jpg").symlink_to(drive / "far.jpg")
    library.add(photos)
    disks.unplug(drive)
    for _ in range(2):
        assert (report := library.add(photos)).scan.kept_at == [str(drive)]
        assert (report.scan.kept, report.scan.missing, states_of(library.folder)["link.jpg"]) == (1, 0, EMBEDDED)
    disks.plug(drive)
    (drive / "far.jpg").unlink()
    assert library.add(photos).scan.missing == 1
    assert states_of(library.folder)["link.jpg"] == MISSING


def test_the_images_of_a_tree_on_a_drive_of_their_own(library: LibraryFactory, tree: HotelsTree, disks: Disks) -> None:
    images = tree.root / "images"
    disks.plug(images)
    with library.open() as opened:
        opened.add(hotels50k=tree.root)
        disks.unplug(images)
        report = opened.add(hotels50k=tree.root)
    assert (report.scan.kept, report.scan.missing) == (3, 0)
    assert set(states_of(library.folder).values()) == {EMBEDDED}


def test_photos_that_were_replaced_on_a_disk_that_holds_more_are_gone(
    library: LibraryFactory, photos: Path, disks: Disks
) -> None:
    disks.plug(photos.parent)
    library.add(photos)
    for photo in photos.iterdir():
        photo.unlink()
    (photos / "new.jpg").write_bytes(photo_bytes(50))
    assert (report := library.add(photos)).scan.vanished == 10
    assert report.scan.kept == 0


def test_a_source_on_a_drive_with_a_stray_in_its_place(library: LibraryFactory, photos: Path, disks: Disks) -> None:
    disks.plug(photos)
    library.add(photos)
    disks.unplug(photos)
    (photos / "stray.jpg").write_bytes(photo_bytes(50))
    report = library.add(photos)
    assert (report.scan.new, report.scan.kept, report.scan.vanished) == (1, 10, 0)


@pytest.mark.parametrize("where", ["a folder", "a file", "a file's listing", "a tar"])
def test_a_share_that_does_not_answer_in_the_midst_is_told_and_loses_nothing(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    for name in ("deep", "tars"):
        (photos / name).mkdir()
    (photos / "03.jpg").rename(photos / "deep" / "03.jpg")
    tar = write_tar(photos / "tars" / "a.tar", {"in.jpg": photo_bytes(60)})
    library.add(photos)
    lost = {"a folder": photos / "deep", "a tar": tar}.get(where, photos / "05.jpg")

    def broken(real: object) -> object:
        def call(path: object, *arguments: object, **options: object) -> object:
            at = str(path) if "dir_fd" not in options else ""
            if at == str(lost) or (options.get("dir_fd") and path == lost.name):
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            return real(path, *arguments, **options)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "scandir", "open"):
            patch.setattr(f"os.{name}", broken(getattr(os, name)))
        report = library.add(photos)
    assert report.scan.vanished == 0
    assert set(states_of(library.folder).values()) == {EMBEDDED}
    assert [problem["where"] for problem in problems_of(library.folder)] == [str(lost)]
    assert library.add(photos).scan.unchanged == 11
