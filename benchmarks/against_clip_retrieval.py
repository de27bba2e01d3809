"""Photos/s of `aliens add` as a whole process, against clip-retrieval's inference and a plain loop of open_clip.

    benchmarks/against_clip_retrieval.sh [--photos 2000] [--rounds 1] [--precision int8] [--size 350x233]
    python benchmarks/against_clip_retrieval.py     without clip-retrieval: `aliens add` and the plain loop alone

ViT-B/32 with random weights, which all of them load from one file; the same photos, in turns, each in processes of its
own that begin with nothing loaded and end with all vectors on disk. `aliens add` also hashes each photo, records it in
a database and builds what searching needs; making the empty library is told apart, and for int8 the one with the sample
photos, on which it is calibrated. clip-retrieval runs as it comes, and with batches and workers chosen for few cores,
since it warms up with two batches; the faster of both is what ratios are to. Processor time is told beside: where other
work disturbs, it moves less. That the vectors are the same is checked.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet
from embed import deal_photos, make_photos, random_vit_b_32, size_px
from measuring import timed
from records import beside, figure, recorded

import aliens
from db.photo_rows import photo_records
from embedding.device import choose_device, choose_precision

HERE = Path(__file__).parent
WORK = HERE / "work" / "against"
ALIENS = Path(sys.executable).with_name("aliens")
GOAL = {"bfloat16": 4, "int8": 8}
LEAST_COSINE = 0.99  # of a photo's vectors by two of them; bfloat16 and other resizing are in it

Command = Sequence[str | Path]


class Contender:
    """Something that embeds a folder of photos: commands, of which the last is measured, and what they leave."""

    def __init__(self, name: str, commands: list[Command], vectors: Callable[[], dict[str, np.ndarray]]) -> None:
        """`vectors`: returns those that it has left, {file name: (d,)}."""
        self.name, self.commands, self.vectors = name, commands, vectors
        self.seconds: list[float] = []
        self.processor_s: list[float] = []
        self.before_s: list[float] = []

    def run(self) -> None:
        """Run once, from nothing."""
        shutil.rmtree(WORK / "out", ignore_errors=True)
        (WORK / "out").mkdir(parents=True)
        *before, measured = self.commands
        self.before_s.append(sum(timed(partial(run, command))[0] for command in before))
        clock_s, busy_s = timed(partial(run, measured))
        self.seconds.append(clock_s)
        self.processor_s.append(max(busy_s, 0.01))  # it is counted no finer


def run(command: Command) -> None:
    """Run a command; its output is shown where it fails."""
    # Nothing has to be fetched, so nobody shall wait for a hub.
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def ours(folder: Path, model: str, precision: str, *, tiny: bool) -> Contender:
    """Return `aliens add`; `tiny`: int8 is calibrated on few photos."""
    library = WORK / "out" / "library"

    def vectors() -> dict[str, np.ndarray]:
        with aliens.open(library) as opened, opened.catalog.session() as session:
            base = opened.index(session).base
            ids, records = base.ids, photo_records(session, base.ids.tolist())
            paths = [Path(records[photo_id].path) for photo_id in ids.tolist()]
            found = zip(paths, base.gather(ids), strict=True)
            return {path.name: vector for path, vector in found if path.is_relative_to(folder)}

    if precision == "int8":
        before: Command = [
            sys.executable,
            HERE / "int8_library.py",
            model,
            library,
            *(["--photos", "96"] if tiny else []),
        ]
        options: Command = ["--library", library, "--backend", "openvino"]  # whose model in use is of int8
    else:
        options = ["--library", library, "--precision", precision]
        before = [ALIENS, "init", "--model", model, *options]
    return Contender(f"aliens add, {precision}", [before, [ALIENS, "add", folder, *options]], vectors)


def plain(folder: Path, model: str, precision: str) -> Contender:
    """Return the loop that one would write oneself."""
    out = WORK / "out" / "vectors.npy"

    def vectors() -> dict[str, np.ndarray]:
        return dict(zip((path.name for path in sorted(folder.rglob("*.jpg"))), np.load(out), strict=True))

    command = [sys.executable, HERE / "plain_loop.py", model, folder, out, "--precision", precision]
    return Contender(f"plain loop, {precision}", [command], vectors)


def theirs(folder: Path, weights: Path, environment: Path, name: str, options: Sequence[str]) -> Contender:
    """Return clip-retrieval's inference, which takes open_clip's weights from a file by its path behind the model."""
    out = WORK / "out" / "embeddings"

    def vectors() -> dict[str, np.ndarray]:
        paths = pyarrow.parquet.read_table(out / "metadata" / "metadata_0.parquet")["image_path"].to_pylist()
        return dict(zip((Path(p).name for p in paths), np.load(out / "img_emb" / "img_emb_0.npy"), strict=True))

    command = [environment / "bin" / "clip-retrieval", "inference", "--input_dataset", folder, "--output_folder", out]
    command += ["--clip_model", f"open_clip:ViT-B-32/{weights}", "--enable_text=False", "--enable_wandb=False"]
    return Contender(name, [[*command, *options]], vectors)


def both_of_theirs(folder: Path, model: str, environment: Path | None) -> list[Contender]:
    """Return clip-retrieval as it comes, and as one would have it on few cores; nothing where it is not there."""
    if environment is None:
        return []
    versions_of(environment)
    weights = Path(model.removeprefix("local-dir:")).resolve() / "open_clip_model.safetensors"
    tuned = ["--batch_size", "32", "--num_prepro_workers", str(os.cpu_count())]
    ways = (("clip-retrieval", []), ("clip-retrieval, batches of 32", tuned))
    return [theirs(folder, weights, environment, name, options) for name, options in ways]


def versions_of(environment: Path) -> None:
    """Note what clip-retrieval runs on."""
    code = "import importlib.metadata as m\nfor p in ('clip-retrieval', 'torch', 'open_clip_torch', 'numpy'):"
    code += "\n    print(p, m.version(p))"
    told = subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    for line in told.stdout.splitlines():
        package, version = line.split()
        beside(package if package == "clip-retrieval" else f"{package} beside clip-retrieval", version)


def least_cosine(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Return the least cosine of a photo's vectors by two contenders. Raises: SystemExit: not of the same photos."""
    if one.keys() != other.keys():
        raise SystemExit(f"{len(one)} and {len(other)} photos were embedded: not the same")
    a, b = (np.stack([of[name] for name in sorted(one)]).astype(np.float32) for of in (one, other))
    return float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def check(each: Contender, reference: dict[str, np.ndarray], first: str) -> dict[str, np.ndarray]:
    """Return the vectors that all are compared to: the first one's. Raises: SystemExit: these are others."""
    vectors = each.vectors()
    if not reference:
        return vectors
    cosine = least_cosine(reference, vectors)
    if cosine < LEAST_COSINE:
        raise SystemExit(f"{each.name} gives other vectors than {first}: cosine {cosine:.4f}")
    print(f"  {each.name}: the least cosine of a photo's vectors with those of {first} is {cosine:.4f}")
    figure(f"{each.name}: least cosine with {first}", cosine, "cosine")
    return reference


