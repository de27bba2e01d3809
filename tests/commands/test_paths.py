"""Photos named by their paths, hits copied out and opened, links on terminals: as the shell runs it."""

import io
import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

import cli
from base.console import HIDDEN
from base.settings import DEFAULT_LIBRARY, LibraryFolder
from db.tag_rows import all_labels
from tests.base.test_console import on_terminal
from tests.by_folder import session_of
from tests.commands.conftest import Aliens
from tests.conftest import photo_bytes, raising
from tests.indexer.conftest import write_tar

LINK = re.compile(r"\x1b\]8;(?:id=\d+)?;([^\x1b]*)\x1b\\([^\x1b]*)\x1b\]8;;\x1b\\")


@pytest.fixture
def stored(aliens: Aliens, filled: Path) -> Path:
    """Ten photos in photos/, and another two in a tar."""
    write_tar(filled / "x.tar", {"dir/m.jpg": photo_bytes(50), "n.jpg": photo_bytes(51)})
    assert aliens("add", filled)[0] == 0
    return filled


def hits(out: str) -> list[tuple[int, float]]:
    return [(hit["photo_id"], hit["score"]) for hit in map(json.loads, out.splitlines())]


def test_a_path_does_what_the_number_does(aliens: Aliens, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aliens("tag")
    pairs = [
        (("similar", "photos/02.jpg"), ("similar", 3)),
        (("similar", "photos/x.tar/dir/m.jpg"), ("similar", 11)),
        (("similar", "photos/x.tar!n.jpg"), ("similar", 12)),
        (("search", "pool", "--like", "photos/../photos/02.jpg"), ("search", "pool", "--like", 3)),
        (("search", "pool like:photos/02.jpg:0.5"), ("search", "pool like:3:0.5")),
        (
            ("search", "a", "--more-like", "photos/02.jpg, 5", "--more-like", stored / "03.jpg", "--less-like", "7"),
            ("search", "a", "--more-like", "3,5,4", "--less-like", 7),
        ),
        (("tags", "show", "photos/x.tar/n.jpg"), ("tags", "show", 12)),
    ]
    for by_path, by_number in pairs:
        out, err = aliens.well(*by_path, "--json")
        assert out == aliens(*by_number, "--json")[1]
    assert aliens("restyle", "photos/02.jpg", 4, "--engine", "regrade", "-o", "out")[0] == 0
    by_path = aliens("restyled", "--photo", "photos/02.jpg", "--json")[1]
    assert by_path == aliens("restyled", "--photo", 3, "--json")[1] != ""
    for name, output in (("photos/x.tar/n.jpg", "a.png"), ("12", "b.png")):
        assert aliens("see", name, "-o", output)[0] == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert sorted(os.listdir("out")) == ["02_fern_regrade.png", "03_fern_regrade.png"]
    code, _, err = aliens("restyled", "-o", "out")
    assert (code, sorted(os.listdir("out"))) == (0, ["02_fern_regrade.png", "03_fern_regrade.png"])
    assert "2 results in out too" in err
    assert aliens("forget", "photos/x.tar/dir/m.jpg", "--yes")[1] == "forgot 1 photo\n"


def test_a_file_that_the_library_lacks_is_compared_as_it_lies_there(aliens: Aliens, filled: Path) -> None:
    Path("new.jpg").write_bytes(photo_bytes(2))
    for command in (("similar", "new.jpg"), ("search", "--like", "new.jpg"), ("search", "like:new.jpg")):
        code, out, err = aliens(*command, "--json", "-k", 1)
        assert (code, hits(out)[0][0]) == (0, 3), err
        assert "new.jpg is not in the library: it is compared as it lies there" in err
    for command in (
        ("similar", "new.jpg", "--other-hotels"),
        ("search", "a", "--more-like", "new.jpg"),
        ("tags", "show", "new.jpg"),
        ("restyle", "new.jpg", "--engine", "regrade"),
    ):
        err = aliens.fails(2, *command)
        assert "no photo new.jpg in" in err
        assert "`aliens add new.jpg`" in err


def test_what_no_path_names_is_told_with_a_remedy(aliens: Aliens, filled: Path) -> None:
    (filled / "bad.jpg").write_text("no photo")
    aliens("add", filled)
    refused = [
        (("similar", "photos/2.jpg"), "near it: photos/"),
        (("similar", "photos"), "it is a folder"),
        (("search", "like:gone.jpg"), "no photo gone.jpg"),
        (("search", "a", "--more-like", "1,,2"), "--more-like names no photo"),
        (("search", "a", "--less-like", ""), "--less-like names no photo"),
        (("similar", "photos/bad.jpg"), "photos/bad.jpg cannot be used ("),
        (("similar", ""), "a photo's name is empty"),
    ]
    for arguments, words in refused:
        err = aliens.fails(2, *arguments)
        assert words in err


def test_a_saved_search_keeps_photos_by_number_so_that_it_outlasts_a_move(
    aliens: Aliens, filled: Path, tmp_path: Path
) -> None:
    asked = ("pool like:photos/02.jpg", "--more-like", "photos/03.jpg", "--like", "photos/04.jpg")
    before = aliens("search", *asked, "--json", "--save", "mine")[1]
    (saved,) = aliens.records("searches")
    assert (saved["query"], saved["options"]) == ("pool like:3", {"like": 5, "more_like": [4]})
    filled.rename(tmp_path / "moved")
    aliens("add", "moved")
    assert hits(aliens("search", "--saved", "mine", "--json")[1]) == hits(before)


def test_hits_are_copied_by_rank(aliens: Aliens, stored: Path) -> None:
    names = [
        Path(line.split("\t")[1].replace("!", "/")).name for line in aliens("search", "a", "-k", 12)[1].splitlines()
    ]
    code, _, err = aliens("search", "a", "-k", 12, "--to", "out/hits")
    assert (code, "copied 12 photos to out/hits" in err) == (0, True)
    assert sorted(os.listdir("out/hits")) == [f"{rank:02d}_{name}" for rank, name in enumerate(names, start=1)]
    (stored / "04.jpg").unlink()
    (Path("out/hits") / "mine.txt").touch()
    assert "out/hits holds 01_" in aliens.fails(2, "search", "a", "--to", "out/hits")
    assert aliens("search", "a", "-n", 3, "--page", 2, "--to", "second")[0] == 0
    assert sorted(path.name[:3] for path in Path("second").iterdir()) == ["04_", "05_", "06_"]
    code, _, err = aliens("search", "a", "--all", "--min-score", -1, "--to", "all", "--link")
    assert (code, len(os.listdir("all"))) == (0, 11)
    assert "linked 11 photos to all" in err
    assert "left out 1 photo that cannot be read: " in err
    assert sum(path.is_symlink() for path in Path("all").iterdir()) == 9  # members of tars are copied
    assert aliens("similar", 1, "-k", 2, "--to", "like")[0] == 0
    assert len(os.listdir("like")) == 2
    assert aliens("search", "a path:nowhere", "--to", "none")[0] == 0
    assert not Path("none").exists()
    Path("captions.txt").write_text("a pool\n")
    aliens("caption", "--from", "captions.txt")
    assert aliens("captions", "pool", "-k", 3, "--to", "captioned")[0] == 0
    assert len(os.listdir("captioned")) == 3
    assert "--link says how --to FOLDER" in aliens("search", "a", "--link")[2]


def test_ctrl_c_says_what_was_copied(aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("base.copy_folder.place_photo", raising(KeyboardInterrupt()))
    code, _, err = aliens("search", "a", "--to", "out")
    assert (code, os.listdir("out")) == (130, [])
    assert "stopped: what was copied to out is whole" in err


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A desktop that opens nothing, and what it was asked to open."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "xdg-open").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "xdg-open").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    asked: list[str] = []
    monkeypatch.setattr("typer.launch", asked.append)
    return asked


def test_hits_are_opened_or_the_folder_or_the_sheet(
    aliens: Aliens, stored: Path, tmp_path: Path, desktop: list[str]
) -> None:
    out = aliens("search", "a path:/0", "-k", 3, "--open")[1]
    assert desktop == [line.split("\t")[1] for line in out.splitlines()]
    desktop.clear()
    aliens("search", "a", "--sheet", "sheet.jpg", "--open")
    aliens("similar", 1, "--sheet", "sheet.jpg", "--to", "hits", "--open")
    assert desktop == [str(tmp_path / "sheet.jpg"), str(tmp_path / "hits")]
    desktop.clear()
    code, out, err = aliens("search", "a", "-k", 11, "--open")
    assert (code, len(out.splitlines())) == (2, 11)
    assert "11 photos are too many to open one by one: add --sheet OUT.jpg" in err
    assert "x.tar!" in aliens("search", "a path:n.jpg", "--open")[2]
    assert desktop == []


def test_without_a_desktop_that_is_said_before_the_search(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert "--open needs a desktop" in aliens.fails(1, "search", "a", "--open")


def run_on_terminal(monkeypatch: pytest.MonkeyPatch, *words: object, term: str = "xterm-256color") -> str:
    """Return what a command writes to a terminal."""
    monkeypatch.setattr(sys, "argv", ["aliens", *map(str, words)])
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "200")
    with on_terminal() as (out, err), pytest.raises(SystemExit):
        cli.main()
    return out.getvalue() + err.getvalue()


def test_paths_are_links_on_a_terminal_that_is_not_dumb_and_nowhere_else(
    aliens: Aliens, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stored / "empty.jpg").touch()
    aliens("add", stored)
    aliens("tag")
    commands: list[tuple[object, ...]] = [
        ("search", "a", "-k", 12, "--sheet", "s h.jpg"),
        ("failures",),
        ("tags", "show", "photos/x.tar/n.jpg"),
        ("tags", "sheet", "pool", "-o", "tag.jpg"),
        ("see", 1, "-o", "seen.png"),
        ("restyle", 1, "--engine", "regrade", "--html", "page.html"),
        ("restyled", "--html", "page.html"),
    ]
    opened = set()
    for command in commands:
        found = LINK.findall(run_on_terminal(monkeypatch, *command))
        assert found, command
        opened |= {unquote(uri.removeprefix("file://").partition("/")[2]) for uri, _ in found}
        assert "\x1b]8" not in run_on_terminal(monkeypatch, *command, term="dumb"), command
        assert "\x1b" not in "".join(aliens(*command)[1:]), command
    result = next((Path.cwd() / DEFAULT_LIBRARY / "restyled").glob("1-*"))
    files = [stored / "00.jpg", stored / "x.tar", stored / "empty.jpg", result]
    files += [Path.cwd() / name for name in ("s h.jpg", "tag.jpg", "seen.png", "page.html")]
    assert {f"/{path}" for path in opened} >= {str(path) for path in files}


def lines_into(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def labelled(tag: str) -> dict[int, bool]:
    """Return what people have said of a tag, by photo."""
    with session_of(LibraryFolder(Path(DEFAULT_LIBRARY))) as session:
        return {label.photo_id: label.present for label in all_labels(session) if label.tag == tag}


def test_tags_of_many_photos_are_set_at_once(aliens: Aliens, tagged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert aliens("tags", "set", 1, "photos/01.jpg", 2, "pool")[1] == "2 photos have 'a pool'\n"
    found = aliens("search", "a", "-k", 3)[1]
    lines_into(monkeypatch, found)
    out, err = aliens.well("tags", "unset", "--from", "-", "a pool", "--json")
    ids = [json.loads(line)["photo_id"] for line in aliens("search", "a", "-k", 3, "--json")[1].splitlines()]
    assert json.loads(out) == {"tag": "a pool", "present": False, "photo_ids": ids}
    assert labelled("pool") == {1: True, 2: True} | dict.fromkeys(ids, False)
    Path("ids.txt").write_bytes(b"\xef\xbb\xbf1\r\n\r\nphotos/01.jpg\r\n" + b'{"photo_id": 9}\n')
    assert aliens("tags", "unset", "--forget", "--from", "ids.txt", "pool")[1].startswith("3 photos are left to the")
    err = aliens.fails(2, "tags", "set", "--query", "a", "-n", 4, "a tv")
    assert "4 photos have 'a tv': the best of 'a'. Keep that? Nobody can be asked here: say --yes" in err
    assert labelled("tv") == {}
    assert aliens("tags", "set", "--query", "a", "-n", 4, "a tv", "--yes")[1] == "4 photos have 'a tv'\n"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, err: False)
    code, out, err = aliens("tags", "unset", "--query", "a", "a tv")
    assert (code, out, err) == (1, "", "nothing was changed\n")
    assert set(labelled("tv").values()) == {True}


def test_nothing_is_set_where_a_photo_is_unknown(aliens: Aliens, tagged: Path) -> None:
    Path("empty.txt").write_text("\n \n")
    Path("table.txt").write_text("1\n1\t2\tregrade\tas is\n")
    Path("binary.txt").write_bytes(b"\xff\xfe\x00\x1b[31m")
    refused: list[tuple[tuple[object, ...], str]] = [
        ((1, 2, 99, 100, "pool"), "no photo 99, 100 in"),
        ((1, "gone.jpg", "pool"), "no photo gone.jpg"),
        (("pool",), "say which photos 'pool' is about"),
        ((1, "--query", "a", "pool"), "one of them"),
        (("--query", "a path:nowhere", "pool", "--yes"), "no photo is left for"),
        (("--from", "gone.txt", "pool"), "gone.txt cannot be read: No such file"),
        (("--from", ".", "pool"), "cannot be read: Is a directory"),
        (("--from", "empty.txt", "pool"), "empty.txt lists no photo"),
        (("--from", "table.txt", "pool"), "line 2 is no list of photos"),
        (("--from", "binary.txt", "pool"), "no file can be called"),
        ((1, 2), "no tag '2'"),
    ]
    for arguments, words in refused:
        err = aliens.fails(2, "tags", "set", *arguments)
        assert words in err
        assert not HIDDEN.search(err.rstrip("\n"))
    assert labelled("pool") == {}
