import json
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip import coca_model
from open_clip.coca_model import CoCa
from safetensors.torch import save_file
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

from base.errors import EncoderError
from embedding.captioner import DEFAULT_CAPTIONER, LENGTH, Captioner, caption_tokens, lend_transformers, one_sentence
from embedding.decode import Preprocessing
from embedding.device import computing_with
from tests.embedding.conftest import TINY_PREPROCESSING, TINY_TEXT, TINY_VISION, check_remedies

COCA = {
    "embed_dim": 16,
    "vision_cfg": TINY_VISION | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    "text_cfg": TINY_TEXT | {"embed_cls": True, "output_tokens": True},
    "multimodal_cfg": TINY_TEXT | {"attn_pooler_heads": 2},
}
BLIP_TOWER = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "projection_dim": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{number}" for number in range(40)), "##s", "."]
BLIP_TEXT = {
    "vocab_size": len(VOCABULARY) + 1,  # as the real one, whose start token is not in its tokenizer
    "encoder_hidden_size": 16,
    "max_position_embeddings": 64,
    "bos_token_id": len(VOCABULARY),
    "eos_token_id": 3,
    "sep_token_id": 3,
    "pad_token_id": 0,
}


def make_vivid(model: torch.nn.Module) -> None:
    """Give a model random weights that let its captions depend on the photo."""
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=2 if "cross" in name else 0.5)


