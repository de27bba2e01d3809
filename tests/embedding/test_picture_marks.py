import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from base.errors import PhotoError
from base.files import PhotoFile
from embedding.decode import decode_to_fit
from embedding.picture_marks import (
    READ_PX,
    PictureMark,
    SamePicture,
    made_copies,
    mark_of,
    may_be_same,
    same_picture,
    small_picture,
    window_hashes,
)
from tests.conftest import photo_bytes

Pictures = dict[Path, Image.Image]


@pytest.fixture(scope="module")
def pictures(samples: Path) -> Pictures:
    """Two dozen sample photos at full size."""
    return {path: Image.open(path).convert("RGB") for path in sorted(samples.rglob("*.jpg"))[::10]}


def small(picture: Image.Image) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    return decode_to_fit(data.getvalue(), (READ_PX, READ_PX))


def alike(one: Image.Image, other: Image.Image, same_vector: bool = False) -> SamePicture | None:
    a, b = small(one), small(other)
    return same_picture(mark_of(a), mark_of(b), lambda: (window_hashes(a), window_hashes(b)), same_vector=same_vector)


def test_copies_are_the_same_picture(pictures: Pictures) -> None:
    for photo in list(pictures.values())[::4]:
        for kind, data in made_copies(np.asarray(photo)):
            found = alike(photo, Image.open(io.BytesIO(data)))
            assert found is not None, kind
            assert found.bits <= 40
        width, height = photo.size
        cropped = alike(photo, photo.crop((width // 20, 0, width, height - height // 20)))
        assert cropped is not None and cropped.bits < 20


def test_other_photos_and_other_versions_are_other_pictures(pictures: Pictures) -> None:
    photos = list(pictures.values())
    assert not any(alike(one, other) for at, one in enumerate(photos[:8]) for other in photos[at + 1 :])
    for photo in photos[::6]:
        assert alike(photo, ImageOps.mirror(photo)) is None
        turned = Image.merge("RGB", [photo.getchannel(band) for band in "BRG"])  # the same shapes in other colours
        chroma = np.abs(np.diff(np.asarray(photo.resize((8, 8)), np.int16), axis=2)).mean()
        assert chroma < 12 or alike(photo, turned) is None


def test_plain_pictures_are_the_same_only_where_the_model_sees_no_difference() -> None:
    white, cream, black = (Image.new("RGB", (300, 200), colour) for colour in ("white", "#fffdf0", "black"))
    assert alike(white, cream) is None
    assert alike(white, cream, same_vector=True) == SamePicture(0, False)
    assert alike(white, black, same_vector=True) is None


def test_many_pairs_are_told_apart_as_single_ones(pictures: Pictures) -> None:
    marks = [mark_of(small(picture)) for picture in list(pictures.values())[:6]]
    pairs = [(one, other) for one in marks for other in marks]
    bits, cells = (
        [np.stack([getattr(pair[at], name) for pair in pairs]) for at in (0, 1)] for name in ("bits", "cells")
    )
    found = may_be_same(PictureMark(bits[0], cells[0]), PictureMark(bits[1], cells[1]), np.zeros(len(pairs), bool))
    assert found.tolist() == [bool(may_be_same(one, other, np.array(False))) for one, other in pairs]
    assert found.sum() >= 6


def test_a_photo_with_other_bytes_than_it_had_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo_bytes(1))
    assert small_picture(PhotoFile(str(tmp_path / "a.jpg")), None).size == (96, 64)
    with pytest.raises(PhotoError, match="another file than when it was added"):
        small_picture(PhotoFile(str(tmp_path / "a.jpg")), bytes(32))
