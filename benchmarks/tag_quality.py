"""How good the tags are, and what each part of tagging does for them: methods, prompts, templates, groups, constants.

python benchmarks/tag_quality.py [--photos ../shared/photos]

On the sample hotels (240 rendered photos) and, where they are at hand, on 205 real hotel photos that the starter model
has never seen, in a library with 815 other photos. `onsen_ambiguous` photos are left out for pool and bathtub.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sqlalchemy.orm import Session

import aliens
from aliens.library import Library
from base.settings import LibraryFolder, asset
from db.catalog import is_library
from embedding.open_clip_encoder import OpenClipEncoder
from search.tags.calibration import TagOptions
from search.tags.evaluation import compare_methods, evaluate
from search.tags.tagging import Tagging
from search.tags.truth import read_truth
from search.tags.vocabulary import Group, Tag, Vocabulary, read_vocabulary

WORK = Path(__file__).parent / "work"
MODEL_CARD_TEMPLATES = ("{}", "a photo of {}", "a hotel room with {}", "a hotel photo of {}")


def real_truth(photos: Path) -> Path:
    """Write the labels of the hotels as a file that `aliens eval tags` reads, and return its path."""
    path = WORK / "real-hotels.csv"
    with open(photos / "labels.csv", encoding="utf-8", newline="") as file, open(path, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", "tags"])
        for row in csv.DictReader(file):
            tags = row["tags"].replace("onsen_ambiguous", "?pool;?bathtub")
            if row["source"] == "hotels" and (photos / row["path"]).exists():
                writer.writerow([(photos / row["path"]).absolute(), tags])
    return path


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


def show(library: Library, session: Session, truth_file: Path) -> np.ndarray:
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
    grouped = ("a bathtub", "a shower", "two beds", "a king-size bed")
    print(f"\n{'calibrated, vocabulary':<36} {'mAP':>6} {'mean F1':>7}   AP and precision of {', '.join(grouped)}")
    for name, vocabulary in variants().items():
        changed = tagged(library, session, vocabulary)
        m = evaluate(changed, truth).measures
        tags = {tag.tag: tag for tag in m.tags}
        four = "  ".join(f"{tags[tag].average_precision:.3f} {tags[tag].precision:.2f}" for tag in grouped)
        print(f"{name:<36} {m.mean_average_precision:6.3f} {m.macro_f1:7.3f}   {four}")
    scores, calibration = tagging.scores_of(truth.photo_ids), tagging.calibration
    z = (scores[:, :-1] - calibration.mean) / calibration.std
    against = calibration.scale * (scores[:, :-1] - scores[:, -1:])
    known = ~np.isnan(truth.values)
    model = LogisticRegression(C=1e6).fit(np.stack([z[known], against[known]], axis=1), truth.values[known])
    return np.array([*model.coef_[0], model.intercept_[0]])


def tagged(library: Library, session: Session, vocabulary: Vocabulary) -> Tagging:
    """Return the library tagged with a vocabulary."""
    tagging = Tagging(library.catalog, session, library.store, vocabulary)
    tagging.score(library.encoder, lambda done: None)
    tagging.calibrate(TagOptions(), library.encoder, None)
    return tagging


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    photos = parser.parse_args().photos.resolve()
    WORK.mkdir(exist_ok=True)
    encoder = OpenClipEncoder.load("starter")
    samples = asset("aliens/samples")
    sets = [("sample hotels", {"hotels50k": samples}, samples / "labels.csv")]
    if photos.is_dir():
        sets.append(("real hotels", {"path": photos}, real_truth(photos)))
    for name, source, truth_file in sets:
        root = WORK / f"tags-{name.replace(' ', '-')}"
        open_or_create = aliens.open if is_library(LibraryFolder(root)) else aliens.create
        with open_or_create(root, encoder=encoder) as library, library.catalog.session() as session:
            library.add(**source)
            print(f"\n=== {name}")
            slope, background, intercept = show(library, session, truth_file)
        print(f"\nlogistic regression over all tags: {slope:.2f} z + {background:.2f} b {intercept:+.2f}")


if __name__ == "__main__":
    main()
