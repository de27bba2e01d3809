"""Folders, tars and photos that were moved, and libraries that were: they are told where, and nothing is read anew."""

import os
import shutil
import unicodedata
from pathlib import Path

import pytest

import aliens
from aliens.library import Library
from base.errors import QueryError
from tests.conftest import LibraryFactory, photo_bytes
from tests.indexer.conftest import (
    LABELLED,
    HotelsTree,
    check_invariants,
    check_sound,
    photos_of,
    put,
    states_of,
    vectors_of,
    write_tar,
)


def places(library: Library) -> list[str]:
    return [each.place for each in library.sources()]


def test_a_folder_is_moved_with_all_that_is_known_of_its_photos(known: Library, photos: Path) -> None:
    ids = {photo.id: Path(path).name for path, photo in photos_of(known.folder).items()}
    vectors = sorted(vectors_of(known.folder).values())
    new = photos.rename(photos.parent / "elsewhere")
    report = known.move_source(photos, new)
    assert (report.photos, report.looked_at, report.there, report.touched) == (10, 10, 10, 0)
    assert report.sources == [str(new)]
    assert str(report) == f"10 photos known at {photos} are at {new} now: 10 of 10 photos looked at are there"
    moved = photos_of(known.folder)
    assert {photo.id: Path(path).name for path, photo in moved.items() if photo.id in ids} == ids
    assert sum(path.startswith(f"{new}/") for path in moved) == 10
    assert sorted(vectors_of(known.folder).values()) == vectors
    assert {hit.path for hit in known.search("a room", k=20)} == {str(new / f"{n:02d}.jpg") for n in range(10)}
    assert any(each.by_hand for each in known.tags_of(LABELLED))
    report = known.add()
    assert (report.scan.unchanged, report.scan.new, report.run.total) == (10, 0, 0)
    check_sound(known.folder)
    with pytest.raises(QueryError, match=f"knows no photo at {photos}"):
        known.move_source(photos, new)


@pytest.mark.parametrize("said", ["itself/", "link", "up/../photos"])
def test_old_and_new_may_be_named_in_any_way(library: LibraryFactory, photos: Path, tmp_path: Path, said: str) -> None:
    neighbour = put(tmp_path / "photos2", 30)
    library.add(photos), library.add(neighbour)
    new = photos.rename(tmp_path / "Photos-neu é")
    if said == "link":  # as people leave one behind, so that nothing else breaks
        photos.symlink_to(new)
    old = {"itself/": f"{photos}/", "link": str(photos)}.get(said, f"{tmp_path}/photos/../photos")
    (tmp_path / "to").symlink_to(new)
    with library.open() as opened:
        assert opened.move_source(old, f"{tmp_path}/to/").photos == 10
        assert places(opened) == [str(new), str(neighbour)]
        assert opened.add().scan.unchanged == 11


def test_letters_may_be_composed_or_not(library: LibraryFactory, tmp_path: Path) -> None:
    old = put(tmp_path / unicodedata.normalize("NFD", "hôtel"), 1)
    library.add(old)
    new = old.rename(tmp_path / "hotel")
    with library.open() as opened:
        assert opened.move_source(tmp_path / unicodedata.normalize("NFC", "hôtel"), new).photos == 1


@pytest.mark.parametrize("way", ["inward", "outward"])
def test_old_and_new_may_lie_in_each_other(library: LibraryFactory, tmp_path: Path, way: str) -> None:
    a = put(tmp_path / "a", 1, 2)
    put(a / "b", 3), put(a / "b" / "b", 4)
    inner = tmp_path / "a" / "in"
    library.add(a)
    a.rename(tmp_path / "aside")
    if way == "inward":
        a.mkdir()
        (tmp_path / "aside").rename(inner)
    else:
        (tmp_path / "aside" / "b").rename(a)
        shutil.rmtree(tmp_path / "aside")
    with library.open() as opened:
        if way == "inward":
            assert opened.move_source(a, inner).photos == 4
            assert opened.add().scan.unchanged == 4
            assert places(opened) == [str(inner)]
        else:
            assert opened.move_source(a / "b", a).photos == 2
            report = opened.add()
            assert (report.scan.unchanged, report.scan.vanished) == (2, 2)
            assert places(opened) == [str(a)]
    check_invariants(library.folder)


def test_a_part_a_photo_and_a_tar_may_be_moved_and_are_looked_at_there(library: LibraryFactory, tmp_path: Path) -> None:
    source = put(tmp_path / "source", 1)
    part, far = put(source / "part", 2, 3), tmp_path / "far"
    tar = write_tar(tmp_path / "a.tar", {"x/1.jpg": photo_bytes(5), "2.jpg": photo_bytes(6)})
    with library.open() as opened:
        opened.add(source, exclude="raw/"), opened.add(tar)
        part.rename(far)
        assert opened.move_source(part, far).sources == [str(far)]
        (source / "1.jpg").rename(source / "one.jpg")
        assert opened.move_source(source / "1.jpg", source / "one.jpg").sources == []  # it is found by its folder
        (tmp_path / "tars").mkdir()
        tar.rename(tmp_path / "tars" / "b.tar")
        assert opened.move_source(tar, tmp_path / "tars" / "b.tar").photos == 2
        assert {Path(each.place).name: each.options for each in opened.sources()} == {
            "far": {"exclude": ["raw/"]},
            "source": {"exclude": ["raw/"]},
            "b.tar": {},
        }
        assert opened.add().scan.unchanged == 5


