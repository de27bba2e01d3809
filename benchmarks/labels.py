"""What labels bring: precision and recall of tags by the number of photos that somebody labelled, with intervals.

By what labels taught before (Platt's curve over the prompts' score), and by a probe of prompts and vectors together,
which is the default. Then F1 of four tags that prompts alone do not tell apart, labelled one tag at a time: photos
that `aliens label TAG` chooses, and photos at random.

python benchmarks/labels.py [--photos ../shared/photos] [--draws 3]

On the sample hotels (240 rendered photos) and, where they are at hand, on 205 real hotel photos in a library with 815
others. Each of five folds of hotels is judged by labels of the others. `onsen_ambiguous` photos are left out for pool
and bathtub. Intervals are of 95 %, by resampling hotels.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from kept_library import kept_library
from records import figure, recorded
from tag_quality import hits, label_sets, tagged, variants

from embedding.open_clip_encoder import OpenClipEncoder
from search.tags.calibration import TagOptions
from search.tags.choosing import Choosable, next_photos
from search.tags.evaluation import FOLDS, Learner, folds_of
from search.tags.links import Fit
from search.tags.truth import read_truth

HARD = ("a bathtub", "a shower", "two beds", "a king-size bed")
FITS: tuple[Fit, ...] = ("platt", "probe")
RESAMPLED = 500
ASKED = 5  # photos at a time


def few_labelled(folds: np.ndarray, fold: int, count: int, draw: int) -> np.ndarray:
    """Return which photos are labelled, (n,): `count` at random of those outside a fold."""
    others = np.flatnonzero(folds != fold)
    chosen = np.random.default_rng((draw, fold)).permutation(others)[:count]
    return np.isin(np.arange(len(folds)), chosen)


def decisions(learner: Learner, calibration, fit: Fit, count: int, draw: int) -> np.ndarray:
    """Return what is decided of every photo, (n, t), by `count` labelled photos of other folds."""
    decided = np.zeros(learner.truth.shape, bool)
    for fold in range(FOLDS):
        asked = learner.folds == fold
        known = few_labelled(learner.folds, fold, count, draw)
        taught = learner.taught(calibration, fit, known)
        decided[asked] = taught.decide(taught.probabilities(learner.scores_for(taught)))[asked]
    return decided


def interval(decided: list[np.ndarray], truth: np.ndarray, hotels: np.ndarray, of) -> tuple[float, float]:
    """Return the 95 % interval of a figure, the mean over draws, when hotels are drawn with replacement."""
    rng, names = np.random.default_rng(0), np.unique(hotels)
    rows = {name: np.flatnonzero(hotels == name) for name in names}
    found = []
    for _ in range(RESAMPLED):
        at = np.concatenate([rows[name] for name in rng.choice(names, len(names))])
        found.append(np.mean([of(each[at], truth[at]) for each in decided]))
    return float(np.nanquantile(found, 0.025)), float(np.nanquantile(found, 0.975))


def precision(decided: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of what is decided that is right."""
    return hits(decided, truth)[0]


