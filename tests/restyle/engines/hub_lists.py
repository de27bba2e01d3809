"""What the hub's repositories hold, as their pages list it: file names, and sizes of the large ones in bytes."""

from types import SimpleNamespace
from typing import Any

MB = 10**6
TOKENIZER = ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")


def folder(name: str, *files: str) -> dict[str, int]:
    """Return small files of a folder."""
    return {f"{name}/{file}": 1000 for file in files}


def network(part: str, stem: str, mb: float, *endings: str) -> dict[str, int]:
    """Return a network's config and weights, whole and halved ones."""
    halves = {ending: mb / 2 if "fp16" in ending else mb for ending in endings}
    return {f"{part}/config.json".lstrip("/"): 1000} | {
        f"{part}/{stem}.{ending}".lstrip("/"): round(size * MB) for ending, size in halves.items()
    }


def exported(part: str, mb: float, *, data: bool = False) -> dict[str, int]:
    """Return what other frameworks load: ONNX and OpenVINO."""
    sizes = {"model.onnx": mb, "openvino_model.bin": mb, "openvino_model.xml": 1.0} | (
        {"model.onnx_data": mb} if data else {}
    )
    return {f"{part}/{name}": round(size * MB) for name, size in sizes.items()}


DIFFUSERS, TRANSFORMERS, PICKLED = "diffusion_pytorch_model", "model", "pytorch_model"
BOTH = ("safetensors", "fp16.safetensors")
ALL = (*BOTH, "bin", "fp16.bin")
SCHEDULER = {"scheduler/scheduler_config.json": 500}

SD15 = {
    ".gitattributes": 1500,
    "README.md": 14_500,
    "model_index.json": 541,
    "v1-inference.yaml": 1900,
    "v1-5-pruned-emaonly.ckpt": 4270 * MB,
    "v1-5-pruned-emaonly.safetensors": 4270 * MB,
    "v1-5-pruned.ckpt": 7700 * MB,
    "v1-5-pruned.safetensors": 7700 * MB,
    **SCHEDULER,
    **folder("feature_extractor", "preprocessor_config.json"),
    **folder("tokenizer", *TOKENIZER),
    **network("unet", DIFFUSERS, 3440, *ALL, "non_ema.safetensors", "non_ema.bin"),
    **network("vae", DIFFUSERS, 335, *ALL),
    **network("text_encoder", TRANSFORMERS, 492, *BOTH),
    **network("text_encoder", PICKLED, 492, "bin", "fp16.bin"),
    **network("safety_checker", TRANSFORMERS, 1220, *BOTH),
    **network("safety_checker", PICKLED, 1220, "bin", "fp16.bin"),
}
SDXL = {
    ".gitattributes": 1500,
    "01.png": 5 * MB,
    "README.md": 8600,
    "model_index.json": 582,
    "sd_xl_base_1.0.safetensors": 6940 * MB,
    "sd_xl_base_1.0_0.9vae.safetensors": 6940 * MB,
    "sd_xl_offset_example-lora_1.0.safetensors": 50 * MB,
    **SCHEDULER,
    **folder("tokenizer", *TOKENIZER),
    **folder("tokenizer_2", *TOKENIZER),
    **network("unet", DIFFUSERS, 10_300, *BOTH),
    **exported("unet", 10_300, data=True),
    "unet/diffusion_flax_model.msgpack": 10_300 * MB,
    **network("vae", DIFFUSERS, 335, *BOTH),
    "vae/diffusion_flax_model.msgpack": 335 * MB,
    **network("vae_1_0", DIFFUSERS, 335, *BOTH),
    **network("text_encoder", TRANSFORMERS, 492, *BOTH),
    **exported("text_encoder", 492),
    "text_encoder/flax_model.msgpack": 492 * MB,
    **network("text_encoder_2", TRANSFORMERS, 2780, *BOTH),
    **exported("text_encoder_2", 2780, data=True),
    "text_encoder_2/flax_model.msgpack": 2780 * MB,
    "vae_decoder/config.json": 607,
    **exported("vae_decoder", 198),
    "vae_encoder/config.json": 607,
    **exported("vae_encoder", 137),
}
KLEIN = {
    ".gitattributes": 1700,
    "README.md": 8000,
    "LICENSE.md": 11_000,
    "model_index.json": 500,
    "flux-2-klein-4b.safetensors": 7750 * MB,
    **SCHEDULER,
    **folder("tokenizer", "added_tokens.json", "chat_template.jinja", "tokenizer.json", *TOKENIZER),
    **network("transformer", DIFFUSERS, 7750, "safetensors"),
    **network("vae", DIFFUSERS, 168, "safetensors"),
    **folder("text_encoder", "config.json", "generation_config.json", "model.safetensors.index.json"),
    "text_encoder/model-00001-of-00002.safetensors": 4970 * MB,
    "text_encoder/model-00002-of-00002.safetensors": 3080 * MB,
}
SD_TURBO = {
    "README.md": 5000,
    "model_index.json": 608,
    "sd_turbo.safetensors": 5210 * MB,
    **SCHEDULER,
    **folder("tokenizer", *TOKENIZER),
    **network("unet", DIFFUSERS, 3460, *BOTH),
    **network("vae", DIFFUSERS, 335, *BOTH),
    **network("text_encoder", TRANSFORMERS, 1360, *BOTH),
}
SDXL_TURBO = {
    "README.md": 5900,
    "model_index.json": 685,
    "sd_xl_turbo_1.0.safetensors": 13_900 * MB,
    "sd_xl_turbo_1.0_fp16.safetensors": 6940 * MB,
    **SCHEDULER,
    **folder("tokenizer", *TOKENIZER),
    **folder("tokenizer_2", *TOKENIZER),
    **network("unet", DIFFUSERS, 10_300, *BOTH),
    "unet/model.onnx": 7 * MB,
    "unet/model.onnx_data": 10_300 * MB,
    **network("vae", DIFFUSERS, 335, *BOTH),
    **network("text_encoder", TRANSFORMERS, 492, *BOTH),
    "text_encoder/model.onnx": 492 * MB,
    **network("text_encoder_2", TRANSFORMERS, 2780, *BOTH),
    "vae_decoder/config.json": 607,
    "vae_decoder/model.onnx": 198 * MB,
}
NET = {"README.md": 16_800, "sd.png": 60_000, "images/output.png": 400_000, **network("", DIFFUSERS, 1450, *ALL)}
TILE = {"README.md": 15_800, "sd.png": 60_000, **network("", DIFFUSERS, 1450, "bin")}
UNION = {
    "README.md": 10_100,
    "config_promax.json": 1260,
    "images/000000_canny.webp": 500_000,
    "diffusion_pytorch_model_promax.safetensors": 2510 * MB,
    **network("", DIFFUSERS, 2510, "safetensors"),
}
LORA = {"README.md": 7200, "image.png": 390_000, "pytorch_lora_weights.safetensors": 135 * MB}
LORA_XL = {"README.md": 9300, "pytorch_lora_weights.safetensors": 394 * MB}
DEPTH = {
    "README.md": 4400,
    "config.json": 950,
    "preprocessor_config.json": 775,
    "model.safetensors": round(99.2 * MB),
}

