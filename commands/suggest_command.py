"""`aliens tag suggest`: prompts that would tell tags better, and words for photos that no tag covers."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.console import FilePath
from base.errors import QueryError
from commands.options import (
    LIBRARY,
    DeviceOption,
    JsonOption,
    LibraryOption,
    ModelOption,
    checked_sheet,
    completing,
    opened,
    print_notes,
    stopping,
)
from commands.tag_commands import VocabularyOption, figure

if TYPE_CHECKING:
    from search.tags.suggesting import PromptSuggestions
    from search.tags.uncovered import UncoveredWords

EXAMPLES = 4  # photos of a group in the table
PROMPTS = 4  # in a cell
MEASURED = ("average precision before", "after (0 to 1)", "gain, 95 %")


def suggest(
    tags: Annotated[
        list[str] | None,
        typer.Argument(metavar="TAG", autocompletion=completing("tags"), help="Only these tags. Default: all."),
    ] = None,
    tried: Annotated[
        list[str] | None,
        typer.Option(
            "--try",
            metavar="TEXT",
            help='Words of yours to try, such as "a tin bath" or "a bathtub: a tin bath"; may be repeated.',
        ),
    ] = None,
    tried_file: Annotated[
        Path | None, typer.Option("--try-file", metavar="FILE", help="A file of words to try, one a line.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="A file with true tags, beside what people said. Default: what people said.")
    ] = None,
    only: Annotated[
        Literal["prompts", "words"] | None,
        typer.Option(help="Look for better prompts alone, or for words of photos without a tag alone."),
    ] = None,
    groups: Annotated[
        int | None, typer.Option(min=1, max=100, help="Photos without a tag: at most so many groups. Default: 20.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.jpg",
            callback=checked_sheet,
            help="A picture of what would come in and drop out.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="NEW.toml", help="Write the vocabulary with the better prompts; a new file."),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="WORD", help="With --write: add this suggested word as a tag; may be repeated."),
    ] = None,
    vocabulary: VocabularyOption = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Find prompts that tell tags better, and words for photos that no tag covers.

    Other ways to say each tag are tried on what people said of photos: five that have the tag and five that have not
    are enough, and `aliens label` asks for them. Photos without any tag are grouped, and each group is named by an
    everyday word. Nothing is changed.

    Examples:
        aliens tag suggest
        aliens tag suggest bathtub --try "a tin bath" -o tubs.jpg
        aliens tag suggest --truth labels.csv --write new.toml
    """
    from search.tags.suggestion_outputs import check_new_file

    if add and write is None:
        raise QueryError(f"--add {add[0]!r} goes with --write NEW.toml: say where the vocabulary is to be written")
    if tags and only == "words":
        raise QueryError(f"{tags[0]!r} is a tag, and words are for photos that have none: leave one of both out")
    if only == "words" and (tried or tried_file is not None or truth is not None):
        raise QueryError("--try, --try-file and --truth are for prompts: leave them out, or --only words")
    if groups is not None and (only == "prompts" or (tags and not add)):
        raise QueryError(f"--groups {groups} is for photos without a tag: leave it out, or --only prompts and tags")
    if write is not None:
        check_new_file(write)
    with stopping("stopped: nothing was changed or written"), opened(library, device, model=model) as photos:
        prompts = words = None
        if only != "words":
            prompts = photos.suggest_prompts(
                tags or (), vocabulary=vocabulary, tried=tried or (), tried_file=tried_file, truth=truth
            )
        if only == "words" or (only is None and (add or not tags)):
            words = photos.uncovered_words(vocabulary, groups=groups)
        if json:
            print_as_json(prompts, words)
        else:
            if prompts is not None:
                print_prompts(prompts, library)
            if words is not None:
                print_words(words, library)
        if output is not None and (prompts or words):
            photos.suggestion_sheet(output, prompts, words)
            console.note(("contact sheet: ", FilePath(str(output))))
        elif output is not None:
            console.note((FilePath(str(output)), ": not written, since nothing is suggested"))
        if write is not None:
            count = photos.write_suggested(write, prompts, words, add=add or (), vocabulary=vocabulary)
            tag_with_it = f"aliens tag --vocabulary {console.shell_word(write)}"
            console.note((FilePath(str(write)), f": {console.counted(count, 'tag')} changed or new; `{tag_with_it}`"))


