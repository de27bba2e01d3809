"""Fixtures that several test folders share, and what makes tests independent of the machine's speed."""

import csv
import gc
import io
import os
import shutil
import signal
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):  # side by side: the cores are shared out
    for library_name in ("OMP", "OPENBLAS", "MKL"):  # which read this once, when they are imported
        os.environ[f"{library_name}_NUM_THREADS"] = str(max((os.cpu_count() or 1) // workers, 1))

os.environ["ALIENS_BACKEND"] = "torch"  # whatever is quicker here; tests of OpenVINO ask for it

import hypothesis
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from sqlalchemy import Engine, create_engine, func, select, text

import aliens
from aliens.library import Library
from base.progress import Step
from base.settings import LibraryFolder, asset
from db.catalog import new_session
from db.models import CaptionSet, HotelChoice, QuizGame, Restyling, SavedSearch, TaggingRun, TagLabel, VocabularyText
from embedding.decode import Preprocessing
from embedding.encoder import Encoder
from indexer.add import AddReport
from tests.milvus_server import MilvusServer, started
from tests.postgres import ON_POSTGRES, EveryLibrary, Server, missing

# A busy machine fails no test; where CI is set, the examples are the same each time, so that more of them show no more.
hypothesis.settings.register_profile(
    "no clock",
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
hypothesis.settings.load_profile("no clock")

SLOWEST = ("test_crash.py", "test_wheel.py", "test_benchmarks.py", "test_docs.py", "test_site.py")

WHAT_TESTS_LEAVE = (TaggingRun, TagLabel, VocabularyText, CaptionSet, SavedSearch, HotelChoice, Restyling, QuizGame)
IS_SQLITES = "it looks into SQLite's own file"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the libraries of the tests keep their rows, and how many faults they are to survive."""
    parser.addoption(
        "--database", choices=("sqlite", "postgresql"), default="sqlite", help="what keeps libraries' rows"
    )
    parser.addoption("--fault-seed", type=int, default=20261129, help="what chooses where faults come, in tests/faults")
    parser.addoption("--fault-rounds", type=int, help="faults for each kind of work in tests/faults; by default a few")


def pytest_configure(config: pytest.Config) -> None:
    """Start a PostgreSQL server where one is asked for: each of several workers has its own."""
    if config.getoption("--database") == "sqlite" or (config.getoption("numprocesses", None) and not workers):
        return
    if missing() is not None:  # so all tests skip
        return
    # What a test leaves open is closed with its server; of SQLite's connections nobody hears that either.
    config.addinivalue_line("filterwarnings", r"ignore:<psycopg\.Connection:ResourceWarning")
    server = Server()
    config.add_cleanup(server.remove)
    every = config.stash[ON_POSTGRES] = EveryLibrary(server)
    patched = every.patched()
    patched.__enter__()
    config.add_cleanup(lambda: patched.__exit__(None, None, None))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Remove the databases of a test's own libraries, once nobody uses them."""
    every, folder = item.config.stash.get(ON_POSTGRES, None), getattr(item, "funcargs", {}).get("tmp_path")
    done = yield
    if every is not None and folder is not None:
        every.drop_below(folder)
    return done


gc.disable()  # until all modules are there: none of them is garbage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that workers side by side end together."""
    items.sort(key=lambda item: item.path.name not in SLOWEST)
    if items and items[0].config.getoption("--database") != "sqlite":
        for item in items:
            if mark := item.get_closest_marker("sqlite"):
                item.add_marker(pytest.mark.skip(reason=f"SQLite alone: {mark.args[0] if mark.args else IS_SQLITES}"))
            elif reason := missing():
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Have the collector pass over what stays until the end: looking through it took a tenth of the time of tests."""
    gc.collect()
    gc.freeze()
    gc.enable()


SHARED_PHOTOS = Path(__file__).parents[2] / "shared" / "photos"


class FakeEncoder:
    """A deterministic encoder for tests of plumbing: a photo's vector is its 4 x 4 thumbnail."""

    name = "fake"
    dim = 48
    batch_photos = 4
    keeps_cpu_busy = True
    logit_scale = 25.0
    preprocessing = Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3)

    def __init__(self, key: str = "fake-00000000") -> None:
        self.key = key
        self.encoded_photos = 0

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        self.encoded_photos += len(pixels)
        cells = pixels.reshape(len(pixels), 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(len(pixels), -1)
        vectors = (cells - 100.5).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.encode_prompts(text, ("{}",)) for text in texts])

    def encode_prompts(self, text: str, templates: object) -> np.ndarray:
        seed = np.random.default_rng(zlib.crc32(text.encode()))
        vector = seed.normal(size=self.dim).astype(np.float32)
        return vector / np.linalg.norm(vector)


class LibraryFactory:
    """Makes libraries in a test's folder and adds photos to them with a fake encoder."""

    def __init__(self, root: Path, template: Path | None = None) -> None:
        """`template`: an empty library to be copied, which is quicker than making one."""
        self.folder = LibraryFolder(root)
        self.encoder = FakeEncoder()
        self._opened: list[Library] = []
        if template is not None:
            shutil.copytree(template, root)
        else:
            aliens.create(root, encoder=self.encoder).close()

    def add(self, path: Path, **options: object) -> AddReport:
        with aliens.open(self.folder.root, encoder=self.encoder) as library:
            return library.add(path, **options)  # type: ignore[arg-type]

    def open(self) -> Library:
        library = aliens.open(self.folder.root, encoder=self.encoder)
        self._opened.append(library)
        return library

    def close(self) -> None:
        for library in self._opened:
            library.close()


def photo_bytes(seed: int, size: tuple[int, int] = (96, 64), file_format: str = "JPEG", mode: str = "RGB") -> bytes:
    """Return a small picture of smooth noise, different for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR).convert(mode)
    data = io.BytesIO()
    picture.save(data, file_format)
    return data.getvalue()


def fill_folder(folder: Path, numbers: Iterable[int], name: str = "{}.jpg", size: tuple[int, int] = (96, 64)) -> Path:
    """Write a small photo for every number into a folder, which is made where it is not there; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / name.format(number)).write_bytes(photo_bytes(number, size))
    return folder


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """Return what raises an error, whatever it is called with: to stand in the place of what fails."""

    def fail(*arguments: object, **options: object) -> NoReturn:
        raise error

    return fail


