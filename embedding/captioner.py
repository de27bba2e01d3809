"""The captioner: photos become sentences, by open_clip's CoCa or by BLIP of transformers. Stores nothing.

Both decode greedily, the likeliest token each time: the same photo and weights give the same caption, whatever the
version of transformers. open_clip's default, a search with 6 beams, takes BeamSearchScorer from transformers, which
transformers 5 no longer has.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import open_clip
import torch
from PIL import Image

from base.arrays import Pixels
from base.errors import EncoderError
from embedding.decode import Preprocessing
from embedding.device import choose_device, keep_freed_memory
from embedding.hub import no_chatter, no_vain_retries, quiet, weights_unavailable
from embedding.open_clip_encoder import (
    lasting_name,
    load_model,
    model_key,
    preprocessing_of,
)

DEFAULT_CAPTIONER = "coca_ViT-B-32/mscoco_finetuned_laion2b_s13b_b90k"
BLIP = "blip:"
LENGTH = 30  # tokens of a caption at most; open_clip's own default
BATCH_PHOTOS = {"cpu": 8, "cuda": 64, "mps": 16}

START, END = 49406, 49407  # tokens of CLIP's vocabulary

# What a greedy CoCa.generate() of open_clip takes from transformers.
FOR_GENERATE = (
    "LogitsProcessorList",
    "MaxLengthCriteria",
    "MinLengthLogitsProcessor",
    "RepetitionPenaltyLogitsProcessor",
    "StoppingCriteriaList",
    "TopKLogitsWarper",
)
REMEDIES = (
    "Remedies: connect this machine to the model hub for one run; or copy the weights here and use "
    "`--model local-dir:FOLDER` (a CoCa: open_clip_config.json and open_clip_model.safetensors) or "
    "`--model blip:FOLDER` (as transformers saves it); or choose captions from a file with the library's own model: "
    "`aliens caption --from FILE`."
)
WRITERS = (
    f"a CoCa, such as `--model {DEFAULT_CAPTIONER}`, or a BLIP, such as "
    "`--model blip:Salesforce/blip-image-captioning-base`"
)
NO_TRANSFORMERS = "writing captions needs transformers: `pip install -e '.[captions]'`"


class Writer(Protocol):
    """A model that writes captions, on the CPU until it is moved."""

    model: Any
    preprocessing: Preprocessing
    key: str

    def write(self, batch: torch.Tensor) -> list[str]:
        """Return a caption for each normalised photo, float32 (n, 3, s, s)."""
        ...


class Captioner:
    """A model that writes captions, on one device, in float32."""

    def __init__(self, name: str, writer: Writer, *, device: str) -> None:
        self.name = name
        self.key = writer.key
        self.preprocessing = writer.preprocessing
        self.device = torch.device(device)
        self.batch_photos = BATCH_PHOTOS[self.device.type]
        self._writer = writer
        writer.model.eval().to(self.device)
        self._scale = (torch.tensor(self.preprocessing.std) * 255).view(1, 3, 1, 1).to(self.device)
        self._shift = (torch.tensor(self.preprocessing.mean) * 255).view(1, 3, 1, 1).to(self.device)

    @classmethod
    def load(cls, name: str = DEFAULT_CAPTIONER, *, device: str = "auto") -> Self:
        """Load a model by name and put it on its device.

        Args:
            name: `architecture/weights` of a CoCa of open_clip, `local-dir:/path` or `hf-hub:org/name` of one,
                `blip:org/name` or `blip:/path` of a BLIP of transformers.
            device: auto, cpu, cuda or mps.

        Raises:
            EncoderError: the model is unknown, writes no captions, or its weights cannot be had; the device is
                absent; transformers is not installed.
        """
        device = choose_device(device)
        if device == "cpu":
            keep_freed_memory()
        name = lasting(name)
        writer = BlipWriter.load(name) if name.startswith(BLIP) else CocaWriter.load(name)
        return cls(name, writer, device=device)

    def __str__(self) -> str:
        return f"{self.key}: {self.preprocessing.size_px} px, {self.device}"

    @torch.inference_mode()
    def generate(self, pixels: Pixels) -> list[str]:
        """Return a caption for each square of pixels, uint8 (n, s, s, 3): one line, perhaps an empty one.

        Raises: EncoderError: the squares are not of the model's size.
        """
        s = self.preprocessing.size_px
        if pixels.shape[1:] != (s, s, 3):
            raise EncoderError(f"{self.key} takes photos of shape ({s}, {s}, 3), not {pixels.shape[1:]}")
        if not len(pixels):
            return []
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(self.device)
        batch = (batch.permute(0, 3, 1, 2).float() - self._shift) / self._scale  # (n, 3, s, s)
        with no_chatter():
            return [one_sentence(text) for text in self._writer.write(batch)]


class CocaWriter:
    """CoCa: captions by open_clip's own `generate`."""

    def __init__(self, name: str, model: Any, architecture: Mapping[str, Any]) -> None:
        self.model = model
        self.preprocessing = preprocessing_of(model)
        self._length = min(LENGTH, model.context_length)
        settings = {**architecture, "generate": {"type": "greedy", "length": self._length}}
        self.key = model_key(name, model, self.preprocessing, settings)

    @classmethod
    def load(cls, name: str) -> Self:
        """Load a CoCa by its name.

        Raises: EncoderError: it is unknown, is no CoCa, or its weights cannot be had; transformers is not installed.
        """
        lend_transformers()
        architecture = name.partition("/")[0]
        if architecture in open_clip.list_models() and "multimodal_cfg" not in open_clip.get_model_config(architecture):
            raise EncoderError(no_writer(name))  # before weights are fetched in vain
        try:
            model, tokenizer, settings = load_model(name)
        except EncoderError as error:
            if error.__cause__ is None:  # the name is wrong: the message says how, of all models
                raise EncoderError(f"{error}. Captions are written by {WRITERS}") from error
            raise EncoderError(weights_unavailable(name, error.__cause__, REMEDIES)) from error
        if not hasattr(model, "generate"):
            raise EncoderError(no_writer(name))
        if not isinstance(tokenizer, open_clip.SimpleTokenizer):
            raise EncoderError(f"{name!r} has a vocabulary of its own: only a CoCa with CLIP's can write captions here")
        return cls(name, model, settings)

    def write(self, batch: torch.Tensor) -> list[str]:
        """Return a caption for each normalised photo, float32 (n, 3, s, s)."""
        rows = self.model.generate(batch, seq_len=self._length, generation_type="top_k", top_k=1)  # (n, length)
        return [open_clip.decode(caption_tokens(row, self.model.pad_id)) for row in rows]


