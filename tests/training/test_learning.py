"""A run that was killed gives, gone on with, what an uninterrupted one gives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from training import head as heads
from training.learning import EVERY, Schedule, learn

STEPS = EVERY * 4
HEAD_STEPS = EVERY + 8
SCRIPT = """
import sys, time
from pathlib import Path
from tests.training.test_learning import little_run
little_run(Path(sys.argv[1]), lambda step, loss: (print(step, flush=True), time.sleep(0.01)))
"""


def little_run(checkpoint: Path, tell=lambda step, loss: None) -> torch.Tensor:
    weights = torch.nn.Parameter(torch.zeros(6, 3))
    wanted = torch.arange(18.0).reshape(6, 3) / 18

    def loss_of(step: int, chance: torch.Generator) -> torch.Tensor:
        x = torch.randn(32, 6, generator=chance)
        return ((x @ weights - x @ wanted) ** 2).mean()

    learn([([weights], 1.0)], loss_of, Schedule(steps=STEPS, rate=0.05, warm=5), checkpoint, tell)
    return weights.detach()


def test_killed_at_any_moment(tmp_path: Path) -> None:
    whole = little_run(tmp_path / "whole.pt")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "killed.pt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= EVERY + 7:  # past the first checkpoint, between two
                os.kill(process.pid, signal.SIGKILL)
                break
    assert (tmp_path / "killed.pt").exists()
    done: list[int] = []
    resumed = little_run(tmp_path / "killed.pt", lambda step, loss: done.append(step))
    assert EVERY < done[0] <= EVERY * 3 + 1, "it went on from a checkpoint, and lost a few steps at most"
    assert torch.equal(resumed, whole)
    assert not list(tmp_path.glob("*.tmp")) or len(list(tmp_path.iterdir())) <= 3


def head_run(checkpoint: Path, losses: list[float], **changed) -> torch.Tensor:
    chance = torch.Generator().manual_seed(5)
    pictures, crops, concepts = 40, 2, 5
    truth = (np.arange(pictures)[:, None] % concepts == np.arange(concepts)).astype(np.float32)
    truth[3, 2] = np.nan
    features = torch.rand(pictures, crops, heads.WIDTH, generator=chance)
    features[..., :concepts] += torch.from_numpy(np.nan_to_num(truth))[:, None] * 3
    head = torch.randn(384, heads.WIDTH, generator=chance) * 0.03
    said = torch.nn.functional.normalize(torch.randn(concepts, 2, 384, generator=chance), dim=-1)
    names = dict(zip(("bathtub", "shower", "two beds", "red sofa", "pool"), said, strict=True))
    return heads.train(
        head, features, truth, names, features[:7, 0], Schedule(steps=HEAD_STEPS, rate=4e-3), checkpoint,
        lambda step, loss: losses.append(loss), **changed,
    )  # fmt: skip


def test_the_head_learns_and_goes_on(tmp_path: Path) -> None:
    losses: list[float] = []
    whole = head_run(tmp_path / "whole.pt", losses)
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    head_run(tmp_path / "stopped.pt", [], stop_after=EVERY)
    later: list[float] = []
    assert torch.equal(head_run(tmp_path / "stopped.pt", later), whole)
    assert len(later) == HEAD_STEPS - EVERY
