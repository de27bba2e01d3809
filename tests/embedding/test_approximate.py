"""Approximate indexes over vectors with the structure of CLIP's: what they find, keep, refuse and let go of."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base import records
from base.errors import LibraryError
from base.records import write_record
from embedding import faiss_files
from embedding.index import approximate
from embedding.index.approximate import (
    APPROXIMATE_FILE,
    APPROXIMATE_MANIFEST,
    ApproximateIndex,
    Approximation,
    Cost,
    approximation_problem,
    read_approximation,
    remove_approximation,
)
from embedding.index.building import (
    IndexChoice,
    best_scores,
    built,
    drift,
    factory_string,
    recall_at_10,
    resolved,
    tuned,
)
from embedding.index.exact import exact_search
from embedding.index.photo_index import CurrentIndex, PhotoIndex, current_index
from embedding.segments import SegmentStore, Vectors
from tests.conftest import raising
from tests.embedding.conftest import Rows, as_unit, flipped, in_segments, overwrite, segment_of

DIM, PHOTOS, KEY = 32, 6000, "model-00000000"
FIRST = 10**6  # ids are no row positions
SEGMENTS = ("0", "1", "2")
KINDS = ("ivf", "hnsw")


def clustered(rows: int, seed: int) -> np.ndarray:
    """Photos: unit vectors in a narrow cone, in 50 clusters."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(77).normal(size=(50, DIM))
    vectors = centres[draw.integers(0, 50, rows)] + 0.7 * draw.normal(size=(rows, DIM)) + 4 * np.eye(DIM)[0]
    return as_unit(vectors)


