"""What a search gives: hits, best first, and what is known of the list as a whole. Searches nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, overload

from aliens.files import PhotoFile
from db.photos import PhotoRecord
from search.cursor import Cursor


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that was found.

    score: the cosine between the query and the photo; higher is better.
    percentile: the share of a sample of the library's photos that score lower for this query, in percent.
    above_line: whether it lies above the list's suggested stop line.
    place: where this hit stands in its list.
    """

    photo_id: int
    image_id: int | None
    path: str
    member: str
    hotel_id: int | None
    hotel_name: str | None
    chain_id: int | None
    chain_name: str | None
    score: float
    date: datetime | None = None  # when it was uploaded, or the time of the file where that is not known
    kind: str = "photo"  # or "restyled"
    percentile: float | None = None
    above_line: bool | None = None
    place: Cursor | None = None

    @property
    def cursor(self) -> str | None:
        """Where this hit stands, as text; `Shape(after=...)` goes on behind it."""
        return None if self.place is None else str(self.place)

    @property
    def file(self) -> PhotoFile:
        """Where the photo's bytes lie."""
        return PhotoFile(self.path, self.member)

    def as_json(self) -> dict[str, Any]:
        """Return its values by their names, with the cursor as text."""
        said = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "place"}
        return said | {"cursor": self.cursor}


def as_hit(record: PhotoRecord, score: float) -> Hit:
    """Return a photo's record as a hit."""
    return Hit(**asdict(record), score=score)


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """How a search was answered; times in ms."""

    query: str  # as it was understood
    filters: str
    selected: int | None  # photos that the filters leave; None without filters
    photos: int  # that can be found
    engine: str
    reason: str
    rows: int
    read_bytes: int
    recall: float | None  # recall@10 of an approximate engine, as measured when it was built; None: exact
    note: str  # about the index, where there is something to say
    times_ms: dict[str, float]

    def as_lines(self) -> list[str]:
        """Return it for people."""
        chosen = "" if self.selected is None else f" ({self.selected} of {self.photos} photos)"
        recall = "" if self.recall is None else f", recall@10 {self.recall:.4f}, measured when it was built"
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in self.times_ms.items())
        lines = [
            f"query:   {self.query}",
            f"filter:  {self.filters or 'none'}{chosen}",
            f"engine:  {self.engine}{recall}: {self.reason}",
            f"reads:   {self.rows} vectors, {self.read_bytes / 1e6:.1f} MB",
            f"times:   {times}",
        ]
        return [*lines, f"note:    {self.note}"] if self.note else lines


@dataclass(frozen=True, slots=True)
class Results(Sequence[Hit]):
    """Hits in order, and what is known of the list: behaves as the list of its hits.

    stop_line: the score below which photos are probably not what was asked for. None: it cannot be told, as for a
    library of a few photos.
    more: whether a next page exists, as far as is known.
    last: the place of the lowest hit, behind which that page begins, in whatever order the hits are shown.
    """

    hits: list[Hit]
    stop_line: float | None
    explanation: Explanation
    more: bool = False
    last: Cursor | None = None

    @property
    def cursor(self) -> str | None:
        """Where the next page begins, or None at the end."""
        return str(self.last) if self.last is not None and self.more else None

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> list[Hit]: ...
    def __getitem__(self, place: int | slice) -> Hit | list[Hit]:
        return self.hits[place]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __eq__(self, other: object) -> bool:
        return self.hits == (other.hits if isinstance(other, Results) else other)

    __hash__ = None  # type: ignore[assignment]
