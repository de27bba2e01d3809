import numpy as np
import pytest
import torch

from base.errors import EncoderError
from embedding.device import choose_device, choose_precision, cpu_has_bfloat16
from embedding.open_clip_encoder import OpenClipEncoder


@pytest.fixture
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("cpu_only")
@pytest.mark.parametrize("device", ["cuda", "mps", "tpu", "cuda:1", ""])
def test_a_device_that_is_absent_is_refused(device: str) -> None:
    with pytest.raises(EncoderError) as caught:
        OpenClipEncoder.load("starter", device=device)
    assert repr(device) in str(caught.value)
    assert str(caught.value).endswith("sees cpu")


@pytest.mark.usefixtures("cpu_only")
def test_auto_takes_the_cpu_where_nothing_else_is() -> None:
    assert choose_device("auto") == "cpu"


@pytest.mark.usefixtures("cpu_only")
def test_auto_takes_the_fastest_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == "cuda"
    assert choose_device("cpu") == "cpu"


@pytest.mark.parametrize("precision", ["float16", "fp32", ""])
def test_an_unknown_precision_is_refused_with_the_choices(precision: str) -> None:
    with pytest.raises(EncoderError, match="auto, float32, bfloat16") as caught:
        OpenClipEncoder.load("starter", device="cpu", precision=precision)
    assert repr(precision) in str(caught.value)


@pytest.mark.parametrize(
    ("capabilities", "chosen"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx2": True, "avx512_bf16": False}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_takes_bfloat16_where_the_processor_has_it(
    capabilities: dict[str, bool], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_precision("auto", "cpu") == chosen
    assert choose_precision("auto", "mps") == "float32"


def test_a_torch_that_cannot_tell_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert cpu_has_bfloat16() is False


# Of a forked process


def test_a_process_forked_from_one_that_used_cuda_computes_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == "cuda"
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(EncoderError, match=r"forked from one that used CUDA.*spawn.*--device cpu"):
        choose_device("cuda")


def test_a_model_that_was_loaded_on_cuda_before_a_fork_says_so(
    starter: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    monkeypatch.setattr(starter, "device", torch.device("cuda"))
    squares = np.zeros((1, starter.preprocessing.size_px, starter.preprocessing.size_px, 3), np.uint8)
    for encode in (lambda: starter.encode_images(squares), lambda: starter.encode_texts(["never asked before"])):
        with pytest.raises(EncoderError, match="forked from one that used CUDA"):
            encode()


def test_devices_say_what_they_are_called_and_have_free(monkeypatch: pytest.MonkeyPatch) -> None:
    from embedding.device import device_name, free_device_bytes

    assert device_name("cpu")
    assert (free_device_bytes("cpu") or 0) > 1_000_000
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H200")
    monkeypatch.setattr("embedding.gpu_memory.CudaMemory.free_bytes", lambda self: 5)
    assert (device_name("cuda"), free_device_bytes("cuda")) == ("NVIDIA H200", 5)
