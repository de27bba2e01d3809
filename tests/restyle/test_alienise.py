"""The loop against engines whose damage is known, so that it must find the boundary."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.errors import DeviceMemoryError
from benchmarks.synthetic import SyntheticEngine
from restyle.alienise import FAINTEST, STEP, Attempt, Wish, alienise
from restyle.engines.engine import DIFFUSING, Job, Painting, Settings
from restyle.floors import DEFAULT_FLOORS, Floors
from restyle.judge import Judge, Scores, Subject
from restyle.palettes import read_palette
from restyle.protanopia import Visibility
from restyle.regrade import RegradeEngine
from tests.conftest import raising
from tests.restyle.pictures import room

FERN = read_palette("fern")
LOWEST, HIGHEST = DIFFUSING.lowest, DIFFUSING.highest
PHOTO = room(0, (48, 32))
NOTHING = Visibility(median_de=0, share=0, wasted=0)


@dataclass
class MarkingEngine:
    """Paints its damage into every pixel, where MarkJudge reads it: no picture is needed to know what is right."""

    damage: Callable[[Settings], float]
    settings: Settings = field(default_factory=lambda: Settings(controls=("edges",), control_scale=0.6, guidance=5.5))
    controls_available: tuple[str, ...] = ("edges", "softedge")
    name: str = "marking"
    fingerprint: str = "marking"
    longest_px: int = 48
    diffuses: bool = True
    painting: Painting = DIFFUSING
    moves_picture: bool = False
    takes_strength: bool = True
    asked: list[Settings] = field(default_factory=list)

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        return width_px, height_px

    def restyle(self, job: Job, settings: Settings) -> np.ndarray:
        self.asked.append(settings)
        marked = np.zeros_like(job.start)
        marked[..., 0] = 1 + round(200 * min(max(self.damage(settings), 0), 1))
        marked[..., 1] = settings.seed
        return marked


class MarkJudge(Judge):
    """Reads the damage that MarkingEngine painted; everything else, such as regraded photos, is without damage."""

    def __init__(self, floor: float = 0.5, regrading_damages: bool = False) -> None:
        super().__init__(Floors(hog=floor, edge_f1=0), FERN)
        self._regrading_damages = regrading_damages

    def score(self, subject: Subject, result: np.ndarray, prompt: str = "") -> Scores:
        marked = not result[..., 2].any()
        changed = np.abs(result.astype(int) - subject.pixels).mean() if self._regrading_damages else 0
        hog = 1 - (int(result[0, 0, 0]) - 1) / 200 if marked else 1 - changed / 20
        style = replace(NOTHING, median_de=10 * (1 - hog) + int(result[0, 0, 1]) / 100 if marked else 0)
        return Scores(hog=hog, edge_f1=1, shift=0, visibility=style, palette_distance=0)


def study(photo: np.ndarray = PHOTO) -> Subject:
    return Judge(DEFAULT_FLOORS, FERN).study(photo)


@settings(max_examples=40)
@given(st.floats(0.0, 1.0))
def test_the_highest_strength_that_is_recognised_is_found(boundary: float) -> None:
    engine = MarkingEngine(lambda asked: 0.4 if asked.strength <= boundary else 0.6)
    outcome = alienise(study(), engine, MarkJudge(), Wish(seeds=0))
    assert outcome.attempt.recognisable
    strength = outcome.attempt.settings.strength
    if boundary >= HIGHEST:
        assert strength == HIGHEST
    elif boundary >= LOWEST:
        assert boundary - STEP <= strength <= boundary
        assert outcome.rung == "diffused"
    elif boundary >= FAINTEST:
        assert boundary - STEP <= strength <= boundary
        assert outcome.rung == "less strength"
    else:
        assert (outcome.rung, outcome.diffused) == ("regraded", False)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_nothing_unrecognisable_is_ever_kept(seed: int) -> None:
    """Be the damage as it may: more strength is not always more of it."""
    random = np.random.default_rng(seed)
    engine = MarkingEngine(lambda asked: float(random.uniform(0, 1)))
    outcome = alienise(study(), engine, MarkJudge(floor=float(random.uniform(0, 1))))
    assert outcome.attempt.recognisable
    painted = [attempt for attempt in outcome.attempts if attempt.rung != "regraded" and attempt.recognisable]
    assert outcome.diffused == bool(painted)
    if painted:
        strongest = max(attempt.settings.strength for attempt in painted)
        at_the_boundary = [attempt for attempt in painted if attempt.settings.strength >= strongest - STEP]
        assert outcome.attempt in at_the_boundary
        assert outcome.attempt.scores.style == max(attempt.scores.style for attempt in at_the_boundary)


@pytest.mark.parametrize(
    ("needs", "rung"),
    [
        (lambda s: s.control_scale > 0.7, "firmer control"),
        (lambda s: len(s.controls) == 2, "second control"),
        (lambda s: s.guidance < 5, "less guidance"),
        (lambda s: s.strength < 0.2, "less strength"),
        (lambda s: False, "regraded"),
    ],
)
def test_the_ladder_is_climbed_in_order(needs: Callable[[Settings], bool], rung: str) -> None:
    engine = MarkingEngine(lambda asked: 0.1 if needs(asked) else 0.9)
    attempts: list[Attempt] = []
    outcome = alienise(study(), engine, MarkJudge(), tell=attempts.append)
    assert outcome.rung == rung
    assert attempts == list(outcome.attempts)
    order = ["regraded", "diffused", "firmer control", "second control", "less guidance", "less strength"]
    climbed = list(dict.fromkeys(attempt.rung for attempt in attempts))
    assert climbed == order[: len(climbed)]
    assert climbed[-1] == (rung if rung != "regraded" else "less strength")


def test_rungs_that_an_engine_does_not_have_are_left_out() -> None:
    engine = MarkingEngine(lambda asked: 0.9, settings=Settings(guidance=0), controls_available=())
    outcome = alienise(study(), engine, MarkJudge())
    assert {attempt.rung for attempt in outcome.attempts} == {"regraded", "diffused", "less strength"}


def test_other_seeds_are_tried_at_the_boundary_and_the_most_alien_is_kept() -> None:
    engine = MarkingEngine(lambda asked: 0.4 if asked.strength <= 0.5 or asked.seed == 3 else 0.6)
    outcome = alienise(study(), engine, MarkJudge(), Wish(seed=1, seeds=3))
    seeds = [asked.seed for asked in engine.asked]
    assert seeds[-3:] == [2, 3, 4]
    assert set(seeds[:-3]) == {1}
    assert outcome.attempt.settings.seed == 3  # recognised at the boundary too, and marked as more alien than seed 1
    assert min(asked.strength for asked in engine.asked[-3:]) > 0.5 - STEP


def test_a_wished_strength_is_not_exceeded() -> None:
    engine = MarkingEngine(lambda asked: 0.1)
    for strength in (0.05, 0.2, 0.4, 1.0):
        outcome = alienise(study(), engine, MarkJudge(), Wish(strength=strength, seeds=0))
        assert outcome.attempt.settings.strength == strength
        assert max(asked.strength for asked in engine.asked) <= strength
        engine.asked.clear()


def test_without_time_the_photo_is_regraded_and_no_more() -> None:
    engine = MarkingEngine(lambda asked: 0.1)
    outcome = alienise(study(), engine, MarkJudge(), Wish(budget_s=0))
    assert (outcome.rung, engine.asked) == ("regraded", [])


def test_regrading_alone_is_less_where_all_of_it_is_too_much() -> None:
    judge = MarkJudge(floor=0.5, regrading_damages=True)
    subject = study(room(1, hue=(250, 120, 120)))
    outcome = alienise(subject, RegradeEngine(FERN), judge)
    assert (outcome.rung, outcome.diffused) == ("regraded", False)
    assert 0 < outcome.attempt.settings.strength < 1
    failing = [attempt.settings.strength for attempt in outcome.attempts if not attempt.recognisable]
    assert min(failing) - outcome.attempt.settings.strength < 0.05


def test_what_cannot_even_be_regraded_comes_back_unchanged() -> None:
    judge = MarkJudge(floor=0.99999, regrading_damages=True)
    outcome = alienise(study(), RegradeEngine(FERN), judge)
    assert outcome.rung == "unchanged"
    assert np.array_equal(outcome.pixels, PHOTO)


def test_an_engine_that_knows_no_strength_paints_once_on_every_rung() -> None:
    engine = MarkingEngine(lambda asked: 0.1 if asked.guidance < 5 else 0.9, takes_strength=False)
    outcome = alienise(study(), engine, MarkJudge(), Wish(seeds=2))
    assert outcome.rung == "less guidance"
    rungs = [attempt.rung for attempt in outcome.attempts]
    assert rungs == ["regraded", "diffused", "firmer control", "second control", *["less guidance"] * 3]
    assert len({asked.strength for asked in engine.asked}) == 1


def test_errors_of_the_engine_are_not_swallowed() -> None:
    fail = raising(DeviceMemoryError("the device has too little memory: try --offload"))
    with pytest.raises(DeviceMemoryError, match="offload"):
        alienise(study(), MarkingEngine(fail), MarkJudge())


# The ends of the ladder: no strength at all, and a device that has no room for more.


@pytest.mark.parametrize("strength", [0.0, 0.001, 0.019])
def test_a_wish_for_no_strength_is_one_for_the_regraded_photo(strength: float) -> None:
    engine = MarkingEngine(lambda asked: 0.1)
    outcome = alienise(study(), engine, MarkJudge(), Wish(strength=strength))
    assert (outcome.rung, outcome.diffused, engine.asked) == ("regraded", False, [])


def too_little_memory(where: Callable[[Settings], bool]) -> Callable[[Settings], float]:
    def damage(asked: Settings) -> float:
        if where(asked):
            raise DeviceMemoryError("the device has too little memory: try --offload")
        return 0.1 if asked.guidance < 5 else 0.9

    return damage


def test_without_room_for_one_more_control_the_ladder_goes_on_without_it() -> None:
    engine = MarkingEngine(too_little_memory(lambda asked: len(asked.controls) > 1))
    outcome = alienise(study(), engine, MarkJudge())
    assert outcome.rung == "less guidance"
    assert outcome.attempt.settings.controls == ("edges",)
    assert sum(len(asked.controls) > 1 for asked in engine.asked) == 1  # asked once, and never again


def test_without_room_for_what_was_asked_for_the_photo_fails() -> None:
    engine = MarkingEngine(too_little_memory(lambda asked: asked.guidance < 5))
    with pytest.raises(DeviceMemoryError, match="offload"):
        alienise(study(), engine, MarkJudge())


def test_no_attempt_is_made_twice() -> None:
    engine = MarkingEngine(lambda asked: 0.1 if asked.strength < 0.15 else 0.9)
    assert alienise(study(), engine, MarkJudge(), Wish(seeds=0)).rung == "less strength"
    assert len(set(engine.asked)) == len(engine.asked)


# The real judge, and pictures that are really bent and covered.


@pytest.mark.parametrize("seed", range(2))
def test_real_pictures_are_damaged_as_far_as_they_are_recognised(seed: int) -> None:
    photo, judge = room(seed, (256, 192)), Judge(DEFAULT_FLOORS, FERN)
    engine, subject = SyntheticEngine(), judge.study(photo)
    outcome = alienise(subject, engine, judge, Wish(seeds=0))
    again = alienise(subject, engine, judge, Wish(seeds=0))
    assert np.array_equal(outcome.pixels, again.pixels)
    assert outcome.attempt.recognisable
    assert outcome.diffused
    settings = outcome.attempt.settings
    start = alienise(subject, RegradeEngine(FERN), judge).pixels
    for strength in np.arange(settings.strength + 2 * STEP, HIGHEST + 1e-6, 0.05):  # beyond the boundary nothing is
        damaged = engine.restyle(Job(original=photo, start=start), replace(settings, strength=float(strength)))
        assert judge.score(subject, damaged).failures(DEFAULT_FLOORS)


def test_more_damage_is_more_damage() -> None:
    photo, judge = room(1, (256, 192)), Judge(DEFAULT_FLOORS, FERN)
    engine, subject = SyntheticEngine(), judge.study(photo)
    job = Job(original=photo, start=photo)
    hogs = [judge.score(subject, engine.restyle(job, Settings(strength=s))).hog for s in (0.05, 0.2, 0.4, 0.7, 1.0)]
    assert hogs == sorted(hogs, reverse=True)
    held = Settings(strength=0.7, controls=("edges", "softedge"), control_scale=0.8)
    assert judge.score(subject, engine.restyle(job, held)).hog > hogs[3]


def test_engines_that_move_the_picture_are_registered_before_they_are_judged() -> None:
    photo, judge = room(2, (256, 192)), Judge(DEFAULT_FLOORS, FERN)
    subject, little = judge.study(photo), {"bend_share": 0.001, "cover": 0.1, "shift_share": 0.05}
    moved = alienise(subject, SyntheticEngine(**little), judge, Wish(seeds=0))
    registered = alienise(subject, SyntheticEngine(**little, moves_picture=True), judge, Wish(seeds=0))
    assert not moved.diffused
    assert any("moved by" in failure for attempt in moved.attempts for failure in attempt.failures)
    assert registered.diffused
    assert registered.attempt.scores.shift <= DEFAULT_FLOORS.shift
