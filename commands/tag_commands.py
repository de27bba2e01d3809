"""`aliens tag ...` and `aliens eval tags`: tagging, looking at tags, correcting and measuring them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.console import FilePath
from base.errors import QueryError
from base.files import PhotoFile
from commands import options
from commands.options import LIBRARY, completing, confirm, names_in, opened, print_notes, print_records, stopping

if TYPE_CHECKING:
    from aliens.library import Library
    from search.tags.summary import ChainCount


tags = typer.Typer(invoke_without_command=True)
VocabularyOption = Annotated[
    str | None,
    typer.Option(
        "--vocabulary",
        "-v",
        autocompletion=completing("vocabularies"),
        help="One that the library was tagged with (default: the latest).",
    ),
]
MAX_COLUMNS = 15
CANNOT_TELL = "the model cannot tell this here"


@tags.callback()
def tag(
    vocabulary: Annotated[
        str | None,
        typer.Option(
            "--vocabulary",
            "-v",
            autocompletion=completing("vocabularies", folder="search/vocabularies"),
            help="A .toml file, a .txt file with a tag a line, case-study (15 tags) or hotel (126 tags), or one that "
            "the library was tagged with. Default: the last one, or case-study.",
        ),
    ] = None,
    method: Annotated[
        Literal["signal", "calibrated", "uncalibrated", "softmax"] | None,
        typer.Option(
            help="How it is decided: each tag by itself (signal, calibrated, uncalibrated), or the --top-k best of all "
            "tags (softmax, as the case study did). Default: as the last time, or signal.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="How likely a tag must be. Default: as the last time with the method, or its own: 0.5 for signal, "
            "else 0.3.",
        ),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="For softmax: how many tags each photo gets. Default: 1.")] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|labels|none",
            help="Learn from a file with true tags (what people said counts as well), from what people said alone, "
            "or forget what was learnt.",
        ),
    ] = None,
    fit: Annotated[
        Literal["probe", "platt", "isotonic"] | None,
        typer.Option(
            help="With --calibrate: what is learnt, of what the photos look like and the tag's words together (probe), "
            "or a curve over the words' score alone (platt, isotonic). Default: probe."
        ),
    ] = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Tag all photos; list, show, set and correct tags.

    By itself it gives every photo the tags of a list (a vocabulary) that fit it; no photo is opened.

    Run it again after adding photos: only what is new is looked at, and everything is decided as before.

    Examples:
        aliens tag
        aliens tag --vocabulary hotel
        aliens tag set 7 pool
    """
    kept = "stopped: scores that are complete are kept, decisions are as before; the same command goes on from here"
    with stopping(kept), opened(library, device, model=model) as photos:
        report = photos.tag(vocabulary, method=method, threshold=threshold, top_k=top_k, calibrate=calibrate, fit=fit)
    print_notes(report.notes, library)
    if json:
        print_records([report])
        return
    console.say(report)
    print_notes(["`aliens tag list` counts them, `aliens tag sheet TAG -o OUT.jpg` shows them"], library)


