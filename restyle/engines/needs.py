"""What an engine needs, file by file: what lies here, what the hub would send, and how much memory it takes.

Fetches nothing but what the hub says of its files. Loads no weights: of a file of them only its head is read.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeVar

from huggingface_hub import HfApi, get_cached_repo_tree, get_session, get_token, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import CachedRepoTreeNotFoundError, EntryNotFoundError
from safetensors import SafetensorError, safe_open

from base.console import shell_word
from base.errors import EngineError
from base.records import parse_json
from embedding.hub import no_chatter, weights_unavailable
from restyle.engines.engine import Preset, Saved, family_of
from restyle.engines.loading import LORA_FILE, weights_of
from restyle.engines.pipelines import ControlNets
from restyle.engines.weights import REPOSITORIES, Known, fetch_command, is_local, snapshot, why_no_hub

Kind = Literal["model", "ControlNet", "LoRA", "depth estimator"]
Source = Literal["folder", "hub", "cache", "estimate", "nothing"]
Answer = TypeVar("Answer")

INDEX = "model_index.json"
HUB_ANSWER_S = 15.0  # that the hub may take to say what it has
WEIGHT_NAME = re.compile(r"(diffusion_pytorch_model|pytorch_model|model)(-\d{5}-of-\d{5})?\.(safetensors|bin)")
SHARDS_NAME = re.compile(r"(diffusion_pytorch_model|pytorch_model|model)\.(safetensors|bin)\.index\.json")
OTHER_FRAMEWORKS = ("*.bin", "*.msgpack", "*.onnx", "*.pb")  # where there are safetensors
ROOT_FILES = ("model_index.json", "config.json", "scheduler_config.json")
CONVERTED = {"F64", "F32", "F16", "BF16"}  # types in safetensors that come in the precision chosen when they are loaded
FLOAT32_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """A folder or a repository of the hub that an engine needs. controls: the maps that a ControlNet is for."""

    name: str
    kind: Kind
    controls: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} for {' and '.join(self.controls)}" if self.controls else self.kind


@dataclass(frozen=True, kw_only=True, slots=True)
class NeededFile:
    """A file that is loaded, or fetched beside those; size_bytes and weights (how many numbers) are None if unknown.

    weights: 0 where it is fetched and never loaded. part: the folder, which is a network of a model; "" of others.
    """

    path: str
    size_bytes: int | None = None
    weights: int | None = None
    is_here: bool = False

    @property
    def part(self) -> str:
        """The folder that it lies in."""
        return self.path.rpartition("/")[0]

    @property
    def holds_weights(self) -> bool:
        """Whether networks are loaded from it."""
        return self.path == LORA_FILE or WEIGHT_NAME.fullmatch(self.path.rpartition("/")[2]) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stock:
    """What is known of something needed.

    source: where its list of files is from; an estimate lists parts with sizes to three digits. why: what there is to
    say where the hub gave none. problem: why it cannot be had or is not whole, with the remedy.
    """

    need: Need
    files: tuple[NeededFile, ...]
    source: Source
    why: str = ""
    problem: str = ""
    saved: Saved | None = None

    @property
    def is_here(self) -> bool:
        """Whether all of it lies on this machine, as far as the list of its files tells."""
        return bool(self.files) and not self.problem and all(file.is_here for file in self.files)

    @property
    def here_bytes(self) -> int:
        """Of its files, what lies on this machine."""
        return sum(file.size_bytes or 0 for file in self.files if file.is_here)

    @property
    def to_fetch_bytes(self) -> int | None:
        """Of its files, what does not; None if unknown."""
        return summed([file.size_bytes for file in self.files if not file.is_here]) if self.files else None

    def memory_bytes(self, weight_bytes: int) -> dict[str, int] | None:
        """Return what its weights take on the device by part, each weight so many bytes; None if unknown.

        A LoRA melts into its model, and depth is estimated on the processor.
        """
        if self.need.kind in ("LoRA", "depth estimator"):
            return {}
        sizes: dict[str, int] = {}
        for file in self.files:
            if file.holds_weights:
                if file.weights is None:
                    return None
                sizes[file.part] = sizes.get(file.part, 0) + file.weights * weight_bytes
        return {part: size for part, size in sizes.items() if size} or None


def summed(sizes: Sequence[int | None]) -> int | None:
    """Return the sum, None where one is unknown."""
    return None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)


def take_stock(name: str, preset: Preset | None, controls: Sequence[str] | None) -> tuple[list[Stock], tuple[str, ...]]:
    """Return what an engine needs, the model first, with what is known of each; and the control maps it begins with.

    Args:
        name: of the engine, one that diffuses.
        preset: for few steps.
        controls: as `load_engine` takes them.

    Raises: EngineError: no such engine, preset or control, or one that does not fit the model.
    """
    no_hub = cache(why_no_hub)  # asked where a repository is needed: that takes seconds without a network
    model = stock_of(Need(name=weights_of(name, preset), kind="model"), no_hub)
    if model.saved is None:
        return [model], ()
    stocks, saved = [model], model.saved
    if preset is not None and (lora := preset.lora_for(saved)):
        stocks.append(stock_of(Need(name=lora, kind="LoRA"), no_hub))
    nets = ControlNets(family_of(saved.pipeline), saved.text_width, controls, None)
    uses: dict[str, list[str]] = {}
    for control in nets.asked_for:
        uses.setdefault(nets.weights_of(control), []).append(control)
    needs = [Need(name=weights, kind="ControlNet", controls=tuple(maps)) for weights, maps in uses.items()]
    if "depth" in nets.asked_for:
        needs.append(Need(name=nets.depth_weights, kind="depth estimator"))
    return [*stocks, *(stock_of(need, no_hub) for need in needs)], nets.asked_for


def stock_of(need: Need, no_hub: Callable[[], str]) -> Stock:
    """Return what is known of something needed; `no_hub`: tells why the hub is not asked, or nothing."""
    if is_local(need.name):
        return of_folder(need, Path(need.name).expanduser())
    if why := no_hub():
        return without_hub(need, why)
    known: Known = REPOSITORIES.get(need.name, Known())
    try:
        with no_chatter():
            return of_hub(need, known.saved)
    except Exception as error:  # huggingface_hub and httpx raise errors of their own
        refused = weights_unavailable(need.name, error, f"Fetch them by hand to see more: `{fetch_command(need.name)}`")
        stock = without_hub(need, "the hub refuses to say")
        return stock if stock.is_here else replace(stock, problem=refused)


# Where the list of files is from.


def of_folder(need: Need, folder: Path) -> Stock:
    """Return what is known of a folder on this machine, or of the hub's cache."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    index = json_in(folder / INDEX) if need.kind == "model" else {}
    files = [loaded(here(folder, name), need.kind, index) for name in wanted(names, need.kind, index)]
    lacking = missing_parts(folder, names, need.kind, index)
    problem = ""
    if not folder.is_dir():
        problem = f"there is no folder {folder}, which was named for the {need}"
    elif lacking:
        local = is_local(need.name)
        command = f"hf download ORG/NAME --local-dir {shell_word(folder)}" if local else fetch_command(need.name)
        what = f"{need.name} holds no whole {need.kind}: {' and '.join(lacking)} lacking"
        problem = f"{what}. Fetch it anew{' from where it came' if local else ''}: `{command}`"
    saved = saved_by(index, json_in(folder / "unet" / "config.json")) if index else None
    return Stock(need=need, files=tuple(files), source="folder", problem=problem, saved=saved)


