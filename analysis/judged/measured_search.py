"""Searches of a library measured by judged queries, in one setting or several side by side."""

from collections.abc import Sequence

import numpy as np

from analysis.judged.common_photos import CommonPhotos
from analysis.judged.query_files import JudgedQueries, JudgedQuery
from analysis.judged.retrieval_measures import CUTOFFS, DEPTH, search_measures
from analysis.judged.search_evaluation import JudgedTask, RankingEvaluation, evaluate_rankings
from analysis.judged.search_settings import SearchSetting, ranked_photos
from base.console import counted
from base.errors import QueryError
from base.progress import Progress, silent


def measure_search(
    settings: Sequence[SearchSetting],
    judged: JudgedQueries,
    *,
    common: CommonPhotos | None = None,
    cutoffs: Sequence[int] = CUTOFFS,
    progress: Progress = silent,
) -> RankingEvaluation:
    """Return the measures of judged queries in each setting, compared with the first.

    Args:
        settings: ways of answering, the baseline first.
        judged: the queries, with what answers them in the first setting's library.
        common: the photos that the settings' libraries share, where there are several: only they may be found.
        cutoffs: numbers of photos at which precision and recall are taken; nDCG at the largest.
        progress: told of the queries.

    Raises: QueryError: no query is answered by the photos in common, or one looks for what a library does not have.
    """
    measures, notes = search_measures(cutoffs), list(judged.notes)
    queries = judged.queries if common is None else in_common(judged.queries, common, notes)
    photos, depth = len(common) if common is not None else count_findable(settings[0]), looked_through(settings)
    if depth < max(cutoffs):
        raise QueryError(
            f"k is {max(cutoffs)}, but the approximate index gives at most {depth} photos: choose k up to {depth}"
        )
    if depth < min(DEPTH, photos):
        notes.append(f"the approximate index names {depth} photos, so no setting is measured beyond them")
    if short := [f"precision@{k}" for k in cutoffs if k > photos]:
        notes.append(f"{', '.join(short)} of only {counted(photos, 'photo')}: places without one count as wrong")
    told: dict[str, None] = {}
    rankings = {
        setting.name: ranked_photos(setting, queries, depth=depth, progress=progress, tell=told.setdefault)
        for setting in settings
    }
    return evaluate_rankings(
        [JudgedTask("", queries, rankings)],
        measures,
        photos=photos,
        notes=[*notes, *told, *answers_notes(queries, photos)],
    )


def in_common(queries: Sequence[JudgedQuery], common: CommonPhotos, notes: list[str]) -> list[JudgedQuery]:
    """Return queries as photos in common answer them. Raises: QueryError: none of them does."""
    found = common.restricted(queries)
    notes.append(f"compared on the {len(common)} photos that all libraries have, copies counted as one")
    if not found:
        raise QueryError(f"none of the {len(common)} photos that the libraries have in common answers a query")
    if len(found) < len(queries):
        left = len(queries) - len(found)
        notes.append(f"left out {left} of {len(queries)} queries, which only other photos answer")
    return found


def count_findable(setting: SearchSetting) -> int:
    """Return how many photos a setting's library can find."""
    with setting.opened() as session:
        return len(setting.searcher.indexes(session, frozenset({"photo"}))[1])


def looked_through(settings: Sequence[SearchSetting]) -> int:
    """Return how many photos of each ranking are looked at: as many as every setting's index gives."""
    return min([DEPTH, *(hits for setting in settings if (hits := setting.most_hits()) is not None)])


def answers_notes(queries: Sequence[JudgedQuery], photos: int) -> list[str]:
    """Return how many photos answer a query, in words, and among how many of all photos they are looked for."""
    counts = np.array([len(query.relevant) for query in queries])
    usual = counted(int(np.median(counts)), "photo")
    said = [f"a query is answered by {usual} (median; {counts.min()} to {counts.max()})"]
    fewest = min((len(query.judged) for query in queries if query.judged is not None), default=photos)
    if fewest < photos:
        said.append(f"queries with tags are answered among the photos whose tags are known, at least {fewest}")
    return said
