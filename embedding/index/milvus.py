"""Milvus as the engine that names candidates, past one machine: the vectors in a collection, filters pushed down to it.

What it names is compared exactly with the rows on disk, and where it gives no answer all photos are; its own scores
are shown of rows that lie nowhere else. Starts no server. A URI that ends in .db is a file of milvus-lite, one
process at a time; every other one is a server. A URI may hold a password: say it only as `shown_uri` gives it.
"""

import logging
import os
import re
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Collection as Names
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from base.arrays import Floats, Ids
from base.errors import LibraryError
from base.records import read_record, write_record
from embedding.index.approximate import LEAST_RECALL, Cost
from embedding.index.left import Among, Left
from embedding.index.milvus_fields import FIELD_NAMES, schema_of
from embedding.index.milvus_filters import expressions, expressions_of
from embedding.opened_segment import BRING_BACK
from embedding.segments import Vectors

MILVUS_MANIFEST = "collection.json"
MOST_HITS = 1_000
FEWEST_CANDIDATES = 64
MOST_LIMIT = 16_384  # hits of one search, says Milvus
MOST_CANDIDATES = 4_096
CANDIDATES_PER_HIT = 4
MOST_REMOTE = 64  # the same, where nothing is here to be compared
MOST_EXPRESSIONS = 8  # of a filter, each a search of its own: beyond, comparing what it leaves is quicker
CONNECT_S, SEARCH_S, LOAD_S, WRITE_S = 5.0, 10.0, 60.0, 600.0
RETRY_S = 30.0  # after no answer, so long none is waited for
STRONG = "Strong"  # waits until all that was ever written is found, 0.2 s
BOUNDED = "Bounded"  # all that was written some seconds ago; after one strong answer, all that was before it
OLDEST = (2, 3, 5)  # that was tried
T = TypeVar("T")
LEAVE = "or leave it with `aliens index --kind auto`"
REMEDY = f"see that it runs (milvus.io/docs says how to start one), {LEAVE}"
FILE_REMEDY = f"see that its folder exists, that milvus-lite wrote it, and that no other process has it open, {LEAVE}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """What a collection in Milvus holds and what was measured of it, stored in the index's folder.

    covers: the names of the segments whose rows are in it, whole. units: {name that rows have there for their segment:
    the segment they are of}; alive: {segment: how many of its rows are there}; parts: {segment: of which it was merged
    since, if that came to its end}: see `settled`.
    remote: segments whose rows lie in the collection alone. sending: the segment that is being sent, sent: of its rows
    so many are there. digests: {segment: what tells the fields of each block of its rows}; stamps: {group of fields:
    what they were read at}, empty while they are written.

    mark: a row with the id -mark stands in the collection as long as it holds what this says: another library, or a
    copy of this one, that writes to it leaves another mark; next_mark: that is about to take its place, or 0. scheme:
    which fields stand beside the vectors. exact: Milvus itself compares every vector. candidates: named for each query.
    recall: recall@10 against the exact scan over `queries` text queries; None: never measured, or exact. measured: how
    many photos there were then. least_share: of the photos, what a filter has to leave for it to find as much; below it
    all are compared.
    """

    model_key: str
    uri: str
    name: str
    dim: int
    exact: bool
    covers: tuple[str, ...] = ()
    mark: int = 0
    entries: int = 0
    candidates: int = FEWEST_CANDIDATES
    recall: float | None = None
    least_recall: float = LEAST_RECALL
    queries: int = 0
    least_share: float = 0.0
    next_mark: int = 0
    scheme: int = 0
    units: Mapping[str, str] = field(default_factory=dict)
    alive: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sending: str = ""
    sent: int = 0
    remote: tuple[str, ...] = ()
    digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stamps: Mapping[str, str] = field(default_factory=dict)
    measured: int = 0

    def units_of(self, segment: str) -> list[str]:
        """Return the names that a segment's rows have in the collection for the segment they are of."""
        return [unit for unit, of in self.units.items() if of == segment]

    def without(self, segments: Names[str]) -> "Collection":
        """Return what there is without some segments."""
        return replace(
            self,
            covers=tuple(name for name in self.covers if name not in segments),
            units={unit: of for unit, of in self.units.items() if of not in segments},
            alive={name: rows for name, rows in self.alive.items() if name not in segments},
            digests={name: digests for name, digests in self.digests.items() if name not in segments},
            remote=tuple(name for name in self.remote if name not in segments),
        )

    def holding(self, segment: str, units: Names[str], alive: int, digests: tuple[str, ...] = ()) -> "Collection":
        """Return what there is with a segment more."""
        rest = replace(self.without([segment]), remote=self.remote)
        return replace(
            rest,
            covers=(*rest.covers, segment),
            units={**rest.units, **dict.fromkeys(units, segment)},
            alive={**rest.alive, segment: alive},
            digests={**rest.digests, segment: digests} if digests else rest.digests,
        )

    def merged(self, olds: Names[str], new: str, known: Names[str]) -> "Collection":
        """Return what there is where segments, all in it, are about to become one; names nobody knows are left out."""
        covers = (*(name for name in self.covers if name in known), new)
        return replace(self, covers=covers, parts={**self.parts, new: tuple(sorted(olds))})

    def settled(self, names: Names[str]) -> "Collection":
        """Return what there is in terms of the segments that there are: those that were merged have come to be one.

        A merge that was killed before the database knew of it never was.
        """
        happened, about = set(names), self
        for new, olds in reversed(list(self.parts.items())):
            happened |= {*olds} if new in happened else set()
        for new, olds in self.parts.items():
            if new in happened:
                units = [unit for old in olds for unit in about.units_of(old)]
                rows = sum(about.alive.get(old, 0) for old in olds)
                about = about.holding(new, units, rows).without(olds)
            else:
                about = about.without([new])
        return replace(about, parts={})

    @property
    def sound(self) -> bool:
        """Whether it finds what it should; one that does not is not used."""
        return self.exact or (self.recall is not None and self.recall >= self.least_recall)


