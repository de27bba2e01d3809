"""What a walk leaves out: folders of systems, --exclude, .aliensignore; and what becomes of photos that are known."""

import os
import random
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from aliens.library import Library
from indexer.ignoring import SYSTEM_FOLDERS, is_system_folder
from indexer.sources import Source, sources_at
from tests.conftest import LibraryFactory, photo_bytes, raising
from tests.indexer.conftest import check_invariants, found_in, problems_of, put_named, states_of, write_tar

NOWHERE = Path("/nowhere/library")


def walk(folder: Path, *exclude: str) -> Source:
    (source,) = sources_at([folder], NOWHERE, exclude=exclude)
    return source


@pytest.mark.parametrize("name", SYSTEM_FOLDERS)
def test_folders_of_systems_are_left_out_in_folders_and_tars_and_counted(tmp_path: Path, name: str) -> None:
    folder = put_named(tmp_path / "photos", "1.jpg", f"{name}/2.jpg", f"deep/{name}/3.jpg", f"{name.swapcase()}X/4.jpg")
    members = {"./1.jpg": b"", f"./{name}/2.jpg": b"", f"./{name}/3.jpg": b"", f"deep/{name}/x/4.jpg": b""}
    write_tar(folder / "t.tar", members)
    source = walk(folder)
    assert sorted(found_in(source)) == sorted(["1.jpg", f"{name.swapcase()}X/4.jpg", "t.tar!./1.jpg"])
    assert source.leftovers.passed_over.names["system_folder"] == {name: 4}
    assert str(source.leftovers.passed_over) == f"4 system folders ({name})"
    assert found_in(walk(folder / name)) == ["2.jpg"]  # it was named


def test_a_tar_in_a_folder_of_a_system_is_read_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "#recycle").mkdir()
    tar = write_tar(tmp_path / "#recycle" / "a.tar", {"1.jpg": b"", "@eaDir/2.jpg": b"", ".trash/3.jpg": b""})
    assert found_in(walk(tar)) == ["../a.tar!1.jpg"]


@pytest.mark.parametrize(
    ("folder", "names", "left"),
    [
        ("Pictures.photoslibrary", ("originals/0/a.jpg", "resources/derivatives/a.jpg", "scopes/b.jpg"), ["originals"]),
        ("Old.photolibrary", ("Masters/a.jpg", "Thumbnails/a.jpg", "Originals/b.jpg"), ["Masters", "Originals"]),
        ("CaptureOne", ("Cache/Thumbnails/a.jpg", "b.jpg"), ["b.jpg"]),
        ("Catalog Previews.lrdata", ("1/a.jpg",), []),
        ("Cache", ("a.jpg",), ["a.jpg"]),
        ("resources", ("derivatives/a.jpg",), ["derivatives"]),
    ],
)
def test_of_the_libraries_of_other_programs_the_photos_are_taken(
    tmp_path: Path, folder: str, names: tuple[str, ...], left: list[str]
) -> None:
    put_named(tmp_path / "photos" / folder, *names)
    assert sorted({found.split("/")[1] for found in found_in(walk(tmp_path / "photos"))}) == left
    if left and "." in folder:  # named itself, it is still known for what it is
        assert sorted({found.split("/")[0] for found in found_in(walk(tmp_path / "photos" / folder))}) == left


def test_system_folders_are_told_by_whole_names() -> None:
    assert not any(is_system_folder("/photos", name) for name in ("eaDir", "recycle", "@eadir", "lost", "lrdata"))


