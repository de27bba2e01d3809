"""No file that somebody hands in is unpickled: not weights, not arrays."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from base.arrays import read_npy
from base.errors import EncoderError
from embedding.open_clip_encoder import load_model


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_the_mark_is_made_where_something_unpickles(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Evil(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pth"])
@pytest.mark.parametrize("legacy", [False, True])
def test_weights_are_never_unpickled(
    name: str, legacy: bool, save_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = save_tiny_model("tiny")
    (folder / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": {"a": Evil(tmp_path / "mark")}}, folder / name, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(EncoderError):
        load_model(f"local-dir:{folder}")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("mapped", [False, True])
def test_arrays_of_objects_are_refused(mapped: bool, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([Evil(tmp_path / "mark")], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"no (sound )?\.npy file"):
        read_npy(tmp_path / "a.npy", mapped=mapped)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    with pytest.raises(ValueError, match=r"no (sound )?\.npy file"):
        read_npy(tmp_path / "b.npy", mapped=mapped)
    assert not (tmp_path / "mark").exists()


def npy(shape: str, descr: str = "'<f4'", body: bytes = bytes(24)) -> bytes:
    """Return a .npy file that claims a shape."""
    said = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x02\0" + len(said).to_bytes(4, "little") + said + body


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\0v\0{'descr': ('<f2', (3, 4), }" + b" " * 60,
        b"PK\x03\x04" + bytes(40),
        npy("(2, 3)")[:-1],
        npy("(2, 3)")[:40],
        npy("(100000000000,)"),
        npy("(1000000000000, 1000000)"),
        npy("(4294967296, 4294967296)"),
        npy("(-2, -3)"),
        npy("(1, 2", body=b""),
        npy(f"({'-' * 9_000}1,)"),
        npy(f"{'(' * 400}1{')' * 400}"),
        npy("(2, 3)", "'|O'"),
        npy("(1,)", "[('a', '|O')]"),
    ],
)
def test_a_damaged_array_is_refused_whatever_numpy_raises(data: bytes, mapped: bool, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ValueError, match=r"\.npy file"):
        read_npy(tmp_path / "a.npy", mapped=mapped)


@pytest.mark.parametrize("mapped", [False, True])
def test_an_array_is_the_same_in_whatever_order_it_lies(mapped: bool, tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for order in (np.ascontiguousarray(array), np.asfortranarray(array)):
        np.save(tmp_path / "a.npy", order)
        np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", mapped=mapped), array)


def test_a_pipe_is_no_array_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(OSError, match="no regular file"):
        read_npy(tmp_path / "a.npy")


def test_an_archive_of_arrays_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.ones(3))
    with pytest.raises(ValueError, match="begins otherwise"):
        read_npy(tmp_path / "a.npz")
