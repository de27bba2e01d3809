"""Small segments become larger ones: how many there are, what is carried over, and what a kill leaves."""

import gc
import os
import shutil
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

import indexer.merging
from base.files import SegmentFile
from base.records import write_record
from db.catalog import Catalog
from db.models import PhotoState
from db.photo_rows import all_photos, update_photos
from db.vector_rows import (
    EmbeddedRows,
    forget_embeddings,
    lose,
    miscounted,
    record_segment,
    recorded_ids,
    segment_with,
    segments_of,
)
from embedding.decode import decode
from embedding.index.approximate import APPROXIMATE_MANIFEST, Approximation, read_approximation
from embedding.index.building import IndexChoice
from embedding.index.milvus import Collection, read_collection, write_collection
from embedding.scores import score_files
from embedding.segments import SegmentStore
from indexer.merging import MOST_ROWS, SMALLEST_ROWS, coverage, merge_due, tier
from search.tags.calibration import TagOptions
from search.tags.vocabulary import DEFAULT, read_vocabulary
from tests.by_folder import catalog_of, reindex, repair, session_of, store_of, tag_library, tagging_of
from tests.by_folder import disagreements as verify
from tests.conftest import FakeEncoder, LibraryFactory, copy_library, fill_folder, photo_bytes
from tests.db.conftest import put_photos
from tests.embedding.conftest import flip
from tests.indexer.conftest import (
    check_invariants,
    check_sound,
    empty_library,
    failing_from,
    segments_in,
    set_sizes,
    states_of,
    vectors_of,
    write_at_a_new_time,
)
from tests.restyled import keep_results

KEY = "fake-00000000"


class Rows:
    """A library's segments without files of photos: vectors are drawn by the photos' ids."""

    def __init__(self, catalog: Catalog, session: Session) -> None:
        self.catalog = catalog
        self.session = session
        self.store = store_of(catalog)
        self.model = catalog.model
        self._names = count()

    def add(self, rows: int, *, restyled: bool = False) -> list[int]:
        """Add photos, or results, in a segment of their own; return their ids."""
        state = PhotoState.RESTYLED if restyled else PhotoState.EMBEDDED
        ids = put_photos(self.session, [f"/{next(self._names)}.jpg" for _ in range(rows)], state=state)
        record_segment(self.session, self.model, self._written(ids), ids, restyled=restyled)
        self.session.commit()
        return ids

    def embed_anew(self, ids: Sequence[int]) -> None:
        """Put photos' vectors into a segment of their own."""
        record_segment(self.session, self.model, self._written(ids), ids)
        update_photos(self.session, [{"id": photo_id, "state": PhotoState.EMBEDDED} for photo_id in ids])
        self.session.commit()

    def vanish(self, ids: Sequence[int]) -> None:
        """Have photos that cannot be found now; they keep their vectors."""
        lose(self.session, ids)
        update_photos(self.session, [{"id": photo_id, "state": PhotoState.FAILED} for photo_id in ids])
        self.session.commit()

    def merge(self) -> int:
        return merge_due(self.catalog, self.session, self.store)

    def sizes(self, *, restyled: bool = False) -> list[int]:
        return sorted(file.rows for file in segments_of(self.session, self.model, restyled=restyled))

    def check(self) -> None:
        """Every recorded vector is the photo's, every count is right, and there is no other file."""
        files = segments_of(self.session, self.model)
        for file in files:
            ids = recorded_ids(self.session, self.model, file.name)
            segment = self.store.open(file)
            rows, here = segment.rows_of(ids)
            assert here.all()
            assert np.array_equal(segment.vectors[rows], drawn(ids))
        assert miscounted(self.session, self.model) == []
        assert {path.stem for path in self.store.folder.glob("*")} == {file.name for file in files}

    def _written(self, ids: Sequence[int]) -> SegmentFile:
        return self.store.write(np.array(ids, np.int64), drawn(ids))


