"""Bringing a collection in Milvus up to date with the vectors, and measuring what it finds. Answers no searches."""

import re
import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from base.arrays import Floats, Ids
from base.errors import LibraryError
from base.progress import Progress, Step, silent
from embedding.index.building import CLOSE, RECALL_AT, IndexChoice, best_scores, recall_at_10
from embedding.index.milvus import (
    FEWEST_CANDIDATES,
    IDS_AT_ONCE,
    MILVUS_MANIFEST,
    SEARCH_S,
    WRITE_S,
    Collection,
    MilvusEngine,
    absolute_uri,
    connected,
    created,
    is_file,
    is_marked,
    milvus_errors,
    read_collection,
    write_collection,
)
from embedding.index.photo_index import PhotoIndex

MOST_CANDIDATES = 4_096
BATCH_BYTES = 4 << 20  # of vectors sent at once; a server takes 64 MB
SHARES = (0.5, 0.1, 0.01)  # of the photos, left by filters that are measured; fewer are quickly compared here
TEXTS_AT_ONCE = 32
POLL_S = 0.5
RESERVE = 2


def sync(
    folder: Path,
    base: PhotoIndex,
    model_key: str,
    choice: IndexChoice,
    *,
    texts: Callable[[], Floats] | None = None,
    progress: Progress = silent,
    rebuild: bool = False,
) -> tuple[Collection, bool]:
    """Make the collection hold exactly the photos of `base`; return what stands, and whether that took writing.

    Only what lies in segments that it does not cover is sent.

    A kill at any moment leaves a collection that is not used, and that the next call repairs.

    Args:
        folder: the index's folder.
        base: the photos.
        model_key: of the model that made their vectors.
        choice: `milvus` is the URI.
        texts: gives vectors of text queries, (q, d), to measure recall by; None: what was measured before stays.
        progress: is told how many photos have been sent.
        rebuild: make a new collection.

    Raises:
        LibraryError: pymilvus is absent, nothing answers, or the collection is of another kind.
        OSError: the disk is full or cannot be written.
    """
    uri = absolute_uri(choice.milvus or "")
    about = read_collection(folder)
    target = (uri, model_key, base.dim)
    with closing(connected(uri)) as client, milvus_errors(uri):
        if about is not None and (rebuild or (about.uri, about.model_key, about.dim) != target):
            leave(folder)
            about = None
        whole = about is not None and is_marked(client, about)
        if about is not None and whole and set(base.base.names) <= set(about.covers) and about.entries == len(base):
            if about.least_recall == choice.least_recall and (about.sound or texts is None):
                return about, False
        else:
            if about is None:
                about = new_collection(model_key, uri, base.dim)
            fresh = base.base.without(about.covers).ids if whole else None
            write_collection(folder, replace(about, covers=()))  # meanwhile it is not used
            mark = send(client, about, base, fresh, progress)
            about = replace(about, mark=mark, entries=len(base), covers=base.base.names, recall=None)
            write_collection(folder, about)  # where measuring fails, it need not be sent again
        about = replace(about, least_recall=choice.least_recall)
        if texts is not None and not about.exact:
            about = measured(client, about, base, texts(), progress)
        write_collection(folder, about)
    return about, True


def new_collection(model_key: str, uri: str, dim: int) -> Collection:
    """Return a collection to be made, by a name that no other library has."""
    name = f"aliens_{re.sub(r'[^A-Za-z0-9]', '_', model_key)[:200]}_{secrets.token_hex(4)}"
    return Collection(model_key=model_key, uri=uri, name=name, dim=dim, exact=is_file(uri))


