"""`aliens search`, `similar` and `saved`: parse, call one function, print hits."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from base import console
from base.console import shell_word
from base.errors import QueryError
from commands import options
from commands.hit_tables import HitFiles, show_all, show_results
from commands.hotel_commands import answer_by_hotel
from commands.options import LIBRARY, as_typed, completing, copying, opened, photos_named, print_notes, print_records

if TYPE_CHECKING:
    from aliens.library import Library
    from search.saved import NamedSearch


def search(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What to look for, such as bathtub with a view.")
    ] = None,
    image: options.ImageOption = None,
    like: options.LikeOption = None,
    more_like: options.MoreLikeOption = None,
    less_like: options.LessLikeOption = None,
    k: options.KOption = 10,
    per_hotel: options.PerHotelOption = None,
    per_chain: options.PerChainOption = None,
    diverse: options.DiverseOption = 0.0,
    sort: options.SortOption = "score",
    by: options.ByOption = "photo",
    until_stop: options.UntilStopOption = False,
    min_score: options.MinScoreOption = None,
    every: options.AllOption = False,
    copies: options.CopiesOption = False,
    page: options.PageOption = 1,
    after: options.AfterOption = None,
    exact: options.ExactOption = False,
    explain: options.ExplainOption = False,
    save: options.SaveOption = None,
    saved: options.SavedOption = None,
    json: options.JsonOption = False,
    sheet: options.SheetOption = None,
    html: options.ResultsPageOption = None,
    to: options.ToOption = None,
    link: options.LinkOption = False,
    open_them: options.OpenOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Find the photos nearest to a text, a photo, or both, best first.

    TEXT may also hold words to keep away from (-word), weights (+word:0.5), like:PHOTO, image:FILE, and filters:
    hotel: chain: source: tag: near: after: before: year: size: color: orientation: path: kind:; see
    docs/query-language.md.
    Quotes are for what your shell would take for something else, such as ? and *, and for words that belong together.

    Examples:
        aliens search bathtub with a view
        aliens search "a pool" --per-hotel 1 --sheet pools.jpg
        aliens search a bathroom -bathtub -n 20 --json
    """
    from search.query import query_of

    text = query_of(words) if words else None
    said: dict[str, Any] = {
        "k": k,
        "image": str(image.absolute()) if image else None,
        "like": like,
        "more_like": photos_named("--more-like", more_like),
        "less_like": photos_named("--less-like", less_like),
        "per_hotel": per_hotel,
        "per_chain": per_chain,
        "diverse": diverse,
        "sort": sort,
        "until_stop": until_stop,
        "min_score": min_score,
        "every": every,
        "copies": copies,
        "exact": exact,
    }
    given = {name for name in context.params if was_given(context, name)}
    if every and "k" in given:
        raise QueryError("--all lists every photo, however many: leave -n (or -k) or --all out")
    if every and "page" in given:
        raise QueryError("--all lists every photo, on one page: leave --page or --all out")
    if save is not None:
        from search.saved import checked

        save = checked(save)  # before the search, of which nothing would be kept
    files = HitFiles(sheet=sheet, page=html, to=to, link=link, open=open_them)
    with copying(to), opened(library, device, model=model) as photos:
        if by == "hotel":
            answer_by_hotel(photos, text, said, given, after=after, explain=explain, json=json, sheet=sheet)
            return
        if saved is not None:
            text, said = recalled(photos.saved_search(saved), text, said, given)
        answer(photos, text, said, {"page": page, "after": after}, explain=explain, json=json, files=files)
        if save is not None:  # now that it has an answer
            photos.save_search(save, text, **said)
            print_notes([f"saved as {save!r}: `aliens search --saved {shell_word(save)}` searches so again"], library)


