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
