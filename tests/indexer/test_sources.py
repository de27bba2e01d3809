"""Several sources in one add: paths, patterns, overlaps, and what is left when one of them fails or is empty."""

import os
import shutil
from pathlib import Path

import pytest

from aliens.library import Library
from base.errors import QueryError, SourceError
from db.photo_rows import latest_scans
from indexer.scan import ScanReport
from indexer.sources import FileSource, Source, sources_at
from tests.by_folder import disagreements as verify
from tests.by_folder import session_of
from tests.conftest import LibraryFactory, photo_bytes, raising
from tests.indexer.conftest import LABELLED, check_invariants, photos_of, put, put_named, states_of, write_tar
from tests.indexer.test_costs import executed

NOWHERE = Path("/nowhere/library")


def places(sources: list[Source]) -> list[str]:
    """Return where the sources are, photos one by one."""
    return [path for source in sources for path in (source.paths if isinstance(source, FileSource) else [source.path])]


def found_by(*paths: Path, exclude: tuple[str, ...] = ()) -> list[str]:
    """Return the photos that sources find, relative to the folder of the first path."""
    found = [photo for source in sources_at(paths, NOWHERE, exclude=exclude) for photo in source.photos()]
    return [os.path.relpath(photo.path, paths[0].parent) + f"!{photo.member}" * bool(photo.member) for photo in found]


def add_all(library: LibraryFactory, *paths: Path, **options: object) -> ScanReport:
    return library.open().add(*paths, **options).scan  # type: ignore[arg-type]


def test_folders_tars_and_photos_are_added_in_one_go(library: LibraryFactory, tmp_path: Path) -> None:
    one, two = put(tmp_path / "one", 1, 2), put(tmp_path / "two", 3)
    tar = write_tar(tmp_path / "more.tar", {"4.jpg": photo_bytes(4)})
    put(tmp_path / "single", 5, 6)
    report = library.open().add(one, two, tar, tmp_path / "single" / "5.jpg")
    assert (report.scan.found, report.scan.new, report.run.encoded) == (5, 5, 5)
    assert {os.path.basename(root): part.found for root, part in report.sources.items()} == {
        "one": 2,
        "two": 1,
        "more.tar": 1,
        "5.jpg": 1,
    }
    first, *lines = str(report).splitlines()
    assert first == "found 5 photos of 4 sources: 5 new, 0 changed, 0 unchanged, 0 missing"
    assert lines[0] == f"  {one}: 2 photos, 2 new"
    assert [part["root"] for part in report.as_json()["sources"]] == list(report.sources)
    with session_of(library.folder) as session:
        assert len(latest_scans(session)) == 4
    check_invariants(library.folder)


def test_a_photo_that_moved_from_one_named_folder_to_another_is_known_as_moved(known: Library, photos: Path) -> None:
    other = put(photos.parent / "other", 100)
    known.add(photos, other)
    (photos / "03.jpg").rename(other / "renamed.jpg")
    for order in ((photos, other), (other, photos)):
        report = known.add(*order)
        assert (report.scan.vanished, report.run.encoded) == (0, 0)
        assert report.run.moved == int(order[0] == photos)
    assert photos_of(known.folder)[str(other / "renamed.jpg")].id == LABELLED


@pytest.mark.parametrize(
    "named",
    [
        ("all", "all/a"),
        ("all/a", "all"),
        ("all", "all", "all/../all"),
        ("all", "link"),
        ("link/a", "all"),
        ("all", "all/a/1.jpg", "all/t.tar"),
        ("all/a/1.jpg", "all/a/1.jpg", "all"),
    ],
)
def test_photos_count_once_where_paths_overlap(library: LibraryFactory, tmp_path: Path, named: tuple[str, ...]) -> None:
    put(tmp_path / "all" / "a", 1, 2)
    put(tmp_path / "all", 3)
    write_tar(tmp_path / "all" / "t.tar", {"4.jpg": photo_bytes(4)})
    (tmp_path / "link").symlink_to(tmp_path / "all")
    paths = [tmp_path / name for name in named]
    for new in (4, 0):
        report = library.open().add(*paths)
        assert (report.scan.found, report.scan.new, report.scan.vanished) == (4, new, 0)
        assert list(report.sources) == [str(tmp_path / "all")]
    (tmp_path / "all" / "a" / "1.jpg").unlink()
    paths = [path for path in paths if path.exists()]
    assert add_all(library, *paths).vanished == 1
    assert verify(library.folder) == []