@tags.command("list")
def count_tags(
    by_chain: Annotated[bool, typer.Option("--by-chain", help="Count by chain of hotels.")] = False,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Count the photos of every tag, in all or by chain.

    Examples:
        aliens tag list
        aliens tag list --by-chain
    """
    with opened(library, model=model) as photos:
        if by_chain:
            chains = photos.tags_by_chain(vocabulary)
            print_notes(chains.notes, library)
            print_chains(chains, json)
            return
        summary = photos.tags(vocabulary)
    print_notes(summary.notes, library)
    if json:
        print_records(summary)
        return
    rows = [
        (
            c.tag,
            c.heading or None,
            c.photos,
            f"{c.share:.1%}",
            c.by_hand or None,
            c.sure,
            CANNOT_TELL if c.muted else decided_by(c.labels),
        )
        for c in sorted(summary, key=lambda c: -c.photos)
    ]
    console.print_rows(("tag", "heading", "photos", "share", "by hand", "sure", "remark"), rows)
    console.note(
        f"{summary.photos} photos, {summary.untagged} of them with none of the tags; {summary.vocabulary}, "
        f"{summary.method}" + (f", threshold {summary.threshold:g}" if summary.method != "softmax" else "")
    )


def print_chains(chains: "Sequence[ChainCount]", json: bool) -> None:
    """Print the tag x chain table: shares on a terminal, a line for each chain and tag in a pipe."""
    if json:
        print_records(chains)
        return
    if not console.on_terminal():
        rows = [(c.chain, tag, n, f"{n / c.photos:.4f}", c.sure[tag]) for c in chains for tag, n in c.tags.items()]
        console.print_rows(("chain", "tag", "photos", "share", "sure"), rows)
        return
    names = sorted(chains[0].tags, key=lambda tag: -sum(c.tags[tag] for c in chains)) if chains else []
    if len(names) > MAX_COLUMNS:
        console.note(f"the {MAX_COLUMNS} most frequent of {len(names)} tags; `--json` gives all")
    shown = names[:MAX_COLUMNS]
    shares = [(c.chain, c.photos, *(f"{c.tags[tag] / c.photos:.0%}" for tag in shown)) for c in chains]
    console.print_rows(("chain", "photos", *shown), shares)


@tags.command("show")
def show_photo_tags(
    photo: options.PhotoArgument,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Show one photo's tags, likeliest first, with what people said of it.

    Examples:
        aliens tag show 7
        aliens tag show 7 --json
    """
    with opened(library, model=model) as photos:
        found = photos.tags_of(photo, vocabulary)
    print_notes(found.notes, library)
    if json:
        where = {"photo_id": found.photo_id, "path": found.path, "member": found.member}
        print_records([where | {"columns": found.details, "tags": found.to_dicts()}])
        return
    words = {None: None, True: "yes, by hand", False: "no, by hand"}
    rows = [
        (
            tag.tag,
            figure(tag.probability),
            figure(tag.cosine),
            ("sure" if tag.sure else "likely") if tag.has else None,
            words[tag.by_hand],
            decided_by(tag.labels),
        )
        for tag in found
    ]
    console.note((f"photo {found.photo_id}: ", FilePath(str(PhotoFile(found.path, found.member)), found.path)))
    for name, value in found.details.items():
        console.note(f"{name}: {value}")
    console.print_rows(("tag", "probability", "cosine", "has it", "people say", "remark"), rows)


def decided_by(labels: int) -> str | None:
    """Return what decides a tag besides the model, or None where no label taught anything."""
    return f"decided by {console.counted(labels, 'label')}" if labels else None


@tags.command("sheet")
def draw_sheet(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="TAG", autocompletion=completing("tags"), help="Such as a bathtub, bathtub, or hotel/bathtub."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.jpg", help="The picture to write.")],
    vocabulary: VocabularyOption = None,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Make a picture of a tag: its surest photos, the doubtful ones and the least likely.

    Examples:
        aliens tag sheet bathtub -o bathtub.jpg
        aliens tag sheet case-study/pool -o pool.jpg
    """
    with opened(library, model=model) as photos:
        print_notes(photos.tag_sheet(" ".join(words), output, vocabulary=vocabulary), library)
    console.note(("contact sheet: ", FilePath(str(output))))


@tags.command()
def report(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.png", help="The .png, .svg or .pdf to write.")],
    truth: Annotated[
        Path | None, typer.Option(help="A file with true tags: adds how often the tags are right.")
    ] = None,
    vocabulary: VocabularyOption = None,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Plot how sure the tags are; where people said what is true, how often they are right.

    Examples:
        aliens tag report -o report.png
        aliens tag report -v hotel -o report.pdf
    """
    with opened(library, model=model) as photos:
        print_notes(photos.tag_report(output, truth=truth, vocabulary=vocabulary), library)
    console.note(("report: ", FilePath(str(output))))


PhotosAndTag = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTO ... TAG",
        autocompletion=completing("tags"),
        help="Photos, by number or path, then the tag; the tag alone beside --from or --query.",
        show_default=False,
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FILE|-", help="Photos that a file lists, one a line, or what a search prints; - is stdin."
    ),
]
QueryOption = Annotated[str | None, typer.Option("--query", "-q", metavar="TEXT", help="The best photos of a search.")]
CountOption = Annotated[int, typer.Option("-n", "-k", metavar="N", min=1, help="How many photos, with --query.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="With --query: do not ask.")]


@tags.command("set")
def set_tag(
    photos_and_tag: PhotosAndTag,
    listed: FromOption = None,
    query: QueryOption = None,
    n: CountOption = 10,
    yes: YesOption = False,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Say that photos have a tag, whatever the model thinks: all of them, or none where one is unknown.

    Examples:
        aliens tag set 7 pool
        aliens tag set 7 9 photos/room.jpg "a table"
        aliens tag set --query "a pool" -n 5 "a pool" --yes
    """
    meant = MeantPhotos(photos_and_tag, listed, query, n, yes)
    keep_labels(library, vocabulary, meant, present=True, json=json)


@tags.command("unset")
def unset_tag(
    photos_and_tag: PhotosAndTag,
    forget: Annotated[bool, typer.Option("--forget", help="Say nothing any more: leave it to the model.")] = False,
    listed: FromOption = None,
    query: QueryOption = None,
    n: CountOption = 10,
    yes: YesOption = False,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Say that photos do not have a tag, or take back what was said of it.

    Examples:
        aliens tag unset 7 pool
        aliens tag unset 7 pool --forget
    """
    meant = MeantPhotos(photos_and_tag, listed, query, n, yes)
    keep_labels(library, vocabulary, meant, present=None if forget else False, json=json)


@tags.command("new")
def write_vocabulary(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A new .toml or .txt file. Default: print it.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="A text with a tag a line, in place of TOML.")] = False,
) -> None:
    """Begin a vocabulary of your own: a small one that works, with every part explained.

    Examples:
        aliens tag new
        aliens tag new words.toml
    """
    from aliens.library import Library

    content = Library.new_vocabulary(path, plain=plain)
    if path is None:
        console.say(*content.splitlines())
    else:
        tag_with_it = f"aliens tag --vocabulary {console.shell_word(path)}"
        console.say(f"{path}: a vocabulary to begin with; change it, then run `{tag_with_it}`")


class MeantPhotos:
    """The photos that a label is set for, in one of three ways, and the tag."""

    def __init__(self, words: Sequence[str], listed: str | None, query: str | None, n: int, yes: bool) -> None:
        """Raises: QueryError: none of the ways is given, or several are."""
        *self.named, self.tag = words
        self.listed, self.query, self.n, self.yes = listed, query, n, yes
        if sum((bool(self.named), listed is not None, query is not None)) != 1:
            raise QueryError(
                f"say which photos {self.tag!r} is about: PHOTO ... before it, --from FILE or --query TEXT, one of them"
            )

    def ids(self, photos: "Library") -> list[int]:
        """Return the photos' numbers. Raises: QueryError: one is unknown, or there is none."""
        if self.query is None:
            return photos.photo_ids(self.named if self.listed is None else names_in(self.listed))
        hits = photos.search(self.query, k=self.n)
        if not hits:
            raise QueryError(f"no photo is left for {self.query!r}: loosen its filters")
        print_notes(filter(None, [hits.note]), photos.path)
        return [hit.photo_id for hit in hits]


def keep_labels(library: Path, vocabulary: str | None, meant: MeantPhotos, *, present: bool | None, json: bool) -> None:
    """Keep what a person says of photos, and print it; of those that a search found, ask first."""
    with opened(library) as photos:
        ids = meant.ids(photos)
        if meant.query is not None and not meant.yes:
            said = said_of(ids, meant.tag, present)
            confirm(console.one_line(f"{said}: the best of {meant.query!r}. Keep that?"), "nothing was changed")
        name = photos.label(ids, meant.tag, present, vocabulary=vocabulary)
    if json:
        print_records([{"tag": name, "present": present, "photo_ids": ids}])
    else:
        console.say(said_of(ids, name, present))


def said_of(ids: Sequence[int], tag: str, present: bool | None) -> str:
    """Return what is said of photos in words: photo 3 has 'a pool'; 12 photos have 'a pool'."""
    if len(ids) == 1:
        words = {True: "has", False: "does not have", None: "is left to the model for"}
        return f"photo {ids[0]} {words[present]} {tag!r}"
    words = {True: "have", False: "do not have", None: "are left to the model for"}
    return f"{len(ids)} photos {words[present]} {tag!r}"


old_tags = typer.Typer(invoke_without_command=True)  # `aliens tags`, which counts
old_tags.callback()(count_tags)
old_tags.registered_commands = tags.registered_commands


def figure(value: float) -> str:
    """Return a share with three digits, empty where there is none."""
    return "" if value != value else f"{value:.3f}"
