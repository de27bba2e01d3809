"""How alike a result must be to its original: floors, calibrated on photos that have nothing in common.

The null distribution is each photo of a library compared with all its others. Measures come from `restyle.structure`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np

from aliens.errors import AliensError
from restyle.structure import Likeness, Structure


@dataclass(frozen=True, kw_only=True, slots=True)
class Floors:
    """What a result must reach in every measure of `Likeness`.

    hog, edge_f1: at least; shift: at most. pairs: pairs of unrelated photos that this was calibrated on.
    """

    hog: float
    edge_f1: float
    shift: float = 0.02
    pairs: int = 0

    @classmethod
    def at(cls, value: float) -> Self:
        """Return floors that a user has set: one minimum for both measures of likeness.

        Raises: AliensError: the value is not in 0..1.
        """
        if not 0 <= value <= 1:
            raise AliensError(f"a floor is a likeness from 0 to 1, not {value}: try 0.6")
        return cls(hog=value, edge_f1=value)

    def met_by(self, likeness: Likeness) -> bool:
        """Return whether a result is recognisable."""
        return likeness.hog >= self.hog and likeness.edge_f1 >= self.edge_f1 and likeness.shift <= self.shift

    def as_json(self) -> dict[str, float]:
        """Return what `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, float]) -> Self:
        """Return floors that were kept."""
        return cls(hog=kept["hog"], edge_f1=kept["edge_f1"], shift=kept["shift"], pairs=int(kept["pairs"]))


DEFAULT_FLOORS = Floors(hog=0.6, edge_f1=0.65)


def calibrate(structures: Sequence[Structure]) -> Floors:
    """Return the floors of a library, from the structures of its photos (or of some of them)."""
    if len(structures) < 20:
        return DEFAULT_FLOORS
    hogs = np.stack([structure.hog for structure in structures])
    null = (hogs @ hogs.T)[np.triu_indices(len(hogs), 1)]
    return Floors(hog=max(DEFAULT_FLOORS.hog, float(np.quantile(null, 0.999))), edge_f1=0.65, pairs=len(null))
