"""Training that a kill does not undo: steps whose chance follows from their number, and checkpoints written whole."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.files import atomic_write

EVERY = 25  # steps between checkpoints: what a kill loses at most


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long is trained: `rate` rises over `warm` steps, then falls along a cosine to nearly nothing."""

    steps: int
    rate: float
    warm: int = 0
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step."""
        import math

        rising = min(1.0, (step + 1) / self.warm) if self.warm else 1.0
        return self.rate * rising * (0.5 * (1 + math.cos(math.pi * step / self.steps)) * 0.98 + 0.02)


def learn(
    groups: Sequence[tuple[Any, float]],
    loss_of: Callable[[int, Any], Any],
    schedule: Schedule,
    checkpoint: Path,
    tell: Callable[[int, float], None],
    *,
    stop_after: int | None = None,
) -> None:
    """Train parameters in place by AdamW, going on from the checkpoint where there is one.

    Args:
        groups: (parameters, what the schedule's rate is multiplied by for them) pairs.
        loss_of: (step, torch.Generator) to the loss; whatever is random in it must come from the generator, so that a
            run that was killed gives what an uninterrupted one gives.
        schedule: how long and how fast.
        checkpoint: a file that is replaced each EVERY steps and at the end.
        tell: called after each step with its number and its loss.
        stop_after: end after this many steps, as a kill would.
    """
    import torch

    parameters = [parameter for members, _ in groups for parameter in members]
    optimizer = torch.optim.AdamW(
        [{"params": members, "lr": schedule.rate * scale, "scale": scale} for members, scale in groups],
        lr=schedule.rate, betas=(0.9, 0.98), weight_decay=0.02,
    )  # fmt: skip
    first = restore(checkpoint, parameters, optimizer)
    for step in range(first, min(schedule.steps, stop_after or schedule.steps)):
        chance = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step) * group["scale"]
        loss = loss_of(step, chance)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if (step + 1) % EVERY == 0 or step + 1 == schedule.steps:
            keep(checkpoint, step + 1, parameters, optimizer)
        tell(step + 1, float(loss.detach()))


def keep(checkpoint: Path, done: int, parameters: Sequence[Any], optimizer: Any) -> None:
    """Write a checkpoint, whole or not at all."""
    import torch

    data = io.BytesIO()
    values = [parameter.detach() for parameter in parameters]
    torch.save({"done": done, "parameters": values, "optimizer": optimizer.state_dict()}, data)
    with atomic_write(checkpoint) as file:
        file.write(data.getvalue())


def restore(checkpoint: Path, parameters: Sequence[Any], optimizer: Any) -> int:
    """Set parameters and optimizer as the checkpoint has them; return how many steps are done, 0 without one."""
    import torch

    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    with torch.no_grad():
        for parameter, value in zip(parameters, state["parameters"], strict=True):
            parameter.copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["done"])
