import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from huggingface_hub import constants as hub
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from base.errors import DeviceMemoryError, EngineError
from restyle.engines import loading, weights
from restyle.engines.diffusion import DiffusionEngine
from restyle.engines.engine import KLEIN, MODELS, OTHER, SD15, SDXL, Engine, Job, family_of
from restyle.engines.loading import engine_at_hand, load_engine, placed, weights_of
from restyle.engines.pipelines import ControlNets
from restyle.engines.weights import are_here
from restyle.palettes import read_palette
from tests.conftest import raising

OFFLINE = pytest.mark.usefixtures("silent")


@pytest.fixture
def model(folders: Any, tmp_path: Path) -> Path:
    """A folder of a model that a test may damage."""
    return Path(shutil.copytree(folders.sd15, tmp_path / "my model"))


def load(name: Any, **options: Any) -> Engine:
    return load_engine(str(name), **{"device": "cpu", "precision": "float32", **options})


@pytest.mark.parametrize("name", ["grow", "regrade"])
def test_some_need_no_weights_and_do_not_diffuse(name: str) -> None:
    engine = load_engine(name, longest_px=500, palette=read_palette())
    assert engine.name == engine_at_hand(name) == name and not engine.diffuses
    assert "no diffusion model is used" in str(engine)
    assert engine.fit(1000, 600) == (500, 300)
    assert load_engine(name).fingerprint == engine.fingerprint
    assert load_engine(name, palette=read_palette("moss")).fingerprint != engine.fingerprint


@OFFLINE
@pytest.mark.parametrize(
    ("name", "preset", "repository"),
    [
        ("sd15", None, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        ("sdxl", None, "stabilityai/stable-diffusion-xl-base-1.0"),
        ("klein", None, "black-forest-labs/FLUX.2-klein-4B"),
        ("SimianLuo/LCM_Dreamshaper_v7", None, "SimianLuo/LCM_Dreamshaper_v7"),
        ("sd15", "turbo", "stabilityai/sd-turbo"),  # which stands for other weights
    ],
)
def test_weights_that_cannot_be_fetched_come_with_the_command(name: str, preset: str | None, repository: str) -> None:
    with pytest.raises(EngineError, match=r"are not on this machine \(the model hub does not answer") as caught:
        load(name, preset=preset)
    told = (f"hf download {repository} --exclude '*.ckpt'", "add `--local-dir FOLDER`", "use `--engine FOLDER`")
    assert all(words in str(caught.value) for words in (*told, "--engine regrade"))


def test_the_command_is_one_that_hf_knows() -> None:
    hf = Path(sys.executable).with_name("hf")
    shown = subprocess.run([hf, "download", "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--exclude", "--local-dir", "--force-download"):
        assert option in shown


@OFFLINE
def test_a_control_net_that_cannot_be_had_comes_with_the_command(folders: Any) -> None:
    with pytest.raises(
        EngineError, match=r"hf download lllyasviel/xyz.*`--control tile=FOLDER`; or do without"
    ) as caught:
        load(folders.sd15, controls=["tile=lllyasviel/xyz"])
    assert "regrade" not in str(caught.value)


@OFFLINE
def test_the_hub_is_asked_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def fetched(local: bool) -> str:
        asked.append(local)
        if local:
            raise OSError("not here")
        return "weights"

    with pytest.raises(EngineError, match=r"\(the model hub does not answer\)"):
        weights.load_weights("org/name", fetched, "--engine ")
    monkeypatch.setattr(weights, "hub_answers", lambda: True)
    assert weights.load_weights("org/name", fetched, "--engine ") == "weights"
    assert asked == [True, True, False]
    with pytest.raises(EngineError, match="holds no whole model"):  # a folder is nothing to ask a hub for
        weights.load_weights("./name", fetched, "--engine ")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(EngineError, match="HF_HUB_OFFLINE is set"):
        weights.load_weights("org/name", fetched, "--engine ")
    assert asked == [True, True, False, True, True]


def test_gated_and_unknown_models_are_told_apart() -> None:
    response = MagicMock()
    wrapped = OSError("org/name cannot be loaded")  # as diffusers raises it
    wrapped.__cause__ = GatedRepoError("403", response=response)
    gated = weights.engine_unavailable("org/name", wrapped, "--engine ")
    assert "accept a licence first: https://huggingface.co/org/name" in gated and "hf auth login" in gated
    unknown = weights.engine_unavailable("org/name", RepositoryNotFoundError("404", response=response), "--engine ")
    assert "knows no such model" in unknown


PARTS = [f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae")] + ["text_encoder/model.safetensors"]
MORE = ["unet/config.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json"]


@OFFLINE
@pytest.mark.parametrize("part", [*PARTS, *MORE])
def test_a_missing_file_is_told_with_the_command(model: Path, part: str) -> None:
    (model / part).unlink()
    command = r"hf download ORG/NAME --local-dir '.*my model'"
    with pytest.raises(EngineError, match=rf"my model holds no whole model.*{command}.*--engine regrade"):
        load(model)


@OFFLINE
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.6])
def test_a_file_that_was_fetched_in_part_is_told_with_the_command(model: Path, part: str, kept: float) -> None:
    data = (model / part).read_bytes()
    (model / part).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(EngineError, match=r"no whole model.*hf download ORG/NAME --local-dir .* --force-download"):
        load(model)


@OFFLINE
@pytest.mark.parametrize(
    ("folder", "weight", "match"),
    [
        ("unet", "conv_norm_out.weight", r"conv_norm_out\.weight is missing"),
        ("net", "controlnet_mid_block.weight", "1 weights are missing"),
    ],
)
def test_weights_that_lack_a_part_are_not_made_up(
    folders: Any, model: Path, folder: str, weight: str, match: str
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folders.net, model / "net")
    path = model / folder / "diffusion_pytorch_model.safetensors"
    kept = load_file(path)
    kept.pop(weight)
    save_file(kept, path)
    with pytest.raises(EngineError, match=match):
        load(model, controls=[f"edges={model / 'net'}"])


@pytest.mark.parametrize(
    ("model", "controls", "match"),
    [
        ("sd15", ["fog"], "no control 'fog': there are softedge, lines, edges, tile, depth, estimator"),
        ("sd15", ["union=x"], "no control 'union=x'"),
        ("sd15", ["softedge"], "--control softedge=ORG/NAME"),
        ("sdxl", ["softedge"], "--control union=ORG/NAME"),
        ("sdxl", ["softedge=x/y"], "no control 'softedge=x/y'"),
        ("sd15", ["edges={folders.wide_net}"], "made for another model"),
        ("klein", ["softedge"], "no controls are known for this model"),
    ],
)
def test_controls_that_do_not_fit_are_refused(folders: Any, model: str, controls: list[str], match: str) -> None:
    with pytest.raises(EngineError, match=match):
        load(getattr(folders, model), controls=[control.format(folders=folders) for control in controls])


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("sd16", {}, "did you mean sd15.*regrade, grow, sd15, sdxl, klein"),
        ("", {}, "no engine ''"),
        ("a/b/c", {}, "ORG/NAME"),
        ("/nowhere/at/all", {}, "holds no model_index.json"),
        ("./nowhere", {}, "holds no model_index.json"),
        ("{folders.net}", {}, r"holds no model_index\.json"),
        ("sd15", {"preset": "fast"}, "no preset 'fast': there are lcm, turbo"),
        ("sd15", {"device": "tpu"}, "no device 'tpu'"),
        ("sd15", {"precision": "float8"}, "no precision 'float8'"),
        ("sd15", {"precision": "float16"}, "no precision 'float16'"),  # which CPUs do not compute with
        ("{folders.sd15}", {"longest_px": 63}, "--longest-px 63 is too small"),
        ("{folders.klein}", {"preset": "lcm"}, "for sd15, sdxl and models whose scheduler is LCMScheduler"),
    ],
)
def test_what_makes_no_sense_is_refused(folders: Any, name: str, options: dict[str, Any], match: str) -> None:
    with pytest.raises(EngineError, match=match):
        load(name.format(folders=folders), **options)


