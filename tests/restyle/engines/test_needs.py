"""Names, file patterns and classes, against the installed diffusers and what the hub's repositories hold."""

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from base.errors import EngineError
from restyle.controls import CONTROLS, DEFAULT_DEPTH
from restyle.engines import needs
from restyle.engines.engine import KLEIN, MODELS, PRESETS, SD15, SDXL, Engine, family_of
from restyle.engines.loading import LORA_FILE, load_engine, preset_of
from restyle.engines.needs import Need, Stock, missing_parts, stock_of, take_stock, wanted
from restyle.engines.pipelines import NEEDED, classes_for, too_old
from restyle.engines.weights import REPOSITORIES, needless_in
from tests.conftest import raising
from tests.restyle.engines.hub_lists import INDICES, LISTS, WIDTHS, HubAnswers

COMMIT = "f" * 40
FAMILIES = {"sd15": SD15, "sdxl": SDXL, "klein": KLEIN}


def cached(cache: Path, name: str, folder: Path, leave_out: tuple[str, ...] = (), *, listed: bool = False) -> Path:
    """Lay a folder into the hub's cache, as a download does; `listed`: with the list of all that the hub has."""
    kept = cache / f"models--{name.replace('/', '--')}"
    snapshot = kept / "snapshots" / COMMIT
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(COMMIT)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if path.is_file() and not any(fnmatch(inside, pattern) for pattern in leave_out):
            (snapshot / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, snapshot / inside)
    if listed:
        from huggingface_hub._tree_cache import TreeCacheEntry, write_tree_cache

        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        entry = {"blob_id": "0" * 40, "lfs_sha256": None, "lfs_size": None, "xet_hash": None}
        write_tree_cache(str(kept), COMMIT, {inside: TreeCacheEntry(size=1, **entry) for inside in names})
    return snapshot


def load(name: str, **options: Any) -> Engine:
    return load_engine(name, device="cpu", precision="float32", **options)


def stocks_of(*asked: Any) -> list[Stock]:
    return take_stock(*asked)[0]


# Names.


def test_everything_that_can_be_asked_for_is_known() -> None:
    named = {DEFAULT_DEPTH, *MODELS.values()}
    for family in FAMILIES.values():
        named |= set(family.nets.values())
    for preset in PRESETS.values():
        named |= {*preset.models.values(), *preset.loras.values()}
    assert named == set(REPOSITORIES) == set(LISTS)


@pytest.mark.parametrize("name", INDICES)
def test_how_models_were_saved_is_known(name: str) -> None:
    known = REPOSITORIES[name].saved
    width = {"cross_attention_dim": WIDTHS[name]} if name in WIDTHS else {}
    assert known == needs.saved_by(INDICES[name], width)


def test_engines_and_presets_are_of_the_family_that_they_are_taken_for() -> None:
    for name, family in FAMILIES.items():
        saved = REPOSITORIES[MODELS[name]].saved
        assert saved is not None
        assert family_of(saved.pipeline) is family
        assert saved.text_width == family.text_width
    for preset in PRESETS.values():
        assert {*preset.models, *preset.loras} <= set(FAMILIES)
        for name, model in preset.models.items():
            saved = REPOSITORIES[model].saved
            assert saved is not None and family_of(saved.pipeline) is FAMILIES[name]


def test_control_maps_are_ones_that_can_be_drawn() -> None:
    for family in FAMILIES.values():
        assert set(family.controls) <= set(family.nets if not family.modes else family.modes)
        assert set(family.nets) - {"union"} | set(family.modes) <= set(CONTROLS)


def test_modes_of_the_union_are_those_of_its_six_types_but_for_tile() -> None:
    from inspect import signature

    from diffusers import ControlNetUnionModel

    types = signature(ControlNetUnionModel.__init__).parameters["num_control_type"].default
    # 0 openpose, 1 depth, 2 hed, pidi, scribble, 3 canny, lineart, mlsd, 4 normal, 5 segments; promax: 6 tile
    assert types == 6
    assert {name: mode for name, mode in SDXL.modes.items() if mode >= types} == {"tile": 6}


# Classes, and what they are told.


@pytest.mark.parametrize("class_name", NEEDED)
def test_classes_take_what_they_are_told(class_name: str) -> None:
    assert too_old(class_name) == ""


@pytest.mark.parametrize("name", INDICES)
def test_diffusers_and_transformers_have_the_classes_of_all_parts(name: str) -> None:
    import diffusers
    import transformers

    assert hasattr(diffusers, INDICES[name]["_class_name"])
    for part, how in INDICES[name].items():
        if isinstance(how, list) and how[0] in ("diffusers", "transformers"):
            assert hasattr({"diffusers": diffusers, "transformers": transformers}[how[0]], how[1]), part


