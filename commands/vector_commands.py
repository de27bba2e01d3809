"""`aliens export vectors` and `aliens import vectors`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands import options
from commands.options import LIBRARY, opened, print_filed, stopping


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
