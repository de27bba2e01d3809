"""The engine without weights: the photo's colours regraded, nothing painted. It never calls itself diffusion."""

import hashlib
from dataclasses import dataclass

from restyle.engines.engine import Job, Settings
from restyle.palettes import Palette
from restyle.pixels import Pixels
from restyle.regrade import VERSION, regrade

NAME = "regrade"
LONGEST_PX = 2048  # of results, unless said otherwise


@dataclass(frozen=True, slots=True)
class RegradeEngine:
    """Regrades towards a palette; see restyle.regrade. Photos are not enlarged, and larger ones come smaller."""

    palette: Palette
    longest_px: int = LONGEST_PX

    @property
    def name(self) -> str:
        """What it is called."""
        return NAME

    @property
    def fingerprint(self) -> str:
        """The method's version and a hash of the palette's colours, such as regrade-1-1f3a9c02."""
        colours = hashlib.sha256(self.palette.leaf.lab.tobytes() + self.palette.sky.lab.tobytes())
        return f"{NAME}-{VERSION}-{colours.hexdigest()[:8]}"

    @property
    def diffuses(self) -> bool:
        """It does not."""
        return False

    @property
    def moves_picture(self) -> bool:
        """It does not."""
        return False

    @property
    def takes_strength(self) -> bool:
        """It does."""
        return True

    @property
    def settings(self) -> Settings:
        """All the way to the palette."""
        return Settings(strength=1.0, steps=0, guidance=0, control_scale=0)

    @property
    def controls_available(self) -> tuple[str, ...]:
        """None are needed."""
        return ()

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the photo's own size, or a smaller one with a longer side of `longest_px`."""
        scale = min(1.0, self.longest_px / max(width_px, height_px))
        return max(1, round(width_px * scale)), max(1, round(height_px * scale))

    def restyle(self, job: Job, settings: Settings) -> Pixels:
        """Return the photo regraded; nothing else of the job counts."""
        return regrade(job.original, self.palette, settings.strength)

    def __str__(self) -> str:
        return f"regrade: colours moved towards {self.palette.name}, no diffusion model is used"
