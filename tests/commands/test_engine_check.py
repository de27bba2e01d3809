"""`aliens restyle --check`, as the shell runs it: without a library."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from huggingface_hub import constants as hub

from restyle.engines import first_run, needs, weights
from tests.commands.conftest import Aliens
from tests.restyle.engines.conftest import Folders, one_thread  # noqa: F401
from tests.restyle.engines.hub_lists import HubAnswers, json_of_hub
from tests.restyle.engines.hub_server import serving
from tests.shell import RUN as RUN_SHELL
from tests.shell import shell_of

CPU = ("--device", "cpu", "--precision", "float32")


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "hub_answers", lambda: False)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(first_run, "LOOK_PX", 96)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "hub_answers", lambda: True)
    monkeypatch.setattr(needs, "HfApi", HubAnswers)
    monkeypatch.setattr(needs, "json_of_hub", json_of_hub)
    monkeypatch.setattr("embedding.device.free_device_bytes", lambda device: 64 * 10**9)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 500 * 10**9}))


def test_an_engine_that_works_ends_with_0_and_makes_no_library(
    aliens: Aliens, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, control = folders.sd15, ("--control", f"edges={folders.net}")
    capsys.readouterr()  # of making them
    code, out, err = aliens("restyle", "--check", model, *CPU, *control, "--output", "look")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"checking {model}"
    assert out.splitlines()[-1] == "it works"
    assert "picture: look/check-sd15.png" in out
    assert [path.name for path in tmp_path.iterdir()] == ["look"]


def test_regrade_works_everywhere(aliens: Aliens, tmp_path: Path) -> None:
    out, _ = aliens.well("restyle", "--check", "regrade")
    assert "it needs no weights" in out and "the picture is not kept" in out
    assert list(tmp_path.iterdir()) == []


def test_what_would_not_work_ends_with_1(aliens: Aliens) -> None:
    code, out, err = aliens("restyle", "--check", "klein", *CPU)
    assert (code, err) == (1, "")
    assert (
        "it would not work:" in out and "the model hub does not answer" in out and "\n  hf download black-forest" in out
    )


@pytest.mark.usefixtures("answering")
def test_what_can_be_fetched_ends_with_0_and_is_not_fetched(aliens: Aliens, tmp_path: Path) -> None:
    code, out, err = aliens("restyle", "--check", "sdxl", *CPU, "--preset", "lcm", "--longest-px", 512)
    assert (code, err) == (0, "")
    assert "LoRA: latent-consistency/lcm-lora-sdxl" in out
    assert "ControlNet for softedge and lines: xinsir/controlnet-union-sdxl-1.0" in out
    assert "4 steps, guidance 1.5" in out and "the longer side 512 px" in out
    assert "it would work, once 17.1 GB was fetched" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("answering")
def test_everything_is_one_line_of_json(aliens: Aliens) -> None:
    out, _ = aliens.well("restyle", "--check", "sd15", *CPU, "--json")
    (line,) = out.splitlines()
    told = json.loads(line)
    assert told["engine"] == "sd15" and told["works"] and told["look"] is None
    assert told["to_fetch_bytes"] == sum(each["to_fetch_bytes"] for each in told["weights"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--check", "sd15", 3], 2, "--check restyles nothing, so leave out PHOTO"),
        (["--check", "sd15", "--query", "pool", "--html", "x.html"], 2, "leave out --query and --html"),
        (["--fetch", 3], 2, "--fetch goes with --check ENGINE"),
        (["--check"], 2, "--check"),
        (["--check", "sd16"], 1, "no engine 'sd16', did you mean sd15"),
        (["--check", "sd15\x1b[31m"], 1, r"no engine 'sd15\x1b[31m'"),
        (["--check", "nowhere/at/all"], 1, "no engine 'nowhere/at/all'"),
        (["--check", "./nowhere"], 1, "holds no model_index.json"),
        (["--check", "klein", "--preset", "lcm"], 1, "the preset is for sd15, sdxl"),
        (["--check", "sd15", "--control", "fog"], 1, "no control 'fog'"),
        (["--check", "sd15", "--longest-px", 10], 2, "--longest-px"),
        (["--check", "regrade", "--palette", "frn"], 2, "did you mean 'fern'"),
        (["--check", "regrade", "--output", "/dev/null"], 1, "/dev/null cannot be written"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_told(aliens: Aliens, arguments: list[object], code: int, words: str) -> None:
    ended, out, err = aliens("restyle", *arguments)
    assert (ended, out) == (code, ""), err
    assert words in err and "\x1b" not in err


def test_a_name_that_a_terminal_would_obey_is_shown_as_an_escape(
    aliens: Aliens, folders: Folders, tmp_path: Path
) -> None:
    folder = tmp_path / "a\x1b[31mb"
    folder.symlink_to(folders.sd15)
    out, _ = aliens.well("restyle", "--check", folder, *CPU)
    assert "\x1b" not in out and r"a\x1b[31mb" in out


RUN = """
import signal, sys
import cli
from restyle.engines import first_run
signal.signal(signal.SIGINT, signal.default_int_handler)
def paint_sample(engine, palette, device):
    print("painting", flush=True)
    signal.pause()
first_run.paint_sample = paint_sample
sys.argv = ["aliens", *sys.argv[1:]]
cli.main()
"""


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    asked = [sys.executable, "-u", "-c", RUN, "restyle", "--check", "regrade", "--output", "look"]
    with subprocess.Popen(
        asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)}
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        while running.stdout.readline() != "painting\n":
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
    assert running.returncode == 130
    assert "stopped: no picture was kept" in said and "Traceback" not in said
    assert list((tmp_path / "look").iterdir()) == []


def test_with_a_hub_that_answers_a_first_run_is_told_then_fetched_then_painted(
    folders: Folders, tmp_path: Path
) -> None:
    """By a process of its own and huggingface_hub's own requests, to a hub on this machine."""
    model = Path(shutil.copytree(folders.sd15, tmp_path / "model"))
    needless = ("v1-5-pruned.ckpt", "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.bin")
    for name in needless:
        (model / name).write_bytes(b"nobody loads this")
    cache, net = tmp_path / "cache", "lllyasviel/control_v11p_sd15_canny"
    asked = ["restyle", "--check", "tiny/model", *CPU, "--control", f"edges={net}", "--longest-px", 96]
    with ExitStack() as stack:
        with serving({"tiny/model": model, net: Path(folders.net)}) as server:
            hub_of = {"HF_ENDPOINT": server.address, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1"}
            shell = stack.enter_context(shell_of([sys.executable, "-c", RUN_SHELL], **hub_of))
            ((code, out, err),) = shell.run(tmp_path, asked)
            assert code == 0, out + err
            assert "(as the hub says): nothing is here yet" in out
            assert "it would work, once " in out and "--fetch" in out
            assert not cache.exists() and {name for _, name in server.sent} <= {"model_index.json", "unet/config.json"}
            server.sent.clear()
            ((code, out, err),) = shell.run(tmp_path, [*asked, "--fetch", "--json"])
            assert code == 0, out + err
            told = json.loads(out)
            assert told["look"]["problem"] == "" and told["to_fetch_bytes"] == 0
            wanted = {(each["name"], file["path"]) for each in told["weights"] for file in each["files"]}
            assert set(server.sent) == wanted
            assert not {name for _, name in server.sent} & set(needless)
        ((code, out, err),) = shell.run(tmp_path, asked)  # now that nobody answers there
        assert code == 0 and "all here" in out and out.endswith("it works\n"), out + err
