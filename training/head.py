"""The image head learns from rendered pictures, and the backbone's last blocks with it where that is wanted.

For each concept a picture is true of it or not: the picture's cosine to one of the concept's phrasings decides, through
a sigmoid (as in Zhai et al. 2023, SigLIP) whose middle is the concept's own, so that pictures are ranked for a text and
not texts for a picture. Yes and no weigh the same, however rare a concept is. What the rendered pictures cannot teach
is kept by two anchors: vectors of the pictures and of 1,000 pseudo photos, one for each class that the backbone knows,
should stay where the head that training starts from has them. Training from nothing starts from ConSE (Norouzi et
al. 2013): a photo lies at the mean of its likeliest classes' names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.backbone import WIDTH
from training.concepts import KNOWN, PHRASES, TEMPLATES, phrases_of
from training.learning import Schedule, learn

TEMPERATURE = 0.07
BATCH = 256
COLOUR_WEIGHT = 0.3  # of colours, against the concepts with names of their own
KNOWN_WEIGHT = 0.1  # of rooms, which the start tells from photos better than pictures teach
CONSE_CLASSES, CONSE_TEMPERATURE = 20, 2.0


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """How strongly what training starts from is kept: of the pseudo photos, and of the pictures themselves."""

    classes: float = 1.0
    pictures: float = 0.3


def pseudo_photos(backbone: Any, pictures: Any) -> Any:
    """Return a feature for each class, shape (1000, 1280): towards its classifier row, as long as features are.

    Features are pooled ReLU6 values, so what is negative in a row is left out; a third of the pictures' mean is added.
    """
    rows = backbone.classifier.weight.detach().clamp(min=0)
    mean, length = pictures.mean(0), pictures.norm(dim=-1).mean()
    return mean * 0.35 + rows / rows.norm(dim=1, keepdim=True) * length * 0.8


def conse_head(backbone: Any, pictures: Any, embed: Callable[[Sequence[str]], Any]) -> Any:
    """Return a head, shape (384, 1280), that puts photos at the mean of their likeliest classes' names.

    It is the least-squares fit to that rule on pictures and pseudo photos.

    Args:
        backbone: with its classifier.
        pictures: features, shape (n, 1280).
        embed: texts to unit vectors.
    """
    import torch
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    names = [[name.lower() for name in info.index_to_description(i).split(", ")[:3]] for i in range(1000)]
    classes = torch.stack([embed([f"a photo of a {name}" for name in said]).mean(0) for said in names])
    features = torch.cat([pictures, pseudo_photos(backbone, pictures)])
    likely = (backbone.classifier(features) / CONSE_TEMPERATURE).softmax(-1)
    values, places = likely.topk(CONSE_CLASSES)
    weights = torch.zeros_like(likely).scatter(1, places, values)
    wanted = torch.nn.functional.normalize(weights @ classes, dim=-1)
    ridge = torch.eye(WIDTH) * features.square().sum(0).mean() * 0.01
    return torch.linalg.solve(features.T @ features + ridge, features.T @ wanted).T.detach()


def mixed(one: Any, other: Any, pictures: Any) -> Any:
    """Return the mean of two heads; `other` is scaled first, to give the pictures vectors as long as `one` does."""
    lengths = [(pictures @ head.T).norm(dim=-1).mean() for head in (one, other)]
    return 0.5 * one + 0.5 * other * lengths[0] / lengths[1]


def concept_vectors(names: Sequence[str], embed: Callable[[Sequence[str]], Any]) -> list[Any]:
    """Return for each concept the unit vectors of its phrasings in each template, shape (phrasings, 384)."""
    return [embed([form.format(said) for said in phrases_of(name) for form in TEMPLATES]) for name in names]


def start_of(head: Any, middles: Any, vectors: Sequence[Any], features: Any) -> None:
    """Set each concept's middle to the mean cosine of the pictures to it."""
    import torch

    with torch.no_grad():
        unit = torch.nn.functional.normalize(features @ head.T, dim=-1)
        middles.copy_((unit @ torch.stack([v.mean(0) for v in vectors]).T).mean(0))