def without_hub(need: Need, no_hub: str) -> Stock:
    """Return what is known of a repository by what lies in the cache, or else by what was known before."""
    known = REPOSITORIES.get(need.name, Known())
    folder = snapshot(need.name)
    if folder is not None:
        try:
            listed = [file.path for file in get_cached_repo_tree(need.name, revision=folder.name)]
        except CachedRepoTreeNotFoundError:
            listed = []
        stock = of_folder(need, folder)
        there = {file.path for file in stock.files}
        index = json_in(folder / INDEX) if need.kind == "model" else {}
        absent = [NeededFile(path=name) for name in wanted(listed, need.kind, index) if name not in there]
        saved = stock.saved or known.saved
        return replace(stock, files=(*stock.files, *absent), source="cache", why=no_hub, saved=saved)
    estimated = tuple(
        NeededFile(
            path=f"{part}/model.safetensors".lstrip("/") if need.kind != "LoRA" else LORA_FILE,
            size_bytes=round(megabytes * 1e6),
            weights=0 if part in known.unloaded else round(megabytes * 1e6 / known.weight_bytes),
        )
        for part, megabytes in known.parts.items()
    )
    return Stock(
        need=need, files=estimated, source="estimate" if estimated else "nothing", why=no_hub, saved=known.saved
    )


