"""What another model would gain, and what it would cost: a library's own beside others, on a sample of its photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from analysis.compared.photo_sample import PhotoSample
from analysis.compared.sample_libraries import SampledModel, text_ms
from analysis.judged.common_photos import CommonPhotos, contents_of
from analysis.judged.measured_search import in_common, measure_search
from analysis.judged.query_files import JudgedQueries, JudgedQuery
from analysis.judged.search_evaluation import RankingEvaluation
from analysis.judged.search_settings import SearchSetting, ranked_photos
from base.arrays import Ids
from base.console import counted
from base.errors import QueryError
from base.listing import Listing
from base.progress import Progress

SHOWN = 10  # photos of an answer that agreement looks at
FLOAT16_BYTES, ID_BYTES = 2, 8  # of a vector's number, of a photo's id beside it
FEW_PHOTOS = 50  # embedded in so few, batches and threads do not come into their stride


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """What a model costs a library of `photos` photos.

    parameters: numbers that it learnt. size_px: of the squares that it sees. photos_per_s: embedded on this machine,
    with decoding; hours: all photos at that rate; None of the library's own, whose vectors are there. vectors_bytes:
    of all vectors on disk, which an exact search reads. text_ms: until a query's text is a vector, median.
    """

    model: str
    photos: int
    dim: int
    parameters: int | None
    size_px: int | None
    photos_per_s: float | None
    hours: float | None
    vectors_bytes: int
    text_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAgreement:
    """Two models: the share of the 10 best photos of a query that both show, mean over queries."""

    model: str
    other: str
    queries: int
    shared: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """Models beside a library's own, which is the first everywhere.

    quality: measures with intervals, and differences from the library's own model. sample: photos that were compared.
    """

    quality: RankingEvaluation
    costs: Listing[ModelCost]
    agreement: Listing[ModelAgreement]
    sample: int
    notes: Sequence[str]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return all records as one list, each with what it is `of`: quality, cost or agreement."""
        parts = (("quality", self.quality), ("cost", self.costs), ("agreement", self.agreement))
        return [{"of": name} | record for name, listing in parts for record in listing.to_dicts()]


def compare_models(
    own: SampledModel,
    others: Sequence[SampledModel],
    sample: PhotoSample,
    judged: JudgedQueries,
    *,
    cutoffs: Sequence[int],
    photos: int,
    progress: Progress,
) -> ModelComparison:
    """Return how models search a sample that all have embedded, and what each costs for all photos.

    Args:
        own: the library with its own model.
        others: those that have embedded the sample.
        sample: its photos.
        judged: queries, with what answers them in the library.
        cutoffs: numbers of photos at which precision and recall are taken.
        photos: how many photos the library can find.
        progress: told of the queries.

    Raises: QueryError: no photo of the sample could be embedded by all, or none of them answers a query.
    """
    models = [own, *others]
    texts = [query.text for query in judged.queries]
    costs = [cost_of(model, photos, texts) for model in models]  # before the texts are known
    settings, common = settings_of_models(models, sample)
    quality = measure_search(settings, judged, common=common, cutoffs=cutoffs, progress=progress)
    queries = in_common(judged.queries, common, [])
    drawn = f"{len(sample) - sample.drawn} that answer queries and {sample.drawn} drawn by chance"
    notes = [*quality.notes, f"the sample is of {counted(len(sample), 'photo')}: {drawn}"]
    if len(common) < len(sample):
        left = len(sample) - len(common)
        notes.append(f"{left} of the sample are copies of others, or could not be read now: they count for no model")
    if few := [model.name for model in others if model.speed is not None and model.speed.photos < FEW_PHOTOS]:
        notes.append(f"photos/s of {', '.join(few)} were measured on fewer than {FEW_PHOTOS} photos: they are rough")
    return ModelComparison(
        quality=quality,
        costs=Listing(costs),
        agreement=Listing(agreements(settings, queries, progress)),
        sample=len(common),
        notes=notes,
    )


def settings_of_models(models: Sequence[SampledModel], sample: PhotoSample) -> tuple[list[SearchSetting], CommonPhotos]:
    """Return a setting for each model, exact, and the photos of the sample that all of them have.

    Raises: QueryError: there is none.
    """
    contents = [contents_of(model.searcher.catalog) for model in models]
    ids, digests = contents[0]
    here = np.isin(ids, sample.ids)
    common = CommonPhotos.of([(ids[here], digests[here]), *contents[1:]])
    if not len(common):
        raise QueryError(
            f"none of {counted(len(sample), 'photo')} can be read where the library knows them: bring them back, and "
            "`aliens add` them again"
        )
    settings = [
        SearchSetting(name=model.name, searcher=model.searcher, exact=True, photos=photos)
        for model, photos in zip(models, common.translations, strict=True)
    ]
    return settings, common


def cost_of(model: SampledModel, photos: int, texts: Sequence[str]) -> ModelCost:
    """Return what a model costs for so many photos."""
    speed, dim = model.speed, model.searcher.catalog.model.dim
    return ModelCost(
        model=model.name,
        photos=photos,
        dim=dim,
        parameters=None if speed is None else speed.parameters,
        size_px=None if speed is None else speed.size_px,
        photos_per_s=None if speed is None else speed.photos_per_s,
        hours=None if speed is None else photos / speed.photos_per_s / 3600,
        vectors_bytes=photos * (FLOAT16_BYTES * dim + ID_BYTES),
        text_ms=text_ms(model.searcher, texts),
    )


def agreements(
    settings: Sequence[SearchSetting], queries: Sequence[JudgedQuery], progress: Progress
) -> list[ModelAgreement]:
    """Return of each two settings how many of the best photos both show."""
    best = {each.name: ranked_photos(each, queries, depth=SHOWN, progress=progress) for each in settings}
    return [
        ModelAgreement(model=one, other=other, queries=len(queries), shared=shared_share(best[one], best[other]))
        for one, other in combinations(best, 2)
    ]


def shared_share(one: Sequence[Ids], other: Sequence[Ids]) -> float:
    """Return the mean share of photos that two answers to the same query have in common; no photos are alike."""
    shares = [
        len(np.intersect1d(mine, theirs)) / max(len(mine), len(theirs))
        for mine, theirs in zip(one, other, strict=True)
        if len(mine) or len(theirs)
    ]
    return float(np.mean(shares)) if shares else 1.0
