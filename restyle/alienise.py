"""The alienise loop: of one photo, the most alien result that is recognisable still. Keeps no file.

First the photo is regraded: little strength of diffusion cannot move a palette, much destroys structure. From there the
engine paints, or draws, at a fixed seed, and bisection searches the highest strength at which the photo is still
recognised; then other seeds are tried at that boundary, since more strength is not always more damage. Where no
strength will do, the rungs of a ladder follow, as far as the engine has them: firmer control, a second control, less
guidance, less strength. The last resort is the regraded photo alone, in the end the photo itself: nothing comes back
unrecognisable, and the rung is recorded.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import Any

from base.arrays import Pixels
from base.errors import DeviceMemoryError
from embedding.quality import density_of_edges
from restyle.controls import controls_for
from restyle.engines.engine import Engine, Job, Painting, Settings
from restyle.judge import Judge, Scores, Subject
from restyle.regrade import regrade
from restyle.structure import registered

LEAST = 0.02  # a wish for less strength is one for none: 20 steps of it are 1,000 of a schedule, all that models have
DETAILED = 0.12  # share of pixels on edges from which on a photo is full of things: the median of 1,260 photos
FAINTEST = 0.1  # strength that the last rung goes down to
STEP = 0.06  # strengths nearer than this are not told apart
REGRADE_STEPS = 5  # bisections of the strength of regrading, where all of it is too much
FIRMER, MOST_CONTROL = 0.15, 1.0  # what the control scale is raised by, and to at most
CALMER, LEAST_GUIDANCE = 1.5, 1.0  # what guidance is lowered by, and to at least

REGRADED, UNCHANGED = "regraded", "unchanged"
SECOND_CONTROL = "second control"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is asked of one photo.

    strength: the highest that is tried, 0..1; None: the whole way for regrading and for plants, 0.75 for diffusion. Of
    plants and of diffusion less than 0.02 is none: the photo is regraded alone. seed: of the first attempts. seeds: how
    many others are tried at the boundary. budget_s: seconds for the photo; None: no limit.
    """

    prompt: str = ""
    negative_prompt: str = ""
    strength: float | None = None
    seed: int = 0
    seeds: int = 3
    budget_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One picture that was made and judged; `failures`: why it is not recognisable, in words."""

    rung: str
    settings: Settings
    scores: Scores
    failures: tuple[str, ...]
    seconds: float

    @property
    def recognisable(self) -> bool:
        """Whether the photo is recognised."""
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """Return it by its names."""
        return {
            "rung": self.rung,
            "settings": asdict(self.settings),
            "scores": self.scores.as_json(),
            "failures": list(self.failures),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of one photo, (h, w, 3) of the photo's size, with how it was come by.

    faces: how many kept their colours when it was regraded.
    """

    pixels: Pixels
    attempt: Attempt
    attempts: tuple[Attempt, ...]
    diffused: bool
    faces: int

    @property
    def rung(self) -> str:
        """The rung that the result was made on."""
        return self.attempt.rung


def alienise(
    subject: Subject,
    engine: Engine,
    judge: Judge,
    wish: Wish = Wish(),
    tell: Callable[[Attempt], None] = lambda attempt: None,
) -> Outcome:
    """Return the most alien recognisable result of a photo.

    Args:
        subject: the photo, at a size that the engine fits.
        engine: what paints; one that only regrades is not asked, since that is done here.
        judge: what decides whether the photo is recognised, and how alien the result is.
        wish: what is asked.
        tell: called with every attempt.

    Raises: EngineError: the engine failed; nothing of this photo is kept.
    """
    search = Search(subject, engine, judge, wish, tell)
    search.regrade()
    if engine.painting is not None:
        search.paint(engine.painting)
    assert search.best is not None  # regrading always leaves one
    pixels, attempt = search.best
    return Outcome(
        pixels=pixels,
        attempt=attempt,
        attempts=tuple(search.attempts),
        diffused=engine.diffuses and attempt.rung not in (REGRADED, UNCHANGED),
        faces=subject.faces.count,
    )


