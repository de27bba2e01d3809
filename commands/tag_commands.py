"""`aliens tag`, `aliens tags ...` and `aliens eval tags`: tagging, looking at tags, correcting and measuring them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from base import console
from base.settings import LibraryFolder
from commands.models import load_for_texts
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption, stopping

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from search.tags.evaluation import Evaluation
    from search.tags.labels import Truth
    from search.tags.summary import ChainCount
    from search.tags.tagging import Tagging
    from search.tags.vocabulary import Vocabulary


tags = typer.Typer(help="Look at tags and correct them.", invoke_without_command=True)
VocabularyOption = Annotated[
    str | None, typer.Option("--vocabulary", "-v", help="One that the library was tagged with (default: the latest).")
]
PhotoArgument = Annotated[int, typer.Argument(metavar="PHOTO_ID", help="The photo's number, as searches show it.")]
MAX_COLUMNS = 15


def tag(
    vocabulary: Annotated[
        str | None,
        typer.Option(
            "--vocabulary",
            "-v",
            help="A .toml file, or case-study (15 tags) or hotel (126 tags). Default: the last one, or case-study.",
        ),
    ] = None,
    method: Annotated[
        Literal["calibrated", "uncalibrated", "softmax"] | None,
        typer.Option(
            help="softmax: shares among the tags, of which the --top-k largest are decided, as the case study did. "
            "Default: as the last time, or calibrated.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Decide tags of at least this probability. Default: as the last time, or 0.3."),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="For softmax: how many tags each photo gets. Default: 1.")] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|labels|none",
            help="Learn from a file with true tags (people's labels count as well), from people's labels alone, or "
            "forget what was learnt. Without it the library's own scores calibrate.",
        ),
    ] = None,
    fit: Annotated[
        Literal["platt", "isotonic"] | None,
        typer.Option(help="With --calibrate: what is fitted to the labels. Default: platt."),
    ] = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Tag all photos with a vocabulary, from their stored vectors: no photo is opened.

    Run it again after adding photos: only what is new is scored, and everything is decided as before.
    """
    from search.tags.calibration import TagOptions
    from search.tags.labels import label_truth, read_truth
    from search.tags.tagging import tag_library
    from search.tags.vocabulary import read_vocabulary

    learns = calibrate not in (None, "none")
    if fit is not None and not learns:
        raise typer.BadParameter("--fit goes with --calibrate FILE or labels")

    def truth(session: "Session", words: "Vocabulary") -> "Truth":
        if calibrate == "labels":
            return label_truth(session, words)
        found = read_truth(session, words, Path(str(calibrate)))
        print_unknown(found)
        return found

    options = TagOptions(
        method=method, threshold=threshold, top_k=top_k, fit=fit or "platt", forget_labels=calibrate == "none"
    )
    kept = "stopped: scores that are complete are kept, decisions are as before; the same command goes on from here"
    with stopping(kept), console.ProgressBars() as bars:
        report = tag_library(
            LibraryFolder(library),
            None if vocabulary is None else read_vocabulary(vocabulary),
            lambda model: load_for_texts(library, model, device),
            options=options,
            read_truth=truth if learns else None,
            progress=lambda done, total: bars.update("scoring", done, total),
        )
    if json:
        console.print_json(asdict(report))
        return
    learnt = f", {console.counted(report.fitted, 'tag')} calibrated on labels" if report.fitted else ""
    decided = f"top {report.top_k}" if report.method == "softmax" else f"threshold {report.threshold:g}"
    typer.echo(
        f"{report.vocabulary}: {console.counted(report.photos, 'photo')} tagged, {report.scored} newly scored, "
        f"{report.method}, {decided}{learnt}"
    )
    if report.left_alone:
        console.note(
            f"not calibrated on labels, since they are too few or contradict the scores: {', '.join(report.left_alone)}"
        )
    console.note("`aliens tags` counts them, `aliens tags sheet TAG -o OUT.jpg` shows them")


def print_unknown(truth: "Truth") -> None:
    """Say which rows and tags of a file of labels could not be used."""
    if truth.unknown_photos:
        rows = ", ".join(truth.unknown_photos[:3]) + (", ..." if len(truth.unknown_photos) > 3 else "")
        photos = console.counted(len(truth.unknown_photos), "photo")
        console.note(f"left out {photos} that the library does not know: {rows}")
    if truth.unknown_tags:
        console.note(f"left out tags that the vocabulary does not have: {', '.join(sorted(truth.unknown_tags))}")


