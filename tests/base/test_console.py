import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from base.console import counted, megabytes, note, one_line, print_json, print_rows

ROWS = [(0.25, "photos/a.jpg", None), (0.125, "tab\tand\nbreak\r\n.jpg", "отель [bold]")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Return the lines that are not blank, without bold and colours."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue())
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


def test_in_a_pipe_rows_are_tab_separated_and_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("score", "path", "hotel"), ROWS)
    assert capsys.readouterr().out == "0.25\tphotos/a.jpg\t\n0.125\ttab and break  .jpg\tотель [bold]\n"


def test_in_a_pipe_no_rows_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("score", "path"), [])
    assert capsys.readouterr() == ("", "")


def test_in_a_pipe_empty_columns_stay_in_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("score", "chain", "path"), [(0, None, "a.jpg")])
    assert capsys.readouterr().out == "0\t\ta.jpg\n"


def test_on_a_terminal_rows_are_a_table_under_their_columns() -> None:
    with on_terminal() as (output, _):
        print_rows(("score", "path", "hotel"), ROWS)
    head, rule, *rows = [line.split() for line in output.lines()]
    assert head == ["score", "path", "hotel"]
    assert set("".join(rule)) == {"─"}
    assert rows == [["0.25", "photos/a.jpg"], ["0.125", "tab", "and", "break", ".jpg", "отель", "[bold]"]]


def test_on_a_terminal_empty_columns_are_left_out() -> None:
    with on_terminal() as (output, _):
        print_rows(("score", "chain", "path"), [(0, None, "a.jpg"), (0.5, None, "")])
    lines = [line.split() for line in output.lines()]
    assert lines[0] == ["score", "path"]
    assert lines[2] == ["0", "a.jpg"]


def test_on_a_terminal_long_paths_are_folded_and_not_cut() -> None:
    path = "photos/" + "0123456789" * 20
    with on_terminal() as (output, _):
        print_rows(("path",), [(path,)])
    lines = output.lines()
    assert max(map(len, lines)) <= 100
    assert path in "".join(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0, "0"), ("a\tb", "a b"), ("a\r\nb", "a  b"), (Path("a/b"), "a/b"), ("ü", "ü")]
)
def test_a_value_is_one_line(value: object, text: str) -> None:
    assert one_line(value) == text


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


# Notes and numbers


def test_notes_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    note("a note")
    assert capsys.readouterr() == ("", "a note\n")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1_000_000, "1000000 photos")]
)
def test_a_number_has_its_noun_in_the_right_form(number: int, text: str) -> None:
    assert counted(number, "photo") == text


@pytest.mark.parametrize(("size_bytes", "text"), [(0, "0.0 MB"), (1_500_000, "1.5 MB"), (31_000_000_000, "31000.0 MB")])
def test_sizes_are_in_millions_of_bytes(size_bytes: int, text: str) -> None:
    assert megabytes(size_bytes) == text
