"""A library of 1,124,215 photos in numbers: against the bare SQL aggregates, which SQLite's own module asks.

python benchmarks/stats_speed.py [--photos 1124215]

Rows are made up (benchmarks/million.py), here with many sizes, dates, places and brightnesses; no photo and no vector
exists. Both read from the system's page cache, in turns.
"""

import argparse
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from measuring import medians_ms, memory_mb
from million import PHOTOS, empty_library
from records import figure, recorded

import aliens
from base.progress import silent
from base.settings import LibraryFolder
from db.revisions import REVISION

WORK = Path(__file__).parent / "work"
REPEATS = 3
GOAL = 3.0
COMMON_SIZES = ((350, 233), (350, 233), (350, 233), (350, 263), (1024, 728), (640, 480), (480, 640), (3264, 2448))
OF_FOUND = "FROM photo WHERE state = 'embedded'"
BARE = (
    "SELECT state, count(*) FROM photo WHERE state != 'restyled' GROUP BY state",
    f"SELECT count(*), sum(size_bytes), sum(grey), count(grey), count(brightness) {OF_FOUND}",
    f"SELECT hotel_id, count(*) {OF_FOUND} GROUP BY hotel_id",
    f"SELECT width_px, height_px, count(*) {OF_FOUND} GROUP BY width_px, height_px",
    f"SELECT brightness, count(*) {OF_FOUND} GROUP BY brightness",
    f"SELECT substr(coalesce(dated_at, uploaded_at), 1, 4) AS year, count(*) {OF_FOUND} GROUP BY year",
    f"SELECT image_source, count(*) {OF_FOUND} GROUP BY image_source",
    f"SELECT format, count(*) {OF_FOUND} GROUP BY format",
    "SELECT id, name, chain_id, latitude, longitude FROM hotel",
)


def varied_library(root: Path, photos: int) -> LibraryFolder:
    """Return the library, made at the first call."""
    folder, made = LibraryFolder(root), f"tables {REVISION}"
    if (root / "made").exists() and (root / "made").read_text() == made:
        return folder
    shutil.rmtree(root, ignore_errors=True)
    empty_library(folder, photos)
    vary(folder.database_file, photos)
    (root / "made").write_text(made)
    return folder


def vary(database_file: Path, photos: int) -> None:
    """Give photos sizes, colours, brightnesses and dates, and hotels places."""
    draw = np.random.default_rng(0)
    sizes = np.array(COMMON_SIZES)[draw.integers(0, len(COMMON_SIZES), photos)]
    sizes[::10] = draw.integers(300, 1200, (len(sizes[::10]), 2))
    brightness = np.clip(draw.normal(55, 14, photos), 0, 100).round(2)
    months = draw.integers(2004 * 12, 2018 * 12, photos)
    rows = zip(sizes.tolist(), brightness.tolist(), months.tolist(), (draw.random(photos) < 0.01).tolist(), strict=True)
    with closing(sqlite3.connect(database_file, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        database.executemany(
            "UPDATE photo SET width_px = ?, height_px = ?, brightness = ?, uploaded_at = ?, grey = ? WHERE id = ?",
            (
                (*size, bright, f"{month // 12}-{month % 12 + 1:02}-03 10:00:00.000000", grey, photo_id)
                for photo_id, (size, bright, month, grey) in enumerate(rows, start=1)
            ),
        )
        ids = [row[0] for row in database.execute("SELECT id FROM hotel")]
        places = zip(
            draw.uniform(-50, 70, len(ids)).tolist(), draw.uniform(-180, 180, len(ids)).tolist(), ids, strict=True
        )
        database.executemany("UPDATE hotel SET latitude = ?, longitude = ? WHERE id = ?", places)
        database.execute("COMMIT")


@recorded
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=PHOTOS)
    photos = parser.parse_args().photos
    folder = varied_library(WORK / f"stats-{photos}", photos)
    with closing(sqlite3.connect(folder.database_file)) as database, aliens.open(folder.root) as library:
        found = library.stats(progress=silent)
        taken = medians_ms(
            {
                "bare SQL aggregates": lambda: [database.execute(statement).fetchall() for statement in BARE],
                "library.stats()": lambda: library.stats(progress=silent),
                "its page": found.page,
            },
            REPEATS,
        )
    bare = taken["bare SQL aggregates"]
    print(f"{photos:,} photos of {found.summary.hotels:,} hotels, {found.summary.sizes:,} sizes")
    for name, ms in taken.items():
        print(f"  {name:20} {ms / 1000:7.2f} s: {ms / bare:5.2f} times the bare aggregates")
        figure(name, ms / 1000, "s")
        figure(f"{name} / bare aggregates", ms / bare, "times as long")
    print(f"  the page has {len(found.page().encode()) / 1e6:.2f} MB; most memory {memory_mb('VmHWM'):,.0f} MB")
    print(f"  goal: at most {GOAL:g} times the bare aggregates")
    figure("most memory", memory_mb("VmHWM"), "MB")


if __name__ == "__main__":
    main()
