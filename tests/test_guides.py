"""The examples of every page of docs/ run, each page's in a library of its own; what cannot run here is named with why.

README.md, python.md and the pages that go with them are run by test_docs.py, one after the other; tutorials by
test_site.py.
"""

import csv
import io
import re
import shlex
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import aliens
from embedding.encoder import Encoder
from tests.conftest import made_once, some_samples
from tests.test_docs import GUIDES, ROOT, begin_in, blocks, type_shown
from tests.tiny_hotels50k import results_text, write_lists, write_photos

# What a command holds that is not run, and why.
NOT_RUN = {
    "--device cuda": "needs a GPU",
    "aliens download": "asks the network; tests/indexer/test_downloads.py has a server of its own",
    "s3://": "asks the network; tests/indexer/test_addresses.py has servers of its own",
    "--engine ray": "needs a cluster; tests/indexer/test_ray.py starts one",
    "--database postgresql": "needs a server; `make test-postgres` starts one",
    "ViT-": "needs weights from the network",
    "local-dir:models/mine": "needs weights of somebody's own",
    "--model xlm-roberta": "needs weights from the network",
    "--set coca": "needs captions by a model whose weights are not here",
    "int8": "calibrates for long; tests/aliens/test_int8.py does it",
    "forget --model starter": "belongs to int8",
}
ELSEWHERE = (*GUIDES, "python", "tutorial", "tutorial.ru")


def commands_of_page(name: str) -> list[str]:
    """Return what a page shows to be typed, of `aliens`: in blocks, or indented."""
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    lines = "\n".join(blocks(page, "bash")).splitlines() + re.findall(r"^    (.*)", page, re.MULTILINE)
    return [line for line in lines if re.match(r"aliens [a-z]|printf .*\| aliens ", line)]


PAGES = [page.stem for page in sorted((ROOT / "docs").glob("*.md")) if page.stem not in ELSEWHERE]
PAGES = [name for name in PAGES if commands_of_page(name)]


def reasons(line: str) -> list[str]:
    return [why for what, why in NOT_RUN.items() if what in line]


def test_whatever_is_not_run_is_on_a_page() -> None:
    shown = [line for name in PAGES for line in commands_of_page(name)]
    assert [what for what in NOT_RUN if not any(what in line for line in shown)] == []
    assert sum(not reasons(line) for line in shown) > 40


def write_rows(path: str, head: str, rows: Iterator[str]) -> None:
    Path(path).write_text("\n".join([head, *rows, ""]), encoding="utf-8")


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory, starter: Encoder, samples: Path) -> Path:
    """A tagged library of some sample hotels, to be copied and not to be changed."""

    def make(root: Path) -> None:
        with aliens.create(root / "library", encoder=starter) as library:
            library.add(hotels50k=some_samples(root / "samples", samples))
            library.tag("case-study")

    return made_once(tmp_path_factory, "guides", make) / "library"


def lay_out(root: Path, tagged: Path, samples: Path) -> None:
    """Put into a folder what the pages' commands name: libraries, photos, lists, tars, a tree of Hotels-50K."""
    for name in ("aliens-library", "other-library"):
        shutil.copytree(tagged, root / name)
    photos = sorted((samples / "images").rglob("*.jpg"))[:12]
    (root / "photos").mkdir()
    for number, photo in enumerate(photos):
        shutil.copy(photo, root / "photos" / f"{number}.jpg")
    shutil.copy(photos[0], root / "photos" / "room.jpg")
    write_rows("rooms.csv", "file,hotel,price", (f"photos/{n}.jpg,Casa Coral,{100 + n}" for n in range(4)))
    with tarfile.open("rooms.tar.gz", "w:gz") as rooms:
        rooms.add("photos/5.jpg", "5.jpg")
    for number in range(100):
        with tarfile.open(f"shards-{number:05}.tar", "w") as shard:
            shard.add("photos/6.jpg", f"{number}.jpg")
    with open(samples / "labels.csv", encoding="utf-8", newline="") as labels:
        rows = list(csv.DictReader(labels))
    write_rows("queries.csv", "query,image_id", (f"a tv,{row['image_id']}" for row in rows if "a tv" in row["tags"]))
    write_rows("captions.csv", "caption,image_id", (f'"{row["caption"]}",{row["image_id"]}' for row in rows))
    write_lists(root / "hotels")
    write_photos(root / "hotels")
    test = root / "hotels" / "images" / "test"
    shutil.copytree(test / "low_occlusions", test / "medium_occlusions")
    Path("knn_results.csv").write_text(results_text(), encoding="utf-8")
    with aliens.open("aliens-library") as library:
        library.update_index(kind="hnsw")
        library.export_vectors("embeddings")
    photos_of_rows = pq.read_table("embeddings/metadata/metadata_0.parquet")["image_path"]
    vectors = pa.array(list(np.load("embeddings/img_emb/img_emb_0.npy")))
    pq.write_table(pa.table({"file": photos_of_rows, "clip_b32": vectors}), "embeddings.parquet")
    Path("paths.txt").write_text("\n".join(map(str, photos_of_rows)), encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(
    page: str,
    tmp_path: Path,
    tagged: Path,
    samples: Path,
    starter: Encoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin_in(tmp_path, starter, monkeypatch)
    lay_out(tmp_path, tagged, samples)
    for line in commands_of_page(page):
        line = line.replace("ViT-B-32/openai", "starter").replace("/data", "photos")
        if reasons(line):
            continue
        words = shlex.split(line.rpartition("| ")[2].partition(" > ")[0], comments=True)
        answers = "1\nq\n" if words == ["aliens", "label"] else "y\nn\ns\nq\n"
        monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
        if words[1] == "init" and "--library" not in words:  # where a page begins one, there is none before
            shutil.rmtree("aliens-library")
        type_shown(words, monkeypatch, capsys)
