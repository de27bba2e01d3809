"""What several commands share: options, in the parts that their help shows, and how a long one is stopped."""

import atexit
import gc
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from base import console
from base.console import shell_word
from base.desktop import has_desktop
from base.errors import AliensError, OutputError, QueryError
from base.files import read_regular
from base.listing import as_dict
from base.records import parse_json
from base.settings import DEFAULT_LIBRARY
from commands.verbs import Plain

if TYPE_CHECKING:
    from aliens.library import Library
    from db.completions import Completed

LibraryOption = Annotated[
    Path, typer.Option("--library", "-l", metavar="DIR", envvar="ALIENS_LIBRARY", help="The library's folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs, one object a line.")]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option(
        "--device", envvar="ALIENS_DEVICE", help="What computes: processor (cpu) or graphics card (cuda, mps)."
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16", "int8"],
    typer.Option(
        "--precision",
        envvar="ALIENS_PRECISION",
        help="How exactly it computes: bfloat16 is quicker, and enough; int8 (made by `aliens embed`) quicker still.",
    ),
]
BackendOption = Annotated[
    Literal["auto", "torch", "openvino"],
    typer.Option(
        "--backend",
        envvar="ALIENS_BACKEND",
        help="What computes photos on a processor: PyTorch or OpenVINO (an extra). auto: the faster, measured once.",
    ),
]
ENGINES = ("regrade", "grow", "sd15", "sdxl", "klein")
PLAIN_NAME = re.compile(r"[\w.,/@%+=][\w .,/@%+=-]*")  # which no shell takes for anything else than a name


def completing(
    kept: "Completed | None" = None, known: Iterable[str] = (), folder: str = ""
) -> Callable[[typer.Context], list[str]]:
    """Return what completes a value as it is typed, by names in which a shell sees nothing but a name.

    Args:
        kept: which names of the library's.
        known: names that are always there.
        folder: of a package of ours, whose .toml files have such names.
    """

    def names(context: typer.Context) -> list[str]:
        from base.settings import LibraryFolder, asset
        from db.completions import names_to_complete

        found = [*known, *sorted(path.stem for path in (asset(folder).glob("*.toml") if folder else ()))]
        if kept is not None:
            found += names_to_complete(LibraryFolder(Path(context.params.get("library") or LIBRARY)), kept)
        plain = [name for name in dict.fromkeys(found) if PLAIN_NAME.fullmatch(name)]
        if os.environ.get("_ALIENS_COMPLETE") == "complete_bash":  # which does not quote what it is told
            return [name.replace(" ", "\\ ") for name in plain]
        return plain

    return names


ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        envvar="ALIENS_USE",
        autocompletion=completing("models"),
        help="By another of the library's models than the one in use (`aliens models --here` lists them).",
    ),
]
QueryCountOption = Annotated[
    int | None, typer.Option("-n", "-k", metavar="N", help="With --query: how many photos. Default: 100.")
]
OnlyTagsOption = Annotated[
    list[str] | None,
    typer.Option("--tag", autocompletion=completing("tags"), help="Only photos with this tag; may be repeated."),
]
FiguresOption = Annotated[bool, typer.Option("--explain", help="Say in figures, too, what was measured.")]
LIBRARY = Path(DEFAULT_LIBRARY)
PHOTO_HELP = "A photo of the library: its number, as searches show it, or its path."
PhotoArgument = Annotated[str, typer.Argument(metavar="PHOTO", help=PHOTO_HELP)]


