from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from base.progress import Step
from embedding import scores as scoring
from embedding.opened_segment import Segment
from embedding.scores import ScoreStore, background_scores, score_segments, score_vectors
from embedding.segments import Vectors
from tests.embedding.conftest import segment_of, unit_vectors

DIM, TEXTS, BACKGROUND, SCALE = 16, 5, 3, 25.0


class Scored:
    """Segments with these numbers of rows, and what scoring makes of them."""

    def __init__(self, root: Path, rows: list[int]) -> None:
        self.store = ScoreStore(root / "scores", TEXTS + 1)
        self.texts, self.background = unit_vectors(TEXTS, DIM, 1000), unit_vectors(BACKGROUND, DIM, 1001)
        self.segments: list[Segment] = []
        self.told: list[int] = []
        for count in rows:
            self.add(count)

    def add(self, rows: int) -> None:
        number = len(self.segments)
        ids = 100_000 * number + 3 * np.arange(rows)
        self.segments.append(segment_of(ids, unit_vectors(rows, DIM, number), f"{number:04x}"))

    def missing(self) -> list[Segment]:
        return self.store.open(Vectors(DIM, self.segments, [None] * len(self.segments)))

    def score(self, stop_at: int | None = None) -> None:
        def progress(step: Step) -> None:
            self.told.append(step.done)
            if stop_at is not None and step.done >= stop_at:
                raise KeyboardInterrupt

        score_segments(
            self.store,
            self.missing(),
            texts=self.texts,
            background=self.background,
            scale=SCALE,
            progress=progress,
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.store.folder.iterdir())

    def check(self) -> None:
        """Every photo has NumPy's cosines, to half precision, and the background's soft maximum."""
        assert self.missing() == []
        for segment in self.segments:
            photos, found = segment.vectors.astype(np.float64), self.store.of(segment.ids)
            assert found[:, :TEXTS] == pytest.approx(photos @ self.texts.T, abs=1e-3)
            soft = np.log(np.exp(SCALE * photos @ self.background.T).mean(axis=1)) / SCALE
            assert found[:, TEXTS] == pytest.approx(soft, abs=1e-3)


@pytest.mark.parametrize("rows", [[1], [7, 1, 13], [2048, 1], [3000, 2047, 17_000, 17], [4, 0, 3], [0], []])
def test_scores_are_numpys_product_and_the_background_its_log_mean_exp(tmp_path: Path, rows: list[int]) -> None:
    scored = Scored(tmp_path, rows)
    scored.score()
    scored.check()
    assert scored.told[-1:] == [sum(rows)] * (sum(rows) > 0)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=25)
def test_neither_pieces_nor_blocks_change_a_score(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], piece: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "PIECE_ROWS", piece)
        patch.setattr(scoring, "BLOCK_ROWS", block)
        scored = Scored(tmp_path_factory.mktemp("segments"), rows)
        scored.score()
        scored.check()
        pieces = [min(piece, count - start) for count in rows for start in range(0, count, piece)]
        assert scored.told == np.cumsum(pieces).tolist()


def test_only_what_is_missing_is_written(tmp_path: Path) -> None:
    scored = Scored(tmp_path, [5, 6])
    scored.score()
    before = {path.name: path.stat().st_mtime_ns for path in scored.store.folder.iterdir()}
    scored.add(9)
    scored.told.clear()
    scored.score()
    scored.check()
    assert scored.told == [9]
    after = {path.name: path.stat().st_mtime_ns for path in scored.store.folder.iterdir()}
    (written,) = set(after) - set(before)
    assert written.startswith("0002-")
    assert {name: after[name] for name in before} == before


def test_dead_rows_are_scored_as_well_so_that_a_file_fits_its_segment(tmp_path: Path) -> None:
    scored = Scored(tmp_path, [5])
    (segment,) = scored.segments
    dying = Vectors(DIM, [segment], [np.array([True, False, True, True, False])])
    score_segments(
        scored.store, scored.store.open(dying), texts=scored.texts, background=scored.background, scale=SCALE
    )
    assert scored.store.open(dying) == []
    scored.check()


def test_a_killed_run_leaves_whole_segments_and_the_next_one_completes_them(tmp_path: Path) -> None:
    scored = Scored(tmp_path, [10] * 30)
    with pytest.raises(KeyboardInterrupt):
        scored.score(stop_at=50)
    assert [segment.name for segment in scored.missing()] == [f"{number:04x}" for number in range(4, 30)]
    assert len(scored.files()) == 4  # the fifth was in hand
    scored.told.clear()
    scored.score()
    assert scored.told == list(range(10, 270, 10))
    scored.check()


def test_torch_keeps_its_number_of_threads(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    scored = Scored(tmp_path, [5])
    with pytest.raises(KeyboardInterrupt):
        scored.score(stop_at=0)
    assert torch.get_num_threads() == threads


def test_vectors_outside_of_segments_are_scored_as_those_in_them(tmp_path: Path) -> None:
    scored = Scored(tmp_path, [7])
    scored.score()
    scored.missing()
    stored = scored.store.of(scored.segments[0].ids)
    one_by_one = [
        score_vectors(vector[np.newaxis], texts=scored.texts, background=scored.background, scale=SCALE)
        for vector in unit_vectors(7, DIM)
    ]
    assert np.concatenate(one_by_one) == pytest.approx(stored, abs=1e-3)
    background = background_scores(unit_vectors(7, DIM), scored.background, SCALE)
    assert background == pytest.approx(stored[:, -1], abs=1e-3)
