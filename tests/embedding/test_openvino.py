"""OpenVINO in PyTorch's place: the same vectors, what is kept of a conversion, and which of both is chosen."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the extra openvino is not installed")
pytest.importorskip("nncf", reason="the extra openvino is not installed")

from base.errors import EncoderError, ModelMismatchError
from embedding import backends, image_files, int8, open_clip_encoder
from embedding.backends import BackendSpeeds, choose_backend, keep_speeds, kept_tower, known_speeds
from embedding.image_files import FILES, RECORD_FILE, image_tower_problem, left_partial, read_tower_record
from embedding.int8 import calibrated, drift_of
from embedding.open_clip_encoder import OpenClipEncoder
from tests.conftest import raising
from tests.embedding.conftest import flipped, overwrite, unit_vectors
from tests.unwritable import without_rights

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and nothing said of the backend."""
    monkeypatch.setenv("ALIENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ALIENS_BACKEND")
    return tmp_path / "cache"


@pytest.fixture
def tiny(save_tiny_model: Callable[..., Path]) -> str:
    return f"local-dir:{save_tiny_model('tiny')}"


def load(name: str, **options: object) -> OpenClipEncoder:
    chosen = {"device": "cpu", "precision": "float32", "backend": "openvino"} | options
    return OpenClipEncoder.load(name, **chosen)  # type: ignore[arg-type]


