"""A library is counted: by a few aggregates of its database, joined in memory. No photo is opened."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from analysis.stats.balance import balance_of, spread_of
from analysis.stats.library_stats import NO_SOURCE, Columns, LibraryStats, StatSummary
from base.arrays import Doubles, Longs
from base.console import counted
from base.progress import Progress, Step, silent
from db.hotel_rows import hotel_places
from db.photo_rows import count_photos, failure_counts, hotels_and_chains
from db.stat_rows import PhotoTotals, counted_by, own_places, photo_totals
from search.tags.summary import NO_CHAIN, ChainCount

EPOCH_YEAR = 1970  # at which clocks begin that nobody has set
AGGREGATES = 8  # looks at all photos

Named = tuple[dict[int, tuple[str | None, int | None]], dict[int, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What the database counted, as it came."""

    states: dict[str, int]
    failures: dict[str, int]
    totals: PhotoTotals
    of_hotels: dict[int | None, int]
    named: Named
    places: dict[int, tuple[float, float]]
    sizes: list[tuple[Any, ...]]
    brightness: list[tuple[Any, ...]]
    years: list[tuple[Any, ...]]
    sources: list[tuple[Any, ...]]
    formats: list[tuple[Any, ...]]
    own: Doubles  # (n, 2): latitude and longitude of photos with a place of their own
    apart: Counter[int]  # {hotel id: how many of these photos are of it}


def count_library(
    session: Session,
    library: str,
    *,
    tags: Sequence[ChainCount] = (),
    vocabulary: str | None = None,
    notes: Sequence[str] = (),
    progress: Progress = silent,
    today: datetime | None = None,
) -> LibraryStats:
    """Return a library in numbers.

    Args:
        session: of its database.
        library: its folder, to be told.
        tags: photos of each tag by chain, where it was tagged.
        vocabulary: of these tags.
        notes: what readers should know of them.
        progress: told of the looks at all photos.
        today: from which on dates are in the future; by default now.
    """
    counts = counted_library(session, progress)
    this_year = (today or datetime.now(UTC)).year
    tables: dict[str, Columns] = {
        "states": {"state": list(counts.states), "photos": list(counts.states.values())},
        "failures": {"kind": list(counts.failures), "photos": list(counts.failures.values())},
        "hotels": hotel_columns(counts),
        "sources": value_columns("source", counts.sources, NO_SOURCE),
        "formats": value_columns("format", counts.formats, "not known"),
        "colours": colour_columns(counts.totals),
        "sizes": size_columns(counts.sizes),
        "brightness": brightness_columns(counts.brightness),
        "years": year_columns(counts.years),
        "places": degree_columns(counts),
        "tags": tag_columns(tags),
    }
    tables["chains"] = chain_columns(tables["hotels"], counts)
    summary = summary_of(counts, tables, vocabulary, this_year)
    return LibraryStats(library=library, summary=summary, tables=tables, notes=[*notes_on(summary), *notes])


