import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from base.arrays import unit
from base.errors import EncoderError, ModelMismatchError
from embedding import open_clip_encoder as encoder_module
from embedding.decode import decode
from embedding.open_clip_encoder import OpenClipEncoder, causal_text_tower
from tests.embedding.conftest import load_folder

SHORT = "pool"
LONG = "a bright hotel room with two beds, a wooden floor, a tv and a balcony over the sea"
OVER_LONG = "a very, very long description of a hotel room " * 20
PROMPTS = ("{}", "a photo of {}", "a hotel room with {}")


@pytest.fixture(scope="module")
def squares(starter: OpenClipEncoder, samples: Path) -> np.ndarray:
    """Six sample photos, decoded for the embedded model."""
    with open(samples / "labels.csv", encoding="utf-8", newline="") as file:
        paths = [samples / row["path"] for row in csv.DictReader(file)][::40]
    return np.stack([decode(path.read_bytes(), starter.preprocessing).pixels for path in paths])


@pytest.fixture(scope="module")
def vectors(starter: OpenClipEncoder, squares: np.ndarray) -> np.ndarray:
    return starter.encode_images(squares)


def full_texts(encoder: OpenClipEncoder, texts: Sequence[str]) -> np.ndarray:
    """Return what open_clip itself makes of texts, over the whole context."""
    with torch.inference_mode():
        features = encoder.model.encode_text(encoder.tokenizer(list(texts)), normalize=True)
    return features.numpy()


