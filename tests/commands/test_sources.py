import json
from pathlib import Path

from tests.commands.conftest import Aliens
from tests.conftest import fill_folder, photo_bytes


def test_places_are_listed_moved_and_forgotten(aliens: Aliens, filled: Path, tmp_path: Path) -> None:
    more = fill_folder(tmp_path / "more", (20, 21))
    assert aliens("add", filled, "--exclude", "raw dir/", "--hotel-from", "none")[0] == 0
    assert aliens("add", more / "20.jpg", more / "21.jpg")[0] == 0
    rows = [line.split("\t") for line in aliens("sources")[1].splitlines()]
    assert [(row[0], row[1], row[2], row[4], row[5]) for row in rows] == [
        (str(more), "2 files", "2", "", "there"),
        (str(filled), "folder", "10", "--exclude 'raw dir/'", "there"),
    ]
    (more / "20.jpg").unlink()
    new = filled.rename(tmp_path / "elsewhere")
    code, out, err = aliens("add", "--json")
    report = json.loads(out)
    assert (code, report["scan"]["found"], set(report["absent"].values())) == (0, 1, {"is not there"})
    assert f"`aliens sources move {filled} NEW`" in err
    assert "1 are not there" in aliens("sources")[1]
    code, out, err = aliens("sources", "move", filled, new)
    assert (code, err) == (0, "")
    assert "10 of 10 photos looked at are there" in out
    assert json.loads(aliens("sources", "move", new, filled.parent / "nowhere", "--json")[1] or "{}") == {}
    listed = aliens.records("sources")
    assert [(each["place"], each["there"]) for each in listed if each["kind"] == "folder"] == [(str(new), True)]
    code, out, err = aliens("sources", "forget", more)
    assert "looked at no more; 2 photos of it stay\n" in out
    assert f"`aliens forget {more}` lets them go" in err
    assert len(aliens("sources")[1].splitlines()) == 1


def test_one_broken_place_ends_with_1_and_the_others_are_looked_at(
    aliens: Aliens, filled: Path, tmp_path: Path
) -> None:
    table, more = tmp_path / "said.csv", tmp_path / "more"
    more.mkdir()
    (more / "20.jpg").write_bytes(photo_bytes(20))
    table.write_text("folder,hotel\nmore,Casa\n", encoding="utf-8")
    aliens("add", filled)
    assert aliens("add", more, "--metadata", table)[0] == 0
    table.write_text("folder,latitude\nmore,1000\n", encoding="utf-8")
    code, out, err = aliens("add")
    assert (code, out.splitlines()[0]) == (1, "found 10 photos: 0 new, 0 changed, 10 unchanged, 0 missing")
    assert f"{more} was not looked at: " in err
    assert "1000" in err
    assert aliens("add", "--exclude", "raw/")[0] == 2
    assert aliens("add", more, "--metadata", "none")[0] == 0
    assert aliens("add")[0] == 0
