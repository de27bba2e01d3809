"""A short round over everything that is fuzzed, the same each time; `make fuzz` makes long ones."""

from pathlib import Path

import pytest

from tests.fuzz.file_targets import FILE_TARGETS
from tests.fuzz.photo_targets import PHOTO_TARGETS
from tests.fuzz.target import Target

INPUTS = 40  # of each target
TARGETS = [*PHOTO_TARGETS, *FILE_TARGETS]


@pytest.mark.filterwarnings("ignore")  # of libraries, on what is damaged
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_comes_from_anywhere_is_read_or_refused(target: Target, tmp_path: Path) -> None:
    numbers = range(max(len(target.seeds), round(INPUTS * target.share)))
    taken = [target.try_input(number, tmp_path) for number in numbers]
    assert any(taken[: len(target.seeds)]), "no sound input was taken"


def test_inputs_are_the_same_each_time() -> None:
    target = FILE_TARGETS[0]
    assert [target.input(number) for number in range(20)] == [target.input(number) for number in range(20)]
    assert len({target.input(number) for number in range(20)}) == 20
