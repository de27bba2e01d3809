"""Tagging and exporting 1,124,215 photos: against the bare matrix product, against pyarrow, against embedding anew.

python benchmarks/tagging.py [--photos 1124215]

Vectors and metadata are made up (benchmarks/million.py). The bare product multiplies one float16 matrix, memory-mapped
from one file for each run, by the tags in float32, 4,096 rows at a time, by torch on all cores, and keeps the scores
in memory; NumPy's product of the same is shown beside it. Both read from the system's page cache.
Tagging reads the segments that a library has, as merging leaves them, and writes the scores of each to disk.
"""

import argparse
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
from growing import RandomEncoder
from measuring import medians_ms, memory_mb
from million import DIM, KEY, PHOTOS, million_library
from records import figure, recorded

import aliens
from aliens.library import Library
from base.progress import Progress, silent
from db.tag_rows import keep_tagging
from db.vector_rows import EmbeddedRows
from embedding.photo_table import remove_table
from embedding.scores import ScoreStore, score_segments
from embedding.segments import Vectors
from search.export.exporter import Format, export_tags
from search.export.tables import Selection, TagTable
from search.tags.calibration import TagOptions
from search.tags.directions import remove_learnt
from search.tags.tagging import Tagging, text_vectors
from search.tags.truth import Truth
from search.tags.vocabulary import Vocabulary, read_vocabulary

WORK = Path(__file__).parent / "work"
REPEATS = 3
LABELLED = 50
GOAL = 1.3
EMBEDDED_PHOTOS_A_SECOND = 24.1  # `aliens add` with ViT-B/32 on the same 2 cores: benchmarks/embed.py


def one_matrix(library: Library, vectors: Vectors) -> Path:
    """Return the file that holds all vectors as one matrix, (n, d) float16."""
    path = library.path / "one.npy"
    if not path.exists():
        whole = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(len(vectors), DIM))
        start = 0
        for _, part in vectors.parts():
            whole[start : start + len(part)] = part
            start += len(part)
        whole.flush()
    return path


def bare_torch(path: Path, texts: np.ndarray) -> np.ndarray:
    """Return the scores (n, t) float16."""
    whole = np.load(path, mmap_mode="r")
    scores, turned = np.empty((len(whole), len(texts)), np.float16), torch.from_numpy(texts).T.contiguous()
    for start in range(0, len(whole), 4096):
        part = torch.from_numpy(np.asarray(whole[start : start + 4096])).float()
        scores[start : start + len(part)] = (part @ turned).half().numpy()
    return scores


def bare_numpy(path: Path, texts: np.ndarray) -> np.ndarray:
    """Return the scores (n, t) float16."""
    whole = np.load(path, mmap_mode="r")
    scores = np.empty((len(whole), len(texts)), np.float16)
    for start in range(0, len(whole), 4096):
        scores[start : start + 4096] = whole[start : start + 4096].astype(np.float32) @ texts.T
    return scores