def of_hub(need: Need, saved: Saved | None) -> Stock:
    """Return what the hub says of a repository, and which of its files lie in the cache.

    Raises: whatever huggingface_hub and httpx raise.
    """
    api = HfApi()
    info = api.model_info(need.name, files_metadata=True, timeout=HUB_ANSWER_S)
    sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or ()}
    index: Mapping[str, Any] = {}
    if need.kind == "model":
        index = json_of_hub(need.name, INDEX)
        unet = json_of_hub(need.name, "unet/config.json") if "unet/config.json" in sizes else {}
        saved = saved_by(index, unet)
    names = wanted(sizes, need.kind, index)
    folder = snapshot(need.name)
    if folder is not None and folder.name != info.sha and not all((folder / name).is_file() for name in names):
        folder = None  # of an earlier commit that is not whole nothing is kept
    files = []
    for name in names:
        if folder is not None and (folder / name).is_file():
            file = here(folder, name)
        else:
            file = NeededFile(path=name, size_bytes=sizes[name])
            if file.holds_weights:
                file = replace(file, weights=weights_told(api, need.name, name, sizes[name]))
        files.append(loaded(file, need.kind, index))
    problem = ""
    if not any(file.holds_weights for file in files):
        problem = f"{need.name} holds no weights that diffusers loads: name another repository, or a folder"
    return Stock(need=need, files=tuple(files), source="hub", saved=saved, problem=problem)


# Which files are loaded.


def wanted(names: Collection[str], kind: Kind, index: Mapping[str, Any]) -> list[str]:
    """Return those files of a repository or a folder that are fetched for it, as diffusers and transformers choose.

    Of a model safetensors where all its networks have them, else .bin; `index`: its model_index.json. A test compares
    this with what diffusers itself chooses.
    """
    if kind == "LoRA":
        return [name for name in names if name == LORA_FILE]
    if kind != "model":
        return sorted(of_net([name for name in names if "/" not in name]))
    parts = parts_in_index(index)
    networks = {name.rpartition("/")[0] for name in names if name.endswith((".safetensors", *suffixes()))} & parts
    weights = {name for name in names if name.count("/") <= 1 and WEIGHT_NAME.fullmatch(name.rpartition("/")[2])}
    safe = {name.rpartition("/")[0] for name in weights if name.endswith(".safetensors")}
    chosen = ".safetensors" if networks <= safe else ".bin"
    needless = OTHER_FRAMEWORKS if chosen == ".safetensors" else ("*.safetensors", *OTHER_FRAMEWORKS[1:])
    found = []
    for name in names:
        part, _, last = name.rpartition("/")
        shards = SHARDS_NAME.fullmatch(last)
        if any(fnmatch(name, pattern) for pattern in needless):
            continue
        is_weight = name in weights or (shards is not None and f".{shards[2]}" == chosen and name.count("/") <= 1)
        is_other = part.partition("/")[0] in parts - networks
        if is_weight or is_other or (part in networks and last == "config.json") or name in ROOT_FILES:
            found.append(name)
    return sorted(found)


def suffixes() -> tuple[str, ...]:
    """Return the endings of other weights than safetensors."""
    return tuple(pattern.lstrip("*") for pattern in OTHER_FRAMEWORKS)


def of_net(names: Collection[str]) -> list[str]:
    """Return the files that a ControlNet, or a model of transformers, is loaded from."""
    configs = [name for name in names if name in ("config.json", "preprocessor_config.json", "processor_config.json")]
    for ending in ("safetensors", "bin"):
        weights = [name for name in names if (found := WEIGHT_NAME.fullmatch(name)) and found[3] == ending]
        shards = [name for name in names if (found := SHARDS_NAME.fullmatch(name)) and found[2] == ending]
        if weights:
            return [*configs, *shards, *weights]
    return configs


def parts_in_index(index: Mapping[str, Any]) -> set[str]:
    """Return the parts of a model, by its model_index.json; those that it leaves out have no class."""
    return {part for part, how in index.items() if isinstance(how, list) and part[:1] != "_" and how and how[0]}


