"""`aliens restyle --engine grow`, as the shell runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands.conftest import Aliens
from tests.page import read_page
from tests.restyle.pictures import room
from tests.restyled import read_parameters

GROW = ("--engine", "grow")


@pytest.fixture
def rooms(aliens: Aliens, tmp_path: Path) -> Path:
    """A library of two rooms."""
    (tmp_path / "rooms").mkdir()
    for number in range(2):
        Image.fromarray(room(number)).save(tmp_path / "rooms" / f"{number}.png")
    aliens("init")
    aliens("add", tmp_path / "rooms")
    return tmp_path / "rooms"


def test_drawn_plants_are_never_passed_off_as_diffusion(aliens: Aliens, rooms: Path) -> None:
    out, err = aliens.well("restyle", 1, *GROW, "--floor", 0.1, "--json", "--html", "page.html", "--prompt", "ferns")
    said = json.loads(out)
    assert "no diffusion model is used" in err
    assert "no diffusion model paints for grow, so --prompt is left out" in err
    assert (said["engine"], said["diffusion"], said["prompt"], said["rung"]) == ("grow", False, "", "grown")
    page = read_page(Path("page.html").read_text()).text
    assert "overgrown with drawn leaves" in page and "no diffusion model was used" in page
    assert read_parameters(Path(said["path"]))["diffusion"] is False
    assert "\tgrown\t" in aliens("restyle", "list")[1]
    assert "diffused" not in out and "painted" not in page


def test_a_seed_makes_another_result_and_the_same_is_made_once(aliens: Aliens, rooms: Path) -> None:
    first, again, other = (aliens.records("restyle", 1, *GROW, "--floor", 0.1, "--seed", seed)[0] for seed in (5, 5, 6))
    assert (first["made_now"], again["made_now"], other["made_now"]) == (True, False, True)
    assert first["settings"]["seed"] == 5 and first["result_id"] == again["result_id"] != other["result_id"]
    pixels = [np.asarray(Image.open(each["path"])) for each in (first, other)]
    assert (pixels[0] != pixels[1]).any(axis=-1).mean() > 0.02


def test_no_strength_leaves_the_regraded_photo(aliens: Aliens, rooms: Path) -> None:
    (none,) = aliens.records("restyle", 1, *GROW, "--strength", 0)
    (regraded,) = aliens.records("restyle", 1, "--engine", "regrade")
    assert none["rung"] == "regraded"
    assert np.array_equal(*(np.asarray(Image.open(each["path"])) for each in (none, regraded)))


@pytest.mark.usefixtures("sample_hotels")
def test_the_embedded_model_recognises_samples_with_plants(aliens: Aliens) -> None:
    made = aliens.records("restyle", "--query", "a balcony", "-n", 3, *GROW)
    assert [each["rung"] for each in made].count("grown") >= 2  # one may be next to a twin
    for each in made:
        assert each["diffusion"] is False and each["scores"]["nearest"] is True
    (played,) = aliens.records("quiz")
    assert {method: each["top1"] for method, each in played["methods"].items()} == {"embedding": 1.0, "hog": 1.0}


@pytest.mark.parametrize("kind", ["alpha", "greyscale", "CMYK", "large"])
def test_photos_of_any_kind_are_overgrown(aliens: Aliens, tmp_path: Path, kind: str) -> None:
    photo = Image.fromarray(room(5, (480, 320)))
    if kind == "alpha":
        photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    elif kind == "large":
        photo = photo.resize((2400, 1600))  # more than grow works at
    else:
        photo = photo.convert({"greyscale": "L", "CMYK": "CMYK"}[kind])
    path = tmp_path / f"{kind}.{'png' if kind == 'alpha' else 'jpg'}"
    photo.save(path)
    aliens("init")
    aliens("add", path)
    (made,) = aliens.records("restyle", path, *GROW, "--floor", 0.1)
    with Image.open(made["path"]) as result:
        assert (result.mode, max(result.size)) == ("RGB", 2048 if kind == "large" else 480)
    assert made["rung"] == "grown"
