"""CLIP's tokenizer and text tower without PyTorch: memory-mapped weights and NumPy. Starts in a moment.

Made by embedding/text_export.py for models whose texts go through CLIP's own transformer, and checked against it.
"""

import html
import math
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from threadpoolctl import ThreadpoolController

from base.arrays import Floats, Longs, unit
from base.files import open_regular, read_regular
from base.forks import fork_lock
from base.records import parse_json

# Radford et al. 2021, as in open_clip 3: what begins and ends a text, English endings, letters, digits, other signs.
WORDS = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
PLAIN_WORDS = re.compile(WORDS.replace(r"\p{L}", "a-z").replace(r"\p{N}", "0-9"))  # the same for lower-case ASCII
SPECIAL = ("<start_of_text>", "<end_of_text>")
END_OF_WORD = "</w>"


class ClipTokenizer:
    """Byte-pair encoding of lower-cased words, between a token that begins and one that ends the text."""

    def __init__(self, merges: Sequence[str], context: int) -> None:
        """`merges`: pairs such as "t h", the most frequent first; `context`: tokens at most."""
        self.context = context
        self.merges = list(merges)
        self._ranks = dict(zip(self.merges, range(len(self.merges)), strict=True))
        self._signs = byte_signs()
        signs = self._signs.values()
        joined = "\n".join(self.merges).replace(" ", "").split("\n")
        words = [*signs, *(sign + END_OF_WORD for sign in signs), *joined, *SPECIAL]
        self.ids = dict(zip(words, range(len(words)), strict=True))
        self._begin, self._end = (self.ids[word] for word in SPECIAL)

    @classmethod
    def from_open_clip(cls, tokenizer: Any) -> Self | None:
        """Return the same tokenizer as an open_clip.tokenizer.SimpleTokenizer, or None for one of another kind."""
        if type(tokenizer).__name__ != "SimpleTokenizer" or tokenizer.reduction_fn is not None:
            return None
        ranks: dict[tuple[str, str], int] = tokenizer.bpe_ranks
        mine = cls([" ".join(pair) for pair in sorted(ranks, key=ranks.__getitem__)], tokenizer.context_length)
        same = mine.ids == tokenizer.encoder and tokenizer.pat.pattern == WORDS
        return mine if same and tokenizer.clean_fn.__name__ == "_clean_lower" else None

    @classmethod
    def read(cls, path: Path, context: int) -> Self:
        """Read what `write` wrote. Raises: OSError, ValueError: it is absent or no text."""
        return cls(read_regular(path).decode("utf-8").split("\n"), context)

    def write(self, path: Path) -> None:
        """Write the merges to a file, one a line. Raises: OSError: the disk is full or cannot be written."""
        path.write_bytes("\n".join(self.merges).encode("utf-8"))

    def __call__(self, texts: Sequence[str]) -> Longs:
        """Return tokens (n, length) int64, cut to the context, and behind the longest text; zeros fill the others."""
        rows = [self._encode(text) for text in texts]
        tokens = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        return tokens

    def _encode(self, text: str) -> list[int]:
        ids = [self._begin]
        for word in words(cleaned(text)):
            ids += [self.ids[part] for part in self._parts(word)]
            if len(ids) >= self.context:
                break
        return [*ids[: self.context - 1], self._end]

    def _parts(self, word: str) -> list[str]:
        """Return the parts of a word that have ids: the most frequent pair is joined until none is known."""
        if word in SPECIAL:
            return [word]
        parts = [self._signs[byte] for byte in word.encode("utf-8")]
        parts[-1] += END_OF_WORD
        unknown = len(self._ranks)
        while len(parts) > 1:
            pairs = [f"{left} {right}" for left, right in pairwise(parts)]
            best = min(pairs, key=lambda pair: self._ranks.get(pair, unknown))
            if best not in self._ranks:
                break
            joined, place = [], 0
            while place < len(parts):
                step = 2 if place < len(pairs) and pairs[place] == best else 1
                joined.append("".join(parts[place : place + step]))
                place += step
            parts = joined
        return parts


