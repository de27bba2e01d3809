"""Faces keep their colours and rooms do not. The one face here is of scikit-image's own picture of an astronaut."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000
from skimage.data import astronaut

from base.files import PhotoFile
from embedding.colour import lab_of, read_pixels, resized
from restyle.alienise import alienise
from restyle.faces import FACE, Faces, FaceSquare, ellipse, faces_of, kept_for, squares_in
from restyle.floors import DEFAULT_FLOORS
from restyle.judge import Judge
from restyle.palettes import palette_names, read_palette
from restyle.regrade import RegradeEngine, regrade
from restyle.restyled import Lineage
from tests.restyle.pictures import room, texture, wall
from tests.restyled import lineage_of

FERN = read_palette("fern")
PERSON = astronaut()  # 512 x 512
SKIN = np.s_[100:160, 195:245]  # of her: brows to mouth
PEACH = (250, 200, 170)


def changed(photo: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Return how much colours changed, (h, w), in dE2000."""
    return np.asarray(deltaE_ciede2000(lab_of(photo), lab_of(result)))


def restyled(photo: np.ndarray, palette: str = "fern") -> np.ndarray:
    return regrade(photo, read_palette(palette), keep=faces_of(photo).keep)


def kept_of(photo: np.ndarray) -> np.ndarray:
    """Return what is kept of a photo with one face, (rows, columns)."""
    faces = faces_of(photo)
    assert faces.count == 1
    assert faces.keep is not None
    return faces.keep


@pytest.mark.parametrize("name", palette_names())
def test_a_face_keeps_its_colours_while_all_else_takes_the_palettes(name: str) -> None:
    alone, kept = regrade(PERSON, read_palette(name)), restyled(PERSON, name)
    assert np.percentile(changed(PERSON, kept)[SKIN], 99) < 1.5
    assert changed(PERSON, alone)[SKIN].mean() > 8  # what is kept from it
    skin, green = (lab_of(picture[SKIN])[..., 1].mean() for picture in (kept, alone))
    assert skin > 5
    assert green < 0
    suit = np.s_[300:500, 60:400]
    assert changed(kept[suit], alone[suit]).mean() < 0.2


