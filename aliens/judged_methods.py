"""What a library can do to have its searches measured: by judged queries, beside other models, by Hotels-50K's own."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aliens.owner import Where
from aliens.photo_methods import named
from aliens.search_methods import SearchMethods
from base.errors import QueryError
from base.progress import Progress

if TYPE_CHECKING:
    from analysis.compared.model_comparison import ModelComparison
    from analysis.hotels50k.hotels50k_report import Hotels50kReport
    from analysis.judged.search_evaluation import RankingEvaluation
    from search.answers import Searcher

PRECISIONS = ("float32", "bfloat16")


class JudgedMethods(SearchMethods):
    """Searches measured by what is known to answer them; other models tried; the benchmark of Hotels-50K."""

    def evaluate_search(
        self,
        queries: Where,
        *,
        truth: Where | None = None,
        k: Sequence[int] = (1, 5, 10),
        compare: "Sequence[Where | SearchMethods]" = (),
        exact: bool = False,
        templates: Sequence[str] = (),
        precisions: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> "RankingEvaluation":
        """Measure searches: mAP, MRR, nDCG, precision and recall, with 95 % intervals over queries.

        Further settings are measured beside this library as it searches, and compared with it, query by query.

        Args:
            queries: a CSV, Excel or JSON Lines file with a column `query`, and photo_id, image_id or path of a photo
                that answers it (with `relevance`, 1 by default), or `tags` that such photos have.
            truth: a file with true tags, for queries that say tags; by default people's labels.
            k: numbers of photos at which precision and recall are taken; nDCG at the largest.
            compare: other libraries of the same photos, such as those of another model: folders, or opened ones.
            exact: also compare every photo, in place of the approximate index.
            templates: also put these prompts around texts, each with {} for the text.
            precisions: also encode texts by the whole model in these: float32, bfloat16.
            progress: told of the queries.

        Raises:
            QueryError: a file cannot be read or makes no sense, nothing answers its queries here, or a setting cannot
                be had.
            LibraryError: a library to compare with cannot be opened.
            EncoderError: the model cannot be had.
        """
        from analysis.judged.measured_search import measure_search
        from analysis.judged.query_files import read_judged_queries
        from analysis.judged.retrieval_measures import checked_cutoffs
        from analysis.judged.search_settings import settings_beside, settings_of_libraries

        cutoffs = checked_cutoffs(k)
        with ExitStack() as opened, self.showing(progress) as tell:
            libraries = [self.searcher, *self._others(compare, opened)]
            settings, common = settings_of_libraries(libraries)
            more = {f"texts in {each}": self._searcher_in(each) for each in precisions}
            settings += settings_beside(settings[0], exact=exact, templates=templates, searchers=more)
            with self.catalog.session() as session:
                judged = read_judged_queries(
                    session,
                    Path(queries),
                    partial(settings[0].findable, session),
                    None if truth is None else Path(truth),
                )
            return measure_search(settings, judged, common=common, cutoffs=cutoffs, progress=tell)

    def evaluate_captions(
        self,
        source: Where | None = None,
        *,
        captions: str | None = None,
        k: Sequence[int] = (1, 5, 10),
        photos: int = 5_000,
        seed: int = 0,
        compare: "Sequence[Where | SearchMethods]" = (),
        progress: Progress | None = None,
    ) -> "RankingEvaluation":
        """Measure image-text retrieval: R@k of captions that look for their photos, and of photos for their captions.

        Args:
            source: a CSV, Excel or JSON Lines file with a column `caption`, and photo_id, image_id or path; a photo may
                have several. By default one of the library's own sets.
            captions: which of them, by its key; by default the only one.
            k: among how many of the best one of its own has to be.
            photos: how many photos are drawn, where more have captions: the more, the lower is R@k.
            seed: of what is drawn.
            compare: other libraries of the same photos: folders, or opened ones.
            progress: told of the captions that are encoded.

        Raises: QueryError, LibraryError: as `evaluate_search`.
        """
        from analysis.judged.caption_retrieval import measure_captions, pairs_of_file, pairs_of_set
        from analysis.judged.retrieval_measures import checked_cutoffs
        from analysis.judged.search_settings import settings_of_libraries

        cutoffs = checked_cutoffs(k)
        if photos < 1:
            raise QueryError(f"photos is {photos}: draw at least 1")
        if source is not None and captions is not None:
            raise QueryError(
                "captions are either a file's (--from) or a set of the library's (--set): give one of them"
            )
        with ExitStack() as opened, self.showing(progress) as tell:
            settings, common = settings_of_libraries([self.searcher, *self._others(compare, opened)])
            with self.catalog.session() as session:
                if source is None:
                    pairs = pairs_of_set(session, captions)
                else:
                    pairs = pairs_of_file(session, Path(source), partial(settings[0].findable, session))
            pairs = pairs if common is None else pairs.in_common(common)
            return measure_captions(settings, pairs.drawn(photos, seed), cutoffs=cutoffs, progress=tell)

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

    def evaluate_hotels50k(
        self, root: Where, *, occlusion: str = "all", write: Where | None = None, progress: Progress | None = None
    ) -> "Hotels50kReport":
        """Have each test photo of Hotels-50K retrieve 100 training photos of the library, and score that.

        Test photos are embedded into libraries of their own inside the library's folder, and never into the library.
        May be stopped at any time; the same call goes on where it stopped.

        Args:
            root: of the Hotels-50K tree: dataset/*.csv and images/test.
            occlusion: unoccluded, low, medium or high; all: those of which there are photos.
            write: a folder for what was retrieved and the probabilities of hotels, as the benchmark's CSV files.
            progress: told of embedding and searching.

        Returns: figures with their intervals, which become a data frame by `to_pandas`; `photos_to_pandas` has a row
            for each test photo.

        Raises:
            QueryError: there is no such level, or the library holds no training photo.
            SourceError: there is no such tree, or no test photos.
            OutputError: the folder cannot be written.
            LibraryError: another one evaluates it, the disk is full or cannot be written.
            KeyboardInterrupt: somebody stopped it; what was embedded is kept.
        """
        from analysis.hotels50k.protocol import evaluate_library

        with self.showing(progress) as tell:
            return evaluate_library(
                self.catalog,
                self.encoder,
                self.index,
                named(root),
                occlusion=occlusion,
                write=None if write is None else named(write),
                progress=tell,
            )

    @staticmethod
    def score_hotels50k(
        root: Where, results: Where, *, occlusion: str = "all", write: Where | None = None
    ) -> "Hotels50kReport":
        """Score results from elsewhere; neither a library nor a model is needed, nor any photo.

        Args:
            root: of the Hotels-50K tree: dataset/*.csv.
            results: a file with rows test_image_id, result1_image_id, ..., result100_image_id, or a folder of them.
            occlusion: the level that a file is of; by default what its name says. Of a folder, the one to score.
            write: a folder for the probabilities of hotels.

        Raises:
            QueryError: there are no such results, none can be used, or there is no such level.
            SourceError: there is no such tree.
            OutputError: the folder cannot be written.
        """
        from analysis.hotels50k.protocol import score_results

        where = None if write is None else named(write)
        return score_results(named(root), named(results), occlusion=occlusion, write=where)

    def _others(self, compare: "Sequence[Where | SearchMethods]", opened: ExitStack) -> "list[Searcher]":
        """Return what searches other libraries; those given as folders are opened as long as the stack is."""
        from aliens.library import open

        found = []
        for other in compare:
            if not isinstance(other, SearchMethods):
                other = opened.enter_context(
                    open(other, device=self.device, precision=self._precision, backend=self._backend, tell=self.tell)
                )
            found.append(other.searcher)
        return found

    def _searcher_in(self, precision: str) -> "Searcher":
        """Return what searches this library with texts encoded by the whole model in a precision.

        Raises: QueryError: there is no such precision.
        """
        if precision not in PRECISIONS:
            raise QueryError(f"precision is {precision!r}: choose {' or '.join(PRECISIONS)}")
        from embedding.open_clip_encoder import OpenClipEncoder  # imports torch, which takes seconds
        from search.answers import Searcher

        self.tell(f"loading {self.model.name} in {precision} ...")
        encoder = OpenClipEncoder.load(
            self.model.name, device=self.device, precision=precision, backend=self._backend, key=self.model.key
        )
        return Searcher(self.catalog, self.store, self.index, lambda: encoder)
