"""README and docs/ hold: what they show is what is printed, and examples of `aliens` and of Python run."""

import ast
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.models import CommandInfo, TyperInfo

import aliens
import cli
from base import __version__
from embedding.encoder import Encoder
from tests.conftest import some_samples

ROOT = Path(__file__).parents[1]
README, PYTHON = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/python.md"))
# Whose examples are run, one after the other; of restyling.md those that need no weights.
GUIDES = ("commands", "adding", "searching", "large", "tags", "vocabularies", "hotels", "captions", "restyling")
TRANSLATED = (("README.md", "README.ru.md"), ("docs/tutorial.md", "docs/tutorial.ru.md"))
# For the rooms below, not for users.
OWNED = {
    "at_desk",
    "catalog",
    "close",
    "desk",
    "encoder",
    "folder",
    "index",
    "is_writable",
    "path",
    "photo",
    "read_desk",
    "searcher",
    "showing",
    "store",
    "write_desk",
}
OURS = ("aliens", "analysis", "base", "commands", "db", "embedding", "indexer", "restyle", "search", "web")
PAGES = [ROOT / "README.md", ROOT / "README.ru.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def example_commands() -> Iterator[list[str]]:
    for line in "\n".join([*blocks(README, "bash"), *map(examples_of, GUIDES)]).splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "aliens":
            yield words


def examples_of(guide: str) -> str:
    found = blocks((ROOT / "docs" / f"{guide}.md").read_text(encoding="utf-8"), "bash")
    return "\n".join(found[:1] if guide == "restyling" else found)


def begin_in(folder: Path, starter: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder, with the starter in the place of any model."""
    from embedding.open_clip_encoder import OpenClipEncoder

    monkeypatch.chdir(folder)
    monkeypatch.delenv("ALIENS_LIBRARY", raising=False)
    monkeypatch.setattr(OpenClipEncoder, "load", lambda name, **options: starter)
    monkeypatch.setattr("analysis.duplicates.duplicate_search.SAMPLE_PHOTOS", 8)  # each is embedded many times over


def type_shown(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a command that a page shows; it succeeds."""
    monkeypatch.setattr(sys, "argv", words)
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code, f"{shlex.join(words)}: {capsys.readouterr().err}"


def commands_of(app: typer.Typer, before: str = "") -> Iterator[tuple[str, CommandInfo | TyperInfo]]:
    """Yield every command with its full name; a group counts where it does something by itself."""
    for command in app.registered_commands:
        if command.hidden:  # an older name
            continue
        yield before + (command.name or getattr(command.callback, "__name__", "")), command
    for group in app.registered_groups:
        assert group.typer_instance is not None
        if group.hidden is True:
            continue
        name = f"{before}{group.name}"
        if group.typer_instance.info.invoke_without_command is True:
            assert group.typer_instance.registered_callback is not None
            yield name, group.typer_instance.registered_callback
        yield from commands_of(group.typer_instance, name + " ")


def commands_in_messages() -> Iterator[tuple[Path, str]]:
    """Yield every command between backticks in our messages and pages; what is put into a message is 7."""
    for path in sorted(path for room in OURS for path in (ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        apart = {id(part) for text in texts for part in text.values}
        apart |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        said = [
            "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts)
            for parts in (text.values for text in texts)
        ]
        said += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart
        ]
        yield from ((path, command) for text in said for command in re.findall(r"`aliens (.+?)`", text, re.DOTALL))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        yield from ((page, command) for command in re.findall(r"`aliens ([^`\n]+)`", text))
        for line in re.findall(r"^(?:    )?aliens (.+)", text, flags=re.MULTILINE):  # of blocks
            words = shlex.split(line, comments=True)
            yield page, shlex.join(takewhile(lambda word: word not in ("|", ">", ";"), words))


def test_every_command_that_a_message_or_a_page_names_can_be_typed() -> None:
    """Typed with 7 for a photo's number; nothing is run."""

    def mute(command: Any) -> None:
        command.callback = lambda **_: None
        for param in command.params:
            param.callback = None  # such as what installs completion into somebody's shell
        for below in getattr(command, "commands", {}).values():
            mute(below)

    root = typer.main.get_command(cli.app)
    mute(root)
    found = [(where, command) for where, command in commands_in_messages() if "..." not in command.split()]
    assert len(found) > 60
    wrong = []
    for where, command in found:
        words = ["7" if word.startswith("PHOTO_ID") else word for word in shlex.split(command)]
        try:
            root(words, standalone_mode=False)
        except cli.UsageError as error:
            told = error.format_message()
            if not told.startswith("Missing"):  # where a command is spoken of, as what made something
                wrong.append(f"{where.relative_to(ROOT)}: `aliens {command}`: {told}")
    assert wrong == []


def test_every_command_has_a_help_text() -> None:
    """Of which the site makes its page of commands."""
    for name, command in commands_of(cli.app):
        assert command.callback is not None
        assert command.callback.__doc__, name


@pytest.mark.parametrize(("page", "translation"), TRANSLATED)
def test_translations_show_the_same_commands(page: str, translation: str) -> None:
    shown = [
        re.findall(r"```(?:bash|text|python)\n.*?```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
        for name in (page, translation)
    ]
    assert len(shown[0]) >= 7
    assert shown[0] == shown[1]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_examples_of_the_readme_run_one_after_the_other(
    tmp_path: Path,
    samples: Path,
    starter: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin_in(tmp_path, starter, monkeypatch)
    (tmp_path / "aliens").mkdir()
    few = some_samples(tmp_path / "aliens" / "samples", samples, every=2)
    for path in samples.iterdir():
        if not (few / path.name).exists():
            (few / path.name).symlink_to(path)
    (tmp_path / "photos").mkdir()
    for number, photo in enumerate(sorted((samples / "images").rglob("*.jpg"))[:40]):
        shutil.copy(photo, tmp_path / "photos" / f"{number}.jpg")
    shutil.copy(tmp_path / "photos" / "7.jpg", tmp_path / "photos" / "room.jpg")
    (tmp_path / "photos" / "jp01").mkdir()
    shutil.copy(tmp_path / "photos" / "8.jpg", tmp_path / "photos" / "jp01")
    (tmp_path / "hotels.csv").write_text("hotel,chain\njp01,Azura\n", encoding="utf-8")

    examples = [words for words in example_commands() if words[1] != "serve"]  # which goes on until Ctrl-C
    assert len(examples) >= 10
    for words in examples:
        type_shown(words, monkeypatch, capsys)
    assert (tmp_path / "found.jpg").exists()

    capsys.readouterr()
    (python,) = blocks(README, "python")
    exec(compile(python, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 10
    names: dict[str, object] = {}
    for python in blocks(PYTHON, "python"):
        exec(compile(python, "docs/python.md", "exec"), names)
    assert "scoring" in capsys.readouterr().out


def test_every_method_of_a_library_is_documented() -> None:
    documented = set(re.findall(r"library\.(\w+)", PYTHON))
    public = {name for name in dir(aliens.Library) if not name.startswith("_")} - OWNED
    assert documented - {"csv"} <= public
    assert public <= documented


def test_files_that_pages_name_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"\]\((?!http|#)([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / name.partition("#")[0]).exists(), name


def test_the_changelog_tells_of_this_version_first_or_of_what_is_to_come() -> None:
    (first, *_) = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first == "Unreleased" or re.fullmatch(rf"{re.escape(__version__)} - \d{{4}}-\d\d-\d\d", first)
