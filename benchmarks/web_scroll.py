"""How smoothly the search page scrolls through many results, from Chromium's own trace; needs Chromium and playwright.

python benchmarks/web_scroll.py [--library LIBRARY] [--results 100000] [--px 3000] [--jumps 40]

The results are the library's photos, without one the sample hotels', over and over in made-up shapes. The page is
scrolled from end to end by some px a frame, then jumped about in as by its scroll bar, with rests in which tiles and
pictures are fetched. A task is one turn of the page's main thread, which a frame waits for: its time on the clock, and
what of it the processor spent on it, which other programs do not lengthen.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright
from records import figure, recorded
from soak import served
from web_paint import CHROMIUM, NO_CHROMIUM

import aliens
from aliens.library import Library
from base.settings import asset

LIMIT_MS = 50
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
SCROLL = """(px) => new Promise((resolve) => {
  const step = () => {
    const before = scrollY;
    scrollBy(0, px);
    if (scrollY === before) resolve(scrollY);
    else requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
JUMP = "(share) => scrollTo(0, share * document.documentElement.scrollHeight)"


@recorded
def main() -> None:
    """Serve, scroll, and say how long the frames took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--results", type=int, default=100_000)
    parser.add_argument("--px", type=int, default=3_000, help="px a frame")
    parser.add_argument("--jumps", type=int, default=40)
    asked = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit(NO_CHROMIUM)
    with tempfile.TemporaryDirectory() as folder:
        if asked.library is None:
            asked.library = Path(folder) / "library"
            with aliens.create(asked.library, model="starter") as made:
                made.add(hotels50k=asset("aliens/samples"))
        with aliens.open(asked.library) as library:
            lengthen(library, asked.results)
            measure(library, asked.results, asked.px, asked.jumps)


def lengthen(library: Library, results: int) -> None:
    """Have a library answer every query with so many results."""
    found = library.order("a bedroom")
    scores = np.linspace(0.9, 0.1, results, dtype=np.float32)
    many = dataclasses.replace(
        found,
        photo_ids=np.resize(found.photo_ids, results),
        scores=scores,
        beats=scores * 100,
        above=results // 2,
        total=results,
        photos=results,
    )
    shapes = np.random.default_rng(1).integers(10, 64, results).astype(np.uint8).tobytes()
    vars(library).update(order=lambda text="", **said: many, ratios=lambda order: shapes)


def measure(library: Library, results: int, px: int, jumps: int) -> None:
    """Scroll through a library's results and print the figures."""
    with served(library) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        browser.start_tracing(page=page, categories=CATEGORIES)
        page.goto(f"{url}/?q=a+bedroom")
        page.locator("#grid.placed").wait_for()
        page.wait_for_load_state("networkidle")
        tell("opening", browser.stop_tracing())
        browser.start_tracing(page=page, categories=CATEGORIES)
        end = page.evaluate(SCROLL, px)
        tell(f"scrolling by {px:,} px a frame", browser.stop_tracing())
        browser.start_tracing(page=page, categories=CATEGORIES)
        tiles = jump_about(page, jumps)
        tell(f"{jumps} jumps with rests", browser.stop_tracing())
        print(f"{results:,} results are {end:,.0f} px high; at most {tiles} tiles were in the page")
        browser.close()


def jump_about(page: Page, jumps: int) -> int:
    """Jump to so many places, with a rest at each; return the most tiles that stood in the page."""
    most = 0
    for share in np.random.default_rng(2).random(jumps):
        page.evaluate(JUMP, float(share))
        page.locator(".tile[data-id]").first.wait_for(state="attached")
        page.wait_for_load_state("networkidle")
        most = max(most, page.locator(".tile").count())
    return most


def tell(what: str, trace: bytes) -> None:
    """Print how long the frames and tasks of a trace took."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    by_thread: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for event in events:
        if event["name"] == "RunTask" and names.get((event["pid"], event["tid"])) == "CrRendererMain":
            by_thread.setdefault((event["pid"], event["tid"]), []).append(event)
    main_thread, tasks = max(by_thread.items(), key=lambda item: len(item[1]))
    tasks.sort(key=lambda task: task["ts"])
    whole, own = (np.array([task.get(key, 0) for task in tasks]) / 1000 for key in ("dur", "tdur"))  # ms
    begins = np.array([task["ts"] for task in tasks]) / 1000
    drawn = [e["ts"] / 1000 for e in events if e["name"] == "Commit" and (e["pid"], e["tid"]) == main_thread]
    frames = begins[np.unique(np.searchsorted(begins, drawn, side="right") - 1)]
    apart = np.diff(frames) if len(frames) > 1 else np.zeros(1)
    print(
        f"{what}: {len(frames)} frames, median {np.median(apart):.1f} ms apart, "
        f"99 % under {np.percentile(apart, 99):.1f} ms; "
        f"longest task {whole.max():.1f} ms, {own.max():.1f} ms of the longest computing; "
        f"tasks over {LIMIT_MS} ms: {np.sum(whole > LIMIT_MS)}, computing as long: {np.sum(own > LIMIT_MS)}"
    )
    figure(f"{what}: longest task", whole.max(), "ms")
    figure(f"{what}: tasks over {LIMIT_MS} ms", np.sum(whole > LIMIT_MS), "tasks")


if __name__ == "__main__":
    main()
