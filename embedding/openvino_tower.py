"""A model's image tower as OpenVINO computes it on a processor: converted, compiled, and calibrated to int8.

Imports OpenVINO and nncf only when they are used.
"""

import errno
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from base.arrays import Floats, Pixels
from base.errors import EncoderError
from base.forks import fork_lock
from embedding.hub import no_chatter
from embedding.image_files import (
    FORMAT,
    GRAPH_FILE,
    TowerRecord,
    finish_tower,
    image_tower_problem,
    partial_tower,
    sums_of,
)

PIECE_PHOTOS = 8  # computed by one core at a time
INSTALL = "`pip install '.[openvino]'` adds it"
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}  # of what is not in int8


def has_openvino() -> bool:
    """Tell whether OpenVINO is installed; it is not imported."""
    return find_spec("openvino") is not None


def require_openvino(what: str, *modules: str) -> None:
    """Raise EncoderError where OpenVINO, or another module of the extra, is not installed; `what` needs it."""
    if absent := [name for name in ("openvino", *modules) if find_spec(name) is None]:
        raise EncoderError(f"{what} needs the extra openvino ({', '.join(absent)} not installed): {INSTALL}")


def openvino_version() -> str:
    """Return OpenVINO's version, or an empty text."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return ""


@contextmanager
def makers_muted() -> Iterator[None]:
    """Have imports, conversions and calibrations print nothing, and warn of nothing that only their makers can mend."""
    with no_chatter(), redirect_stdout(io.StringIO()):
        yield


def openvino() -> Any:
    """Return OpenVINO, which reports to nobody that it is used: by default it does, over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with makers_muted():
        import openvino as module
    return module


class PixelsTower(torch.nn.Module):
    """A model's image tower from pixels, uint8 (n, s, s, 3), to features (n, d), which are not of unit length."""

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self, model: Any, shift: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return features."""
        features: torch.Tensor = self.model.encode_image((pixels.permute(0, 3, 1, 2).float() - self.shift) / self.scale)
        return features


def as_openvino(model: Any, shift: torch.Tensor, scale: torch.Tensor, size_px: int) -> Any:
    """Return the image tower of a model in float32 as OpenVINO's model, for any number of photos.

    Raises: EncoderError: it has operations that OpenVINO does not know, or cannot be traced.
    """
    ov = openvino()
    photos = torch.zeros(2, size_px, size_px, 3, dtype=torch.uint8)
    tower = PixelsTower(model, shift, scale).eval()
    try:
        with makers_muted(), torch.inference_mode(False), torch.no_grad():
            traced = torch.jit.trace(tower, photos, check_trace=False)  # type: ignore[no-untyped-call]
            return ov.convert_model(traced, input=[([-1, size_px, size_px, 3], ov.Type.u8)])
    except Exception as error:  # each of both raises errors of its own, of many kinds
        raise EncoderError(
            f"OpenVINO cannot take over this model ({str(error).strip().splitlines()[0][:200]}): use `--backend torch`"
        ) from error


def read_tower(folder: Path) -> Any:
    """Return OpenVINO's model from files. Raises: EncoderError: OpenVINO cannot read them."""
    try:
        return openvino().Core().read_model(folder / GRAPH_FILE)
    except RuntimeError as error:
        raise EncoderError(f"OpenVINO {openvino_version()} cannot read {folder}: {error}") from error


def kept_or_converted(folder: Path, key: str, convert: Callable[[], Any]) -> Any:
    """Return the tower of a model as it is: from a folder of the cache, or converted and kept there for the next start.

    Where nothing can be kept, it is only converted: the disk may be full or read-only. What is read computes other last
    bits than what was converted, so it is read in any case, be it from a temporary folder.
    """
    if not image_tower_problem(folder, key):
        with suppress(EncoderError):
            return read_tower(folder)
    model = convert()
    with suppress(OSError), partial_tower(folder.parent) as partial:
        write_image_tower(model, partial)
        record = TowerRecord(format=FORMAT, key=key, of=key, made_by=made_by(), sums=sums_of(partial))
        finish_tower(partial, folder, record)
        return read_tower(folder)
    with suppress(OSError), tempfile.TemporaryDirectory(prefix="aliens-") as temporary:
        write_image_tower(model, Path(temporary))
        return read_tower(Path(temporary))
    return model


