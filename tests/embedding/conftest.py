"""Pictures, models and segments that several tests of embedding make."""

import io
import json
import os
import socket
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image
from safetensors.torch import save_file

from base.errors import PhotoError
from base.files import SegmentFile
from embedding.decode import MAX_PIXELS, Preprocessing, decode, decode_to_fit
from embedding.open_clip_encoder import OpenClipEncoder
from embedding.opened_segment import Segment
from embedding.segments import Vectors

SQUARE_32 = Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3)
TINY_VISION = {"layers": 1, "width": 16, "head_width": 8, "patch_size": 16, "image_size": 32}
TINY_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
TINY_PREPROCESSING = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Return a picture as a file's bytes; `options` go to Pillow."""
    data = io.BytesIO()
    image.save(data, file_format, **options)
    return data.getvalue()


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    """Return a chunk of a PNG; `checksum`: in place of its own."""
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(width: int, height: int, rows: bytes, bit_depth: int = 8) -> bytes:
    """Return an RGB PNG with a header and rows of one's choice, which may not fit together."""
    header = struct.pack(">IIBBBBB", width, height, bit_depth, 2, 0, 0, 0)
    compressed = zlib.compress(rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


def smooth(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a colourful picture without edges, which JPEG keeps within a few levels."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BILINEAR)


def refusal(data: bytes, max_pixels: int = MAX_PIXELS) -> PhotoError:
    """Return the error of a photo that is decoded neither for encoders nor for people, for the same reason."""
    with pytest.raises(PhotoError) as caught:
        decode(data, SQUARE_32, max_pixels)
    with pytest.raises(PhotoError) as caught_again:
        decode_to_fit(data, (32, 32), max_pixels)
    assert (caught_again.value.kind, caught_again.value.reason) == (caught.value.kind, caught.value.reason)
    return caught.value


def as_unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1 in float32."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def unit_vectors(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    """Return unit vectors, (rows, dim) float32."""
    return as_unit(np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32))


def segment_of(ids: np.ndarray, vectors: np.ndarray, name: str = "segment") -> Segment:
    """Return a segment that lies in no file; the ids ascend."""
    flat = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index = faiss.IndexIDMap(flat)
    index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)
    return Segment(name, index)


def in_segments(ids: np.ndarray, vectors: np.ndarray, where: np.ndarray, live: np.ndarray | None = None) -> Vectors:
    """Return photos, in whatever order, in the segments "0", "1", ... that `where` (n,) puts each in.

    live: (n,), which can be found; None for all.
    """
    order = np.argsort(ids, kind="stable")
    segments, masks = [], []
    for number in range(int(where.max(initial=-1)) + 1):
        rows = order[where[order] == number]
        segments.append(segment_of(ids[rows], vectors[rows], str(number)))
        masks.append(None if live is None or live[rows].all() else live[rows])
    return Vectors(vectors.shape[1], segments, masks)


class Rows:
    """What a database says: at each look the next of some lists of segments, the last one from then on."""

    def __init__(self, *looks: Sequence[SegmentFile], dead: Mapping[str, np.ndarray] | None = None) -> None:
        self._looks = [list(look) for look in looks]
        self._dead = dict(dead or {})
        self.asked: list[str] = []

    def segments(self) -> list[SegmentFile]:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def dead(self, name: str) -> np.ndarray:
        self.asked.append(name)
        return self._dead[name]


def overwrite(path: Path, data: bytes) -> None:
    """Write bytes over a file's, later than whatever stands there: a test is quicker than a file system's clock."""
    later_ns = path.stat().st_mtime_ns + 1_000_000_000
    path.write_bytes(data)
    os.utime(path, ns=(later_ns, later_ns))


def flipped(data: bytes, place: int, bits: int = 1) -> bytes:
    """Return bytes of which one has other bits."""
    place %= len(data)
    return data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


def flip(path: Path, place: float = 0.5, bit: int = 0) -> None:
    """Flip a bit of a file, at a place from 0 to 1, which is as long as before."""
    data = path.read_bytes()
    overwrite(path, flipped(data, int(len(data) * place), 1 << bit))


@pytest.fixture
def save_tiny_model(tmp_path: Path) -> Callable[..., Path]:
    """A function that saves a tiny model in open_clip's layout; the same seed gives the same weights."""

    def save(
        name: str,
        *,
        seed: int = 0,
        custom_text: bool = False,
        vision: dict[str, Any] | None = None,
        text: dict[str, Any] | None = None,
        preprocessing: dict[str, Any] | None = None,
        **model_cfg: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        config = {"embed_dim": 8, "vision_cfg": TINY_VISION | (vision or {}), "text_cfg": TINY_TEXT | (text or {})}
        config |= model_cfg
        torch.manual_seed(seed)
        model = (CustomTextCLIP if custom_text else CLIP)(**deepcopy(config))
        weights = {weight_name: weight.contiguous() for weight_name, weight in model.state_dict().items()}
        save_file(weights, folder / "open_clip_model.safetensors")
        saved = {
            "model_cfg": config | {"custom_text": custom_text},
            "preprocess_cfg": TINY_PREPROCESSING | (preprocessing or {}),
        }
        (folder / "open_clip_config.json").write_text(json.dumps(saved), encoding="utf-8")
        return folder

    return save


def load_folder(folder: Path) -> OpenClipEncoder:
    return OpenClipEncoder.load(f"local-dir:{folder}", device="cpu", precision="float32")


@pytest.fixture
def tiny(save_tiny_model: Callable[..., Path]) -> OpenClipEncoder:
    """A model of one layer, new in every test: its text cache is empty."""
    return load_folder(save_tiny_model("tiny"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Nothing outside this machine can be reached; what was tried is listed."""
    tried: list[object] = []

    def refuse(*address: object, **options: object) -> None:
        tried.append(address)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture
def unreachable_hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every download fails; what was asked for is listed."""
    asked: list[str] = []

    def fail(*names: object, **options: object) -> None:
        asked.append(str(names))
        raise ConnectionError("no route to the model hub\nwith a second line")

    for name in ("download_pretrained", "download_pretrained_from_hf"):
        monkeypatch.setattr(f"open_clip.factory.{name}", fail)
    return asked


def check_remedies(message: str, name: str, *others: str) -> None:
    """See that an error tells why weights cannot be loaded, and what to do."""
    assert f"the weights of {name!r} cannot be loaded (" in message
    for remedy in ("connect this machine", "local-dir:FOLDER", *others):
        assert remedy in message
