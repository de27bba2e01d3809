"""`aliens compare`: what another model would gain a library, and what it would cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from commands import options
from commands.evaluation_commands import SCALE, CutoffsOption, TruthOption, print_means, shown_value
from commands.model_commands import span
from commands.options import LIBRARY, ids_of, opened, print_notes, print_records, stopping

if TYPE_CHECKING:
    from analysis.compared.model_comparison import ModelComparison, ModelCost

COSTS = (
    "model",
    "dimensions",
    "parameters",
    "px",
    "photos/s",
    "embedding all photos",
    "vectors on disk",
    "a query's text",
)
KEPT = "stopped: photos that were embedded are kept, the same command goes on from here"


def compare_others(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="ARCHITECTURE/WEIGHTS of open_clip, local-dir:FOLDER, hf-hub:ORG/NAME, or starter.",
        ),
    ],
    queries: Annotated[
        Path, typer.Option(metavar="FILE", help="Queries and what answers them, as for `aliens eval search`.")
    ],
    truth: TruthOption = None,
    photos: Annotated[
        int,
        typer.Option("--photos", metavar="N", min=0, help="Photos to draw, beside those that answer queries."),
    ] = 1_000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Draws others.")] = 0,
    k: CutoffsOption = "1,5,10",
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Compare the library's model with others, on a sample of its photos.

    Tells how well queries are answered, with intervals and what chance explains; how far answers agree; and what each
    model costs: time to embed all photos, disk, time of a query. The library is not changed; samples stay beside it in
    compared/, which may be removed.

    Examples:
        aliens compare ViT-B-16/openai --queries queries.csv
        aliens compare local-dir:mine --queries q.csv --photos 300
    """
    with stopping(KEPT), opened(library, device, precision, backend, aloud=True) as opened_library:
        found = opened_library.compare(
            *models, queries=queries, truth=truth, k=ids_of("--at", k), photos=photos, seed=seed
        )
    print_notes(found.notes, library)
    if json:
        print_records(found.to_dicts())
        return
    print_compared(found)


def print_compared(found: "ModelComparison") -> None:
    """Print three tables: quality, agreement and costs."""
    from analysis.compared.model_comparison import SHOWN

    print_means(found.quality)
    console.print_rows(
        ("model", "and", f"share of the {SHOWN} best that both show"),
        [(each.model, each.other, shown_value(each.shared)) for each in found.agreement],
    )
    console.print_rows(COSTS, [cost_row(each) for each in found.costs])
    queries, own = found.quality[0].queries, found.costs[0]
    asked = console.counted(queries, "query") if queries == 1 else f"{queries} queries"
    console.note(f"{asked}, among {console.counted(found.sample, 'photo')}; {SCALE}")
    console.note(f"costs are for the library's {own.photos:,} photos, at what this machine took for the sample")


def cost_row(cost: "ModelCost") -> tuple[object, ...]:
    """Return what a model costs as cells; of the library's own, what is not known without loading it stays empty."""
    return (
        cost.model,
        cost.dim,
        None if cost.parameters is None else f"{cost.parameters / 1e6:.1f} million",
        cost.size_px,
        None if cost.photos_per_s is None else f"{cost.photos_per_s:.1f}",
        "done" if cost.hours is None else span(cost.hours),
        console.megabytes(cost.vectors_bytes),
        f"{cost.text_ms:.1f} ms",
    )
