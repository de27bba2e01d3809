"""The `aliens` command: the commands put together, and errors turned into exit codes."""

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from base import __version__, console
from base.errors import AliensError, QueryError, QuerySyntaxError
from commands.candidate_commands import candidates, see
from commands.caption_commands import caption, captions
from commands.export_commands import exports, imports
from commands.hotel_commands import gallery, hotels
from commands.library_commands import add, demo, failures, forget, index, info, init, verify
from commands.options import WordsCommand
from commands.quiz_command import quiz
from commands.restyle_commands import restyle, restyled
from commands.search_commands import search, searches, similar
from commands.tag_commands import evaluations, tag, tags

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Search, tag and restyle your photos by describing them.",
)


def version(asked: bool) -> None:
    """Print the version and stop."""
    if asked:
        console.say(f"aliens {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Search, tag and restyle your photos by describing them."""


FIRST: tuple[Callable[..., None], ...] = (init, add, info, failures, forget, verify, demo, search, similar)
OTHERS: tuple[Callable[..., None], ...] = (
    *(index, tag, hotels, gallery, caption, captions, candidates, restyle, restyled, quiz, see),
)

for command in FIRST:
    app.command(cls=WordsCommand if command is search else None)(command)
app.add_typer(searches, name="searches")
for command in OTHERS:
    app.command()(command)
app.add_typer(tags, name="tags")
app.add_typer(evaluations, name="eval")
app.add_typer(exports, name="export")
app.add_typer(imports, name="import")


UsageError: Any = typer.BadParameter.__mro__[1]  # of every command line that is not as it should be


def main() -> None:
    """Run the command; errors that the user can mend become one line and exit code 1, or 2 for a bad query."""
    console.prepare_streams()
    read_names_as_utf8()
    try:
        sys.exit(app(standalone_mode=False))
    except UsageError as error:
        from typer.rich_utils import rich_format_error

        error.message = console.one_line(error.message)
        rich_format_error(error)
        sys.exit(2)
    except QuerySyntaxError as error:
        console.note(f"aliens: {error.lines[0]}", *error.lines[1:])
        sys.exit(2)
    except AliensError as error:
        console.note(f"aliens: {error}")
        sys.exit(2 if isinstance(error, QueryError) else 1)
    except (KeyboardInterrupt, typer.Abort) as stop:  # typer makes the other of the one, and of a no
        console.note("aliens: stopped")
        sys.exit(1 if isinstance(stop, typer.Abort) and stop.__cause__ is None else 130)
    except BrokenPipeError:  # the reader of a pipe, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_names_as_utf8() -> None:
    """Begin anew in Python's UTF-8 mode where names of files are read otherwise, since libraries keep them as UTF-8."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)  # the terminal's stays
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    main()
