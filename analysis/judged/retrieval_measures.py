"""Measures of ranked photos, query by query, by ir_measures. Ranks nothing, and knows no library.

Source of the measures: MacAvaney, Macdonald and Ounis 2022, "Streamlining Evaluation with ir-measures"; they are
computed by pytrec_eval, NIST's trec_eval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.judged.query_files import JudgedQuery
from base.arrays import Doubles, Ids
from base.errors import QueryError

CUTOFFS = (1, 5, 10)
DEPTH = 1_000  # photos of a ranking that are looked at, as TREC does
HIGHEST_CUTOFF = DEPTH
AT_ONCE = 256  # queries handed to trec_eval, which takes 100 bytes for each photo of a ranking


@dataclass(frozen=True, slots=True)
class QueryScores:
    """Measures of n queries: values (m, n) float64, a row for each of `names` as ir_measures writes them, 0 to 1."""

    names: tuple[str, ...]
    values: Doubles

    @property
    def means(self) -> Doubles:
        """The mean of each measure over queries, (m,)."""
        means: Doubles = self.values.mean(axis=1)
        return means


def checked_cutoffs(cutoffs: Sequence[int]) -> tuple[int, ...]:
    """Return numbers of photos at which recall and precision are taken, ascending.

    Raises: QueryError: there is none, or one makes no sense.
    """
    if not cutoffs or not all(1 <= k <= HIGHEST_CUTOFF for k in cutoffs):
        given = ", ".join(map(str, cutoffs)) or "empty"
        raise QueryError(f"k is {given}: give numbers from 1 to {HIGHEST_CUTOFF}, such as 1,5,10")
    return tuple(sorted(set(cutoffs)))


def search_measures(cutoffs: Sequence[int] = CUTOFFS) -> tuple[str, ...]:
    """Return the names of what is measured of a search, as ir_measures writes them.

    AP: average precision, whose mean over queries is mAP. RR: reciprocal rank of the first photo that answers, whose
    mean is MRR. nDCG: Järvelin and Kekäläinen 2002, the gain of a photo is its grade. P, R: precision, recall.
    """
    at = checked_cutoffs(cutoffs)
    return ("AP", "RR", f"nDCG@{at[-1]}", *(f"P@{k}" for k in at), *(f"R@{k}" for k in at))


def score_rankings(
    queries: Sequence[JudgedQuery], rankings: Sequence[Ids], measures: Sequence[str] | None = None
) -> QueryScores:
    """Return the measures of each query's ranked photos.

    Args:
        queries: what is known of n queries.
        rankings: of each the ids of photos, best first, (k,); those that are not ranked are not found.
        measures: their names, by default `search_measures()`.

    Raises: ValueError: there is not one ranking for each query.
    """
    import ir_measures  # imports what takes 0.1 s

    names = tuple(measures or search_measures())
    if len(queries) != len(rankings):
        raise ValueError(f"{len(rankings)} rankings of {len(queries)} queries")
    values = np.zeros((len(names), len(queries)))
    # Not by parse_measure: what it asks of Python's ast is gone in 3.14.
    kinds = [name.partition("@") for name in names]
    asked = [getattr(ir_measures, kind) @ int(k) if k else getattr(ir_measures, kind) for kind, _, k in kinds]
    places = {str(measure): at for at, measure in enumerate(asked)}
    for start in range(0, len(queries), AT_ONCE):
        part = range(start, min(start + AT_ONCE, len(queries)))
        judged = {str(at): {str(photo_id): g for photo_id, g in queries[at].grades.items()} for at in part}
        ranked = {  # by rank, since trec_eval has an order of its own for equal scores
            str(at): {str(photo_id): -float(rank) for rank, photo_id in enumerate(rankings[at].tolist())} for at in part
        }
        for found in ir_measures.iter_calc(asked, judged, ranked):
            values[places[str(found.measure)], int(found.query_id)] = found.value
    return QueryScores(names, values)