def stopping_at(what: str, done: int = 0) -> Callable[[Step], None]:
    """Return a progress that presses Ctrl-C at such a step, as soon as so much is done."""

    def stop(step: Step) -> None:
        if step.what == what and step.done >= done:
            raise KeyboardInterrupt

    return stop


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that one of the workers side by side has made: to be copied, and not to be changed.

    Where libraries keep their rows in a server, each worker has one of its own, and makes the folder for itself.
    """
    workers = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ and not EveryLibrary.is_used:
        workers = workers.parent
    folder, is_whole = workers / name, workers / f"{name}.made"
    with FileLock(workers / f"{name}.lock"):
        if not is_whole.exists():
            make(folder)
            is_whole.touch()
    return folder


@pytest.fixture(scope="session")
def on_postgres(pytestconfig: pytest.Config) -> EveryLibrary | None:
    """What keeps libraries' rows in PostgreSQL, where the tests run so; None: they are in SQLite."""
    return pytestconfig.stash.get(ON_POSTGRES, None)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> LibraryFactory:
    """An empty library, to be copied and not to be changed."""
    return LibraryFactory(tmp_path_factory.mktemp("template") / "library")


@pytest.fixture
def library(template: LibraryFactory, tmp_path: Path) -> Iterator[LibraryFactory]:
    """A new, empty library with a fake encoder."""
    factory = LibraryFactory(tmp_path / "library", template.folder.root)
    yield factory
    factory.close()


@pytest.fixture(scope="session")
def ten_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 10 different small photos, 00.jpg to 09.jpg, to be copied and not to be changed."""
    return fill_folder(tmp_path_factory.mktemp("ten") / "photos", range(10), "{:02d}.jpg")


@pytest.fixture
def photos(ten_photos: Path, tmp_path: Path) -> Path:
    """A folder of 10 different small photos, 00.jpg to 09.jpg."""
    return Path(shutil.copytree(ten_photos, tmp_path / "photos"))


@pytest.fixture
def stocked(library: LibraryFactory, filled_template: Path, ten_photos: Path, photos: Path) -> LibraryFactory:
    """A library of ten photos."""
    copy_library(filled_template, library.folder.root, ten_photos, photos)
    return library


@pytest.fixture
def opened(stocked: LibraryFactory) -> Library:
    """An opened library of ten photos."""
    return stocked.open()


@pytest.fixture(scope="session")
def filled_template(template: LibraryFactory, ten_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of `ten_photos`, to be copied by `copy_library` and not to be changed."""
    factory = LibraryFactory(tmp_path_factory.mktemp("filled") / "library", template.folder.root)
    factory.add(ten_photos)
    return factory.folder.root


