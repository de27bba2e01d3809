"""`aliens export tags`, `aliens export captions` and `aliens import tags`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.errors import QueryError
from base.settings import LibraryFolder
from commands.models import open_for_search
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption, stopping
from commands.tag_commands import VocabularyOption, opened

if TYPE_CHECKING:
    from search.export.exporter import Format

exports = typer.Typer(help="Write tags or captions to files.", no_args_is_help=True)
imports = typer.Typer(help="Read tags back.", no_args_is_help=True)


@exports.callback()
def export_group() -> None:
    """Write tags or captions to files."""


@imports.callback()
def import_group() -> None:
    """Read tags back."""


@exports.command("tags")
def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="The file or folder to write.")],
    file_format: Annotated[
        Literal["csv", "jsonl", "parquet", "coco", "imagefolder"] | None,
        typer.Option("--format", help="By default by OUT's ending: .csv, .jsonl, .parquet, .json (COCO)."),
    ] = None,
    query: Annotated[str | None, typer.Option(help="Only the -k best photos for this text, best first.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="With --query: how many photos. Default: 100.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only photos with this tag; may be given several times.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help='With commas between them, such as "photo_id, path, tags, probabilities, cosines, caption".'),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="imagefolder: link to the photos instead of copying.")] = False,
    vocabulary: VocabularyOption = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Export tags with their probabilities, and a manifest: model, vocabulary, thresholds, counts, checksum.

    Streamed; a file appears under its name only when it is complete.
    """
    from search.export.exporter import ENDINGS, export_tags
    from search.export.tables import Selection

    chosen: Format | None = file_format or ENDINGS.get(output.suffix.lower())
    if chosen is None:
        raise QueryError(
            f"{output.name!r} does not say in what format: end it in {', '.join(ENDINGS)}, or give --format"
        )
    if link and chosen != "imagefolder":
        raise QueryError("--link is for imagefolders: add --format imagefolder, or leave it out")
    if k is not None and query is None:
        raise QueryError("-k is for queries: add --query TEXT, or leave it out")
    names = [name for name in map(str.strip, (columns or "").split(",")) if name]
    if columns is not None and not names:
        raise QueryError("--columns names no column: leave it out for the usual ones")
    hits = None
    if query is not None:
        with open_for_search(library, device) as searching:
            hits = {hit.photo_id: hit.score for hit in searching.search(query, k=100 if k is None else k)}
    stopped = f"stopped: nothing is under {output} that was not there; an imagefolder goes on from {output}.partial"
    with stopping(stopped), opened(library, vocabulary) as (session, tagging), console.ProgressBars() as bars:
        manifest = export_tags(
            session,
            tagging,
            output,
            chosen,
            columns=names,
            selection=Selection(tags=tuple(tag or ()), hits=hits),
            query=query,
            link=link,
            progress=lambda photos: bars.update("exporting", photos),
        )
    if json:
        console.print_json(asdict(manifest))
        return
    if manifest.left_out:
        console.note(f"left out {console.counted(len(manifest.left_out), 'photo')} whose files cannot be read")
    photos, size = console.counted(manifest.photos, "photo"), console.megabytes(manifest.size_bytes)
    typer.echo(f"{output}: {photos}, {size}, {manifest.vocabulary}")


@exports.command("captions")
def export_captions_command(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help=".csv, .jsonl or .parquet.")],
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Export all captions, one a row: photo, set, rank, score, words."""
    from db.catalog import disposing, new_session, open_library
    from search.captions import CaptionFormat, export_captions

    endings: dict[str, CaptionFormat] = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
    file_format = endings.get(output.suffix.lower())
    if file_format is None:
        raise QueryError(f"{output.name!r} does not say in what format: end it in {', '.join(endings)}")
    folder = LibraryFolder(library)
    with (
        stopping(f"stopped: nothing is under {output} that was not there"),
        disposing(open_library(folder)) as engine,
        new_session(engine) as session,
        console.ProgressBars() as bars,
    ):
        manifest = export_captions(
            session, output, file_format, progress=lambda rows: bars.update("exporting", rows, unit="captions")
        )
    if json:
        console.print_json(asdict(manifest))
        return
    typer.echo(f"{output}: {console.counted(manifest.captions, 'caption')}, {console.megabytes(manifest.size_bytes)}")


@imports.command("tags")
def import_file(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `aliens export tags` wrote, edited or not.")],
    labels_only: Annotated[
        bool, typer.Option("--labels-only", help="Only the columns set_by_hand and unset_by_hand.")
    ] = False,
    vocabulary: VocabularyOption = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Read tags back: what was edited in an export becomes a label, as by `aliens tags set` and `unset`."""
    from search.tags.labels import import_tags

    with stopping("stopped: no label was changed"), console.ProgressBars() as bars:
        report = import_tags(
            LibraryFolder(library),
            path,
            vocabulary=vocabulary,
            labels_only=labels_only,
            progress=lambda rows: bars.update("reading", rows, unit="rows"),
        )
    if json:
        console.print_json(asdict(report))
        return
    typer.echo(f"{path}: {report.rows} rows, {report.set} tags set, {report.unset} unset")
    if not report.compared and not labels_only:
        console.note("no manifest of an export lies beside it: tags that it does not list were not unset")
    if report.without_vector:
        console.note(f"left out {console.counted(report.without_vector, 'row')} whose photo cannot be found now")
    if report.unknown_photos:
        console.note(f"left out {console.counted(report.unknown_photos, 'row')} whose photo the library does not know")
    if report.unknown_tags:
        console.note(f"left out {console.counted(report.unknown_tags, 'tag')} that the vocabulary does not have")
