import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from base.errors import ModelMismatchError
from base.settings import asset
from embedding.open_clip_encoder import OpenClipEncoder
from tests.embedding.conftest import load_folder


def key_of(folder: Path) -> str:
    return load_folder(folder).key


def digits(key: str) -> str:
    found = re.fullmatch(r"[A-Za-z0-9._-]+-([0-9a-f]{8})", key)
    return found[1]


def test_the_same_weights_have_the_same_digits_by_another_name(starter: OpenClipEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    for file in asset("embedding/starter").glob("open_clip_*"):
        (folder / file.name).symlink_to(file)
    assert key_of(folder) == f"my-model-{digits(starter.key)}"
    assert starter.key == f"starter-{digits(starter.key)}"


def test_the_key_is_the_same_from_every_folder(
    save_tiny_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny_model("tiny")
    monkeypatch.chdir(folder)
    assert key_of(Path()) == key_of(folder) == key_of(folder / ".." / "tiny")


def test_one_changed_weight_changes_the_key(save_tiny_model: Callable[..., Path]) -> None:
    folder = save_tiny_model("tiny")
    before = key_of(folder)
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["visual.proj"][0, 0] += 1e-6
    save_file(weights, folder / "open_clip_model.safetensors")
    after = key_of(folder)
    assert after.startswith("tiny-")
    assert digits(after) != digits(before)


@pytest.mark.parametrize(
    "change",
    [
        {"preprocessing": {"mean": [0.5, 0.5, 0.501]}},
        {"preprocessing": {"std": [0.5, 0.5, 0.501]}},
        {"preprocessing": {"interpolation": "bilinear"}},
        {"preprocessing": {"resize_mode": "squash"}},
        {"seed": 1},
    ],
)
def test_another_preprocessing_changes_the_key(change: dict, save_tiny_model: Callable[..., Path]) -> None:
    assert digits(key_of(save_tiny_model("tiny"))) != digits(key_of(save_tiny_model("changed", **change)))


@pytest.mark.parametrize(
    "change",
    [
        {"quick_gelu": True},
        {"vision": {"head_width": 4}},
        {"text": {"heads": 4}},
        {"custom_text": True, "text": {"pool_type": "last"}},
    ],
)
def test_the_same_weights_in_another_architecture_change_the_key(
    change: dict, save_tiny_model: Callable[..., Path]
) -> None:
    plain = save_tiny_model("plain", custom_text=change.get("custom_text", False))
    assert digits(key_of(plain)) != digits(key_of(save_tiny_model("changed", **change)))


def test_another_key_than_the_librarys_is_refused_with_both(save_tiny_model: Callable[..., Path]) -> None:
    folder = save_tiny_model("tiny")
    key = key_of(folder)
    with pytest.raises(ModelMismatchError) as caught:
        OpenClipEncoder.load(f"local-dir:{folder}", device="cpu", precision="float32", key="other-12345678")
    assert "other-12345678" in str(caught.value)
    assert key in str(caught.value)
    assert "aliens embed --model" in str(caught.value)


def test_the_librarys_own_key_is_accepted(save_tiny_model: Callable[..., Path]) -> None:
    folder = save_tiny_model("tiny")
    encoder = OpenClipEncoder.load(f"local-dir:{folder}", device="cpu", precision="bfloat16", key=key_of(folder))
    assert encoder.precision == "bfloat16"