def recall(decided: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of what is true that is decided."""
    return hits(decided, truth)[1]


def f1(decided: np.ndarray, truth: np.ndarray) -> float:
    """Return the harmonic mean of both, of one tag, (n,)."""
    right = (decided & (truth == 1)).sum()
    return float(2 * right / max((decided & ~np.isnan(truth)).sum() + (truth == 1).sum(), 1))


def show(name: str, learner: Learner, tagging, hotels: np.ndarray, counts: list[int], draws: int) -> None:
    """Print the tables of one data set."""
    plain, names = tagging.calibration, tagging.vocabulary.names
    tags = [names.index(tag) for tag in HARD]
    print(f"{'labelled photos':<16} {'by':<7} {'precision':>22} {'recall':>22}   F1 of {', '.join(HARD)}")
    for count in (0, *counts):
        for fit in FITS if count else FITS[-1:]:
            decided = [decisions(learner, plain, fit, count, draw) for draw in range(draws if count else 1)]
            row = f"{count:<16} {fit if count else 'prompts':<7}"
            for of in (precision, recall):
                value = float(np.mean([of(each, learner.truth) for each in decided]))
                low, high = interval(decided, learner.truth, hotels, of)
                row += f"{value:8.3f} [{low:.3f}, {high:.3f}]"
                figure(f"{name}: {of.__name__}, {count} photos labelled, {fit}", value, "share")
            for tag in tags:
                value = float(np.mean([f1(each[:, tag], learner.truth[:, tag]) for each in decided]))
                figure(f"{name}: F1 of {names[tag]}, {count} photos labelled, {fit}", value, "share")
                row += f"  {value:.2f}"
            print(row, flush=True)


def labelled_in_turn(
    learner: Learner, tagging, place: int, fold: int, hotels: np.ndarray, most: int, draw: int
) -> list[int]:
    """Return up to `most` photos that `aliens label TAG` asks about, in turn, outside a fold; the truth answers."""
    tag = replace(learner, truth=learner.truth[:, [place]])
    calibration = tagging.calibration.only([place])
    free = (learner.folds != fold) & ~np.isnan(learner.truth[:, place])
    asked: list[int] = []
    while len(asked) < most and free.any():
        known = np.isin(np.arange(len(free)), asked)
        at = np.flatnonzero(free)
        scores = learner.scores[:, [place, -1]]
        one = replace(tag, scores=scores)
        taught = one.taught(calibration, "probe", known)
        chances = taught.probabilities(one.scores_for(taught)[free])[:, 0]
        pool = Choosable(at, chances, learner.vectors[at], hotels[at].tolist())
        chosen = next_photos(pool, learner.vectors[asked], ASKED, turn=len(asked), salt=f"{draw}")
        asked += at[chosen].tolist()
        free[asked] = False
    return asked


def show_hard(name: str, learner: Learner, tagging, hotels: np.ndarray, counts: list[int], draws: int) -> None:
    """Print F1 of four tags by how many photos were labelled for each, those that are chosen and those at random."""
    names = tagging.vocabulary.names
    print(f"\n{'F1 by labels of the tag':<24} {'of':<9} " + " ".join(f"{count:>22}" for count in (0, *counts)))
    for tag in HARD:
        place = names.index(tag)
        one = replace(learner, truth=learner.truth[:, [place]], scores=learner.scores[:, [place, -1]])
        calibration = tagging.calibration.only([place])
        for way in ("chosen", "random"):
            decided = {count: [np.zeros(one.truth.shape, bool) for _ in range(draws)] for count in (0, *counts)}
            for draw in range(draws):
                for fold in range(FOLDS):
                    asked = one.folds == fold
                    if way == "chosen":
                        order = labelled_in_turn(learner, tagging, place, fold, hotels, max(counts), draw)
                    else:
                        order = np.random.default_rng((draw, fold)).permutation(
                            np.flatnonzero(~asked & ~np.isnan(one.truth[:, 0]))
                        )
                    for count in decided:
                        known = np.isin(np.arange(len(asked)), order[:count])
                        taught = one.taught(calibration, "probe", known)
                        found = taught.decide(taught.probabilities(one.scores_for(taught)))
                        decided[count][draw][asked] = found[asked]
            row = f"{tag:<24} {way:<9} "
            for count, each in decided.items():
                value = float(np.mean([f1(d, one.truth) for d in each]))
                low, high = interval(each, one.truth, hotels, f1)
                row += f" {value:6.2f} [{low:.2f}, {high:.2f}]  "
                figure(f"{name}: F1 of {tag}, {count} photos labelled for it, {way}", value, "share")
            print(row, flush=True)


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--draws", type=int, default=3, help="of labelled photos, whose figures are averaged")
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 10, 20, 50, 100], help="labelled photos")
    arguments = parser.parse_args()
    encoder = OpenClipEncoder.load("starter")
    for name, source, truth_file, hotel_of in label_sets(arguments.photos.resolve()):
        with kept_library(f"tags-{name}", encoder, source) as library, library.catalog.session() as session:
            print(f"\n=== {name}")
            tagging = tagged(library, session, variants()["several prompts a tag"], TagOptions())
            truth = read_truth(session, tagging.vocabulary, truth_file)
            (photos,) = tagging.photos(["path"], truth.photo_ids)
            hotels = np.array([hotel_of(path) for path in photos.columns["path"].to_pylist()])
            scores, vectors = tagging.scores_and_vectors(truth.photo_ids)
            learner = Learner(scores, vectors, tagging.centre, truth.values, folds_of(hotels.tolist()))
            show(name, learner, tagging, hotels, arguments.counts, arguments.draws)
            show_hard(name, learner, tagging, hotels, arguments.counts, arguments.draws)


if __name__ == "__main__":
    main()
