"""What reaches the terminal: names from anywhere, streams of any encoding, commands that run as they are printed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import cli
from base.console import HIDDEN, one_line
from commands.options import runnable
from tests.base.test_console import on_terminal, piped
from tests.commands.conftest import Aliens
from tests.conftest import photo_bytes
from tests.screen import pseudo_terminal

ROOT = Path(__file__).parents[2]
EVIL = "[red]\x1b[31m\x9b5A\u202egpj\n0.999\tforged[x] :smile:"
SHOWN = one_line(EVIL)
COLOURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\]8;(id=\d+)?;(file://[\x21-\x7e]*)?\x1b\\")  # and links that are whole


@pytest.fixture
def evil(aliens: Aliens, tmp_path: Path) -> Path:
    """A library whose photos, captions and saved search have names that a terminal would obey; one photo is broken."""
    folder = tmp_path / "photos" / EVIL
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{EVIL}{number}.jpg").write_bytes(photo_bytes(number))
    (folder / "empty.jpg").touch()
    captions = tmp_path / f"captions{EVIL}.txt"
    captions.write_text("a pool \x1b[31m\u202ehere\n", encoding="utf-8")
    for command in (
        ("init",),
        ("add", folder.parent),
        ("tag",),
        ("caption", "--from", captions),
        ("search", f"path:* {EVIL.partition(' ')[0]!r}", "--save", EVIL),
        ("restyle", 1, 2, "--engine", "regrade"),
    ):
        aliens.well(*command)
    return folder


COMMANDS: list[tuple[tuple[object, ...], int]] = [
    (("search", "pool"), 0),
    (("search", "pool", "--all"), 0),
    (("search", "pool", "--sheet", f"{EVIL}.jpg"), 0),
    (("similar", 1), 0),
    (("info",), 0),
    (("failures",), 0),
    (("captions",), 0),
    (("captions", "pool"), 0),
    (("searches",), 0),
    (("search", f'"{EVIL}'), 2),
    (("search", "--saved", f"no{EVIL}"), 2),
    (("search", f"hotel:{EVIL}"), 2),
    (("tags", "show", 1), 0),
    (("tags", "set", 1, EVIL), 2),
    (("candidates", "--rejected"), 0),
    (("candidates", "-n", 1, "--manifest", f"{EVIL}.toml"), 2),
    (("restyle", 1, "--engine", "regrade", "--html", f"{EVIL}.html"), 0),
    (("restyle", 1, "--engine", f"/{EVIL}"), 1),
    (("restyled",), 0),
    (("restyled", "--html", f"no{EVIL}/page.html"), 0),
    (("quiz",), 0),
    (("see", f"no{EVIL}.jpg", "-o", "seen.jpg"), 2),
    (("export", "tags", "-o", f"{EVIL}.csv"), 0),
    (("eval", "tags", "--truth", f"no{EVIL}.csv"), 2),
    (("eval", "search", "--queries", f"no{EVIL}.csv"), 2),
    (("compare", "starter", "--queries", f"no{EVIL}.csv"), 2),
    (("add", f"no{EVIL}"), 1),
    (("info", "--library", f"no{EVIL}"), 1),
    (("verify",), 0),
    (("search", "pool", f"extra{EVIL}"), 0),
    (("search", "pool", f"-extra{EVIL}"), 0),
    (("similar", 1, f"extra{EVIL}"), 2),
    (("search", f"--no{EVIL}"), 2),
    ((f"no{EVIL}",), 2),
]


def test_no_name_reaches_the_terminal_raw(
    aliens: Aliens, evil: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (evil / "empty.jpg").touch()
    for words, expected in COMMANDS:
        code, out, err = aliens(*words)
        assert code == expected, (words, err)
        assert not HIDDEN.search(re.sub("[\t\n]", "", out + err)), words
        monkeypatch.setattr(sys, "argv", ["aliens", *map(str, words)])
        with on_terminal() as (drawn, said), pytest.raises(SystemExit):
            cli.main()
        terminal = COLOURS.sub("", drawn.getvalue() + said.getvalue())
        bars = re.sub(r"\x1b\[(\?25[lh]|2K|1A)|\r", "", terminal)
        assert not HIDDEN.search(bars.replace("\n", "")), words


def test_names_are_told_by_their_escapes_and_json_has_them_exactly(aliens: Aliens, evil: Path) -> None:
    out = aliens("search", "pool", "-k", 3)[1]
    assert [line.count("\t") for line in out.splitlines()] == [1, 1, 1]
    assert f"/{SHOWN}/{SHOWN}0.jpg" in out
    found = aliens.records("search", "pool")
    assert {hit["path"] for hit in found} == {str(evil / f"{EVIL}{number}.jpg") for number in range(3)}
    (saved,) = aliens.records("searches")
    assert saved["name"] == EVIL


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_streams_of_any_encoding_take_every_command(
    aliens: Aliens, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    folder = photos.rename(tmp_path / "отель ü 👨‍👩‍👧")
    aliens("init")
    aliens("add", folder)
    asked: Sequence[tuple[Sequence[str], int]] = (
        (("search", "pool"), 0), (("search", "pool", "--json"), 0), (("failures",), 0), (("verify",), 0),
        (("add", f"{folder}→"), 1), (("search", 'отель "x'), 2), (("see", f"{folder}/00.jpg", "-o", "ü→.jpg"), 0),
        (("--help",), 0), (("restyle", "-h"), 0), (("search", "--отель"), 2),
    )  # fmt: skip
    for words, expected in asked:
        with monkeypatch.context() as patch:
            pipes = piped(patch, encoding)
            patch.setattr(sys, "argv", ["aliens", *words])
            with pytest.raises(SystemExit) as stop:
                cli.main()
            out, err = pipes.read()
        assert (stop.value.code or 0) == expected, (words, err)
        if "--json" in words:
            paths = {json.loads(line)["path"] for line in out.splitlines()}
            assert paths == {str(path) for path in folder.glob("*.jpg")}


def test_names_are_utf8_wherever_the_locale_says_otherwise(aliens: Aliens, filled: Path, tmp_path: Path) -> None:
    """Typed ones, those of the database, and those that are written."""
    aliens("add", filled.rename(tmp_path / "отель"))
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, ROOT / "cli.py", "see", "отель/03.jpg", "--against", "3", "-o", "ü.jpg"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"picture: \\xfc.jpg\n")
    assert Path("ü.jpg").is_file()


def test_results_beside_bars_stand_on_lines_of_their_own(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "argv", ["aliens", "restyle", "3", "4", "--engine", "regrade"])
    with pseudo_terminal(columns=90) as screen, pytest.raises(SystemExit):
        cli.main()
    lines = screen.lines()
    assert "restyling" in screen.text
    assert "restyling" not in "\n".join(lines)
    for photo in (3, 4):
        at = lines.index(f"photo {photo}: recoloured in the colours of fern, no diffusion model was used")
        assert lines[at + 1].startswith("  outlines kept ")
        assert lines[at + 2].startswith("  1 attempt in ")


# Commands in messages


def test_commands_in_messages_name_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "no tags: `aliens tag`, or `aliens index --kind auto`; `pip install x`, `aliens init --library NEW`"
    assert runnable(said, Path("aliens-library")) == said
    elsewhere = "no tags: `aliens tag --library 'my lib'`, or `aliens index --kind auto --library 'my lib'`"
    assert runnable(said, Path("my lib")) == elsewhere + "; `pip install x`, `aliens init --library NEW`"
    monkeypatch.setenv("ALIENS_LIBRARY", "my lib")
    assert runnable(said, Path("my lib")) == said
    assert "--library aliens-library`" in runnable(said, Path("aliens-library"))


def test_what_is_printed_as_the_next_step_runs_as_it_stands(aliens: Aliens, photos: Path) -> None:
    library = ("--library", "it's my \nlibrary")
    printed = [aliens("info", *library)[2]]  # make one
    aliens("init", *library)
    aliens("add", photos, *library)
    printed.append(aliens("tags", *library)[2])  # tag first
    printed.append(aliens("tag", *library)[2])  # tags counts them
    printed.append(aliens("search", "pool", "--save", "it's $HOME", *library)[2])
    (photos / "03.jpg").unlink()
    printed.append(aliens("verify", *library)[1])  # add its folder again
    commands = [command for text in printed for command in re.findall(r"`(aliens [^`]+)`", text)]
    left_open = ("aliens init", "OUT.jpg", "PHOTO", "--calibrate")  # what people fill in, and what needs labels
    commands = [command for command in commands if not any(word in command for word in left_open)]
    assert len(commands) == 5
    for command in commands:
        words = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True, text=True
        ).stdout.split("\0")
        assert words[-3:-1] == list(library)
        aliens.well(*words[1:-1])
