"""`aliens caption` gives photos captions, `aliens captions` finds photos by them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from base.console import FilePath
from commands.hit_tables import HitFiles
from commands.options import (
    LIBRARY,
    DeviceOption,
    JsonOption,
    LibraryOption,
    LinkOption,
    OpenOption,
    ToOption,
    copying,
    opened,
    print_notes,
    stopping,
)

if TYPE_CHECKING:
    from db.caption_rows import CaptionedPhoto, SetCount


def caption(
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Choose from this file's lines, by the library's own model."),
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Have a model write the captions.")] = False,
    k: Annotated[int | None, typer.Option("-k", help="How many lines a photo gets, with --from (default: 1).")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="With --generate: ARCHITECTURE/WEIGHTS of a CoCa of open_clip (default: coca_ViT-B-32, taught on "
            "MSCOCO), local-dir:FOLDER, hf-hub:ORG/NAME, or blip:ORG/NAME or blip:FOLDER.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="With --generate: at most so many photos.")] = None,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Give every photo that has none its captions: the best of a file's lines, or written by a model.

    May be stopped at any time; the same command goes on where it stopped.
    """
    kept = "stopped: the captions so far are kept; the same command goes on from here"
    with stopping(kept), opened(library, device, aloud=True) as photos:
        report = photos.caption(source, k=k, generate=generate, model=model, limit=limit)
    console.say(report)
    print_notes(report.notes, library)


def captions(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", help="What the captions say; none: list the sets.")
    ] = None,
    k: Annotated[int, typer.Option("-n", "-k", metavar="N", help="How many photos.")] = 20,
    remove: Annotated[str | None, typer.Option(metavar="SET", help="Remove a set of captions, by its key.")] = None,
    to: ToOption = None,
    link: LinkOption = False,
    open_them: OpenOption = False,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Find the photos whose captions have all these words; without words, list the sets of captions."""
    if remove is not None and words:
        raise typer.BadParameter("--remove goes without words")
    files = HitFiles(to=to, link=link, open=open_them)
    with copying(to), opened(library) as photos:
        if remove is not None:
            photos.forget_captions(remove)
            console.note(f"removed {remove}")
        elif words:
            found = photos.captions(words, k=k)
            print_found(found, json=json)
            files.take(found)
        else:
            print_sets(photos.caption_sets(), json, library)


def print_sets(sets: "Sequence[SetCount]", json: bool, library: Path) -> None:
    """Print the sets of captions."""
    if json:
        for caption_set in sets:
            console.print_json(asdict(caption_set))
    elif sets:
        rows = [(s.key, s.kind, s.photos, s.captions, s.source) for s in sets]
        console.print_rows(("set", "kind", "photos", "captions", "source"), rows)
    if not sets:
        print_notes(["no captions yet: give the photos some with `aliens caption --from FILE`"], library)


def print_found(found: "Sequence[CaptionedPhoto]", json: bool) -> None:
    """Print photos with their captions as a table, as tab-separated lines or as JSON."""
    if json:
        for hit in found:
            console.print_json(asdict(hit))
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