def write_image_tower(model: Any, folder: Path) -> None:
    """Write OpenVINO's model to a folder. Raises: OSError: it cannot be read back, since the disk is full."""
    try:
        openvino().save_model(model, folder / GRAPH_FILE, compress_to_fp16=False)
        read_tower(folder)
    except (RuntimeError, EncoderError) as error:  # OpenVINO does not say why
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def made_by() -> str:
    """Return what a tower is made by."""
    return f"OpenVINO {openvino_version()}, PyTorch {torch.__version__}"


class OpenVinoTower:
    """An image tower that is ready to compute, in pieces of 8 photos, on each core one: they wait for one another less.

    Each piece has 8 photos, the last one of a batch filled up with black, so that a photo's vector is, bit for bit, the
    same in any batch of the same cut. Threads may share it; a forked child has it compiled anew.
    """

    def __init__(self, model: Any, precision: str, threads: int) -> None:
        """`model`: OpenVINO's, as of `converted`. `precision`: float32, bfloat16, or int8 where it was calibrated."""
        self._model = model
        self._size_px = int(model.input(0).get_partial_shape()[1].get_length())
        self.streams = max(threads, 1)
        self._settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "NUM_STREAMS": self.streams,
            "INFERENCE_NUM_THREADS": self.streams,
            "ENABLE_CPU_PINNING": False,  # or several processes would compute on the same cores
        }
        self._busy = fork_lock()
        self._left: list[Any] = []  # of the process that this one was forked from: freeing it would wait for ever
        self._compile()

    @classmethod
    def read(cls, folder: Path, precision: str, threads: int) -> Self:
        """Return the tower in a folder. Raises: EncoderError: OpenVINO cannot read it."""
        return cls(read_tower(folder), precision, threads)

    def _compile(self) -> None:
        ov = openvino()
        model = self._model.clone()
        model.reshape([PIECE_PHOTOS, self._size_px, self._size_px, 3])
        self._process = os.getpid()
        self._core = ov.Core()
        self._queue = ov.AsyncInferQueue(self._core.compile_model(model, "CPU", self._settings), self.streams)
        self._queue.set_callback(self._keep)

    def _keep(self, request: Any, place: tuple[Floats, int]) -> None:
        features, start = place
        features[start : start + PIECE_PHOTOS] = request.get_output_tensor(0).data

    def features(self, pixels: Pixels) -> Floats:
        """Return features, (n, d) float32, of squares of pixels, uint8 (n, s, s, 3): not of unit length."""
        with self._busy:
            if self._process != os.getpid():
                self._left += [self._queue, self._core]
                self.streams = self._settings["INFERENCE_NUM_THREADS"] = self._settings["NUM_STREAMS"] = 1
                self._compile()
            dim = self._model.output(0).get_partial_shape()[1].get_length()
            whole = -(-len(pixels) // PIECE_PHOTOS) * PIECE_PHOTOS
            features = np.empty((whole, dim), np.float32)
            for start in range(0, len(pixels), PIECE_PHOTOS):
                piece = pixels[start : start + PIECE_PHOTOS]
                if len(piece) < PIECE_PHOTOS:
                    empty = np.zeros((PIECE_PHOTOS - len(piece), *piece.shape[1:]), np.uint8)
                    piece = np.concatenate([piece, empty])
                self._queue.start_async({0: np.ascontiguousarray(piece)}, (features, start))
            self._queue.wait_all()
            return features[: len(pixels)]


def quantised(model: Any, pixels: Pixels) -> Any:
    """Return a tower in int8, its ranges calibrated on photos, uint8 (n, s, s, 3).

    Attention is treated as the transformer that it is part of, whose softmax and normalisation stay float32.

    Raises: EncoderError: nncf cannot do it.
    """
    openvino()  # which sees to it that nothing is reported
    with makers_muted():
        import nncf
    kinds = {operation.get_type_name() for operation in model.get_ops()}
    is_transformer = bool(kinds & {"ScaledDotProductAttention", "Softmax"})
    photos = nncf.Dataset([pixels[n : n + 1] for n in range(len(pixels))])
    try:
        with makers_muted():
            return nncf.quantize(
                model.clone(),
                photos,
                subset_size=len(pixels),
                preset=nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
            )
    except Exception as error:  # nncf and OpenVINO each raise errors of their own, of many kinds
        raise EncoderError(f"this model cannot be calibrated to int8: {error}") from error
