"""`aliens export vectors` and `aliens import vectors`, as they are typed."""

import json
from pathlib import Path

import numpy as np

from tests.commands.conftest import Aliens


def test_vectors_go_out_and_come_in(aliens: Aliens, filled: Path, tmp_path: Path) -> None:
    code, out, _ = aliens("export", "vectors", "-o", "v")
    assert (code, out) == (0, "v: 10 vectors of 48 dimensions by fake-00000000, 0.0 MB (clip-retrieval)\n")
    out, _ = aliens.well("export", "vectors", "-o", "v.npy", "--columns", "width_px, format", "--json")
    assert json.loads(out)["columns"] == ["image_path", "photo_id", "width_px", "format"]
    assert aliens("init", "-l", "other", "--model", "fake")[0] == 0
    code, out, err = aliens("import", "vectors", "v.npy", "-l", "other")
    assert (code, out) == (0, "v.npy: 10 vectors of 48 dimensions (npy): 10 new photos\n")
    assert "median cosine 1.000" in err and "--library other` reads them once" in err
    out, _ = aliens.well("import", "vectors", "v", "-l", "other", "--json")
    assert (json.loads(out)["imported"], json.loads(out)["kept"]) == (0, 10)
    np.save("w.npy", 2 * np.load("v.npy"))
    (tmp_path / "w.csv").write_text((tmp_path / "v.csv").read_text().replace("photos/", "gone/"))
    code, out, err = aliens("import", "vectors", "w.npy", "-l", "other", "--made-by", "fake")
    assert code == 1 and "10 of 10 vectors are not of length 1" in err and out == ""
    _, err = aliens.well("import", "vectors", "w.npy", "-l", "other", "--made-by", "fake", "--normalize")
    assert "10 vectors made of length 1" in err and "can be found, but not shown" in err
    assert aliens("verify", "-l", "other")[0] == 0
