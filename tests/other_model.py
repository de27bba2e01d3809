"""Another fake model than that of `tests.conftest`, for libraries with several."""

from collections.abc import Callable

import numpy as np

from tests.indexer.conftest import GroupEncoder

OTHER = "other-11111111"


class OtherEncoder(GroupEncoder):
    """Another model, of other vectors, more dimensions and smaller groups; they depend on the whole group."""

    name = "hf-hub:other"
    backend = "torch"
    dim = 49
    batch_photos = 3

    def __init__(self, before_group: Callable[[], None] = lambda: None) -> None:
        super().__init__(OTHER)
        self._before_group = before_group

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        self._before_group()
        vectors = np.concatenate([super().encode_images(pixels)[:, ::-1], np.full((len(pixels), 1), 0.5)], axis=1)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
