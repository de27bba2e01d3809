"""A library of random vectors, as large as Hotels-50K, for benchmarks: no photo exists, no model made them.

1,124,215 photos of 50,000 hotels of 92 chains; 27,519 hotels belong to no chain. Vectors: random unit vectors of 512
dimensions, drawn from 4,096 different ones. Shards of 256 rows, as `aliens add` writes them.
"""

import sqlite3
from pathlib import Path

import numpy as np

from base.settings import LibraryFolder
from db.catalog import Catalog
from embedding.store import VectorStore

PHOTOS, HOTELS, CHAINS, CHAINLESS_HOTELS = 1_124_215, 50_000, 92, 27_519
DIM, SHARD_ROWS, KEY = 512, 256, "random-00000000"
WIDTH_PX, HEIGHT_PX = 350, 233


def million_library(root: Path, photos: int = PHOTOS) -> LibraryFolder:
    """Return the library, made at the first call (about a minute, 1.5 GB)."""
    folder = LibraryFolder(root)
    if (root / "done").exists():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    Catalog.create(folder, key=KEY, name="random", dim=DIM).close()
    draw = np.random.default_rng(0)
    write_rows(folder, photos, draw)
    write_vectors(folder, photos, draw)
    (root / "done").touch()
    return folder


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


def write_rows(folder: LibraryFolder, photos: int, draw: np.random.Generator) -> None:
    """Fill the tables, by SQLite's own module: nothing here measures writing."""
    database = sqlite3.connect(folder.database_file)
    database.executemany("INSERT INTO chain VALUES (?, ?)", [(i, f"Chain {i}") for i in range(1, CHAINS + 1)])
    database.executemany(
        "INSERT INTO hotel (id, name, chain_id, latitude, longitude) VALUES (?, ?, ?, ?, ?)",
        [
            (i, f"Grand Hotel No. {i}, Quay", None if i <= CHAINLESS_HOTELS else 1 + i % CHAINS, 48.85, 2.35)
            for i in range(1, HOTELS + 1)
        ],
    )
    hotels = np.sort(draw.integers(1, HOTELS + 1, photos)).tolist()
    database.executemany(
        "INSERT INTO photo (id, path, member, size_bytes, mtime_ns, image_id, hotel_id, image_source, width_px,"
        " height_px, format, grey, state) VALUES (?, ?, '', 20000, 0, ?, ?, ?, ?, ?, 'JPEG', 0, 'embedded')",
        (
            (i, path_of(i, hotel), 5_000_000 + i, hotel, "travel_website", WIDTH_PX, HEIGHT_PX)
            for i, hotel in enumerate(hotels, start=1)
        ),
    )
    database.execute("UPDATE model SET generation = 1")
    counts = [min(SHARD_ROWS, photos - start) for start in range(0, photos, SHARD_ROWS)]
    database.executemany(
        "INSERT INTO vector_shard (id, model_id, number, count) VALUES (?, 1, ?, ?)",
        [(i, i, n) for i, n in enumerate(counts, 1)],
    )
    database.executemany(
        "INSERT INTO embedding (model_id, photo_id, shard_id, row) VALUES (1, ?, ?, ?)",
        ((i + 1, i // SHARD_ROWS + 1, i % SHARD_ROWS) for i in range(photos)),
    )
    database.commit()
    database.close()


def path_of(number: int, hotel: int) -> str:
    """Return a path such as Hotels-50K's."""
    return f"/photos/images/train/{hotel % 93}/{hotel}/travel_website/{5_000_000 + number}.jpg"


def write_vectors(folder: LibraryFolder, photos: int, draw: np.random.Generator) -> None:
    """Write the shards."""
    base = draw.normal(size=(4096, DIM)).astype(np.float32)
    base = (base / np.linalg.norm(base, axis=1, keepdims=True)).astype(np.float16)
    place = folder.vectors(KEY)
    place.mkdir(parents=True)
    for number, start in enumerate(range(0, photos, SHARD_ROWS), start=1):
        ids = np.arange(start + 1, min(start + SHARD_ROWS, photos) + 1)
        first = number * 7 % (len(base) - SHARD_ROWS)
        np.save(place / f"{number:06d}.ids.npy", ids)  # not VectorStore.write, whose syncing takes minutes here
        np.save(place / f"{number:06d}.npy", base[first : first + len(ids)])
    VectorStore(place, DIM).read(1)