@pytest.mark.parametrize(("side", "mirrored"), [(128, False), (200, True), (400, False), (1024, True), (2200, False)])
def test_at_other_sizes_and_mirrored(side: int, mirrored: bool) -> None:
    photo = resized(PERSON, (side, side))
    photo = np.ascontiguousarray(photo[:, ::-1]) if mirrored else photo
    keep = kept_of(photo)
    assert keep.shape == photo.shape[:2]
    upright = keep[:, ::-1] if mirrored else keep
    rows, columns = (slice(low * side // 512, high * side // 512) for low, high in ((100, 160), (195, 245)))
    assert upright[rows, columns].min() > 0.9
    assert keep.mean() < 0.15


@pytest.mark.parametrize("side", [180, 300])
@pytest.mark.parametrize("change", ["dark", "warm", "cold", "turned"])
def test_small_faces_in_rooms_in_other_light_and_tilted(side: int, change: str) -> None:
    person = {
        "dark": lambda: (PERSON * 0.4).astype(np.uint8),
        "warm": lambda: (PERSON * np.array([1, 0.85, 0.6])).astype(np.uint8),
        "cold": lambda: (PERSON * np.array([0.75, 0.9, 1])).astype(np.uint8),
        "turned": lambda: np.asarray(Image.fromarray(PERSON).rotate(12, Image.Resampling.BICUBIC)),
    }[change]()
    photo = room(1, (640, 420))
    photo[40 : 40 + side, 60 : 60 + side] = resized(person, (side, side))
    keep = kept_of(photo)
    middle = np.array([40 + side * 0.25, 60 + side * 0.43]).astype(int)
    assert keep[tuple(middle)] > 0.9
    assert keep[:, 60 + side :].max() < 0.05


def test_every_face_of_several() -> None:
    photo = np.concatenate([PERSON, PERSON[:, ::-1]], axis=1)
    assert faces_of(photo).count == 2
    assert np.percentile(changed(photo, restyled(photo))[SKIN], 99) < 1.5


def test_walls_of_the_colour_of_the_face_before_them_turn_green() -> None:
    """Only the head is known of there: her face before a wall, and above a table, of its very colour."""
    (square,) = squares_in(PERSON)
    colour = np.median(PERSON[SKIN].reshape(-1, 3), axis=0)
    picture = np.full(PERSON.shape, colour) + np.random.default_rng(0).normal(0, 2, PERSON.shape)
    face = ellipse(square, (0.6, 0.8, 0.1), PERSON.shape[:2])
    picture = np.clip(np.where(face[..., None], PERSON, picture), 0, 255).astype(np.uint8)
    keep = kept_of(picture)
    assert keep[SKIN].min() > 0.9
    assert keep[~ellipse(square, (0.9, 1.2, 0.1), PERSON.shape[:2])].max() < 0.02
    assert lab_of(restyled(picture)[400, 100]).tolist()[1] < 0


def test_neck_and_hands_of_the_faces_colour_keep_theirs_and_a_room_of_it_does_not() -> None:
    """Skin hangs together with the face, or is near it where hardly anything further off is of its colour."""
    grey, skin = np.array([60.0, 0, 0], np.float32), np.array([70.0, 14, 17], np.float32)
    lab = np.tile(grey, (480, 640, 1))
    square = FaceSquare(300, 100, 40)
    lab[ellipse(square, FACE, lab.shape[:2])] = skin
    lab[140:180, 310:330] = skin  # a neck
    lab[250:270, 350:370] = skin - [8, 0, 0]  # a hand, in shade
    kept = kept_for([square], lab)
    assert min(kept[120, 320], kept[165, 320], kept[260, 360]) > 0.9
    assert kept[200, 320] < 0.01
    lab[:, :150] = skin  # a wall further off
    kept = kept_for([square], lab)
    assert min(kept[120, 320], kept[165, 320]) > 0.9
    assert max(kept[260, 360], kept[300, 100]) < 0.01


@pytest.mark.parametrize(
    "photo",
    [
        *(wall(PEACH), room(1), room(3, hue=PEACH), texture(), wall((200, 60, 50)), room(2, hue=(160, 110, 70))),
        *(texture(0, size) for size in ((1, 1), (500, 1), (3, 700), (4000, 79))),  # tiny and thin
    ],
)
def test_nothing_is_kept_without_faces(photo: np.ndarray) -> None:
    assert faces_of(photo) == Faces(0, None)


def test_real_peach_bathrooms_and_rooms_have_no_faces(shared_photos: Path) -> None:
    for number in (35, 39, 89, 17):
        photo = read_pixels(PhotoFile(str(shared_photos / "houses" / "bathroom" / f"{number}.jpg")), 512)
        assert faces_of(photo) == Faces(0, None)


def test_a_painted_face_is_one(shared_photos: Path) -> None:
    """Of 1,019 real photos of rooms three have what is taken for a face, all of them pictures: a Buddha on canvas."""
    photo = read_pixels(PhotoFile(str(shared_photos / "houses" / "bedroom" / "30.jpg")))
    assert kept_of(photo).mean() < 0.15


def test_sample_hotels_have_no_faces() -> None:
    """None of all 240 was taken for one; an eighth of them is looked at here, to save time."""
    folder = Path(str(files("aliens") / "samples" / "images"))
    photos = sorted(folder.rglob("*.jpg"))[::8]
    assert len(photos) == 30
    assert [path for path in photos if faces_of(read_pixels(PhotoFile(str(path)))).count] == []


def test_greyscale_faces_stay_grey() -> None:
    photo = np.asarray(Image.fromarray(PERSON).convert("L").convert("RGB"))
    result = restyled(photo)
    assert np.array_equal(result[SKIN], photo[SKIN])
    assert changed(photo, result)[300:500, 60:400].mean() > 5


def test_transparent_photos(tmp_path: Path) -> None:
    picture = np.dstack([PERSON, np.full(PERSON.shape[:2], 255, np.uint8)])
    picture[:, :100, 3] = 0
    Image.fromarray(picture).save(tmp_path / "photo.png")
    photo = read_pixels(PhotoFile(str(tmp_path / "photo.png")))
    assert faces_of(photo).count == 1
    assert np.percentile(changed(photo, restyled(photo))[SKIN], 99) < 1.5


def test_panoramas() -> None:
    photo = np.tile(texture(1, (320, 300)), (1, 8, 1))
    photo[10:290, 1500:1780] = resized(PERSON, (280, 280))
    assert kept_of(photo)[10 + 280 // 4, 1500 + int(280 * 0.43)] > 0.9


def test_a_face_at_the_edge_is_kept_as_far_as_it_is_there() -> None:
    photo = np.ascontiguousarray(PERSON[:, 200:])
    assert kept_of(photo)[100:150, :40].min() > 0.9


def test_a_square_wholly_outside_keeps_nothing() -> None:
    assert kept_for([FaceSquare(-200, -200, 50)], lab_of(room())).max() == 0


def test_forty_megapixels() -> None:
    photo = PERSON.repeat(12, axis=0).repeat(12, axis=1)  # 37.7
    keep = kept_of(photo)
    assert keep.shape == photo.shape[:2]
    assert np.abs(keep[6::12, 6::12] - kept_of(PERSON)).mean() < 0.01  # the same as of the small one


def test_the_same_always_and_in_several_threads() -> None:
    alone = kept_of(PERSON)
    with ThreadPoolExecutor(3) as pool:
        for keep in pool.map(kept_of, [PERSON.copy() for _ in range(3)]):
            assert np.array_equal(keep, alone)


def test_between_photo_and_result_by_what_is_kept() -> None:
    photo, keep = room(1), np.zeros(room(1).shape[:2], np.float32)
    moved = regrade(photo, FERN)
    assert np.array_equal(regrade(photo, FERN, keep=keep), moved)
    keep[:, :100], keep[:, 100:200] = 1, 0.5
    result = regrade(photo, FERN, keep=keep)
    assert np.array_equal(result[:, :100], photo[:, :100])
    assert np.array_equal(result[:, 200:], moved[:, 200:])
    between = result[:, 100:200].astype(float)
    assert np.abs(between - (photo[:, 100:200].astype(float) + moved[:, 100:200]) / 2).max() < 2.5


def test_photos_without_faces_are_restyled_as_if_nobody_had_looked() -> None:
    photo, judge = room(1), Judge(DEFAULT_FLOORS, FERN)
    outcome = alienise(judge.study(photo), RegradeEngine(FERN), judge)
    assert outcome.faces == 0
    assert np.array_equal(outcome.pixels, regrade(photo, FERN, outcome.attempt.settings.strength))


def test_faces_come_through_the_loop_and_are_told_of() -> None:
    judge, engine = Judge(DEFAULT_FLOORS, FERN), RegradeEngine(FERN)
    outcome = alienise(judge.study(PERSON), engine, judge)
    assert outcome.faces == 1
    assert outcome.attempt.recognisable
    assert np.percentile(changed(PERSON, outcome.pixels)[SKIN], 99) < 1.5


def test_what_is_said_of_faces() -> None:
    regraded = {"rung": "regraded", "diffusion": False}
    assert lineage_of(faces=1, **regraded).faces_kept == "1 face keeps its colours"
    assert lineage_of(faces=2, **regraded).faces_kept == "2 faces keep their colours"
    assert lineage_of(faces=2, rung="diffused", diffusion=True).faces_kept == (
        "2 faces kept their colours until a model painted"
    )
    assert lineage_of(**regraded).faces_kept == lineage_of(faces=1, rung="unchanged").faces_kept == ""


def test_results_of_earlier_versions_are_read_still() -> None:
    said = asdict(lineage_of())
    del said["faces"]
    assert Lineage(**said).faces_kept == ""
