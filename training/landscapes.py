"""What is seen through windows: skies, seas, mountains, cities, gardens, drawn from noise. No photo is an input."""

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
HEIGHT, WIDTH = 256, 512
HORIZON = 0.55  # of the height, from the top


def landscape(view: str, seed: int) -> NDArray[np.uint8]:
    """Return a view as RGB, shape (256, 512, 3); `view` is one of builder.VIEWS."""
    r, g = random.Random(seed), np.random.default_rng(seed)
    night = view == "night city"
    picture = sky(r, g, night=night)
    horizon = int(HEIGHT * (HORIZON + r.uniform(-0.08, 0.08)))
    if view in ("mountains", "lake"):
        for layer in range(3):
            tone = np.array([90, 105, 130]) * (1 - 0.25 * layer) + np.array([0, 25, 0]) * layer
            ridge(picture, g, horizon, height=r.uniform(40, 110) / (1 + 0.7 * layer), tone=tone, snow=layer == 0)
    if view in ("sea", "beach", "lake"):
        water(picture, g, horizon, r.choice(((40, 95, 140), (60, 140, 165), (70, 110, 130), (50, 150, 170))))
    if view == "beach":
        ground(picture, g, int(HEIGHT * r.uniform(0.72, 0.85)), (220, 200, 160))
    if view in ("mountains", "garden"):
        ground(picture, g, horizon, r.choice(((90, 125, 60), (70, 105, 50), (120, 130, 70))))
    if view == "garden":
        for _ in range(r.randint(25, 60)):
            bush(picture, r, g, horizon)
    if view in ("city", "night city", "street"):
        ground(picture, g, horizon, (70, 72, 78) if not night else (18, 18, 26))
        for depth in (0.45, 0.7, 1.0):
            for _ in range(r.randint(8, 22)):
                house(picture, r, g, horizon, depth, night=night, low=view == "street")
    return np.clip(picture, 0, 255).astype(np.uint8)


