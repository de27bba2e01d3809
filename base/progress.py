"""Progress of long work: steps that callers are told, and bars in a terminal or a notebook. Does no work itself."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from base.console import one_line


@dataclass(frozen=True, slots=True)
class Step:
    """How far a piece of work is.

    what: such as embedding. done, total: in units; total is None where it is not known. note: about the step in hand.
    """

    what: str
    done: int
    total: int | None = None
    unit: str = "photos"
    note: str = ""


Progress = Callable[[Step], None]


def silent(step: Step) -> None:
    """Show nothing."""


@contextmanager
def shown(progress: Progress | None) -> Iterator[Progress]:
    """Yield what is to be told of progress: the caller's own, or by default bars where somebody looks.

    Bars stand in a notebook, and on stderr where that is a terminal; elsewhere nothing is shown, so logs stay short.
    """
    if progress is not None:
        yield progress
    elif in_notebook():
        yield NotebookBars()
    elif sys.stderr.isatty():
        with TerminalBars() as bars:
            yield bars
    else:
        yield silent


def in_notebook() -> bool:
    """Tell whether this runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class TerminalBars:
    """A bar on stderr for each kind of step, with rate and time left."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "TerminalBars":
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        bars = self._bars()
        if step.what not in self._tasks:
            self._tasks[step.what] = bars.add_task(step.what, total=None, rate="", note="")
        task = self._tasks[step.what]
        speed = bars.tasks[list(self._tasks).index(step.what)].speed
        rate = f"{speed:.1f} {step.unit}/s" if speed else ""
        bars.update(task, completed=step.done, total=step.total, rate=rate, note=one_line(step.note))

    def _bars(self) -> Any:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}", markup=False),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True, soft_wrap=True),  # what is printed meanwhile is not broken into lines
                transient=True,
                redirect_stdout=sys.stdout.isatty(),  # or what is printed meanwhile would miss its pipe or file
            )
            self._progress.start()
        return self._progress


class NotebookBars:
    """A bar below a notebook's cell for each kind of step; the browser draws it, no widget has to be installed."""

    def __init__(self) -> None:
        self._shown: dict[str, Any] = {}

    def __call__(self, step: Step) -> None:
        """Show a step."""
        from html import escape

        from IPython.display import HTML, display

        of = "" if step.total is None else f" of {step.total}"
        value = "" if step.total is None else f" value={step.done} max={max(step.total, 1)}"
        said = one_line(f"{step.what}: {step.done}{of} {step.unit} {step.note}")
        page = HTML(f"<progress{value}></progress> {escape(said)}")
        if step.what in self._shown:
            self._shown[step.what].update(page)
        else:
            self._shown[step.what] = display(page, display_id=True)
