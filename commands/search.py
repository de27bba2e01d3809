"""`aliens search` and `aliens similar`: parse, call one function, print hits."""

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aliens import console
from aliens.errors import QueryError
from aliens.settings import LibraryFolder
from commands.hits import print_hits, show, show_all
from commands.models import open_for_search
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption
from commands.search_options import (
    AfterOption,
    AllOption,
    DiverseOption,
    ExactOption,
    ExplainOption,
    ImageOption,
    KOption,
    LessLikeOption,
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
)

__all__ = ["print_hits", "search", "similar"]

if TYPE_CHECKING:
    from search.library import Feedback
    from search.shape import Shape

IDS = re.compile(r"[0-9]+(\s*,\s*[0-9]+)*")


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
        from search.library import Feedback

        return Feedback(ids_of("--more-like", self.more_like), ids_of("--less-like", self.less_like))


def search(
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
    save: SaveOption = None,
    saved: SavedOption = None,
    json: JsonOption = False,
    sheet: SheetOption = None,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Find the photos nearest to a text, a photo, or both, best first.

    TEXT may also hold words to keep away from (-word), weights (+word:0.5), like:PHOTO_ID, image:FILE, and filters:
    hotel: chain: source: tag: near: after: before: size: color: orientation: path: (docs/query-language.md).
    One that begins with a minus sign stands last, behind -- and a space.
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
    answer(library, device, text, wish, after=after, explain=explain, json=json, sheet=sheet)
    if save is not None:  # now that it has an answer
        keep(library, save, text, wish)


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
    wish = Wish(k=k, per_hotel=per_hotel, per_chain=per_chain, diverse=diverse, sort=sort)
    with open_for_search(library) as opened:
        results = opened.similar(photo_id, k=k, other_hotels=other_hotels, shape=wish.shape(after))
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
    show(results, title, explain=explain, json=json, sheet=sheet)


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
