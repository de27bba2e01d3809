"""A cluster of two nodes on this machine reads and embeds as this process does, bit for bit, whatever dies."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import numpy as np
import pytest
from sqlalchemy import select

import aliens
import tests.conftest
from base.errors import ClusterError, LibraryBusyError, QueryError
from base.progress import Step
from db.models import Photo
from db.photo_rows import failure_counts
from embedding.encoder import Recipe
from tests.by_folder import session_of
from tests.conftest import FakeEncoder, LibraryFactory, fill_folder, photo_bytes
from tests.indexer.conftest import write_tar
from tests.test_crash import vectors_by_photo

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own: files and sockets that it leaves to be collected
ROOT = Path(__file__).parents[2]
DEADLINE_S = 300


class TwoNodes:
    """A cluster of two nodes with one processor each, to which this process is connected."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=node)
        self.second = self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        self.address: str = self.cluster.address
        ray.init(address=self.address, log_to_driver=False, logging_level="CRITICAL")

    def kill_second(self) -> None:
        """Kill the second node, as a power cut does."""
        self.cluster.remove_node(self.second, allow_graceful=False)

    def replace_second(self) -> None:
        self.second = self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)

    def shutdown(self) -> None:
        ray.shutdown()
        self.cluster.shutdown()


HELD: list[MagicMock] = []


@pytest.fixture(scope="module", autouse=True)
def _exit_functions_are_held() -> Iterator[None]:
    """Hold what Ray registers at exit: since 3.13 a forked child drops it at once, and Ray's client ends the child."""
    with patch.object(atexit, "register", wraps=atexit.register) as held:
        HELD.append(held)
        yield


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # or other tests beside these would have the processors to themselves
        ray.cloudpickle.register_pickle_by_value(tests.conftest)  # what its imports take is not for every worker
        started = TwoNodes()
        yield started
        started.shutdown()
        ray.cloudpickle.unregister_pickle_by_value(tests.conftest)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 8)
    monkeypatch.setattr("indexer.pipeline.MOST_ENTRIES", 32)


