"""`aliens eval tags`: tags measured against the truth."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aliens import console
from commands.options import LIBRARY, JsonOption, LibraryOption
from commands.tags import VocabularyOption, opened, print_unknown

if TYPE_CHECKING:
    from search.tags.evaluating import Evaluation

evaluations = typer.Typer(help="Measure against the truth.", no_args_is_help=True)


@evaluations.callback()
def evaluation_group() -> None:
    """Measure against the truth."""


@evaluations.command("tags")
def evaluate_tags(
    truth: Annotated[
        Path,
        typer.Option(
            help="A CSV, JSON Lines or Parquet file: photo_id, image_id or path, and tags with semicolons between "
            "them. Tags that a row does not list count as absent, those marked ?so as unknown."
        ),
    ],
    compare: Annotated[bool, typer.Option("--compare", help="Every method side by side.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Also write a plot.")] = None,
    vocabulary: VocabularyOption = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Measure tags against the truth: average precision, precision, recall, F1, calibration error, confusion.

    People's labels are part of the truth, not of the decisions.
    """
    from search.tags.evaluating import compare as compare_methods
    from search.tags.evaluating import evaluate
    from search.tags.report import write_evaluation
    from search.tags.truth import read_truth

    with opened(library, vocabulary) as (session, tagging):
        known = read_truth(session, tagging.vocabulary, truth)
        print_unknown(known)
        found = list(compare_methods(tagging, known)) if compare else [evaluate(tagging, known)]
        fitted = len(tagging.calibration.links)
        title = f"{tagging.vocabulary.key}, {tagging.model.key}, {len(known.photo_ids)} photos"
    for evaluation in found:
        if json:
            measures = asdict(evaluation.measures)
            console.print_json({"method": evaluation.method, "photos": len(known.photo_ids)} | measures)
        elif not compare:
            print_evaluation(evaluation)
    if compare and not json:
        print_comparison(found)
    if not json:
        console.note(title)
        if fitted and not compare:
            console.note(
                f"{console.counted(fitted, 'tag')} calibrated on labels: against the same labels the figures flatter; "
                "--compare judges every photo by the labels of others"
            )
    if plot is not None:
        write_evaluation(found, title, plot)
        console.note(f"plot: {plot}")


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


def print_comparison(evaluations: "list[Evaluation]") -> None:
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


def figure(value: float) -> str:
    """Return a share with three digits, empty where there is none."""
    return "" if value != value else f"{value:.3f}"