@dataclass(slots=True)
class Search:
    """The attempts at one photo, and the best of them so far."""

    subject: Subject
    engine: Engine
    judge: Judge
    wish: Wish
    tell: Callable[[Attempt], None]
    attempts: list[Attempt] = field(default_factory=list)
    best: tuple[Pixels, Attempt] | None = None
    start: Pixels | None = None
    painted: list[tuple[Pixels, Attempt]] = field(default_factory=list)
    crowded: bool = False  # one more control was too much for the device's memory
    began: float = field(default_factory=perf_counter)

    def regrade(self) -> None:
        """Find the highest strength of regrading at which the photo is recognised, 0 if need be."""
        wished = self.wish.strength if self.engine.painting is None else None
        whole = 1.0 if wished is None else wished
        settings = Settings(strength=whole, seed=0, steps=0, guidance=0, control_scale=0)
        low, high = 0.0, settings.strength
        if self._regraded(settings):
            return
        for _ in range(REGRADE_STEPS):
            middle = replace(settings, strength=(low + high) / 2)
            low, high = (middle.strength, high) if self._regraded(middle) else (low, middle.strength)
        if self.best is None:
            attempt = self._judged(UNCHANGED, replace(settings, strength=0.0), self.subject.pixels, perf_counter())
            self.best = self.subject.pixels, attempt
        self.start = self.best[0]

    def _regraded(self, settings: Settings) -> bool:
        """Regrade at a strength; keep the picture where the photo is recognised, since it is the strongest so far."""
        began = perf_counter()
        pixels = regrade(self.subject.pixels, self.judge.palette, settings.strength, keep=self.subject.faces.keep)
        attempt = self._judged(REGRADED, settings, pixels, began)
        if attempt.recognisable:
            self.best, self.start = (pixels, attempt), pixels
        return attempt.recognisable

    def paint(self, painting: Painting) -> None:
        """Climb the ladder until a rung has a recognisable result, and search its strength.

        A control that nobody asked for may be too much for the device: the ladder goes on without it.
        """
        for rung, settings, lowest, highest in self._ladder(painting):
            try:
                found = self._strongest(rung, settings, lowest, highest, painting.step)
            except DeviceMemoryError:
                if rung != SECOND_CONTROL:
                    raise
                self.crowded, found = True, None
            if found is not None:
                self._other_seeds(rung, *found)
                return

    def _ladder(self, painting: Painting) -> Iterator[tuple[str, Settings, float, float]]:
        """Yield (rung, settings, lowest and highest strength): each rung keeps what the ones before it changed."""
        settings = replace(self.engine.settings, seed=self.wish.seed)
        highest = painting.highest if self.wish.strength is None else self.wish.strength
        if highest < LEAST:
            return
        lowest = min(painting.lowest, highest)
        yield painting.rung, settings, lowest, highest
        if settings.controls:
            settings = replace(settings, control_scale=min(settings.control_scale + FIRMER, MOST_CONTROL))
            yield "firmer control", settings, lowest, highest
        more = tuple(name for name in self.engine.controls_available if name not in settings.controls)
        if more:
            best = controls_for(more, detailed=density_of_edges(self.subject.pixels) > DETAILED)[0]
            fewer, settings = settings, replace(settings, controls=(*settings.controls, best))
            yield SECOND_CONTROL, settings, lowest, highest
            settings = fewer if self.crowded else settings
        if settings.guidance > LEAST_GUIDANCE:
            settings = replace(settings, guidance=max(settings.guidance - CALMER, LEAST_GUIDANCE))
            yield "less guidance", settings, lowest, highest
        if lowest > FAINTEST and self.engine.takes_strength:  # at `lowest` itself the rung before has failed
            yield "less strength", replace(settings, strength=FAINTEST), FAINTEST, max(lowest - STEP, FAINTEST)

    def _strongest(
        self, rung: str, settings: Settings, lowest: float, highest: float, step: float
    ) -> tuple[Settings, float] | None:
        """Return settings with the highest strength that is recognised, and the lowest strength known to fail.

        Where the highest of all is recognised, both are that. An engine that knows no strength paints once.
        """
        if not self.engine.takes_strength:
            found = self._has_time() and self._painted(rung, settings)
            return (settings, settings.strength) if found else None
        strength = min(max(settings.strength, lowest), highest)
        low, high = 0.0, highest
        fails_at_high = False
        while self._has_time():
            if self._painted(rung, replace(settings, strength=strength)):
                low = strength
            else:
                high, fails_at_high = strength, True
            if high <= lowest and fails_at_high:
                return None
            if low and high - low <= step:
                break
            upwards = (low + high) / 2 if fails_at_high else high
            strength = upwards if low else lowest
        return (replace(settings, strength=low), high) if low else None

    def _other_seeds(self, rung: str, settings: Settings, failing: float) -> None:
        """Try other seeds at the boundary."""
        for number in range(1, self.wish.seeds + 1):
            if not self._has_time():
                return
            strength = failing if number % 2 else settings.strength
            self._painted(rung, replace(settings, strength=strength, seed=settings.seed + number))

    def _painted(self, rung: str, settings: Settings) -> bool:
        """Have the engine paint once; keep the picture where it is recognised."""
        began = perf_counter()
        assert self.start is not None
        job = Job(
            original=self.subject.pixels,
            start=self.start,
            prompt=self.wish.prompt,
            negative_prompt=self.wish.negative_prompt,
            slack=lambda pixels: self.judge.slack(self.subject, pixels),
            forbidden=None if self.subject.faces.keep is None else self.subject.faces.keep > 0,
        )
        pixels = self.engine.restyle(job, settings)
        if pixels is self.start:  # there was nothing that it could do
            return False
        if self.engine.moves_picture:
            pixels = registered(self.subject.pixels, pixels)
        attempt = self._judged(rung, settings, pixels, began)
        if attempt.recognisable:
            self._keep(pixels, attempt)
        return attempt.recognisable

    def _keep(self, pixels: Pixels, attempt: Attempt) -> None:
        """Keep a recognised picture, and of the strongest ones, whose strength is the same, take the most alien."""
        self.painted.append((pixels, attempt))
        weakest = max(each.settings.strength for _, each in self.painted) - STEP
        self.painted = [(kept, each) for kept, each in self.painted if each.settings.strength >= weakest]
        self.best = max(self.painted, key=lambda each: (each[1].scores.style, each[1].settings.strength))

    def _judged(self, rung: str, settings: Settings, pixels: Pixels, began: float) -> Attempt:
        scores = self.judge.score(self.subject, pixels, self.wish.prompt)
        failures = () if rung == UNCHANGED else tuple(scores.failures(self.judge.floors))
        attempt = Attempt(
            rung=rung, settings=settings, scores=scores, failures=failures, seconds=perf_counter() - began
        )
        self.attempts.append(attempt)
        self.tell(attempt)
        return attempt

    def _has_time(self) -> bool:
        """Tell whether the budget suffices for one more attempt as long as the last one."""
        if self.wish.budget_s is None:
            return True
        last = self.attempts[-1].seconds if self.attempts and self.attempts[-1].rung != REGRADED else 0.0
        return perf_counter() - self.began + last <= self.wish.budget_s
