"""How good a model directory is on photos that it never saw: the 15 tags, the rooms of houses, its speed and size.

Prompts are those of the model card: four templates, averaged. Intervals (95 %) resample hotels, or houses. Photos
outside the project are read from ../shared/photos; without them their rows are left out.
"""

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import SourceError
from base.files import PhotoFile
from base.settings import asset
from embedding.decode import read_squares
from embedding.encoder import Encoder

TAGS = (
    "a pool", "a king-size bed", "an amazing view", "a restaurant", "a kitchen", "a balcony", "a shower", "a bathtub",
    "a sofa", "a tv", "a chair", "a minibar", "a mirror", "two beds", "a table",
)  # fmt: skip
TEMPLATES = ("{}", "a photo of {}", "a hotel room with {}", "a hotel photo of {}")
ROOMS = {
    "bathroom": "a photo of a bathroom", "bedroom": "a photo of a bedroom", "kitchen": "a photo of a kitchen",
    "frontal": "a photo of the front of a house",
}  # fmt: skip
LAST_HOUSE_SEEN = 400  # the first starter was trained on houses up to this number
DRAWS = 1000
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Photos:
    """A set of labelled photos: `truth` is 1, 0 or NaN, shape (n, tags); `groups` are hotels or houses."""

    name: str
    files: tuple[PhotoFile, ...]
    groups: tuple[str, ...]
    rooms: tuple[str, ...]
    truth: Rows


@dataclass(frozen=True)
class Figure:
    """A measure with its interval, and by tag where it has tags."""

    photos: str
    measure: str
    value: float
    low: float
    high: float
    by_tag: dict[str, float]


def sets(shared: Path) -> list[Photos]:
    """Return the sample hotels, and of ../shared/photos the hotels, the rooms and the houses, where they lie."""
    samples = asset("aliens/samples")
    found = [samples_of(samples)]
    if (shared / "labels.csv").is_file():
        found += real_sets(shared)
    return found


def samples_of(folder: Path) -> Photos:
    """Return the sample hotels."""
    with open(folder / "labels.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return photos("samples", folder, rows, lambda row: Path(row["path"]).parts[-3])


def real_sets(shared: Path) -> list[Photos]:
    """Return the real photos, by what they may be used for."""
    with open(shared / "labels.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    by_set: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        name = row["source"]
        if name == "houses":
            name = "houses seen" if int(Path(row["path"]).stem) <= LAST_HOUSE_SEEN else "houses"
        by_set.setdefault(name, []).append(row)
    return [photos(name, shared, members, lambda row: row["group"]) for name, members in by_set.items()]


def photos(name: str, folder: Path, rows: Sequence[dict[str, str]], group: Callable[[dict[str, str]], str]) -> Photos:
    """Return rows of a table of labels as a set; a photo without any tag tells nothing of tags, but in hotels."""
    truth = np.zeros((len(rows), len(TAGS)), np.float32)
    short = {tag.removeprefix("a ").removeprefix("an "): place for place, tag in enumerate(TAGS)}
    for place, row in enumerate(rows):
        said = [tag for tag in row["tags"].split(";") if tag]
        truth[place] = 0 if said or name in ("hotels", "samples") else np.nan
        for tag in said:
            if tag == "onsen_ambiguous":
                truth[place, [TAGS.index("a pool"), TAGS.index("a bathtub")]] = np.nan
            elif (known := short.get(tag.removeprefix("a ").removeprefix("an "))) is not None:
                truth[place, known] = 1
    files = tuple(PhotoFile(str(folder / row["path"])) for row in rows)
    return Photos(name, files, tuple(map(group, rows)), tuple(row.get("room", "") for row in rows), truth)


def evaluate(encoder: Encoder, wanted: Sequence[Photos]) -> list[Figure]:
    """Return what a model reaches on sets of photos. Raises: SourceError: a photo cannot be read."""
    tags = np.stack([encoder.encode_prompts(tag, TEMPLATES) for tag in TAGS])
    rooms = encoder.encode_texts(list(ROOMS.values()))
    figures = []
    for members in wanted:
        vectors = encoder.encode_images(pixels_of(encoder, members))
        if members.name.startswith("houses"):
            figures.append(room_accuracy(members, vectors @ rooms.T))
        else:
            figures.append(tag_precision(members, vectors @ tags.T))
    return figures


def room_accuracy(members: Photos, scores: Rows) -> Figure:
    """Return how often the likeliest of ROOMS is right."""
    right = scores.argmax(1) == [list(ROOMS).index(room) for room in members.rooms]
    return interval(members, "room accuracy", lambda rows: (float(right[rows].mean()), {}))


def tag_precision(members: Photos, scores: Rows) -> Figure:
    """Return the mean average precision of the tags."""
    return interval(members, "mAP", lambda rows: mean_ap(scores[rows], members.truth[rows]))


def pixels_of(encoder: Encoder, members: Photos) -> NDArray[np.uint8]:
    """Return the photos of a set as the encoder takes them."""
    squares = []
    for file, square in zip(members.files, read_squares(members.files, encoder.preprocessing), strict=True):
        if not isinstance(square, np.ndarray):
            raise SourceError(f"{file.path} cannot be read ({square.reason}): a set of photos is scored whole")
        squares.append(square)
    return np.stack(squares)


def interval(members: Photos, measure: str, of: Callable[[NDArray[np.intp]], tuple[float, dict[str, float]]]) -> Figure:
    """Return a measure over all photos, and its interval when groups of photos are drawn again and again."""
    value, by_tag = of(np.arange(len(members.files)))
    several = len(set(members.groups)) > 1  # else each photo is a group of its own
    groups = np.array(members.groups if several else range(len(members.files)))
    rows_of = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    chance = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        picked = chance.integers(len(rows_of), size=len(rows_of))
        drawn.append(of(np.concatenate([rows_of[i] for i in picked]))[0])
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Figure(members.name, measure, value, float(low), float(high), by_tag)


def mean_ap(scores: Rows, truth: Rows) -> tuple[float, dict[str, float]]:
    """Return the mean average precision over the tags that some photo has, and each tag's."""
    by_tag = {}
    for place, tag in enumerate(TAGS):
        known = ~np.isnan(truth[:, place])
        if truth[known, place].sum() > 0:
            by_tag[tag] = average_precision(scores[known, place], truth[known, place])
    return (float(np.mean(list(by_tag.values()))) if by_tag else float("nan")), by_tag


def average_precision(scores: Rows, truth: Rows) -> float:
    """Return the mean, over the photos that are true, of the precision down to each of them."""
    ranked = truth[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(ranked) / np.arange(1, len(ranked) + 1))[ranked > 0].mean())


def speed_ratio(one: Encoder, other: Encoder, count: int = 64, turns: int = 5) -> tuple[float, float]:
    """Return how many photos a second `one` encodes, and how many times as fast it is as `other`, measured in turns."""
    pixels = np.random.default_rng(0).integers(
        0, 255, (count, one.preprocessing.size_px, one.preprocessing.size_px, 3), np.uint8
    )
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(turns + 1):
        for first, encoder in ((True, one), (False, other)):
            start = time.perf_counter()
            encoder.encode_images(pixels)
            if turn:
                taken[first].append(time.perf_counter() - start)
    return count / min(taken[True]), float(np.median(taken[False]) / np.median(taken[True]))
