"""Made-up vectors with the structure of CLIP's, as many as one likes: photos in a narrow cone, texts in another.

python benchmarks/clip_like.py [--photos FOLDER]      # how alike they are: beside the starter model on photos

Photos: unit vectors around a common mean (the cone), with a power-law spectrum, in scenes (clusters with Zipf's sizes)
and hotels (photos of one hotel resemble each other). Texts: around another mean, since CLIP keeps the two apart (Liang
et al. 2022, "Mind the gap"), each the blend of one to three scenes, and much that no photo shows. Beside real vectors
these are less clustered and spread over more dimensions, so that searching them approximately is harder.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from records import figure, recorded

from base.settings import asset

PHOTOS, DIM = 1_124_215, 512  # of Hotels-50K, of ViT-B/32
SCENES, HOTELS = 4_096, 50_000
CONE = 0.75  # length of the photos' mean, so that two photos have a cosine of about 0.56
GAP = 0.35  # cosine between the photos' mean and the texts'
TEXT_CONE = 0.75
MATCH = 0.35  # length of that part of a text that photos can show
DECAY = 1.2  # the i-th principal component has a variance of i^-DECAY
SHARES = (0.50, 0.15, 0.35)  # of a photo's variance: scene, hotel, the photo itself
BLOCK_ROWS = 65_536


class ClipLike:
    """A world of scenes and hotels that photos and texts are drawn from; the same for the same seed."""

    def __init__(self, dim: int = DIM, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.dim, self._seed = dim, seed
        self._rotation = np.linalg.qr(draw.normal(size=(dim, dim)))[0].astype(np.float32)
        spectrum = np.arange(1, dim + 1) ** -DECAY
        self._spread = np.sqrt(spectrum / spectrum.sum()).astype(np.float32)  # vectors of length about 1
        means = np.linalg.qr(draw.normal(size=(dim, 2)))[0].T.astype(np.float32)
        self._photo_mean = means[0]
        self._text_mean = GAP * means[0] + np.sqrt(1 - GAP**2).astype(np.float32) * means[1]
        self._scenes = self._latent(draw, SCENES)
        self._hotels = self._latent(draw, HOTELS)
        sizes = 1 / np.arange(1, SCENES + 1) ** 0.7
        self._sizes = sizes / sizes.sum()

    def photos(self, count: int) -> Iterator[np.ndarray]:
        """Yield unit vectors (n, d) float32, in blocks; photos of one hotel follow each other."""
        scene, hotel, own = (np.sqrt(share).astype(np.float32) for share in SHARES)
        for number, start in enumerate(range(0, count, BLOCK_ROWS)):
            draw = np.random.default_rng((self._seed, 1, number))
            n = min(BLOCK_ROWS, count - start)
            hotels = (np.arange(start, start + n) * HOTELS // max(count, 1)).astype(int)
            latent = own * self._latent(draw, n)
            latent += scene * self._scenes[draw.choice(SCENES, n, p=self._sizes)] + hotel * self._hotels[hotels]
            yield unit(CONE * self._photo_mean + np.sqrt(1 - CONE**2).astype(np.float32) * latent)

    def texts(self, count: int) -> np.ndarray:
        """Return unit vectors (count, d) float32."""
        draw = np.random.default_rng((self._seed, 2))
        blended = np.stack(
            [self._scenes[draw.choice(SCENES, draw.integers(1, 4), p=self._sizes)].mean(axis=0) for _ in range(count)]
        )
        rest = np.sqrt(1 - TEXT_CONE**2 - MATCH**2).astype(np.float32)
        other = unit(draw.standard_normal((count, self.dim), np.float32))
        return unit(TEXT_CONE * self._text_mean + MATCH * unit(blended) + rest * other)

    def _latent(self, draw: np.random.Generator, count: int) -> np.ndarray:
        return (draw.standard_normal((count, self.dim), np.float32) * self._spread) @ self._rotation


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return the rows at length 1."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def figures(photos: np.ndarray, texts: np.ndarray) -> dict[str, float]:
    """Return what tells whether vectors (n, d) and (t, d) are like CLIP's."""
    between = photos @ photos[:500].T
    np.fill_diagonal(between[:500], np.nan)
    cosines = texts @ photos.T
    variances = np.linalg.eigvalsh(np.cov(photos.T))[::-1]
    top = np.sort(cosines, axis=1)[:, ::-1]
    return {
        "cosine of two photos, mean": float(np.nanmean(between)),
        "cosine of two photos, standard deviation": float(np.nanstd(between)),
        "cosine of text and photo, mean": float(cosines.mean()),
        "cosine of text and photo, standard deviation for one text": float(cosines.std(axis=1).mean()),
        "best cosine of a text, in standard deviations above its mean": float(
            ((top[:, 0] - cosines.mean(axis=1)) / cosines.std(axis=1)).mean()
        ),
        "cosine of the two means": float(unit(photos.mean(0)[None])[0] @ unit(texts.mean(0)[None])[0]),
        "dimensions that hold half of the variance": float((variances.cumsum() / variances.sum() < 0.5).sum() + 1),
    }


def of_starter(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the embedded model's vectors of a folder's photos, and of the texts that recall is measured by."""
    from embedding.decode import decode
    from embedding.open_clip_encoder import OpenClipEncoder
    from indexer.upkeep import probe_texts

    encoder = OpenClipEncoder.load("starter")
    squares = [decode(path.read_bytes(), encoder.preprocessing).pixels for path in sorted(folder.rglob("*.jpg"))]
    parts = [encoder.encode_images(np.stack(squares[at : at + 32])) for at in range(0, len(squares), 32)]
    return np.concatenate(parts), encoder.encode_texts(probe_texts())


@recorded
def main() -> None:
    """Print the figures of made-up vectors beside those of the starter model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=Path, default=asset("aliens/samples") / "images")
    photos, texts = of_starter(parser.parse_args().photos)
    world = ClipLike()
    everything = next(world.photos(PHOTOS))
    made_up = everything[np.random.default_rng(0).choice(len(everything), len(photos), replace=False)]
    real, ours = figures(photos, texts), figures(made_up, world.texts(len(texts)))
    print(f"{'':66} {'starter':>8} {'made up':>8}   ({len(photos)} photos, {len(texts)} texts)")
    for name, value in real.items():
        print(f"{name:66} {value:8.3f} {ours[name]:8.3f}")
        unit = "dimensions" if name.startswith("dimensions") else "deviations" if " in standard" in name else "cosine"
        figure(f"{name}, starter", value, unit)
        figure(f"{name}, made up", ours[name], unit)


if __name__ == "__main__":
    main()
