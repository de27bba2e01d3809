"""Libraries as earlier versions made them, for tests of upgrades: each by that version's own code and commands.

    python tests/data/make_libraries.py 0009

takes the commit that COMMITS names for a revision of the tables out of the history, runs STEPS there with a fake model,
has it answer, and packs the library, its photos and the answers as tests/data/libraries/0009.tar.xz. A release whose
tables or files differ from those of the last one adds a line to COMMITS, what is new about it to STEPS, and its file.
"""

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COMMITS = {  # the last one that made tables of a revision
    "0001": "66178ce",
    "0002": "66360cf",
    "0003": "9ec3d5a",
    "0004": "ec3d1a5",
    "0005": "9335e84",
    "0006": "4c58008",
    "0007": "43497f9",
    "0008": "f2d075d",
    "0009": "ff59bd0",  # 0.2.0
}
AT = "/tmp/aliens-{}"  # where a library lies while it is made: such paths are in it
STEPS = (  # the revision that a command came with, what is to happen to files before it, the command
    ("0001", "", "init --model fake"),
    ("0001", "", "add photos"),
    ("0001", "rm photos/03.jpg; cp more/05.jpg photos/05.jpg; cp more/10.jpg photos", "add photos"),
    ("0007", "", "add hotels --hotel-from folder --metadata facts.csv"),
    ("0009", "", "add --list list.csv"),
    ("0002", "", "tag --method calibrated"),
    ("0002", "", "tags set 1 pool"),
    ("0002", "", "tags unset 2 pool"),
    ("0002", "", "caption --from captions.txt"),
    ("0003", "", "search sofa --save sofas"),
    ("0003", "", "index --kind hnsw --least-recall 0.1"),
    ("0004", "", "restyle 1 2 --engine regrade --floor 0 --add"),
    ("0009", "", "embed --model other"),
)
ANSWERS = (
    ("0001", "search.jsonl", "search sofa -k 100 --json"),
    ("0002", "", "export tags -o answers/tags.csv"),
    ("0002", "", "export captions -o answers/captions.csv"),
)


def make(revision: str) -> None:
    """Make the library of a revision anew."""
    root = Path(AT.format(revision))
    shutil.rmtree(root, ignore_errors=True)
    files_for(root)
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", COMMITS[revision]], check=True, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
            tree.extractall(folder, filter="data")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ALIENS_")}
        environment |= {"PYTHONPATH": folder, "ALIENS_LIBRARY": str(root / "library"), "ALIENS_BACKEND": "torch"}
        subprocess.run([sys.executable, __file__, "--inside", revision], cwd=root, env=environment, check=True)
    for name in ("more", "captions.txt"):
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in root.rglob("*.lock"):
        path.unlink()
    target = HERE / "libraries" / f"{revision}.tar.xz"
    with tarfile.open(target, "w:xz", preset=9) as tar:
        tar.add(root, revision, filter=anonymous)
    shutil.rmtree(root)
    print(f"{target}: {target.stat().st_size} bytes")


def files_for(root: Path) -> None:
    """Write photos, one of them broken and one a copy, and what is said of them."""
    import numpy as np
    from PIL import Image

    for folder in ("photos", "more", "hotels/jp01", "hotels/jp02", "listed", "answers"):
        (root / folder).mkdir(parents=True)
    files = [f"photos/{number:02d}.jpg" for number in range(10)]
    files += [
        "more/05.jpg",
        "more/10.jpg",
        "hotels/jp01/a.jpg",
        "hotels/jp01/b.jpg",
        "hotels/jp02/c.jpg",
        "listed/z.jpg",
    ]
    for seed, name in enumerate(files):
        noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 64), Image.Resampling.BILINEAR).save(root / name, quality=80)
    (root / "photos/broken.jpg").write_bytes(b"no photo")
    shutil.copy(root / "photos/00.jpg", root / "photos/copy.jpg")
    (root / "facts.csv").write_text("folder,chain,latitude,longitude,date\nhotels/jp01,Azura,1.5,2.5,2015-01-31\n")
    (root / "list.csv").write_text("path,price,owner\nlisted/z.jpg,40,Ann\n")
    (root / "captions.txt").write_text("a red sofa\na pool at night\na wooden bed\n")


def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Name nobody as the owner of a file."""
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def run_inside(revision: str) -> None:
    """Run the steps with the code of a revision, which is imported here, in the folder of its library."""
    with contextlib.suppress(ImportError):
        import embedding.open_clip_encoder

        embedding.open_clip_encoder.OpenClipEncoder.load = loaded  # type: ignore[method-assign,assignment]
    if revision < "0004":  # the encoder and its queries' one were loaded elsewhere
        import embedding.encoder

        embedding.encoder.Encoder.load = loaded  # type: ignore[attr-defined]
    if revision == "0003":
        import embedding.query_encoder  # type: ignore[import-not-found]

        embedding.query_encoder.QueryEncoder.by_name = lambda folder, name, key, **options: loaded(name)
    for since, before, command in STEPS:
        if revision >= since:
            subprocess.run(before, shell=True, check=True)
            said(command)
    for since, name, command in ANSWERS:
        if revision >= since:
            out = said(command)
            if name:
                Path("answers", name).write_text(out)


def loaded(name: str, **options: object) -> object:
    """Return a fake model in place of the one of a name."""
    if name == "other":
        from tests.other_model import OtherEncoder

        encoder = OtherEncoder()
        encoder.name = name
        return encoder
    from tests.conftest import FakeEncoder

    return FakeEncoder()


def said(command: str) -> str:
    """Run a command of `aliens` in this process and return what it wrote."""
    import cli

    out = io.StringIO()
    sys.argv = ["aliens", *command.split()]
    print("$", *sys.argv, file=sys.stderr)
    with contextlib.redirect_stdout(out):
        try:
            cli.main()
        except SystemExit as end:
            assert not end.code, (command, out.getvalue())
    return out.getvalue()


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        run_inside(sys.argv[2])
    else:
        for each in sys.argv[1:]:
            make(each)
