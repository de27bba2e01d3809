import shutil
from pathlib import Path

import numpy as np
import pytest

from base.errors import QueryError
from base.settings import asset
from restyle.palettes import build_prompt, palette_names, read_palette
from restyle.protanopia import protan_curve


@pytest.mark.parametrize("name", palette_names())
def test_shipped_palettes_are_what_they_say(name: str) -> None:
    palette = read_palette(name)
    assert palette.name == name
    prompt, negative = build_prompt(palette.prompt, ["a bathtub", "a mirror"])
    assert "bathroom" in prompt
    assert "red" in negative
    middle = np.array([50.0], np.float32)
    leaf, sky = palette.leaf.at(middle)[0], palette.sky.at(middle)[0]
    assert leaf[0] < 0  # green for Earth
    assert leaf[1] > 10 > -10 > sky[1]  # and yellow against blue for protanopes


@pytest.mark.parametrize("name", palette_names())
def test_the_contrast_of_a_palette_reaches_protanopes(name: str) -> None:
    palette = read_palette(name)
    curve = protan_curve(palette.leaf, palette.sky)
    leaf, sky = curve[: len(curve) // 2], curve[len(curve) // 2 :]
    assert (leaf[15:40, 1] - sky[15:40, 1]).min() > 15  # L* from 30 to 80


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    shutil.copy(asset("restyle/palettes") / "moss.toml", mine)
    assert np.array_equal(read_palette(str(mine)).leaf.lab, read_palette("moss").leaf.lab)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('name = "moss"', "", "needs a name"),
        ("[colours]", "[colors]", "fern.toml: Object contains unknown field `colors`"),
        ('"#0f130c", ', '"#zzz", ', "'#zzz': write a colour as #rrggbb"),
        ('"#0f130c", ', '"#ffffff", ', "must go from dark to light"),
        ("{scene}", "{room}", "{room}"),
        ("sky =", "skies =", "unknown field `skies` - at `colours`"),
        ('forbidden = ["red"', "forbidden = [3", "Expected `str`, got `int` - at `prompt.forbidden\\[0\\]`"),
        ("[prompt]", "[prompt", "no TOML file: .*line"),
        ("sky = [", "sky = [1, ", "Expected `str`, got `int` - at `colours.sky\\[0\\]`"),
        ("text = ", "words = ", "unknown field `words` - at `prompt`"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, before: str, after: str, said: str) -> None:
    text = (asset("restyle/palettes") / "moss.toml").read_text(encoding="utf-8")
    assert before in text
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(QueryError, match=said):
        read_palette(str(wrong))


def test_absent_palettes_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="did you mean 'fern'"):
        read_palette("ferm")
    with pytest.raises(QueryError, match="there are fern, emerald, lagoon, moss"):
        read_palette("xyz")
    with pytest.raises(QueryError, match="no palette"):
        read_palette(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(QueryError, match="no TOML file"):
        read_palette(str(tmp_path / "bytes.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(QueryError, match="cannot be read"):
        read_palette(str(tmp_path / "folder.toml"))
