import re
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from aliens.library import Library
from base.errors import LibraryError, QueryError
from tests.conftest import LibraryFactory, photo_bytes
from tests.indexer.conftest import HotelsTree, check_sound, photos_of, put, put_named, states_of, write_tar
from tests.restyled import keep_results

pytestmark = pytest.mark.every_database

EVERYTHING = 1_000


def names_found(library: Library) -> set[str]:
    return {Path(hit.file.member or hit.path).name for hit in library.search("a room", k=EVERYTHING)}


def rows(library: Library, table: str) -> int:
    with library.catalog.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_photo_is_forgotten_with_all_that_is_known_of_it(known: Library, photos: Path) -> None:
    report = known.forget(photos / "03.jpg")
    assert (report.photos, report.labels, report.restyled_left) == (1, 1, 1)
    assert str(report) == "1 photo, 1 label set by hand"
    assert "1 restyled photo made of them stay" in report.notes[0]
    assert names_found(known) == {f"{n:02d}.jpg" for n in range(10)} - {"03.jpg"}
    assert (rows(known, "photo"), rows(known, "tag_label"), rows(known, "caption")) == (9, 0, 9)
    assert (photos / "03.jpg").exists()
    assert 4 not in {photo.photo_id for photo in known.captions("a", k=EVERYTHING)}
    assert known.tags().photos == 9
    check_sound(known.folder)
    assert known.add(photos).run.encoded == 1
    assert len(names_found(known)) == 10
    known.tag()
    check_sound(known.folder)


def test_a_forgotten_number_is_given_to_no_other_photo(known: Library, photos: Path) -> None:
    last = max(row.id for row in photos_of(known.folder).values())
    known.forget(photos / "09.jpg")
    (photos / "new.jpg").write_bytes(photo_bytes(70))
    known.add(photos)
    keep_results(known.folder, [1], known.encoder)
    fresh = [row.id for row in photos_of(known.folder).values() if row.id >= last]
    assert min(fresh) == last + 1
    assert len(fresh) == 3
    with pytest.raises(QueryError, match=f"no photo {last}"):
        known.search(like=last)
    check_sound(known.folder)


def test_a_folder_is_forgotten_whole_and_no_other(library: LibraryFactory, photos: Path) -> None:
    put_named(photos, "sub/sub.jpg", "sub2/sub2.jpg")
    write_tar(photos / "sub" / "x.tar", {"in a tar.jpg": photo_bytes(60)})
    (photos / "sub" / "broken.tar").write_text("no tar")
    library.add(photos / "sub")
    library.add(photos)
    with library.open() as opened:
        assert opened.forget(photos / "sub").photos == 2
        assert names_found(opened) == {f"{n:02d}.jpg" for n in range(10)} | {"sub2.jpg"}
        check_sound(opened.folder)


def test_a_tar_is_forgotten_with_its_photos(library: LibraryFactory, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "x.tar", {f"{n}.jpg": photo_bytes(n) for n in range(3)})
    library.add(tar)
    tar.unlink()
    with library.open() as opened:
        assert opened.forget(tar).photos == 3
        assert rows(opened, "photo") == rows(opened, "scan") == 0
        check_sound(opened.folder)


def test_what_people_said_stays_as_long_as_a_copy_does(known: Library, photos: Path) -> None:
    (photos / "copy.jpg").write_bytes((photos / "03.jpg").read_bytes())
    known.add(photos)
    assert known.forget(photos / "03.jpg").labels == 0
    assert rows(known, "tag_label") == 1
    assert known.forget(photos / "copy.jpg").labels == 1
    assert rows(known, "tag_label") == 0
    check_sound(known.folder)


def test_the_photos_of_a_hotel_are_forgotten_by_its_whole_name(library: LibraryFactory, tree: HotelsTree) -> None:
    with library.open() as opened:
        opened.add(hotels50k=tree.root)
        with pytest.raises(QueryError, match=re.escape("no hotel 'azura' in this library (near it: Azura One)")):
            opened.forget(hotels=["azura"])
        report = opened.forget(hotels=["AZURA ONE"])
        assert (report.photos, report.hotels) == (2, ["Azura One"])
        assert str(report) == "2 photos of Azura One"
        assert opened.info().hotels == 1
        assert opened.forget(hotels=[200]).photos == 1
        assert (opened.info().hotels, rows(opened, "photo")) == (0, 0)
        check_sound(opened.folder)


def test_only_what_is_missing_still_is_forgotten_as_gone(stocked: LibraryFactory, photos: Path) -> None:
    for name in ("00.jpg", "01.jpg"):
        (photos / name).unlink()
    stocked.add(photos)
    (photos / "01.jpg").write_bytes(photo_bytes(1))  # back, and no look at it yet
    (photos / "02.jpg").unlink()  # gone, and no look either: a disk may not be there
    with stocked.open() as opened:
        report = opened.forget(gone=True)
        assert (report.photos, report.back) == (1, 1)
        assert "1 photo left alone whose files are there again" in report.notes[0]
        assert states_of(stocked.folder).keys() == {f"{n:02d}.jpg" for n in range(1, 10)}
        assert opened.forget(gone=True).photos == 0
        (photos / "02.jpg").write_bytes(photo_bytes(2))
        opened.add(photos)
        check_sound(opened.folder)


