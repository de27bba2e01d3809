"""Pictures and models that several tests of embedding make."""

import io
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image
from safetensors.torch import save_file

from embedding.decode import Preprocessing

SQUARE_32 = Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3)
TINY_VISION = {"layers": 1, "width": 16, "head_width": 8, "patch_size": 16, "image_size": 32}
TINY_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
TINY_PREPROCESSING = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Return a picture as a file's bytes; `options` go to Pillow."""
    data = io.BytesIO()
    image.save(data, file_format, **options)
    return data.getvalue()


def smooth(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a colourful picture without edges, which JPEG keeps within a few levels."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BILINEAR)


@pytest.fixture
def save_tiny_model(tmp_path: Path) -> Callable[..., Path]:
    """A function that saves a tiny model in open_clip's layout; the same seed gives the same weights."""

    def save(
        name: str,
        *,
        seed: int = 0,
        custom_text: bool = False,
        vision: dict[str, Any] | None = None,
        text: dict[str, Any] | None = None,
        preprocessing: dict[str, Any] | None = None,
        **model_cfg: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        config = {"embed_dim": 8, "vision_cfg": TINY_VISION | (vision or {}), "text_cfg": TINY_TEXT | (text or {})}
        config |= model_cfg
        torch.manual_seed(seed)
        model = (CustomTextCLIP if custom_text else CLIP)(**deepcopy(config))
        weights = {weight_name: weight.contiguous() for weight_name, weight in model.state_dict().items()}
        save_file(weights, folder / "open_clip_model.safetensors")
        saved = {
            "model_cfg": config | {"custom_text": custom_text},
            "preprocess_cfg": TINY_PREPROCESSING | (preprocessing or {}),
        }
        (folder / "open_clip_config.json").write_text(json.dumps(saved), encoding="utf-8")
        return folder

    return save
