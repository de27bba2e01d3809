"""Files that are passed over are told by kind, with what makes photos of them."""

import os
from pathlib import Path

import pytest

from indexer.passed_over import (
    KINDS,
    LOOKS,
    MISSES,
    MOST_NAMES,
    PHOTO_ENDINGS,
    PassedOver,
    ending_of,
    kind_by_bytes,
    kind_by_name,
)
from indexer.sources import FolderSource
from tests.conftest import LibraryFactory, photo_bytes
from tests.indexer.conftest import found_in, put_named, write_tar

NOWHERE = Path("/nowhere/library")


def passed_over(folder: Path) -> PassedOver:
    source = FolderSource(folder, NOWHERE)
    found_in(source)
    return source.leftovers.passed_over


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.RAW", "raw"),
        ("a.b.cap", "raw"),
        ("a.psd", "other_picture"),
        ("a.MOV", "video"),
        ("a.zip", "archive"),
        ("a.tar.gz", "compressed_tar"),
        ("a.TGZ", "compressed_tar"),
        ("a.gz", "other"),
        ("a.xmp", "sidecar"),
        ("a.jpg.part", "unfinished"),
        ("Thumbs.db", "system_file"),
        ("thumbs.db.txt", "other"),
        ("a", "other"),
        ("a.", "other"),
        ("raw", "other"),
    ],
)
def test_kinds_are_told_by_endings(name: str, kind: str) -> None:
    assert kind_by_name(name, ending_of(name)) == kind


def test_no_ending_that_is_read_is_passed_over_and_none_is_of_two_kinds() -> None:
    endings = [ending for kind in KINDS.values() for ending in kind.endings.split()]
    assert len(endings) == len(set(endings))
    assert not PHOTO_ENDINGS & set(endings)
    assert ".tar" not in endings


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000", "PPM"])
def test_pictures_are_told_by_their_first_bytes(file_format: str) -> None:
    assert kind_by_bytes(photo_bytes(1, file_format=file_format)[:32]) == "picture"


@pytest.mark.parametrize(
    "start",
    [
        b"\0\0\0\x18ftypheic\0\0\0\0mif1",
        b"\0\0\0\x18ftypmsf1\0\0\0\0hevc",
        b"\xff\x0a\x08\x04",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"FUJIFILMCCD-RAW 0201",
        b"\0\0\0\x18ftypcrx \0\0\0\1",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"II\x1a\0\0\0HEAPCCDR",
        b"II*\0\x10\0\0\0CR\2\0",
    ],
)
def test_pictures_that_phones_and_cameras_write_are_told_by_their_first_bytes(start: bytes) -> None:
    assert kind_by_bytes(start) == "picture"


@pytest.mark.parametrize(
    "start",
    [
        b"\0\0\0\x18ftypisom\0\0\0\0mp41",
        b"\0\0\0\x14ftypqt  ",
        b"",
        b"%PDF-1.7",
        b"RIFF\0\0\0\0AVI LIST",
        b"BM",
        b"P1 is the first",
        b"PK\3\4",
        b"\0" * 32,
    ],
)
def test_other_first_bytes_are_no_pictures(start: bytes) -> None:
    assert kind_by_bytes(start) is None


def test_pictures_with_other_endings_are_told_in_folders_and_tars(tmp_path: Path) -> None:
    for name in ("IMG_1", "photo.jpg_large", "a.jpg~"):
        (tmp_path / name).write_bytes(photo_bytes(1))
    (tmp_path / "IMG_2").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    (tmp_path / "README").write_text("no picture")
    (tmp_path / "empty").touch()
    write_tar(tmp_path / "t.tar", {"x/IMG_3": photo_bytes(3), "y": b"", "z.txt": b"text"})
    assert passed_over(tmp_path).counts == {"picture": 5, "other": 4}


def test_only_so_many_files_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def read() -> bytes:
        reads.append(1)
        return b"\xff\xd8\xff"

    met = PassedOver()
    for number in range(LOOKS + 10):
        met.note_file(f"IMG_{number}", read)
    assert (len(reads), met.counts) == (LOOKS, {"picture": LOOKS, "other": 10})
    assert f"{LOOKS} or more pictures by their bytes" in str(met)
    met, reads = PassedOver(), []
    for number in range(MISSES + 10):
        met.note_file(f"{number}.txt", lambda: reads.append(1) or b"text")  # type: ignore[func-returns-value]
    met.note_file("IMG_1", lambda: b"\xff\xd8\xff")
    assert (len(reads), met.counts) == (MISSES, {"other": MISSES + 10, "picture": 1})


def test_many_endings_take_no_memory_without_end() -> None:
    met, other = PassedOver(), PassedOver()
    for number in range(2 * MOST_NAMES):
        met.note_file(f"a.{number}", bytes)
        other.note_file(f"b.x{number}", bytes)
    met.update(other)
    assert (met.files, len(met.names["other"])) == (4 * MOST_NAMES, MOST_NAMES)
    assert str(met).endswith(", ...)")


def test_what_is_passed_over_is_told_with_its_remedy(library: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    pictures, others = ("a.psd", "b.raw", "c.CAP"), ("f.mp4", "g.xmp", "h.txt", "i\x1b[31m.\nx", "Thumbs.db")
    put_named(photos, *pictures, "d.zip", "e.tar.gz", *others, data=b"x")
    (photos / ".DS_Store").touch()
    (tmp_path / "elsewhere").mkdir()
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    (photos / "again").symlink_to(photos)
    (photos / "results").symlink_to(library.folder.root)
    report = library.add(photos)
    with_remedy, others = str(report).splitlines()[1:3]
    assert with_remedy == "passed over: " + ", ".join(
        (
            "2 files that may be camera raw (.raw 1, .cap 1: name one by one if they are)",
            "1 picture of another format (.psd: save as JPEG or PNG first)",
            "1 archive (.zip: unpack first)",
            "1 compressed tar (.tar.gz: name as a PATH of its own to add it, or pack again as .tar)",
            f"1 linked folder not followed ({photos / 'linked'}: name as a PATH of its own to add it)",
        )
    )
    assert others == "passed over: " + ", ".join(
        (
            "1 video",
            "1 sidecar (.xmp)",
            "1 system file (Thumbs.db)",
            "1 link to what is found anyway",
            r"2 other files (.txt 1, .\nx 1)",
            "1 hidden",
        )
    )
    assert report.scan.other_files == 11
    assert report.scan.as_json()["passed_over"]["raw"] == {"count": 2, "names": {".raw": 1, ".cap": 1}}


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert passed_over(tmp_path).counts == {"other": 1}


def test_a_member_is_looked_into_at_its_place(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", {"a": b"text" * 100, "b": photo_bytes(1), "c": b"\xff"})
    assert passed_over(tmp_path).names["picture"] == {"": 1}
    assert passed_over(tmp_path).counts == {"other": 2, "picture": 1}
