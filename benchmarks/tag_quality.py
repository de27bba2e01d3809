"""How good the tags are, and what each part of tagging does for them: methods, prompts, templates, groups, constants.

What is decided by default, with 15 tags and with 126, and which tags hotels have; before there was `signal`, and by it.

python benchmarks/tag_quality.py [--photos ../shared/photos]

On the sample hotels (240 rendered photos) and, where they are at hand, on 205 real hotel photos that the starter model
has never seen, in a library with 815 other photos. `onsen_ambiguous` photos are left out for pool and bathtub.
"""

import argparse
import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from kept_library import WORK, kept_library
from records import figure, recorded
from sklearn.linear_model import LogisticRegression
from sqlalchemy.orm import Session

from aliens.library import Library
from base.settings import asset
from embedding.open_clip_encoder import OpenClipEncoder
from search.tags.calibration import HOTEL, THRESHOLDS, Method, TagOptions
from search.tags.evaluation import compare_methods, evaluate
from search.tags.tagging import Tagging
from search.tags.truth import read_truth
from search.tags.vocabulary import Group, Tag, Vocabulary, read_vocabulary

ABSENT = (  # tags of hotels that no sample photo can have
    "a gym", "a spa", "a sauna", "a parking lot", "a staircase", "an office", "a conference room", "a children's room",
    "a reception desk", "a bunk bed", "a crib", "a canopy bed", "a futon", "a sofa bed", "a single bed", "a bidet",
    "a shower curtain", "a whirlpool", "an open-air bath", "a hair dryer", "a safe", "a dishwasher",
    "a washing machine", "an iron", "a wheelchair ramp", "a telephone", "a radiator", "a fireplace",
    "an air conditioner", "a ceiling fan", "a meal", "breakfast", "snow", "a floor plan", "a logo",
    "under construction", "damaged", "messy", "a beach", "japanese",
)  # fmt: skip
TOLD = (  # tags of hotels that the samples' labels tell as well, as `extra`
    "a carpet", "a city view", "a garden view", "a mountain view", "a sea view", "a toilet", "a washbasin",
    "a wooden floor", "curtains", "marble", "minimalist", "modern", "plants", "rustic", "sun loungers", "tiles",
)  # fmt: skip
MODEL_CARD_TEMPLATES = ("{}", "a photo of {}", "a hotel room with {}", "a hotel photo of {}")


CALIBRATED = TagOptions(method="calibrated")  # whose constants, and whose groups, the first tables are about


