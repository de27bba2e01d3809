"""A library in numbers: what was counted, as one record with its tables. Counts nothing itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analysis.stats.balance import Balance, Spread
from base.console import counted, one_line

Columns = Mapping[str, Sequence[Any]]
MOST_SIZES = 50  # in JSON and on the page; the data frame has all
MOST_LISTED = 10  # chains, sizes and the like for a terminal
NO_HOTEL, NO_SOURCE = "no hotel", "not said"


class StatFrame:
    """One of the tables as a pandas.DataFrame, made when it is asked for.

    Raises: ImportError: pandas is not installed.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, stats: "LibraryStats | None", owner: type) -> Any:
        if stats is None:
            return self
        import pandas

        return pandas.DataFrame(dict(stats.tables[self._name]))


@dataclass(frozen=True, kw_only=True, slots=True)
class StatSummary:
    """A library in single numbers; all but `states` and `photos_known` is of photos that can be found.

    states: photos by state. hotels: of which there are photos. hotels_without_photos: the library knows them by name
    alone. chainless_hotels, chainless_photos: of hotels of no chain. photos_a_hotel, photos_a_chain, hotels_a_chain:
    how they are spread, and balance_of: how evenly photos are shared out. width, height: px. sizes: how many
    different ones. grey, coloured, colour_unknown: photos. brightness: mean L* of each photo's middle square, 0 to
    100. undated: photos whose date nobody says. old_years, future_years: photos dated 1970 or earlier, and later than
    `this_year`, in which they were counted. placed_hotels: whose coordinates are known. misplaced_hotels: whose
    coordinates are beyond the earth, or 0, 0. placed_photos: that have a place of their own. vocabulary: of the tags,
    None where the library was not tagged.
    """

    photos_known: int
    states: dict[str, int]
    photos: int
    size_bytes: int
    hotels: int
    hotels_without_photos: int
    photos_without_hotel: int
    chainless_hotels: int
    chainless_photos: int
    chains: int
    photos_a_hotel: Spread | None
    photos_a_chain: Spread | None
    hotels_a_chain: Spread | None
    balance_of_hotels: Balance | None
    balance_of_chains: Balance | None
    width: Spread | None
    height: Spread | None
    sizes: int
    grey: int
    coloured: int
    colour_unknown: int
    brightness: Spread | None
    brightness_unknown: int
    this_year: int
    undated: int
    old_years: int
    future_years: int
    placed_hotels: int
    misplaced_hotels: int
    placed_photos: int
    vocabulary: str | None


@dataclass(frozen=True, kw_only=True)
class LibraryStats:
    """What a library holds, in numbers. Each of its tables is a pandas.DataFrame, made when it is asked for.

    library: its folder. summary: single numbers. tables: {name: {column: values}}. notes: what readers should know.

    states, failures: photos by state, and by why they could not be used. hotels: a row a hotel, with its photos;
    chains: a row a chain. sources, formats, colours: photos. sizes: a row for every width and height. brightness: a
    row for each unit of L*. years: a row for each year and who says so (camera, table or upload). places: a row for
    each square degree of the earth. tags: a row for each chain and tag; empty where the library was not tagged.
    """

    library: str
    summary: StatSummary
    tables: Mapping[str, Columns]
    notes: list[str] = field(default_factory=list)

    states = StatFrame()
    failures = StatFrame()
    hotels = StatFrame()
    chains = StatFrame()
    sources = StatFrame()
    formats = StatFrame()
    colours = StatFrame()
    sizes = StatFrame()
    brightness = StatFrame()
    years = StatFrame()
    places = StatFrame()
    tags = StatFrame()

    def as_json(self) -> dict[str, Any]:
        """Return everything but the single hotels as one object; of the sizes only the most frequent ones."""
        tables = {name: records_of(columns) for name, columns in self.tables.items() if name != "hotels"}
        tables["sizes"] = tables["sizes"][:MOST_SIZES]
        return {"library": self.library, "summary": asdict(self.summary), **tables, "notes": self.notes}

    def as_rows(self) -> list[tuple[str, str]]:
        """Return lines for people: what, and how much of it."""
        return [*rows_of_photos(self), *rows_of_hotels(self), *rows_of_looks(self), *rows_of_tags(self)]

    def __str__(self) -> str:
        return "\n".join(f"{one_line(name):31} {one_line(value)}".rstrip() for name, value in self.as_rows())

    def write_page(self, path: Path | str) -> None:
        """Write one page that needs nothing else: numbers, plots and tables.

        Raises: OutputError: the file cannot be written. QueryError: its name does not end in .html.
        """
        from embedding.html_pages import check_page, write_page

        check_page(Path(path))
        write_page(self.page(), Path(path))

    def page(self) -> str:
        """Return that page."""
        from analysis.stats.stats_page import stats_page

        return stats_page(self)


def records_of(columns: Columns) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def with_share(part: int, whole: int) -> str:
    """Return a number of a whole with its share."""
    return f"{part:,}, {part / whole:.1%}" if whole else f"{part:,}"


def spread_in_words(spread: Spread | None, unit: str = "") -> str:
    """Return how values are spread, for people."""
    if spread is None:
        return "none"
    unit = f" {unit}" if unit else ""
    return (
        f"mean {spread.mean:,.1f}{unit}, median {spread.median:,.6g}{unit}, standard deviation {spread.sd:,.1f}{unit}, "
        f"from {spread.least:,.6g} to {spread.most:,.6g}{unit}"
    )


