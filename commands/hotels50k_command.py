"""`aliens eval hotels50k`: the data set's own benchmark."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.console import FilePath
from commands import options
from commands.options import LIBRARY, opened, print_notes, print_records, stopping

if TYPE_CHECKING:
    from analysis.hotels50k.benchmark_figures import BenchmarkFigure
    from analysis.hotels50k.hotels50k_report import Hotels50kReport


def evaluate_hotels50k(
    root: Annotated[
        Path,
        typer.Argument(metavar="ROOT", help="A Hotels-50K tree: dataset/*.csv, and images/test but for --results."),
    ],
    occlusion: Annotated[
        Literal["all", "unoccluded", "low", "medium", "high"],
        typer.Option(
            help="How much of the test photos is covered. Of a file of --results: by default, its name says it."
        ),
    ] = "all",
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="Score these in place of the library's: rows test_image_id,result1_image_id,...; or a folder with "
            "unoccluded.csv, low_occlusions.csv, medium_occlusions.csv, high_occlusions.csv.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Also write what was retrieved, and the probabilities of hotels, as such files."
        ),
    ] = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Run Hotels-50K's own benchmark: how often a test photo finds its hotel, and its chain.

    Each test photo retrieves the 100 most similar of the library's training photos. Top-K is the share of test photos
    of whose K best results one is right; log loss judges the share of the results that each hotel has.

    Test photos are embedded beside the library, not into it. May be stopped at any time; the same command goes on.

    Examples:
        aliens eval hotels50k tree
        aliens eval hotels50k tree --occlusion low --write results
        aliens eval hotels50k tree --results unoccluded.csv
    """
    if results is not None:
        from aliens.library import Library

        report = Library.score_hotels50k(root, results, occlusion=occlusion, write=write)
    else:
        kept = "stopped: test photos that were embedded are kept; the same command goes on from here"
        with stopping(kept), opened(library, device, precision, backend, aloud=True, model=model) as photos:
            report = photos.evaluate_hotels50k(root, occlusion=occlusion, write=write)
    if json:
        print_records([*report.levels, *({"where": each.where, "problem": each.reason} for each in report.problems)])
    else:
        print_figures(report)
    print_notes(report.notes, library)
    if report.written and write is not None:
        console.note((f"written: {console.counted(len(report.written), 'file')} in ", FilePath(str(write))))


def print_figures(report: "Hotels50kReport") -> None:
    """Print a row for each measure and a column for each level on a terminal, a line for each figure in a pipe."""
    if not console.on_terminal():
        columns = report.columns
        console.print_rows(columns, [[figure_cell(figure, name) for name in columns] for figure in report])
        return
    levels = report.levels
    rows: list[tuple[object, ...]] = [
        ("test photos", *(level.photos for level in levels), None),
        ("of known chains", *(int(level.outcomes.chain_known.sum()) for level in levels), None),
    ]
    for same in zip(*(level.figures for level in levels), strict=True):
        known = next((figure.published for figure in same if figure.published is not None), None)
        rows.append((measure_of(same[0]), *map(with_interval, same), None if known is None else f"{known:.1%}"))
    console.print_rows(("", *(level.level for level in levels), "published, unoccluded"), rows)
    console.note(
        "chain (paper): among the results of known chains; chain (script): among all results, as published",
        "beside each figure its 95% interval: of shares Wilson's, of losses a bootstrap's; log loss in nats, from the "
        "share of the results that the true hotel or chain has, at least 1e-15",
    )


def figure_cell(figure: "BenchmarkFigure", name: str) -> object:
    """Return a field of a figure as a pipe has it: empty where there is no number."""
    value = getattr(figure, name)
    if not isinstance(value, float):
        return value
    return None if value != value else f"{value:.6g}"


def measure_of(figure: "BenchmarkFigure") -> str:
    """Return what a figure measures: chain top-1 (paper)."""
    return f"{figure.by} {figure.measure}" + (f" ({figure.convention})" if figure.convention else "")


def with_interval(figure: "BenchmarkFigure") -> str | None:
    """Return a figure with its interval: 40.4% 39.5–41.3."""
    if figure.value != figure.value:
        return None
    factor, digits, unit = (100, 1, "%") if figure.is_share else (1, 2, "")
    value, low, high = (f"{number * factor:.{digits}f}" for number in (figure.value, figure.low, figure.high))
    return f"{value}{unit}" + (f" {low}–{high}" if figure.low == figure.low else "")
