"""`aliens search` and `aliens similar`: parse, call one function, print hits."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aliens import console
from aliens.errors import QueryError
from aliens.settings import LibraryFolder
from commands.models import open_for_search
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption

if TYPE_CHECKING:
    from search.library import Feedback
    from search.results import Hit, Results
    from search.shape import Shape

SheetOption = Annotated[Path | None, typer.Option(metavar="OUT.jpg", help="Also write a contact sheet.")]
KOption = Annotated[int, typer.Option("-k", help="How many photos.")]
PerHotelOption = Annotated[int | None, typer.Option(metavar="N", help="At most N photos of a hotel.")]
PerChainOption = Annotated[int | None, typer.Option(metavar="N", help="At most N photos of a chain.")]
DiverseOption = Annotated[
    float, typer.Option(metavar="0..1", help="Avoid photos that resemble those before them: 0 not at all, 1 most.")
]
Sort = Literal["score", "date", "hotel"]
SortOption = Annotated[Sort, typer.Option(help="The order in which the photos found are shown.")]
IDS = re.compile(r"[0-9]+(\s*,\s*[0-9]+)*")
PAGE = 1000  # hits of --all that are printed at a time; a sheet shows no more


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the options of a search say; the fields' values are those without options."""

    k: int = 10
    image: str | None = None
    like: int | None = None
    more_like: str | None = None
    less_like: str | None = None
    per_hotel: int | None = None
    per_chain: int | None = None
    diverse: float = 0.0
    sort: Sort = "score"
    until_stop: bool = False
    min_score: float | None = None
    every: bool = False
    exact: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """The options that were given."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    def shape(self, after: str | None = None) -> "Shape":
        """Return the shape of the list."""
        from search.shape import Shape

        names = {field.name for field in fields(Shape)} & {field.name for field in fields(self)}
        return Shape(**{name: getattr(self, name) for name in names}, after=after)

    def feedback(self) -> "Feedback":
        """Return the photos to look more, and less, like."""
        from search.library import Feedback

        return Feedback(ids_of("--more-like", self.more_like), ids_of("--less-like", self.less_like))


def search(
    text: Annotated[
        str | None, typer.Argument(help="What to look for: words, -words, filters such as chain:Azura.")
    ] = None,
    k: KOption = 10,
    image: Annotated[Path | None, typer.Option(help="Look for photos like this file.")] = None,
    like: Annotated[int | None, typer.Option(metavar="PHOTO_ID", help="Look for photos like this one.")] = None,
    more_like: Annotated[
        str | None, typer.Option(metavar="ID,ID", help="Photos that are what was meant: look more like them.")
    ] = None,
    less_like: Annotated[
        str | None, typer.Option(metavar="ID,ID", help="Photos that are not: look less like them.")
    ] = None,
    per_hotel: PerHotelOption = None,
    per_chain: PerChainOption = None,
    diverse: DiverseOption = 0.0,
    sort: SortOption = "score",
    until_stop: Annotated[bool, typer.Option("--until-stop", help="End at the suggested stop line.")] = False,
    min_score: Annotated[float | None, typer.Option(help="Leave out photos of a lower cosine.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every photo above --min-score or the stop line, however many.")
    ] = False,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on behind an earlier page.")] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare every photo, even with an approximate index.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say on stderr how the search was answered.")] = False,
    save: Annotated[str | None, typer.Option(metavar="NAME", help="Keep this search under a name.")] = None,
    saved: Annotated[
        str | None, typer.Option(metavar="NAME", help="Search as saved; options given beside it go first.")
    ] = None,
    json: JsonOption = False,
    sheet: SheetOption = None,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Find the photos nearest to a text, a photo, or both, best first.

    TEXT may also hold -words to keep away from, weights (+word:0.5), like:PHOTO_ID, image:FILE, and filters: hotel:
    chain: source: tag: near: after: before: size: color: orientation: path: (docs/query-language.md).
    """
    wish = Wish(
        k=k,
        image=str(image.absolute()) if image else None,
        like=like,
        more_like=more_like,
        less_like=less_like,
        per_hotel=per_hotel,
        per_chain=per_chain,
        diverse=diverse,
        sort=sort,
        until_stop=until_stop,
        min_score=min_score,
        every=every,
        exact=exact,
    )
    if saved is not None:
        text, wish = recalled(library, saved, text, wish)
    if save is not None:
        keep(library, save, text, wish)
    answer(library, device, text, wish, after=after, explain=explain, json=json, sheet=sheet)


def similar(
    photo_id: Annotated[int, typer.Argument(help="A photo of the library.")],
    k: KOption = 10,
    other_hotels: Annotated[bool, typer.Option("--other-hotels", help="None of the photo's own hotel.")] = False,
    per_hotel: PerHotelOption = None,
    per_chain: PerChainOption = None,
    diverse: DiverseOption = 0.0,
    sort: SortOption = "score",
    explain: Annotated[bool, typer.Option("--explain", help="Say on stderr how the search was answered.")] = False,
    json: JsonOption = False,
    sheet: SheetOption = None,
    library: LibraryOption = LIBRARY,
) -> None:
    """Find the photos most like one of the library's: similar, not the same."""
    wish = Wish(k=k, per_hotel=per_hotel, per_chain=per_chain, diverse=diverse, sort=sort)
    with open_for_search(library) as opened:
        results = opened.similar(photo_id, k=k, other_hotels=other_hotels, shape=wish.shape())
    show(results, f"like photo {photo_id}", explain=explain, json=json, sheet=sheet)


