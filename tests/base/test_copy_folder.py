import errno
import os
from pathlib import Path
from typing import Any

import pytest

from base.copy_folder import LONGEST_NAME_BYTES, CopyFolder, copy_ranked, portable
from base.errors import OutputError, QueryError
from base.files import PhotoFile
from tests.indexer.conftest import write_tar


@pytest.fixture
def sources(tmp_path: Path) -> list[PhotoFile]:
    """Photos of one name in two folders, and a member of a tar."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "room.jpg").write_text(folder)
    os.utime(tmp_path / "one/room.jpg", ns=(10**18, 10**18 + 7000))
    write_tar(tmp_path / "x.tar", {"dir/отель.png": b"member"})
    files = [PhotoFile(str(tmp_path / folder / "room.jpg")) for folder in ("one", "two")]
    return [*files, PhotoFile(str(tmp_path / "x.tar"), "dir/отель.png")]


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


EXPECTED = {"01_room.jpg": "one", "02_room.jpg": "two", "03_отель.png": "member"}


def test_copies_are_named_by_rank_and_keep_their_times(sources: list[PhotoFile], tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    report = copy_ranked(sources, out, total=3)
    assert contents(out) == EXPECTED
    assert (out / "01_room.jpg").stat().st_mtime_ns == 10**18 + 7000
    assert (report.files, report.left_out) == ([out / name for name in EXPECTED], [])
    assert not any(path.is_symlink() for path in out.iterdir())


def test_links_lead_to_the_photos_and_members_are_copied(sources: list[PhotoFile], tmp_path: Path) -> None:
    copy_ranked(sources, tmp_path / "out", total=3, link=True)
    assert contents(tmp_path / "out") == EXPECTED
    links = {path.name: os.readlink(path) for path in (tmp_path / "out").iterdir() if path.is_symlink()}
    assert links == {"01_room.jpg": sources[0].path, "02_room.jpg": sources[1].path}


@pytest.mark.parametrize(("total", "name"), [(3, "01_"), (100, "001_"), (None, "000001_")])
def test_ranks_sort_as_names_do(sources: list[PhotoFile], tmp_path: Path, total: int | None, name: str) -> None:
    report = copy_ranked(iter(sources), tmp_path / "out", total=total)
    assert report.files[0].name == f"{name}room.jpg"


def test_a_folder_that_holds_something_is_refused_and_stays(sources: list[PhotoFile], tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"one holds room.jpg already: name a new folder"):
        copy_ranked(sources, tmp_path / "one")
    assert contents(tmp_path / "one") == {"room.jpg": "one"}
    (tmp_path / "empty").mkdir()
    assert len(copy_ranked(sources, tmp_path / "empty").files) == 3
    for place in ("one/room.jpg", "one/room.jpg/x"):
        with pytest.raises(OutputError, match="Not a directory; no photo copied"):
            copy_ranked(sources, tmp_path / place)
    with pytest.raises(QueryError, match="name is empty"):
        copy_ranked(sources, "")


@pytest.mark.parametrize("link", [False, True])
def test_photos_that_are_gone_are_told_of_and_the_others_copied(
    sources: list[PhotoFile], tmp_path: Path, link: bool
) -> None:
    os.unlink(sources[0].path)
    report = copy_ranked([*sources, PhotoFile(sources[2].path, "gone.jpg")], tmp_path / "out", total=4, link=link)
    assert sorted(contents(tmp_path / "out")) == ["02_room.jpg", "03_отель.png"]
    assert report.notes[0].startswith("left out 2 photos that cannot be read: ")
    assert "one/room.jpg: No such file" in report.notes[0]
    with pytest.raises(OutputError, match=r"nothing was copied to .*No such file"):
        copy_ranked(sources[:1], tmp_path / "none")


def test_a_full_disk_or_ctrl_c_leaves_whole_photos_and_no_other_file(
    sources: list[PhotoFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, replace = Path.write_bytes, os.replace

    def full(path: Path, data: Any) -> int:
        if b"two" in data:
            write(path, data[:1])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    def stop(old: Path, new: Path) -> None:
        if new.name.startswith("02"):
            raise KeyboardInterrupt
        replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="out cannot be written: No space left on device; 1 photo copied before"):
            copy_ranked(sources, tmp_path / "out", total=3)
    assert contents(tmp_path / "out") == {"01_room.jpg": "one"}
    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        copy_ranked(sources, tmp_path / "stopped", total=3)
    assert contents(tmp_path / "stopped") == {"01_room.jpg": "one"}


def test_nothing_is_written_over_and_the_same_photo_is_there_once(sources: list[PhotoFile], tmp_path: Path) -> None:
    for _ in range(2):
        copies = CopyFolder(tmp_path / "out")
        for source in sources:
            copies.add("Room.jpg", source)
        assert [path.name for path in copies.report.files] == ["Room.jpg", "Room-2.jpg", "Room-3.jpg"]
    assert contents(tmp_path / "out") == {"Room.jpg": "one", "Room-2.jpg": "two", "Room-3.jpg": "member"}
    copies.add("ROOM.jpg", sources[0])  # on disks that take both for one
    assert copies.report.files[-1].name == "ROOM-4.jpg"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("отель 写真 é.JPG", "отель 写真 é.JPG"),
        ("a\x1b]8;;x\x07\n\u202e.jpg", "a_]8;;x___.jpg"),
        ('a<b>c:d"e\\f|g?h*i.jpg', "a_b_c_d_e_f_g_h_i.jpg"),
        ("no ending", "no ending"),
        ("a. .jpg", "a.jpg"),
        ("..", "_"),
    ],
)
def test_names_are_taken_by_every_disk(name: str, expected: str) -> None:
    assert portable(name) == expected


@pytest.mark.parametrize("letter", ["a", "é", "写", "👨"])
def test_long_names_are_cut_between_letters_and_keep_their_ending(letter: str) -> None:
    cut = portable(letter * 300 + ".jpeg")
    assert cut.endswith(f"{letter}.jpeg")
    assert LONGEST_NAME_BYTES - 4 < len(cut.encode()) <= LONGEST_NAME_BYTES
    assert len(portable("a." + letter * 300).encode()) <= LONGEST_NAME_BYTES