class BlipWriter:
    """BLIP: captions by `generate` of transformers."""

    def __init__(self, name: str, model: Any, processor: Any) -> None:
        self.model = model
        self.preprocessing = blip_preprocessing(processor.image_processor)
        self._tokenizer = processor.tokenizer
        towers = {"vision": model.config.vision_config, "text": model.config.text_config}
        settings = {
            tower: [config.num_attention_heads, config.hidden_act, config.layer_norm_eps]
            for tower, config in towers.items()
        }
        decoding = {"type": "greedy", "length": LENGTH, "vocabulary": self._tokenizer.get_vocab()}
        source = name.removeprefix(BLIP)
        readable = BLIP + (Path(source).name if is_folder(source) else source)
        self.key = model_key(readable, model, self.preprocessing, {**settings, "generate": decoding})

    @classmethod
    def load(cls, name: str) -> Self:
        """Load a BLIP by its name, `blip:ORG/NAME` or `blip:FOLDER`.

        Raises: EncoderError: its weights cannot be had or are not a BLIP's; transformers is not installed.
        """
        try:
            from transformers import BlipForConditionalGeneration, BlipProcessor
        except ImportError as error:
            raise EncoderError(NO_TRANSFORMERS) from error
        source = name.removeprefix(BLIP)
        local = is_folder(source)
        try:
            with quiet("transformers") if local else no_chatter(), no_vain_retries(asks_hub=not local):
                loaded: Any = BlipForConditionalGeneration.from_pretrained(
                    source, output_loading_info=True, local_files_only=local
                )
                processor = BlipProcessor.from_pretrained(source, local_files_only=local)
        # transformers, huggingface_hub, httpx and safetensors each raise errors of their own; all mean the same here.
        except Exception as error:
            raise EncoderError(weights_unavailable(name, error, REMEDIES)) from error
        model, loading = loaded
        if loading["missing_keys"]:
            raise EncoderError(
                f"{name!r} is no BLIP that writes captions: it lacks {len(loading['missing_keys'])} of its weights. "
                f"Use {WRITERS}"
            )
        return cls(name, model, processor)

    def write(self, batch: torch.Tensor) -> list[str]:
        """Return a caption for each normalised photo, float32 (n, 3, s, s)."""
        rows = self.model.generate(pixel_values=batch, do_sample=False, num_beams=1, max_new_tokens=LENGTH)
        texts: list[str] = self._tokenizer.batch_decode(rows[:, 1:], skip_special_tokens=True)
        return texts


