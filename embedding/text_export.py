"""Writing a model's text tower in the form that starts fast, if that gives the same vectors."""

import json
import shutil
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from base.files import read_regular
from base.records import parse_json
from embedding.open_clip_encoder import OpenClipEncoder, causal_text_tower
from embedding.text_tower import (
    ALIGNED_BYTES,
    FORMAT,
    MANIFEST_FILE,
    MERGES_FILE,
    WEIGHTS_FILE,
    ClipTokenizer,
    TextTower,
    TowerManifest,
    in_blocks,
    words_sum,
)

LEAST_COSINE = 0.99999
REFUSED_FILE = "refused.json"
LOCK_TIMEOUT_S = 0  # another process is writing the same: it need not be done twice
KEPT = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection")
MATRICES = ("in_proj_weight", "out_proj.weight", "c_fc.weight", "c_proj.weight")
CHECKED = (
    "bathtub with a view",
    "a",
    "A king-size bed, two lamps & a sofa!",
    "it's the guests' room, isn't it? we'll see; they've 12 rooms at 3.5 stars",
    "caf\u00e9 cr\u00e8me \u2014 \u201cfa\u00e7ade\u201d na\u00efve \u00c5ngstr\u00f6m \u0130stanbul",
    "\u0432\u0430\u043d\u043d\u0430\u044f \u0441 \u0432\u0438\u0434\u043e\u043c \u043d\u0430 \u043c\u043e\u0440\u0435",
    "\u6d77\u666f\u6d74\u7f38 \u30db\u30c6\u30eb \ud638\ud154",
    "fish &amp; chips &lt;b&gt; &amp;quot;x&amp;quot;",
    "\U0001f6c1 \U0001f305 emoji\ttab\nline   spaces ",
    "don't <|endoftext|> <end_of_text> x_y a/b #1 100% (50)",
    "scho\u00cc\u0088n broken \u00c3\u00a9 text",
    " ".join(["a bathroom with a very long description"] * 40),
)


def export_text_tower(encoder: object, folder: Path, texts: tuple[str, ...] = CHECKED) -> str | None:
    """Write an encoder's text tower to a folder, unless it cannot be written or would give other vectors.

    Return None when it stands, else the reason why it does not. Checked on `texts`: the same tokens, and cosines of
    at least 0.99999 with the vectors of PyTorch. A tower that differs is not tried again, at the next start or later.

    Raises: OSError: the disk is full or cannot be written, or another process is writing it.
    """
    if not isinstance(encoder, OpenClipEncoder):
        return "it is no model of open_clip"
    tower, tokenizer = causal_text_tower(encoder.model), ClipTokenizer.from_open_clip(encoder.tokenizer)
    if tower is None or tokenizer is None:
        return "its texts do not go through CLIP's own tokenizer and causal transformer"
    if problem := what_differs(tower) or refused_before(folder):
        return problem
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.partial")
    with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=LOCK_TIMEOUT_S):
        shutil.rmtree(partial, ignore_errors=True)  # a killed process left it
        try:
            write_tower(partial, tower, tokenizer, encoder)
            if problem := check_tower(partial, encoder, tokenizer, texts):
                shutil.rmtree(partial)
                partial.mkdir()
                (partial / REFUSED_FILE).write_text(json.dumps([FORMAT, problem]), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return problem


def refused_before(folder: Path) -> str | None:
    """Return why an earlier export was refused, or None where none was."""
    try:
        made_by, problem = parse_json(read_regular(folder / REFUSED_FILE))
    except (OSError, ValueError, TypeError):
        return None
    return str(problem) if made_by == FORMAT else None


def what_differs(tower: Any) -> str | None:
    """Return what in a tower is not CLIP's transformer as TextTower computes it, or None."""
    blocks = list(tower.transformer.resblocks)
    if any(type(block).__name__ != "ResidualAttentionBlock" for block in blocks):
        return "its transformer is not CLIP's"
    activations = {type(block.mlp.gelu).__name__ for block in blocks}
    approximated = any(getattr(block.mlp.gelu, "approximate", "none") != "none" for block in blocks)
    if approximated or activations not in ({"GELU"}, {"QuickGELU"}):
        return "its activation is not CLIP's"
    if any(type(getattr(block, name)).__name__ != "Identity" for block in blocks for name in ("ls_1", "ls_2")):
        return "its transformer scales its layers"
    if len({norm.eps for block in blocks for norm in (block.ln_1, block.ln_2, tower.ln_final)}) != 1:
        return "its layers are normalised in several ways"
    if type(tower.text_projection).__name__ != "Parameter":
        return "its projection is not a plain matrix"
    return None


def write_tower(folder: Path, tower: Any, tokenizer: ClipTokenizer, encoder: OpenClipEncoder) -> None:
    """Write weights, tokenizer and manifest to a new folder; the manifest last."""
    folder.mkdir()
    blocks = list(tower.transformer.resblocks)
    places: dict[str, tuple[int, list[int]]] = {}
    size_bytes = total = 0
    with open(folder / WEIGHTS_FILE, "wb") as file:
        for name, weight in tower.state_dict().items():
            if name.startswith(KEPT):
                numbers = weight.detach().cpu().float().numpy().astype("<f4")
                if name.endswith(MATRICES):
                    numbers = in_blocks(numbers)
                padded = np.pad(numbers.reshape(-1), (0, -numbers.size % (ALIGNED_BYTES // 4)))
                places[name] = (size_bytes // 4, list(numbers.shape))
                file.write(padded.tobytes())
                size_bytes += padded.nbytes
                total = (total + words_sum(padded)) % 2**64
    tokenizer.write(folder / MERGES_FILE)
    manifest = TowerManifest(
        format=FORMAT,
        model_key=encoder.key,
        context=tokenizer.context,
        heads=blocks[0].attn.num_heads,
        layers=len(blocks),
        activation="quick_gelu" if type(blocks[0].mlp.gelu).__name__ == "QuickGELU" else "gelu",
        epsilon=tower.ln_final.eps,
        logit_scale=encoder.logit_scale,
        weights_bytes=size_bytes,
        weights_sum=total,
        merges_crc32=zlib.crc32((folder / MERGES_FILE).read_bytes()),
        weights=places,
    )
    content = json.dumps(asdict(manifest))
    sealed = {"crc32": zlib.crc32(content.encode()), "content": content}
    (folder / MANIFEST_FILE).write_text(json.dumps(sealed), encoding="utf-8")


def check_tower(folder: Path, encoder: OpenClipEncoder, mine: ClipTokenizer, texts: tuple[str, ...]) -> str | None:
    """Compare a written tower with PyTorch's; return what differs, or None."""
    tower = TextTower.open(folder, encoder.key)
    if tower is None:
        return "it cannot be read back"
    for text in texts:
        theirs = encoder.tokenizer([text])[0].tolist()
        tokens = mine([text])[0].tolist()
        if tokens + [0] * (len(theirs) - len(tokens)) != theirs:
            return f"it reads {text[:40]!r} differently"
    return vectors_differ(tower, encoder, texts)


def vectors_differ(tower: TextTower, encoder: OpenClipEncoder, texts: tuple[str, ...] = CHECKED[:2]) -> str | None:
    """Compare a tower's vectors with PyTorch's; return what differs, or None."""
    cosines = (tower.encode_texts(texts) * encoder.encode_texts(texts)).sum(axis=1)
    if not cosines.min() >= LEAST_COSINE:
        return f"its vectors differ: a cosine of {cosines.min():.6f} for {texts[int(cosines.argmin())][:40]!r}"
    return None