def drawn(ids: Sequence[int]) -> np.ndarray:
    """Return a unit vector for every id, (n, 48) float16."""
    vectors = np.stack([np.random.default_rng(int(photo_id)).normal(size=48) for photo_id in ids] or [np.zeros(48)])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)[: len(ids)]


@contextmanager
def rows_of(library: LibraryFactory) -> Iterator[Rows]:
    with catalog_of(library.folder) as catalog, catalog.session() as session:
        yield Rows(catalog, session)


# Tiers


@pytest.mark.parametrize(
    ("rows", "number"),
    [(0, 0), (1, 0), (999, 0), (1_000, 1), (9_999, 1), (10_000, 2), (99_999, 2), (100_000, 3), (999_999, 3)],
)
def test_each_tier_takes_ten_times_as_many_rows_as_the_one_before(rows: int, number: int) -> None:
    assert tier(rows) == number
    assert (SMALLEST_ROWS, MOST_ROWS) == (1_000, 1_000_000)


@settings(max_examples=8, database=None)
@given(adds=st.integers(0, 30), fan_out=st.integers(2, 4))
def test_segments_of_one_photo_are_merged_as_digits_are_carried(
    template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory, adds: int, fan_out: int
) -> None:
    root = tmp_path_factory.mktemp("digits")
    library = empty_library(template, root / "library")
    with pytest.MonkeyPatch.context() as patch, rows_of(library) as rows:
        set_sizes(patch, fan_out=fan_out, smallest=fan_out)
        for _ in range(adds):
            rows.add(1)
            rows.merge()
        digits, place, left = [], 1, adds
        while left:
            digits += [place] * (left % fan_out)
            place, left = place * fan_out, left // fan_out
        assert rows.sizes() == digits
        rows.check()
    shutil.rmtree(root)


