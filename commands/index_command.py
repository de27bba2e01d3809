"""`aliens index`: choose the search index, build it, say what it finds."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from base.settings import LibraryFolder
from commands.models import load_for_texts
from commands.options import LIBRARY, JsonOption, LibraryOption, stopping

if TYPE_CHECKING:
    from embedding.index.building import IndexChoice
    from indexer.upkeep import IndexReport

MILVUS = "milvus:"


def index(
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="auto (exact up to 250,000 photos, then ivf), exact, ivf, hnsw, or milvus:URI. Kept until changed.",
        ),
    ] = None,
    factory: Annotated[
        str | None, typer.Option(metavar="STRING", help="FAISS's factory string, such as IVF4096,SQ8.")
    ] = None,
    least_recall: Annotated[
        float | None, typer.Option(metavar="0..1", help="Recall@10 to reach with text queries (default: 0.99).")
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build it anew even where it need not be.")] = False,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
) -> None:
    """Choose the search index, bring it up to date, and measure what it finds.

    The vectors themselves are always there to be compared exactly; an approximate index names the candidates.
    """
    from indexer.upkeep import IndexHooks, reindex

    def change(choice: "IndexChoice") -> "IndexChoice":
        return changed(choice, kind, factory, least_recall)

    with console.ProgressBars() as bars, stopping("stopped: the index is as it was; the same command begins again"):
        hooks = IndexHooks(
            starting=lambda: console.note("bringing the exact index up to date ..."),
            progress=lambda what, done, total: bars.update(what, done, total),
        )
        report = reindex(
            LibraryFolder(library),
            lambda model: load_for_texts(library, model),
            change,
            hooks=hooks,
            rebuild=rebuild,
        )
    show_index(report, library, json)


def changed(choice: "IndexChoice", kind: str | None, factory: str | None, least_recall: float | None) -> "IndexChoice":
    """Return a choice as the options change it; another kind forgets the factory string."""
    if kind is not None and kind.startswith(MILVUS):
        from embedding.index.milvus import absolute_uri

        choice = replace(choice, kind="auto", factory=factory, milvus=absolute_uri(kind.removeprefix(MILVUS)))
    elif kind is not None:
        choice = replace(choice, kind=kind, factory=factory, milvus=None)  # type: ignore[arg-type] # checks it
    elif factory is not None:
        choice = replace(choice, factory=factory)
    return choice if least_recall is None else replace(choice, least_recall=least_recall)


def show_index(report: "IndexReport", library: Path, json: bool) -> None:
    """Print what stands."""
    from base.errors import LibraryError
    from embedding.index.milvus import shown_uri

    about, milvus = report.approximation, report.milvus
    if report.problem:
        raise LibraryError(f"the exact index is up to date and searches by itself, but {report.problem}")
    if json:
        there = milvus and asdict(milvus) | {"uri": shown_uri(milvus.uri)}
        said = {"exact": asdict(report.exact), "approximate": about and asdict(about), "milvus": there}
        console.print_json(said | {"why": report.why})
        return
    rows = [("exact", f"{report.exact.count} photos, {console.megabytes(report.exact.size_bytes)}")]
    if about is not None:
        found = f"recall@10 {about.recall:.4f} over {about.queries} text queries"
        rows += [
            (about.kind, f"{about.factory}, {about.entries} photos, {console.megabytes(about.size_bytes)}"),
            ("finds", found + ("" if about.sound else f": less than {about.least_recall:g}, so it is not used")),
            ("by", f"{effort(about.lists, about.effort)}, {about.candidates} candidates compared exactly"),
        ]
    if milvus is not None:
        found = "every vector is compared" if milvus.exact else "recall@10 was not measured"
        if milvus.recall is not None:
            found = f"recall@10 {milvus.recall:.4f} over {milvus.queries} text queries"
        rows += [
            ("milvus", f"{shown_uri(milvus.uri)}, {milvus.entries} photos in {milvus.name}"),
            ("finds", found + ("" if milvus.sound else f": less than {milvus.least_recall:g}, so it is not used")),
            ("by", f"{milvus.candidates} candidates compared exactly" + filtered(milvus.least_share)),
        ]
    console.print_rows(("index", ""), rows)
    if report.why:
        console.note(f"built anew: {report.why}")
    elif not (report.rewritten or report.approximated):
        console.note(f"the index of {library} was up to date")


def filtered(least_share: float) -> str:
    """Return which filters Milvus answers, in words."""
    if least_share == 0:
        return ""
    few = "" if least_share >= 1 else f" that leave at most {least_share:.0%} of the photos"
    return f"; filters{few} are answered without it"


def effort(lists: int, visited: int) -> str:
    """Return how hard an approximate index is searched, in words."""
    return f"visiting {visited} of {lists} lists" if lists else f"keeping {visited} nodes in mind"
