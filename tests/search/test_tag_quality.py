"""What tags are worth, measured: the sample hotels with the embedded model, and real hotel photos where they lie."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

import aliens
from aliens.library import Library
from embedding.encoder import Encoder
from search.tags.calibration import TagOptions
from search.tags.evaluation import (
    FOLDS,
    Evaluation,
    Learner,
    compare_methods,
    confusion,
    evaluate,
    folds_of,
    score_tags,
)
from search.tags.links import Fit
from search.tags.tagging import Tagging
from search.tags.truth import Truth, read_truth
from search.tags.vocabulary import Tag, Vocabulary, read_vocabulary

TOLERANCE = 0.02

# method: mean average precision, F1 over all decisions, mean F1 of the tags, calibration error, Brier score
SAMPLE_FIGURES = {
    "softmax, top 1": (0.686, 0.307, 0.359, 0.147, 0.143),
    "uncalibrated": (0.642, 0.553, 0.524, 0.154, 0.143),
    "calibrated": (0.738, 0.559, 0.551, 0.128, 0.106),
    "signal": (0.734, 0.408, 0.429, 0.133, 0.106),
    "signal with labels, probe": (0.922, 0.858, 0.827, 0.033, 0.037),
    "signal with labels, platt": (0.720, 0.710, 0.608, 0.042, 0.069),
    "signal with labels, isotonic": (0.701, 0.697, 0.604, 0.069, 0.077),
}


def tagging_of(library: Library, session: Session, vocabulary: Vocabulary) -> Tagging:
    tagging = Tagging(library.catalog, session, library.store, vocabulary)
    tagging.score(library.encoder)
    tagging.calibrate(TagOptions(), library.encoder, None)
    return tagging


def learner_of(tagging: Tagging, truth: Truth) -> Learner:
    scores, vectors = tagging.scores_and_vectors(truth.photo_ids)
    return Learner(scores, vectors, tagging.centre, truth.values, folds_of(tagging.groups_of(truth.photo_ids)))


def figures(evaluation: Evaluation) -> tuple[float, ...]:
    m = evaluation.measures
    return m.mean_average_precision, m.micro_f1, m.macro_f1, m.calibration_error, m.brier


def print_figures(title: str, evaluations: list[Evaluation], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n\n{title}\n{'method':<32} {'mAP':>6} {'F1':>6} {'mean F1':>8} {'ECE':>6} {'Brier':>6}")
        for evaluation in evaluations:
            row = figures(evaluation)
            print(f"{evaluation.method:<32} {row[0]:6.3f} {row[1]:6.3f} {row[2]:8.3f} {row[3]:6.3f} {row[4]:6.3f}")


@pytest.fixture(scope="module")
def sample_session(sample_library: Library) -> Iterator[Session]:
    with sample_library.catalog.session() as session:
        yield session


@pytest.fixture(scope="module")
def sample_tagging(sample_library: Library, sample_session: Session) -> Tagging:
    return tagging_of(sample_library, sample_session, read_vocabulary("case-study"))


@pytest.fixture(scope="module")
def sample_truth(sample_session: Session, sample_tagging: Tagging, samples: Path) -> Truth:
    return read_truth(sample_session, sample_tagging.vocabulary, samples / "labels.csv")


def test_the_methods_reach_their_figures_on_the_samples(
    sample_tagging: Tagging, sample_truth: Truth, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluations = list(compare_methods(sample_tagging, sample_truth))
    print_figures("sample hotels", evaluations, capsys)
    found = {evaluation.method: figures(evaluation) for evaluation in evaluations}
    for method, measures in found.items():
        assert measures == pytest.approx(SAMPLE_FIGURES[method], abs=TOLERANCE)
    better = np.subtract(found["calibrated"], found["softmax, top 1"]) * (1, 1, 1, -1, -1)  # errors are to be low
    assert (better > 0).all()


def test_fifty_labelled_photos_of_other_hotels_tell_more_than_the_words_and_than_a_curve_over_them(
    sample_tagging: Tagging, sample_truth: Truth, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = learner_of(sample_tagging, sample_truth)
    fits: tuple[Fit, ...] = ("probe", "platt")
    found = {}
    for fit in fits:
        chances = np.empty(sample_truth.values.shape, np.float32)
        for fold in range(FOLDS):
            asked = learner.folds == fold
            others = np.random.default_rng(fold).permutation(np.flatnonzero(~asked))[:50]
            known = np.isin(np.arange(len(asked)), others)
            taught = learner.taught(sample_tagging.calibration, fit, known)
            chances[asked] = taught.probabilities(learner.scores_for(taught)[asked])
        found[fit] = score_tags(sample_tagging.vocabulary.names, sample_truth.values, chances, chances >= 0.5)
    words = evaluate(sample_tagging, sample_truth).measures
    assert found["probe"].micro_precision > max(0.75, words.micro_precision, found["platt"].micro_precision)
    assert found["probe"].micro_recall > max(0.6, words.micro_recall + 0.3, found["platt"].micro_recall)
    gain = found["probe"].mean_average_precision - words.mean_average_precision
    with capsys.disabled():
        print(f"\n\nprobe over words: {gain:+.3f} mAP")
    assert gain > 0.055


def test_several_prompts_a_tag_rank_about_as_well_as_the_tag_alone(
    sample_library: Library, sample_session: Session, sample_truth: Truth
) -> None:
    study, hotel = read_vocabulary("case-study"), {tag.name: tag for tag in read_vocabulary("hotel").tags}
    several = replace(study, tags=tuple(Tag(tag.name, hotel[tag.name].prompts) for tag in study.tags))
    precision = {
        name: evaluate(
            tagging_of(sample_library, sample_session, vocabulary), sample_truth
        ).measures.mean_average_precision
        for name, vocabulary in {"alone": study, "several": several}.items()
    }
    assert precision["several"] > precision["alone"] - 0.015


def test_the_contrast_of_bathtub_and_shower_confuses_them_less_and_ranks_both_better(
    sample_library: Library, sample_session: Session, sample_truth: Truth
) -> None:
    study = read_vocabulary("case-study")
    pair = study.groups[0]
    right, ranked = {}, {}
    for name, vocabulary in (("with", study), ("without", replace(study, groups=()))):
        found = evaluate(tagging_of(sample_library, sample_session, vocabulary), sample_truth)
        confused = confusion(pair, vocabulary.names, found.truth, found.decided)
        right[name] = confused.counts[0, 0] + confused.counts[1, 1]
        ranked[name] = [tag.average_precision for tag in found.measures.tags if tag.tag in pair.tags]
    assert pair.rule == "contrast"
    assert right["with"] > right["without"]
    assert all(better > plain for better, plain in zip(ranked["with"], ranked["without"], strict=True))


def test_photos_of_nothing_in_the_vocabulary_get_no_tag(sample_library: Library, sample_session: Session) -> None:
    study = read_vocabulary("case-study")
    absent = replace(
        study, groups=(), tags=tuple(Tag(name, (name,)) for name in ("a giraffe", "a submarine", "a volcano"))
    )
    tagging = tagging_of(sample_library, sample_session, absent)
    tagged = sum(int(photos.decided.any(axis=1).sum()) for photos in tagging.photos())
    assert tagged <= 0.15 * 240


def test_calibrated_tags_are_better_than_softmax_on_real_photos(
    shared_photos: Path, starter: Encoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth_file = tmp_path / "truth.csv"
    with (
        open(shared_photos / "labels.csv", encoding="utf-8", newline="") as labels,
        open(truth_file, "w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out)
        writer.writerow(["path", "tags"])
        for row in csv.DictReader(labels):
            if row["source"] == "hotels":
                # Whether an open-air hot spring is a pool or a tub is a matter of taste.
                tags = row["tags"].replace("onsen_ambiguous", "?pool;?bathtub")
                writer.writerow([(shared_photos / row["path"]).absolute(), tags])  # as it was added, through links
    with aliens.create(tmp_path / "library", encoder=starter) as library, library.catalog.session() as session:
        library.add(shared_photos / "hotels")
        tagging = tagging_of(library, session, read_vocabulary("case-study"))
        truth = read_truth(session, tagging.vocabulary, truth_file)
        evaluations = list(islice(compare_methods(tagging, truth), 4))  # those without labels
        chances, decided = learner_of(tagging, truth).cross_fitted(tagging.calibration, "platt")
        taught = score_tags(tagging.vocabulary.names, truth.values, chances, decided)
    print_figures("205 real hotel photos", evaluations, capsys)
    found = {e.method: e.measures for e in evaluations}
    assert found["calibrated"].mean_average_precision > found["softmax, top 1"].mean_average_precision + 0.02
    assert found["calibrated"].micro_f1 > found["softmax, top 1"].micro_f1 + 0.1
    assert found["calibrated"].brier < found["uncalibrated"].brier
    assert taught.calibration_error < found["calibrated"].calibration_error
