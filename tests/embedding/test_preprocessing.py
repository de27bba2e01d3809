"""Our decoding against open_clip's own transform: first pixel by pixel, then by what the model makes of it."""

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from aliens.library import Library
from embedding.decode import Preprocessing, decode, lent_rgb, resized_image, square
from embedding.open_clip_encoder import OpenClipEncoder
from embedding.resizing import fitted_square
from tests.by_folder import found_vectors
from tests.embedding.conftest import encoded, smooth

# OpenAI's mean and standard deviation, of which no two are equal, so that a mix-up of channels shows.
MEAN, STD = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)
REAL_PHOTOS = 40
BATCH = 16


def preprocessing(resize_mode: str, interpolation: str = "bicubic", size_px: int = 224, fill: int = 0) -> Preprocessing:
    return Preprocessing(
        size_px=size_px,
        mean=MEAN,
        std=STD,
        interpolation=interpolation,
        resize_mode=resize_mode,
        fill_color=fill,
    )


def reference_pixels(image: Image.Image, wanted: Preprocessing) -> np.ndarray:
    """Return what open_clip's transform makes of an RGB image, its normalisation undone, (s, s, 3) 0 to 255."""
    config = PreprocessCfg(
        size=wanted.size_px,
        mean=wanted.mean,
        std=wanted.std,
        interpolation=wanted.interpolation,
        resize_mode=wanted.resize_mode,
        fill_color=wanted.fill_color,
    )
    normalised = image_transform_v2(config, is_train=False)(image).permute(1, 2, 0).numpy()
    return np.rint((normalised * np.array(wanted.std) + np.array(wanted.mean)) * 255)


def largest_difference(ours: np.ndarray, reference: np.ndarray) -> float:
    assert ours.shape == reference.shape
    return float(np.abs(ours - reference).max())


@pytest.fixture(scope="module")
def listed(samples: Path) -> list[dict[str, str]]:
    with open(samples / "labels.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sample_of_each_size(samples: Path, listed: list[dict[str, str]]) -> list[Path]:
    """Two photos of every size and mode among the samples: wide, tall, large and grey ones."""
    found: dict[tuple[object, ...], list[Path]] = {}
    for row in listed:
        with Image.open(samples / row["path"]) as image:
            found.setdefault((image.size, image.mode), []).append(samples / row["path"])
    assert {(350, 233), (233, 350), (1024, 728), (2592, 1728)} <= {size for size, _ in found}
    return [path for paths in found.values() for path in paths[:2]]


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "squash"])
def test_undrafted_photos_have_the_pixels_of_open_clip(
    resize_mode: str, interpolation: str, sample_of_each_size: list[Path]
) -> None:
    wanted = preprocessing(resize_mode, interpolation)
    for path in sample_of_each_size:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
        ours = decode(encoded(rgb, "BMP"), wanted).pixels  # a format that is never decoded smaller
        assert largest_difference(ours, reference_pixels(rgb, wanted)) <= 2, path.name


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_padded_photos_have_the_pixels_of_open_clip(interpolation: str, sample_of_each_size: list[Path]) -> None:
    wanted = preprocessing("longest", interpolation, size_px=256, fill=127)
    for path in sample_of_each_size:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
        assert largest_difference(square(rgb, wanted), reference_pixels(rgb, wanted)) <= 2, path.name


def test_padding_that_cannot_be_halved_lies_where_open_clip_puts_it() -> None:
    photo = smooth(350, 233)
    wanted = preprocessing("longest", size_px=224)
    assert (224 - fitted_square(photo.size, 224)[1]) % 4 == 3
    assert largest_difference(square(photo, wanted), reference_pixels(photo, wanted)) <= 2