def save_coca(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Save a tiny CoCa in open_clip's layout."""
    folder.mkdir()
    config = deepcopy(COCA) | changes
    torch.manual_seed(seed)
    model = CoCa(**deepcopy(config))
    make_vivid(model)
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    saved = {"model_cfg": config | {"custom_text": True}, "preprocess_cfg": TINY_PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(saved), encoding="utf-8")
    return folder


def save_blip(folder: Path, **image_options: Any) -> Path:
    """Save a tiny BLIP as transformers does."""
    folder.mkdir()
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(VOCABULARY), encoding="utf-8")
    vision = BLIP_TOWER | {"image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=BLIP_TOWER | BLIP_TEXT, vision_config=vision))
    make_vivid(model)
    model.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    BlipProcessor(
        BlipImageProcessor(**({"size": size} | image_options)), BertTokenizer(str(vocabulary))
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For models so small, threads take longer to wait for each other than they compute."""
    with computing_with(1):
        yield


@pytest.fixture(scope="module")
def coca_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny CoCa."""
    return save_coca(tmp_path_factory.mktemp("models") / "tiny-coca")


@pytest.fixture(scope="module")
def coca(coca_folder: Path) -> Captioner:
    """A tiny CoCa, loaded from its folder."""
    return Captioner.load(f"local-dir:{coca_folder}", device="cpu")


@pytest.fixture(scope="module")
def blip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny BLIP."""
    return save_blip(tmp_path_factory.mktemp("models") / "tiny-blip")


@pytest.fixture(scope="module")
def blip(blip_folder: Path) -> Captioner:
    """A tiny BLIP, loaded from its folder."""
    return Captioner.load(f"blip:{blip_folder}", device="cpu")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Six squares of noise, each of its own brightness."""
    noise = np.random.default_rng(0).integers(0, 80, (6, 32, 32, 3))
    return (noise + np.arange(0, 180, 30).reshape(6, 1, 1, 1)).astype(np.uint8)


@pytest.fixture
def silent_hub(unreachable_hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails, and the hub is not asked whether it is there."""
    monkeypatch.setattr("embedding.hub.hub_answers", lambda: False)


def refusal(name: str) -> str:
    with pytest.raises(EncoderError) as caught:
        Captioner.load(name, device="cpu")
    return str(caught.value)


def assert_remedies(message: str, name: str) -> None:
    check_remedies(message, name, "blip:FOLDER", "aliens caption --from FILE")


@pytest.fixture(params=["coca", "blip"])
def captioner(request: pytest.FixtureRequest) -> Captioner:
    return request.getfixturevalue(request.param)


def test_every_photo_gets_a_caption_of_its_own(captioner: Captioner, pixels: np.ndarray) -> None:
    captions = captioner.generate(pixels)
    assert len(captions) == 6
    assert len(set(captions)) > 1
    assert all(caption == " ".join(caption.split()) for caption in captions)
    assert not any(token in caption for caption in captions for token in ("<start_of_text>", "<end_of_text>", "[SEP]"))


def test_captions_are_the_same_every_time_and_in_every_company(captioner: Captioner, pixels: np.ndarray) -> None:
    captions = captioner.generate(pixels)
    torch.manual_seed(7)
    assert captioner.generate(pixels) == captions
    assert [captioner.generate(photo[np.newaxis])[0] for photo in pixels] == captions
    assert captioner.generate(pixels[:0]) == []


def test_a_coca_writes_what_open_clip_generates(coca_folder: Path, coca: Captioner, pixels: np.ndarray) -> None:
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{coca_folder}")
    normalise = transform.transforms[-1]
    batch = torch.stack([normalise(torch.from_numpy(photo).permute(2, 0, 1) / 255) for photo in pixels])
    rows = model.eval().generate(batch, seq_len=16, generation_type="top_k", top_k=1)
    texts = [open_clip.decode(row).split("<end_of_text>")[0].replace("<start_of_text>", "") for row in rows]
    assert coca.generate(pixels) == [one_sentence(text) for text in texts]


def test_a_blip_writes_what_transformers_generates(blip_folder: Path, blip: Captioner, pixels: np.ndarray) -> None:
    model = BlipForConditionalGeneration.from_pretrained(blip_folder)
    processor = BlipProcessor.from_pretrained(blip_folder)
    batch = processor.image_processor(list(pixels), return_tensors="pt")["pixel_values"]
    rows = model.generate(batch, do_sample=False, max_new_tokens=LENGTH)
    texts = processor.batch_decode(rows[:, 1:], skip_special_tokens=True)
    assert blip.generate(pixels) == [one_sentence(text) for text in texts]


def test_loading_and_generating_are_silent(
    coca_folder: Path, blip_folder: Path, pixels: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in (f"local-dir:{coca_folder}", f"blip:{blip_folder}"):
        Captioner.load(name, device="cpu").generate(pixels)
    assert capfd.readouterr() == ("", "")


def test_photos_of_another_size_are_refused(captioner: Captioner) -> None:
    with pytest.raises(EncoderError, match=r"shape \(32, 32, 3\)"):
        captioner.generate(np.zeros((1, 64, 64, 3), np.uint8))


def test_a_key_is_readable_and_stays_with_its_weights(
    coca: Captioner, blip: Captioner, coca_folder: Path, blip_folder: Path, tmp_path: Path
) -> None:
    assert coca.key.rpartition("-")[0] == "tiny-coca"
    assert blip.key.rpartition("-")[0] == "blip-tiny-blip"
    assert str(coca).startswith(f"{coca.key}: 32 px, cpu")
    assert Captioner.load(f"local-dir:{coca_folder}", device="cpu").key == coca.key
    assert Captioner.load(f"blip:{blip_folder}", device="cpu").key == blip.key
    other = Captioner.load(f"local-dir:{save_coca(tmp_path / 'tiny-coca', seed=1)}", device="cpu")
    assert other.key != coca.key


def test_a_captioner_knows_how_it_wants_its_photos(coca: Captioner, blip: Captioner) -> None:
    assert coca.preprocessing == Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert (blip.preprocessing.size_px, blip.preprocessing.resize_mode) == (32, "squash")
    assert blip.preprocessing.mean == pytest.approx((0.481, 0.458, 0.408), abs=1e-3)
    assert coca.batch_photos == blip.batch_photos == 8


def test_names_of_folders_mean_the_same_everywhere(
    coca_folder: Path, blip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(coca_folder.parent)
    assert Captioner.load("local-dir:tiny-coca", device="cpu").name == f"local-dir:{coca_folder}"
    monkeypatch.chdir(blip_folder.parent)
    assert Captioner.load("blip:tiny-blip", device="cpu").name == f"blip:{blip_folder}"


def test_the_default_and_every_coca_is_one_of_open_clips() -> None:
    names = ["/".join(pair) for pair in open_clip.list_pretrained()]
    assert DEFAULT_CAPTIONER in names


@pytest.mark.parametrize("name", ["starter", "ViT-B-32/openai", "ViT-B-32"])
def test_a_model_that_only_embeds_is_refused(name: str, silent_hub: None) -> None:
    message = refusal(name)
    assert f"{name!r} writes no captions" in message
    for remedy in (DEFAULT_CAPTIONER, "blip:Salesforce/blip-image-captioning-base", "aliens caption --from FILE"):
        assert remedy in message


def test_a_folder_of_a_model_that_only_embeds_is_refused(save_tiny_model: Callable[..., Path]) -> None:
    assert "writes no captions" in refusal(f"local-dir:{save_tiny_model('tiny')}")


@pytest.mark.parametrize("name", ["nothing", "", "coca_ViT-B-32", "coca_ViT-B-32/imagenet", "local-dir:/nowhere"])
def test_an_unknown_model_is_refused_with_those_that_write(name: str) -> None:
    message = refusal(name)
    assert DEFAULT_CAPTIONER in message
    assert "blip:" in message


@pytest.mark.parametrize("name", [DEFAULT_CAPTIONER, "hf-hub:laion/CoCa-ViT-B-32"])
def test_weights_that_cannot_be_fetched_are_refused_with_the_remedies(name: str, silent_hub: None) -> None:
    message = refusal(name)
    assert_remedies(message, name)
    assert "second line" not in message


@pytest.mark.parametrize("folder", ["/nowhere/blip", "Salesforce/no-such-model-here"])
def test_a_blip_that_cannot_be_had_is_refused_with_the_remedies(folder: str, silent_hub: None) -> None:
    assert_remedies(refusal(f"blip:{folder}"), f"blip:{folder}")


def test_a_blip_with_damaged_weights_or_others_is_refused(tmp_path: Path) -> None:
    folder = save_blip(tmp_path / "blip")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert_remedies(refusal(f"blip:{folder}"), f"blip:{folder}")
    save_file({"some.other.weight": torch.zeros(2)}, weights, {"format": "pt"})  # it is not guessed at
    assert "is no BLIP that writes captions" in refusal(f"blip:{folder}")


def test_a_blip_that_wants_no_squares_is_refused(tmp_path: Path) -> None:
    folder = save_blip(tmp_path / "blip", size={"height": 32, "width": 64})
    assert "only squares" in refusal(f"blip:{folder}")


def test_without_transformers_the_remedy_is_named(
    coca_folder: Path, blip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr(coca_model, "_has_transformers", False)
    for name in (f"local-dir:{coca_folder}", f"blip:{blip_folder}"):
        assert "pip install -e '.[captions]'" in refusal(name)


def test_what_open_clip_has_by_itself_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coca_model, "_has_transformers", True)
    monkeypatch.setattr(coca_model, "StoppingCriteriaList", "its own", raising=False)
    lend_transformers()
    assert coca_model.StoppingCriteriaList == "its own"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([49406, 320, 1000, 49407, 0, 0], [320, 1000]),
        ([49406, 320, 1000], [320, 1000]),
        ([320, 0, 0], [320]),
        ([49406, 49407], []),
        ([], []),
    ],
)
def test_the_tokens_of_a_caption_lie_between_start_and_end(row: list[int], expected: list[int]) -> None:
    assert caption_tokens(torch.tensor(row, dtype=torch.int64), pad=0).tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a room with a bed . ", "a room with a bed"),
        ("a\nroom\t\0with  a bed.", "a room with a bed."),
        (" . ", "."),
        ("", ""),
    ],
)
def test_a_caption_is_one_line(text: str, expected: str) -> None:
    assert one_sentence(text) == expected
