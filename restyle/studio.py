"""A run over several photos: each is read, alienised and kept. Nothing made is lost, and nothing is made twice.

Where one photo cannot be restyled it is a failure with a reason, and the run goes on; only what would fail for every
photo, such as weights that cannot be had, ends it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

from sqlalchemy.orm import Session

from base.arrays import Pixels
from base.errors import DeviceMemoryError, LibraryError, PhotoError, QueryError
from base.files import PhotoFile
from base.listing import Listing
from db.catalog import Catalog
from db.photo_rows import photo_record
from embedding.colour import read_pixels, resized
from restyle.alienise import Attempt, Outcome, Wish, alienise
from restyle.engines.engine import Engine
from restyle.judge import Judge
from restyle.palettes import Palette, build_prompt
from restyle.picks import Pick
from restyle.regrade import VERSION
from restyle.restyled import Lineage, RestyledPhotos, Result
from restyle.result_pictures import FileFormat

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

    def as_json(self) -> dict[str, Any]:
        """Return everything that is known of the result."""
        return self.result.as_json() | {"made_now": self.made_now}


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A photo that could not be restyled."""

    order: Order
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return which photo, and why."""
        return {"photo_id": self.order.photo_id, "failed": self.reason}


class Restyled(Listing[Done | Failed]):
    """What became of several photos, in turn.

    added: how many results are new to searches. floors: what they were judged by, and where that comes from; figures.
    """

    columns = ("photo_id", "result_id", "engine", "rung", "failed", "path")

    def __init__(self, made: Iterable[Done | Failed], *, added: int = 0, floors: str = "") -> None:
        super().__init__(made)
        self.added = added
        self.floors = floors

    @property
    def results(self) -> list[Result]:
        """The results, those among them that were made before."""
        return [each.result for each in self if isinstance(each, Done)]

    @property
    def failed(self) -> list[Failed]:
        """The photos that could not be restyled."""
        return [each for each in self if isinstance(each, Failed)]

    @property
    def made_before(self) -> int:
        """How many results an earlier run had made, by the same wish."""
        return sum(isinstance(each, Done) and not each.made_now for each in self)

    def _repr_html_(self) -> str:
        from embedding.sheet import Cell, gallery_html

        cells = []
        for each in self:
            if isinstance(each, Done):
                cells.append(Cell(each.order.file, (f"photo {each.order.photo_id}", "as it was")))
                cells.append(
                    Cell(PhotoFile(str(each.result.path)), (f"result {each.result.id}", each.result.lineage.made))
                )
            else:
                cells.append(Cell(each.order.file, (f"photo {each.order.photo_id}", f"left out: {each.reason}")))
        return gallery_html(cells)


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
            faces=outcome.faces,
        )


def in_proportion(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a result with the proportions of its photo, of (width, height), where an engine squeezed a panorama."""
    height, width = pixels.shape[:2]
    scale = max(width, height) / max(size)
    wanted = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    squeezed = max(width / wanted[0], height / wanted[1]) > SQUEEZED
    return resized(pixels, wanted) if squeezed else pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What is asked of all photos; a pick says otherwise where it does.

    describe: returns a photo's tags, the surest first, and its best caption, for prompts.
    """

    palette: Palette
    paints: bool  # whether a diffusion model will; without one, no words are asked for
    draws: bool = False  # whether plants are drawn: they grow by chance, of which the seed decides
    prompt: str | None = None
    negative_prompt: str | None = None
    strength: float | None = None
    seed: int = 0
    seeds: int = 3
    budget_s: float | None = None
    describe: Callable[[int], tuple[Sequence[str], str | None]] = lambda photo_id: ((), None)

    def of(self, pick: Pick) -> Wish:
        """Return what is asked of one photo: what the pick says, else what was said here, else what the photo tells.

        Of what decides nothing where no diffusion model paints, seeds, prompts and the budget, nothing is said then:
        the same result is not made once more for it.
        """
        strength = self.strength if pick.strength is None else pick.strength
        seed = self.seed if pick.seed is None else pick.seed
        if not self.paints:
            return Wish(strength=strength, seed=seed, seeds=0) if self.draws else Wish(strength=strength)
        prompt, negative = pick.prompt or self.prompt, pick.negative_prompt or self.negative_prompt
        if prompt is None or negative is None:
            tags, caption = self.describe(pick.photo_id)
            built = build_prompt(self.palette.prompt, list(tags), caption)
            prompt, negative = (built[0] if prompt is None else prompt), (built[1] if negative is None else negative)
        return Wish(
            prompt=prompt,
            negative_prompt=negative,
            strength=strength,
            seed=seed,
            seeds=self.seeds,
            budget_s=self.budget_s,
        )


def orders_of(catalog: Catalog, session: Session, picks: Sequence[Pick], wishes: Wishes) -> list[Order]:
    """Return the picks as orders, with their files and prompts.

    Raises: QueryError: the library has no such photo, or another one under the number of a pick.
    """
    root, orders = catalog.folder.root, []
    for pick in picks:
        record = photo_record(session, pick.photo_id)
        if record is None:
            raise QueryError(f"no photo {pick.photo_id} in {root}: take a number that a search shows")
        if record.kind == "restyled":
            raise QueryError(f"photo {pick.photo_id} is a restyled one: name the photo that it was made of")
        if pick.path and (pick.path, pick.member) != (record.path, record.member):
            raise QueryError(
                f"photo {pick.photo_id} is {record.path} in {root}, but {pick.path} in the manifest: it is of "
                "another library, or the photo was moved"
            )
        file = PhotoFile(record.path, record.member)
        orders.append(Order(photo_id=pick.photo_id, file=file, wish=wishes.of(pick)))
    return orders