def print_as_json(prompts: "PromptSuggestions | None", words: "UncoveredWords | None") -> None:
    """Print every suggestion as an object a line, each with what it is of."""
    if prompts is not None:
        more = {"vocabulary": prompts.vocabulary, "estimated": prompts.estimated}
        for record in prompts.to_dicts():
            console.print_json({"kind": "prompts"} | more | record)
        for result in prompts.tried:
            console.print_json({"kind": "tried", "vocabulary": prompts.vocabulary} | asdict(result))
    if words is not None:
        more_words = {"untagged": words.untagged, "of_photos": words.photos}
        for record in words.to_dicts():
            console.print_json({"kind": "words"} | more_words | record)


def print_prompts(prompts: "PromptSuggestions", library: Path) -> None:
    """Print the tags whose prompts could be better, and what became of the user's texts."""
    print_suggested(prompts)
    print_tried(prompts)
    judged = f"{prompts.vocabulary}: {console.counted(prompts.tags, 'tag')} judged by labels"
    console.note(f"{judged}, better prompts for {len(prompts)}")
    print_notes(prompts.notes, library)


def print_suggested(prompts: "PromptSuggestions") -> None:
    """Print the prompts that are suggested, or nothing where there are none."""
    about = "~" if prompts.estimated else ""
    rows = [
        (
            each.tag,
            some(each.today),
            some(each.suggested),
            figure(each.before),
            figure(each.after),
            interval(each.low, each.high),
            each.rests_on,
            f"{about}{each.comes_in}",
            f"{about}{each.drops_out}",
        )
        for each in prompts
    ]
    titles = ("tag", "prompts today", "suggested", *MEASURED, "rests on")
    if rows:
        console.print_rows((*titles, "photos in", "photos out"), rows)


def print_tried(prompts: "PromptSuggestions") -> None:
    """Print what the user's texts did, or nothing where there were none."""
    rows = [
        (
            each.tag,
            each.text,
            figure(each.before),
            figure(each.after),
            interval(each.low, each.high),
            "yes" if each.used else None,
        )
        for each in prompts.tried
    ]
    if rows:
        console.note("your words, each alone in place of the tag's prompts:")
        titles = ("tag", "your words", *MEASURED, "suggested")
        console.print_rows(titles, rows)


def print_words(words: "UncoveredWords", library: Path) -> None:
    """Print the groups of photos without a tag."""
    if words:
        console.print_rows(
            ("word", "photos", "also near", "nearness (-1 to 1)", "chance", "examples"),
            [
                (
                    each.name or (f"like {each.tag!r}" if each.tag else "no word fits"),
                    f"about {each.about}" if each.estimated else each.about,
                    ", ".join(each.also),
                    figure(each.nearness),
                    figure(each.chance),
                    " ".join(map(str, each.examples[:EXAMPLES])),
                )
                for each in words
            ],
        )
        console.note(
            f"{words.untagged} of {words.photos} photos have no tag; {words.grouped} of them were put into "
            f"{console.counted(len(words), 'group')}"
        )
    print_notes([*words.notes, *filter(None, [words.trust])], library)


def some(prompts: list[str]) -> str:
    """Return prompts in one cell, the first few of many."""
    more = f" and {len(prompts) - PROMPTS} more" if len(prompts) > PROMPTS else ""
    return "; ".join(prompts[:PROMPTS]) + more


def interval(low: float, high: float) -> str:
    """Return an interval as text."""
    return f"{low:+.3f} to {high:+.3f}"
