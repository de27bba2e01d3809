"""What tests of faults share: the library of faults, the process that forks workers, what works begin with."""

import shutil
import tarfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

import aliens
from tests.conftest import FakeEncoder
from tests.faults.faulty import Nursery, fault_library
from tests.faults.rounds import Scene, make_photos, make_scene

OLD = Path(__file__).parents[1] / "data" / "library-0004.tar.xz"
LONG = "it takes long: `make faults` does it"
Tries = Callable[[int], int]


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """What forks workers with faults. Skips: no fault library can be made here."""
    nursery = Nursery(fault_library(tmp_path_factory.mktemp("faults")), tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the libraries of works lie, and their photos: a library's rows have the photos' paths."""
    return tmp_path_factory.mktemp("ground")


@pytest.fixture(scope="session")
def begun(nursery: Nursery, ground: Path) -> Callable[[str], Path]:
    """Return what a work begins with, by the work's name; to be copied and not to be changed."""
    photos = make_photos(ground)
    made: dict[str, Path] = {}

    def filled() -> Path:
        root = ground / "filled"
        shutil.copytree(empty(), root)
        assert nursery.run("begin", root, photos).code == 0
        return root

    def empty() -> Path:
        root = ground / "empty"
        if not root.exists():
            aliens.create(root, encoder=FakeEncoder()).close()
        return root

    def damaged() -> Path:
        root = ground / "damaged"
        shutil.copytree(one("filled"), root)
        for kind in ("vectors", "tags", "index", "restyled"):
            for path in sorted((root / kind).rglob("*.*"))[:1]:
                path.write_bytes(path.read_bytes()[:-2] + b"??")
        return root

    def old() -> Path:
        with tarfile.open(OLD) as tar:
            tar.extractall(ground, filter="data")
        return ground / "library-0004"

    def nothing() -> Path:
        (ground / "nothing").mkdir()
        return ground / "nothing"

    makers = {"add": empty, "create": nothing, "repair": damaged, "upgrade": old, "filled": filled}

    def one(work: str) -> Path:
        name = work if work in makers else "filled"
        if name not in made:
            made[name] = makers[name]()
        return made[name]

    return one


@pytest.fixture(scope="session")
def scene_of(nursery: Nursery, ground: Path, begun: Callable[[str], Path]) -> Callable[[str], Scene]:
    """Return a work with what it begins with and how it ends, by its name."""
    made: dict[str, Scene] = {}

    def one(work: str) -> Scene:
        if work not in made:
            made[work] = make_scene(nursery, work, begun(work), ground / "photos", ground / "library")
        return made[work]

    return one


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """What chooses where things go wrong."""
    return int(pytestconfig.getoption("--fault-seed"))


@pytest.fixture
def rounds(pytestconfig: pytest.Config) -> Tries:
    """Return how many rounds to run, where so many are enough each time."""
    many = pytestconfig.getoption("--fault-rounds")
    return lambda few: few if many is None else int(many)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say how to do the same again where a test of faults fails."""
    report = yield
    if report.failed:
        many = item.config.getoption("--fault-rounds")
        more = "" if many is None else f" --fault-rounds {many}"
        seed = item.config.getoption("--fault-seed")
        report.sections.append(("again", f"python -m pytest {item.nodeid!r} --fault-seed {seed}{more}"))
    return report