def what_is_known(library: LibraryFactory) -> dict[str, Any]:
    """Everything that adding has recorded: of each photo its vector, bytes, facts or failure; and the order of ids."""
    vectors = vectors_by_photo(library.folder.root)
    columns = [c.key for c in Photo.__table__.columns if c.key not in ("scan_id", "seen_at", "added_at")]
    with session_of(library.folder) as session:
        rows = session.scalars(select(Photo).order_by(Photo.id)).all()
    return {
        f"{row.path}!{row.member}": ({name: getattr(row, name) for name in columns}, vectors.get(row.id))
        for row in rows
    }


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Photos, copies near and far, damaged and empty files, and a tar that holds some of each."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(50):
        (folder / f"{number:03d}.jpg").write_bytes(photo_bytes(number if number % 9 else number // 2))
    (folder / "003.jpg").write_bytes(photo_bytes(3)[:400])
    (folder / "011.jpg").write_bytes(b"")
    (folder / "024.jpg").write_bytes(photo_bytes(7))
    write_tar(folder / "shard.tar", {f"{number}.jpg": photo_bytes(number) for number in (60, 61, 5, 62)})
    return folder


def test_vectors_are_those_of_one_machine_bit_for_bit(
    nodes: TwoNodes, mixed: Path, library: LibraryFactory, other_library: LibraryFactory
) -> None:
    first = other_library.add(mixed), library.add(mixed, engine="ray")
    assert [(r.run.encoded, r.run.reused, r.run.failed) for r in first] == [(47, 5, 2)] * 2
    assert what_is_known(library) == what_is_known(other_library)

    (mixed / "moved").mkdir()  # known bytes at other places, new ones at known places, a copy of what is known
    for number in range(40, 48):
        (mixed / f"{number:03d}.jpg").rename(mixed / "moved" / f"{number}.jpg")
    (mixed / "001.jpg").write_bytes(photo_bytes(101))
    for number in range(30):
        (mixed / f"new-{number:03d}.jpg").write_bytes(photo_bytes(200 + number if number % 4 else number))
    second = other_library.add(mixed), library.add(mixed, engine="ray")
    assert second[0].run.moved == 8
    for name in ("encoded", "reused", "moved", "failed", "total"):
        assert getattr(second[1].run, name) == getattr(second[0].run, name), name
    assert what_is_known(library) == what_is_known(other_library)
    assert library.open().verify() == []
    assert library.encoder.encoded_photos == 0  # on the nodes alone


def test_the_model_that_comes_along_gives_the_same_bits(
    nodes: TwoNodes, samples: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for number, path in enumerate(sorted(samples.rglob("*.jpg"))[::12]):  # a full group and a part of one
        shutil.copy(path, folder / f"{number:02d}.jpg")
    told: list[str] = []
    for engine in ("local", "ray"):
        with aliens.create(tmp_path / engine, model="starter", precision="float32", tell=told.append) as library:
            assert library.add(folder, engine=engine).run.encoded == 20
            assert library.verify() == []
    assert vectors_by_photo(tmp_path / "ray") == vectors_by_photo(tmp_path / "local")
    assert told[-1] == "a Ray cluster of 2 nodes: 2 workers on cpu in float32"
    assert capfd.readouterr().err == ""


class DiesOnce(FakeEncoder):
    """Kills its own process when it is to encode for the first time since a file was removed."""

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker = marker

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_images(pixels)


@pytest.fixture
def forty(tmp_path: Path) -> Path:
    return fill_folder(tmp_path / "forty", range(40), "{:02d}.jpg")


def check_whole(library: LibraryFactory, other_library: LibraryFactory, photos: Path) -> None:
    """See that a library has recorded what adding on one machine records."""
    other_library.add(photos)
    assert what_is_known(library) == what_is_known(other_library)
    assert library.open().verify() == []


def test_a_worker_that_is_killed_loses_nothing(
    nodes: TwoNodes, forty: Path, tmp_path: Path, library: LibraryFactory, other_library: LibraryFactory
) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    library.encoder = DiesOnce(tmp_path / "died")
    report = library.add(forty, engine="ray")
    assert (report.run.encoded, report.run.reused, (tmp_path / "died").exists()) == (40, 0, True)
    check_whole(library, other_library, forty)
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_a_node_that_is_killed_loses_nothing(
    nodes: TwoNodes, forty: Path, library: LibraryFactory, other_library: LibraryFactory
) -> None:
    killed: list[int] = []

    def kill_at_the_second_group(step: Step) -> None:
        if step.what == "embedding" and step.done >= 8 and not killed:
            killed.append(step.done)
            nodes.kill_second()

    try:
        report = library.add(forty, engine="ray", progress=kill_at_the_second_group)
    finally:
        nodes.replace_second()
    assert killed and (report.run.encoded, report.run.reused) == (40, 0)
    check_whole(library, other_library, forty)


ADDING = """
import signal, sys
from pathlib import Path
import ray, tests.conftest, indexer.pipeline
from tests.conftest import FakeEncoder
import aliens
indexer.pipeline.COMMIT_PHOTOS = 8
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where tests run in the background
ray.cloudpickle.register_pickle_by_value(tests.conftest)
def tell(step):
    if step.what == "embedding":
        print(step.done, flush=True)
        if step.done >= int(sys.argv[4]):
            sys.stdin.readline()
with aliens.open(sys.argv[1], encoder=FakeEncoder()) as library:
    report = library.add(sys.argv[2], engine="ray", address=sys.argv[3], progress=tell)
    print("interrupted", report.interrupted, flush=True)
"""


def adding(library: LibraryFactory, photos: Path, address: str, most: int) -> "subprocess.Popen[str]":
    """Return a process that adds photos, and waits to be told to go on when so many were cut into groups."""
    driver = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ADDING, str(library.folder.root), str(photos), address, str(most)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while (line := driver.stdout.readline()).strip() != str(most):
        assert line, driver.communicate()[1]
    return driver


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_is_killed_or_stopped_goes_on_from_there(
    nodes: TwoNodes, forty: Path, how: signal.Signals, library: LibraryFactory, other_library: LibraryFactory
) -> None:
    driver = adding(library, forty, nodes.address, 24)
    driver.send_signal(how)  # it waits to be told to go on
    out, err = driver.communicate("\n")
    before = vectors_by_photo(library.folder.root)
    if how is signal.SIGINT:
        assert (driver.returncode, out, err) == (0, "24\ninterrupted True\n", "") and len(before) == 24
    else:
        assert driver.returncode == -how and len(before) in range(0, 25, 8)  # whose vectors had come by then
    report = library.add(forty, engine="ray")  # by a cluster that has outlived its driver
    assert report.run.encoded == 40 - len(before)
    check_whole(library, other_library, forty)


def test_a_head_that_is_killed_ends_the_run_and_loses_nothing(
    nodes: TwoNodes,
    forty: Path,
    monkeypatch: pytest.MonkeyPatch,
    library: LibraryFactory,
    other_library: LibraryFactory,
) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")  # a minute by default
    other = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    driver = adding(library, forty, other.address, 16)
    other.head_node.kill_gcs_server(check_alive=False)
    driver.communicate("\n")
    other.shutdown()
    before = vectors_by_photo(library.folder.root)
    assert library.add(forty, engine="ray").run.encoded == 40 - len(before)
    check_whole(library, other_library, forty)


def test_photos_that_a_node_does_not_reach_are_no_failures(
    nodes: TwoNodes,
    forty: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    library: LibraryFactory,
    other_library: LibraryFactory,
) -> None:
    from indexer.ray_stages import RayStages

    hidden, read = tmp_path / "hidden", RayStages._read

    def read_while_hidden(self: RayStages, part: Any) -> Any:
        last = str(part.photos[-1].path) == str(forty / "39.jpg")
        if last:
            ray.wait([part.read], timeout=DEADLINE_S)
        there = read(self, part)
        if last:
            hidden.rename(forty / "39.jpg")
        return there

    outcomes = RayStages.outcomes

    def hide(self: RayStages, *args: Any, **options: Any) -> Any:
        (forty / "39.jpg").rename(hidden)
        return outcomes(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(RayStages, "_read", read_while_hidden)
        patch.setattr(RayStages, "outcomes", hide)
        with pytest.raises(ClusterError, match=r"node \S+ cannot read \S+/39\.jpg .*, which can be read here.*s3://"):
            library.add(forty, engine="ray")
    with library.open().catalog.session() as session:
        assert failure_counts(session) == {}
    assert len(vectors_by_photo(library.folder.root)) == 36  # whole groups
    assert library.open().verify() == []
    assert library.add(forty).run.encoded == 4
    check_whole(library, other_library, forty)


def test_another_photo_at_the_same_path_is_not_taken(
    nodes: TwoNodes, photos: Path, monkeypatch: pytest.MonkeyPatch, library: LibraryFactory
) -> None:
    from indexer.ray_stages import RayStages

    here = RayStages._read_here

    def other(self: RayStages, file: Any, is_known: Callable[[bytes], bool]) -> Any:
        whole = (photos / "00.jpg").read_bytes()
        (photos / "00.jpg").write_bytes(whole[:-2] + b"\x00\xd9")
        return here(self, file, is_known)

    monkeypatch.setattr(RayStages, "_read_here", other)
    with pytest.raises(ClusterError, match=r"has another photo at \S+/00\.jpg than this machine"):
        library.add(photos, engine="ray")
    assert vectors_by_photo(library.folder.root) == {}


class Elsewhere(FakeEncoder):
    """A model whose weights no node has."""

    recipe = Recipe(name="local-dir:/nowhere/weights", key="fake-00000000")


def test_a_node_without_the_models_weights_is_named(nodes: TwoNodes, photos: Path, library: LibraryFactory) -> None:
    library.encoder = Elsewhere()
    with pytest.raises(
        ClusterError, match=r"node \S+ cannot load the model: /nowhere/weights holds no open_clip_config"
    ):
        library.add(photos, engine="ray")


def test_a_library_is_changed_by_one_at_a_time(nodes: TwoNodes, photos: Path, library: LibraryFactory) -> None:
    with library.open().catalog.lock(), pytest.raises(LibraryBusyError, match="is changing"):
        library.add(photos, engine="ray")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", r"'nonsense' is no address of a cluster: give auto, HOST:PORT"),
        ("ray://127.0.0.1:99999", r"is no address of a cluster"),
        ("no-such-host.invalid:6379", r"there is no host no-such-host\.invalid"),
        (
            "ray://127.0.0.1:9",
            r"nobody answers there \(Connection refused\): start the cluster with `ray start --head`",
        ),
    ],
)
def test_wrong_addresses_are_told_at_once(
    library: LibraryFactory, photos: Path, address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ClusterError, match=said):
        library.add(photos, engine="ray", address=address)


def test_what_is_no_cluster_is_told_so(library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr("indexer.ray_cluster.CONNECT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"{address}: what answers there is no Ray cluster: start the cluster"):
            library.add(photos, engine="ray", address=address)


def test_an_address_or_an_engine_that_makes_no_sense_is_refused(library: LibraryFactory, photos: Path) -> None:
    with pytest.raises(QueryError, match="--address auto is of a cluster: say --engine ray as well"):
        library.add(photos, address="auto")
    with pytest.raises(QueryError, match="no engine 'spark'"):
        library.add(photos, engine="spark")  # type: ignore[arg-type]


def test_without_ray_the_extra_is_named(library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"--engine ray needs Ray: `pip install -e '\.\[ray\]'` brings it"):
        library.add(photos, engine="ray")


def test_a_cluster_of_other_versions_is_refused(
    nodes: TwoNodes, library: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, ray, aliens\nfrom base.errors import ClusterError\nfrom tests.conftest import FakeEncoder\n"
        "ray.__version__ = '1.0'\n"
        "try: aliens.open(sys.argv[1], encoder=FakeEncoder()).add(sys.argv[2], engine='ray', address=sys.argv[3])\n"
        "except ClusterError as error: print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(library.folder.root), str(photos), nodes.address],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.stdout.startswith("the cluster runs other versions than this machine, which has Ray 1.0 and Python"), run
    assert run.stderr == ""
