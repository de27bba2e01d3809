"""Colour profiles that tests make, and pictures in their colours; the arithmetic is NumPy's, not littleCMS's.

Source: ICC.1:2010, sections 7.2 (header), 10.5 (curveType), 10.8 (lut8Type), 10.31 (XYZType).
"""

import struct

import numpy as np
from PIL import Image

D50 = (0.9642, 1.0, 0.8249)
D65_XY, D50_XY = (0.3127, 0.3290), (0.3457, 0.3585)
PRIMARIES = {  # x, y of red, green, blue and white, and the exponent
    "srgb": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65_XY, None),
    "display-p3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), D65_XY, None),
    "adobe-rgb": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65_XY, 2.2),
    "prophoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), D50_XY, 1.8),
}
WIDE = tuple(name for name in PRIMARIES if name != "srgb")
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def colorants(space: str) -> np.ndarray:
    """Return XYZ under D50 of linear RGB, (3, 3)."""

    def xyz(x: float, y: float) -> np.ndarray:
        return np.array([x / y, 1, (1 - x - y) / y])

    *primaries, white, _ = PRIMARIES[space]
    columns, light = np.stack([xyz(*primary) for primary in primaries], axis=1), xyz(*white)
    adapted = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ light)) @ BRADFORD
    return adapted @ (columns * np.linalg.solve(columns, light))


def linear(values: np.ndarray, exponent: float | None) -> np.ndarray:
    """Return linear light of values in 0..1; no exponent is sRGB's curve."""
    if exponent is not None:
        return values**exponent
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def in_space(picture: Image.Image, space: str) -> Image.Image:
    """Return the same colours as an sRGB picture's, as numbers of another space."""
    light = linear(np.asarray(picture) / 255, None) @ (np.linalg.inv(colorants(space)) @ colorants("srgb")).T
    exponent = PRIMARIES[space][-1]
    light = light.clip(0, 1)
    values = light ** (1 / exponent) if exponent else np.interp(light, linear(np.linspace(0, 1, 4097), None), LEVELS)
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


LEVELS = np.linspace(0, 1, 4097)


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """Return a profile with these tags."""
    tags = {b"wtpt": numbers(b"XYZ ", *D50)} | tags
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += padded
    head = struct.pack(">I4xI4s4s4s12x4s28x", start + len(body), 0x02100000, kind, space, pcs, b"acsp")
    head = (head + numbers(b"", *D50)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


def numbers(kind: bytes, *values: float) -> bytes:
    """Return s15Fixed16Numbers, as a tag of some type or bare."""
    return (kind + b"\0" * 4 if kind else b"") + b"".join(struct.pack(">i", round(65536 * value)) for value in values)


def curve(exponent: float | None) -> bytes:
    """Return a curve; no exponent is sRGB's."""
    if exponent is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * exponent))
    steps = np.rint(linear(np.linspace(0, 1, 1024), None) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(steps)) + steps.tobytes()


def rgb_profile(space: str) -> bytes:
    """Return the profile of a space of `PRIMARIES`."""
    columns, tone = colorants(space).T, curve(PRIMARIES[space][-1])
    lights = {
        name: numbers(b"XYZ ", *column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    }
    return profile(b"RGB ", lights | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone))


def grey_profile(exponent: float) -> bytes:
    """Return a profile of grey."""
    return profile(b"GRAY", {b"kTRC": curve(exponent)})


def cmyk_profile() -> bytes:
    """Return a profile of inks that are grey, whatever ink it is: L* falls with the sum of the four, to 0 at four."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(-1, 4).sum(axis=1)
    lab = np.stack([np.rint(255 * (1 - corners / 4)), *[np.full(16, 128)] * 2], axis=1).astype(np.uint8)
    straight = np.arange(256, dtype=np.uint8).tobytes()
    head = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + numbers(b"", 1, 0, 0, 0, 1, 0, 0, 0, 1)
    return profile(b"CMYK", {b"A2B0": head + straight * 4 + lab.tobytes() + straight * 3}, b"Lab ", b"prtr")
