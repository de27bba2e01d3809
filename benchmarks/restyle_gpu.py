"""What only a GPU with weights can show: how alien diffusion makes real photos, and whether they are recognised still.

python benchmarks/restyle_gpu.py --photos FOLDER [--engines regrade sd15 sdxl klein] [-n 20] [--model starter]
    [--device cuda] [options of `aliens restyle`]

Picks n detailed, n opposed and n minimal photos as `aliens candidates` does, has every engine restyle them, and plays
the recognition quiz over each engine's results; without --photos of the sample hotels, which are rendered. Each engine
is checked first (`aliens restyle --check`): one that would not work, without weights say, is left out with the reason.
`aliens restyle --check ENGINE --fetch` fetches them. Goes on where it stopped, with the model of the first run.

benchmarks/work/restyle-gpu/ has then engines.html, every photo beside what each engine made of it, as people on Earth
and as the visitors see it, with the scores; the table as table.csv and table.md; and each engine's own page.

recognised: share of results above the floors that are more than the photo itself; painted: share that diffusion made,
the others are the regraded photo; dE and >5: of the change that a protanope sees, the median dE2000 and the share of
pixels above 5; style: see restyle.judge; quiz and HOG: accuracy of matching results with originals, by the library's
model and by HOG; attempts and s/photo: means.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from records import figure, recorded

import aliens
from aliens.library import Library
from aliens.restyle_methods import Strategy
from base.console import shell_word
from base.settings import asset
from commands.options import ENGINES
from embedding.html_pages import render, write_page
from restyle.pages import items_of, views_of

WORK = Path(__file__).parent / "work" / "restyle-gpu"
LIBRARY = WORK / "library"
STRATEGIES: tuple[Strategy, ...] = ("detailed", "opposite-palette", "minimal")
COLUMNS = ["engine", "photos", "recognised", "painted", "dE", ">5", "style", "quiz", "HOG", "attempts", "s/photo"]


def command(*arguments: object) -> list[dict[str, Any]]:
    """Run a command, its notes on stderr, and return its lines of JSON; none where it failed before it said some."""
    asked = [Path(sys.executable).with_name("aliens"), *map(str, arguments), "--library", LIBRARY]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def opened(model: str) -> Library:
    """Return the library, made where it is not there."""
    WORK.mkdir(parents=True, exist_ok=True)
    there = (LIBRARY / "library.db").is_file()
    return aliens.open(LIBRARY) if there else aliens.create(LIBRARY, model)


def picked(photos: Path | None, model: str, n: int) -> dict[int, str]:
    """Return the kind of every photo that is picked, by its number."""
    with opened(model) as library:
        if photos is None:
            library.add(hotels50k=asset("aliens/samples"))
        else:
            library.add(photos)
        library.tag()
        kinds: dict[int, str] = {}
        for strategy in STRATEGIES:
            found = library.candidates(strategy=strategy, n=2 * n, pool=2_000)
            new = [pick.looked.record.photo_id for pick in found]
            kinds |= dict.fromkeys([photo_id for photo_id in new if photo_id not in kinds][:n], strategy)
        return kinds


def why_not(engine: str, options: list[str]) -> str:
    """Return why an engine cannot be measured, or nothing: gigabytes are fetched for nobody who did not say so."""
    checked = command("restyle", "--check", engine, "--json", *options)
    if not checked:
        return "it cannot be checked, see above"
    (told,) = checked
    if told["works"] and not all(each["is_here"] for each in told["weights"]):
        return f"its weights are not here: `aliens restyle --check {shell_word(engine)} --fetch` fetches them"
    return "" if told["works"] else "; ".join(told["problems"])


def measured(engine: str, kinds: dict[int, str], options: list[str]) -> list[dict[str, Any]]:
    """Return the results of an engine for the photos, each with its photo's kind."""
    page = WORK / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', engine).strip('-')}.html"
    results = command("restyle", *kinds, "--engine", engine, "--html", page, "--json", *options)
    return [result | {"kind": kinds[result["source_photo_id"]]} for result in results]


def row(name: str, results: list[dict[str, Any]], quiz: dict[str, float]) -> list[str]:
    """Return the cells of a table's row."""
    scores = [result["scores"] for result in results]
    return [
        name,
        str(len(results)),
        f"{mean(result['rung'] != 'unchanged' for result in results):.0%}",
        f"{mean(result['diffusion'] for result in results):.0%}",
        f"{median(score['protan_median_de'] for score in scores):.1f}",
        f"{mean(score['protan_share'] for score in scores):.0%}",
        f"{mean(score['style'] for score in scores):.2f}",
        *(f"{quiz[method]:.1%}" if method in quiz else "" for method in ("embedding", "hog")),
        f"{mean(len(result['attempts']) for result in results):.1f}",
        f"{mean(result['seconds'] for result in results):.1f}",
    ]


