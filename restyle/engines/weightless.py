"""What engines have in common that need no weights: a palette, photos of their own size, no diffusion."""

from dataclasses import dataclass
from typing import ClassVar

from restyle.engines.engine import Settings
from restyle.palettes import Palette

LONGEST_PX = 2048  # of results, unless said otherwise


@dataclass(slots=True)
class WeightlessEngine:
    """An engine by formulas. Photos are not enlarged, and larger ones come smaller. version: of what it makes."""

    name: ClassVar[str]
    version: ClassVar[str]
    diffuses: ClassVar[bool] = False
    moves_picture: ClassVar[bool] = False
    takes_strength: ClassVar[bool] = True
    controls_available: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[Settings] = Settings(strength=1.0, steps=0, guidance=0, control_scale=0)

    palette: Palette
    longest_px: int = LONGEST_PX

    @property
    def fingerprint(self) -> str:
        """Its version and a hash of the palette's colours, such as regrade-2-1f3a9c02."""
        return f"{self.name}-{self.version}-{self.palette.digest}"

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the photo's own size, or a smaller one with a longer side of `longest_px`."""
        scale = min(1.0, self.longest_px / max(width_px, height_px))
        return max(1, round(width_px * scale)), max(1, round(height_px * scale))
