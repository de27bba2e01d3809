"""What is known of open_clip's models without loading any: sizes, multiply-adds and published figures, of models.csv.

Where these come from stands in the file. Imports no PyTorch.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from base.errors import QueryError
from base.names import comparable
from base.settings import asset

MODELS_CSV = "embedding/models.csv"
COLUMNS = (
    "name",
    "dim",
    "size_px",
    "image_million",
    "text_million",
    "image_gflops",
    "counted",
    "imagenet_1k",
    "average_38",
    "coco_image_r5",
)
# The default list: small to large, of the kinds that people choose between; more by words or with --all.
SHORT_LIST = (
    "starter",
    "ViT-B-32/openai",
    "ViT-B-32/laion2b_s34b_b79k",
    "ViT-B-32-256/datacomp_s34b_b86k",
    "ViT-B-16/openai",
    "ViT-B-16/datacomp_xl_s13b_b90k",
    "ViT-B-16-SigLIP/webli",
    "ViT-B-16-SigLIP2/webli",
    "MobileCLIP2-S0/dfndr2b",
    "convnext_base_w/laion2b_s13b_b82k",
    "ViT-L-14/openai",
    "ViT-L-14/datacomp_xl_s13b_b90k",
    "ViT-L-14-quickgelu/dfn2b",
    "ViT-L-16-SigLIP2-256/webli",
    "ViT-SO400M-14-SigLIP-384/webli",
    "ViT-H-14-quickgelu/dfn5b",
    "ViT-H-14-378-quickgelu/dfn5b",
    "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model as its publishers describe it; None where nobody says so.

    dim: of its vectors. size_px: of the squares that it sees. image_million, text_million: parameters of its towers.
    image_gflops: floating-point operations of a photo, in 10^9, two for a multiply-add. counted: whether these three
    were counted here and not published. imagenet_1k, average_38: zero-shot accuracy, of ImageNet and mean over 38 data
    sets; coco_image_r5: the share of MSCOCO's captions whose photo is among the 5 best: 0 to 1.
    """

    name: str
    dim: int
    size_px: int
    image_million: float | None = None
    text_million: float | None = None
    image_gflops: float | None = None
    counted: bool = False
    imagenet_1k: float | None = None
    average_38: float | None = None
    coco_image_r5: float | None = None


def known_models() -> list[KnownModel]:
    """Return all models that are known: the one that comes along first, then in the order of their names."""
    lines = asset(MODELS_CSV).read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [as_known(row) for row in rows]


def as_known(row: dict[str, str]) -> KnownModel:
    """Return a row of the file as what it says."""
    numbers = {name: float(row[name]) for name in COLUMNS[3:] if name != "counted" and row[name]}
    is_counted = bool(row["counted"])
    return KnownModel(name=row["name"], dim=int(row["dim"]), size_px=int(row["size_px"]), counted=is_counted, **numbers)


def chosen_models(words: Sequence[str], *, every: bool = False) -> list[KnownModel]:
    """Return the models whose names have all of some words, whatever their case; without words a short list, or all.

    Raises: QueryError: none has.
    """
    known = known_models()
    if not words:
        return known if every else [each for each in known if each.name in SHORT_LIST]
    found = [each for each in known if all(comparable(word) in comparable(each.name) for word in words)]
    if not found:
        raise QueryError(
            f"no model of open_clip has {' and '.join(map(repr, words))} in its name: `aliens models --all` lists them "
            "all; local-dir:FOLDER and hf-hub:ORG/NAME name others"
        )
    return found
