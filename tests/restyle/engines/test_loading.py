import shutil
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
from restyle.engines.engine import KLEIN, MODELS, OTHER, PRESETS, SD15, SDXL, Engine, Job, family_of
from restyle.engines.loading import engine_at_hand, load_engine, placed, weights_of
from restyle.engines.weights import are_here
from restyle.palettes import read_palette
from tests.conftest import raising

OFFLINE = pytest.mark.usefixtures("no_network")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without network, and with an empty cache of the hub."""
    monkeypatch.setattr(weights, "hub_answers", lambda: False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)


@pytest.fixture
def model(folders: Any, tmp_path: Path) -> Path:
    """A folder of a model that a test may damage."""
    return Path(shutil.copytree(folders.sd15, tmp_path / "my model"))


def load(name: Any, **options: Any) -> Engine:
    return load_engine(str(name), device="cpu", precision="float32", **options)


def test_grow_needs_no_weights_and_does_not_diffuse() -> None:
    engine = load_engine("grow", longest_px=500, palette=read_palette())
    assert engine.name == "grow" and not engine.diffuses
    assert "no diffusion model is used" in str(engine)
    assert engine.fit(1000, 600) == (500, 300) and engine.fit(40, 60) == (40, 60)
    assert load_engine("grow").fingerprint == engine.fingerprint
    assert load_engine("grow", palette=read_palette("moss")).fingerprint != engine.fingerprint
    assert engine_at_hand("grow") == "grow"


def test_regrade_needs_no_weights_and_does_not_diffuse() -> None:
    engine = load_engine("regrade", longest_px=500, palette=read_palette())
    assert engine.name == "regrade" and not engine.diffuses
    assert engine.fit(1000, 500) == (500, 250)
    assert load_engine("regrade").fingerprint == engine.fingerprint


@OFFLINE
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("sd15", "hf download stable-diffusion-v1-5/stable-diffusion-v1-5 --exclude '*.ckpt'"),
        ("sdxl", "hf download stabilityai/stable-diffusion-xl-base-1.0 --exclude '*.ckpt'"),
        ("klein", "hf download black-forest-labs/FLUX.2-klein-4B --exclude '*.ckpt'"),
        ("SimianLuo/LCM_Dreamshaper_v7", "hf download SimianLuo/LCM_Dreamshaper_v7 --exclude '*.ckpt'"),
    ],
)
def test_weights_that_cannot_be_fetched_come_with_the_command(name: str, command: str) -> None:
    with pytest.raises(EngineError) as caught:
        load(name)
    message = str(caught.value)
    assert command in message
    assert "are not on this machine (the model hub does not answer)" in message
    assert (
        "add `--local-dir FOLDER`" in message and "use `--engine FOLDER`" in message and "--engine regrade" in message
    )


def test_the_command_is_one_that_hf_knows() -> None:
    import subprocess

    hf = Path(sys.executable).with_name("hf")
    shown = subprocess.run([hf, "download", "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--exclude", "--local-dir", "--force-download"):
        assert option in shown


@OFFLINE
def test_turbo_stands_for_other_weights() -> None:
    with pytest.raises(EngineError, match="hf download stabilityai/sd-turbo"):
        load("sd15", preset="turbo")


@OFFLINE
def test_a_lora_that_cannot_be_had_comes_with_the_command(folders: Any) -> None:
    with pytest.raises(EngineError, match="hf download latent-consistency/lcm-lora-sdv1-5"):
        load(folders.sd15, preset="lcm")


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
def test_weights_that_lack_a_part_are_not_made_up(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = model / PARTS[0]
    kept = load_file(path)
    kept.pop("conv_norm_out.weight")
    save_file(kept, path)
    with pytest.raises(EngineError, match=r"conv_norm_out\.weight is missing"):
        load(model)


@OFFLINE
def test_a_control_net_that_lacks_a_part_is_refused(folders: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    net = Path(shutil.copytree(folders.net, tmp_path / "net"))
    path = net / "diffusion_pytorch_model.safetensors"
    kept = load_file(path)
    kept.pop("controlnet_mid_block.weight")
    save_file(kept, path)
    with pytest.raises(EngineError, match="1 weights are missing"):
        load(folders.sd15, controls=[f"edges={net}"])


def test_a_control_net_of_another_model_is_refused(folders: Any) -> None:
    with pytest.raises(EngineError, match="made for another model"):
        load(folders.sd15, controls=[f"edges={folders.wide_net}"])


@pytest.mark.parametrize(
    ("model", "controls", "match"),
    [
        ("sd15", ["fog"], "no control 'fog': there are softedge, lines, edges, tile, depth, estimator"),
        ("sd15", ["union=x"], "no control 'union=x'"),
        ("sd15", ["softedge"], "--control softedge=ORG/NAME"),
        ("sdxl", ["softedge"], "--control union=ORG/NAME"),
        ("sdxl", ["softedge=x/y"], "no control 'softedge=x/y'"),
        ("klein", ["softedge"], "no controls are known for this model"),
    ],
)
def test_controls_that_do_not_fit_are_refused(folders: Any, model: str, controls: list[str], match: str) -> None:
    with pytest.raises(EngineError, match=match):
        load(getattr(folders, model), controls=controls)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("sd16", "did you mean sd15.*regrade, grow, sd15, sdxl, klein"),
        ("", "no engine ''"),
        ("a/b/c", "ORG/NAME"),
        ("/nowhere/at/all", "holds no model_index.json"),
        ("./nowhere", "holds no model_index.json"),
    ],
)
def test_names_of_nothing_are_refused(name: str, match: str) -> None:
    with pytest.raises(EngineError, match=match):
        load(name)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"holds no model_index\.json"):
        load(tmp_path)


def test_a_folder_comes_before_the_hub(folders: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(folders.sd15, tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    assert weights_of("org/name", None) == "org/name"
    assert load("org/name").diffuses


def test_unknown_presets_devices_and_precisions_are_refused() -> None:
    with pytest.raises(EngineError, match="no preset 'fast': there are lcm, turbo"):
        load_engine("sd15", preset="fast")
    with pytest.raises(EngineError, match="no device 'tpu'"):
        load_engine("sd15", device="tpu")
    with pytest.raises(EngineError, match="no precision 'float8'"):
        load_engine("sd15", device="cpu", precision="float8")
    with pytest.raises(EngineError, match="no precision 'float16'"):  # which CPUs do not compute with
        load_engine("sd15", device="cpu", precision="float16")


@pytest.mark.parametrize(("has_bfloat16", "precision"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_without_bfloat16_computes_in_float16(
    monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool, precision: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: has_bfloat16)
    assert placed("auto", "auto") == ("cuda", precision)
    assert placed("cuda", "float16") == ("cuda", "float16")
    assert placed("cuda", "float32") == ("cuda", "float32")


def test_too_short_a_side_is_refused(folders: Any) -> None:
    with pytest.raises(EngineError, match="--longest-px 63 is too small"):
        load(folders.sd15, longest_px=63)


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
        load_engine(folders.sd15, device="cpu", precision="bfloat16"),
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


def test_lcm_is_not_for_all_models(folders: Any) -> None:
    with pytest.raises(EngineError, match="the preset is for sd15, sdxl and models whose scheduler is LCMScheduler"):
        load(folders.klein, preset="lcm")


@pytest.mark.parametrize(
    ("pipeline_class", "family"),
    [
        ("StableDiffusionPipeline", SD15),
        ("StableDiffusionControlNetImg2ImgPipeline", SD15),
        ("LatentConsistencyModelPipeline", SD15),
        ("StableDiffusionXLPipeline", SDXL),
        ("StableDiffusionXLControlNetUnionImg2ImgPipeline", SDXL),
        ("Flux2KleinPipeline", KLEIN),
        ("StableDiffusion3Pipeline", OTHER),
        ("FluxPipeline", OTHER),
    ],
)
def test_families(pipeline_class: str, family: object) -> None:
    assert family_of(pipeline_class) is family


@pytest.mark.parametrize("family", [SD15, SDXL, KLEIN])
def test_diffusers_has_the_classes(family: Any) -> None:
    import diffusers

    for name in (family.plain, family.controlled or family.plain, family.net):
        assert hasattr(diffusers, name)
    assert all(hasattr(diffusers, preset.scheduler or "DDIMScheduler") for preset in PRESETS.values())


def test_the_hub_s_control_nets_are_for_models_of_their_width_only(folders: Any) -> None:
    from restyle.engines.pipelines import ControlNets

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
    import subprocess

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
    from restyle.engines.pipelines import ControlNets

    model = Path(hub.HF_HUB_CACHE) / "models--lllyasviel--control_v11f1e_sd15_tile"
    commit = "0" * 40
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    (snapshot / "config.json").write_text("{}")
    nets = ControlNets(SD15, 768, (), None)
    assert nets.available == ()
    (snapshot / "diffusion_pytorch_model.fp16.safetensors").write_bytes(
        b"halved, which diffusers loads for nobody here"
    )
    assert nets.available == ()
    (snapshot / "diffusion_pytorch_model.bin").write_bytes(b"weights")
    assert nets.available == ("tile",)
