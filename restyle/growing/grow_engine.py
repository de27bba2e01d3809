"""The engine that grows plants over a regraded photo. No diffusion model is used, and none is spoken of."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from base.arrays import Pixels
from restyle.engines.engine import Job, Painting, Settings
from restyle.engines.weightless import WeightlessEngine
from restyle.growing.dyes import Dyes
from restyle.growing.fitting import borne_amounts
from restyle.growing.garden import Amounts, Garden, garden_of
from restyle.growing.leaves import Brush
from restyle.growing.scene import scene_in
from restyle.regrade import VERSION as REGRADE_VERSION

VERSION = 1  # of the drawing: results are made anew where it changes
GROWING = Painting(rung="grown", lowest=0.1, highest=1.0, step=0.15)


@dataclass(slots=True)
class Grown:
    """A garden that is kept while strengths of it are tried, with what it was drawn for."""

    original: Pixels
    start: Pixels
    seed: int
    garden: Garden
    amounts: Amounts


@dataclass(slots=True)
class GrowEngine(WeightlessEngine):
    """Draws leaf shadows, vines, moss and fronds over the regraded photo; see docs/restyling.md."""

    name: ClassVar[str] = "grow"
    version: ClassVar[str] = f"{VERSION}-{REGRADE_VERSION}"  # and that of what it draws over
    painting: ClassVar[Painting] = GROWING

    dyes: Dyes = field(init=False)
    brushes: dict[float, Brush] = field(init=False, default_factory=dict)
    kept: Grown | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.dyes = Dyes(self.palette)

    def restyle(self, job: Job, settings: Settings) -> Pixels:
        """Return the regraded photo with plants; by itself where nothing can grow."""
        if settings.strength <= 0:
            return job.start
        grown = self._grown(job, settings.seed)
        if grown is None:
            return job.start
        pixels = np.asarray(grown.garden.composed(grown.amounts.at(settings.strength)))
        if job.forbidden is not None:
            pixels = np.where(job.forbidden[..., None], job.start, pixels)
        return job.start if np.array_equal(pixels, job.start) else pixels

    def _grown(self, job: Job, seed: int) -> Grown | None:
        """Return a photo's garden, drawn and fitted now, or a moment ago for another strength."""
        kept = self.kept
        if kept is not None and kept.original is job.original and kept.start is job.start and kept.seed == seed:
            return kept
        self.kept = None
        scene = scene_in(job.original, job.forbidden)
        if not scene.fertile:
            return None
        garden = garden_of(scene, job.start, self._brush(scene.light_x), seed)
        amounts = Amounts() if job.slack is None else borne_amounts(garden, job.slack)
        self.kept = Grown(job.original, job.start, seed, garden, amounts)
        return self.kept

    def _brush(self, light_x: float) -> Brush:
        """Return what draws leaves lit from that side, with those that it has drawn for other photos."""
        side = math.copysign(1.0, light_x)
        return self.brushes.setdefault(side, Brush(self.dyes, side)).rested()

    def __str__(self) -> str:
        return f"grow: plants drawn over colours of {self.palette.name}, no diffusion model is used"
