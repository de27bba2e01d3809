import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from types import ModuleType, SimpleNamespace

import pytest

from base.console import note, print_json, print_rows, say
from base.errors import AliensError
from base.progress import JsonLines, NotebookBars, Step, TerminalBars, said_step, shown, silent
from tests.base.test_console import Terminal, on_terminal
from tests.screen import pseudo_terminal


@pytest.fixture(autouse=True)
def hundred_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")


# On a terminal


def test_in_a_pipe_progress_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(None) as tell:
        assert tell is silent
        tell(Step("embedding", 1, 10, note="extra"))
        tell(Step("embedding", 10))
    assert capsys.readouterr() == ("", "")


def test_bars_of_nothing_print_nothing() -> None:
    with on_terminal() as (output, errors), shown(None) as tell:
        assert isinstance(tell, TerminalBars)
    assert (output.getvalue(), errors.getvalue()) == ("", "")


def test_on_a_terminal_progress_is_drawn_on_standard_error_alone() -> None:
    with on_terminal() as (output, errors), shown(None) as tell:
        tell(Step("scanning", 12))
        tell(Step("embedding", 2, 10))
        tell(Step("embedding", 3, 10, note="1 failed"))
    assert output.getvalue() == ""
    last = errors.getvalue().rpartition("scanning")[2]
    for part in ("12/?", "embedding", "3/10", "1 failed"):
        assert part in last


def test_what_is_printed_beside_progress_goes_where_it_belongs() -> None:
    with redirect_stdout(io.StringIO()) as piped, redirect_stderr(Terminal()) as errors, TerminalBars() as bars:
        bars(Step("restyling", 1, 10))
        print_json({"photo_id": 1})
        note("a note")
    assert piped.getvalue() == '{"photo_id": 1}\n'
    assert "a note" in errors.getvalue()
    assert "photo_id" not in errors.getvalue()


def test_progress_lets_an_error_through_and_leaves_the_terminal_as_it_was() -> None:
    with on_terminal() as (_, errors):
        with pytest.raises(KeyboardInterrupt), shown(None) as tell:
            tell(Step("embedding", 1, 10))
            raise KeyboardInterrupt
        note("interrupted")
    after = errors.getvalue().rpartition("embedding")[2]
    assert "\x1b[?25h" in after  # the cursor is shown again
    assert after.endswith("\x1b[2Kinterrupted\n")  # the bar is wiped


def test_the_callers_own_progress_is_told_even_on_a_terminal() -> None:
    told: list[Step] = []
    with on_terminal() as (_, errors), shown(told.append) as tell:
        tell(Step("embedding", 1, 10))
    assert told == [Step("embedding", 1, 10)]
    assert errors.getvalue() == ""


def test_what_is_printed_beside_bars_stands_on_lines_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    long = "a/path/that/is/wider/than/the/terminal/" * 4 + "end"
    with pseudo_terminal(columns=80) as screen, shown(None) as tell:
        tell(Step("embedding", 1, 3, note="wider than the terminal " * 10))
        say("first result", f"  {long}")
        tell(Step("restyling", 2, 3))
        print_rows(("score", "path"), [("0.5", "a.jpg")])
        note("a note")
        tell(Step("restyling", 3, 3))
        print_json({"photo_id": 1})
    path = [f"  {long}"[start : start + 80] for start in range(0, len(long) + 2, 80)]
    assert [line for line in screen.lines() if line.strip(" ─")] == [
        "first result", *path, " score   path", " 0.5     a.jpg", "a note", '{"photo_id": 1}',
    ]  # fmt: skip
    assert "embedding" in screen.text


def test_a_note_beside_a_bar_is_no_markup_and_moves_no_cursor() -> None:
    with on_terminal() as (_, errors), shown(None) as tell:
        tell(Step("embedding", 1, 3, note="[red]a[/x] :smile:\n\x1b[5A\u202eb"))
    assert r"[red]a[/x] :smile:\n\x1b[5A\u202eb" in errors.getvalue()


# In a notebook


class Display:
    """What a notebook shows: every page of every place, in order."""

    def __init__(self) -> None:
        self.places: list[list[str]] = []

    def __call__(self, page: SimpleNamespace, display_id: bool) -> SimpleNamespace:
        assert display_id
        pages = [page.data]
        self.places.append(pages)
        return SimpleNamespace(update=lambda later: pages.append(later.data))


class ZMQInteractiveShell:
    """A notebook's shell, by its name."""


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[Display]:
    """A notebook in place of IPython."""
    ipython, pages, display = ModuleType("IPython"), ModuleType("IPython.display"), Display()
    ipython.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    pages.HTML = lambda data: SimpleNamespace(data=data)  # type: ignore[attr-defined]
    pages.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", pages)
    return display


def test_in_a_notebook_every_kind_of_step_has_a_bar_of_its_own(display: Display) -> None:
    with shown(None) as tell:
        assert isinstance(tell, NotebookBars)
        tell(Step("scanning", 12))
        tell(Step("embedding", 2, 10))
        tell(Step("embedding", 3, 10, note="1 <failed>\u202e"))
    (scanning,), (first, second) = display.places
    assert scanning.startswith("<progress></progress>")
    assert "scanning: 12 photos" in scanning
    assert re.match(r"<progress value=2 max=10></progress> embedding: 2 of 10 photos", first)
    assert "<progress value=3 max=10>" in second
    assert r"1 &lt;failed&gt;\u202e" in second


def test_in_a_notebook_a_bar_of_nothing_is_valid(display: Display) -> None:
    with shown(None) as tell:
        tell(Step("embedding", 0, 0))
    assert "value=0 max=1" in display.places[0][0]


def test_another_shell_of_ipython_is_no_notebook(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    for shell in (None, object()):
        monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda shell=shell: shell)
        with shown(None) as tell:
            assert tell is silent
    assert display.places == []


# For programs


def test_programs_are_told_by_lines_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALIENS_PROGRESS", "json")
    with shown(None) as tell:
        tell(Step("scanning", 1, note="\x1b[2J\n"))
        tell(Step("embedding", 1, 2))
    output, errors = capsys.readouterr()
    assert output == ""
    assert [said_step(line) for line in errors.splitlines()] == [
        Step("scanning", 1, note="\x1b[2J\n"),
        Step("embedding", 1, 2),
    ]


def test_of_quick_steps_the_first_the_last_and_some_between_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    with JsonLines(lambda: now) as tell:
        for done in range(10):
            now = done / 10
            tell(Step("embedding", done, 9))
        tell(Step("joining", 0))
        tell(Step("joining", 5))
    said = [said_step(line) for line in capsys.readouterr().err.splitlines()]
    assert [(step.what, step.done) for step in said if step] == [
        ("embedding", 0),
        ("embedding", 3),
        ("embedding", 6),
        ("embedding", 9),
        ("joining", 0),
        ("joining", 5),
    ]


def test_other_lines_are_no_steps() -> None:
    assert [said_step(line) for line in ("a note", '{"what": 3', '{"what": 3}', '{"photo_id": 1}')] == [None] * 4


def test_an_unknown_form_of_progress_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIENS_PROGRESS", "xml")
    with pytest.raises(AliensError, match="'xml': set it to json"), shown(None):
        pass
