"""How people type searches: words without quotes, -n or -k, pages, copies, and what is said where nothing fits."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import cli
from tests.commands.conftest import Aliens
from tests.commands.test_search import found
from tests.conftest import fill_folder


@pytest.fixture(autouse=True)
def filled_library(filled: Path) -> None:
    """The ten small photos."""


def test_words_need_no_quotes(aliens: Aliens) -> None:
    asked = aliens("search", "a pool with a view", "--json", "-n", 3)[1]
    for words in (
        ("a", "pool", "with", "a", "view", "--json", "-k3"),
        ("-n", 3, "a", "pool", "--json", "with", "a", "view"),
        ("--json", "a pool", "-n", 3, "--", "with", "a", "view"),
    ):
        assert aliens("search", *words)[1] == asked
    aliens("search", "a", "pool", "--save", "pools")
    assert json.loads(aliens("searches", "--json")[1])["query"] == "a pool"
    kept = found(aliens("search", "a", "sauna", "--json")[1])
    assert found(aliens("search", "--saved", "pools", "a", "sauna", "--json")[1]) == kept


@pytest.mark.parametrize("word", ["-sauna", "-lamp", "-kitchen", "-noise", "-hall", "-tag", "-été", "-浴室", "-2beds"])
def test_a_word_with_a_minus_is_no_option(aliens: Aliens, word: str) -> None:
    asked = aliens("search", "--json", "--", f"a pool {word}")[1]
    assert len(found(asked)) == 10
    assert aliens("search", "a", "pool", word, "--json")[1] == asked
    assert aliens("search", f"a pool {word}", "--json")[1] == asked
    first = aliens("search", "--json", "--", f"{word} a pool")[1]
    assert found(aliens("search", word, "--json", "a", "pool")[1]) == found(first)
    assert found(aliens("search", f"{word} a pool", "--json")[1]) == found(first)


def test_options_stay_options_among_words(aliens: Aliens, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    (tmp_path / "aliens-library").rename(hidden)
    for option in (("-l", hidden), ("-lhidden",), (f"-l{hidden}",), (f"--library={hidden}",)):
        assert aliens("search", "a", *option, "pool")[0] == 0
    assert "Usage" in aliens("search", "a", "pool", "-h")[1]
    assert aliens("search", "a", "pool", "--pgae", 2)[0] == 2
    assert "requires an argument" in aliens("search", "a", "pool", "--save")[2]
    assert aliens("search", "a", "--save", "-l", "pool", "-l", hidden)[0] == 0  # a value is a value, whatever it is
    assert json.loads(aliens("searches", "-l", hidden, "--json")[1])["name"] == "-l"
    _, err = aliens.well("search", "-l", hidden, "a", "pool", "-json")
    assert "the option is --json" in err


def test_what_a_shell_read_as_one_word_belongs_together(aliens: Aliens) -> None:
    quoted = aliens("search", 'a pool -"shower curtain":0.5 path:"a b" +"sea view"', "--explain")[2]
    words = ("a", "pool", "-shower curtain:0.5", "path:a b", "+sea view")
    assert quoted.splitlines()[:2] == aliens("search", *words, "--explain")[2].splitlines()[:2]


@pytest.mark.parametrize("options", [(), ("--per-hotel", 1), ("--diverse", 0.3), ("--sort", "date")])
def test_page_after_page_by_number(aliens: Aliens, options: tuple[object, ...]) -> None:
    whole = found(aliens("search", "pool", "--json", *options)[1])
    pages = [found(aliens("search", "pool", "-n", 4, "--page", page, "--json", *options)[1]) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [4, 4, 2, 0]
    assert sorted(photo for page in pages for photo in page) == sorted(whole)
    similar = found(aliens("similar", 3, "--json")[1])
    assert found(aliens("similar", 3, "-n", 4, "--page", 2, "--json")[1]) == similar[4:8]


def test_pages_end_and_go_with_nothing_that_says_otherwise(aliens: Aliens) -> None:
    for page in (2, 10**9, "9" * 25):
        code, out, err = aliens("search", "pool", "--page", page)
        assert (code, out) == (0, "")
        assert "the list has ended" in err
    cursor = json.loads(aliens("search", "pool", "--json", "-n", 2)[1].splitlines()[-1])["cursor"]
    assert "leave one of them out" in aliens("search", "pool", "--after", cursor, "--page", 2)[2]
    assert "--page" in aliens("search", "pool", "--all", "--page", 2)[2]


def test_the_next_page_is_a_command_that_can_be_pasted(aliens: Aliens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    words = ("search", "the guest's pool", "path:jpg", "-n", 4, "--save", "my pool")
    shown = [aliens(*words)[1]]
    for _ in (2, 3):
        command = aliens(*words)[2].partition("next page: ")[2].splitlines()[0]
        words = tuple(shlex.split(command)[1:])
        assert "--save" not in words
        shown.append(aliens(*words)[1])
    assert command.endswith("--page 3")
    assert "next page" not in aliens(*words)[2]
    pages = [set(re.findall(r"\d\d\.jpg", page)) for page in shown]  # a name stands in its link as well
    assert sorted(name for page in pages for name in page) == [f"{number:02}.jpg" for number in range(10)]
    assert aliens("search", "-n", 4, "--", "pool", "-sauna")[2].endswith(
        "next page: aliens search -n 4 --page 2 -- pool -sauna\n"
    )
    assert aliens("similar", 3, "-k", 4)[2].endswith("next page: aliens similar 3 -k 4 --page 2\n")
    monkeypatch.undo()


def test_the_next_page_behind_a_cursor_is_behind_another(aliens: Aliens, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = aliens("search", "pool", "--json", "-n", 6)[1].splitlines()
    third, sixth = (json.loads(lines[at])["cursor"] for at in (2, 5))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert (
        f"next page: aliens search pool -n 3 --after {sixth}"
        in aliens("search", "pool", "-n", 3, f"--after={third}")[2]
    )
    monkeypatch.undo()


def test_a_number_of_photos_is_n_or_k_in_every_command(aliens: Aliens) -> None:
    def options(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
        yield from ((name, set(each.opts)) for each in command.params)
        for below, each in getattr(command, "commands", {}).items():
            yield from options(each, below)

    spelt = [(name, opts) for name, opts in options(typer.main.get_command(cli.app), "") if opts & {"-n", "-k"}]
    assert {name for name, opts in spelt if not {"-n", "-k"} <= opts} == {"caption"}  # which means lines of a photo
    assert {"search", "similar", "captions", "candidates", "restyle", "tags"} <= {name for name, _ in spelt}
    for option in ("-n", "-k"):
        assert len(aliens("search", "pool", option, 3)[1].splitlines()) == 3
        assert aliens("restyle", "--query", "pool", option, 0)[0] == 2


def test_copies_are_counted_in_the_table_and_listed_where_asked(aliens: Aliens, photos: Path) -> None:
    for name in ("10.jpg", "11.jpg"):
        (photos / name).write_bytes((photos / "00.jpg").read_bytes())
    aliens("add", photos)
    hits = aliens.records("search", "pool", "-n", 20)
    assert len(hits) == 10
    assert [[copy["photo_id"] for copy in hit["copies"]] for hit in hits if hit["copies"]] == [[11, 12]]
    assert len(found(aliens("search", "pool", "--json", "-n", 20, "--copies")[1])) == 12
    code, out, err = aliens("similar", 1, "--json")
    assert (code, len(found(out))) == (0, 9)
    assert "passed over: 2 copies" in err
    aliens("search", "pool", "--copies", "--save", "all")
    assert len(found(aliens("search", "--saved", "all", "-n", 20, "--json")[1])) == 12
    assert len(found(aliens("search", "--saved", "all", "-n", 20, "--no-copies", "--json")[1])) == 10
    assert aliens("searches")[1] == "all\tpool\t--copies\n"


def test_where_nothing_stands_out_that_is_said_in_place_of_the_line(aliens: Aliens, photos: Path) -> None:
    fill_folder(photos, range(10, 25))
    aliens("add", photos)
    said = {}
    for word in map(str, range(12)):
        _, out, err = aliens("search", "--json", word)
        said[json.loads(out.splitlines()[0])["stands_out"]] = err
    assert "nothing here stands out" in said[False]
    assert "stop line" not in said[False]
    assert "nothing here" not in said[True]
    assert "stop line" in said[True]