def real_truth(photos: Path) -> Path:
    """Write the labels of the hotels as a file that `aliens eval tags` reads, and return its path."""
    WORK.mkdir(exist_ok=True)
    path = WORK / "real-hotels.csv"
    with open(photos / "labels.csv", encoding="utf-8", newline="") as file, open(path, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", "tags"])
        for row in csv.DictReader(file):
            tags = row["tags"].replace("onsen_ambiguous", "?pool;?bathtub")
            if row["source"] == "hotels" and (photos / row["path"]).exists():
                writer.writerow([(photos / row["path"]).absolute(), tags])
    return path


def groups_of(photos: Path) -> dict[str, str]:
    """Return {path: the hotel that it is of}."""
    with open(photos / "labels.csv", encoding="utf-8", newline="") as file:
        return {str((photos / row["path"]).absolute()): row["group"] for row in csv.DictReader(file)}


def label_sets(photos: Path) -> list[tuple[str, dict[str, Path] | Path, Path, Callable[[str], str]]]:
    """Return the photos whose tags are known, set by set: name, source, file of true tags, and the hotel of a path."""
    samples = asset("aliens/samples")
    # The third part of a sample's path from its end is its hotel.
    sets: list[tuple[str, dict[str, Path] | Path, Path, Callable[[str], str]]] = [
        ("sample hotels", {"hotels50k": samples}, samples / "labels.csv", lambda path: Path(path).parts[-3])
    ]
    if photos.is_dir():
        sets.append(("real hotels", photos, real_truth(photos), groups_of(photos).__getitem__))
    return sets


def variants() -> dict[str, Vocabulary]:
    """Return the case study's 15 tags with one thing changed after the other."""
    study, hotel = (read_vocabulary(name) for name in ("case-study", "hotel"))
    prompts = {tag.name: tag for tag in hotel.tags}
    several = tuple(Tag(tag.name, prompts[tag.name].prompts) for tag in study.tags)
    contrast = (Group("contrast", ("a bathtub", "a shower")),)
    exclude = (Group("exclude", ("two beds", "a king-size bed")),)
    plain = replace(study, groups=())
    return {
        "tags as prompts": plain,
        "+ template 'a photo of {}'": replace(plain, templates=("{}", "a photo of {}")),
        "+ the model card's four templates": replace(plain, templates=MODEL_CARD_TEMPLATES),
        "+ contrast bathtub/shower": replace(plain, groups=contrast),
        "+ contrast two beds/king-size bed": replace(plain, groups=(Group("contrast", exclude[0].tags),)),
        "+ exclude two beds/king-size bed": replace(plain, groups=exclude),
        "several prompts a tag": replace(plain, tags=several),
        "several prompts, contrast, exclude": replace(plain, tags=several, groups=contrast + exclude),
    }


def show(called: str, library: Library, session: Session, truth_file: Path) -> np.ndarray:
    """Print the tables of one library; return the logistic regression's constants over all its tags."""
    tagging = tagged(library, session, read_vocabulary("case-study"))
    truth = read_truth(session, tagging.vocabulary, truth_file)
    print(
        f"\n{'method':<34} {'mAP':>6} {'precision':>9} {'recall':>6} {'F1':>6} {'mean F1':>7} {'ECE':>6} {'Brier':>6}"
    )
    for evaluation in compare_methods(tagging, truth):
        m = evaluation.measures
        row = (m.mean_average_precision, m.micro_precision, m.micro_recall, m.micro_f1, m.macro_f1)
        print(f"{evaluation.method:<34} {row[0]:6.3f} {row[1]:9.3f} {row[2]:6.3f} {row[3]:6.3f} {row[4]:7.3f}", end="")
        print(f" {m.calibration_error:6.3f} {m.brier:6.3f}")
        figure(f"{called}: mAP, {evaluation.method}", m.mean_average_precision, "mAP")
        figure(f"{called}: precision, {evaluation.method}", m.micro_precision, "share")
        figure(f"{called}: recall, {evaluation.method}", m.micro_recall, "share")
    grouped = ("a bathtub", "a shower", "two beds", "a king-size bed")
    print(f"\n{'calibrated, vocabulary':<36} {'mAP':>6} {'mean F1':>7}   AP and precision of {', '.join(grouped)}")
    for name, vocabulary in variants().items():
        changed = tagged(library, session, vocabulary)
        m = evaluate(changed, truth).measures
        tags = {tag.tag: tag for tag in m.tags}
        four = "  ".join(f"{tags[tag].average_precision:.3f} {tags[tag].precision:.2f}" for tag in grouped)
        print(f"{name:<36} {m.mean_average_precision:6.3f} {m.macro_f1:7.3f}   {four}")
    scores, calibration = tagging.scores_of(truth.photo_ids), tagging.calibration
    cosines, background = scores[:, : calibration.tags], scores[:, calibration.tags, np.newaxis]
    z = (cosines - calibration.mean) / calibration.std
    against = calibration.scale * (cosines - background)
    known = ~np.isnan(truth.values)
    model = LogisticRegression(C=1e6).fit(np.stack([z[known], against[known]], axis=1), truth.values[known])
    return np.array([*model.coef_[0], model.intercept_[0]])


def show_default(library: Library, session: Session, truth_file: Path) -> None:
    """Print precision and recall of what is decided, sure and likely, with 15 tags and with 126, before and after."""
    print(
        f"\n{'decided':<26} {'tags':>4} {'precision':>9} {'recall':>6} {'sure: p':>7} {'r':>6} {'a photo':>7}", end=""
    )
    print(f" {'absent':>6} {'floor plans':>11}")
    for vocabulary in (read_vocabulary("case-study"), read_vocabulary("hotel")):
        study = [vocabulary.position(tag) for tag in read_vocabulary("case-study").names]
        for method in ("calibrated", "signal"):
            signal = method == "signal"  # before it, no tag excluded another, and a photo had any number
            contrasts = tuple(group for group in vocabulary.groups if group.rule == "contrast")
            words = vocabulary if signal else replace(vocabulary, groups=contrasts, most=0)
            tagging = tagged(library, session, words, TagOptions(method=method))
            truth = read_truth(session, vocabulary, truth_file)
            (photos,) = tagging.photos()
            rows = np.searchsorted(photos.photo_ids, truth.photo_ids)
            known = truth.values[:, study]  # of the other tags nothing is known
            figures = [share for grade in (photos.decided, photos.sure) for share in hits(grade[rows][:, study], known)]
            names = vocabulary.names
            places = [names.index(tag) for tag in ABSENT if tag in names]
            plans = photos.decided[:, names.index("a floor plan")].sum() if "a floor plan" in names else 0
            print(f"{vocabulary.name + ', ' + method:<26} {len(names):>4} {figures[0]:9.3f} {figures[1]:6.3f}", end="")
            print(f" {figures[2]:7.3f} {figures[3]:6.3f} {photos.decided.sum(axis=1).mean():7.2f}", end="")
            print(f" {photos.decided[:, places].sum(axis=1).mean():6.2f} {plans:>11}")


def show_known(library: Library, session: Session) -> None:
    """Print which share of a long vocabulary's tags is right, of those whose truth is known of the samples.

    As many tags a photo as a method gives where the vocabulary does not say how many at most.
    """
    vocabulary, truth_file = replace(read_vocabulary("hotel"), most=0), WORK / "sample-hotels.csv"
    with open(asset("aliens/samples") / "labels.csv", encoding="utf-8", newline="") as file:
        rows = [(row["image_id"], f"{row['tags']};{row['extra']}") for row in csv.DictReader(file)]
    with open(truth_file, "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("image_id", "tags"), *rows])
    truth = read_truth(session, vocabulary, truth_file)
    known = [vocabulary.position(tag) for tag in (*read_vocabulary("case-study").names, *TOLD, *ABSENT)]
    print(f"\n{f'hotel, {len(known)} known tags':<26} {'precision':>9} {'decided':>7}")
    for method in get_args(Method):
        (photos,) = tagged(library, session, vocabulary, TagOptions(method=method)).photos()
        decided = photos.decided[np.searchsorted(photos.photo_ids, truth.photo_ids)][:, known]
        precision, _ = hits(decided, truth.values[:, known])
        print(f"{method:<26} {precision:9.3f} {decided.sum():>7}")
        figure(f"sample hotels: precision of {len(known)} tags, {method}", precision, "share")


def show_hotels(library: Library, session: Session, truth_file: Path, hotel_of: Callable[[str], str]) -> None:
    """Print precision and recall of hotel x tag: that any of a hotel's photos counts, or that two do."""
    several = variants()["several prompts a tag"]
    print(f"\n{'hotel x tag, several prompts':<40} {'precision':>9} {'recall':>6}   share of pairs that are true")
    for method, least in (("calibrated", THRESHOLDS["calibrated"]), ("signal", HOTEL)):
        tagging = tagged(library, session, several, TagOptions(method=method))
        truth = read_truth(session, several, truth_file)
        (photos,) = tagging.photos(["path"], truth.photo_ids)
        hotels = np.array([hotel_of(path) for path in photos.columns["path"].to_pylist()])
        counts = photos.probabilities >= least
        true = np.stack([np.nanmax(np.nan_to_num(truth.values[hotels == h]), axis=0) for h in np.unique(hotels)])
        for photos_least in (1, 2):
            said = np.stack([counts[hotels == h].sum(axis=0) >= photos_least for h in np.unique(hotels)])
            what = f"{method}, p >= {least:g} of {photos_least} photo{'s' * (photos_least > 1)}"
            precision, recall = hits(said, true)
            print(f"{what:<40} {precision:9.3f} {recall:6.3f}   {true.mean():.2f}")


def hits(decided: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return precision and recall over all decisions; where the truth is NaN nothing is counted."""
    right = (decided & (truth == 1)).sum()
    return float(right / max((decided & ~np.isnan(truth)).sum(), 1)), float(right / (truth == 1).sum())


def tagged(library: Library, session: Session, vocabulary: Vocabulary, options: TagOptions = CALIBRATED) -> Tagging:
    """Return the library tagged with a vocabulary."""
    tagging = Tagging(library.catalog, session, library.store, vocabulary)
    tagging.score(library.encoder, lambda done: None)
    tagging.calibrate(options, library.encoder, None)
    return tagging


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    photos = parser.parse_args().photos.resolve()
    encoder = OpenClipEncoder.load("starter")
    for name, source, truth_file, hotels in label_sets(photos):
        with kept_library(f"tags-{name}", encoder, source) as library, library.catalog.session() as session:
            print(f"\n=== {name}")
            slope, background, intercept = show(name, library, session, truth_file)
            show_default(library, session, truth_file)
            if isinstance(source, dict):
                show_known(library, session)
            show_hotels(library, session, truth_file, hotels)
        print(f"\nlogistic regression over all tags: {slope:.2f} z + {background:.2f} b {intercept:+.2f}")


if __name__ == "__main__":
    main()
