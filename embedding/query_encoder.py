"""The encoder of queries: texts go through the tower that starts fast, where there is one; photos through PyTorch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from aliens.errors import EncoderError
from embedding.text_tower import TextTower

if TYPE_CHECKING:
    from embedding.decode import Preprocessing
    from embedding.encoder import Encoder

Vectors = NDArray[np.float32]


class QueryEncoder:
    """Texts and photos of queries as unit vectors; the whole model is loaded only when it is needed.

    The tower is that of the library's model key, the model that made its vectors. It answers texts even where the
    model's files are gone or have changed since; loading the whole model is what notices that.
    """

    def __init__(self, folder: Path, model_key: str, load: "Callable[[], Encoder]") -> None:
        """`folder`: where the text tower lies, or will lie once the whole model had to be loaded."""
        self._folder = folder
        self._load = load
        self._encoder: Encoder | None = None
        self._tower = TextTower.open(folder, model_key)

    @classmethod
    def by_name(cls, folder: Path, name: str, key: str, *, device: str = "auto") -> Self:
        """Return the encoder of a model that is loaded by its name, in float32, when it is needed."""

        def load() -> "Encoder":
            from embedding.encoder import Encoder  # imports torch and open_clip, which takes seconds

            return Encoder.load(name, device=device, precision="float32", key=key)

        return cls(folder, key, load)

    @property
    def encoder(self) -> "Encoder":
        """The whole model; loaded for the first time, it leaves its text tower for the next start.

        Raises: EncoderError, ModelMismatchError: as Encoder.load.
        """
        if self._encoder is None:
            self._encoder = self._load()
            if self._tower is not None and differs(self._tower, self._encoder):
                self._tower = None
            if self._tower is None:
                keep_text_tower(self._encoder, self._folder)
        return self._encoder

    @property
    def preprocessing(self) -> "Preprocessing":
        """How the model wants its photos."""
        return self.encoder.preprocessing

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by in training."""
        return (self._tower or self.encoder).logit_scale

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vectors:
        """Return unit vectors (n, d) of squares (n, s, s, 3).

        Raises: EncoderError: the squares are not of the model's size, or the model cannot be had.
        """
        return self.encoder.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors (n, d) of texts."""
        return (self._tower or self.encoder).encode_texts(texts)

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Vectors:
        """Return one unit vector (d,) of a text in several prompts."""
        return (self._tower or self.encoder).encode_prompts(text, templates)


def keep_text_tower(encoder: object, folder: Path) -> str | None:
    """Leave a model's text tower for the next start; return why there is none, or None. Never fails.

    It saves seconds at the next start, so a full disk or a tower that cannot be written or used is no error.
    """
    from embedding.text_export import export_text_tower

    try:
        return export_text_tower(encoder, folder)
    except (OSError, EncoderError) as error:
        return str(error)


def differs(tower: TextTower, encoder: "Encoder") -> bool:
    """Tell whether a tower gives other vectors than the whole model, as a new NumPy might."""
    from embedding.text_export import vectors_differ

    try:
        return vectors_differ(tower, encoder) is not None
    except EncoderError:  # one of both gives numbers that are none
        return True