FILES = ("a.jpg", "a.png", "raw/b.jpg", "x/raw/c.jpg", "x/keep.png", "x/y/d.jpg", "x/y/e.png")


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["raw/"], {"a.jpg", "a.png", "x/keep.png", "x/y/d.jpg", "x/y/e.png"}),
        (["/raw"], {"a.jpg", "a.png", "x/raw/c.jpg", "x/keep.png", "x/y/d.jpg", "x/y/e.png"}),
        (["*.png", "!keep.png"], {"a.jpg", "raw/b.jpg", "x/raw/c.jpg", "x/keep.png", "x/y/d.jpg"}),
        (["x/**/*.png"], {"a.jpg", "a.png", "raw/b.jpg", "x/raw/c.jpg", "x/y/d.jpg"}),
        (["x/"], {"a.jpg", "a.png", "raw/b.jpg"}),
        (["x/", "!x/y/d.jpg"], {"a.jpg", "a.png", "raw/b.jpg"}),  # as of git: its folder is left out
        (["*", "!*/", "!*.jpg"], {"a.jpg", "raw/b.jpg", "x/raw/c.jpg", "x/y/d.jpg"}),
        (["# raw/", "", "[ab].???"], {"x/raw/c.jpg", "x/keep.png", "x/y/d.jpg", "x/y/e.png"}),
        (["raw/\r", "*.png  "], {"a.jpg", "x/y/d.jpg"}),
    ],
)
@pytest.mark.parametrize("how", ["file", "call"])
def test_patterns_mean_what_they_mean_to_git(tmp_path: Path, patterns: list[str], left: set[str], how: str) -> None:
    photos = put_named(tmp_path / "photos", *FILES)
    if how == "file":
        (photos / ".aliensignore").write_text("\ufeff" + "\n".join(patterns), encoding="utf-8")
        assert set(found_in(walk(photos))) == left
    else:
        typed = [pattern.strip() for pattern in patterns if pattern and not pattern.startswith("# ")]
        assert set(found_in(walk(photos, *typed))) == left


@pytest.mark.skipif(shutil.which("git") is None, reason="git says what its patterns mean, and is not here")
def test_random_patterns_leave_out_what_git_ignores(tmp_path: Path) -> None:
    names = ("a", "b", "ab", "a b", "x-y", "a]b", "#a", "!b", "^z")
    files = [f"{folder}{name}.jpg" for folder in ("", "a/", "ab/", "a b/", "b/a/", "a/b/a/") for name in names]
    photos = put_named(tmp_path / "photos", *files)
    subprocess.run(["git", "init", "--quiet", photos], check=True)
    atoms = ["a", "b", "*", "?", "**", "ab", "[ab]", "[!a]", "[a-z]", "[^b]*", "a*", "*b", "[]a]", "x[-]y", "[[]a"]
    atoms += ["a?b", r"\#a", r"\!b", r"a\]b", r"[\^]z", "[a^]*"]
    chance = random.Random(20261129)

    def pattern() -> str:
        parts = "/".join(chance.choices(atoms, k=chance.choice((1, 1, 2, 3)))) + chance.choice(("", ".jpg"))
        return chance.choice(("", "", "!")) + chance.choice(("", "/")) + parts + chance.choice(("", "/", "  "))

    for _ in range(40):
        for folder in (photos, photos / "a"):
            lines = "\n".join(pattern() for _ in range(3))
            for name in (".gitignore", ".aliensignore"):
                (folder / name).write_text(lines)
        asked = ["git", "-C", photos, "check-ignore", "--no-index", "-z", "--stdin"]
        told = subprocess.run(asked, input="\0".join(files), capture_output=True, text=True, check=False).stdout
        source = walk(photos)
        assert set(found_in(source)) == set(files) - set(told.split("\0")), lines
        assert set(found_in(source)) == {name for name in files if source.left_out(str(photos / name)) is None}


def test_a_hash_begins_a_pattern_of_a_call(tmp_path: Path) -> None:
    photos = put_named(tmp_path / "photos", "1.jpg", "#trash/2.jpg")
    assert found_in(walk(photos, "#trash")) == ["1.jpg"]


