"""Files that fail: a full disk, a broken one, a sync that fails; refused in our words, and nothing is lost."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Tries
from tests.faults.faulty import Nursery
from tests.faults.rounds import Scene, error_rounds
from tests.faults.test_kills import DISTURBED

FAILURES = 1  # of each work, each time

pytestmark = pytest.mark.sqlite("what is committed is read from its file")


@pytest.mark.parametrize("work", DISTURBED)
def test_a_file_that_fails_loses_nothing_whatever_is_done(
    work: str, nursery: Nursery, scene_of: Callable[[str], Scene], ground: Path, seed: int, rounds: Tries
) -> None:
    scene = scene_of(work)
    errors = (errno.EIO, errno.ENOSPC)
    for at, error in error_rounds(nursery, scene, ground / "library", seed, rounds(FAILURES), errors):
        print(f"{work}: {errno.errorcode[error]} at event {at} of {scene.events}")
