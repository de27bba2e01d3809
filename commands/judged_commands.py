"""`aliens eval search` and `aliens eval captions`: how well photos are found, by files that say what should be."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from commands import options
from commands.options import LIBRARY, completing, ids_of, opened, print_notes, print_records, stopping

if TYPE_CHECKING:
    from analysis.judged.search_evaluation import RankingEvaluation

NOTHING_KEPT = "stopped: nothing was changed"
SCALE = "measures are shares from 0 to 1, with 95 % intervals"
APART = "apart: from {}; p: how likely by chance, corrected for all differences here; below 0.05 there is a verdict"
ASKED = {"text to photo": "captions", "photo to text": "photos"}
CutoffsOption = Annotated[
    str, typer.Option("--at", metavar="N,N", help="Among how many of the best photos answers are counted.")
]
TruthOption = Annotated[
    Path | None,
    typer.Option(help="For queries with tags: a file with the true tags of photos (default: what people set)."),
]
CompareOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--compare",
        metavar="DIR",
        help="Also another library of the same photos, as by another model. May be repeated.",
    ),
]
ByQueryOption = Annotated[bool, typer.Option("--by-query", help="Print the measures of each query, not their means.")]


def evaluate_search(
    queries: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A CSV, Excel or JSON Lines file: query, and photo_id, image_id or path of a photo that answers it, a "
            "row for each, with relevance (a grade, default 1); or query and tags that such photos have.",
        ),
    ],
    truth: TruthOption = None,
    k: CutoffsOption = "1,5,10",
    compare: CompareOption = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Also with every photo compared, in place of the approximate index.")
    ] = False,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="TEXT", help="Also with texts in a prompt: 'a photo of {}'. May be repeated."),
    ] = None,
    texts_in: Annotated[
        list[str] | None,
        typer.Option(
            "--texts-in",
            metavar="float32|bfloat16",
            help="Also with texts by the whole model in this precision. May be repeated.",
        ),
    ] = None,
    by_query: ByQueryOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Measure searches, by a file of queries and what answers them.

    Mean average precision (mAP), mean reciprocal rank (MRR), nDCG, precision and recall, each with an interval. What is
    measured beside the library as it searches is compared with it, query by query: differences that chance explains
    have no verdict.

    Examples:
        aliens eval search --queries queries.csv
        aliens eval search --queries q.csv --truth labels.csv
        aliens eval search --queries q.csv --compare library-2
    """
    with stopping(NOTHING_KEPT), opened(library, device, precision, backend, aloud=True, model=model) as photos:
        found = photos.evaluate_search(
            queries,
            truth=truth,
            k=ids_of("--at", k),
            compare=compare or (),
            exact=exact,
            templates=prompt or (),
            precisions=texts_in or (),
        )
    print_measured(found, library, by_query=by_query, json=json)


def evaluate_captions(
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A CSV, Excel or JSON Lines file: caption, and photo_id, image_id or path of its photo. A photo may "
            "have several. Default: captions that the library has.",
        ),
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(
            "--set",
            metavar="SET",
            autocompletion=completing("captions"),
            help="Which of the library's, as `aliens caption list` names them.",
        ),
    ] = None,
    k: CutoffsOption = "1,5,10",
    photos: Annotated[
        int, typer.Option("--photos", metavar="N", min=1, help="Of more photos draw so many: the more, the lower is R.")
    ] = 5_000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Draws others.")] = 0,
    compare: CompareOption = None,
    by_query: ByQueryOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Measure how often captions find their photos, and photos their captions.

    R@k is the share of captions that have one of their photos among the k best, and the other way round.

    Examples:
        aliens eval captions --from captions.csv
        aliens eval captions --from captions.csv --photos 1000
    """
    with stopping(NOTHING_KEPT), opened(library, device, precision, backend, aloud=True, model=model) as opened_library:
        found = opened_library.evaluate_captions(
            source, captions=captions, k=ids_of("--at", k), photos=photos, seed=seed, compare=compare or ()
        )
    print_measured(found, library, by_query=by_query, json=json)


def print_measured(found: "RankingEvaluation", library: Path, *, by_query: bool, json: bool) -> None:
    """Print means with their intervals, or each query's measures; what is to be known of them on stderr."""
    print_notes(found.notes, library)
    records = found.by_query if by_query else found
    if json:
        print_records(record | ({} if by_query else {"photos": found.photos}) for record in records.to_dicts())
        return
    if by_query:
        rows = [[shown_value(value) for value in record.values()] for record in found.by_query]
        console.print_rows(list(found.by_query[0]), rows)
        return
    print_means(found)
    asked = {mean.task: mean.queries for mean in found}
    said = ", ".join(f"{n} {ASKED.get(task, 'queries' if n > 1 else 'query')}" for task, n in asked.items())
    console.note(f"{said}, among {console.counted(found.photos, 'photo')}; {SCALE}")
    if len(found.settings) > 1:
        console.note(APART.format(found.settings[0]))


def print_means(found: "RankingEvaluation") -> None:
    """Print a row for each measure and setting."""
    several, tasks = len(found.settings) > 1, any(mean.task for mean in found)
    columns = ("of", "measure", "by", "mean", "95 %", "apart", "95 %", "p", "verdict")
    rows = [
        (
            mean.task or None,
            mean.measure,
            mean.setting if several else None,
            shown_value(mean.mean),
            shown_interval(mean.low, mean.high),
            signed(mean.difference),
            shown_interval(mean.difference_low, mean.difference_high),
            shown_p(mean.p_corrected),
            mean.verdict or None,
        )
        for mean in found
    ]
    start = 0 if tasks else 1
    console.print_rows(columns[start:], [row[start:] for row in rows])


def shown_value(value: object) -> object:
    """Return a share with three digits, and anything else as it is."""
    return f"{value:.3f}" if isinstance(value, float) else value


def shown_interval(low: float, high: float) -> str | None:
    """Return an interval as it is printed; None where there is none."""
    return None if low != low else f"{low:.3f}..{high:.3f}"


def signed(value: float) -> str | None:
    """Return a difference as it is printed; None where there is none."""
    return None if value != value else f"{value:+.3f}"


def shown_p(value: float) -> str | None:
    """Return a probability as it is printed; None where there is none."""
    if value != value:
        return None
    return "<0.001" if value < 0.001 else f"{value:.3f}"
