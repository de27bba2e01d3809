"""The interface of everything that restyles a photo. Chooses no strength and judges no result."""

from dataclasses import dataclass
from typing import Protocol

from restyle.pixels import Pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What one attempt is made with; with the same photo and engine the same settings give the same pixels.

    strength: 0 leaves the start as it is, 1 forgets it. steps: denoising steps that are really run.
    guidance: classifier-free guidance scale. controls: names of control maps (restyle.controls), computed from the
    original. control_scale: how much they bind, 0 not at all.
    """

    strength: float = 0.45
    seed: int = 0
    steps: int = 20
    guidance: float = 5.5
    controls: tuple[str, ...] = ()
    control_scale: float = 0.6


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One photo to restyle: both pictures are (h, w, 3) uint8 sRGB of the same size, one that the engine fits.

    original: the photo. start: what the engine starts from, the regraded photo.
    """

    original: Pixels
    start: Pixels
    prompt: str = ""
    negative_prompt: str = ""


class Engine(Protocol):
    """What restyles photos."""

    @property
    def name(self) -> str:
        """What the user asked for: regrade, sd15, a hub name, a folder."""
        ...

    @property
    def fingerprint(self) -> str:
        """Readable name and hash of the weights and of what else decides the pixels; results carry it."""
        ...

    @property
    def diffuses(self) -> bool:
        """Whether a diffusion model paints: regrading is never passed off as that."""
        ...

    @property
    def moves_picture(self) -> bool:
        """Whether results may be shifted against the photo, so that they are registered before they are judged."""
        ...

    @property
    def takes_strength(self) -> bool:
        """Whether strength decides anything: models that edit by words alone know none."""
        ...

    @property
    def settings(self) -> Settings:
        """What the first attempt is made with."""
        ...

    @property
    def controls_available(self) -> tuple[str, ...]:
        """Names of the control maps that it can take, those it would take next first."""
        ...

    @property
    def longest_px(self) -> int:
        """The longer side of what it makes, at most; it decides the size of every photo."""
        ...

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the size, (width, height) in pixels, that a photo is worked on in: the aspect ratio is kept."""
        ...

    def restyle(self, job: Job, settings: Settings) -> Pixels:
        """Return the photo restyled, (h, w, 3) of the job's size.

        Raises:
            EngineError: the weights cannot be had, or nothing can be made with these settings.
            DeviceMemoryError: the device has too little memory; the message offers remedies.
        """
        ...

    def __str__(self) -> str:
        """Describe it in one line: model, device, precision."""
        ...
