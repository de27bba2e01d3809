"""Rounds of faults: a work is begun, something goes wrong at an event that a seed chooses, and all is checked."""

import random
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from base.errors import AliensError
from tests.conftest import FakeEncoder, photo_bytes
from tests.faults.checks import Answers, answers, check, check_lasting, check_search, mended, opened, photos_in
from tests.faults.faulty import FOREVER, Ended, Nursery, Plan
from tests.faults.workers import marks_of

PARTS, IN_EACH, SIZE = 3, 6, (48, 32)  # folders that are added one after the other; photos; pixels
MOST_KILLS = 3  # of one library, before it is left alone


@dataclass(frozen=True)
class Scene:
    """A work with what it begins with, how it ends where nothing disturbs it, and how many events that takes."""

    work: str
    begun: Path
    photos: Path
    expected: Answers
    events: int


def make_photos(folder: Path) -> Path:
    """Make folders of photos, and vectors and labels to be imported beside them."""
    photos = folder / "photos"
    for number in range(PARTS * IN_EACH):
        path = photos / f"part {number // IN_EACH}" / f"hotel {number % 2}" / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(number, SIZE))
    vectors = np.random.default_rng(7).normal(size=(25, FakeEncoder.dim)).astype(np.float32)
    np.save(folder / "vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    picks = "".join(f"\n[[pick]]\nphoto = {number}\n" for number in (1, 2, 9))
    (folder / "picks.toml").write_text(f'palette = "fern"\nengine = "regrade"\n{picks}')
    rows = [f"{path},,two beds" for path in sorted(photos.glob("part 1/*/*.jpg"))]
    (folder / "labels.csv").write_text("path,tags,set_by_hand\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "vectors.txt").write_text("\n".join(f"elsewhere/{number}.jpg" for number in range(25)))
    return photos


def begin_anew(scene: Scene, root: Path) -> Path:
    """Copy what a work begins with to where a library is worked on, and forget what was said to last."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(scene.begun, root, symlinks=True)
    marks_of(scene.photos).unlink(missing_ok=True)
    return root


def kill_rounds(nursery: Nursery, scene: Scene, root: Path, seed: int, most: int) -> Iterator[tuple[int, str]]:
    """Kill workers at events until `most` were killed; yield the event of each, and what it was."""
    chosen, kills = random.Random(f"{seed} {scene.work}"), 0
    while kills < most:
        begin_anew(scene, root)
        for _ in range(min(MOST_KILLS, most - kills)):
            does = chosen.choice(("kill", "torn"))
            plan = Plan(under=root, does=does, at=chosen.randint(1, scene.events))
            ended = nursery.run(scene.work, root, scene.photos, plan=plan)
            if ended.code == 0:
                break
            assert ended.code == -9, ended.said
            kills += 1
            check_after(scene, root)
            yield plan.at, does
        check_end(nursery, scene, root)


def error_rounds(
    nursery: Nursery, scene: Scene, root: Path, seed: int, most: int, errors: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Have files fail with errors at events, once or from then on; yield the event and the error of each."""
    chosen = random.Random(f"errors {seed} {scene.work}")
    for _ in range(most):
        begin_anew(scene, root)
        error, at = chosen.choice(errors), chosen.randint(1, scene.events)
        plan = Plan(under=root, does=error, at=at, to=chosen.choice((at, FOREVER)))
        ended = nursery.run(scene.work, root, scene.photos, plan=plan)
        check_refusal(ended)
        check_after(scene, root)
        yield at, error
        check_end(nursery, scene, root)


def check_refusal(ended: Ended) -> None:
    """See that who met an error either did without that file, or said so in our words."""
    assert ended.code in (0, 1), ended.said
    last = ended.said.strip().splitlines()[-1] if ended.said.strip() else ""
    assert ended.code == 0 or last.startswith("base.errors."), ended.said


def check_after(scene: Scene, root: Path) -> None:
    """Check a library right after something went wrong."""
    if scene.work == "repair":
        check_damaged(root, scene.photos)
    elif scene.work != "upgrade":
        check(root, scene.photos)
    else:  # of files of the earlier version nobody knows any more
        with suppress(AliensError) if is_old(root) else nullcontext():
            check(root, scene.photos, parts={"stray file", "photo", "tags"})


def is_old(root: Path) -> bool:
    """Tell whether a library is of the earlier version still, so that nothing of it is told."""
    with closing(sqlite3.connect(root / "library.db")) as database:
        return bool(database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'vector_shard'").fetchone()[0])


def check_damaged(root: Path, photos: Path) -> None:
    """Check a library that was damaged before: its searches are right but for what lies in segments that are named.

    Or they are refused, where one is.
    """
    with opened(root) as library:
        told = " ".join(told.what for told in library.verify() if told.part == "segment")
        try:
            check_search(library, photos, photos_in(root, re.findall(r"\bsegment ([0-9a-f]{16})\b", told)))
        except AliensError:
            assert told
        check_lasting(library, photos)


def check_end(nursery: Nursery, scene: Scene, root: Path) -> None:
    """Have the work done to its end, compare what the library answers then with an undisturbed one, and repair it."""
    ended = nursery.run(scene.work, root, scene.photos)
    assert ended.code == 0, ended.said
    check_after(scene, root)
    assert answers(root) == scene.expected
    mended(root, scene.photos)


def make_scene(nursery: Nursery, work: str, begun: Path, photos: Path, root: Path) -> Scene:
    """Do a work undisturbed, which tells how it ends and how many events it takes."""
    scene = Scene(work, begun, photos, None, 0)  # type: ignore[arg-type]
    begin_anew(scene, root)
    ended = nursery.run(work, root, photos, plan=Plan(under=root))
    assert ended.code == 0, ended.said
    scene = replace(scene, expected=answers(root), events=ended.events)
    check_after(scene, root)
    return scene
