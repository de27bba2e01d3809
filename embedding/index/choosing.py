"""Which kind of index a library gets: by its photos, their dimensions, and the machine's memory. Builds nothing."""

import os
from dataclasses import dataclass
from typing import Literal

from aliens.errors import LibraryError

Kind = Literal["auto", "exact", "ivf", "hnsw"]
KINDS = ("auto", "exact", "ivf", "hnsw")
EXACT_SUFFICES = 250_000  # photos: of so many all are compared in about 10 ms, which nothing approximate is worth
SCALAR_BYTES = 32 << 20  # of one byte a dimension: up to here nothing is gained by shorter codes
MEMORY_SHARE = 0.5  # of the machine's memory that an index may take
LEAST_RECALL = 0.99
POINTS_PER_LIST = 39  # fewer photos for a list than that make poor clusters, says FAISS


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexChoice:
    """What index a library should have: a kind, or a factory string of FAISS, and how much it must find.

    milvus: URI of a Milvus that names the candidates in place of a file. It may hold a password.

    Raises: LibraryError: a value makes no sense.
    """

    kind: Kind = "auto"
    factory: str | None = None
    least_recall: float = LEAST_RECALL
    milvus: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LibraryError(f"{self.kind!r} is no kind of index: choose {', '.join(KINDS)} or milvus:URI")
        if not 0 < self.least_recall <= 1:
            raise LibraryError(f"the least recall is {self.least_recall:g}: choose a value above 0 and up to 1")
        if self.factory is not None and self.kind in ("auto", "exact"):
            raise LibraryError(
                f"a factory string needs --kind ivf or hnsw, not {'milvus' if self.milvus else self.kind}"
            )
        if self.milvus is not None and not self.milvus.strip():
            raise LibraryError("milvus: needs a URI, such as milvus:http://localhost:19530 or milvus:photos.db")


def resolved(choice: IndexChoice, photos: int) -> Literal["exact", "ivf", "hnsw"]:
    """Return the kind of index that so many photos get."""
    if choice.milvus is not None:
        return "exact"  # the candidates come from Milvus
    if choice.kind == "auto":
        return "exact" if photos <= EXACT_SUFFICES else "ivf"
    return choice.kind if photos > POINTS_PER_LIST else "exact"


def factory_string(kind: Literal["ivf", "hnsw"], photos: int, dim: int, *, memory_bytes: int, gpu: bool) -> str:
    """Return FAISS's description of an index that suits so many vectors of `dim` dimensions.

    Lists: about 4 sqrt(photos), a power of 2. Codes: one byte a dimension (SQ8) while they are small, or on GPUs,
    which know nothing finer; else products of two dimensions in 4 bits each, which FAISS compares in registers
    (Andre et al. 2015, "Cache locality is not enough"), of four where memory is short.
    """
    if kind == "hnsw":
        return "HNSW32_SQ8"
    lists = 1
    while lists * 2 <= min(4 * photos**0.5, photos / POINTS_PER_LIST):
        lists *= 2
    if gpu or photos * dim <= SCALAR_BYTES or dim % 4:
        return f"IVF{lists},SQ8"
    short = photos * dim / 4 > memory_bytes * MEMORY_SHARE
    return f"IVF{lists},PQ{dim // 4 if short else dim // 2}x4fsr"


def memory_bytes() -> int:
    """Return the machine's memory, in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 8 << 30
