"""What benchmarks leave behind, and the page that is made of it."""

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARK = """
    import sys
    from records import beside, figure, recorded

    @recorded
    def main():
        print("aliens add: 24.1 photos/s")
        if "--fails" in sys.argv:
            raise SystemExit("no photos here")
        if "--none" not in sys.argv:
            figure("aliens add", 24.1, "photos/s")
            figure("ratio to nothing", float("nan"), "times")
            beside("clip-retrieval", "2.45.0")

    main()
"""


@pytest.fixture(scope="module")
def records() -> Any:
    """The module of benchmarks that writes records, and measured beside it."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        importlib.import_module("measured")
        yield importlib.import_module("records")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "adding.py"
    path.write_text(textwrap.dedent(BENCHMARK))
    return path


def run(script: Path, results: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    places = f"{ROOT}{os.pathsep}{ROOT / 'benchmarks'}"
    return subprocess.run(
        [sys.executable, script, *arguments],
        env=os.environ | {"PYTHONPATH": places, "ALIENS_RECORDS": str(results)},
        capture_output=True,
        text=True,
    )


def a_record(records: Any, benchmark: str = "adding", date: str = "2026-11-30T08:00:00Z", **figures: float) -> Any:
    return records.Record(
        benchmark=benchmark,
        arguments=["--photos", "20"],
        date=date,
        seconds=3.0,
        commit="0123456789ab",
        changed=False,
        machine=records.machine(0.5),
        versions=records.versions(),
        figures={name: records.Figure(value=value, unit="photos/s") for name, value in figures.items()},
        printed=["aliens add: 24.1 photos/s"],
    )


def test_a_run_leaves_machine_date_versions_and_figures(records: Any, script: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    done = run(script, results, "--photos", "20")
    assert done.returncode == 0 and done.stdout == "aliens add: 24.1 photos/s\n", done.stderr
    (record,) = records.read_records(results)
    assert (record.benchmark, record.arguments) == ("adding", ["--photos", "20"])
    assert record.figures["aliens add"] == records.Figure(value=24.1, unit="photos/s")
    assert record.figures["ratio to nothing"].value is None
    assert record.printed == ["aliens add: 24.1 photos/s"]
    assert record.machine.cores >= record.machine.usable_cores >= 1 and record.machine.memory_gb > 0
    assert {"python", "cv-aliens", "torch", "numpy", "open_clip_torch"} < record.versions.keys()
    assert record.versions["clip-retrieval"] == "2.45.0"
    assert record.date.endswith("Z") and len(record.commit) in (0, 12)


def test_a_run_that_fails_or_notes_nothing_leaves_no_record(script: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    assert run(script, results, "--fails").returncode == 1
    done = run(script, results, "--none")
    assert done.returncode == 0 and "no figure was noted, so nothing is recorded" in done.stderr
    done = run(script, "")
    assert done.returncode == 0 and not done.stderr
    assert not results.exists()


def test_a_place_that_cannot_be_written_costs_the_record_alone(script: Path, tmp_path: Path) -> None:
    results = tmp_path / "nowhere" / "results.jsonl"
    done = run(script, results)
    assert done.returncode == 0 and "24.1 photos/s" in done.stdout
    assert f"the run is not recorded, since {results} cannot be written: No such file" in done.stderr


def test_a_full_disk_leaves_no_part_of_a_line(records: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, written = tmp_path / "results.jsonl", os.write
    records.append(results, a_record(records, add=1.0))
    before = results.read_bytes()
    monkeypatch.setattr(os, "write", lambda descriptor, line: written(descriptor, line[:100]))
    with pytest.raises(OSError, match="No space left"):
        records.append(results, a_record(records, add=2.0))
    assert results.read_bytes() == before


def test_a_line_cut_short_is_told_and_spoils_no_other(records: Any, tmp_path: Path) -> None:
    results, told = tmp_path / "results.jsonl", []
    records.append(results, a_record(records, add=1.0))
    whole = results.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 2):
        results.write_bytes(whole + whole[:cut])
        records.append(results, a_record(records, add=2.0))
        told.clear()
        found = records.read_records(results, told.append)
        assert [record.figures["add"].value for record in found] == [1.0, 2.0]
        assert len(told) == 1 and "results.jsonl, line 2 is no record" in told[0]


@pytest.mark.parametrize("line", ["{}", "[1]", "null", '{"benchmark": 3}', "\udcff", "<<<<<<< ours", '"' + "x" * 9])
def test_lines_that_are_no_records_are_passed_over(records: Any, tmp_path: Path, line: str) -> None:
    results, told = tmp_path / "results.jsonl", []
    records.append(results, a_record(records, add=1.0))
    with open(results, "ab") as file:
        file.write(line.encode(errors="surrogateescape") + b"\n\n")
    records.append(results, a_record(records, add=2.0))
    assert len(records.read_records(results, told.append)) == 2
    assert len(told) == 1


def append_often(place: str, results: Path, number: int) -> None:
    sys.path.insert(0, place)
    records = importlib.import_module("records")
    for turn in range(40):
        records.append(results, a_record(records, benchmark=f"of-{number}", add=float(turn)))


def test_two_benchmarks_at_once_write_whole_lines(records: Any, tmp_path: Path) -> None:
    results, context = tmp_path / "results.jsonl", multiprocessing.get_context("fork")
    processes = [
        context.Process(target=append_often, args=(str(ROOT / "benchmarks"), results, number)) for number in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    for number in range(2):
        mine = [line["figures"]["add"]["value"] for line in lines if line["benchmark"] == f"of-{number}"]
        assert mine == list(range(40))


@pytest.mark.parametrize(("name", "unit"), [("", "s"), ("a photo", "")])
def test_a_figure_has_a_name_and_a_unit(records: Any, name: str, unit: str) -> None:
    with pytest.raises(ValueError, match="give both"):
        records.figure(name, 1.0, unit)


def test_a_figure_is_noted_once(records: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RUNNING", [records.Running()])
    records.figure("a photo", 1.0, "s")
    with pytest.raises(ValueError, match="'a photo' was noted already"):
        records.figure("a photo", 2.0, "s")


def test_the_page_has_the_newest_figures(records: Any) -> None:
    measured = sys.modules["measured"]
    page = (
        "By hand: <!-- figure adding: aliens add -->old\nfigure<!-- end -->, and "
        "<!-- figure adding: gone --><!-- end -->.\n<!-- records -->\n<!-- end of records -->\n"
    )
    older = a_record(records, date="2026-11-29T08:00:00Z", **{"aliens add": 20.0, "gone": 3.0})
    newer = a_record(records, date="2026-11-30T08:00:00Z", **{"aliens add": 24.1234, "a|b": 1234567.0})
    made = measured.filled(page, [older, newer])
    assert "By hand: <!-- figure adding: aliens add -->24.1 photos/s<!-- end -->, and" in made
    assert "<!-- figure adding: gone -->3 photos/s<!-- end -->" in made
    assert "### `benchmarks/adding.py --photos 20`" in made and made.count("###") == 1
    assert "| a\\|b | 1,234,567 photos/s |" in made and "at 0123456789ab." in made
    assert measured.filled(made, [older, newer]) == made
    with pytest.raises(
        measured.MeasuredError, match="no run of adding has noted a figure 'aliens add': run benchmarks/"
    ):
        measured.filled(page, [])
    assert "None yet." in measured.filled("<!-- records -->\n<!-- end of records -->", [])


def test_the_committed_page_is_what_the_records_make_of_it(records: Any) -> None:
    measured = sys.modules["measured"]
    page = measured.PAGE.read_text(encoding="utf-8")
    problems: list[str] = []
    found = records.read_records(tell=problems.append)
    assert not problems
    assert page.count("<!-- records -->") == 1
    assert measured.filled(page, found) == page, "run `make measured`"
