"""What is asked of every photo: what decides nothing is not asked."""

import json
from pathlib import Path

import pytest

from tests.commands.conftest import Aliens


@pytest.mark.parametrize(
    "option", [("--seed", 7), ("--seeds", 0), ("--budget", 60), ("--prompt", "ferns"), ("--negative-prompt", "red")]
)
def test_what_decides_nothing_of_regrading_makes_no_other_result(
    aliens: Aliens, filled: Path, option: tuple[str, object]
) -> None:
    made = []
    for options in ((), option):
        code, out, err = aliens("restyle", 3, "--engine", "regrade", "--json", *options)
        assert code == 0, err
        made.append(json.loads(out))
    assert [each["made_now"] for each in made] == [True, False]
    assert made[0]["path"] == made[1]["path"]
