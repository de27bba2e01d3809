"""Real pipelines of diffusers with tiny random weights, saved as a user's folders would be: all runs offline."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants as hub

from embedding.colour import Pixels
from embedding.hub import no_chatter
from restyle.engines import needs, weights
from restyle.engines.engine import Job
from tests.restyle.engines.hub_lists import HubAnswers, json_of_hub

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
UNET: dict[str, Any] = {
    "block_out_channels": (4, 8),
    "layers_per_block": 1,
    "in_channels": 4,
    "cross_attention_dim": 32,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "norm_num_groups": 1,
    "attention_head_dim": 2,
}
SDXL: dict[str, Any] = {
    **UNET,
    "cross_attention_dim": 64,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 32,
}
UPWARDS = {"up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "sample_size": 32, "out_channels": 4}


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Tiny models run slower on many threads; others use the machine as well."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Folders:
    """Folders of models, each saved when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __getattr__(self, name: str) -> str:
        folder = self.root / name
        if not folder.exists():
            torch.manual_seed(len(name))
            with no_chatter():
                BUILDERS[name]().save_pretrained(folder)
        return str(folder)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def photo() -> Pixels:
    """A room-like photo, 64 x 64: a wall, a floor and a door, with grain."""
    pixels = np.full((64, 64, 3), 190, np.float32)
    pixels[40:] = (120, 90, 70)
    pixels[12:40, 20:36] = (90, 60, 50)
    pixels += np.random.default_rng(0).normal(0, 6, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def job(photo: Pixels) -> Job:
    return Job(original=photo, start=photo[..., [1, 0, 2]], prompt="a green room full of ferns", negative_prompt="red")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No hub that answers, and an empty cache, which is returned."""
    monkeypatch.setattr(weights, "hub_answers", lambda: False)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def answering(silent: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub that answers, and an empty cache; returns the names of what the hub was asked, as they come."""
    HubAnswers.asked = []
    monkeypatch.setattr(weights, "hub_answers", lambda: True)
    monkeypatch.setattr(needs, "HfApi", HubAnswers)
    monkeypatch.setattr(needs, "json_of_hub", json_of_hub)
    return HubAnswers.asked


@pytest.fixture
def lora(folders: Folders, tmp_path: Path) -> Path:
    """A folder of a LoRA for sd15."""
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig, get_peft_model_state_dict

    with no_chatter():
        base = StableDiffusionPipeline.from_pretrained(folders.sd15, local_files_only=True)
        base.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
        StableDiffusionPipeline.save_lora_weights(tmp_path / "lora", get_peft_model_state_dict(base.unet))
    return tmp_path / "lora"


def byte_vocabulary() -> dict[str, int]:
    """Every byte, within a word and at its end: nothing is unknown, nothing is merged."""
    from tokenizers.pre_tokenizers import ByteLevel

    signs = sorted(ByteLevel.alphabet())
    return {sign: number for number, sign in enumerate([*signs, *(sign + "</w>" for sign in signs), BOS, EOS])}


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer(vocab=byte_vocabulary(), merges=[], model_max_length=77)


def clip_encoder(class_name: str = "CLIPTextModel") -> Any:
    import transformers

    tokenizer = clip_tokenizer()
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        projection_dim=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return getattr(transformers, class_name)(config)


def vae(**more: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=[4, 8],
        latent_channels=4,
        norm_num_groups=2,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        **more,
    )


def woken(net: Any) -> Any:
    """Give a ControlNet's zero convolutions weights: a fresh one changes nothing."""
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    return net


def scheduler(class_name: str = "DDIMScheduler") -> Any:
    import diffusers

    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return getattr(diffusers, class_name)(**betas, steps_offset=1)


def stable_diffusion(scheduler_class: str = "DDIMScheduler") -> Any:
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    return StableDiffusionPipeline(
        unet=UNet2DConditionModel(**UNET, **UPWARDS),
        vae=vae(),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(),
        scheduler=scheduler(scheduler_class),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def control_net(width: int = 32) -> Any:
    from diffusers import ControlNetModel

    sizes = {**UNET, "cross_attention_dim": width}
    return woken(ControlNetModel(conditioning_embedding_out_channels=(16, 32), **sizes))


def stable_diffusion_xl() -> Any:
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel

    return StableDiffusionXLPipeline(
        unet=UNet2DConditionModel(**SDXL, **UPWARDS),
        vae=vae(),
        text_encoder=clip_encoder(),
        text_encoder_2=clip_encoder("CLIPTextModelWithProjection"),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        scheduler=scheduler("EulerDiscreteScheduler"),
    )


def union_net() -> Any:
    from diffusers import ControlNetUnionModel

    sizes = {"num_trans_channel": 4, "num_trans_head": 2, "num_proj_channel": 4, "num_control_type": 6}
    return woken(ControlNetUnionModel(conditioning_embedding_out_channels=(16, 32), **SDXL, **sizes))


def flux2_klein() -> Any:
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )
    from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

    tokenizer = Qwen2TokenizerFast(vocab=byte_vocabulary(), merges=[], pad_token=EOS, eos_token=EOS)
    tokenizer.chat_template = CHAT
    words = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=28,  # the pipeline reads the layers 9, 18 and 27
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
    )
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLFlux2(
            block_out_channels=(4, 4),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            latent_channels=1,
            norm_num_groups=1,
        ),
        text_encoder=Qwen3ForCausalLM(words),
        tokenizer=tokenizer,
        transformer=Flux2Transformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=24,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=True,
    )


def stable_diffusion_3() -> Any:
    """A model of no family known here."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import T5Config, T5EncoderModel, T5TokenizerFast

    signs = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
    words = T5TokenizerFast(vocab=[(sign, -float(number)) for number, sign in enumerate(signs)], extra_ids=0)
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=32,
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=32,
            pooled_projection_dim=64,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(shift_factor=0.1),
        text_encoder=clip_encoder("CLIPTextModelWithProjection"),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_encoder("CLIPTextModelWithProjection"),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=T5EncoderModel(
            T5Config(vocab_size=len(words), d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        tokenizer_3=words,
    )


BUILDERS: dict[str, Callable[[], Any]] = {
    "sd15": stable_diffusion,
    "lcm": lambda: stable_diffusion("LCMScheduler"),
    "turbo": lambda: stable_diffusion("EulerDiscreteScheduler"),
    "net": control_net,
    "other_net": control_net,
    "wide_net": lambda: control_net(width=64),
    "sdxl": stable_diffusion_xl,
    "union": union_net,
    "klein": flux2_klein,
    "sd3": stable_diffusion_3,
}
