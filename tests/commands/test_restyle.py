"""`aliens restyle`, as the shell runs it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from base.errors import DeviceMemoryError, EngineError
from base.files import PhotoFile
from base.settings import DEFAULT_LIBRARY, LibraryFolder
from embedding.colour import read_pixels
from restyle.engines.engine import Engine
from restyle.palettes import read_palette
from restyle.picks import Pick, PickList, write_picks
from tests.commands.conftest import Aliens, objects
from tests.page import picture_of, read_page
from tests.restyle.engines.conftest import Folders, one_thread  # noqa: F401
from tests.restyle.studios import SMALL, BreakingEngine, agree, at_photo
from tests.restyled import read_parameters

FOLDER = LibraryFolder(Path(DEFAULT_LIBRARY))
REGRADE = ("--engine", "regrade")
ENGINEERS = re.compile(r"HOG|F1|dE2000|rung|floor|regraded|protan|cosine|embedding|correlat")


def restyled(aliens: Aliens, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
    """Regrade photos, and return what was printed as JSON."""
    ended, out, err = aliens("restyle", *arguments, *REGRADE, "--json")
    assert ended == code, err
    return objects(out)


@pytest.fixture
def synthetic(monkeypatch: pytest.MonkeyPatch) -> dict[str, Engine]:
    """Let --engine sd15 be the engine of this dictionary: at first one of known damage."""
    engines: dict[str, Engine] = {"sd15": SMALL}
    monkeypatch.setattr("restyle.engines.loading.load_engine", lambda name, **options: engines[name])
    return engines


# Which photos.


def test_photos_by_their_numbers_each_once_and_in_order(aliens: Aliens, filled: Path) -> None:
    assert [each["source_photo_id"] for each in restyled(aliens, 4, 2, 4)] == [4, 2]


def test_the_best_hits_of_a_query(aliens: Aliens, filled: Path) -> None:
    hits = aliens.records("search", "pool", "-k", 3)
    found = restyled(aliens, "--query", "pool", "-n", 3)
    assert [each["source_photo_id"] for each in found] == [hit["photo_id"] for hit in hits]
    assert "no photo is left" in aliens.fails(2, "restyle", "--query", "pool path:nowhere", *REGRADE)


def test_what_a_manifest_picked(aliens: Aliens, filled: Path) -> None:
    picks = (
        Pick(photo_id=5, path=str(filled / "04.jpg"), strength=0.5),
        Pick(photo_id=1, path=str(filled / "00.jpg")),
        Pick(photo_id=2, path=""),
    )
    write_picks(PickList(picks=picks, palette="lagoon"), Path("picks.toml"))
    found = restyled(aliens, "--manifest", "picks.toml", "--strength", 0.25)
    assert [each["source_photo_id"] for each in found] == [5, 1, 2]
    assert [each["attempts"][0]["settings"]["strength"] for each in found] == [0.5, 0.25, 0.25]
    assert {each["palette"] for each in found} == {"lagoon"}
    assert {each["palette"] for each in restyled(aliens, "--manifest", "picks.toml", "--palette", "moss")} == {"moss"}


def test_a_restyled_photo_is_no_photo_to_restyle(aliens: Aliens, filled: Path) -> None:
    restyled(aliens, 3, "--add")
    (hit,) = aliens.records("search", "pool kind:restyled")
    err = aliens.fails(2, "restyle", hit["photo_id"], *REGRADE)
    assert "is a restyled one: name the photo that it was made of" in err
    assert aliens("restyle", "--query", "pool kind:restyled", *REGRADE)[0] == 2


# What is said.


def test_regrading_is_never_passed_off_as_diffusion(aliens: Aliens, filled: Path) -> None:
    out, err = aliens.well("restyle", 3, *REGRADE, "--json", "--html", "page.html", "--prompt", "ferns")
    (said,) = objects(out)
    assert "no diffusion model is used" in err
    assert "no diffusion model paints for regrade, so --prompt is left out" in err
    assert (said["diffusion"], said["prompt"], said["rung"]) == (False, "", "regraded")
    assert "no diffusion model was used" in read_page(Path("page.html").read_text()).text
    assert read_parameters(Path(said["path"]))["diffusion"] is False
    assert "regraded" in aliens("restyle", 3, *REGRADE)[1]


def test_on_a_terminal_results_are_sentences(aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("base.console.on_terminal", lambda: True)
    words = aliens("restyle", 3, *REGRADE)[1]
    assert "photo 3: recoloured in the colours of fern, no diffusion model was used\n  outlines kept " in words
    assert " %, visitors notice it on " in words
    assert not ENGINEERS.search(words)
    assert "aliens-library/restyled/3-regrade-" in words
    _, again, err = aliens("restyle", 3, *REGRADE, "--explain")
    assert "(made before)" in again
    assert "regraded at 1.00 of regrade: HOG " in again and "dE2000" in again
    assert "floors: HOG correlation 0.55, edge F1 0.65, the default for few photos" in err


def test_faces_that_keep_their_colours_are_told_of(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(astronaut()).save(filled / "00.jpg")
    monkeypatch.setattr("restyle.judge.Judge._is_nearest", lambda *_: True)  # the fake encoder sees colours alone
    assert [each["faces"] for each in restyled(aliens, 1, 3)] == [1, 0]
    monkeypatch.setattr("base.console.on_terminal", lambda: True)
    assert "\n  1 face keeps its colours\n" in aliens("restyle", 1, *REGRADE, "--explain")[1]
    assert "face" not in aliens("restyle", 1, *REGRADE)[1] + aliens("restyle", 3, *REGRADE, "--explain")[1]


def test_a_pipe_gets_tabs(aliens: Aliens, filled: Path) -> None:
    out = aliens("restyle", 3, 4, *REGRADE)[1]
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[:4] for row in rows] == [["1", "3", "regrade", "regraded"], ["2", "4", "regrade", "regraded"]]
    assert aliens("restyled")[1] == out


def test_sizes_that_are_told_are_those_of_the_files(aliens: Aliens, filled: Path) -> None:
    Image.new("RGB", (2100, 60), "peachpuff").save(filled / "00.jpg")  # longer than regrading works at
    for photo, *options in ((1,), (3, "--format", "jpg"), (3, "--longest-px", 64)):
        (said,) = restyled(aliens, photo, *options)
        with Image.open(said["path"]) as picture:
            assert (said["width_px"], said["height_px"]) == picture.size
            assert picture.format == ("JPEG" if "jpg" in options else "PNG")
        assert said["size_bytes"] == Path(said["path"]).stat().st_size
    assert picture.size == (64, 43)
    Path(said["path"]).unlink()
    (gone,) = (each for each in aliens.records("restyled") if each["path"] == said["path"])
    assert (gone["width_px"], gone["height_px"], gone["size_bytes"]) == (None, None, None)


def test_json_tells_everything(aliens: Aliens, filled: Path) -> None:
    (said,) = restyled(aliens, 3)
    assert (said["result_id"], said["photo_id"], said["made_now"]) == (1, None, True)
    assert said["source_path"] == str(filled / "02.jpg")
    assert said["scores"]["nearest"] in (True, False)
    assert set(said["attempts"][0]) == {"rung", "settings", "scores", "failures", "seconds"}
    (again,) = aliens.records("restyled")
    assert again == {name: value for name, value in said.items() if name != "made_now"}


def test_a_second_run_makes_nothing_and_says_so(aliens: Aliens, filled: Path) -> None:
    first = restyled(aliens, 3, 4)
    before = [Path(each["path"]).stat().st_mtime_ns for each in first]
    out, err = aliens.well("restyle", 3, 4, 5, *REGRADE, "--json")
    assert [each["made_now"] for each in objects(out)] == [False, False, True]
    assert "2 of them made before" in err
    assert [Path(each["path"]).stat().st_mtime_ns for each in first] == before
    _, out, err = aliens("restyle", 3, *REGRADE, "--json", "--again")
    assert objects(out)[0]["made_now"]
    assert "made before" not in err


def test_what_a_result_is_judged_by_is_said(aliens: Aliens, filled: Path) -> None:
    err = aliens("restyle", 3, *REGRADE)[2]
    assert "a result is recognised where 65 % of the outlines and 55 % of the shapes are kept" in err
    assert not ENGINEERS.search(err)
    assert "tags are not compared, since the library has none yet" in err
    (said,) = restyled(aliens, 3)
    assert said["scores"]["tags_lost"] is None


def test_of_a_tagged_library_tags_are_compared(aliens: Aliens, tagged: Path) -> None:
    out, err = aliens.well("restyle", 3, *REGRADE, "--json")
    assert "tags are not compared" not in err
    assert objects(out)[0]["scores"]["tags_lost"] is not None


# What is good enough.


def test_a_floor_that_was_asked_for_goes_first(aliens: Aliens, filled: Path, synthetic: dict[str, Engine]) -> None:
    strict = aliens.records("restyle", 3, "--floor", 1, "--seeds", 0)
    loose = aliens.records("restyle", 3, "--floor", 0, "--seeds", 0)
    assert strict[0]["diffusion"] is False
    assert strict[0]["rung"] in ("regraded", "unchanged")
    assert any("100.0 % are needed" in each["failures"][0] for each in strict[0]["attempts"] if each["failures"])
    attempted = [each["settings"]["strength"] for each in loose[0]["attempts"]]
    assert all("are needed" not in failure for each in loose[0]["attempts"] for failure in each["failures"])
    assert max(attempted) <= 1


def test_no_time_is_enough_for_regrading(aliens: Aliens, filled: Path, synthetic: dict[str, Engine]) -> None:
    out, _ = aliens.well("restyle", 3, "--budget", 0, "--json")
    assert {each["rung"] for each in objects(out)[0]["attempts"]} <= {"regraded", "unchanged"}


def test_strength_is_the_highest_that_is_tried(aliens: Aliens, filled: Path, synthetic: dict[str, Engine]) -> None:
    assert restyled_strengths(aliens, "--engine", "sd15") > 0.3
    assert restyled_strengths(aliens, "--engine", "sd15", "--strength", 0.3) == 0.3


def restyled_strengths(aliens: Aliens, *options: object) -> float:
    """Return the highest strength that the engine was asked for."""
    out, _ = aliens.well("restyle", 3, "--floor", 0, "--seeds", 0, "--json", *options)
    painted = [each for each in objects(out)[0]["attempts"] if each["rung"] not in ("regraded", "unchanged")]
    return max(float(each["settings"]["strength"]) for each in painted)


def test_prompts_are_built_of_tags_and_palette_unless_they_are_given(
    aliens: Aliens, tagged: Path, synthetic: dict[str, Engine]
) -> None:
    def told(*options: object) -> tuple[str, str]:
        asked = ("--floor", 0, "--seeds", 0, "--strength", 0.25, "--json")
        (said,) = objects(aliens("restyle", 3, *asked, *options)[1])
        assert said["diffusion"]
        return said["prompt"], said["negative_prompt"]

    palette = read_palette("fern").prompt
    built, negative = told()
    assert all(word in negative for word in palette.forbidden)
    assert len(built) > 10
    assert told("--prompt", "ferns") == ("ferns", negative)
    assert told("--negative-prompt", "") == (built, "")
    assert told("--prompt", "", "--negative-prompt", "red") == ("", "red")


# What becomes of the results.


def test_the_page_holds_photo_and_result(aliens: Aliens, filled: Path) -> None:
    _, err = aliens.well("restyle", 3, 4, *REGRADE, "--html", "page.html")
    page = read_page(Path("page.html").read_text(encoding="utf-8"))
    assert "page: page.html" in err
    assert page.problems == []
    assert "Photo 3" in page.text
    assert "04.jpg" not in page.text
    photo = read_pixels(PhotoFile(str(filled / "02.jpg"))).astype(int)
    shown = [np.asarray(picture_of(address).convert("RGB")).astype(int) for _, address in page.pictures]
    assert len(shown) == 8
    assert min(np.abs(each - photo).mean() for each in shown if each.shape == photo.shape) < 4
    assert aliens("restyled", "--html", "again.html")[0] == 0
    assert read_page(Path("again.html").read_text(encoding="utf-8")).pictures == page.pictures


def test_added_results_are_found_by_those_who_ask(aliens: Aliens, filled: Path) -> None:

    def everything() -> list[dict[str, Any]]:
        hits = aliens.records("search", "pool", "-k", 99)
        return [{name: value for name, value in hit.items() if name != "cursor"} for hit in hits]

    before = everything()
    _, err = aliens.well("restyle", 3, 4, *REGRADE, "--add")
    assert "2 results added" in err
    hits = aliens.records("search", "pool kind:restyled")
    assert len(hits) == 2
    assert all("/restyled/" in hit["path"] for hit in hits)
    assert everything() == before
    assert "0 results added" in aliens("restyle", 3, 4, *REGRADE, "--add")[2]
    assert {each["photo_id"] for each in aliens.records("restyled")} == {hit["photo_id"] for hit in hits}


def test_results_that_were_added_are_no_rivals_of_those_made_later(aliens: Aliens, filled: Path) -> None:
    (first,) = restyled(aliens, 3, "--add")
    (again,) = restyled(aliens, 3, "--again", "--add")
    assert again["scores"] == first["scores"]
    assert again["rung"] == first["rung"]


# What goes wrong.


def test_a_photo_that_failed_is_named_and_the_others_are_made(aliens: Aliens, filled: Path) -> None:
    (filled / "02.jpg").unlink()
    (filled / "03.jpg").write_bytes(b"no image any more")
    code, out, err = aliens("restyle", 2, 3, 4, 5, *REGRADE, "--json", "--html", "page.html", "--add")
    assert code == 1
    assert [each["source_photo_id"] for each in objects(out)] == [2, 5]
    assert "photo 3 is left out:" in err
    assert "02.jpg cannot be read: No such file" in err
    assert "photo 4 is left out:" in err
    assert "no image format" in err
    assert "2 results added" in err
    assert "Photo 5" in read_page(Path("page.html").read_text()).text


def test_too_little_memory_is_one_photos_failure(aliens: Aliens, filled: Path, synthetic: dict[str, Engine]) -> None:
    memory = DeviceMemoryError("too little memory: take a smaller --longest-px, --offload")
    synthetic["sd15"] = BreakingEngine(before=at_photo(1, memory))
    code, out, err = aliens("restyle", 3, 4, "--strength", 0.3, "--seeds", 0, "--json")
    assert code == 1
    assert [each["source_photo_id"] for each in objects(out)] == [4]
    assert "photo 3 is left out: too little memory: take a smaller --longest-px, --offload" in err


@pytest.mark.parametrize(("error", "code"), [(EngineError("no weights: `hf download`"), 1), (KeyboardInterrupt(), 130)])
def test_what_ends_a_run_leaves_what_was_made(
    aliens: Aliens, filled: Path, synthetic: dict[str, Engine], error: BaseException, code: int
) -> None:
    synthetic["sd15"] = BreakingEngine(before=at_photo(2, error))
    options = ("--strength", 0.3, "--seeds", 0, "--json")
    ended, out, err = aliens("restyle", 3, 4, 5, *options)
    assert ended == code
    assert [each["source_photo_id"] for each in objects(out)] == [3]
    assert ("the results so far are kept" if code == 130 else "aliens: no weights") in err
    synthetic["sd15"] = SMALL
    assert [each["made_now"] for each in objects(aliens("restyle", 3, 4, 5, *options)[1])] == [False, True, True]
    assert agree(FOLDER)


def test_without_weights_the_command_that_fetches_them_is_told(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache"))
    err = aliens.fails(1, "restyle", 3)
    assert "`hf download stable-diffusion-v1-5/stable-diffusion-v1-5" in err
    assert "--engine regrade" in err
    assert "did you mean regrade" in aliens.fails(1, "restyle", 3, "--engine", "regrad")


RUN = """
import signal
import sys
from types import SimpleNamespace
import cli
import restyle.alienise
from tests.conftest import FakeEncoder
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background inherits that it is ignored
photos, real = [], restyle.alienise.regrade
def regrade(photo, *arguments, **named):
    if not any(photo is known for known in photos):
        photos.append(photo)
        if len(photos) == 2:
            signal.pause()
    return real(photo, *arguments, **named)
