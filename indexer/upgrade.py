"""Bringing libraries of earlier versions up to date: shards of 256 vectors become segments. Embeds nothing anew.

New files are written beside the old ones, one transaction makes them count, and the old ones are removed after that: a
kill at any moment leaves a library of the one version or of the other.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from base.arrays import Halves, Ids, Longs, read_npy
from base.errors import LibraryError
from base.files import files_of_ours, open_regular, read_regular
from base.progress import Progress, Step, shown
from base.records import converted, parse_json, write_record
from base.settings import LibraryFolder
from db.catalog import Catalog
from db.revisions import current_revision, migrate
from embedding.index.approximate import APPROXIMATE_MANIFEST, Approximation
from embedding.index.milvus import MILVUS_MANIFEST, Collection, write_collection
from embedding.index.photo_index import strays_of_index
from embedding.opened_segment import BLOCK_ROWS
from embedding.scores import ScoreStore, remove_scores
from embedding.segments import SegmentStore

BEFORE_SEGMENTS = "0004"
ALL_IDS, STAMP_BYTES = 1 << 24, 4096  # bytes of a shard's two files that it was told by
PACK_ROWS = 250_000  # of shards that become a segment
OLD_APPROXIMATION, OLD_COLLECTION = "approximate.json", "milvus.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard of an earlier version: two files, ids and vectors; `number` is their name."""

    id: int
    number: int
    rows: int


@dataclass(frozen=True, slots=True)
class OldModel:
    """A model of a library of an earlier version; `generation` counted the changes to its vectors."""

    id: int
    key: str
    dim: int
    generation: int


@dataclass(frozen=True, slots=True)
class OldScores:
    """Scores of an earlier version: of each shard, by its number, the rows of a piece; `columns` of them."""

    columns: int
    of_shard: Mapping[int, Halves]


def upgrade(catalog: Catalog) -> None:
    """Bring a library up to date. Needs its lock; may be done again after a kill.

    Photos whose shard is damaged are to be embedded anew by the next `aliens add`.

    Raises: OSError, DiskFullError: the disk is full; the library is of the earlier version still.
    """
    if (current_revision(catalog.engine) or "") > BEFORE_SEGMENTS:  # it has segments
        migrate(catalog.engine)
        return
    folder = catalog.folder
    with shown(None) as progress:
        migrate(catalog.engine, BEFORE_SEGMENTS)
        with catalog.engine.connect() as connection:
            models = [OldModel(*row) for row in connection.execute(text("SELECT id, key, dim, generation FROM model"))]
            segments: list[dict[str, Any]] = []
            for model in models:
                made = list(segments_made(connection, folder, model, len(segments) + 1, progress))
                keep_covering(folder, model, [row["name"] for row in made if not row["restyled"]])
                segments += made
        migrate(catalog.engine, segments=segments)
    for model in models:
        remove_old(folder, model.key, [segment["name"] for segment in segments])


def segments_made(
    connection: Connection, folder: LibraryFolder, model: OldModel, first_id: int, progress: Progress
) -> Iterator[dict[str, Any]]:
    """Write a model's segments, and yield each as columns of its table, with the ids of the shards in it."""
    store = SegmentStore(folder.vectors(model.key), model.dim)
    for path in store.strays(()):  # of an upgrade that was killed
        if path.suffix != ".npy":
            path.unlink()
    statement = text(
        "SELECT restyled, id, number, count FROM vector_shard WHERE model_id = :model ORDER BY restyled, number"
    )
    shards = [(bool(row[0]), Shard(*row[1:])) for row in connection.execute(statement, {"model": model.id})]
    stamps = {shard.number: stamp(store, shard) for _, shard in shards}
    refuse_lost(store, stamps)
    scores = {
        where: old_scores(where, {shard.number: (shard.rows, stamps[shard.number]) for _, shard in shards})
        for where in folder.photo_table(model.key).glob("*/")
    }
    done, lost, total = 0, 0, sum(shard.rows for _, shard in shards)
    for restyled, pack in packs(shards, scores):
        parts = [(shard, *part) for shard in pack if (part := read_shard(connection, store, shard)) is not None]
        done += sum(shard.rows for shard in pack)
        lost += sum(shard.rows for shard in pack) - sum(shard.rows for shard, *_ in parts)
        ids = np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts)])
        if len(ids):
            order = np.argsort(ids, kind="stable")
            vectors = np.concatenate([part[2] for part in parts])
            starts = range(0, len(order), BLOCK_ROWS)
            blocks = [order[start : start + BLOCK_ROWS] for start in starts]
            file = store.write_parts((ids[block], vectors[block]) for block in blocks)
            for where, old in scores.items():
                if not restyled and old is not None and all(shard.number in old.of_shard for shard, *_ in parts):
                    whole = np.concatenate([old.of_shard[shard.number][rows] for shard, _, _, rows in parts])
                    ScoreStore(where, old.columns).write(file.name, file.rows, [whole[order]])
            yield {
                "id": first_id,
                "model_id": model.id,
                "restyled": restyled,
                "name": file.name,
                "rows": file.rows,
                "size_bytes": file.size_bytes,
                "sha256": file.sha256,
                "shards": [shard.id for shard, *_ in parts],
            }
            first_id += 1
        note = f"{lost} in damaged shards, to be embedded anew by `aliens add FOLDER`" if lost else ""
        progress(Step("bringing the library up to date", done, total, note=note))


def stamp(store: SegmentStore, shard: Shard) -> int | None:
    """Return what told a shard from another of the same number; None where there is no such shard.

    Raises: LibraryError: it is there and cannot be read now.
    """
    try:
        with reading(shard):
            ids_file, vectors_file = shard_files(store, shard)
            with open_regular(ids_file) as ids, open_regular(vectors_file) as vectors:
                return zlib.crc32(ids.read(ALL_IDS)) << 31 ^ zlib.crc32(vectors.read(STAMP_BYTES))
    except FileNotFoundError:
        return None


