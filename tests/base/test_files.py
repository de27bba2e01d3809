import errno
import io
import os
import tarfile
from pathlib import Path

import pytest

from base import files
from base.files import PhotoFile, atomic_write, sync_folder, tar_index


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as tar:
        folder = tarfile.TarInfo("photos")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def touch(path: Path) -> None:
    """Move a file's time of change on, however coarse the file system's clock is."""
    now = path.stat().st_mtime_ns
    os.utime(path, ns=(now, now + 2_000_000_000))


# Where a photo's bytes lie


def test_a_files_bytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"pixels")
    assert PhotoFile(str(path)).read() == b"pixels"
    assert str(PhotoFile(str(path))) == str(path)


def test_a_file_that_is_gone_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PhotoFile(str(tmp_path / "photo.jpg")).read()


def test_the_bytes_of_tar_members_are_read(tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    long_name = "photos/" + "ä" * 150 + ".jpg"
    members = {"photos/1.jpg": b"one", "photos/2.jpg": b"second" * 1000, "photos/empty.jpg": b"", long_name: b"long"}
    make_tar(tar, members)
    for name, data in members.items():
        assert PhotoFile(str(tar), name).read() == data
    assert str(PhotoFile(str(tar), "photos/1.jpg")) == f"{tar}!photos/1.jpg"


def test_only_regular_files_are_members(tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    make_tar(tar, {"photos/1.jpg": b"one"})
    with tarfile.open(tar, "a") as file:
        link = tarfile.TarInfo("photos/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    assert list(tar_index(str(tar), tar.stat().st_mtime_ns).members) == ["photos/1.jpg"]


def test_of_two_members_of_one_name_the_later_counts(tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    make_tar(tar, {"1.jpg": b"old"})
    with tarfile.open(tar, "a") as file:
        member = tarfile.TarInfo("1.jpg")
        member.size = 3
        file.addfile(member, io.BytesIO(b"new"))
    assert PhotoFile(str(tar), "1.jpg").read() == b"new"


@pytest.mark.parametrize("member", ["3.jpg", "photos", "./1.jpg"])
def test_a_missing_member_is_not_found_and_named(tmp_path: Path, member: str) -> None:
    tar = tmp_path / "photos.tar"
    make_tar(tar, {"1.jpg": b"one"})
    with pytest.raises(FileNotFoundError) as caught:
        PhotoFile(str(tar), member).read()
    assert str(caught.value) == f"{tar} holds no member {member}"


def test_a_missing_tar_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PhotoFile(str(tmp_path / "photos.tar"), "1.jpg").read()


def test_a_tar_that_changed_is_read_anew(tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    make_tar(tar, {"1.jpg": b"one"})
    photo = PhotoFile(str(tar), "1.jpg")
    assert photo.read() == b"one"
    make_tar(tar, {"0.jpg": b"another photo before it" * 100, "1.jpg": b"changed"})
    touch(tar)
    assert photo.read() == b"changed"
    make_tar(tar, {"0.jpg": b"alone"})
    touch(tar)
    touch(tar)
    with pytest.raises(FileNotFoundError):
        photo.read()


def test_a_tar_is_listed_once_for_all_its_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar = tmp_path / "photos.tar"
    make_tar(tar, {f"{number}.jpg": b"photo" for number in range(5)})
    opened = []
    open_tar = tarfile.open
    monkeypatch.setattr(files.tarfile, "open", lambda *args: opened.append(args) or open_tar(*args))
    for number in range(5):
        PhotoFile(str(tar), f"{number}.jpg").read()
    assert len(opened) == 1


@pytest.mark.parametrize("content", [b"no tar at all" * 100, b""])
def test_a_tar_that_became_something_else_is_an_os_error(tmp_path: Path, content: bytes) -> None:
    tar = tmp_path / "photos.tar"
    make_tar(tar, {"1.jpg": b"one"})
    tar.write_bytes(content)
    with pytest.raises(OSError):
        PhotoFile(str(tar), "1.jpg").read()


# Writing that leaves no half file


def test_what_was_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with atomic_write(path) as file:
        file.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    with atomic_write(path) as file:
        file.write(b"second")
        assert path.read_bytes() == b"first"
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, b"old"])
def test_after_an_exception_the_old_file_stays_and_nothing_is_left(
    tmp_path: Path, error: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "file.bin"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if old is None else [old])


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(tmp_path: Path, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space left"), atomic_write(path) as file:
        file.write(b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    (tmp_path / "file.bin.tmp").write_bytes(b"left by a process that was killed")
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_bytes_and_then_the_rename_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.bin"
    synced = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((os.fstat(file).st_size, path.exists())) or sync(file))
    with atomic_write(path) as file:
        file.write(b"new")
    assert synced[0] == (3, False)
    assert synced[1][1] is True
    assert len(synced) == 2


def test_a_file_in_a_folder_that_is_absent_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "absent" / "file.bin") as file:
        file.write(b"new")


def test_a_folder_that_cannot_be_opened_is_not_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []
