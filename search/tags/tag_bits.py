"""The tags of all photos as bits, a row a tag: counted and intersected by the million within milliseconds.

Derived of the scores and of people's labels; what was derived before is taken over. Decides nothing by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from base.arrays import Bools, Longs
from db.catalog import Catalog
from db.tag_rows import Label, all_labels, taggings_stamp
from embedding.photo_columns import PhotoColumns
from embedding.segments import SegmentStore
from search.tags.calibration import Calibration
from search.tags.tagging import Tagging
from search.tags.vocabulary import Vocabularies, Vocabulary, bare

Bits = NDArray[np.uint8]
WORD_BITS = 64


@dataclass(frozen=True, kw_only=True)
class VocabularyBits:
    """The tags of one vocabulary, of n photos.

    has: of each tag which photos have it, packed, (ceil(n / 64) * 8,) uint8. scored: which photos have scores, packed;
    known: of each tag which photos it is known of, since they have scores or a person said so. muted: places of tags
    that the model cannot tell in this library. command: gives tags to photos that have none. stamp, scores: what they
    were derived of; model_says: `has` without people's labels.
    """

    vocabulary: Vocabulary
    columns: PhotoColumns
    stamp: object
    has: tuple[Bits, ...]
    known: tuple[Bits, ...]
    model_says: tuple[Bits, ...]
    scored: Bits
    muted: frozenset[int]
    command: str

    def mask(self, place: int) -> Bools:
        """Return which photos have a tag, (n,)."""
        return unpacked(self.has[place], len(self.columns))

    def known_mask(self, place: int) -> Bools:
        """Return which photos have a tag or have it not, for all that is known, (n,)."""
        return unpacked(self.known[place], len(self.columns))

    @cached_property
    def unscored(self) -> int:
        """How many photos came after the last tagging with this vocabulary."""
        return len(self.columns) - int(np.bitwise_count(self.scored).sum())

    def counts(self, photos: Bits) -> list[int]:
        """Return of each tag how many of some photos, packed, have it."""
        chosen = photos.view(np.uint64)
        return [int(np.bitwise_count(row.view(np.uint64) & chosen).sum()) for row in self.has]

    def tags_at(self, rows: Longs) -> list[list[str]]:
        """Return the tags of photos by their positions, in the vocabulary's order."""
        has = np.stack([row[rows >> 3] >> (7 - (rows & 7)) & 1 for row in self.has], axis=1).astype(bool)
        return [[self.vocabulary.names[place] for place in np.flatnonzero(row)] for row in has]


def packed(mask: Bools) -> Bits:
    """Return bits, padded to whole words of 64."""
    padded = np.zeros(-(-len(mask) // WORD_BITS) * WORD_BITS, bool)
    padded[: len(mask)] = mask
    return np.packbits(padded)


def unpacked(bits: Bits, count: int) -> Bools:
    """Return the first so many bits, (count,)."""
    return np.unpackbits(bits, count=count).view(np.bool_)


def bits_of_all(
    catalog: Catalog,
    session: Session,
    store: SegmentStore,
    words: Vocabularies,
    columns: PhotoColumns,
    before: Sequence[VocabularyBits] = (),
) -> tuple[VocabularyBits, ...]:
    """Return the tags of photos in each vocabulary that the library was tagged with, the newest of each name."""
    stamps = dict(taggings_stamp(session, catalog.model))
    if not stamps:
        return ()
    known = {each.vocabulary.key: each for each in before}
    labels = list(all_labels(session))
    rows, here = columns.positions(np.array([label.photo_id for label in labels], np.int64))
    said = [(int(row), label) for row, found, label in zip(rows, here, labels, strict=True) if found]
    found = []
    for vocabulary in words.newest:
        calibration = Calibration.from_json(words.decisions[vocabulary.key])
        tagging = Tagging(catalog, session, store, vocabulary, calibration)
        plain = without_labels(tagging, columns, stamps[vocabulary.key], known.get(vocabulary.key))
        found.append(put_labels_over(plain, said))
    return tuple(found)


def without_labels(
    tagging: Tagging, columns: PhotoColumns, stamp: object, before: VocabularyBits | None
) -> VocabularyBits:
    """Return what the model says of all photos; of those that were known `before` it is not asked again."""
    vocabulary, tags = tagging.vocabulary, len(tagging.vocabulary.tags)
    if before is not None and before.stamp != stamp:
        before = None
    if before is not None and before.columns is columns:
        return replace(before, has=before.model_says, known=(before.scored,) * tags)
    has, scored = np.zeros((tags, len(columns)), bool), np.zeros(len(columns), bool)
    fresh = np.arange(len(columns))
    if before is not None:
        rows, kept = taken_over(before.columns, columns)
        for place, bits in enumerate(before.model_says):
            has[place, kept] = unpacked(bits, len(before.columns))[rows]
        scored[kept] = unpacked(before.scored, len(before.columns))[rows]
        fresh = np.setdiff1d(fresh, kept, assume_unique=True)
    for part, decided, there in tagging.decisions(columns.ids[fresh]):
        has[:, fresh[part]], scored[fresh[part]] = decided.T, there
    says, scores = tuple(map(packed, has)), packed(scored)
    muted = np.flatnonzero(np.broadcast_to(tagging.calibration.muted, tags)).tolist()
    return VocabularyBits(
        vocabulary=vocabulary,
        columns=columns,
        stamp=stamp,
        has=says,
        known=(scores,) * tags,
        model_says=says,
        scored=scores,
        muted=frozenset(muted),
        command=tagging.command,
    )


def taken_over(before: PhotoColumns, now: PhotoColumns) -> tuple[Longs, Longs]:
    """Return where the photos whose vectors have stayed stood, and where they stand now."""
    kept = np.flatnonzero(now.vectors.only(before.vectors.names).locate(now.ids)[0] >= 0)
    rows, here = before.positions(now.ids[kept])
    return rows[here], kept[here]


def put_labels_over(plain: VocabularyBits, said: Sequence[tuple[int, Label]]) -> VocabularyBits:
    """Return tags with what people say put over what the model says. said: positions of photos, and of what they say.

    Only the tags that anything is said of are copied.
    """
    places, has, known = plain.vocabulary.places(), list(plain.has), list(plain.known)
    for place, meant in by_tag(said, places):
        rows = np.array([row for row, _ in meant], np.int64)
        values = np.array([present for _, present in meant], bool)
        mask, told = plain.mask(place), plain.known_mask(place)
        mask[rows], told[rows] = values, True
        has[place], known[place] = packed(mask), packed(told)
    return replace(plain, has=tuple(has), known=tuple(known))


def by_tag(said: Sequence[tuple[int, Label]], places: dict[str, int]) -> Iterator[tuple[int, list[tuple[int, bool]]]]:
    """Yield each tag's place with what is said of it."""
    found: dict[int, list[tuple[int, bool]]] = {}
    for row, label in said:
        place = places.get(bare(label.tag))
        if place is not None:
            found.setdefault(place, []).append((row, label.present))
    yield from found.items()