def shard_files(store: SegmentStore, shard: Shard) -> tuple[Path, Path]:
    """Return where the ids of a shard, and its vectors, lie."""
    return store.folder / f"{shard.number:06d}.ids.npy", store.folder / f"{shard.number:06d}.npy"


@contextmanager
def reading(shard: Shard) -> Iterator[None]:
    """Refuse to take a shard for lost that is there and cannot be read now: a disk may be failing, or be somebody's."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LibraryError(
            f"shard {shard.number} of the vectors cannot be read ({error.strerror}), so the library was not brought up "
            "to date: nothing was changed"
        ) from error


def refuse_lost(store: SegmentStore, stamps: Mapping[int, int | None]) -> None:
    """Refuse to bring a library up to date most of whose vectors are absent: a disk may not be there.

    Raises: LibraryError: more than half of the shards are.
    """
    absent = sum(told is None for told in stamps.values())
    if 2 * absent > len(stamps):
        raise LibraryError(
            f"{absent} of the {len(stamps)} files of vectors in {store.folder} are absent, so the library was not "
            "brought up to date: bring the folder back, from a backup if need be, and run the same command again"
        )


def packs(
    shards: Sequence[tuple[bool, Shard]], scores: Mapping[Path, OldScores | None]
) -> Iterator[tuple[bool, list[Shard]]]:
    """Yield shards that become one segment: of the same kind, and scored with the same vocabularies."""
    groups: dict[tuple[bool, frozenset[Path]], list[Shard]] = {}
    for restyled, shard in shards:
        scored = frozenset(path for path, old in scores.items() if old is not None and shard.number in old.of_shard)
        groups.setdefault((restyled, scored), []).append(shard)
    for (restyled, _), group in groups.items():
        pack: list[Shard] = []
        for shard in group:
            if pack and sum(s.rows for s in pack) + shard.rows > PACK_ROWS:
                yield restyled, pack
                pack = []
            pack.append(shard)
        yield restyled, pack


def read_shard(connection: Connection, store: SegmentStore, shard: Shard) -> tuple[Ids, Halves, Longs] | None:
    """Return ids (n,), vectors (n, d) and rows (n,) of the photos recorded in a shard; None where it is damaged.

    Raises: LibraryError: it is there and cannot be read now.
    """
    try:
        with reading(shard):
            ids, vectors = map(read_npy, shard_files(store, shard))
    except (OSError, ValueError):  # it is absent, or damaged
        return None
    if ids.dtype != np.int64 or vectors.dtype != np.float16 or vectors.shape != (shard.rows, store.dim):
        return None
    statement = text("SELECT photo_id, row FROM embedding WHERE shard_id = :shard ORDER BY row")
    recorded = np.array([tuple(row) for row in connection.execute(statement, {"shard": shard.id})], np.int64)
    recorded = recorded.reshape(-1, 2)
    rows = recorded[:, 1]
    if ids.shape != (shard.rows,) or (len(rows) and rows[-1] >= shard.rows) or (ids[rows] != recorded[:, 0]).any():
        return None
    return recorded[:, 0], vectors[rows], rows


def old_scores(where: Path, shards: Mapping[int, tuple[int, int | None]]) -> OldScores | None:
    """Return the scores that an earlier version has left in a vocabulary's folder, or None where there are none.

    shards: {number: (rows, stamp)}; the scores of others, which once had such a number, are left out.
    """
    of_shard: dict[int, Halves] = {}
    columns = set()
    for path in sorted(where.glob("*.shards.npy")):
        try:
            parts, scores = read_npy(path), read_npy(path.with_name(path.name.replace(".shards", "")), mapped=True)
        except (OSError, ValueError):
            continue
        if scores.dtype != np.float16 or parts.ndim != 2 or parts.shape[1] != 3 or len(scores) != parts[:, 1].sum():
            continue
        columns.add(scores.shape[1])
        start = 0
        for number, rows, told in parts.tolist():
            if shards.get(number) == (rows, told):
                of_shard[number] = scores[start : start + rows]
            start += rows
    return OldScores(columns.pop(), of_shard) if len(columns) == 1 else None


def keep_covering(folder: LibraryFolder, model: OldModel, covers: Sequence[str]) -> None:
    """Have an approximate index, or a collection in Milvus, that held all photos cover the new segments."""
    where = folder.index(model.key)
    for name, target, kind in (
        (OLD_APPROXIMATION, APPROXIMATE_MANIFEST, Approximation),
        (OLD_COLLECTION, MILVUS_MANIFEST, Collection),
    ):
        try:
            plain = parse_json(read_regular(where / name))
            current = plain["generation"] == model.generation
            known = {field.name for field in fields(kind)}
            about = converted({key: plain[key] for key in plain if key in known} | {"covers": list(covers)}, kind)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if current and isinstance(about, Collection):
            write_collection(where, about)
        elif current:
            write_record(where / target, about)


def remove_old(folder: LibraryFolder, key: str, segments: Sequence[str]) -> None:
    """Remove the files of the earlier version."""
    SegmentStore(folder.vectors(key), 0).remove_strays(segments)
    for path in strays_of_index(folder.index(key)):
        path.unlink(missing_ok=True)
    tags = folder.photo_table(key)
    for path in files_of_ours(tags):  # the table of photos: it is written anew
        path.unlink()
    for where in tags.glob("*/"):
        remove_scores(where, segments)
    folder.floors_file.unlink(missing_ok=True)  # which are calibrated anew
