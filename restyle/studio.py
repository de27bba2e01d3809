"""A run over several photos: each is read, alienised and kept. Nothing made is lost, and nothing is made twice.

Where one photo cannot be restyled it is a failure with a reason, and the run goes on; only what would fail for every
photo, such as weights that cannot be had, ends it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from time import perf_counter

from base.arrays import Pixels
from base.errors import DeviceMemoryError, LibraryError, PhotoError
from base.files import PhotoFile
from restyle.alienise import Attempt, Outcome, Wish, alienise
from restyle.colour import read_pixels, resized
from restyle.engines.engine import Engine
from restyle.judge import Judge
from restyle.regrade import VERSION
from restyle.restyled import FileFormat, Lineage, RestyledPhotos, Result

SQUEEZED = 1.2  # times too long a side; less is what rounding to the sizes that models paint makes of it
TOO_LITTLE_MEMORY = "there is too little memory to judge it: take a smaller --longest-px, or --device cpu"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A photo to restyle, with what is asked of it."""

    photo_id: int
    file: PhotoFile
    wish: Wish


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A photo that was restyled, now or, by the same wish, before."""

    order: Order
    result: Result
    made_now: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A photo that could not be restyled."""

    order: Order
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Studio:
    """What photos are restyled with.

    floor: the one that was asked for in place of the library's, which counts among what decides a result.
    again: make anew what was made before.
    """

    engine: Engine
    judge: Judge
    results: RestyledPhotos
    file_format: FileFormat = "png"
    floor: float | None = None
    again: bool = False

    def restyle(
        self, orders: Iterable[Order], tell: Callable[[Order, Attempt], None] = lambda order, attempt: None
    ) -> Iterator[Done | Failed]:
        """Yield what became of every order, in turn; `tell` is called with every attempt.

        Raises:
            EngineError: no photo can be restyled, since weights cannot be had; what was made so far is kept.
            LibraryError: the disk is full or cannot be written; what was made so far is kept.
        """
        for order in orders:
            try:
                yield self._one(order, tell)
            except OSError as error:
                yield Failed(order=order, reason=f"{order.file} cannot be read: {error.strerror or error}")
            except PhotoError as error:
                yield Failed(order=order, reason=f"{order.file}: {error.kind}, {error.reason}")
            except DeviceMemoryError as error:
                yield Failed(order=order, reason=str(error))
            except (MemoryError, RuntimeError) as error:  # of regrading, of judging, of the library's model
                from restyle.engines.weights import ran_out_of_memory

                if not ran_out_of_memory(error):
                    raise
                yield Failed(order=order, reason=f"{order.file}: {TOO_LITTLE_MEMORY}")

    def _one(self, order: Order, tell: Callable[[Order, Attempt], None]) -> Done:
        began = perf_counter()
        sha256 = hashlib.sha256(order.file.read()).hexdigest()
        wish = self._digest(order, sha256)
        if not self.again and (before := self.results.find(wish)) is not None:
            return Done(order=order, result=before, made_now=False)
        photo, size = self._working_copy(order.file)
        subject = self.judge.study(photo, order.photo_id)
        outcome = alienise(subject, self.engine, self.judge, order.wish, lambda attempt: tell(order, attempt))
        lineage = self._lineage(order, outcome, sha256, wish, perf_counter() - began)
        try:
            result = self.results.keep(in_proportion(outcome.pixels, size), lineage, self.file_format)
        except OSError as error:  # no photo is at fault, so the run ends
            raise LibraryError(f"the result of {order.file} cannot be written: {error.strerror or error}") from error
        return Done(order=order, result=result, made_now=True)

    def _working_copy(self, file: PhotoFile) -> tuple[Pixels, tuple[int, int]]:
        """Return a photo's pixels at the size that the engine works at, and its own (width, height)."""
        whole = read_pixels(file)
        height, width = whole.shape[:2]
        return resized(whole, self.engine.fit(width, height)), (width, height)

    def _digest(self, order: Order, sha256: str) -> str:
        """Return the digest of all that decides a result; the budget does, since it may end a search early."""
        palette = self.judge.palette
        asked = {
            "photo": order.photo_id,
            "bytes": sha256,
            "engine": self.engine.fingerprint,
            "size": self.engine.longest_px,
            "settings": asdict(self.engine.settings),
            "palette": [palette.name, palette.leaf.lab.tolist(), palette.sky.lab.tolist()],
            "regrade": VERSION,
            "wish": asdict(order.wish),
            "floor": self.floor,
            "format": self.file_format,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def _lineage(self, order: Order, outcome: Outcome, sha256: str, wish: str, seconds: float) -> Lineage:
        painted = outcome.diffused
        return Lineage(
            source_photo_id=order.photo_id,
            source_path=str(order.file),
            source_sha256=sha256,
            engine=self.engine.name,
            fingerprint=self.engine.fingerprint,
            diffusion=painted,
            palette=self.judge.palette.name,
            prompt=order.wish.prompt if painted else "",
            negative_prompt=order.wish.negative_prompt if painted else "",
            settings=asdict(outcome.attempt.settings),
            scores=outcome.attempt.scores.as_json(),
            rung=outcome.rung,
            attempts=[attempt.as_json() for attempt in outcome.attempts],
            seconds=round(seconds, 3),
            wish=wish,
        )


def in_proportion(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a result with the proportions of its photo, of (width, height), where an engine squeezed a panorama."""
    height, width = pixels.shape[:2]
    scale = max(width, height) / max(size)
    wanted = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    squeezed = max(width / wanted[0], height / wanted[1]) > SQUEEZED
    return resized(pixels, wanted) if squeezed else pixels