def missing_parts(folder: Path, names: Collection[str], kind: Kind, index: Mapping[str, Any]) -> list[str]:
    """Return what a folder lacks: a model's parts, weights of a network, or shards of them."""
    if kind == "LoRA":
        return [] if LORA_FILE in names else [LORA_FILE]
    if kind == "model" and "_class_name" not in index:
        return [f"a {INDEX} that names its class"]
    weights = {name for name in names if WEIGHT_NAME.fullmatch(name.rpartition("/")[2])}
    shards = {
        f"{name.rpartition('/')[0]}/{shard}".lstrip("/")
        for name in names
        if SHARDS_NAME.fullmatch(name.rpartition("/")[2])
        for shard in shards_in(json_in(folder / name))
    }
    lacking = [] if kind != "model" else sorted(part for part in parts_in_index(index) if not (folder / part).is_dir())
    networks = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == "config.json"}
    networks &= parts_in_index(index) if kind == "model" else {""}
    has = {name.rpartition("/")[0] for name in weights}
    lacking += sorted(f"the weights of {part}" if part else "its weights" for part in networks - has)
    if kind != "model" and "config.json" not in names:
        lacking.append("config.json")
    return lacking + sorted(shard for shard in shards if shard not in names and shard.endswith(".safetensors"))


# What files say.


def here(folder: Path, name: str) -> NeededFile:
    """Return a file on this machine; of weights with how many there are."""
    path = folder / name
    size_bytes = path.stat().st_size
    file = NeededFile(path=name, size_bytes=size_bytes, is_here=True)
    if not file.holds_weights:
        return file
    weights = weights_in(path) if name.endswith(".safetensors") else size_bytes // FLOAT32_BYTES
    return replace(file, weights=weights)


def loaded(file: NeededFile, kind: Kind, index: Mapping[str, Any]) -> NeededFile:
    """Return a file without weights where it is in a folder that a model does not name: it is fetched for nothing."""
    idle = kind == "model" and file.holds_weights and file.part not in parts_in_index(index)
    return replace(file, weights=0) if idle else file


def weights_in(path: Path) -> int | None:
    """Return how many weights a safetensors file has, by its head; None where it has none that can be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118 - it is no dictionary
            return sum(int(prod(tensor.get_shape())) for tensor in tensors if tensor.get_dtype() in CONVERTED)
    except (OSError, SafetensorError):
        return None


def weights_told(api: HfApi, name: str, file: str, size_bytes: int | None) -> int | None:
    """Return how many weights a file of the hub has; pickled ones do not tell, and are taken for float32."""
    if not file.endswith(".safetensors"):
        return None if size_bytes is None else size_bytes // FLOAT32_BYTES
    head: Any = asked_of_hub(lambda: api.parse_safetensors_file_metadata(name, file))
    if head is None:
        return None
    return sum(int(count) for dtype, count in head.parameter_count.items() if dtype in CONVERTED)


def asked_of_hub(ask: Callable[[], Answer]) -> Answer | None:
    """Return what the hub answers, or None where it does not: then something stays unknown, and is said to be."""
    try:
        return ask()
    except Exception:  # huggingface_hub and httpx raise errors of their own
        return None


def json_of_hub(name: str, file: str) -> dict[str, Any]:
    """Return a small file of a repository, without leaving it in the cache: half a model there would mislead others.

    Raises: EngineError: the repository has none; else whatever huggingface_hub and httpx raise.
    """
    token = get_token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    response = get_session().get(hf_hub_url(name, file), headers=headers, follow_redirects=True, timeout=HUB_ANSWER_S)
    try:
        hf_raise_for_status(response)
    except EntryNotFoundError as error:
        raise EngineError(f"{name} holds no {file}: name a model that diffusers saved") from error
    told = response.json()
    return told if isinstance(told, dict) else {}


def shards_in(index: Mapping[str, Any]) -> set[str]:
    """Return the files that the index of a network's shards names."""
    shards = index.get("weight_map")
    return {shard for shard in shards.values() if isinstance(shard, str)} if isinstance(shards, dict) else set()


def json_in(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where there is none that can be read."""
    try:
        told = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def saved_by(index: Mapping[str, Any], unet: Mapping[str, Any]) -> Saved:
    """Return how a model was saved, by its model_index.json and the config of its unet."""
    scheduler = index.get("scheduler")
    width = unet.get("cross_attention_dim")
    return Saved(
        pipeline=str(index.get("_class_name", "")),
        scheduler=str(scheduler[1]) if isinstance(scheduler, list) and len(scheduler) > 1 else "",
        text_width=width if isinstance(width, int) else 0,
    )
