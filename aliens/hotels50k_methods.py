"""The benchmark of Hotels-50K, of a library's model or of results from elsewhere."""

from typing import TYPE_CHECKING

from aliens.owner import Owner
from aliens.photo_methods import Where, named
from base.progress import Progress

if TYPE_CHECKING:
    from analysis.hotels50k.hotels50k_report import Hotels50kReport


class Hotels50kMethods(Owner):
    """What the data set's own benchmark says of the library's model."""

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