def test_what_a_named_folder_leaves_out_is_added_where_it_is_named_too(tmp_path: Path) -> None:
    put_named(tmp_path / "all", "1.jpg", "@eaDir/2.jpg", ".hidden/3.jpg", "IMG_4")
    named = [tmp_path / "all", *(tmp_path / "all" / name for name in ("@eaDir", ".hidden", "IMG_4"))]
    sources = sources_at(named, NOWHERE)
    assert sorted(os.path.basename(photo.path) for source in sources for photo in source.photos()) == [
        "1.jpg",
        "2.jpg",
        "3.jpg",
        "IMG_4",
    ]
    assert sum(source.leftovers.passed_over.files for source in sources) == 0


def test_links_from_one_source_into_another_give_no_photo_twice(library: LibraryFactory, tmp_path: Path) -> None:
    best, all_of_them = tmp_path / "best", put(tmp_path / "photos", 1, 2)
    best.mkdir()
    (best / "a.jpg").symlink_to(all_of_them / "1.jpg")
    (best / "folder").symlink_to(all_of_them)
    scan = add_all(library, best, all_of_them)
    assert (scan.found, scan.passed_over.counts) == (2, {"link": 2})
    assert [os.path.basename(place) for place in photos_of(library.folder)] == ["1.jpg", "2.jpg"]


# Patterns


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("*/rooms", ["a/rooms", "b/rooms"]),
        ("**/rooms", ["a/rooms", "b/rooms", "b/x/rooms"]),
        ("**", ["."]),
        ("[ab]", ["a", "b"]),
        ("?/rooms/*.jpg", ["a/rooms/1.jpg", "b/rooms/2.jpg"]),
        ("b*/**/*.tar", ["b/x/t.tar"]),
    ],
)
def test_patterns_name_what_they_match(tmp_path: Path, pattern: str, meant: list[str]) -> None:
    photos = tmp_path / "photos"
    for name, number in (("a/rooms", 1), ("b/rooms", 2), ("b/x/rooms", 3), (".c/rooms", 4), ("@eaDir/rooms", 5)):
        put(photos / name, number)
    put(photos / "a" / "rooms" / "@eaDir", 6)
    write_tar(photos / "b" / "x" / "t.tar", {"7.jpg": photo_bytes(7)})
    (photos / "b" / "loop").symlink_to(photos)
    (photos / "b" / "other loop").symlink_to(photos)
    found = places(sources_at([photos / pattern], NOWHERE))
    assert [os.path.relpath(place, photos) for place in found] == meant


def test_what_a_pattern_passes_over_is_counted(library: LibraryFactory, tmp_path: Path) -> None:
    for name in ("a", "@eaDir", "#recycle", "draft"):
        put(tmp_path / "photos" / name, 1)
    report = library.open().add(tmp_path / "photos" / "*", exclude=["draft/"])
    assert report.scan.found == 1
    assert report.scan.passed_over.counts == {"system_folder": 2, "excluded_folder": 1}


@pytest.mark.parametrize("name", ["hotel [old]", "what?", "*", "**"])
def test_what_is_literally_there_goes_before_a_pattern(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, 1)
    put(tmp_path / "other", 2)
    assert found_by(tmp_path / name) == [f"{name}/1.jpg"]


def test_all_paths_at_which_nothing_is_are_named_before_anything_is_done(library: LibraryFactory, photos: Path) -> None:
    wrong = ["gone", "*/nothing", "**bad", "[z-a]", "x" * 300]
    with pytest.raises(SourceError) as caught:
        library.open().add(photos, *(photos / name for name in wrong))
    for name in wrong:
        assert str(photos / name) in str(caught.value)
    assert states_of(library.folder) == {}
    with pytest.raises(SourceError, match=r"and 5 more: name folders of photos, photos or \.tar files"):
        library.open().add(*(photos / f"gone{number}" for number in range(25)))


def test_a_pattern_that_matches_nothing_is_an_error_with_allow_empty_too(library: LibraryFactory, photos: Path) -> None:
    with pytest.raises(SourceError, match="nothing is at"):
        library.add(photos / "*" / "rooms", allow_empty=True)


# Many, empty, broken, stopped


