from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from base.errors import LibraryError
from base.progress import Step
from embedding import scores as scoring
from embedding.scores import ScoreStore, ShardPart, pieces, score_shards, score_vectors
from embedding.store import VectorStore

DIM, TEXTS, BACKGROUND, SCALE = 16, 5, 3, 25.0


def unit(seed: int, rows: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Scored:
    """Vector shards with these numbers of rows, and what scoring makes of them."""

    def __init__(self, root: Path, rows: list[int]) -> None:
        self.vectors = VectorStore(root / "vectors", DIM)
        self.store = ScoreStore(root / "scores", TEXTS + 1)
        self.texts, self.background = unit(1000, TEXTS), unit(1001, BACKGROUND)
        self.counts: dict[int, int] = {}
        self.told: list[int] = []
        for count in rows:
            self.add(count)

    def add(self, rows: int) -> None:
        number = len(self.counts) + 1
        self.vectors.write(number, np.arange(rows), unit(number, rows))
        self.counts[number] = rows

    def missing(self) -> list[ShardPart]:
        return list(self.store.open(self.vectors, self.counts))

    def score(self, stop_at: int | None = None) -> None:
        def progress(step: Step) -> None:
            self.told.append(step.done)
            if stop_at is not None and step.done >= stop_at:
                raise KeyboardInterrupt

        score_shards(
            self.vectors,
            self.store,
            self.missing(),
            texts=self.texts,
            background=self.background,
            scale=SCALE,
            progress=progress,
        )

    def check(self) -> None:
        """Every photo has NumPy's cosines, to half precision, and the background's soft maximum."""
        assert self.missing() == []
        for number, rows in self.counts.items():
            photos = unit(number, rows).astype(np.float16).astype(np.float64)
            found = self.store.gather(np.full(rows, number), np.arange(rows))
            assert found[:, :TEXTS] == pytest.approx(photos @ self.texts.T, abs=1e-3)
            soft = np.log(np.exp(SCALE * photos @ self.background.T).mean(axis=1)) / SCALE
            assert found[:, TEXTS] == pytest.approx(soft, abs=1e-3)


@pytest.mark.parametrize("rows", [[1], [7, 1, 13], [2048, 1], [3000, 2047, 5000, 17], [4, 0, 3], [0]])
def test_scores_are_numpys_product_and_the_background_its_log_mean_exp(tmp_path: Path, rows: list[int]) -> None:
    scored = Scored(tmp_path, rows)
    scored.score()
    scored.check()
    assert scored.told == [sum(rows)]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=25)
def test_neither_pieces_nor_blocks_change_a_score(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], piece: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "PIECE_ROWS", piece)
        patch.setattr(scoring, "BLOCK_ROWS", block)
        scored = Scored(tmp_path_factory.mktemp("shards"), rows)
        scored.score()
        scored.check()
        assert sorted(scored.told) == scored.told
        assert scored.told[-1] == sum(rows)


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
    assert set(after) - set(before) == {"000003.npy", "000003.shards.npy"}
    assert {name: after[name] for name in before} == before


def test_a_killed_run_leaves_whole_pieces_and_the_next_one_completes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PIECE_ROWS", 10)
    scored = Scored(tmp_path, [10] * 30)
    with pytest.raises(KeyboardInterrupt):
        scored.score(stop_at=50)
    missing = sum(part.rows for part in scored.missing())
    assert 0 < missing <= 250
    assert list(scored.store.folder.glob("*.tmp")) == []
    scored.told.clear()
    scored.score()
    assert scored.told[-1] == missing
    scored.check()


@pytest.mark.parametrize("damage", ["gone", "cut", "longer", "header", "other rows"])
def test_a_damaged_vector_shard_is_named_and_leaves_no_piece(tmp_path: Path, damage: str) -> None:
    scored = Scored(tmp_path, [5, 6, 7])
    parts = scored.missing()
    path = scored.vectors.folder / "000002.npy"
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "other rows":
        np.save(path, unit(2, 9).astype(np.float16))
    else:
        path.write_bytes({"cut": data[:-1], "longer": data + b"0", "header": b"," + data[1:]}[damage])
    with pytest.raises(LibraryError, match=r"000002\.npy .*`aliens verify --repair`"):
        score_shards(scored.vectors, scored.store, parts, texts=scored.texts, background=scored.background, scale=SCALE)
    assert not (scored.store.folder / "000001.npy").exists()


def test_torch_keeps_its_number_of_threads(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    scored = Scored(tmp_path, [5])
    with pytest.raises(KeyboardInterrupt):
        scored.score(stop_at=0)
    assert torch.get_num_threads() == threads


@given(st.lists(st.integers(0, 200_000)))
def test_pieces_hold_every_shard_once_and_in_order(rows: list[int]) -> None:
    parts = [ShardPart(number, count, 0) for number, count in enumerate(rows)]
    made = list(pieces(parts))
    assert [part for piece in made for part in piece] == parts
    for piece in made:
        assert sum(part.rows for part in piece[:-1]) < scoring.PIECE_ROWS
    for piece in made[:-1]:
        assert sum(part.rows for part in piece) >= scoring.PIECE_ROWS


def test_vectors_outside_of_shards_are_scored_as_those_in_them(tmp_path: Path) -> None:
    scored = Scored(tmp_path, [7])
    scored.score()
    scored.missing()
    stored = scored.store.gather(np.full(7, 1), np.arange(7))
    one_by_one = [
        score_vectors(vector[np.newaxis], texts=scored.texts, background=scored.background, scale=SCALE)
        for vector in unit(1, 7)
    ]
    assert np.concatenate(one_by_one) == pytest.approx(stored, abs=1e-3)
