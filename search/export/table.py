"""Photos and their tags as Arrow record batches: what every export format is written from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from aliens.errors import QueryError
from db.captions import captions_of
from db.columns import hotels_and_chains
from embedding.photo_table import KINDS
from search.tags.tagging import TaggedPhotos, Tagging

PROBABILITY, COSINE = "p", "cos"  # p(a bathtub), cos(a bathtub)
MANY = {"probabilities": PROBABILITY, "cosines": COSINE}  # stand for a column for each tag
STORED = {name: kind for name, kind in KINDS.items() if name not in ("shard", "row")}
TAG_LIST = pa.list_(pa.string())
DERIVED = {
    "hotel_name": pa.string(),
    "chain_id": pa.int64(),
    "chain_name": pa.string(),
    "tags": TAG_LIST,
    "set_by_hand": TAG_LIST,
    "unset_by_hand": TAG_LIST,
    "caption": pa.string(),
    "score": pa.float32(),
}
DEFAULT_COLUMNS = (
    "photo_id",
    "path",
    "member",
    "image_id",
    "hotel_id",
    "hotel_name",
    "chain_id",
    "chain_name",
    "tags",
    "set_by_hand",
    "unset_by_hand",
    "probabilities",
)
DIGITS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which photos are exported: those with all the tags named, of the whole library or of a query's hits."""

    tags: tuple[str, ...] = ()
    hits: Mapping[int, float] | None = None  # {photo id: score}, best first


class TagTable:
    """The photos of a selection with the chosen columns, as a stream of record batches."""

    def __init__(self, session: Session, tagging: Tagging, columns: Sequence[str], selection: Selection) -> None:
        self.tagging = tagging
        self.names = expanded(columns or DEFAULT_COLUMNS, selection.hits is not None, tagging.vocabulary.names)
        kinds = STORED | DERIVED
        self.schema = pa.schema([(name, kinds.get(name, pa.float32())) for name in self.names])
        self.tag_counts = np.zeros(len(tagging.vocabulary.tags), np.int64)
        self.rows = 0
        self._session = session
        self._selection = selection
        self._wanted = [tagging.vocabulary.position(tag) for tag in selection.tags]
        self._places = {name: place for place, name in enumerate(tagging.vocabulary.names)}
        self._tag_names = pa.array(tagging.vocabulary.names)
        hotels, chains = hotels_and_chains(session)
        self._hotel_ids = np.array(sorted(hotels), np.int64)
        facts = [hotels[hotel_id] for hotel_id in self._hotel_ids.tolist()]
        self._of_hotels = {
            "hotel_name": pa.array([name for name, _ in facts], pa.string()),
            "chain_id": pa.array([chain_id for _, chain_id in facts], pa.int64()),
            "chain_name": pa.array([None if chain is None else chains.get(chain) for _, chain in facts], pa.string()),
        }

    def batches(self) -> Iterator[Any]:
        """Yield pyarrow.RecordBatch after RecordBatch, and count rows and tags on the way."""
        hits = self._selection.hits
        stored = {"hotel_id", *self.names} & STORED.keys()
        ids = None if hits is None else list(hits)
        for photos in self.tagging.photos(sorted(stored), ids):
            keep = photos.decided[:, self._wanted].all(axis=1)
            rows = np.flatnonzero(keep) if self._wanted else None
            count = len(photos.decided) if rows is None else len(rows)
            if count:
                yield self._batch(photos, rows)
                decided = photos.decided if rows is None else photos.decided[rows]
                self.tag_counts += decided.sum(axis=0)
                self.rows += count

    def _batch(self, photos: TaggedPhotos, rows: NDArray[np.int64] | None) -> Any:
        batch = pa.RecordBatch.from_arrays([self._column(name, photos) for name in self.names], schema=self.schema)
        return batch if rows is None else batch.take(pa.array(rows))

    def _column(self, name: str, photos: TaggedPhotos) -> Any:
        """Return one column of some photos as a pyarrow.Array."""
        if name in STORED:
            return photos.columns[name]
        match name:
            case "tags":
                return chosen_names(photos.decided, self._tag_names)
            case "set_by_hand" | "unset_by_hand":
                return said(photos, present=name == "set_by_hand")
            case "caption":
                ids = photos.photo_ids.tolist()
                found = captions_of(self._session, ids)
                return pa.array([newest(found[i]) if i in found else None for i in ids], pa.string())
            case "score":
                hits = self._selection.hits or {}
                return pa.array([hits.get(photo_id) for photo_id in photos.photo_ids.tolist()], pa.float32())
            case "hotel_name" | "chain_id" | "chain_name":
                return self._of_hotel(name, photos.columns["hotel_id"])
        kind, _, tag = name.removesuffix(")").partition("(")
        values = photos.probabilities if kind == PROBABILITY else photos.scores
        column = np.round(values[:, self._places[tag]], DIGITS)
        return pa.array(column, pa.float32(), from_pandas=True)  # NaN, not scored yet, becomes null

    def _of_hotel(self, name: str, hotel_ids: Any) -> Any:
        """Return what is known of the photos' hotels; looked up in order, since hashing 50,000 ids takes longer."""
        if not len(self._hotel_ids):
            return pa.nulls(len(hotel_ids), DERIVED[name])
        at = np.searchsorted(self._hotel_ids, hotel_ids.fill_null(int(self._hotel_ids[0])).to_numpy())
        return self._of_hotels[name].take(pa.array(at, mask=hotel_ids.is_null().to_numpy(zero_copy_only=False)))


def newest(captions: Sequence[tuple[str, float | None, str]]) -> str:
    """Return the best caption of the newest set, of (text, score, set), set after set, best first."""
    last = captions[-1][2]
    return next(text for text, _, key in captions if key == last)


def expanded(columns: Sequence[str], with_score: bool, tags: Sequence[str]) -> list[str]:
    """Return the columns' names, with `probabilities` and `cosines` spelt out for every tag.

    Raises: QueryError: no such column.
    """
    names: list[str] = []
    for column in columns:
        if column in MANY:
            names += [f"{MANY[column]}({tag})" for tag in tags]
        elif column in STORED or column in DERIVED:
            names.append(column)
        else:
            known = ", ".join([*STORED, *DERIVED, *MANY])
            raise QueryError(f"no column {column!r} to export: choose of {known}")
    if with_score and "score" not in names:
        names.insert(0, "score")
    return list(dict.fromkeys(names))


def chosen_names(chosen: NDArray[np.bool_], names: Any) -> Any:
    """Return a list of names for each row of (n, t) bool."""
    offsets = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(np.nonzero(chosen)[1])))


def said(photos: TaggedPhotos, present: bool) -> Any:
    """Return the tags that people have set, or unset, as a list for each photo."""
    if not photos.labels:
        return pa.ListArray.from_arrays(
            pa.array(np.zeros(len(photos.decided) + 1, np.int32)), pa.array([], pa.string())
        )
    labels = (photos.labels.get(photo_id, {}) for photo_id in photos.photo_ids.tolist())
    return pa.array([sorted(tag for tag, says in of_photo.items() if says is present) for of_photo in labels], TAG_LIST)