@pytest.fixture(scope="session")
def tagged_template(filled_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, tagged with the case study's vocabulary by a method that decides tags of a fake encoder's vectors."""
    root = Path(shutil.copytree(filled_template, tmp_path_factory.mktemp("tagged") / "library"))
    with aliens.open(root, encoder=FakeEncoder()) as library:
        library.tag("case-study", method="calibrated")
    return root


def copy_library(template: Path, root: Path, photos_before: Path, photos: Path) -> None:
    """Copy a library to where none or an empty one is, for photos that were copied too: quicker than adding them."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root, ignore=shutil.ignore_patterns("photos.arrow", "photos.json"))  # which hold paths
    moved = {"photos": str(photos), "behind": len(str(photos_before)) + 1}
    engine = create_engine(LibraryFolder(root).database_url())
    with disposing(engine), engine.begin() as database:
        for table, column in (("photo", "path"), ("scan", "root"), ("photo_source", "place")):
            database.execute(text(f"UPDATE {table} SET {column} = :photos || substr({column}, :behind)"), moved)


@contextmanager
def disposing(engine: Engine) -> Iterator[Engine]:
    """Close an engine's connections at the end."""
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt, which processes in the background are started without."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture(scope="session")
def starter() -> Encoder:
    """The embedded model."""
    from embedding.open_clip_encoder import OpenClipEncoder

    return OpenClipEncoder.load("starter", device="cpu", precision="float32")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The sample hotels, a Hotels-50K tree."""
    return asset("aliens/samples")


def some_samples(root: Path, samples: Path, every: int = 6) -> Path:
    """Return a tree of every sixth sample photo, or so."""
    shutil.copytree(samples / "dataset", root / "dataset")
    (root / "images").symlink_to(samples / "images")
    listed = root / "dataset" / "train_set.csv"
    head, *rows = listed.read_text(encoding="utf-8").splitlines(keepends=True)
    listed.write_text(head + "".join(rows[::every]), encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def sample_tags(samples: Path) -> dict[int, set[str]]:
    """The true tags of every sample photo, by its image id."""
    with open(samples / "labels.csv", encoding="utf-8", newline="") as file:
        return {int(row["image_id"]): set(row["tags"].split(";")) - {""} for row in csv.DictReader(file)}


@pytest.fixture(scope="session")
def embedded_samples(tmp_path_factory: pytest.TempPathFactory, starter: Encoder, samples: Path) -> Path:
    """A library of the sample hotels, embedded by the embedded model: to be copied and not to be changed."""

    def embed(root: Path) -> None:
        with aliens.create(root, encoder=starter) as library:
            library.add(hotels50k=samples)

    return made_once(tmp_path_factory, "embedded-samples", embed)


@pytest.fixture(scope="session")
def sample_library(
    tmp_path_factory: pytest.TempPathFactory, starter: Encoder, embedded_samples: Path
) -> Iterator[Library]:
    """The sample hotels, embedded by the embedded model and opened for searching."""
    root = shutil.copytree(embedded_samples, tmp_path_factory.mktemp("samples") / "library")
    with aliens.open(root, encoder=starter) as library:
        yield library


@pytest.fixture(autouse=True)
def libraries_of_many_are_left_as_they_were(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that changes what others share: who is to change it copies it, or puts it back."""
    shared = [name for name in ("sample_library", "tagged_library") if name in request.fixturenames]
    before = {name: rows_of_people(request.getfixturevalue(name)) for name in shared}
    yield
    assert {name: rows_of_people(request.getfixturevalue(name)) for name in shared} == before


def rows_of_people(library: Library) -> dict[str, int]:
    """Return how many rows there are of what tests may leave in a library."""
    with new_session(library.catalog.engine) as session:
        counts = {each.__name__: select(func.count()).select_from(each) for each in WHAT_TESTS_LEAVE}
        return {name: session.scalars(count).one() for name, count in counts.items()}


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    """The folder of real photos, which may not be redistributed: tests that need it skip where it is absent."""
    if not SHARED_PHOTOS.is_dir():
        pytest.skip(f"no real photos at {SHARED_PHOTOS}: they may not be redistributed")
    return SHARED_PHOTOS


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A real Milvus, for tests that leave it running."""
    server = started(tmp_path_factory)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def patient_with_milvus() -> Iterator[None]:
    """Milvus is waited for as long as a busy machine takes; one that refuses says so at once all the same."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONNECT_S", "SEARCH_S", "LOAD_S", "RETRY_S"):
            patch.setattr(f"embedding.index.milvus.{name}", 600.0)
        patch.setattr("embedding.index.milvus_sync.SEARCH_S", 600.0)
        yield