def tell(contenders: list[Contender], photos: int) -> None:
    """Print and note what each took."""
    for each in contenders:
        clock_s, busy = statistics.median(each.seconds), statistics.median(each.processor_s)
        before = (
            f"; {statistics.median(each.before_s):.1f} s before, to make the library" if len(each.commands) > 1 else ""
        )
        print(
            f"{each.name:<32} {clock_s:7.1f} s, {photos / clock_s:6.1f} photos/s; "
            f"processors {busy:7.1f} s, {photos / busy:6.1f} photos/s{before}"
        )
        figure(each.name, photos / clock_s, "photos/s")
        figure(f"{each.name}, of processor time", photos / busy, "photos/s")


def compare(own: Contender, others: Sequence[Contender], called: str, goal: float) -> None:
    """Print and note how many times as fast ours is as the fastest of others, in the median of rounds."""
    if not others:
        return
    other = min(others, key=lambda each: statistics.median(each.seconds))
    pairs = list(zip(own.seconds, other.seconds, strict=True))
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    with_init = statistics.median(
        t / (mine + before) for mine, t, before in zip(own.seconds, other.seconds, own.before_s, strict=True)
    )
    busy = statistics.median(t / mine for mine, t in zip(own.processor_s, other.processor_s, strict=True))
    print(
        f"{own.name}: {ratio:.2f} times as fast as {other.name} (goal: at least {goal}); {with_init:.2f} times with "
        f"the library made; {busy:.2f} times by processor time"
    )
    figure(f"{own.name} / {called}", ratio, "times")
    figure(f"{own.name} / {called}, with the library made", with_init, "times")
    figure(f"{own.name} / {called}, of processor time", busy, "times")


@recorded
def main() -> None:
    """Run all of them in turns and print photos/s and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--size", type=size_px, default=(350, 233), help="of photos that are made")
    parser.add_argument("--folder", type=Path, help="take the first so many photos of a folder")
    parser.add_argument("--rounds", type=int, default=1, help="of all, in turns")
    parser.add_argument("--precision", action="append", help="of aliens add; may be repeated. Default: what is chosen")
    parser.add_argument("--threads", type=int, help="that each computes with: 1 where other work disturbs")
    parser.add_argument("--clip-retrieval", type=Path, metavar="VENV", help="where it is installed")
    parser.add_argument("--tiny", action="store_true", help="a model of thin layers: whether it works")
    asked = parser.parse_args()
    if asked.threads:  # threads that wait for each other at every layer spend processor time where others take cores
        os.environ |= {f"{library}_NUM_THREADS": str(asked.threads) for library in ("OMP", "MKL", "OPENBLAS")}
    folders = deal_photos(asked.folder, asked.photos) if asked.folder else make_photos(asked.photos, asked.size)
    folder, model = folders[0].parent.resolve(), random_vit_b_32(tiny=asked.tiny)
    photos = len(list(folder.rglob("*.jpg")))
    precisions = asked.precision or [choose_precision("auto", choose_device("auto"))]
    contenders = [ours(folder, model, precision, tiny=asked.tiny) for precision in precisions]
    loops = [plain(folder, model, kind) for kind in ("float32", "bfloat16")]
    retrievals = [] if asked.tiny else both_of_theirs(folder, model, asked.clip_retrieval)
    everyone = [*contenders, *retrievals, *loops]
    print(f"{photos} photos, load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    reference: dict[str, np.ndarray] = {}
    for number in range(asked.rounds):
        for each in everyone if number % 2 == 0 else everyone[::-1]:
            each.run()
            print(f"  {each.name}: {each.seconds[-1]:.1f} s", file=sys.stderr, flush=True)
            if number == 0:
                reference = check(each, reference, everyone[0].name)
    tell(everyone, photos)
    for own, precision in zip(contenders, precisions, strict=True):
        compare(own, retrievals, "clip-retrieval", GOAL.get(precision, 1))
        compare(own, loops[:1], "plain loop", GOAL.get(precision, 1))
        compare(own, loops[1:], "plain loop in bfloat16", 1)
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