def read_collection(folder: Path) -> Collection | None:
    """Return what is said of a collection in a folder, or None where there is nothing that can be read."""
    return read_record(folder / MILVUS_MANIFEST, Collection)


def write_collection(folder: Path, about: Collection) -> None:
    """Write it, for the owner's eyes: the URI may hold a password. Raises: OSError: the disk cannot be written."""
    write_record(folder / MILVUS_MANIFEST, about, private=True)


def is_file(uri: str) -> bool:
    """Tell whether a URI is a file of milvus-lite, by its ending as pymilvus does."""
    return uri.endswith(".db")


def absolute_uri(uri: str) -> str:
    """Return a URI that means the same from every working folder."""
    return str(Path(uri).absolute()) if is_file(uri) and "://" not in uri else uri


def shown_uri(uri: str) -> str:
    """Return a URI without user, password, token and parameters, to be shown."""
    if is_file(uri) and "://" not in uri:
        return uri
    scheme, between, rest = uri.rpartition("://")
    secret = "***@" if "@" in rest else ""
    return scheme + between + secret + re.split(r"[?#]", rest.rpartition("@")[2])[0]


def without_secrets(text: str, uri: str) -> str:
    """Return a text in which neither the user and password of a URI stand, nor the password alone."""
    text = text.replace(uri, shown_uri(uri)) if uri else text
    rest = uri.rpartition("://")[2]
    login, parameters = rest.rpartition("@")[0], re.split(r"[?&#=]", rest)[1:]
    for part in filter(None, [login, login.partition(":")[2], *parameters]):
        # a short one is part of many words
        text = re.sub(re.escape(part) if len(part) > 3 else rf"\b{re.escape(part)}\b", "***", text)
    return text


