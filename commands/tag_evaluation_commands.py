"""`aliens eval tags`: measuring tags by a file with the truth; and the group of all that `aliens eval` measures."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from base.console import FilePath
from commands import options
from commands.options import LIBRARY, opened, print_notes, print_records
from commands.tag_commands import VocabularyOption, figure

if TYPE_CHECKING:
    from search.tags.evaluation import Evaluation

evaluations = typer.Typer(no_args_is_help=True)


@evaluations.callback()
def evaluation_group() -> None:
    """Measure tags, searches and captions by files that say what is right.

    Examples:
        aliens eval tags --truth labels.csv
        aliens eval search --queries queries.csv
    """


@evaluations.command("tags")
def evaluate_tags(
    truth: Annotated[
        Path,
        typer.Option(
            help="A CSV, Excel, JSON Lines or Parquet file: photo_id, image_id or path, and tags with semicolons "
            "between them. Tags that a row does not list count as absent, those marked ?so as unknown."
        ),
    ],
    compare: Annotated[bool, typer.Option("--compare", help="Every method side by side.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Also write a plot.")] = None,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Measure how often the tags are right, by a file that says what is true.

    Average precision, precision, recall, F1, calibration error, confusion. What people set counts as true.

    Examples:
        aliens eval tags --truth labels.csv
        aliens eval tags --truth labels.csv --compare
    """
    with opened(library, model=model) as photos:
        found = photos.evaluate(truth, vocabulary=vocabulary, compare=compare, plot=plot)
    print_notes(found.notes, library)
    if json:
        print_records({"method": each.method, "photos": found.photos} | asdict(each.measures) for each in found)
    else:
        if compare:
            print_comparison(found)
        else:
            print_evaluation(found[0])
        console.note(found.title)
        if found.fitted and not compare:
            console.note(
                f"{console.counted(found.fitted, 'tag')} calibrated on labels: against the same labels the figures "
                "flatter; --compare judges every photo by the labels of others"
            )
    if plot is not None:
        console.note(("plot: ", FilePath(str(plot))))


def print_evaluation(evaluation: "Evaluation") -> None:
    """Print one method's tags, means and confusions."""
    measures = evaluation.measures
    rows: list[tuple[object, ...]] = [
        (
            tag.tag,
            tag.true,
            tag.decided,
            *map(figure, (tag.average_precision, tag.precision, tag.recall, tag.f1, tag.calibration_error)),
        )
        for tag in measures.tags
    ]
    rows.append(("mean", "", "", figure(measures.mean_average_precision), "", "", figure(measures.macro_f1)))
    rows[-1] += (figure(measures.calibration_error),)
    micro = map(figure, (measures.micro_precision, measures.micro_recall, measures.micro_f1))
    rows.append(("all decisions together", "", "", "", *micro, ""))
    columns = ("tag", "true", "decided", "average precision", "precision", "recall", "F1", "calibration error")
    console.print_rows(columns, rows)
    for confusion in evaluation.confusions:
        if confusion.counts.sum():
            console.note("photos that have exactly one of these tags, by what was decided:")
            counts = [(f"truly {tag}", *row) for tag, row in zip(confusion.tags, confusion.counts, strict=True)]
            console.print_rows(("", *confusion.columns), counts)


def print_comparison(evaluations: "Sequence[Evaluation]") -> None:
    """Print the means of several methods."""
    rows = [
        (
            evaluation.method,
            *map(
                figure,
                (
                    evaluation.measures.mean_average_precision,
                    evaluation.measures.micro_precision,
                    evaluation.measures.micro_recall,
                    evaluation.measures.micro_f1,
                    evaluation.measures.macro_f1,
                    evaluation.measures.calibration_error,
                    evaluation.measures.brier,
                ),
            ),
        )
        for evaluation in evaluations
    ]
    columns = ("method", "mean average precision", "precision", "recall", "F1", "mean F1 of tags")
    console.print_rows((*columns, "calibration error", "Brier score"), rows)
