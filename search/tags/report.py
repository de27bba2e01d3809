"""Plots of tags: probabilities with the threshold, precision-recall curves, reliability. Decides nothing."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aliens.errors import QueryError
from aliens.files import atomic_write
from search.tags.evaluating import Evaluation
from search.tags.tagging import Tagging
from search.tags.truth import Truth

COLUMNS = 5
CELL_INCHES = (2.6, 2.1)
BARS, CURVE, LINE, FAINT = "#6d9a86", "#8a3f6b", "#22262b", "#b9b4a8"
MOST_PLOTS = 300  # more would be a picture of tens of thousands of pixels
FORMATS = (".png", ".svg", ".pdf")


def write_report(tagging: Tagging, truth: Truth | None, path: Path) -> None:
    """Write a plot for every tag: how many photos have which probability, the threshold, and precision and recall.

    Without truth only the histograms. Raises: QueryError: the file cannot be written.
    """
    refuse_ending(path)
    if len(tagging.vocabulary.tags) > MOST_PLOTS:
        raise QueryError(f"{len(tagging.vocabulary.tags)} tags are too many to plot: up to {MOST_PLOTS} are possible")
    bins = np.linspace(0, 1, 41)
    counts = np.zeros((len(tagging.vocabulary.tags), len(bins) - 1), np.int64)
    photos = 0
    for batch in tagging.photos():
        photos += len(batch.probabilities)
        for place, values in enumerate(batch.probabilities.T):
            counts[place] += np.histogram(values[~np.isnan(values)], bins)[0]
    probabilities = tagging.calibration.probabilities(tagging.scores_of(truth.photo_ids)) if truth else None
    figure, axes = grid(len(counts))
    for place, (axis, name) in enumerate(zip(axes, tagging.vocabulary.names, strict=False)):
        axis.stairs(counts[place] / max(counts[place].max(), 1), bins, fill=True, color=BARS)
        if tagging.calibration.method != "softmax":
            axis.axvline(tagging.calibration.threshold, color=LINE, linewidth=1, linestyle="--")
        title = name
        if truth is not None and probabilities is not None:
            known = ~np.isnan(truth.values[:, place]) & ~np.isnan(probabilities[:, place])
            has = truth.values[known, place] == 1
            if has.any():
                draw_precision_recall(axis, has, probabilities[known, place])
                title = f"{name} ({int(has.sum())} true)"
        axis.set_title(title, fontsize=9, parse_math=False)  # a tag may hold dollar signs
        axis.set(xlim=(0, 1), ylim=(0, 1.05))
    note = f"{tagging.vocabulary.key}, {tagging.calibration.method}, {photos} photos. Green: photos by probability "
    note += "(tallest bar 1); dashed: threshold" + ("; purple: precision over recall" if truth else "")
    save(figure, note, path)


def write_evaluation(evaluations: Sequence[Evaluation], title: str, path: Path) -> None:
    """Write average precision, F1 and reliability of one or several methods as one plot.

    Raises: QueryError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    refuse_ending(path)
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    axes = figure.subplot_mosaic([["precision", "precision", "reliability"], ["f1", "f1", "reliability"]])
    upper, lower, right = axes["precision"], axes["f1"], axes["reliability"]
    names = [tag.tag for tag in evaluations[0].measures.tags if tag.true]
    colours = ["#b9b4a8", "#d19a4a", "#6d9a86", "#8a3f6b", "#3f5f8a"]
    width = 0.8 / len(evaluations)
    for number, evaluation in enumerate(evaluations):
        tags = [tag for tag in evaluation.measures.tags if tag.true]
        at = np.arange(len(tags)) + (number - (len(evaluations) - 1) / 2) * width
        colour = colours[number % len(colours)]
        for axis, values in ((upper, [t.average_precision for t in tags]), (lower, [t.f1 for t in tags])):
            axis.bar(at, np.nan_to_num(values), width, color=colour, label=evaluation.method)
        known = ~np.isnan(evaluation.truth)
        mean, share = reliability(evaluation.truth[known], evaluation.probabilities[known])
        error = evaluation.measures.calibration_error
        right.plot(mean, share, "o-", color=colour, label=f"{evaluation.method}: error {error:.3f}")
    for axis, what in ((upper, "average precision"), (lower, "F1 of the decisions")):
        axis.set_xticks(np.arange(len(names)), names, rotation=40, ha="right", fontsize=8, parse_math=False)
        axis.set(ylim=(0, 1), ylabel=what)
        axis.spines[["top", "right"]].set_visible(False)
    upper.legend(fontsize=8, ncols=len(evaluations), loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    right.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    right.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share that has the tag", title="reliability")
    right.legend(fontsize=8)
    save(figure, title, path)


def reliability(truth: NDArray[Any], probabilities: NDArray[Any]) -> tuple[list[float], list[float]]:
    """Return (mean probability, share that has the tag) in ten equal bins; empty bins are left out."""
    bins = np.minimum((probabilities * 10).astype(int), 9)
    present = np.unique(bins)
    return (
        [float(probabilities[bins == b].mean()) for b in present],
        [float(truth[bins == b].mean()) for b in present],
    )


def draw_precision_recall(axis: Any, has: NDArray[np.bool_], probabilities: NDArray[Any]) -> None:
    """Draw precision over recall."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(has, probabilities)
    axis.plot(recall, precision, color=CURVE, linewidth=1.3)


def grid(count: int) -> tuple[Any, list[Any]]:
    """Return a figure with a place for each of `count` plots, five in a row."""
    from matplotlib.figure import Figure

    rows = -(-count // COLUMNS)
    figure = Figure(figsize=(COLUMNS * CELL_INCHES[0], rows * CELL_INCHES[1] + 0.5), layout="constrained")
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axis in axes:
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def refuse_ending(path: Path) -> None:
    """Refuse a name that no picture can be written under, before the work is done.

    Raises: QueryError: it is such a name.
    """
    if path.suffix.lower() not in FORMATS:
        raise QueryError(f"a plot cannot be written as {path.name!r}: end its name in {', '.join(FORMATS)}")


def save(figure: Any, title: str, path: Path) -> None:
    """Write a figure under a title, as a picture by the path's ending."""
    figure.suptitle(title, fontsize=10)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lower()[1:], dpi=110)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(picture.getvalue())
    except OSError as error:
        raise QueryError(f"{path} cannot be written: {error.strerror}") from error