def counted_library(session: Session, progress: Progress) -> Counts:
    """Ask the database; told after each look at all photos."""
    done = 0

    def looked(found: Any) -> Any:
        nonlocal done
        done += 1
        progress(Step("counting", done, AGGREGATES, unit="looks"))
        return found

    def by(*names: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = looked(list(counted_by(session, *names)))
        return found

    own, apart = looked(own_photos(session))
    return Counts(
        states={state.value: photos for state, photos in count_photos(session).items()},
        failures=failure_counts(session),
        totals=looked(photo_totals(session)),
        of_hotels=dict(by("hotel_id")),
        named=hotels_and_chains(session),
        places=hotel_places(session),
        sizes=by("width_px", "height_px"),
        brightness=by("brightness"),
        years=by("year", "date_from"),
        sources=by("source"),
        formats=by("format"),
        own=own,
        apart=apart,
    )


def own_photos(session: Session) -> tuple[Doubles, Counter[int]]:
    """Return the places on earth that photos have of their own, (n, 2), and {hotel id: how many of these are of it}."""
    places, apart = [np.empty((0, 2))], Counter[int]()
    for rows in own_places(session):
        some = np.array([(latitude, longitude) for latitude, longitude, _ in rows], np.float64)
        possible = (np.abs(some[:, 0]) <= 90) & (np.abs(some[:, 1]) <= 180) & (some != 0).any(axis=1)
        places.append(some[possible])
        hotels = (hotel_id for (_, _, hotel_id), there in zip(rows, possible.tolist(), strict=True) if there)
        apart.update(hotel_id for hotel_id in hotels if hotel_id is not None)
    return np.concatenate(places), apart


def hotel_columns(counts: Counts) -> Columns:
    """Return a row for each hotel that photos are of, those with most photos first."""
    hotels, chains = counts.named
    found = sorted(
        ((hotel_id, photos) for hotel_id, photos in counts.of_hotels.items() if hotel_id is not None),
        key=lambda item: (-item[1], item[0]),
    )
    known = [hotels.get(hotel_id, (None, None)) for hotel_id, _ in found]
    places = [counts.places.get(hotel_id, (None, None)) for hotel_id, _ in found]
    return {
        "hotel_id": [hotel_id for hotel_id, _ in found],
        "hotel": [name for name, _ in known],
        "chain_id": [chain_id for _, chain_id in known],
        "chain": [None if chain_id is None else chains.get(chain_id) for _, chain_id in known],
        "latitude": [place[0] for place in places],
        "longitude": [place[1] for place in places],
        "photos": [photos for _, photos in found],
    }


def chain_columns(hotels: Columns, counts: Counts) -> Columns:
    """Return a row for each chain, most photos first; last of all, without a number, hotels of no chain."""
    of_chains: Counter[int | None] = Counter()
    houses = Counter(hotels["chain_id"])
    for chain_id, photos in zip(hotels["chain_id"], hotels["photos"], strict=True):
        of_chains[chain_id] += photos
    order = sorted(of_chains, key=lambda chain_id: (chain_id is None, -of_chains[chain_id], chain_id or 0))
    names = counts.named[1]
    return {
        "chain_id": order,
        "chain": [NO_CHAIN if chain_id is None else names.get(chain_id) for chain_id in order],
        "hotels": [houses[chain_id] for chain_id in order],
        "photos": [of_chains[chain_id] for chain_id in order],
    }


def value_columns(name: str, rows: Sequence[tuple[Any, ...]], unknown: str) -> Columns:
    """Return a row for each value of a column, most photos first."""
    found = sorted(rows, key=lambda row: (-row[1], row[0] or ""))
    return {name: [unknown if row[0] is None else row[0] for row in found], "photos": [row[1] for row in found]}


def colour_columns(totals: PhotoTotals) -> Columns:
    """Return photos with colour, without any, and of which it is not known."""
    unknown = totals.photos - totals.coloured - totals.grey
    found = {"colour": totals.coloured, "grey": totals.grey} | ({"not known": unknown} if unknown else {})
    return {"colour": list(found), "photos": list(found.values())}


def size_columns(rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Return a row for each width and height in pixels, the most frequent first."""
    known = [row for row in rows if row[0] is not None and row[1] is not None]
    known.sort(key=lambda row: (-row[2], row[0], row[1]))
    return {name: [row[at] for row in known] for at, name in enumerate(("width_px", "height_px", "photos"))}


def brightness_columns(rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Return how many photos lie in each of 100 equal bins of L*, 100 itself in the last."""
    known = [row for row in rows if row[0] is not None]
    values = np.array([row[0] for row in known], np.float64)
    photos, _ = np.histogram(values, np.arange(101), weights=np.array([row[1] for row in known], np.int64))
    return {"from": list(range(100)), "to": list(range(1, 101)), "photos": photos.astype(np.int64).tolist()}


def year_columns(rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Return a row for each year and who says so, the earliest first."""
    known = sorted((int(row[0]), row[1] or NO_SOURCE, row[2]) for row in rows if row[0] is not None)
    return {name: [row[at] for row in known] for at, name in enumerate(("year", "date_from", "photos"))}


def degree_columns(counts: Counts) -> Columns:
    """Return hotels and photos of each square degree, named by its south-west corner; most photos first.

    A photo lies where it says itself, or else where its hotel does.
    """
    hotels = Counter[tuple[int, int]]()
    photos: Counter[tuple[int, int]] = Counter(map(degree_of, counts.own.tolist()))
    for hotel_id, place in counts.places.items():
        if is_on_earth(place) and (of_hotel := counts.of_hotels.get(hotel_id, 0)):
            hotels[degree_of(place)] += 1
            photos[degree_of(place)] += of_hotel - counts.apart[hotel_id]
    order = sorted(photos, key=lambda place: (-photos[place], place))
    return {
        "latitude": [latitude for latitude, _ in order],
        "longitude": [longitude for _, longitude in order],
        "hotels": [hotels[place] for place in order],
        "photos": [photos[place] for place in order],
    }


def degree_of(place: Sequence[float]) -> tuple[int, int]:
    """Return the south-west corner of the square degree that a place lies in; the pole and 180 E in the last."""
    return min(int(np.floor(place[0])), 89), min(int(np.floor(place[1])), 179)


def is_on_earth(place: tuple[float, float]) -> bool:
    """Tell whether coordinates are possible; 0, 0, in the sea off Africa, stands for unknown ones in many lists."""
    latitude, longitude = place
    return abs(latitude) <= 90 and abs(longitude) <= 180 and place != (0, 0)


def tag_columns(tags: Sequence[ChainCount]) -> Columns:
    """Return a row for each chain and tag, the largest chain first."""
    rows = [
        (chain.chain_id, chain.chain, tag, photos, photos / chain.photos, chain.sure[tag])
        for chain in tags
        for tag, photos in chain.tags.items()
    ]
    names = ("chain_id", "chain", "tag", "photos", "share", "sure")
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def summary_of(counts: Counts, tables: Mapping[str, Columns], vocabulary: str | None, this_year: int) -> StatSummary:
    """Return the single numbers."""
    totals, hotels, chains, sizes, years = (
        counts.totals,
        *(tables[name] for name in ("hotels", "chains", "sizes", "years")),
    )
    with_chain = [at for at, chain_id in enumerate(chains["chain_id"]) if chain_id is not None]
    of_chains = [chains["photos"][at] for at in with_chain]
    chainless = [at for at, chain_id in enumerate(chains["chain_id"]) if chain_id is None]
    bright = [row for row in counts.brightness if row[0] is not None]
    placed = [counts.places[hotel_id] for hotel_id in hotels["hotel_id"] if hotel_id in counts.places]
    on_earth = sum(map(is_on_earth, placed))
    dated = np.array([years["year"], years["photos"]], np.int64).reshape(2, -1)
    return StatSummary(
        photos_known=sum(counts.states.values()),
        states=counts.states,
        photos=totals.photos,
        size_bytes=totals.size_bytes,
        hotels=len(hotels["hotel_id"]),
        hotels_without_photos=len(counts.named[0].keys() - set(hotels["hotel_id"])),
        photos_without_hotel=counts.of_hotels.get(None, 0),
        chainless_hotels=sum(chains["hotels"][at] for at in chainless),
        chainless_photos=sum(chains["photos"][at] for at in chainless),
        chains=len(with_chain),
        photos_a_hotel=spread_of(hotels["photos"]),
        photos_a_chain=spread_of(of_chains),
        hotels_a_chain=spread_of([chains["hotels"][at] for at in with_chain]),
        balance_of_hotels=balance_of(hotels["photos"]),
        balance_of_chains=balance_of(of_chains),
        width=spread_of(sizes["width_px"], sizes["photos"]),
        height=spread_of(sizes["height_px"], sizes["photos"]),
        sizes=len(sizes["photos"]),
        grey=totals.grey,
        coloured=totals.coloured,
        colour_unknown=totals.photos - totals.grey - totals.coloured,
        brightness=spread_of([row[0] for row in bright], [row[1] for row in bright]),
        brightness_unknown=totals.photos - totals.brightness_known,
        this_year=this_year,
        undated=totals.photos - int(dated[1].sum()),
        old_years=photos_dated(dated, dated[0] <= EPOCH_YEAR),
        future_years=photos_dated(dated, dated[0] > this_year),
        placed_hotels=on_earth,
        misplaced_hotels=len(placed) - on_earth,
        placed_photos=len(counts.own),
        vocabulary=vocabulary,
    )


def photos_dated(dated: Longs, meant: Any) -> int:
    """Return how many photos there are of the years that are meant; dated: years and their photos, (2, n)."""
    return int(dated[1, meant].sum())


def notes_on(told: StatSummary) -> list[str]:
    """Return what readers should know of the numbers, and what helps."""
    notes = []
    pending, failed = told.states.get("pending", 0), told.states.get("failed", 0)
    if pending:
        notes.append(f"{counted(pending, 'photo')} still to be looked at: `aliens add FOLDER` goes on")
    if failed:
        notes.append(f"{counted(failed, 'photo')} could not be used: `aliens failures` says why")
    if told.brightness_unknown:
        notes.append(
            f"brightness is not known of {counted(told.brightness_unknown, 'photo')}, of an earlier version or of "
            "imported vectors: `aliens stats --measure` reads once those whose files `aliens add` has read"
        )
    if told.old_years or told.future_years:
        said = [(told.old_years, f"{EPOCH_YEAR} or earlier"), (told.future_years, f"later than {told.this_year}")]
        dates = ", ".join(f"{counted(photos, 'photo')} dated {when}" for photos, when in said if photos)
        notes.append(f"{dates}: by clocks that were not set, mostly")
    if told.misplaced_hotels:
        notes.append(
            f"{counted(told.misplaced_hotels, 'hotel')} with coordinates beyond the earth, or of 0, 0: left off the map"
        )
    return notes