restyle.alienise.regrade = regrade
class Models:
    load = staticmethod(lambda name, **options: FakeEncoder())
# In place of what imports torch:
sys.modules["embedding.open_clip_encoder"] = SimpleNamespace(OpenClipEncoder=Models, causal_text_tower=None)
sys.argv = ["aliens", *sys.argv[1:]]
cli.main()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_stopped_from_outside_goes_on(aliens: Aliens, filled: Path, how: signal.Signals) -> None:
    """In the middle of the second photo, which goes on until a signal comes."""
    root = Path(__file__).parents[2]
    numbers = range(1, 4)
    asked = [sys.executable, "-u", "-c", RUN, "restyle", *map(str, numbers), *REGRADE, "--json"]
    with subprocess.Popen(
        asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)}
    ) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["source_photo_id"] == 1
        running.send_signal(how)
        running.stdout.read()
    assert running.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    finished = restyled(aliens, *numbers)
    assert [(each["source_photo_id"], each["made_now"]) for each in finished] == [(1, False), (2, True), (3, True)]
    assert agree(FOLDER)
    assert aliens("verify")[0] == 0


# Models that are real.


def test_a_real_pipeline_from_a_folder_paints_recognisably_or_not_at_all(
    aliens: Aliens, filled: Path, folders: Folders
) -> None:
    control = f"edges={folders.net}"
    options = ("--engine", folders.sd15, "--control", control, "--seeds", 0, "--longest-px", 96, "--device", "cpu")
    out, err = aliens.well("restyle", 3, *options, "--json", "--html", "page.html")
    (said,) = objects(out)
    assert Path(folders.sd15).name in err
    with Image.open(said["path"]) as picture:
        assert picture.size == (96, 64)
    rungs = [each["rung"] for each in said["attempts"]]
    assert rungs[0] == "regraded"
    assert "diffused" in rungs
    kept = [each for each in said["attempts"] if each["rung"] == said["rung"] and not each["failures"]]
    assert kept or said["rung"] == "unchanged"
    painted = said["rung"] not in ("regraded", "unchanged")
    assert said["diffusion"] is painted
    assert bool(said["prompt"]) is painted
    assert said["fingerprint"].startswith("sd15-")
    text = read_page(Path("page.html").read_text()).text
    assert ("no diffusion model was used" in text) is not painted
    assert aliens.records("restyle", 3, *options)[0]["made_now"] is False


@pytest.mark.usefixtures("sample_hotels")
def test_the_embedded_model_recognises_regraded_samples(aliens: Aliens) -> None:
    restyled_ones = restyled(aliens, "--query", "a bathtub", "-n", 3, "--floor", 0.6, "--add")
    assert len(restyled_ones) == 3
    for each in restyled_ones:
        assert each["scores"]["nearest"] is True
        assert each["scores"]["protan_median_de"] > 5
    hits = aliens.records("search", "a bathtub kind:restyled")
    assert {hit["path"] for hit in hits} == {str(Path(each["path"]).resolve()) for each in restyled_ones}