@contextmanager
def opened(library: Path, vocabulary: str | None) -> Iterator[tuple["Session", "Tagging"]]:
    """Yield the library's session and tagging; say when photos were added since."""
    from db.catalog import disposing, new_session, open_library
    from search.tags.tagging import Tagging

    folder = LibraryFolder(library)
    with disposing(open_library(folder)) as engine, new_session(engine) as session:
        tagging = Tagging.open(session, folder, vocabulary)
        if tagging.unscored:
            photos = console.counted(tagging.unscored, "photo")
            console.note(f"{photos} came after the last tagging and have no tags yet: run `aliens tag`")
        yield session, tagging


@tags.callback()
def tag_group(
    context: typer.Context,
    by_chain: Annotated[bool, typer.Option("--by-chain", help="Count by chain of hotels.")] = False,
    vocabulary: VocabularyOption = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Count the photos of every tag, in all or by chain."""
    if context.invoked_subcommand is None:
        count_tags(library, vocabulary, by_chain=by_chain, json=json)
        return
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{name.replace('_', '-')}: put it after `{context.invoked_subcommand}`")


def count_tags(library: Path, vocabulary: str | None = None, *, by_chain: bool = False, json: bool = False) -> None:
    """Print how many photos have each tag, in all or by chain."""
    from search.tags.summary import count_by_chain, summarise

    with opened(library, vocabulary) as (session, tagging):
        if by_chain:
            print_chains(count_by_chain(session, tagging), json)
            return
        summary = summarise(tagging)
    if json:
        for counted in summary.tags:
            console.print_json(asdict(counted))
        return
    rows = [
        (c.tag, c.heading or None, c.photos, f"{c.share:.1%}", c.by_hand or None)
        for c in sorted(summary.tags, key=lambda c: -c.photos)
    ]
    console.print_rows(("tag", "heading", "photos", "share", "by hand"), rows)
    console.note(
        f"{summary.photos} photos, {summary.untagged} of them with none of the tags; {summary.vocabulary}, "
        f"{summary.method}" + (f", threshold {summary.threshold:g}" if summary.method != "softmax" else "")
    )


def print_chains(chains: "list[ChainCount]", json: bool) -> None:
    """Print the tag x chain table: shares on a terminal, a line for each chain and tag in a pipe."""
    if json:
        for chain in chains:
            console.print_json(asdict(chain))
        return
    if not console.on_terminal():
        rows = [(c.chain, tag, n, f"{n / c.photos:.4f}") for c in chains for tag, n in c.tags.items()]
        console.print_rows(("chain", "tag", "photos", "share"), rows)
        return
    names = sorted(chains[0].tags, key=lambda tag: -sum(c.tags[tag] for c in chains)) if chains else []
    if len(names) > MAX_COLUMNS:
        console.note(f"the {MAX_COLUMNS} most frequent of {len(names)} tags; `--json` gives all")
    shown = names[:MAX_COLUMNS]
    shares = [(c.chain, c.photos, *(f"{c.tags[tag] / c.photos:.0%}" for tag in shown)) for c in chains]
    console.print_rows(("chain", "photos", *shown), shares)


@tags.command()
def show_photo_tags(
    photo_id: PhotoArgument,
    vocabulary: VocabularyOption = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Show one photo's tags, likeliest first, with what people said of it."""
    with opened(library, vocabulary) as (_, tagging):
        photo = tagging.photo(photo_id, ["path", "member"])
        labels = photo.labels.get(photo_id, {})
        path = photo.columns["path"][0].as_py()
    records = [
        {
            "tag": tag,
            "probability": round(float(photo.probabilities[0, place]), 4),
            "cosine": round(float(photo.scores[0, place]), 4),
            "has": bool(photo.decided[0, place]),
            "by_hand": labels.get(tag),
        }
        for place, tag in enumerate(tagging.vocabulary.names)
    ]
    records.sort(key=lambda record: (-bool(record["has"]), -float(str(record["probability"]))))
    if json:
        console.print_json({"photo_id": photo_id, "path": path, "tags": records})
        return
    words = {None: None, True: "yes, by hand", False: "no, by hand"}
    rows = [
        (r["tag"], f"{r['probability']:.3f}", f"{r['cosine']:.3f}", "yes" if r["has"] else None, words[labels.get(t)])
        for r, t in ((record, str(record["tag"])) for record in records)
    ]
    console.note(path)
    console.print_rows(("tag", "probability", "cosine", "has it", "people say"), rows)


@tags.command("sheet")
def draw_sheet(
    tag: Annotated[str, typer.Argument(metavar="TAG", help='Such as "a bathtub", or bathtub.')],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.jpg", help="The picture to write.")],
    vocabulary: VocabularyOption = None,
    library: LibraryOption = LIBRARY,
) -> None:
    """Write a contact sheet of a tag: its surest photos, the borderline ones and the least likely."""
    from embedding.sheet import write_sheet
    from search.tags.summary import sheet_sections

    with opened(library, vocabulary) as (session, tagging):
        sections = sheet_sections(session, tagging, tag)
        name = tagging.vocabulary.names[tagging.vocabulary.position(tag)]
        write_sheet(sections, f"{name}, by probability ({tagging.vocabulary.key})", output)
    console.note(f"contact sheet: {output}")


@tags.command()
def report(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.png", help="The .png, .svg or .pdf to write.")],
    truth: Annotated[Path | None, typer.Option(help="A file with true tags: adds precision-recall curves.")] = None,
    vocabulary: VocabularyOption = None,
    library: LibraryOption = LIBRARY,
) -> None:
    """Plot each tag's probabilities and threshold; where labels exist, its precision and recall."""
    from search.tags.labels import label_truth, read_truth
    from search.tags.summary import write_report

    with opened(library, vocabulary) as (session, tagging):
        known = None
        if truth is not None:
            known = read_truth(session, tagging.vocabulary, truth)
            print_unknown(known)
        elif people_labelled(session):
            known = label_truth(session, tagging.vocabulary)
        write_report(tagging, known, output)
    console.note(f"report: {output}")


def people_labelled(session: "Session") -> bool:
    """Tell whether people have set any label."""
    from db.tag_rows import count_labels

    return count_labels(session) > 0


@tags.command("set")
def set_tag(
    photo_id: PhotoArgument,
    tag: Annotated[str, typer.Argument(metavar="TAG")],
    vocabulary: VocabularyOption = None,
    library: LibraryOption = LIBRARY,
) -> None:
    """Say that a photo has a tag, whatever the model thinks."""
    keep_label(library, vocabulary, photo_id, tag, present=True)


@tags.command("unset")
def unset_tag(
    photo_id: PhotoArgument,
    tag: Annotated[str, typer.Argument(metavar="TAG")],
    forget: Annotated[bool, typer.Option("--forget", help="Say nothing any more: leave it to the model.")] = False,
    vocabulary: VocabularyOption = None,
    library: LibraryOption = LIBRARY,
) -> None:
    """Say that a photo does not have a tag, or (--forget) take back what was said."""
    keep_label(library, vocabulary, photo_id, tag, present=None if forget else False)


def keep_label(library: Path, vocabulary: str | None, photo_id: int, tag: str, present: bool | None) -> None:
    """Keep what a person says, and print it."""
    from search.tags.labels import label_photo

    name = label_photo(LibraryFolder(library), photo_id, tag, present, vocabulary)
    words = {True: "has", False: "does not have", None: "is left to the model for"}[present]
    typer.echo(f"photo {photo_id} {words} {name!r}")


evaluations = typer.Typer(help="Measure against the truth.", no_args_is_help=True)


@evaluations.callback()
def evaluation_group() -> None:
    """Measure against the truth."""


@evaluations.command("tags")
def evaluate_tags(
    truth: Annotated[
        Path,
        typer.Option(
            help="A CSV, JSON Lines or Parquet file: photo_id, image_id or path, and tags with semicolons between "
            "them. Tags that a row does not list count as absent, those marked ?so as unknown."
        ),
    ],
    compare: Annotated[bool, typer.Option("--compare", help="Every method side by side.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Also write a plot.")] = None,
    vocabulary: VocabularyOption = None,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Measure tags against the truth: average precision, precision, recall, F1, calibration error, confusion.

    People's labels are part of the truth, not of the decisions.
    """
    from search.tags.evaluation import compare_methods as compare_methods
    from search.tags.evaluation import evaluate
    from search.tags.labels import read_truth
    from search.tags.summary import write_evaluation

    with opened(library, vocabulary) as (session, tagging):
        known = read_truth(session, tagging.vocabulary, truth)
        print_unknown(known)
        found = list(compare_methods(tagging, known)) if compare else [evaluate(tagging, known)]
        fitted = len(tagging.calibration.links)
        title = f"{tagging.vocabulary.key}, {tagging.model.key}, {len(known.photo_ids)} photos"
    for evaluation in found:
        if json:
            measures = asdict(evaluation.measures)
            console.print_json({"method": evaluation.method, "photos": len(known.photo_ids)} | measures)
        elif not compare:
            print_evaluation(evaluation)
    if compare and not json:
        print_comparison(found)
    if not json:
        console.note(title)
        if fitted and not compare:
            console.note(
                f"{console.counted(fitted, 'tag')} calibrated on labels: against the same labels the figures flatter; "
                "--compare judges every photo by the labels of others"
            )
    if plot is not None:
        write_evaluation(found, title, plot)
        console.note(f"plot: {plot}")


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


def print_comparison(evaluations: "list[Evaluation]") -> None:
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


def figure(value: float) -> str:
    """Return a share with three digits, empty where there is none."""
    return "" if value != value else f"{value:.3f}"
