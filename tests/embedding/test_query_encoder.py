import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from base.errors import ModelMismatchError
from base.settings import LibraryFolder
from embedding import text_export, text_tower
from embedding.decode import decode
from embedding.encoder import LazyEncoder, keep_text_tower
from embedding.open_clip_encoder import OpenClipEncoder
from embedding.text_export import export_text_tower
from embedding.text_tower import MANIFEST_FILE, WEIGHTS_FILE, TextTower
from tests.by_folder import add_photos, create_library, open_library, source_at
from tests.conftest import raising

ROOT = Path(__file__).parents[2]
SEARCH = """
import json, sys
from cli import main
sys.argv = ["aliens", *json.loads(sys.argv[1])]
try:
    main()
finally:
    heavy = {"torch", "open_clip", "alembic", "PIL", "sklearn", "pyarrow", "matplotlib", "ftfy", "rich.table", "regex"}
    sys.stderr.write("imported: " + " ".join(sorted(heavy & set(sys.modules))) + "\\n")
"""


class Loading:
    """Loads a model, and counts how often a lazy encoder says that it does."""

    def __init__(self, folder: Path) -> None:
        self.name = f"local-dir:{folder}"
        self.key: str | None = None
        self.dim = 0
        self.count = 0

    def __call__(self) -> OpenClipEncoder:
        return OpenClipEncoder.load(self.name, device="cpu", precision="float32", key=self.key)

    def lazy(self, tower: Path) -> LazyEncoder:
        options = {"device": "cpu", "precision": "float32", "tell": self.hear}
        return LazyEncoder(tower, name=self.name, key=self.key, dim=self.dim, **options)

    def hear(self, note: str) -> None:
        self.count += note.startswith("loading ")


@pytest.fixture
def loading(save_tiny_model: Callable[..., Path]) -> Loading:
    return Loading(save_tiny_model("tiny"))


@pytest.fixture
def tower(loading: Loading, tmp_path: Path) -> Path:
    """The tower of that model; its key is then expected."""
    encoder = loading()
    folder = tmp_path / "library" / "text" / encoder.key
    assert export_text_tower(encoder, folder) is None
    loading.key, loading.dim = encoder.key, encoder.dim
    return folder


def test_texts_need_no_model_where_the_tower_is(loading: Loading, tower: Path) -> None:
    encoder = loading.lazy(tower)
    texts, prompts = ["a pool", "a sofa"], ("{}", "a photo of {}")
    vectors, prompt, scale = encoder.encode_texts(texts), encoder.encode_prompts("a bed", prompts), encoder.logit_scale
    assert loading.count == 0
    whole = loading()
    assert vectors == pytest.approx(whole.encode_texts(texts), abs=1e-5)
    assert prompt == pytest.approx(whole.encode_prompts("a bed", prompts), abs=1e-5)
    assert scale == whole.logit_scale


def test_photos_load_the_whole_model_once(loading: Loading, tower: Path, photos: Path) -> None:
    encoder = loading.lazy(tower)
    pixels = decode((photos / "00.jpg").read_bytes(), encoder.preprocessing).pixels[None]
    assert encoder.encode_images(pixels) == pytest.approx(encoder.whole.encode_images(pixels), abs=1e-6)
    assert loading.count == 1


@pytest.mark.parametrize("damaged", [False, True], ids=["absent", "damaged"])
def test_without_a_sound_tower_the_model_is_loaded_and_leaves_one(damaged: bool, loading: Loading, tower: Path) -> None:
    weights = tower / WEIGHTS_FILE
    data = weights.read_bytes()
    if damaged:
        weights.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    else:
        weights.unlink()
    encoder = loading.lazy(tower)
    vector = encoder.encode_texts(["a pool"])
    assert loading.count == 1
    assert vector == pytest.approx(encoder.whole.encode_texts(["a pool"]), abs=1e-6)
    assert loading.lazy(tower).encode_texts(["a pool"]) == pytest.approx(vector, abs=1e-5)
    assert loading.count == 1
    assert weights.read_bytes() == data


