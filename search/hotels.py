"""Hotels by their tags: what each one's photos show, how surely, by which photo, and what no photo shows.

One pass over the tags of all photos; memory grows with the hotels, not with their photos.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.orm import Session

from base.arrays import Bools, Floats, Longs
from base.console import counted
from base.errors import QueryError
from base.files import PhotoFile
from base.listing import Listing
from base.names import comparable
from base.progress import Progress, Step, silent
from db.hotel_rows import HotelRecord, ids_of_hotels, known_number
from db.photo_rows import hotels_and_chains
from embedding.photo_table import Columns
from embedding.segments import Vectors
from search.filters import Conditions, unknown_name
from search.gallery import ROOMS, Rooms, unseen
from search.query import Filter
from search.tags.calibration import HOTEL, SLOPE_EVIDENCE, THRESHOLDS, Calibration
from search.tags.tagging import TaggedPhotos, Tagging
from search.tags.vocabulary import Vocabularies, Vocabulary

Grade = Literal["sure", "likely"]
HotelSort = Literal["name", "chain", "photos", "tags", "missing"]
SHOWN = 1.0  # evidence from which a photo shows a tag to the hotel's credit, where its probability is HOTEL
SAID, DENIED = np.float32(np.inf), np.float32(-np.inf)  # what people say stands above all evidence
MOST_NAMED = 5  # hotels in a message
ROWS = 65_536  # photos whose rooms are told at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class TagOfHotel:
    """What is known of a hotel and a tag.

    grade: sure: two of its photos show it, or a person said so of one; likely: one photo shows it; None: no photo does.
    photos: how many show it, and their share of the hotel's that have scores. best_photo: the one that shows it most
    surely, and its path; None where none shows it.
    """

    tag: str
    grade: Grade | None
    photos: int
    share: float
    best_photo: int | None
    best_path: str | None


class Joined:
    """What photos show, joined by hotel: h hotels, t tags. Photos come part by part, in the order of their ids.

    best, second: the evidence of the two photos that show each tag most surely, (h, t); -inf where there is none.
    best_ids: the first one's id. shown: how many photos show it. photos: of each hotel, (h,). scored: how many of them
    have scores, so that what they do not show is known. rooms: how many show each room, (h, r).
    """

    def __init__(self, hotels: int, tags: int) -> None:
        self.best = np.full((hotels, tags), DENIED, np.float32)
        self.second = self.best.copy()
        self.best_ids = np.zeros((hotels, tags), np.int64)
        self.shown = np.zeros((hotels, tags), np.int32)
        self.photos = np.zeros(hotels, np.int64)
        self.scored = self.photos.copy()
        self.rooms = np.zeros((hotels, len(ROOMS)), np.int32)

    def add(self, places: Longs, ids: Longs, evidence: Floats) -> None:
        """Take in photos (n,) of the hotels at these places, with the evidence (n, t) for each tag."""
        if not len(places):
            return
        order = np.argsort(places, kind="stable")
        places, ids, evidence = places[order], ids[order], evidence[order]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        hotels = places[starts]
        best = np.maximum.reduceat(evidence, starts)
        which = np.repeat(best, np.diff(starts, append=len(places)), axis=0) == evidence
        rows = np.where(which, np.arange(len(places))[:, np.newaxis], len(places))
        first = np.minimum.reduceat(rows, starts)
        self.shown[hotels] += np.add.reduceat((evidence >= SHOWN).astype(np.int32), starts)
        np.put_along_axis(evidence, first, DENIED, axis=0)
        second = np.maximum.reduceat(evidence, starts)
        better = best > self.best[hotels]
        self.second[hotels] = np.maximum(np.minimum(best, self.best[hotels]), np.maximum(second, self.second[hotels]))
        self.best[hotels] = np.maximum(best, self.best[hotels])
        self.best_ids[hotels] = np.where(better, ids[first], self.best_ids[hotels])
        self.photos[hotels] += np.diff(starts, append=len(places))

    @cached_property
    def likely(self) -> Bools:
        """Which tags at least one photo shows, (h, t)."""
        return self.best >= SHOWN

    @cached_property
    def sure(self) -> Bools:
        """Which tags two photos show in the mean, or a person has seen, (h, t)."""
        with np.errstate(invalid="ignore"):  # what one photo was said to have and another not
            sure: Bools = self.likely & ((self.best == SAID) | (self.best + self.second >= 2 * SHOWN))
        return sure


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggedHotel(HotelRecord):
    """A hotel and what its photos show.

    photos: that can be found. sure, likely: tags, those of most photos first. missing: tags that no photo shows, but
    those that the model cannot tell in this library; none where no photo has scores yet. no_photo_of: kinds of rooms
    that guests look for and no photo shows. rooms: photos by what they show.
    """

    photos: int
    sure: list[str]
    likely: list[str]
    missing: list[str]
    no_photo_of: list[str]
    rooms: dict[str, int]
    tags: list[TagOfHotel]

    def as_json(self) -> dict[str, Any]:
        """Return its values by their names, those of its tags by the tags'."""
        tags = {tag.tag: {name: v for name, v in asdict(tag).items() if name != "tag"} for tag in self.tags}
        return {name: getattr(self, name) for name in FACTS} | {"tags": tags}


