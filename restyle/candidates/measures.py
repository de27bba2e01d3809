"""What can be measured of a photo that may be restyled beside its quality: detail, opposed colours, emptiness.

All of them at one size, so that photos of any size compare. Judges nothing: picking.py does.
"""

from dataclasses import asdict, dataclass

import numpy as np

from base.arrays import Bools, Floats, Longs, Pixels
from embedding.colour import lab_of, within
from embedding.quality import FLAT_SLOPE, LONGEST_PX, Quality, canny_edges, quality_of, share, slope_of
from restyle.palettes import Palette
from restyle.protanopia import Colours, palette_distance, seen_lab

LIGHTNESS_BINS = 64
COLOUR_CELL = 10.0  # units of L*, a* and b*
WARM_HUES = (-20.0, 65.0)  # degrees in the a*b* plane: pink, red, terracotta, peach (63); wheat (86) is beyond
WARM_CHROMA, WARM_LIGHTNESS = 12.0, 35.0  # less is grey, darker is brown
OPPOSED_HUE = 10.0  # what it counts, in units of the distance, which is about 5 to 24
MOST_EDGES, MOST_COLOUR_BITS = 0.3, 8.0  # beyond what photos show


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures(Quality):
    """Numbers of one photo, beside its quality.

    edge_density: share of pixels on Canny edges of L*. entropy_bits: of the histogram of L* in 64 bins, 0 to 6.
    flat: share of pixels where L* changes by less than 1 a pixel. colours: how many colours it seems made of, 2 to the
    entropy in bits of its histogram in L*a*b* cells of 10 units.
    warm: share of pixels that are peach, pink, red or orange: hue -20 to 65 degrees, chroma above 12, L* above 35.
    palette_distance: how far its colours lie from the palette's for a protanope, in L* and b* (restyle.style).
    """

    edge_density: float
    entropy_bits: float
    flat: float
    colours: float
    warm: float
    palette_distance: float

    @property
    def detail(self) -> float:
        """Edge density times entropy, in bits a pixel: high where much is to be seen, in all lightnesses."""
        return self.edge_density * self.entropy_bits

    @property
    def opposition(self) -> float:
        """The share of opposed hues, weighted by the distance from the palette: the peach bathroom's trouble.

        The hue counts by itself: to a protanope a peach wall is khaki, which lies not far from pale leaves.
        """
        return self.warm * (OPPOSED_HUE + self.palette_distance)

    @property
    def minimalism(self) -> float:
        """0 to 1: large flat areas, few edges and few colours, multiplied."""
        few_edges = 1 - min(1.0, self.edge_density / MOST_EDGES)
        few_colours = 1 - min(1.0, float(np.log2(self.colours)) / MOST_COLOUR_BITS)
        return self.flat * few_edges * few_colours


def measure(pixels: Pixels, palette: Palette) -> Measures:
    """Return a photo's measures; pixels (h, w, 3) of any size, of which LONGEST_PX is looked at."""
    small = within(pixels, LONGEST_PX)
    lab = lab_of(small)
    lightness, few = lab[..., 0], lab[::2, ::2]
    slope = slope_of(lightness)
    return Measures(
        **asdict(quality_of(lightness, slope)),
        edge_density=share(canny_edges(lightness)),
        entropy_bits=entropy_bits(np.histogram(lightness, LIGHTNESS_BINS, (0, 100))[0]),
        flat=share(slope < FLAT_SLOPE),
        colours=2.0 ** entropy_bits(cell_counts(lab)),
        warm=share(is_warm(lab)),
        palette_distance=palette_distance(Colours(few, seen_lab(small[::2, ::2])), palette.leaf, palette.sky),
    )


def entropy_bits(counts: Longs) -> float:
    """Return Shannon's entropy of a histogram, in bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def cell_counts(lab: Floats) -> Longs:
    """Return how many pixels lie in each cell of L*a*b*, (cells,)."""
    cells = np.floor(lab.reshape(-1, 3) / COLOUR_CELL).astype(np.int64) + 32  # 0 to 63 each way
    return np.bincount((cells[:, 0] * 64 + cells[:, 1]) * 64 + cells[:, 2])


def is_warm(lab: Floats) -> Bools:
    """Return which pixels (h, w) are peach, pink, red or orange, which a protanope sees as khaki or olive."""
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    warm: Bools = (hue > WARM_HUES[0]) & (hue < WARM_HUES[1]) & (chroma > WARM_CHROMA) & (lab[..., 0] > WARM_LIGHTNESS)
    return warm