def test_each_folder_has_its_own_patterns_and_the_innermost_count_first(tmp_path: Path) -> None:
    photos = put_named(tmp_path / "photos", *FILES)
    (photos / ".aliensignore").write_text("*.png\n/x/raw/\n")
    (photos / "x" / ".aliensignore").write_text("!keep.png\n/y/d.jpg\n")
    source = walk(photos)
    assert found_in(source) == ["a.jpg", "raw/b.jpg", "x/keep.png"]
    assert source.leftovers.passed_over.counts == {"excluded": 3, "excluded_folder": 1}
    assert str(source.leftovers.passed_over) == "3 excluded files (.png 2, .jpg 1), 1 excluded folder (raw)"
    assert found_in(walk(photos, "*.jpg", "!a.png")) == ["a.png", "x/keep.png"]  # a call's count before all


def test_patterns_of_folders_above_hold_unless_they_leave_out_what_is_named(tmp_path: Path) -> None:
    photos = put_named(tmp_path / "photos", *FILES)
    (photos / ".aliensignore").write_text("*.png\nx/y/\n")
    assert found_in(walk(photos / "x")) == ["raw/c.jpg"]
    assert found_in(walk(photos / "x" / "y")) == ["d.jpg", "e.png"]  # it was named


def test_members_of_tars_are_left_out_as_files_in_folders_are(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    members = dict.fromkeys(("./raw/1.jpg", "raw/2.jpg", "b.png", "./c.jpg", "d/.hidden/e.jpg", "a\n/f.jpg"), b"")
    tar = write_tar(photos / "t.tar", members)
    (photos / ".aliensignore").write_text("raw/\n*.png\n")
    for source in (walk(photos), walk(tar)):
        assert {found.partition("!")[2] for found in found_in(source)} == {"./c.jpg", "a\n/f.jpg"}
        assert source.leftovers.passed_over.counts == {"excluded_folder": 1, "excluded": 1, "hidden": 1}
    assert {found.partition("!")[2] for found in found_in(walk(tar, "!raw/", "c.jpg"))} == {
        "./raw/1.jpg",
        "raw/2.jpg",
        "a\n/f.jpg",
    }
    (photos / ".aliensignore").write_text("t.tar\n")
    assert found_in(walk(photos)) == []


@pytest.mark.parametrize("name", ["ванна", "浴室", "e\u0301te\u0301", "été", "a b", "tab\t"])
def test_names_of_every_script_are_left_out_however_they_are_written(tmp_path: Path, name: str) -> None:
    photos = put_named(tmp_path / "photos", "1.jpg", f"{name}/2.jpg")
    for form in ("NFC", "NFD"):
        assert found_in(walk(photos, unicodedata.normalize(form, f"{name}/"))) == ["1.jpg"]


def test_unreadable_patterns_are_problems_by_themselves(library: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    put_named(photos, "a/raw/1.jpg", "b/1.jpg", "c/1.jpg", "d/1.jpg")
    (photos / "a" / ".aliensignore").write_bytes(b"!\nraw/\n\xff\xfe\n[z-a]\n")
    (photos / "b" / ".aliensignore").mkdir()
    os.mkfifo(photos / "c" / ".aliensignore")
    with open(photos / "d" / ".aliensignore", "wb") as file:
        file.truncate(20_000_000)
    assert library.add(photos).scan.found == 13
    told = {
        Path(problem["where"]).relative_to(photos).as_posix(): problem["reason"]
        for problem in problems_of(library.folder)
    }
    assert told["a/.aliensignore:1"] == "'!' is no pattern"
    assert told["a/.aliensignore:4"] == "'[z-a]' is no pattern"
    assert told["b/.aliensignore"] == "Is a directory: its patterns exclude nothing"
    assert told["c/.aliensignore"] == "no regular file: its patterns exclude nothing"
    assert told["d/.aliensignore"] == "has more than 1 MB: its patterns exclude nothing"
    assert len(told) == 5


# Photos that are known


def test_known_photos_that_are_left_out_now_stay_and_are_told(known: Library, photos: Path) -> None:
    (photos / "raw").mkdir()
    for name in ("02.jpg", "03.jpg"):
        (photos / name).rename(photos / "raw" / name)
    known.add(photos)
    (photos / ".aliensignore").write_text("raw/\n09.*\n")
    before = states_of(known.folder)
    report = known.add(photos)
    assert (report.scan.found, report.scan.left_out, report.scan.vanished, report.run.total) == (7, 3, 0, 0)
    assert states_of(known.folder) == before
    (note,) = (note for note in report.notes if "left out now" in note)
    assert note.startswith("3 photos known to the library")
    assert f"`aliens forget {photos / 'raw'} {photos / '09.jpg'}`" in note
    known.forget(photos / "raw", photos / "09.jpg")
    report = known.add(photos)
    assert (report.scan.left_out, report.scan.new, report.notes) == (0, 0, [])


def test_of_known_photos_that_are_left_out_those_that_are_gone_are_missing(known: Library, photos: Path) -> None:
    (photos / "03.jpg").unlink()
    report = known.add(photos, exclude="0[3-4].jpg")
    assert (report.scan.found, report.scan.left_out, report.scan.vanished) == (8, 1, 1)


def test_a_photo_that_moved_where_photos_are_left_out_is_missing_until_it_is_back(known: Library, photos: Path) -> None:
    (photos / "raw").mkdir()
    (photos / "03.jpg").rename(photos / "raw" / "03.jpg")
    assert known.add(photos, exclude=["raw"]).scan.vanished == 1
    report = known.add(photos, exclude="none")
    assert (report.run.moved, report.run.encoded) == (1, 0)


def test_photos_that_wait_and_are_left_out_now_are_let_go(library: LibraryFactory, photos: Path) -> None:
    put_named(photos, "raw/1.jpg", "raw/2.jpg")

    with pytest.raises(KeyboardInterrupt):
        library.add(photos, progress=raising(KeyboardInterrupt()))
    assert states_of(library.folder)["1.jpg"] == ("pending", None)
    report = library.add(photos, exclude=["raw/"])
    assert (report.scan.left_out, report.run.encoded) == (0, 10)
    assert "1.jpg" not in states_of(library.folder)
    check_invariants(library.folder)
    assert library.add(photos).scan.new == 0  # what was said of a place is remembered
    assert library.add(photos, exclude="none").scan.new == 2


def test_known_photos_in_folders_of_systems_are_told(library: LibraryFactory, photos: Path) -> None:
    put_named(photos, "@eaDir/1.jpg", "@eaDir/2.jpg")
    report = library.add(photos / "@eaDir")
    assert any("is a folder that a system makes for itself" in note for note in report.notes)
    report = library.add(photos)
    assert (report.scan.found, report.scan.left_out, report.scan.left_out_at) == (10, 2, [str(photos / "@eaDir")])
    report = library.open().add(photos, photos / "@eaDir")
    assert (report.scan.found, report.scan.left_out) == (12, 0)


def test_known_members_of_tars_that_are_left_out_now_stay(library: LibraryFactory, tmp_path: Path) -> None:
    folder = put_named(tmp_path / "photos", "1.jpg")
    write_tar(folder / "t.tar", {"raw/2.jpg": photo_bytes(20), "3.jpg": photo_bytes(30)})
    library.add(folder)
    report = library.add(folder, exclude="raw/")
    assert (report.scan.found, report.scan.left_out, report.scan.vanished) == (2, 1, 0)
    assert library.add(folder / "t.tar", exclude="raw/").scan.left_out == 1


def test_everything_excluded_is_an_error_that_says_so(stocked: LibraryFactory, photos: Path) -> None:
    with pytest.raises(
        Exception, match=r"no photos under .* \(passed over: 10 excluded files \(\.jpg\)\): nothing was"
    ):
        stocked.add(photos, exclude="*.jpg")
