"""How the command line is read and explained: verbs, older names, near spellings, help, examples, completion."""

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import cli
from commands.options import ENGINES
from commands.verbs import EXAMPLES
from tests.commands.conftest import Aliens
from tests.test_docs import commands_of

ROOT = Path(__file__).parents[2]
LISTED = sorted(dict(commands_of(cli.app)))
GROUPS = ["export", "import", "eval"]  # words that do nothing by themselves
# What takes long, asks for weights or changes what others show: their examples are parsed and not run.
LONG = (
    "serve",
    "init",
    "add",
    "candidates",
    "compare",
    "demo",
    "quiz",
    "restyle",
    "eval",
    "embed",
    "use",
    "sources move",
    "import",
    "see",
    "caption",
    "tag report",
    "tag suggest --truth",  # a file that nobody has here
)


def examples() -> Iterator[str]:
    root = typer.main.get_command(cli.app)

    def of(command: Any) -> Iterator[str]:
        yield from map(str.strip, (command.help or "").partition(EXAMPLES)[2].splitlines())
        for below in getattr(command, "commands", {}).values():
            if not below.hidden:
                yield from of(below)

    yield from filter(None, of(root))


# Help.


@pytest.mark.parametrize("columns", [60, 80])
def test_help_fits_any_terminal_says_no_types_and_ends_with_examples(
    aliens: Aliens, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in ["", *LISTED, *GROUPS]:
        code, out, err = aliens(*name.split(), "--help")
        assert (code, err) == (0, ""), name
        assert "\x1b" not in out  # colour is for terminals
        assert not re.search(r"<\w+[^>]*>|<=|range|INTEGER|TEXT\.\.\.", out), name
        told, _, shown = out.partition("Examples:\n")
        assert max(map(len, told.splitlines())) <= columns, name
        if name:
            assert 1 <= len(shown.splitlines()) <= 3, name
            assert all(line.startswith("  aliens ") for line in shown.splitlines()), name


def test_commands_are_listed_by_what_they_are_for_and_older_names_are_not(aliens: Aliens) -> None:
    out = aliens("--help")[1]
    headings = re.findall(r"^(\w+):$", out, re.MULTILINE)
    assert " ".join(headings) == "Library Search Hotels Tags Captions Restyle Measure Models Care Options"
    names = re.findall(r"^  (\w+)  ", out, re.MULTILINE)
    assert names == [name for listed in cli.COMMANDS.values() for name in listed]
    assert not set(cli.OLD) & set(names)
    assert aliens("-h")[1] == aliens("help")[1] == out
    assert aliens() == (2, "", out)
    assert aliens("help", "tag", "show")[1] == aliens("tag", "show", "-h")[1]
    assert aliens("tag", "help")[1] == aliens("tag", "--help")[1]
    assert aliens("export")[0] == 2


def test_a_command_below_a_verb_is_explained_by_its_own_arguments(aliens: Aliens) -> None:
    assert aliens("restyle", "-h")[1].startswith("Usage: aliens restyle [options] [PHOTO")
    assert aliens("restyle", "list", "-h")[1].startswith("Usage: aliens restyle list [options]\n")


def test_every_example_can_be_typed() -> None:
    root = typer.main.get_command(cli.app)

    def mute(command: Any) -> None:
        command.callback = lambda **_: None
        for below in getattr(command, "commands", {}).values():
            mute(below)

    mute(root)
    found = list(examples())
    assert len(found) > 50
    for example in found:
        assert len(example) <= 58, example  # on one line of a terminal of 60 columns
        root(shlex.split(example)[1:], standalone_mode=False)


def test_examples_run(aliens: Aliens, tagged: Path) -> None:
    aliens("caption", "--from", ROOT / "aliens" / "samples" / "captions.txt")
    aliens("search", "a pool", "--save", "pools")
    ran = 0
    for example in examples():
        words = shlex.split(example.replace("photos/room.jpg", "photos/05.jpg"))[1:]
        if " ".join(words).startswith(LONG) or re.search("hotel|gallery|SET", " ".join(words)):
            continue
        if "--other-hotels" in words or "--vocabulary" in words:  # these photos are of none; tagging twice takes long
            continue
        aliens.well(*words)
        ran += 1
    assert ran > 25


# Verbs.


def test_a_verb_does_its_job_and_has_commands_below_it(aliens: Aliens, tagged: Path) -> None:
    assert aliens("tag", "--json")[1].startswith('{"vocabulary"')
    assert aliens("tag", "show", 3, "--json")[0] == 0
    assert "no restyled photos yet" in aliens("restyle", "list")[2]
    assert "one of the three" in aliens("restyle")[2]
    assert aliens("saved", "remove", "none")[0] != 0
    assert "--json: put it after `show`" in aliens.fails(2, "tag", "--json", "show", 3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("tags",), ("tag", "list")),
        (("tags", "--by-chain"), ("tag", "list", "--by-chain")),
        (("tags", "--json"), ("tag", "list", "--json")),
        (("tags", "show", 3), ("tag", "show", 3)),
        (("tags", "unset", 3, "pool", "--forget"), ("tag", "unset", 3, "pool", "--forget")),
        (("captions",), ("caption", "list")),
        (("captions", "a", "pool"), ("caption", "find", "a", "pool")),
        (("captions", "--remove", "none"), ("caption", "remove", "none")),
        (("restyled",), ("restyle", "list")),
        (("restyled", "--json", "--photo", 3), ("restyle", "list", "--json", "--photo", 3)),
        (("searches",), ("saved",)),
        (("searches", "remove", "none"), ("saved", "remove", "none")),
    ],
    ids=str,
)
def test_older_names_do_the_same(
    aliens: Aliens, tagged: Path, old: tuple[object, ...], new: tuple[object, ...]
) -> None:
    assert aliens(*old) == aliens(*new)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("serach pool", "`aliens search`"),
        ("tga", "`aliens tag`"),
        ("tag lst", "`aliens tag list`"),
        ("tag --json shw 3", "`aliens tag show`"),
        ("restyle lits", "`aliens restyle list`"),
        ("saved remov x", "`aliens saved remove`"),
        ("caption fnd pool", "`aliens caption find`"),
        ("export tag", "`aliens export tags`"),
        ("search --perhotel 1", "--per-hotel"),
        ("xyzzy", "see the help"),
    ],
)
def test_near_spellings_are_suggested(aliens: Aliens, typed: str, meant: str) -> None:
    err = aliens.fails(2, *typed.split())
    assert meant in " ".join(err.replace("│", " ").split())
    assert "captions" not in err and "`aliens tags`" not in err  # older names are not suggested


