"""What runs on the nodes of a cluster: reading slices of the pending photos, and an actor that holds the encoder.

Everything here is pure: it is given files or pixels, returns what became of them, and knows no library. It must be
installed on every node, as CV-Aliens of one version.
"""

import platform
import resource
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from base import __version__
from base.arrays import Floats, Pixels
from base.errors import AliensError
from base.files import PhotoFile
from base.remote import THREADS
from embedding.decode import DecodedPhoto, Facts, Preprocessing
from embedding.encoder import Encoder, Recipe
from indexer.reading import Content, Failure, never, read_photo

HASH_BYTES = 8  # of a photo's SHA-256, which go with its pixels
AT_ONCE = threading.Event()
AT_ONCE.set()


@dataclass(frozen=True, slots=True)
class SliceRead:
    """What became of the photos of a slice, in their order, without their pixels; and which node says so.

    contents: a photo's bytes, where they could be read. failures: why there are no pixels. facts: of those which have
    them, and which come one after the other in the slice's `Squares`.
    """

    node: str
    version: str
    contents: list[Content | None]
    failures: list[Failure | None]
    facts: list[Facts | None]


@dataclass(frozen=True, slots=True)
class Squares:
    """The pixels of a slice's photos, uint8 (n, s, s, 3), and the first HASH_BYTES of each one's SHA-256.

    They stay where they were decoded until somebody embeds them; where that node dies, they are decoded again.
    """

    pixels: Pixels
    hashes: list[bytes]


def read_slice(files: Sequence[PhotoFile], preprocessing: Preprocessing, max_pixels: int) -> tuple[SliceRead, Squares]:
    """Read and decode some photos; nothing is known here of bytes that the library has vectors of."""

    def read(file: PhotoFile) -> tuple[Content | None, Failure | None, DecodedPhoto | None]:
        outcome = read_photo(file, preprocessing, never, AT_ONCE, max_pixels)
        if isinstance(outcome, Content):
            assert isinstance(outcome.decoded, DecodedPhoto)
            return replace(outcome, decoded=None), None, outcome.decoded
        as_known = read_photo(file, preprocessing, lambda sha256: True, AT_ONCE, max_pixels)  # which decodes nothing
        return as_known if isinstance(as_known, Content) else None, outcome, None

    if any(file.is_remote for file in files):  # waits more than it computes
        with ThreadPoolExecutor(THREADS, "read") as pool:
            each = list(pool.map(read, files))
    else:
        each = [read(file) for file in files]
    s = preprocessing.size_px
    squares, hashes = [np.empty((0, s, s, 3), np.uint8)], [b""]
    for content, _, decoded in each:
        if content is not None and decoded is not None:
            squares.append(decoded.pixels[np.newaxis])
            hashes.append(content.sha256[:HASH_BYTES])
    said = SliceRead(
        socket.gethostname(),
        __version__,
        [content for content, _, _ in each],
        [failure for _, failure, _ in each],
        [None if decoded is None else decoded.facts for _, _, decoded in each],
    )
    return said, Squares(np.concatenate(squares), hashes[1:])


@dataclass(frozen=True, slots=True)
class About:
    """What an actor says of itself once it has loaded the model; `refusal`: why it has not.

    computes: on what, and how exactly. size_bytes: what its process takes.
    """

    node: str
    version: str
    python: str
    refusal: str = ""
    computes: str = ""
    batch_photos: int = 0
    preprocessing: Preprocessing | None = None
    size_bytes: int = 0


def computes_of(encoder: Encoder) -> str:
    """Return on what an encoder computes photos, by what and how exactly: the same on every node."""
    device, precision = getattr(encoder, "device", "cpu"), getattr(encoder, "precision", "float32")
    by = ", by OpenVINO" if getattr(encoder, "backend", "torch") == "openvino" else ""
    return f"{device} in {precision}{by}"


class EncodingActor:
    """Holds the encoder on a node, and embeds groups of photos that lie anywhere in the cluster."""

    def __init__(self, encoder: Recipe | Encoder, threads: int) -> None:
        """`threads`: with which it computes on a CPU, 0 for as many as PyTorch takes."""
        self._asked = encoder
        self._threads = threads
        self._encoder: Encoder | None = None

    def about(self) -> About:
        """Load the model, and say what it is."""
        node, python = socket.gethostname(), platform.python_version()
        try:
            encoder = self._loaded()
        except AliensError as error:
            return About(node, __version__, python, refusal=str(error))
        return About(
            node,
            __version__,
            python,
            computes=computes_of(encoder),
            batch_photos=encoder.batch_photos,
            preprocessing=encoder.preprocessing,
            size_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        )

    def embed(self, threads: int, picks: Sequence[tuple[int, int, bytes]], *parts: Squares | Pixels) -> Floats | None:
        """Return unit vectors, (n, d) float32; None where a photo has changed since its slice was first read.

        Args:
            threads: to compute with, 0 for the actor's own.
            picks: for each photo the part that its pixels are in, their row there, and its first HASH_BYTES.
            parts: slices; or the pixels of single photos, (s, s, 3).
        """
        squares: list[Pixels] = []
        for part, row, sha256 in picks:
            whole = parts[part]
            if isinstance(whole, Squares):
                if row >= len(whole.hashes) or whole.hashes[row] != sha256:
                    return None
                squares.append(whole.pixels[row])
            else:
                squares.append(whole)
        with self._computing(threads or self._threads):
            return self._loaded().encode_images(np.stack(squares))

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            with self._computing(self._threads):
                self._encoder = self._asked.load() if isinstance(self._asked, Recipe) else self._asked
        return self._encoder

    def _computing(self, threads: int) -> AbstractContextManager[Any]:
        if not threads or not isinstance(self._asked, Recipe):
            return nullcontext()
        from embedding.device import computing_with  # imports torch

        return computing_with(threads)
