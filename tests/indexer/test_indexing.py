"""The approximate index of a library: chosen, built, grown, damaged, interrupted, swapped while it is read."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aliens.library import Library
from base.errors import LibraryError
from embedding.index.approximate import (
    APPROXIMATE_FILE,
    APPROXIMATE_MANIFEST,
    ApproximateIndex,
    Approximation,
    read_approximation,
)
from embedding.index.building import EXACT_SUFFICES, IndexChoice
from embedding.index.milvus import Collection
from indexer.upkeep import IndexReport, advice, index_choice, probe_texts
from search.ranking import Shape
from tests.by_folder import disagreements as verify
from tests.by_folder import flat, reindex, repair, session_of
from tests.conftest import LibraryFactory, copy_library, fill_folder, photo_bytes, raising
from tests.indexer.conftest import segments_in

PHOTOS = 120
KEY = "fake-00000000"
IVF = IndexChoice(kind="ivf")


@pytest.fixture(scope="module")
def indexed_template(template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos enough for lists, and their library with an approximate index: to be copied."""
    root = tmp_path_factory.mktemp("indexed")
    fill_folder(root / "many", range(PHOTOS), "{:03d}.jpg", (32, 32))
    library = LibraryFactory(root / "library", template.folder.root)
    library.add(root / "many")
    assert chosen(library, IVF).written
    return root


@pytest.fixture
def many(indexed_template: Path, tmp_path: Path) -> Path:
    """A folder of photos enough for lists."""
    return Path(shutil.copytree(indexed_template / "many", tmp_path / "many"))


@pytest.fixture
def indexed(library: LibraryFactory, indexed_template: Path, many: Path) -> LibraryFactory:
    """A library with an approximate index."""
    copy_library(indexed_template / "library", library.folder.root, indexed_template / "many", many)
    return library


def chosen(library: LibraryFactory, choice: IndexChoice | None = None, **options: object) -> IndexReport:
    return reindex(library.folder, lambda model: library.encoder, lambda now: choice or now, **options)  # type: ignore[arg-type]


def ids_of(library: Library, text: str, **shape: object) -> list[int]:
    return [hit.photo_id for hit in library.search(text, k=10, **flat(Shape(**shape)))]  # type: ignore[arg-type]


def more_photos(folder: Path, count: int, first: int = 1000) -> None:
    fill_folder(folder, range(first, first + count), size=(32, 32))


def test_there_are_15_tags_and_200_descriptions_to_measure_by() -> None:
    texts = probe_texts()
    assert len(texts) == len(set(texts)) == 215
    assert texts[0] == "a pool"


def test_the_index_that_was_chosen_is_built_measured_and_used(indexed: LibraryFactory) -> None:
    about = read_approximation(indexed.folder.index(KEY))
    assert (about.kind, about.entries, about.queries) == ("ivf", PHOTOS, 215)
    assert about.recall >= 0.99
    results = indexed.open().search("pool", k=10)
    assert results.explanation.engine == "ivf"
    assert results.explanation.recall == about.recall
    assert ids_of(indexed.open(), "pool") == ids_of(indexed.open(), "pool", exact=True)
    assert verify(indexed.folder) == []


def test_an_index_up_to_date_is_not_built_again_and_no_model_is_loaded(indexed: LibraryFactory) -> None:
    report = reindex(indexed.folder, raising(AssertionError("a model was loaded")))  # type: ignore[arg-type]
    assert not report.written
    assert report.approximation == read_approximation(indexed.folder.index(KEY))