FACTS = tuple(field.name for field in fields(TaggedHotel) if field.name != "tags")


class HotelTable(Listing[TaggedHotel]):
    """Hotels with their tags, made one by one when they are asked for: a million records would take gigabytes.

    names: of the tags. untold: which of them the model cannot tell in this library, (t,): they are missing nowhere.
    paths: of the best photos. rows: the hotels' rows in `joined`, in the order in which they stand here. query: what
    they were found by, where something was searched for.
    """

    columns = ("hotel_id", "hotel_name", "chain_name", "photos", "sure", "likely", "missing", "no_photo_of")

    def __init__(self, joined: Joined, hotels: "Hotels", tagging: Tagging, rows: Longs, notes: Iterable[str]) -> None:
        super().__init__()
        self.joined, self.hotels, self.rows = joined, hotels, rows
        self.names, self.untold = tagging.vocabulary.names, tagging.calibration.muted
        self.paths = BestPaths(tagging, np.unique(joined.best_ids[joined.likely]))
        self.model, self.vocabulary = tagging.model.key, tagging.vocabulary.key
        self.method, self.bar = tagging.calibration.method, bar_of(tagging.calibration)
        self.notes = [*notes, *filter(None, [about_untold(np.array(self.names)[self.untold].tolist())])]
        self.query: str | None = None
        self._records = LazyRecords(self)  # type: ignore[assignment]

    def part(self, rows: Longs) -> "HotelTable":
        """Return a table of some of the rows of `joined`, in their order; what was joined is shared."""
        table = copy(self)
        table.rows, table._records = rows, LazyRecords(table)  # type: ignore[assignment]
        return table

    def counts(self) -> dict[str, int]:
        """Return how many of the hotels show each tag, likely or surely."""
        counted_hotels: list[int] = self.joined.likely[self.rows].sum(axis=0).tolist()
        return dict(zip(self.names, counted_hotels, strict=True))

    def narrowed(self, tags: Iterable[int], missing: Iterable[int], sort: HotelSort) -> None:
        """Leave only the hotels that show all of some tags and none of others, by their places, and sort them.

        Raises: QueryError: there is no such order, no hotel is left, or nobody can tell which lack a tag.
        """
        if sort not in get_args(HotelSort):
            raise QueryError(f"sort is {sort!r}: choose one of {', '.join(get_args(HotelSort))}")
        likely, absent, wanted = self.joined.likely[self.rows], list(missing), list(tags)
        if any(self.untold[place] for place in absent):
            raise self._cannot_tell(absent)
        lacks = (self.joined.scored[self.rows] > 0) & ~likely[:, absent].any(axis=1)
        keep = likely[:, wanted].all(axis=1) & (lacks if absent else True)
        if not keep.any() and any(self.untold[place] for place in wanted):
            raise self._cannot_tell(wanted)
        if not keep.any():
            raise QueryError(f"none of {counted(len(self.rows), 'hotel')} is so: ask for fewer tags")
        rows = self.rows[keep]
        self.rows = rows[np.argsort(self._ranks(rows, sort), kind="stable")]

    def _cannot_tell(self, places: Iterable[int]) -> QueryError:
        names = ", ".join(self.names[place] for place in places if self.untold[place])
        return QueryError(
            f"the model cannot tell {names} in this library, so nothing is known of it but what people say: ask for "
            "other tags, or label photos (`aliens label`)"
        )

    def unknown(self, rows: Longs) -> Bools:
        """Return which tags nothing is known of for the hotels in these rows, unless a photo shows them, (h, t)."""
        unknown: Bools = self.untold | (self.joined.scored[rows] == 0)[:, np.newaxis]
        return unknown

    def shares(self, rows: Longs) -> Floats:
        """Return how many of the hotels' photos show each tag, of 1, (h, t)."""
        shown = self.joined.shown[rows]
        shares: Floats = np.round(shown / np.maximum(np.maximum(self.joined.scored[rows][:, np.newaxis], shown), 1), 4)
        return shares

    def rooms(self, row: int) -> dict[str, int]:
        """Return how many photos of the hotel in a row show each room, of those that any shows."""
        counts = zip(ROOMS, self.joined.rooms[row].tolist(), strict=True)
        return {room: photos for room, photos in counts if photos}

    def _ranks(self, rows: Longs, sort: HotelSort) -> Longs:
        """Return what the hotels in these rows are sorted by, (h,); equal ones keep their order."""
        joined = self.joined
        counts: dict[str, Longs] = {
            "photos": joined.photos,
            "tags": joined.sure.sum(axis=1) + joined.likely.sum(axis=1),  # sure ones count twice
            "missing": (~joined.likely & ~self.unknown(np.arange(len(joined.photos)))).sum(axis=1),
        }
        if sort in counts:
            return np.negative(counts[sort][rows])
        chains = [comparable(self.hotels.facts(row)[1] or "\uffff") for row in rows.tolist()] if sort == "chain" else []
        ranks = {chain: rank for rank, chain in enumerate(sorted(set(chains)))}
        return np.array([ranks[chain] for chain in chains] or np.zeros(len(rows)), np.int64)

    def record(self, row: int) -> TaggedHotel:
        """Return the hotel in a row of `joined`."""
        joined, names = self.joined, self.names
        sure, likely, shown = joined.sure[row], joined.likely[row], joined.shown[row]
        name, chain = self.hotels.facts(row)
        only, order = np.array([row]), np.argsort(-shown, kind="stable").tolist()
        unknown, shares, rooms = self.unknown(only)[0], self.shares(only)[0], self.rooms(row)
        paths = self.paths.of(joined.best_ids[row], likely).to_pylist()
        return TaggedHotel(
            hotel_id=int(self.hotels.ids[row]),
            hotel_name=name,
            chain_name=chain,
            photos=int(joined.photos[row]),
            sure=[names[place] for place in order if sure[place]],
            likely=[names[place] for place in order if likely[place] and not sure[place]],
            missing=[names[place] for place in np.flatnonzero(~likely & ~unknown)],
            no_photo_of=unseen(rooms),
            rooms=rooms,
            tags=[
                TagOfHotel(
                    tag=tag,
                    grade="sure" if sure[place] else "likely" if likely[place] else None,
                    photos=int(shown[place]),
                    share=float(shares[place]),
                    best_photo=int(joined.best_ids[row, place]) if likely[place] else None,
                    best_path=paths[place],
                )
                for place, tag in enumerate(names)
            ],
        )


