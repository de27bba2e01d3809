"""Which models of the furniture's package are taken."""

from pathlib import Path

import pytest

from base.errors import SourceError
from training.catalogue import LIBRARIES, in_the_samples, read_catalogue

ENTRY = "name#{n}=Thing\ncategory#{n}=Bedroom\nmodel#{n}=/{stem}.obj\nwidth#{n}=120\ndepth#{n}=60\nheight#{n}=75\n"


def test_models_of_the_samples_are_left_out(tmp_path: Path) -> None:
    for library in LIBRARIES:
        folder = tmp_path / library
        folder.mkdir()
        stems = ["table", "winchesterSofa"] if library == "BlendSwap-CC-0" else []
        lines = [ENTRY.format(n=n, stem=stem) for n, stem in enumerate(stems)]
        (folder / "PluginFurnitureCatalog.properties").write_text("id=x\n" + "".join(lines))
        for stem in stems:
            (folder / f"{stem}.obj").write_text("v 0 0 0\n")
    assert "BlendSwap-CC-0/winchesterSofa" in in_the_samples()
    models = read_catalogue(tmp_path)
    assert list(models) == ["BlendSwap-CC-0/table"]
    assert models["BlendSwap-CC-0/table"].width == 1.2


def test_no_furniture_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="apt-get download sweethome3d-furniture"):
        read_catalogue(tmp_path)
