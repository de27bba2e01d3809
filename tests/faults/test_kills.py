"""kill -9 at events that a seed chooses, whatever is done to a library: nothing is lost, doubled or changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Tries
from tests.faults.faulty import Nursery
from tests.faults.rounds import Scene, kill_rounds
from tests.faults.workers import WORKS

KILLS = 1  # of each work, each time: of a library three at most
TWICE = ("add", "merge", "tag")  # of these another one: what is done most, and what takes the most steps
DISTURBED = [name for name in WORKS if name not in ("begin", "serve")]

pytestmark = pytest.mark.sqlite("what is committed is read from its file")


@pytest.mark.parametrize("work", DISTURBED)
def test_kill_9_loses_nothing_whatever_is_done(
    work: str, nursery: Nursery, scene_of: Callable[[str], Scene], ground: Path, seed: int, rounds: Tries
) -> None:
    scene = scene_of(work)
    for at, does in kill_rounds(nursery, scene, ground / "library", seed, rounds(KILLS + (work in TWICE))):
        print(f"{work}: {does} at event {at} of {scene.events}")
