"""Progress of long work: steps that callers are told, as bars for people or lines for programs. Does no work itself."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

from base.console import note, one_line
from base.errors import AliensError


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
    Where ALIENS_PROGRESS is json, programs look: steps are lines of JSON on stderr.

    Raises: AliensError: ALIENS_PROGRESS is something else.
    """
    wanted = os.environ.get("ALIENS_PROGRESS", "")
    if wanted not in ("", "json"):
        raise AliensError(f"ALIENS_PROGRESS is {wanted!r}: set it to json, or do not set it")
    if progress is not None:
        yield progress
    elif wanted:
        with JsonLines() as lines:
            yield lines
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


BETWEEN_S = 0.25  # between two lines of one kind of step


class JsonLines:
    """An object a line on stderr: what, done, total (or null), unit and note; of quick steps only some.

    The first and the last step of each kind are always among them.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._held: Step | None = None
        self._what = ""
        self._said_at = 0.0

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(self, *error: object) -> None:
        self._say_held()

    def __call__(self, step: Step) -> None:
        """Say a step, or keep it until the next one."""
        if step.what != self._what:
            self._say_held()
        elif step.done != step.total and self._clock() - self._said_at < BETWEEN_S:
            self._held = step
            return
        self._say(step)

    def _say_held(self) -> None:
        if self._held is not None:
            self._say(self._held)

    def _say(self, step: Step) -> None:
        self._held, self._what, self._said_at = None, step.what, self._clock()
        note(json.dumps(asdict(step), default=int))


def said_step(line: str) -> Step | None:
    """Return the step that a line of `JsonLines` says, or None: it is something else."""
    if not line.startswith('{"what"'):
        return None
    from base.records import converted, parse_json  # which much that only tells of progress can do without

    try:
        return converted(parse_json(line), Step)
    except ValueError:
        return None


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