def test_diffusers_has_the_schedulers_and_nets() -> None:
    import diffusers

    assert all(hasattr(diffusers, preset.scheduler or "DDIMScheduler") for preset in PRESETS.values())
    for family in FAMILIES.values():
        assert {too_old(name) for name in classes_for(family, ("softedge",))} == {""}


def test_transformers_knows_the_depth_estimator() -> None:
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES

    assert "depth_anything" in MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES
    assert "depth_anything" in IMAGE_PROCESSOR_MAPPING_NAMES


def test_an_older_diffusers_is_told(monkeypatch: pytest.MonkeyPatch, folders: Any) -> None:
    import diffusers

    class Old:
        def __call__(self, prompt: str, image: object) -> None: ...

    monkeypatch.setattr(diffusers, SD15.plain, Old)
    told = too_old(SD15.plain)
    assert f"{SD15.plain} of diffusers {diffusers.__version__} takes no num_inference_steps" in told
    assert "pip install -U diffusers" in told
    with pytest.raises(EngineError, match="takes no num_inference_steps"):
        load(folders.sd15)
    assert "has no Flux9Pipeline: `pip install -U diffusers`" in too_old("Flux9Pipeline")


# Which files.


def chosen_by_diffusers(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[str]:
    """Return the files that diffusers itself would fetch of a model, by its own code, asking nobody."""
    import diffusers
    from diffusers.pipelines import pipeline_utils

    index = tmp_path / "model_index.json"
    index.write_text(json.dumps(INDICES[name]))
    asked: dict[str, Any] = {}

    def no_download(repository: str, **options: Any) -> str:
        asked.update(options)
        raise InterruptedError

    siblings = [SimpleNamespace(rfilename=path) for path in LISTS[name]]
    monkeypatch.setattr(pipeline_utils, "model_info", lambda *_, **__: SimpleNamespace(siblings=siblings, sha=COMMIT))
    monkeypatch.setattr(pipeline_utils, "_resolve_revision", lambda *_, **__: "main")
    monkeypatch.setattr(pipeline_utils, "hf_hub_download", lambda *_, **__: str(index))
    monkeypatch.setattr(pipeline_utils, "snapshot_download", no_download)
    with pytest.raises(InterruptedError):
        diffusers.DiffusionPipeline.download(name)
    allowed, ignored = asked["allow_patterns"], asked["ignore_patterns"]
    return set(filter_repo_objects(LISTS[name], allow_patterns=allowed, ignore_patterns=ignored))


@pytest.mark.parametrize("name", INDICES)
def test_the_files_of_a_model_are_those_that_diffusers_chooses(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    theirs = chosen_by_diffusers(name, monkeypatch, tmp_path)
    assert set(wanted(LISTS[name], "model", INDICES[name])) == theirs


@pytest.mark.parametrize("name", LISTS)
def test_the_command_leaves_out_nothing_that_is_loaded_and_little_is_needless(name: str) -> None:
    kind = kind_of(name)
    needed = set(wanted(LISTS[name], kind, INDICES.get(name, {})))
    fetched = set(filter_repo_objects(LISTS[name], ignore_patterns=needless_in(name)))
    assert needed <= fetched
    assert sum(LISTS[name][path] for path in fetched - needed) < 400e6


def kind_of(name: str) -> needs.Kind:
    if name in INDICES:
        return "model"
    return "LoRA" if "lora" in name else "depth estimator" if name == DEFAULT_DEPTH else "ControlNet"


@pytest.mark.parametrize("name", LISTS)
def test_estimates_are_what_the_lists_say(name: str) -> None:
    files = wanted(LISTS[name], kind_of(name), INDICES.get(name, {}))
    parts: dict[str, float] = {}
    for path in files:
        if needs.NeededFile(path=path).holds_weights:
            part = path.rpartition("/")[0]
            parts[part] = parts.get(part, 0) + LISTS[name][path] / 1e6
    assert parts == pytest.approx(dict(REPOSITORIES[name].parts))


@pytest.mark.parametrize("name", ["sd15", "sdxl", "klein", "sd3"])
def test_the_files_of_a_real_pipeline_suffice(folders: Any, name: str, tmp_path: Path) -> None:
    folder = Path(getattr(folders, name))
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    index = needs.json_in(folder / "model_index.json")
    for path in wanted([*names, "README.md", "model.ckpt", "unet/other.safetensors"], "model", index):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / path, tmp_path / path)
    assert not (tmp_path / "README.md").exists()
    assert load(str(tmp_path)).diffuses
    assert missing_parts(tmp_path, names, "model", index) == []


@pytest.mark.parametrize(
    "content", ["[" * 5_000, "[]", '{"weight_map": []}', '{"weight_map": {"a": ["x.safetensors"]}}']
)
def test_an_index_of_shards_that_makes_no_sense_names_none(content: str, tmp_path: Path) -> None:
    name = "diffusion_pytorch_model.safetensors.index.json"
    (tmp_path / name).write_text(content)
    assert missing_parts(tmp_path, [name, "config.json"], "ControlNet", {}) == ["its weights"]


def test_a_control_net_that_is_pickled_is_taken(folders: Any, tmp_path: Path) -> None:
    from diffusers import ControlNetModel

    net = ControlNetModel.from_pretrained(folders.net, local_files_only=True)
    net.save_pretrained(tmp_path, safe_serialization=False)
    files = ["config.json", "diffusion_pytorch_model.bin"]
    assert wanted([path.name for path in tmp_path.iterdir()], "ControlNet", {}) == files
    assert load(folders.sd15, controls=[f"tile={tmp_path}"]).settings.controls == ("tile",)


def test_shards_and_their_list_are_wanted() -> None:
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    names = ["config.json", "model.safetensors.index.json", *shards, "pytorch_model.bin", "notes.txt"]
    assert wanted(names, "ControlNet", {}) == sorted(names[:4])


# What lies here.


def test_without_a_hub_what_lies_in_the_cache_is_loaded(folders: Any, silent: Path) -> None:
    """Also what the command has left out, though diffusers knows of it by the list of the hub's files."""
    whole = silent.parent / "whole"
    shutil.copytree(folders.sd15, whole)
    for needless in ("v1-5-pruned.ckpt", "unet/diffusion_pytorch_model.fp16.safetensors", "vae/x.onnx", "unet/y.bin"):
        (whole / needless).write_bytes(b"nobody loads this")
    cached(silent, MODELS["sd15"], whole, needless_in(MODELS["sd15"]), listed=True)
    assert load("sd15", controls=[f"edges={folders.net}"]).diffuses
    (model,) = stocks_of("sd15", None, ["estimator=x/y"])[:1]
    assert model.is_here and model.source == "cache" and model.why == "the model hub does not answer"


def test_a_lora_in_the_cache_needs_no_hub(folders: Any, silent: Path, lora: Path) -> None:
    """Diffusers would ask the hub what its file is called, and fail."""
    cached(silent, PRESETS["lcm"].loras["sd15"], lora)
    assert load(folders.sd15, preset="lcm").settings.steps == 4
    stocks = stocks_of(folders.sd15, preset_of("lcm"), None)
    assert [(stock.need.kind, stock.is_here) for stock in stocks] == [("model", True), ("LoRA", True)]


def test_a_lora_that_is_not_here_is_no_engine(folders: Any, silent: Path) -> None:
    with pytest.raises(EngineError, match="hf download latent-consistency/lcm-lora-sdv1-5") as caught:
        load(folders.sd15, preset="lcm")
    assert "--engine FOLDER" not in str(caught.value)
    assert f"copy what that makes in {silent} there to the same place here; or do without --preset" in str(caught.value)


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "the weights of unet lacking"),
        ("vae", "vae lacking"),
        ("tokenizer", "tokenizer lacking"),
        ("model_index.json", "a model_index.json that names its class lacking"),
    ],
)
def test_a_model_that_is_half_here_is_told(folders: Any, silent: Path, gone: str, told: str) -> None:
    snapshot = cached(silent, "org/name", Path(folders.sd15), (gone, f"{gone}/*"))
    if gone == "model_index.json":
        (snapshot / "config.json").write_text("{}")
    (stock,) = stocks_of("org/name", None, None)
    assert not stock.is_here
    assert told in stock.problem and "`hf download org/name --exclude" in stock.problem


