"""Checks of engines: real tiny pipelines from folders, a hub that answers as the real one does, none at all."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants as hub
from PIL import Image

import aliens
from base.errors import DeviceMemoryError, EngineError, OutputError
from restyle.engines import first_run, weights
from restyle.engines.diffusion import DiffusionEngine
from restyle.engines.engine import MODELS
from restyle.engines.first_run import Check
from restyle.engines.loading import placed
from tests.conftest import raising

GB = 10**9


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, silent: Path) -> None:
    """No network, an empty cache, and a machine whose sizes are known."""
    monkeypatch.setattr(first_run, "LOOK_PX", 96)
    machine(monkeypatch)


def machine(
    monkeypatch: pytest.MonkeyPatch, free: float = 64, host: float = 64, disk: float = 500, device: str = "cpu"
) -> None:
    """Let the machine have so many GB."""
    monkeypatch.setattr("embedding.device.free_device_bytes", lambda device: round(free * GB))
    monkeypatch.setattr("embedding.device.device_name", lambda device: "a device")
    monkeypatch.setattr(first_run, "free_memory_bytes", lambda: round(host * GB))
    precision = "float32" if device == "cpu" else "float16"
    monkeypatch.setattr(first_run, "placed", lambda *asked: (device, precision))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": round(disk * GB)}))


def check(engine: str, **options: Any) -> Check:
    return aliens.check_engine(engine, **options)


def test_regrade_needs_nothing_and_works(tmp_path: Path) -> None:
    found = check("regrade", output=tmp_path / "out")
    assert found.works and found.look is not None and found.look.problem == ""
    assert "it needs no weights" in str(found) and str(found).endswith("it works")
    with Image.open(found.look.path) as picture:
        assert picture.size == (2 * found.look.width_px + 8, found.look.height_px)
    assert Path(found.look.path).name == "check-regrade.png"


@pytest.mark.parametrize("name", ["sd15", "sdxl", "klein", "sd3"])
def test_a_pipeline_in_a_folder_paints_a_picture(folders: Any, name: str, tmp_path: Path) -> None:
    found = check(getattr(folders, name), device="cpu", longest_px=96, output=tmp_path)
    assert found.look is not None and found.look.problem == "", str(found)
    assert found.works and found.is_here and found.to_fetch_bytes == 0
    assert max(found.look.width_px, found.look.height_px) == 96
    assert 0 < found.look.steps <= 4 and found.look.seconds > 0
    assert found.memory is not None and sum(found.memory.values()) > 0
    assert "all here" in str(found) and "to be fetched in all: nothing" in str(found)
    assert Path(found.look.path).is_file()


def test_controls_from_folders_are_part_of_it(folders: Any) -> None:
    found = check(folders.sd15, controls=[f"edges={folders.net}", f"tile={folders.net}"], longest_px=96)
    assert found.works, str(found)
    assert [stock.need.controls for stock in found.stocks] == [(), ("edges", "tile")]
    assert found.classes[-2:] == ("StableDiffusionControlNetImg2ImgPipeline", "ControlNetModel")
    assert "held to its photo by: edges and tile" in str(found)


def test_a_picture_is_not_kept_without_a_folder_and_none_is_written_over(folders: Any, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    found = check(folders.turbo, preset="turbo", longest_px=96)
    assert found.look is not None and found.look.path == ""
    assert "the picture is not kept: --output FOLDER keeps it" in str(found)
    assert set(tmp_path.rglob("*")) == before
    names = [Path(check("regrade", output=tmp_path).look.path).name for _ in range(2)]  # type: ignore[union-attr]
    assert names == ["check-regrade.png", "check-regrade-2.png"]


def test_everything_is_one_object_for_programs(folders: Any) -> None:
    found = check(folders.sd15, controls=[f"edges={folders.net}"], longest_px=96)
    told = json.loads(json.dumps(found.as_json()))
    assert told["works"] is True and told["problems"] == []
    assert [each["what"] for each in told["weights"]] == ["model", "ControlNet for edges"]
    assert all(file["is_here"] and file["size_bytes"] > 0 for each in told["weights"] for file in each["files"])
    assert told["memory_bytes"] == told["device_bytes"] > 0
    assert told["settings"]["controls"] == ["edges"] and told["strengths"] == [0.25, 0.75]
    assert told["look"]["width_px"] == 96 and told["look"]["problem"] == ""
    assert told["machine"]["precision"] == "float32"


# What is not here.


@pytest.mark.usefixtures("answering")
def test_where_the_hub_answers_it_would_work_and_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        first_run.EngineChoice, "load", lambda *arguments: pytest.fail("nothing may be fetched unasked")
    )
    found = check("sd15")
    assert found.works and found.look is None
    assert found.to_fetch_bytes == pytest.approx(8.387e9, rel=1e-4)
    words = str(found)
    assert "15 files, 5.5 GB (as the hub says): nothing is here yet" in words
    assert "to fetch: unet/diffusion_pytorch_model.safetensors, 3.4 GB" in words
    assert "small files" in words
    assert "to be fetched in all: 8.4 GB" in words
    assert "they take 8.4 GB in float32: they fit" in words
    assert "20 steps, guidance 5.5, strengths from 0.25 to 0.75 are tried" in words
    assert "the longer side 768 px, both in multiples of 8 px" in words
    assert "it would work, once 8.4 GB was fetched: the same command with --fetch does so" in words
    assert "hf download stable-diffusion-v1-5/stable-diffusion-v1-5 --exclude '*.ckpt'" in words


@pytest.mark.usefixtures("answering")
def test_fetching_is_done_where_it_is_asked_for(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(self: first_run.EngineChoice, longest_px: int | None) -> Any:
        asked.append(weights.why_no_hub())
        return first_run.load_engine(folders.klein, device="cpu", precision="float32", longest_px=longest_px)

    monkeypatch.setattr(first_run.EngineChoice, "load", load)
    found = check("klein", fetch=True)
    assert asked == [""]
    assert found.works and found.look is not None


def test_without_a_hub_sizes_are_estimates_and_the_command_is_told() -> None:
    found = check("sd15")
    assert not found.works and found.look is None
    words = str(found)
    assert "about 5.5 GB, not here; an estimate" in words
    assert "listed when this version was written: the model hub does not answer" in words
    assert "to be fetched in all: about 8.4 GB" in words
    assert "are not here, and the model hub does not answer. Fetch on a machine that has a network" in words
    assert "by the commands that `aliens restyle --check sd15` tells, and copy its" in words
    assert "\n  hf download stable-diffusion-v1-5/stable-diffusion-v1-5 --exclude '*.ckpt'" in words
    assert "--engine regrade" in words


def test_a_hub_that_is_not_to_be_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in str(check("sdxl"))


def test_of_an_unknown_model_nothing_is_made_up() -> None:
    found = check("some/body")
    assert not found.works and found.to_fetch_bytes is None and found.memory is None
    words = str(found)
    assert "which files: unknown: the model hub does not answer" in words
    assert "to be fetched in all: unknown" in words
    assert "what kind of model it is stands in its model_index.json" in words


def test_damaged_weights_are_told_and_nothing_is_fetched_for_them(
    folders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "hub_answers", lambda: pytest.fail("the hub is not to be asked"))
    model = Path(shutil.copytree(folders.sd15, tmp_path / "model"))
    path = model / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-2000])
    found = check(str(model), longest_px=96)
    assert not found.works and found.look is None
    assert "holds no whole model" in found.problems[0] and "--force-download" in found.problems[0]


def test_a_half_fetched_model_is_told(folders: Any, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / f"models--{MODELS['sd15'].replace('/', '--')}"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("a" * 40)
    snapshot = Path(shutil.copytree(folders.sd15, kept / "snapshots" / ("a" * 40)))
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    found = check("sd15")
    assert not found.works
    assert "holds no whole model: the weights of unet lacking. Fetch it anew: `hf download" in str(found)


# What does not fit.


@pytest.mark.usefixtures("answering")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine(monkeypatch, disk=5)
    found = check("sd15", fetch=True)
    assert not found.works and found.look is None
    assert f"8.4 GB are to be fetched, and the disk of {tmp_path / 'cache'} has 5.0 GB free" in found.problems[0]
    assert "HF_HOME" in found.problems[0]


@pytest.mark.usefixtures("answering")
def test_too_little_memory_comes_with_options_that_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, free=6, device="cuda")
    (problem,) = check("sdxl").problems
    assert "the weights take 9.5 GB in float16, and cuda has 6.0 GB of memory free: take " in problem
    assert "--offload" not in problem  # the largest part alone takes 5.2 GB, which leaves too little
    assert "--device cpu (slow)" in problem and "one control alone" in problem and "--engine regrade" in problem
    machine(monkeypatch, free=8, device="cuda")
    (problem,) = check("sdxl").problems
    assert "--offload (the device holds 5.2 GB at a time then)" in problem
    found = check("sdxl", offload=True)
    assert found.works and found.device_bytes == 5_150_000_000
    assert "the largest part takes 5.2 GB in float16: they fit" in str(found)


@pytest.mark.usefixtures("answering")
def test_memory_that_nearly_does_not_suffice_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, free=9)
    found = check("sd15")
    assert found.works
    (advice,) = found.advice
    assert "memory is tight" in advice and "--precision bfloat16 (4.2 GB)" in advice and "--longest-px" in advice
    assert "8.4 GB in float32: that is tight" in str(found)


@pytest.mark.usefixtures("answering")
def test_weights_have_to_pass_through_the_computer_s_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, free=80, host=4, device="cuda")
    (problem,) = check("klein").problems
    assert "pass through the computer's own memory, of which 4.0 GB are free, and they take 16.0 GB" in problem


@pytest.mark.usefixtures("answering")
def test_a_diffusers_without_the_class_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers

    monkeypatch.setattr(diffusers, "Flux2KleinInpaintPipeline", None)
    (problem,) = check("klein").problems
    assert "has no Flux2KleinInpaintPipeline: `pip install -U diffusers`" in problem


# What it paints.


@pytest.mark.parametrize(
    ("painted", "told"),
    [
        (lambda job: np.zeros_like(job.start), "came back black: numbers overflowed"),
        (lambda job: np.full_like(job.start, 90), "in one colour"),
        (lambda job: job.start.copy(), "came back as it was"),
    ],
)
def test_what_is_no_picture_is_a_problem(
    folders: Any, monkeypatch: pytest.MonkeyPatch, painted: Any, told: str
) -> None:
    monkeypatch.setattr(DiffusionEngine, "restyle", lambda self, job, settings: painted(job))
    found = check(folders.sd15, longest_px=96)
    assert not found.works and told in found.problems[0]
    assert "it would not work:" in str(found) and "it is a picture" not in str(found)


def test_numbers_that_are_none_come_back_black_and_are_told(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As half precision makes them where it overflows: in a real pipeline."""
    import torch
    from diffusers import AutoencoderKL

    decode = AutoencoderKL.decode

    def overflowing(self: Any, latents: Any, *arguments: Any, **options: Any) -> Any:
        return decode(self, torch.full_like(latents, float("nan")), *arguments, **options)

    monkeypatch.setattr(AutoencoderKL, "decode", overflowing)
    found = check(folders.sd15, longest_px=96)
    assert not found.works and "came back black" in found.problems[0]


