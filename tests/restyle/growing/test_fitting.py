"""As much grows as the photo bears, and the loop keeps what is recognised."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from base.files import PhotoFile
from base.settings import asset
from embedding.colour import read_pixels
from restyle.alienise import Outcome, Wish, alienise
from restyle.engines.engine import Job, Settings
from restyle.floors import Floors
from restyle.growing.fitting import borne_amounts
from restyle.growing.garden import Amounts
from restyle.growing.grow_engine import GrowEngine
from restyle.judge import Judge, Scores, Subject
from restyle.palettes import read_palette
from tests.restyle.pictures import flat, wall

FERN = read_palette("fern")
FLOORS = Floors(hog=0.56, edge_f1=0.66)  # of the sample hotels
SAMPLES = sorted(asset("aliens/samples/images/train").rglob("*.jpg"))[::48]


def sample(path: Path) -> np.ndarray:
    return read_pixels(PhotoFile(str(path)), 640)


def grown(photo: np.ndarray, floors: Floors, **wish: Any) -> Outcome:
    """Return what the loop makes of a photo with plants, one seed alone."""
    judge = Judge(floors, FERN)
    return alienise(judge.study(photo), GrowEngine(FERN), judge, Wish(**{"seeds": 0} | wish))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_recognised_with_plants(path: Path) -> None:
    outcome = grown(sample(path), FLOORS)
    assert (outcome.rung, outcome.diffused) == ("grown", False)
    assert outcome.attempt.recognisable
    assert {attempt.rung for attempt in outcome.attempts} <= {"regraded", "grown"}
    scores = outcome.attempt.scores
    assert scores.hog >= FLOORS.hog and scores.edge_f1 >= FLOORS.edge_f1
    assert outcome.attempts[0].rung == "regraded"


def test_the_judge_is_asked_for_less_and_less_and_no_other_rung_is_climbed() -> None:
    photo = sample(SAMPLES[0])
    judge = Judge(Floors(hog=0.2, edge_f1=0.2), FERN)
    subject, engine = judge.study(photo), GrowEngine(FERN)
    asked = []

    class Refusing(Judge):
        def score(self, subject: Subject, result: np.ndarray, prompt: str = "") -> Scores:
            scores = super().score(subject, result, prompt)
            return replace(scores, nearest=False) if scores.hog < 0.97 else scores

    outcome = alienise(subject, engine, Refusing(judge.floors, FERN), Wish(seeds=0), asked.append)
    assert {attempt.rung for attempt in asked} == {"regraded", "grown"}
    strengths = [attempt.settings.strength for attempt in asked if attempt.rung == "grown"]
    assert strengths[:2] == [1.0, 0.1] and len(strengths) <= 6
    assert outcome.rung in ("grown", "regraded") and outcome.attempt.scores.nearest is not False


def test_a_photo_that_bears_nothing_is_regraded() -> None:
    outcome = grown(wall((214, 170, 130)), Floors(hog=0.9999, edge_f1=0.9999))
    assert outcome.rung in ("regraded", "unchanged") and not outcome.diffused
    assert not any(attempt.rung == "grown" for attempt in outcome.attempts)


def test_where_nothing_can_grow_no_attempt_is_told_of() -> None:
    outcome = grown(flat((200, 170, 140), (700, 3)), FLOORS)
    assert {attempt.rung for attempt in outcome.attempts} == {"regraded"}


@pytest.mark.parametrize("strength", [0.0, 0.01])
def test_a_wish_for_no_strength_is_one_for_the_regraded_photo(strength: float) -> None:
    outcome = grown(sample(SAMPLES[0]), FLOORS, strength=strength, seeds=3)
    assert outcome.rung == "regraded" and outcome.attempt.settings.strength == 1


def test_strength_limits_how_much_grows() -> None:
    photo, floors = sample(SAMPLES[1]), Floors(hog=0.1, edge_f1=0.1)
    less, more = (grown(photo, floors, strength=strength) for strength in (0.3, 1))
    assert less.attempt.settings.strength == pytest.approx(0.3)
    assert less.attempt.scores.hog > more.attempt.scores.hog


def test_lower_floors_bear_more() -> None:
    photo = sample(SAMPLES[2])
    engine, judge = GrowEngine(FERN), Judge(FLOORS, FERN)
    subject = judge.study(photo)
    engine.restyle(Job(original=photo, start=photo), Settings(strength=1.0))
    assert engine.kept is not None
    assert borne_amounts(engine.kept.garden, lambda pixels: 1.0) == Amounts()
    assert borne_amounts(engine.kept.garden, lambda pixels: -1.0) == Amounts().times(0)
    borne = borne_amounts(engine.kept.garden, lambda pixels: judge.slack(subject, pixels))
    assert judge.slack(subject, np.asarray(engine.kept.garden.composed(borne))) > 0