def test_a_word_that_is_a_file_is_no_misspelt_command(aliens: Aliens, filled: Path) -> None:
    Path("lits").touch()
    assert "No such command" not in aliens("restyle", "lits")[2]


# Completion.


@pytest.fixture
def completed(aliens: Aliens, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what a shell is told at the end of a line."""

    def ask(line: str, shell: str = "bash") -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_ALIENS_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        code, out, err = aliens()
        monkeypatch.delenv("_ALIENS_COMPLETE")
        assert (code, err) == (0, ""), line
        return list(filter(None, out.splitlines()))

    return ask


def test_shells_complete_commands_and_values(aliens: Aliens, tagged: Path, completed: Any) -> None:
    aliens("search", "a pool", "--save", "pools")
    aliens("search", "a pool", "--save", "$(rm -rf ~)")  # in which a shell would see a command
    aliens("search", "a pool", "--save", "two words")
    assert "search" in completed("aliens ") and "tags" not in completed("aliens ")
    assert completed("aliens tag s") == ["show", "sheet", "set", "suggest"]
    assert completed("aliens tag show --vocabulary ") == ["case-study"]
    assert set(completed("aliens tag --vocabulary ")) == {"case-study", "hotel"}
    assert completed("aliens tag set 7 bath") == ["bathtub"]
    assert completed("aliens hotels --missing bath") == completed("aliens export hotels --tag bath") == ["bathtub"]
    assert completed("aliens tag sheet king") == [r"king-size\ bed"]
    assert completed("aliens tag sheet king", "fish") == ["king-size bed"]
    assert completed("aliens search --saved ") == ["pools", r"two\ words"]
    assert completed("aliens restyle ") == ["list"]
    assert completed("aliens restyle 7 --engine ") == list(ENGINES)
    assert completed("aliens restyle 7 --palette ") == ["emerald", "fern", "lagoon", "moss"]
    assert completed("aliens search --per-h") == ["--per-hotel"]
    for shell in ("zsh", "fish"):
        assert any("per-hotel" in line for line in completed("aliens search --per-h", shell))


def test_what_cannot_be_read_completes_nothing_and_says_nothing(completed: Any) -> None:
    assert completed("aliens search --saved ") == []  # no library
    Path("aliens-library").mkdir()
    Path("aliens-library/library.db").write_bytes(b"no database")
    assert completed("aliens search --saved ") == []
    assert completed("aliens tag show 3 --vocabulary ") == []
    Path("aliens-library/library.db").unlink()
    with sqlite3.connect("aliens-library/library.db") as database:
        database.execute("CREATE TABLE vocabulary (id, definition)")
        database.execute("INSERT INTO vocabulary VALUES (1, '[1]')")
    database.close()
    assert completed("aliens tag set 7 ") == []


def test_completing_imports_nothing_heavy(tmp_path: Path) -> None:
    line = {"_ALIENS_COMPLETE": "complete_bash", "COMP_WORDS": "aliens tag set 7 ", "COMP_CWORD": "4"}
    script = "import sys; sys.argv = ['aliens']\nimport cli, atexit\n"
    script += "atexit.register(lambda: print('HEAVY', {'rich', 'numpy', 'PIL', 'sqlalchemy'} & set(sys.modules)))\n"
    done = subprocess.run(
        [sys.executable, "-c", script + "cli.main()"],
        capture_output=True, text=True, check=True, env=os.environ | line | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("HEAVY set()", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_of_shells_are_shown(aliens: Aliens, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    out, _ = aliens.well("--show-completion")
    assert f"_ALIENS_COMPLETE=complete_{shell}" in out
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=out, text=True, check=False).returncode == 0


def test_engines_that_are_completed_are_those_that_there_are() -> None:
    from restyle.engines.engine import MODELS, WEIGHTLESS

    assert (*WEIGHTLESS, *MODELS) == ENGINES
