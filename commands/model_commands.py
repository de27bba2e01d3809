"""`aliens models`, `aliens embed` and `aliens use`: models to choose from, and several of them in one library."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from base.errors import QueryError
from commands import options
from commands.options import LIBRARY, completing, confirm, opened, print_notes, print_records, print_report, stopping

if TYPE_CHECKING:
    from analysis.model_estimates import ListedModel
    from indexer.inventory import ModelStanding

KEPT = "stopped: vectors that were recorded are kept, the same command goes on from here"
COLUMNS = ("model", "", "dim", "px", "params", "photos/s", "all", "vectors", "ImageNet", "COCO")
SPARE = ("px", "dim", "params", "vectors", "COCO", "photos/s")  # on a narrow terminal; the name matters more
COLUMNS_HERE = ("model", "", "dim", "photos", "without", "vectors", "tagged with", "key")


def embed_photos(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=completing("models", known=("starter", "ViT-B-32/openai")),
            help="ARCHITECTURE/WEIGHTS of open_clip, starter, local-dir:FOLDER or hf-hub:ORG/NAME. With --precision "
            "int8, by default the model in use.",
        ),
    ] = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Make another model's vectors of all photos; searches go on by the one in use.

    May be stopped at any time; the same command goes on where it stopped. `aliens use` changes to it then.

    With --precision int8 a model is calibrated on photos of the library, as one of its own: quicker on processors.

    Examples:
        aliens embed --model ViT-B-16/openai
        aliens embed --model starter
        aliens embed --precision int8
    """
    with stopping(KEPT), opened(library, device, precision, backend, aloud=True) as photos:
        report = photos.embed(model)
    print_report(report, library, json=json)
    if report.interrupted:
        raise typer.Exit(130)


def use_model_of_library(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=completing("models"),
            help="One that `aliens embed` made vectors of: its name, its key, or the beginning of either.",
        ),
    ],
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Search, tag and add by another of the library's models from now on.

    Takes no time: its vectors are there. The one before stays, and `aliens use` changes back to it.

    Examples:
        aliens use ViT-B-16
        aliens use starter
    """
    with opened(library) as photos:
        report = photos.use(model)
    if json:
        print_records([report])
        return
    console.say(report)
    print_notes(report.anew, library)


def models(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", help="Only models with these in their names.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of open_clip, not a choice of them.")] = False,
    here: Annotated[bool, typer.Option("--here", help="Only the library's own, with what there is of them.")] = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
) -> None:
    """List models to choose from: what they would cost here, and what is published of them.

    Photos/s are estimated for this device and the library's photos; how often models are right is what open_clip
    publishes. Nothing is downloaded.

    Examples:
        aliens models
        aliens models siglip
        aliens models --here
    """
    from base.settings import LibraryFolder
    from db.catalog import is_library

    if here and (words or every):
        raise QueryError("--here lists the library's own models: leave out words and --all")
    if here or is_library(LibraryFolder(library)):
        with opened(library, device, precision) as photos:
            if here:
                print_standings(photos.models(), json)
                return
            found = list(photos.known_models(words or (), every=every))
    else:
        from analysis.model_estimates import listed_models

        found = listed_models(None, words or (), every=every, device=device, precision=precision)
    if json:
        print_records(found)
        return
    console.print_rows(COLUMNS, [model_row(each) for each in found], spare=SPARE)
    print_legend(library, is_whole=bool(words or every))


def print_standings(found: "Sequence[ModelStanding]", json: bool) -> None:
    """Print what there is of a library's models."""
    if json:
        print_records(found)
        return
    console.print_rows(
        COLUMNS_HERE,
        [
            (
                each.name,
                "in use" if each.in_use else None,
                each.dim,
                each.photos,
                each.lacking or None,
                console.size_in_words(each.vectors_bytes),
                ", ".join(each.vocabularies) or None,
                each.key,
            )
            for each in found
        ],
    )
    for each in found:
        if each.drift is not None:
            console.note(f"{each.name}: {each.drift}")


def model_row(each: "ListedModel") -> tuple[object, ...]:
    """Return a model to choose from as cells."""
    known = each.known
    millions = [part for part in (known.image_million, known.text_million) if part is not None]
    return (
        known.name,
        each.standing or None,
        known.dim,
        known.size_px,
        f"{sum(millions):.0f} M" if millions else None,
        None if each.photos_per_s is None else rate_of(each.photos_per_s),
        None if each.hours is None else span(each.hours),
        None if each.vectors_gb is None else console.size_in_words(round(each.vectors_gb * 1e9)),
        in_percent(known.imagenet_1k),
        in_percent(known.coco_image_r5),
    )


def span(hours: float) -> str:
    """Return a time in the unit that suits it."""
    if hours * 60 < 2:
        return f"{hours * 3600:.0f} s"
    if hours < 2:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def rate_of(photos_per_s: float) -> str:
    """Return photos a second with as many digits as an estimate is worth."""
    return f"{photos_per_s:,.0f}" if photos_per_s >= 10 else f"{photos_per_s:.2g}"


def in_percent(value: float | None) -> str | None:
    """Return a share of 1 in percent."""
    return None if value is None else f"{100 * value:.1f} %"


def print_legend(library: Path, *, is_whole: bool) -> None:
    """Say on stderr what the figures are."""
    notes = [
        "photos/s, and the time for all of the library's photos, are estimated: see docs/models.md",
        "ImageNet: how often the right one of 1,000 things is named; COCO: how often a description's photo is among "
        "the 5 best; by open_clip's docs/openclip_results.csv and openclip_retrieval_results.csv",
    ]
    notes.append(
        "`aliens init --model NAME` begins a library with one, `aliens embed --model NAME` adds one to a library"
    )
    if not is_whole:
        notes.append(
            "this is a choice: `aliens models WORD` finds others by name, `aliens models --all` lists them all"
        )
    print_notes(notes, library)


def forget_one_model(model: str, library: Path, *, dry_run: bool, yes: bool, json: bool) -> None:
    """Have a library forget a model that is not in use, after asking."""
    with opened(library) as photos:
        meant = photos.forget_model(model, dry_run=True)
        if not dry_run:
            if not yes:
                confirm(console.one_line(f"forget {meant}? The photos stay."), "nothing was forgotten")
            meant = photos.forget_model(meant.key)
    if json:
        print_records([asdict(meant) | {"dry_run": dry_run}])
        return
    console.say(f"{'would forget' if dry_run else 'forgot'} {meant}")
