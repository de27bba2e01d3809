from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout

from base.errors import EncoderError
from embedding import text_export, text_tower
from embedding.encoder import keep_text_tower
from embedding.open_clip_encoder import OpenClipEncoder
from embedding.text_export import CHECKED, REFUSED_FILE, export_text_tower
from embedding.text_tower import MANIFEST_FILE, MERGES_FILE, WEIGHTS_FILE, TextTower, gelu, tower_problem, words_sum
from tests.conftest import raising
from tests.embedding.conftest import flipped, load_folder

TEXTS = ["bathtub with a view", "", "ванная с видом на море", "two beds " * 60, "a sofa"]


@pytest.fixture
def folder(tiny: OpenClipEncoder, tmp_path: Path) -> Path:
    """The tower of a tiny model."""
    folder = tmp_path / "text" / tiny.key
    assert export_text_tower(tiny, folder) is None
    return folder


def opened(encoder: OpenClipEncoder, folder: Path) -> TextTower:
    return TextTower.open(folder, encoder.key)


# The same vectors


def test_the_embedded_models_vectors_are_pytorchs(starter: OpenClipEncoder, tmp_path: Path) -> None:
    assert export_text_tower(starter, tmp_path / "text" / "tower") is None
    tower = opened(starter, tmp_path / "text" / "tower")
    assert tower.encode_texts(TEXTS) == pytest.approx(starter.encode_texts(TEXTS), abs=2e-6)
    prompts = ("{}", "a photo of {}")
    assert tower.encode_prompts("a bed", prompts) == pytest.approx(starter.encode_prompts("a bed", prompts), abs=2e-6)
    assert tower.logit_scale == starter.logit_scale


