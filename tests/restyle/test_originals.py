import hashlib
from pathlib import Path

import numpy as np
import pytest

from base.errors import PhotoError
from restyle.restyled import original_of
from tests.conftest import LibraryFactory, photo_bytes
from tests.restyled import lineage_of, results_of

PIXELS = np.full((5, 7, 3), 200, np.uint8)


def test_a_folder_that_was_renamed_and_added_anew_holds_the_originals_still(
    stocked: LibraryFactory, photos: Path
) -> None:
    sha256 = hashlib.sha256((photos / "00.jpg").read_bytes()).hexdigest()
    with results_of(stocked.folder) as (session, results):
        result = results.keep(PIXELS, lineage_of(1, source_sha256=sha256))
        assert original_of(session, result).path == str(photos / "00.jpg")
        renamed = photos.rename(photos.with_name("renamed"))
        with pytest.raises(FileNotFoundError):
            original_of(session, result)
        stocked.add(renamed)
    with results_of(stocked.folder) as (session, _):
        assert original_of(session, result).path == str(renamed / "00.jpg")
        (renamed / "00.jpg").write_bytes(photo_bytes(99))
        with pytest.raises(PhotoError, match="was changed since"):
            original_of(session, result)


@pytest.mark.parametrize(("now", "match"), [(photo_bytes(99), "was changed since"), (bytes(50_000), "over the cap")])
def test_an_original_that_was_changed_is_found_by_its_copy_or_not_at_all(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, now: bytes, match: str
) -> None:
    before = (photos / "00.jpg").read_bytes()
    (photos / "copy.jpg").write_bytes(before)
    library.add(photos)
    monkeypatch.setattr("base.files.MAX_PHOTO_BYTES", 49_999)
    with results_of(library.folder) as (session, results):
        result = results.keep(PIXELS, lineage_of(1, source_sha256=hashlib.sha256(before).hexdigest()))
        (photos / "00.jpg").write_bytes(now)
        assert original_of(session, result).path == str(photos / "copy.jpg")
        (photos / "copy.jpg").write_bytes(now)
        with pytest.raises(PhotoError, match=match):
            original_of(session, result)
