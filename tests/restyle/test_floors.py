"""Floors: strangers are refused and recolourings are not, on samples and on real photos; spoilt floors are refused."""

import io
from collections.abc import Callable
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from base.arrays import Pixels
from base.errors import AliensError
from base.records import write_record
from base.settings import LibraryFolder
from embedding.colour import encoded, lab_of, linear_of_lab, within
from restyle.floors import (
    DEFAULT_FLOORS,
    FEWEST_PHOTOS,
    SAME_PHOTO,
    STRICTEST,
    Floors,
    calibrate,
    null_of,
    read_floors,
)
from restyle.structure import Likeness, Structure, compare, moved_by, structure_of

LONGEST_PX = 320


def read(path: Path) -> Pixels:
    with Image.open(path) as photo:
        return within(np.asarray(photo.convert("RGB")), LONGEST_PX)


@pytest.fixture(scope="module")
def rooms(samples: Path) -> list[Pixels]:
    """Every fourth sample photo: 60."""
    return [read(path) for path in sorted(samples.glob("images/**/*.jpg"))[::4]]


@pytest.fixture(scope="module")
def real_rooms(shared_photos: Path) -> list[Pixels]:
    """Every 17th real photo: 60."""
    return [read(path) for path in sorted(shared_photos.glob("**/*.jpg"))[::17]]


@pytest.fixture(scope="module")
def structures(rooms: list[Pixels]) -> list[Structure]:
    return [structure_of(photo) for photo in rooms]


@pytest.fixture(scope="module")
def real_structures(real_rooms: list[Pixels]) -> list[Structure]:
    return [structure_of(photo) for photo in real_rooms]


@pytest.fixture(scope="module")
def usual(structures: list[Structure]) -> Floors:
    return calibrate(structures)


@pytest.fixture(scope="module")
def real_usual(real_structures: list[Structure]) -> Floors:
    return calibrate(real_structures)


def relit(pixels: Pixels, power: float, chroma: Callable[[np.ndarray], np.ndarray]) -> Pixels:
    """Return a photo with its lightness raised to a power and new a*, b* computed from its L*a*b*."""
    lab = lab_of(pixels)
    lightness = 100 * (lab[..., :1].clip(0, 100) / 100) ** power
    new = np.concatenate([lightness, chroma(lab)], axis=-1)
    return np.round(encoded(linear_of_lab(new)) * 255).astype(np.uint8)


def as_jpeg(pixels: Pixels) -> Pixels:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=85)
    return np.asarray(Image.open(data))


RECOLOURINGS: dict[str, Callable[[Pixels], Pixels]] = {
    "hues turned": lambda pixels: relit(pixels, 1, lambda lab: lab[..., [2, 1]] * (-1, 1)),
    "yellow to blue": lambda pixels: as_jpeg(relit(pixels, 1, lambda lab: lab[..., :1] / 100 * (-5, 95) + (5, -45))),
    "green and darker": lambda pixels: as_jpeg(
        relit(pixels, 1.25, lambda lab: 0.3 * lab[..., 1:] + 0.7 * np.array((-40, 35)))
    ),
    "grey and lighter": lambda pixels: relit(pixels, 0.8, lambda lab: 0 * lab[..., 1:]),
}


def falsely_accepted(structures: list[Structure], *several: Floors) -> float:
    """Return the share of pairs of different photos that the mildest of several floors accepts."""
    hogs, edge_f1s = (values[null[0] < SAME_PHOTO] for null in [null_of(structures)] for values in null)
    return max(float(((hogs >= floors.hog) & (edge_f1s >= floors.edge_f1)).mean()) for floors in several)


def recoloured(photos: list[Pixels], structures: list[Structure]) -> list[Likeness]:
    """Return how alike recolourings are to their photos: every other photo is recoloured in one way."""
    ways = cycle(RECOLOURINGS.values())
    pairs = zip(structures[::2], photos[::2], ways, strict=False)
    return [compare(a, structure_of(way(photo))) for a, photo, way in pairs]


@pytest.mark.parametrize("real", ["", "real_"])
def test_strangers_are_refused_and_recolourings_are_not(real: str, request: pytest.FixtureRequest) -> None:
    rooms, structures, usual = (request.getfixturevalue(f"{real}{name}") for name in ("rooms", "structures", "usual"))
    likenesses = recoloured(rooms, structures)
    assert falsely_accepted(structures, DEFAULT_FLOORS, usual) <= 0.001
    for floors in (DEFAULT_FLOORS, usual):
        assert np.mean([bool(floors.failures(likeness)) for likeness in likenesses]) <= 0.01


def test_floors_hold_for_photos_that_they_were_not_calibrated_on(
    structures: list[Structure], real_structures: list[Structure], usual: Floors, real_usual: Floors
) -> None:
    assert falsely_accepted(real_structures, usual) <= 0.001
    assert falsely_accepted(structures, real_usual) <= 0.001