@contextmanager
def milvus_errors(uri: str) -> Iterator[None]:
    """Turn what goes wrong with Milvus into LibraryErrors that name the remedy and no password."""
    try:
        import grpc
        from pymilvus.exceptions import MilvusException
    except ImportError as error:
        raise LibraryError(
            f"Milvus needs a package that is absent ({error.name}): install it with `pip install -e '.[milvus]'`, "
            "or leave Milvus with `aliens index --kind auto`"
        ) from error
    try:
        yield
    except (MilvusException, grpc.RpcError, ValueError) as error:
        if is_file(uri) and "milvus-lite is required" in str(error):
            reason, remedy = "milvus-lite is absent", "install it with `pip install milvus-lite`, or name a server"
        else:
            lines = str(getattr(error, "message", "") or error).strip().splitlines() or [type(error).__name__]
            reason, remedy = without_secrets(lines[0], uri)[:300], FILE_REMEDY if is_file(uri) else REMEDY
        raise LibraryError(f"Milvus at {shown_uri(uri)} gives no answer ({reason}): {remedy}") from None


def connected(uri: str) -> Any:
    """Return a client, to be closed. Raises: LibraryError: pymilvus is absent, or nothing answers there."""
    with milvus_errors(uri):
        from pymilvus import MilvusClient

        for name in ("pymilvus", "milvus_lite"):  # they log whole tracebacks on stderr; errors say what is needed
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # Each client connects for itself: a shared connection that has failed waits before it tries again.
        options = {"grpc.use_local_subchannel_pool": 1}
        if is_file(uri):  # milvus-lite takes the pings that pymilvus keeps a connection alive by for an attack
            options["grpc.keepalive_time_ms"] = 1 << 30
        return MilvusClient(uri=uri, timeout=CONNECT_S, grpc_options=options)


