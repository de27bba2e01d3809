"""Draws the figures of docs/ that explain: scores, thresholds, what is recognised, segments. `make shown` runs it.

All are of the sample hotels and the embedded model, but for the segments, which follow the rule of merging.
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

import aliens
from base.files import PhotoFile
from base.settings import asset
from embedding.colour import read_pixels
from indexer.merging import FAN_OUT, tier
from restyle.floors import calibrate, null_of
from restyle.palettes import read_palette
from restyle.regrade import regrade
from restyle.structure import compare, structure_of
from search.nonsense import NONSENSE

DOCS = Path(__file__).parent
BLUE, ORANGE, GREY = "#2a6f97", "#d1661f", "#8a8f94"
LOOK = {
    "svg.hashsalt": "cv-aliens",  # the same file each time
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "legend.framealpha": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}
QUERIES = ("a kitchen", "a giraffe")
TAGS = ("a bathtub", "a mirror")
ADDED, ADDS = 100, 1_000  # photos of an `aliens add`, and how many of these


class Figure(NamedTuple):
    """A file of docs/, its panels side by side, and what draws them."""

    name: str
    panels: int
    draw: Callable[[Any, aliens.Library, Path], None]


def scores(axes: Any, library: aliens.Library, samples: Path) -> None:
    """Draw the cosines of all photos for a query that photos answer and for one that none does."""
    for panel, query in zip(axes, QUERIES, strict=True):
        found = library.order(query)
        assert found.scores is not None and found.stop_line is not None
        nothing = [library.order(word).scores for word in NONSENSE[:16]]
        best = float(np.mean([cosines.max() for cosines in nothing if cosines is not None]))
        panel.hist(found.scores, bins=30, color=GREY)
        lines = {
            "median": (float(np.median(found.scores)), "k", ":"),
            "stop line": (found.stop_line, ORANGE, "-"),
            "best hit": (float(found.scores.max()), BLUE, "-"),
            "best hit of words without meaning": (best, BLUE, "--"),
        }
        for name, (at, colour, style) in lines.items():
            panel.axvline(at, color=colour, linestyle=style, label=f"{name}, {at:.2f}")
        panel.set(title=f"“{query}”: " + ("stands out" if found.stands_out else "nothing stands out"))
        panel.set(xlabel="cosine of a photo", ylabel="photos", ylim=(0, 1.6 * panel.get_ylim()[1]))
        panel.legend(fontsize=8, loc="upper left")


def thresholds(axes: Any, library: aliens.Library, samples: Path) -> None:
    """Draw the probabilities of a tag that can be told and of one that cannot, of photos with it and without."""
    with open(samples / "labels.csv", encoding="utf-8", newline="") as file:
        truth = {row["image_id"]: row["tags"].split(";") for row in csv.DictReader(file)}
    table = library.path / "told.csv"
    library.export(table, columns=["image_id", "probabilities"])
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for panel, tag in zip(axes, TAGS, strict=True):
        told = {True: [], False: []}  # type: dict[bool, list[float]]
        for row in rows:
            told[tag in truth[row["image_id"]]].append(float(row[f"p({tag})"]))
        panel.hist([told[True], told[False]], bins=10, range=(0, 1), color=[BLUE, GREY], label=["shows it", "does not"])
        panel.axvspan(0.5, 0.6, color=ORANGE, alpha=0.2, zorder=0, label="likely")
        panel.axvspan(0.6, 1, color=ORANGE, alpha=0.4, zorder=0, label="sure")
        panel.set(title=tag, xlabel="probability", ylabel="photos", yscale="symlog")
        panel.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        panel.legend(fontsize=8)


def recognised(axes: Any, library: aliens.Library, samples: Path) -> None:
    """Draw how alike strangers are, and photos and their recoloured selves, with the floors between."""
    photos = [read_pixels(PhotoFile(str(path))) for path in sorted(samples.rglob("*.jpg"))[::3]]
    structures = [structure_of(pixels) for pixels in photos]
    floors = calibrate(structures)
    hogs, edges = null_of(structures)
    palette = read_palette()
    same = [compare(structures[i], structure_of(regrade(photos[i], palette))) for i in range(0, len(photos), 4)]
    (panel,) = axes
    panel.scatter(edges, hogs, s=3, color=GREY, label=f"two photos ({len(hogs):,} pairs)", rasterized=True)
    panel.scatter(
        [one.edge_f1 for one in same], [one.hog for one in same], s=14, color=BLUE, label="a photo and itself, regraded"
    )
    panel.axvline(floors.edge_f1, color=ORANGE, label=f"floors: {floors.edge_f1:.2f} and {floors.hog:.2f}")
    panel.axhline(floors.hog, color=ORANGE)
    panel.set(xlabel="F1 of edges", ylabel="correlation of HOG")
    panel.legend(fontsize=8)


def files_after_adds() -> Iterator[int]:
    """Yield how many segments a library has after each add, as tiers of ten are merged."""
    segments: list[int] = []
    for _ in range(ADDS):
        segments.append(ADDED)
        while due := next((alike for rows in segments if len(alike := of_tier(segments, tier(rows))) >= FAN_OUT), None):
            segments = [rows for rows in segments if rows not in due] + [sum(due)]
        yield len(segments)


def of_tier(segments: list[int], number: int) -> list[int]:
    """Return the sizes of the segments of a tier."""
    return [rows for rows in segments if tier(rows) == number]


def segments(axes: Any, library: aliens.Library, samples: Path) -> None:
    """Draw how many files hold a library that grows by small adds."""
    (panel,) = axes
    adds = np.arange(1, ADDS + 1)
    panel.step(adds * ADDED, list(files_after_adds()), color=BLUE, linewidth=0.8, label="merged by tens")
    panel.plot(adds * ADDED, adds, color=GREY, label="never merged")
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.set(xlabel=f"photos, added {ADDED} at a time", ylabel="segments", ylim=(0, 40))
    panel.legend(fontsize=8)


FIGURES = (
    Figure("scores.svg", 2, scores),
    Figure("thresholds.svg", 2, thresholds),
    Figure("recognised.svg", 1, recognised),
    Figure("segments.svg", 1, segments),
)


def main(library: aliens.Library, folder: Path = DOCS) -> None:
    """Draw every figure from a tagged library of the sample hotels."""
    matplotlib.use("svg")
    matplotlib.rcParams.update(LOOK)
    from matplotlib import pyplot

    for name, panels, draw in FIGURES:
        figure, axes = pyplot.subplots(1, panels, figsize=(8.5, 3.2), squeeze=False)
        draw(axes[0], library, asset("aliens/samples"))
        figure.savefig(folder / name, metadata={"Date": None}, dpi=110)
        pyplot.close(figure)
