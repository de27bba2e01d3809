"""What must hold of a library whatever happened: it finds what brute force finds, and what was to last is there."""

import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

import aliens
from aliens.library import Library
from base.files import PhotoFile
from base.records import manifest_path
from embedding.colour import read_pixels
from embedding.decode import decode
from tests.conftest import FakeEncoder
from tests.faults.workers import is_library, marks_of

QUERY = "a sofa"
NEAR = 2e-3  # of a cosine: vectors are kept in float16


def opened(root: Path) -> Library:
    """Open a library as the fake encoder sees it, whichever model is in use."""
    return aliens.open(root, model=FakeEncoder.name, encoder=FakeEncoder())


@cache
def vector_of(path: str) -> np.ndarray:
    """Return a photo's vector, made of its file, unit length: (d,) float32."""
    encoder = FakeEncoder()
    vector: np.ndarray = encoder.encode_images(
        decode(Path(path).read_bytes(), encoder.preprocessing).pixels[np.newaxis]
    )
    return vector[0].astype(np.float16).astype(np.float32)


def imported_vectors(photos: Path) -> dict[str, np.ndarray]:
    """Return the vectors that are imported, by their paths."""
    table = marks_of(photos).with_name("vectors.npy")
    if not table.exists():
        return {}
    names = table.with_suffix(".txt").read_text().splitlines()
    return {str(table.parent / name): row for name, row in zip(names, np.load(table), strict=True)}


def committed(root: Path) -> list[str]:
    """Return the paths of all photos that the database says can be found, by SQL of its own."""
    with closing(sqlite3.connect(root / "library.db")) as database:
        rows = database.execute(
            "SELECT path FROM photo WHERE lower(state) = 'embedded' AND id NOT IN"
            " (SELECT result_photo_id FROM restyling WHERE result_photo_id IS NOT NULL)"
        )
        return [row[0] for row in rows]


def found(library: Library) -> list[tuple[str, float]]:
    """Return all photos that a search finds, the best first, with their scores."""
    if not committed(library.path):
        return []
    return [(hit.path, hit.score) for hit in library.search(QUERY, k=1_000, exact=True)]


def photos_in(root: Path, segments: Iterable[str]) -> set[str]:
    """Return the paths of the photos whose vectors lie in segments of these names, by SQL of its own."""
    with closing(sqlite3.connect(root / "library.db")) as database:
        rows = database.execute(
            "SELECT photo.path, vector_segment.name FROM photo JOIN embedding ON embedding.photo_id = photo.id"
            " JOIN vector_segment ON vector_segment.id = embedding.segment_id"
        ).fetchall()
    names = set(segments)
    return {path for path, name in rows if name in names}


def check_search(library: Library, photos: Path, doubtful: Collection[str] = ()) -> None:
    """Compare what a search finds with every photo's vector, made anew of its file, for what is committed.

    doubtful: paths of photos that may be missing, or have any score, since the file of their vectors is damaged.
    """
    paths = committed(library.path)
    imported, query = imported_vectors(photos), FakeEncoder().encode_prompts(QUERY, ())
    hits = found(library)
    assert {path for path, _ in hits} <= set(paths)
    assert sorted(path for path, _ in hits if path not in doubtful) == sorted(set(paths) - set(doubtful))
    for path, score in hits:
        if path in doubtful:
            continue
        if path in imported or os.path.exists(path):  # else it is of an earlier version's library, without photos
            vector = imported[path] if path in imported else vector_of(path)
            assert abs(score - float(vector @ query)) < NEAR, (path, score)
    scores = [score for _, score in hits]
    assert scores == sorted(scores, reverse=True)


