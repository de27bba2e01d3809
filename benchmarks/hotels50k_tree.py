"""Finding the photos of a Hotels-50K tree, some gone and some elsewhere, against reading its list and a bare stat each.

python benchmarks/hotels50k_tree.py [--photos 100000]
"""

import argparse
import csv
import os
import shutil
import time
from pathlib import Path

from records import figure, recorded

from indexer.hotels50k import Hotels50kSource
from indexer.sources import MISSING

WORK = Path(__file__).parent / "work" / "hotels50k"
PER_HOTEL, CHAINS = 22, 92  # as Hotels-50K has
GONE, MOVED, RENAMED = 5, 7, 11  # every such photo has a dead link, lies under another chain, is a .png


def make_tree(photos: int) -> None:
    """Write the lists and the photos, which are empty files: they are not opened."""
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "dataset").mkdir(parents=True)
    hotels = photos // PER_HOTEL + 1
    (WORK / "dataset/chain_info.csv").write_text("".join(f"{n},Chain {n}\n" for n in range(CHAINS)))
    (WORK / "dataset/hotel_info.csv").write_text(
        "".join(f"{n},Hotel {n},{n % CHAINS},1.5,2.5\n" for n in range(hotels))
    )
    made = set()
    with open(WORK / "dataset/train_set.csv", "w") as lines:
        for number in range(photos):
            hotel = number % hotels  # those of a hotel do not stand together
            lines.write(f"{number},{hotel},https://example.com/{number}.jpg,travel_website,2018-06-16 17:39:46\n")
            if number % GONE == 0:
                continue
            chain = (hotel + (number % MOVED == 0)) % CHAINS
            folder = WORK / f"images/train/{chain}/{hotel}/travel_website"
            if folder not in made:
                folder.mkdir(parents=True, exist_ok=True)
                made.add(folder)
            os.mknod(folder / f"{number}.{'png' if number % RENAMED == 0 else 'jpg'}")


def bare_s() -> float:
    """Return the seconds to read the list and to ask for every photo where the list says that it is."""
    start = time.perf_counter()
    with open(WORK / "dataset/hotel_info.csv", newline="") as file:
        chains = {row[0]: row[2] for row in csv.reader(file)}
    images = str(WORK / "images/train")
    with open(WORK / "dataset/train_set.csv", newline="") as file:
        for row in csv.reader(file):
            try:
                os.stat(f"{images}/{chains[row[1]]}/{row[1]}/{row[3]}/{row[0]}.jpg")
            except FileNotFoundError:
                continue
    return time.perf_counter() - start


@recorded
def main() -> None:
    """Make a tree, find its photos, print how long that takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100_000)
    count = parser.parse_args().photos
    make_tree(count)
    bare_s()  # warms the system's memory of names
    start = time.perf_counter()
    missing = sum(photo.failure_kind == MISSING for photo in Hotels50kSource(WORK).photos())
    found_s, least_s = time.perf_counter() - start, bare_s()
    print(f"{count} photos listed, {missing} gone; of the others 1 in {MOVED} lies elsewhere, 1 in {RENAMED} is a .png")
    print(f"all found in {found_s:.2f} s, {found_s / count * 1e6:.0f} µs a photo")
    print(f"that is {found_s / least_s:.1f} times the list read and one bare os.stat a photo ({least_s:.2f} s)")
    figure("a photo found", found_s / count * 1e6, "µs")
    figure("found / list read and os.stat", found_s / least_s, "times as long")
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
