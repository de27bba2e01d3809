"""Depth of a photo, by a depth estimator of transformers on the CPU. Draws no control map."""

from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from aliens.errors import EngineError
from restyle.colour import Floats
from restyle.pixels import Pixels

DEFAULT_DEPTH = "depth-anything/Depth-Anything-V2-Small-hf"  # 25 million parameters, Apache-2.0
METRIC = {"zoedepth", "glpn", "depth_pro"}  # estimate metres, so that far is large


def depth_of(pixels: Pixels, weights: str = DEFAULT_DEPTH) -> Floats:
    """Return how near everything is, (h, w) float32: 1 what is nearest, 0 what is farthest; all 0 in a flat photo.

    Raises: EngineError: the estimator's weights cannot be had, or transformers is not installed.
    """
    import torch

    model, processor = estimator(weights)
    height, width = pixels.shape[:2]
    with torch.inference_mode():
        estimated = model(**processor(images=Image.fromarray(pixels), return_tensors="pt")).predicted_depth
        depth = torch.nn.functional.interpolate(estimated[None].float(), (height, width), mode="bilinear")[0, 0]
    near: Floats = depth.numpy().astype(np.float32)
    config = model.config
    if config.model_type in METRIC or getattr(config, "depth_estimation_type", "relative") == "metric":
        near = -near
    spread = float(near.max() - near.min())
    return (near - near.min()) / spread if spread > 0 else np.zeros_like(near)


@lru_cache(maxsize=1)
def estimator(weights: str) -> tuple[Any, Any]:
    """Return the model and its image processor. Raises: EngineError: they cannot be had."""
    from restyle.engines.weights import NO_DIFFUSERS, load_weights

    try:
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation
    except ImportError as error:
        raise EngineError(NO_DIFFUSERS) from error

    processors: Any = AutoImageProcessor  # its functions have no types

    def load(local: bool) -> tuple[Any, Any]:
        model, loading = AutoModelForDepthEstimation.from_pretrained(
            weights, local_files_only=local, output_loading_info=True
        )
        if loading["missing_keys"]:
            raise OSError(f"incomplete: {len(loading['missing_keys'])} weights are missing")
        return model.eval(), processors.from_pretrained(weights, local_files_only=local)

    return load_weights(weights, load, "--control estimator=")
