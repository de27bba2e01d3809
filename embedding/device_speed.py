"""How fast a device computes what models are made of, measured in a second or two. Loads no model."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from embedding.device import PRECISIONS, choose_device, choose_precision, keep_freed_memory

BATCHES = {"cpu": 16, "cuda": 256, "mps": 64}  # as photos are encoded: see embedding.open_clip_encoder
WIDTH, HEADS, TOKENS = 768, 12, 50  # of ViT-B/32, the least that is common
CHANNELS, EXPANDED, SIDE = 48, 288, 33  # of EfficientNet-Lite2's middle, as the starter has it
MEASURED_S = 0.3  # at least, of each kind
ROUNDS = 3  # the best of which counts: others use the machine as well


@dataclass(frozen=True, slots=True)
class DeviceSpeed:
    """Floating-point operations a second, two for a multiply-add, in batches as photos are encoded.

    transformer: of attention and layers between; convolution: of light convolutions, which move more than they compute.
    """

    device: str
    precision: str
    transformer: float
    convolution: float


class TransformerBlock(nn.Module):
    """A layer of a vision transformer. Source: Dosovitskiy et al. 2021, as open_clip computes it."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mixed, self.joined = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens (n, t, width)."""
        n, t, _ = x.shape
        query, key, value = self.mixed(self.before(x)).view(n, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        seen: torch.Tensor = nn.functional.scaled_dot_product_attention(
            query, key, value
        )  # (n, heads, t, width / heads)
        x = x + self.joined(seen.transpose(1, 2).reshape(n, t, WIDTH))
        mapped: torch.Tensor = x + self.narrow(nn.functional.gelu(self.wide(self.between(x))))
        return mapped


class ConvolutionBlock(nn.Module):
    """An inverted residual of a light convolutional network. Source: Sandler et al. 2018, MobileNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(CHANNELS, EXPANDED, 1, bias=False),
            nn.BatchNorm2d(EXPANDED),
            nn.ReLU6(),
            nn.Conv2d(EXPANDED, EXPANDED, 5, padding=2, groups=EXPANDED, bias=False),
            nn.BatchNorm2d(EXPANDED),
            nn.ReLU6(),
            nn.Conv2d(EXPANDED, CHANNELS, 1, bias=False),
            nn.BatchNorm2d(CHANNELS),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return maps (n, channels, side, side)."""
        mapped: torch.Tensor = x + self.layers(x)
        return mapped


# Of one photo and one layer, two for a multiply-add.
TRANSFORMER_FLOPS = 2 * TOKENS * 12 * WIDTH**2 + 4 * TOKENS**2 * WIDTH
CONVOLUTION_FLOPS = 2 * SIDE**2 * (2 * CHANNELS * EXPANDED + 25 * EXPANDED)


def device_speed(device: str = "auto", precision: str = "auto") -> DeviceSpeed:
    """Measure a device. Raises: EncoderError: it is absent, or the precision is unknown."""
    device = choose_device(device)
    precision = choose_precision(precision, device)
    if device == "cpu":
        keep_freed_memory()
    batch, kind = BATCHES[device], PRECISIONS[precision]
    with torch.inference_mode():
        transformer = nn.Sequential(*(TransformerBlock() for _ in range(4))).eval().to(device, kind)
        tokens = torch.zeros(batch, TOKENS, WIDTH, device=device, dtype=kind)
        convolution = nn.Sequential(*(ConvolutionBlock() for _ in range(4))).eval().to(device, kind)
        convolution = convolution.to(memory_format=torch.channels_last)
        maps = torch.zeros(batch, CHANNELS, SIDE, SIDE, device=device, dtype=kind).to(memory_format=torch.channels_last)
        return DeviceSpeed(
            device,
            precision,
            transformer=4 * batch * TRANSFORMER_FLOPS / seconds_of(lambda: transformer(tokens), device),
            convolution=4 * batch * CONVOLUTION_FLOPS / seconds_of(lambda: convolution(maps), device),
        )


def seconds_of(compute: Callable[[], torch.Tensor], device: str) -> float:
    """Return how long a computation takes at best, once warm."""
    wait = torch.cuda.synchronize if device == "cuda" else torch.mps.synchronize if device == "mps" else lambda: None
    compute()
    wait()
    best = float("inf")
    for _ in range(ROUNDS):
        start, times = time.perf_counter(), 0
        while times == 0 or time.perf_counter() - start < MEASURED_S / ROUNDS:
            compute()
            wait()
            times += 1
        best = min(best, (time.perf_counter() - start) / times)
    return best