def sums_of(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes and its SHA-256."""
    data = path.read_bytes()
    return len(data), hashlib.sha256(data).hexdigest()


def check_manifest(path: Path) -> None:
    """Compare an export with its manifest."""
    said = json.loads(manifest_path(path).read_bytes())
    if isinstance(said["size_bytes"], dict):  # of vectors
        folder = path if path.is_dir() else path.parent
        assert said["size_bytes"] == {name: (folder / name).stat().st_size for name in said["size_bytes"]}
        check_vectors(path, said["photos"])
    elif path.is_dir():
        listed = path / "metadata.jsonl"
        assert sums_of(listed)[1] == said["sha256"]
        rows = [json.loads(line) for line in listed.read_text().splitlines()]
        assert len(rows) == said["photos"]
        for row in rows:
            with Image.open(path / row["file_name"]) as picture:
                picture.load()
    else:
        assert (path.stat().st_size, sums_of(path)[1]) == (said["size_bytes"], said["sha256"])


def check_vectors(path: Path, photos: int) -> None:
    """Read exported vectors: they are of unit length."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(path).num_rows == photos
        return
    files = [path] if path.is_file() else sorted((path / "img_emb").glob("*.npy"))
    vectors = np.concatenate([np.load(file) for file in files]).astype(np.float32)
    assert len(vectors) == photos
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < NEAR


def check_exports(out: Path) -> None:
    """See that whatever has its name and a manifest is whole, and that no manifest stands alone."""
    for manifest in out.glob("*.manifest.json") if out.is_dir() else ():
        check_manifest(manifest.with_name(manifest.name.removesuffix(".manifest.json")))
    for name in ("images", "clip"):
        if (out / name / "manifest.json").exists():
            check_manifest(out / name)


def check_lasting(library: Library, photos: Path, marks: str | None = None) -> None:
    """See that everything is there of which a worker said that it is committed. `marks`: what it said."""
    if marks is None:
        marks = marks_of(photos).read_text(encoding="utf-8") if marks_of(photos).exists() else ""
    there = set(committed(library.path))
    lines = marks.splitlines()
    for place, line in enumerate(lines):
        kind, *facts = line.split("\t")
        if kind == "export" and line.replace("export", "export again", 1) in lines[place:]:
            continue  # it is being replaced: see `check_exports`
        if kind == "photos":
            assert there >= set(facts)
        elif kind == "label":
            assert library.labels_of(int(facts[0]))
        elif kind == "export":
            check_manifest(library.path / "out" / facts[0])
        elif kind == "result" and facts[0]:
            (result,) = library.restyled([int(facts[0])])
            with Image.open(result.path) as picture:
                picture.load()


def check(root: Path, photos: Path, marks: str | None = None, parts: set[str] | None = None) -> list[str]:
    """Check everything that holds at any moment, and return the parts that verifying names; `parts`: which it may."""
    if not is_library(root):
        return []
    with opened(root) as library:
        named = library.verify()
        allowed = {"stray file"} if parts is None else parts
        assert {told.part for told in named} <= allowed, [str(told) for told in named]
        check_search(library, photos)
        check_lasting(library, photos, marks)
    check_exports(root / "out")
    return [told.part for told in named]


@dataclass(frozen=True)
class Answers:
    """What a library answers, by which two of them are compared."""

    hits: tuple[tuple[str, float], ...]
    tags: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    labels: tuple[tuple[str, int], ...]
    captions: int
    saved: tuple[str, ...]
    restyled: tuple[int, ...]


def answers(root: Path) -> Answers:
    """Ask a library for all that the works change."""
    with opened(root) as library:
        hits = tuple((path, round(score, 5)) for path, score in found(library))
        vocabularies = sorted(library.vocabulary_keys())
        tags = tuple((key, tuple((tag.tag, tag.photos) for tag in library.tags(key))) for key in vocabularies)
        with closing(sqlite3.connect(root / "library.db")) as database:
            labels = tuple(database.execute("SELECT hex(content_sha256) || tag, present FROM tag_label ORDER BY 1"))
            captions = int(database.execute("SELECT count(*) FROM caption").fetchone()[0])
        return Answers(
            hits=tuple(sorted(hits)),
            tags=tags,
            labels=labels,
            captions=captions,
            saved=tuple(search.name for search in library.saved_searches()),
            restyled=tuple(
                zlib.crc32(read_pixels(PhotoFile(str(result.path))).tobytes()) for result in library.restyled()
            ),
        )


def mended(root: Path, photos: Path) -> None:
    """Repair a library, and see that nothing is left to be said against it."""
    with opened(root) as library:
        library.repair()
        assert [told for told in library.verify() if told.part != "photo"] == []
        check_search(library, photos)