def squares(n: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Return pictures of smooth noise, uint8 (n, side, side, 3)."""
    cells = np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    return cells.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(axis=1)


# The same vectors


def test_vectors_are_those_of_pytorch(starter: OpenClipEncoder, samples: Path, cache: Path) -> None:
    from embedding.decode import decode

    paths = sorted(samples.rglob("*.jpg"))[::20]
    photos = np.stack([decode(path.read_bytes(), starter.preprocessing).pixels for path in paths])
    by_torch = starter.encode_images(photos)
    exact = load("starter")
    assert (exact.key, exact.backend, exact.dim) == (starter.key, "openvino", starter.dim)
    assert "OpenVINO on cpu" in str(exact)
    assert cosines(by_torch, exact.encode_images(photos)).min() > 0.99999
    assert cosines(exact.encode_texts(["a pool"]), starter.encode_texts(["a pool"])).min() > 0.999999
    rough = cosines(by_torch, load("starter", precision="bfloat16").encode_images(photos))
    assert rough.mean() > 0.999
    assert rough.min() > 0.997  # as by PyTorch in bfloat16: see docs/measured.md


def test_a_vector_does_not_depend_on_the_batch(tiny: str) -> None:
    encoder = load(tiny)
    photos = squares(21)
    whole = encoder.encode_images(photos)
    parts = [encoder.encode_images(photos[:13]), encoder.encode_images(photos[13:])]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(whole[20:], encoder.encode_images(photos[20:]))
    assert np.array_equal(load(tiny).encode_images(photos), whole)  # read from the cache
    with pytest.raises(EncoderError, match=r"takes photos of shape \(32, 32, 3\)"):
        encoder.encode_images(squares(1, 64))


def test_threads_share_it(tiny: str) -> None:
    encoder = load(tiny)
    photos = squares(40)
    whole = encoder.encode_images(photos)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda at: encoder.encode_images(photos[at : at + 5]), range(0, 40, 5)))
    assert np.array_equal(np.concatenate(parts), whole)


def in_a_process(script: str, *arguments: object) -> str:
    """Run a script in a process of its own; return what it printed."""
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


FORKED = """
import os, sys
import numpy as np
from embedding.open_clip_encoder import OpenClipEncoder
encoder = OpenClipEncoder.load(sys.argv[1], device="cpu", precision="float32", backend="openvino")
photos = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
here = encoder.encode_images(photos)
print("telemetry" in repr(sys.modules.get("openvino_telemetry")), flush=True)
pid = os.fork()
if not pid:
    os._exit(0 if np.array_equal(encoder.encode_images(photos), here) else 3)
print(os.waitpid(pid, 0)[1], np.array_equal(encoder.encode_images(photos), here))
"""


def test_a_forked_child_goes_on_and_nobody_is_told_that_it_is_used(tiny: str) -> None:
    assert in_a_process(FORKED, tiny).split() == ["False", "0", "True"]


# What is kept of a conversion


def test_a_second_start_converts_nothing(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(tiny)
    before = first.encode_images(squares(3))
    assert image_tower_problem(kept_tower(first.key), first.key) is None
    assert read_tower_record(kept_tower(first.key), "other-00000000") is None
    monkeypatch.setattr(open_clip_encoder, "as_openvino", raising(AssertionError("it was converted again")))
    assert np.array_equal(load(tiny).encode_images(squares(3)), before)


@pytest.mark.parametrize("name", [*FILES, RECORD_FILE])
def test_what_is_damaged_is_converted_again(tiny: str, name: str) -> None:
    first = load(tiny)
    before = first.encode_images(squares(3))
    folder = kept_tower(first.key)
    overwrite(folder / name, flipped((folder / name).read_bytes(), 40))
    assert image_tower_problem(folder, first.key) is not None
    assert np.array_equal(load(tiny).encode_images(squares(3)), before)
    assert image_tower_problem(folder, first.key) is None


UNWRITABLE = """
import sys
import numpy as np
from embedding.open_clip_encoder import OpenClipEncoder
encoder = OpenClipEncoder.load(sys.argv[1], device="cpu", precision="float32", backend="openvino")
print(encoder.encode_images(np.zeros((1, 32, 32, 3), np.uint8)).shape)
"""


def test_where_nothing_can_be_kept_it_is_converted_each_time(
    tiny: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    cache.chmod(0o555)
    assert without_rights(UNWRITABLE, tiny).strip() == "(1, 8)"
    assert not list(cache.iterdir())


def test_on_a_full_disk_nothing_is_left(tiny: str, cache: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))\n"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    assert in_a_process(limit + ignore + UNWRITABLE, tiny).strip() == "(1, 8)"
    assert not list((cache / "image").iterdir())


WRITES_SLOWLY = """
import sys, time
from pathlib import Path
from embedding.image_files import partial_tower
with partial_tower(Path(sys.argv[1])) as partial:
    (partial / "tower.bin").write_bytes(b"half")
    print("begun", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_conversion_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    parent = tmp_path / "image"
    command = [sys.executable, "-c", WRITES_SLOWLY, str(parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "begun\n"
        assert left_partial(parent) == []  # it is at work
        process.kill()
    assert len(left_partial(parent)) == 1
    with image_files.partial_tower(parent):
        assert len(list(parent.iterdir())) == 1
    assert list(parent.iterdir()) == []


# Which of both is chosen


def test_the_faster_one_is_measured_once(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    first = load(tiny, backend="auto", tell=notes.append)
    assert "measuring, this once" in notes[0]
    assert "PyTorch " in notes[1]
    assert "OpenVINO " in notes[1]
    assert len(notes) == 2
    known = known_speeds(first.key, "float32")
    assert first.backend == known.faster
    assert kept_tower(first.key).exists() == (first.backend == "openvino")
    assert load(tiny, backend="auto", tell=notes.append).backend == first.backend
    assert len(notes) == 2
    for speeds, chosen in (((10.0, 10.9), "torch"), ((10.0, 11.1), "openvino"), ((0.0, 0.0), "torch")):
        keep_speeds(first.key, "float32", BackendSpeeds(where=known.where, torch=speeds[0], openvino=speeds[1]))
        assert load(tiny, backend="auto", tell=notes.append).backend == chosen
    keep_speeds(first.key, "float32", BackendSpeeds(where="another machine", torch=1.0, openvino=9.0))
    assert known_speeds(first.key, "float32") is None
    monkeypatch.setenv("ALIENS_BACKEND", "torch")
    assert load(tiny, backend="auto", tell=notes.append).backend == "torch"


def test_a_model_that_cannot_be_converted_stays_with_pytorch(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = raising(EncoderError("OpenVINO cannot take over this model (odd operation): use `--backend torch`"))
    monkeypatch.setattr(open_clip_encoder, "as_openvino", unknown)
    assert load(tiny, backend="auto").backend == "torch"
    with pytest.raises(EncoderError, match="use `--backend torch`"):
        load(tiny).encode_images(squares(1))


def test_what_cannot_be_is_refused_with_the_remedy(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match="no backend 'tpu': choose one of auto, torch, openvino"):
        load(tiny, backend="tpu")
    with pytest.raises(EncoderError, match="not on cuda: say --device cpu as well"):
        choose_backend("openvino", "cuda")
    assert choose_backend("auto", "cuda") == "torch"
    with pytest.raises(EncoderError, match=r"`aliens embed --model .*tiny --precision int8` makes its vectors once"):
        load(tiny, precision="int8")
    with pytest.raises(EncoderError, match="leave out --device cuda"):
        load(f"{tiny}@int8", precision="auto", device="cuda")
    with pytest.raises(EncoderError, match="leave out --backend torch"):
        load(f"{tiny}@int8", precision="auto", backend="torch")
    with pytest.raises(EncoderError, match="leave out --precision bfloat16"):
        load(f"{tiny}@int8", precision="bfloat16")
    monkeypatch.setattr("embedding.openvino_tower.find_spec", lambda name: None)
    assert not backends.has_openvino()
    assert choose_backend("auto", "cpu") == "torch"
    with pytest.raises(EncoderError, match=r"extra openvino .*not installed.*pip install '.\[openvino\]'"):
        choose_backend("openvino", "cpu")


# int8


@pytest.fixture
def towers(tmp_path: Path) -> Path:
    return tmp_path / "library" / "image"


def calibrate(name: str, towers: Path) -> OpenClipEncoder:
    encoder = load(name, backend="torch")
    return calibrated(encoder, squares(24, seed=1), squares(24, seed=2), unit_vectors(3, encoder.dim), towers)


def test_a_calibrated_model_is_found_again_and_is_one_of_its_own(
    tiny: str, towers: Path, monkeypatch: pytest.MonkeyPatch, save_tiny_model: Callable[..., Path]
) -> None:
    if not backends.cpu_has_int8():
        pytest.skip("this processor has no instructions for int8")
    monkeypatch.setattr(image_files, "LEAST_RECALL", 0.0)  # of a model without meaning
    monkeypatch.setattr(image_files, "LEAST_MEAN_COSINE", 0.9)
    made = calibrate(tiny, towers)
    assert made.name == f"{tiny}@int8"
    assert made.key.startswith("tiny-int8-")
    assert made.precision == "int8"
    assert (made.drift.calibrated_on, made.drift.measured_on, made.drift.prompts) == (24, 24, 3)
    exact, photos = load(tiny, backend="torch"), squares(9, seed=3)
    between = cosines(made.encode_images(photos), exact.encode_images(photos))
    assert 0.9 < between.min() < 0.9999999
    again = load(made.name, precision="auto", backend="auto", key=made.key, towers=towers)
    assert (again.key, again.name, again.drift) == (made.key, made.name, made.drift)
    assert np.array_equal(again.encode_images(photos), made.encode_images(photos))
    assert np.array_equal(again.encode_texts(["a pool"]), exact.encode_texts(["a pool"]))
    # A processor without the instructions, or no OpenVINO, still loads it for texts.
    monkeypatch.setattr(backends, "cpu_has_int8", lambda: False)
    elsewhere = load(made.name, precision="int8", key=made.key, towers=towers)
    assert elsewhere.encode_texts(["a pool"]).shape == (1, made.dim)
    with pytest.raises(EncoderError, match=r"no instructions for int8 \(AVX512-VNNI, AVX-VNNI or AMX\)"):
        elsewhere.encode_images(photos)
    with pytest.raises(EncoderError, match="no instructions for int8"):
        int8.refuse_calibration("starter")
    monkeypatch.setattr("embedding.openvino_tower.find_spec", lambda name: None)
    with pytest.raises(EncoderError, match=r"tiny@int8 needs the extra openvino .*pip install '.\[openvino\]'"):
        elsewhere.encode_images(photos)
    # Other weights, or none.
    weights = Path(tiny.removeprefix("local-dir:")) / "open_clip_model.safetensors"
    weights.write_bytes((save_tiny_model("other", seed=1) / weights.name).read_bytes())
    with pytest.raises(ModelMismatchError, match=r"was calibrated from tiny-\w+: .* is now tiny-"):
        load(made.name, precision="auto", key=made.key, towers=towers)
    (towers / made.key / RECORD_FILE).unlink()
    with pytest.raises(EncoderError, match=r"tower.json is damaged or gone. Restore it from a backup"):
        load(made.name, precision="auto", key=made.key, towers=towers)


def test_what_drifts_too_far_is_refused_with_the_figures(
    tiny: str, towers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not backends.cpu_has_int8():
        pytest.skip("this processor has no instructions for int8")
    monkeypatch.setattr(image_files, "LEAST_MEAN_COSINE", 1.1)
    with pytest.raises(
        EncoderError, match=r"too rough for local-dir:.*cosine with float32 0\.\d+ in the mean.*bfloat16"
    ):
        calibrate(tiny, towers)
    assert not towers.exists()


def test_drift_is_told_in_cosines_and_in_photos_that_are_found() -> None:
    exact = np.eye(20, dtype=np.float32)
    texts = np.stack([np.linspace(1, 0.05, 20), np.linspace(0.05, 1, 20)]).astype(np.float32)
    same = drift_of(exact, exact, texts, 7)
    assert (same.cosine_mean, same.cosine_least, same.recall, same.calibrated_on) == (1.0, 1.0, 1.0, 7)
    assert same.is_small
    rough = exact.copy()
    rough[[9, 10]] = exact[[10, 9]]  # on the edge of both prompts' ten best
    other = drift_of(exact, rough, texts, 7)
    assert (other.cosine_least, other.cosine_mean, other.recall) == (0.0, pytest.approx(0.9), pytest.approx(0.9))
    assert not other.is_small
    assert str(same) == (
        "cosine with float32 1.0000 in the mean, 1.000 at the least, recall@10 of 2 tags 1.000, on 20 photos; "
        "calibrated on 7 others"
    )
