import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest

from base import unpacked
from base.errors import SourceError
from base.files import PhotoFile
from base.tars import tar_index
from base.unpacked import UNPACKED
from indexer.braces import names_meant
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.indexer.conftest import photos_of, problems_of, write_tar

PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALIENS_CACHE", str(tmp_path / "cache"))


def tar_bytes(folder: Path, members: dict[str, bytes]) -> bytes:
    return write_tar(folder / "plain.tar", members).read_bytes()


@pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".tar.bz2", ".TXZ"])
def test_a_compressed_tar_is_unpacked_once_and_its_members_found_again(
    library: LibraryFactory, tmp_path: Path, ending: str
) -> None:
    plain = tar_bytes(tmp_path, {"r/1.jpg": photo_bytes(1), "r/2.jpg": photo_bytes(2), "r/1.txt": b"a room"})
    kind = {"g": "gz", "b": "bz2", "x": "xz"}[ending.lower().replace(".tar", "").strip(".t")[0]]
    half = len(plain) // 2
    packed = tmp_path / f"rooms{ending}"
    packed.write_bytes(PACKERS[kind](plain[:half]) + PACKERS[kind](plain[half:]))  # streams may follow each other
    report = library.add(packed, hotel_from="path")
    assert (report.scan.new, report.run.encoded, report.metadata.hotels) == (2, 2, {"rooms": 2})
    assert photos_of(library.folder)[f"{packed}!r/1.jpg"].details == {"caption": "a room"}
    UNPACKED._kept.clear()  # as in another process
    tar_index.cache.clear()
    assert library.add(packed).scan.unchanged == 2
    assert not UNPACKED._kept  # what it holds was kept
    assert PhotoFile(str(packed), "r/2.jpg").read() == photo_bytes(2)
    assert len(UNPACKED._kept) == 1
    packed.write_bytes(PACKERS[kind](tar_bytes(tmp_path, {"r/1.jpg": photo_bytes(5)})))
    report = library.add(packed)
    assert (report.scan.changed, report.scan.vanished) == (1, 1)


def test_compressed_tars_that_are_cut_short_or_none(library: LibraryFactory, tmp_path: Path) -> None:
    plain = tar_bytes(tmp_path, {f"{n}.jpg": photo_bytes(n, (400, 300)) for n in range(6)})
    for kind, pack in PACKERS.items():
        cut = tmp_path / f"cut.tar.{kind}"
        data = pack(plain)
        cut.write_bytes(data[: len(data) * 3 // 5] if kind == "gz" else pack(plain[: len(plain) // 2]) + data[:40])
        with pytest.raises(SourceError, match="unexpected end of data"):
            library.add(cut)
        first = plain.index(b"3.jpg")
        cut.write_bytes(pack(plain[:first]) + pack(plain[first:])[:20])
        assert library.add(cut).scan.new == 3
        assert "is damaged" in problems_of(library.folder)[-1]["reason"]
        none = tmp_path / f"none.tar.{kind}"
        none.write_bytes(b"this is no archive at all" * 40)
        with pytest.raises(SourceError, match=r"none\.tar.*cannot be read as a tar file"):
            library.add(none)
    empty = tmp_path / "empty.tgz"
    empty.write_bytes(b"")
    with pytest.raises(SourceError, match=r"no photos|cannot be read"):
        library.add(empty)


def test_what_swells_is_refused(library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "SMALL_BYTES", 2_000_000)
    trap = tmp_path / "trap.tgz"
    trap.write_bytes(gzip.compress(bytes(4_000_000)))
    with pytest.raises(SourceError, match="which no photos do"):
        library.add(trap)
    monkeypatch.setattr(unpacked, "SMALL_BYTES", 1 << 40)
    monkeypatch.setattr(unpacked, "SPARED_BYTES", 1 << 60)
    with pytest.raises(SourceError, match="set TMPDIR to a folder on a larger disk"):
        library.add(trap)
    assert not photos_of(library.folder)


def test_what_members_say_of_the_photo_beside_them(library: LibraryFactory, tmp_path: Path) -> None:
    members = {
        "s/1.jpg": photo_bytes(1),
        "s/1.seg.png": photo_bytes(2, file_format="PNG"),
        "s/1.json": json.dumps(
            {"caption": "", 'a"b': 1.5, "deep": [1], "none": None, "big": 2**70, "yes": True}
        ).encode(),
        "s/1.txt": b"ein Zimmer \xff\0",
        "s/2.jpg": photo_bytes(3),
        "s/2.json": b"[" * 60_000,
        "s/2.cls": b"7",
        "s/3.jpg": photo_bytes(4),
        "s/4.json": b"{}",
    }
    report = library.add(write_tar(tmp_path / "a.tar", members))
    assert report.scan.other_files == 1  # what stands beside no photo
    said = {where.partition("!")[2]: photo.details for where, photo in photos_of(library.folder).items()}
    both = {"a'b": 1.5, "deep": "[1]", "big": str(2**70), "yes": True, "caption": "ein Zimmer \ufffd"}
    assert said == {"s/1.jpg": both, "s/1.seg.png": both, "s/2.jpg": {"class": "7"}, "s/3.jpg": None}


def test_shards_of_a_series_that_lack_are_named(library: LibraryFactory, tmp_path: Path) -> None:
    for number in (0, 1, 3):
        write_tar(tmp_path / f"s-{number:02d}.tar", {"1.jpg": photo_bytes(number)})
    report = library.add(tmp_path / "s-{00..03}.tar")
    assert (report.scan.new, report.scan.unread, len(report.sources)) == (3, 1, 4)
    assert report.notes[0] == f"1 source of 4 cannot be read: {tmp_path / 's-02.tar'}"
    (tmp_path / "s-03.tar").rename(tmp_path / "elsewhere")
    assert library.add(tmp_path / "s-{00..03}.tar").scan.vanished == 0  # a disk may not be there
    assert library.add(tmp_path / "s-{00..03}.tar", allow_empty=True).scan.vanished == 1
    with pytest.raises(SourceError, match=r"nothing is at .*t-\{0\.\.9\}\.tar"):
        library.add(tmp_path / "t-{0..9}.tar")
    (tmp_path / "u-{1,2}.tar").write_bytes((tmp_path / "s-00.tar").read_bytes())  # so it is called
    assert library.add(tmp_path / "u-{1,2}.tar").scan.found == 1


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s-{08..11}.tar", ["s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"]),
        ("{a,b}/{2..1}", ["a/2", "a/1", "b/2", "b/1"]),
        ("{0..9..4}", ["0", "4", "8"]),
        ("{a}{}{x..y}", ["{a}{}{x..y}"]),
        ("{-1..1}", ["-1", "0", "1"]),
    ],
)
def test_patterns_of_braces(pattern: str, names: list[str]) -> None:
    assert names_meant(pattern) == names


@pytest.mark.parametrize(
    "pattern", ["{1..999999999999999999}", "{1..1000}{1..1000}", "{0..99999999999999999999999}x{1..10}" * 9]
)
def test_patterns_that_mean_too_many(pattern: str) -> None:
    with pytest.raises(SourceError, match="more than 100,000 names"):
        names_meant(pattern)


def test_a_packed_tar_in_a_folder_is_named_and_not_unpacked(library: LibraryFactory, tmp_path: Path) -> None:
    write_tar(fill_folder(tmp_path / "photos", [1]) / "backup.tar.gz", {}, "w:gz")
    assert "name as a PATH of its own" in str(library.add(tmp_path / "photos"))