LISTS: dict[str, dict[str, int]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": SD15,
    "stabilityai/stable-diffusion-xl-base-1.0": SDXL,
    "black-forest-labs/FLUX.2-klein-4B": KLEIN,
    "stabilityai/sd-turbo": SD_TURBO,
    "stabilityai/sdxl-turbo": SDXL_TURBO,
    "lllyasviel/control_v11p_sd15_softedge": NET,
    "lllyasviel/control_v11p_sd15_mlsd": NET,
    "lllyasviel/control_v11p_sd15_canny": NET,
    "lllyasviel/control_v11f1e_sd15_tile": TILE,
    "lllyasviel/control_v11f1p_sd15_depth": NET,
    "xinsir/controlnet-union-sdxl-1.0": UNION,
    "latent-consistency/lcm-lora-sdv1-5": LORA,
    "latent-consistency/lcm-lora-sdxl": LORA_XL,
    "depth-anything/Depth-Anything-V2-Small-hf": DEPTH,
}

CLIP = {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
UNET = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
CLIP_2 = {
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
}
INDICES: dict[str, dict[str, Any]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.6.0",
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        **CLIP,
        **UNET,
    },
    "stabilityai/stable-diffusion-xl-base-1.0": {
        "_class_name": "StableDiffusionXLPipeline",
        "_diffusers_version": "0.19.0.dev0",
        "force_zeros_for_empty_prompt": True,
        "add_watermarker": None,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        **CLIP,
        **CLIP_2,
        **UNET,
    },
    "black-forest-labs/FLUX.2-klein-4B": {
        "_class_name": "Flux2KleinPipeline",
        "_diffusers_version": "0.37.0.dev0",
        "is_distilled": True,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3ForCausalLM"],
        "tokenizer": ["transformers", "Qwen2TokenizerFast"],
        "transformer": ["diffusers", "Flux2Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLFlux2"],
    },
    "stabilityai/sd-turbo": {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.24.0.dev0",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": True,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        **CLIP,
        **UNET,
    },
    "stabilityai/sdxl-turbo": {
        "_class_name": "StableDiffusionXLPipeline",
        "_diffusers_version": "0.24.0.dev0",
        "feature_extractor": [None, None],
        "force_zeros_for_empty_prompt": True,
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "EulerAncestralDiscreteScheduler"],
        **CLIP,
        **CLIP_2,
        **UNET,
    },
}
WIDTHS = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": 768,
    "stabilityai/stable-diffusion-xl-base-1.0": 2048,
    "stabilityai/sd-turbo": 1024,
    "stabilityai/sdxl-turbo": 2048,
}
HALVED = {"xinsir/controlnet-union-sdxl-1.0", "black-forest-labs/FLUX.2-klein-4B"}  # stored in 16 bits


class HubAnswers:
    """The hub's API, as huggingface_hub's HfApi answers of these repositories; `asked`: of which."""

    asked: list[str]

    def __init__(self) -> None:
        HubAnswers.asked = getattr(HubAnswers, "asked", [])

    def model_info(self, name: str, *, files_metadata: bool, timeout: float) -> Any:
        assert files_metadata and timeout > 0
        self.asked.append(name)
        siblings = [SimpleNamespace(rfilename=path, size=size) for path, size in LISTS[name].items()]
        return SimpleNamespace(sha="f" * 40, siblings=siblings)

    def parse_safetensors_file_metadata(self, name: str, path: str) -> Any:
        size = LISTS[name][path]
        return SimpleNamespace(parameter_count={"BF16": size // 2} if name in HALVED else {"F32": size // 4, "I64": 77})


def json_of_hub(name: str, file: str) -> dict[str, Any]:
    """Stand in for restyle.engines.needs.json_of_hub."""
    return INDICES[name] if file == "model_index.json" else {"cross_attention_dim": WIDTHS[name]}
