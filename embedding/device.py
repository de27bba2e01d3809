"""The device and the precision that an encoder computes with. Loads no model."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base.arrays import Pixels
from base.errors import EncoderError
from base.memory import free_memory_bytes
from embedding.gpu_memory import CudaMemory

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(device: str) -> str:
    """Return cpu, cuda or mps; auto takes the fastest one that torch sees.

    Raises: EncoderError: the named device is unknown or absent, or was lost by a fork.
    """
    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if device == "cuda":
        refuse_forked_cuda()
    if torch.cuda.is_available() and not lost_by_fork():
        present.insert(0, "cuda")
    if device == "auto":
        return present[0]
    if device not in present:
        raise EncoderError(f"no device {device!r} here: torch {torch.__version__} sees {', '.join(present)}")
    return device


def lost_by_fork() -> bool:
    """Tell whether this process was forked from one that used CUDA, which works in one of both alone."""
    return bool(torch.cuda._is_in_bad_fork())


def refuse_forked_cuda() -> None:
    """Raise EncoderError where CUDA was lost by a fork."""
    if lost_by_fork():
        raise EncoderError(
            "this process was forked from one that used CUDA, which works in one of both alone: start workers by "
            "spawn, or let nothing compute before they are forked, or use --device cpu"
        )


def choose_precision(precision: str, device: str, name: str = "NAME") -> str:
    """Return float32 or bfloat16; auto takes bfloat16 where the device computes it natively.

    Raises: EncoderError: the precision is unknown, or int8, which is a model of its own; `name`: of the model.
    """
    if precision == "int8":
        raise EncoderError(
            f"int8 is calibrated on photos that a library has, and is a model of its own: `aliens embed --model {name} "
            f"--precision int8` makes its vectors once photos were added, `aliens use {name}@int8` takes it into use"
        )
    if precision == "auto":
        native = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if native or (device == "cpu" and cpu_has_bfloat16()) else "float32"
    if precision not in PRECISIONS:
        raise EncoderError(f"no precision {precision!r}: choose one of auto, {', '.join(PRECISIONS)}")
    return precision


def cpu_flags() -> dict[str, Any]:
    """Return what PyTorch tells of the processor; not every 2.x does: what needs nothing special is always right."""
    flags: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return flags


def cpu_has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    return any(cpu_flags().get(name) for name in ("avx512_bf16", "amx_bf16", "amx_tile"))


def device_name(device: str) -> str:
    """Return what the maker calls a device, such as NVIDIA H200; its kind where it does not say."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    if device == "mps":
        return "Apple's graphics processor"
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        first = ""
    parted = (line.partition(":") for line in first.splitlines())
    names = {name.strip(): value.strip() for name, _, value in parted}
    return names.get("model name") or names.get("Model") or platform.processor() or "the processor"


def free_device_bytes(device: str) -> int | None:
    """Return how much memory a device has free; None where nobody says."""
    if device == "cuda":
        return CudaMemory().free_bytes()
    if device == "mps":
        return int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory())
    return free_memory_bytes()


def cpu_threads() -> int:
    """Return how many threads this process computes with on the CPU."""
    return torch.get_num_threads()


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Compute with so many threads on the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cpu_has_int8() -> bool:
    """Tell whether the processor sums products of 8-bit numbers in 32 bits (AVX512-VNNI, AVX-VNNI or AMX).

    Others do so in 16 bits, where sums overflow and vectors would be wrong without a word, and gain little speed.
    """
    return any(cpu_flags().get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def keep_freed_memory() -> None:
    """Have glibc keep freed memory instead of returning each large tensor to the kernel.

    Activations are mapped, cleared page by page and unmapped for every layer otherwise: on a 2-core machine
    that halved the starter model's speed. See mallopt(3); a no-op elsewhere.
    """
    if sys.platform != "linux" or "MALLOC_MMAP_MAX_" in os.environ:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # not glibc
        return
    mallopt(-4, 0)  # M_MMAP_MAX: no allocation gets a mapping of its own
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD in bytes: the heap's end is not given back


def on_device(pixels: Pixels, device: torch.device) -> torch.Tensor:
    """Return pixels as a tensor on a device; to CUDA they go by pinned memory, while the caller goes on."""
    tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
