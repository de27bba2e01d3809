"""Rows that lie in a collection of Milvus alone: read back, compared bit for bit, kept there and brought back.

Of a segment whose file is gone its ids stay here, and a sum of each row, by which what comes back is checked. A file is
removed only after all of its rows were read back; it is made again, byte for byte, before the collection is left.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from base.arrays import Halves, Ids
from base.errors import LibraryError
from base.files import SegmentFile
from base.progress import Progress, Step, silent
from base.settings import LibraryFolder
from embedding.faiss_files import write_segment
from embedding.index.milvus import (
    BOUNDED,
    SEARCH_S,
    Collection,
    connected,
    is_marked,
    milvus_errors,
    read_collection,
    shown_uri,
    write_collection,
)
from embedding.index.milvus_sync import rows_gone
from embedding.opened_segment import BRING_BACK, RemoteSegment, Segment, write_stub
from embedding.segments import SegmentStore

FETCHED_BYTES = 8 << 20  # of vectors asked for at once; a server sends 64 MB


class RowsInMilvus:
    """Fetches rows of the collection that an index's folder tells of; connects at the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[Collection, Any] | None = None
        self._process = os.getpid()  # a forked child connects for itself

    def __call__(self, ids: Ids) -> Halves:
        """Return the vectors of photos, (n, d) float16, in the order of the ids.

        Zeros of those that are not there. Raises: LibraryError: Milvus gives no answer, or the collection is another's.
        """
        about, client = self._opened()
        try:
            return fetched_rows(client, about, ids)
        except LibraryError:
            self._known = None
            client.close()
            raise

    def _opened(self) -> tuple[Collection, Any]:
        about = read_collection(self._folder)
        if about is None:
            raise LibraryError(
                f"the record of the collection in Milvus is gone or damaged, and the rows of segments lie there alone: "
                f"put {self._folder} back from a backup, or `aliens verify --repair` has their photos embedded anew"
            )
        if self._known is None or self._known[0].name != about.name or self._process != os.getpid():
            client = connected(about.uri)
            with milvus_errors(about.uri):
                if not is_marked(client, about):
                    client.close()
                    raise rows_gone(about)
            self._known, self._process = (about, client), os.getpid()
        return about, self._known[1]


def segment_store(folder: LibraryFolder, model_key: str, dim: int) -> SegmentStore:
    """Return the segments of a library's model, those among them whose rows lie in Milvus."""
    return SegmentStore(folder.vectors(model_key), dim, RowsInMilvus(folder.index(model_key)))


def lost_rows(folder: Path) -> tuple[str, ...]:
    """Return the segments whose rows lay in a collection alone that is gone, or another's: Milvus has to say so."""
    about = read_collection(folder)
    if about is None or not about.remote:
        return ()
    try:
        with closing(connected(about.uri)) as client, milvus_errors(about.uri):
            return () if is_marked(client, about) else about.remote
    except LibraryError:  # no answer says nothing
        return ()


def fetched_rows(client: Any, about: Collection, ids: Ids) -> Halves:
    """Return the vectors of photos, (n, d) float16, in the order of the ids; zeros of those that are not there."""
    vectors = np.zeros((len(ids), about.dim), np.float16)
    step = max(1, min(FETCHED_BYTES // (4 * about.dim), 8_192))
    for at in range(0, len(ids), step):
        page = ids[at : at + step]
        with milvus_errors(about.uri):
            rows = client.query(
                about.name,
                filter=f"photo_id in {page.tolist()}",
                output_fields=["photo_id", "vector"],
                limit=len(page),
                consistency_level=BOUNDED,
                timeout=SEARCH_S,
            )
        found = {row["photo_id"]: row["vector"] for row in rows}
        here = [place for place, photo_id in enumerate(page.tolist()) if photo_id in found]
        if here:
            vectors[at + np.array(here)] = np.array([found[i] for i in page[here].tolist()], np.float32)
    return vectors


def blocks(segment: Segment, dim: int) -> Iterator[slice]:
    """Yield the rows of a segment, as many at a time as are fetched at once."""
    step = max(1, min(FETCHED_BYTES // (4 * dim), 8_192))
    for start in range(0, len(segment), step):
        yield slice(start, min(start + step, len(segment)))


def keep_rows_there(
    folder: Path, store: SegmentStore, files: list[SegmentFile], progress: Progress = silent
) -> Collection:
    """Remove the files of segments whose rows the collection has, after reading back and comparing every one of them.

    A kill leaves each segment's file, or its ids here and its rows there, recorded.

    Raises: LibraryError: Milvus gives no answer, or a row there is not what it is here; then no file is removed.
    """
    about = read_collection(folder)
    assert about is not None
    here = [file for file in files if store.path(file.name).exists()]
    fresh = [store.open(file) for file in here if file.name not in about.remote]
    if absent := [segment.name for segment in fresh if segment.name not in about.covers]:
        raise LibraryError(f"segment {absent[0]} is not in Milvus: `aliens index` sends it")
    done, total = 0, sum(map(len, fresh))
    with closing(connected(about.uri)) as client, milvus_errors(about.uri):
        if not is_marked(client, about):
            raise rows_gone(about)
        for segment in fresh:
            for rows in blocks(segment, about.dim):
                there = fetched_rows(client, about, segment.ids[rows])
                if not np.array_equal(there.view(np.uint16), segment.vectors[rows].view(np.uint16)):
                    raise LibraryError(
                        f"Milvus at {shown_uri(about.uri)} gives back other rows of segment {segment.name} than were "
                        "sent, so all rows stay here: see that nothing else writes to its collection, then "
                        "`aliens index --rebuild`"
                    )
                done += len(there)
                progress(Step("reading back from Milvus", done, total))
    for segment in fresh:
        write_stub(store.stub(segment.name), segment)
    about = replace(about, remote=tuple(sorted({*about.remote, *(segment.name for segment in fresh)})))
    write_collection(folder, about)
    for file in here:
        store.let_go(file.name)
        store.path(file.name).unlink(missing_ok=True)
    return about


def bring_rows_back(
    store: SegmentStore,
    files: list[SegmentFile],
    rewrite: Callable[[RemoteSegment], None],
    progress: Progress = silent,
) -> None:
    """Write the files of segments anew whose rows lie in Milvus alone, each checked by the checksum that it had.

    rewrite: makes another segment of one that has lost rows which are nobody's.

    Raises:
        LibraryError: Milvus gives no answer, or a row is not what it was; what came back so far stays.
        OSError: the disk is full.
    """
    remote = [file for file in files if store.is_remote(file.name)]
    done, total = 0, sum(file.rows for file in remote)
    for file in remote:
        segment = store.open(file)
        assert isinstance(segment, RemoteSegment)

        def parts(segment: RemoteSegment = segment) -> Iterator[tuple[Ids, Halves]]:
            nonlocal done
            for rows in blocks(segment, store.dim):
                yield segment.ids[rows], segment.rows.strict(np.arange(rows.start, rows.stop))
                done += rows.stop - rows.start
                progress(Step("bringing rows back from Milvus", done, total))

        try:
            written, _ = write_segment(store.path(file.name), store.dim, parts())
        except LibraryError:
            if file.alive == file.rows:
                raise
            rewrite(segment)  # photos that have changed took their rows' places
            continue
        if written.sha256 != file.sha256:
            store.path(file.name).unlink()
            raise LibraryError(
                f"segment {file.name} came back from Milvus with another checksum than it had: see that nothing else "
                f"writes to the collection; {BRING_BACK} tries again"
            )
        store.let_go(file.name)
    for file in remote:
        store.stub(file.name).unlink(missing_ok=True)