def similar(
    photo: options.PhotoArgument,
    k: options.KOption = 10,
    other_hotels: Annotated[bool, typer.Option("--other-hotels", help="None of the photo's own hotel.")] = False,
    per_hotel: options.PerHotelOption = None,
    per_chain: options.PerChainOption = None,
    diverse: options.DiverseOption = 0.0,
    sort: options.SortOption = "score",
    copies: options.CopiesOption = False,
    page: options.PageOption = 1,
    after: options.AfterOption = None,
    explain: options.ExplainOption = False,
    json: options.JsonOption = False,
    sheet: options.SheetOption = None,
    html: options.ResultsPageOption = None,
    to: options.ToOption = None,
    link: options.LinkOption = False,
    open_them: options.OpenOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Find the photos most like one, but for its copies.

    A file that is not in the library is compared as it lies there.

    Examples:
        aliens similar 7
        aliens similar photos/room.jpg --other-hotels -n 20
    """
    files = HitFiles(sheet=sheet, page=html, to=to, link=link, open=open_them)
    with copying(to), opened(library, model=model) as photos:
        results = photos.similar(
            photo,
            k=k,
            other_hotels=other_hotels,
            per_hotel=per_hotel,
            per_chain=per_chain,
            diverse=diverse,
            sort=sort,
            copies=copies,
            page=page,
            after=after,
        )
        title = f"like photo {os.path.basename(photo)}"
        show_results(results, title, library, explain=explain, json=json, files=files, after=after)


def answer(
    photos: "Library",
    text: str | None,
    said: Mapping[str, Any],
    place: Mapping[str, Any],
    *,
    explain: bool,
    json: bool,
    files: HitFiles,
) -> None:
    """Search, and print what was found. `place`: where the list goes on, by page or cursor."""
    from search.hints import hints

    for hint in hints(text or ""):
        console.note(hint)
    asked, title = dict(said), title_of(text, said)
    if asked.pop("every"):
        refuse_beside_all(asked["sort"], explain)
        for name in ("k", "sort"):
            asked.pop(name)
        hits = photos.stream(text, **asked, after=place["after"], tell=lambda note: print_notes([note], photos.path))
        show_all(hits, title, json=json, files=files)
        return
    results = photos.search(text, **asked, **place)
    show_results(results, title, photos.path, explain=explain, json=json, files=files, after=place["after"])


def refuse_beside_all(sort: str, explain: bool) -> None:
    """Raises: QueryError: this cannot be had of a list without an end."""
    if sort != "score":
        raise QueryError(f"all photos come by score, not by {sort}: leave --sort or --all out")
    if explain:
        raise QueryError("--explain tells of a list with an end: leave --explain or --all out")


def title_of(text: str | None, said: Mapping[str, Any]) -> str:
    """Return what was asked for, for the head of a contact sheet."""
    image, like = said["image"], said["like"]
    asked = [text, image and f"like {Path(image).name}", like and f"like photo {os.path.basename(str(like))}"]
    limits = [
        f"at most {said['per_hotel']} of a hotel" if said["per_hotel"] else "",
        f"at most {said['per_chain']} of a chain" if said["per_chain"] else "",
        f"diverse {said['diverse']:g}" if said["diverse"] else "",
    ]
    shape = ", ".join(filter(None, limits))
    return " + ".join(str(part) for part in asked if part) + (f"  ({shape})" if shape else "")


def was_given(context: typer.Context, name: str) -> bool:
    """Tell whether an option was given, be it with the value that it has without."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def recalled(
    saved: "NamedSearch", text: str | None, said: Mapping[str, Any], given: set[str]
) -> tuple[str | None, dict[str, Any]]:
    """Return a saved search; what is given beside it goes first."""
    if saved.left_out:
        console.note(f"left out, since this version does not have it: {as_typed(saved.left_out)}")
    kept = dict(saved.options) | ({"every": True} if saved.every else {})
    beside = {name: value for name, value in said.items() if name in given}
    for one, other in (("k", "every"), ("every", "k")):  # which exclude each other
        if beside.get(one):
            kept.pop(other, None)
    return saved.text if text is None else text, {**said, **kept, **beside}


searches = typer.Typer(invoke_without_command=True)


@searches.callback()
def list_searches(json: options.JsonOption = False, library: options.LibraryOption = LIBRARY) -> None:
    """List the saved searches.

    `aliens search TEXT --save NAME` keeps one, `aliens search --saved NAME` searches so again.

    Examples:
        aliens saved
        aliens saved --json
    """
    with opened(library) as photos:
        found = photos.saved_searches()
    if json:
        print_records({"name": each.name, "query": each.text or "", "options": options_of(each)} for each in found)
    elif found:
        rows = [(saved.name, saved.text, as_typed(options_of(saved))) for saved in found]
        console.print_rows(("name", "query", "options"), rows)
    if not found:
        console.note("no search is saved yet: add --save NAME to a search")


def options_of(saved: "NamedSearch") -> dict[str, Any]:
    """Return all options of a saved search."""
    return saved.options | ({"every": True} if saved.every else {}) | saved.left_out


@searches.command()
def remove(
    words: Annotated[list[str], typer.Argument(metavar="NAME", help="Its name.", autocompletion=completing("saved"))],
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Remove a saved search.

    Examples:
        aliens saved remove pools
    """
    name = " ".join(words)
    with opened(library) as photos:
        photos.forget_search(name)
    console.note(f"removed {name!r}")
