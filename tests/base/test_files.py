import errno
import fcntl
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base import files
from base.errors import PhotoError
from base.files import (
    PhotoFile,
    atomic_write,
    checksum_problem,
    folder_lock,
    half_written,
    is_left,
    make_folder,
    sha256_of,
    sync_folder,
    temporary_beside,
)
from base.memory import MemoryBudget
from base.tars import tar_index
from tests.conftest import raising
from tests.indexer.conftest import write_tar


def make_tar(path: Path, members: dict[str, bytes]) -> None:
    folder = tarfile.TarInfo("photos")
    folder.type = tarfile.DIRTYPE
    with tarfile.open(path, "w") as tar:
        tar.addfile(folder)
    write_tar(path, members, "a")


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


@pytest.mark.parametrize("member", ["", "1.jpg"])
def test_a_file_or_a_tar_that_is_gone_is_not_found(tmp_path: Path, member: str) -> None:
    with pytest.raises(FileNotFoundError):
        PhotoFile(str(tmp_path / "photos.tar"), member).read()


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
    write_tar(tar, {"1.jpg": b"old"})
    write_tar(tar, {"1.jpg": b"new"}, "a")
    assert PhotoFile(str(tar), "1.jpg").read() == b"new"


@pytest.mark.parametrize("member", ["3.jpg", "photos", "./1.jpg"])
def test_a_missing_member_is_not_found_and_named(tmp_path: Path, member: str) -> None:
    tar = tmp_path / "photos.tar"
    make_tar(tar, {"1.jpg": b"one"})
    with pytest.raises(FileNotFoundError) as caught:
        PhotoFile(str(tar), member).read()
    assert str(caught.value) == f"{tar} holds no member {member}"


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


# More bytes than a photo can have


def sparse(path: Path, size_bytes: int) -> PhotoFile:
    """Make a file that says it has so many bytes, and takes none of the disk."""
    path.touch()
    try:
        os.truncate(path, size_bytes)
    except OSError as error:
        pytest.skip(f"no file of {size_bytes} bytes here: {error.strerror}")
    return PhotoFile(str(path))


def test_a_file_larger_than_any_photo_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(PhotoError) as caught:
        sparse(tmp_path / "film.jpg", 200_000_000_000).read()
    assert caught.value.kind == "too large"
    assert caught.value.reason.startswith("200,000 MB are over the cap of 1,000 MB a photo: save it smaller")


def test_a_member_larger_than_any_photo_is_not_read(tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    film = tarfile.TarInfo("film.jpg")
    film.size = 200_000_000_000
    tar.write_bytes(film.tobuf(tarfile.GNU_FORMAT))
    assert sparse(tar, film.size + 100_000).path == str(tar)
    with pytest.raises(PhotoError, match="200,000 MB are over the cap"):
        PhotoFile(str(tar), "film.jpg").read()


def test_the_cap_is_inclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"12345")
    monkeypatch.setattr(files, "MAX_PHOTO_BYTES", 5)
    assert PhotoFile(str(tmp_path / "photo.jpg")).read() == b"12345"
    monkeypatch.setattr(files, "MAX_PHOTO_BYTES", 4)
    with pytest.raises(PhotoError):
        PhotoFile(str(tmp_path / "photo.jpg")).read()


def test_bytes_that_do_not_fit_into_memory_are_one_photos_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        read = raising(MemoryError())

    path = tmp_path / "photo.jpg"
    path.write_bytes(b"pixels")
    monkeypatch.setattr("base.files.open_regular", lambda path, **options: Full(path))
    with pytest.raises(PhotoError, match="do not fit into memory"):
        PhotoFile(str(path)).read()


def test_photos_are_lent_as_long_as_all_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BYTES_AT_ONCE", MemoryBudget(10))
    for name, size_bytes in (("a", 6), ("b", 6), ("c", 4)):
        (tmp_path / name).write_bytes(bytes(size_bytes))
    given_back = threading.Event()

    def borrow() -> bool:
        with PhotoFile(str(tmp_path / "b")).lent() as data:
            assert data == bytes(6)
            return given_back.is_set()

    with ThreadPoolExecutor(1) as pool:
        with PhotoFile(str(tmp_path / "a")).lent(), PhotoFile(str(tmp_path / "c")).lent():
            waiting = pool.submit(borrow)
            assert not waiting.done()
            given_back.set()
        assert waiting.result()


