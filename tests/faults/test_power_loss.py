"""A power cut after any change to files that adding, tagging and the like make: what was committed is there."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.checks import check, mended
from tests.faults.conftest import Tries
from tests.faults.faulty import Nursery, Plan
from tests.faults.power_loss import Change, Disk, Loss, prefixes, read_changes
from tests.faults.rounds import Scene, begin_anew
from tests.faults.workers import is_library, marks_of

WORKS = ("add", "tag", "merge", "export", "export of vectors and tables", "restyle", "forget", "import of vectors")
PLACES = 2  # of each work and each kind of loss, each time: all of them take minutes

pytestmark = pytest.mark.sqlite("it is about what SQLite's files hold")


@dataclass(frozen=True)
class Recorded:
    """What a work did to files, and what it said to last after how many changes."""

    changes: list[Change]
    marks: list[tuple[int, str]]

    def marks_after(self, done: int) -> str:
        """Return what was said to last when so many changes were done."""
        return "".join(line for at, line in self.marks if at <= done)


def recorded(nursery: Nursery, scene: Scene, root: Path) -> Recorded:
    """Do a work and record what it does to files."""
    begin_anew(scene, root)
    log = marks_of(scene.photos).with_name("log")
    log.unlink(missing_ok=True)
    assert nursery.run(scene.work, root, scene.photos, plan=Plan(under=root.parent, log=log)).code == 0
    changes: list[Change] = []
    marks: list[tuple[int, str]] = []
    for change in read_changes(log):
        if Path(change.path).is_relative_to(root):
            changes.append(change)
        elif change.what == "w" and change.path == str(marks_of(scene.photos)):
            marks.append((len(changes), change.data.decode()))
    return Recorded(changes, marks)


def contents(root: Path) -> dict[str, bytes | None]:
    """Return all that lies in a folder, but for what is SQLite's alone."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if not path.name.endswith("-shm")
    }


def check_recorded(scene: Scene, done: Recorded, root: Path, replayed: Path) -> None:
    """See that all is recorded that was done to files: else what is replayed would be kinder than a power cut."""
    disk = Disk(scene.begun, root)
    for change in done.changes:
        disk.do(change)
    disk.write(replayed, None, random.Random(0))
    assert contents(replayed) == contents(root)


@pytest.mark.parametrize("work", WORKS)
def test_after_a_power_cut_at_any_change_what_was_committed_is_there(
    work: str,
    nursery: Nursery,
    scene_of: Callable[[str], Scene],
    ground: Path,
    tmp_path: Path,
    seed: int,
    rounds: Tries,
) -> None:
    scene, root = scene_of(work), ground / "library"
    done = recorded(nursery, scene, root)
    check_recorded(scene, done, root, tmp_path / "replayed")
    chosen = random.Random(f"{seed} {work}")
    places = list(prefixes(Disk(scene.begun, root), done.changes))
    wanted = set(chosen.sample(places, min(rounds(PLACES), len(places))) + places[-1:])
    disk = Disk(scene.begun, root)
    for place in prefixes(disk, done.changes):
        if place not in wanted:
            continue
        for loss in Loss:
            print(f"{work}: {loss.value}, after {place} of {len(done.changes)} changes")
            disk.write(root, loss, chosen)
            if not is_library(root):
                assert not done.marks_after(place)
                continue
            check(
                root, scene.photos, done.marks_after(place), parts={"stray file", "table", "tags", "approximate index"}
            )
            mended(root, scene.photos)