def answer(
    library: Path,
    device: str,
    text: str | None,
    wish: Wish,
    *,
    after: str | None,
    explain: bool,
    json: bool,
    sheet: Path | None,
) -> None:
    """Search, and print what was found."""
    asked = [text, wish.image and f"like {Path(wish.image).name}", wish.like and f"like photo {wish.like}"]
    title = " + ".join(str(part) for part in asked if part)
    with open_for_search(library, device) as opened:
        query: dict[str, Any] = {"image": wish.image, "like": wish.like, "feedback": wish.feedback()}
        if wish.every:
            show_all(opened.stream(text, **query, shape=wish.shape(after)), title, json=json, sheet=sheet)
            return
        results = opened.search(text, k=wish.k, **query, shape=wish.shape(after))
    show(results, title, explain=explain, json=json, sheet=sheet)


def show(results: "Results", title: str, *, explain: bool, json: bool, sheet: Path | None) -> None:
    """Print the hits; what is known of the list as a whole goes to stderr."""
    print_hits(results, json=json)
    if explain:
        console.note("\n".join(results.explanation.as_lines()))
    elif results.explanation.note:
        console.note(results.explanation.note)
    if not results:
        console.note("no photo is left: loosen the filters, the limits or the score")
    elif results.stop_line is not None:
        above = sum(bool(hit.above_line) for hit in results)
        console.note(f"suggested stop line: {results.stop_line:.3f}, {above} of {len(results)} hits lie above it")
    if results.cursor is not None and console.on_terminal():
        console.note(f"next page: --after {results.cursor}")
    if sheet is not None:
        from search.sheet import by_stop_line, write_sheet

        write_sheet(by_stop_line(results), title, sheet)
        console.note(f"contact sheet: {sheet}")


def show_all(hits: "Iterator[Hit]", title: str, *, json: bool, sheet: Path | None) -> None:
    """Print hits as they come, and a sheet of the first thousand."""
    first: list[Hit] = []
    count = 0
    while page := list(islice(hits, PAGE)):
        print_hits(page, json=json)
        first, count = first or page, count + len(page)
    console.note(console.counted(count, "photo"))
    if sheet is not None:
        from search.sheet import write_sheet

        write_sheet(first, title, sheet)
        console.note(f"contact sheet: {sheet}" + (f", the first {PAGE}" if count > PAGE else ""))


def recalled(library: Path, name: str, text: str | None, wish: Wish) -> tuple[str | None, Wish]:
    """Return a saved search; what is said beside it goes first."""
    from search.saved import saved_search

    kept_text, options = saved_search(LibraryFolder(library), name)
    return text or kept_text or None, replace(Wish(**options), **wish.said)


def keep(library: Path, name: str, text: str | None, wish: Wish) -> None:
    """Save a search."""
    from search.saved import save

    save(LibraryFolder(library), name, text or "", wish.said)
    console.note(f"saved as {name!r}: `aliens search --saved {name!r}` searches so again")


def ids_of(option: str, text: str | None) -> tuple[int, ...]:
    """Return photo ids separated by commas.

    Raises: QueryError: the text is something else.
    """
    if text is None:
        return ()
    if not IDS.fullmatch(text.strip()):
        raise QueryError(f"{option} is {text!r}: give photo ids separated by commas, such as 12,40")
    return tuple(int(part) for part in text.split(","))


def print_hits(hits: "Iterable[Hit]", json: bool = False) -> None:
    """Print hits as a table, as tab-separated lines or as JSON."""
    if json:
        for hit in hits:
            console.print_json(asdict(hit) | {"score": round(hit.score, 6)})
    elif console.on_terminal():
        rows = [
            (f"{h.score:.3f}", percent(h), h.photo_id, h.hotel_name or h.hotel_id, h.chain_name, shown(h)) for h in hits
        ]
        console.print_rows(("score", "above", "photo", "hotel", "chain", "path"), rows)
    else:
        console.print_rows(("score", "path"), [(f"{hit.score:.6f}", hit.file) for hit in hits])


def percent(hit: "Hit") -> str | None:
    """Return the share of the library's photos that score lower, in percent, with a mark below the stop line."""
    if hit.percentile is None:
        return None
    return f"{hit.percentile:.1f} %" + ("" if hit.above_line in (None, True) else " ↓")


def shown(hit: "Hit") -> str:
    """Return a hit's path, relative to the working folder where it lies below."""
    path = str(hit.file)
    below = os.path.relpath(path)
    return path if below.startswith("..") else below