class Table:
    """The table, printed row by row and written when it is whole."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.left_out: dict[str, str] = {}
        print("\t".join(COLUMNS), flush=True)

    def add(self, cells: list[str]) -> None:
        """Add a row."""
        self.rows.append(cells)
        print("\t".join(cells), flush=True)

    def leave_out(self, engine: str, reason: str) -> None:
        """Say that an engine is left out, and why."""
        self.left_out[engine] = reason
        print(f"{engine}\tleft out: {reason}", flush=True)

    def write(self, folder: Path) -> None:
        """Write the table as CSV and as Markdown."""
        with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["kind", *COLUMNS])
            engine = ""
            for name, *cells in self.rows:
                kind = name.strip() if name.startswith(" ") else "all"
                engine = name if kind == "all" else engine
                writer.writerow([kind, engine, *cells])
        lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in self.rows]
        notes = [f"- {engine} is left out: {reason}" for engine, reason in self.left_out.items()]
        (folder / "table.md").write_text("\n".join([*lines, *([""] if notes else []), *notes]) + "\n", encoding="utf-8")


def write_side_by_side(library: Library, made: dict[str, list[dict[str, Any]]], table: Table, page: Path) -> None:
    """Write the page of every photo beside what each engine made of it."""
    photos: dict[int, dict[str, Any]] = {}
    with library.catalog.session() as session:
        for engine, results in made.items():
            for result in library.restyled([each["result_id"] for each in results]):
                item = next(items_of(session, [result], print), None)
                if item is None:
                    continue
                views = views_of(item)
                photo = photos.setdefault(
                    result.lineage.source_photo_id, {"heading": item.heading, "views": views, "results": []}
                )
                photo["results"].append({"engine": engine, "views": views, "facts": item.facts, "note": item.note})
    shown: Sequence[dict[str, Any]] = list(photos.values())
    template = Path(__file__).with_name("restyle_gpu.html")
    told = {"columns": COLUMNS, "rows": table.rows, "left_out": table.left_out, "photos": shown, "engines": list(made)}
    write_page(render(template, title="Engines side by side", **told), page)


@recorded
def main() -> None:
    """Restyle, play, print the table, and write it and the pages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, help="a folder of photos; default: the sample hotels")
    parser.add_argument("--model", default="starter", help="of the library: what judges, such as ViT-B-32/openai")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("-n", type=int, default=20, help="photos of each kind")
    options, others = parser.parse_known_args()  # others: of `aliens restyle`, such as --device cuda or --budget 60
    kinds = picked(options.photos, options.model, options.n)
    if not kinds:
        sys.exit(f"no photos of {options.photos or 'the sample hotels'} can be restyled")
    table, made = Table(), {}
    for engine in options.engines:
        if reason := why_not(engine, others):
            table.leave_out(engine, reason)
            continue
        results = measured(engine, kinds, others)
        if not results:
            table.leave_out(engine, "it failed, see above")
            continue
        made[engine] = results
        ids = ",".join(str(result["result_id"]) for result in results)
        played = command("quiz", "--results", ids, "--json")
        quiz = {method: told["accuracy"] for method, told in played[0]["methods"].items()} if played else {}
        table.add(row(engine, results, quiz))
        figure(f"{engine}: above every floor", mean(one["rung"] != "unchanged" for one in results), "share")
        figure(f"{engine}: painted", mean(one["diffusion"] for one in results), "share")
        figure(f"{engine}: seen", median(one["scores"]["protan_median_de"] for one in results), "dE2000")
        figure(f"{engine}: a photo", mean(one["seconds"] for one in results), "s")
        for strategy in STRATEGIES:
            if some := [result for result in results if result["kind"] == strategy]:
                table.add(row(f"  {strategy}", some, {}))
    table.write(WORK)
    with opened(options.model) as library:
        write_side_by_side(library, made, table, WORK / "engines.html")
    print(f"page: {WORK / 'engines.html'}\ntable: {WORK / 'table.csv'}, {WORK / 'table.md'}")


if __name__ == "__main__":
    main()
