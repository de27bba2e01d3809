"""A library of random vectors, as large as Hotels-50K or larger, for benchmarks: no photo exists, no model made them.

1,124,215 photos of 50,000 hotels of 92 chains; 27,519 hotels belong to no chain. Smaller libraries have fewer hotels,
larger ones have none, as folders of photos give them. Vectors: random unit vectors of 512 dimensions, in segments as
merging leaves them.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from segmented import as_merged, write_segments

from base.files import SegmentFile
from base.settings import LibraryFolder
from db.catalog import Catalog
from db.revisions import REVISION
from embedding.segments import SegmentStore

PHOTOS, HOTELS, CHAINS, CHAINLESS_HOTELS = 1_124_215, 50_000, 92, 27_519
DIM, KEY = 512, "random-00000000"
WIDTH_PX, HEIGHT_PX = 350, 233
BLOCK_ROWS = 16_384


def million_library(root: Path, photos: int = PHOTOS, sizes: Sequence[int] = ()) -> LibraryFolder:
    """Return the library, made at the first call: about a minute and 1.6 GB for 1,124,215 photos, 13 GB for 10,000,000.

    sizes: rows of its segments, which together are the photos; by default as merging leaves them.
    """
    sizes = sizes or as_merged(photos)
    folder, made = LibraryFolder(root), f"tables {REVISION}, segments of {', '.join(map(str, sizes))} photos"
    if (root / "made").exists() and (root / "made").read_text() == made:
        return folder
    shutil.rmtree(root, ignore_errors=True)
    empty_library(folder, photos)
    files = write_segments(SegmentStore(folder.vectors(KEY), DIM), sizes, random_vectors(photos))
    record_segments(folder, files)
    (root / "made").write_text(made)
    return folder


def empty_library(folder: LibraryFolder, photos: int) -> None:
    """Make a library with rows of photos, said to be embedded, and without a vector."""
    folder.root.mkdir(parents=True)
    Catalog.create(folder, key=KEY, name="random", dim=DIM).close()
    with filled(folder, "photo") as database:
        hotels = max(HOTELS * photos // PHOTOS, 1) if photos <= PHOTOS else 0
        write_hotels(database, hotels)
        write_photos(database, photos, hotels)


def put_text_tower(folder: LibraryFolder, model: str) -> None:
    """Put a model's text tower, such as that of ViT-B-32 with random weights, under the library's model key."""
    from embedding.open_clip_encoder import OpenClipEncoder
    from embedding.text_export import export_text_tower

    if folder.text_tower(KEY).exists():
        return
    encoder = OpenClipEncoder.load(model, device="cpu", precision="float32")
    encoder.key = KEY
    if problem := export_text_tower(encoder, folder.text_tower(KEY)):
        raise SystemExit(f"{model} leaves no text tower: {problem}")


@contextmanager
def filled(folder: LibraryFolder, table: str) -> Iterator[sqlite3.Connection]:
    """Yield the database for many rows of a table, by SQLite's own module: nothing here measures writing.

    The table's indexes are made at the end, which sorts once.
    """
    with closing(sqlite3.connect(folder.database_file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA cache_size = -500000")
        indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?"
        made = database.execute(indexes, (table,)).fetchall()
        for name, _ in made:
            database.execute(f"DROP INDEX {name}")
        database.execute("BEGIN")
        yield database
        database.execute("COMMIT")
        for _, sql in made:
            database.execute(sql)
        database.execute("PRAGMA journal_mode = WAL")


def write_hotels(database: sqlite3.Connection, count: int) -> None:
    """Write hotels and their chains."""
    chainless = count * CHAINLESS_HOTELS // HOTELS
    database.executemany("INSERT INTO chain VALUES (?, ?)", [(i, f"Chain {i}") for i in range(1, CHAINS + 1)])
    database.executemany(
        "INSERT INTO hotel (id, name, chain_id, latitude, longitude) VALUES (?, ?, ?, ?, ?)",
        [
            (i, f"Grand Hotel No. {i}, Quay", None if i <= chainless else 1 + i % CHAINS, 48.85, 2.35)
            for i in range(1, count + 1)
        ],
    )


def write_photos(database: sqlite3.Connection, photos: int, hotels: int) -> None:
    """Write the photos' rows, which say that they are embedded; so many hotels have them, none where that is 0."""
    of_hotel: Iterable[int | None] = [None] * photos
    if hotels:
        of_hotel = np.sort(np.random.default_rng(1).integers(1, hotels + 1, photos)).tolist()
    database.executemany(
        "INSERT INTO photo (id, path, member, size_bytes, mtime_ns, image_id, hotel_id, image_source, width_px,"
        " height_px, format, grey, content_sha256, state)"
        " VALUES (?, ?, '', 20000, 0, ?, ?, ?, ?, ?, 'JPEG', 0, ?, 'embedded')",
        (
            (
                i,
                path_of(i, hotel),
                None if hotel is None else 5_000_000 + i,
                hotel,
                None if hotel is None else "travel_website",
                WIDTH_PX,
                HEIGHT_PX,
                hashlib.sha256(i.to_bytes(8)).digest(),
            )
            for i, hotel in enumerate(of_hotel, start=1)
        ),
    )


def path_of(number: int, hotel: int | None) -> str:
    """Return a path such as Hotels-50K's, or a camera's."""
    if hotel is None:
        return f"/photos/{number // 1000:05d}/{number:08d}.jpg"
    return f"/photos/images/train/{hotel % 93}/{hotel}/travel_website/{5_000_000 + number}.jpg"


def random_vectors(count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield unit vectors (n, d) float32, in blocks."""
    draw = np.random.default_rng(seed)
    for start in range(0, count, BLOCK_ROWS):
        vectors = draw.standard_normal((min(BLOCK_ROWS, count - start), DIM), np.float32)
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def record_segments(folder: LibraryFolder, files: Iterable[SegmentFile]) -> None:
    """Write the rows of segments, and in which of them whose vector lies; photo ids ascend from 1."""
    first = 1
    with filled(folder, "embedding") as database:
        for number, file in enumerate(files, start=1):
            database.execute(
                "INSERT INTO vector_segment (id, model_id, name, rows, alive, size_bytes, sha256, restyled)"
                " VALUES (?, 1, ?, ?, ?, ?, ?, 0)",
                (number, file.name, file.rows, file.alive, file.size_bytes, file.sha256),
            )
            database.execute(
                "INSERT INTO embedding (model_id, photo_id, segment_id)"
                " SELECT 1, id, ? FROM photo WHERE id BETWEEN ? AND ?",
                (number, first, first + file.rows - 1),
            )
            first += file.rows