def test_many_sources_cost_few_statements(library: LibraryFactory, tmp_path: Path, on_postgres: object) -> None:
    hotels = [put(tmp_path / f"hotel {number:03d}", number) for number in range(60)]
    opened = library.open()
    opened.add(*hotels)
    statements = executed(opened.catalog.engine)
    report = opened.add(*hotels)
    assert (report.scan.unchanged, len(report.sources)) == (60, 60)
    assert [statement.split()[0] for statement, _ in statements].count("INSERT") == 1
    own = 0 if on_postgres is None else 3.5  # each of PostgreSQL's transactions asks whether the lock is held still
    assert len(statements) < (2.5 + own) * 60  # of each: its photos, and what else is known below it
    assert len(str(report).splitlines()) == 12
    assert "and 50 more sources" in str(report)


def test_photos_named_one_by_one_are_one_source(library: LibraryFactory, tmp_path: Path) -> None:
    put(tmp_path / "photos", *range(30))
    opened = library.open()
    statements = executed(opened.catalog.engine)
    report = opened.add(*(tmp_path / "photos").iterdir())
    assert (report.scan.new, len(report.sources)) == (30, 1)
    assert sum("FROM photo" in statement and "path IN" in statement for statement, _ in statements) == 2  # not 30


def test_one_empty_folder_of_several_loses_nothing(library: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    disk = put(tmp_path / "disk", 50, 51)
    library.open().add(photos, disk)
    shutil.rmtree(disk)
    disk.mkdir()
    report = library.open().add(photos, disk)
    assert (report.scan.found, report.scan.vanished, report.scan.kept) == (10, 0, 2)
    assert any(f"no photos under {disk}: 2 photos known there stay" in note for note in report.notes)
    assert states_of(library.folder)["50.jpg"] == ("embedded", None)
    assert library.open().add(photos, disk, allow_empty=True).scan.vanished == 2
    with pytest.raises(
        SourceError, match=rf"no photos under {disk}, {tmp_path}/new.*they lost their 2 photos for good"
    ):
        (tmp_path / "new").mkdir()
        library.open().add(disk, tmp_path / "new")


def test_a_broken_tar_among_sources_is_a_problem_and_loses_nothing_else(library: LibraryFactory, photos: Path) -> None:
    tar = write_tar(photos.parent / "a.tar", {"50.jpg": photo_bytes(50)})
    library.open().add(tar, photos)
    tar.write_bytes(b"no tar" * 1000)
    report = library.open().add(tar, photos)
    assert (report.scan.found, report.scan.vanished, report.scan.problems) == (10, 0, 1)
    ((failure),) = library.open().failures()
    assert (failure.where, "uncompressed tar" in failure.reason) == (str(tar), True)


def test_stopped_between_sources_nothing_is_lost(library: LibraryFactory, tmp_path: Path) -> None:
    one, two = put(tmp_path / "one", 1, 2), put(tmp_path / "two", 3, 4)

    with pytest.raises(KeyboardInterrupt):
        library.open().add(one, two, progress=raising(KeyboardInterrupt()))
    assert set(states_of(library.folder).values()) == {("pending", None)}
    report = library.open().add(one, two)
    assert (report.scan.found, report.scan.new, report.run.encoded) == (4, 2, 4)
    check_invariants(library.folder)


def test_a_file_of_another_kind_that_is_named_is_refused_with_its_remedy(library: LibraryFactory, photos: Path) -> None:
    for name, said in (
        ("a.zip", "unpack first"),
        ("b.psd", "save as JPEG or PNG first"),
        ("c.tar.zst", "pack again as"),
    ):
        (photos / name).write_bytes(b"x" * 100)
        with pytest.raises(SourceError, match=f"no photos under .*{name} .passed over: 1 .*{said}"):
            library.add(photos / name)
    (photos / "d.psd").write_bytes(photo_bytes(50))  # which is a JPEG
    assert library.add(photos / "d.psd").run.encoded == 1


def test_a_call_excludes_photos_that_are_named_one_by_one(tmp_path: Path) -> None:
    photos = put(tmp_path / "photos", 1, 2)
    (photos / "1_thumb.jpg").write_bytes(photo_bytes(1))
    assert found_by(*sorted(photos.iterdir()), exclude=("*_thumb.jpg",)) == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize("pattern", ["", "  ", "!", "/", "[z-a]", "a\nb"])
def test_a_pattern_that_excludes_nothing_is_refused(library: LibraryFactory, photos: Path, pattern: str) -> None:
    with pytest.raises(QueryError, match=r"is no pattern that excludes anything: write it as in a \.gitignore"):
        library.add(photos, exclude=["*.png", pattern])
