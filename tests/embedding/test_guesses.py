from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from embedding.decode import square
from embedding.quality import UNWANTED_FROM, Guesser
from tests.restyle.pictures import room

if TYPE_CHECKING:
    from embedding.open_clip_encoder import OpenClipEncoder


def page() -> Image.Image:
    picture = Image.new("RGB", (700, 900), "white")
    draw = ImageDraw.Draw(picture)
    for line in range(36):
        words = "the rain in spain stays mainly in the plain and so does this "[line % 9 :]
        draw.text((40, 40 + line * 23), words, "black", ImageFont.load_default(18))
    return picture


def sign() -> Image.Image:
    picture = Image.new("RGB", (600, 400), "#b02020")
    ImageDraw.Draw(picture).text((60, 150), "GRAND HOTEL", "white", ImageFont.load_default(70))
    return picture


def vectors(starter: "OpenClipEncoder", pictures: list[Image.Image]) -> np.ndarray:
    return starter.encode_images(np.stack([square(picture, starter.preprocessing) for picture in pictures]))


def test_pages_and_signs_are_taken_for_text(starter: "OpenClipEncoder") -> None:
    found = Guesser(starter).guesses(vectors(starter, [page(), sign()]))
    assert (found["text"] > UNWANTED_FROM).all()


@pytest.mark.filterwarnings("default")
def test_a_portrait_is_taken_for_people(starter: "OpenClipEncoder") -> None:
    import skimage.data

    portrait = Image.fromarray(skimage.data.astronaut())
    assert Guesser(starter).guesses(vectors(starter, [portrait]))["people"][0] > UNWANTED_FROM


def test_rooms_are_neither(starter: "OpenClipEncoder", samples: object) -> None:
    from pathlib import Path

    paths = sorted(Path(str(samples)).rglob("*.jpg"))[::12]
    pictures = [Image.open(path).convert("RGB") for path in paths]
    found = Guesser(starter).guesses(vectors(starter, pictures))
    assert (found["text"] < UNWANTED_FROM).all()
    assert (found["people"] < UNWANTED_FROM).all()


def test_guesses_are_shares(starter: "OpenClipEncoder") -> None:
    found = Guesser(starter).guesses(vectors(starter, [Image.fromarray(room(1))]))
    assert set(found) == {"text", "people"}
    for sure in found.values():
        assert sure.shape == (1,)
        assert 0 <= sure[0] <= 1