@settings(max_examples=300)
@given(
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    size_px=st.integers(4, 48),
    resize_mode=st.sampled_from(["shortest", "squash"]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
)
def test_any_shape_has_the_pixels_of_open_clip(
    width: int, height: int, size_px: int, resize_mode: str, interpolation: str
) -> None:
    photo = smooth(width, height)
    wanted = preprocessing(resize_mode, interpolation, size_px)
    # A crop's borders are single precision in Pillow; at sizes this small a level or two more can be lost by that.
    assert largest_difference(square(photo, wanted), reference_pixels(photo, wanted)) <= 4


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
def test_jpegs_that_are_decoded_smaller_stay_close(resize_mode: str, sample_of_each_size: list[Path]) -> None:
    # libjpeg averages blocks where the reference resamples every pixel: sharp edges differ, areas do not.
    wanted = preprocessing(resize_mode, size_px=256)
    shrunk = [path for path in sample_of_each_size if is_decoded_smaller(path, wanted)]
    assert shrunk
    for path in shrunk:
        with Image.open(path) as image:
            reference = reference_pixels(image.convert("RGB"), wanted)
        assert np.abs(decode(path.read_bytes(), wanted).pixels - reference).mean() < 2, path.name


def is_decoded_smaller(path: Path, wanted: Preprocessing) -> bool:
    """Tell whether `decode` has libjpeg shrink this photo."""
    with lent_rgb(path.read_bytes(), partial(resized_image, preprocessing=wanted), 10**9) as photo:
        return photo.rgb.size != photo.size


# What the model makes of it


def our_vectors(encoder: OpenClipEncoder, paths: Sequence[Path]) -> np.ndarray:
    """Return each photo's vector, (n, d) float32."""
    squares = [decode(path.read_bytes(), encoder.preprocessing).pixels for path in paths]
    return np.concatenate([encoder.encode_images(np.stack(squares[at : at + BATCH])) for at in batches(paths)])


def drift(encoder: OpenClipEncoder, paths: Sequence[Path], ours: np.ndarray) -> np.ndarray:
    """Return each photo's cosine between our vector and the one by open_clip's transform in float32."""
    transform = image_transform_v2(PreprocessCfg(**open_clip.get_model_preprocess_cfg(encoder.model)), is_train=False)
    cosines = []
    for at in batches(paths):
        photos = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths[at : at + BATCH]])
        with torch.inference_mode():
            reference = encoder.model.encode_image(photos, normalize=True).numpy()
        cosines.append((ours[at : at + BATCH].astype(np.float64) * reference).sum(axis=1))
    return np.concatenate(cosines)


def batches(paths: Sequence[Path]) -> range:
    return range(0, len(paths), BATCH)


def report(photos: str, cosines: np.ndarray) -> None:
    print(f"drift of {len(cosines)} {photos}: min {cosines.min():.6f}, mean {cosines.mean():.6f}")


@pytest.fixture(scope="module")
def real_photos(shared_photos: Path) -> list[Path]:
    """The largest of the real photos: those that are decoded smaller are among them."""
    with open(shared_photos / "labels.csv", encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: -int(row["width"]))
    return [shared_photos / row["path"] for row in rows[:REAL_PHOTOS]]


@pytest.fixture(scope="module")
def real_drift(starter: OpenClipEncoder, real_photos: list[Path]) -> np.ndarray:
    return drift(starter, real_photos, our_vectors(starter, real_photos))


def test_the_drift_of_sample_photos_is_small(
    starter: OpenClipEncoder, samples: Path, listed: list[dict[str, str]], sample_library: Library
) -> None:
    assert len(listed) == 240
    listed = listed[::3]  # open_clip's own way takes its time
    kept = found_vectors(sample_library.folder)
    places = {hit.image_id: kept[hit.photo_id] for hit in sample_library.search("a room", k=240)}
    ours = np.stack([places[int(row["image_id"])] for row in listed]).astype(np.float32)
    cosines = drift(starter, [samples / row["path"] for row in listed], ours)
    report("sample photos", cosines)
    assert cosines.min() >= 0.999
    assert cosines.mean() >= 0.9999


def test_the_drift_of_real_photos_that_are_decoded_whole_is_nothing(
    starter: OpenClipEncoder, real_photos: list[Path], real_drift: np.ndarray
) -> None:
    whole = np.array([not is_decoded_smaller(path, starter.preprocessing) for path in real_photos])
    report("real photos decoded whole", real_drift[whole])
    assert whole.sum() >= 20
    assert real_drift[whole].min() >= 0.99999


def test_the_drift_of_real_photos_is_small(real_drift: np.ndarray) -> None:
    report("real photos", real_drift)
    assert real_drift.min() >= 0.999
    assert real_drift.mean() >= 0.9999
