"""The stages of a run on a Ray cluster: tasks read slices of photos, actors embed groups.

The driver, which is the run, gets of a slice what became of its photos, never their pixels: it cuts groups by naming
the slices and rows in which they lie, so the groups are those of one machine. What a dead node had in hand is done
again on another: slices by Ray, which knows how they were made, groups by `indexer.ray_actors`. Nothing is shipped but
names of photos: CV-Aliens and the model's weights must be on every node, and the photos at the same places.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from base import __version__
from base.errors import ClusterError
from base.files import PhotoFile
from db.models import Photo
from embedding.decode import MAX_PIXELS, Facts, Preprocessing
from embedding.encoder import Encoder, Recipe
from embedding.image_files import is_int8
from indexer.ray_actors import AHEAD, DEATHS, Actors, GroupThere
from indexer.ray_cluster import is_not_installed, not_installed, other_version, ray_connected, said_shortly
from indexer.ray_workers import AT_ONCE, HASH_BYTES, SliceRead, read_slice
from indexer.reading import Content, Failure, Outcome, never, read_photo
from indexer.stages import Coming, Knows, StagesMaker, Tell

SLICE_PHOTOS = 64  # read by one task, at most; pixels of 224 x 224 take 150 kB a photo
SAME_PLACES = (
    "have every node reach the same photos at the same paths, by a shared folder or by addresses such as s3://; "
    "nothing was recorded of it"
)


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
        if isinstance(recipe, Recipe) and recipe.backend == "auto" and not is_int8(recipe.name):
            recipe = replace(recipe, backend="torch")  # or each node would choose for itself, and give other last bits
        self._actors = Actors(ray, recipe, tell)
        about = self._actors.about
        assert about.preprocessing is not None
        self._preprocessing: Preprocessing = about.preprocessing
        self.group_photos = about.batch_photos
        self._slice_photos = min(SLICE_PHOTOS, self.group_photos)
        self.read_ahead = self._slice_photos  # are looked up when their slice is there
        self.most_cut = AHEAD * self._actors.count
        self._part_threads = 0
        if isinstance(recipe, Recipe) and about.computes.startswith("cpu"):
            from embedding.device import cpu_threads  # imports torch

            self._part_threads = cpu_threads()
        self._tell = tell
        self._lacking: set[str] = set()  # nodes that could not decode what can be decoded here
        self._nodes: set[str] = set()  # which have shown that they read the same photos as this process

    def outcomes(self, photos: Iterable[Photo], known: Knows, *, elsewhere: bool) -> Generator[tuple[Photo, Outcome]]:
        """See Stages."""
        coming: deque[Slice] = deque()
        at_once = AHEAD * max(int(self._ray.cluster_resources().get("CPU", 1)), 1) + AHEAD
        read = self._ray.remote(read_slice).options(
            num_cpus=self._actors.reading_share, num_returns=2, max_retries=DEATHS
        )
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
            with suppress(self._ray.exceptions.RayError):  # the cluster may be gone
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
                yield photo, self._undecoded(photo, failure, there.node)
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
                f"the cluster could not read the photos from {first} to {last}: {said_shortly(error)}"
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

    def _undecoded(self, photo: Photo, failure: Failure, node: str) -> Outcome:
        """Return what this process makes of a photo that a node could not decode, as one that lacks an extra."""
        file = PhotoFile(photo.path, photo.member)
        here = self.read_again(file)
        if isinstance(here, Content) and node not in self._lacking:
            self._lacking.add(node)
            self._tell(
                f"node {node} could not decode {file} ({failure.reason}), which is decoded here instead: install the "
                "same extras on every node"
            )
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
        coming = GroupThere(self._actors, (threads, picks, *parts.values()))
        self._actors.embed(coming)
        return coming

    def stop(self) -> None:
        """End what runs in the cluster."""
        self._actors.stop()


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
    with ray_connected(address) as ray:
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
