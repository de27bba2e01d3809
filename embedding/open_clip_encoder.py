"""The encoder itself: photos and texts become unit vectors by any model that open_clip knows, found by its name.

PyTorch computes them; on a processor OpenVINO may compute those of photos, and does so for models calibrated to int8.
"""

import dataclasses
import difflib
import hashlib
import json
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import open_clip
import torch

from base.arrays import Floats, Pixels, unit
from base.errors import EncoderError, ModelMismatchError
from base.forks import fork_lock
from base.settings import asset
from embedding.backends import (
    BackendSpeeds,
    choose_backend,
    keep_speeds,
    kept_tower,
    known_speeds,
    lost,
    measured_speeds,
    refuse_for_int8,
    refuse_int8,
    this_machine,
)
from embedding.decode import Preprocessing
from embedding.device import (
    PRECISIONS,
    choose_device,
    choose_precision,
    cpu_threads,
    keep_freed_memory,
    on_device,
    refuse_forked_cuda,
)
from embedding.encoder import Recipe
from embedding.gpu_memory import CudaMemory, FittingBatches
from embedding.hub import no_chatter, no_vain_retries, weights_unavailable
from embedding.image_files import INT8, Drift, TowerRecord, image_tower_problem, is_int8, read_tower_record
from embedding.openvino_tower import (
    PIECE_PHOTOS,
    OpenVinoTower,
    as_openvino,
    kept_or_converted,
)


