"""Photos/s of `aliens add` against the ceiling: the same encoder on batches that are already in memory.

Both are measured in turns, on the same photos, so that a noisy machine disturbs both alike.

    python benchmarks/embed.py [--photos 2000] [--size 350x233] [--model starter] [--model vit-b-32]
    python benchmarks/embed.py --folder ../shared/photos    the first so many photos of a folder, of the sizes they have
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import open_clip
from measuring import timed
from PIL import Image, ImageEnhance
from records import figure, recorded
from safetensors.torch import save_file

import aliens
from aliens.library import Library
from base.settings import asset
from embedding.decode import decode
from embedding.open_clip_encoder import OpenClipEncoder
from indexer.add import AddReport

WORK = Path(__file__).parent / "work"
GROUPS = 5
GOAL = 0.95
TINY = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
}


def make_photos(count: int, size_px: tuple[int, int]) -> list[Path]:
    """Return GROUPS folders with `count` different JPEGs of one size in all, made of the sample photos."""
    sources = sorted((asset("aliens/samples") / "images").rglob("*.jpg"))
    folders = []
    for group in range(GROUPS):
        folder = WORK / f"photos-{count}-{size_px[0]}x{size_px[1]}" / str(group)
        folders.append(folder)
        if folder.exists():
            continue
        folder.mkdir(parents=True)
        for number in range(group, count, GROUPS):
            with Image.open(sources[number % len(sources)]) as source:
                photo = source.convert("RGB").resize(size_px)
            brightness = 0.8 + 0.4 * number / count
            ImageEnhance.Brightness(photo).enhance(brightness).save(folder / f"{number:06d}.jpg", quality=90)
    return folders


def deal_photos(source: Path, count: int) -> list[Path]:
    """Return GROUPS folders with links to the first `count` JPEGs of a folder, dealt out in turn."""
    shutil.rmtree(WORK / "dealt", ignore_errors=True)
    folders = [WORK / "dealt" / str(group) for group in range(GROUPS)]
    for folder in folders:
        folder.mkdir(parents=True)
    for number, path in enumerate(sorted(source.rglob("*.jpg"))[:count]):
        (folders[number % GROUPS] / f"{number:06d}.jpg").symlink_to(path.resolve())
    return folders


def random_vit_b_32(*, tiny: bool = False) -> str:
    """Return the name of ViT-B-32 with random weights, saved to a folder: right for speed, without meaning.

    `tiny`: of one thin layer each for photos and texts.
    """
    folder = WORK / ("tiny-random" if tiny else "vit-b-32-random")
    if not (folder / "open_clip_config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shape = TINY if tiny else open_clip.get_model_config("ViT-B-32")
        model = open_clip.CLIP(**shape) if tiny else open_clip.create_model("ViT-B-32")
        weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
        save_file(weights, folder / "open_clip_model.safetensors")
        config = {"model_cfg": shape, "preprocess_cfg": {"size": 224}}
        (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


def encoder_of(model: str) -> OpenClipEncoder:
    """Load a model that options name so: starter, or vit-b-32, with random weights."""
    return OpenClipEncoder.load(random_vit_b_32() if model == "vit-b-32" else model)


def size_px(text: str) -> tuple[int, int]:
    """Return width and height of an option such as 350x233."""
    width, height = map(int, text.split("x"))
    return width, height


def ceiling_s(encoder: OpenClipEncoder, folder: Path) -> float:
    """Return the seconds that the encoder alone takes for a folder's photos."""
    squares = [decode(path.read_bytes(), encoder.preprocessing).pixels for path in sorted(folder.iterdir())]
    n = encoder.batch_photos
    batches = [np.stack(squares[start : start + n]) for start in range(0, len(squares), n)]
    return timed(lambda: list(map(encoder.encode_images, batches)))[0]


def add_s(library: Library, folder: Path) -> float:
    """Return the seconds that adding a folder takes: scan, decode, embed, record, index; the model is loaded."""
    reports: list[AddReport] = []
    seconds, _ = timed(lambda: reports.append(library.add(folder)))
    assert reports[0].run.done == reports[0].scan.found and not reports[0].run.failed, reports
    return seconds


def measure(model: str, folders: list[Path]) -> None:
    """Print the ceiling, the rate of adding and their ratio for one model."""
    encoder = encoder_of(model)
    print(f"\n{encoder}")
    root = WORK / "library"
    shutil.rmtree(root, ignore_errors=True)
    library = aliens.create(root, encoder=encoder)
    first = decode(next(folders[0].iterdir()).read_bytes(), encoder.preprocessing).pixels
    encoder.encode_images(np.stack([first] * encoder.batch_photos))  # warm up
    ceilings, adds, counts = [], [], []
    for group, folder in enumerate(folders):
        counts.append(len(list(folder.iterdir())))
        if group % 2:
            ceilings.append(ceiling_s(encoder, folder))
        adds.append(add_s(library, folder))
        if not group % 2:
            ceilings.append(ceiling_s(encoder, folder))
        ratio = ceilings[-1] / adds[-1]
        print(
            f"  {counts[-1]} photos: in memory {counts[-1] / ceilings[-1]:6.1f} photos/s, "
            f"aliens add {counts[-1] / adds[-1]:6.1f} photos/s, ratio {ratio:.2f}",
            flush=True,
        )
    ratios = [ceiling / add for ceiling, add in zip(ceilings, adds, strict=True)]
    print(
        f"  all {sum(counts)}: in memory {sum(counts) / sum(ceilings):.1f} photos/s, "
        f"aliens add {sum(counts) / sum(adds):.1f} photos/s, ratio {sum(ceilings) / sum(adds):.2f} "
        f"(median of {GROUPS} groups {statistics.median(ratios):.2f}; goal: at least {GOAL:.2f})"
    )
    called = f"{model}, {encoder.precision}"
    figure(f"in memory, {called}", sum(counts) / sum(ceilings), "photos/s")
    figure(f"aliens add, {called}", sum(counts) / sum(adds), "photos/s")
    figure(f"aliens add / in memory, {called}", sum(ceilings) / sum(adds), "times")
    figure(f"aliens add / in memory, {called}, median of groups", statistics.median(ratios), "times")
    library.close()
    shutil.rmtree(root)


@recorded
def main() -> None:
    """Parse the arguments and measure each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--model", action="append", choices=["starter", "vit-b-32"])
    parser.add_argument("--size", type=size_px, default=(350, 233), help="of photos that are made")
    parser.add_argument("--folder", type=Path, help="take real photos")
    arguments = parser.parse_args()
    if arguments.folder:
        folders = deal_photos(arguments.folder, arguments.photos)
    else:
        folders = make_photos(arguments.photos, arguments.size)
    for model in arguments.model or ["starter", "vit-b-32"]:
        measure(model, folders)


if __name__ == "__main__":
    main()
