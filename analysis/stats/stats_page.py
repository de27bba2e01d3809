"""The page of a library in numbers: one file with plots, and beside each plot its numbers as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.stats.balance import Balance, Spread, lorenz_curve, whole_bins
from analysis.stats.counting import EPOCH_YEAR
from analysis.stats.library_stats import (
    MOST_SIZES,
    NO_SOURCE,
    Columns,
    LibraryStats,
    balance_in_words,
    spread_in_words,
    tag_photos,
    with_share,
)
from analysis.stats.plots import bars, earth, lorenz, outlines
from base.arrays import Doubles, Longs
from embedding.html_pages import render

TEMPLATE = Path(__file__).with_name("templates") / "stats.html"
MOST_BINS = 30
MOST_DOTS = 2500
SIZE_BORDERS = np.geomspace(40, 10_240, 33)  # px, four to a doubling; what lies beyond is in the first or last
MOST_CHAINS, MOST_TAGS, MOST_ACROSS = 30, 40, 16

Row = Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class StatFigure:
    """A plot with its numbers. heads, rows: the same as a table; names stand in the first column."""

    heading: str
    words: str
    svg: str
    heads: Row
    rows: Sequence[Row]
    wide: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class BarTable:
    """A table whose rows are bars as well: (name, photos, share of all photos from 0 to 1)."""

    heading: str
    words: str
    head: str
    rows: Sequence[tuple[str, int, float]]
    others: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareGrid:
    """Tags down, chains across: shares from 0 to 1, of each chain's photos.

    largest: of the shares. other_chains, other_tags: that are not shown.
    """

    chains: Sequence[str]
    tags: Sequence[tuple[str, Sequence[float]]]
    largest: float
    other_chains: int
    other_tags: int


def stats_page(stats: LibraryStats) -> str:
    """Return the page as HTML."""
    told = stats.summary
    figures = [each for each in (*hotel_figures(stats), *look_figures(stats), map_figure(stats)) if each is not None]
    tables = [each for each in bar_tables(stats) if each.rows]
    return render(
        TEMPLATE,
        title=f"{Path(stats.library).name or stats.library} in numbers",
        cards=list(cards_of(stats)),
        notes=stats.notes,
        figures=figures,
        tables=tables,
        grid=share_grid(stats),
        vocabulary=told.vocabulary,
    )


def cards_of(stats: LibraryStats) -> Iterator[tuple[str, str]]:
    """Yield the few numbers that come first, each with what it counts."""
    told = stats.summary
    yield f"{told.photos:,}", "photos can be found" if told.photos != 1 else "photo can be found"
    if told.hotels:
        yield f"{told.hotels:,}", "hotels" if told.hotels != 1 else "hotel"
        yield f"{told.chains:,}", "chains" if told.chains != 1 else "chain"
        yield f"{told.chainless_hotels / told.hotels:.0%}", "of the hotels belong to no chain"
        if told.photos_a_hotel:
            yield f"{told.photos_a_hotel.median:,.6g}", "photos a hotel, in the median"
    if told.width and told.height:
        yield f"{told.width.median:,.6g} × {told.height.median:,.6g}", "px, median width and height"
    large = told.size_bytes >= 1e9
    yield f"{told.size_bytes / (1e9 if large else 1e6):,.1f} {'GB' if large else 'MB'}", "in their files"


def bar_tables(stats: LibraryStats) -> Iterator[BarTable]:
    """Yield the tables of named values."""
    told, tables = stats.summary, stats.tables
    named = tables["chains"]
    every = list(zip(named["chain"], named["hotels"], named["photos"], strict=True))
    rows = [(f"{name} ({hotels:,} {'hotel' if hotels == 1 else 'hotels'})", photos) for name, hotels, photos in every]
    chainless = named["chain_id"] and named["chain_id"][-1] is None
    shown = rows[:MOST_CHAINS] if len(rows) <= MOST_CHAINS or not chainless else [*rows[: MOST_CHAINS - 1], rows[-1]]
    words = balance_in_words(told.balance_of_chains) if told.balance_of_chains else ""
    yield bar_table(stats, "Chains", words, "chain", shown, len(rows) - len(shown))
    sources = pairs(stats, "sources")
    said = [] if [name for name, _ in sources] == [NO_SOURCE] else sources
    yield bar_table(stats, "Sources", "Where the photos come from.", "source", said)
    yield bar_table(stats, "Formats", "What the files are, by their bytes.", "format", pairs(stats, "formats"))
    yield bar_table(stats, "Colour", "Grey: without any colour.", "colour", pairs(stats, "colours"))
    sizes = tables["sizes"]
    every = list(zip(sizes["width_px"], sizes["height_px"], sizes["photos"], strict=True))
    rows = [(f"{width:,} × {height:,} px", photos) for width, height, photos in every[:12]]
    yield bar_table(stats, "Most frequent sizes", f"{told.sizes:,} different.", "size", rows, len(every) - len(rows))
    if len(set(tables["tags"]["chain_id"])) == 1:  # of several chains there is a grid
        frequent = tag_photos(stats)
        words = f"Of {told.vocabulary}."
        yield bar_table(stats, "Tags", words, "tag", frequent[:MOST_TAGS], len(frequent[MOST_TAGS:]))
    kinds = pairs(stats, "failures")
    yield bar_table(stats, "What could not be used", "", "reason", kinds, whole=told.photos_known)


def pairs(stats: LibraryStats, table: str) -> list[tuple[str, int]]:
    """Return the rows of a table of names and photos."""
    return [(str(name), photos) for name, photos in zip(*stats.tables[table].values(), strict=True)]


def bar_table(
    stats: LibraryStats,
    heading: str,
    words: str,
    head: str,
    rows: Sequence[tuple[str, int]],
    others: int = 0,
    whole: int | None = None,
) -> BarTable:
    """Return a table of names and photos, of all photos that can be found or of a whole."""
    every = max(stats.summary.photos if whole is None else whole, 1)
    shares = [(name, photos, photos / every) for name, photos in rows]
    return BarTable(heading=heading, words=words, head=head, rows=shares, others=others)


def hotel_figures(stats: LibraryStats) -> Iterator[StatFigure | None]:
    """Yield how photos are shared out among hotels, and among chains."""
    told, hotels, chains = stats.summary, stats.tables["hotels"], stats.tables["chains"]
    if not told.hotels or told.balance_of_hotels is None:
        return
    photos = np.array(hotels["photos"], np.int64)
    borders = whole_bins(photos, MOST_BINS)
    counts, _ = np.histogram(photos, borders)
    words = spread_in_words(told.photos_a_hotel)
    yield StatFigure(
        heading="Photos a hotel",
        words=f"{words[:1].upper()}{words[1:]}.",
        svg=bars(
            borders.astype(np.float64) - 0.5,
            counts,
            f"Bars: hotels by their number of photos. {words}",
            "photos",
            "hotels",
        ),
        heads=("photos", "hotels"),
        rows=[(whole_range(low, high), f"{n:,}") for low, high, n in bins(borders, counts)],
    )
    curves = [("hotels", told.balance_of_hotels, photos)]
    if told.balance_of_chains and told.chains > 1:
        known = [at for at, chain_id in enumerate(chains["chain_id"]) if chain_id is not None]
        curves.append(("chains", told.balance_of_chains, np.array(chains["photos"], np.int64)[known]))
    yield balance_figure(curves)


def balance_figure(curves: Sequence[tuple[str, Balance, Longs]]) -> StatFigure:
    """Return the Lorenz curves of hotels and chains."""
    said = "; ".join(f"{name}: {balance_in_words(balance)}" for name, balance, _ in curves)
    return StatFigure(
        heading="How evenly photos are shared out",
        words=f"{said[:1].upper()}{said[1:]}. The thin line: all have as many, Gini is 0, normalised entropy 1.",
        svg=lorenz(
            [(name, *lorenz_curve(photos.astype(np.float64))) for name, _, photos in curves], f"Lorenz curves. {said}"
        ),
        heads=("of", "number", "Gini coefficient", "normalised entropy"),
        rows=[
            (name, f"{found.n:,}", f"{found.gini:.3f}", "" if found.entropy is None else f"{found.entropy:.3f}")
            for name, found, _ in curves
        ],
    )


def look_figures(stats: LibraryStats) -> Iterator[StatFigure | None]:
    """Yield sizes, brightness and years."""
    told, tables = stats.summary, stats.tables
    if told.width and told.height:
        yield size_figure(stats, told.width, told.height)
    if told.brightness:
        counts = np.array(tables["brightness"]["photos"], np.int64).reshape(-1, 4).sum(axis=1)
        borders = np.arange(0, 101, 4)
        words = f"From 0, black, to 100, white: {spread_in_words(told.brightness)}."
        unknown = (
            f" Not known of {with_share(told.brightness_unknown, told.photos)}." if told.brightness_unknown else ""
        )
        yield StatFigure(
            heading="Brightness",
            words=f"Mean CIE lightness L* of each photo's middle square. {words}{unknown}",
            svg=bars(borders, counts, f"Bars: photos by brightness. {words}", "mean lightness L*"),
            heads=("L*", "photos"),
            rows=[(f"{low} to {high}", f"{n:,}") for low, high, n in bins(borders, counts)],
        )
    yield year_figure(stats)


def size_figure(stats: LibraryStats, width: Spread, height: Spread) -> StatFigure:
    """Return how wide and how high photos are."""
    sizes = stats.tables["sizes"]
    photos = np.array(sizes["photos"], np.int64)
    sides = {"width": np.array(sizes["width_px"], np.int64), "height": np.array(sizes["height_px"], np.int64)}
    drawn = [(name, binned_sizes(side, photos)) for name, side in sides.items()]
    used = np.flatnonzero(drawn[0][1] + drawn[1][1])
    first, last = int(used[0]), int(used[-1]) + 1
    words = f"Width: {spread_in_words(width, 'px')}. Height: {spread_in_words(height, 'px')}."
    return StatFigure(
        heading="Width and height",
        words=words,
        svg=outlines(
            SIZE_BORDERS[first : last + 1],
            [(name, counts[first:last]) for name, counts in drawn],
            f"Two outlines: photos by width and by height in pixels. {words}",
            "px",
        ),
        heads=("px", "photos so wide", "photos so high"),
        rows=[
            (f"{low:,.0f} to {high:,.0f}", f"{wide:,}", f"{high_ones:,}")
            for low, high, wide, high_ones in zip(
                SIZE_BORDERS[first:last],
                SIZE_BORDERS[first + 1 : last + 1],
                drawn[0][1][first:last],
                drawn[1][1][first:last],
                strict=True,
            )
        ],
    )


def binned_sizes(sides: Longs, photos: Longs) -> Longs:
    """Return how many photos have sides between SIZE_BORDERS; smaller ones are in the first, larger in the last."""
    counts, _ = np.histogram(np.clip(sides, SIZE_BORDERS[0], SIZE_BORDERS[-1]), SIZE_BORDERS, weights=photos)
    whole: Longs = counts.astype(np.int64)
    return whole


def year_figure(stats: LibraryStats) -> StatFigure | None:
    """Return the years; those that no clock said are in the table alone."""
    told, years = stats.summary, stats.tables["years"]
    if not years["year"]:
        return None
    every, photos = np.array(years["year"], np.int64), np.array(years["photos"], np.int64)
    drawn = (every > EPOCH_YEAR) & (every <= told.this_year)
    shown = every[drawn] if drawn.any() else np.array([told.this_year])
    first, last = int(shown.min()), int(shown.max())
    counts = np.bincount(every[drawn] - first, weights=photos[drawn], minlength=last - first + 1).astype(np.int64)
    borders = np.arange(first, last + 2) - 0.5
    left_out = int(photos[~drawn].sum())
    words = "When they were taken, or else uploaded."
    words += f" Without a date: {with_share(told.undated, told.photos)}." if told.undated else ""
    words += f" Not drawn, of clocks that were not set: {with_share(left_out, told.photos)}." if left_out else ""
    return StatFigure(
        heading="Years",
        words=words,
        svg=bars(borders.astype(np.float64), counts, f"Bars: photos by year, {first} to {last}.", "year"),
        heads=("year", "said by", "photos"),
        rows=[
            (str(year), str(who), f"{n:,}")
            for year, who, n in zip(years["year"], years["date_from"], years["photos"], strict=True)
        ],
    )


def map_figure(stats: LibraryStats) -> StatFigure | None:
    """Return the map of places."""
    told, places = stats.summary, stats.tables["places"]
    if not places["photos"]:
        return None
    degrees_wide, corners, photos = map_squares(places)
    middles = corners + degrees_wide / 2
    size = "a square degree" if degrees_wide == 1 else f"a square of {degrees_wide} by {degrees_wide} degrees"
    words = f"Each of the {len(photos):,} dots is {size} of the earth, its area the photos there."
    if told.hotels:
        words += f" Hotels with coordinates: {with_share(told.placed_hotels, told.hotels)}."
    rows = zip(*(places[name] for name in ("latitude", "longitude", "hotels", "photos")), strict=True)
    return StatFigure(
        heading="Where they are",
        words=words,
        svg=earth(middles[0], middles[1], photos, f"A map of the earth. {words}"),
        heads=("square degree, by its south-west corner", "hotels", "photos"),
        rows=[(corner_in_words(lat, lon), f"{n:,}", f"{m:,}") for lat, lon, n, m in list(rows)[:MOST_SIZES]],
        wide=True,
    )


def map_squares(places: Columns) -> tuple[int, Doubles, Longs]:
    """Return how many degrees wide a map's squares are, so that few are drawn, their corners (2, n) and photos (n,)."""
    corners = np.array([places["latitude"], places["longitude"]], np.int64)
    photos = np.array(places["photos"], np.int64)
    for degrees_wide in (1, 2, 3, 5, 10):
        cells, rows = np.unique(corners // degrees_wide * degrees_wide, axis=1, return_inverse=True)
        if cells.shape[1] <= MOST_DOTS:
            break
    return degrees_wide, cells.astype(np.float64), np.bincount(rows.ravel(), weights=photos).astype(np.int64)


def corner_in_words(latitude: int, longitude: int) -> str:
    """Return a place in whole degrees."""
    return f"{abs(latitude)}° {'S' if latitude < 0 else 'N'}, {abs(longitude)}° {'W' if longitude < 0 else 'E'}"


def share_grid(stats: LibraryStats) -> ShareGrid | None:
    """Return the most frequent tags of the largest chains; None where there are no two to compare."""
    tags = stats.tables["tags"]
    shares: dict[int | None, dict[str, float]] = {}
    for chain_id, tag, share in zip(*(tags[name] for name in ("chain_id", "tag", "share")), strict=True):
        shares.setdefault(chain_id, {})[tag] = share
    if len(shares) < 2:
        return None
    frequent = tag_photos(stats)
    chains, names = list(shares)[:MOST_ACROSS], [tag for tag, _ in frequent[:MOST_TAGS]]
    called = dict(zip(tags["chain_id"], tags["chain"], strict=True))
    rows = [(tag, [shares[chain_id][tag] for chain_id in chains]) for tag in names]
    return ShareGrid(
        chains=[called[chain_id] for chain_id in chains],
        tags=rows,
        largest=max((share for _, each in rows for share in each), default=0) or 1,
        other_chains=len(shares) - len(chains),
        other_tags=len(frequent) - len(names),
    )


def bins(borders: Longs, counts: Longs) -> Iterator[tuple[int, int, int]]:
    """Yield the borders of each bin and how many lie in it."""
    yield from zip(borders[:-1].tolist(), borders[1:].tolist(), counts.tolist(), strict=True)


def whole_range(low: int, high: int) -> str:
    """Return the whole numbers from one to below the other."""
    return f"{low:,}" if high == low + 1 else f"{low:,} to {high - 1:,}"
