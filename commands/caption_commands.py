"""`aliens caption` gives photos captions, `aliens captions` finds photos by them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from base.settings import LibraryFolder
from commands.models import load_encoder
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption

if TYPE_CHECKING:
    from db.caption_rows import CaptionedPhoto
    from embedding.captioner import Captioner
    from search.captions import CaptionReport


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
            help="With --generate: ARCHITECTURE/WEIGHTS of a CoCa of open_clip (default: "
            "coca_ViT-B-32/mscoco_finetuned_laion2b_s13b_b90k), local-dir:FOLDER, hf-hub:ORG/NAME, "
            "or blip:ORG/NAME or blip:FOLDER.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="With --generate: at most so many photos.")] = None,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Give every photo that has none its captions: the best of a file's lines, or written by a model.

    May be stopped at any time; the same command goes on where it stopped.
    """
    if (source is None) != generate:
        raise typer.BadParameter("give either --from FILE or --generate")
    if generate and k is not None:
        raise typer.BadParameter("-k goes with --from: a model writes one caption a photo")
    if source is not None and (model is not None or limit is not None):
        raise typer.BadParameter("--model and --limit go with --generate")
    folder = LibraryFolder(library)
    try:
        if source is not None:
            report = choose_lines(folder, source, 1 if k is None else k, device)
        else:
            report = write_captions(folder, model, limit, device)
    except KeyboardInterrupt:
        console.note("stopped: the captions so far are kept; the same command goes on from here")
        raise typer.Exit(130) from None
    print_report(report)


def choose_lines(folder: LibraryFolder, source: Path, k: int, device: str) -> "CaptionReport":
    """Give photos the best of a file's lines, with progress on stderr."""
    from search.captions import choose_captions, read_captions

    lines = read_captions(source)  # before a model is loaded, which takes seconds
    with console.ProgressBars() as bars:
        return choose_captions(
            folder,
            lines,
            source=str(source.absolute()),
            load_encoder=lambda model: load_encoder(model.name, device, "float32", key=model.key),
            k=k,
            progress=lambda done, total: bars.update("captions", done, total),
        )


def write_captions(folder: LibraryFolder, model: str | None, limit: int | None, device: str) -> "CaptionReport":
    """Have a model write captions, with progress on stderr."""
    from search.captions import generate_captions

    with console.ProgressBars() as bars:
        return generate_captions(
            folder,
            lambda: load_captioner(model, device),
            limit=limit,
            progress=lambda done, total: bars.update("captions", done, total),
        )


def load_captioner(model: str | None, device: str) -> "Captioner":
    """Load a captioner and announce what it runs on."""
    from embedding.captioner import DEFAULT_CAPTIONER, Captioner

    console.note(f"loading {model or DEFAULT_CAPTIONER} ...")
    captioner = Captioner.load(model or DEFAULT_CAPTIONER, device=device)
    console.note(str(captioner))
    return captioner


def print_report(report: "CaptionReport") -> None:
    """Say what captioning did; the counts go to stdout, reasons to stderr."""
    typer.echo(
        f"{report.set_key}: {console.counted(report.captioned, 'photo')} captioned, "
        f"{report.known} had captions, {report.failed} cannot be read"
    )
    for photo in report.examples:
        console.note(f"{photo.file}: {photo.reason}")
    if report.failed > len(report.examples):
        console.note(f"... and {console.counted(report.failed - len(report.examples), 'photo')} more")


def captions(
    words: Annotated[list[str] | None, typer.Argument(help="What the captions say; none: list the sets.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many photos.")] = 20,
    remove: Annotated[str | None, typer.Option(metavar="SET", help="Remove a set of captions, by its key.")] = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Find the photos whose captions have all these words; without words, list the sets of captions."""
    from search.captions import find_captions, forget_set, list_sets

    folder = LibraryFolder(library)
    if remove is not None:
        if words:
            raise typer.BadParameter("--remove goes without words")
        forget_set(folder, remove)
        console.note(f"removed {remove}")
        return
    if words:
        print_found(find_captions(folder, words, k), json=json)
        return
    sets = list_sets(folder)
    for caption_set in sets:
        if json:
            console.print_json(asdict(caption_set))
    if sets and not json:
        rows = [(s.key, s.kind, s.photos, s.captions, s.source) for s in sets]
        console.print_rows(("set", "kind", "photos", "captions", "source"), rows)
    if not sets:
        console.note("no captions yet: give the photos some with `aliens caption --from FILE`")


def print_found(found: "list[CaptionedPhoto]", json: bool) -> None:
    """Print photos with their captions as a table, as tab-separated lines or as JSON."""
    if json:
        for hit in found:
            console.print_json(asdict(hit))
    elif console.on_terminal():
        scores = [None if hit.score is None else f"{hit.score:.3f}" for hit in found]
        rows = [(hit.photo_id, score, hit.text, hit.file) for hit, score in zip(found, scores, strict=True)]
        console.print_rows(("photo", "score", "caption", "path"), rows)
    else:
        console.print_rows(("photo", "path", "caption"), [(hit.photo_id, hit.file, hit.text) for hit in found])
    if not found:
        console.note("no photo's captions have all these words")