class MilvusEngine:
    """A collection in Milvus; see embedding.index.approximate.CandidateEngine. Connects at the first search."""

    kind = "milvus"
    most_hits = MOST_HITS

    def __init__(self, about: Collection, client: Any = None) -> None:
        """`client`: connected, closed by the caller; without one it connects by itself."""
        self.about = about
        self.problem = ""
        self.tell: Callable[[str], None] = lambda problem: None  # called when it stops answering, and with "" after
        self._client = client
        self._is_given = client is not None
        self._process = os.getpid()
        self._failed_at = -np.inf

    @property
    def covers(self) -> tuple[str, ...]:
        """The names of the segments in it."""
        return self.about.covers

    @property
    def recall(self) -> float | None:
        """Recall@10 as measured with text queries; None where Milvus compares every vector."""
        return self.about.recall

    def answers(self, among: Ids | Left, photos: int) -> bool:
        """Tell whether it names candidates among so few of all photos.

        Not where it was measured to lose hits, and not where naming the photos takes many searches.
        """
        finds_as_much = len(among) > self.about.least_share * photos
        if isinstance(among, Left):
            return finds_as_much
        return finds_as_much and sum(1 for _ in islice(expressions(among), MOST_EXPRESSIONS + 1)) <= MOST_EXPRESSIONS

    def unremoved(self, vectors: Vectors) -> Ids:
        """Return the ids of rows that have died since they were sent: they are in the collection still."""
        dead = [
            segment.ids[~live]
            for segment, live, count in zip(vectors.segments, vectors.live, vectors.counts, strict=True)
            if live is not None and self.about.alive.get(segment.name) != count
        ]
        return np.concatenate([np.empty(0, np.int64), *dead])

    def count(self, expression: str) -> int | None:
        """Return how many photos of the collection meet an expression; None where Milvus fails."""

        def ask() -> int:
            with milvus_errors(self.about.uri):
                return counted_rows(self._opened(), self.about.name, f"photo_id >= 0 and ({expression})", BOUNDED)

        return self._answered(ask)

    def candidates(self, queries: Floats, k: int, among: Among, share: float) -> Ids:
        """Return photo ids, (n, at least k) int64; -1 where there are fewer, and only -1 where Milvus fails."""
        none: Ids = np.full((len(queries), k), -1, np.int64)
        found = self._answered(lambda: self._search(queries, k, among, share))
        return none if found is None else found

    def _answered(self, ask: Callable[[], T]) -> T | None:
        """Return what Milvus answers, or None where it fails, which is told; then it is left alone for a while."""
        if time.monotonic() - self._failed_at < RETRY_S:
            return None
        try:
            found = ask()
        except LibraryError as error:
            self._failed_at = time.monotonic()
            if not self._is_given:
                self._client = None  # one that is started again has to load the collection
            self.problem = str(error)
            self.tell(f"every photo is compared: {error}")
            return None
        if self.problem:
            self.problem = ""
            self.tell("")
        return found

    @property
    def where(self) -> str:
        """Where Milvus is, without a password."""
        return f"Milvus at {shown_uri(self.about.uri)}"

    def hits(
        self, queries: Floats, k: int, among: Among, is_alive: Callable[[Ids], NDArray[np.bool_]]
    ) -> tuple[Floats, Ids]:
        """Return Milvus's own k best of each query: scores (n, k), best first, and ids; -inf and -1 beyond the last.

        is_alive: tells of ids (m,) which may be hits; more are asked for until enough are.

        Raises: LibraryError: Milvus gives no answer, or is asked for more than it names at once.
        """
        if isinstance(among, np.ndarray) and sum(1 for _ in islice(expressions(among), MOST_REMOTE + 1)) > MOST_REMOTE:
            raise LibraryError(
                f"the filter leaves {len(among)} photos that cannot be said to Milvus, where the vectors lie alone: "
                f"filter by hotel, chain, source, date or tag, or bring them back by {BRING_BACK}"
            )
        limit = self._count(k, 1.0 if among is None else len(among) / max(self.about.entries, 1)) + 1
        while True:
            limit = min(limit, MOST_LIMIT)
            try:
                with milvus_errors(self.about.uri):
                    found = [self._found(queries, limit, expression) for expression in expressions_of(among)]
            except LibraryError:
                self._client = self._client if self._is_given else None
                raise
            scores, ids = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
            fewest, full = k, False
            for row in range(len(queries)):
                pairs = [pair for part in found for pair in part[row]]
                full = full or any(len(part[row]) >= limit for part in found)
                named = np.array([i for i, _ in pairs], np.int64)
                values = np.array([score for _, score in pairs], np.float32)
                keep = (named >= 0) & is_alive(named)
                order = np.lexsort((named[keep], -values[keep]))[:k]
                fewest = min(fewest, len(order))
                scores[row, : len(order)], ids[row, : len(order)] = values[keep][order], named[keep][order]
            if fewest == k or not full:
                return scores, ids
            if limit == MOST_LIMIT:
                raise LibraryError(
                    f"Milvus names at most {MOST_LIMIT} photos at once, and this list looks further: ask for fewer, or "
                    f"bring the vectors back by {BRING_BACK}"
                )
            limit *= 4

    def _found(self, queries: Floats, limit: int, expression: str) -> list[list[tuple[int, float]]]:
        """Return (id, score) of what Milvus finds for each query."""
        found = self._opened().search(
            self.about.name,
            data=list(np.ascontiguousarray(queries, np.float32)),
            anns_field="vector",
            filter=expression,
            limit=limit,
            output_fields=["photo_id"],
            search_params={"metric_type": "IP"},
            consistency_level=BOUNDED,
            timeout=SEARCH_S,
        )
        return [[(int(hit["entity"]["photo_id"]), float(hit["distance"])) for hit in hits] for hits in found]

    def cost(self, k: int, share: float) -> Cost:
        """Return what `candidates` costs on this machine: the candidates' own vectors."""
        rows = min(self._count(k, share), self.about.entries)
        how = "no answer from Milvus, so all photos are named" if self.problem else self.where
        rows = self.about.entries if self.problem else rows
        return Cost(rows=rows, bytes_read=rows * self.about.dim * 2, how=how)

    def _count(self, k: int, share: float) -> int:
        """Return how many candidates are named where a filter leaves a share: a graph that is filtered loses more."""
        harder = min(self.about.candidates / max(share, 0.01), max(MOST_CANDIDATES, self.about.candidates))
        return max(round(harder), CANDIDATES_PER_HIT * k)

    def _search(self, queries: Floats, k: int, among: Among, share: float) -> Ids:
        parts = [np.full((len(queries), k), -1, np.int64)]
        with milvus_errors(self.about.uri):
            for expression in expressions_of(among):
                found = self._found(queries, min(self._count(k, share) + 1, MOST_LIMIT), expression)  # the mark is none
                named = [[photo_id for photo_id, _ in hits] for hits in found]
                part = np.full((len(queries), max(map(len, named), default=0)), -1, np.int64)
                for row, ids in zip(part, named, strict=True):
                    row[: len(ids)] = ids
                parts.append(part)
        return np.concatenate(parts, axis=1)

    def _opened(self) -> Any:
        """Return the client; at first it is seen that the collection holds what it should.

        A forked child connects for itself.
        """
        if self._client is None or self._process != os.getpid():
            client = connected(self.about.uri)
            try:
                if not is_marked(client, self.about):
                    raise LibraryError(
                        f"the collection {self.about.name} of Milvus at {shown_uri(self.about.uri)} is gone, or holds "
                        "other vectors than this library: `aliens index` brings it up to date"
                    )
            except BaseException:
                client.close()
                raise
            weakref.finalize(self, client.close)
            self._client, self._process = client, os.getpid()
        return self._client


