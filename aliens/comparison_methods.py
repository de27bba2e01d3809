"""What a library can do before its model is changed."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aliens.search_methods import SearchMethods, Where
from base.errors import QueryError
from base.progress import Progress

if TYPE_CHECKING:
    from analysis.compared.model_comparison import ModelComparison


class ComparisonMethods(SearchMethods):
    """Other models tried on a sample."""

    def compare(
        self,
        *models: str,
        queries: Where,
        truth: Where | None = None,
        k: Sequence[int] = (1, 5, 10),
        photos: int = 1_000,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> "ModelComparison":
        """Compare the library's model with others: what searches would gain by them, and what they would cost.

        Each embeds a sample of the photos, in a library of its own inside the library's folder (compared/), and never
        into the library. May be stopped at any time; the same call goes on where it stopped.

        Args:
            models: ARCHITECTURE/WEIGHTS of open_clip, starter, local-dir:FOLDER or hf-hub:ORG/NAME.
            queries: a file of queries and what answers them, as of `evaluate_search`.
            truth: a file with true tags, for queries that say tags; by default people's labels.
            k: numbers of photos at which precision and recall are taken; nDCG at the largest.
            photos: how many are drawn, beside those that answer queries.
            seed: of what is drawn.
            progress: told of embedding and of the queries.

        Raises:
            QueryError: a file cannot be read or makes no sense, nothing answers its queries, or a model is the
                library's own.
            EncoderError: a model is unknown or its weights cannot be had.
            LibraryError: another process embeds by the same model, the disk is full or cannot be written.
            KeyboardInterrupt: somebody stopped it; what was embedded is kept.
        """
        from analysis.compared.model_comparison import compare_models
        from analysis.compared.photo_sample import PhotoSample
        from analysis.compared.sample_libraries import SampledModel, sampled_models
        from analysis.judged.query_files import read_judged_queries
        from analysis.judged.retrieval_measures import checked_cutoffs
        from analysis.judged.search_settings import SearchSetting

        cutoffs = checked_cutoffs(k)
        if not models:
            raise QueryError("name the models to compare the library's own with, such as ViT-B-16/openai")
        if photos < 0:
            raise QueryError(f"photos is {photos}: draw 0 or more")
        own = SampledModel(name=self.model.name, searcher=self.searcher, speed=None)
        with self.showing(progress) as tell:
            with self.catalog.session() as session:
                findable = partial(SearchSetting(name=own.name, searcher=self.searcher).findable, session)
                judged = read_judged_queries(session, Path(queries), findable, None if truth is None else Path(truth))
                everything = self.index(session).ids
            sample = PhotoSample.of(judged.queries, everything, photos, seed)
            with sampled_models(
                self.catalog,
                models,
                sample,
                device=self.device,
                precision=self._precision,
                backend=self._backend,
                progress=tell,
            ) as others:
                return compare_models(
                    own, others, sample, judged, cutoffs=cutoffs, photos=len(everything), progress=tell
                )
