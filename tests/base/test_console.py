import io
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.console import (
    HIDDEN,
    FilePath,
    counted,
    megabytes,
    note,
    one_line,
    prepare_streams,
    print_json,
    print_rows,
    say,
    shell_word,
)

ROWS = [(0.25, "photos/a.jpg", None), (0.125, "tab\tand\nbreak\r\n.jpg", "отель [bold]")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Return the lines that are not blank, without bold and colours."""
        plain = re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", self.getvalue())
        return [line for line in plain.splitlines() if line.strip()]


@contextmanager
def on_terminal() -> Iterator[tuple[Terminal, Terminal]]:
    """Make standard output and standard error a terminal each, and yield both."""
    with redirect_stdout(Terminal()) as output, redirect_stderr(Terminal()) as errors:
        yield output, errors


@pytest.fixture(autouse=True)
def hundred_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")


# Tables


@pytest.mark.parametrize(
    ("rows", "printed"),
    [
        (ROWS, "0.25\tphotos/a.jpg\t\n0.125\ttab\\tand\\nbreak\\r\\n.jpg\tотель [bold]\n"),
        ([], ""),
        ([(0, None, "a.jpg")], "0\t\ta.jpg\n"),
    ],
)
def test_in_a_pipe_rows_are_tab_separated_and_one_line_each(
    capsys: pytest.CaptureFixture[str], rows: list[tuple], printed: str
) -> None:
    print_rows(("score", "path", "hotel"), rows)
    assert capsys.readouterr() == (printed, "")


def test_on_a_terminal_rows_are_a_table_under_their_columns() -> None:
    with on_terminal() as (output, _):
        print_rows(("score", "path", "hotel"), ROWS)
    head, rule, *rows = [line.split() for line in output.lines()]
    assert head == ["score", "path", "hotel"]
    assert set("".join(rule)) == {"─"}
    assert rows == [["0.25", "photos/a.jpg"], ["0.125", r"tab\tand\nbreak\r\n.jpg", "отель", "[bold]"]]


def test_on_a_terminal_empty_columns_are_left_out() -> None:
    with on_terminal() as (output, _):
        print_rows(("score", "chain", "path"), [(0, None, "a.jpg"), (0.5, None, "")])
    lines = [line.split() for line in output.lines()]
    assert lines[0] == ["score", "path"]
    assert lines[2] == ["0", "a.jpg"]


def test_on_a_narrow_terminal_columns_to_spare_are_left_out_the_first_first(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ("a-name-of-28-characters-long", "1", "22222222")
    heads = {}
    for width in (80, 43, 32, 20):
        monkeypatch.setenv("COLUMNS", str(width))
        with on_terminal() as (output, _):
            print_rows(("name", "few", "many"), [row], spare=("few", "many"))
        heads[width] = output.lines()[0].split()
    assert heads == {80: ["name", "few", "many"], 43: ["name", "many"], 32: ["name"], 20: ["name"]}


def test_on_a_terminal_long_paths_are_folded_and_not_cut() -> None:
    path = "photos/" + "0123456789" * 20
    with on_terminal() as (output, _):
        print_rows(("path",), [(path,)])
    lines = output.lines()
    assert max(map(len, lines)) <= 100
    assert path in "".join(line.strip() for line in lines)


def test_on_a_terminal_names_are_no_markup_and_no_emoji() -> None:
    with on_terminal() as (output, _):
        print_rows(("[red]pool[/x]", ":smile:"), [("[/nothing]", "[link=file:///x]a[/link] :smile:")])
    head, _, row = [line.strip() for line in output.lines()]
    assert head.split() == ["[red]pool[/x]", ":smile:"]
    assert row.split(maxsplit=1) == ["[/nothing]", "[link=file:///x]a[/link] :smile:"]


# Paths

LINK = re.compile(r"\x1b\]8;(?:id=\d+)?;(file://[\x21-\x7e]*)\x1b\\([^\x1b]*)\x1b\]8;;\x1b\\")
HOSTILE = "a\x1b\\b\x1b]8;;http:evil\x07c\x9c d\u202e;#?%отель.jpg"


def links_in(text: str) -> list[tuple[str, str]]:
    """Return (URI, text) of the links; nothing else that a terminal obeys stands in the text."""
    assert not HIDDEN.search(re.sub(r"\x1b\[[0-9;]*m|\n", "", LINK.sub("", text)))
    return LINK.findall(text)


def test_on_a_terminal_paths_are_links_that_no_name_can_end() -> None:
    path = FilePath(f"photos/{HOSTILE}")
    with on_terminal() as (output, errors):
        say(("made: ", path, ", the first"))
        note(path)
        print_rows(("score", "path"), [(0.25, path)])
    found = links_in(output.getvalue()) + links_in(errors.getvalue())
    assert len(found) == 3
    assert {text for _, text in found} == {one_line(path)}
    for uri, _ in found:
        host, _, place = uri.removeprefix("file://").partition("/")
        assert unquote(host) == socket.gethostname()
        assert unquote(f"/{place}") == os.path.abspath(path.text)


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_dumb_terminal_gets_no_links(monkeypatch: pytest.MonkeyPatch, term: str | None) -> None:
    monkeypatch.setenv("TERM", "dumb") if term else monkeypatch.delenv("TERM")
    with on_terminal() as (output, errors):
        note(FilePath("a.jpg"))
    assert (output.getvalue(), errors.getvalue()) == ("", "a.jpg\n")


def test_in_a_pipe_paths_stand_whole_and_are_no_links(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = str(tmp_path / HOSTILE)
    print_rows(("path",), [(FilePath(whole, most_lines=1),)])
    say(("to ", FilePath(whole)))
    assert capsys.readouterr().out.splitlines() == [one_line(whole), f"to {one_line(whole)}"]


@pytest.mark.parametrize("columns", [50, 60, 80])
def test_on_a_narrow_terminal_other_columns_make_room_for_the_names_of_files(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    path, name = "/photos/of the summer/2019-07-14 Lisbon/", "IMG_1234 (copy).jpg"
    with on_terminal() as (output, _):
        print_rows(("kind", "where", "reason"), [("truncated", FilePath(path + name), "the file ends too early " * 3)])
    lines = output.lines()
    assert max(map(len, lines)) <= columns
    assert any(name in line for line in lines)


def test_a_path_is_broken_between_folders_alone_unless_a_name_is_too_wide() -> None:
    path = FilePath("/a/bcd/efgh/ij kl.jpg")
    assert path.folded(30) == ["/a/bcd/efgh/ij kl.jpg"]
    assert path.folded(12) == ["/a/bcd/efgh/", "ij kl.jpg"]
    assert path.folded(5) == ["/a/", "bcd/", "efgh/", "ij kl", ".jpg"]
    assert FilePath(path.text, most_lines=2).folded(9) == ["…/efgh/", "ij kl.jpg"]
    assert FilePath(path.text, most_lines=1).folded(9) == ["…/", "ij kl.jpg"]
    assert FilePath("").folded(9) == [""]


# Names from anywhere


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (Path("a/b"), "a/b"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("\x1b[31mred\x07\0\x7f", r"\x1b[31mred\x07\x00\x7f"),
        ("\x9b31m\x85", r"\u009b31m\u0085"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("photo\u202egpj.exe\u202a\u2066\u2069", r"photo\u202egpj.exe\u202a\u2066\u2069"),
        ("caf\udce9\ud800", r"caf\xe9\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(value: object, text: str) -> None:
    assert one_line(value) == text


@pytest.mark.parametrize(
    "text",
    [
        "ü отель ホテル 호텔",
        "فندق مرحبا \u200fABC\u200e",
        "מלון שָׁלוֹם",
        "होटल क्\u200dष می\u200cخواهم",
        "e\u0301 n\u0303",
        "👨\u200d👩\u200d👧 🏳️\u200d🌈 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        r"C:\new [red] :smile: `a` <b>",
    ],
)
def test_text_of_every_script_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text


@given(st.text(st.characters()))
def test_whatever_a_name_holds_it_is_one_line_that_can_be_written(name: str) -> None:
    shown = one_line(name)
    assert not HIDDEN.search(shown)
    assert len(shown.encode().decode().splitlines()) <= 1
    assert one_line(shown) == shown


def test_a_name_forges_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("score", "path"), [("0.5", "a.jpg\n0.9\tforged.jpg")])
    say("done: a\nb")
    note("aliens: a\naliens: forged", "second")
    out, err = capsys.readouterr()
    assert out.splitlines() == ["0.5\t" + r"a.jpg\n0.9\tforged.jpg", r"done: a\nb"]
    assert err.splitlines() == [r"aliens: a\naliens: forged", "second"]


def test_a_word_for_the_shell_is_read_as_the_same_word() -> None:
    words = [
        "plain",
        "",
        "it's mine",
        'a "b" $HOME `c`',
        "new\nline\ttab\x1b[31m'\\n",
        "отель",
        "rtl\u202egpj",
        "c1\x9b",
    ]
    typed = " ".join(map(shell_word, words))
    assert not HIDDEN.search(typed)
    bash = ["bash", "-c", f"printf '%s\\0' {typed}"]
    said = subprocess.run(bash, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout
    assert said.decode().split("\0")[:-1] == words


# Streams that are not UTF-8


class Piped:
    """Stdout and stderr as pipes of an encoding."""

    def __init__(self, encoding: str) -> None:
        self.streams = [io.TextIOWrapper(io.BytesIO(), encoding, newline="\n") for _ in range(2)]

    def read(self) -> list[bytes]:
        for stream in self.streams:
            stream.flush()
        return [stream.buffer.getvalue() for stream in self.streams]  # type: ignore[attr-defined]


def piped(monkeypatch: pytest.MonkeyPatch, encoding: str) -> Piped:
    pipes = Piped(encoding)
    for name, stream in zip(("stdout", "stderr"), pipes.streams, strict=True):
        monkeypatch.setattr(sys, name, stream)
    prepare_streams()
    return pipes


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437", "utf-8"])
def test_what_an_encoding_lacks_is_written_as_an_escape(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    pipes = piped(monkeypatch, encoding)
    print_rows(("score", "path"), [("0.5", "отель/ü.jpg")])
    say("ü → отель")
    note("aliens: no folder отель…")
    print_json({"path": "отель/ü\u202e\x9b\udce9.jpg"})
    out, err = pipes.read()
    row, line, record = out.decode(encoding).splitlines()
    escaped = ["0.5\tотель/ü.jpg", "ü → отель", "aliens: no folder отель…\n"]
    expected = [text.encode(encoding, "backslashreplace").decode(encoding) for text in escaped]
    assert [row, line, err.decode(encoding)] == expected
    assert json.loads(record) == {"path": "отель/ü\u202e\x9b\udce9.jpg"}
    assert not HIDDEN.search(record)
    assert ("отель" in record) == (encoding == "utf-8")


def test_streams_that_were_closed_take_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    prepare_streams()
    say("to nobody")
    note("to nobody")
    for stream in (sys.stdout, sys.stderr):
        stream.close()


# JSON


def test_json_is_one_object_a_line_in_plain_unicode(capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"path": "отель/ü\n.jpg", "score": 0.25, "hotel": None}, {"path": Path("a.jpg"), "tags": ["a sofa"]}]
    for record in records:
        print_json(record)
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert output.endswith("\n")
    assert len(lines) == 2
    assert "отель/ü" in lines[0]
    assert json.loads(lines[0]) == records[0]
    assert json.loads(lines[1]) == {"path": "a.jpg", "tags": ["a sofa"]}


# Numbers


def test_numbers_have_their_nouns_in_the_right_form_and_sizes_are_in_millions_of_bytes() -> None:
    assert [counted(n, "photo") for n in (0, 1, 2, 10**6)] == ["0 photos", "1 photo", "2 photos", "1000000 photos"]
    assert [megabytes(size) for size in (0, 1_500_000, 31_000_000_000)] == ["0.0 MB", "1.5 MB", "31000.0 MB"]
