"""A sample of a library's photos, drawn by chance, and where its files lie. Embeds nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from analysis.judged.query_files import JudgedQuery
from base.arrays import Ids
from db.photo_rows import photos_by_id
from indexer.sources import FoundPhoto, Source, found_at


@dataclass(frozen=True, slots=True)
class PhotoSample:
    """Photos that models are compared on, ascending ids (n,); drawn: how many of them were drawn by chance."""

    ids: Ids
    drawn: int

    @classmethod
    def of(cls, queries: Sequence[JudgedQuery], findable: Ids, photos: int, seed: int) -> "PhotoSample":
        """Return the photos that answer queries, and so many others, drawn evenly; the same for the same seed.

        Where it is known of some photos alone whether they answer any query, others are drawn from these.

        findable: ids of all photos that can be found, ascending (n,).
        """
        judged = [query.judged for query in queries]
        known = [ids for ids in judged if ids is not None]
        pool = findable if len(known) < len(judged) else np.intersect1d(np.unique(np.concatenate(known)), findable)
        answers = np.unique(np.array(list(chain.from_iterable(query.relevant for query in queries)), np.int64))
        others = np.setdiff1d(pool, answers, assume_unique=True)
        drawn = np.random.default_rng(seed).choice(others, min(photos, len(others)), replace=False)
        return cls(np.sort(np.concatenate([answers, drawn])), len(drawn))

    def __len__(self) -> int:
        return len(self.ids)


class SampleSource(Source):
    """Photos of a library, in files and in tar files, wherever they lie."""

    kind = "file"
    whole = False

    def __init__(self, places: Sequence[tuple[str, str]]) -> None:
        """`places`: of each photo its path, and its member in a tar file or nothing; at least one."""
        super().__init__(Path(places[0][0]))
        self.places = places

    @classmethod
    def of_library(cls, session: Session, sample: PhotoSample) -> "SampleSource":
        """Return it for a sample of at least one photo."""
        return cls(sorted((photo.path, photo.member) for photo in photos_by_id(session, sample.ids.tolist())))

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos."""
        for path, member in self.places:
            yield found_at(path, member)

    @property
    def folders(self) -> Iterable[str]:
        """The folders of the photos."""
        return dict.fromkeys(str(Path(path).parent) for path, _ in self.places)

    def finds(self, path: str) -> bool:
        """Tell whether it is one of them."""
        return any(path == place for place, _ in self.places)
