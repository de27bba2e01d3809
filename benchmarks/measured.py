"""Fill docs/measured.md from the records of benchmarks in results.jsonl; what stands around is written by hand.

    python benchmarks/measured.py         which `make measured` runs

A figure in the text is `<!-- figure BENCHMARK: NAME -->0.91 times<!-- end -->`: what stands between is replaced by the
newest one of that name. What stands between `<!-- records -->` and `<!-- end of records -->` is the newest run of each
benchmark with each of its sets of arguments, told whole.
"""

import html
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from records import RESULTS, Figure, Machine, Record, read_records

PAGE = Path(__file__).parents[1] / "docs" / "measured.md"
FIGURE = re.compile(r"(<!-- figure (?P<benchmark>[\w.-]+): (?P<name>.+?) -->).*?(<!-- end -->)", re.DOTALL)
WHOLE = re.compile(r"(<!-- records -->\n).*?(<!-- end of records -->)", re.DOTALL)
BENCHMARKS = Path(__file__).parent
DIGITS = 3  # of a figure, that are told


class MeasuredError(Exception):
    """The page asks for what no record has."""


def filled(page: str, records: Sequence[Record]) -> str:
    """Return the page with figures and records as they are now.

    Raises: MeasuredError: a figure is asked for that no benchmark has noted.
    """

    def one(found: re.Match[str]) -> str:
        benchmark, name = found["benchmark"], found["name"]
        for record in reversed(records):
            if record.benchmark == benchmark and name in record.figures:
                return f"{found[1]}{in_words(record.figures[name])}{found[4]}"
        known = sorted({name for record in records if record.benchmark == benchmark for name in record.figures})
        raise MeasuredError(
            f"no run of {benchmark} has noted a figure {name!r}: run benchmarks/{benchmark}, or ask for one of "
            f"{', '.join(map(repr, known)) or 'none: it has left no record'}"
        )

    text = "\n".join(section(record) for record in newest(records)) or "None yet.\n"
    return WHOLE.sub(lambda found: f"{found[1]}{text}{found[2]}", FIGURE.sub(one, page))


def newest(records: Sequence[Record]) -> list[Record]:
    """Return the newest run of each benchmark and arguments, by name and arguments."""
    last = {(record.benchmark, tuple(record.arguments)): record for record in records}
    return [last[key] for key in sorted(last)]


def section(record: Record) -> str:
    """Return all that is told of a run."""
    ours = record.commit or "no commit"
    packages = ", ".join(f"{name} {version}" for name, version in record.versions.items() if name != "cv-aliens")
    lines = [
        f"### `{shlex.join([source_of(record.benchmark), *record.arguments])}`",
        "",
        f"{record.date}, {record.seconds:,.0f} s, at {ours}{' with changes' if record.changed else ''}. "
        f"{told(record.machine)}. {packages}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {cell(name)} | {in_words(figure)} |" for name, figure in record.figures.items()),
        "",
    ]
    return "\n".join(lines)


def source_of(benchmark: str) -> str:
    """Return the file that is run: a shell script where there is one."""
    name = f"{benchmark}.sh"
    return f"benchmarks/{name}" if (BENCHMARKS / name).exists() else f"benchmarks/{benchmark}.py"


def told(machine: Machine) -> str:
    """Return a machine in words."""
    flags = f" ({', '.join(machine.flags)})" if machine.flags else ""
    graphics = f", {'; '.join(machine.gpus)}" if machine.gpus else ", no GPU"
    cores = f"{machine.usable_cores} of {machine.cores} cores, {machine.memory_gb:g} GB"
    load = f"load {machine.load_before:.1f} before, {machine.load_after:.1f} after"
    return f"{machine.processor}{flags}, {cores}{graphics}, {machine.system}; {load}"


def in_words(figure: Figure) -> str:
    """Return a figure with three digits or more, and its unit."""
    if figure.value is None:
        return "none"
    value = figure.value
    if value == int(value) or abs(value) >= 10**DIGITS:
        return f"{value:,.0f} {figure.unit}"
    return f"{float(f'{value:.{DIGITS}g}'):g} {figure.unit}"


def cell(text: str) -> str:
    """Return a text as a cell of a table takes it."""
    return html.escape(text, quote=False).replace("|", "\\|")


def main() -> None:
    """Write the page anew where it has to change."""
    page = PAGE.read_text(encoding="utf-8")
    try:
        text = filled(page, read_records(RESULTS))
    except MeasuredError as error:
        sys.exit(f"{PAGE.name}: {error}")
    if text != page:
        PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE.name}: {'as it was' if text == page else 'written anew'}")


if __name__ == "__main__":
    main()
