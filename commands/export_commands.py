"""`aliens export tags`, `aliens export captions` and `aliens import tags`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from base.errors import QueryError
from commands import options
from commands.options import LIBRARY, opened, print_filed, stopping
from commands.tag_commands import VocabularyOption

exports = typer.Typer(no_args_is_help=True)
imports = typer.Typer(no_args_is_help=True)


@exports.callback()
def export_group() -> None:
    """Write tags, captions or hotels to files, such as for Excel; or vectors, for other programs.

    Examples:
        aliens export tags -o tags.xlsx
        aliens export hotels -o hotels.xlsx
        aliens export vectors -o vectors.parquet
    """


@imports.callback()
def import_group() -> None:
    """Read tags back that were edited in an exported file, or take vectors that were made elsewhere.

    Examples:
        aliens import tags tags.xlsx
        aliens import vectors embeddings
    """


@exports.command("tags")
def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="The file or folder to write.")],
    file_format: Annotated[
        Literal["csv", "tsv", "xlsx", "jsonl", "parquet", "coco", "imagefolder"] | None,
        typer.Option("--format", help="By default by OUT's ending: .csv, .tsv, .xlsx, .jsonl, .parquet, .json (COCO)."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            metavar="TEXT",
            help="Only the -n best photos for this text, best first, copies as well; of filters alone: all they leave.",
        ),
    ] = None,
    k: options.QueryCountOption = None,
    tag: options.OnlyTagsOption = None,
    columns: Annotated[
        str | None,
        typer.Option(help='With commas between them, such as "photo_id, path, tags, probabilities, cosines, caption".'),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="imagefolder: link to the photos instead of copying.")] = False,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Write tags and how sure they are, and beside them a manifest: how and of what they were made.

    A file appears under its name only when it is complete.

    Examples:
        aliens export tags -o tags.xlsx
        aliens export tags -o pools.csv --tag pool
        aliens export tags -o views.csv --query "a view" -k 50
    """
    names = [name for name in map(str.strip, (columns or "").split(",")) if name]
    if columns is not None and not names:
        raise QueryError("--columns names no column: leave it out for the usual ones")
    kept = f"stopped: nothing is under {output} that was not there; an imagefolder goes on from {output}.partial"
    with stopping(kept), opened(library, device, model=model) as photos:
        manifest = photos.export(
            output,
            format=file_format,
            query=query,
            k=k,
            tags=tag or (),
            columns=names,
            link=link,
            vocabulary=vocabulary,
        )
    print_filed(output, manifest, library, json=json, notes=manifest.notes)


@exports.command("captions")
def export_captions_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help=".csv, .tsv, .xlsx, .jsonl or .parquet.")
    ],
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Write all captions, one a row: photo, set, rank, score, words.

    Examples:
        aliens export captions -o captions.csv
    """
    with stopping(f"stopped: nothing is under {output} that was not there"), opened(library) as photos:
        manifest = photos.export_captions(output)
    print_filed(output, manifest, library, json=json)


@imports.command("tags")
def import_file(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `aliens export tags` wrote, edited or not.")],
    labels_only: Annotated[
        bool, typer.Option("--labels-only", help="Only the columns set_by_hand and unset_by_hand.")
    ] = False,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
) -> None:
    """Read tags back: what was edited in an export counts as if set by `aliens tag set` and `unset`.

    Examples:
        aliens import tags tags.xlsx
        aliens import tags tags.csv --labels-only
    """
    with stopping("stopped: no label was changed"), opened(library) as photos:
        report = photos.import_tags(path, labels_only=labels_only, vocabulary=vocabulary)
    print_filed(path, report, library, json=json, notes=report.notes)
