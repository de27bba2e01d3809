"""`aliens search`, `similar` and `searches`: parse, call one function, print hits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from base import console
from base.errors import QueryError
from base.settings import LibraryFolder
from commands.hit_tables import show_all, show_results
from commands.models import open_for_search
from commands.options import (
    LIBRARY,
    AfterOption,
    AllOption,
    DeviceOption,
    DiverseOption,
    ExactOption,
    ExplainOption,
    ImageOption,
    JsonOption,
    KOption,
    LessLikeOption,
    LibraryOption,
    LikeOption,
    MinScoreOption,
    MoreLikeOption,
    PerChainOption,
    PerHotelOption,
    SavedOption,
    SaveOption,
    SheetOption,
    Sort,
    SortOption,
    UntilStopOption,
    as_typed,
)

if TYPE_CHECKING:
    from search.answers import Feedback
    from search.ranking import Shape


IDS = re.compile(r"[0-9]{1,19}(\s*,\s*[0-9]{1,19})*")  # a database's numbers have 19 digits


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
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
        from search.ranking import Shape

        names = {field.name for field in fields(Shape)} & {field.name for field in fields(self)}
        return Shape(**{name: getattr(self, name) for name in names}, after=after)

    @property
    def limits(self) -> str:
        """What shapes the list, for people; empty where it is plain."""
        said = [
            f"at most {self.per_hotel} of a hotel" if self.per_hotel else "",
            f"at most {self.per_chain} of a chain" if self.per_chain else "",
            f"diverse {self.diverse:g}" if self.diverse else "",
        ]
        return ", ".join(filter(None, said))

    def feedback(self) -> "Feedback":
        """Return the photos to look more, and less, like."""
        from search.answers import Feedback

        return Feedback(ids_of("--more-like", self.more_like), ids_of("--less-like", self.less_like))


def search(
    context: typer.Context,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What to look for, such as 'bathtub with a view'.")
    ] = None,
    image: ImageOption = None,
    like: LikeOption = None,
    more_like: MoreLikeOption = None,
    less_like: LessLikeOption = None,
    k: KOption = 10,
    per_hotel: PerHotelOption = None,
    per_chain: PerChainOption = None,
    diverse: DiverseOption = 0.0,
    sort: SortOption = "score",
    until_stop: UntilStopOption = False,
    min_score: MinScoreOption = None,
    every: AllOption = False,
    after: AfterOption = None,
    exact: ExactOption = False,
    explain: ExplainOption = False,
    save_named: SaveOption = None,
    saved: SavedOption = None,
    json: JsonOption = False,
    sheet: SheetOption = None,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Find the photos nearest to a text, a photo, or both, best first.

    TEXT may also hold words to keep away from (-word), weights (+word:0.5), like:PHOTO_ID, image:FILE, and filters:
    hotel: chain: source: tag: near: after: before: size: color: orientation: path: kind: (docs/query-language.md).
    A TEXT that begins with a minus sign stands last, behind -- and a space.
    """
    wish = SearchOptions(
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
    given = {name for name in context.params if was_given(context, name)}
    if every and "k" in given:
        raise QueryError("--all lists every photo, however many: leave -k or --all out")
    if saved is not None:
        text, wish = recalled(library, saved, text, wish, given)
    answer(library, device, text, wish, after=after, explain=explain, json=json, sheet=sheet)
    if save_named is not None:  # now that it has an answer
        keep(library, save_named, text, wish)


def similar(
    photo_id: Annotated[int, typer.Argument(help="A photo of the library.")],
    k: KOption = 10,
    other_hotels: Annotated[bool, typer.Option("--other-hotels", help="None of the photo's own hotel.")] = False,
    per_hotel: PerHotelOption = None,
    per_chain: PerChainOption = None,
    diverse: DiverseOption = 0.0,
    sort: SortOption = "score",
    after: AfterOption = None,
    explain: ExplainOption = False,
    json: JsonOption = False,
    sheet: SheetOption = None,
    library: LibraryOption = LIBRARY,
) -> None:
    """Find the photos most like one of the library's: similar, not the same."""
    wish = SearchOptions(k=k, per_hotel=per_hotel, per_chain=per_chain, diverse=diverse, sort=sort)
    with open_for_search(library) as opened:
        results = opened.similar(photo_id, k=k, other_hotels=other_hotels, shape=wish.shape(after))
    title = f"like photo {photo_id}"
    show_results(results, title, explain=explain, json=json, sheet=sheet, first_page=after is None)


def answer(
    library: Path,
    device: str,
    text: str | None,
    wish: SearchOptions,
    *,
    after: str | None,
    explain: bool,
    json: bool,
    sheet: Path | None,
) -> None:
    """Search, and print what was found."""
    from search.query import hints

    asked = [text, wish.image and f"like {Path(wish.image).name}", wish.like and f"like photo {wish.like}"]
    title = " + ".join(str(part) for part in asked if part) + (f"  ({wish.limits})" if wish.limits else "")
    with open_for_search(library, device) as opened:
        query: dict[str, Any] = {"image": wish.image, "like": wish.like, "feedback": wish.feedback()}
        for hint in hints(text or ""):
            console.note(hint)
        if wish.every and explain:
            raise QueryError("--explain tells of a list with an end: leave --explain or --all out")
        if wish.every:
            hits = opened.stream(text, **query, shape=wish.shape(after), tell=console.note)
            show_all(hits, title, json=json, sheet=sheet)
            return
        results = opened.search(text, k=wish.k, **query, shape=wish.shape(after))
    show_results(results, title, explain=explain, json=json, sheet=sheet, first_page=after is None)


def was_given(context: typer.Context, name: str) -> bool:
    """Tell whether an option was given, be it with the value that it has without."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def recalled(
    library: Path, name: str, text: str | None, wish: SearchOptions, given: set[str]
) -> tuple[str | None, SearchOptions]:
    """Return a saved search; what is given beside it goes first."""
    from search.saved import saved_search

    kept_text, options = saved_search(LibraryFolder(library), name)
    kept = understood(options)
    beside = {field.name: getattr(wish, field.name) for field in fields(SearchOptions) if field.name in given}
    for one, other in (("k", "every"), ("every", "k")):  # which exclude each other
        if beside.get(one):
            kept.pop(other, None)
    return kept_text or None if text is None else text, replace(SearchOptions(**kept), **beside)


def understood(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a saved search that this version has; a note names the others."""
    kinds = {field.name: field.type for field in fields(SearchOptions)}
    known = {name: value for name, value in options.items() if name in kinds and fits(value, kinds[name])}
    if left := {name: value for name, value in options.items() if name not in known}:
        console.note(f"left out, since this version does not have it: {as_typed(left)}")
    return known


def fits(value: object, kind: Any) -> bool:
    """Tell whether a value is of a field's type."""
    return value in get_args(kind) if get_origin(kind) is Literal else isinstance(value, kind)


def keep(library: Path, name: str, text: str | None, wish: SearchOptions) -> None:
    """Save a search, with the paths of photo files in full: it may be repeated in another folder."""
    from search.query import with_whole_paths
    from search.saved import save_named

    save_named(LibraryFolder(library), name, with_whole_paths(text or ""), wish.said)
    console.note(f"saved as {name!r}: `aliens search --saved {name!r}` searches so again")


def ids_of(option: str, text: str | None) -> tuple[int, ...]:
    """Return ids separated by commas.

    Raises: QueryError: the text is something else.
    """
    if text is None:
        return ()
    if not IDS.fullmatch(text.strip()):
        raise QueryError(f"{option} is {text[:40]!r}: give ids separated by commas, such as 12,40")
    return tuple(int(part) for part in text.split(","))


searches = typer.Typer(help="List the saved searches, or remove one.", invoke_without_command=True)


@searches.callback()
def search_group(context: typer.Context, json: JsonOption = False, library: LibraryOption = LIBRARY) -> None:
    """List the saved searches; `aliens search --saved NAME` runs one, `--save NAME` keeps one."""
    if context.invoked_subcommand is not None:
        return
    from search.saved import list_saved

    found = list_saved(LibraryFolder(library))
    for saved in found:
        if json:
            console.print_json({"name": saved.name, "query": saved.query, "options": saved.options})
    if found and not json:
        rows = [(s.name, s.query, as_typed(s.options)) for s in found]
        console.print_rows(("name", "query", "options"), rows)
    if not found:
        console.note("no search is saved yet: add --save NAME to a search")


@searches.command()
def remove(name: Annotated[str, typer.Argument(help="Its name.")], library: LibraryOption = LIBRARY) -> None:
    """Remove a saved search."""
    from search.saved import forget

    forget(LibraryFolder(library), name)
    console.note(f"removed {name!r}")
