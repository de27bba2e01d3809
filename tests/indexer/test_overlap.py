"""Where something else than the CPU encodes: the next group is gathered and the last recorded while one is encoded."""

import random
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.by_folder import disagreements as verify
from tests.conftest import FakeEncoder, LibraryFactory, fill_folder, photo_bytes
from tests.indexer.conftest import EMBEDDED, check_invariants, check_sound, states_of, vectors_of


class FarEncoder(FakeEncoder):
    """An encoder on another device than the CPU."""

    keeps_cpu_busy = False


def mixed(folder: Path, seed: int) -> Path:
    """Return a folder of new photos, copies near and far, and files that are none."""
    draw = random.Random(seed)
    folder.mkdir()
    for number in range(60):
        kind = draw.choice(("new", "new", "new", "copy", "copy", "broken"))
        content = photo_bytes(number if kind == "new" else draw.randrange(max(number, 1)))
        (folder / f"{number:02d}.jpg").write_bytes(b"no photo" if kind == "broken" else content)
    return folder


@pytest.mark.parametrize("commit", [3, 8, 256])
def test_the_library_is_the_same_to_the_last_bit(
    library: LibraryFactory, other_library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: int
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", commit)
    monkeypatch.setattr("indexer.pipeline.MOST_ENTRIES", 4 * commit)
    photos = mixed(tmp_path / "mixed", commit)
    expected = other_library.add(photos).run
    library.encoder = FarEncoder()
    report = library.add(photos).run
    assert (report.encoded, report.reused, report.failed) == (expected.encoded, expected.reused, expected.failed)
    assert library.encoder.encoded_photos == report.encoded
    assert vectors_of(library.folder) == vectors_of(other_library.folder)
    assert states_of(library.folder) == states_of(other_library.folder)
    check_sound(library.folder)
    assert library.add(photos).run.total == 0


def test_a_group_is_recorded_while_the_next_is_encoded(
    library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    recorded: list[int] = []

    class Waiting(FarEncoder):
        def encode_images(self, pixels: np.ndarray) -> np.ndarray:
            group = self.encoded_photos // 4
            for _ in range(3_000):  # at most 60 s
                recorded.append(list(states_of(library.folder).values()).count(EMBEDDED))
                if recorded[-1] >= 4 * (group - 1):
                    break
                threading.Event().wait(0.02)
            return super().encode_images(pixels)

    fill_folder(tmp_path, range(16), "{:02d}.jpg")
    library.encoder = Waiting()
    assert library.add(tmp_path).run.encoded == 16
    assert recorded[-1] >= 8  # while the fourth group was encoded


def test_what_an_encoder_raises_ends_the_run_and_the_next_goes_on(
    library: LibraryFactory, other_library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)

    class Failing(FarEncoder):
        def encode_images(self, pixels: np.ndarray) -> np.ndarray:
            if self.encoded_photos == 12:
                raise RuntimeError("the device is gone")
            return super().encode_images(pixels)

    photos = mixed(tmp_path / "mixed", 1)
    other_library.add(photos)
    library.encoder = Failing()
    with pytest.raises(RuntimeError, match="the device is gone"):
        library.add(photos)
    check_invariants(library.folder)
    assert list(states_of(library.folder).values()).count(EMBEDDED) >= 4
    library.encoder = FarEncoder()
    assert library.add(photos).run.encoded < len(vectors_of(other_library.folder))
    assert vectors_of(library.folder) == vectors_of(other_library.folder)
    assert verify(library.folder) == []
