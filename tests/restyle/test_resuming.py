"""What a next run tells apart, and what of the first one it need not make again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks.synthetic import SyntheticEngine
from restyle.judge import Judge
from restyle.regrade import RegradeEngine
from restyle.studio import Done, Failed
from tests.conftest import LibraryFactory, raising
from tests.restyle.pictures import room
from tests.restyle.studios import FERN, made, order_of, orders_of, run


@pytest.mark.parametrize(("first_px", "then_px"), [(5000, 6000), (100, 101)])
def test_every_size_is_another_wish(filled: LibraryFactory, photos: Path, first_px: int, then_px: int) -> None:
    sizes: list[Any] = []
    for longest_px in (first_px, then_px, first_px):
        sizes += made(run(filled.folder, orders_of(photos, [1]), RegradeEngine(FERN, longest_px)))
    assert sizes == [True, True, False]


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")], ids=repr
)
def test_too_little_memory_for_judging_is_one_photos_failure(
    filled: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    study, studied = Judge.study, []

    def short_of_memory(self: Judge, *photo: Any) -> Any:
        studied.append(photo)
        if len(studied) == 2:
            raise error
        return study(self, *photo)

    with monkeypatch.context() as patch:
        patch.setattr(Judge, "study", short_of_memory)
        outcomes = run(filled.folder, orders_of(photos, [1, 2, 3]))
    assert made(outcomes) == [True, None, True]
    assert isinstance(outcomes[1], Failed)
    assert "too little memory" in outcomes[1].reason
    assert made(run(filled.folder, orders_of(photos, [1, 2, 3]))) == [False, True, False]


def test_a_fault_of_the_program_is_no_photos_failure(
    filled: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Judge, "study", raising(RuntimeError("generator raised StopIteration")))
    with pytest.raises(RuntimeError, match="StopIteration"):
        run(filled.folder, orders_of(photos, [1]))


@dataclass(frozen=True, kw_only=True)
class SqueezingEngine(SyntheticEngine):
    """Paints no shorter side than 64 px, as models do."""

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        width, height = SyntheticEngine.fit(self, width_px, height_px)
        return max(width, 64), max(height, 64)


@pytest.mark.parametrize("size", [(1000, 50), (50, 1000), (200, 130), (3, 900)])
def test_panoramas_come_back_in_their_proportions(
    filled: LibraryFactory, tmp_path: Path, size: tuple[int, int]
) -> None:
    Image.fromarray(room(3, (240, 160))).resize(size).save(tmp_path / "photo.png")
    (outcome,) = run(filled.folder, [order_of(tmp_path / "photo.png")], SqueezingEngine(longest_px=200))
    assert isinstance(outcome, Done)
    with Image.open(outcome.result.path) as result:
        assert max(result.size) == 200
        assert result.width * size[1] == pytest.approx(result.height * size[0], rel=0.1, abs=size[1])
