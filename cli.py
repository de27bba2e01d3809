"""The `aliens` command: the commands put together, and errors turned into exit codes."""

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import typer

from base import __version__, console
from base.errors import AliensError, QueryError, QuerySyntaxError
from commands.candidate_commands import candidates, see
from commands.caption_commands import caption_group, captions
from commands.compare_command import compare_others
from commands.duplicate_commands import duplicates
from commands.evaluation_commands import evaluations
from commands.export_commands import exports, imports
from commands.hotel_commands import gallery, hotels
from commands.label_command import label
from commands.library_commands import add, demo, failures, forget, index, info, init, verify
from commands.model_commands import embed_photos, models, use_model_of_library
from commands.options import WordsCommand
from commands.quiz_command import quiz
from commands.restyle_commands import restyle_group, restyled
from commands.search_commands import search, searches, similar
from commands.serve_command import serve
from commands.source_commands import downloads, sources
from commands.stats_command import stats
from commands.suggest_command import suggest
from commands.tag_commands import old_tags, tags
from commands.verbs import Plain, Verb, worded

tags.command("suggest")(suggest)

Command = Callable[..., None] | typer.Typer
# As `aliens --help` lists them, heading by heading.
COMMANDS: dict[str, dict[str, Command]] = {
    "Library": {"init": init, "add": add, "sources": sources, "download": downloads, "info": info, "demo": demo},
    "Search": {"search": search, "similar": similar, "saved": searches, "serve": serve},
    "Hotels": {"hotels": hotels, "gallery": gallery},
    "Tags": {"tag": tags, "label": label, "export": exports, "import": imports},
    "Captions": {"caption": caption_group},
    "Restyle": {"candidates": candidates, "restyle": restyle_group, "quiz": quiz, "see": see},
    "Measure": {"stats": stats, "eval": evaluations},
    "Models": {"models": models, "embed": embed_photos, "use": use_model_of_library, "compare": compare_others},
    "Care": {"verify": verify, "failures": failures, "duplicates": duplicates, "forget": forget, "index": index},
}
# What commands were called before: understood, and not listed.
OLD: dict[str, Command] = {"tags": old_tags, "captions": captions, "restyled": restyled, "searches": searches}


class Aliens(Verb):
    """All commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names in the order of their headings."""
        return [name for listed in COMMANDS.values() for name in listed]


app = typer.Typer(
    cls=Aliens,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
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
    """Search, tag and restyle your photos by describing them.

    `aliens COMMAND --help` explains a command and has examples.
    """


def put(name: str, command: Command, heading: str | None = None) -> None:
    """Give a command or a group of them its name and its heading; without one it is not listed."""
    if not isinstance(command, typer.Typer):
        kind = WordsCommand if command is search else Plain
        app.command(name, cls=kind, rich_help_panel=heading, hidden=heading is None)(command)
        return
    for below in command.registered_commands:
        below.cls = Plain
    app.add_typer(command, name=name, cls=Verb, rich_help_panel=heading, hidden=heading is None)


for heading, listed in COMMANDS.items():
    for name, command in listed.items():
        put(name, command, heading)
for name, command in OLD.items():
    put(name, command)


UsageError: Any = typer.BadParameter.__mro__[1]  # of every command line that is not as it should be


@cache
def command_line() -> Any:
    """Return the commands as typer parses them, built once: of ninety commands that takes a while."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; errors that the user can mend become one line and exit code 1, or 2 for a bad query."""
    console.prepare_streams()
    read_names_as_utf8()
    try:
        sys.exit(command_line()(prog_name="aliens", standalone_mode=False))
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help of a word that needs another one
            error.show()
            sys.exit(2)
        from typer.rich_utils import rich_format_error

        error.message = console.one_line(worded(error))
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
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # nosec B606 # this command itself, once more


if __name__ == "__main__":
    main()