def test_a_tower_that_has_come_to_differ_is_dropped_when_the_model_is_loaded(
    loading: Loading, tower: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = loading.lazy(tower)
    monkeypatch.setattr(text_tower, "gelu", lambda x: x)  # as if NumPy computed otherwise now
    vector = encoder.whole.encode_texts(["a pool"])
    assert encoder.encode_texts(["a pool"]) == pytest.approx(vector, abs=1e-6)
    assert TextTower.open(tower, loading.key) is None


def test_texts_are_answered_by_the_librarys_model_after_its_files_have_changed(
    loading: Loading, tower: Path, save_tiny_model: Callable[..., Path]
) -> None:
    """The vectors of the library are the old model's, and so is the tower; photos need files that are no more."""
    before = loading().encode_texts(["a pool"])
    loading.name = f"local-dir:{save_tiny_model('other', seed=1)}"
    encoder = loading.lazy(tower)
    assert encoder.encode_texts(["a pool"]) == pytest.approx(before, abs=1e-5)
    with pytest.raises(ModelMismatchError):
        _ = encoder.preprocessing
    assert TextTower.open(tower, loading.key) is not None


def test_a_library_is_made_with_its_tower_and_searched_with_it(
    loading: Loading, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, encoder = LibraryFolder(tmp_path / "library"), loading()
    create_library(folder, encoder)
    assert TextTower.open(folder.text_tower(encoder.key), encoder.key) is not None
    add_photos(folder, source_at(photos, folder.root, may_be_gone=False), lambda model: encoder)
    with open_library(folder.root, load_encoder=lambda model: encoder) as library:
        expected = [(hit.photo_id, hit.score) for hit in library.search("a pool")]
    loaded: list[str] = []
    monkeypatch.setattr(OpenClipEncoder, "load", lambda name, **options: loaded.append(name) or encoder)
    with open_library(folder.root) as library:
        found = [(hit.photo_id, hit.score) for hit in library.search("a pool")]
        assert not loaded
        library.search("a pool", image=photos / "00.jpg")
        assert loaded == [encoder.name]
    assert [photo_id for photo_id, _ in found] == [photo_id for photo_id, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)


def test_a_library_can_be_made_on_a_disk_without_room_for_the_tower(
    loading: Loading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_export, "write_tower", raising(OSError(28, "No space left on device")))
    folder = LibraryFolder(tmp_path / "library")
    create_library(folder, loading())
    assert folder.database_file.exists()


def test_a_tower_of_numbers_that_are_none_is_not_kept(loading: Loading, tmp_path: Path) -> None:
    encoder = loading()
    encoder.model.text_projection.data[:] = float("nan")
    reason = keep_text_tower(encoder, tmp_path / "text" / encoder.key)
    assert "not finite" in reason
    assert TextTower.open(tmp_path / "text" / encoder.key, encoder.key) is None


@pytest.mark.parametrize(
    "manifest", ['{"content": 5, "crc32": 0}', "[]", "5", '{"content": null}', '{"content": "5", "crc32": 0}']
)
def test_a_forged_manifest_is_no_tower(loading: Loading, tower: Path, manifest: str) -> None:
    (tower / MANIFEST_FILE).write_text(manifest)
    assert TextTower.open(tower, loading.key) is None


# As the shell runs it


@pytest.fixture(scope="module")
def starter_library(starter: OpenClipEncoder, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of a few sample photos, by the embedded model."""
    root = tmp_path_factory.mktemp("cold")
    folder, photos = LibraryFolder(root / "library"), root / "photos"
    photos.mkdir()
    for photo in sorted(samples.rglob("*.jpg"))[::40]:
        shutil.copy(photo, photos)
    create_library(folder, starter)
    add_photos(folder, source_at(photos, folder.root, may_be_gone=False), lambda model: starter)
    return folder.root


def run(*arguments: object) -> tuple[str, list[str]]:
    """Run a command in a process of its own; return its stdout, and which heavy packages it imported."""
    words = json.dumps([str(argument) for argument in arguments])
    done = subprocess.run([sys.executable, "-c", SEARCH, words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.rpartition("imported: ")[2].split()


def test_a_cold_text_search_imports_nothing_that_it_does_not_need(
    starter_library: Path, starter: OpenClipEncoder
) -> None:
    out, heavy = run("search", "bathtub with a view", "--library", starter_library, "--json", "-k", 3)
    assert heavy == []
    hits = [json.loads(line) for line in out.splitlines()]
    with open_library(starter_library, load_encoder=lambda model: starter) as library:
        expected = library.search("bathtub with a view", k=3)
    assert [hit["photo_id"] for hit in hits] == [hit.photo_id for hit in expected]
    assert [hit["score"] for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-5)
    assert run("search", "кровать", "--library", starter_library)[1] == ["ftfy", "regex"]


def test_a_cold_photo_search_loads_the_whole_model(starter_library: Path, samples: Path) -> None:
    photo = next(samples.rglob("*.jpg"))
    out, heavy = run("search", "--image", photo, "--library", starter_library, "-k", 1)
    assert out
    assert {"torch", "open_clip", "PIL"} <= set(heavy)
