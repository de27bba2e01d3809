"""The second `aliens add` of an unchanged folder of 10,000 photos: what it writes, and its time against a bare walk.

python benchmarks/rescan.py [--photos 10000]
"""

import argparse
import os
import shutil
import time
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

import aliens
from base.settings import asset

WORK = Path(__file__).parent / "work"


def bare_walk_s(folder: Path) -> float:
    """Return the seconds to look at every file's size and time of change, and nothing else."""
    start = time.perf_counter()
    for root, _, names in os.walk(folder):
        for name in names:
            os.stat(os.path.join(root, name))
    return time.perf_counter() - start


def main() -> None:
    """Make a library of hard links to one photo, add it twice, print what the second time did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=10_000)
    count = parser.parse_args().photos
    shutil.rmtree(WORK / "rescan", ignore_errors=True)
    folder = WORK / "rescan" / "photos"
    folder.mkdir(parents=True)
    photo = next((asset("aliens/samples") / "images").rglob("*.jpg"))
    shutil.copy(photo, folder / "000000.jpg")
    for number in range(1, count):
        os.link(folder / "000000.jpg", folder / f"{number:06d}.jpg")
    library = aliens.create(WORK / "rescan" / "library", "starter")

    writes: list[str] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def note_write(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.split(maxsplit=1)[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            writes.append(statement.split("(")[0].strip())

    def add_s() -> float:
        writes.clear()
        start = time.perf_counter()
        library.add(folder)
        return time.perf_counter() - start

    first_s, second_s, walk_s = add_s(), add_s(), bare_walk_s(folder)
    print(f"{count} photos (one picture, so that its bytes are embedded once)")
    print(f"first add {first_s:.2f} s, second add {second_s:.2f} s: {second_s / count * 1e6:.0f} µs a photo")
    print(f"the second add takes {second_s / walk_s:.1f} times a bare walk with os.stat ({walk_s:.3f} s)")
    print(f"it wrote {len(writes)} statement(s): {', '.join(writes)}")
    library.close()
    shutil.rmtree(WORK / "rescan")


if __name__ == "__main__":
    main()
