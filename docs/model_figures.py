"""Writes embedding/models.csv anew: what open_clip publishes of its models, and what is counted of them here.

    git clone https://github.com/mlfoundations/open_clip
    python docs/model_figures.py open_clip/docs

Sizes and multiply-adds that open_clip's docs/model_profile.csv lacks are counted on models without weights, which need
neither memory nor the network; what cannot be built so stays empty.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch.utils.flop_counter import FlopCounterMode

from base.console import note
from base.settings import asset
from embedding.hub import no_chatter, offline
from embedding.known_models import COLUMNS

HEADER = """\
# Models of open_clip, for `aliens models`. Written by docs/model_figures.py; facts and figures alone.
# Source: https://github.com/mlfoundations/open_clip, docs/ (MIT licence, Copyright (c) 2012-2021 Gabriel Ilharco,
# Mitchell Wortsman, Nicholas Carlini, Rohan Taori, Achal Dave, Vaishaal Shankar, John Miller, Hongseok Namkoong,
# Hannaneh Hajishirzi, Ali Farhadi, Ludwig Schmidt): model_profile.csv (image_million, text_million, image_gflops),
# openclip_results.csv (imagenet_1k, average_38), openclip_retrieval_results.csv (coco_image_r5). Shares of 1.
# million: parameters. gflops: of one photo, two for a multiply-add; `counted` where not open_clip says so, but
# PyTorch's flop counter on the same architecture.
"""


def main(docs: Path) -> None:
    """Write the file from a folder of open_clip's documentation."""
    profiles = {row["model"]: row for row in rows_of(docs / "model_profile.csv")}
    results = {(row["name"], row["pretrained"]): row for row in rows_of(docs / "openclip_results.csv")}
    retrieval = {(row["name"], row["pretrained"]): row for row in rows_of(docs / "openclip_retrieval_results.csv")}
    counted: dict[str, dict[str, Any]] = {}
    with open(asset("embedding/starter").parent / "models.csv", "w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        starter = f"local-dir:{asset('embedding/starter')}"
        about = open_clip.get_model_config(starter)
        sizes = {"dim": about["embed_dim"], "size_px": size_of(about)}
        writer.writerow({"name": "starter", **sizes, **counted_profile(starter)})
        for architecture, weights in sorted(open_clip.list_pretrained()):
            config = open_clip.get_model_config(architecture)
            if architecture not in counted:
                counted[architecture] = profile_of(architecture, profiles)
            found = (architecture, weights)
            writer.writerow(
                {
                    "name": f"{architecture}/{weights}",
                    "dim": config["embed_dim"],
                    "size_px": size_of(config),
                    **counted[architecture],
                    "imagenet_1k": results.get(found, {}).get("ImageNet 1k", ""),
                    "average_38": results.get(found, {}).get("Average perf. on 38 datasets", ""),
                    "coco_image_r5": retrieval.get(found, {}).get("MSCOCO image retr. R@5", ""),
                }
            )


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV."""
    with open(path, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def size_of(config: dict[str, Any]) -> int:
    """Return the side, in px, of the squares that an architecture sees."""
    size = config["vision_cfg"].get("image_size", 224)
    return int(size[0] if isinstance(size, list | tuple) else size)


def profile_of(architecture: str, profiles: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return parameters and multiply-adds, published or counted."""
    known = profiles.get(architecture) or profiles.get(architecture.removesuffix("-quickgelu"))
    if known is not None:
        names = (known["image_mparams"], known["text_mparams"], known["image_gflops"])
        return dict(zip(("image_million", "text_million", "image_gflops"), names, strict=True)) | {"counted": ""}
    try:
        return counted_profile(architecture)
    except Exception as error:  # of many libraries: a tokenizer or a part that has to be downloaded
        note(f"{architecture}: not counted ({type(error).__name__}: {str(error)[:80]})")
        return {"image_million": "", "text_million": "", "image_gflops": "", "counted": ""}


def counted_profile(architecture: str) -> dict[str, Any]:
    """Return parameters and multiply-adds of an architecture, built without weights."""
    with no_chatter(), offline(), torch.device("meta"), torch.inference_mode():
        model = open_clip.create_model(architecture, device="meta", pretrained_image=False).eval()
        image = sum(weights.numel() for weights in model.visual.parameters())
        text = sum(weights.numel() for weights in model.parameters()) - image
        size_px = size_of(open_clip.get_model_config(architecture))
        with FlopCounterMode(display=False) as counter:
            model.visual(torch.empty(1, 3, size_px, size_px))
    flops = counter.get_total_flops() / 1e9
    return {
        "image_million": f"{image / 1e6:.2f}",
        "text_million": f"{text / 1e6:.2f}",
        "image_gflops": f"{flops:.2f}",
        "counted": "counted",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
