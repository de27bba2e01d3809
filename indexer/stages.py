"""What reads and embeds photos for a run: threads and the encoder of this process, or a cluster. Records nothing.

A run (`indexer.pipeline`) asks for outcomes in the order of the photos, cuts groups of them, and gets each group's
vectors when they are there; so the same groups are cut, and the same bits recorded, whoever computes them.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, Protocol, get_args

import numpy as np

from base.arrays import Floats
from base.errors import QueryError
from base.files import PhotoFile
from base.remote import THREADS
from db.models import Photo
from embedding.decode import MAX_PIXELS
from embedding.encoder import Encoder
from indexer.reading import DECODE_THREADS, FEEDING_THREADS, Outcome, decode_ahead, never, read_photo

Knows = Callable[[Sequence[bytes]], set[bytes]]  # which of some SHA-256 the model has vectors of
EngineName = Literal["local", "ray"]


class Coming(Protocol):
    """The vectors of a group, which may not be there yet."""

    def done(self) -> bool:
        """Tell whether they are there, or something went wrong."""
        ...

    def result(self) -> Floats:
        """Wait for them: (n, d) float32. Raises: EncoderError, ClusterError: something went wrong."""
        ...


class Stages(Protocol):
    """A reader and an embedder.

    group_photos: how many photos are embedded at once. read_ahead: how many may have been read, and looked up among
    those that are known, before they are asked for. most_cut: how many batches may wait for vectors, so that all that
    can embed has something to do. max_pixels: larger photos fail; may be set until they are read.
    """

    group_photos: int
    read_ahead: int
    most_cut: int
    max_pixels: int

    def outcomes(self, photos: Iterable[Photo], known: Knows, *, elsewhere: bool) -> Generator[tuple[Photo, Outcome]]:
        """Yield every photo with what became of it, in the order given; `elsewhere`: some lie at addresses.

        Raises: ClusterError: a node cannot read what can be read here, or no node is left.
        """
        ...

    def read_again(self, file: PhotoFile) -> Outcome:
        """Return what becomes of a photo whose bytes were known, and are not any more."""
        ...

    def embed(self, group: Sequence[Any]) -> Coming:
        """Have photos embedded, as they were decoded by these stages. Raises: as `Coming.result`."""
        ...


class LocalStages:
    """Threads of this process read ahead; the encoder is this process's own.

    Where it is not the CPU that encodes, a thread waits for it, so that meanwhile the next group is gathered and the
    batch before is recorded.
    """

    def __init__(self, encoder: Encoder, max_pixels: int = MAX_PIXELS) -> None:
        """`encoder`: its model is loaded now. `max_pixels`: of a photo; larger ones fail."""
        self.max_pixels = max_pixels
        self._encoder = encoder
        self._preprocessing = encoder.preprocessing
        self.group_photos = encoder.batch_photos
        self.read_ahead = max(64, 2 * self.group_photos)
        self._in_bursts = encoder.keeps_cpu_busy
        self._encoding = None if self._in_bursts else ThreadPoolExecutor(1, thread_name_prefix="encode")
        self.most_cut = 0 if self._in_bursts else 1
        self._may_decode = threading.Event()
        self._may_decode.set()

    def outcomes(self, photos: Iterable[Photo], known: Knows, *, elsewhere: bool) -> Generator[tuple[Photo, Outcome]]:
        """See Stages. What lies elsewhere is waited for, and not computed: more threads read then."""
        read = partial(self._read, is_known=lambda sha256: bool(known([sha256])))
        decoders = DECODE_THREADS if self._in_bursts else FEEDING_THREADS
        threads = max(THREADS, decoders) if elsewhere else decoders
        return decode_ahead(photos, read, threads=threads, ahead=self.read_ahead, in_bursts=self._in_bursts)

    def read_again(self, file: PhotoFile) -> Outcome:
        """See Stages."""
        return self._read(file, never)

    def embed(self, group: Sequence[Any]) -> Coming:
        """Return the group's vectors, on a CPU at once.

        No photo is decoded meanwhile there: a decoding thread that takes one core makes the encoder's threads
        on all the others wait for it, at every layer.
        """
        squares = np.stack([decoded.pixels for decoded in group])
        if self._encoding is not None:
            return self._encoding.submit(self._encoder.encode_images, squares)
        vectors: Future[Floats] = Future()
        try:
            self._may_decode.clear()
            vectors.set_result(self._encoder.encode_images(squares))
        finally:
            self._may_decode.set()
        return vectors

    def _read(self, file: PhotoFile, is_known: Callable[[bytes], bool]) -> Outcome:
        return read_photo(file, self._preprocessing, is_known, self._may_decode, self.max_pixels)


StagesMaker = Callable[[], Stages]
Tell = Callable[[str], None]


@contextmanager
def stages_of(engine: str, address: str | None, encoder: Encoder, tell: Tell) -> Iterator[StagesMaker]:
    """Yield what makes the stages of an engine, for as long as they are needed.

    Args:
        engine: local or ray.
        address: of the cluster, see `indexer.ray_stages`.
        encoder: the model.
        tell: hears of the cluster.

    Raises:
        QueryError: there is no such engine, or it has no address.
        ClusterError: there is no cluster, or Ray is not installed.
    """
    if engine not in get_args(EngineName):
        raise QueryError(f"no engine {engine!r}: photos are read and embedded here (local), or by a cluster (ray)")
    if engine == "local":
        if address is not None:
            raise QueryError(f"--address {address} is of a cluster: say --engine ray as well")
        yield partial(LocalStages, encoder)
        return
    from indexer.ray_stages import ray_stages

    with ray_stages(address, encoder, tell) as made:
        yield made
