"""What a tagging may be told: how scores shall become tags."""

from dataclasses import dataclass, replace

from aliens.errors import QueryError
from search.tags.calibration import Calibration, Method
from search.tags.fitting import Fit


@dataclass(frozen=True, kw_only=True, slots=True)
class TagOptions:
    """How scores shall become tags; None: as in the last tagging with the vocabulary, or the default."""

    method: Method | None = None
    threshold: float | None = None
    top_k: int | None = None
    fit: Fit = "platt"
    forget_labels: bool = False  # drop what an earlier calibration learnt from labels

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise QueryError(f"the threshold is {self.threshold}: choose a probability between 0 and 1")
        if self.top_k is not None and self.top_k < 1:
            raise QueryError(f"top k is {self.top_k}: choose at least 1 tag a photo")

    def put_over(self, calibration: Calibration) -> Calibration:
        """Return a calibration with what is asked for here."""
        return replace(
            calibration,
            method=self.method or calibration.method,
            threshold=self.threshold or calibration.threshold,
            top_k=self.top_k or calibration.top_k,
        )
