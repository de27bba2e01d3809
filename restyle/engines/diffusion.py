"""The engine that paints by diffusion: sizes, checks and errors around diffusers' pipelines. Searches no strength.

A safety checker that comes with a model stays in: a picture that it blackens comes back black, and no judge takes it.
torch computes with as many threads as it was told to.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from base.arrays import Pixels
from base.errors import DeviceMemoryError, EngineError
from embedding.hub import quiet
from restyle.controls import control_map
from restyle.engines.engine import DIFFUSING, Job, Painting, Settings
from restyle.engines.pipelines import ControlNets, Pipelines, pixels_of
from restyle.engines.weights import ran_out_of_memory

SHORTEST_PX = 64  # klein takes no shorter side, and no longer one than 8 times it
LONGEST_ASPECT = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What an engine is called and what it runs on."""

    name: str
    weights: str
    preset: str | None
    fingerprint: str
    precision: str


class DiffusionEngine:
    """A diffusion model on one device. It stays usable after an error, too little memory included."""

    diffuses = True

    def __init__(
        self, identity: Identity, pipelines: Pipelines, nets: ControlNets, *, settings: Settings, longest_px: int
    ) -> None:
        """Take what `restyle.engines.loading` has loaded.

        Raises: EngineError: `longest_px` is shorter than diffusion can paint.
        """
        if longest_px < SHORTEST_PX:
            raise EngineError(f"--longest-px {longest_px} is too small: diffusion needs at least {SHORTEST_PX} px")
        self.settings = settings
        self.longest_px = longest_px
        self._identity = identity
        self._pipelines = pipelines
        self._nets = nets
        self._multiple_px = pipelines.multiple_px()
        self._drawn: tuple[Pixels, dict[str, Pixels]] | None = None  # the last original and its control maps

    @property
    def name(self) -> str:
        """What the user asked for: sd15, a hub name, a folder."""
        return self._identity.name

    @property
    def fingerprint(self) -> str:
        """Readable name and hash of the weights, the preset, the precision and diffusers' version."""
        return self._identity.fingerprint

    @property
    def painting(self) -> Painting:
        """It denoises from the regraded photo."""
        return DIFFUSING

    @property
    def moves_picture(self) -> bool:
        """Whether results may be shifted: so with models that edit."""
        return self._pipelines.family.moves_picture or not self.takes_strength

    @property
    def takes_strength(self) -> bool:
        """Whether strength decides anything: not so with models that only edit."""
        return self._pipelines.takes_strength()

    @property
    def controls_available(self) -> tuple[str, ...]:
        """Control maps that need no download, those asked for first (see restyle.controls.controls_for)."""
        return self._nets.available

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the size, (width, height), that a photo is painted in.

        The longer side has the engine's length, small photos are enlarged: models paint badly below the size that they
        were taught. The aspect ratio is kept up to 8 : 1, beyond it panoramas are squeezed.
        """
        m = self._multiple_px
        scale = self.longest_px / max(width_px, height_px)
        shortest_px = max(SHORTEST_PX, self.longest_px / LONGEST_ASPECT)
        longest_px = self.longest_px // m * m
        up = -(-shortest_px // m) * m  # rounded up, so that neither bound is broken
        width, height = (min(max(round(side * scale / m) * m, int(up)), longest_px) for side in (width_px, height_px))
        return width, height

    def restyle(self, job: Job, settings: Settings) -> Pixels:
        """Return the photo restyled, (h, w, 3) of the job's size, the same for the same job and settings.

        A strength of 0 leaves the start as it is. The first control binds with `settings.control_scale`, further ones
        with three quarters of it.

        Raises:
            EngineError: a ControlNet's weights cannot be had, or nothing can be made with these settings or of pictures
                of this size.
            DeviceMemoryError: the device has too little memory; the engine can be asked again.
        """
        self._check(job, settings)
        if settings.strength == 0:
            return job.start.copy()
        maps = {} if settings.control_scale == 0 else self._maps(job.original, settings.controls)
        width, height = job.start.shape[1], job.start.shape[0]
        painted = pixels_of(self._in_memory(lambda: self._painted(job, settings, maps), width, height))
        if painted.shape != job.start.shape:
            made = f"{painted.shape[1]} x {painted.shape[0]}"
            raise EngineError(f"{self.name} made a picture of {made} px where {width} x {height} were asked for")
        return painted

    def __str__(self) -> str:
        known = self._identity
        controls = f" + {', '.join(self.settings.controls)}" if self.settings.controls else ""
        preset = f" ({known.preset})" if known.preset else ""
        weights = "" if known.weights == self.name else f": {known.weights.rpartition('/')[2]}"
        return f"{self.name}{weights}{controls}{preset} on {self._pipelines.device}, {known.precision}"

    def _painted(self, job: Job, settings: Settings, maps: dict[str, Pixels]) -> Any:
        """Return the one picture. Raises: EngineError: the pipeline refuses the settings."""
        try:
            with quiet("diffusers", "transformers"):
                return self._pipelines.paint(job, settings, maps)[0]
        except (ValueError, TypeError) as error:  # such as more steps than the scheduler has
            raise EngineError(f"{self.name} cannot paint with {settings}: {str(error).splitlines()[0]}") from error

    def _in_memory(self, paint: Callable[[], Any], width_px: int, height_px: int) -> Any:
        """Return what `paint` returns. Raises: DeviceMemoryError: the memory ran out; it is free again by then."""
        try:
            return paint()
        except (MemoryError, RuntimeError) as error:
            if not ran_out_of_memory(error):
                problem = (str(error).splitlines() or [type(error).__name__])[0]
                raise EngineError(f"{self.name} failed on {self._pipelines.device}: {problem}") from error
        gc.collect()  # outside the except block: the error's frames held the tensors
        self._pipelines.freed()
        device = self._pipelines.device
        remedies = ["--offload (keeps on the device only what is at work)", "fewer controls"]
        remedies += ["--device cpu"] if device != "cpu" else []
        raise DeviceMemoryError(
            f"{device} has too little memory for {width_px} x {height_px} px with {self.name}: take a smaller "
            f"--longest-px (it is {self.longest_px}), {', '.join(remedies)}, or --engine regrade"
        )

    def _maps(self, original: Pixels, controls: tuple[str, ...]) -> dict[str, Pixels]:
        """Return the control maps of the original; those of the last one are kept, for it is tried many times."""
        if self._drawn is None or self._drawn[0] is not original:
            self._drawn = original, {}
        drawn = self._drawn[1]
        for control in controls:
            self._nets.weights_of(control)
            if control not in drawn:
                drawn[control] = control_map(control, original, self._nets.depth_weights)
        return {control: drawn[control] for control in controls}

    def _check(self, job: Job, settings: Settings) -> None:
        """Raise: EngineError: the job or the settings are none that can be painted."""
        m, (height, width) = self._multiple_px, job.start.shape[:2]
        if job.original.shape != job.start.shape:
            raise EngineError(f"the photo {job.original.shape} and its start {job.start.shape} differ in size")
        if width % m or height % m or min(width, height) < SHORTEST_PX:
            raise EngineError(
                f"{self.name} paints sides of multiples of {m}, at least {SHORTEST_PX} px, not {width} x {height}: "
                "ask fit() for a size"
            )
        if not 0 <= settings.strength <= 1:
            raise EngineError(f"a strength of {settings.strength} is not within 0 and 1")
        if settings.steps < 1:
            raise EngineError(f"{settings.steps} steps paint nothing: take at least 1")
