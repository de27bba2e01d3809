"""How many photos an NVIDIA GPU takes at once: found by its free memory, halved where that was too many after all."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from base.arrays import Floats, Pixels
from base.errors import EncoderError

MOST_PHOTOS = 1_024  # at once: more do not compute quicker, and a kill would lose them
TRIED_PHOTOS = 16  # by which it is measured what a photo takes
FREE_SHARE = 0.6  # of the free memory, that a batch may take: others use the GPU as well

Compute = Callable[[Pixels], Floats]


class Memory(Protocol):
    """A device's memory."""

    def free_bytes(self) -> int:
        """Return what could be taken now."""
        ...

    def taken_bytes(self, work: Callable[[], object]) -> int:
        """Return the most that a piece of work takes beyond what is taken already."""
        ...

    def give_back(self) -> None:
        """Let others have what is kept for later."""
        ...


class CudaMemory:
    """The memory of the current CUDA device: all calls that ask for it are here."""

    def free_bytes(self) -> int:
        """Return what could be taken now: what is free, and what PyTorch keeps for later."""
        free, _ = torch.cuda.mem_get_info()
        return int(free) + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()

    def taken_bytes(self, work: Callable[[], object]) -> int:
        """Return the most that a piece of work takes beyond what is taken already."""
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before

    def give_back(self) -> None:
        """Let others have what PyTorch keeps for later."""
        torch.cuda.empty_cache()


class FittingBatches:
    """Photos in batches that fit; `photos` of them at most, fewer once so many did not."""

    def __init__(self, compute: Compute, size_px: int, memory: Memory) -> None:
        """`compute`: returns vectors (n, d) of squares (n, s, s, 3), each by itself; `size_px`: s."""
        self._compute = compute
        self._memory = memory
        self.photos = self._found(size_px)

    def _found(self, size_px: int) -> int:
        """Return how many photos fit, a power of two, by what a few of them take."""
        few = np.zeros((TRIED_PHOTOS, size_px, size_px, 3), np.uint8)
        try:
            self._compute(few)  # the first time, libraries take memory of their own, once
            each_bytes = max(self._memory.taken_bytes(lambda: self._compute(few)) // TRIED_PHOTOS, 1)
        except torch.OutOfMemoryError:
            return TRIED_PHOTOS // 2
        fitting = int(FREE_SHARE * self._memory.free_bytes()) // each_bytes
        return 1 << min(max(fitting, 1).bit_length() - 1, MOST_PHOTOS.bit_length() - 1)

    def encoded(self, pixels: Pixels) -> Floats:
        """Return the vectors, (n, d), of any number of squares (n, s, s, 3).

        Raises: EncoderError: the memory is not enough for a single photo.
        """
        parts: list[Floats] = []
        at = 0
        while not parts or at < len(pixels):
            part = pixels[at : at + self.photos]
            try:
                parts.append(self._compute(part))
                at += len(part)
                continue
            except torch.OutOfMemoryError as error:
                problem = str(error).splitlines()[0]
            if len(part) <= 1:
                raise EncoderError(
                    f"the GPU has too little free memory for one photo ({problem}): end what else uses it, choose a "
                    "smaller model, or compute with --device cpu"
                )
            self.photos = len(part) // 2
            self._memory.give_back()  # outside of `except`, whose traceback holds on to what was computed
        return np.concatenate(parts)
