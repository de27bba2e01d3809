"""The model key: a readable name and a hash over all that decides a vector. Loads no model."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from embedding.decode import Preprocessing


def model_key(name: str, model: Any, preprocessing: Preprocessing, architecture: Mapping[str, Any]) -> str:
    """Return the model's name and 8 hex digits, such as `ViT-B-32-openai-1f3a9c02`.

    The digits are of the SHA-256 over every weight (name, shape, bytes), the preprocessing and the architecture's
    settings, such as heads, pooling and activation, which no weight shows.
    """
    digest = hashlib.sha256()
    for weight_name, weight in sorted(model.state_dict().items()):
        digest.update(f"{weight_name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).numpy())
    settings = {"preprocessing": dataclasses.asdict(preprocessing), "architecture": architecture}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    readable = name.removeprefix("hf-hub:")
    if name.startswith("local-dir:"):
        readable = name.rstrip("/").rpartition("/")[2].removeprefix("local-dir:")
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', readable)}-{digest.hexdigest()[:8]}"