def byte_signs() -> dict[int, str]:
    """Return the visible character that stands for each byte, in the order of their ids.

    Source: Radford et al. 2019 (GPT-2), encoder.py, bytes_to_unicode.
    """
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    numbers = [*visible, *range(256, 256 + len(hidden))]
    return dict(zip([*visible, *hidden], map(chr, numbers), strict=True))


def words(text: str) -> list[str]:
    """Cut a cleaned text into words."""
    if text.isascii():
        return PLAIN_WORDS.findall(text)
    import regex  # knows the letters of all scripts; open_clip uses it as well

    found: list[str] = regex.findall(WORDS, text, flags=regex.IGNORECASE)
    return found


def cleaned(text: str) -> str:
    """Return a text as open_clip's tokenizer cleans it: repaired, without HTML entities, in lower case."""
    if not (text.isascii() and text.isprintable()) or "&" in text:
        import ftfy  # takes 0.05 s to import, and changes nothing in plain ASCII but entities

        text = ftfy.fix_text(text)
    return " ".join(html.unescape(html.unescape(text)).split()).lower()


FORMAT = 1  # raised when files of older programs can no longer be read
WEIGHTS_FILE, MERGES_FILE, MANIFEST_FILE = "weights.bin", "merges.txt", "manifest.json"
ALIGNED_BYTES = 64  # where each matrix begins
BATCH_TEXTS = 32
BLOCK_COLUMNS = 32
MOST_THREADS = 4
FEWEST_ROWS = 64  # tokens of a batch, worth a second thread


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
        self._one_text_at_a_time = fork_lock()
        self._pool: ThreadPoolExecutor  # of the texts in hand: one that was kept would be without threads after a fork

    @classmethod
    def open(cls, folder: Path, model_key: str) -> Self | None:
        """Return the tower of a model, memory-mapped, or None where there is none or its files are damaged.

        All weights are summed, which reads them once; they are needed in memory anyway.
        """
        try:
            manifest = read_tower_manifest(folder)
            if (manifest.format, manifest.model_key) != (FORMAT, model_key):
                return None
            with open_regular(folder / WEIGHTS_FILE) as file:
                flat = np.asarray(np.memmap(file, "<f4", mode="r"))
            if flat.nbytes != manifest.weights_bytes or words_sum(flat) != manifest.weights_sum:
                return None
            if zlib.crc32(read_regular(folder / MERGES_FILE)) != manifest.merges_crc32:
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
        with (
            self._one_text_at_a_time,
            self._blas.limit(limits=1),
            np.errstate(over="ignore"),
            ThreadPoolExecutor(self._threads) as self._pool,  # begins no thread before it is given work
        ):
            parts = [self._encode(texts[start : start + BATCH_TEXTS]) for start in range(0, len(texts), BATCH_TEXTS)]
        return unit(np.concatenate(parts))

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Floats:
        """Return one unit vector, shape (d,) float32: the mean over `templates`, each with {} for the text."""
        return unit(self.encode_texts([template.format(text) for template in templates]).mean(axis=0))

    @cached_property
    def _blas(self) -> Any:
        return ThreadpoolController().select(user_api="blas")

    def _encode(self, texts: Sequence[str]) -> Floats:
        tokens: Longs = self._tokenizer(texts)  # (n, length)
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


def tower_problem(folder: Path, model_key: str) -> str | None:
    """Return what is wrong with a model's tower in a folder, reading it whole, or None; None where there is none."""
    if not (folder / MANIFEST_FILE).exists() or TextTower.open(folder, model_key) is not None:
        return None
    return f"{folder} is not what was written: its checksums are others, or it is of another version"


def read_tower_manifest(folder: Path) -> TowerManifest:
    """Read a tower's manifest.

    Raises: OSError, ValueError, KeyError, TypeError: it is absent, damaged or of another shape.
    """
    sealed = parse_json(read_regular(folder / MANIFEST_FILE))
    content = sealed["content"]
    if not isinstance(content, str) or zlib.crc32(content.encode()) != sealed["crc32"]:
        raise ValueError("the manifest is damaged")
    return TowerManifest(**parse_json(content))