def test_adding_photos_leaves_the_index_and_compares_what_came_beside_it(indexed: LibraryFactory, many: Path) -> None:
    before = read_approximation(indexed.folder.index(KEY))
    more_photos(many, 20)
    (many / "000.jpg").unlink()
    report = indexed.add(many).index
    assert (report.written, report.approximation, report.beside) == (False, before, 20)
    assert report.rows()[-1] == ("beside", "20 photos came later and are compared exactly")
    opened = indexed.open()
    results = opened.search("pool", k=5)
    assert results.explanation.engine == "ivf"
    assert results.explanation.reason.endswith("and 20 photos beside them")
    assert results.explanation.note == ""
    for text in ("pool", "bed", "sea"):
        assert ids_of(opened, text) == ids_of(opened, text, exact=True)
    assert 1 not in ids_of(opened, "pool", exact=True)
    for number in range(1000, 1020):
        assert opened.search(image=many / f"{number}.jpg", k=1)[0].path.endswith(f"{number}.jpg")
    assert verify(indexed.folder) == []


def test_asked_for_the_index_is_extended_by_what_came(indexed: LibraryFactory, many: Path) -> None:
    more_photos(many, 20)
    (many / "000.jpg").unlink()
    indexed.add(many)
    report = chosen(indexed)
    about = report.approximation
    assert about is not None
    assert (report.written, report.why, report.beside) == (True, "", 0)
    assert (about.entries, about.trained_entries) == (PHOTOS + 20, PHOTOS)
    assert set(about.covers) == {file.name for file in segments_in(indexed.folder)}
    opened = indexed.open()
    assert "beside" not in opened.search("pool", k=5).explanation.reason
    for text in ("pool", "bed", "sea"):
        assert ids_of(opened, text) == ids_of(opened, text, exact=True)
    assert not chosen(indexed).written


def test_an_index_that_has_doubled_is_built_anew(indexed: LibraryFactory, many: Path) -> None:
    more_photos(many, PHOTOS + 1)
    indexed.add(many)
    report = chosen(indexed)
    assert "was trained on 120" in report.why
    assert report.notes == [f"the approximate index was built anew: {report.why}"]
    assert report.approximation.trained_entries == 2 * PHOTOS + 1


def test_a_photo_that_changed_is_found_as_it_is_now_by_the_index_or_not(indexed: LibraryFactory, many: Path) -> None:
    (many / "005.jpg").write_bytes(photo_bytes(99_999, size=(48, 48)))
    indexed.add(many)
    beside = [(hit.photo_id, hit.score) for hit in indexed.open().search(image=many / "005.jpg", k=10)]
    assert (beside[0][0], round(beside[0][1], 2)) == (6, 1.0)
    assert chosen(indexed).written
    results = indexed.open().search(image=many / "005.jpg", k=10)
    assert results.explanation.engine == "ivf"
    assert [(hit.photo_id, hit.score) for hit in results] == beside


@pytest.mark.parametrize("step", ["train", "tuned", "save"])
def test_a_kill_while_the_index_is_built_leaves_answers_and_the_next_call_builds_it(
    library: LibraryFactory, many: Path, step: str
) -> None:
    library.add(many)
    with killed_at(step):
        chosen(library, IVF)
    results = library.open().search("pool", k=10)
    assert (results.explanation.engine, results.explanation.note, len(results)) == ("exact", "", 10)
    assert verify(library.folder) == []
    assert chosen(library, IVF).written
    assert library.open().search("pool", k=10).explanation.engine == "ivf"


@pytest.mark.parametrize("step", ["add", "tuned", "save"])
def test_a_kill_while_the_index_is_extended_leaves_the_one_that_stood(
    indexed: LibraryFactory, many: Path, step: str
) -> None:
    more_photos(many, 5)
    indexed.add(many)
    before = read_approximation(indexed.folder.index(KEY))
    with killed_at(step):
        chosen(indexed)
    assert read_approximation(indexed.folder.index(KEY)) == before
    opened = indexed.open()
    assert opened.search("pool", k=10).explanation.engine == "ivf"
    assert ids_of(opened, "pool") == ids_of(opened, "pool", exact=True)
    assert verify(indexed.folder) == []
    assert chosen(indexed).why == ""  # the same command goes on
    assert verify(indexed.folder) == []


