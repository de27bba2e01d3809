"""What computes an image tower on a processor, PyTorch or OpenVINO: chosen by what was measured here, once a model."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from base.arrays import Floats, Pixels
from base.errors import EncoderError
from base.records import read_record, write_record
from base.settings import cache_folder
from embedding.device import cpu_flags, cpu_has_int8, cpu_threads
from embedding.image_files import INT8
from embedding.openvino_tower import has_openvino, openvino_version, require_openvino

BACKENDS = ("torch", "openvino")
WORTH = 1.1  # how many times as fast OpenVINO has to be measured, to be chosen
MEASURED_S = 1.0  # at least, of both together
FEWEST_ROUNDS, MOST_ROUNDS = 2, 20


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendSpeeds:
    """Photos a second by each backend, measured in turns with a model on a machine at a precision.

    where: processor, threads and versions; what was measured elsewhere says nothing.
    """

    where: str
    torch: float
    openvino: float

    @property
    def faster(self) -> str:
        """The backend that is chosen by itself."""
        return "openvino" if self.openvino > WORTH * self.torch else "torch"  # both are 0 where it cannot be converted

    def __str__(self) -> str:
        return f"PyTorch {self.torch:.0f} photos/s, OpenVINO {self.openvino:.0f} photos/s"


def choose_backend(backend: str, device: str) -> str:
    """Return torch or openvino; or auto, where OpenVINO is installed and the device is a processor.

    ALIENS_BACKEND says what auto means; on another device than a processor that is always torch.

    Raises: EncoderError: the backend is unknown, not installed, or not for the device.
    """
    if backend == "auto":
        backend = os.environ.get("ALIENS_BACKEND") or "auto" if device == "cpu" else "torch"
    if backend == "auto":
        return "auto" if has_openvino() else "torch"
    if backend not in BACKENDS:
        raise EncoderError(f"no backend {backend!r}: choose one of auto, {', '.join(BACKENDS)}")
    if backend == "openvino":
        require_openvino("--backend openvino")
        if device != "cpu":
            raise EncoderError(f"OpenVINO computes on processors here, not on {device}: say --device cpu as well")
    return backend


def this_machine() -> str:
    """Return what speeds depend on besides the model and the precision."""
    name = cpu_flags().get("cpu_name") or platform.processor()
    threads = cpu_threads()
    return f"{name} {platform.machine()}, {threads} threads, PyTorch {torch.__version__}, OpenVINO {openvino_version()}"


def kept_tower(key: str) -> Path:
    """Return the folder of the cache for a model's image tower in OpenVINO's form."""
    return cache_folder() / "image" / key


def speeds_file(key: str, precision: str) -> Path:
    """Return the file of the cache for the speeds of a model at a precision."""
    return cache_folder() / "speeds" / f"{key}-{precision}.json"


def known_speeds(key: str, precision: str) -> BackendSpeeds | None:
    """Return what was measured on this machine, with these versions, or None."""
    found = read_record(speeds_file(key, precision), BackendSpeeds)
    return found if found is not None and found.where == this_machine() else None


def keep_speeds(key: str, precision: str, speeds: BackendSpeeds) -> None:
    """Keep what was measured, where that can be done."""
    with suppress(OSError):
        file = speeds_file(key, precision)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_record(file, speeds)


def measured_speeds(
    by_torch: Callable[[Pixels], Floats], by_openvino: Callable[[Pixels], Floats], photos: int, size_px: int
) -> BackendSpeeds:
    """Measure both in turns on a batch of noise, so that others disturb both alike; the best round of each counts."""
    pixels = np.random.default_rng(0).integers(0, 256, (photos, size_px, size_px, 3), dtype=np.uint8)
    best = {by_torch: float("inf"), by_openvino: float("inf")}
    for encode in best:  # warms up
        encode(pixels)
    begin, rounds = time.perf_counter(), 0
    while rounds < FEWEST_ROUNDS or (rounds < MOST_ROUNDS and time.perf_counter() - begin < MEASURED_S):
        rounds += 1
        for encode in best:
            start = time.perf_counter()
            encode(pixels)
            best[encode] = min(best[encode], time.perf_counter() - start)
    return BackendSpeeds(where=this_machine(), torch=photos / best[by_torch], openvino=photos / best[by_openvino])


def refuse_for_int8(*, device: str, backend: str) -> None:
    """Raise EncoderError where something is asked for that cannot compute int8."""
    if device not in ("auto", "cpu"):
        raise EncoderError(f"int8 is computed on processors alone: leave out --device {device} (or ALIENS_DEVICE)")
    if backend == "torch":
        raise EncoderError("int8 is computed by OpenVINO alone: leave out --backend torch (or ALIENS_BACKEND)")


def refuse_int8(name: str) -> None:
    """Raise EncoderError where int8 cannot be computed; `name`: of the calibrated model."""
    require_openvino(f"the model {name}")
    if not cpu_has_int8():
        raise EncoderError(
            "this processor has no instructions for int8 (AVX512-VNNI, AVX-VNNI or AMX), and would compute other "
            f"vectors than {name}'s: search here, and add photos on one that has them; or `aliens embed --model "
            f"{name.removesuffix(INT8)}` makes vectors of the model as it is"
        )


def lost(name: str, problem: str) -> str:
    """Return the message for a calibrated model whose files are not there; what it has made can be searched."""
    base = name.removesuffix(INT8)
    return (
        f"the calibrated model of {name} cannot be used: {problem}. Restore it from a backup of the library, or use "
        f"another model: `aliens embed --model {base}`, `aliens use {base}`, `aliens forget --model {name}`"
    )
