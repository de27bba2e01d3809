"""What was measured of one or several ways of answering the same queries, with intervals and differences as a table."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from analysis.judged.query_files import JudgedQuery
from analysis.judged.retrieval_measures import QueryScores, score_rankings
from analysis.judged.uncertainty import (
    CONFIDENCE,
    MOST_RESAMPLED,
    bootstrap_intervals,
    holm,
    least_p_value,
    paired_p_values,
)
from base.arrays import Doubles, Ids
from base.console import counted, without_nan
from base.listing import Listing

SIGNIFICANT = 1 - CONFIDENCE
FEW_QUERIES = 20  # below which intervals are rough
LABELS = {"AP": "mAP", "RR": "MRR", "P": "precision", "R": "recall", "Success": "R"}  # as the field says them of means


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredMean:
    """The mean of a measure over queries, 0 to 1, of one way of answering them; NaN where nothing can be said.

    task: what was asked for, such as text to photo; empty where there is one alone. setting: the way. low, high: the
    95 % confidence interval. difference: from the first setting, positive where this one is better, with its interval.
    p: how likely so large a difference is by chance; p_corrected: for all differences of the table together. verdict:
    better or worse where that is below 0.05, else empty.
    """

    task: str
    measure: str
    setting: str
    queries: int
    mean: float
    low: float
    high: float
    difference: float = float("nan")
    difference_low: float = float("nan")
    difference_high: float = float("nan")
    p: float = float("nan")
    p_corrected: float = float("nan")
    verdict: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return its fields, None for what is no number."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain


class RankingEvaluation(Listing[MeasuredMean]):
    """Means of measures over queries, a record for each measure and setting, the first of which is the baseline.

    by_query: every query's measures in every setting, with the query, where it stands, how many photos answer
    it. photos: among how many photos answers were looked for. notes:
    what people should know.
    """

    columns = ("task", "measure", "setting", "mean", "low", "high", "difference", "p_corrected", "verdict")

    def __init__(
        self,
        means: Iterable[MeasuredMean],
        by_query: Iterable[Mapping[str, Any]] = (),
        *,
        photos: int = 0,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(means)
        self.by_query = Listing(by_query)
        self.photos = photos
        self.notes = list(notes)

    @property
    def settings(self) -> list[str]:
        """The names of the settings, the baseline first."""
        return list(dict.fromkeys(mean.setting for mean in self))


@dataclass(frozen=True, slots=True)
class JudgedTask:
    """Rankings of the same n queries by one or several settings: {name: n arrays of ids, best first}."""

    name: str
    queries: Sequence[JudgedQuery]
    rankings: Mapping[str, Sequence[Ids]]


def evaluate_rankings(
    tasks: Sequence[JudgedTask],
    measures: Sequence[str],
    *,
    photos: int,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> RankingEvaluation:
    """Return the measures of rankings with intervals, and differences from each task's first setting with their p.

    Args:
        tasks: what is measured; each has the same settings.
        measures: names as ir_measures writes them.
        photos: among how many answers were looked for.
        seed: of what is drawn for intervals and tests.
        notes: what people should know already.
    """
    means: list[MeasuredMean] = []
    by_query: list[dict[str, Any]] = []
    for task in tasks:
        scores = {name: score_rankings(task.queries, rankings, measures) for name, rankings in task.rankings.items()}
        means += task_means(task, scores, seed)
        by_query += query_rows(task, scores)
    tests = sum(mean.p == mean.p for mean in means)
    told = [*notes, *cautions_on(min(len(task.queries) for task in tasks), tests)]
    return RankingEvaluation(with_verdicts(means), by_query, photos=photos, notes=told)


def task_means(task: JudgedTask, scores: Mapping[str, QueryScores], seed: int) -> list[MeasuredMean]:
    """Return each measure's mean in each setting, measure by measure, without what needs all tasks."""
    first = next(iter(scores.values()))
    columns = []
    for name, found in scores.items():
        intervals = bootstrap_intervals(found.values, seed=seed)
        differences: Doubles = found.values - first.values
        apart = np.full((len(differences), 4), np.nan)  # difference, its interval, p
        if found is not first:
            apart[:, 0] = differences.mean(axis=1)
            apart[:, 1:3] = bootstrap_intervals(differences, seed=seed)
            apart[:, 3] = paired_p_values(differences, seed=seed)
        columns.append((name, found.means, intervals, apart))
    return [
        MeasuredMean(
            task=task.name,
            measure=label_of(measure),
            setting=name,
            queries=len(task.queries),
            mean=float(means[at]),
            low=float(intervals[at, 0]),
            high=float(intervals[at, 1]),
            difference=float(apart[at, 0]),
            difference_low=float(apart[at, 1]),
            difference_high=float(apart[at, 2]),
            p=float(apart[at, 3]),
        )
        for at, measure in enumerate(first.names)
        for name, means, intervals, apart in columns
    ]


def with_verdicts(means: Sequence[MeasuredMean]) -> list[MeasuredMean]:
    """Return means with p corrected for all differences of the table, and what follows from them."""
    tested = [at for at, mean in enumerate(means) if mean.p == mean.p]
    corrected = dict(zip(tested, holm([means[at].p for at in tested]), strict=True))
    found = []
    for at, mean in enumerate(means):
        p = corrected.get(at, float("nan"))
        verdict = ("better" if mean.difference > 0 else "worse") if p < SIGNIFICANT else ""
        found.append(replace(mean, p_corrected=p, verdict=verdict))
    return found


def query_rows(task: JudgedTask, scores: Mapping[str, QueryScores]) -> list[dict[str, Any]]:
    """Return every query's measures in every setting."""
    of = {"task": task.name} if task.name else {}
    rows = [{"query": q.text, "where": os.path.basename(q.where), "relevant": len(q.relevant)} for q in task.queries]
    return [
        of
        | rows[at]
        | {"setting": name}
        | {measure: float(found.values[row, at]) for row, measure in enumerate(found.names)}
        for at in range(len(rows))
        for name, found in scores.items()
    ]


def label_of(measure: str) -> str:
    """Return a measure's name as it is said of a mean over queries, such as recall@10, of ir_measures' R@10."""
    name, at, k = measure.partition("@")
    return f"{LABELS.get(name, name)}{at}{k}"


def cautions_on(queries: int, tests: int) -> list[str]:
    """Return what is to be said where queries are few, and so many differences were tested."""
    said, few = [], "1 query is" if queries == 1 else f"{queries} queries are"
    if queries < FEW_QUERIES:
        said.append(f"{few} few: intervals are rough")
    if tests and queries <= MOST_RESAMPLED and least_p_value(queries) * tests >= SIGNIFICANT:
        differences = counted(tests, "difference")
        needed = next((count for count in range(1, 100) if least_p_value(count) * tests < SIGNIFICANT), None)
        said.append(
            f"{differences} are too many to tell any from chance: compare fewer settings, at fewer k"
            if needed is None
            else f"{few} too few to tell any of {differences} from chance: it takes {needed}"
        )
    return said
