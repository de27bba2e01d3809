"""Bringing a collection in Milvus up to date with the vectors, and measuring what it finds. Answers no searches.

Segments are what is sent and told apart by: no list of all photos is made here or asked of Milvus.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from base.arrays import Bools, Floats, Ids
from base.errors import LibraryError
from base.progress import Progress, Step, silent
from embedding.index.building import CLOSE, RECALL_AT, IndexChoice, best_scores, recall_at_10
from embedding.index.exact import exact_search
from embedding.index.left import Left
from embedding.index.milvus import (
    FEWEST_CANDIDATES,
    MILVUS_MANIFEST,
    MOST_CANDIDATES,
    SEARCH_S,
    WRITE_S,
    Collection,
    MilvusEngine,
    absolute_uri,
    connected,
    counted_rows,
    created,
    is_file,
    is_marked,
    milvus_errors,
    read_collection,
    shown_uri,
    write_collection,
)
from embedding.index.milvus_fields import PARTS, SCHEME, FieldSource, NoFields, PhotoFields, parts_of_ids, quoted_text
from embedding.index.milvus_filters import IDS_AT_ONCE
from embedding.index.photo_index import PhotoIndex
from embedding.opened_segment import BLOCK_ROWS, ELSEWHERE, Segment
from embedding.segments import Vectors

BATCH_BYTES = 4 << 20  # of vectors sent at once; a server takes 64 MB
SHARES = (0.5, 0.1, 0.01)  # of the photos, left by filters that are measured; fewer are quickly compared here
TEXTS_AT_ONCE = 32
POLL_S = 0.5
RESERVE = 2
KEPT_BLOCKS = 8  # after as many it is kept how far a segment was sent


def sync(
    folder: Path,
    base: PhotoIndex,
    model_key: str,
    choice: IndexChoice,
    *,
    rows: Vectors | None = None,
    fields: FieldSource | None = None,
    texts: Callable[[], Floats] | None = None,
    progress: Progress = silent,
    rebuild: bool = False,
) -> tuple[Collection, bool]:
    """Make the collection hold exactly the photos of `base`; return what stands, and whether that took writing.

    Only what lies in segments that it does not cover is sent, and fields that have changed. What it covered before can
    be searched meanwhile. A kill at any moment leaves what was sent; the next call goes on from there.

    Args:
        folder: the index's folder.
        base: the photos.
        model_key: of the model that made their vectors.
        choice: `milvus` is the URI.
        rows: what is to lie in the collection, by default the photos of `base`; all, where rows lie there alone.
        fields: what is known of the photos besides, so that filters can be said to Milvus; by default nothing is.
        texts: gives vectors of text queries, (q, d), to measure recall by; None: what was measured before stays.
        progress: is told how many photos have been sent.
        rebuild: make a new collection.

    Raises:
        LibraryError: pymilvus is absent, nothing answers, the server is too old, or it lost rows that were sent.
        OSError: the disk is full or cannot be written.
    """
    uri, fields = absolute_uri(choice.milvus or ""), fields or NoFields()
    about = read_collection(folder)
    with closing(connected(uri)) as client, milvus_errors(uri):
        target = (uri, model_key, base.dim, SCHEME)
        kept = () if about is None else about.remote
        if (
            about is not None
            and not kept
            and (rebuild or (about.uri, about.model_key, about.dim, about.scheme) != target)
        ):
            leave(folder)
            about = None
        if about is not None and about.mark and not is_marked(client, about):
            if kept:
                raise rows_gone(about)
            about = None  # gone, or another's by now, who is left alone
        if about is None:
            about = new_collection(model_key, uri, base.dim)
            write_collection(folder, about)
        if about.parts:
            about = about.settled((rows or base.base).names)
            write_collection(folder, about)
        vectors = rows or base.base
        if is_due(about, vectors, fields):
            about = Sending(client, folder, about, vectors, fields, progress).brought_up_to_date()
        elif about.least_recall == choice.least_recall and (about.sound or texts is None or base.is_remote):
            return about, False
        about = replace(about, least_recall=choice.least_recall)
        if texts is not None and not about.exact and not base.is_remote:
            about = measured(client, about, base, texts(), progress)
        write_collection(folder, about)
    return about, True


def is_due(about: Collection, vectors: Vectors, fields: FieldSource) -> bool:
    """Tell whether the collection lacks rows, has rows of none, or has other fields than photos have now."""
    rows = dict(zip(vectors.names, vectors.counts, strict=True))
    rows |= {name: about.alive.get(name, 0) for name in about.remote if name in rows}  # what became nobody's is gone
    there = (about.mark, set(about.covers), dict(about.alive), dict(about.stamps), about.sending, about.entries)
    return there != (about.mark or -1, set(rows), rows, dict(fields.stamps), "", len(vectors))


def new_collection(model_key: str, uri: str, dim: int) -> Collection:
    """Return a collection to be made, by a name that no other library has."""
    name = f"aliens_{re.sub(r'[^A-Za-z0-9]', '_', model_key)[:200]}_{secrets.token_hex(4)}"
    return Collection(model_key=model_key, uri=uri, name=name, dim=dim, exact=is_file(uri), scheme=SCHEME)


class Sending:
    """One bringing up to date of a collection. What is said of it is kept before and after each step."""

    def __init__(
        self,
        client: Any,
        folder: Path,
        about: Collection,
        vectors: Vectors,
        fields: FieldSource,
        progress: Progress,
    ) -> None:
        self.client = client
        self.about = about
        self._folder = folder
        self._vectors = vectors
        self._fields = fields
        self._progress = progress
        self._done, self._total = 0, 0

    def keep(self, about: Collection) -> None:
        """Keep what is said of the collection from now on."""
        self.about = about
        write_collection(self._folder, about)

    def brought_up_to_date(self) -> Collection:
        """Return what stands once the collection holds all photos and their fields.

        Raises: LibraryError: rows that were sent are not there.
        """
        created(self.client, self.about)
        self._mark()
        stamps = dict(self._fields.stamps)
        if grown := self._grown():
            self._drop(grown)
        for _ in range(2):
            self._forget_gone()
            self._remove_dead()
            self._send_fresh()
            self.client.flush(self.about.name, timeout=WRITE_S)
            broken = self._broken()
            if not broken:
                break
            self._drop(broken)
        else:
            raise LibraryError(
                f"the collection {self.about.name} of Milvus at {shown_uri(self.about.uri)} does not hold the rows "
                "that were sent to it: see that nothing else writes to it, then `aliens index --rebuild`"
            )
        if dict(self.about.stamps) != stamps:
            self._renew_fields()
        self.keep(replace(self.about, entries=len(self._vectors), covers=self._vectors.names, stamps=stamps))
        return self.about

    def _grown(self) -> list[str]:
        """Return the segments of which rows are wanted that were dead, and are not there: all rows of them are sent."""
        counts = zip(self._vectors.names, self._vectors.counts, strict=True)
        about = self.about
        return [name for name, rows in counts if name not in about.remote and about.alive.get(name, rows) < rows]

    def _mark(self) -> None:
        """Put a new mark in the place of the old one: whoever knows only that sees that the collection is another's."""
        new = secrets.randbelow(1 << 61) + 1
        self.keep(replace(self.about, next_mark=new))
        marks = np.array([-new])
        row = PhotoFields.unknown(1).rows(marks, list(np.zeros((1, self.about.dim), np.float32)), "", "mark")
        self.client.upsert(self.about.name, row, timeout=WRITE_S)
        left = [-mark for mark in self._marks() if mark != new]
        if left:
            self.client.delete(self.about.name, ids=left, timeout=WRITE_S)
        self.keep(replace(self.about, mark=new, next_mark=0))

    def _marks(self) -> list[int]:
        rows = self.client.query(
            self.about.name, filter="photo_id < 0", output_fields=["photo_id"], limit=100, timeout=SEARCH_S
        )
        return [-row["photo_id"] for row in rows]

    def _forget_gone(self) -> None:
        """Remove the rows of segments that the database knows no more, and of one that was half sent."""
        gone = [name for name in self.about.covers if name not in self._vectors.names]
        units = [unit for name in gone for unit in self.about.units_of(name)]
        if self.about.sending and self.about.sending not in self._vectors.names:
            units.append(self.about.sending)
        if units:
            self._delete(of_units(units))
            self.keep(replace(self.about.without(gone), sending="", sent=0))

    def _remove_dead(self) -> None:
        """Remove the rows of photos that have vanished or changed since they were sent."""
        about = self.about
        for segment, live, count in zip(self._vectors.segments, self._vectors.live, self._vectors.counts, strict=True):
            if (
                segment.name not in about.covers
                or segment.name in about.remote
                or live is None
                or about.alive.get(segment.name) == count
            ):
                continue
            dead, mine = segment.ids[~live], of_units(about.units_of(segment.name))
            for at in range(0, len(dead), IDS_AT_ONCE):
                self._delete(f"{mine} and photo_id in {dead[at : at + IDS_AT_ONCE].tolist()}")
            about = replace(about, alive={**about.alive, segment.name: count})
        if about is not self.about:
            self.keep(about)

    def _send_fresh(self) -> None:
        """Send the segments that the collection does not cover, and go on with one that was half sent."""
        fresh = self._vectors.without(self.about.covers)
        self._done, self._total = 0, len(fresh)
        for place in np.argsort([segment.name != self.about.sending for segment in fresh.segments], kind="stable"):
            segment, live = fresh.segments[place], fresh.live[place]
            sent, digests = 0, list[str]()
            if segment.name == self.about.sending:
                sent, digests = self.about.sent, list(self.about.digests.get(segment.name, ()))
                self._done += sent if live is None else int(live[:sent].sum())
            self._keep_sent(segment.name, sent, digests)
            for number, (ids, rows) in enumerate(blocks_of(segment, live, sent), start=sent // BLOCK_ROWS + 1):
                fields = self._fields.of(ids)
                digests.append(fields.digest(ids))
                self._write(segment, ids, rows, fields)
                if number % KEPT_BLOCKS == 0:
                    self._keep_sent(segment.name, number * BLOCK_ROWS, digests)
            self._count_replaced(segment.ids)
            whole = self.about.holding(segment.name, [segment.name], fresh.counts[place], tuple(digests))
            self.keep(replace(whole, sending="", sent=0))

    def _count_replaced(self, sent: Ids) -> None:
        """Keep that rows which lie in Milvus alone, and are nobody's by now, were replaced by what was just sent."""
        about = self.about
        for segment in self._vectors.only(about.remote).segments:
            replaced = int(segment.mask_of(sent).sum())
            if replaced:
                rows = counted_rows(self.client, about.name, of_units(about.units_of(segment.name)))
                if about.alive[segment.name] - replaced <= rows <= about.alive[segment.name]:
                    about = replace(about, alive={**about.alive, segment.name: rows})
        self.about = about

    def _keep_sent(self, name: str, rows: int, digests: Sequence[str]) -> None:
        known = {**self.about.digests, name: tuple(digests)}
        self.keep(replace(self.about, sending=name, sent=rows, digests=known))

    def _write(self, segment: Segment, ids: Ids, rows: Ids, fields: PhotoFields, *, counting: bool = True) -> None:
        """Write photos, ids (n,) that lie in rows (n,) of a segment, with their fields."""
        step = max(1, BATCH_BYTES // (4 * self.about.dim))
        every = fields.rows(ids, [None] * len(ids), segment.name)
        for at in range(0, len(ids), step):
            vectors = segment.vectors[rows[at : at + step]].astype(np.float32)
            batch = [row | {"vector": vector} for row, vector in zip(every[at : at + step], vectors, strict=True)]
            self.client.upsert(self.about.name, batch, timeout=WRITE_S)
            if counting:
                self._done += len(batch)
                self._progress(Step("sending to Milvus", self._done, self._total))

    def _delete(self, expression: str) -> None:
        self.client.delete(self.about.name, filter=expression, timeout=WRITE_S)

    def _broken(self) -> list[str]:
        """Return the segments of which the collection has not exactly the living rows; rows of none are removed."""
        about = self.about
        if counted_rows(self.client, about.name, "photo_id >= 0") == sum(about.alive.values()):
            return []
        broken = [
            name
            for name, rows in about.alive.items()
            if counted_rows(self.client, about.name, of_units(about.units_of(name))) != rows
        ]
        if not broken:
            self._delete(f"photo_id >= 0 and not ({of_units(list(about.units))})")
        return broken

    def _drop(self, segments: Sequence[str]) -> None:
        """Remove what is there of segments, which are to be sent anew."""
        if away := [name for name in segments if name in self.about.remote]:
            raise LibraryError(
                f"the collection {self.about.name} of Milvus at {shown_uri(self.about.uri)} has lost rows of segment "
                f"{away[0]}, which lie there alone: put it back from a backup of Milvus; `aliens verify` tells more"
            )
        units = [unit for name in segments for unit in self.about.units_of(name)]
        self.keep(self.about.without(segments))
        self._delete(of_units(units))

    def _renew_fields(self) -> None:
        """Write the fields that have changed since they were sent, block by block of the segments' rows."""
        done = 0
        for segment, live in zip(self._vectors.segments, self._vectors.live, strict=True):
            known, now = self.about.digests.get(segment.name, ()), list[str]()
            for number, (ids, rows) in enumerate(blocks_of(segment, live)):
                fields = self._fields.of(ids)
                now.append(fields.digest(ids))
                if known[number : number + 1] != (now[-1],):
                    if self.about.stamps or segment.name not in self.about.units:
                        units = {**self.about.units, segment.name: segment.name}  # whatever its rows were called
                        self.keep(replace(self.about, stamps={}, units=units))
                    self._write(segment, ids, rows, fields, counting=False)
                done += len(ids)
                self._progress(Step("comparing hotels, dates and tags", done, len(self._vectors)))
            if tuple(now) != known:
                self.keep(replace(self.about, digests={**self.about.digests, segment.name: tuple(now)}))


def blocks_of(segment: Segment, live: Bools | None, start: int = 0) -> Iterator[tuple[Ids, Ids]]:
    """Yield the living photos' ids (n,) and rows (n,) of each block of a segment's rows, from a row on."""
    for at in range(start, len(segment), BLOCK_ROWS):
        block = np.arange(at, min(at + BLOCK_ROWS, len(segment)))
        rows = block if live is None else block[live[block]]
        yield segment.ids[rows], rows


def rows_gone(about: Collection) -> LibraryError:
    """Return the error for a collection that is gone, or another's by now, where rows lie in it alone."""
    return LibraryError(
        f"the collection {about.name} of Milvus at {shown_uri(about.uri)} is gone, or was written by another library, "
        "and vectors of this one lie there alone: put it back from a backup of Milvus, or `aliens verify --repair` has "
        "their photos embedded anew by `aliens add`"
    )


def of_units(units: Sequence[str]) -> str:
    """Return the expression of the rows that were sent of some segments."""
    return f"segment in [{', '.join(map(quoted_text, units))}]"


def measured(client: Any, about: Collection, base: PhotoIndex, texts: Floats, progress: Progress) -> Collection:
    """Return the collection with the fewest candidates by which it finds enough, or the most, and what it finds.

    A graph that is filtered while it is walked may lose hits; which filters it answers is measured as well. Milvus
    merges segments at its leisure, and one large graph finds less than several small ones, so more candidates are
    named than it took.
    """
    await_graph(client, about.name, progress)
    truth = best_scores(base, texts)
    about = replace(about, least_share=0.0, measured=len(base))
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
    reserve = min(RESERVE * candidates, MOST_CANDIDATES)
    engine, least_share = MilvusEngine(replace(about, candidates=reserve), client), 1.0
    for share in SHARES:
        if filtered_recall(engine, base, texts, share) < about.least_recall:
            break
        least_share = share
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
    bound = round(share * PARTS)
    left = base.base.where(lambda ids: parts_of_ids(ids) < bound)
    among = Left(
        expression=f"part < {bound}",
        count=len(left),
        find=lambda some: left.ids if some is None else some[parts_of_ids(some) < bound],
    )
    searched = base.with_engine(engine)
    found, of = 0, 0
    for at in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[at : at + TEXTS_AT_ONCE]
        truth, _ = exact_search(left, some, RECALL_AT)
        scores, _ = searched.search(some, RECALL_AT, among=among)
        found += int((scores >= truth[:, -1:] - CLOSE).sum()) if truth.size else 0
        of += truth.size
    if engine.problem:
        raise LibraryError(engine.problem)
    return found / of if of else 1.0


def leave(folder: Path, *, with_vectors: bool = False) -> None:
    """Forget the collection, where there is one, and drop it; where nothing answers, or another has it, it stays.

    with_vectors: also where they lie there alone. Raises: LibraryError: they do, and are not to go.
    """
    about = read_collection(folder)
    if about is not None and about.remote and not with_vectors:
        raise LibraryError(ELSEWHERE)
    (folder / MILVUS_MANIFEST).unlink(missing_ok=True)
    if about is None:
        return
    try:
        with closing(connected(about.uri)) as client, milvus_errors(about.uri):
            if is_marked(client, about) or not about.mark:
                client.drop_collection(about.name, timeout=SEARCH_S)
    except LibraryError:
        return
