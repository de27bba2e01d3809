"""A model directory as open_clip reads it: config, float16 safetensors."""

import json
from pathlib import Path
from typing import Any

from base.files import atomic_write
from training.backbone import SIDE_PX
from training.phrase_tower import CONFIG, new_model

LOGIT_SCALE = 3.2189  # e to that is 25
LARGEST_BYTES = 40_000_000
PREPROCESSING = {
    "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest",
    "size": [SIDE_PX, SIDE_PX],
}  # fmt: skip


def read_model(folder: Path) -> Any:
    """Return the CLIP of a model directory of the starter's shape, in float32."""
    from safetensors.torch import load_file

    model = new_model()
    state = {name: value.float() for name, value in load_file(folder / "open_clip_model.safetensors").items()}
    model.load_state_dict(state, strict=False)  # the mask of the text tower is made, not stored
    return model.eval()


def assembled(backbone: Any, head: Any, text: Any) -> Any:
    """Return a CLIP of three parts: backbone, head of shape (384, 1280), the text tower of another CLIP."""
    import torch

    model = new_model()
    state = model.state_dict()
    state |= {name: value for name, value in text.state_dict().items() if not name.startswith("visual")}
    ours = {f"visual.trunk.{name}": value for name, value in backbone.state_dict().items()}
    state |= {name: value for name, value in ours.items() if name in state}
    state["visual.head.proj.weight"] = head
    state["logit_scale"] = torch.tensor(LOGIT_SCALE)
    model.load_state_dict(state)
    return model.eval()


def write_model(model: Any, folder: Path, card: str) -> int:
    """Write a model directory with its card, and return the weights' bytes."""
    from safetensors.torch import save

    state = {
        name: (value.half() if value.is_floating_point() and value.ndim > 0 else value).contiguous()
        for name, value in model.state_dict().items()
        if name != "attn_mask"
    }
    weights = save(state, metadata={"format": "pt"})
    config = json.dumps({"model_cfg": CONFIG, "preprocess_cfg": PREPROCESSING}, indent=1)
    files = {
        "open_clip_model.safetensors": weights,
        "open_clip_config.json": config.encode(),
        "MODEL_CARD.md": card.encode(),
    }
    for name, data in files.items():
        with atomic_write(folder / name) as file:
            file.write(data)
    return len(weights)
