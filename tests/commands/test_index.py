import json
import shutil
from pathlib import Path

import pytest

from tests.commands.conftest import Aliens
from tests.conftest import LibraryFactory, copy_library, fill_folder, photo_bytes, raising


@pytest.fixture(scope="module")
def large_template(template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos enough for lists, and their library beside it."""
    root = tmp_path_factory.mktemp("large")
    (root / "many").mkdir()
    fill_folder(root / "many", range(100), "{:03d}.jpg", (32, 32))
    LibraryFactory(root / "library", template.folder.root).add(root / "many")
    return root


@pytest.fixture
def large(aliens: Aliens, large_template: Path, tmp_path: Path) -> Path:
    """A library in the working folder with photos enough for lists."""
    folder = Path(shutil.copytree(large_template / "many", tmp_path / "many"))
    copy_library(large_template / "library", tmp_path / "aliens-library", large_template / "many", folder)
    return folder


def test_small_libraries_are_compared_photo_by_photo(aliens: Aliens, large: Path) -> None:
    code, out, err = aliens("index")
    assert (code, out.split("\t")[0]) == (0, "exact")
    assert "100 photos" in out
    assert "was up to date" in err


def test_a_kind_is_built_and_kept(aliens: Aliens, large: Path) -> None:
    out, _ = aliens.well("index", "--kind", "ivf", "--factory", "IVF4,SQ8")
    lines = dict(line.split("\t") for line in out.splitlines())
    assert lines["ivf"].startswith("IVF4,SQ8, 100 photos")
    assert "over 215 text queries" in lines["finds"]
    assert "of 4 lists" in lines["by"]
    (about,) = aliens.records("index")
    assert (about["approximate"]["factory"], about["exact"]["photos"], about["beside"]) == ("IVF4,SQ8", 100, 0)
    assert about["approximate"]["recall"] >= 0.99


def test_photos_that_came_after_it_are_found_beside_it_and_add_says_what_builds_it(
    aliens: Aliens, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliens("index", "--kind", "ivf")
    monkeypatch.setattr("indexer.upkeep.EXACT_SUFFICES", 20)
    for number in range(100, 140):
        (large / f"{number}.jpg").write_bytes(photo_bytes(number, size=(32, 32)))
        if number == 101:
            assert "aliens index" not in aliens("add", large)[2]  # two are soon compared
    _, _, err = aliens("add", large)
    assert "40 photos came after the ivf index and are compared beside it: `aliens index` builds one of all" in err
    _, _, err = aliens("search", "pool", "--explain")
    assert "its candidates compared exactly, and 40 photos beside them" in err
    _, out, _ = aliens("search", "--image", large / "139.jpg", "-k", 1)
    assert out.strip().endswith("139.jpg")
    _, out, err = aliens("index")
    assert dict(line.split("\t") for line in out.splitlines())["ivf"].split(", ")[1] == "140 photos"
    assert "was up to date" not in err
    assert "aliens index" not in aliens("add", large)[2]


def test_explain_tells_engine_cost_and_recall(aliens: Aliens, large: Path) -> None:
    aliens("index", "--kind", "ivf")
    _, _, err = aliens("search", "pool", "--explain")
    assert "ivf, recall@10" in err
    assert "lists, its candidates compared exactly" in err
    _, _, err = aliens("search", "pool", "--explain", "--exact")
    assert "every photo is compared, as was asked for" in err
    _, _, err = aliens("search", "pool path:00", "--explain")
    assert "since it leaves 10.0% of them" in err


def test_the_same_photos_come_first_with_and_without_it(aliens: Aliens, large: Path) -> None:
    _, before, _ = aliens("search", "pool", "--json")
    aliens("index", "--kind", "hnsw")
    _, after, _ = aliens("search", "pool", "--json")
    assert [json.loads(line)["photo_id"] for line in before.splitlines()] == [
        json.loads(line)["photo_id"] for line in after.splitlines()
    ]


def test_ctrl_c_leaves_the_index_as_it_was(aliens: Aliens, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("indexer.upkeep.built", raising(KeyboardInterrupt()))
        code, _, err = aliens("index", "--kind", "ivf")
    assert code == 130
    assert "the index is as it was" in err
    err = aliens.fails(1, "index", "--kind", "ivf", "--factory", "IVF4,Nonsense")
    assert "FAISS cannot build 'IVF4,Nonsense'" in err
    assert aliens("search", "pool")[0] == 0