def send(client: Any, about: Collection, base: PhotoIndex, fresh: Ids | None, progress: Progress) -> int:
    """Make the collection's rows those of `base` and return the new mark, which is written last."""
    created(client, about)
    here = collection_ids(client, about.name)
    wanted = base.ids
    new = wanted if fresh is None else np.union1d(np.setdiff1d(wanted, here), np.intersect1d(fresh, wanted))
    delete(client, about.name, here[here < 0])  # the mark: from here on the collection is not whole
    rows = max(1, BATCH_BYTES // (4 * about.dim))
    for at in range(0, len(new), rows):
        ids = new[at : at + rows]
        upsert(client, about.name, ids, base.vectors(ids))
        progress(Step("sending to Milvus", at + len(ids), len(new)))
    delete(client, about.name, np.setdiff1d(here[here >= 0], wanted))
    client.flush(about.name, timeout=WRITE_S)
    mark = secrets.randbelow(1 << 62) + 1
    upsert(client, about.name, np.array([-mark]), np.zeros((1, about.dim), np.float32))
    return mark


def collection_ids(client: Any, name: str) -> Ids:
    """Return the ids of all rows of a collection, (m,) int64 ascending."""
    pages = client.query_iterator(name, batch_size=10_000, output_fields=["photo_id"], timeout=WRITE_S)
    ids: list[int] = []
    try:
        while page := pages.next():
            ids += [row["photo_id"] for row in page]
    finally:
        pages.close()
    return np.unique(np.array(ids, np.int64))


def upsert(client: Any, name: str, ids: Ids, vectors: Floats) -> None:
    """Write photos, ids (m,) and vectors (m, d) float32."""
    rows = [{"photo_id": photo_id, "vector": vector} for photo_id, vector in zip(ids.tolist(), vectors, strict=True)]
    client.upsert(name, rows, timeout=WRITE_S)


def delete(client: Any, name: str, ids: Ids) -> None:
    """Remove photos, ids (m,)."""
    for at in range(0, len(ids), IDS_AT_ONCE):
        client.delete(name, ids=ids[at : at + IDS_AT_ONCE].tolist(), timeout=WRITE_S)


def measured(client: Any, about: Collection, base: PhotoIndex, texts: Floats, progress: Progress) -> Collection:
    """Return the collection with the fewest candidates by which it finds enough, or the most, and what it finds.

    A graph that is filtered while it is walked may lose hits; which filters it answers is measured as well. Milvus
    merges segments at its leisure, and one large graph finds less than several small ones, so more candidates are
    named than it took.
    """
    await_graph(client, about.name, progress)
    truth = best_scores(base, texts)
    about = replace(about, least_share=0.0)
    candidates = FEWEST_CANDIDATES
    while True:
        engine = MilvusEngine(replace(about, candidates=candidates), client)
        found = recall_at_10(engine, base, texts, truth)
        if engine.problem:
            raise LibraryError(engine.problem)
        progress(Step("measuring", int(1000 * min(found / about.least_recall, 1)), 1000))
        if found >= about.least_recall or candidates >= MOST_CANDIDATES:
            break
        candidates *= 2
    least_share = 1.0
    for share in SHARES:
        if filtered_recall(engine, base, texts, share) < about.least_recall:
            break
        least_share = share
    reserve = min(RESERVE * candidates, MOST_CANDIDATES)
    return replace(about, candidates=reserve, recall=found, queries=len(texts), least_share=least_share)


def await_graph(client: Any, name: str, progress: Progress) -> None:
    """Wait until Milvus has put all rows in its graph: what is not in it yet is compared whole, and found too well."""
    deadline = time.monotonic() + WRITE_S
    while time.monotonic() < deadline:
        about = client.describe_index(name, index_name="vector", timeout=SEARCH_S)
        pending, total = int(about.get("pending_index_rows", 0)), int(about.get("total_rows", 0))
        progress(Step("Milvus builds its index", total - pending, total))
        if pending <= 0:
            return
        time.sleep(POLL_S)


def filtered_recall(engine: MilvusEngine, base: PhotoIndex, texts: Floats, share: float) -> float:
    """Return recall@10 with a filter that leaves a share of the photos, scattered.

    Raises: LibraryError: Milvus stopped answering.
    """
    ids = base.ids
    among = ids[np.random.default_rng(0).random(len(ids)) < share]
    searched = base.with_engine(engine)
    found, of = 0, 0
    for at in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[at : at + TEXTS_AT_ONCE]
        truth, _ = base.search(some, RECALL_AT, among=among, exact=True)
        scores, _ = searched.search(some, RECALL_AT, among=among)
        found += int((scores >= truth[:, -1:] - CLOSE).sum()) if truth.size else 0
        of += truth.size
    if engine.problem:
        raise LibraryError(engine.problem)
    return found / of if of else 1.0


def leave(folder: Path) -> None:
    """Forget the collection, where there is one, and drop it; where nothing answers it stays in Milvus."""
    about = read_collection(folder)
    (folder / MILVUS_MANIFEST).unlink(missing_ok=True)
    if about is None:
        return
    try:
        with closing(connected(about.uri)) as client, milvus_errors(about.uri):
            client.drop_collection(about.name, timeout=SEARCH_S)
    except LibraryError:
        return
