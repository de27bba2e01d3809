"""The stages of a run on a Ray cluster: tasks read slices of photos, actors embed groups. The only file that knows Ray.

The driver, which is the run, gets of a slice what became of its photos, never their pixels: it cuts groups by naming
the slices and rows in which they lie, so the groups are those of one machine. What a dead node had in hand is done
again on another: slices by Ray, which knows how they were made, groups here. Nothing is shipped but names of photos:
CV-Aliens and the model's weights must be on every node, and the photos at the same places.
"""

import logging
import math
import os
import platform
import re
import socket
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from base import __version__
from base.arrays import Floats
from base.console import counted, one_line
from base.errors import ClusterError
from base.files import PhotoFile
from db.models import Photo
from embedding.decode import MAX_PIXELS, Facts, Preprocessing
from embedding.encoder import Encoder, Recipe
from indexer.ray_workers import AT_ONCE, HASH_BYTES, About, EncodingActor, SliceRead, read_slice
from indexer.reading import Content, Failure, Outcome, never, read_photo
from indexer.stages import Coming, Knows, StagesMaker, Tell

SLICE_PHOTOS = 64  # read by one task, at most; pixels of 224 x 224 take 150 kB a photo
AHEAD = 2  # groups that an actor has in hand or waiting, and slices for each that is read at once
CPU_SHARE = 0.5  # of each CPU that an actor is counted to take: the rest is for reading, which waits for it in turn
DEATHS = 3  # of nodes under one group, or of actors before any is ready, after which it is the group or the cluster
CONNECT_S = 5  # until a port answers
WAIT_S = 1.0  # between two looks whether anybody is there
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
ADDRESS = re.compile(r"(ray://)?(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):(\d{1,5})")


def imported_ray() -> Any:
    """Return the module. Raises: ClusterError: it is not installed."""
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ClusterError("--engine ray needs Ray: `pip install -e '.[ray]'` brings it") from error
    return ray


@dataclass(slots=True)
class Actor:
    """An actor of ours, or one that is to be; `asked`: what it says of itself. `groups`: that it has in hand."""

    handle: Any
    asked: Any
    groups: dict[Any, "Group"] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Group:
    """Photos that an actor embeds; `arguments` of its call. See `indexer.stages.Coming`."""

    pool: "Actors"
    arguments: tuple[Any, ...]
    vectors: Floats | None = None
    error: ClusterError | None = None
    deaths: int = 0

    def done(self) -> bool:
        """See Coming."""
        if self.vectors is None and self.error is None:
            self.pool.look(wait_s=0)
        return self.vectors is not None or self.error is not None

    def result(self) -> Floats:
        """See Coming."""
        while self.vectors is None and self.error is None:
            self.pool.look(wait_s=WAIT_S)
        if self.error is not None:
            raise self.error
        assert self.vectors is not None
        return self.vectors


