"""Control maps: what of a photo binds a diffusion model, drawn from its pixels; depth by a model."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from base.arrays import Bools, Floats, Pixels
from base.errors import EngineError

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


EDGE_SIGMA_PX = 1.2
SOFT_SIGMAS_PX = 1.0, 2.0, 4.0
FAINTEST = 0.06  # slope of 0..1 across the blur below which there is noise, not an edge: flat photos stay black
SHORTEST_LINE = 1 / 16  # of the longer side
LINE_GAP = 1 / 100  # of the longer side
SHORTEST_GAP_PX = 3
LINE_VOTES = 10
LINE_WIDTH_PX = 2
ALONG = 0.95  # cosine between a line's normal and the slopes under it: leaves make lines of many slopes
SHARE_ALONG = 0.6  # of a line's pixels
TILE_FACTOR = 8  # the tile map shows what remains when the photo is made so many times smaller

DETAILED = ("softedge", "depth", "tile", "edges", "lines")  # preferred for photos full of things, the best first
MINIMAL = ("lines", "depth", "softedge", "edges", "tile")  # and for bare rooms


def control_map(name: str, pixels: Pixels, depth_weights: str | None = None) -> Pixels:
    """Return a control map of a photo, (h, w, 3) uint8 for (h, w, 3) uint8 sRGB.

    Args:
        name: one of CONTROLS.
        pixels: the original.
        depth_weights: hub name or folder of a depth estimator; None takes `restyle.depth.DEFAULT_DEPTH`.

    Raises: EngineError: no such map; or the weights that `depth` needs cannot be had.
    """
    if name not in CONTROLS:
        raise EngineError(f"no control map {name!r}: there are {', '.join(CONTROLS)}")
    if name in WITHOUT_WEIGHTS:
        return WITHOUT_WEIGHTS[name](pixels)

    return grey(depth_of(pixels, depth_weights or DEFAULT_DEPTH))


def controls_for(available: tuple[str, ...], *, detailed: bool) -> tuple[str, ...]:
    """Return the available control maps, the best first for a photo full of things or for a bare room."""
    preferred = DETAILED if detailed else MINIMAL
    return tuple(sorted(available, key=preferred.index))


def edges(pixels: Pixels) -> Pixels:
    """Return thin edges, white on black."""
    return grey(edges_of(pixels).astype(np.float32))


def lines(pixels: Pixels) -> Pixels:
    """Return straight lines, white on black: walls, doors and furniture, without what grows or hangs."""
    from skimage.transform import probabilistic_hough_line

    height, width = pixels.shape[:2]
    longest = max(height, width)
    segments = probabilistic_hough_line(
        edges_of(pixels),
        threshold=LINE_VOTES,
        line_length=max(2, round(longest * SHORTEST_LINE)),
        line_gap=max(SHORTEST_GAP_PX, round(longest * LINE_GAP)),
        rng=0,
    )
    picture = Image.new("L", (width, height))
    draw = ImageDraw.Draw(picture)
    slopes = slopes_of(pixels)
    for start, end in segments:
        if runs_along(slopes, start, end):
            draw.line([start, end], fill=255, width=LINE_WIDTH_PX)
    return grey(np.asarray(picture, np.float32) / np.float32(255))


def softedge(pixels: Pixels) -> Pixels:
    """Return soft edges in greys: the steepest slope of any colour channel, over several scales."""
    from scipy.ndimage import gaussian_gradient_magnitude

    channels = pixels.astype(np.float32) / 255
    slopes = np.zeros(pixels.shape[:2], np.float32)
    for sigma_px in SOFT_SIGMAS_PX:
        across = [gaussian_gradient_magnitude(channels[..., c], sigma_px, mode="nearest") for c in range(3)]
        slopes += np.max(across, axis=0) * sigma_px / len(SOFT_SIGMAS_PX)  # a step has the same slope at every scale
    strong = max(float(np.quantile(slopes, 0.98)), FAINTEST)
    return grey(slopes / strong)


def tile(pixels: Pixels) -> Pixels:
    """Return the photo without its details: made smaller and larger again."""
    height, width = pixels.shape[:2]
    small = max(1, width // TILE_FACTOR), max(1, height // TILE_FACTOR)
    picture = Image.fromarray(pixels).resize(small, Image.Resampling.BOX)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def edges_of(pixels: Pixels) -> Bools:
    """Return where Canny's edges are, bool (h, w)."""
    from skimage.feature import canny

    lightness = np.asarray(Image.fromarray(pixels).convert("L"), np.float32) / 255
    found: Bools = canny(lightness, EDGE_SIGMA_PX)
    return found


def slopes_of(pixels: Pixels) -> Floats:
    """Return the direction in which lightness changes, unit vectors (h, w, 2) as (x, y); zeros where it does not."""
    from scipy.ndimage import gaussian_filter

    lightness = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    across = [gaussian_filter(lightness, EDGE_SIGMA_PX, order=order, mode="nearest") for order in ((0, 1), (1, 0))]
    slopes: Floats = np.stack(across, axis=-1)
    slopes /= np.maximum(np.linalg.norm(slopes, axis=-1, keepdims=True), 1e-6)
    return slopes


def runs_along(slopes: Floats, start: tuple[int, int], end: tuple[int, int]) -> bool:
    """Tell whether lightness changes across a line, from (x, y) to (x, y), along most of it."""
    from skimage.draw import line

    rows, columns = line(start[1], start[0], end[1], end[0])
    dx, dy = end[0] - start[0], end[1] - start[1]
    normal = np.array([-dy, dx], np.float32) / np.hypot(dx, dy)
    across = np.abs(slopes[rows, columns] @ normal)
    return float((across > ALONG).mean()) >= SHARE_ALONG


def grey(values: Floats) -> Pixels:
    """Return values in 0..1, (h, w), as grey pixels (h, w, 3)."""
    levels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


WITHOUT_WEIGHTS: dict[str, Callable[[Pixels], Pixels]] = {
    "softedge": softedge,
    "lines": lines,
    "edges": edges,
    "tile": tile,
}
CONTROLS = (*WITHOUT_WEIGHTS, "depth")
