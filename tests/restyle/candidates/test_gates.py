import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from db.photo_rows import PhotoRecord
from embedding.quality import misshapen, same_shot, spoilt
from restyle.candidates.gates import Looked, Rejection, look
from restyle.palettes import read_palette
from tests.conftest import raising
from tests.restyle.pictures import flat, room

PALETTE = read_palette("fern")


def record(path: Path, photo_id: int = 1, hotel_id: int | None = None) -> PhotoRecord:
    return PhotoRecord(photo_id, str(path), "", None, hotel_id, None, None, None, None)


def saved(folder: Path, pixels: np.ndarray, name: str = "a.png", mode: str = "RGB", **options: object) -> Path:
    path = folder / name
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def seen(path: Path) -> Looked | Rejection:
    return look(record(path), PALETTE)


def looked(path: Path) -> Looked:
    found = seen(path)
    assert isinstance(found, Looked)
    return found


def refused(path: Path) -> Rejection:
    found = seen(path)
    assert isinstance(found, Rejection)
    return found


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.jpg", "RGB"), ("a.jpg", "L"), ("a.jpg", "CMYK"), ("a.png", "RGBA"), ("a.png", "P"), ("a.webp", "RGB")],
)
def test_photos_of_any_mode_are_measured(tmp_path: Path, name: str, mode: str) -> None:
    found = looked(saved(tmp_path, room(1, (640, 480)), name, mode))
    assert (found.width_px, found.height_px) == (640, 480)
    assert found.measures.edge_density > 0.02
    assert spoilt(found.measures) is None


def test_a_greyscale_photo_opposes_no_palette(tmp_path: Path) -> None:
    assert looked(saved(tmp_path, room(1), "a.jpg", "L")).measures.warm == 0


@pytest.mark.parametrize("ending", ["jpg", "png", "tiff", "webp"])
def test_a_turned_photo_is_told_by_its_upright_size(tmp_path: Path, ending: str) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # by a quarter
    picture = Image.fromarray(room(1)).resize((400, 300))
    picture.save(tmp_path / f"a.{ending}", exif=turned)
    told = looked(tmp_path / f"a.{ending}")
    assert (told.width_px, told.height_px) == (300, 400)
    picture.resize((1000, 300)).save(tmp_path / f"b.{ending}", exif=turned)
    assert refused(tmp_path / f"b.{ending}").kind == "very tall"


def test_photos_that_cannot_be_opened_are_rejected_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, room(1))
    for error in (MemoryError(), RecursionError("too deep"), ValueError("text too large")):
        with monkeypatch.context() as patch:
            patch.setattr("PIL.Image.open", raising(error))
            assert refused(path).kind == "unreadable"
    monkeypatch.setattr("base.files.MAX_PHOTO_BYTES", 100)
    assert "too large: 0 MB are over the cap" in refused(path).reason


def test_files_that_are_no_photos_are_rejected_with_a_reason(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(room(1)).save(whole, "JPEG")
    (tmp_path / "truncated.jpg").write_bytes(whole.getvalue()[:2000])
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name, word in (
        ("truncated.jpg", "truncated"),
        ("text.jpg", "not an image"),
        ("empty.jpg", "empty"),
        ("vanished.jpg", "No such file"),
        (".", "directory"),
    ):
        rejection = refused(tmp_path / name)
        assert rejection.kind == "unreadable"
        assert word in rejection.reason


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((1, 1), "too small"),
        ((350, 140), "too small"),
        ((200, 190), "too small"),
        ((1600, 500), "panorama"),
        ((500, 1600), "very tall"),
        ((350, 233), None),
        ((233, 350), None),
        ((2560, 1080), None),
    ],
)
def test_size_and_shape(tmp_path: Path, size: tuple[int, int], kind: str | None) -> None:
    found = misshapen(*size)
    assert (found[0] if found else None) == kind
    rejection = seen(saved(tmp_path, flat((90, 80, 70), size)))
    assert (rejection.kind if isinstance(rejection, Rejection) else None) == kind
    if isinstance(rejection, Rejection):
        assert f"{size[0]} x {size[1]}" in rejection.reason


def test_exposure_contrast_and_sharpness(tmp_path: Path) -> None:
    picture = room(2)
    white = picture.copy()
    white[:120] = 255
    dark = picture.copy()
    dark[:140] = 3
    faint = (picture * 0.05 + 120).astype(np.uint8)
    soft = gaussian_filter(picture.astype(float), (2, 2, 0)).astype(np.uint8)
    cases = {"too bright": white, "too dark": dark, "no contrast": faint, "blurred": soft}
    for kind, pixels in cases.items():
        found = spoilt(looked(saved(tmp_path, pixels)).measures)
        assert found is not None
        assert found[0] == kind
        assert any(character.isdigit() for character in found[1])
    assert spoilt(looked(saved(tmp_path, picture)).measures) is None


def test_the_same_shot_is_told_by_bytes_or_by_vector_and_lightness(tmp_path: Path) -> None:
    picture = room(3)
    one = looked(saved(tmp_path, picture, "one.png"))
    copy = looked(saved(tmp_path, picture, "copy.png"))
    smaller = looked(saved(tmp_path, picture, "smaller.jpg", quality=60))
    other = looked(saved(tmp_path, room(4), "other.png"))
    assert "bytes" in str(same_shot(copy, one, cosine=0.0, name="photo 1"))
    assert "photo 1" in str(same_shot(smaller, one, cosine=0.97, name="photo 1"))
    assert same_shot(smaller, one, cosine=0.5, name="photo 1") is None
    assert same_shot(other, one, cosine=0.99, name="photo 1") is None  # as any two rooms may be


def test_real_photos_pass_and_their_copies_are_found(shared_photos: Path, tmp_path: Path) -> None:
    paths = sorted(shared_photos.rglob("*.jpg"))[::40]
    found = [seen(path) for path in paths]
    fit = [photo for photo in found if isinstance(photo, Looked) and spoilt(photo.measures) is None]
    assert len(fit) >= len(paths) - 1
    for photo, path in list(zip(found, paths, strict=True))[:8]:
        if isinstance(photo, Looked):
            with Image.open(path) as original:
                smaller = original.convert("RGB").resize((round(original.width * 0.9), round(original.height * 0.9)))
            smaller.save(tmp_path / "smaller.jpg", quality=70)
            assert same_shot(looked(tmp_path / "smaller.jpg"), photo, cosine=0.98, name="photo 1")
    different = [(a, b) for i, a in enumerate(fit) for b in fit[:i] if same_shot(a, b, cosine=0.98, name="photo 1")]
    assert different == []
