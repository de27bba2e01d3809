"""Actors on a cluster that hold the encoder: as many as there is room for, replaced when they die.

What a dead one had in hand is given to the others.
"""

import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from base import __version__
from base.arrays import Floats
from base.console import counted
from base.errors import ClusterError
from embedding.encoder import Encoder, Recipe
from indexer.ray_cluster import is_not_installed, living_nodes, not_installed, other_version, said_shortly
from indexer.ray_workers import About, EncodingActor
from indexer.stages import Tell

AHEAD = 2  # groups that an actor has in hand or waiting
CPU_SHARE = 0.5  # of each CPU that an actor is counted to take: the rest is for reading, which waits for it in turn
DEATHS = 3  # under one group, or of actors before any is ready, after which it is the group or the cluster
WAIT_S = 1.0  # between two looks whether anybody is there
PATIENCE_S = 15.0  # until it is told that nobody is


@dataclass(slots=True)
class Actor:
    """An actor of ours, or one that is to be; `asked`: what it says of itself. `groups`: that it has in hand."""

    handle: Any
    asked: Any
    groups: dict[Any, "GroupThere"] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class GroupThere:
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

    about: what the first one said of itself, which the others must say as well. count: how many there are to be.
    reading_share: of a CPU, that reading a slice is counted to take.
    """

    def __init__(self, ray: Any, encoder: Recipe | Encoder, tell: Tell) -> None:
        """Start one, and once it has loaded the model the others, which join when they are ready.

        Raises: ClusterError: no node can load the model, or it is another one there.
        """
        self._ray, self._encoder = ray, encoder
        self._ready: list[Actor] = []
        self._starting: list[Actor] = []
        self._waiting: deque[GroupThere] = deque()  # those of actors that died
        self._failed_starts = 0
        self._wrong: ClusterError | None = None
        self._tell = tell
        self._alone_since: float | None = None
        self.about = About("", "", "")
        nodes = living_nodes(ray)
        device = encoder.device if isinstance(encoder, Recipe) else "cpu"
        gpus = int(sum(node.get("GPU", 0) for node in nodes)) if device in ("auto", "cuda") else 0
        if device == "cuda" and not gpus:
            raise ClusterError("--device cuda: no node of the cluster has a GPU that Ray knows of; leave it out")
        self._threads = 0 if gpus else 1
        self.reading_share = 1.0 if gpus else CPU_SHARE
        self._options = {"max_restarts": 0} | ({"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": CPU_SHARE})
        try:
            self._start()
            while not self._ready:
                self.look(WAIT_S)
            self.count = gpus or self._share_out(nodes)
            for _ in range(self.count - 1):
                self._start()
        except BaseException:
            self.stop()
            raise
        where = f"a Ray cluster of {counted(len(nodes), 'node')}"
        tell(f"{where}: {counted(self.count, 'worker')} on {self.about.computes}")

    def _share_out(self, nodes: Sequence[dict[str, float]]) -> int:
        """Return how many actors the CPUs are for: one for each, or one for several where the memory would not do."""
        size_bytes = self.about.size_bytes
        crowding = max(node.get("CPU", 0) * size_bytes / max(node.get("memory", 0), 1) for node in nodes)
        self._threads = max(math.ceil(crowding), 1)
        self._options |= {"num_cpus": CPU_SHARE * self._threads, "memory": size_bytes}
        return max(sum(int(node.get("CPU", 0)) // self._threads for node in nodes), 1)

    def embed(self, group: "GroupThere") -> None:
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
        self._hand_out()
        if self._ready:
            self._alone_since = None
        else:
            self._wait_alone()

    def _wait_alone(self) -> None:
        """Say, when it has lasted, that there is no worker. Raises: ClusterError: there will be none."""
        if self._wrong is not None:
            raise self._wrong
        if not living_nodes(self._ray):
            raise ClusterError(
                "no node of the cluster is left; what was embedded is kept: start it, and run the same command again"
            )
        now = time.monotonic()
        self._alone_since = now if self._alone_since is None else self._alone_since
        if now - self._alone_since > PATIENCE_S:
            self._alone_since = math.inf  # it is said once
            self._tell("waiting for the cluster: no worker is ready yet; `ray status` says what its processors do")

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
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.OutOfMemoryError):
            self._bury(actor)
            return
        except self._ray.exceptions.RayError as error:
            group.error = ClusterError(f"the cluster could not embed a group of photos: {said_shortly(error)}")
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
                self._wrong = ClusterError(f"no worker can be started on the cluster: {said_shortly(error)}")
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
        with suppress(self._ray.exceptions.RayError):  # the cluster may be gone
            for actor in (*self._ready, *self._starting):
                self._ray.kill(actor.handle)
        self._ready, self._starting = [], []
