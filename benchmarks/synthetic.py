"""An engine whose damage is known, for tests and benchmarks of the loop: no model, and no user is offered it.

Strength bends the start by a smooth field of random displacements and lays a foreign texture over it; control maps hold
it back. Both grow with strength, and the same seed gives the same pixels.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from base.arrays import Floats, Pixels
from restyle.engines.engine import DIFFUSING, Job, Painting, Settings

WAVE_SHARE = 0.08  # of the longer side: how smooth the field of displacements is
GRAIN_SHARE = 0.015  # and the texture


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticEngine:
    """Damages by strength.

    bend_share: how far a typical pixel moves at strength 1 without control, of the longer side.
    cover: how much of the picture the texture covers then, 0..1.
    """

    bend_share: float = 0.02
    cover: float = 0.6
    painting: Painting = DIFFUSING
    moves_picture: bool = False
    takes_strength: bool = True
    shift_share: float = 0.0  # the whole picture moves, of its longer side, as editors do
    settings: Settings = field(default_factory=lambda: Settings(steps=4, controls=("edges",)))
    controls_available: tuple[str, ...] = ("edges", "softedge")
    longest_px: int = 512

    @property
    def name(self) -> str:
        """What it is called."""
        return "synthetic"

    @property
    def fingerprint(self) -> str:
        """What decides its pixels."""
        return f"synthetic-{self.bend_share}-{self.cover}-{self.shift_share}"

    @property
    def diffuses(self) -> bool:
        """It stands in for an engine that does."""
        return True

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return a size with a longer side of `longest_px` at most, in multiples of 8 px."""
        scale = min(1.0, self.longest_px / max(width_px, height_px))
        return tuple(max(8, round(side * scale / 8) * 8) for side in (width_px, height_px))  # type: ignore[return-value]

    def damage(self, settings: Settings) -> float:
        """Return how much is damaged, 0..1: strength, held back by controls and by little guidance."""
        held = min(0.9, 0.5 * settings.control_scale * len(settings.controls))
        return settings.strength * (1 - held) * min(1.0, 0.5 + settings.guidance / 11)

    def restyle(self, job: Job, settings: Settings) -> Pixels:
        """Return the start, damaged, (h, w, 3)."""
        height, width = job.start.shape[:2]
        longest, damage = max(height, width), self.damage(settings)
        random = np.random.default_rng(settings.seed)
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        far = damage * self.bend_share * longest
        rows += far * smooth(random, (height, width), WAVE_SHARE * longest)
        columns += far * smooth(random, (height, width), WAVE_SHARE * longest) + self.shift_share * longest
        bent = np.stack(
            [map_coordinates(job.start[..., band], [rows, columns], order=1, mode="reflect") for band in range(3)],
            axis=-1,
        )
        texture = 128 + 90 * smooth(random, (height, width), GRAIN_SHARE * longest)[..., None] * (0.4, 1.0, 0.3)
        covered = bent + damage * self.cover * (texture - bent)
        damaged: Pixels = np.clip(covered, 0, 255).astype(np.uint8)
        return damaged

    def __str__(self) -> str:
        return "synthetic: known damage, for tests; no diffusion model is used"


def smooth(random: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> Floats:
    """Return smooth noise of a shape, of standard deviation 1."""
    noise = gaussian_filter(random.normal(size=shape).astype(np.float32), sigma_px, mode="reflect")
    scaled: Floats = noise / max(float(noise.std()), 1e-9)
    return scaled
