"""Import and export of vectors, as many as Hotels-50K has photos, against numpy writing the same vectors.

python benchmarks/vectors_io.py [--photos 1124215] [--library FOLDER]

numpy writes one array of the same bytes by numpy.save, to the same disk, and syncs it. An export has the photos' paths,
hotels, dates and sizes beside the vectors, an import makes rows of photos in the database: how much of the time these
take is said. No photo exists, so nothing is looked at but paths.
"""

import argparse
import os
import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
from measuring import memory_mb, timed
from million import DIM, KEY, PHOTOS, million_library
from records import figure, recorded

import aliens
from aliens.library import Library
from base.progress import Step
from base.settings import LibraryFolder
from db.catalog import Catalog
from db.photo_rows import COLUMNS, columns_stamp, embedded_columns
from db.vector_rows import EmbeddedRows, segments_of
from embedding.photo_table import PhotoTable, remove_table

WORK = Path(__file__).parent / "work"


def numpy_s(library: Library, path: Path, kind: type[np.floating]) -> float:
    """Return the seconds that numpy takes to write all vectors, which are in memory, and to have them on disk."""
    with library.catalog.session() as session:
        vectors = library.store.current(EmbeddedRows(session, library.model))
        array = np.concatenate([part.astype(kind) for _, part in vectors.parts()])

    def save() -> None:
        with open(path, "wb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())

    took, _ = timed(save)
    path.unlink()
    return took


def removed(path: Path) -> Path:
    """Return a place where nothing is."""
    if path.is_dir():
        shutil.rmtree(path)
    for file in path.parent.glob(f"{path.stem}.*"):
        file.unlink()
    return path


class Laps:
    """How long each kind of step of an import took."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self.start = time.perf_counter()

    def __call__(self, step: Step) -> None:
        """Note a step."""
        self.ends[step.what] = time.perf_counter() - self.start

    def __str__(self) -> str:
        ends = [0.0, *self.ends.values()]
        return ", ".join(
            f"{what} {end - before:.1f} s" for what, end, before in zip(self.ends, ends[1:], ends, strict=False)
        )


def imported(work: Path, place: Path, name: str, whole_s: float, count: int) -> None:
    """Import into an empty library and print how long it took."""
    shutil.rmtree(work / "into", ignore_errors=True)
    Catalog.create(LibraryFolder(work / "into"), key=KEY, name="random", dim=DIM).close()
    laps = Laps()
    with aliens.open(work / "into") as library:
        took, _ = timed(lambda: library.import_vectors(place, progress=laps))
        vectors_s = laps.ends["reading vectors"] - laps.ends["looking for photos"]
        print(
            f"import of {name}: {took:.1f} s, {count / took:.0f} photos/s ({laps}); its vectors at "
            f"{whole_s / vectors_s:.2f} of numpy's speed, with all rows of the database at {whole_s / took:.2f}"
        )
        figure(f"import of {name} / numpy.save, the vectors alone", whole_s / vectors_s, "times")
        figure(f"import of {name}", count / took, "photos/s")
        assert library.info().photos["embedded"] == count
    shutil.rmtree(work / "into")


def with_table(library: Library, work: Path, count: int) -> None:
    """Export once more, with the table of photos on disk that tagging leaves, and print how long it took."""
    whole_s = numpy_s(library, work / "numpy.npy", np.float16)
    with library.catalog.session() as session:
        names = [file.name for file in segments_of(session, library.model)]
        parts = embedded_columns(session, library.model, list(COLUMNS))
        PhotoTable.write(library.folder.photo_table(library.model.key), columns_stamp(session), names, parts)
    took, _ = timed(partial(library.export_vectors, removed(work / "pairs")))
    print(f"export as clip-retrieval of a tagged library: {took:.1f} s, {whole_s / took:.2f} of numpy.save's speed")
    remove_table(library.folder.photo_table(library.model.key))


@recorded
def main() -> None:
    """Export in each layout, import each again, print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--library", type=Path, help="one that benchmarks/million.py has made, without tags")
    asked = parser.parse_args()
    folder = asked.library or million_library(WORK / f"million-{asked.photos}", asked.photos).root
    work = WORK / "vectors-io"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with aliens.open(folder) as library:
        count = library.info().photos["embedded"]
        print(f"{count} photos, {DIM} dimensions")
        library.export_vectors(work / "first.npy")  # imports
        removed(work / "first.npy")
        for name, place, kind in (
            ("clip-retrieval", work / "pairs", np.float16),
            ("npy", work / "vectors.npy", np.float16),
            ("parquet", work / "vectors.parquet", np.float32),
        ):
            whole_s = numpy_s(library, work / "numpy.npy", kind)
            size_mb = count * DIM * np.dtype(kind).itemsize / 1e6
            took, _ = timed(partial(library.export_vectors, removed(place), layout=name))
            print(
                f"export as {name}: {took:.1f} s for {size_mb:.0f} MB of vectors, numpy.save {whole_s:.1f} s: "
                f"{whole_s / took:.2f} of its speed"
            )
            figure(f"export as {name} / numpy.save", whole_s / took, "times")
            imported(work, place, name, whole_s, count)
            removed(place)
        with_table(library, work, count)
    print(f"most memory {memory_mb('VmHWM'):.0f} MB, numpy's array of all vectors among it")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
