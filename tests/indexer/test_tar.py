import io
import os
import tarfile
from pathlib import Path

import pytest

from base.errors import SourceError
from tests.by_folder import source_at
from tests.conftest import LibraryFactory, photo_bytes
from tests.db.statements import writes
from tests.indexer.conftest import (
    EMBEDDED,
    at_step,
    check_invariants,
    found_in,
    photos_of,
    problems_of,
    states_of,
    write_tar,
)

NOWHERE = Path("/nowhere/library")


def test_tar_whose_name_is_not_utf_8_loses_nothing_else(library: LibraryFactory, photos: Path) -> None:
    write_tar(photos / "a.tar", {"1.jpg": photo_bytes(99)})
    os.rename(photos / "a.tar", os.path.join(os.fsencode(photos), b"caf\xe9.tar"))
    assert library.add(photos).run.encoded == 10


def test_members_of_a_tar_are_photos(library: LibraryFactory, tmp_path: Path) -> None:
    members = {"room/2.jpg": photo_bytes(2), "room/1.PNG": photo_bytes(1, file_format="PNG")}
    others = {"room/plan.md": b"a room", "room/.3.jpg": b"hidden", "bad.jpg": b"no photo", "ванна.jpg": photo_bytes(4)}
    tar = write_tar(tmp_path / "photos.tar", members | others)
    report = library.add(tar)
    assert (report.scan.found, report.scan.other_files, report.run.encoded, report.run.failed) == (4, 1, 3, 1)
    assert {where.partition("!")[2]: photo.state.value for where, photo in photos_of(library.folder).items()} == {
        "room/2.jpg": "embedded",
        "room/1.PNG": "embedded",
        "ванна.jpg": "embedded",
        "bad.jpg": "failed",
    }
    assert library.add(tar).scan.unchanged == 4
    check_invariants(library.folder)


def test_tars_in_a_folder_are_read_among_its_photos(library: LibraryFactory, photos: Path) -> None:
    write_tar(photos / "05a.TAR", {"2.jpg": photo_bytes(22), "1.jpg": photo_bytes(21)})
    found = found_in(source_at(photos, library.folder.root))
    assert found[5:9] == ["05.jpg", "05a.TAR!2.jpg", "05a.TAR!1.jpg", "06.jpg"]
    assert library.add(photos).run.encoded == 12


def test_photo_removed_from_a_tar_alone_is_missing(stocked: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "photos.tar", {f"{n}.jpg": photo_bytes(n) for n in range(20, 23)})
    stocked.add(tar)
    write_tar(tar, {"22.jpg": photo_bytes(22), "21.jpg": photo_bytes(21)})
    os.utime(tar, (1, 1))
    report = stocked.add(tar)
    assert (report.scan.changed, report.scan.vanished, report.run.reused, report.run.encoded) == (2, 1, 2, 0)
    assert states_of(stocked.folder)["photos.tar!20.jpg"] == ("failed", "missing")


def damaged_tar(path: Path, damage: str) -> Path:
    """Write a tar of five photos that is compressed or damaged."""
    write_tar(path, {f"{n}.jpg": photo_bytes(n) for n in range(5)}, "w:gz" if damage == "compressed" else "w")
    if damage == "cut":
        os.truncate(path, path.read_bytes().index(b"3.jpg") + 700)
    elif damage == "cut in a header":
        os.truncate(path, path.read_bytes().index(b"3.jpg") + 100)
    elif damage == "empty":
        os.truncate(path, 0)
    elif damage == "text":
        path.write_text("this is no tar file" * 1000)
    elif damage == "second header":
        data = bytearray(path.read_bytes())
        data[data.index(b"1.jpg") : data.index(b"1.jpg") + 512] = b"\x55" * 512
        path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        "compressed",
        "cut",
        "empty",
        "text",
        "second header",
        "cut in a header",
    ],
)
def test_unreadable_tar_is_a_problem_and_no_other_is_lost(library: LibraryFactory, photos: Path, damage: str) -> None:
    tar = damaged_tar(photos / "05a.tar", damage)
    report = library.add(photos)
    assert report.run.done == 10 + {"second header": 1, "cut in a header": 3}.get(damage, 0)
    assert report.scan.problems == 1
    ((problem),) = problems_of(library.folder)
    assert problem["where"] == str(tar)
    half_read = ("second header", "cut in a header")
    reason = "is damaged: what lies" if damage in half_read else "cannot be read as an uncompressed tar file"
    assert reason in problem["reason"]
    assert [state for name, state in states_of(library.folder).items() if "!" not in name] == [EMBEDDED] * 10


@pytest.mark.parametrize("damage", ["compressed", "cut", "empty", "text"])
def test_tar_that_cannot_be_read_is_named_where_alone(library: LibraryFactory, tmp_path: Path, damage: str) -> None:
    tar = damaged_tar(tmp_path / "photos.tar", damage)
    with pytest.raises(SourceError, match=rf"{tar} cannot be read as an uncompressed tar file"):
        library.add(tar)
    assert photos_of(library.folder) == {}


def test_photos_in_a_tar_that_was_damaged_since_are_not_said_to_be_gone(library: LibraryFactory, photos: Path) -> None:
    tar = write_tar(photos / "a.tar", {"11.jpg": photo_bytes(11)})
    library.add(photos)
    os.truncate(tar, 700)
    report = library.add(photos)
    assert (report.scan.problems, report.scan.vanished) == (1, 0)


def test_tar_damaged_between_scan_and_run_fails_its_photos_alone(library: LibraryFactory, photos: Path) -> None:
    tar = write_tar(photos / "05a.tar", {"1.jpg": photo_bytes(21), "2.jpg": photo_bytes(22)})

    def damage() -> None:
        tar.write_bytes(b"no tar any more" * 100)

    report = library.add(photos, progress=at_step("scanning", damage))
    assert (report.run.encoded, report.run.failed) == (10, 2)
    check_invariants(library.folder)


def test_member_gone_between_scan_and_run_is_missing(library: LibraryFactory, photos: Path) -> None:
    tar = write_tar(photos / "05a.tar", {"1.jpg": photo_bytes(21), "2.jpg": photo_bytes(22)})

    def remove_one() -> None:
        write_tar(tar, {"2.jpg": photo_bytes(22)})
        os.utime(tar, (1, 1))

    report = library.add(photos, progress=at_step("scanning", remove_one))
    assert (report.run.encoded, report.run.failed) == (11, 1)
    assert states_of(library.folder)["05a.tar!1.jpg"] == ("failed", "missing")
    check_invariants(library.folder)


def test_member_whose_name_is_no_utf_8_is_embedded_or_fails_by_it(library: LibraryFactory, tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    with tarfile.open(tar, "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as file:
        member = tarfile.TarInfo("caf\xe9.jpg")
        member.size = len(data := photo_bytes(1))
        file.addfile(member, io.BytesIO(data))
    library.add(tar)
    assert states_of(library.folder)["photos.tar!caf\\xe9.jpg"] in (EMBEDDED, ("failed", "name"))
    with writes() as statements:
        library.add(tar)
    assert len(statements) == 1
