import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from PIL import Image

from base.errors import OutputError, QueryError
from base.files import PhotoFile
from search.export import exporter
from search.export.tables import Selection
from tests.conftest import LibraryFactory, photo_bytes
from tests.search.export.conftest import EVIL_TAGS, decided_tags, evil_vocabulary, export, tag
from tests.search.export.test_run import FullDisk


def metadata(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def photos_in(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.glob("images/*/*"))}


def interrupted(library: LibraryFactory, target: Path, **options: Any) -> Path:
    """Stop an export when its photos are copied and its metadata is written; returns the folder that is left."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            "search.export.exporter.FolderWriter.close", lambda writer: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        export(library.folder, target, **options)
    assert not target.exists()
    return target.with_name(target.name + ".partial")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "folder"


def test_every_photo_is_copied_with_its_tags(small: LibraryFactory, target: Path) -> None:
    manifest = export(small.folder, target)
    rows = metadata(target)
    decided = decided_tags(small.folder)
    assert [row["photo_id"] for row in rows] == list(decided)
    for row in rows:
        assert row["tags"] == decided[row["photo_id"]]
        assert row["file_name"] == f"images/0000/{row['photo_id']}.jpg"
        assert (target / row["file_name"]).read_bytes() == Path(row["path"]).read_bytes()
    assert len(photos_in(target)) == 10
    assert sorted(path.name for path in target.iterdir()) == ["images", "manifest.json", "metadata.jsonl"]
    data = (target / "metadata.jsonl").read_bytes()
    written = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    assert written["file"] == manifest.file == "metadata.jsonl"
    assert written["sha256"] == hashlib.sha256(data).hexdigest()
    assert written["size_bytes"] == len(data) + sum(photo.stat().st_size for photo in target.glob("images/*/*"))
    assert (written["photos"], written["format"], written["left_out"]) == (10, "imagefolder", [])
    assert not target.with_name("folder.partial").exists()


def test_several_photos_are_copied_at_once(
    small: LibraryFactory, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, place = Barrier(2), exporter.place_photo

    def beside_another(source: PhotoFile, copy: Path, *, link: bool) -> None:
        two.wait(60)  # for another thread; alone it would break
        place(source, copy, link=link)

    monkeypatch.setattr(exporter, "place_photo", beside_another)
    assert export(small.folder, target).photos == 10
    assert {row["file_name"] for row in metadata(target)} == set(photos_in(target))


def test_a_unicode_target_and_unicode_photos(small: LibraryFactory, tmp_path: Path) -> None:
    target = tmp_path / "Bilder 東京, ü"
    export(small.folder, target)
    names = [Path(row["path"]).name for row in metadata(target)]
    assert "näch st, „00“ 東京.jpg" in names


def test_a_photos_ending_is_its_formats(small: LibraryFactory, photos: Path, target: Path) -> None:
    (photos / "wrong.jpg").write_bytes(photo_bytes(60, file_format="PNG"))
    (photos / "tall.tif").write_bytes(photo_bytes(61, file_format="TIFF"))
    small.add(photos)
    tag(small.folder, evil_vocabulary(), small.encoder)
    export(small.folder, target)
    found = {Path(row["path"]).name: Path(row["file_name"]).suffix for row in metadata(target)}
    assert (found["wrong.jpg"], found["tall.tif"], found["01.jpg"]) == (".png", ".tiff", ".jpg")


def test_tags_are_there_whatever_columns_were_asked(small: LibraryFactory, target: Path) -> None:
    export(small.folder, target, columns=["hotel_name"])
    assert {"file_name", "photo_id", "tags"} <= metadata(target)[0].keys()


def test_the_next_run_copies_only_what_is_not_there(small: LibraryFactory, target: Path) -> None:
    partial = interrupted(small, target)
    assert len(photos_in(partial)) == 10
    assert not (partial / "metadata.jsonl.tmp").exists()
    photos_in(partial)["images/0000/3.jpg"].unlink()
    photos_in(partial)["images/0000/4.jpg"].write_bytes(b"half")
    before = {name: path.stat() for name, path in photos_in(partial).items()}
    export(small.folder, target)
    after = {name: path.stat() for name, path in photos_in(target).items()}
    copied = {name for name in after if name not in before or after[name].st_ino != before[name].st_ino}
    assert copied == {"images/0000/3.jpg", "images/0000/4.jpg"}
    assert len(after) == 10
    for row in metadata(target):
        assert (target / row["file_name"]).read_bytes() == Path(row["path"]).read_bytes()


def test_a_photo_that_changed_since_is_copied_again(small: LibraryFactory, photos: Path, target: Path) -> None:
    partial = interrupted(small, target)
    photo = photos / "05.jpg"
    changed = photo.read_bytes()[:-2] + b"\0\0"  # as long as before
    photo.write_bytes(changed)
    later = next(iter(photos_in(partial).values())).stat().st_mtime_ns + 10**9
    os.utime(photo, ns=(later, later))
    export(small.folder, target)
    row = next(row for row in metadata(target) if row["path"] == str(photo))
    assert (target / row["file_name"]).read_bytes() == changed


def test_nothing_of_an_interrupted_run_stays_that_is_not_asked_for(small: LibraryFactory, target: Path) -> None:
    partial = interrupted(small, target)
    (partial / "images" / "0000" / ".7.jpg.0123456789abcdef.tmp").write_bytes(b"half")
    export(small.folder, target, selection=Selection(tags=(EVIL_TAGS[0],)))
    assert 0 < len(metadata(target)) < 10
    assert set(photos_in(target)) == {row["file_name"] for row in metadata(target)}


def test_copies_replace_links_of_an_interrupted_run(small: LibraryFactory, target: Path) -> None:
    interrupted(small, target, link=True)
    export(small.folder, target)
    assert not any(path.is_symlink() for path in photos_in(target).values())


def test_links_replace_copies_of_an_interrupted_run(small: LibraryFactory, target: Path) -> None:
    interrupted(small, target)
    export(small.folder, target, link=True)
    assert all(path.is_symlink() for path in photos_in(target).values())


@pytest.mark.parametrize("link", [False, True])
def test_photos_whose_files_are_gone_are_left_out(
    small: LibraryFactory, photos: Path, target: Path, link: bool
) -> None:
    gone = [photos / "03.jpg", photos / "06.jpg"]
    interrupted(small, target, link=link)  # has copies of them
    for path in gone:
        path.unlink()
    manifest = export(small.folder, target, link=link)
    rows = metadata(target)
    assert [Path(row["path"]).name for row in rows if Path(row["path"]) in gone] == []
    assert manifest.photos == len(rows) == len(photos_in(target)) == 8
    assert manifest.left_out == [f"{path}: No such file or directory" for path in gone]
    assert manifest.tags == {name: sum(name in row["tags"] for row in rows) for name in EVIL_TAGS}


def test_a_photo_that_has_grown_over_the_cap_is_left_out(
    small: LibraryFactory, photos: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "03.jpg").write_bytes(bytes(50_000))
    monkeypatch.setattr("base.files.MAX_PHOTO_BYTES", 49_999)
    manifest = export(small.folder, target)
    assert manifest.photos == 9
    [left_out] = manifest.left_out
    assert left_out.startswith(f"{photos / '03.jpg'}: 0 MB are over the cap")


def test_no_folder_is_made_of_photos_that_are_all_gone(small: LibraryFactory, photos: Path, target: Path) -> None:
    for path in photos.iterdir():
        path.unlink()
    with pytest.raises(QueryError, match="no photo's file can be read any more"):
        export(small.folder, target)
    assert not target.exists()
    assert not target.with_name("folder.partial").exists()


def test_links_lead_to_the_photos(small: LibraryFactory, target: Path) -> None:
    export(small.folder, target, link=True)
    for row in metadata(target):
        assert os.readlink(target / row["file_name"]) == row["path"]
    assert len(photos_in(target)) == 10


@pytest.mark.parametrize("link", [False, True])
def test_photos_inside_a_tar_are_copied(library: LibraryFactory, photos: Path, target: Path, link: bool) -> None:
    with tarfile.open(photos / "more.tar", "w") as tar:
        for number in range(20, 23):
            data = photo_bytes(number)
            member = tarfile.TarInfo(f"süd/{number}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    library.add(photos)
    tag(library.folder, evil_vocabulary(), library.encoder)
    export(library.folder, target, link=link)
    rows = [row for row in metadata(target) if row["member"]]
    assert [row["member"] for row in rows] == ["süd/20.jpg", "süd/21.jpg", "süd/22.jpg"]
    for number, row in enumerate(rows, start=20):
        assert not (target / row["file_name"]).is_symlink()
        assert (target / row["file_name"]).read_bytes() == photo_bytes(number)
    assert len(photos_in(target)) == 13


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_there_is_not_overwritten(small: LibraryFactory, target: Path, what: str) -> None:
    if what == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    else:
        target.write_text("mine")
    with pytest.raises(QueryError, match="is there already: remove it, or choose another name"):
        export(small.folder, target)
    assert (target / "mine.txt" if what == "folder" else target).read_text() == "mine"
    assert not target.with_name("folder.partial").exists()


def test_an_empty_folder_is_filled(small: LibraryFactory, target: Path) -> None:
    target.mkdir()
    export(small.folder, target)
    assert len(metadata(target)) == 10


def test_a_photo_that_cannot_be_written_leaves_no_half(
    small: LibraryFactory, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        with open(path, "wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        export(small.folder, target)
    assert [path for path in target.parent.rglob("*.tmp") if "library" not in path.parts] == []
    assert not target.exists()


def test_after_a_full_disk_the_next_run_goes_on(
    small: LibraryFactory, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.export.exporter.HashedFile", FullDisk)
    monkeypatch.setattr("search.tags.tagging.MOST_SCORES", 1)
    with pytest.raises(OutputError, match="No space left"):
        export(small.folder, target)
    partial = target.with_name("folder.partial")
    before = {name: path.stat().st_ino for name, path in photos_in(partial).items()}
    assert before
    monkeypatch.undo()
    export(small.folder, target)
    after = {name: path.stat().st_ino for name, path in photos_in(target).items()}
    assert before.items() <= after.items()
    assert len(after) == 10
    for path in photos_in(target).values():
        with Image.open(path) as picture:
            picture.load()