def is_marked(client: Any, about: Collection) -> bool:
    """Tell whether the collection holds what is said of it, and make it ready to be searched.

    What was written before this is asked is found by every search after it.
    """
    if about.mark == 0 or not client.has_collection(about.name, timeout=SEARCH_S):
        return False
    client.load_collection(about.name, timeout=LOAD_S)
    marks = client.query(
        about.name,
        filter="photo_id < 0",
        output_fields=["photo_id"],
        limit=10,
        consistency_level=STRONG,
        timeout=SEARCH_S,
    )
    found = {-row["photo_id"] for row in marks}
    return bool(found) and found <= {about.mark, about.next_mark}


def counted_rows(client: Any, name: str, expression: str, level: str = STRONG) -> int:
    """Return how many rows of a collection meet an expression."""
    found = client.query(name, filter=expression, output_fields=["count(*)"], consistency_level=level, timeout=SEARCH_S)
    return int(found[0]["count(*)"])


def created(client: Any, about: Collection) -> None:
    """Make the collection where it is absent, and have it loaded. Raises: LibraryError: it is of another kind."""
    if client.has_collection(about.name, timeout=SEARCH_S):
        described = client.describe_collection(about.name, timeout=SEARCH_S)["fields"]
        fields = {field["name"]: field["params"].get("dim") for field in described}
        if fields.keys() != FIELD_NAMES or fields["vector"] != about.dim:
            raise LibraryError(
                f"the collection {about.name} of Milvus at {shown_uri(about.uri)} does not hold vectors of {about.dim} "
                "dimensions with the fields of photos: `aliens index --rebuild` makes a new one"
            )
    else:
        refuse_older(client, about.uri)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="FLAT" if about.exact else "AUTOINDEX", metric_type="IP")
        client.create_collection(
            about.name,
            schema=schema_of(client, about.dim),
            index_params=index,
            consistency_level=STRONG,
            timeout=WRITE_S,
        )
    client.load_collection(about.name, timeout=WRITE_S)


def refuse_older(client: Any, uri: str) -> None:
    """Raise LibraryError where a server is too old: rows need lists, and are counted and deleted by expressions."""
    version = str(client.get_server_version(timeout=SEARCH_S))
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if numbers and tuple(map(int, numbers.groups())) < OLDEST:
        raise LibraryError(
            f"Milvus at {shown_uri(uri)} is {version}, and {'.'.join(map(str, OLDEST))} or newer is needed, whose rows "
            f"have lists and are deleted by expressions: bring it up to date, {LEAVE}"
        )
