"""`aliens candidates`, as the shell runs it."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restyle.picks import read_picks
from tests.commands.conftest import Aliens, objects
from tests.conftest import LibraryFactory, copy_library, raising
from tests.restyle.pictures import mosaic, room, wall


@pytest.fixture(scope="module")
def nine(template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine photos, and their library beside them: detailed ones, peach walls, rooms, one that is too small."""
    root = tmp_path_factory.mktemp("nine")
    (root / "photos").mkdir()
    peach = wall((255, 190, 160))
    pictures = [mosaic(1), mosaic(2), peach, peach[::-1, ::-1], *(room(n) for n in range(4)), room(9, (90, 60))]
    for number, pixels in enumerate(pictures, start=1):
        Image.fromarray(np.ascontiguousarray(pixels)).save(root / "photos" / f"{number}.png")
    LibraryFactory(root / "library", template.folder.root).add(root / "photos")
    return root


@pytest.fixture(autouse=True)
def filled_library(nine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The nine photos, added in the test's own folder. The fake encoder guesses nothing."""
    monkeypatch.setattr("restyle.candidates.picking.UNWANTED_FROM", 2.0)
    folder = Path(shutil.copytree(nine / "photos", tmp_path / "photos"))
    copy_library(nine / "library", tmp_path / "aliens-library", nine / "photos", folder)
    return folder


def test_json_has_an_object_for_each_pick_with_reasons_and_measures(aliens: Aliens) -> None:
    out, err = aliens.well("candidates", "-n", 3, "--json")
    found = objects(out)
    assert [pick["kind"] for pick in found] == ["detailed", "opposite-palette", "minimal"]
    assert found[1]["photo_id"] in (3, 4)
    assert found[1]["measures"]["warm"] > 0.8
    for pick in found:
        assert pick["why"]
        assert len(str(pick["sha256"])) == 64
    assert "9 photos looked at, 1 rejected (1 too small)" in err


def test_a_pipe_gets_tabs(aliens: Aliens) -> None:
    out, _ = aliens.well("candidates", "-n", 2, "--strategy", "detailed")
    rows = [line.split("\t") for line in out.splitlines()]
    assert {row[0] for row in rows} == {"1", "2"}
    assert all(row[2] == "detailed" and "more outlines than" in row[3] and row[4].endswith(".png") for row in rows)


def test_a_terminal_gets_a_table(aliens: Aliens, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = aliens.records("candidates", "-n", 1)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    out, _ = aliens.well("candidates", "-n", 1)
    assert out.split()[0] == "photo"
    assert Path(str(found["path"])).name in out  # not broken
    assert all(len(line) <= 80 for line in out.splitlines())


def test_sheet_and_manifest_are_written(aliens: Aliens, tmp_path: Path) -> None:
    out, err = aliens.well(
        "candidates", "--query", "path:photos", "-n", 4, "--json", "--sheet", "out.jpg", "--manifest", "to/picks.toml"
    )
    with Image.open("out.jpg") as sheet:
        assert sheet.width > 600
    manifest = read_picks(tmp_path / "to" / "picks.toml")
    assert [pick.photo_id for pick in manifest.picks] == [pick["photo_id"] for pick in objects(out)]
    assert (manifest.query, manifest.strategy, manifest.palette) == ("path:photos", "mixed", "fern")
    assert all(Path(pick.path).is_file() and pick.why for pick in manifest.picks)
    assert "aliens restyle --manifest to/picks.toml" in err


def test_the_command_that_takes_the_manifest_runs_as_it_is_printed(
    aliens: Aliens, filled_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, manifest = "it's mine", tmp_path / "two picks.toml"
    aliens("init", "--library", library)
    aliens("add", filled_library, "--library", library)
    err = aliens("candidates", "-n", 2, "--manifest", manifest, "--library", library)[2]
    ((command,),) = (re.findall(r"`aliens (.*)`", line) for line in err.splitlines() if line.startswith("manifest: "))
    assert "engine regrade" in err
    assert read_picks(manifest).engine == "regrade"
    code, out, err = aliens(*shlex.split(command))
    assert (code, len(out.splitlines())) == (0, 2), err
    (head,) = re.findall(r"`aliens (.*)`", manifest.read_text(encoding="utf-8").splitlines()[0])
    monkeypatch.chdir(manifest.parent)
    assert aliens(*shlex.split(head))[0] == 0


def test_the_manifest_keeps_the_engine_that_was_asked_for(
    aliens: Aliens, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "engine klein" in aliens("candidates", "-n", 2, "--engine", "klein", "--manifest", "picks.toml")[2]
    assert read_picks(tmp_path / "picks.toml").engine == "klein"
    assert "FLUX.2-klein-4B" in aliens.fails(1, "restyle", "--manifest", "picks.toml")
    assert aliens("restyle", "--manifest", "picks.toml", "--engine", "regrade")[0] == 0
    monkeypatch.setenv("ALIENS_ENGINE", "regrade")
    assert aliens("restyle", "--manifest", "picks.toml")[0] == 0
    assert "did you mean regrade" in aliens.fails(1, "candidates", "--engine", "regrad", "--manifest", "other.toml")
    assert not Path("other.toml").exists()


def test_the_same_command_gives_the_same_picks(aliens: Aliens) -> None:
    asked = ("candidates", "--query", "room", "-n", 3, "--seed", 5, "--json")
    assert aliens(*asked)[1] == aliens(*asked)[1]


def test_a_small_pool_is_a_sample(aliens: Aliens) -> None:
    out, err = aliens.well("candidates", "-n", 2, "--pool", 4, "--json")
    assert len(objects(out)) == 2
    assert "4 photos looked at" in err
    assert "a sample of 4 of 9 photos" in err


def test_photos_that_vanished_are_rejected_with_a_reason(aliens: Aliens, filled_library: Path) -> None:
    (filled_library / "1.png").unlink()
    (filled_library / "2.png").write_bytes(b"no photo")
    out, err = aliens.well("candidates", "--rejected", "--json")
    rejections = {row["photo_id"]: row for row in objects(out)}
    assert {rejections[1]["kind"], rejections[2]["kind"]} == {"unreadable"}
    assert "No such file" in str(rejections[1]["reason"])
    assert "2 unreadable" in err
    assert "unreadable\t" in aliens("candidates", "--rejected")[1]


def test_fewer_picks_than_asked_for_are_told(aliens: Aliens) -> None:
    out, err = aliens.well("candidates", "--strategy", "opposite-palette", "-n", 9, "--json")
    assert 2 <= len(objects(out)) < 9
    assert f"only {len(objects(out))} of 9" in err


def test_no_manifest_of_no_picks(aliens: Aliens, filled_library: Path) -> None:
    for path in filled_library.glob("*.png"):
        path.unlink()
    assert "nothing to restyle" in aliens.fails(2, "candidates", "--manifest", "picks.toml")
    assert not Path("picks.toml").exists()


def test_stopped_with_ctrl_c(aliens: Aliens, monkeypatch: pytest.MonkeyPatch) -> None:
    from restyle.candidates import picking as choosing

    monkeypatch.setattr(choosing, "spoilt", raising(KeyboardInterrupt()))
    assert "nothing was written" in aliens.fails(130, "candidates", "--manifest", "picks.toml")
    assert not Path("picks.toml").exists()


def test_a_model_that_cannot_be_had_keeps_nobody_from_measuring(
    aliens: Aliens, monkeypatch: pytest.MonkeyPatch
) -> None:
    from base.errors import EncoderError
    from embedding.encoder import LazyEncoder

    monkeypatch.setattr(LazyEncoder, "encode_texts", raising(EncoderError("its weights are gone")))
    out, err = aliens.well("candidates", "-n", 3, "--json")
    assert len(objects(out)) == 3
    assert "text and people are not looked for" in err