def test_a_kill_between_the_index_and_its_manifest_leaves_exact_answers(indexed: LibraryFactory, many: Path) -> None:
    more_photos(many, 5)
    indexed.add(many)
    with killed_at("manifest"):
        chosen(indexed)
    results = indexed.open().search("pool", k=10)
    assert (results.explanation.engine, len(results)) == ("exact", 10)
    (told,) = verify(indexed.folder)
    assert (told.part, told.remedy) == ("stray file", "`aliens verify --repair`")
    assert told.what.startswith(str(indexed.folder.index(KEY) / APPROXIMATE_FILE))
    assert chosen(indexed).written  # the same command builds it
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"
    assert verify(indexed.folder) == []


@contextmanager
def killed_at(step: str) -> Iterator[None]:
    """Have building, or extending, an index end at a step."""
    owners = {
        "train": ["embedding.index.building.train"],
        "tuned": ["embedding.index.building.tuned", "indexer.upkeep.tuned"],
        "manifest": ["embedding.index.approximate.write_record"],
    }
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        for owner in owners.get(step, [f"embedding.index.approximate.ApproximateIndex.{step}"]):
            patch.setattr(owner, raising(KeyboardInterrupt()))
        yield


def test_others_write_to_the_library_while_an_index_is_built(
    library: LibraryFactory, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(many)
    encode, beside = library.encoder.encode_texts, library.open()

    def saving_meanwhile(texts: object) -> np.ndarray:
        beside.save_search("meanwhile", "a pool")
        return encode(texts)  # type: ignore[arg-type]

    monkeypatch.setattr(library.encoder, "encode_texts", saving_meanwhile)
    assert chosen(library, IVF).written
    assert [search.name for search in beside.saved_searches()] == ["meanwhile"]


def test_another_factory_is_built_and_taking_it_back_builds_the_usual_one(indexed: LibraryFactory) -> None:
    usual = read_approximation(indexed.folder.index(KEY))
    assert usual is not None
    report = chosen(indexed, IndexChoice(kind="ivf", factory="IVF3,Flat"))
    assert report.approximation.factory == "IVF3,Flat"
    report = chosen(indexed, IVF)
    assert report.approximation.factory == usual.factory


def test_a_milvus_that_gives_no_answer_leaves_the_index_that_stood(indexed: LibraryFactory) -> None:
    pytest.importorskip("pymilvus")
    with pytest.raises(LibraryError, match="Milvus"):
        chosen(indexed, IndexChoice(milvus="http://127.0.0.1:9"))
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"


def test_repair_leaves_an_index_that_is_not_damaged(indexed: LibraryFactory) -> None:
    (indexed.folder.index(KEY) / f".{APPROXIMATE_FILE}.0123456789abcdef.tmp").write_bytes(b"half")
    assert [d.part for d in verify(indexed.folder)] == ["stray file"]
    repair(indexed.folder)
    assert verify(indexed.folder) == []
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"


@pytest.mark.parametrize("left", [0, 500])
def test_a_truncated_file_is_not_used_and_is_built_anew(indexed: LibraryFactory, left: int) -> None:
    path = indexed.folder.index(KEY) / APPROXIMATE_FILE
    path.write_bytes(path.read_bytes()[:left])
    results = indexed.open().search("pool", k=10)
    assert (results.explanation.engine, len(results)) == ("exact", 10)
    assert "damaged" in results.explanation.note
    assert "aliens index" in results.explanation.note
    assert chosen(indexed).written
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"


def test_an_index_that_finds_too_little_is_not_used_and_says_so(indexed: LibraryFactory, many: Path) -> None:
    index = ApproximateIndex.open(indexed.folder.index(KEY), KEY)
    index.about = replace(index.about, recall=0.5)
    index.save(indexed.folder.index(KEY))
    results = indexed.open().search("pool", k=10)
    assert results.explanation.engine == "exact"
    assert "finds only 50.0%" in results.explanation.note
    more_photos(many, PHOTOS)
    indexed.add(many)
    assert not chosen(indexed).written  # it would find no more
    more_photos(many, 1, first=5000)
    indexed.add(many)
    assert "the library has grown since it found only 50.0%" in chosen(indexed).why


def test_an_open_library_takes_the_new_index_and_answers_meanwhile(indexed: LibraryFactory) -> None:
    opened = indexed.open()
    before = opened.search("pool", k=10)
    chosen(indexed, IndexChoice(kind="hnsw"))
    after = opened.search("pool", k=10)
    assert (before.explanation.engine, after.explanation.engine) == ("ivf", "hnsw")
    assert ids_of(opened, "pool") == ids_of(opened, "pool", exact=True)
    shutil.rmtree(indexed.folder.index(KEY))
    assert len(opened.search("pool", k=10)) == 10


def test_going_back_to_exact_removes_the_files(indexed: LibraryFactory) -> None:
    assert chosen(indexed, IndexChoice(kind="exact")).approximation is None
    assert not (indexed.folder.index(KEY) / APPROXIMATE_FILE).exists()
    assert not (indexed.folder.index(KEY) / APPROXIMATE_MANIFEST).exists()
    assert indexed.open().search("pool", k=10).explanation.engine == "exact"


def test_a_choice_that_cannot_be_built_changes_nothing(indexed: LibraryFactory) -> None:
    with pytest.raises(LibraryError, match="FAISS cannot build 'IVF16,PQ7'"):
        chosen(indexed, IndexChoice(kind="ivf", factory="IVF16,PQ7"))
    with session_of(indexed.folder) as session:
        assert index_choice(session) == IVF
    assert indexed.open().search("pool", k=10).explanation.engine == "ivf"


def test_repair_without_a_model_keeps_what_is_found_right(indexed: LibraryFactory, many: Path) -> None:
    more_photos(many, 5)
    indexed.add(many)
    lost, _ = segments_in(indexed.folder)
    indexed.folder.vectors(KEY).joinpath(f"{lost.name}.faiss").write_bytes(b"")
    assert repair(indexed.folder) == PHOTOS
    opened = indexed.open()
    assert len(opened.search("pool", k=10)) == 5
    indexed.add(many)  # the index names photos that lie in another segment now
    assert ids_of(opened, "pool") == ids_of(opened, "pool", exact=True)
    assert len(opened.search("pool", k=1000)) == PHOTOS + 5
    chosen(indexed)
    assert ids_of(opened, "pool") == ids_of(opened, "pool", exact=True)
    assert verify(indexed.folder) == []


def test_limits_pages_and_diversity_compare_every_photo(indexed: LibraryFactory) -> None:
    opened = indexed.open()
    first = opened.search("pool", k=10)
    for shape in (Shape(per_hotel=1), Shape(diverse=0.5), Shape(after=first.cursor), Shape(exact=True)):
        assert opened.search("pool", k=10, **flat(shape)).explanation.engine == "exact"
    whole = [hit.photo_id for hit in opened.search("pool", k=40, **flat(Shape(exact=True)))]
    second = opened.search("pool", k=30, **flat(Shape(after=first.cursor)))
    assert [hit.photo_id for hit in [*first, *second]] == whole


# Advice


def approximation_of(entries: int, recall: float = 1.0, seconds: float = 0.0) -> Approximation:
    return Approximation(
        model_key=KEY,
        kind="ivf",
        factory="IVF1,SQ8",
        dim=48,
        entries=entries,
        trained_entries=entries,
        recall=recall,
        seconds=seconds,
    )


def report_of(photos: int, about: Approximation | None = None, beside: int = 0) -> IndexReport:
    return IndexReport(photos=photos, segments=1, size_bytes=photos * 96, approximation=about, beside=beside)


LARGE = 2 * EXACT_SUFFICES


@pytest.mark.parametrize(
    ("report", "choice", "said"),
    [
        (report_of(EXACT_SUFFICES), IndexChoice(), ""),
        (report_of(EXACT_SUFFICES + 1), IndexChoice(), "every photo is compared, for want of an approximate index"),
        (report_of(LARGE), IndexChoice(kind="exact"), ""),
        (report_of(LARGE, approximation_of(LARGE)), IndexChoice(), ""),
        (report_of(LARGE, approximation_of(LARGE - 125_000), beside=125_000), IndexChoice(), ""),
        (
            report_of(LARGE, approximation_of(LARGE - 125_001), beside=125_001),
            IndexChoice(),
            "125001 photos came after the ivf index and are compared beside it",
        ),
        (report_of(1_000, approximation_of(100), beside=900), IVF, ""),  # so few are compared in no time
        (report_of(LARGE, approximation_of(EXACT_SUFFICES, recall=0.5), beside=EXACT_SUFFICES), IndexChoice(), ""),
        (
            report_of(LARGE + 1, approximation_of(EXACT_SUFFICES, recall=0.5), beside=EXACT_SUFFICES + 1),
            IndexChoice(),
            "the library has grown, so another try may find enough",
        ),
        (report_of(10), IndexChoice(milvus="http://127.0.0.1:9"), ""),
        (
            report_of(10, beside=3),
            IndexChoice(milvus="http://127.0.0.1:9"),
            "3 photos are not in Milvus yet and are compared here: `aliens index` sends them",
        ),
    ],
)
def test_building_is_advised_when_it_is_worth_the_time(report: IndexReport, choice: IndexChoice, said: str) -> None:
    told = advice(report, choice, dim=48)
    assert told.startswith(said)
    assert bool(told) == bool(said)
    assert replace(report, advice=told).notes == ([told] if told else [])


@pytest.mark.parametrize(
    ("seconds", "said"), [(14.0, "less than a minute"), (30.0, "about 1 minute"), (600.0, "about 20 minutes")]
)
def test_the_time_that_building_takes_is_told_by_the_last_time(seconds: float, said: str) -> None:
    about = approximation_of(EXACT_SUFFICES, recall=0.5, seconds=seconds)
    assert f"in {said}" in advice(report_of(2 * EXACT_SUFFICES + 1, about), IndexChoice(), dim=48)


def test_adding_advises_to_build_an_index(library: LibraryFactory, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding.index.building.EXACT_SUFFICES", PHOTOS - 1)
    report = library.add(many)
    assert any(note.startswith("every photo is compared, for want of an approximate index") for note in report.notes)
    assert report.index.approximation is None
    assert not library.folder.index(KEY).exists()
    assert chosen(library).written
    assert library.add(many).notes == []


def test_a_collection_in_milvus_is_told_without_its_password() -> None:
    uri = "http://user:secret@127.0.0.1:9"
    about = Collection(model_key=KEY, uri=uri, name="aliens", dim=48, exact=False, entries=10, recall=0.995)
    report = replace(report_of(12, beside=2), milvus=about)
    assert "secret" not in str(report)
    assert "secret" not in str(report.as_json())
    assert report.as_json()["exact"] == {"photos": 12, "segments": 1, "size_bytes": 1152}
    assert ("beside", "2 photos came later and are compared exactly") in report.rows()


def test_an_index_most_of_whose_photos_are_gone_is_told_of(indexed: LibraryFactory, many: Path) -> None:
    for number in range(20):
        (many / f"{number:03d}.jpg").unlink()
    (note,) = [note for note in indexed.add(many).notes if "aliens index" in note]
    assert note.startswith("the ivf index may find less than was measured, since 20 of its 120 photos have vanished")
    report = chosen(indexed)
    assert report.why == "20 of its 120 photos have vanished or changed"
    assert report.approximation.entries == PHOTOS - 20
