import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aliens.library import Library
from base.files import PhotoFile
from base.progress import Step
from base.settings import LibraryFolder
from db.models import Photo
from indexer.moves import common_ending
from indexer.sources import FolderSource
from tests.conftest import LibraryFactory, photo_bytes, raising
from tests.indexer.conftest import LABELLED, check_sound, found_in, photos_of, segments_in, states_of, write_tar


def check_followed(library: Library, path: Path, member: str = "") -> None:
    """All that was said and made of the photo is found at its new place, and all photos once."""
    place = PhotoFile(str(path), member)
    assert [hit.file for hit in library.search("a room tag:pool", k=100) if hit.photo_id == LABELLED] == [place]
    assert [photo.file for photo in library.captions("a", k=100) if photo.photo_id == LABELLED] == [place]
    assert [result.lineage.source_photo_id for result in library.restyled(photo=LABELLED)] == [LABELLED]
    hits = library.search("a room", k=100)
    assert len({hit.file for hit in hits}) == len(hits) == len([hit for hit in hits if os.path.exists(hit.path)])
    check_sound(library.folder)


def says_pool(library: Library) -> set[str]:
    """Return the names of the photos that people say have a pool."""
    names = set()
    for photo in photos_of(library.folder).values():
        if states_of(library.folder)[Path(photo.path).name] == ("embedded", None):
            tags = library.tags_of(photo.id)
            names |= {Path(photo.path).name for row in tags if row.tag == "a pool" and row.by_hand is True}
    return names


# A file, a folder, a tree moves


def file_into_a_folder(photos: Path) -> Path:
    (photos / "sorted").mkdir()
    return (photos / "03.jpg").rename(photos / "sorted" / "03.jpg")


def file_renamed(photos: Path) -> Path:
    return (photos / "03.jpg").rename(photos / "the pool.jpg")


def folder_renamed(photos: Path) -> Path:
    (photos / "deep").mkdir()
    for path in sorted(photos.glob("*.jpg")):
        path.rename(photos / "deep" / path.name)
    return photos / "deep" / "03.jpg"


def file_into_a_tar(photos: Path) -> Path:
    (photos / "03.jpg").unlink()
    return write_tar(photos / "shard.tar", {"hotel/03.jpg": photo_bytes(3)})


@pytest.mark.parametrize("move", [file_into_a_folder, file_renamed, folder_renamed, file_into_a_tar])
def test_what_was_said_of_a_photo_follows_its_file(known: Library, photos: Path, move: Callable[[Path], Path]) -> None:
    path = move(photos)
    report = known.add(photos)
    assert (report.run.encoded, report.scan.vanished) == (0, 0)
    assert report.run.moved == (10 if path.parent.name == "deep" else 1)
    assert "had moved: labels, captions and restyled photos came along" in str(report)
    check_followed(known, path, "hotel/03.jpg" if path.suffix == ".tar" else "")
    assert known.add(photos).scan.new == 0
    assert list(known.failures()) == []


def test_photos_that_were_missing_are_known_again_batch_by_batch(
    stocked: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = photos.with_name("elsewhere")
    elsewhere.mkdir()
    for number in range(8):
        (photos / f"{number:02d}.jpg").rename(elsewhere / f"{number:02d}.jpg")
    assert stocked.add(photos).scan.vanished == 8
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 3)
    report = stocked.add(elsewhere).run
    assert (report.moved, report.reused, report.encoded) == (8, 8, 0)
    check_sound(stocked.folder)