@pytest.mark.parametrize(
    "model",
    [{"quick_gelu": True}, {"custom_text": True}, {"text": {"norm_kwargs": {"eps": 1e-3}}}, {"text": {"heads": 4}}],
    ids=["QuickGELU", "tower of its own", "another epsilon", "more heads"],
)
def test_variants_of_clip_give_the_same_vectors(
    model: dict[str, Any], save_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    encoder = load_folder(save_tiny_model("variant", **model))
    assert export_text_tower(encoder, tmp_path / "tower") is None
    theirs = encoder.encode_texts(TEXTS)
    assert opened(encoder, tmp_path / "tower").encode_texts(TEXTS) == pytest.approx(theirs, abs=1e-5)


def test_many_texts_are_encoded_in_batches(tiny: OpenClipEncoder, folder: Path) -> None:
    texts = [f"room {number}" * (number % 5 + 1) for number in range(text_tower.BATCH_TEXTS + 3)]
    assert opened(tiny, folder).encode_texts(texts) == pytest.approx(tiny.encode_texts(texts), abs=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_a_matrix(
    threads: int, tiny: OpenClipEncoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_tower, "FEWEST_ROWS", 1)
    tower = opened(tiny, folder)
    tower._threads = threads
    assert tower.encode_texts(TEXTS) == pytest.approx(tiny.encode_texts(TEXTS), abs=1e-5)


def test_the_error_function_is_close_enough() -> None:
    x = np.linspace(-12, 12, 10_001, dtype=np.float32)
    assert gelu(x) == pytest.approx(torch.nn.functional.gelu(torch.from_numpy(x)).numpy(), abs=2e-6)


def test_a_vector_without_a_direction_is_refused(tiny: OpenClipEncoder, folder: Path) -> None:
    tower = opened(tiny, folder)
    tower._weights = dict(tower._weights) | {"text_projection": np.zeros((16, 8), np.float32)}
    with pytest.raises(EncoderError, match="norm zero"):
        tower.encode_texts(["pool"])


# Damage


@pytest.mark.parametrize("name", [WEIGHTS_FILE, MERGES_FILE, MANIFEST_FILE])
@pytest.mark.parametrize("damage", ["absent", "empty", "truncated", "longer", "one bit"])
def test_a_damaged_tower_is_told_and_not_used(name: str, damage: str, tiny: OpenClipEncoder, folder: Path) -> None:
    assert tower_problem(folder, tiny.key) is None
    path, data = folder / name, (folder / name).read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "one bit":
        for place in range(0, len(data), len(data) // 9):
            path.write_bytes(flipped(data, place, 16))
            assert TextTower.open(folder, tiny.key) is None, place
    else:
        path.write_bytes({"empty": b"", "truncated": data[:-64], "longer": data + bytes(64)}[damage])
    assert TextTower.open(folder, tiny.key) is None
    if (folder / MANIFEST_FILE).exists():  # without it there is no tower
        assert tower_problem(folder, tiny.key).startswith(f"{folder} is not what was written")
    assert keep_text_tower(tiny, folder) is None  # written anew
    assert opened(tiny, folder).encode_texts(TEXTS) == pytest.approx(tiny.encode_texts(TEXTS), abs=1e-5)


def test_a_tower_of_another_model_is_a_problem_and_none_at_all_is_not(tiny: OpenClipEncoder, folder: Path) -> None:
    assert tower_problem(folder, "other-00000000") is not None
    (folder / WEIGHTS_FILE).unlink()
    assert tower_problem(folder, tiny.key) is not None
    (folder / MANIFEST_FILE).unlink()  # without it there is no tower
    assert tower_problem(folder, tiny.key) is None
    assert tower_problem(folder / "nothing", tiny.key) is None


def test_the_tower_of_another_model_or_program_is_not_used(
    tiny: OpenClipEncoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TextTower.open(folder, "other-00000000") is None
    monkeypatch.setattr(text_tower, "FORMAT", 2)
    assert TextTower.open(folder, tiny.key) is None


def test_the_sum_sees_every_word() -> None:
    numbers = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    before = words_sum(numbers)
    for place in (0, 1, 999):
        changed = numbers.copy()
        changed[place] = np.nextafter(changed[place], np.float32(9))
        assert words_sum(changed) != before


# What is not exported, and why


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ({"no_causal_mask": True, "pool_type": "last"}, "causal transformer"),
        ({"embed_cls": True}, "causal transformer"),
        ({"ls_init_value": 0.1}, "scales its layers"),
        ({"proj_bias": True}, "no plain matrix|not a plain matrix"),
        ({"act_kwargs": {"approximate": "tanh"}}, "activation"),
        ({"tokenizer_kwargs": {"clean": "canonicalize"}}, "own tokenizer"),
    ],
    ids=["SigLIP", "CoCa", "layer scale", "projection with bias", "approximated GELU", "cleans otherwise"],
)
def test_other_towers_are_left_to_pytorch(
    text: dict[str, Any], reason: str, save_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    encoder = load_folder(save_tiny_model("other", custom_text=True, text=text))
    problem = keep_text_tower(encoder, tmp_path / "text" / "tower")
    assert any(part in problem for part in reason.split("|")), problem
    assert not (tmp_path / "text").exists()


def test_a_tower_that_differs_is_dropped_and_not_tried_again(
    tiny: OpenClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "text" / "tower"
    with monkeypatch.context() as patch:
        patch.setattr(text_tower, "gelu", lambda x: np.maximum(x, 0))
        problem = export_text_tower(tiny, folder)
    assert "a cosine of" in problem
    assert TextTower.open(folder, tiny.key) is None
    assert [path.name for path in folder.iterdir()] == [REFUSED_FILE]
    monkeypatch.setattr(text_export, "write_tower", None)  # would be called otherwise
    assert export_text_tower(tiny, folder) == problem
    monkeypatch.setattr(text_export, "FORMAT", 2)  # a newer program tries
    with pytest.raises(TypeError):
        export_text_tower(tiny, folder)


def test_a_tokenizer_that_differs_is_dropped(
    tiny: OpenClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding.text_tower.cleaned", lambda text: text.strip().lower())
    problem = export_text_tower(tiny, tmp_path / "tower", texts=CHECKED)
    assert "differently" in problem


# Disk and processes


def test_what_a_killed_export_left_is_removed(tiny: OpenClipEncoder, tmp_path: Path) -> None:
    stray = tmp_path / "tower.partial"
    stray.mkdir()
    (stray / WEIGHTS_FILE).write_bytes(b"half")
    assert export_text_tower(tiny, tmp_path / "tower") is None
    assert not stray.exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_leaves_nothing_half_done(
    error: BaseException, tiny: OpenClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_export.ClipTokenizer, "write", raising(error))
    if isinstance(error, OSError):
        problem = keep_text_tower(tiny, tmp_path / "tower")
        assert "No space left" in problem
    else:
        with pytest.raises(KeyboardInterrupt):
            keep_text_tower(tiny, tmp_path / "tower")
    assert not (tmp_path / "tower").exists()
    assert not (tmp_path / "tower.partial").exists()


def test_two_processes_do_not_write_the_same_tower(tiny: OpenClipEncoder, folder: Path) -> None:
    before = (folder / MANIFEST_FILE).stat().st_mtime_ns
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        with pytest.raises(Timeout):
            export_text_tower(tiny, folder)
        problem = keep_text_tower(tiny, folder)
    assert "lock" in problem
    assert (folder / MANIFEST_FILE).stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_written_is_no_error(tiny: OpenClipEncoder, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a file where the folder should be")
    assert keep_text_tower(tiny, tmp_path / "text" / "tower") is not None
