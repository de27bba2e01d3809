"""CLIP's text tower without PyTorch: memory-mapped weights and NumPy. Starts in a moment; encodes a few texts.

Made by embedding/text_export.py for models whose texts go through CLIP's own transformer, and checked against it.
"""

import json
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from embedding.tokenizer import ClipTokenizer, Tokens
from embedding.unit import unit

FORMAT = 1  # raised when files of older programs can no longer be read
WEIGHTS_FILE, MERGES_FILE, MANIFEST_FILE = "weights.bin", "merges.txt", "manifest.json"
ALIGNED_BYTES = 64  # where each matrix begins
BATCH_TEXTS = 32
BLOCK_COLUMNS = 32
MOST_THREADS = 4
FEWEST_ROWS = 64  # tokens of a batch, worth a second thread

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class TowerManifest:
    """What the files of a tower hold.

    weights: {open_clip's name: [place of its first number, shape]}; weights_sum: see `words_sum`.
    """

    format: int
    model_key: str
    context: int
    heads: int
    layers: int
    activation: str
    epsilon: float
    logit_scale: float
    weights_bytes: int
    weights_sum: int
    merges_crc32: int
    weights: dict[str, tuple[int, list[int]]]


class TextTower:
    """A causal transformer over tokens; the token that ends a text gives its vector."""

    def __init__(self, weights: Mapping[str, Floats], tokenizer: ClipTokenizer, manifest: TowerManifest) -> None:
        """`weights` by their names in open_clip; the layers' matrices as `in_blocks` gives them."""
        self.logit_scale = manifest.logit_scale
        self.model_key = manifest.model_key
        self._weights = weights
        self._tokenizer = tokenizer
        self._manifest = manifest
        self._threads = max(min(os.cpu_count() or 1, MOST_THREADS), 1)
        self._one_text_at_a_time = Lock()

    @classmethod
    def open(cls, folder: Path, model_key: str) -> Self | None:
        """Return the tower of a model, memory-mapped, or None where there is none or its files are damaged.

        All weights are summed, which reads them once; they are needed in memory anyway.
        """
        try:
            manifest = read_manifest(folder)
            if (manifest.format, manifest.model_key) != (FORMAT, model_key):
                return None
            flat = np.asarray(np.memmap(folder / WEIGHTS_FILE, "<f4", mode="r"))
            if flat.nbytes != manifest.weights_bytes or words_sum(flat) != manifest.weights_sum:
                return None
            if zlib.crc32((folder / MERGES_FILE).read_bytes()) != manifest.merges_crc32:
                return None
            tokenizer = ClipTokenizer.read(folder / MERGES_FILE, manifest.context)
        except (OSError, ValueError, KeyError, TypeError):  # absent, no JSON, of another shape
            return None
        weights = {
            name: flat[start : start + int(np.prod(shape))].reshape(shape)
            for name, (start, shape) in manifest.weights.items()
        }
        return cls(weights, tokenizer, manifest)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors, shape (n, d) float32.

        Raises: EncoderError: a vector has zero norm or is not finite.
        """
        # One thread of the BLAS each: its own threads wait for each other by spinning, and where other programs keep
        # the cores busy a text then takes ten times as long. The limit is the process's, hence the lock.
        with self._one_text_at_a_time, self._blas.limit(limits=1), np.errstate(over="ignore"):
            parts = [self._encode(texts[start : start + BATCH_TEXTS]) for start in range(0, len(texts), BATCH_TEXTS)]
        return unit(np.concatenate(parts))

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Floats:
        """Return one unit vector, shape (d,) float32: the mean over `templates`, each with {} for the text."""
        return unit(self.encode_texts([template.format(text) for template in templates]).mean(axis=0))

    @cached_property
    def _blas(self) -> Any:
        return ThreadpoolController().select(user_api="blas")

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads)

    def _encode(self, texts: Sequence[str]) -> Floats:
        tokens: Tokens = self._tokenizer(texts)  # (n, length)
        w, length = self._weights, tokens.shape[1]
        x = w["token_embedding.weight"][tokens] + w["positional_embedding"][:length]  # (n, length, width)
        for layer in range(self._manifest.layers):
            x = self._block(x, f"transformer.resblocks.{layer}.")
        ends = tokens.argmax(axis=1)  # the end-of-text token has the highest id
        pooled = self._norm(x[np.arange(len(x)), ends], "ln_final")  # (n, width)
        features: Floats = pooled @ w["text_projection"]
        return features

    def _block(self, x: Floats, name: str) -> Floats:
        """One layer: attention to what came before, then the two dense layers, each beside what it was given."""
        x = x + self._attention(self._norm(x, f"{name}ln_1"), f"{name}attn.")
        hidden = self._dense(self._norm(x, f"{name}ln_2"), f"{name}mlp.c_fc.weight", f"{name}mlp.c_fc.bias")
        hidden = quick_gelu(hidden) if self._manifest.activation == "quick_gelu" else gelu(hidden)
        return x + self._dense(hidden, f"{name}mlp.c_proj.weight", f"{name}mlp.c_proj.bias")

    def _attention(self, x: Floats, name: str) -> Floats:
        n, length, width = x.shape
        heads = self._manifest.heads
        qkv = self._dense(x, f"{name}in_proj_weight", f"{name}in_proj_bias")
        q, k, v = qkv.reshape(n, length, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)  # (n, heads, length, h)
        logits = q @ k.swapaxes(-1, -2) / np.sqrt(np.float32(width // heads))  # (n, heads, length, length)
        logits = np.where(np.tri(length, dtype=bool), logits, -np.inf)
        logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
        mixed = (logits / logits.sum(axis=-1, keepdims=True)) @ v
        mixed = mixed.transpose(0, 2, 1, 3).reshape(n, length, width)
        return self._dense(mixed, f"{name}out_proj.weight", f"{name}out_proj.bias")

    def _dense(self, x: Floats, weight: str, bias: str) -> Floats:
        """Return x W' + b; the leading axes are made one, so that the weights are read once."""
        blocks, rows = self._weights[weight], x.reshape(-1, x.shape[-1])  # (b, k, r), (m, k)
        threads = min(self._threads, len(blocks)) if len(rows) >= FEWEST_ROWS else 1
        cuts = [len(blocks) * part // threads for part in range(threads + 1)]
        out = np.empty((len(blocks), len(rows), blocks.shape[2]), np.float32)
        others = [self._pool.submit(np.matmul, rows, blocks[i:j], out[i:j]) for i, j in pairwise(cuts[1:])]
        np.matmul(rows, blocks[: cuts[1]], out[: cuts[1]])
        for other in others:
            other.result()
        dense: Floats = out.swapaxes(0, 1).reshape(*x.shape[:-1], -1) + self._weights[bias]
        return dense

    def _norm(self, x: Floats, name: str) -> Floats:
        """Layer normalisation over the last axis."""
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self._manifest.epsilon))
        normed: Floats = centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return normed