def test_shards_that_are_missing_are_told(silent: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    shards = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    weight_map = {"a": shards[0], "b": shards[1]}
    (tmp_path / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / shards[0]).write_bytes(b"")
    stock = stock_of(Need(name=str(tmp_path), kind="ControlNet"), str)
    assert f"{shards[1]} lacking" in stock.problem and "--local-dir" in stock.problem


def test_what_is_known_without_a_hub_is_an_estimate(silent: Path) -> None:
    stocks = stocks_of("sd15", None, None)
    assert {stock.source for stock in stocks} == {"estimate"}
    assert [stock.to_fetch_bytes for stock in stocks] == [5_487_000_000, 1_450_000_000, 1_450_000_000]
    parts = {"unet": 1_720_000_000, "safety_checker": 610_000_000, "text_encoder": 246_000_000, "vae": 167_500_000}
    assert stocks[0].memory_bytes(2) == parts
    (unknown,) = stocks_of("some/body", None, None)
    assert (unknown.source, unknown.to_fetch_bytes, unknown.saved) == ("nothing", None, None)


# What the hub says.


def test_the_hub_s_word_counts_where_it_answers(answering: list[str]) -> None:
    stocks = stocks_of("sd15", None, ["softedge", "depth"])
    assert answering == [stock.need.name for stock in stocks]
    assert [stock.need.kind for stock in stocks] == ["model", "ControlNet", "ControlNet", "depth estimator"]
    model = stocks[0]
    parts = {file.path.partition("/")[0] for file in model.files if file.holds_weights}
    assert parts == {"unet", "vae", "text_encoder", "safety_checker"}
    assert model.to_fetch_bytes == pytest.approx(5.487e9, rel=1e-5)
    assert sum((model.memory_bytes(4) or {}).values()) == 5_487_000_000
    assert stocks[3].memory_bytes(4) == {}  # on the processor


def test_halved_weights_take_twice_as_much_in_float32(answering: list[str]) -> None:
    union = stocks_of("sdxl", None, None)[1]
    assert (union.need.name, union.need.controls) == ("xinsir/controlnet-union-sdxl-1.0", ("softedge", "lines"))
    assert union.memory_bytes(4) == {"": 5_020_000_000}
    assert union.memory_bytes(2) == {"": 2_510_000_000}


def test_what_is_fetched_and_never_loaded_takes_no_memory(answering: list[str]) -> None:
    model = stocks_of("sdxl", None, None)[0]
    assert "vae_1_0/diffusion_pytorch_model.safetensors" in {file.path for file in model.files}
    assert set(model.memory_bytes(4) or {}) == {"unet", "vae", "text_encoder", "text_encoder_2"}


def test_presets_change_what_is_needed(answering: list[str]) -> None:
    lcm = stocks_of("sdxl", preset_of("lcm"), None)
    assert [stock.need.kind for stock in lcm] == ["model", "LoRA", "ControlNet"]
    assert [file.path for file in lcm[1].files] == [LORA_FILE]
    turbo = stocks_of("sd15", preset_of("turbo"), None)
    assert [stock.need.name for stock in turbo] == ["stabilityai/sd-turbo"]  # whose texts are wider than the nets' are


def test_what_is_here_already_is_not_fetched_again(answering: list[str], tmp_path: Path) -> None:
    name = "latent-consistency/lcm-lora-sdv1-5"
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / LORA_FILE).write_bytes(b"weights")
    cached(tmp_path / "cache", name, tmp_path / "lora")
    stock = stock_of(Need(name=name, kind="LoRA"), str)
    assert stock.is_here and stock.to_fetch_bytes == 0 and stock.here_bytes == 7


