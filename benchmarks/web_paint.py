"""How soon the search page shows photos while somebody types, in Chromium, on a million photos; needs playwright.

python benchmarks/web_paint.py [--photos 1124215] [--queries 20]

The library is web_speed's, whose photos are the sample hotels' pictures over and over; server and browser share the
machine. Timed from the last key to the frame with the first photos' places, and to the one with all pictures that the
window shows. Ratios: to a frame of 16.7 ms.
"""

import argparse
import os
import shutil
import statistics

from million import PHOTOS
from playwright.sync_api import sync_playwright
from records import figure, recorded
from web_speed import quantiles, serving, tagged_million

BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
NO_CHROMIUM = "no Chromium here: on Debian, apt install chromium"
FRAME_MS = 1000 / 60
TYPE = """(text) => new Promise((resolve) => {
  const [box, before, start] = [document.getElementById("box"), document.getElementById("grid"), performance.now()];
  let placed = null;
  box.value = text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  const seen = (image) => image.getBoundingClientRect().top < innerHeight && image.getBoundingClientRect().bottom > 0;
  const look = () => {
    const grid = document.querySelector("#grid.placed");
    if (grid && grid !== before && grid.querySelector(".tile")) {
      placed ??= performance.now() - start;
      const images = [...grid.querySelectorAll(".tile img")].filter(seen);
      if (images.every((image) => image.complete)) return resolve([placed, performance.now() - start, images.length]);
    }
    requestAnimationFrame(look); // called when the frame before was painted
  };
  requestAnimationFrame(look);
})"""


@recorded
def main() -> None:
    """Serve, type, and say how long the photos took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--queries", type=int, default=20)
    asked = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit(NO_CHROMIUM)
    with serving(tagged_million(asked.photos)) as server:
        show_typing(server.recv()["url"], asked.queries)


def show_typing(url: str, queries: int) -> None:
    """Print how long photos take to appear; the first query, which warms the browser up, does not count."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.locator("#grid.placed .tile").first.wait_for()
        taken = []
        for number in range(queries + 1):
            taken.append(page.evaluate(TYPE, f"a room of kind {number}"))
            page.wait_for_load_state("networkidle")
        browser.close()
    places, pictures, counts = zip(*taken[1:], strict=True)
    print(f"{queries} queries typed; load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for what, times in (("places of photos", places), (f"their pictures, {max(counts)} at most", pictures)):
        print(f"  {what:<28} {quantiles(times)}, {sorted(times)[len(times) // 2] / FRAME_MS:.1f} frames")
        figure(f"{what.partition(',')[0]}: p50", statistics.median(times), "ms")


if __name__ == "__main__":
    main()