def noise(g: np.random.Generator, height: int, width: int, octaves: int = 5) -> Picture:
    """Return smooth noise between 0 and 1, shape (height, width)."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows, columns = 2 + 2**octave * 2, 2 + 2**octave * 4
        coarse = g.random((rows, columns), np.float32)
        y, x = np.linspace(0, rows - 1.001, height), np.linspace(0, columns - 1.001, width)
        i, j = y.astype(int), x.astype(int)
        u, v = (y - i)[:, None], (x - j)[None]
        top = coarse[i][:, j] * (1 - v) + coarse[i][:, j + 1] * v
        bottom = coarse[i + 1][:, j] * (1 - v) + coarse[i + 1][:, j + 1] * v
        total += ((top * (1 - u) + bottom * u) * 0.5**octave).astype(np.float32)
    scaled: Picture = (total - total.min()) / (np.ptp(total) + 1e-6)
    return scaled


def sky(r: random.Random, g: np.random.Generator, *, night: bool) -> Picture:
    """Return a sky with clouds, shape (256, 512, 3)."""
    tops: list[tuple[Any, Any]] = [
        ((80, 140, 215), (190, 215, 235)),
        ((120, 150, 190), (215, 220, 225)),
        ((70, 90, 140), (250, 180, 120)),
    ]
    top, low = ((10, 14, 34), (40, 40, 66)) if night else r.choice(tops)
    share = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None] ** 0.8
    picture = np.array(top, np.float32) * (1 - share) + np.array(low, np.float32) * share
    clouds = np.clip((noise(g, HEIGHT, WIDTH) - r.uniform(0.4, 0.75)) * 4, 0, 1)[..., None] * (0.15 if night else 0.9)
    white = np.array((245, 245, 248), np.float32)
    clouded: Picture = (picture * (1 - clouds) + white * clouds).astype(np.float32)
    return clouded


def ridge(picture: Picture, g: np.random.Generator, horizon: int, *, height: float, tone: Any, snow: bool) -> None:
    """Draw a mountain ridge above the horizon."""
    line = horizon - noise(g, 2, WIDTH, 6)[0] * height
    rows = np.arange(HEIGHT)[:, None]
    inside = (rows >= line) & (rows < horizon + 3)
    shade = 0.7 + 0.6 * noise(g, HEIGHT, WIDTH, 6)
    colour = np.asarray(tone, np.float32) * shade[..., None]
    if snow:
        white = np.array((235, 240, 248), np.float32) * np.minimum(shade, 1)[..., None]
        colour = np.where((((rows - line) < height * 0.35 * shade) & inside)[..., None], white, colour)
    picture[inside] = colour[inside]


def water(picture: Picture, g: np.random.Generator, horizon: int, tone: tuple[int, int, int]) -> None:
    """Draw water from the horizon down, with waves that grow towards the front."""
    rows = HEIGHT - horizon
    waves = noise(g, rows, WIDTH, 6)
    stripes = np.sin(np.cumsum(np.linspace(2.2, 0.35, rows))[:, None] + waves * 6)
    light = 0.85 + 0.25 * waves + 0.08 * stripes
    depth = np.linspace(1.25, 0.8, rows)[:, None]
    picture[horizon:] = np.array(tone, np.float32) * (light * depth)[..., None]


def ground(picture: Picture, g: np.random.Generator, top: int, tone: tuple[int, int, int]) -> None:
    """Draw ground from a row down."""
    shade = 0.75 + 0.5 * noise(g, HEIGHT - top, WIDTH, 7)
    picture[top:] = np.array(tone, np.float32) * shade[..., None]


def bush(picture: Picture, r: random.Random, g: np.random.Generator, horizon: int) -> None:
    """Draw a tree's crown or a bush, with its trunk."""
    near = r.random()
    x, y = r.randrange(WIDTH), horizon + int(near * 60) - r.randint(0, 40)
    radius = int(8 + 34 * near * r.uniform(0.5, 1))
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    rough = noise(g, HEIGHT, WIDTH, 6)
    crown = ((columns - x) / (radius * 1.1)) ** 2 + ((rows - y) / radius) ** 2 + (rough - 0.5) * 1.4 < 1
    trunk = (abs(columns - x) < max(radius // 10, 1)) & (rows > y) & (rows < y + radius * 1.6)
    picture[np.broadcast_to(trunk, crown.shape)] = (80, 62, 48)
    green = np.array(r.choice(((60, 100, 45), (45, 85, 40), (85, 120, 55), (110, 125, 50))), np.float32)
    picture[crown] = (green * (0.5 + 0.9 * rough[..., None]))[crown]


def house(
    picture: Picture, r: random.Random, g: np.random.Generator, horizon: int, near: float, *, night: bool, low: bool
) -> None:
    """Draw a house with its windows."""
    width, tall = int(r.uniform(14, 50) * near), int(r.uniform(15, 45 if low else 130) * near)
    x, foot = r.randrange(-10, WIDTH), horizon + int(40 * (near - 0.4) ** 1.5)
    tones = ((150, 145, 140), (120, 130, 145), (170, 150, 130), (95, 100, 110), (185, 180, 170))
    tone = np.array(r.choice(tones), np.float32)
    left, right, top = max(x, 0), min(x + width, WIDTH), max(foot - tall, 0)
    if right - left < 4:
        return
    wall = tone * (0.16 if night else r.uniform(0.7, 1.1)) * (1.15 - 0.15 * near)
    picture[top:foot, left:right] = wall
    step = max(int(5 * near), 3)
    for row in range(top + 2, foot - 2, step):
        lit = g.random((right - left) // step + 1)
        for place, column in enumerate(range(left + 1, right - step // 2, step)):
            glow = (250, 215, 140) if night and lit[place] < 0.45 else wall * (0.6 if lit[place] < 0.7 else 1.2)
            picture[row : row + max(step // 2, 1), column : column + max(step // 2, 1)] = glow
