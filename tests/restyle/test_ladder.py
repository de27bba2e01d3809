"""What the loop does at the ends of its ladder: no strength at all, and a device that has no room for more."""

from collections.abc import Callable

import pytest

from base.errors import DeviceMemoryError
from restyle.alienise import Wish, alienise
from restyle.engines.engine import Settings
from tests.restyle.test_alienise import MarkingEngine, MarkJudge, study


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
