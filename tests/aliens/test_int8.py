"""A library whose photos are embedded by a model that was calibrated to int8 on them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the extra openvino is not installed")
pytest.importorskip("nncf", reason="the extra openvino is not installed")

import aliens
from aliens.library import Library
from base.errors import EncoderError, QueryError
from db.photo_rows import photos_at
from db.vector_rows import segment_with
from embedding.device import cpu_has_int8
from embedding.image_files import RECORD_FILE
from indexer import calibration_photos
from tests.conftest import LibraryFactory

if not cpu_has_int8():
    pytest.skip("this processor has no instructions for int8", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def few_photos() -> Iterator[None]:
    """Calibrate on few photos, which is quicker, and have nothing said of the backend."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration_photos, "CALIBRATION_PHOTOS", 40)
        patch.setattr(calibration_photos, "SAMPLE_PHOTOS", 60)
        patch.delenv("ALIENS_BACKEND")
        yield


@pytest.fixture(scope="module")
def made(sample_library: Library, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Half of the sample photos with vectors of int8 beside those of float32, not to be changed; embedding's words."""
    root = tmp_path_factory.mktemp("int8") / "library"
    shutil.copytree(sample_library.path, root)
    with aliens.open(root) as library:
        library.forget(*sorted(samples.rglob("*.jpg"))[::2])
    with aliens.open(root, precision="int8") as library:
        return root, str(library.embed())


@pytest.fixture
def library(made: tuple[Path, str], tmp_path: Path) -> Iterator[Library]:
    """A copy of it, elsewhere, with int8 in use."""
    shutil.copytree(made[0], tmp_path / "moved")
    with aliens.open(tmp_path / "moved") as library:
        library.use("starter@int8")
    with aliens.open(tmp_path / "moved") as library:
        yield library


def test_it_is_calibrated_measured_and_told(made: tuple[Path, str]) -> None:
    root, report = made
    assert "120 photos got vectors of starter-int8-" in report
    assert "int8: cosine with float32 0.99" in report
    assert "on 60 photos; calibrated on 40 others" in report
    with aliens.open(root) as library:
        first, second = library.models()
        assert (first.name, first.drift, second.name) == ("starter", None, "starter@int8")
        assert second.drift is not None
        assert second.drift.cosine_mean > 0.995
        assert str(second.drift) in str(library.info())
        assert library.verify() == []
        with library.catalog.session() as session:
            exact = library.index(session).ids
        with aliens.open(root, model="starter@int8") as other, other.catalog.session() as session:
            assert np.array_equal(np.sort(other.index(session).ids), np.sort(exact))


def test_embedding_again_finds_the_calibrated_model(made: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(made[0], tmp_path / "copy")
    before = sorted((tmp_path / "copy" / "image").iterdir())
    with aliens.open(tmp_path / "copy", precision="int8") as library:
        assert library.embed("starter").recorded == 0
        assert library.embed("starter@int8").lacking == 0
    assert sorted((tmp_path / "copy" / "image").iterdir()) == before


def vector_of(library: Library, path: Path) -> np.ndarray:
    """Return the vector that a photo has, as it is stored."""
    with library.catalog.session() as session:
        photo = photos_at(session, [(str(path), "")])[(str(path), "")]
        return library.store.vector(lambda: segment_with(session, library.model, photo.id), photo.id)


def test_photos_are_added_by_int8_bit_for_bit_as_they_were(library: Library, samples: Path, tmp_path: Path) -> None:
    """A moved library goes on by the model that it holds; the same photos get the same vectors."""
    photos = sorted(samples.rglob("*.jpg"))[1:18:2]
    before = [vector_of(library, path) for path in photos]
    library.forget(*photos)
    (tmp_path / "copies").mkdir()
    copies = [Path(shutil.copy(path, tmp_path / "copies")) for path in photos]
    assert library.add(tmp_path / "copies").run.encoded == 9
    for path, vector in zip(copies, before, strict=True):
        assert np.array_equal(vector_of(library, path), vector)
    assert library.verify() == []


def test_what_is_lost_is_told_and_texts_still_search(library: Library, photos: Path) -> None:
    folder = library.folder.image_towers / library.model.key
    weights = folder / "tower.bin"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert [(each.part, "checksum" in each.what) for each in library.verify()] == [("image tower", True)]
    assert library.verify(quick=True) == []
    (folder / RECORD_FILE).unlink()
    lost = library.verify(quick=True)
    assert [each.part for each in lost] == ["image tower"]
    assert "`aliens forget --model starter@int8`" in lost[0].remedy
    assert len(library.search("a pool", k=3)) == 3
    with pytest.raises(EncoderError, match="Restore it from a backup of the library, or use another model"):
        library.add(photos)


def test_without_the_extra_photos_cannot_be_added_and_can_be_searched(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding.openvino_tower.find_spec", lambda name: None)
    with pytest.raises(EncoderError, match=r"starter@int8 needs the extra openvino .*`pip install '.\[openvino\]'`"):
        library.add(photos)
    assert len(library.search("a pool", k=3)) == 3
    with aliens.open(library.path, precision="int8") as asked, pytest.raises(QueryError, match="is the model in use"):
        asked.embed()


def test_another_precision_than_its_own_is_refused(library: Library, photos: Path) -> None:
    for asked, why in (({"precision": "bfloat16"}, "vectors of starter@int8 are those of int8"),
                       ({"device": "cuda"}, "int8 is computed on processors alone"),
                       ({"backend": "torch"}, "int8 is computed by OpenVINO alone")):  # fmt: skip
        with aliens.open(library.path, **asked) as other, pytest.raises(EncoderError, match=why):
            other.add(photos)


def test_forgetting_the_model_removes_what_was_calibrated(made: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(made[0], tmp_path / "copy")
    with aliens.open(tmp_path / "copy") as library:
        key = library.models()[1].key
        assert (library.folder.image_towers / key).is_dir()
        (library.folder.image_towers / "partial-0a1b2c3d").mkdir()  # of a calibration that was killed
        assert ["partial-0a1b2c3d belongs to nothing" in each.what for each in library.verify()] == [True]
        library.repair()
        assert (library.folder.image_towers / key).is_dir()
        library.forget_model("starter@int8")
        assert list(library.folder.image_towers.iterdir()) == []
        assert library.verify() == []


def test_a_library_with_few_photos_is_told_how_many_it_takes(library: Library, tmp_path: Path) -> None:
    with aliens.create(tmp_path / "empty", "starter", backend="torch") as empty:
        pass
    with aliens.open(empty.path, precision="int8") as asked:
        with pytest.raises(QueryError, match=r"96 at least, and 0 different photos can be read here: add more"):
            asked.embed()
        with pytest.raises(EncoderError, match=r"`aliens embed --model starter --precision int8` makes"):
            asked.encoder.encode_images(np.zeros((1, 260, 260, 3), np.uint8))


def test_the_model_to_embed_by_is_still_named_without_int8(template: LibraryFactory, tmp_path: Path) -> None:
    shutil.copytree(template.folder.root, tmp_path / "library")
    with aliens.open(tmp_path / "library") as library, pytest.raises(QueryError, match="name the model to embed by"):
        library.embed()