def model_key(name: str, model: Any, preprocessing: Preprocessing, architecture: Mapping[str, Any]) -> str:
    """Return the model's name and 8 hex digits, such as `ViT-B-32-openai-1f3a9c02`.

    The digits are of the SHA-256 over every weight (name, shape, bytes), the preprocessing and the architecture's
    settings, such as heads, pooling and activation, which no weight shows.
    """
    digest = hashlib.sha256()
    for weight_name, weight in sorted(model.state_dict().items()):
        digest.update(f"{weight_name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).numpy())
    settings = {"preprocessing": dataclasses.asdict(preprocessing), "architecture": architecture}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    readable = name.removeprefix("hf-hub:")
    if name.startswith("local-dir:"):
        readable = name.rstrip("/").rpartition("/")[2].removeprefix("local-dir:")
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', readable)}-{digest.hexdigest()[:8]}"


REMEDIES = (
    "Remedies: connect this machine to the model hub for one run; or copy the weights here and use "
    "`--model local-dir:FOLDER` (open_clip_config.json and open_clip_model.safetensors); "
    "or use `--model starter`, the small model that comes with CV-Aliens."
)


def load_model(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """Build the model and its tokenizer; the third value is the architecture's settings.

    open_clip only warns when the weights were trained with QuickGELU and the architecture has GELU, as for
    ViT-B-32/openai; the vectors would then be wrong, so the weights' own setting is enforced here.

    Raises: EncoderError: the model is unknown or its weights cannot be had.
    """
    architecture, weights = open_clip_name(name)
    pretrained_config = open_clip.get_pretrained_cfg(architecture, weights) if weights else {}
    quick_gelu = bool(pretrained_config.get("quick_gelu", False))
    try:
        with no_chatter(), no_vain_retries(asks_hub=not architecture.startswith("local-dir:")):
            model = open_clip.create_model(
                architecture,
                weights,
                force_quick_gelu=quick_gelu,
                require_pretrained=True,
                precision="fp32",
                weights_only=True,  # said, so that no version of open_clip unpickles anything
            )
            tokenizer = open_clip.get_tokenizer(architecture)
            settings = open_clip.get_model_config(architecture)
    # open_clip, huggingface_hub, httpx and safetensors each raise errors of their own; all mean the same here.
    except Exception as error:
        raise EncoderError(weights_unavailable(name, error, REMEDIES)) from error
    return model, tokenizer, settings | {"quick_gelu": quick_gelu or bool(settings.get("quick_gelu"))}


def another_model(name: str, key: str, now: str) -> str:
    """Return what to do where a name stands for another model (its key: `now`) than the library's, of `key`."""
    if name == "starter":
        folder = open_clip_name(name)[0]
        return (
            f"the library was made by {key}, an earlier starter than {now}, which comes with this version. Take the "
            f"new one into use: `aliens embed --model {folder}` makes vectors of all photos by it, and `aliens use "
            f"{folder}` searches and adds by it; labels, captions and hotels stay"
        )
    return (
        f"the library was made by {key}, but {name!r} is now {now}: its weights or its preprocessing changed. Put the "
        "old ones back; or have the new ones in a folder of another name, of which `aliens embed --model "
        "local-dir:FOLDER` makes vectors beside the old"
    )


def open_clip_name(name: str) -> tuple[str, str | None]:
    """Return open_clip's (model name, weights tag) of a model name.

    Raises: EncoderError: no such architecture, weights or folder; the message lists what is close.
    """
    if name == "starter":
        return f"local-dir:{asset('embedding/starter')}", None
    if name.startswith("hf-hub:"):
        return name, None
    if name.startswith("local-dir:"):
        folder = Path(name.removeprefix("local-dir:")).expanduser()
        if not (folder / "open_clip_config.json").is_file():
            raise EncoderError(f"{folder} holds no open_clip_config.json: name a folder saved in open_clip's layout")
        return f"local-dir:{folder}", None
    architecture, _, weights = name.partition("/")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not tags:
        near = difflib.get_close_matches(architecture, open_clip.list_models(), n=3)
        raise EncoderError(
            f"no model {name!r}: use starter, local-dir:FOLDER, hf-hub:ORG/NAME, or an architecture and weights of "
            "open_clip, such as ViT-B-32/openai" + (f" (near it: {', '.join(near)})" if near else "")
        )
    if weights not in tags:
        choices = ", ".join(f"{architecture}/{tag}" for tag in tags)
        raise EncoderError(f"{name!r} names no weights of {architecture}: choose one of {choices}")
    return architecture, weights


def lasting_name(name: str) -> str:
    """Return a model name that means the same in every working folder."""
    folder = name.removeprefix("local-dir:")  # also of a calibrated model, whose @int8 ends it
    return f"local-dir:{Path(folder).expanduser().absolute()}" if folder != name else name


TEXT_CACHE_SIZE = 4096
BATCH_PHOTOS = {"cpu": 16, "mps": 64}  # on CUDA devices by their memory


class OpenClipEncoder:
    """A CLIP model of open_clip, on one device, at one precision.

    Photos go through the image tower at the chosen precision; texts stay float32, which costs nothing
    noticeable for a query and keeps its vector exact. backend: what computes photos, torch or openvino. drift: of a
    model that was calibrated to int8, how far its vectors lie from those of float32.
    """

    drift: Drift | None = None

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        *,
        device: str,
        precision: str,
        architecture: Mapping[str, Any],
        backend: str = "torch",
        tell: Callable[[str], None] = lambda note: None,
    ) -> None:
        """`backend`: torch, openvino, or auto, the faster of both; `tell` hears that this is being measured."""
        self.name = name
        self.device = torch.device(device)
        self.precision = precision
        self.preprocessing = preprocessing_of(model)
        self.key = model_key(name, model, self.preprocessing, architecture)
        self.keeps_cpu_busy = self.device.type == "cpu"
        self.logit_scale = float(model.logit_scale.detach().exp())  # what cosines are multiplied by in training
        self.tokenizer = tokenizer
        self.model = model.eval().to(self.device)
        scale = torch.tensor(self.preprocessing.std) * 255
        shift = torch.tensor(self.preprocessing.mean) * 255
        self._scale = scale.view(1, 3, 1, 1).to(self.device)
        self._shift = shift.view(1, 3, 1, 1).to(self.device)
        self._text_vectors: OrderedDict[str, Floats] = OrderedDict()
        self._remembering = fork_lock()
        self._tower: OpenVinoTower | None = None
        self._tower_folder: Path | None = None  # of a calibrated one
        self._making_tower = fork_lock()
        self._pieces_photos = 0  # that OpenVINO computes at once
        self.dim = self._encode_uncached([""]).shape[1]
        self.backend = self._faster(tell) if backend == "auto" else backend
        if self.backend == "torch":
            self._cast()
        else:
            self._pieces_photos = PIECE_PHOTOS * cpu_threads()

    def _cast(self) -> None:
        self.model.visual.to(PRECISIONS[self.precision]).to(memory_format=torch.channels_last)

    def _faster(self, tell: Callable[[str], None]) -> str:
        """Return the backend that was measured to be faster on this machine; where none was, measure, once."""
        speeds = known_speeds(self.key, self.precision)
        if speeds is None:
            tell(f"measuring, this once, whether PyTorch or OpenVINO is quicker with {self.key} here ...")
            try:
                tower = self._openvino()
            except EncoderError:  # it cannot be converted
                speeds = BackendSpeeds(where=this_machine(), torch=0.0, openvino=0.0)
            else:
                self._cast()
                size_px = self.preprocessing.size_px
                speeds = measured_speeds(self._features, tower.features, self.batch_photos, size_px)
                tell(str(speeds))
            keep_speeds(self.key, self.precision, speeds)
            if speeds.faster == "torch":
                self._tower = None
                shutil.rmtree(kept_tower(self.key), ignore_errors=True)
        return speeds.faster

    def _openvino(self) -> OpenVinoTower:
        """Return the image tower as OpenVINO computes it, read or converted when it is first needed.

        Raises: EncoderError: OpenVINO, or the processor's instructions for int8, are absent; it cannot be converted.
        """
        with self._making_tower:
            if self._tower is None:
                threads = cpu_threads()
                if self._tower_folder is not None:
                    refuse_int8(self.name)
                    if problem := image_tower_problem(self._tower_folder, self.key):
                        raise EncoderError(lost(self.name, problem))
                    self._tower = OpenVinoTower.read(self._tower_folder, "int8", threads)
                else:
                    model = kept_or_converted(kept_tower(self.key), self.key, self.converted)
                    self._tower = OpenVinoTower(model, self.precision, threads)
            return self._tower

    def converted(self) -> Any:
        """Return the image tower as OpenVINO's model, in float32, which it must be in here. Raises: EncoderError."""
        return as_openvino(self.model, self._shift, self._scale, self.preprocessing.size_px)

    def become_int8(self, record: TowerRecord, folder: Path) -> None:
        """Be the calibrated model that lies in a folder."""
        self.name, self.key, self.drift = self.name + INT8, record.key, record.drift
        self.precision, self.backend = "int8", "openvino"
        self._tower, self._tower_folder = None, folder
        self._pieces_photos = PIECE_PHOTOS * cpu_threads()

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
        key: str | None = None,
        towers: Path | None = None,
        tell: Callable[[str], None] = lambda note: None,
    ) -> Self:
        """Load a model by name and choose its device and precision.

        Args:
            name: `ViT-B-32/openai`, any other `architecture/weights` of open_clip, `starter`,
                `local-dir:/path` or `hf-hub:org/name`; with @int8 behind it, as calibrated for a library.
            device: auto, cpu, cuda or mps.
            precision: auto, float32 or bfloat16. Auto is bfloat16 on CUDA devices and on processors with
                AVX512-BF16 or AMX, else float32. Of a calibrated model only int8.
            backend: what computes photos on a processor: torch, openvino, or auto: what was measured to be faster here.
            key: the model key that is expected, where a library has vectors of it.
            towers: where a library keeps the image towers that were calibrated for it, by their keys.
            tell: hears that backends are being measured.

        Raises:
            EncoderError: the model is unknown or its weights cannot be had; the device or the backend is absent.
            ModelMismatchError: the model is not the one of that key.
        """
        if is_int8(name):
            return cls._load_int8(name, device=device, precision=precision, backend=backend, key=key, towers=towers)
        device = choose_device(device)
        precision = choose_precision(precision, device, name)
        backend = choose_backend(backend, device)
        if device == "cpu":
            keep_freed_memory()
        model, tokenizer, architecture = load_model(name)
        encoder = cls(
            lasting_name(name),
            model,
            tokenizer,
            device=device,
            precision=precision,
            architecture=architecture,
            backend=backend,
            tell=tell,
        )
        if key is not None and encoder.key != key:
            raise ModelMismatchError(another_model(name, key, encoder.key))
        return encoder

    @classmethod
    def _load_int8(
        cls, name: str, *, device: str, precision: str, backend: str, key: str | None, towers: Path | None
    ) -> Self:
        """Load a model that was calibrated for a library; its image tower is read when a photo is encoded.

        Raises: EncoderError, ModelMismatchError: as `load`.
        """
        base = name.removesuffix(INT8)
        if precision not in ("auto", "int8"):
            raise EncoderError(
                f"vectors of {name} are those of int8: leave out --precision {precision}, or take a model into use "
                "that was not calibrated: `aliens models --here` lists this library's"
            )
        refuse_for_int8(device=device, backend=backend)
        if key is None or towers is None:
            choose_precision("int8", "cpu", base)
        assert key is not None and towers is not None
        record = read_tower_record(towers / key, key)
        if record is None:
            raise EncoderError(lost(name, str(image_tower_problem(towers / key, key, quick=True))))
        encoder = cls.load(base, device="cpu", precision="float32", backend="torch")
        if encoder.key != record.of:
            raise ModelMismatchError(
                f"{key} was calibrated from {record.of}: {another_model(base, record.of, encoder.key)}"
            )
        encoder.become_int8(record, towers / key)
        return encoder

    def __str__(self) -> str:
        where = f"{self.device.type} ({cpu_threads()} threads)" if self.device.type == "cpu" else self.device
        if self.backend == "openvino":
            where = f"OpenVINO on {where}"
        return f"{self.key}: {self.dim} dimensions, {self.preprocessing.size_px} px, {where}, {self.precision}"

    @property
    def recipe(self) -> Recipe:
        """What loads the same on another machine."""
        towers = None if self._tower_folder is None else self._tower_folder.parent
        return Recipe(
            name=self.name,
            key=self.key,
            device=self.device.type,
            precision=self.precision,
            backend=self.backend,
            towers=towers,
        )

    @property
    def parameters(self) -> int:
        """How many numbers the model has learnt, in both towers."""
        return sum(weights.numel() for weights in self.model.parameters())

    @property
    def batch_photos(self) -> int:
        """How many photos are best encoded at once."""
        return max(BATCH_PHOTOS.get(self.device.type) or self._batches.photos, self._pieces_photos)

    @cached_property
    def _batches(self) -> FittingBatches:
        return FittingBatches(self._features, self.preprocessing.size_px, CudaMemory())

    def encode_images(self, pixels: Pixels) -> Floats:
        """Return unit vectors, shape (n, d) float32, of squares of pixels, uint8 (n, s, s, 3).

        Raises: EncoderError: the squares are not of the model's size, or a vector has zero norm.
        """
        s = self.preprocessing.size_px
        if pixels.shape[1:] != (s, s, 3):
            raise EncoderError(f"{self.key} takes photos of shape ({s}, {s}, 3), not {pixels.shape[1:]}")
        if self.backend == "openvino":
            return unit(self._openvino().features(pixels))
        self._refuse_fork()
        return unit(self._batches.encoded(pixels) if self.device.type == "cuda" else self._features(pixels))

    @torch.inference_mode()
    def _features(self, pixels: Pixels) -> Floats:
        """Return what PyTorch makes of pixels, (n, d) float32, not of unit length."""
        batch = on_device(pixels, self.device).permute(0, 3, 1, 2)  # (n, 3, s, s), channels last
        batch = ((batch.float() - self._shift) / self._scale).to(PRECISIONS[self.precision])
        vectors: Floats = self.model.encode_image(batch).float().cpu().numpy()
        return vectors

    def _refuse_fork(self) -> None:
        if self.device.type == "cuda":
            refuse_forked_cuda()

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors, shape (n, d) float32; the last few thousand texts are remembered.

        Raises: EncoderError: a vector has zero norm.
        """
        with self._remembering:  # threads may share an encoder
            return self._remembered(texts)

    def _remembered(self, texts: Sequence[str]) -> Floats:
        fresh = [text for text in dict.fromkeys(texts) if text not in self._text_vectors]
        known = {text: self._text_vectors[text] for text in texts if text in self._text_vectors}
        if fresh:
            known.update(zip(fresh, unit(self._encode_uncached(fresh)), strict=True))
        for text in known:
            self._text_vectors[text] = known[text]
            self._text_vectors.move_to_end(text)
        while len(self._text_vectors) > TEXT_CACHE_SIZE:
            self._text_vectors.popitem(last=False)
        return np.stack([known[text] for text in texts])

    def encode_prompts(self, text: str, templates: Sequence[str]) -> Floats:
        """Return one unit vector, shape (d,) float32: the mean over `templates`, each with {} for the text.

        Source: Radford et al. 2021, section 3.1.4 (prompt ensembling in embedding space).
        """
        return unit(self.encode_texts([template.format(text) for template in templates]).mean(axis=0))

    @torch.inference_mode()
    def _encode_uncached(self, texts: Sequence[str]) -> Floats:
        self._refuse_fork()
        tokens = self.tokenizer(list(texts)).to(self.device)
        tower = causal_text_tower(self.model)
        features = self.model.encode_text(tokens) if tower is None else encode_trimmed(tower, tokens)
        vectors: Floats = features.float().cpu().numpy()
        return vectors


def causal_text_tower(model: Any) -> Any:
    """Return the module that holds the text transformer where a text may be cut, else None.

    Tokens behind the end-of-text token cannot reach it through a causal mask, so they need not be computed.
    """
    tower = getattr(model, "text", model)
    pool = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
    plain = getattr(tower, "cls_emb", None) is None and not getattr(tower, "use_pad_mask", False)
    causal = getattr(tower, "attn_mask", None) is not None
    return tower if pool == "argmax" and plain and causal else None


def encode_trimmed(tower: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Encode texts, int64 (n, context), cut behind the last end-of-text token of the batch; (n, d).

    Source: open_clip.model.CLIP.encode_text, which computes the whole context of 77 tokens.
    """
    ends = tokens.argmax(dim=-1)  # the end-of-text token has the highest id
    length = int(ends.max()) + 1
    x = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]  # (n, length, width)
    x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
    x = tower.ln_final(x)[torch.arange(len(x)), ends]  # (n, width)
    projection = tower.text_projection
    if projection is not None:
        x = projection(x) if isinstance(projection, torch.nn.Module) else x @ projection
    features: torch.Tensor = x
    return features


def preprocessing_of(model: Any) -> Preprocessing:
    """Return how the model wants its photos.

    Raises: EncoderError: it wants something other than squares, or an interpolation that is not known here.
    """
    config = open_clip.get_model_preprocess_cfg(model)
    size = config["size"]
    height, width = size if isinstance(size, tuple | list) else (size, size)
    if height != width:
        raise EncoderError(f"the model wants photos of {width} x {height} px; only square ones are supported")
    return Preprocessing(
        size_px=int(width),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
        resize_mode=config.get("resize_mode") or "shortest",
        fill_color=int(config.get("fill_color") or 0),
    )