def weight_of(concept: str) -> float:
    """Return how much a concept counts."""
    return KNOWN_WEIGHT if concept in KNOWN else 1.0 if concept in PHRASES else COLOUR_WEIGHT


def train(
    head: Any, features: Any, truth: NDArray[np.float32], concepts: Mapping[str, Any], pseudo: Any, schedule: Schedule,
    checkpoint: Path, tell: Callable[[int, float], None], *, anchors: Anchors = Anchors(), last_part: Any = None,
    stop_after: int | None = None,
) -> Any:  # fmt: skip
    """Train a head, shape (384, 1280), and return it; what is given stays as it is. Goes on from the checkpoint.

    Args:
        head: what training starts from, and what the anchors keep.
        features: pooled, shape (pictures, crops, 1280); with `last_part` what it takes, (pictures, crops, c, 17, 17).
        truth: shape (pictures, concepts): 1, 0 or NaN.
        concepts: name to the vectors of its phrasings.
        pseudo: see pseudo_photos.
        schedule: how long, how fast.
        checkpoint: see learning.learn.
        tell: called after each step.
        anchors: how strongly the start is kept.
        last_part: the backbone's last blocks, trained in place at a tenth of the rate; None leaves them as they are.
        stop_after: see learning.learn.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    start, vectors = head.clone(), list(concepts.values())
    trained = torch.nn.Parameter(head.clone())
    middles = torch.nn.Parameter(torch.zeros(len(vectors)))
    pooled = features if last_part is None else pooled_by(last_part, features)
    start_of(head, middles.data, vectors, pooled[:, 0])
    known, yes = torch.from_numpy(~np.isnan(truth)), torch.from_numpy(np.nan_to_num(truth))
    share = (yes * known).sum(0) / known.sum(0).clamp(min=1)
    often, rare = 0.5 / share.clamp(min=1e-3), 0.5 / (1 - share).clamp(min=1e-3)
    weights = torch.tensor([weight_of(name) for name in concepts])
    kept = normalize(pseudo @ start.T, dim=-1)
    before = normalize(pooled @ start.T, dim=-1)
    batch = min(BATCH if last_part is None else 32, len(features))

    def loss_of(step: int, chance: Any) -> Any:
        rows = torch.randint(len(features), (batch,), generator=chance)
        crops = torch.randint(features.shape[1], (batch,), generator=chance)
        x = features[rows, crops].float()
        x = x if last_part is None else last_part(x)
        x = x * (1 + 0.1 * torch.randn(x.shape, generator=chance))
        unit = normalize(x @ trained.T, dim=-1)
        said = [v[int(torch.randint(len(v), (), generator=chance))] for v in vectors]
        logits = (unit @ torch.stack(said).T - middles) / TEMPERATURE
        loss = binary_cross_entropy_with_logits(logits, yes[rows], reduction="none") * known[rows]
        loss = loss * (yes[rows] * often + (1 - yes[rows]) * rare)
        told = (loss.mean(0) * weights).sum() / weights.sum()
        classes = (1 - (normalize(pseudo @ trained.T, dim=-1) * kept).sum(-1)).mean()
        pictures = (1 - (unit * before[rows, crops]).sum(-1)).mean()
        return told + anchors.classes * classes + anchors.pictures * pictures

    groups: list[tuple[list[Any], float]] = [([trained], 1.0), ([middles], 10.0)]
    if last_part is not None:
        groups.append((list(last_part.parameters()), 0.1))
    learn(groups, loss_of, schedule, checkpoint, tell, stop_after=stop_after)
    return trained.detach()


def pooled_by(last_part: Any, features: Any, at_once: int = 64) -> Any:
    """Return what the last blocks make of the frozen part's output, shape (pictures, crops, 1280)."""
    import torch

    flat = features.reshape(-1, *features.shape[2:])
    with torch.inference_mode():
        parts = [last_part(flat[i : i + at_once].float()) for i in range(0, len(flat), at_once)]
    return torch.cat(parts).clone().reshape(*features.shape[:2], -1)