@contextmanager
def opened(
    library: Path,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    *,
    aloud: bool = False,
    model: str | None = None,
) -> "Iterator[Library]":
    """Open a library for a command; `aloud`: say on stderr what model is loaded; `model`: not the one in use.

    A model that photos lack vectors of says so.
    """
    import aliens

    def tell(note: str) -> None:
        if aloud:
            print_notes([note], library)

    atexit.register(gc.freeze)  # looking for cycles among what ends with the process takes Python 0.2 s
    try:
        with aliens.open(
            library, model=model, device=device, precision=precision, backend=backend, tell=tell
        ) as photos:
            if model is not None and (lacking := photos.lacking()):
                print_notes([f"{lacking_said(lacking, photos.model.name)}, and are not found by it"], library)
            yield photos
    except AliensError as error:
        error.args = (runnable(str(error), library), *error.args[1:])
        raise
    except Exception as error:  # none of ours: its traceback ends with this line
        what = console.one_line(f"{type(error).__name__}: {error}")
        remedy = runnable("`aliens verify` tells whether the library is damaged", library)
        error.add_note(f"aliens: this should not have happened ({what}): {remedy}")
        raise


def lacking_said(photos: int, name: str) -> str:
    """Return in words how many photos have no vector of a model."""
    return f"{console.counted(photos, 'photo')} {'has' if photos == 1 else 'have'} no vector of the model {name}"


def print_notes(notes: Iterable[object], library: Path) -> None:
    """Say on stderr what a report notes; a note of several parts is a tuple."""
    for note in notes:
        parts = note if isinstance(note, tuple) else (note,)
        console.note(tuple(runnable(part, library) if isinstance(part, str) else part for part in parts))


def print_records(records: Iterable[object]) -> None:
    """Print records for programs, as one JSON object a line."""
    for record in records:
        console.print_json(as_dict(record))


def print_filed(path: Path, report: object, library: Path, *, json: bool, notes: Iterable[object] = ()) -> None:
    """Print what came of a file that was written or read: for programs all of it, for people where it is, and notes."""
    if json:
        print_records([report])
        return
    console.say((console.FilePath(str(path)), f": {report}"))
    print_notes(notes, library)


def print_report(report: Any, library: Path, *, json: bool) -> None:
    """Print what was done, for programs or for people; its notes go to stderr."""
    if json:
        print_records([report])
    else:
        console.say(*(runnable(line, library) for line in str(report).splitlines()))
    print_notes(report.notes, library)


def confirm(question: str, otherwise: str) -> None:
    """Go on only where somebody says yes; `otherwise` is said where they say no.

    Raises: QueryError: nobody can be asked; typer.Exit: they say no.
    """
    if not sys.stdin.isatty():
        raise QueryError(f"{question} Nobody can be asked here: say --yes")
    if not typer.confirm(question, err=True):
        console.note(otherwise)
        raise typer.Exit(1)


COMMAND = re.compile(r"`(aliens [^`]+)`")


def runnable(text: str, library: Path) -> str:
    """Return a text whose commands, in backticks, name the library where it is not the one that they take anyway."""
    if library == Path(os.environ.get("ALIENS_LIBRARY") or DEFAULT_LIBRARY):
        return text
    option = f" --library {shell_word(library)}"
    return COMMAND.sub(lambda found: f"`{found[1]}{'' if '--library' in found[1] else option}`", text)


def names_in(file: str) -> list[str]:
    """Return the photos that a file, or stdin as -, lists: numbers or paths, one a line, or what a command has printed.

    Of a search that is `score<TAB>path`, of captions `photo<TAB>path<TAB>caption`, with --json what has a photo_id.

    Raises: QueryError: it cannot be read, lists nothing, or has a line that is none of these.
    """
    try:
        data = sys.stdin.buffer.read() if file == "-" else read_regular(file, pipe=True)
    except OSError as error:
        raise QueryError(f"{file} cannot be read: {error.strerror or error}") from error
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
    names = [photo_in_line(line.removesuffix("\r"), n) for n, line in enumerate(lines, start=1) if line.strip()]
    if not names:
        raise QueryError(f"{'stdin' if file == '-' else file} lists no photo: give numbers or paths, one a line")
    return names


