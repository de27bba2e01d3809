"""`aliens searches`: the searches that were saved."""

from typing import Annotated

import typer

from aliens import console
from aliens.settings import LibraryFolder
from commands.options import LIBRARY, JsonOption, LibraryOption
from commands.search_options import as_typed

searches = typer.Typer(help="List the saved searches, or remove one.", invoke_without_command=True)


@searches.callback()
def listed(context: typer.Context, json: JsonOption = False, library: LibraryOption = LIBRARY) -> None:
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
