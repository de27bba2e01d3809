from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from base.errors import EngineError
from embedding.colour import Pixels
from embedding.hub import no_chatter
from restyle.controls import CONTROLS, WITHOUT_WEIGHTS, control_map, controls_for, depth_of
from restyle.engines import weights


@pytest.fixture
def room() -> Pixels:
    """A wall and a floor that meet at row 40, a door with edges at columns 30 and 60, some grain."""
    pixels = np.full((80, 120, 3), 200, np.float32)
    pixels[40:] = (110, 90, 80)
    pixels[10:40, 30:60] = (60, 50, 45)
    pixels += np.random.default_rng(0).normal(0, 3, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real depth estimator of transformers with tiny random weights."""
    import torch
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    torch.manual_seed(0)
    folder = str(tmp_path_factory.mktemp("depth"))
    config = DPTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=4,
        is_hybrid=False,
    )
    with no_chatter():
        DPTForDepthEstimation(config).save_pretrained(folder)
        DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_maps_are_pictures_of_the_same_size_and_always_the_same(name: str, room: Pixels) -> None:
    drawn = control_map(name, room)
    assert drawn.shape == room.shape and drawn.dtype == np.uint8
    assert (control_map(name, room) == drawn).all()
    assert drawn.std() > 5


@settings(max_examples=25)
@given(
    pixels=st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
        lambda size: arrays(np.uint8, (*size, 3), elements=st.integers(0, 255))
    )
)
def test_any_photo_has_maps(pixels: Pixels) -> None:
    for name in WITHOUT_WEIGHTS:
        assert control_map(name, pixels).shape == pixels.shape


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (40, 40)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_photo_has_no_edges(size: tuple[int, int], value: int) -> None:
    flat = np.full((*size, 3), value, np.uint8)
    for name in ("edges", "lines", "softedge"):
        assert not control_map(name, flat).any()
    assert (control_map("tile", flat) == flat).all()


def test_grain_alone_gives_no_strong_edges() -> None:
    grain = np.random.default_rng(1).normal(128, 2, (64, 64, 3)).round().astype(np.uint8)
    assert control_map("softedge", grain).mean() < 64
    assert not control_map("edges", grain).any()
    assert not control_map("lines", grain).any()


def test_edges_are_white_where_the_photo_has_them(room: Pixels) -> None:
    drawn = control_map("edges", room)[..., 0]
    assert set(np.unique(drawn)) == {0, 255}
    assert (drawn[38:42] == 255).any(axis=0).mean() > 0.9  # between wall and floor
    assert not drawn[50:].any() and not drawn[:6].any()


def test_softedge_is_strongest_where_the_photo_changes_most(room: Pixels) -> None:
    drawn = control_map("softedge", room)[..., 0].astype(int)
    assert drawn[20, 29:31].min() > 200 > 64 > drawn[20, 90]
    assert len(np.unique(drawn)) > 20  # soft: greys, not black and white


def test_softedge_sees_edges_of_colour_alone() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = (160, 60, 60), (60, 111, 60)  # of the same lightness
    lightness = np.asarray(Image.fromarray(pixels).convert("L"))
    assert int(lightness.max()) - int(lightness.min()) <= 2
    assert control_map("softedge", pixels)[20, 19:21].min() > 200


def test_lines_are_straight_and_leaves_are_none(room: Pixels) -> None:
    assert (control_map("lines", room)[..., 0][38:42] == 255).any(axis=0).mean() > 0.6
    leaves = np.random.default_rng(2).integers(0, 256, (14, 20), dtype=np.uint8)
    grown = np.asarray(Image.fromarray(leaves).resize((120, 80), Image.Resampling.BICUBIC))
    texture = np.repeat(grown[..., None], 3, axis=2)
    assert (control_map("edges", texture) > 0).mean() > 0.05  # plenty of edges
    assert (control_map("lines", texture) > 0).mean() < (control_map("edges", texture) > 0).mean()


def test_a_diagonal_is_a_line() -> None:
    rows, columns = np.indices((80, 80))
    pixels = np.repeat(np.where(rows > columns, 200, 50).astype(np.uint8)[..., None], 3, axis=2)
    drawn = control_map("lines", pixels)[..., 0]
    assert drawn[np.arange(10, 70), np.arange(10, 70)].mean() > 200
    assert not drawn[70:, :10].any()


def test_tile_keeps_colours_and_loses_details(room: Pixels) -> None:
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.ptp(control_map("tile", np.repeat(checks[..., None], 3, axis=2))) <= 2
    assert np.abs(control_map("tile", room)[60:, :].mean((0, 1)) - room[60:, :].mean((0, 1))).max() < 2


def test_grey_photos_have_maps_like_coloured_ones(room: Pixels) -> None:
    grey = np.repeat(np.asarray(Image.fromarray(room).convert("L"))[..., None], 3, axis=2)
    assert (control_map("edges", grey) == control_map("edges", room)).all()


def test_depth_needs_weights(estimator: str, room: Pixels) -> None:
    drawn = control_map("depth", room, estimator)
    assert drawn.shape == room.shape
    assert drawn.min() == 0 and drawn.max() == 255
    assert (drawn[..., 0] == drawn[..., 2]).all()
    assert control_map("depth", np.zeros((1, 1, 3), np.uint8), estimator).shape == (1, 1, 3)


def test_metres_are_turned_into_nearness(estimator: str, room: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    from restyle import controls as depth

    near = depth_of(room, estimator)
    model, _ = depth.estimator(estimator)
    monkeypatch.setattr(model.config, "depth_estimation_type", "metric", raising=False)
    assert depth_of(room, estimator) == pytest.approx(1 - near, abs=1e-5)


def test_depth_without_weights_comes_with_the_command(room: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "hub_answers", lambda: False)
    command = r"hf download depth-anything/Depth-Anything-V2-Small-hf .*--control estimator=FOLDER"
    with pytest.raises(EngineError, match=command):
        control_map("depth", room)


def test_depth_of_a_folder_of_something_else(room: Pixels, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="holds no whole model"):
        control_map("depth", room, str(tmp_path))


def test_unknown_maps_are_refused(room: Pixels) -> None:
    with pytest.raises(EngineError, match="no control map 'fog': there are softedge, lines, edges, tile, depth"):
        control_map("fog", room)


def test_bare_rooms_are_held_by_lines_and_full_ones_by_soft_edges() -> None:
    assert controls_for(CONTROLS, detailed=True)[0] == "softedge"
    assert controls_for(CONTROLS, detailed=False)[0] == "lines"
    assert controls_for(("edges", "lines"), detailed=True) == ("edges", "lines")
    assert sorted(controls_for(CONTROLS, detailed=True)) == sorted(CONTROLS)


def test_real_photos_have_meaningful_maps(samples: Path) -> None:
    paths: list[Any] = sorted(samples.rglob("*.jpg"))[:3]
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((384, 256)))
        for name, (least, most) in {"edges": (0.01, 0.3), "lines": (0.002, 0.3), "softedge": (0.02, 0.4)}.items():
            assert least < control_map(name, pixels).mean() / 255 < most