class LazyRecords(Sequence[TaggedHotel]):
    """The records of a table."""

    def __init__(self, table: HotelTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table.rows)

    def __getitem__(self, place: Any) -> Any:
        rows = self._table.rows[place]
        return self._table.record(int(rows)) if np.ndim(rows) == 0 else [self._table.record(int(row)) for row in rows]


class Hotels:
    """The hotels that photos may belong to, by their place in the order of their ids."""

    def __init__(self, session: Session, ids: Sequence[int] | None = None) -> None:
        """`ids`: only these; None for all."""
        self._hotels, self._chains = hotels_and_chains(session)
        self.ids = np.array(sorted(self._hotels if ids is None else ids), np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def facts(self, place: int) -> tuple[str | None, str | None]:
        """Return the name of the hotel at a place, and that of its chain."""
        name, chain_id = self._hotels[int(self.ids[place])]
        return name, None if chain_id is None else self._chains.get(chain_id)

    def places(self, hotel_ids: Any) -> tuple[Longs, Bools]:
        """Return the place of each photo's hotel, of a column of ids (n,), and whether it has one."""
        if not len(self.ids):
            return np.zeros(len(hotel_ids), np.int64), np.zeros(len(hotel_ids), bool)
        wanted = hotel_ids.fill_null(-1).to_numpy(zero_copy_only=False)
        places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return places, (self.ids[places] == wanted) & ~hotel_ids.is_null().to_numpy(zero_copy_only=False)


def hotel_ids_named(session: Session, *meant: str | int) -> list[int]:
    """Return the hotels of numbers, or with parts of names; of each name one of just that goes before all others.

    A number that is no text means that hotel alone, whatever others are called.

    Raises: QueryError: there is none; the message lists what is near.
    """
    names, _ = hotels_and_chains(session)
    found: dict[int, None] = {}
    for name in meant:
        if not isinstance(name, str):
            if name not in names:
                raise unknown_name("hotel", str(name), (known for known, _ in names.values() if known))
            found[int(name)] = None
            continue
        ids = Conditions(session).hotel_ids(Filter("hotel", name))
        just = [hotel_id for hotel_id in ids if comparable(names[hotel_id][0] or "") == comparable(name)]
        found |= dict.fromkeys(just or ids)
    return list(found)


def one_hotel(session: Session, hotel: str | int) -> tuple[int, str]:
    """Return the id and the title of the hotel that is meant. Raises: QueryError: there is none, or several are."""
    ids = hotel_ids_named(session, hotel)
    names, _ = hotels_and_chains(session)
    if len(ids) > 1:
        some = ", ".join(number_and_name(i, names[i][0]) for i in ids[:MOST_NAMED])
        some += ", ..." if len(ids) > MOST_NAMED else ""
        raise QueryError(
            f"{len(ids)} hotels have {hotel!r} in their names: name one by its number or its whole name: {some}"
        )
    return ids[0], names[ids[0]][0] or f"hotel {ids[0]}"


def number_and_name(hotel_id: int, name: str | None) -> str:
    """Return what a hotel may be named by: its number where people know it, and its whole name."""
    return repr(name) if known_number(hotel_id) is None else f"{hotel_id} ({name})"


def tag_places(words: Vocabularies, vocabulary: Vocabulary, names: Iterable[str]) -> list[int]:
    """Return the places of tags in a vocabulary; its name may stand before theirs.

    Raises: QueryError: there is no such tag, or it is another vocabulary's.
    """
    places = []
    for name in names:
        found, place = words.find(name, vocabulary)
        if found.key != vocabulary.key:
            raise QueryError(f"{name!r} is no tag of {vocabulary.name}: add --vocabulary {found.name}")
        places.append(place)
    return places


def bar_of(calibration: Calibration) -> float:
    """Return the probability from which a photo counts for its hotel's tags, as far below the threshold as HOTEL is."""
    if calibration.method != "signal":
        return calibration.threshold
    return min(max(HOTEL + calibration.threshold - THRESHOLDS["signal"], 0.01), 0.99)


def beyond(probabilities: Any, bar: float) -> Any:
    """Return by how much evidence probabilities of the method signal lie above that of a bar, float32."""
    p, least = (np.clip(np.float32(each), np.float32(1e-6), np.float32(1 - 1e-6)) for each in (probabilities, bar))
    return (np.log(p / (1 - p)) - np.log(least / (1 - least))) / np.float32(SLOPE_EVIDENCE)


def evidence_of(tagging: Tagging, photos: TaggedPhotos) -> Floats:
    """Return how far each photo shows each tag to its hotel's credit, (n, t); it does from SHOWN on.

    By the method signal that is SHOWN and by how much evidence it lies above the bar: of several photos one may be
    weaker than what decides a tag of a single one. By other methods decided tags count, 1 and their probability. What
    people said is SAID or DENIED; so is all of photos without scores. The photos are in the order of their ids.
    """
    calibration, probabilities = tagging.calibration, np.nan_to_num(photos.probabilities)
    if calibration.method == "signal":
        bar = bar_of(calibration)
        decided = calibration.at(bar).decide(probabilities)
        evidence = SHOWN + beyond(probabilities, bar)
        evidence = np.where(decided, np.maximum(evidence, SHOWN), np.minimum(evidence, np.float32(0.99)))
    else:
        evidence = np.where(photos.decided, 1 + probabilities, probabilities - 1)
    found: Floats = evidence.astype(np.float32)
    found[np.isnan(photos.probabilities).all(axis=1)] = DENIED
    places = {name: place for place, name in enumerate(tagging.vocabulary.names)}
    ids = photos.photo_ids
    for photo_id, said in photos.labels.items():
        row = int(np.searchsorted(ids, photo_id))
        for tag, present in said.items():
            if tag in places:
                found[row, places[tag]] = SAID if present else DENIED
    return found


def hotel_table(
    session: Session,
    tagging: Tagging,
    rooms: Rooms,
    vectors: Vectors,
    *,
    chosen: Sequence[int] | None = None,
    progress: Progress = silent,
) -> HotelTable:
    """Return the hotels that have photos with their tags, by their names; `chosen`: only those of these ids.

    Raises: QueryError: no photo belongs to a hotel, or to one of these.
    """
    hotels = Hotels(session, chosen)
    only = None if chosen is None else sorted(ids_of_hotels(session, chosen))
    joined, nowhere = Joined(len(hotels), len(tagging.vocabulary.tags)), list[int]()
    members: list[tuple[Longs, Longs]] = []
    done = 0
    for photos in tagging.photos(["hotel_id"], only):
        ids = photos.photo_ids
        places, has = hotels.places(photos.columns["hotel_id"])
        joined.add(places[has], ids[has], evidence_of(tagging, photos)[has])
        np.add.at(joined.scored, places[has & ~np.isnan(photos.probabilities[:, 0])], 1)
        members.append((ids[has], places[has].astype(np.int32)))
        nowhere += ids[~has][: max(MOST_NAMED - len(nowhere), 0)].tolist()
        done += len(ids)
        progress(Step("joining", done, len(vectors) if only is None else len(only)))
    if not joined.photos.any():
        raise QueryError(
            "no photo of what was named can be found: `aliens failures` says what became of them"
            if chosen is not None
            else "no photo of this library belongs to a hotel: `aliens add --help` says how photos get one"
        )
    count_rooms(joined, members, rooms, vectors)
    rows = np.array(sorted(np.flatnonzero(joined.photos).tolist(), key=lambda row: by_name(hotels, row)), np.int64)
    lost = about_nowhere(nowhere, done - int(joined.photos.sum()))
    return HotelTable(joined, hotels, tagging, rows, filter(None, [*tagging.notes, tagging.trust, lost]))


def by_name(hotels: Hotels, row: int) -> tuple[bool, str, int]:
    """Return what hotels are sorted by: those without a name come last."""
    name, _ = hotels.facts(row)
    return not name, comparable(name or ""), row


def about_untold(tags: Sequence[str]) -> str:
    """Return what to say of tags that the model cannot tell, or nothing."""
    some = ", ".join(tags[:MOST_NAMED]) + (", ..." if len(tags) > MOST_NAMED else "")
    return f"the model cannot tell {some} in this library: that says nothing of any hotel" if tags else ""


def about_nowhere(ids: Sequence[int], photos: int) -> str:
    """Return what to say of photos that belong to no hotel, or nothing."""
    if not photos:
        return ""
    belong, some = "belongs" if photos == 1 else "belong", ", ".join(map(str, ids))
    return f"{counted(photos, 'photo')} {belong} to no hotel: {some}" + (", ..." if photos > len(ids) else "")


def count_rooms(joined: Joined, members: Sequence[tuple[Longs, Longs]], rooms: Rooms, vectors: Vectors) -> None:
    """Count each hotel's photos by the rooms that they show; `members`: photo ids and places of hotels."""
    ids, places = (np.concatenate(parts) for parts in zip(*members, strict=True))
    few = ids[vectors.locate(ids)[0] >= 0] if len(ids) < ROWS else ids  # without those that have vanished meanwhile
    parts = [(few, vectors.gather(few))] if len(ids) < ROWS else vectors.parts()
    for part, halves in parts:
        at = np.minimum(np.searchsorted(ids, part), len(ids) - 1)
        shown = rooms.shown(halves.astype(np.float32))
        mine = (ids[at] == part) & (shown >= 0)
        np.add.at(joined.rooms, (places[at[mine]], shown[mine]), 1)


class BestPaths:
    """Where the best photos lie."""

    def __init__(self, tagging: Tagging, ids: Longs) -> None:
        """`ids`: of the photos, ascending, (m,)."""
        few = len(ids) < ROWS
        found = [part for part, _ in tagging.scores(["path", "member"], ids.tolist() if few else None)]
        parts = found if few else [taken(part, ids) for part in found]
        self._ids = np.concatenate([np.empty(0, np.int64), *(part["photo_id"].to_numpy() for part in parts)])
        names = [
            pa.chunked_array([part[name] for part in parts], pa.string()).combine_chunks()
            for name in ("path", "member")
        ]
        in_tars = pc.not_equal(names[1], "")
        whole = map(str, map(PhotoFile, *(column.filter(in_tars).to_pylist() for column in names)))
        self._paths = pc.replace_with_mask(names[0], in_tars, pa.array(whole, pa.string()))

    def of(self, ids: Longs, there: Bools) -> Any:
        """Return the paths of photos, (n,), as a pyarrow.Array; null where none is `there`, or it is gone since."""
        if not len(self._ids):
            return pa.nulls(len(ids), pa.string())
        at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return self._paths.take(pa.array(at, mask=~there | (self._ids[at] != ids)))


def taken(part: Columns, ids: Longs) -> Columns:
    """Return the rows of these photos."""
    mine = pa.array(np.isin(part["photo_id"].to_numpy(), ids, assume_unique=True))
    return {name: values.filter(mine) for name, values in part.items()}
