"""The photos that several libraries have in common, by their bytes: only these can be compared. Measures nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from analysis.judged.query_files import JudgedQuery
from base.arrays import Ids, places_in
from db.catalog import Catalog
from db.photo_rows import embedded_columns

DIGEST_BYTES = 8  # of a SHA-256: no two photos of any library share them by chance
ABSENT = -1

Contents = tuple[Ids, NDArray[np.uint64]]  # photos, ascending ids (n,), and the first digits of their bytes' hashes


def contents_of(catalog: Catalog) -> Contents:
    """Return the photos of a library that can be found, with what tells their bytes."""
    ids, digests = list[int](), list[bytes]()
    with catalog.session() as session:
        for part in embedded_columns(session, catalog.model, ["content_sha256"]):
            for photo_id, digest in zip(part["photo_id"], part["content_sha256"], strict=True):
                if digest is not None:  # of photos of early versions
                    ids.append(photo_id)
                    digests.append(digest[:DIGEST_BYTES])
    return np.array(ids, np.int64), np.frombuffer(b"".join(digests), "<u8")


@dataclass(frozen=True, slots=True)
class Translation:
    """Photos of a library, ascending ids (n,), and the ids of the same photos in the first library, (n,)."""

    here: Ids
    first: Ids

    @classmethod
    def of(cls, here: Ids, first: Ids) -> Self:
        """Return it of pairs in any order."""
        order = np.argsort(here)
        return cls(here[order], first[order])

    def to_first(self, ids: Ids) -> Ids:
        """Return the first library's ids of some of the photos."""
        return self.first[np.searchsorted(self.here, ids)]

    def from_first(self, ids: Ids) -> Ids:
        """Return the ids here, ascending, of photos that the first library has under these."""
        return self.here[np.isin(self.first, ids)]

    def in_turn(self, ids: Ids) -> Ids:
        """Return the ids here of photos that the first library has under these, in their order."""
        order = np.argsort(self.first)
        return self.here[order][np.searchsorted(self.first, ids, sorter=order)]


@dataclass(frozen=True, slots=True)
class CommonPhotos:
    """Photos that all of several libraries have, copies of the same bytes as one: under its lowest id in the first.

    ids: the first library's photos, ascending (n,); canonical: the id that each counts under, (n,), ABSENT where
    another library lacks it. translations: one for each library.
    """

    ids: Ids
    canonical: Ids
    translations: Sequence[Translation]

    @classmethod
    def of(cls, libraries: Sequence[Contents]) -> Self:
        """Return what libraries have in common, the first library's first."""
        lowest = [np.unique(digests, return_index=True) for _, digests in libraries]  # ids ascend: the first is lowest
        common = lowest[0][0]
        for digests, _ in lowest[1:]:
            common = np.intersect1d(common, digests, assume_unique=True)
        theirs = [
            ids[places[np.searchsorted(digests, common)]]
            for (ids, _), (digests, places) in zip(libraries, lowest, strict=True)
        ]
        ids, digests = libraries[0]
        canonical = np.full(len(ids), ABSENT, np.int64)
        at, here = places_in(common, digests)
        canonical[here] = theirs[0][at[here]]
        return cls(ids, canonical, [Translation.of(mine, theirs[0]) for mine in theirs])

    def __len__(self) -> int:
        return len(self.translations[0].here)

    def counted_as(self, ids: Ids) -> Ids:
        """Return the ids that photos of the first library count under, ABSENT where they are not in common."""
        counted = np.full(len(ids), ABSENT, np.int64)
        at, here = places_in(self.ids, ids)
        counted[here] = self.canonical[at[here]]
        return counted

    def restricted(self, queries: Iterable[JudgedQuery]) -> list[JudgedQuery]:
        """Return queries as they are answered by these photos alone, those that no photo answers left out.

        Of copies with several grades the highest counts.
        """
        found = []
        for query in queries:
            grades: dict[int, int] = {}
            named = np.array(list(query.grades), np.int64)
            for photo_id, grade in zip(self.counted_as(named).tolist(), query.grades.values(), strict=True):
                if photo_id != ABSENT:
                    grades[photo_id] = max(grade, grades.get(photo_id, 0))
            judged = None if query.judged is None else np.unique(self.counted_as(query.judged))
            if any(grades.values()):
                judged = None if judged is None else judged[judged != ABSENT]
                found.append(replace(query, grades=grades, judged=judged))
        return found