def test_what_is_merged_may_fill_a_larger_tier(library: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    with rows_of(library) as rows:
        for size in (3, 1, 1, 1, 3):
            rows.add(size)
        set_sizes(monkeypatch, fan_out=3, smallest=3)
        assert rows.merge() == 2
        assert rows.sizes() == [9]
        assert rows.merge() == 0
        rows.check()


def test_few_large_segments_become_one_of_the_most_rows_and_that_is_left_as_it_is(
    library: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sizes(monkeypatch, fan_out=4, smallest=2, most=10)
    with rows_of(library) as rows:
        for size in (4, 4):
            rows.add(size)
        assert rows.merge() == 0
        rows.add(4)
        assert rows.merge() == 1
        assert rows.sizes() == [12]
        for _ in range(3):
            rows.add(12)
        assert rows.merge() == 0
        assert rows.sizes() == [12] * 4
        rows.check()


def test_a_large_segment_is_written_anew_when_most_of_its_rows_are_nobodys(
    library: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sizes(monkeypatch, fan_out=10, smallest=2, most=8)
    with rows_of(library) as rows:
        ids = rows.add(8)
        rows.vanish(ids[:7])
        assert rows.merge() == 0  # their photos may come back
        rows.embed_anew(ids[:4])
        assert rows.merge() == 0
        rows.embed_anew(ids[4:5])
        assert rows.merge() == 1
        assert rows.sizes() == [1, 3, 4]
        rows.check()


def test_segments_of_nobodys_vectors_are_only_removed(library: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    set_sizes(monkeypatch, fan_out=2, smallest=100)
    with rows_of(library) as rows:
        for _ in range(2):
            forget_embeddings(rows.session, rows.model, rows.add(3))
        assert rows.merge() == 1
        assert rows.sizes() == []
        rows.check()


def test_segments_of_photos_and_results_are_not_mixed(library: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    set_sizes(monkeypatch, fan_out=3, smallest=100)
    with rows_of(library) as rows:
        for restyled in (False, True, False, True):
            rows.add(2, restyled=restyled)
        assert rows.merge() == 0
        photos = rows.add(1)
        assert rows.merge() == 1
        assert (rows.sizes(), rows.sizes(restyled=True)) == ([5], [2, 2])
        rows.add(1, restyled=True)
        assert rows.merge() == 1
        assert (rows.sizes(), rows.sizes(restyled=True)) == ([5], [5])
        assert photos[0] not in EmbeddedRows(rows.session, rows.model).dead(segments_in(library.folder)[0].name)
        rows.check()


def test_a_merge_needs_memory_of_one_segment_at_most(library: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    set_sizes(monkeypatch, fan_out=3, smallest=100)
    monkeypatch.setattr("indexer.merging.BLOCK_ROWS", 4)
    blocks: list[int] = []
    merged_parts = indexer.merging.merged_parts

    def watched(parts: Any) -> Iterator[Any]:
        for ids, vectors in merged_parts(parts):
            blocks.append(len(ids))
            assert vectors.shape == (len(ids), 48)
            yield ids, vectors

    monkeypatch.setattr("indexer.merging.merged_parts", watched)
    with rows_of(library) as rows:
        ids = [rows.add(size) for size in (7, 5, 6)]
        rows.embed_anew([ids[2][1], ids[0][3], ids[1][0]])  # so that the ids of the segments lie between each other
        assert rows.merge() == 1
        assert blocks == [4, 4, 4, 4, 2]
        rows.check()


# Histories


def vector_of(seed: int) -> bytes:
    """Return the vector, as it is stored, of the photo that is drawn by a seed."""
    encoder = FakeEncoder()
    decoded = decode(photo_bytes(seed, size=(32, 32)), encoder.preprocessing)
    return encoder.encode_images(decoded.pixels[np.newaxis])[0].astype(np.float16).tobytes()


def change_photos(folder: Path, changes: dict[int, int | None]) -> None:
    """Write photos by their seeds, each at a time of its own, or remove them."""
    for number, seed in changes.items():
        path = folder / f"{number:02d}.jpg"
        path.unlink(missing_ok=True)
        if seed is not None:
            write_at_a_new_time(path, photo_bytes(seed, size=(32, 32)))


def moved(recorded: dict[int, int], here: dict[int, int]) -> dict[int, int]:
    """Return what is recorded, {photo: seed} in the order of ids, with those that are gone where their bytes are."""
    gone = {number: seed for number, seed in recorded.items() if number not in here}
    taken: dict[int, int] = {}
    for number in sorted(here.keys() - recorded.keys()):
        old = next((old for old, seed in gone.items() if seed == here[number] and old not in taken), None)
        if old is not None:
            taken[old] = number
    return {taken.get(number, number): seed for number, seed in recorded.items()}


PHOTOS, SEEDS = 12, 15  # fewer pictures than pairs of photo and time, so that some are the same
histories = st.lists(
    st.dictionaries(st.integers(0, PHOTOS - 1), st.none() | st.integers(0, SEEDS), min_size=1, max_size=PHOTOS),
    min_size=1,
    max_size=12,
)


@settings(max_examples=6, database=None)
@given(history=histories, fan_out=st.integers(2, 4), smallest=st.integers(1, 4), most=st.sampled_from([3, 7, 1_000]))
def test_whatever_comes_changes_vanishes_and_returns_every_vector_is_what_it_should_be(
    template: LibraryFactory,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[dict[int, int | None]],
    fan_out: int,
    smallest: int,
    most: int,
) -> None:
    root = tmp_path_factory.mktemp("history")
    library, photos = empty_library(template, root / "library"), root / "photos"
    photos.mkdir()
    here: dict[int, int] = {}  # {photo: seed} of the photos that lie in the folder
    recorded: dict[int, int] = {}  # and of those that have a vector
    encoded = 0
    with pytest.MonkeyPatch.context() as patch:
        set_sizes(patch, fan_out=fan_out, smallest=smallest, most=most)
        for changes in history:
            change_photos(photos, changes)
            library.add(photos, allow_empty=True)
            fresh = {number: seed for number, seed in sorted(changes.items()) if seed is not None}
            encoded += len(set(fresh.values()) - set(recorded.values()))
            here = {number: seed for number, seed in (here | fresh).items() if changes.get(number, 0) is not None}
            recorded = moved(recorded, here) | fresh
            check_segments(library, most=most, fan_out=fan_out)
    assert vectors_of(library.folder) == {str(photos / f"{n:02d}.jpg"): vector_of(seed) for n, seed in here.items()}
    assert all_vectors(library) == {f"{number:02d}.jpg": vector_of(seed) for number, seed in recorded.items()}
    assert library.encoder.encoded_photos == encoded  # what was encoded once is not again, though it was away
    check_sound(library.folder)
    shutil.rmtree(root)


def check_segments(library: LibraryFactory, *, most: int, fan_out: int) -> None:
    """There are few segments, and few rows that are nobody's in the large ones."""
    with rows_of(library) as rows:
        files = segments_of(rows.session, rows.model)
        tiers = [tier(file.rows) for file in files if file.rows < most]
        assert all(tiers.count(number) < fan_out for number in set(tiers))
        for file in files:
            if file.rows >= most:
                assert len(recorded_ids(rows.session, rows.model, file.name)) >= file.rows / 2


def all_vectors(library: LibraryFactory) -> dict[str, bytes]:
    """Return {file name: its vector} of every photo that has one, be it one that cannot be found now."""
    found = {}
    with rows_of(library) as rows:
        for photo in all_photos(rows.session):
            vector = rows.store.vector(lambda at=photo.id: segment_with(rows.session, rows.model, at), photo.id)
            if vector is not None:
                found[Path(photo.path).name] = vector.tobytes()
    return found


def test_vectors_of_missing_photos_survive_merges_and_are_not_computed_again(
    library: LibraryFactory, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sizes(monkeypatch, fan_out=2, smallest=100)
    library.add(photos)
    before = vectors_of(library.folder)
    away = tmp_path / "away"
    away.mkdir()
    for number in range(5):
        (photos / f"{number:02d}.jpg").rename(away / f"{number:02d}.jpg")
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    library.add(photos)
    (file,) = segments_in(library.folder)
    assert (file.rows, file.alive) == (11, 6)
    for path in away.iterdir():
        path.rename(photos / path.name)
    report = library.add(photos)
    assert (report.run.reused, report.run.encoded, library.encoder.encoded_photos) == (5, 0, 11)
    (file,) = segments_in(library.folder)
    assert (file.rows, file.alive) == (11, 11)
    assert before.items() <= vectors_of(library.folder).items()
    assert verify(library.folder) == []


# Coverage


@pytest.fixture(scope="module")
def covered_template(template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library of 45 photos in three segments, all of them tagged and in an approximate index."""
    root = tmp_path_factory.mktemp("covered")
    library = LibraryFactory(root / "library", template.folder.root)
    for start in (0, 15, 30):
        add_photos_from(library, root, start, 15)
    assert len(segments_in(library.folder)) == 3
    assert reindex(library.folder, loaded(library), lambda _: IndexChoice(kind="ivf")).written
    assert tag(library) == 45
    return root


@pytest.fixture
def covered(
    library: LibraryFactory, covered_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> LibraryFactory:
    """A copy of that library and its photos, with a table of them."""
    for folder in covered_template.glob("from *"):
        shutil.copytree(folder, tmp_path / folder.name)
    copy_library(covered_template / "library", library.folder.root, covered_template, tmp_path)
    assert tag(library) == 0  # which writes the table of photos
    set_sizes(monkeypatch, fan_out=3, smallest=100)
    return library


def loaded(library: LibraryFactory) -> Any:
    return lambda model: library.encoder


def add_photos_from(library: LibraryFactory, tmp_path: Path, start: int, number: int) -> None:
    """Add photos, in a segment of their own."""
    folder = fill_folder(tmp_path / f"from {start}", range(start, start + number), "{:03d}.jpg", (32, 32))
    library.add(folder)


def tag(library: LibraryFactory) -> int:
    """Tag a library and return how many photos were scored for it."""
    return tag_library(library.folder, None, loaded(library), options=TagOptions()).scored


def merge_now(library: LibraryFactory) -> int:
    with rows_of(library) as rows:
        return rows.merge()


def scores_of(library: LibraryFactory) -> dict[int, bytes]:
    with tagging_of(library.folder) as (_, tagging):
        return {
            photo_id: row.tobytes()
            for columns, scores in tagging.scores()
            for photo_id, row in zip(columns["photo_id"].to_pylist(), scores, strict=True)
        }


def hits_of(library: LibraryFactory) -> list[list[tuple[int, float]]]:
    opened = library.open()
    return [
        [(hit.photo_id, round(hit.score, 5)) for hit in opened.search(text, k=10)] for text in ("pool", "bed", "sea")
    ]


def is_covered(library: LibraryFactory) -> list[set[str]]:
    """Return by what each segment is covered, the oldest first."""
    with rows_of(library) as rows:
        known = coverage(rows.catalog.folder, rows.model)
        return [set(known.get(file.name, ())) for file in segments_of(rows.session, rows.model)]


ALL = {"approximation.json", "photos.json", read_vocabulary(DEFAULT).key}


def test_what_covers_the_old_segments_covers_the_merged_one(covered: LibraryFactory) -> None:
    scores, hits = scores_of(covered), hits_of(covered)
    tags = covered.folder.photo_table(KEY)
    table = (tags / "photos.arrow").stat().st_ino
    assert is_covered(covered) == [ALL] * 3
    assert merge_now(covered) == 1
    assert is_covered(covered) == [ALL]
    assert (scores_of(covered), hits_of(covered)) == (scores, hits)
    results = covered.open().search("pool", k=10)
    assert (results.explanation.engine, "beside" in results.explanation.reason) == ("ivf", False)
    assert tag(covered) == 0
    assert (tags / "photos.arrow").stat().st_ino == table
    assert not reindex(covered.folder, loaded(covered)).written
    assert verify(covered.folder) == []


def test_scores_of_a_merged_segment_are_those_of_its_photos_alone(covered: LibraryFactory, tmp_path: Path) -> None:
    gone, back = tmp_path / "from 0" / "003.jpg", tmp_path / "003.jpg"
    gone.rename(back)
    (tmp_path / "from 15" / "020.jpg").write_bytes(photo_bytes(99, size=(48, 48)))
    with pytest.MonkeyPatch.context() as patch:
        set_sizes(patch, fan_out=10, smallest=100)
        covered.add(tmp_path / "from 0")
        covered.add(tmp_path / "from 15")
    before = scores_of(covered)
    assert merge_now(covered) == 1
    assert [(file.rows, file.alive) for file in segments_in(covered.folder)] == [(1, 1), (44, 43)]
    after = scores_of(covered)
    assert len(after) == 44
    assert sum(np.isnan(np.frombuffer(row, np.float32)).all() for row in after.values()) == 1  # the changed one
    assert after == before
    assert tag(covered) == 1
    back.rename(gone)
    covered.add(tmp_path / "from 0")
    assert len(scores_of(covered)) == 45
    assert verify(covered.folder) == []


def test_segments_that_are_covered_and_others_are_not_mixed(covered: LibraryFactory, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        set_sizes(patch, fan_out=10, smallest=100)
        add_photos_from(covered, tmp_path, 45, 2)
        add_photos_from(covered, tmp_path, 47, 2)
    assert is_covered(covered) == [ALL] * 3 + [set()] * 2
    assert merge_now(covered) == 1
    assert [file.rows for file in segments_in(covered.folder)] == [2, 2, 45]
    assert is_covered(covered) == [set(), set(), ALL]
    add_photos_from(covered, tmp_path, 49, 2)
    assert [file.rows for file in segments_in(covered.folder)] == [45, 6]
    assert is_covered(covered) == [ALL, set()]
    assert covered.open().search("pool", k=10).explanation.reason.endswith("and 6 photos beside them")
    assert tag(covered) == 6
    assert verify(covered.folder) == []


def test_few_segments_that_are_large_together_are_not_mixed_either(
    covered: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sizes(monkeypatch, fan_out=3, smallest=16)
    add_photos_from(covered, tmp_path, 45, 15)  # the other three become one
    assert [file.rows for file in segments_in(covered.folder)] == [15, 45]
    set_sizes(monkeypatch, fan_out=10, smallest=100, most=50)
    assert merge_now(covered) == 0
    assert is_covered(covered) == [set(), ALL]
    reindex(covered.folder, loaded(covered))
    tag(covered)
    assert [file.rows for file in segments_in(covered.folder)] == [15, 45]
    assert merge_now(covered) == 1
    assert is_covered(covered) == [ALL]


def test_a_second_vocabulary_that_covers_less_keeps_its_segments_apart(covered: LibraryFactory, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\n[tags]\n"a pool" = []\n', encoding="utf-8")
    vocabulary = read_vocabulary(str(own))
    with pytest.MonkeyPatch.context() as patch:
        set_sizes(patch, fan_out=10, smallest=100)
        tag_library(covered.folder, vocabulary, loaded(covered), options=TagOptions())
        where = covered.folder.scores(KEY, vocabulary.key)
        score_files(where)[segments_in(covered.folder)[0].name].unlink()
    assert merge_now(covered) == 0
    assert is_covered(covered) == [ALL, ALL | {vocabulary.key}, ALL | {vocabulary.key}]
    assert tag(covered) == 15  # with the current one, which is the second
    assert merge_now(covered) == 1
    assert is_covered(covered) == [ALL | {vocabulary.key}]


def test_a_collection_in_milvus_covers_the_merged_segment(covered: LibraryFactory) -> None:
    where = covered.folder.index(KEY)
    names = tuple(file.name for file in segments_in(covered.folder))
    about = Collection(
        model_key=KEY,
        uri="http://user:secret@127.0.0.1:9",
        name="aliens",
        dim=48,
        exact=False,
        covers=names,
        entries=45,
    )
    write_collection(where, about)
    assert merge_now(covered) == 1
    (file,) = segments_in(covered.folder)
    read = read_collection(where)
    assert file.name in read.covers
    assert (where / "collection.json").stat().st_mode & 0o077 == 0  # it may hold a password


def test_names_of_segments_that_were_merged_away_do_not_pile_up_in_manifests(
    library: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sizes(monkeypatch, fan_out=3, smallest=3)
    where = library.folder.index(KEY)
    where.mkdir(parents=True)
    about: Approximation | None = Approximation(model_key=KEY, kind="ivf", factory="IVF1,SQ8", dim=48)
    with rows_of(library) as rows:
        for _ in range(27):
            assert about is not None
            rows.add(1)
            newest = segments_of(rows.session, rows.model)[-1].name
            write_record(where / APPROXIMATE_MANIFEST, replace(about, covers=(*about.covers, newest)))
            rows.merge()
            about = read_approximation(where)
            known = {file.name for file in segments_of(rows.session, rows.model)}
            assert known <= set(about.covers)
            assert len(set(about.covers) - known) <= 3  # those of the last merge
        assert rows.sizes() == [27]


# Damage


DAMAGE = {
    "a bit of a vector": lambda path, other: flip(path, 0.5),
    "a bit of an id": lambda path, other: flip(path, 0.98),
    "truncated": lambda path, other: os.truncate(path, path.stat().st_size - 1),
    "emptied": lambda path, other: os.truncate(path, 0),
    "gone": lambda path, other: path.unlink(),
    "another's": lambda path, other: shutil.copy(other, path),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_segment_is_never_merged(
    library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    for start in (0, 5, 10):
        add_photos_from(library, tmp_path, start, 5)
    damaged, other, third = segments_in(library.folder)
    folder = library.folder.vectors(KEY)
    path = folder / f"{damaged.name}.faiss"
    DAMAGE[damage](path, folder / f"{other.name}.faiss")
    left = path.read_bytes() if path.exists() else None
    set_sizes(monkeypatch, fan_out=3, smallest=100)
    assert merge_now(library) == 0
    assert segments_in(library.folder) == [damaged, other, third]
    set_sizes(monkeypatch, fan_out=2, smallest=100)
    assert merge_now(library) == 1  # the other two
    first, merged = segments_in(library.folder)
    assert (first, merged.rows) == (damaged, 10)
    assert (path.read_bytes() if path.exists() else None) == left
    (told,) = verify(library.folder)
    assert told.what.startswith(f"segment {damaged.name} of 5 photos: ")
    assert repair(library.folder) == 5
    for start in (0, 5, 10):
        library.add(tmp_path / f"from {start}")
    assert [file.rows for file in segments_in(library.folder)] == [15]
    assert {Path(where).name: vector for where, vector in vectors_of(library.folder).items()} == {
        f"{seed:03d}.jpg": vector_of(seed) for seed in range(15)
    }
    assert verify(library.folder) == []


def test_a_segment_that_lacks_a_vector_as_recorded_is_not_merged(
    library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in (0, 5):
        add_photos_from(library, tmp_path, start, 5)
    with session_of(library.folder) as session:
        session.execute(text("UPDATE embedding SET segment_id = 2 WHERE photo_id = 1"))
        session.execute(text("INSERT INTO dead_vector VALUES (1, 1)"))
        session.execute(text("UPDATE vector_segment SET alive = 4 WHERE id = 1"))
        session.commit()
    set_sizes(monkeypatch, fan_out=2, smallest=100)
    assert merge_now(library) == 0
    (told,) = verify(library.folder)
    assert told.what.endswith("it has no vector of photo 1, as recorded")
    assert repair(library.folder) == 6
    library.add(tmp_path / "from 0")
    assert set(states_of(library.folder).values()) == {("embedded", None)}
    assert verify(library.folder) == []


def test_damaged_scores_are_not_merged_into_sound_ones(covered: LibraryFactory) -> None:
    before = scores_of(covered)
    where = covered.folder.scores(KEY, read_vocabulary(DEFAULT).key)
    damaged = segments_in(covered.folder)[1]
    flip(score_files(where)[damaged.name])
    assert merge_now(covered) == 0  # they would be lost to all
    assert tag(covered) == damaged.alive
    assert scores_of(covered) == before
    assert merge_now(covered) == 1
    assert is_covered(covered) == [ALL]
    assert scores_of(covered) == before
    assert verify(covered.folder) == []


# Kills


STEPS: dict[str, tuple[Any, str]] = {
    "write": (SegmentStore, "write_parts"),
    "carry over": (indexer.merging, "carry_over"),
    "a manifest": (indexer.merging, "write_record"),
    "the scores": (indexer.merging, "merge_scores"),
    "record": (indexer.merging, "merge_segments"),
    "commit": (Session, "commit"),
    "remove": (Path, "unlink"),
    "remove scores": (indexer.merging, "remove_scores"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_a_sound_library_and_the_next_merge_completes_it(
    covered: LibraryFactory, tmp_path: Path, step: str, after: bool
) -> None:
    keep_results(covered.folder, [1], covered.encoder)
    vectors, scores, hits = vectors_of(covered.folder), scores_of(covered), hits_of(covered)
    covered.close()
    with failing_from(*STEPS[step], SystemExit, after=after), pytest.raises(SystemExit):
        merge_now(covered)
    recorded = step.startswith("remove") or (step, after) == ("commit", True)
    assert len(segments_in(covered.folder)) == (2 if recorded else 4)
    check_invariants(covered.folder)
    assert (vectors_of(covered.folder), scores_of(covered), hits_of(covered)) == (vectors, scores, hits)
    assert {told.part for told in verify(covered.folder)} <= {"stray file"}
    assert covered.open().search("pool", k=10).explanation.engine == "ivf"

    add_photos_from(covered, tmp_path, 45, 1)
    assert [file.rows for file in segments_in(covered.folder)] in ([1, 45, 1], [1, 1, 45])
    stems = {path.stem for path in covered.folder.vectors(KEY).iterdir()}
    assert stems == {file.name for file in segments_in(covered.folder)}
    assert (tag(covered), reindex(covered.folder, loaded(covered)).why) == (1, "")
    assert scores.items() <= scores_of(covered).items()
    assert vectors.items() <= vectors_of(covered.folder).items()
    check_sound(covered.folder)


def test_a_full_disk_in_the_middle_of_a_merge_loses_nothing(covered: LibraryFactory) -> None:
    hits, full = hits_of(covered), OSError(28, "No space left on device")
    for refused in range(4):  # the segment's file, two manifests, the scores
        with failing_from(os, "replace", full, call=refused), pytest.raises(OSError, match="No space left"):
            merge_now(covered)
        assert len(segments_in(covered.folder)) == 3
        assert hits_of(covered) == hits
        check_invariants(covered.folder)
    with failing_from(os, "replace", full, call=4):
        assert merge_now(covered) == 1
    assert hits_of(covered) == hits
    check_invariants(covered.folder)
    assert is_covered(covered) == [ALL]


# Readers


def test_an_open_library_answers_the_same_while_its_segments_are_merged_away(covered: LibraryFactory) -> None:
    opened = covered.open()
    before = [(hit.photo_id, hit.score) for hit in opened.search("pool", k=50, exact=True)]
    assert len(before) == 45
    assert merge_now(covered) == 1
    assert [(hit.photo_id, hit.score) for hit in opened.search("pool", k=50, exact=True)] == before
    assert [(hit.photo_id, hit.score) for hit in covered.open().search("pool", k=50, exact=True)] == before


def test_who_has_segments_open_keeps_them_though_their_files_are_removed(covered: LibraryFactory) -> None:
    with rows_of(covered) as rows:
        vectors = rows.store.current(EmbeddedRows(rows.session, rows.model))
        before = [(ids.tolist(), part.tobytes()) for ids, part in vectors.parts()]
        assert merge_now(covered) == 1
        assert not [name for name in vectors.names if rows.store.path(name).exists()]
        assert [(ids.tolist(), part.tobytes()) for ids, part in vectors.parts()] == before


def test_segments_that_were_merged_away_are_not_kept_open_by_who_merged_them(
    library: LibraryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_sizes(monkeypatch, fan_out=3, smallest=100)
    with rows_of(library) as rows:
        for _ in range(3):
            rows.add(2)
        opened = [weakref.ref(rows.store.open(file)) for file in segments_of(rows.session, rows.model)]
        assert None not in [segment() for segment in opened]
        assert rows.merge() == 1
        gc.collect()
        assert [segment() for segment in opened] == [None] * 3  # or their space on the disk would not be free
        rows.check()


def test_segments_that_are_merged_away_while_they_are_opened_are_looked_up_anew(covered: LibraryFactory) -> None:
    class Late(EmbeddedRows):
        """Rows of which the first answer is out of date when it is used."""

        def segments(self) -> list[SegmentFile]:
            files = super().segments()
            merged.append(merge_now(covered))
            return files

    merged: list[int] = []
    with rows_of(covered) as rows:
        vectors = rows.store.current(Late(rows.session, rows.model))
        assert len(vectors) == 45
        assert vectors.names == tuple(file.name for file in segments_in(covered.folder))
    assert merged[:2] == [1, 0]
