"""A disk that is full, for real: a small file system in memory, filled to its last byte at another moment each time."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checks import answers, check, mended
from tests.faults.conftest import Tries
from tests.faults.faulty import Nursery
from tests.faults.rounds import Scene, check_refusal
from tests.faults.workers import marks_of

DISKS = 1  # of each work, each time
SIZE_MB, PIECE = 24, 4096
WORKS = ("add", "tag", "merge", "export", "restyle", "import of vectors")

pytestmark = pytest.mark.sqlite("what is committed is read from its file")


@pytest.fixture(scope="module")
def disk(request: pytest.FixtureRequest, ground: Path, scenes: dict[str, Scene]) -> Path:
    """A small disk where libraries of works lie. Skips: it cannot be mounted."""
    place = ground / "library"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        place.rmdir()
        pytest.skip("a small disk is mounted by root alone")
    request.addfinalizer(place.rmdir)
    request.addfinalizer(lambda: subprocess.run(["umount", "--lazy", place], check=True))
    return place


@pytest.mark.parametrize("work", WORKS)
def test_a_disk_that_fills_up_loses_nothing(
    work: str, nursery: Nursery, scenes: dict[str, Scene], disk: Path, seed: int, rounds: Tries
) -> None:
    scene, chosen = scenes[work], random.Random(f"{seed} disk {work}")
    for _ in range(rounds(DISKS)):
        for path in disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(scene.begun, disk, dirs_exist_ok=True)
        marks_of(scene.photos).unlink(missing_ok=True)
        room = chosen.randint(0, 60) * PIECE
        filled(disk, room)
        ended = nursery.run(work, disk, scene.photos)
        print(f"{work}: {room:,} bytes were left; exit code {ended.code}")
        check_refusal(ended)
        (disk / "filling").unlink()
        check(disk, scene.photos)
        assert nursery.run(work, disk, scene.photos).code == 0
        assert answers(disk) == scene.expected
        mended(disk, scene.photos)


def filled(disk: Path, room: int) -> None:
    """Fill a disk but for so many bytes."""
    with open(disk / "filling", "wb") as file:
        free = os.statvfs(disk)
        file.write(bytes(max(free.f_bavail * free.f_frsize - room, 0)))


@pytest.fixture(scope="module")
def scenes(scene_of: Callable[[str], Scene]) -> dict[str, Scene]:
    """The works, done once undisturbed before the disk is mounted where they are done."""
    return {work: scene_of(work) for work in WORKS}
