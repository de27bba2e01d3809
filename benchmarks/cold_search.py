"""A cold `aliens search TEXT` against `python -c "import open_clip"`, in turns, and where its time goes.

python benchmarks/cold_search.py [--photos 1124215] [--runs 7] [--tiny]

"Cold": a new process each time; files are in the system's page cache. Photos and their vectors are made up
(benchmarks/million.py); the text tower has ViT-B-32's shape and random weights. --tiny: a thin tower and a few
photos: whether it works.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from embed import random_vit_b_32
from million import PHOTOS, million_library, put_text_tower
from records import figure, recorded

import aliens
from base.settings import LibraryFolder

ROOT = Path(__file__).parents[1]
WORK = Path(__file__).parent / "work"
QUERY = "bathtub with a view over sea"
GOAL = 0.2
OPEN_CLIP = [sys.executable, "-c", "import open_clip"]
STAGES = """
import sys, time
begun = time.time()
taken, last = {"interpreter": begun - float(sys.argv[1])}, time.perf_counter()
def step(name):
    global last
    now = time.perf_counter()
    taken[name], last = taken.get(name, 0) + now - last, now
def timed(module, name, stage):
    inner = getattr(module, name)
    def outer(*arguments, **options):
        start = time.perf_counter()
        try:
            return inner(*arguments, **options)
        finally:
            taken[stage] = taken.get(stage, 0) + time.perf_counter() - start
    setattr(module, name, outer)
import typer; step("import typer")
import cli; step("import cli and commands")
import numpy; step("import numpy")
import sqlalchemy, sqlalchemy.orm, sqlalchemy.dialects.sqlite; step("import sqlalchemy")
import db.models; step("map the tables")
import faiss; step("import faiss")
import aliens.library, embedding.index.photo_index, embedding.text_tower; step("import the rest of ours")
import commands.search_commands, db.catalog, search.ranking
timed(db.catalog, "open_database", "open the database")
timed(embedding.text_tower.TextTower, "open", "open the text tower")
timed(search.ranking, "photo_records", "rows")
timed(embedding.index.photo_index.CurrentIndex, "at", "open the index")
timed(embedding.index.photo_index.PhotoIndex, "sample", "background sample")
inner_show = commands.search_commands.show_results
def show(results, *arguments, **options):
    taken["steps"] = dict(results.explanation.times_ms)
    inner_show(results, *arguments, **options)
commands.search_commands.show_results = show
timed(commands.search_commands, "show_results", "print")
sys.argv = ["aliens", *sys.argv[2:]]
last = time.perf_counter()
cli.main.__globals__["app"](standalone_mode=False)
step("command")
import json
taken["end"] = time.time()
sys.stderr.write("\\nTAKEN " + json.dumps(taken))
"""


def made_library(photos: int, *, tiny: bool) -> LibraryFolder:
    """Return a library with a text tower and an index on disk."""
    folder = million_library(WORK / f"cold-{photos}", photos)
    put_text_tower(folder, random_vit_b_32(tiny=tiny))
    with aliens.open(folder.root) as library:
        library.update_index("exact")
    return folder


def run_s(command: list[str]) -> float:
    """Return how long a command takes, in seconds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - start


def stages(arguments: list[str]) -> dict[str, float]:
    """Return the times of one search's stages in seconds: what is imported is imported first, one after the other."""
    begun = time.time()
    command = [sys.executable, "-c", STAGES, str(begun), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True)
    ended = time.time()
    taken = json.loads(done.stderr.rpartition("TAKEN ")[2])
    steps = {name: ms / 1000 for name, ms in taken.pop("steps").items()}
    inner = {
        name: taken.pop(name, 0.0) for name in ("open the text tower", "rows", "open the index", "background sample")
    }
    whole, database, printing = taken.pop("command"), taken.pop("open the database"), taken.pop("print")
    end = taken.pop("end")
    named = {
        "open the database": database,
        "open the index": inner["open the index"],
        "background sample": inner["background sample"],
        "filter": steps.get("filter", 0),
        "open the text tower": inner["open the text tower"],
        "encode the text": steps.get("encode", 0) - inner["open the text tower"],
        "scan": steps.get("search", 0) - inner["rows"],
        "rows of the hits": inner["rows"],
        "print": printing,
    }
    return {**taken, **named, "the rest of the command": whole - sum(named.values()), "exit": ended - end}


@recorded
def main() -> None:
    """Parse the arguments, make the library, measure in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--tiny", action="store_true", help="a thin tower, 1,000 photos, one run: whether it works")
    chosen = parser.parse_args()
    if chosen.tiny:
        chosen.photos, chosen.runs = 1_000, 1
    folder = made_library(chosen.photos, tiny=chosen.tiny)
    arguments = ["search", QUERY, "--library", str(folder.root)]
    search = [str(Path(sys.executable).with_name("aliens")), *arguments]
    run_s(search)  # files come into the page cache
    times: dict[str, list[float]] = {"search": [], "open_clip": [], "bare": []}
    tables = []
    for _ in range(chosen.runs):
        times["open_clip"].append(run_s(OPEN_CLIP))
        times["search"].append(run_s(search))
        times["bare"].append(run_s([sys.executable, "-c", "pass"]))
        tables.append(stages(arguments))
    median = {name: statistics.median(taken) for name, taken in times.items()}
    ratios = [one / other for one, other in zip(times["search"], times["open_clip"], strict=True)]
    print(f"{chosen.photos} photos, {chosen.runs} runs in turns, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"python -c pass              {median['bare']:6.2f} s")
    print(f"python -c 'import open_clip'{median['open_clip']:6.2f} s")
    print(
        f"aliens search TEXT          {median['search']:6.2f} s: {median['search'] / median['open_clip']:.2f} times "
        f"(from {min(ratios):.2f} to {max(ratios):.2f}; goal: at most {GOAL})"
    )
    figure("aliens search TEXT", median["search"], "s")
    figure("import open_clip", median["open_clip"], "s")
    figure("aliens search TEXT / import open_clip", median["search"] / median["open_clip"], "times as long")
    print("\nWhere its time goes, medians in ms:")
    for name in tables[0]:
        print(f"  {name:<26} {statistics.median(table[name] for table in tables) * 1000:7.1f}")
        figure(f"of it, {name}", statistics.median(table[name] for table in tables) * 1000, "ms")
    print(f"  {'together':<26} {statistics.median(sum(table.values()) for table in tables) * 1000:7.1f}")


if __name__ == "__main__":
    main()
