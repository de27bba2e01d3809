"""`aliens eval ...`: tags, searches, captions and Hotels-50K's own benchmark, by files that say what is right."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.console import FilePath
from commands import options
from commands.options import LIBRARY, completing, ids_of, opened, print_notes, print_records, stopping
from commands.tag_commands import VocabularyOption, figure

if TYPE_CHECKING:
    from analysis.hotels50k.benchmark_figures import BenchmarkFigure
    from analysis.hotels50k.hotels50k_report import Hotels50kReport
    from analysis.judged.search_evaluation import RankingEvaluation
    from search.tags.evaluation import Evaluation

evaluations = typer.Typer(no_args_is_help=True)
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


@evaluations.callback()
def evaluation_group() -> None:
    """Measure tags, searches and captions by files that say what is right.

    Examples:
        aliens eval tags --truth labels.csv
        aliens eval search --queries queries.csv
    """


@evaluations.command("tags")
def evaluate_tags(
    truth: Annotated[
        Path,
        typer.Option(
            help="A CSV, Excel, JSON Lines or Parquet file: photo_id, image_id or path, and tags with semicolons "
            "between them. Tags that a row does not list count as absent, those marked ?so as unknown."
        ),
    ],
    compare: Annotated[bool, typer.Option("--compare", help="Every method side by side.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Also write a plot.")] = None,
    vocabulary: VocabularyOption = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
) -> None:
    """Measure how often the tags are right, by a file that says what is true.

    Average precision, precision, recall, F1, calibration error, confusion. What people set counts as true.

    Examples:
        aliens eval tags --truth labels.csv
        aliens eval tags --truth labels.csv --compare
    """
    with opened(library, model=model) as photos:
        found = photos.evaluate(truth, vocabulary=vocabulary, compare=compare, plot=plot)
    print_notes(found.notes, library)
    if json:
        print_records({"method": each.method, "photos": found.photos} | asdict(each.measures) for each in found)
    else:
        if compare:
            print_comparison(found)
        else:
            print_evaluation(found[0])
        console.note(found.title)
        if found.fitted and not compare:
            console.note(
                f"{console.counted(found.fitted, 'tag')} calibrated on labels: against the same labels the figures "
                "flatter; --compare judges every photo by the labels of others"
            )
    if plot is not None:
        console.note(("plot: ", FilePath(str(plot))))


def print_evaluation(evaluation: "Evaluation") -> None:
    """Print one method's tags, means and confusions."""
    measures = evaluation.measures
    rows: list[tuple[object, ...]] = [
        (
            tag.tag,
            tag.true,
            tag.decided,
            *map(figure, (tag.average_precision, tag.precision, tag.recall, tag.f1, tag.calibration_error)),
        )
        for tag in measures.tags
    ]
    rows.append(("mean", "", "", figure(measures.mean_average_precision), "", "", figure(measures.macro_f1)))
    rows[-1] += (figure(measures.calibration_error),)
    micro = map(figure, (measures.micro_precision, measures.micro_recall, measures.micro_f1))
    rows.append(("all decisions together", "", "", "", *micro, ""))
    columns = ("tag", "true", "decided", "average precision", "precision", "recall", "F1", "calibration error")
    console.print_rows(columns, rows)
    for confusion in evaluation.confusions:
        if confusion.counts.sum():
            console.note("photos that have exactly one of these tags, by what was decided:")
            counts = [(f"truly {tag}", *row) for tag, row in zip(confusion.tags, confusion.counts, strict=True)]
            console.print_rows(("", *confusion.columns), counts)


def print_comparison(evaluations: "Sequence[Evaluation]") -> None:
    """Print the means of several methods."""
    rows = [
        (
            evaluation.method,
            *map(
                figure,
                (
                    evaluation.measures.mean_average_precision,
                    evaluation.measures.micro_precision,
                    evaluation.measures.micro_recall,
                    evaluation.measures.micro_f1,
                    evaluation.measures.macro_f1,
                    evaluation.measures.calibration_error,
                    evaluation.measures.brier,
                ),
            ),
        )
        for evaluation in evaluations
    ]
    columns = ("method", "mean average precision", "precision", "recall", "F1", "mean F1 of tags")
    console.print_rows((*columns, "calibration error", "Brier score"), rows)


