"""What Milvus is told of photos besides their vectors: hotels, chains, sources, dates and tags of a library."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy.orm import Session

from base.arrays import Ids
from db.catalog import Catalog
from db.hotel_rows import hotels_stamp
from db.photo_rows import columns_stamp, embedded_columns, hotels_and_chains
from db.tag_rows import labels_stamp, taggings_stamp
from embedding.index.milvus_fields import MOST_TAGS, NOTHING, PhotoFields, tag_text
from embedding.photo_columns import numbers
from embedding.segments import SegmentStore
from search.results import digest

if TYPE_CHECKING:
    from search.tags.tagging import Tagging

READ = ("photo_id", "hotel_id", "image_source", "date", "mtime_ns")


def stamps_now(catalog: Catalog, session: Session) -> dict[str, str]:
    """Return what changes whenever fields may, by their groups: see embedding.index.milvus_fields.FieldSource."""
    tags = digest(taggings_stamp(session, catalog.model), labels_stamp(session))
    return {"photos": columns_stamp(session), "hotels": hotels_stamp(session), "tags": tags}


class FieldsOfPhotos:
    """Gives the fields of a library's photos, as they are in one session."""

    def __init__(self, catalog: Catalog, session: Session, store: SegmentStore) -> None:
        self._catalog = catalog
        self._session = session
        self._store = store
        self._stamps = stamps_now(catalog, session)

    @property
    def stamps(self) -> Mapping[str, str]:
        """What changes whenever fields may: read before any of them."""
        return self._stamps

    @cached_property
    def _chains(self) -> dict[int, int | None]:
        """Of each hotel its chain."""
        return {hotel_id: chain_id for hotel_id, (_, chain_id) in hotels_and_chains(self._session)[0].items()}

    @cached_property
    def _taggings(self) -> "list[Tagging]":
        """Those of all vocabularies that tags are looked for in; none where a photo might have too many tags."""
        from search.tags.calibration import Calibration
        from search.tags.tagging import Tagging, known_vocabularies  # imports pyarrow, which searches do without

        words = known_vocabularies(self._session, self._catalog.model)
        found = [
            Tagging(self._catalog, self._session, self._store, each, Calibration.from_json(words.decisions[each.key]))
            for each in words.newest
        ]
        return found if sum(len(each.vocabulary.tags) for each in found) <= MOST_TAGS else []

    def of(self, ids: Ids) -> PhotoFields:
        """Return the fields of photos that can be found, ids (n,) ascending."""
        found = PhotoFields.unknown(len(ids))
        hotel, chain, date_us = (np.array(found.hotel), np.array(found.chain), np.array(found.date_us))
        dated = np.array(found.dated)
        source, tags = list(found.source), [list[str]() for _ in ids]
        for part in embedded_columns(self._session, self._catalog.model, READ, ids.tolist()):
            at = np.searchsorted(ids, np.array(part["photo_id"], np.int64))
            hotel[at] = numbers(part["hotel_id"], np.int64, NOTHING)
            chains = [None if i is None else self._chains.get(i) for i in part["hotel_id"]]
            chain[at] = numbers(chains, np.int64, NOTHING)
            said = np.array(part["date"], "datetime64[us]")
            files = numbers(part["mtime_ns"], np.int64, NOTHING)
            dated[at] = ~np.isnat(said)
            by_file = np.where(files == NOTHING, NOTHING, files // 1000)
            date_us[at] = np.where(np.isnat(said), by_file, said.view(np.int64))
            for place, name in zip(at.tolist(), part["image_source"], strict=True):
                source[place] = name or ""
        for tagging in self._taggings:
            texts = [tag_text(tagging.vocabulary.key, name) for name in tagging.vocabulary.names]
            for photos in tagging.photos(ids=ids.tolist()):
                places = np.searchsorted(ids, photos.photo_ids)
                for row, column in zip(*np.nonzero(photos.decided), strict=True):
                    tags[places[row]].append(texts[column])
        return PhotoFields(hotel=hotel, chain=chain, source=source, date_us=date_us, dated=dated, tags=tags)