def tagging_ratios(library: Library, photos: int) -> None:
    """Print how long scoring takes against the bare products, in turns."""
    texts = np.random.default_rng(1).normal(size=(130, DIM)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    with library.catalog.session() as session:
        vectors = library.store.current(EmbeddedRows(session, library.model))

    def score(tags: int, progress: Progress = silent) -> None:
        folder = library.path / "scores" / str(time.perf_counter_ns())
        scores = ScoreStore(folder, tags + 1)
        missing, of_tags, background = scores.open(vectors), texts[:tags], texts[120:]
        score_segments(scores, missing, texts=of_tags, background=background, scale=100.0, progress=progress)

    def most_mb(tags: int) -> float:
        held = [0.0]
        score(tags, lambda step: held.append(memory_mb("RssAnon")))
        return max(held)

    before_mb = memory_mb("RssAnon")
    most = ", ".join(f"{most_mb(tags):.0f} MB with {tags} tags" for tags in (15, 120))
    print(f"memory of its own: {before_mb:.0f} MB before scoring, at most {most}")
    path = one_matrix(library, vectors)
    for tags in (15, 120):
        works = {
            "tagging": lambda tags=tags: score(tags),
            "torch": lambda tags=tags: bare_torch(path, texts[:tags]),
            "numpy": lambda tags=tags: bare_numpy(path, texts[:tags]),
        }
        score_s, torch_s, numpy_s = (ms / 1000 for ms in medians_ms(works, REPEATS).values())
        print(
            f"{photos} photos x {tags} tags: tagging {score_s:.2f} s; bare product by torch {torch_s:.2f} s, ratio "
            f"{score_s / torch_s:.2f} (goal: at most {GOAL}); by NumPy {numpy_s:.2f} s, ratio {score_s / numpy_s:.2f}; "
            f"embedding anew at {EMBEDDED_PHOTOS_A_SECOND} photos/s takes "
            f"{photos / EMBEDDED_PHOTOS_A_SECOND / score_s:.0f} times as long"
        )
        figure(f"{tags} tags", score_s, "s")
        figure(f"{tags} tags / torch's product", score_s / torch_s, "times as long")
        figure(f"{tags} tags / NumPy's product", score_s / numpy_s, "times as long")
    shutil.rmtree(library.path / "scores")


def tag(library: Library, vocabulary: Vocabulary, photos: int) -> None:
    """Tag the library for the export."""
    with library.catalog.session() as session:
        tagging = Tagging(library.catalog, session, library.store, vocabulary)
        tagging.score(RandomEncoder(), lambda done: None)
        remove_table(library.folder.photo_table(KEY))
        tagging = Tagging(library.catalog, session, library.store, vocabulary)
        start = time.perf_counter()
        tagging.write_table()
        print(f"the table of {photos} photos: written in {time.perf_counter() - start:.2f} s")
        start = time.perf_counter()
        tagging.calibrate(TagOptions(), RandomEncoder(), None)
        print(f"calibrating on {photos} photos without labels: {time.perf_counter() - start:.2f} s")
        # Among random texts none stands out against nonsense: exports are measured with tags.
        calibration = tagging.calibrate(TagOptions(method="calibrated"), RandomEncoder(), None)
        keep_tagging(session, tagging.model, vocabulary.key, vocabulary.definition(), calibration.as_json())
        session.commit()


def learning(library: Library, vocabulary: Vocabulary, photos: int) -> None:
    """Print how long it takes to learn from labels, and to score what they taught against scoring the tags' words."""
    rng = np.random.default_rng(3)
    with library.catalog.session() as session:
        tagging = Tagging(library.catalog, session, library.store, vocabulary)
        ids = np.sort(rng.choice(tagging.column([0])[0], min(LABELLED, photos), replace=False)).tolist()
        truth = Truth(ids, (rng.random((len(ids), len(vocabulary.tags))) < 0.3).astype(np.float32))
        tagging.calibrate(TagOptions(), RandomEncoder(), None)
        tagging.centre  # noqa: B018 - measured by itself, since it is kept
        start = time.perf_counter()
        taught = tagging.taught_by(truth)
        learn_s = time.perf_counter() - start
        texts, background = text_vectors(RandomEncoder(), vocabulary)
        stores = iter(range(1_000_000))

        def words() -> None:
            scores = ScoreStore(library.path / "scores" / str(next(stores)), len(texts) + 1)
            missing = scores.open(tagging._vectors)
            score_segments(scores, missing, texts=texts, background=background, scale=100.0)

        def directions() -> None:
            remove_learnt(library.folder, KEY, vocabulary.key, but="")
            taught.decided_by(taught.calibration).write_learnt()

        words_ms, learnt_ms = medians_ms({"words": words, "learnt": directions}, REPEATS).values()
        plain_ms, taught_ms = medians_ms({"words": lambda: read(tagging), "learnt": lambda: read(taught)}, 1).values()
    shutil.rmtree(library.path / "scores")
    print(
        f"{len(vocabulary.tags)} tags learnt from {len(ids)} labelled photos in {learn_s:.2f} s; {photos} photos: what "
        f"they taught scored in {learnt_ms / 1000:.2f} s, {learnt_ms / words_ms:.2f} times as long as the tags' words; "
        f"all probabilities read in {taught_ms / 1000:.2f} s, {taught_ms / plain_ms:.2f} times as long"
    )
    figure(f"learning {len(vocabulary.tags)} tags from {len(ids)} photos", learn_s, "s")
    figure("scoring what labels taught / scoring words", learnt_ms / words_ms, "times as long")
    figure("reading probabilities by labels / by words", taught_ms / plain_ms, "times as long")


def read(tagging: Tagging) -> None:
    """Read every photo's probabilities."""
    for _ in tagging.photos():
        pass


def export_ratios(library: Library) -> None:
    """Print how long exports take against pyarrow writing the same columns from memory."""
    out = library.path / "out"
    out.mkdir(exist_ok=True)
    with library.catalog.session() as session:
        tagging = Tagging.open(library.catalog, session, library.store)

        def export(file_format: Format) -> None:
            export_tags(session, tagging, out / f"export.{file_format}", file_format)

        table = pa.Table.from_batches(list(TagTable(session, tagging, (), Selection()).batches()))
        flat = table.drop_columns(["set_by_hand", "unset_by_hand"])
        for name in ("tags", "sure_tags"):
            texts = pa.compute.binary_join(flat.column(name), ";")
            flat = flat.set_column(flat.column_names.index(name), name, texts)
        flat = flat.append_column("set_by_hand", pa.array([""] * len(table)))
        flat = flat.append_column("unset_by_hand", pa.array([""] * len(table)))
        bare = {
            "csv": lambda: pa.csv.write_csv(flat, out / "bare.csv"),
            "parquet": lambda: pa.parquet.write_table(table, out / "bare.parquet"),
        }
        for file_format in ("csv", "parquet"):
            works = {"mine": lambda f=file_format: export(f), "theirs": bare[file_format]}
            mine, theirs = (ms / 1000 for ms in medians_ms(works, REPEATS).values())
            print(
                f"{file_format}: {len(table)} rows x {table.num_columns} columns in {mine:.2f} s from the library; "
                f"pyarrow from memory {theirs:.2f} s, ratio {mine / theirs:.2f} (goal: at most 2)"
            )
            figure(f"export as {file_format}", mine, "s")
            figure(f"export as {file_format} / pyarrow", mine / theirs, "times as long")


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    photos = parser.parse_args().photos
    with aliens.open(million_library(WORK / f"million-{photos}", photos).root) as library:
        tagging_ratios(library, photos)
        tag(library, read_vocabulary("case-study"), photos)
        learning(library, read_vocabulary("case-study"), photos)
        export_ratios(library)


if __name__ == "__main__":
    main()