@evaluations.command("search")
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


@evaluations.command("captions")
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


@evaluations.command("hotels50k")
def evaluate_hotels50k(
    root: Annotated[
        Path,
        typer.Argument(metavar="ROOT", help="A Hotels-50K tree: dataset/*.csv, and images/test but for --results."),
    ],
    occlusion: Annotated[
        Literal["all", "unoccluded", "low", "medium", "high"],
        typer.Option(
            help="How much of the test photos is covered. Of a file of --results: by default, its name says it."
        ),
    ] = "all",
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="Score these in place of the library's: rows test_image_id,result1_image_id,...; or a folder with "
            "unoccluded.csv, low_occlusions.csv, medium_occlusions.csv, high_occlusions.csv.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Also write what was retrieved, and the probabilities of hotels, as such files."
        ),
    ] = None,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    model: options.ModelOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    backend: options.BackendOption = "auto",
) -> None:
    """Run Hotels-50K's own benchmark: how often a test photo finds its hotel, and its chain.

    Each test photo retrieves the 100 most similar of the library's training photos. Top-K is the share of test photos
    of whose K best results one is right; log loss judges the share of the results that each hotel has.

    Test photos are embedded beside the library, not into it. May be stopped at any time; the same command goes on.

    Examples:
        aliens eval hotels50k tree
        aliens eval hotels50k tree --occlusion low --write results
        aliens eval hotels50k tree --results unoccluded.csv
    """
    if results is not None:
        from aliens.library import Library

        report = Library.score_hotels50k(root, results, occlusion=occlusion, write=write)
    else:
        kept = "stopped: test photos that were embedded are kept; the same command goes on from here"
        with stopping(kept), opened(library, device, precision, backend, aloud=True, model=model) as photos:
            report = photos.evaluate_hotels50k(root, occlusion=occlusion, write=write)
    if json:
        print_records([*report.levels, *({"where": each.where, "problem": each.reason} for each in report.problems)])
    else:
        print_figures(report)
    print_notes(report.notes, library)
    if report.written and write is not None:
        console.note((f"written: {console.counted(len(report.written), 'file')} in ", FilePath(str(write))))


def print_figures(report: "Hotels50kReport") -> None:
    """Print a row for each measure and a column for each level on a terminal, a line for each figure in a pipe."""
    if not console.on_terminal():
        columns = report.columns
        console.print_rows(columns, [[figure_cell(figure, name) for name in columns] for figure in report])
        return
    levels = report.levels
    rows: list[tuple[object, ...]] = [
        ("test photos", *(level.photos for level in levels), None),
        ("of known chains", *(int(level.outcomes.chain_known.sum()) for level in levels), None),
    ]
    for same in zip(*(level.figures for level in levels), strict=True):
        known = next((figure.published for figure in same if figure.published is not None), None)
        rows.append((measure_of(same[0]), *map(with_interval, same), None if known is None else f"{known:.1%}"))
    console.print_rows(("", *(level.level for level in levels), "published, unoccluded"), rows)
    console.note(
        "chain (paper): among the results of known chains; chain (script): among all results, as published",
        "beside each figure its 95% interval: of shares Wilson's, of losses a bootstrap's; log loss in nats, from the "
        "share of the results that the true hotel or chain has, at least 1e-15",
    )


def figure_cell(figure: "BenchmarkFigure", name: str) -> object:
    """Return a field of a figure as a pipe has it: empty where there is no number."""
    value = getattr(figure, name)
    if not isinstance(value, float):
        return value
    return None if value != value else f"{value:.6g}"


def measure_of(figure: "BenchmarkFigure") -> str:
    """Return what a figure measures: chain top-1 (paper)."""
    return f"{figure.by} {figure.measure}" + (f" ({figure.convention})" if figure.convention else "")


def with_interval(figure: "BenchmarkFigure") -> str | None:
    """Return a figure with its interval: 40.4% 39.5–41.3."""
    if figure.value != figure.value:
        return None
    factor, digits, unit = (100, 1, "%") if figure.is_share else (1, 2, "")
    value, low, high = (f"{number * factor:.{digits}f}" for number in (figure.value, figure.low, figure.high))
    return f"{value}{unit}" + (f" {low}–{high}" if figure.low == figure.low else "")
