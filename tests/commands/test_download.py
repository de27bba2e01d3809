import json
from pathlib import Path

import pytest

from tests.commands.conftest import Aliens
from tests.conftest import photo_bytes
from tests.indexer.conftest import HotelsTree
from tests.web_server import serving_photos

STAND_IN = str(Path(__file__).parents[1] / "data" / "stand_in")


def test_photos_are_downloaded_added_and_those_that_did_not_come_explained(
    aliens: Aliens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", STAND_IN)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    tree = HotelsTree(tmp_path / "hotels")
    with serving_photos() as server:
        addresses = [server.at(place) for place in ("photo/4.jpg", "missing/5.jpg", "photo/6.jpg")]
        tree.add_rows("train_set.csv", *(f"{n},100,{where},traffickcam," for n, where in enumerate(addresses, start=4)))
        out, err = aliens.well("download", "hotels50k", "hotels", "--limit", "2")
        first, second, third = out.splitlines()
        assert first == "6 photos listed, 3 were there"
        assert second.startswith("downloaded 1 photo in ")
        assert second.endswith(", 1 failed")
        assert third == "  HTTP Error 404: Not Found: 1 photo"
        assert err == "1 photo to go: the same command goes on from here\n"
        _, out, _ = aliens("download", "hotels50k", "hotels", "--json")
    told = json.loads(out)
    assert (told["there"], told["known_dead"], told["downloaded"], told["left"]) == (4, 1, 1, 0)

    aliens("init")
    assert "found 6 photos: 6 new, 0 changed, 0 unchanged, 1 missing" in aliens("add", "--hotels50k", "hotels")[1]
    assert "there is no such file: HTTP Error 404: Not Found" in aliens("failures")[1]


def test_folder_without_lists_is_an_error_with_the_remedy(aliens: Aliens) -> None:
    err = aliens.fails(1, "download", "hotels50k", "hotels")
    assert "put the file input/dataset.tar.gz of https://github.com/GWUvision/Hotels-50K there" in err
    assert aliens("download", "hotels50k", "hotels", "--split", "low")[0] == 2
    assert aliens("download", "hotels50k", "hotels", "--side", "0")[0] == 2
    assert not Path("hotels").exists()


def test_split_of_the_test_is_added(aliens: Aliens, tmp_path: Path) -> None:
    tree = HotelsTree(tmp_path / "hotels")
    tree.csv("test_set.csv", "11,100,,traffickcam,\n")
    aliens("init")
    err = aliens.fails(1, "add", "--hotels50k", "hotels", "--split", "low")
    assert "no test photos at images/test/low_occlusions: unpack" in err
    photo = tree.image("../test/low_occlusions/7/100/traffickcam/11.jpg", 11)
    assert photo.read_bytes() == photo_bytes(11)
    assert "found 1 photo: 1 new" in aliens("add", "--hotels50k", "hotels", "--split", "low")[1]
    assert "--split low is of a Hotels-50K tree" in aliens.fails(2, "add", "hotels", "--split", "low")
