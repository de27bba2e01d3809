"""What stands beside each vector in a collection of Milvus, so that filters can be said to it: scalar fields.

Their values are handed down: this knows how they are kept there, and tells by digests which have changed. Knows no SQL.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from base.arrays import Bools, Ids, Longs

NOTHING = -(1 << 62)  # in place of a hotel, a chain or a date: Milvus 2.3 knows no absent values
PARTS = 1_000  # photos are dealt out to so many parts, by which filters of any share can be measured
FURTHEST_TEXT = 512  # bytes of a text: a source, or a tag with its vocabulary
MOST_TAGS = 4_096  # of a photo
SCHEME = 1  # of these fields: a collection with others is made anew
PHOTO, MISSING = "photo", "missing"  # kinds: a row of the second kind is of a photo that cannot be found now


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoFields:
    """What is known of n photos, in the order of their ids.

    hotel, chain: their numbers, NOTHING for none. source: "" for none. date_us: when taken, or else uploaded, in
    microseconds since 1970, where both are unknown the time of the file, or NOTHING; dated: whether one of the former
    two is known. tags: of all vocabularies, each as `tag_text` gives it.
    """

    hotel: Longs
    chain: Longs
    source: Sequence[str]
    date_us: Longs
    dated: Bools
    tags: Sequence[Sequence[str]]

    @classmethod
    def unknown(cls, photos: int) -> "PhotoFields":
        """Return the fields of photos of which nothing is known."""
        nothing: Longs = np.full(photos, NOTHING, np.int64)
        return cls(
            hotel=nothing,
            chain=nothing,
            source=[""] * photos,
            date_us=nothing,
            dated=np.zeros(photos, bool),
            tags=[()] * photos,
        )

    def digest(self, ids: Ids) -> str:
        """Return what tells these photos and their fields from others."""
        found = hashlib.sha256(ids.tobytes())
        for numbers in (self.hotel, self.chain, self.date_us, self.dated):
            found.update(np.ascontiguousarray(numbers).tobytes())
        found.update(json.dumps([list(self.source), list(map(list, self.tags))]).encode())
        return found.hexdigest()[:16]

    def rows(self, ids: Ids, vectors: Sequence[Any], segment: str, kind: str = PHOTO) -> list[dict[str, Any]]:
        """Return rows of the collection. vectors: of each photo, (d,) float32; segment: that they lie in."""
        columns: dict[str, Sequence[Any]] = {
            "photo_id": ids.tolist(),
            "vector": vectors,
            "part": parts_of_ids(ids).tolist(),
            "hotel": self.hotel.tolist(),
            "chain": self.chain.tolist(),
            "source": self.source,
            "date_us": self.date_us.tolist(),
            "dated": self.dated.tolist(),
            "tags": [list(tags) for tags in self.tags],
        }
        same = {"segment": segment, "kind": kind}
        return [dict(zip(columns, row, strict=True)) | same for row in zip(*columns.values(), strict=True)]


class FieldSource(Protocol):
    """Gives the fields of photos: see search.photo_fields."""

    @property
    def stamps(self) -> Mapping[str, str]:
        """What changes whenever values of a group of fields may: of `photos`, `hotels`, `tags`; read once, at first."""
        ...

    def of(self, ids: Ids) -> PhotoFields:
        """Return the fields of photos that can be found, ids (n,) ascending."""
        ...


@dataclass(frozen=True, slots=True)
class NoFields:
    """Where nothing is said of photos: no filter is said to Milvus."""

    stamps: Mapping[str, str] = field(default_factory=dict)

    def of(self, ids: Ids) -> PhotoFields:
        """Return fields that say nothing."""
        return PhotoFields.unknown(len(ids))


def tag_text(vocabulary: str, tag: str) -> str:
    """Return a tag as it stands in the collection, with the key of its vocabulary before it."""
    text = f"{vocabulary}/{tag}"
    return text if len(text.encode()) <= FURTHEST_TEXT else hashlib.sha256(text.encode()).hexdigest()


def parts_of_ids(ids: Ids) -> Longs:
    """Return the part of each photo, (n,), from 0 up to PARTS: scattered, and the same ones each time."""
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    parts: Longs = ((mixed >> np.uint64(32)) % np.uint64(PARTS)).astype(np.int64)
    return parts


def quoted_text(text: str) -> str:
    """Return a text as an expression of Milvus has it."""
    return json.dumps(text, ensure_ascii=False)


def schema_of(client: Any, dim: int) -> Any:
    """Return the schema of a collection of vectors (dim,) with their fields."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("photo_id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    for name, bytes_long in (("segment", 64), ("kind", 16), ("source", FURTHEST_TEXT)):
        schema.add_field(name, DataType.VARCHAR, max_length=bytes_long)
    for name in ("part", "hotel", "chain", "date_us"):
        schema.add_field(name, DataType.INT64)
    schema.add_field("dated", DataType.BOOL)
    schema.add_field(
        "tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_length=FURTHEST_TEXT, max_capacity=MOST_TAGS
    )
    return schema


FIELD_NAMES = frozenset(
    ("photo_id", "vector", "segment", "kind", "source", "part", "hotel", "chain", "date_us", "dated", "tags")
)