def test_a_folder_comes_before_the_hub(folders: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(folders.sd15, tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    assert weights_of("org/name", None) == "org/name"
    assert load("org/name").diffuses


@pytest.mark.parametrize(("has_bfloat16", "precision"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_without_bfloat16_computes_in_float16(
    monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool, precision: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: has_bfloat16)
    assert placed("auto", "auto") == ("cuda", precision)
    assert placed("cuda", "float16") == ("cuda", "float16")
    assert placed("cuda", "float32") == ("cuda", "float32")


@pytest.mark.parametrize("package", ["diffusers", "transformers"])
def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineError, match=r"pip install -e '\.\[cpu,restyle\]'.*--engine regrade"):
        load_engine("sd15")


def test_too_little_memory_for_the_weights(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers
    import torch

    full = raising(torch.OutOfMemoryError("CUDA out of memory"))
    monkeypatch.setattr(diffusers.StableDiffusionImg2ImgPipeline, "to", full)
    with pytest.raises(DeviceMemoryError, match="--offload"):
        load(folders.sd15)


def test_fingerprints_tell_what_decides_the_pixels(folders: Any, model: Path) -> None:
    plain = load(folders.sd15)
    assert plain.fingerprint.startswith("sd15-") and len(plain.fingerprint) == len("sd15-") + 8
    assert load(folders.sd15).fingerprint == plain.fingerprint
    assert load(model).fingerprint.startswith("my-model-")
    others = [
        load(folders.sd15, precision="bfloat16"),
        load(folders.sd15, preset="turbo"),
        load(folders.sd15, controls=[f"edges={folders.net}"]),
        load(folders.sd15, controls=[f"edges={folders.other_net}"]),
    ]
    digits = {engine.fingerprint[-8:] for engine in (plain, *others)}
    assert len(digits) == 5
    (model / ".cache").mkdir()
    (model / ".cache" / "notes.json").write_text("{}")  # what `hf download --local-dir` leaves
    same = load(model).fingerprint
    config = model / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert load(model).fingerprint != same


def test_settings_and_sizes_come_from_the_model(folders: Any) -> None:
    assert load(folders.sd15).fit(4000, 3000) == (768, 576)
    assert load(folders.sdxl).fit(4000, 3000) == (1024, 768)
    assert load(folders.sd15, longest_px=512).fit(4000, 3000) == (512, 384)
    klein = load(folders.klein).settings
    assert (klein.steps, klein.strength, klein.controls) == (4, 1.0, ())
    lcm, turbo = load(folders.lcm, preset="lcm").settings, load(folders.turbo, preset="turbo").settings
    assert (lcm.steps, lcm.guidance) == (4, 1.5) and (turbo.steps, turbo.guidance) == (2, 0.0)


@pytest.mark.parametrize(
    ("pipeline_class", "family"),
    [
        ("StableDiffusionControlNetImg2ImgPipeline", SD15),
        ("LatentConsistencyModelPipeline", SD15),
        ("StableDiffusionXLControlNetUnionImg2ImgPipeline", SDXL),
        ("Flux2KleinPipeline", KLEIN),
        ("StableDiffusion3Pipeline", OTHER),
        ("FluxPipeline", OTHER),
    ],
)
def test_families(pipeline_class: str, family: object) -> None:
    assert family_of(pipeline_class) is family


def test_the_hub_s_control_nets_are_for_models_of_their_width_only(folders: Any) -> None:
    assert ControlNets(SD15, 768, None, None).asked_for == ("softedge", "lines")
    assert ControlNets(SD15, 1024, None, None).asked_for == ()  # Stable Diffusion 2
    assert ControlNets(SD15, 768, (), None).asked_for == ()
    assert ControlNets(SDXL, 2048, None, None).asked_for == ("softedge", "lines")
    assert ControlNets(SD15, 768, ["depth=/x", "estimator=/y"], None).depth_weights == "/y"


def test_a_pipeline_saved_with_its_control_net_is_taken(folders: Any, job: Job, tmp_path: Path) -> None:
    import diffusers

    from embedding.hub import no_chatter

    with no_chatter():
        base = diffusers.StableDiffusionPipeline.from_pretrained(folders.sd15, local_files_only=True)
        net = diffusers.ControlNetModel.from_pretrained(folders.net, local_files_only=True)
        parts = {**base.components, "controlnet": net, "requires_safety_checker": False}
        diffusers.StableDiffusionControlNetImg2ImgPipeline(**parts).save_pretrained(tmp_path)
    engine = load(tmp_path, controls=[f"edges={tmp_path}/controlnet"], longest_px=64)
    assert isinstance(engine, DiffusionEngine)
    assert engine.controls_available == ("edges",)
    assert engine.restyle(job, engine.settings).shape == job.start.shape


def test_loading_is_light_until_an_engine_is_asked_for() -> None:
    script = "import sys, restyle.engines.loading; print({'torch', 'diffusers', 'open_clip'} & set(sys.modules))"
    root = Path(loading.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "set()"


@OFFLINE
def test_the_engine_at_hand_is_diffusion_only_where_all_that_it_needs_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {MODELS["sd15"], *(SD15.nets[control] for control in SD15.controls)}
    here = set(needed)
    monkeypatch.setattr("restyle.engines.weights.are_here", lambda name: name in here)
    assert engine_at_hand(None) == "sd15"
    for name in needed:
        here.remove(name)
        assert engine_at_hand(None) == "regrade"
        here.add(name)
    monkeypatch.setattr("restyle.engines.loading.find_spec", lambda package: None)
    assert engine_at_hand(None) == "regrade"
    assert [engine_at_hand(name) for name in ("regrade", "klein", "org/name")] == ["regrade", "klein", "org/name"]
    with pytest.raises(EngineError, match="did you mean regrade"):
        engine_at_hand("regrad")


def test_a_pipeline_is_here_with_the_weights_in_its_folders(model: Path) -> None:
    assert are_here(str(model))
    for file in [*model.rglob("*.safetensors"), *model.rglob("*.bin")]:
        file.unlink()
    assert not are_here(str(model))


@OFFLINE
def test_a_control_net_that_was_fetched_in_part_is_not_offered() -> None:
    model = Path(hub.HF_HUB_CACHE) / "models--lllyasviel--control_v11f1e_sd15_tile"
    commit = "0" * 40
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    (snapshot / "config.json").write_text("{}")
    nets = ControlNets(SD15, 768, (), None)
    assert nets.available == ()
    (snapshot / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"halved, which nobody here loads")
    assert nets.available == ()
    (snapshot / "diffusion_pytorch_model.bin").write_bytes(b"weights")
    assert nets.available == ("tile",)