def balance_in_words(balance: Balance) -> str:
    """Return how evenly photos are shared out, for people."""
    entropy = "" if balance.entropy is None else f", normalised entropy {balance.entropy:.3f}"
    return f"Gini coefficient {balance.gini:.3f}{entropy}"


def rows_of_photos(stats: LibraryStats) -> Iterator[tuple[str, str]]:
    """Yield how many photos there are, and what became of those that cannot be found."""
    told, tables = stats.summary, stats.tables
    yield "photos", f"{told.photos_known:,}"
    for state, photos in told.states.items():
        yield f"  {state}", with_share(photos, told.photos_known)
    for kind, photos in zip(*tables["failures"].values(), strict=True):
        yield f"    {kind}", f"{photos:,}"
    yield "  their files", f"{told.size_bytes / 1e6:,.1f} MB"
    yield from lines_under("sources", tables["sources"], told.photos)
    yield from lines_under("formats", tables["formats"], told.photos)


def rows_of_hotels(stats: LibraryStats) -> Iterator[tuple[str, str]]:
    """Yield hotels and chains, and how their photos are shared out."""
    told = stats.summary
    yield "hotels with photos", f"{told.hotels:,}"
    if told.hotels_without_photos:
        yield "  known without a photo", f"{told.hotels_without_photos:,}"
    if told.photos_without_hotel:
        yield "  photos of no hotel", with_share(told.photos_without_hotel, told.photos)
    if not told.hotels:
        return
    yield "  of no chain", f"{with_share(told.chainless_hotels, told.hotels)}"
    yield "  photos of these", with_share(told.chainless_photos, told.photos)
    yield "  photos a hotel", spread_in_words(told.photos_a_hotel)
    if told.balance_of_hotels:
        yield "  balance", balance_in_words(told.balance_of_hotels)
    yield "  with coordinates", with_share(told.placed_hotels, told.hotels)
    yield "chains with photos", f"{told.chains:,}"
    if told.chains and told.balance_of_chains:
        yield "  photos a chain", spread_in_words(told.photos_a_chain)
        yield "  hotels a chain", spread_in_words(told.hotels_a_chain)
        yield "  balance", balance_in_words(told.balance_of_chains)
        named = stats.tables["chains"]
        known = zip(named["chain"], named["photos"], named["chain_id"], strict=True)
        chains = [(name, photos) for name, photos, chain_id in known if chain_id is not None]
        yield from lines_of(chains, told.photos)


def rows_of_looks(stats: LibraryStats) -> Iterator[tuple[str, str]]:
    """Yield sizes, colour, brightness and years."""
    told, sizes, years = stats.summary, stats.tables["sizes"], stats.tables["years"]
    yield "width", spread_in_words(told.width, "px")
    yield "height", spread_in_words(told.height, "px")
    yield "sizes", f"{told.sizes:,} different"
    shown = zip(sizes["width_px"], sizes["height_px"], sizes["photos"], strict=True)
    yield from lines_of([(f"{width} x {height} px", photos) for width, height, photos in shown], told.photos)
    yield from lines_under("colour", stats.tables["colours"], told.photos)
    yield "brightness", spread_in_words(told.brightness) + " (L*: 0 black, 100 white)"
    if told.brightness_unknown:
        yield "  not known", with_share(told.brightness_unknown, told.photos)
    by_year: dict[int, int] = {}
    for year, photos in zip(years["year"], years["photos"], strict=True):
        by_year[year] = by_year.get(year, 0) + photos
    yield "years", f"{len(by_year):,} different"
    for year, photos in by_year.items():
        yield f"  {year}", with_share(photos, told.photos)
    if told.undated:
        yield "  without a date", with_share(told.undated, told.photos)


def rows_of_tags(stats: LibraryStats) -> Iterator[tuple[str, str]]:
    """Yield the most frequent tags, over all chains."""
    told, frequent = stats.summary, tag_photos(stats)
    if told.vocabulary is None:
        return
    yield "tags", told.vocabulary
    yield from ((f"  {tag}", with_share(count, told.photos)) for tag, count in frequent[:MOST_LISTED])
    if len(frequent) > MOST_LISTED:
        yield f"  and {counted(len(frequent) - MOST_LISTED, 'more tag')}", ""


def tag_photos(stats: LibraryStats) -> list[tuple[str, int]]:
    """Return the tags with their photos over all chains, the most frequent first."""
    photos: dict[str, int] = {}
    for tag, count in zip(stats.tables["tags"]["tag"], stats.tables["tags"]["photos"], strict=True):
        photos[tag] = photos.get(tag, 0) + count
    return sorted(photos.items(), key=lambda item: -item[1])


def lines_under(heading: str, columns: Columns, whole: int) -> Iterator[tuple[str, str]]:
    """Yield a heading and a line for each value of a table of two columns."""
    yield heading, ""
    yield from lines_of(list(zip(*columns.values(), strict=True)), whole)


def lines_of(values: Sequence[tuple[Any, int]], whole: int) -> Iterator[tuple[str, str]]:
    """Yield the first values with their photos, and how many further ones there are."""
    for name, photos in values[:MOST_LISTED]:
        yield f"  {name}", with_share(photos, whole)
    if others := values[MOST_LISTED:]:
        yield f"  and {len(others):,} more", with_share(sum(photos for _, photos in others), whole)