def in_blocks(matrix: Floats) -> Floats:
    """Return a layer's matrix (n, k) as blocks of its transpose, (n / r, k, r), with r at most 32.

    A product with a few rows then goes through kernels that need no copy of the matrix: for 6 tokens it takes a third
    of the time that the whole matrix takes.
    """
    n, k = matrix.shape
    r = math.gcd(n, BLOCK_COLUMNS)
    return np.ascontiguousarray(matrix.reshape(n // r, r, k).swapaxes(1, 2))


def quick_gelu(x: Floats) -> Floats:
    """Return x sigmoid(1.702 x), the activation of OpenAI's CLIP."""
    activated: Floats = x / (1 + np.exp(np.float32(-1.702) * x))
    return activated


def gelu(x: Floats) -> Floats:
    """Return x times the normal distribution's share below x.

    The error function is approximated to 1.5e-7. Source: Abramowitz and Stegun 1964, formula 7.1.26.
    """
    scaled = np.abs(x) * np.float32(np.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * scaled)
    series = np.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(coefficient)) * t
    erf = np.copysign(1 - series * np.exp(-(scaled**2)), x)
    activated: Floats = np.float32(0.5) * x * (1 + erf)
    return activated


def words_sum(numbers: Floats) -> int:
    """Return the sum of an array's bytes, taken as 64-bit words, modulo 2^64.

    Any change within one word changes it, and any other damage all but surely (two words that change places would not
    show). It runs at the speed of memory: 6 ms for 151 MB where CRC-32 takes 54 ms.
    """
    return int(np.add.reduce(numbers.view("<u8"), dtype=np.uint64))


def read_manifest(folder: Path) -> TowerManifest:
    """Read a tower's manifest.

    Raises: OSError, ValueError, KeyError, TypeError: it is absent, damaged or of another shape.
    """
    sealed = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    content = sealed["content"]
    if not isinstance(content, str) or zlib.crc32(content.encode()) != sealed["crc32"]:
        raise ValueError("the manifest is damaged")
    return TowerManifest(**json.loads(content))