def lend_transformers() -> None:
    """Give open_clip's CoCa what its `generate` takes from transformers.

    open_clip 3.3 imports it all or nothing, and transformers 5 lacks BeamSearchScorer, which only the search with
    beams needs: without this, `generate` says that transformers is not installed.

    Raises: EncoderError: transformers is not installed.
    Source: https://github.com/mlfoundations/open_clip/issues/1129.
    """
    from open_clip import coca_model

    if coca_model._has_transformers:
        return
    try:
        import transformers
    except ImportError as error:
        raise EncoderError(NO_TRANSFORMERS) from error
    for name in FOR_GENERATE:
        setattr(coca_model, name, getattr(transformers, name))
    coca_model.GENERATION_TYPES["top_k"] = transformers.TopKLogitsWarper
    coca_model._has_transformers = True


def caption_tokens(row: torch.Tensor, pad: int) -> torch.Tensor:
    """Return a row's tokens between the start and the end, int64; what follows the end is padding."""
    row = row[1:] if len(row) and row[0] == START else row
    ends = ((row == END) | (row == pad)).nonzero()
    return row[: int(ends[0])] if len(ends) else row


def one_sentence(text: str) -> str:
    """Return a caption on one line, without the full stop that models set apart."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split()).removesuffix(" .")


def blip_preprocessing(processor: Any) -> Preprocessing:
    """Return how a BLIP wants its photos: squashed to a square.

    Raises: EncoderError: it wants something other than squares.
    """
    size = dict(processor.size)
    if size.get("height") is None or size.get("height") != size.get("width"):
        raise EncoderError(f"the BLIP wants photos of size {size}; only squares of a height and width are supported")
    return Preprocessing(
        size_px=int(size["height"]),
        mean=tuple(processor.image_mean),
        std=tuple(processor.image_std),
        interpolation="bilinear" if processor.resample == Image.Resampling.BILINEAR else "bicubic",
        resize_mode="squash",
    )


def is_folder(source: str) -> bool:
    """Tell whether the part behind `blip:` names a folder; a path that does not exist is no name of a hub either."""
    return Path(source).expanduser().is_dir() or source.startswith(("/", ".", "~"))


def lasting(name: str) -> str:
    """Return a captioner's name that means the same in every working folder."""
    source = name.removeprefix(BLIP)
    if name.startswith(BLIP) and is_folder(source):
        return f"{BLIP}{Path(source).expanduser().absolute()}"
    return lasting_name(name)


def no_writer(name: str) -> str:
    """Return the message for a model without a text decoder."""
    return (
        f"{name!r} writes no captions, it only embeds: use {WRITERS}; "
        "or choose captions from a file: `aliens caption --from FILE`"
    )
