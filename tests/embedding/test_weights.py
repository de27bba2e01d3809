import logging
import shutil
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import open_clip
import pytest
from huggingface_hub import constants as hub

from base.errors import EncoderError
from embedding import open_clip_encoder as weights
from embedding.hub import hub_answers
from embedding.open_clip_encoder import lasting_name, load_model, open_clip_name
from tests.embedding.conftest import check_remedies

LAION = "ViT-B-32/laion2b_s34b_b79k"
pytestmark = pytest.mark.usefixtures("no_network")


def refusal(name: str) -> str:
    with pytest.raises(EncoderError) as caught:
        load_model(name)
    return str(caught.value)


@pytest.mark.parametrize("name", ["", "clip", "ViT-B/32", "vit-b-32/openai", "hf-hub", "resnet50/imagenet"])
def test_an_unknown_model_is_refused_with_the_choices(name: str) -> None:
    message = refusal(name)
    assert repr(name) in message
    for choice in ("starter", "local-dir:", "hf-hub:", "ViT-B-32/openai"):
        assert choice in message


def test_an_unknown_model_is_refused_with_those_near_it() -> None:
    assert "ViT-B-32" in refusal("ViT-B32/openai").partition("near it: ")[2]
    assert "near it" not in refusal("qqqqqq")


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32/", "ViT-B-32/imagenet", "ViT-B-32/openai/2", "ViT-B-32/OpenAI"])
def test_unknown_weights_are_refused_with_those_that_there_are(name: str) -> None:
    message = refusal(name)
    assert repr(name) in message
    assert "choose one of " in message
    assert "ViT-B-32/openai" in message.partition("choose one of ")[2]
    assert LAION in message


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_a_configuration_is_refused(exists: bool, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    if exists:
        folder.mkdir()
    message = refusal(f"local-dir:{folder}")
    assert str(folder) in message
    assert "open_clip_config.json" in message


@pytest.mark.parametrize("damage", ["no weights", "half the weights", "half the configuration", "other weights"])
def test_a_folder_with_a_damaged_file_is_refused(damage: str, save_tiny_model: Callable[..., Path]) -> None:
    folder = save_tiny_model("tiny")
    path = folder / ("open_clip_config.json" if "configuration" in damage else "open_clip_model.safetensors")
    data = path.read_bytes()
    path.unlink()
    if damage == "other weights":  # of another architecture
        shutil.copy(save_tiny_model("wide", vision={"width": 32}) / path.name, folder)
    elif damage != "no weights":
        path.write_bytes(data[: len(data) // 2])
    assert_remedies(refusal(f"local-dir:{folder}"), f"local-dir:{folder}")


@pytest.mark.parametrize("name", ["ViT-B-32/openai", LAION, "hf-hub:timm/ViT-B-16-SigLIP2-256"])
def test_weights_that_cannot_be_fetched_are_refused_with_the_remedies(
    name: str, unreachable_hub: list[str], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    message = refusal(name)
    assert unreachable_hub
    assert_remedies(message, name)
    assert "second line" not in message
    assert capfd.readouterr() == ("", "")
    logging.getLogger("later").warning("what is logged afterwards")
    assert caplog.messages == ["what is logged afterwards"]


@pytest.mark.parametrize("name", ["ViT-B-32/openai", "hf-hub:timm/ViT-B-16-SigLIP2-256"])
def test_a_hub_that_does_not_answer_is_asked_once(
    name: str, no_network: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    before = hub.HF_HUB_OFFLINE
    assert_remedies(refusal(name), name)
    assert no_network == [((urlsplit(hub.ENDPOINT).hostname, 443),)]
    assert before == hub.HF_HUB_OFFLINE


def test_a_folder_is_loaded_without_asking_the_hub(
    save_tiny_model: Callable[..., Path], no_network: list[object]
) -> None:
    model, tokenizer, architecture = load_model(f"local-dir:{save_tiny_model('tiny')}")
    assert tokenizer(["pool"]).shape == (1, 16)
    assert model.visual.image_size == (32, 32)
    assert architecture["quick_gelu"] is False
    assert no_network == []


@pytest.mark.parametrize(
    ("proxies", "reachable", "answers"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"https": "http://proxy:3128"}, False, True),
        ({"http": "p"}, False, False),
    ],
)
def test_the_hub_answers_where_it_can_be_reached_or_a_proxy_may_reach_it(
    proxies: dict[str, str], reachable: bool, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "getproxies", lambda: proxies)
    if reachable:
        monkeypatch.setattr(socket, "create_connection", lambda address, timeout: socket.socket())
    assert hub_answers() is answers


def assert_remedies(message: str, name: str) -> None:
    check_remedies(message, name, "--model local-dir:FOLDER", "--model starter")


@pytest.mark.parametrize(("name", "quick_gelu"), [("ViT-B-32/openai", True), (LAION, False)])
def test_weights_trained_with_quick_gelu_get_it(name: str, quick_gelu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    created: dict[str, object] = {}

    def create_model(architecture: str, tag: str, **options: object) -> str:
        created.update(options, architecture=architecture, tag=tag)
        return "model"

    monkeypatch.setattr(weights.open_clip, "create_model", create_model)
    model, tokenizer, settings = load_model(name)
    assert (model, settings["quick_gelu"]) == ("model", quick_gelu)
    assert created["force_quick_gelu"] is quick_gelu
    assert f"{created['architecture']}/{created['tag']}" == name
    assert created["require_pretrained"] is True
    assert tokenizer(["pool"]).shape == (1, 77)


def test_no_weights_trained_without_quick_gelu_would_get_it_from_their_architecture() -> None:
    # load_model can switch QuickGELU on, not off. roberta-ViT-B-32's weights were trained with its architecture's
    # QuickGELU, though open_clip's table of weights does not say so.
    contradictory = [
        f"{architecture}/{tag}"
        for architecture, tag in open_clip.list_pretrained()
        if open_clip.get_model_config(architecture).get("quick_gelu")
        and not open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu")
    ]
    assert contradictory == ["roberta-ViT-B-32/laion2b_s12b_b32k"]


def test_starter_names_the_folder_of_the_embedded_model() -> None:
    name, tag = open_clip_name("starter")
    assert tag is None
    assert (Path(name.removeprefix("local-dir:")) / "open_clip_model.safetensors").is_file()


@pytest.mark.parametrize("name", ["starter", "hf-hub:org/name", "ViT-B-32/openai"])
def test_names_that_are_no_folders_stay_as_they_are(name: str) -> None:
    assert lasting_name(name) == name


def test_a_folders_name_means_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/guest")
    assert lasting_name("local-dir:models/mine/") == f"local-dir:{tmp_path}/models/mine"
    assert lasting_name("local-dir:~/mine") == "local-dir:/home/guest/mine"
