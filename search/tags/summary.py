"""Looking at tags: how many photos have each, in all and by chain, and which are sure, borderline or unlikely."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db.columns import hotels_and_chains
from db.photos import photo_records
from search.results import Hit, as_hit
from search.sheet import Section
from search.tags.tagging import Tagging

NO_CHAIN = "no chain"
EACH = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class TagCount:
    """How many photos have a tag; `by_hand` of them because a person said so."""

    tag: str
    heading: str
    photos: int
    share: float  # of all tagged photos
    by_hand: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The tags of a whole library."""

    vocabulary: str
    method: str
    threshold: float
    photos: int
    untagged: int  # photos with none of the tags
    unscored: int  # photos added since the last tagging
    tags: list[TagCount]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainCount:
    """How many photos of a chain's hotels have each tag."""

    chain_id: int | None
    chain: str
    photos: int
    tags: dict[str, int]


def summarise(tagging: Tagging) -> Summary:
    """Count the photos of every tag, over the whole library."""
    names = tagging.vocabulary.names
    counts, by_hand = np.zeros(len(names), np.int64), dict.fromkeys(names, 0)
    photos = untagged = 0
    for batch in tagging.photos():
        counts += batch.decided.sum(axis=0)
        photos += len(batch.decided)
        untagged += int((~batch.decided.any(axis=1)).sum())
        for labels in batch.labels.values():
            for tag, present in labels.items():
                if tag in by_hand:
                    by_hand[tag] += present
    return Summary(
        vocabulary=tagging.vocabulary.key,
        method=tagging.calibration.method,
        threshold=tagging.calibration.threshold,
        photos=photos,
        untagged=untagged,
        unscored=tagging.unscored,
        tags=[
            TagCount(
                tag=tag.name,
                heading=tag.heading,
                photos=int(count),
                share=float(count / photos) if photos else 0.0,
                by_hand=by_hand[tag.name],
            )
            for tag, count in zip(tagging.vocabulary.tags, counts, strict=True)
        ],
    )


def count_by_chain(session: Session, tagging: Tagging) -> list[ChainCount]:
    """Count the photos of every tag by chain, largest chain first."""
    hotels, chains = hotels_and_chains(session)
    places = {None: 0} | {chain_id: place for place, chain_id in enumerate(chains, start=1)}
    names = tagging.vocabulary.names
    counts = np.zeros((len(places), len(names)), np.int64)
    photos = np.zeros(len(places), np.int64)
    place_of_hotel = {hotel_id: places.get(chain_id, 0) for hotel_id, (_, chain_id) in hotels.items()}
    for batch in tagging.photos(["hotel_id"]):
        rows = np.array([place_of_hotel.get(hotel_id, 0) for hotel_id in batch.columns["hotel_id"].to_pylist()])
        np.add.at(counts, rows, batch.decided)
        photos += np.bincount(rows, minlength=len(places))
    found = [
        ChainCount(
            chain_id=chain_id,
            chain=NO_CHAIN if chain_id is None else chains[chain_id],
            photos=int(photos[place]),
            tags=dict(zip(names, counts[place].tolist(), strict=True)),
        )
        for chain_id, place in places.items()
        if photos[place]
    ]
    return sorted(found, key=lambda chain: -chain.photos)


def sheet_sections(session: Session, tagging: Tagging, tag: str) -> list[Section]:
    """Return the surest and the least sure photos that have a tag, the likeliest and least likely that do not.

    A hit's score is the tag's probability; what people say decides, as everywhere.

    Raises: QueryError: the vocabulary has no such tag.
    """
    place = tagging.vocabulary.position(tag)
    parts = [
        (photos.photo_ids, photos.probabilities[:, place], photos.decided[:, place]) for photos in tagging.photos()
    ]
    if not parts:
        return []
    ids, probabilities, decided = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(-probabilities, kind="stable")
    order = order[~np.isnan(probabilities[order])]
    has, others = order[decided[order]], order[~decided[order]]
    sections = (
        (f"surest of the {len(has)} photos that have it", has[:EACH]),
        ("least sure of them", has[EACH:][::-1][:EACH]),
        (f"likeliest of the {len(others)} others", others[:EACH]),
        ("least likely", others[EACH:][::-1][:EACH]),
    )
    return [
        Section(heading, list(hits_of(session, ids[rows], probabilities[rows])))
        for heading, rows in sections
        if len(rows)
    ]


def hits_of(session: Session, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> Iterator[Hit]:
    """Yield photos as hits with these scores."""
    records = photo_records(session, ids.tolist())
    for photo_id, score in zip(ids.tolist(), scores.tolist(), strict=True):
        if photo_id in records:
            yield as_hit(records[photo_id], score)
