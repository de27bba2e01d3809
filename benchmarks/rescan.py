"""`aliens add` of a folder of 100,000 unchanged files: what it writes, and its time against `find -newer`.

python benchmarks/rescan.py [--photos 100000] [--times 7]

`find FOLDER -newer MARKER` lists the folder and looks at every file's time of change: as much as telling what is
unchanged asks of the system. The files are links to one photo in folders of 200, and their rows are written as adding
would: nothing but the second look is measured, as a call in a process that has the library open, and as the command.
With `--hotel-from folder`, where each file is put to its hotel, too.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from measuring import timed
from records import figure, recorded
from sqlalchemy import event
from sqlalchemy.engine import Engine

import aliens
from aliens.library import Library
from base.settings import asset
from db.models import PhotoState
from db.photo_rows import insert_photos

WORK = Path(__file__).parent / "work" / "rescan"
IN_A_FOLDER = 200
TICK_S = 0.01  # of the clock that tells processor time


def linked_photos(folder: Path, count: int) -> Iterator[Path]:
    """Make links to one photo, and yield them."""
    photo = next((asset("aliens/samples") / "images").rglob("*.jpg"))
    for number in range(count):
        path = folder / f"{number // IN_A_FOLDER:05d}" / f"{number:06d}.jpg"
        if number % IN_A_FOLDER == 0:
            path.parent.mkdir(parents=True)
            shutil.copy(photo, path)  # a file takes 65,000 links at most
            first = path
        else:
            os.link(first, path)
        yield path


def know(library: Library, paths: Iterator[Path]) -> None:
    """Give the library the rows of photos that were added: found again, they are unchanged."""
    rows = []
    for path in paths:
        stat = os.stat(path)
        rows.append(
            {
                "path": str(path),
                "member": "",
                "size_bytes": stat.st_size,
                "mtime_ns": stat.st_mtime_ns,
                "exif_read": True,
                "content_sha256": bytes(32),
                "state": PhotoState.EMBEDDED,
            }
        )
    with library.catalog.writing() as session:
        insert_photos(session, rows)
        session.commit()


def noted_writes() -> list[str]:
    """Return a list that fills with the statements that write."""
    writes: list[str] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def note_write(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.split(maxsplit=1)[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            writes.append(statement.split("(")[0].strip())

    return writes


def command(*words: object) -> Callable[[], object]:
    """Return what runs a command to its end, saying nothing."""
    return lambda: subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


@recorded
def main() -> None:
    """Make folder and library, look at the folder in both ways in turn, print the best times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=7)
    chosen = parser.parse_args()
    count, times = chosen.photos, chosen.times
    shutil.rmtree(WORK, ignore_errors=True)
    folder = WORK / "photos"
    library = aliens.create(WORK / "library", "starter")
    know(library, linked_photos(folder, count))
    marker = WORK / "marker"
    marker.touch()
    writes = noted_writes()
    library.add(folder)
    writes.clear()
    aliens_command = Path(sys.executable).with_name("aliens")
    ways = {
        "find -newer": command("find", folder, "-newer", marker),
        "Library.add": lambda: library.add(folder),
        "aliens add": command(aliens_command, "add", folder, "--library", WORK / "library"),
    }
    looks = [{name: timed(look) for name, look in ways.items()} for _ in range(times)]
    print(f"{count} unchanged photos in folders of {IN_A_FOLDER}; the best of {times} looks in turn")
    find = [min(look["find -newer"][at] for look in looks) for at in (0, 1)]
    for name in ways:
        clock_s, busy_s = (min(look[name][at] for look in looks) for at in (0, 1))
        print(
            f"{name:12} {clock_s:6.3f} s, {clock_s / find[0]:5.2f} times find; "
            f"of a processor {busy_s:6.3f} s, {busy_s / max(find[1], TICK_S):5.2f} times find"
        )
        figure(name, clock_s, "s")
        figure(f"{name} / find", clock_s / find[0], "times as long")
    print(f"an add wrote {len(writes) / times:.0f} statement(s): {', '.join(sorted(set(writes)))}")
    library.add(folder, hotel_from="folder")
    clock_s, _ = min(timed(lambda: library.add(folder)) for _ in range(times))
    print(f"with hotels by folders {clock_s:6.3f} s, {clock_s / find[0]:5.2f} times find")
    figure("with hotels by folders / find", clock_s / find[0], "times as long")
    library.close()
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