def test_the_null_of_many_is_what_pairs_say_one_by_one(structures: list[Structure]) -> None:
    plain = structure_of(np.zeros((4, 4, 3), np.uint8))
    few = [*structures[:4], plain, *structures[4:6], plain]
    hogs, edge_f1s = null_of(few)
    pairs = [compare(a, b) for i, a in enumerate(few) for b in few[i + 1 :]]
    assert hogs == pytest.approx([pair.hog for pair in pairs], abs=1e-5)
    assert edge_f1s == pytest.approx([pair.edge_f1 for pair in pairs], abs=1e-5)


def test_a_library_of_look_alikes_gets_stricter_floors(usual: Floors, rooms: list[Pixels]) -> None:
    alike = [
        structure_of(moved_by(rooms[0], 0, right_px)) for right_px in np.linspace(3, 100, FEWEST_PHOTOS).astype(int)
    ]
    strict = calibrate(alike)
    assert usual.hog < strict.hog <= STRICTEST
    assert usual.edge_f1 < strict.edge_f1 <= STRICTEST


def test_copies_of_a_photo_are_no_strangers(structures: list[Structure], usual: Floors) -> None:
    twice = calibrate([*structures, *structures])
    assert twice.hog == pytest.approx(usual.hog, abs=0.06)
    assert twice.edge_f1 == pytest.approx(usual.edge_f1, abs=0.06)
    assert calibrate(structures[:1] * FEWEST_PHOTOS) == DEFAULT_FLOORS


def test_few_photos_get_the_default_floors(structures: list[Structure]) -> None:
    assert calibrate([]) == DEFAULT_FLOORS
    assert calibrate(structures[: FEWEST_PHOTOS - 1]) == DEFAULT_FLOORS
    assert calibrate(structures[:FEWEST_PHOTOS]).pairs == FEWEST_PHOTOS * (FEWEST_PHOTOS - 1) // 2


def test_plain_photos_do_not_spoil_the_floors(structures: list[Structure], usual: Floors) -> None:
    plain = [structure_of(np.full((8, 8, 3), grey, np.uint8)) for grey in range(FEWEST_PHOTOS)]
    floors = calibrate([*structures, *plain])
    assert floors.hog == pytest.approx(usual.hog, abs=0.05)
    assert floors.edge_f1 <= STRICTEST
    assert calibrate(plain) == DEFAULT_FLOORS


def test_many_photos_are_sampled_alike_each_time(structures: list[Structure], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restyle.floors.MOST_PHOTOS", 55)
    floors = calibrate(structures)
    assert floors.pairs == 55 * 54 // 2
    assert floors == calibrate(structures)


@pytest.mark.parametrize(
    "likeness",
    [
        Likeness(hog=0.59, edge_f1=1, shift=0),
        Likeness(hog=1, edge_f1=0.59, shift=0),
        Likeness(hog=1, edge_f1=1, shift=0.021),
    ],
)
def test_every_measure_must_be_met(likeness: Likeness) -> None:
    assert Floors.at(0.6).failures(likeness)
    assert not Floors.at(0.6).failures(Likeness(hog=0.6, edge_f1=0.6, shift=0.02))


def kept_and_read(floors: object) -> Floors | None:
    """Return what is read of the floors that a library of sixty photos keeps."""
    with TemporaryDirectory() as root:
        folder = LibraryFolder(Path(root))
        folder.restyled.mkdir()
        write_record(folder.floors_file, {"photos": 60, "floors": floors})
        return read_floors(folder, 60)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 10**9))
def test_floors_are_kept_as_they_are(hog: float, edge_f1: float, shift: float, pairs: int) -> None:
    floors = Floors(hog=hog, edge_f1=edge_f1, shift=shift, pairs=pairs)
    assert kept_and_read(asdict(floors)) == floors


@pytest.mark.parametrize("value", [-0.1, 1.01, float("nan"), 60])
def test_a_floor_beyond_likeness_is_refused(value: float) -> None:
    with pytest.raises(AliensError, match=rf"not {value}: try 0\.6"):
        Floors.at(value)


@pytest.mark.parametrize(
    "kept", [{}, [], {"hog": 0.6}, asdict(DEFAULT_FLOORS) | {"hog": 7}, asdict(DEFAULT_FLOORS) | {"shift": "far"}]
)
def test_floors_that_were_spoilt_are_refused(kept: dict[str, Any]) -> None:
    assert kept_and_read(kept) is None


def test_a_mirrored_photo_is_a_stranger(rooms: list[Pixels], structures: list[Structure]) -> None:
    mirrored = [np.asarray(ImageOps.mirror(Image.fromarray(photo))) for photo in rooms[:20]]
    for photo, other in zip(structures[:20], mirrored, strict=True):
        assert DEFAULT_FLOORS.failures(compare(photo, structure_of(other)))