def test_what_hotels_and_tables_said_comes_along(library: LibraryFactory, tmp_path: Path, tree: HotelsTree) -> None:
    disk = tmp_path / "disk"
    put(disk / "hotels" / "jp01", 1)
    table = disk / "said.csv"
    table.write_text("hotel,chain\njp01,Azura\n", encoding="utf-8")
    tree.root.rename(disk / "tree")
    with library.open() as opened:
        opened.add(disk / "hotels", hotel_from="folder", metadata=table)
        opened.add(hotels50k=disk / "tree")
        new = disk.rename(tmp_path / "new")
        assert opened.move_source(disk, new).photos == 4
        put(new / "hotels" / "jp01", 2)
        report = opened.add()
        assert (report.scan.new, report.scan.unchanged, report.absent, report.failed) == (1, 4, {}, {})
        assert report.metadata.hotels == {"jp01": 2}
        assert opened.failures() == []


def test_another_place_is_refused_and_nothing_is_changed(stocked: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    before = photos_of(stocked.folder).keys()
    other = put(tmp_path / "other", *range(40, 44))
    renamed = Path(shutil.copytree(photos, tmp_path / "above" / "photos"))
    forged = Path(shutil.copytree(photos, tmp_path / "forged"))
    for path in forged.iterdir():  # the same sizes, and other bytes
        path.write_bytes(bytes(path.stat().st_size))
    with stocked.open() as opened:
        for new, why in (
            (other, "of 10 photos looked at, 0 are there"),
            (forged, "of 10 photos looked at, 0 are there"),
            (renamed.parent, f"is it {renamed}"),
            (tmp_path / "nowhere", "nothing is at"),
            (photos, "where the library has it already"),
            (photos / "00.jpg", "does not hold"),
        ):
            with pytest.raises(QueryError, match=why):
                opened.move_source(photos, new)
        assert photos_of(stocked.folder).keys() == before
        assert opened.move_source(photos, other, force=True).there == 0
        assert opened.add().scan.vanished == 10


def test_a_copy_has_other_times_and_is_read_once(stocked: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    new = tmp_path / "copy"
    shutil.copytree(photos, new, copy_function=shutil.copyfile)
    (new / "09.jpg").unlink()
    with stocked.open() as opened:
        report = opened.move_source(photos, new)
        assert (report.there, report.looked_at, report.touched, report.still_there) == (9, 10, 9, True)
        assert len(report.notes) == 3
        report = opened.add()
        assert (report.run.reused, report.run.encoded, report.scan.vanished) == (9, 0, 1)


def test_photos_that_are_known_at_both_places_are_merged_if_asked(known: Library, photos: Path, tmp_path: Path) -> None:
    new = Path(shutil.copytree(photos, tmp_path / "new"))
    known.add(new)
    photos.rename(tmp_path / "gone")
    with pytest.raises(QueryError, match=r"10 photos are known at .*new already, with the same bytes: --merge"):
        known.move_source(photos, new)
    report = known.move_source(photos, new, merge=True)
    assert (report.merged, report.photos, places(known)) == (10, 10, [str(new)])
    moved = photos_of(known.folder)
    assert moved[str(new / "03.jpg")].id == LABELLED
    assert sum(photo.state.value == "embedded" for photo in moved.values()) == 10
    check_invariants(known.folder)
    assert known.add().scan.unchanged == 10
    third = put(Path(shutil.copytree(new, tmp_path / "third")), 1)
    (third / "03.jpg").write_bytes(photo_bytes(77))
    known.add(third)
    with pytest.raises(QueryError, match=r"1 photo known at .*third have other bytes"):
        known.move_source(new, third, merge=True)


def test_a_library_that_was_moved_opens_and_works_with_its_photos(
    known: Library, photos: Path, library: LibraryFactory, tmp_path: Path
) -> None:
    ours = known.folder.root
    known.close()
    disk = tmp_path / "disk"
    disk.mkdir()
    ours.rename(disk / "ours")
    photos.rename(disk / "photos")
    with aliens.open(disk / "ours", encoder=library.encoder) as moved:
        assert moved.move_source(photos, disk / "photos").photos == 10
        assert moved.add().scan.unchanged == 10
        assert len(moved.search("a room", k=20)) == 10
        assert moved.verify() == []
        results = moved.restyled()
        assert results and all(os.path.exists(each.path) for each in results)


def test_photos_that_were_missing_are_taken_up_where_they_are(stocked: LibraryFactory, photos: Path) -> None:
    (photos / "deep").mkdir()
    (photos / "00.jpg").rename(photos.parent / "00.jpg")
    stocked.add(photos)
    assert states_of(stocked.folder)["00.jpg"] == ("failed", "missing")
    with stocked.open() as opened:
        opened.move_source(photos / "00.jpg", photos.parent / "00.jpg")
        report = opened.add()
        assert (report.run.reused, report.run.encoded) == (1, 0)
    assert states_of(stocked.folder)["00.jpg"] == ("embedded", None)