def photo_in_line(line: str, number: int) -> str:
    """Return the photo that a line names, by number or path. Raises: QueryError: it names none."""
    with suppress(ValueError, KeyError, TypeError, OverflowError):
        if line.startswith("{"):
            return str(int(parse_json(line)["photo_id"] or ""))
    fields = line.split("\t")
    if len(fields) > MOST_FIELDS:
        raise QueryError(f"line {number} is no list of photos: {line[:80]!r}; give numbers or paths, one a line")
    return fields[0] if len(fields) == 1 or fields[0].isdecimal() else fields[1]


MOST_FIELDS = 3  # of a line that names a photo: longer ones, as of results, begin with other things' numbers


@contextmanager
def stopping(what_is_kept: str) -> Iterator[None]:
    """Turn Ctrl-C into a word about what is kept, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        console.note(what_is_kept)
        raise typer.Exit(130) from None


def copying(folder: Path | None) -> AbstractContextManager[None]:
    """Turn Ctrl-C into a word about what was copied, where something is."""
    return stopping(f"stopped: what was copied to {folder} is whole") if folder else nullcontext()


class WordsCommand(Plain):
    """A command whose words need no quotes, those to keep away from included: `aliens search a bathroom -bathtub`."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Tell words that begin with a minus from options, and have the words stand last, behind --."""
        known: list[Any] = [each for each in self.get_params(ctx) if each.param_type_name == "option"]
        taking = {name: not option.is_flag for option in known for name in option.opts}
        options, words, rest = list[str](), list[str](), iter(args)
        for word in rest:
            if word == "--":
                words.extend(rest)
            elif is_option(word, taking):
                value = list(islice(rest, 1)) if taking.get(word) else []
                options.extend([word, *value])
                if taking.get(word) and not value:
                    return super().parse_args(ctx, options)  # which says that the option lacks it
            else:
                words.append(word)
                if f"-{word}" in taking:
                    console.note(f"{word} means less of {word[1:]}; the option is -{word}")
        return super().parse_args(ctx, [*options, "--", *words] if words else options)


def is_option(word: str, known: Collection[str]) -> bool:
    """Tell whether a word is meant as an option: --name, -k, -k5, -lFOLDER where there is one; -lamp is a lamp."""
    if word in known or word.startswith("--"):
        return True
    attached = word[2:]
    return word[:2] in known and (not attached[0].isalpha() or os.path.isdir(attached))


Sort = Literal["score", "date", "hotel"]
looked_for, listed, kept = (  # options in these panels of the help
    partial(typer.Option, rich_help_panel=panel)
    for panel in ("What to look for", "Which photos are listed", "Searches to keep")
)

ImageOption = Annotated[Path | None, looked_for(metavar="FILE", help="Look for photos like this file.")]
LikeOption = Annotated[str | None, looked_for(metavar="PHOTO", help="Look for photos like this one.")]
MoreLikeOption = Annotated[
    list[str] | None,
    looked_for(metavar="PHOTO,PHOTO", help="Photos that are what was meant: look more like them. May be repeated."),
]
LessLikeOption = Annotated[
    list[str] | None,
    looked_for(metavar="PHOTO,PHOTO", help="Photos that are not: look less like them. May be repeated."),
]


IDS = re.compile(r"[0-9]{1,19}(\s*,\s*[0-9]{1,19})*")  # a database's numbers have 19 digits


def ids_of(option: str, text: str | None) -> tuple[int, ...]:
    """Return the numbers of results, with commas between them. Raises: QueryError: the text is something else."""
    if text is None:
        return ()
    if not IDS.fullmatch(text.strip()):
        raise QueryError(f"{option} is {text[:40]!r}: give numbers with commas between them, such as 12,40")
    return tuple(int(part) for part in text.split(","))


def photos_named(option: str, values: Iterable[str] | None) -> tuple[str, ...]:
    """Return the photos, by number or path, that an option names; a file may have commas in its name.

    Raises: QueryError: it names none.
    """
    named = [part for value in values or () for part in ([value] if os.path.exists(value) else value.split(","))]
    if not all(map(str.strip, named)):
        raise QueryError(f"{option} names no photo: give numbers or paths with commas between them, such as 12,40")
    return tuple(part.strip() if not os.path.exists(part) else part for part in named)


