"""How many photos a GPU takes at once: by a stand-in for its memory, where there is no GPU."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from base.errors import EncoderError
from embedding.gpu_memory import MOST_PHOTOS, TRIED_PHOTOS, CudaMemory, FittingBatches
from embedding.open_clip_encoder import OpenClipEncoder

SIZE_PX = 8


class Device:
    """A device of so many bytes, on which a photo takes `each_bytes`; says it has more than that where it `boasts`."""

    def __init__(self, free_bytes: int, each_bytes: int = 1_000, boasts: int = 1) -> None:
        self.free, self.each, self.boasts = free_bytes, each_bytes, boasts
        self.batches: list[int] = []
        self.gave_back = 0
        self.taken = 0

    def free_bytes(self) -> int:
        return self.free * self.boasts

    def taken_bytes(self, work: Callable[[], object]) -> int:
        work()
        return self.taken

    def give_back(self) -> None:
        self.gave_back += 1

    def compute(self, pixels: np.ndarray) -> np.ndarray:
        if len(pixels) * self.each > self.free:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {len(pixels) * self.each} bytes.\nMore"
            )
        self.taken = len(pixels) * self.each
        self.batches.append(len(pixels))
        return pixels.reshape(len(pixels), SIZE_PX * SIZE_PX * 3).astype(np.float32)


def squares(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, SIZE_PX, SIZE_PX, 3), np.uint8)


def batches_on(device: Device) -> FittingBatches:
    return FittingBatches(device.compute, SIZE_PX, device)


@pytest.mark.parametrize(
    ("free_bytes", "photos"),
    [(10**9, MOST_PHOTOS), (1_000_000, 512), (100_000, 32), (20_000, 8), (15_000, TRIED_PHOTOS // 2)],
)
def test_a_batch_is_found_by_what_a_photo_takes_of_free_memory(free_bytes: int, photos: int) -> None:
    assert batches_on(Device(free_bytes)).photos == photos


@pytest.mark.parametrize("count", [0, 1, 32, 33, 100])
def test_photos_beyond_a_batch_come_in_several(count: int) -> None:
    device = Device(100_000)
    batches, pixels = batches_on(device), squares(count)
    device.batches.clear()
    assert np.array_equal(batches.encoded(pixels), pixels.reshape(count, SIZE_PX * SIZE_PX * 3))
    assert max(device.batches) <= 32 and sum(device.batches) == count


def test_a_batch_that_does_not_fit_after_all_is_halved_from_then_on_and_no_photo_is_lost() -> None:
    device = Device(100_000, boasts=50)
    batches, pixels = batches_on(device), squares(1_000)
    assert batches.photos == MOST_PHOTOS
    assert np.array_equal(batches.encoded(pixels), pixels.reshape(1_000, -1))
    assert batches.photos == 62 and device.gave_back == 4  # 1,000, 500, 250, 125 did not fit
    device.free = 3_500  # somebody else took the rest meanwhile
    assert np.array_equal(batches.encoded(pixels[:9]), pixels[:9].reshape(9, -1))
    assert batches.photos == 2


def test_a_device_without_memory_for_one_photo_says_so() -> None:
    device = Device(100_000)
    batches = batches_on(device)
    device.free = 500
    with pytest.raises(EncoderError, match=r"too little free memory for one photo \(CUDA out .*--device cpu"):
        batches.encoded(squares(3))


def test_on_a_cpu_nothing_is_measured(starter: OpenClipEncoder) -> None:
    assert starter.batch_photos == 16
    assert "_batches" not in vars(starter)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_the_vectors_of_the_cpu() -> None:
    near, far = (OpenClipEncoder.load("starter", device=d, precision="float32") for d in ("cpu", "cuda"))
    pixels = np.random.default_rng(0).integers(0, 256, (20, *(near.preprocessing.size_px,) * 2, 3), np.uint8)
    assert far.batch_photos >= 8 and CudaMemory().free_bytes() > 0
    assert (near.encode_images(pixels) * far.encode_images(pixels)).sum(axis=1).min() > 0.999