def test_photos_of_a_tar_follow_into_another(library: LibraryFactory, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    write_tar(folder / "a.tar", {f"{seed}.jpg": photo_bytes(seed) for seed in range(4)})
    library.add(folder)
    with library.open() as opened:
        opened.tag()
        opened.label(LABELLED, "a pool")
        write_tar(folder / "b.tar", {f"{seed}.jpg": photo_bytes(seed) for seed in range(1, 4)})
        write_tar(folder / "a.tar", {"0.jpg": photo_bytes(0)})
        assert opened.add(folder).run.moved == 3
        (hit,) = opened.search("a room tag:pool", k=9)
    assert (hit.photo_id, hit.file) == (LABELLED, PhotoFile(str(folder / "b.tar"), "3.jpg"))
    check_sound(library.folder)


def test_a_drive_of_another_name_is_the_same(known: Library, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    mounted = photos.rename(photos.with_name("disk1"))
    segments = segments_in(known.folder)
    told: list[Step] = []
    report = known.add(mounted, progress=told.append)
    assert (segments_in(known.folder), known.tags().unscored) == (segments, 0)
    assert [step.done for step in told if step.what == "embedding"] == [4, 8, 10]
    assert (report.run.moved, report.run.encoded, len(known.search("a room", k=100))) == (10, 0, 10)
    check_followed(known, mounted / "03.jpg")
    mounted.rename(photos)  # and back
    assert known.add(photos).run.moved == 10
    check_followed(known, photos / "03.jpg")


def test_a_photo_that_was_missing_for_a_while_is_known_again_elsewhere(known: Library, photos: Path) -> None:
    (photos / "03.jpg").rename(photos.parent / "03.jpg")
    assert known.add(photos).scan.vanished == 1
    assert LABELLED not in {hit.photo_id for hit in known.search("a room tag:pool", k=9)}
    assert known.add(photos.parent / "03.jpg").run.moved == 1
    check_followed(known, photos.parent / "03.jpg")
    assert list(known.failures()) == []


def test_a_kill_after_the_scan_loses_nothing(known: Library, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_into_a_folder(photos)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("indexer.pipeline.Run.embed", raising(SystemExit()))
        known.add(photos)
    assert known.add(photos).run.moved == 1
    check_followed(known, path)


def test_copies_that_move_go_each_its_own_way(library: LibraryFactory, photos: Path) -> None:
    for folder in ("a", "b"):
        (photos / folder).mkdir()
        (photos / folder / "03.jpg").write_bytes(photo_bytes(3))
        (photos / folder / "other.jpg").write_bytes(photo_bytes(3))
    library.add(photos)
    before = {photo.id: photo.path for photo in all_rows(library.folder)}
    moved = photos.rename(photos.with_name("disk1"))
    assert library.add(moved).run.moved == 14
    after = {photo.id: photo.path for photo in all_rows(library.folder)}
    assert after == {photo_id: path.replace(str(photos), str(moved)) for photo_id, path in before.items()}
    check_sound(library.folder)


def all_rows(folder: LibraryFolder) -> list[Photo]:
    from db.photo_rows import all_photos
    from tests.by_folder import session_of

    with session_of(folder) as session:
        return list(all_photos(session))


def test_places_end_alike_from_their_ends() -> None:
    def alike(one: str, other: str, member: str = "") -> int:
        return common_ending(Photo(path=one, member=member), Photo(path=other, member=member))

    assert alike("/a/b/c.jpg", "/x/b/c.jpg") == 2
    assert alike("/a/b/c.jpg", "/a/b/d.jpg") == 0
    assert alike("/c.jpg", "/b/c.jpg") == 1
    assert alike("/a/x.tar", "/b/x.tar", "m/1.jpg") == 3


# What is no move


def test_a_copy_is_a_photo_of_its_own_of_which_the_same_is_said(known: Library, photos: Path) -> None:
    shutil.copy(photos / "03.jpg", photos / "copy.jpg")
    report = known.add(photos)
    assert (report.scan.new, report.run.reused, report.run.moved) == (1, 1, 0)
    known.tag()
    assert says_pool(known) == {"03.jpg", "copy.jpg"}
    assert {Path(photo.path).name for photo in known.captions("a", k=100)} >= {"03.jpg", "copy.jpg"}
    (copy,) = [photo.id for photo in photos_of(known.folder).values() if photo.path.endswith("copy.jpg")]
    assert [result.lineage.source_photo_id for result in known.restyled(photo=copy)] == [LABELLED]
    check_sound(known.folder)


def test_a_place_that_cannot_be_looked_at_may_hold_its_photo_still(
    known: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(photos / "03.jpg", photos.parent / "03.jpg")
    stat = os.stat

    def refuse(path: str, **options: object) -> os.stat_result:
        if str(path).startswith(str(photos)):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("indexer.sources.os.stat", refuse)
    assert known.add(photos.parent / "03.jpg").run.moved == 0


# Overwritten files


def test_a_label_does_not_stay_with_a_name_whose_picture_is_another(known: Library, photos: Path) -> None:
    old = (photos / "03.jpg").read_bytes()
    (photos / "03.jpg").write_bytes(photo_bytes(77))
    assert known.add(photos).run.encoded == 1
    known.tag()
    assert says_pool(known) == set()
    assert known.info().labels == 1  # it waits for its bytes
    assert list(known.restyled(photo=LABELLED)) == []
    (photos / "03.jpg").write_bytes(old)
    os.utime(photos / "03.jpg", ns=(1, 1))
    known.add(photos)
    known.tag()
    assert says_pool(known) == {"03.jpg"}
    assert len(known.restyled(photo=LABELLED)) == 1


def test_a_photo_moves_and_another_takes_its_name(known: Library, photos: Path) -> None:
    (photos / "03.jpg").rename(photos / "pool.jpg")
    (photos / "03.jpg").write_bytes(photo_bytes(77))
    known.add(photos)
    known.tag()
    assert says_pool(known) == {"pool.jpg"}
    assert len(known.search("a room", k=100)) == 11
    (new,) = [photo.id for photo in photos_of(known.folder).values() if photo.path.endswith("pool.jpg")]
    assert len(known.restyled(photo=new)) == 1
    assert {photo.photo_id for photo in known.captions("a", k=100)} >= {new}
    check_sound(known.folder)


def swap_names(one: Path, two: Path) -> None:
    one.rename(one.with_name("x"))
    two.rename(one)
    one.with_name("x").rename(two)


def test_two_photos_that_swap_their_names_swap_what_is_said(known: Library, photos: Path) -> None:
    swap_names(photos / "03.jpg", photos / "05.jpg")
    before = {photo.photo_id: photo.text for photo in known.captions("a", k=100)}
    assert known.add(photos).run.encoded == 0
    known.tag()
    assert says_pool(known) == {"05.jpg"}
    after = {photo.photo_id: photo.text for photo in known.captions("a", k=100)}
    assert (after[4], after[6]) == (before[6], before[4])
    check_sound(known.folder)


# One folder by several names


def test_a_folder_reached_by_a_link_gives_its_photos_once(known: Library, photos: Path) -> None:
    link = photos.with_name("link")
    link.symlink_to(photos)
    report = known.add(link)
    assert (report.scan.unchanged, report.scan.new) == (10, 0)
    assert known.add(link / "03.jpg").scan.unchanged == 1
    assert known.add(link / ".." / "photos").scan.unchanged == 10
    assert len(known.search("a room", k=100)) == 10


def test_photos_that_an_earlier_version_knows_by_a_link_are_known_by_their_folder(known: Library, photos: Path) -> None:
    from sqlalchemy import text

    link = photos.with_name("link")
    link.symlink_to(photos)
    with known.catalog.engine.begin() as connection:
        connection.execute(text("UPDATE photo SET path = replace(path, '/photos/', '/link/')"))
    assert known.add(photos).run.moved == 10
    check_followed(known, photos / "03.jpg")


def test_links_to_what_is_found_anyway_give_no_photo_twice(library: LibraryFactory, photos: Path) -> None:
    outside = photos.parent / "outside.jpg"
    outside.write_bytes(photo_bytes(50))
    (photos / "best").mkdir()
    (photos / ".annex").mkdir()
    (photos / ".annex" / "object.jpg").write_bytes(photo_bytes(51))
    write_tar(photos / "shard.tar", {"x.jpg": photo_bytes(52)})
    for name, target in (
        ("a.jpg", photos / "00.jpg"),
        ("b.tar", photos / "shard.tar"),
        ("outside.jpg", outside),
        ("annex.jpg", photos / ".annex" / "object.jpg"),
        ("raw.jpg", photos / "raw"),
        ("broken.jpg", photos / "nothing.jpg"),
    ):
        (photos / "best" / name).symlink_to(target)
    (photos / "raw").write_bytes(photo_bytes(53))  # which is found by the link alone
    source = FolderSource(photos, library.folder.root)
    names = {Path(found).name for found in found_in(source)}
    assert names == {f"{n:02d}.jpg" for n in range(10)} | {
        "shard.tar!x.jpg",
        "outside.jpg",
        "annex.jpg",
        "raw.jpg",
        "broken.jpg",
    }
    assert source.leftovers.passed_over.files == 3  # two links, and raw


# Reasons


def test_a_file_that_is_there_and_is_no_photo_is_not_called_gone(library: LibraryFactory, photos: Path) -> None:
    (photos / "notes.txt").write_bytes(photo_bytes(90))
    library.add(photos / "notes.txt")
    (photos / "notes.txt").write_text("no photo")
    library.add(photos)
    assert states_of(library.folder)["notes.txt"] == ("failed", "not an image")
    (photos / "notes.txt").unlink()
    library.add(photos)
    assert states_of(library.folder)["notes.txt"] == ("failed", "missing")
    (photos / "notes.txt").write_text("still no photo")
    library.add(photos)
    assert states_of(library.folder)["notes.txt"] == ("failed", "not an image")


def test_a_photo_without_an_ending_that_was_added_by_its_name_stays(library: LibraryFactory, photos: Path) -> None:
    (photos / "00.jpg").rename(photos / "IMG_0001")
    library.add(photos / "IMG_0001")
    assert library.add(photos).scan.vanished == 0
    assert states_of(library.folder)["IMG_0001"] == ("embedded", None)
    (photos / "IMG_0001").write_bytes(photo_bytes(90))
    assert library.add(photos).run.encoded == 1
    check_sound(library.folder)


def test_a_problem_is_told_until_a_later_look_at_its_place(library: LibraryFactory, photos: Path) -> None:
    (photos / "a.tar").write_text("no tar")
    library.add(photos)
    assert [failure.where for failure in library.open().failures()] == [str(photos / "a.tar")]
    write_tar(photos / "a.tar", {"x.jpg": photo_bytes(60)})
    library.add(photos / "a.tar")
    assert list(library.open().failures()) == []
    (photos / "a.tar").write_text("no tar")
    library.add(photos)
    write_tar(photos / "a.tar", {"x.jpg": photo_bytes(60)})
    library.add(photos.parent)
    assert list(library.open().failures()) == []


def test_links_to_photos_that_are_known_are_those_photos(library: LibraryFactory, photos: Path) -> None:
    out, favourites = photos.parent / "out", photos.parent / "favourites"
    out.mkdir()
    favourites.mkdir()
    (out / "o.jpg").write_bytes(photo_bytes(80))
    library.add(photos)
    for name, target in (("1.jpg", photos / "00.jpg"), ("2.jpg", photos / "00.jpg"), ("3.jpg", out / "o.jpg")):
        (favourites / name).symlink_to(target)
    (favourites / "4.jpg").symlink_to(out / "o.jpg")
    report = library.add(favourites)
    assert (report.scan.found, report.scan.new, report.scan.other_files) == (1, 1, 3)
    assert library.add(out).run.moved == 1  # what was known by a link is known by its file
    assert library.add(favourites, allow_empty=True).scan.new == 0
    assert sorted(photo.path for photo in all_rows(library.folder)) == [
        str(out / "o.jpg"),
        *(str(photos / f"{number:02d}.jpg") for number in range(10)),
    ]
    check_sound(library.folder)


def test_a_tar_and_a_link_to_it_are_one(library: LibraryFactory, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "s.tar", {"x.jpg": photo_bytes(1)})
    (tmp_path / "s2.tar").symlink_to(tar)
    library.add(tar)
    assert library.add(tmp_path / "s2.tar").scan.unchanged == 1


def test_results_are_of_the_photo_that_has_their_bytes_now(known: Library, photos: Path) -> None:
    swap_names(photos / "03.jpg", photos / "05.jpg")
    known.add(photos)
    (result,) = known.restyled(photo=6)
    assert (result.lineage.source_photo_id, result.lineage.source_path) == (6, str(photos / "05.jpg"))
    assert known.forget(photos / "03.jpg").restyled_left == 0
    assert known.forget(photos / "05.jpg").restyled_left == 1


def test_many_copies_that_move_are_each_taken_once(library: LibraryFactory, tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / "a" / str(number // 10)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(photo_bytes(1))
    library.add(tmp_path / "a")
    before = {photo.id: Path(photo.path).name for photo in all_rows(library.folder)}
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b" / "0" / "0.jpg").rename(tmp_path / "b" / "0" / "renamed.jpg")
    assert library.add(tmp_path / "b").run.moved == 40
    after = {photo.id: Path(photo.path).name for photo in all_rows(library.folder)}
    assert after == before | {1: "renamed.jpg"}


def test_captions_follow_a_series_that_is_renamed_by_one(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 3)
    library.add(photos)
    with library.open() as opened:
        lines = photos.parent / "captions.txt"
        lines.write_text("a room with a pool\na hall with a lamp\n", encoding="utf-8")
        opened.caption(lines)

        def by_picture() -> dict[bytes, str]:
            return {photo.file.read(): photo.text for photo in opened.captions("a", k=100)}

        before = by_picture()
        for number in range(9, -1, -1):
            (photos / f"{number:02d}.jpg").rename(photos / f"{number + 1:02d}.jpg")
        opened.add(photos)
        assert by_picture() == before
        assert len(before) == 10
        assert opened.caption(lines).captioned == 0
    check_sound(library.folder)