def test_what_painting_takes_on_a_graphics_card_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from embedding.gpu_memory import CudaMemory

    def taken(self: CudaMemory, work: Any) -> int:
        work()
        return 1_200_000_000

    monkeypatch.setattr(CudaMemory, "taken_bytes", taken)
    picture = np.zeros((2, 2, 3), np.uint8)
    painted, _, taken_bytes = first_run.painting("cuda", lambda: picture)
    assert painted is picture and taken_bytes == 1_200_000_000
    assert first_run.painting("cpu", lambda: picture)[2] is None


def test_memory_that_ends_while_painting_is_a_problem(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    full = raising(DeviceMemoryError("cpu has too little memory: take a smaller --longest-px"))
    monkeypatch.setattr(DiffusionEngine, "restyle", full)
    found = check(folders.sd15, longest_px=96)
    assert found.problems == ("cpu has too little memory: take a smaller --longest-px",)


# What makes no sense.


@pytest.mark.parametrize(
    ("engine", "options", "match"),
    [
        ("sd16", {}, "no engine 'sd16', did you mean sd15"),
        ("sd\x1b[31m15", {}, "no engine 'sd\\\\x1b"),
        ("/nowhere/at/all", {}, "holds no model_index.json"),
        ("klein", {"preset": "lcm"}, "the preset is for sd15, sdxl"),
        ("sd15", {"controls": ["fog"]}, "no control 'fog': there are softedge"),
        ("klein", {"controls": ["softedge"]}, "no controls are known for this model"),
    ],
)
def test_what_makes_no_sense_is_refused(engine: str, options: dict[str, Any], match: str) -> None:
    with pytest.raises(EngineError, match=match):
        check(engine, **options)


def test_a_folder_that_is_no_model_or_no_control_net_is_told(folders: Any, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"holds no model_index\.json"):
        check(str(tmp_path))
    found = check(folders.sd15, controls=[f"edges={tmp_path}"])
    assert not found.works and "holds no whole ControlNet: config.json lacking" in found.problems[0]
    found = check(folders.sd15, controls=["edges=/nowhere"])
    assert not found.works and "there is no folder /nowhere" in found.problems[0]


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_run, "examined", lambda asked: pytest.fail("too late"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        check("regrade", output=tmp_path / "file")


def test_a_device_or_packages_that_are_absent_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_run, "placed", placed)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(EngineError, match=r"no device 'cuda' here: torch .* sees cpu"):
        check("sd15", device="cuda")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(EngineError, match=r"pip install -e '\.\[cpu,restyle\]'"):
        check("sd15")
    assert check("regrade").works
