"""The text tower learns to give the teacher's vectors: open_clip's transformer, 3 layers of width 192, 32 tokens.

Loss: the cosine to the teacher, and within a batch that the texts' likenesses are as the teacher has them. The token
embeddings start as the teacher's vectors of the tokens, by their principal components.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.backbone import NAME, SIDE_PX
from training.learning import Schedule, learn
from training.teacher import DIM, Teacher

TOKENS, VOCABULARY, LAYERS, HEADS, WIDTH = 32, 49408, 3, 3, 192
CONFIG: dict[str, Any] = {
    "embed_dim": DIM,
    "vision_cfg": {
        "timm_model_name": NAME, "timm_model_pretrained": False, "timm_pool": "avg", "timm_proj": "linear",
        "image_size": SIDE_PX,
    },
    "text_cfg": {
        "context_length": TOKENS, "vocab_size": VOCABULARY, "width": WIDTH, "heads": HEADS, "layers": LAYERS,
    },
}  # fmt: skip
BATCH = 512
SHARPNESS = 0.05  # temperature of the likenesses within a batch


def new_model() -> Any:
    """Return an untrained CLIP of the starter's shape."""
    from open_clip.model import CLIP

    return CLIP(**CONFIG)


def text_parameters(model: Any) -> list[Any]:
    """Return what the text tower is made of."""
    return [p for name, p in model.named_parameters() if not name.startswith("visual") and name != "logit_scale"]


def start_tokens(model: Any, teacher: Teacher) -> None:
    """Set the token embeddings, and the projection that undoes it, from the teacher's vectors of the tokens."""
    import open_clip
    import torch

    decoder = open_clip.SimpleTokenizer(context_length=TOKENS).decoder
    words = [decoder[i].replace("</w>", "") or " " for i in range(len(decoder))]
    vectors = torch.from_numpy(teacher.embed(words))
    vectors = vectors - vectors.mean(0)
    torch.manual_seed(0)
    _, _, directions = torch.pca_lowrank(vectors[:20_000], q=WIDTH, niter=3)
    embeddings = vectors @ directions
    with torch.no_grad():
        model.token_embedding.weight[: len(embeddings)] = embeddings / embeddings.std() * 0.6
        model.text_projection.copy_(directions.T)


def train(
    texts: Sequence[str], targets: NDArray[np.float16], schedule: Schedule, checkpoint: Path,
    tell: Callable[[int, float], None], *, stop_after: int | None = None, first: Callable[[Any], None] | None = None,
) -> Any:  # fmt: skip
    """Train a text tower and return the model that has it; goes on from `checkpoint` where there is one.

    Args:
        texts: n phrases.
        targets: the teacher's unit vectors of them, shape (n, 384).
        schedule: how long; a step takes BATCH phrases of about one length.
        checkpoint: see learning.learn.
        tell: called after each step.
        stop_after: see learning.learn.
        first: sets the new model's weights before the first step: start_tokens; None leaves them random.
    """
    import open_clip
    import torch
    from torch.nn.functional import normalize

    torch.manual_seed(schedule.seed)
    model = new_model()
    if first is not None and not checkpoint.exists():
        first(model)
    tokens = open_clip.SimpleTokenizer(context_length=TOKENS)(list(texts)).to(torch.int32)
    lengths = tokens.argmax(-1) + 1
    wanted = torch.from_numpy(targets)

    def loss_of(step: int, chance: Any) -> Any:
        start = int(torch.randint(len(texts), (), generator=chance))
        near = lengths.float() + torch.rand(len(texts), generator=chance) * 3
        order = near.argsort()
        place = int((near < near[start]).sum())
        rows = order[max(min(place, len(texts) - BATCH), 0) :][:BATCH]
        vectors = embed(model, tokens[rows].long(), int(lengths[rows].max()))
        target = wanted[rows].float()
        likeness = vectors @ target.T / SHARPNESS
        as_taught = (target @ target.T / SHARPNESS).softmax(-1)
        relational = -(as_taught * likeness.log_softmax(-1)).sum(-1).mean()
        return 4 * (1 - (vectors * normalize(target, dim=-1)).sum(-1)).mean() + 0.25 * relational

    learn([(text_parameters(model), 1.0)], loss_of, schedule, checkpoint, tell, stop_after=stop_after)
    return model.eval()


def embed(model: Any, tokens: Any, length: int) -> Any:
    """Return unit vectors of texts of at most `length` tokens: as model.encode_text, without the padding."""
    import torch

    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    x = x[torch.arange(len(x)), tokens[:, :length].argmax(-1)]
    return torch.nn.functional.normalize(x @ model.text_projection, dim=-1)