class Actors:
    """Actors that hold the encoder, as many as the cluster has room for; those that die are replaced.

    about: what the first one said of itself, which the others must say as well.
    """

    def __init__(self, ray: Any, encoder: Recipe | Encoder, tell: Tell) -> None:
        """Start one, and once it has loaded the model the others, which join when they are ready.

        Raises: ClusterError: no node can load the model, or it is another one there.
        """
        self._ray, self._encoder = ray, encoder
        self._ready: list[Actor] = []
        self._starting: list[Actor] = []
        self._waiting: deque[Group] = deque()  # those of actors that died
        self._failed_starts = 0
        self._wrong: ClusterError | None = None
        self.about = About("", "", "")
        nodes = living(ray)
        device = encoder.device if isinstance(encoder, Recipe) else "cpu"
        gpus = int(sum(node.get("GPU", 0) for node in nodes)) if device in ("auto", "cuda") else 0
        if device == "cuda" and not gpus:
            raise ClusterError("--device cuda: no node of the cluster has a GPU that Ray knows of; leave it out")
        self._threads = 0 if gpus else 1
        self._options = {"max_restarts": 0} | ({"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": CPU_SHARE})
        try:
            self._start()
            while not self._ready:
                self.look(WAIT_S)
            count = gpus or self._share_out(nodes)
            for _ in range(count - 1):
                self._start()
        except BaseException:
            self.stop()
            raise
        where = f"a Ray cluster of {counted(len(nodes), 'node')}"
        tell(f"{where}: {counted(count, 'worker')} on {self.about.computes}")

    def _share_out(self, nodes: Sequence[dict[str, float]]) -> int:
        """Return how many actors the CPUs are for: one for each, or one for several where the memory would not do."""
        size_bytes = self.about.size_bytes
        crowding = max(node.get("CPU", 0) * size_bytes / max(node.get("memory", 0), 1) for node in nodes)
        self._threads = max(math.ceil(crowding), 1)
        self._options |= {"num_cpus": CPU_SHARE * self._threads, "memory": size_bytes}
        return max(sum(int(node.get("CPU", 0)) // self._threads for node in nodes), 1)

    def embed(self, group: "Group") -> None:
        """Hand a group to the actor with the least to do, waiting while all have enough in hand.

        Raises: ClusterError: a node is not as the others, or none is left.
        """
        self.look(0)
        while self._waiting or not any(len(actor.groups) < AHEAD for actor in self._ready):
            self.look(WAIT_S)
        if self._wrong is not None:
            raise self._wrong
        self._waiting.append(group)
        self._hand_out()

    def look(self, wait_s: float) -> None:
        """Take what came of groups and of actors that were started, waiting so long for the first of it.

        Raises: ClusterError: there is no actor, and will be none.
        """
        asked = {actor.asked: actor for actor in self._starting}
        working = {ref: actor for actor in self._ready for ref in actor.groups}
        refs = [*asked, *working]
        there = self._ray.wait(refs, num_returns=1, timeout=wait_s)[0] if refs else []
        if there:
            there = self._ray.wait(refs, num_returns=len(refs), timeout=0)[0]
        for ref in there:
            if ref in asked:
                self._join(asked[ref])
            elif ref in working[ref].groups:  # its actor was not found dead meanwhile
                self._take(working[ref], ref)
        if not self._ready:
            if self._wrong is not None:
                raise self._wrong
            if not living(self._ray):
                raise ClusterError(
                    "no node of the cluster is left: what was embedded is kept, so start it again, and "
                    "run the same command again"
                )
        self._hand_out()

    def _hand_out(self) -> None:
        """Hand what waits to the actors with the least to do."""
        while self._waiting and self._ready:
            group = self._waiting.popleft()
            actor = min(self._ready, key=lambda each: len(each.groups))
            actor.groups[actor.handle.embed.remote(*group.arguments)] = group

    def _take(self, actor: Actor, ref: Any) -> None:
        """Take what came of a group."""
        group = actor.groups[ref]
        try:
            group.vectors = self._ray.get(ref)
        except self._ray.exceptions.RayActorError:
            self._bury(actor)
            return
        except self._ray.exceptions.RayError as error:
            group.error = ClusterError(f"the cluster could not embed a group of photos: {last_line(error)}")
        else:
            if group.vectors is None:
                group.error = ClusterError("photos changed while they were read: run the same command again")
        group.arguments = ()  # so that the pixels can go
        del actor.groups[ref]

    def _bury(self, actor: Actor) -> None:
        """Start another in a dead actor's place, and have others take its groups."""
        groups = list(actor.groups.values())
        self._ready.remove(actor)
        actor.groups = {}
        for group in groups:
            group.deaths += 1
            if group.deaths > DEATHS:
                group.error = ClusterError(
                    f"workers died {group.deaths} times while they embedded the same photos: Ray's logs on the nodes "
                    "say why, for instance of too little memory"
                )
            else:
                self._waiting.append(group)
        self._start()

    def _start(self) -> None:
        handle = self._ray.remote(EncodingActor).options(**self._options).remote(self._encoder, self._threads)
        self._starting.append(Actor(handle, handle.about.remote()))

    def _join(self, actor: Actor) -> None:
        """Let an actor that was started work, once it is known what it is."""
        self._starting.remove(actor)
        try:
            about: About = self._ray.get(actor.asked)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if is_not_installed(error):
                self._wrong = not_installed(error)
            elif self._failed_starts > DEATHS:
                self._wrong = ClusterError(f"no worker can be started on the cluster: {last_line(error)}")
            else:
                self._start()
            return
        self._failed_starts = 0
        if (wrong := self._problem(about)) is not None:
            self._wrong = ClusterError(wrong)
            return
        self.about = self.about if self.about.computes else about
        self._ready.append(actor)

    def _problem(self, about: About) -> str | None:
        """Return why an actor cannot work beside the others, or None."""
        if about.version != __version__:
            return other_version(about.node, about.version)
        if about.refusal:
            return f"node {about.node} cannot load the model: {about.refusal}"
        first = self.about
        if first.computes and (first.computes, first.batch_photos) != (about.computes, about.batch_photos):
            return (
                f"node {first.node} computes on {first.computes}, node {about.node} on {about.computes}, and their "
                "vectors would differ: choose one of both with --device and --precision"
            )
        return None

    def stop(self) -> None:
        """End all actors."""
        for actor in (*self._ready, *self._starting):
            self._ray.kill(actor.handle)
        self._ready, self._starting = [], []


@dataclass(frozen=True, slots=True)
class DecodedThere:
    """A photo whose pixels are in a slice, in a row of it; `hash`: the first bytes of its SHA-256."""

    facts: Facts
    part: Any
    row: int
    hash: bytes


@dataclass(slots=True)
class Slice:
    """Photos that a task reads: what became of them, and their pixels, which stay in the cluster."""

    photos: list[Photo]
    read: Any
    squares: Any


class RayStages:
    """Tasks read slices of the photos; actors embed groups. See `indexer.stages.Stages`."""

    def __init__(self, ray: Any, encoder: Encoder, tell: Tell) -> None:
        """Raises: ClusterError: no node can load the model."""
        self._ray = ray
        self.max_pixels = MAX_PIXELS
        recipe: Recipe | Encoder = getattr(encoder, "recipe", encoder)
        self._actors = Actors(ray, recipe, tell)
        about = self._actors.about
        assert about.preprocessing is not None
        self._preprocessing: Preprocessing = about.preprocessing
        self.group_photos = about.batch_photos
        self._slice_photos = min(SLICE_PHOTOS, self.group_photos)
        self.read_ahead = self._slice_photos  # are looked up when their slice is there
        self._part_threads = 0
        if isinstance(recipe, Recipe) and about.computes.startswith("cpu"):
            from embedding.device import cpu_threads  # imports torch

            self._part_threads = cpu_threads()
        self._nodes: set[str] = set()  # which have shown that they read the same photos as this process

    def outcomes(self, photos: Iterable[Photo], known: Knows, *, elsewhere: bool) -> Generator[tuple[Photo, Outcome]]:
        """See Stages."""
        coming: deque[Slice] = deque()
        at_once = AHEAD * max(int(self._ray.cluster_resources().get("CPU", 1)), 1) + AHEAD
        read = self._ray.remote(read_slice).options(num_cpus=CPU_SHARE, num_returns=2, max_retries=DEATHS)
        rest = iter(photos)
        try:
            while True:
                while len(coming) < at_once and (some := list(islice(rest, self._slice_photos))):
                    files = [PhotoFile(photo.path, photo.member) for photo in some]
                    coming.append(Slice(some, *read.remote(files, self._preprocessing, self.max_pixels)))
                if not coming:
                    return
                part = coming.popleft()
                yield from self._sorted(part, known)
        finally:
            for each in coming:
                self._ray.cancel(each.read)

    def _sorted(self, part: Slice, known: Knows) -> Iterator[tuple[Photo, Outcome]]:
        """Yield what became of a slice's photos, as a reader of this process would say it."""
        there = self._read(part)
        if there.version != __version__:
            raise ClusterError(other_version(there.node, there.version))
        bytes_known = known([content.sha256 for content in there.contents if content is not None])
        row = 0
        for photo, content, failure, facts in zip(
            part.photos, there.contents, there.failures, there.facts, strict=True
        ):
            if content is None:
                assert failure is not None
                yield photo, self._unread(photo, failure, there, known)
            elif (changed := self._changed(photo, content, there.node, known)) is not None:
                yield photo, changed
            elif content.sha256 in bytes_known:
                yield photo, content
            elif facts is None:
                assert failure is not None
                yield photo, failure
            else:
                decoded = DecodedThere(facts, part.squares, row, content.sha256[:HASH_BYTES])
                yield photo, Content(content.sha256, content.size_bytes, decoded, content.camera)
            row += facts is not None

    def _read(self, part: Slice) -> SliceRead:
        """Wait for a slice. Raises: ClusterError: its task cannot be done."""
        try:
            there: SliceRead = self._ray.get(part.read)
        except self._ray.exceptions.RayError as error:
            if is_not_installed(error):
                raise not_installed(error) from error
            first, last = (PhotoFile(photo.path, photo.member) for photo in (part.photos[0], part.photos[-1]))
            raise ClusterError(
                f"the cluster could not read the photos from {first} to {last}: {last_line(error)}"
            ) from error
        return there

    def _unread(self, photo: Photo, failure: Failure, there: SliceRead, known: Knows) -> Outcome:
        """Return what this process reads of a photo that a node could not read.

        Raises: ClusterError: it can be read here. Of addresses, which fail for a moment, where no other was read there.
        """
        file = PhotoFile(photo.path, photo.member)
        here = self._read_here(file, lambda sha256: True)
        if isinstance(here, Content):
            if not file.is_remote or all(content is None for content in there.contents):
                raise ClusterError(
                    f"node {there.node} cannot read {file} ({failure.reason}), which can be read here: {SAME_PLACES}"
                )
            return self._read_here(file, lambda sha256: bool(known([sha256])))
        return here

    def _changed(self, photo: Photo, content: Content, node: str, known: Knows) -> Outcome | None:
        """Return what this process reads where a node has read other bytes, since the photo has changed; else None.

        Compared is what each node reads first, and what has another size than the scan has found.

        Raises: ClusterError: the photo has not changed, so it is another one there.
        """
        is_first = node not in self._nodes
        self._nodes.add(node)
        if not is_first and photo.size_bytes in (None, content.size_bytes):
            return None
        file = PhotoFile(photo.path, photo.member)
        here = self._read_here(file, lambda sha256: True)
        if not isinstance(here, Content) or here.sha256 == content.sha256:
            return None
        if photo.size_bytes == here.size_bytes:
            raise ClusterError(f"node {node} has another photo at {file} than this machine: {SAME_PLACES}")
        return self._read_here(file, lambda sha256: bool(known([sha256])))

    def _read_here(self, file: PhotoFile, is_known: Callable[[bytes], bool]) -> Outcome:
        return read_photo(file, self._preprocessing, is_known, AT_ONCE, self.max_pixels)

    def read_again(self, file: PhotoFile) -> Outcome:
        """See Stages."""
        return self._read_here(file, never)

    def embed(self, group: Sequence[Any]) -> Coming:
        """See Stages. Vectors of full groups do not depend on the threads; others get those of one machine."""
        parts: dict[int, Any] = {}
        picks: list[tuple[int, int, bytes]] = []
        for decoded in group:
            is_there = isinstance(decoded, DecodedThere)
            part = decoded.part if is_there else decoded.pixels
            parts.setdefault(id(part), part)
            place = list(parts).index(id(part))
            picks.append((place, decoded.row, decoded.hash) if is_there else (place, 0, b""))
        threads = self._part_threads if len(group) < self.group_photos else 0
        coming = Group(self._actors, (threads, picks, *parts.values()))
        self._actors.embed(coming)
        return coming

    def stop(self) -> None:
        """End what runs in the cluster."""
        self._actors.stop()


SAME_PLACES = (
    "have every node reach the same photos at the same paths, by a shared folder or by addresses such as s3://; "
    "nothing was recorded of it"
)


def living(ray: Any) -> list[dict[str, float]]:
    """Return what each living node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def other_version(node: str, version: str) -> str:
    """Return the message for a node with another version of ours, which may decode otherwise."""
    return f"node {node} has CV-Aliens {version}, this machine {__version__}: install the same on every node"


OURS = re.compile(r"No module named '(indexer|embedding|base|db)\b")


def is_not_installed(error: Exception) -> bool:
    """Tell whether a node could not import us."""
    return OURS.search(str(error)) is not None


def not_installed(error: Exception) -> ClusterError:
    """Return the error for that."""
    where = f"node {error.ip}" if getattr(error, "ip", "") else "a node of the cluster"
    return ClusterError(
        f"{where} has no CV-Aliens: install {__version__} for the Python that runs Ray there, as on every node"
    )


def last_line(error: Exception) -> str:
    """Return what an error of Ray's says: it ends with the cause, behind tracebacks."""
    return one_line(str(error).strip().rpartition("\n")[2] or type(error).__name__)


@contextmanager
def ray_stages(address: str | None, encoder: Encoder, tell: Tell) -> Iterator[StagesMaker]:
    """Connect with a cluster, and yield what makes its stages, once; they are ended at the end.

    Args:
        address: `auto`, HOST:PORT of a cluster, or ray://HOST:PORT; None for the one of RAY_ADDRESS or of this machine,
            and a new one on this machine where there is none, which ends with this.
        encoder: its recipe goes to the nodes; one without, itself.
        tell: hears of the cluster.

    Raises: ClusterError: Ray is not installed, or the cluster cannot be used.
    """
    with connected(address) as ray:
        made: list[RayStages] = []

        def stages() -> RayStages:
            if not made:
                made.append(RayStages(ray, encoder, tell))
            return made[0]

        try:
            yield stages
        finally:
            for each in made:
                each.stop()


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Yield Ray, connected; a connection that was there before stays. Raises: ClusterError: as `ray_stages`."""
    ray = imported_ray()
    if ray.is_initialized():
        yield ray
        return
    refuse_wrong_address(address)
    try:
        with quietly():
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
            )
    # Ray raises errors of a dozen kinds, and plain RuntimeErrors; all mean that there is no cluster to work on.
    except Exception as error:
        raise ClusterError(refusal(address, error)) from error
    try:
        yield ray
    finally:
        ray.shutdown()  # ends the cluster where it is our own


@contextmanager
def quietly() -> Iterator[None]:
    """Have Ray say nothing on stderr, tell nobody that it is used, and serve no pages, in what it starts."""
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def refuse_wrong_address(address: str | None) -> None:
    """Find out in seconds what Ray takes a minute for. Raises: ClusterError: nobody is there, or it is no address."""
    if address is None or address == "auto":
        return
    found = ADDRESS.fullmatch(address)
    if found is None or int(found[3]) > 65_535:
        raise ClusterError(
            f"--address {address!r} is no address of a cluster: give auto, HOST:PORT as `ray start` says it, or "
            "ray://HOST:PORT"
        )
    try:
        socket.create_connection((found[2].strip("[]"), int(found[3])), CONNECT_S).close()
    except socket.gaierror as error:
        raise ClusterError(f"--address {address}: there is no host {found[2]}") from error
    except OSError as error:
        why = error.strerror or f"no answer within {CONNECT_S} s"
        raise ClusterError(
            f"--address {address}: nobody answers there ({why}): start the cluster with `ray start --head`, and give "
            "its port, usually 6379, or 10001 behind ray://"
        ) from error


def refusal(address: str | None, error: Exception) -> str:
    """Return why there is no cluster to work on, in words that help."""
    said = str(error)
    if "ersion mismatch" in said or ("version" in said and "Python:" in said):
        return (
            f"the cluster runs other versions than this machine, which has Ray {imported_ray().__version__} and Python "
            f"{platform.python_version()}: {one_line(said)}"
        )
    if address == "auto" and isinstance(error, ConnectionError):
        return (
            "--address auto: no Ray cluster is found on this machine: start one with `ray start --head`, or leave "
            "--address out, and one is started for the time that it takes"
        )
    return f"no cluster at {address or 'this machine'}: {type(error).__name__}: {one_line(said)[:300]}"