KOption = Annotated[int, listed("-n", "-k", metavar="N", help="How many photos.")]
PageOption = Annotated[int, listed(metavar="N", min=1, help="Which page of as many photos.")]
CopiesOption = Annotated[
    bool,
    listed(
        "--copies/--no-copies", help="List copies of a photo as well: the same file, or the same picture in another."
    ),
]
PerHotelOption = Annotated[int | None, listed(metavar="N", help="At most N photos of a hotel.")]
PerChainOption = Annotated[int | None, listed(metavar="N", help="At most N photos of a chain.")]
DiverseOption = Annotated[
    float, listed(metavar="0..1", help="Avoid photos that resemble those before them: 0 not at all, 1 most.")
]
SortOption = Annotated[Sort, listed(help="The order in which the photos found are shown.")]
ByOption = Annotated[
    Literal["photo", "hotel"], listed("--by", help="What is ranked: photos, or hotels by their best photos.")
]
UntilStopOption = Annotated[bool, listed("--until-stop/--no-until-stop", help="End at the suggested stop line.")]
MinScoreOption = Annotated[float | None, listed(metavar="COSINE", help="Leave out photos of a lower score.")]
AllOption = Annotated[
    bool, listed("--all/--no-all", help="Every photo above --min-score, or else above the stop line, however many.")
]
AfterOption = Annotated[
    str | None,
    listed(metavar="CURSOR", help="Go on behind a hit, by its cursor in --json, whatever was added meanwhile."),
]
SaveOption = Annotated[str | None, kept(metavar="NAME", help="Keep this search under a name.")]
SavedOption = Annotated[
    str | None,
    kept(
        metavar="NAME",
        autocompletion=completing("saved"),
        help="Search as saved; options given beside it go first. A limit that was saved is lifted by a large number.",
    ),
]
ExactOption = Annotated[
    bool, typer.Option("--exact/--no-exact", help="Compare every photo, even with an approximate index.")
]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Say on stderr how the search was answered.")]


def checked_sheet(sheet: Path | None) -> Path | None:
    """Refuse a contact sheet's name before the work is done. Raises: QueryError: it ends in no format of pictures."""
    if sheet is not None:
        from embedding.sheet import check_ending

        check_ending(sheet, "sheet")
    return sheet


SheetOption = Annotated[
    Path | None, typer.Option(metavar="OUT.jpg", help="Also write a contact sheet.", callback=checked_sheet)
]


def checked_desktop(asked: bool) -> bool:
    """Refuse to open anything before the work is done. Raises: OutputError: there is no desktop."""
    if asked and not has_desktop():
        raise OutputError("--open needs a desktop with xdg-open, and there is none here: look at what --sheet writes")
    return asked


def checked_results_page(page: Path | None) -> Path | None:
    """Refuse a page's name before the work is done. Raises: OutputError, QueryError: no page can be written there."""
    if page is not None:
        from embedding.html_pages import check_page

        check_page(page)
    return page


ResultsPageOption = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="OUT.html",
        help="Also write a page to pass on, pictures inside.",
        callback=checked_results_page,
    ),
]
ToOption = Annotated[
    Path | None, typer.Option("--to", metavar="FOLDER", help="Also copy the photos into a new folder, by rank.")
]
LinkOption = Annotated[bool, typer.Option("--link", help="With --to: link to the photos instead of copying.")]
OpenOption = Annotated[
    bool,
    typer.Option(
        "--open",
        help="Open the photos by the desktop's viewer; the folder of --to, or the --sheet, where there is one.",
        callback=checked_desktop,
    ),
]


def as_typed(options: Mapping[str, Any]) -> str:
    """Return the options of a saved search as they are typed."""
    names = {"k": "-n", "every": "--all"}
    words = []
    for name, value in options.items():
        typed = names.get(name, f"--{name.replace('_', '-')}")
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        words.append(typed if value is True else f"{typed} {shell_word(value)}")
    return " ".join(words)
