"""What is drawn over a photo: the same each time, never where it may not be, more of it with more strength."""

from itertools import chain, pairwise
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from base.arrays import Pixels
from base.files import PhotoFile
from base.settings import asset
from embedding.colour import read_pixels
from restyle.engines.engine import Job, Settings
from restyle.growing.dyes import Dyes
from restyle.growing.garden import Amounts, Garden, garden_of
from restyle.growing.grow_engine import GrowEngine
from restyle.growing.leaves import Brush
from restyle.growing.scene import scene_in
from restyle.palettes import read_palette
from restyle.regrade import regrade
from tests.restyle.pictures import flat, mosaic, room, texture, wall

FERN = read_palette("fern")
SAMPLES = asset("aliens/samples/images/train")
BALCONY = SAMPLES / "12/1152/travel_website/502336.jpg"
BEDROOM = SAMPLES / "13/1184/travel_website/503382.jpg"


def sample(path: object, longest_px: int = 480) -> Pixels:
    return read_pixels(PhotoFile(str(path)), longest_px)


def grown(photo: Pixels, seed: int = 0, strength: float = 1.0, **job: object) -> Pixels:
    """Return a photo with all of its garden, by a new engine."""
    job = {"original": photo, "start": regrade(photo, FERN)} | job
    return GrowEngine(FERN).restyle(Job(**job), Settings(strength=strength, seed=seed))


def garden(photo: Pixels, seed: int = 0, forbidden: np.ndarray | None = None) -> Garden:
    return garden_of(scene_in(photo, forbidden), regrade(photo, FERN), Brush(Dyes(FERN), 1.0), seed)


def changed(one: Pixels, other: Pixels) -> np.ndarray:
    return (one != other).any(axis=-1)


def covered(garden: Garden, amounts: Amounts) -> np.ndarray:
    """Return where plants cover the photo, by laying them over nothing, (h, w) in 0..255."""
    sheet = Image.new("RGBA", garden.start.size)
    for plant in chain(*garden.planted(amounts)):
        sheet.alpha_composite(plant.picture, (plant.left, plant.top))
    return np.asarray(sheet.getchannel("A"))


def test_a_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    photo = sample(BEDROOM)
    assert np.array_equal(grown(photo, 3), grown(photo, 3))
    assert changed(grown(photo, 3), grown(photo, 4)).mean() > 0.05


def test_without_strength_it_is_the_regraded_photo() -> None:
    photo = sample(BEDROOM)
    start = regrade(photo, FERN)
    assert np.array_equal(grown(photo, strength=0.0), start)
    assert np.array_equal(np.asarray(garden(photo).composed(Amounts().times(0))), start)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_less_strength_shows_fewer_of_the_same_plants(seed: int) -> None:
    here = garden(sample(BALCONY), seed)
    steps = [Amounts().at(strength) for strength in (0.1, 0.25, 0.5, 0.75, 1.0)]
    covers = [covered(here, amounts) for amounts in steps]
    for less, more in pairwise(covers):
        assert (more >= less).all()
    assert covers[0].mean() < 0.7 * covers[-1].mean()
    plants = [list(chain(*here.planted(amounts))) for amounts in steps]
    for less, more in pairwise(plants):
        assert all(any(each is other for other in more) for each in less)


def test_nothing_is_drawn_where_it_is_forbidden() -> None:
    photo = sample(BEDROOM)
    height, width = photo.shape[:2]
    face = np.zeros((height, width), bool)
    face[-height // 3 :, : width // 3] = True  # over the corner that fronds grow in
    assert covered(garden(photo), Amounts())[face].any()
    assert covered(garden(photo, forbidden=face), Amounts())[face].max() < 128  # whole plants are left out, none is cut
    result = grown(photo, forbidden=face)
    assert np.array_equal(result[face], regrade(photo, FERN)[face])
    assert changed(result, regrade(photo, FERN))[~face].mean() > 0.1


def test_no_vine_and_no_shade_lies_in_the_sky() -> None:
    photo = wall((150, 120, 90), (480, 360)).copy()
    photo[:150, 60:420] = (110, 160, 230)
    here = garden(photo)
    sky = np.zeros(photo.shape[:2], bool)
    sky[12:138, 72:408] = True
    assert not covered(here, Amounts(**{**Amounts().times(0).named, "vines": 1.0}))[sky].any()
    assert np.asarray(here.shaded)[sky].max() <= 2 and np.asarray(here.lit)[sky].max() <= 2
    assert np.asarray(here.lit)[~sky].max() > 100


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (700, 3), (30, 30)])
def test_where_nothing_can_grow_the_regraded_photo_comes_back_itself(size: tuple[int, int]) -> None:
    photo = flat((200, 170, 140), size)
    start = regrade(photo, FERN)
    assert GrowEngine(FERN).restyle(Job(original=photo, start=start), Settings(strength=1.0)) is start


@pytest.mark.parametrize(
    "photo",
    [
        flat((128, 128, 128), (320, 240)),
        flat((0, 0, 0), (320, 240)),
        flat((255, 255, 255), (320, 240)),
        flat((60, 140, 50), (320, 240)),
        mosaic(1),
        texture(2),
        room(3, (900, 180)),
        room(4, (180, 700)),
        np.repeat(room(5)[..., :1], 3, axis=2),
        (room(6) * 0.12).astype(np.uint8),
    ],
    ids=["grey", "black", "white", "green", "mosaic", "texture", "wide", "tall", "greyscale", "night"],
)
def test_any_photo_of_some_size_gets_plants(photo: Pixels) -> None:
    start = regrade(photo, FERN)
    before = photo.copy(), start.copy()
    result = grown(photo, start=start)
    assert (result.shape, result.dtype) == (photo.shape, np.uint8)
    assert changed(result, start).mean() > 0.02
    assert np.array_equal(photo, before[0]) and np.array_equal(start, before[1])


def test_no_shadow_comes_in_from_the_other_side() -> None:
    here = garden(flat((200, 200, 200), (480, 360)))
    only = Amounts(**{**Amounts().times(0).named, "fronds": 1.0})
    assert not covered(here, only)[:60].any()
    assert np.array_equal(np.asarray(here.composed(only))[:60], np.asarray(here.start)[:60])


def test_the_engine_draws_a_photo_once_for_all_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Mock(side_effect=garden_of)
    monkeypatch.setattr("restyle.growing.grow_engine.garden_of", drawn)
    engine = GrowEngine(FERN)
    job = Job(original=(photo := sample(BEDROOM, 320)), start=regrade(photo, FERN))
    for strength in (1.0, 0.5, 0.7):
        engine.restyle(job, Settings(strength=strength))
    assert drawn.call_count == 1
    engine.restyle(job, Settings(seed=1))
    engine.restyle(Job(original=photo.copy(), start=job.start), Settings(seed=1))
    assert drawn.call_count == 3
