"""What the benchmark found, level by level, as figures that become data frames; and what people should know besides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.hotels50k.benchmark_figures import BenchmarkFigure
from analysis.hotels50k.found_labels import Outcomes
from base.console import counted
from base.listing import Listing
from indexer.passed_over import Problem

FEW = 5  # ids in a note
MOST_PROBLEMS = 10  # in notes


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelScores:
    """One level of occlusion, or one file of results.

    photos: test photos that are scored. listed: that test_set.csv lists. k: results of each. leaks: image ids of test
    photos that are training photos as well, and left out. untrained: test photos whose hotels have no training photo,
    so that no result can be right. outcomes: of each test photo.
    """

    level: str
    photos: int
    listed: int
    k: int
    leaks: Sequence[int]
    untrained: int
    figures: Sequence[BenchmarkFigure]
    outcomes: Outcomes

    @property
    def notes(self) -> list[str]:
        """What people should know of the figures, in words."""
        photos, said = counted(self.photos, "test photo"), []
        if self.photos < self.listed:
            said.append(f"scored {photos} of the {self.listed} that test_set.csv lists")
        if self.leaks:
            ids = ", ".join(map(str, self.leaks[:FEW])) + (", ..." if len(self.leaks) > FEW else "")
            are = "is a training photo" if len(self.leaks) == 1 else "are training photos"
            said.append(f"left out {counted(len(self.leaks), 'test photo')} that {are} as well, a leak: {ids}")
        if self.untrained:
            said.append(f"the hotels of {self.untrained} of {photos} have no training photo here: none can be right")
        if lacking := [figure.measure for figure in self.figures if figure.value != figure.value and figure.photos]:
            names = ", ".join(dict.fromkeys(lacking))
            said.append(f"each test photo has {counted(self.k, 'result')}, too few for {names}")
        return [f"{self.level}: {note}" for note in said]

    def as_json(self) -> dict[str, Any]:
        """Return all but the outcomes as one object."""
        return {
            "level": self.level,
            "photos": self.photos,
            "listed": self.listed,
            "k": self.k,
            "leaks": list(self.leaks),
            "untrained": self.untrained,
            "figures": [figure.as_json() for figure in self.figures],
        }


class Hotels50kReport(Listing[BenchmarkFigure]):
    """The figures of the benchmark, of all levels.

    levels: each with its figures and outcomes. problems: rows that could not be used. notes: what people should know.
    written: files of results and of probabilities.
    """

    columns = ("level", "by", "convention", "measure", "value", "low", "high", "photos", "published")

    def __init__(
        self,
        levels: Iterable[LevelScores],
        *,
        notes: Sequence[str] = (),
        problems: Sequence[Problem] = (),
        written: Sequence[Path] = (),
    ) -> None:
        self.levels = list(levels)
        super().__init__(figure for level in self.levels for figure in level.figures)
        more = [f"{problem.where}: {problem.reason}" for problem in problems[:MOST_PROBLEMS]]
        if len(problems) > MOST_PROBLEMS:
            more.append(f"and {counted(len(problems) - MOST_PROBLEMS, 'problem')} more; --json lists all")
        self.notes = [*notes, *(note for level in self.levels for note in level.notes), *more]
        self.problems = list(problems)
        self.written = list(written)

    def photos_to_pandas(self) -> Any:
        """Return a pandas.DataFrame, a row for each test photo of each level: hotel, chain, ranks, probabilities.

        A rank is 0 where none of the results is right. Raises: ImportError: pandas is not installed.
        """
        import pandas

        frames = [pandas.DataFrame({"level": level.level} | level.outcomes.columns()) for level in self.levels]
        return pandas.concat(frames, ignore_index=True)
