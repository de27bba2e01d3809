"""Colours that HEIF and AVIF name by numbers become a colour profile, which the rest of the way understands.

Sources: ITU-T H.273, tables 2 and 3 (primaries, transfer characteristics); ICC.1:2022, 7 to 10 and annex E (profiles,
adaptation to D50); Rec. ITU-R BT.2100-2, tables 4 and 5 (PQ, HLG); Report ITU-R BT.2408-4, 2.1 (white of 203 cd/m2).
"""

import struct
from functools import lru_cache

import numpy as np

from base.arrays import Doubles

D65 = (0.3127, 0.3290)
PRIMARIES = {  # x and y of red, green and blue, and of white; those of sRGB need no profile
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *D65),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65),
    11: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *D65),
}
SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
GAMMA_22, GAMMA_28, LINEAR, PQ, HLG = 4, 5, 8, 16, 18  # all others are shown as sRGB is, as browsers do
CURVE_POINTS = 4096
WHITE = 203.0  # cd/m2, of PQ: what is white on paper
HLG_WHITE = 0.265  # of HLG's light: the same, of 1,000 cd/m2
KNEE = 0.5  # of that white: brighter light, which a screen cannot show, is pressed together from here on
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@lru_cache(64)
def profile_of(primaries: int, transfer: int) -> bytes | None:
    """Return the ICC profile of colours by their numbers; None where they are shown as sRGB is."""
    curve = curve_of(transfer)
    if primaries not in PRIMARIES and curve is None:
        return None
    columns = to_d50(PRIMARIES.get(primaries, SRGB))
    tags = {b"desc": text_tag("nclx"), b"cprt": text_tag("none"), b"wtpt": colour_tag(D50)}
    tags |= {name: colour_tag(columns[:, at]) for at, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), srgb_curve_tag() if curve is None else curve_tag(curve))
    return profile(tags)


def to_d50(primaries: tuple[float, ...]) -> Doubles:
    """Return the matrix from linear RGB to XYZ as it is under D50, (3, 3)."""
    points = np.array(primaries).reshape(4, 2)
    whole = np.column_stack([points[:, 0] / points[:, 1], np.ones(4), (1 - points.sum(axis=1)) / points[:, 1]]).T
    white = whole[:, 3]
    columns = whole[:, :3] * np.linalg.solve(whole[:, :3], white)
    adapted = np.linalg.solve(BRADFORD, np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD)
    matrix: Doubles = adapted @ columns
    return matrix


def curve_of(transfer: int) -> Doubles | None:
    """Return the light, 0 to 1, of values from 0 to 1, CURVE_POINTS of them; None where it is that of sRGB."""
    values = np.linspace(0, 1, CURVE_POINTS)
    if transfer == LINEAR:
        return values
    if transfer in (GAMMA_22, GAMMA_28):
        return np.asarray(values ** (2.2 if transfer == GAMMA_22 else 2.8))
    if transfer == PQ:
        root = values ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return on_screen(light * 10_000 / WHITE)
    if transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return on_screen(np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12) / HLG_WHITE)
    return None


def on_screen(light: Doubles) -> Doubles:
    """Return light as a screen can show it: what is brighter than the knee is pressed together below 1."""
    pressed = 1 - (1 - KNEE) * np.exp(-(np.maximum(light, KNEE) - KNEE) / (1 - KNEE))
    return np.where(light <= KNEE, light, pressed)


def profile(tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile of a display with these tags."""
    place = 128 + 4 + 12 * len(tags)
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for name, data in tags.items():
        padded = data + b"\0" * (-len(data) % 4)
        if data not in places:  # the three curves are one
            places[data] = place + len(body)
            body += padded
        table += name + struct.pack(">II", places[data], len(data))
    head = struct.pack(">I4xI4s4s4s12x4s28x", place + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return head + s15fixed16(D50) + b"\0" * 48 + table + body


def s15fixed16(numbers: Doubles) -> bytes:
    """Return numbers as profiles hold them."""
    return struct.pack(f">{len(numbers)}i", *(round(float(number) * 65_536) for number in numbers))


def colour_tag(numbers: Doubles) -> bytes:
    """Return a tag of a colour."""
    return b"XYZ \0\0\0\0" + s15fixed16(numbers)


def text_tag(said: str) -> bytes:
    """Return a tag of a text."""
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2 * len(said), 28) + said.encode("utf-16-be")


def srgb_curve_tag() -> bytes:
    """Return the tag of sRGB's curve."""
    return b"para\0\0\0\0\0\3\0\0" + s15fixed16(np.array([2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]))


def curve_tag(curve: Doubles) -> bytes:
    """Return the tag of a curve by its points."""
    points = np.round(curve * 65_535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + points
