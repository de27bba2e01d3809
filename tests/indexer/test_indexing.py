"""The approximate index of a library: chosen, built, grown, damaged, interrupted, swapped while it is read."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aliens.library import Library
from base.errors import LibraryError
from embedding.index.approximate import APPROXIMATE_FILE, APPROXIMATE_MANIFEST, ApproximateIndex, read_approximation
from embedding.index.building import IndexChoice
from embedding.index.exact import INDEX_FILE
from indexer import upkeep
from indexer.pipeline import Run, RunReport
from indexer.upkeep import IndexReport, index_choice, probe_texts
from search.ranking import Shape
from tests.by_folder import disagreements as verify
from tests.by_folder import flat, reindex, repair, session_of
from tests.conftest import LibraryFactory, photo_bytes

PHOTOS = 120
KEY = "fake-00000000"
IVF = IndexChoice(kind="ivf")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of photos enough for lists."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(PHOTOS):
        (folder / f"{number:03d}.jpg").write_bytes(photo_bytes(number, size=(32, 32)))
    return folder


@pytest.fixture
def indexed(library: LibraryFactory, many: Path) -> LibraryFactory:
    """A library with an approximate index."""
    library.add(many)
    report = chosen(library, IVF)
    assert report.approximated
    return library


def chosen(library: LibraryFactory, choice: IndexChoice | None = None, **options: object) -> IndexReport:
    return reindex(library.folder, lambda model: library.encoder, lambda now: choice or now, **options)  # type: ignore[arg-type]


def ids_of(library: Library, text: str, **shape: object) -> list[int]:
    return [hit.photo_id for hit in library.search(text, k=10, **flat(Shape(**shape)))]  # type: ignore[arg-type]


def index_folder(library: LibraryFactory) -> Path:
    return library.folder.index(KEY)


def more_photos(folder: Path, count: int, first: int = 1000) -> None:
    for number in range(first, first + count):
        (folder / f"{number}.jpg").write_bytes(photo_bytes(number, size=(32, 32)))


def test_there_are_15_tags_and_200_descriptions_to_measure_by() -> None:
    texts = probe_texts()
    assert len(texts) == len(set(texts)) == 215
    assert texts[0] == "a pool"


def test_the_index_that_was_chosen_is_built_measured_and_used(indexed: LibraryFactory) -> None:
    about = read_approximation(index_folder(indexed))
    assert about is not None
    assert (about.kind, about.entries, about.queries) == ("ivf", PHOTOS, 215)
    assert about.recall >= 0.99
    results = indexed.open().search("pool", k=10)
    assert results.explanation.engine == "ivf"
    assert results.explanation.recall == about.recall
    assert ids_of(indexed.open(), "pool") == ids_of(indexed.open(), "pool", exact=True)
    assert verify(indexed.folder) == []


def test_an_index_up_to_date_is_not_built_again_and_no_model_is_loaded(indexed: LibraryFactory) -> None:
    def load(model: object) -> None:
        raise AssertionError("a model was loaded")

    report = reindex(indexed.folder, load)  # type: ignore[arg-type]
    assert (report.rewritten, report.approximated) == (False, False)
    assert report.approximation == read_approximation(index_folder(indexed))


def test_adding_photos_extends_the_index(indexed: LibraryFactory, many: Path) -> None:
    more_photos(many, 20)
    (many / "000.jpg").unlink()
    report = indexed.add(many)
    about = report.index.approximation
    assert about is not None
    assert report.index.approximated
    assert (report.index.why, about.entries, about.trained_entries) == ("", PHOTOS + 20, PHOTOS)
    opened = indexed.open()
    assert opened.search("pool", k=5).explanation.engine == "ivf"
    for text in ("pool", "bed", "sea"):
        assert ids_of(opened, text) == ids_of(opened, text, exact=True)
    assert 1 not in ids_of(opened, "pool", exact=True)


def test_an_index_that_has_doubled_is_built_anew(indexed: LibraryFactory, many: Path) -> None:
    more_photos(many, PHOTOS + 1)
    report = indexed.add(many)
    assert "was trained on 120" in report.index.why
    assert report.index.approximation is not None
    assert report.index.approximation.trained_entries == 2 * PHOTOS + 1


def test_a_photo_that_changed_is_found_as_it_is_now(indexed: LibraryFactory, many: Path) -> None:
    (many / "005.jpg").write_bytes(photo_bytes(99_999, size=(48, 48)))
    indexed.add(many)
    opened = indexed.open()
    (hit, *_) = opened.search(image=many / "005.jpg", k=1)
    assert (hit.photo_id, round(hit.score, 2)) == (6, 1.0)


def test_an_older_index_is_not_used_and_nothing_is_lost(
    indexed: LibraryFactory, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object, **options: object) -> IndexReport:
        raise KeyboardInterrupt

    more_photos(many, 5)
    monkeypatch.setattr("indexer.add.update_index", killed)
    with pytest.raises(KeyboardInterrupt):
        indexed.add(many)
    opened = indexed.open()
    results = opened.search("pool", k=PHOTOS + 5)
    assert len(results) == PHOTOS + 5
    for number in range(1000, 1005):  # by the file's photos together with the ones that came since
        assert opened.search(image=many / f"{number}.jpg", k=1)[0].score > 0.99
    assert "older than 5 of the photos" in results.explanation.note


def test_a_kill_between_the_exact_and_the_approximate_file_leaves_exact_answers(
    indexed: LibraryFactory, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    more_photos(many, 5)
    with monkeypatch.context() as patch:
        patch.setattr(upkeep, "extended", killed)
        with pytest.raises(KeyboardInterrupt):
            indexed.add(many)
    results = indexed.open().search("pool", k=10)
    assert results.explanation.engine == "exact"
    assert "ivf index is older" in results.explanation.note
    assert [d.part for d in verify(indexed.folder)] == ["approximate index"]
    report = indexed.add(many)  # the same command goes on
    assert "older than the exact one" in report.index.why
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"
    assert verify(indexed.folder) == []


def test_photos_that_came_while_the_exact_index_was_damaged_are_in_the_approximate_one(
    indexed: LibraryFactory, many: Path
) -> None:
    (index_folder(indexed) / INDEX_FILE).write_bytes(b"truncated")
    more_photos(many, 3)
    report = indexed.add(many)
    assert report.index.why
    assert report.index.approximation is not None
    assert report.index.approximation.entries == PHOTOS + 3
    (hit,) = indexed.open().search(image=many / "1001.jpg", k=1)
    assert hit.path.endswith("1001.jpg")


def test_an_interrupted_add_leaves_the_index_to_be_extended(
    indexed: LibraryFactory, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more_photos(many, 5)
    with monkeypatch.context() as patch:
        patch.setattr("indexer.add.Run", Interrupted)
        stopped = indexed.add(many)
    assert stopped.run.interrupted
    assert not stopped.index.rewritten
    results = indexed.open().search("pool", k=10)
    assert (results.explanation.engine, "older than 5" in results.explanation.note) == ("ivf", True)
    report = indexed.add(many)
    assert (report.index.why, report.index.approximated) == ("", True)
    assert indexed.open().search("pool", k=10).explanation.note == ""


class Interrupted(Run):
    """A run that embeds all, and says that it was stopped by Ctrl-C."""

    def embed(self, progress: object) -> RunReport:
        return replace(super().embed(progress), interrupted=True)  # type: ignore[arg-type]


def test_others_write_to_the_library_while_an_index_is_built(
    library: LibraryFactory, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(many)
    encode, beside = library.encoder.encode_texts, library.open()

    def saving_meanwhile(texts: object) -> np.ndarray:
        beside.save_search("meanwhile", "a pool")
        return encode(texts)  # type: ignore[arg-type]

    monkeypatch.setattr(library.encoder, "encode_texts", saving_meanwhile)
    assert chosen(library, IVF).approximated
    assert [search.name for search in beside.saved_searches()] == ["meanwhile"]


def test_another_factory_is_built_and_taking_it_back_builds_the_usual_one(indexed: LibraryFactory) -> None:
    usual = read_approximation(index_folder(indexed))
    assert usual is not None
    report = chosen(indexed, IndexChoice(kind="ivf", factory="IVF3,Flat"))
    assert report.approximation is not None
    assert report.approximation.factory == "IVF3,Flat"
    report = chosen(indexed, IVF)
    assert report.approximation is not None
    assert report.approximation.factory == usual.factory


def test_a_milvus_that_gives_no_answer_leaves_the_index_that_stood(indexed: LibraryFactory) -> None:
    pytest.importorskip("pymilvus")
    with pytest.raises(LibraryError, match="Milvus"):
        chosen(indexed, IndexChoice(milvus="http://127.0.0.1:9"))
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"


def test_verify_notices_an_index_that_is_gone_and_repair_mends_only_what_is_broken(indexed: LibraryFactory) -> None:
    where = index_folder(indexed)
    (where / f"{INDEX_FILE}.tmp").write_bytes(b"half")
    approximate = where / APPROXIMATE_FILE
    approximate.write_bytes(approximate.read_bytes()[:-1] + b"?")
    assert {d.part for d in verify(indexed.folder)} == {"index", "approximate index"}
    before = (where / INDEX_FILE).stat().st_ino
    repair(indexed.folder)
    assert (where / INDEX_FILE).stat().st_ino == before
    (disagreement,) = verify(indexed.folder)
    assert (disagreement.part, disagreement.remedy) == ("approximate index", "aliens index")
    chosen(indexed)
    assert verify(indexed.folder) == []


@pytest.mark.parametrize("left", [0, 500])
def test_a_truncated_file_is_not_used_and_is_built_anew(indexed: LibraryFactory, left: int) -> None:
    path = index_folder(indexed) / APPROXIMATE_FILE
    path.write_bytes(path.read_bytes()[:left])
    results = indexed.open().search("pool", k=10)
    assert (results.explanation.engine, len(results)) == ("exact", 10)
    assert "damaged" in results.explanation.note
    assert "aliens index" in results.explanation.note
    assert chosen(indexed).approximated
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"


def test_a_flipped_byte_is_found_by_verify(indexed: LibraryFactory) -> None:
    path = index_folder(indexed) / APPROXIMATE_FILE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    (disagreement,) = verify(indexed.folder)
    assert (disagreement.part, disagreement.remedy) == ("approximate index", "aliens index --rebuild")
    chosen(indexed, rebuild=True)
    assert verify(indexed.folder) == []


def test_an_index_that_finds_too_little_is_not_used_and_says_so(indexed: LibraryFactory) -> None:
    index = ApproximateIndex.open(index_folder(indexed), KEY, generation_of(indexed))
    assert index is not None
    index.about = replace(index.about, recall=0.5)
    index.save(index_folder(indexed), index.about.generation)
    results = indexed.open().search("pool", k=10)
    assert results.explanation.engine == "exact"
    assert "finds only 50.0%" in results.explanation.note


def generation_of(library: LibraryFactory) -> int:
    about = read_approximation(index_folder(library))
    assert about is not None
    return about.generation


def test_an_open_library_takes_the_new_index_and_answers_meanwhile(indexed: LibraryFactory) -> None:
    opened = indexed.open()
    before = opened.search("pool", k=10)
    chosen(indexed, IndexChoice(kind="hnsw"))
    after = opened.search("pool", k=10)
    assert (before.explanation.engine, after.explanation.engine) == ("ivf", "hnsw")
    assert ids_of(opened, "pool") == ids_of(opened, "pool", exact=True)
    shutil.rmtree(index_folder(indexed))
    assert len(opened.search("pool", k=10)) == 10


def test_going_back_to_exact_removes_the_files(indexed: LibraryFactory) -> None:
    report = chosen(indexed, IndexChoice(kind="exact"))
    assert report.approximation is None
    assert not (index_folder(indexed) / APPROXIMATE_FILE).exists()
    assert not (index_folder(indexed) / APPROXIMATE_MANIFEST).exists()
    assert indexed.open().search("pool", k=10).explanation.engine == "exact"


def test_a_choice_that_cannot_be_built_changes_nothing(indexed: LibraryFactory) -> None:
    with pytest.raises(LibraryError, match="FAISS cannot build 'IVF16,PQ7'"):
        chosen(indexed, IndexChoice(kind="ivf", factory="IVF16,PQ7"))
    with session_of(indexed.folder) as session:
        assert index_choice(session) == IVF
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"


def test_repair_without_a_model_keeps_answers_exact(indexed: LibraryFactory) -> None:
    shard = next(iter(sorted(indexed.folder.vectors(KEY).glob("*[0-9].npy"))))
    shard.write_bytes(b"")
    assert repair(indexed.folder) > 0
    opened = indexed.open()
    with pytest.raises(Exception, match=r"embedded yet|can be found now"):
        opened.search("pool", k=10)


def test_limits_pages_and_diversity_compare_every_photo(indexed: LibraryFactory) -> None:
    opened = indexed.open()
    first = opened.search("pool", k=10)
    for shape in (Shape(per_hotel=1), Shape(diverse=0.5), Shape(after=first.cursor), Shape(exact=True)):
        assert opened.search("pool", k=10, **flat(shape)).explanation.engine == "exact"
    whole = [hit.photo_id for hit in opened.search("pool", k=40, **flat(Shape(exact=True)))]
    second = opened.search("pool", k=30, **flat(Shape(after=first.cursor)))
    assert [hit.photo_id for hit in [*first, *second]] == whole


def test_many_queries_at_once_are_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    from embedding.index import product
    from embedding.index.exact import FaissIndex

    monkeypatch.setattr(product, "CHUNK_ROWS", 64)
    monkeypatch.setattr(product, "BLOCK_ROWS", 16)
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(1000, 24)).astype(np.float16)
    vectors[100:120] = vectors[7]  # equal scores
    ids, queries = 5 + 2 * np.arange(1000), draw.normal(size=(70, 24)).astype(np.float32)
    mask = draw.random(1000) < 0.3
    for k in (1, 10, 200):
        for chosen_rows in (None, mask):
            many = FaissIndex.build(24, [(ids, vectors)]).search(queries, k, chosen_rows)
            with monkeypatch.context() as patch:
                patch.setattr("embedding.index.exact.is_worth_it", lambda queries, rows: False)
                single = FaissIndex.build(24, [(ids, vectors)]).search(queries, k, chosen_rows)
            assert many[0] == pytest.approx(single[0], abs=1e-4)
            every = queries @ vectors.astype(np.float32).T
            score_of = [dict(zip(ids.tolist(), row.tolist(), strict=True)) for row in every]
            for row, (scores, found) in enumerate(zip(*many, strict=True)):
                assert scores == pytest.approx([score_of[row][i] for i in found.tolist()], abs=1e-4)
                assert len(set(found.tolist())) == len(found)
