"""Plans follow from their seeds, nothing stands in anything, what a picture shows becomes true and false concepts."""

import random
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pytest

from training.builder import Builder, Piece
from training.catalogue import Model
from training.concepts import phrases_of, table, truth_of
from training.photographs import what_is_seen
from training.rooms import KINDS, plan_room


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_follows_from_its_seed(kind: str, models: Mapping[str, Model]) -> None:
    for seed in range(5):
        plan = plan_room(seed, models, kind)
        assert asdict(plan) == asdict(plan_room(seed, models, kind))
        assert plan.pieces, f"nothing stands in the {kind} of seed {seed}"


def test_what_is_at_a_wall_stands_in_nothing_else(models: Mapping[str, Model]) -> None:
    builder = Builder(random.Random(3), models, 3)
    builder.start("bedroom", (4, 4), (4, 4))
    placed = [piece for _ in range(12) if (piece := builder.at_wall(builder.of("wardrobe")))]
    assert 4 < len(placed) <= 12
    for i, (x, y, a, b) in enumerate(builder.taken):
        assert abs(x) + a <= 2.02 and abs(y) + b <= 2.02
        assert all(abs(x - u) >= a + c - 1e-9 or abs(y - v) >= b + d - 1e-9 for u, v, c, d in builder.taken[:i])


def test_a_piece_that_is_too_large_is_left_out(models: Mapping[str, Model]) -> None:
    builder = Builder(random.Random(0), models, 0)
    builder.start("hallway", (2, 2), (2, 2))
    assert builder.at_wall(Piece("wall", "box", 0, 0, width=9, depth=9)) is None


def record(room: str, things: list[tuple[str, str, str, float]], **around: float) -> dict[str, object]:
    keys = ("noun", "kind", "colour", "share")
    return {
        "room": room, "roof": True, "wall": "white", "view": "sea", "light": "day", "words": [],
        "things": [dict(zip(keys, thing, strict=True)) for thing in things], "around": around,
    }  # fmt: skip


def test_beds_are_counted() -> None:
    one = truth_of(record("bedroom", [("bed", "white", "", 0.3)]))
    two = truth_of(record("bedroom", [("bed", "white", "", 0.2), ("bed", "white", "", 0.1)]))
    unsure = truth_of(record("bedroom", [("bed", "white", "", 0.3), ("bed", "white", "", 0.01)]))
    assert one["one large bed"] is True and one["two beds"] is False
    assert two["two beds"] is True and two["one large bed"] is False
    assert unsure["two beds"] is None and unsure["one large bed"] is None


def test_neighbours_are_each_others_negatives() -> None:
    tub = truth_of(record("bathroom", [("bathtub", "free", "red", 0.3)]))
    assert tub["bathtub"] is True and tub["free bathtub"] is True and tub["red bathtub"] is True
    assert not tub.get("shower") and not tub.get("pool") and not tub.get("hot tub")
    names, truth = table([record("bathroom", [(noun, "", "", 0.3)]) for noun in ("bathtub", "shower")], fewest=1)
    assert truth[:, names.index("bathtub")].tolist() == [1, 0]
    assert truth[:, names.index("shower")].tolist() == [0, 1]


def test_what_is_hardly_seen_is_not_told() -> None:
    _, truth = table([record("bedroom", [("tv", "off", "", share)]) for share in (0.2, 0.005, 0.0)], fewest=1)
    assert np.isnan(truth).any()
    assert truth_of(record("bedroom", [("tv", "off", "", 0.005)]))["tv"] is None
    assert truth_of(record("bedroom", [("tv", "off", "", 0.001)]))["tv"] is False


def test_every_concept_that_plans_can_show_is_said_somehow(models: Mapping[str, Model]) -> None:
    for seed in range(40):
        plan = plan_room(seed, models)
        shown = what_is_seen(plan, dict.fromkeys(range(len(plan.pieces)), 0.05), {"wall": 0.3, "view": 0.2})
        assert all(phrases_of(name) or name == "no bed" for name, true in truth_of(shown).items() if true)