def texts(rows: int, seed: int) -> np.ndarray:
    """Texts: unit vectors in another cone."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(77).normal(size=(50, DIM))
    return as_unit(centres[draw.integers(0, 50, rows)] + draw.normal(size=(rows, DIM)) + 6 * np.eye(DIM)[1])


def rows_of(rows: int, seed: int = 0, first: int = FIRST) -> tuple[np.ndarray, np.ndarray]:
    return first + 3 * np.arange(rows), clustered(rows, seed).astype(np.float16)


def photos_in_segments(rows: int, seed: int = 0, live: np.ndarray | None = None) -> Vectors:
    return in_segments(*rows_of(rows, seed), np.arange(rows) % len(SEGMENTS), live)


@pytest.fixture(scope="module")
def base() -> PhotoIndex:
    return PhotoIndex(photos_in_segments(PHOTOS))


@pytest.fixture(scope="module")
def indexes(base: PhotoIndex) -> dict[str, ApproximateIndex]:
    return {kind: built(base, kind, IndexChoice(kind=kind), KEY, texts(100, 1)) for kind in KINDS}  # type: ignore[arg-type]


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(f, t)) / len(t) for f, t in zip(found, truth, strict=True)]))


# What it finds


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_it_was_asked_to_find_also_for_other_texts(
    base: PhotoIndex, indexes: dict[str, ApproximateIndex], kind: str
) -> None:
    about = indexes[kind].about
    assert about.recall >= 0.99
    assert about.sound
    assert (about.kind, about.entries, about.queries, about.dim) == (kind, PHOTOS, 100, DIM)
    assert about.covers == indexes[kind].covers == SEGMENTS
    others = texts(200, 2)
    _, truth = base.search(others, 10, exact=True)
    _, found = base.with_engine(indexes[kind]).search(others, 10)
    assert recall(found, truth) >= 0.97
    assert recall_at_10(indexes[kind], base, others, best_scores(base, others)) >= 0.97


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_exact_whatever_named_the_candidates(
    base: PhotoIndex, indexes: dict[str, ApproximateIndex], kind: str
) -> None:
    query = texts(1, 3)
    exact_scores, exact_ids = base.search(query, 100)
    scores, ids = base.with_engine(indexes[kind]).search(query, 10)
    score_of = dict(zip(exact_ids[0].tolist(), exact_scores[0].tolist(), strict=True))
    assert scores[0] == pytest.approx([score_of[i] for i in ids[0].tolist()], abs=1e-6)
    assert (np.diff(scores[0]) <= 0).all()


def test_less_effort_finds_less_and_tuning_raises_it(base: PhotoIndex, indexes: dict[str, ApproximateIndex]) -> None:
    queries, index = texts(100, 1), indexes["ivf"]
    truth = best_scores(base, queries)
    assert recall_at_10(index.with_effort(1, 10), base, queries, truth) < 0.9
    again = tuned(replaced(index, effort=1, candidates=10, trained_effort=0), base, queries)
    assert again.about.recall >= 0.99
    assert again.about.effort > 1


def replaced(index: ApproximateIndex, **values: object) -> ApproximateIndex:
    return ApproximateIndex(index._index, replace(index.about, **values))  # type: ignore[arg-type]


def test_recall_that_cannot_be_reached_is_said_and_the_index_is_not_sound(
    base: PhotoIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding.index.building.MOST_CANDIDATES", 256)
    coarse = built(base, "ivf", IndexChoice(kind="ivf", factory="IVF16,PQ1x4"), KEY, texts(50, 1))
    assert coarse.about.recall < 0.99  # one 4-bit code a photo
    assert coarse.about.effort == 16
    assert not coarse.about.sound


def test_coarse_codes_are_met_with_more_candidates(base: PhotoIndex) -> None:
    coarse = built(base, "ivf", IndexChoice(kind="ivf", factory="IVF16,PQ4x4"), KEY, texts(50, 1))
    assert coarse.about.candidates > 256
    assert coarse.about.sound


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.01, 0.0005])
@pytest.mark.parametrize("kind", KINDS)
def test_filters_lose_nothing(base: PhotoIndex, indexes: dict[str, ApproximateIndex], kind: str, share: float) -> None:
    searched, queries = base.with_engine(indexes[kind]), texts(40, 4)
    among = np.sort(np.random.default_rng(0).choice(base.ids, round(PHOTOS * share), replace=False))
    every = queries @ base.vectors(among).T
    _, found = searched.search(queries, 10, among=among)
    assert set(found.ravel().tolist()) <= set(among.tolist())
    truth = among[np.argsort(-every, axis=1, kind="stable")[:, : found.shape[1]]]
    assert found.shape[1] == min(10, len(among))
    if share <= 0.5:  # compared exactly
        assert searched.plan(10, among=among).engine == "exact"
        assert recall(found, truth) == 1.0
    else:
        assert searched.plan(10, among=among).engine == kind
        assert recall(found, truth) >= 0.97


@settings(max_examples=40)
@given(data=st.data())
def test_a_search_among_candidates_never_gives_fewer_hits_than_there_are(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    photos = data.draw(st.integers(50, 400), "photos")
    whole = PhotoIndex(photos_in_segments(photos, seed))
    index = built(whole, "ivf", IndexChoice(kind="ivf"), KEY, texts(5, 1))
    live = np.random.default_rng(seed).random(photos) < data.draw(st.floats(0.01, 1), "live")
    base = PhotoIndex(photos_in_segments(photos, seed, live), engine=index)
    k = data.draw(st.integers(1, 100), "k")
    _, found = base.search(texts(2, seed), k)
    assert found.shape == (2, min(k, int(live.sum())))
    assert set(found.ravel().tolist()) <= set(whole.ids[live].tolist())
    assert all(len(set(row)) == len(row) for row in found.tolist())


def test_the_plan_says_what_is_compared_and_why(base: PhotoIndex, indexes: dict[str, ApproximateIndex]) -> None:
    searched = base.with_engine(indexes["ivf"])
    plan = searched.plan(10)
    assert (plan.engine, plan.recall) == ("ivf", indexes["ivf"].about.recall)
    assert 0 < plan.rows < PHOTOS
    assert "lists" in plan.reason
    assert "as was asked for" in searched.plan(10, exact="as was asked for").reason
    assert "101 hits are more" in searched.plan(101).reason
    few = searched.plan(10, among=base.ids[:60])
    assert (few.engine, few.rows) == ("exact", 60)
    assert "leaves 1.0% of them" in few.reason
    assert base.plan(10).engine == "exact"


# What it covers, and what lies beside it


def later_photo(vector: np.ndarray, photo_id: int = 7) -> Vectors:
    return Vectors(DIM, [segment_of(np.array([photo_id]), vector, "later")], [None])


def test_photos_that_died_are_not_found_and_later_ones_are_compared_beside(
    base: PhotoIndex, indexes: dict[str, ApproximateIndex]
) -> None:
    query = texts(1, 6)
    _, before = base.search(query, 10)
    dying = photos_in_segments(PHOTOS, live=~np.isin(base.ids, before[0][:5]))
    now = PhotoIndex(dying.beside(later_photo(query)), engine=indexes["ivf"])
    assert (now.covered.names, now.uncovered.names) == (SEGMENTS, ("later",))
    _, after = now.search(query, 6)
    assert after[0].tolist() == [7, *before[0][5:].tolist()]


def test_a_photo_that_was_embedded_anew_is_found_by_its_new_vector_alone(
    base: PhotoIndex, indexes: dict[str, ApproximateIndex]
) -> None:
    query = texts(1, 6)
    scores, before = base.search(query, 10)
    changed, other = before[0][0], -query
    dying = photos_in_segments(PHOTOS, live=base.ids != changed)
    now = PhotoIndex(dying.beside(later_photo(other, changed)), engine=indexes["ivf"])
    after_scores, after = now.search(query, 9)
    assert after[0].tolist() == before[0][1:].tolist()
    assert after_scores[0] == pytest.approx(scores[0][1:], abs=1e-6)
    assert now.search(other, 1)[1].tolist() == [[changed]]


def test_the_plan_counts_what_is_compared_beside(base: PhotoIndex, indexes: dict[str, ApproximateIndex]) -> None:
    alone = base.with_engine(indexes["ivf"]).plan(10)
    later = Vectors(DIM, [segment_of(np.arange(3000), clustered(3000, 5), "later")], [None])
    plan = base.with_engine(indexes["ivf"]).beside(later).plan(10)
    assert plan.engine == "ivf"
    assert plan.rows == alone.rows + 3000
    assert plan.bytes_read == alone.bytes_read + 3000 * DIM * 2
    assert plan.reason.endswith(", and 3000 photos beside them")
    assert "beside" not in alone.reason


@dataclass
class Oracle:
    """Names every photo of some segments, dead ones, too, and each twice; or none to every second query."""

    covers: Collection[str]
    named: np.ndarray
    is_forgetful: bool
    kind = "oracle"
    recall = None
    most_hits = 100

    def answers(self, among: np.ndarray, photos: int) -> bool:
        return True

    def candidates(self, queries: np.ndarray, k: int, among: np.ndarray | None, share: float) -> np.ndarray:
        left = self.named if among is None else self.named[np.isin(self.named, among)]
        rows = np.tile(np.concatenate([[-1], left, left, [-1]]), (len(queries), 1))
        if self.is_forgetful:
            rows[::2] = -1
        return rows

    def cost(self, k: int, share: float) -> Cost:
        return Cost(rows=0, bytes_read=0, how="by asking")


@settings(max_examples=150)
@given(data=st.data())
def test_candidates_and_what_lies_beside_them_equal_the_exact_search(data: st.DataObject) -> None:
    ids = np.array(data.draw(st.lists(st.integers(1, 500), min_size=1, max_size=60, unique=True), "ids"))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    where = draw.integers(0, data.draw(st.integers(1, 5), "segments"), len(ids))
    live = draw.random(len(ids)) < data.draw(st.sampled_from([0.0, 0.5, 1.0]), "live")
    stored = draw.integers(-2, 3, (len(ids), 8)).astype(np.float16)  # whole numbers: no product is rounded
    queries = draw.integers(-2, 3, (data.draw(st.integers(0, 4), "queries"), 8)).astype(np.float32)
    vectors, k = in_segments(ids, stored, where, live), data.draw(st.integers(1, 70), "k")
    among = data.draw(st.none() | st.sets(st.integers(1, 500) | st.sampled_from(ids.tolist())), "among")
    chosen = None if among is None else np.array(sorted(among), np.int64)
    covers = data.draw(st.sets(st.sampled_from(["0", "1", "2", "3", "4", "merged away"])), "covers")
    named = np.concatenate([[501, 502], ids[np.isin(where.astype(str), list(covers))]])  # some that nobody knows

    index = PhotoIndex(vectors, engine=Oracle(covers, named, data.draw(st.booleans(), "is forgetful")))
    assert index.plan(k, among=chosen).engine == "oracle"
    scores, found = index.search(queries, k, among=chosen)
    expected_scores, expected = exact_search(vectors, queries, k, chosen)
    assert found.tolist() == expected.tolist()
    assert scores.tolist() == expected_scores.tolist()
    assert (scores.shape, scores.dtype, found.dtype) == (expected.shape, np.float32, np.int64)


# Growing


@pytest.mark.parametrize("kind", KINDS)
def test_added_photos_are_found_without_building_anew(base: PhotoIndex, kind: str) -> None:
    index = built(base, kind, IndexChoice(kind=kind), KEY, texts(50, 1))  # type: ignore[arg-type]
    ids, vectors = rows_of(500, seed=9, first=5)
    index.add(ids, vectors.astype(np.float32))
    assert index.about.entries == PHOTOS + 500
    assert index.covers == SEGMENTS  # until it is told of more
    index.about = replace(index.about, covers=(*SEGMENTS, "later"))
    grown = base.beside(Vectors(DIM, [segment_of(ids, vectors, "later")], [None]))
    assert len(grown.with_engine(index).uncovered) == 0
    queries = texts(100, 8)
    _, truth = grown.search(queries, 10, exact=True)
    _, found = grown.with_engine(index).search(queries, 10)
    assert np.isin(truth, ids).any()
    assert recall(found, truth) >= 0.97


def test_drift_names_its_reason() -> None:
    about = Approximation(
        model_key=KEY,
        kind="ivf",
        factory="IVF4,SQ8",
        dim=DIM,
        entries=100,
        effort=4,
        trained_entries=100,
        trained_effort=4,
        recall=0.99,
    )
    assert drift(about, 100) is None
    assert "was trained on 100" in (drift(replace(about, entries=201), 201) or "")
    assert "only 98.0%, searched 2.0 times as hard" in (drift(replace(about, effort=8, recall=0.98), 100) or "")
    assert "20 of its 100" in (drift(about, 80) or "")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what a process holds so")
def test_adding_leaves_no_centroids_behind(base: PhotoIndex) -> None:
    def held_mb() -> float:
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
        return int(line.split()[1]) / 1000

    index = built(base, "ivf", IndexChoice(kind="ivf", factory="IVF64,SQ8"), KEY, texts(5, 1))
    with approximate.by_distance(approximate.inverted_lists(index._index)):
        pass
    before = held_mb()
    for _ in range(4000):  # 64 centroids of 32 float32: 8 kB each
        with approximate.by_distance(approximate.inverted_lists(index._index)):
            pass
    assert held_mb() - before < 16


# On disk


@pytest.fixture
def folder(tmp_path: Path, indexes: dict[str, ApproximateIndex]) -> Path:
    replaced(indexes["ivf"]).save(tmp_path / "index")
    return tmp_path / "index"


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_index_names_the_same_candidates(
    tmp_path: Path, indexes: dict[str, ApproximateIndex], kind: str
) -> None:
    saved = replaced(indexes[kind])
    saved.save(tmp_path)
    opened = ApproximateIndex.open(tmp_path, KEY)
    assert opened.about == saved.about
    assert opened.covers == SEGMENTS
    queries = texts(5, 11)
    assert (opened.candidates(queries, 10, None, 1.0) == indexes[kind].candidates(queries, 10, None, 1.0)).all()


def test_photos_are_added_to_an_index_that_was_opened_for_it_and_to_no_other(folder: Path) -> None:
    opened, later = ApproximateIndex.open(folder, KEY, writable=True), (np.array([3]), as_unit(np.ones((1, DIM))))
    opened.add(*later)
    assert opened.about.entries == PHOTOS + 1
    with pytest.raises(ValueError, match="writable=True"):  # FAISS itself would end the process
        ApproximateIndex.open(folder, KEY).add(*later)


@pytest.mark.parametrize("left", [0, 1, 100, -1])
def test_a_truncated_file_is_none(folder: Path, left: int) -> None:
    path = folder / APPROXIMATE_FILE
    path.write_bytes(path.read_bytes()[:left])
    assert ApproximateIndex.open(folder, KEY) is None
    assert approximation_problem(folder) is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": 1}', "\xff"])
def test_a_garbage_manifest_is_none(folder: Path, text: str) -> None:
    (folder / APPROXIMATE_MANIFEST).write_bytes(text.encode("latin-1"))
    assert read_approximation(folder) is None
    assert ApproximateIndex.open(folder, KEY) is None
    assert approximation_problem(folder) == f"{folder / APPROXIMATE_MANIFEST} is damaged"


def test_any_flipped_byte_of_a_manifest_is_noticed(folder: Path) -> None:
    path, about = folder / APPROXIMATE_MANIFEST, read_approximation(folder)
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(flipped(data, place, 1 << place % 8))
        assert read_approximation(folder) in (None, about), place  # white space says nothing
    path.write_bytes(data)
    assert read_approximation(folder) == about


@pytest.mark.parametrize("values", [{"entries": 5}, {"dim": DIM + 1}, {"size_bytes": 5}, {"model_key": "other-00"}])
def test_a_manifest_that_tells_of_other_vectors_is_none(folder: Path, values: dict[str, object]) -> None:
    about = read_approximation(folder)
    write_record(folder / APPROXIMATE_MANIFEST, replace(about, **values))
    assert ApproximateIndex.open(folder, KEY) is None


def test_the_checksum_finds_a_flipped_byte(folder: Path) -> None:
    assert approximation_problem(folder) is None
    path, data = folder / APPROXIMATE_FILE, (folder / APPROXIMATE_FILE).read_bytes()
    for place in (0, 100, len(data) // 2, -1):
        path.write_bytes(flipped(data, place))
        assert approximation_problem(folder) == f"{path} is not what was written: its checksum is another one"
    path.unlink()
    assert approximation_problem(folder) == f"{path} is gone"


def test_where_nothing_was_saved_every_photo_is_compared_and_nothing_is_said(tmp_path: Path, base: PhotoIndex) -> None:
    folder = tmp_path / "nothing"
    assert (ApproximateIndex.open(folder, KEY), approximation_problem(folder)) == (None, None)
    index = current_index(folder, KEY, base.base)
    assert (index.engine, index.note) == (None, "")
    remove_approximation(folder)


@pytest.mark.parametrize("full_at", [APPROXIMATE_FILE, APPROXIMATE_MANIFEST])
def test_a_full_disk_leaves_no_index_that_could_be_opened(
    folder: Path, indexes: dict[str, ApproximateIndex], monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    write = records.atomic_write

    def failing(path: Path) -> object:
        return raising(OSError(28, "No space left on device"))() if path.name == full_at else write(path)

    for module in (faiss_files, records):
        monkeypatch.setattr(module, "atomic_write", failing)
    with pytest.raises(OSError, match="No space left"):
        replaced(indexes["hnsw"]).save(folder)
    assert ApproximateIndex.open(folder, KEY) is None
    remove_approximation(folder)
    assert list(folder.iterdir()) == []


# What a library opens


def test_the_engine_that_stands_in_a_folder_is_used(folder: Path, base: PhotoIndex) -> None:
    index = current_index(folder, KEY, base.base)
    assert (index.engine.kind, index.note) == ("ivf", "")
    assert index.plan(10).engine == "ivf"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("file", "the ivf index is damaged, so every photo is compared: `aliens index` mends it"),
        ("manifest", "the approximate index is damaged, so every photo is compared: `aliens index` mends it"),
        ("model", "the approximate index is damaged, so every photo is compared: `aliens index` mends it"),
        ("recall", "the ivf index finds only 50.0% of what it should, so every photo is compared"),
    ],
)
def test_an_engine_that_is_of_no_use_is_told_of_and_every_photo_is_compared(
    folder: Path, base: PhotoIndex, damage: str, said: str
) -> None:
    about = read_approximation(folder)
    if damage == "file":
        overwrite(folder / APPROXIMATE_FILE, b"")
    elif damage == "manifest":
        (folder / APPROXIMATE_MANIFEST).write_text("{")
    elif damage == "recall":
        write_record(folder / APPROXIMATE_MANIFEST, replace(about, recall=0.5))
    index = current_index(folder, "other-00000000" if damage == "model" else KEY, base.base)
    assert index.engine is None
    assert index.note.startswith(said)
    query = texts(1, 3)
    assert (index.search(query, 10)[1] == base.search(query, 10)[1]).all()


def test_an_index_is_kept_as_long_as_neither_photos_nor_files_change(
    tmp_path: Path, indexes: dict[str, ApproximateIndex]
) -> None:
    folder, store = tmp_path / "index", SegmentStore(tmp_path / "vectors", DIM)
    ids, vectors = rows_of(20)
    first, second = store.write(ids[:15], vectors[:15]), store.write(ids[15:], vectors[15:])
    current = CurrentIndex(folder, store, KEY)
    index = current.at(Rows([first]))
    assert len(index) == 15
    assert current.at(Rows([first])) is index
    more = current.at(Rows([first, second]))
    assert (more is index, len(more), len(index)) == (False, 20, 15)
    fewer = current.at(Rows([first, replace(second, alive=1)], dead={second.name: np.delete(ids[15:], 1)}))
    assert fewer.ids.tolist() == [*ids[:15].tolist(), int(ids[16])]

    replaced(indexes["ivf"]).save(folder)
    with_engine = current.at(Rows([first, second]))
    assert with_engine.base is more.base
    assert current.at(Rows([first, second])) is with_engine
    remove_approximation(folder)
    assert current.at(Rows([first, second])).engine is None


# Choosing


def test_the_kind_follows_from_the_number_of_photos_unless_it_was_chosen() -> None:
    assert resolved(IndexChoice(), 250_000) == "exact"
    assert resolved(IndexChoice(), 250_001) == "ivf"
    assert resolved(IndexChoice(kind="hnsw"), 1000) == "hnsw"
    assert resolved(IndexChoice(kind="ivf"), 3) == "exact"  # three photos make no lists
    assert resolved(IndexChoice(milvus="http://localhost:19530"), 10**7) == "exact"


@pytest.mark.parametrize(
    ("photos", "dim", "memory_gb", "gpu", "factory"),
    [
        (1_124_215, 512, 24, False, "IVF4096,PQ256x4fsr"),
        (1_124_215, 512, 24, True, "IVF4096,SQ8"),
        (1_124_215, 512, 0.2, False, "IVF4096,PQ128x4fsr"),
        (50_000, 512, 24, False, "IVF512,SQ8"),
        (200_000, 512, 24, False, "IVF1024,PQ256x4fsr"),
        (1_000, 48, 24, False, "IVF16,SQ8"),
        (100, 48, 24, False, "IVF2,SQ8"),
    ],
)
def test_the_codes_follow_from_size_and_memory(
    photos: int, dim: int, memory_gb: float, gpu: bool, factory: str
) -> None:
    assert factory_string("ivf", photos, dim, memory_bytes=int(memory_gb * 2**30), gpu=gpu) == factory


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "annoy"}, "'annoy' is no kind of index"),
        ({"least_recall": 0}, "the least recall is 0"),
        ({"least_recall": 1.5}, "the least recall is 1.5"),
        ({"factory": "IVF4,SQ8"}, "needs --kind ivf or hnsw"),
    ],
)
def test_choices_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(LibraryError, match=message):
        IndexChoice(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "factory", "message"),
    [
        ("ivf", "IVFoo", "FAISS cannot build 'IVFoo'"),
        ("ivf", "HNSW32", "is no index of the kind ivf"),
        ("hnsw", "IVF16,SQ8", "is no index of the kind hnsw"),
        ("ivf", "IVF16,PQ7", "FAISS cannot build 'IVF16,PQ7'"),
        ("ivf", "IVF4,SQ8,RFlat", "FAISS cannot build 'IVF4,SQ8,RFlat'"),
        ("hnsw", "IDMap,HNSW16", "'IDMap,HNSW16' is no index of the kind hnsw"),
        ("hnsw", "NSG16", "'NSG16' is no index of the kind hnsw"),
        ("hnsw", "Flat", "'Flat' is no index of the kind hnsw"),
    ],
)
def test_factory_strings_that_cannot_be_built_are_refused(
    base: PhotoIndex, kind: str, factory: str, message: str
) -> None:
    with pytest.raises(LibraryError, match=message):
        built(base, kind, IndexChoice(kind=kind, factory=factory), KEY, texts(5, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("factory", ["IVF16,Flat", "IVF32,PQ16x4fs", "PCA16,IVF16,SQ8", "HNSW16", "HNSW8_SQfp16"])
def test_factory_strings_of_ones_own(base: PhotoIndex, factory: str) -> None:
    kind = "ivf" if "IVF" in factory else "hnsw"
    index = built(base, kind, IndexChoice(kind=kind, factory=factory, least_recall=0.9), KEY, texts(50, 1))  # type: ignore[arg-type]
    assert index.about.factory == factory
    assert index.about.recall >= 0.9


# On a GPU


def test_lists_are_searched_on_a_gpu_where_faiss_sees_one(
    base: PhotoIndex, indexes: dict[str, ApproximateIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = texts(3, 5)
    on_cpu = indexes["ivf"].candidates(queries, 10, None, 1.0)
    moved: list[object] = []
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: "resources", raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(
        faiss,
        "index_cpu_to_gpu",
        lambda resources, device, index: moved.append(device) or faiss.clone_index(index),
        raising=False,
    )
    approximate.gpu_resources.cache_clear()
    index = replaced(indexes["ivf"])
    assert (index.candidates(queries, 10, None, 1.0) == on_cpu).all()
    assert moved == [0]
    assert not index.answers(base.ids[:-1], PHOTOS)  # FAISS filters nothing there: what a filter leaves is compared
    assert PhotoIndex(base.base, engine=index).plan(10, among=base.ids[:-1]).engine == "exact"
    approximate.gpu_resources.cache_clear()
