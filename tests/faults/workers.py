"""What is done to libraries while something goes wrong: each in a process of its own, by a fake encoder.

A worker that has come so far that something must last says so by `last`: whatever happens after that, it is there.
"""

import ctypes
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import aliens
from aliens.library import Library
from base.errors import QueryError
from tests.conftest import FakeEncoder
from tests.forked import serve

Work = Callable[[Path, Path], None]
WORKS: dict[str, Work] = {}
VOCABULARY = "case-study"
LABELLED = ("bathtub", "two beds")
MODULES = """
alembic.command daltonlens.main db.postgres embedding.scores indexer.add indexer.forget indexer.merging
indexer.model_care indexer.upgrade indexer.upkeep indexer.vector_import indexer.verify openpyxl pandas pyarrow.csv
pyarrow.parquet restyle.engines.loading restyle.judge restyle.studio search.captions search.export.exporter
search.export.vector_export search.hotel_pages search.nonsense search.saved search.tags.checking search.tags.labels
search.tags.tag_runs search.tags.truth skimage.feature tests.other_model tests.restyled torch
"""  # that take long to import


def wait(descriptor: int) -> None:
    """Import what takes long, and fork workers until nobody asks for any."""
    import importlib

    for name in MODULES.split():
        importlib.import_module(name)
    importlib.import_module("restyle.faces").detector()
    serve(Connection(descriptor))


def do(work: str, root: str, photos: str) -> None:
    """Do one of the works, with the faults that the environment tells of."""
    ctypes.CDLL(None).faults_arm()
    WORKS[work](Path(root), Path(photos))


def work(name: str) -> Callable[[Work], Work]:
    """Name a work."""

    def named(function: Work) -> Work:
        WORKS[name] = function
        return function

    return named


def opened(root: Path) -> Library:
    """Open a library with the fake encoder, few rows a segment, and merges that come often."""
    import indexer.pipeline
    from embedding.index import building
    from indexer import merging, vector_import

    building.POINTS_PER_LIST = 9  # so that there is an index of few photos

    indexer.pipeline.COMMIT_PHOTOS = 4
    merging.FAN_OUT, merging.SMALLEST_ROWS = 3, 8
    vector_import.MOST_ROWS, vector_import.ASKED_ROWS = 9, 5
    return aliens.open(root, encoder=FakeEncoder())


def marks_of(photos: Path) -> Path:
    """Return where a worker says what must last; faults do not reach it."""
    return photos.parent / "marks"


def last(photos: Path, *facts: object) -> None:
    """Say that something is committed."""
    with open(marks_of(photos), "a", encoding="utf-8") as file:
        file.write("\t".join(map(str, facts)) + "\n")


# Works that begin with an empty library


@work("create")
def create(root: Path, photos: Path) -> None:
    """Make the library that is there at the end of nothing."""
    if not (root / "library.db").exists() or not is_library(root):
        aliens.create(root, encoder=FakeEncoder()).close()


def is_library(root: Path) -> bool:
    """Tell whether a library was made to its end."""
    from base.settings import LibraryFolder
    from db.catalog import is_library as is_one

    return is_one(LibraryFolder(root))


@work("add")
def add(root: Path, photos: Path) -> None:
    """Add folders of photos, a few a segment."""
    for folder in sorted(photos.glob("*/")):
        with opened(root) as library:
            library.add(folder, hotel_from="folder")
        last(photos, "photos", *sorted(folder.rglob("*.jpg")))


# Works that begin with a library of photos that are tagged and labelled


@work("begin")
def begin(root: Path, photos: Path) -> None:
    """Make what the other works begin with."""
    from tests.restyled import keep_results

    add(root, photos)
    with opened(root) as library:
        library.tag(VOCABULARY)
        for photo_id in range(1, 5):
            library.label(photo_id, LABELLED[photo_id % 2])
        library.caption(["a room", "a bed by a window", "a bath"])
        library.save_search("baths", "a bath")
        library.export(root / "out" / "older.csv")
    keep_results(library.folder, [1, 2])


@work("merge")
def merge(root: Path, photos: Path) -> None:
    """Merge segments that carry scores, and build a graph over what they become."""
    from indexer import merging

    with opened(root) as library:
        merging.FAN_OUT = 2
        library.update_index("hnsw", least_recall=0.1, rebuild=True)


