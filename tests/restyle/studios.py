"""Runs over several photos, as tests set them up."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from base.files import PhotoFile
from base.settings import LibraryFolder
from benchmarks.synthetic import SyntheticEngine
from restyle.alienise import Wish
from restyle.engines.engine import Engine, Job, Settings
from restyle.floors import DEFAULT_FLOORS
from restyle.judge import Judge
from restyle.palettes import Palette, read_palette
from restyle.regrade import RegradeEngine
from restyle.restyled import Result
from restyle.studio import Done, Failed, Order, Studio
from tests.restyled import results_of

FERN = read_palette("fern")
SMALL = SyntheticEngine(longest_px=96, bend_share=0.005, cover=0.3)  # a photo is recognised at the first attempt


@dataclass(frozen=True, kw_only=True)
class BreakingEngine(SyntheticEngine):
    """Calls `before` with every job first, which may raise; otherwise the same engine."""

    before: Callable[[Job], None]
    longest_px: int = SMALL.longest_px
    bend_share: float = SMALL.bend_share
    cover: float = SMALL.cover

    def restyle(self, job: Job, settings: Settings) -> np.ndarray:
        self.before(job)
        return SMALL.restyle(job, settings)


def at_photo(number: int, error: BaseException) -> Callable[[Job], None]:
    """Raise an error when the engine first sees so many different photos."""
    seen: list[np.ndarray] = []

    def before(job: Job) -> None:
        if not any(job.original is photo for photo in seen):
            seen.append(job.original)
            if len(seen) == number:
                raise error

    return before


@contextmanager
def studio(
    folder: LibraryFolder, engine: Engine | None = None, palette: Palette = FERN, **how: Any
) -> Iterator[Studio]:
    """Open a studio on a library, with nothing but structure to judge by."""
    with results_of(folder) as (_, results):
        judge = Judge(how.pop("floors", DEFAULT_FLOORS), palette)
        yield Studio(engine=engine or RegradeEngine(palette), judge=judge, results=results, **how)


def order_of(file: Path | PhotoFile, photo_id: int = 1, **wish: Any) -> Order:
    """Return an order of a photo; a low strength and no other seeds, so that few attempts are made."""
    place = file if isinstance(file, PhotoFile) else PhotoFile(str(file))
    return Order(photo_id=photo_id, file=place, wish=Wish(**({"seeds": 0, "strength": 0.3} | wish)))


def orders_of(photos: Path, numbers: Iterable[int] = range(1, 4), **wish: Any) -> list[Order]:
    """Return orders of the first photos of the fixture `photos`."""
    return [order_of(photos / f"{number - 1:02d}.jpg", number, **wish) for number in numbers]


def run(folder: LibraryFolder, orders: list[Order], engine: Engine | None = None, **how: Any) -> list[Done | Failed]:
    with studio(folder, engine, **how) as opened:
        return list(opened.restyle(orders))


def made(outcomes: Iterable[Done | Failed]) -> list[bool | None]:
    """Return for each whether it was made now; None where it failed."""
    return [each.made_now if isinstance(each, Done) else None for each in outcomes]


def kept(folder: LibraryFolder) -> list[Result]:
    with results_of(folder) as (_, results):
        return results.all()


def agree(folder: LibraryFolder) -> bool:
    """Tell whether the rows' files are all files that there are, and nothing else lies beside them."""
    files = {path.name for path in folder.restyled.iterdir()} - {"floors.json"} if folder.restyled.is_dir() else set()
    rows = [result.path.name for result in kept(folder)]
    return sorted(rows) == sorted(files)
