"""`aliens export ...` and `aliens import ...`, of tags, captions and vectors."""

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


@exports.command("vectors")
def export_vectors_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="A folder to write, or a file: .parquet, .npy.")
    ],
    layout: Annotated[
        Literal["clip-retrieval", "parquet", "npy"] | None,
        typer.Option("--layout", help="By default by OUT's ending: a folder is laid out as clip-retrieval's."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            metavar="TEXT",
            help="Only the -n best photos for this text, copies as well; of filters alone: all they leave.",
        ),
    ] = None,
    k: options.QueryCountOption = None,
    tag: options.OnlyTagsOption = None,
    columns: Annotated[
        str | None,
        typer.Option(help='Besides path and number, with commas between them, such as "hotel_name, date, caption".'),
    ] = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
) -> None:
    """Write the photos' vectors with their paths, for other programs.

    A folder holds img_emb/*.npy and metadata/*.parquet, which clip-retrieval indexes and serves. A .parquet file
    has a column of vectors, a .npy file a .csv beside it. A manifest says which model made them.

    Examples:
        aliens export vectors -o vectors
        aliens export vectors -o vectors.parquet
        aliens export vectors -o views.npy --query "a view" -k 50
    """
    names = [name for name in map(str.strip, (columns or "").split(",")) if name]
    kept = f"stopped: nothing is under {output} that was not there"
    with stopping(kept), opened(library, device, model=model) as photos:
        manifest = photos.export_vectors(output, layout=layout, query=query, k=k, tags=tag or (), columns=names)
    print_filed(output, manifest, library, json=json)


@imports.command("vectors")
def import_vectors_command(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder of clip-retrieval's, Parquet, or a .npy file.")
    ],
    ids: Annotated[
        Path | None,
        typer.Option(
            "--ids", metavar="FILE", help="Of a .npy file: the paths of its rows, by default in the file of its name."
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", metavar="FOLDER", help="Where relative paths begin, by default beside the vectors."),
    ] = None,
    path_column: Annotated[
        str | None, typer.Option("--path-column", metavar="NAME", help="The column of paths: image_path, path, ...")
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME", help="Of Parquet: the column of vectors.")
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Make vectors of length 1 that are not, instead of refusing them.")
    ] = False,
    made_by: Annotated[
        str | None,
        typer.Option(
            "--made-by",
            metavar="MODEL",
            help="The model that made them, where neither a manifest nor photos at their paths tell.",
        ),
    ] = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Take vectors that were made elsewhere, with their photos: nothing is embedded.

    The photos can be searched and tagged at once. Photos whose files lie at their paths are read by the next
    `aliens add` of their folder; the others can be found, but not shown.

    What is wrong is refused before anything is changed, above all vectors of another model than the library's.

    Examples:
        aliens import vectors embeddings
        aliens import vectors embeddings.parquet --photos photos
        aliens import vectors vectors.npy --ids paths.txt
    """
    kept = "stopped: nothing was changed, or whole segments are kept; the same command goes on from there"
    with stopping(kept), opened(library, device, precision, backend, aloud=True) as opened_library:
        report = opened_library.import_vectors(
            path,
            ids=ids,
            photos=photos,
            path_column=path_column,
            column=column,
            normalize=normalize,
            made_by=made_by,
        )
    print_filed(path, report, library, json=json, notes=report.notes)