def test_restyled_photos_are_forgotten_with_their_files(known: Library) -> None:
    (result,) = keep_results(known.folder, [5], known.encoder)
    report = known.forget(result.path)
    assert (report.photos, report.restyled, str(report)) == (0, 1, "1 restyled photo")
    assert not result.path.exists()
    assert [kept.lineage.source_photo_id for kept in known.restyled()] == [4]
    with pytest.raises(QueryError, match="no restyled photo is in"):
        known.search("a room kind:restyled")
    check_sound(known.folder)


def test_a_dry_run_changes_nothing(known: Library, photos: Path) -> None:
    before = [(table, rows(known, table)) for table in ("photo", "tag_label", "caption", "embedding", "scan")]
    assert known.forget(photos, dry_run=True).photos == 10
    assert [(table, rows(known, table)) for table, _ in before] == before
    assert len(names_found(known)) == 10
    check_sound(known.folder)


def test_what_the_library_does_not_know_changes_nothing(known: Library, photos: Path, tmp_path: Path) -> None:
    for asked in ({"paths": [tmp_path / "nothing"]}, {"hotels": ["9" * 30]}, {}):
        paths = asked.pop("paths", [])
        with pytest.raises(QueryError, match=r"knows no photo at|no hotel|say what to forget"):
            known.forget(photos / "00.jpg", *paths, **asked) if paths or asked else known.forget()  # type: ignore[arg-type]
    assert len(names_found(known)) == 10
    with known.catalog.lock(), pytest.raises(LibraryError, match="another process or thread is changing"):
        known.forget(photos)


def test_photos_are_forgotten_by_any_name_of_their_folder(known: Library, photos: Path) -> None:
    link = photos.with_name("link")
    link.symlink_to(photos)
    assert known.forget(link / "00.jpg").photos == 1
    with known.catalog.engine.begin() as connection:  # as an earlier version kept them
        connection.execute(text("UPDATE photo SET path = replace(path, '/photos/', '/link/') WHERE id = 2"))
    assert known.forget(link).photos == 1
    assert known.forget(photos).photos == 8


def test_forgotten_vectors_are_found_by_no_index_and_merged_away(stocked: LibraryFactory, photos: Path) -> None:
    with stocked.open() as opened:
        opened.update_index("hnsw")
        opened.forget(photos / "03.jpg")
        (photos / "03.jpg").unlink()
        query = stocked.encoder.encode_texts(["a room"])
        with opened.catalog.session() as session:
            _, ids = opened.index(session).search(query, k=EVERYTHING)
        assert 4 not in np.asarray(ids)
        for number in range(20, 32):
            (photos / f"{number}.jpg").write_bytes(photo_bytes(number))
            opened.add(photos)
        assert len(names_found(opened)) == 21
        check_sound(opened.folder)


def test_a_photo_inside_a_tar_is_forgotten_as_searches_show_it(library: LibraryFactory, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "wow!.tar", {f"{n}!.jpg": photo_bytes(n) for n in range(3)})
    library.add(tar)
    with library.open() as opened:
        assert opened.forget(f"{tar}!1!.jpg").photos == 1
        assert names_found(opened) == {"0!.jpg", "2!.jpg"}
        check_sound(opened.folder)


def test_an_empty_path_names_nothing(known: Library, monkeypatch: pytest.MonkeyPatch, photos: Path) -> None:
    monkeypatch.chdir(photos)
    for act in (known.forget, known.add):
        with pytest.raises(QueryError, match="the path is empty"):
            act("")
    assert known.forget(".", dry_run=True).photos == 10


def test_folders_that_differ_by_case_keep_each_its_failures(library: LibraryFactory, tmp_path: Path) -> None:
    for number, name in enumerate(("Qa", "qA")):
        (put(tmp_path / name, number) / "bad.tar").write_text("no tar")
        library.add(tmp_path / name)
    with library.open() as opened:
        opened.forget(tmp_path / "Qa")
        assert [failure.where for failure in opened.failures()] == [str(tmp_path / "qA" / "bad.tar")]


def test_a_hotel_without_photos_is_forgotten(library: LibraryFactory, tree: HotelsTree) -> None:
    with library.open() as opened:
        opened.add(hotels50k=tree.root)
        opened.forget(tree.root)
        assert opened.info().hotels == 2
        assert opened.forget(hotels="100").hotels == ["Azura One"]
        assert opened.info().hotels == 1


def test_names_are_forgotten_in_any_spelling(library: LibraryFactory, tmp_path: Path) -> None:
    composed, apart = "\u00c9t\u00e9", "E\u0301te\u0301"
    library.add(put(tmp_path / composed, 1))
    with library.open() as opened:
        assert opened.forget(tmp_path / apart).photos == 1
