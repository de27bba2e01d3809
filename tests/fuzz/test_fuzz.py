"""A short round over everything that is fuzzed, the same each time; `make fuzz` makes long ones."""

from pathlib import Path

import pytest

from tests.fuzz.file_targets import FILE_TARGETS
from tests.fuzz.photo_targets import PHOTO_TARGETS
from tests.fuzz.target import Target

INPUTS = 40  # of each target
TARGETS = [*PHOTO_TARGETS, *FILE_TARGETS]
REFUSED_SEEDS = {  # which inputs begin with that are not sound to their readers, and why
    "photo netpbm": {6: "no image format"},  # PFM
    "captions": {4: "not UTF-8"},
    "Hotels-50K archive": {1: "holds no chain_info", 2: "holds no chain_info", 3: "no chain_info|cannot be unpacked"},
    "tar": {2: "a header makes no sense"},
    "packed tar": {2: "a header makes no sense"},
}


@pytest.mark.filterwarnings("ignore")  # of libraries, on what is damaged
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_comes_from_anywhere_is_read_or_refused(target: Target, tmp_path: Path) -> None:
    numbers = range(max(len(target.seeds), round(INPUTS * target.share)))
    taken = [target.try_input(number, tmp_path) for number in numbers]
    refused = {number for number in range(len(target.seeds)) if not taken[number]}
    assert refused == REFUSED_SEEDS.get(target.name, {}).keys(), "of sound inputs"


def test_inputs_are_the_same_each_time() -> None:
    target = FILE_TARGETS[0]
    assert [target.input(number) for number in range(20)] == [target.input(number) for number in range(20)]
    assert len({target.input(number) for number in range(20)}) == 20
