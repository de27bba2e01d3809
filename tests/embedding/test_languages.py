"""Models whose tokenizer is Hugging Face's: tiny ones of the same make as XLM-RoBERTa's and SigLIP 2's, offline."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig

from embedding.decode import decode
from embedding.encoder import keep_text_tower
from embedding.open_clip_encoder import causal_text_tower
from tests.by_folder import open_library
from tests.commands.conftest import Aliens, forget_settings
from tests.embedding.conftest import load_folder

QUERIES = {
    "Russian": "ванная с видом на море",
    "Chinese": "海景浴缸",
    "Japanese": "海の見えるお風呂",
    "Arabic": "حمام مع إطلالة",
    "Korean": "바다가 보이는 욕실",
    "Greek": "μπανιέρα με θέα",
    "Hindi": "समुद्र का दृश्य",
    "Turkish": "İSTANBUL'da deniz",
    "English": "bathtub with a view",
    "picture": "🛁🌅",
}
CORPUS = [*QUERIES.values(), "кровать", "balcony"] * 3
KINDS = ["xlm-roberta", "siglip2"]


def xlm_roberta_tokenizer(folder: Path) -> int:
    """Save a sentence-piece tokenizer (unigrams) as XLM-RoBERTa's; return the size of its vocabulary."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}
    return saved(tokenizer, folder, "XLMRobertaTokenizer", unk_token="<unk>", **names)


def gemma_tokenizer(folder: Path) -> int:
    """Save a byte-pair tokenizer that falls back on bytes, as Gemma's; return the size of its vocabulary."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    return saved(tokenizer, folder, "GemmaTokenizer", unk_token="<unk>", padding_side="right", **names)


def saved(tokenizer: Tokenizer, folder: Path, kind: str, **options: str) -> int:
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": kind}))
    return int(tokenizer.get_vocab_size())


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path: Path, save_tiny_model: Callable[..., Path]) -> Path:
    """A folder with such a model; random weights."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    text: dict[str, Any]
    if request.param == "xlm-roberta":  # open_clip's xlm-roberta-base-ViT-B-32.json
        tower = tmp_path / "tower"
        size = xlm_roberta_tokenizer(scratch)
        shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        XLMRobertaConfig(
            vocab_size=size, max_position_embeddings=40, pad_token_id=1, bos_token_id=0, eos_token_id=2, **shape
        ).save_pretrained(tower)
        text = {"hf_model_name": str(tower), "hf_model_pretrained": False, "hf_pooler_type": "mean_pooler"}
        folder = save_tiny_model("xlm", custom_text=True, text=text | {"hf_tokenizer_name": "xlm-roberta-base"})
    else:  # open_clip's ViT-B-16-SigLIP2-256.json
        size = gemma_tokenizer(scratch)
        text = {"vocab_size": size, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2-256", "no_causal_mask": True}
        text |= {"tokenizer_kwargs": {"clean": "canonicalize"}, "proj_bias": True, "pool_type": "last"}
        text |= {"norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"}}
        folder = save_tiny_model("siglip2", custom_text=True, text=text, init_logit_bias=-10)
    for path in scratch.iterdir():
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def aliens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, no_network: list[object]
) -> Aliens:
    """Run a command as the shell would, without a network: returns (exit code, stdout, stderr)."""
    forget_settings(monkeypatch, tmp_path)
    return Aliens(monkeypatch, capsys)


def scores(out: str) -> dict[int, float]:
    hits = [json.loads(line) for line in out.splitlines()]
    return {hit["photo_id"]: hit["score"] for hit in hits}


def test_every_script_is_searched_end_to_end(model: Path, photos: Path, aliens: Aliens, tmp_path: Path) -> None:
    assert aliens("init", "--model", f"local-dir:{model}", "--precision", "float32")[0] == 0
    code, out, err = aliens("add", photos, "--precision", "float32")
    assert code == 0, err
    assert "10 new" in out
    encoder = load_folder(model)
    pixels = [decode(path.read_bytes(), encoder.preprocessing).pixels for path in sorted(photos.iterdir())]
    cosines = encoder.encode_texts(list(QUERIES.values())) @ encoder.encode_images(np.stack(pixels)).T  # (texts, 10)
    with open_library(tmp_path / "aliens-library", load_encoder=lambda row: encoder) as library:
        for text, expected in zip(QUERIES.values(), cosines, strict=True):
            found = {int(Path(hit.file.path).stem): hit.score for hit in library.search(text)}
            assert found == pytest.approx(dict(enumerate(expected)), abs=1e-3)  # vectors are kept as float16
        whole = library.search(QUERIES["Russian"])
    code, out, err = aliens("search", QUERIES["Russian"], "--json")
    assert code == 0, err
    assert scores(out) == pytest.approx({hit.photo_id: hit.score for hit in whole}, abs=1e-5)
    assert list(scores(out)) == [hit.photo_id for hit in whole]
    code, out, err = aliens("search", "ванная -кровать orientation:landscape", "--json", "-k", 3)
    assert code == 0, err
    assert len(scores(out)) == 3


def test_texts_of_all_scripts_have_vectors_of_their_own(model: Path) -> None:
    encoder = load_folder(model)
    vectors = encoder.encode_texts([*QUERIES.values(), "кровать"])
    alike = vectors @ vectors.T - np.eye(len(vectors))
    assert alike.max() < 0.9999
    with_others = encoder.encode_texts(["a much longer text than the others", QUERIES["Arabic"] + " "])
    assert with_others[1] == pytest.approx(vectors[3], abs=1e-5)


def test_their_texts_are_left_to_pytorch_and_the_reason_is_said(
    model: Path, photos: Path, aliens: Aliens, tmp_path: Path
) -> None:
    encoder = load_folder(model)
    assert causal_text_tower(encoder.model) is None
    assert keep_text_tower(encoder, tmp_path / "text" / encoder.key) == (
        "its texts do not go through CLIP's own tokenizer and causal transformer"
    )
    assert aliens("init", "--model", f"local-dir:{model}")[0] == 0
    assert aliens("add", photos)[0] == 0
    assert aliens("search", QUERIES["Russian"], "-k", 1)[0] == 0
    assert not (tmp_path / "text").exists()
    assert not (tmp_path / "aliens-library" / "text").exists()


def test_other_weights_than_the_librarys_are_refused(model: Path, photos: Path, aliens: Aliens) -> None:
    assert aliens("init", "--model", f"local-dir:{model}")[0] == 0
    assert aliens("add", photos)[0] == 0
    path = model / "open_clip_model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.startswith("text.") and weights[name].is_floating_point())
    save_file(weights | {name: weights[name] + 1}, path)
    code, out, err = aliens("search", QUERIES["Russian"])
    assert (code, out) == (1, "")
    assert "the library was made by" in err
    assert model.name in err


def test_a_model_without_its_tokenizer_is_refused_offline(model: Path, aliens: Aliens) -> None:
    for path in model.glob("tokenizer*"):
        path.unlink()
    code, _, err = aliens("init", "--model", f"local-dir:{model}")
    assert code == 1
    assert "cannot be loaded" in err