def count_encoded(encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that every text goes to which the model really computes."""
    computed: list[str] = []
    encode = encoder._encode_uncached

    def counting(texts: Sequence[str]) -> np.ndarray:
        computed.extend(texts)
        return encode(texts)

    monkeypatch.setattr(encoder, "_encode_uncached", counting)
    return computed


# Photos


def test_different_photos_become_different_unit_vectors(
    starter: OpenClipEncoder, squares: np.ndarray, vectors: np.ndarray
) -> None:
    assert vectors.shape == (6, starter.dim) == (6, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    assert (vectors @ vectors.T)[~np.eye(6, dtype=bool)].max() < 0.999
    assert starter.encode_images(squares[:0]).shape == (0, 384)


def test_a_batch_gives_what_its_photos_give_one_by_one(
    starter: OpenClipEncoder, squares: np.ndarray, vectors: np.ndarray
) -> None:
    apart = np.concatenate([starter.encode_images(squares[row : row + 1]) for row in range(3)])
    assert (vectors[:3] * apart).sum(axis=1).min() > 0.99999


@pytest.mark.parametrize("shape", [(2, 224, 224, 3), (2, 3, 260, 260), (260, 260, 3)])
def test_squares_of_another_size_are_refused(starter: OpenClipEncoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(EncoderError, match=r"takes photos of shape \(260, 260, 3\), not ") as caught:
        starter.encode_images(np.zeros(shape, dtype=np.uint8))
    assert str(shape[1:]) in str(caught.value)


def test_bfloat16_stays_close_to_float32(starter: OpenClipEncoder, squares: np.ndarray, vectors: np.ndarray) -> None:
    half = OpenClipEncoder.load("starter", device="cpu", precision="bfloat16")
    coarse = half.encode_images(squares[:3])
    assert half.key == starter.key
    assert coarse.dtype == np.float32
    assert 0.99 <= (coarse * vectors[:3]).sum(axis=1).min() < 0.9999999
    assert half.encode_texts([LONG]) @ starter.encode_texts([LONG])[0] == pytest.approx([1], abs=1e-6)


def test_a_vision_transformer_takes_its_photos_as_open_clip_does(tiny: OpenClipEncoder) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    normalised = torch.from_numpy(photo).permute(0, 3, 1, 2).float() / 255 * 2 - 1
    with torch.inference_mode():
        expected = tiny.model.encode_image(normalised, normalize=True).numpy()
    assert tiny.encode_images(photo) == pytest.approx(expected, abs=1e-5)


def test_read_only_photos_are_encoded_without_a_warning(tiny: OpenClipEncoder) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = tiny.encode_images(photos.copy())
    photos.flags.writeable = False
    assert (tiny.encode_images(photos) == expected).all()
    assert (tiny.encode_images(photos[:, :, ::-1])[:, 0] != expected[:, 0]).all()  # a view with negative strides


def test_the_encoder_describes_itself(tiny: OpenClipEncoder) -> None:
    assert str(tiny).startswith(f"{tiny.key}: 8 dimensions, 32 px, cpu (")
    assert str(tiny).endswith("threads), float32")


# Texts


@pytest.mark.parametrize(
    "texts", [[SHORT], [LONG], [OVER_LONG], [""], [SHORT, LONG, OVER_LONG, ""], [SHORT, "a " * 3, LONG]]
)
def test_trimmed_texts_equal_full_texts(starter: OpenClipEncoder, texts: list[str]) -> None:
    fresh = unit(starter._encode_uncached(texts))
    assert fresh.dtype == np.float32
    assert fresh == pytest.approx(full_texts(starter, texts), abs=1e-5)
    assert starter.encode_texts(texts) == pytest.approx(fresh, abs=1e-5)


@pytest.mark.parametrize(
    "model",
    [{}, {"quick_gelu": True}, {"custom_text": True}, {"custom_text": True, "text": {"proj_bias": True}}],
)
def test_other_causal_text_towers_are_trimmed_alike(model: dict, save_tiny_model: Callable[..., Path]) -> None:
    encoder = load_folder(save_tiny_model("tiny", **model))
    assert causal_text_tower(encoder.model) is not None
    for texts in ([SHORT], [SHORT, "two beds, a sofa"], [OVER_LONG, SHORT]):
        encoder._text_vectors.clear()
        assert encoder.encode_texts(texts) == pytest.approx(full_texts(encoder, texts), abs=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        {"no_causal_mask": True, "pool_type": "last"},  # SigLIP
        {"no_causal_mask": True},
        {"embed_cls": True},  # CoCa
        {"pool_type": "eos", "eos_id": 49407},
    ],
)
def test_text_towers_that_need_the_whole_context_get_it(text: dict, save_tiny_model: Callable[..., Path]) -> None:
    encoder = load_folder(save_tiny_model("tiny", custom_text=True, text=text))
    assert causal_text_tower(encoder.model) is None
    texts = [SHORT, LONG]
    assert encoder.encode_texts(texts) == pytest.approx(full_texts(encoder, texts), abs=1e-6)


def test_a_short_text_is_computed_without_its_padding(tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    forward = tiny.model.transformer.forward

    def measuring(x: torch.Tensor, **options: object) -> torch.Tensor:
        lengths.append(x.shape[1])
        return forward(x, **options)

    monkeypatch.setattr(tiny.model.transformer, "forward", measuring)
    tiny.encode_texts(["pool"])
    assert lengths == [3]  # start of text, "pool", end of text; the context is 16


def test_a_text_is_computed_once(tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = count_encoded(tiny, monkeypatch)
    first = tiny.encode_texts(["pool", "sofa", "pool"])
    again = tiny.encode_texts(["sofa", "pool", "bed"])
    assert computed == ["pool", "sofa", "bed"]
    assert (first[0] == first[2]).all()
    assert (again[:2] == first[[1, 0]]).all()


def test_the_texts_used_least_recently_are_forgotten(tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "TEXT_CACHE_SIZE", 2)
    computed = count_encoded(tiny, monkeypatch)
    tiny.encode_texts(["pool", "sofa"])
    tiny.encode_texts(["pool"])
    tiny.encode_texts(["bed"])  # sofa goes
    tiny.encode_texts(["pool", "bed"])
    assert computed == ["pool", "sofa", "bed"]
    tiny.encode_texts(["sofa"])
    assert computed == ["pool", "sofa", "bed", "sofa"]
    assert len(tiny._text_vectors) == 2


def test_more_texts_than_are_remembered_are_all_answered(
    tiny: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "TEXT_CACHE_SIZE", 2)
    texts = ["pool", "sofa", "bed", "tv", "pool"]
    assert tiny.encode_texts(texts) == pytest.approx(full_texts(tiny, texts), abs=1e-5)
    assert len(tiny._text_vectors) == 2


def test_prompts_are_the_mean_made_unit_again(starter: OpenClipEncoder) -> None:
    vector = starter.encode_prompts("a sofa", PROMPTS)
    mean = starter.encode_texts(["a sofa", "a photo of a sofa", "a hotel room with a sofa"]).mean(axis=0)
    assert vector.shape == (384,)
    assert np.linalg.norm(mean) < 0.9999
    assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_braces_in_a_text_are_no_placeholders(tiny: OpenClipEncoder) -> None:
    assert tiny.encode_prompts("{a} {}", ("a photo of {}",)) == pytest.approx(
        tiny.encode_texts(["a photo of {a} {}"])[0], abs=1e-6
    )


@pytest.mark.parametrize("row", [[0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 1]])
def test_a_vector_without_a_direction_is_refused(row: list[float]) -> None:
    with pytest.raises(EncoderError, match="norm zero or not finite"):
        unit(np.array([[1, 2, 3], row], dtype=np.float32))


# Preprocessing


def test_the_preprocessing_is_the_models_own(save_tiny_model: Callable[..., Path]) -> None:
    own = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear", "resize_mode": "longest"}
    encoder = load_folder(save_tiny_model("tiny", preprocessing=own | {"fill_color": 3}))
    preprocessing = encoder.preprocessing
    assert (preprocessing.size_px, preprocessing.mean, preprocessing.std) == (32, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (preprocessing.interpolation, preprocessing.resize_mode) == ("bilinear", "longest")
    assert preprocessing.fill_color == 3


def test_a_model_of_oblong_photos_is_refused(save_tiny_model: Callable[..., Path]) -> None:
    with pytest.raises(EncoderError, match="48 x 32 px; only square"):
        load_folder(save_tiny_model("tiny", vision={"image_size": [32, 48]}))


def test_the_starter_takes_what_its_model_card_says(starter: OpenClipEncoder) -> None:
    assert open_clip.get_model_preprocess_cfg(starter.model)["size"] == (260, 260)
    assert starter.preprocessing.size_px == 260
    assert starter.preprocessing.mean == starter.preprocessing.std == (0.5, 0.5, 0.5)


def test_a_library_of_an_earlier_starter_is_told_how_to_take_the_new_one_into_use(starter: OpenClipEncoder) -> None:
    with pytest.raises(ModelMismatchError) as caught:
        OpenClipEncoder.load("starter", device="cpu", key="starter-01dd35ef")
    said = str(caught.value)
    assert f"made by starter-01dd35ef, an earlier starter than {starter.key}" in said
    (folder,) = {words.split("`")[0] for words in said.split("aliens embed --model ")[1:]}
    assert OpenClipEncoder.load(folder, device="cpu").key == starter.key
    assert f"`aliens use {folder}`" in said
