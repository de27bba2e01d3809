"""What every encoder can do, and a library's own: texts by the tower that starts fast, photos through PyTorch.

Imports no PyTorch before a photo, or a text without a tower, has to be encoded.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from base.arrays import Floats, Pixels
from base.errors import EncoderError
from base.forks import fork_lock
from embedding.text_tower import TextTower

if TYPE_CHECKING:
    from embedding.decode import Preprocessing
    from embedding.open_clip_encoder import OpenClipEncoder


class Encoder(Protocol):
    """Photos and texts become unit vectors of d dimensions.

    name: what it is loaded by. key: readable, with a hash over weights and preprocessing. batch_photos: how many
    photos are best encoded at once. keeps_cpu_busy: whether decoding threads would slow it down.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - said above

    @property
    def key(self) -> str: ...  # noqa: D102

    @property
    def dim(self) -> int: ...  # noqa: D102

    @property
    def batch_photos(self) -> int: ...  # noqa: D102

    @property
    def keeps_cpu_busy(self) -> bool: ...  # noqa: D102

    @property
    def preprocessing(self) -> "Preprocessing":
        """How the model wants its photos."""
        ...

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by in training."""
        ...

    def encode_images(self, pixels: Pixels) -> Floats:
        """Return unit vectors (n, d) of squares (n, s, s, 3)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors (n, d) of texts."""
        ...

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Floats:
        """Return one unit vector (d,): the mean over templates, each with {} for the text."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What an encoder is loaded by, here or on another machine, where `local-dir:` means a folder there.

    towers: where the library keeps image towers that were calibrated to int8.
    """

    name: str
    key: str
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    towers: Path | None = None

    def load(self, tell: Callable[[str], None] = lambda note: None) -> "OpenClipEncoder":
        """Load the whole model. Raises: EncoderError, ModelMismatchError: as OpenClipEncoder.load."""
        from embedding.open_clip_encoder import OpenClipEncoder  # imports torch, which takes seconds

        return OpenClipEncoder.load(
            self.name,
            device=self.device,
            precision=self.precision,
            backend=self.backend,
            key=self.key,
            towers=self.towers,
            tell=tell,
        )


class LazyEncoder:
    """A library's encoder: it knows the model by its row; the whole model is loaded only when it is needed.

    The tower is that of the library's model key, the model that made its vectors. It answers texts even where the
    model's files are gone or have changed since; loading the whole model is what notices that. Threads may share it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        key: str,
        dim: int,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
        towers: Path | None = None,
        tell: Callable[[str], None] = lambda note: None,
    ) -> None:
        """`folder`: where the text tower lies, or will lie once the model was loaded. `tell`: hears of the loading.

        `towers`: where the library keeps image towers that were calibrated to int8.
        """
        self.name = name
        self.key = key
        self.dim = dim
        self._folder = folder
        self.recipe = Recipe(name=name, key=key, device=device, precision=precision, backend=backend, towers=towers)
        self._tell = tell
        self._whole: OpenClipEncoder | None = None
        self._loading = fork_lock()
        self._tower = TextTower.open(folder, key)

    @property
    def whole(self) -> "OpenClipEncoder":
        """The whole model; loaded for the first time, it leaves its text tower for the next start.

        Raises: EncoderError, ModelMismatchError: as OpenClipEncoder.load.
        """
        with self._loading:
            if self._whole is None:
                self._tell(f"loading {self.name} ...")
                self._whole = self.recipe.load(self._tell)
                self._tell(str(self._whole))
                if self._tower is not None and differs(self._tower, self._whole):
                    self._tower = None
                if self._tower is None:
                    keep_text_tower(self._whole, self._folder)
            return self._whole

    @property
    def preprocessing(self) -> "Preprocessing":
        """How the model wants its photos."""
        return self.whole.preprocessing

    @property
    def batch_photos(self) -> int:
        """How many photos are best encoded at once."""
        return self.whole.batch_photos

    @property
    def keeps_cpu_busy(self) -> bool:
        """Whether decoding threads would slow it down."""
        return self.whole.keeps_cpu_busy

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by in training."""
        return (self._tower or self.whole).logit_scale

    def encode_images(self, pixels: Pixels) -> Floats:
        """Return unit vectors (n, d) of squares (n, s, s, 3).

        Raises: EncoderError: the squares are not of the model's size, or the model cannot be had.
        """
        return self.whole.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors (n, d) of texts."""
        return (self._tower or self.whole).encode_texts(texts)

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Floats:
        """Return one unit vector (d,) of a text in several prompts."""
        return (self._tower or self.whole).encode_prompts(text, templates)


def keep_text_tower(encoder: object, folder: Path) -> str | None:
    """Leave a model's text tower for the next start; return why there is none, or None. Never fails.

    It saves seconds at the next start, so a full disk or a tower that cannot be written or used is no error.
    """
    if "embedding.open_clip_encoder" not in sys.modules:  # which imports torch, for seconds
        return "it is no model of open_clip"
    from embedding.text_export import export_text_tower

    try:
        return export_text_tower(encoder, folder)
    except (OSError, EncoderError) as error:
        return str(error)


def differs(tower: TextTower, encoder: "OpenClipEncoder") -> bool:
    """Tell whether a tower gives other vectors than the whole model, as a new NumPy might."""
    from embedding.text_export import vectors_differ

    try:
        return vectors_differ(tower, encoder) is not None
    except EncoderError:  # one of both gives numbers that are none
        return True