@work("tag")
def tag(root: Path, photos: Path) -> None:
    """Tag with another vocabulary, then label, then learn from labels."""
    with opened(root) as library:
        library.tag("hotel")
        for photo_id in range(5, 9):
            library.label(photo_id, LABELLED[photo_id % 2], vocabulary=VOCABULARY)
            last(photos, "label", photo_id)
        library.tag(VOCABULARY, calibrate="labels", fit="platt")


EXPORTS = ("tags.csv", "tags.tsv", "tags.jsonl", "tags.parquet", "tags.xlsx", "tags.json", "images")
VECTORS = ("vectors.parquet", "vectors.npy", "clip")
TABLES = ("hotels.csv", "hotels.xlsx", "hotels.parquet", "hotels.json")


@work("export")
def export(root: Path, photos: Path) -> None:
    """Export tags in every format, once anew over what is there."""
    with opened(root) as library:
        for name in ("older.csv", *EXPORTS):
            last(photos, "export again", name)
            if name == "images":
                shutil.rmtree(root / "out" / name, ignore_errors=True)
            library.export(root / "out" / name, format="imagefolder" if name == "images" else None)
            last(photos, "export", name)


@work("export of vectors and tables")
def export_others(root: Path, photos: Path) -> None:
    """Export vectors in every layout, hotels and captions, and copies of what is found."""
    with opened(root) as library:
        for name in VECTORS:
            last(photos, "export again", name)
            if name == "clip":
                shutil.rmtree(root / "out" / name, ignore_errors=True)
            library.export_vectors(root / "out" / name)
            last(photos, "export", name)
        for name in TABLES:
            last(photos, "export again", name)
            library.export_hotels(root / "out" / name)
            last(photos, "export", name)
        last(photos, "export again", "captions.csv")
        library.export_captions(root / "out" / "captions.csv")
        last(photos, "export", "captions.csv")


@work("import of vectors")
def import_of_vectors(root: Path, photos: Path) -> None:
    """Import vectors of photos that are not there, a few a segment."""
    with opened(root) as library:
        library.import_vectors(marks_of(photos).with_name("vectors.npy"), made_by="fake")


@work("import of tags")
def import_of_tags(root: Path, photos: Path) -> None:
    """Read labels back from a table."""
    table = marks_of(photos).with_name("labels.csv")
    with opened(root) as library:
        library.import_tags(table, labels_only=True)
    last(photos, "label", 9)


@work("restyle")
def restyle(root: Path, photos: Path) -> None:
    """Restyle what a manifest names, add the results to what searches find."""
    with opened(root) as library:
        library.restyle(
            picks=marks_of(photos).with_name("picks.toml"),
            engine="regrade",
            longest_px=64,
            seeds=0,
            floor=0.0,
            add=True,
            on_done=lambda each: last(photos, "result", getattr(getattr(each, "result", None), "id", "")),
        )


@work("repair")
def repair(root: Path, photos: Path) -> None:
    """Mend a library, and embed anew what was lost."""
    with opened(root) as library:
        library.repair()
    with opened(root) as library:
        library.add(*sorted(photos.glob("*/")))


@work("upgrade")
def upgrade(root: Path, photos: Path) -> None:
    """Write to a library of an earlier version."""
    with opened(root) as library:
        library.save_search("sofas", "a sofa")
        library.update_index("exact")


@work("another model")
def another_model(root: Path, photos: Path) -> None:
    """Make vectors of another model, use it, go back, and remove it."""
    from tests.other_model import OtherEncoder

    with aliens.open(root) as library:
        is_used = library.model.name != FakeEncoder.name
    if not is_used:
        with opened(root) as library:
            library.embed(encoder=OtherEncoder())
            library.use(OtherEncoder.name)
    with aliens.open(root) as library:
        library.use(FakeEncoder.name)
        library.forget_model(OtherEncoder.name)


@work("forget")
def forget(root: Path, photos: Path) -> None:
    """Let a folder's photos go, and add them again."""
    folder = min(photos.glob("*/"))
    with opened(root) as library:
        with suppress(QueryError):  # they have gone
            library.forget(folder)
        library.add(folder, hotel_from="folder")


@work("serve")
def serve_pages(root: Path, photos: Path) -> None:
    """Serve pages, and run jobs, until there is a file that says to stop; the address is written to a file."""
    from tests.web.conftest import Running

    with aliens.open(root) as library, Running(library) as running:
        told = marks_of(photos).with_name("address")
        told.with_suffix(".new").write_text(running.url)
        told.with_suffix(".new").rename(told)
        while not told.with_name("stop").exists():
            time.sleep(0.05)


if __name__ == "__main__":
    do(*sys.argv[1:])