def lying_tar(path: Path, kind: bytes, size_bytes: int) -> Path:
    """Write a tar whose second member says that it has another size; kind: of that member, as tar has it."""
    make_tar(path, {"1.jpg": b"one"})
    liar = tarfile.TarInfo("2.jpg")
    liar.type = kind
    header = bytearray(liar.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (size_bytes % (1 << 96) | (size_bytes >= 0) << 95).to_bytes(12)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with path.open("r+b") as file:
        file.seek(3 * tarfile.BLOCKSIZE)
        file.write(header + b"two".ljust(tarfile.BLOCKSIZE, b"\0"))
    return path


@pytest.mark.parametrize("size_bytes", [-1, -512, -(2**70), 2**40, 2**63, 2**80])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, b"Z"])
def test_sizes_that_make_no_sense_are_a_tars_fault(tmp_path: Path, kind: bytes, size_bytes: int) -> None:
    tar = lying_tar(tmp_path / "photos.tar", kind, size_bytes)
    if kind == tarfile.DIRTYPE and size_bytes > 0:  # a folder has no bytes, whatever it says
        assert "1.jpg" in tar_index(str(tar), 0).members
    else:
        with pytest.raises((OSError, tarfile.TarError)):
            tar_index(str(tar), 0)


def test_headers_without_end_are_a_tars_fault(tmp_path: Path) -> None:
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 4
    tar = tmp_path / "photos.tar"
    tar.write_bytes((name.tobuf(tarfile.GNU_FORMAT) + b"abc".ljust(tarfile.BLOCKSIZE, b"\0")) * 5_000)
    with pytest.raises(tarfile.ReadError, match="a header makes no sense"):
        tar_index(str(tar), 0)


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

    monkeypatch.setattr(os, function, raising(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OSError, match="No space left"), atomic_write(path) as file:
        file.write(b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def left_by_a_kill(path: Path) -> Path:
    """Return the temporary file of a writer of a path that did not live to its end."""
    temporary, descriptor = temporary_beside(path)
    os.write(descriptor, b"half")
    os.close(descriptor)
    return temporary


def test_of_two_who_write_to_one_path_the_later_to_end_wins_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with atomic_write(path) as first:
        first.write(b"first, ")
        with atomic_write(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
        first.write(b"and longer")
    assert path.read_bytes() == b"first, and longer"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_fails_takes_nothing_from_another(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with atomic_write(path) as first:
        first.write(b"first")
        with suppress(ValueError), atomic_write(path) as second:
            second.write(b"second")
            raise ValueError
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_many_threads_that_write_to_one_path_leave_what_one_of_them_wrote(tmp_path: Path) -> None:
    path, contents = tmp_path / "file.bin", [bytes([number]) * 5000 for number in range(8)]

    def write(content: bytes) -> None:
        for _ in range(10):
            with atomic_write(path) as file:
                file.write(content[:2500])
                file.write(content[2500:])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["file.bin.tmp", ".file.bin.tmp", ".file.bin.mine.tmp", ".file.bin.0123456789abcdef"])
def test_a_users_own_file_of_a_like_name_is_not_touched(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.bin"
    (tmp_path / name).write_bytes(b"a user's own")
    with atomic_write(path) as file:
        file.write(b"new")
    with suppress(ValueError), atomic_write(path):
        raise ValueError
    assert (path.read_bytes(), (tmp_path / name).read_bytes()) == (b"new", b"a user's own")
    assert half_written(tmp_path) == []


def test_what_a_killed_process_left_is_removed_by_the_next_who_writes_to_the_path(tmp_path: Path) -> None:
    path, other = tmp_path / "file.bin", tmp_path / "other.bin"
    left, left_of_other = left_by_a_kill(path), left_by_a_kill(other)
    assert half_written(tmp_path) == sorted([left, left_of_other])
    assert half_written(tmp_path, path.name) == [left]
    with atomic_write(path) as file:
        file.write(b"new")
    assert sorted(tmp_path.iterdir()) == [left_of_other, path]
    is_left(left_of_other, remove=True)
    assert list(tmp_path.iterdir()) == [path]


def test_what_somebody_is_writing_is_not_taken_for_left(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with atomic_write(path) as file:
        (temporary,) = tmp_path.iterdir()
        assert half_written(tmp_path) == []
        is_left(temporary, remove=True)
        assert temporary.exists()
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_where_the_file_system_knows_no_locks_nothing_is_taken_for_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.bin"
    left = left_by_a_kill(path)
    monkeypatch.setattr("base.files.fcntl.flock", raising(OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))))
    assert half_written(tmp_path) == []
    with atomic_write(path) as file:
        file.write(b"new")
    assert sorted(tmp_path.iterdir()) == [left, path]
    assert path.read_bytes() == b"new"


def test_in_a_folder_that_is_absent_nothing_is_left_or_synced(tmp_path: Path) -> None:
    assert half_written(tmp_path / "absent") == []
    assert not is_left(tmp_path / "absent" / "file.bin", remove=True)
    sync_folder(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """What the process takes from the modes of new files."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_the_mode_is_that_of_any_new_file(tmp_path: Path, umask: int) -> None:
    with atomic_write(tmp_path / "file.bin") as file:
        file.write(b"new")
    (tmp_path / "plain.bin").write_bytes(b"new")
    assert (tmp_path / "file.bin").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "file.bin").stat().st_mode == (tmp_path / "plain.bin").stat().st_mode


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "全" * 85, "🛏" * 63], ids=["1", "2", "3", "4"])
def test_a_name_as_long_as_file_systems_allow_can_be_written(tmp_path: Path, name: str) -> None:
    """Of characters that take so many bytes each."""
    path = tmp_path / name
    left_by_a_kill(path)
    with atomic_write(path) as file:
        file.write(b"new")
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [(name, b"new")]


def test_of_two_long_names_that_begin_alike_neither_disturbs_the_other(tmp_path: Path) -> None:
    one, other = tmp_path / ("x" * 200 + "1"), tmp_path / ("x" * 200 + "2")
    with atomic_write(one) as first, atomic_write(other) as second:
        first.write(b"1")
        second.write(b"2")
    assert (one.read_bytes(), other.read_bytes()) == (b"1", b"2")


def test_a_folders_lock_is_held_by_one_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with suppress(ValueError), folder_lock(tmp_path):
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise ValueError
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
    assert list(tmp_path.iterdir()) == []


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


def test_a_file_in_new_folders_survives_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "new" / "newer" / "file.bin", list[tuple[Path, bool]]()
    monkeypatch.setattr("base.files.sync_folder", lambda folder: synced.append((folder, path.exists())))
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert synced == [(tmp_path, False), (tmp_path / "new", False), (path.parent, True)]


def test_a_folder_where_something_else_is_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError) as caught:
            make_folder(folder)
        assert caught.value.filename == str(folder)


# Whether a file is what was written


@given(st.binary(min_size=1, max_size=3000), st.data())
def test_a_flipped_bit_or_a_lost_end_is_another_checksum(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "checked.bin"
    path.write_bytes(content)
    written = hashlib.sha256(content).hexdigest()
    assert sha256_of(path) == written
    assert checksum_problem(path, written) is None
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(content)
    flipped[place] ^= 1 << bit
    for spoilt in (bytes(flipped), content[:place], content + b"\0"):
        path.write_bytes(spoilt)
        assert checksum_problem(path, written) == f"{path} is not what was written: its checksum is another one"


def test_a_file_that_is_gone_or_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    assert checksum_problem(tmp_path / "gone.bin", "0" * 64) == f"{tmp_path / 'gone.bin'} is gone"
    assert checksum_problem(tmp_path, "0" * 64) == f"{tmp_path} cannot be read: Is a directory"


def test_an_error_names_the_file_that_was_asked_for_and_no_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "tags.csv"
    with pytest.raises(NotADirectoryError) as caught, atomic_write(path):
        pass
    assert caught.value.filename == str(path)