def test_of_what_was_fetched_in_part_the_rest_is_to_be_fetched(answering: list[str], tmp_path: Path) -> None:
    name = MODELS["sd15"]
    (tmp_path / "half" / "vae").mkdir(parents=True)
    (tmp_path / "half" / "model_index.json").write_text(json.dumps(INDICES[name]))
    for file in ("config.json", "diffusion_pytorch_model.safetensors"):
        (tmp_path / "half" / "vae" / file).write_bytes(b"{}")
    cached(tmp_path / "cache", name, tmp_path / "half")
    model = stocks_of("sd15", None, None)[0]
    assert not model.is_here and model.problem == ""
    here = ["model_index.json", "vae/config.json", "vae/diffusion_pytorch_model.safetensors"]
    assert sorted(file.path for file in model.files if file.is_here) == here
    assert model.to_fetch_bytes == pytest.approx(5.152e9, rel=1e-5)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("the line is dead"), "the line is dead"),
        (ValueError("nonsense"), "nonsense"),
        (RuntimeError("503"), "503"),
        (GatedRepoError("403", response=MagicMock()), "accept a licence first: https://huggingface.co/stable-diff"),
        (RepositoryNotFoundError("404", response=MagicMock()), "the hub knows no such model, or it is private"),
    ],
)
def test_a_hub_that_fails_is_told(
    answering: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    monkeypatch.setattr(HubAnswers, "model_info", raising(error))
    (stock, *_) = stocks_of("sd15", None, None)
    assert told in stock.problem and "hf download stable-diffusion-v1-5" in stock.problem
    assert stock.source == "estimate"
