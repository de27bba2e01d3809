"""What only a GPU with weights can show: how alien diffusion makes real photos, and whether they are recognised still.

python benchmarks/restyle_gpu.py [--photos ../shared/photos] [--engines regrade sd15 sdxl klein] [-n 20]
    [--model starter] [--device cuda] [options of `aliens restyle`]

Picks n detailed, n opposed and n minimal photos as `aliens candidates` does, has every engine restyle them, and plays
the recognition quiz over each engine's results. Fetch the weights first: an engine without them says how, and is left
out. Goes on where it stopped, with the model of the first run. An engine's page of results, to be looked at, is
benchmarks/work/restyle-gpu/ENGINE.html.

recognised: share of results above the floors that are more than the photo itself; painted: share that diffusion made,
the others are the regraded photo; dE and >5: of the change that a protanope sees, the median dE2000 and the share of
pixels above 5; style: see restyle.judge; quiz and HOG: accuracy of matching results with originals, by the library's
model and by HOG.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import mean, median
from typing import Any

from records import figure, recorded

import aliens
from aliens.restyle_methods import Strategy

ROOT = Path(__file__).parents[1]
WORK = Path(__file__).parent / "work" / "restyle-gpu"
LIBRARY = WORK / "library"
STRATEGIES: tuple[Strategy, ...] = ("detailed", "opposite-palette", "minimal")
COLUMNS = ["engine", "photos", "recognised", "painted", "dE", ">5", "style", "quiz", "HOG", "attempts", "s/photo"]


def command(*arguments: object) -> list[dict[str, Any]]:
    """Run a command on the library, its notes on stderr, and return its lines of JSON; none where it failed."""
    asked = [Path(sys.executable).with_name("aliens"), *map(str, arguments), "--library", LIBRARY]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def picked(photos: Path, model: str, n: int) -> dict[int, str]:
    """Return the kind of every photo that is picked, by its number; make the library, or go on making it."""
    WORK.mkdir(parents=True, exist_ok=True)
    there = (LIBRARY / "library.db").is_file()
    with aliens.open(LIBRARY) if there else aliens.create(LIBRARY, model) as library:
        library.add(photos)
        library.tag()
        kinds: dict[int, str] = {}
        for strategy in STRATEGIES:
            found = library.candidates(strategy=strategy, n=2 * n, pool=2_000)
            new = [pick.looked.record.photo_id for pick in found]
            kinds |= dict.fromkeys([photo_id for photo_id in new if photo_id not in kinds][:n], strategy)
        return kinds


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


@recorded
def main() -> None:
    """Restyle, play, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "photos")
    parser.add_argument("--model", default="starter", help="of the library: what judges, such as ViT-B-32/openai")
    parser.add_argument("--engines", nargs="+", default=["regrade", "sd15", "sdxl", "klein"])
    parser.add_argument("-n", type=int, default=20, help="photos of each kind")
    options, others = parser.parse_known_args()  # others: of `aliens restyle`, such as --device cuda or --budget 60
    kinds = picked(options.photos, options.model, options.n)
    if not kinds:
        sys.exit(f"no photos of {options.photos} can be restyled")
    print("\t".join(COLUMNS), flush=True)
    for engine in options.engines:
        results = measured(engine, kinds, others)
        if not results:
            print(f"{engine}\tleft out: see above", flush=True)
            continue
        ids = ",".join(str(result["result_id"]) for result in results)
        played = command("quiz", "--results", ids, "--json")
        quiz = {method: told["accuracy"] for method, told in played[0]["methods"].items()} if played else {}
        print("\t".join(row(engine, results, quiz)), flush=True)
        figure(f"{engine}: above every floor", mean(one["rung"] != "unchanged" for one in results), "share")
        figure(f"{engine}: a photo", mean(one["seconds"] for one in results), "s")
        for strategy in STRATEGIES:
            if some := [result for result in results if result["kind"] == strategy]:
                print("\t".join(row(f"  {strategy}", some, {})), flush=True)


if __name__ == "__main__":
    main()
