"""`aliens caption` gives photos captions, `aliens caption find` finds photos by them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from base.console import FilePath
from commands import options
from commands.hit_tables import HitFiles
from commands.options import LIBRARY, completing, copying, opened, print_notes, print_records, stopping

if TYPE_CHECKING:
    from db.caption_rows import CaptionedPhoto, SetCount

caption_group = typer.Typer(invoke_without_command=True)


@caption_group.callback()
def caption(
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Choose from this file's lines, by the library's own model."),
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Have a model write the captions.")] = False,
    k: Annotated[
        int | None, typer.Option("-k", metavar="N", help="How many lines a photo gets, with --from (default: 1).")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="With --from: another of the library's models than the one in use. With --generate: what writes. A "
            "CoCa of open_clip (default: coca_ViT-B-32), local-dir:FOLDER, hf-hub:ORG/NAME, or blip:ORG/NAME or "
            "blip:FOLDER.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="With --generate: at most so many photos.")] = None,
    library: options.LibraryOption = LIBRARY,
    device: options.DeviceOption = "auto",
) -> None:
    """Give photos captions; find photos by them.

    By itself it gives every photo that has none the best of a file's lines, or has a model write them.

    May be stopped at any time; the same command goes on where it stopped.

    Examples:
        aliens caption --from aliens/samples/captions.txt
        aliens caption find bathtub
        aliens caption --generate --limit 100
    """
    kept = "stopped: the captions so far are kept; the same command goes on from here"
    chosen_by, written_by = (None, model) if generate or source is None else (model, None)
    with stopping(kept), opened(library, device, aloud=True, model=chosen_by) as photos:
        report = photos.caption(source, k=k, generate=generate, model=written_by, limit=limit)
    console.say(report)
    print_notes(report.notes, library)


@caption_group.command("find")
def captions_with(
    words: Annotated[list[str], typer.Argument(metavar="WORD", help="What the captions say.")],
    k: options.KOption = 20,
    to: options.ToOption = None,
    link: options.LinkOption = False,
    open_them: options.OpenOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Find the photos whose captions have all these words.

    Examples:
        aliens caption find bathtub
        aliens caption find white bed -k 50
    """
    files = HitFiles(to=to, link=link, open=open_them)
    with copying(to), opened(library) as photos:
        found = photos.captions(words, k=k)
        print_found(found, json=json)
        files.take(found)


@caption_group.command("list")
def list_captions(json: options.JsonOption = False, library: options.LibraryOption = LIBRARY) -> None:
    """List the sets of captions: where they come from, and how many photos they are of.

    Examples:
        aliens caption list
    """
    with opened(library) as photos:
        print_sets(photos.caption_sets(), json, library)


@caption_group.command("remove")
def remove_captions(
    captions: Annotated[
        str,
        typer.Argument(
            metavar="SET", autocompletion=completing("captions"), help="The set, as `aliens caption list` names it."
        ),
    ],
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Remove a set of captions.

    Examples:
        aliens caption remove SET
    """
    with opened(library) as photos:
        photos.forget_captions(captions)
    console.note(f"removed {captions}")


def captions(
    words: Annotated[list[str] | None, typer.Argument(metavar="WORD")] = None,
    k: options.KOption = 20,
    remove: Annotated[str | None, typer.Option(metavar="SET")] = None,
    to: options.ToOption = None,
    link: options.LinkOption = False,
    open_them: options.OpenOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Do what `aliens caption find`, `list` and `remove` do, by the name that was theirs."""
    if remove is not None and words:
        raise typer.BadParameter("--remove goes without words")
    if remove is not None:
        remove_captions(remove, library)
    elif words:
        captions_with(words, k, to, link, open_them, json, library)
    else:
        list_captions(json, library)


def print_sets(sets: "Sequence[SetCount]", json: bool, library: Path) -> None:
    """Print the sets of captions."""
    if json:
        print_records(sets)
    elif sets:
        rows = [(s.key, s.kind, s.photos, s.captions, s.source) for s in sets]
        console.print_rows(("set", "kind", "photos", "captions", "source"), rows)
    if not sets:
        print_notes(["no captions yet: give the photos some with `aliens caption --from FILE`"], library)


def print_found(found: "Sequence[CaptionedPhoto]", json: bool) -> None:
    """Print photos with their captions as a table, as tab-separated lines or as JSON."""
    if json:
        print_records(found)
    elif console.on_terminal():
        scores = [None if hit.score is None else f"{hit.score:.3f}" for hit in found]
        rows = [
            (hit.photo_id, score, hit.text, FilePath(str(hit.file), hit.path))
            for hit, score in zip(found, scores, strict=True)
        ]
        console.print_rows(("photo", "score", "caption", "path"), rows)
    else:
        console.print_rows(("photo", "path", "caption"), [(hit.photo_id, hit.file, hit.text) for hit in found])
    if not found:
        console.note("no photo's captions have all these words")
