"""Searching a library whose candidates Milvus names: the same hits as the exact scan, whatever becomes of Milvus."""

import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from aliens.library import Library
from base.errors import LibraryError
from base.settings import LibraryFolder
from commands.library_commands import show_index
from embedding.index.building import IndexChoice
from embedding.index.milvus import MILVUS_MANIFEST, MilvusEngine, read_collection, write_collection
from indexer.upkeep import IndexReport, index_choice, probe_texts
from indexer.upkeep import changed_choice as changed
from search.ranking import Shape
from tests.by_folder import flat, merge_due, reindex, session_of
from tests.by_folder import open_library as open_for_searching
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.milvus_server import stop_lite

if TYPE_CHECKING:
    from embedding.open_clip_encoder import OpenClipEncoder

pytest.importorskip("pymilvus", reason="pymilvus is absent: pip install -e '.[dev]'")
pytest.importorskip("milvus_lite", reason="milvus-lite is absent: pip install -e '.[dev]'")

pytestmark = pytest.mark.usefixtures("patient_with_milvus")

TAGS = probe_texts()[:15]
GONE = "http://root:hunter2@127.0.0.1:1"  # nothing listens there


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, sample_library: Library, starter: "OpenClipEncoder"
) -> Iterator[tuple[Library, IndexReport]]:
    """A copy of the sample hotels with its vectors in a file of milvus-lite, and what putting them there reported."""
    root = tmp_path_factory.mktemp("milvus")
    folder = LibraryFolder(root / "library")
    shutil.copytree(sample_library.folder.root, folder.root)
    choice = IndexChoice(milvus=str(root / "vectors.db"))
    report = reindex(folder, lambda model: starter, lambda now: choice)
    with open_for_searching(folder.root, load_encoder=lambda model: starter) as library:
        yield library, report
    stop_lite(root / "vectors.db")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A file of milvus-lite."""
    yield tmp_path / "vectors.db"
    stop_lite(tmp_path / "vectors.db")


def chosen(library: LibraryFactory, uri: str | None, **options: Any) -> IndexReport:
    return reindex(library.folder, lambda model: library.encoder, lambda now: IndexChoice(milvus=uri), **options)


def hits(library: Library, text: str, *, exact: bool = False, k: int = 10) -> list[tuple[int, float]]:
    results = library.search(text, k=k, **flat(Shape(exact=exact)))
    assert results.explanation.engine == ("exact" if exact else "milvus")
    return [(hit.photo_id, hit.score) for hit in results]


def same_as_exact(library: Library, text: str, k: int = 10) -> None:
    ours, exact = hits(library, text, k=k), hits(library, text, exact=True, k=k)
    assert [photo_id for photo_id, _ in ours] == [photo_id for photo_id, _ in exact]
    assert [score for _, score in ours] == pytest.approx([score for _, score in exact], abs=1e-6)


def test_the_samples_give_the_same_hits_for_the_15_tags(served: tuple[Library, IndexReport]) -> None:
    library, report = served
    assert report.milvus is not None
    assert (report.written, report.milvus.exact, report.problem, report.beside) == (True, True, "", 0)
    assert report.milvus.entries == report.photos
    for tag in TAGS:
        same_as_exact(library, f'"{tag}"')
        same_as_exact(library, f'"{tag}" -"a wall"', k=100)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.0])
def test_filters_give_the_same_hits_at_every_selectivity(served: tuple[Library, IndexReport], share: float) -> None:
    library, _ = served
    with library.catalog.session() as session:
        index = library.index(session)
    assert isinstance(index.engine, MilvusEngine)
    count = max(round(share * len(index)), 1)
    scattered = np.sort(np.random.default_rng(0).choice(index.ids, count, replace=False))
    together = np.sort(index.ids)[-count:]
    texts = library.encoder.encode_texts(TAGS)
    for among in (scattered, together):
        scores, ids = index.search(texts, 10, among=among)
        exact_scores, exact_ids = index.search(texts, 10, among=among, exact=True)
        assert ids.tolist() == exact_ids.tolist()
        assert scores == pytest.approx(exact_scores, abs=1e-6)
        named = index.engine.candidates(texts, 10, among, share)
        assert ((named >= 0).sum(axis=1) >= min(10, count)).all()
        assert np.isin(named[named >= 0], among).all()
    assert index.engine.problem == ""


def test_filters_of_the_query_language_are_pushed_down(served: tuple[Library, IndexReport]) -> None:
    library, _ = served
    (hit, *_) = library.search("a pool", k=1)
    same_as_exact(library, f"a bed hotel:{hit.hotel_id}")
    same_as_exact(library, "a bed orientation:landscape")


def change(photos: Path) -> None:
    """Add four photos, replace one, and remove one."""
    fill_folder(photos, range(10, 14))
    (photos / "00.jpg").unlink()
    (photos / "05.jpg").write_bytes(photo_bytes(99))


def test_new_photos_are_compared_beside_the_collection_until_the_next_index_and_add_says_so(
    library: LibraryFactory, photos: Path, file: Path
) -> None:
    library.add(photos)
    first = chosen(library, str(file))
    again = chosen(library, str(file))
    assert first.milvus is not None
    assert (first.written, first.beside, first.advice) == (True, 0, "")
    assert (again.milvus, again.written) == (first.milvus, False)
    change(photos)
    opened = library.open()
    hits(opened, "pool")
    report = library.add(photos)
    assert (report.index.milvus, report.index.written, report.index.beside) == (first.milvus, False, 5)
    advice = "5 photos are not in Milvus yet and are compared here: `aliens index` sends them"
    assert advice in report.notes
    assert advice in library.add(photos).notes  # as long as it is so
    for text in ("pool", "bed", "sea"):
        same_as_exact(opened, text, k=13)
        same_as_exact(opened, f"{text} path:0", k=5)
    explained = opened.search("pool", k=3).explanation
    assert explained.reason.endswith("its candidates compared exactly, and 5 photos beside them")
    assert opened.search(image=photos / "05.jpg", k=1)[0].score == pytest.approx(1, abs=1e-3)
    assert not [hit.path for hit in opened.search("pool", k=13) if hit.path.endswith("00.jpg")]

    sent: list[int | None] = []
    now = chosen(library, str(file), progress=lambda step: sent.append(step.total))
    assert now.milvus is not None
    assert (now.written, now.milvus.name, now.milvus.entries, now.beside) == (True, first.milvus.name, 13, 0)
    assert sent == [5]
    assert library.add(photos).notes == []
    for text in ("pool", "bed", "sea"):
        same_as_exact(opened, text, k=13)
    assert "beside" not in opened.search("pool", k=3).explanation.reason


def test_a_photo_that_vanished_is_not_found_and_not_missed_in_the_collection(
    library: LibraryFactory, photos: Path, file: Path
) -> None:
    library.add(photos)
    chosen(library, str(file))
    (photos / "00.jpg").unlink()
    report = library.add(photos).index
    assert (report.beside, report.advice) == (0, "")
    same_as_exact(library.open(), "pool", k=9)
    (photos / "00.jpg").write_bytes(photo_bytes(0))
    assert library.add(photos).index.beside == 1  # its vector lies in another segment now
    same_as_exact(library.open(), "pool", k=10)


def test_a_merge_leaves_the_collection_in_use_and_nothing_is_sent_again(
    scattered: LibraryFactory, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = chosen(scattered, str(file)).milvus
    manifest = scattered.folder.index(scattered.encoder.key) / MILVUS_MANIFEST
    opened = scattered.open()
    before = hits(opened, "pool")
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
    assert merge_due(scattered.folder) > 0
    assert stat.S_IMODE(manifest.stat().st_mode) == 0o600
    after = hits(opened, "pool")
    assert [photo_id for photo_id, _ in after] == [photo_id for photo_id, _ in before]
    assert [score for _, score in after] == pytest.approx([score for _, score in before], abs=1e-6)
    assert "beside" not in opened.search("pool", k=3).explanation.reason
    same_as_exact(scattered.open(), "bed")
    sent: list[object] = []
    report = chosen(scattered, str(file), progress=sent.append)
    assert report.milvus is not None
    assert first is not None
    assert (report.written, report.beside, report.milvus.mark, sent) == (False, 0, first.mark, [])


def test_what_an_older_manifest_says_is_not_believed(library: LibraryFactory, photos: Path, file: Path) -> None:
    library.add(photos)
    chosen(library, str(file))
    where = library.folder.index(library.encoder.key) / MILVUS_MANIFEST
    older = where.read_text(encoding="utf-8")
    change(photos)
    library.add(photos)
    chosen(library, str(file))
    where.write_text(older, encoding="utf-8")  # of a backup: Milvus holds other photos by now
    results = library.open().search("pool", k=13)
    assert len(results) == 13
    assert "is gone, or holds other vectors than this library: `aliens index` brings it up to date" in (
        results.explanation.note
    )
    expected = library.open().search("pool", k=13, exact=True)
    assert [hit.photo_id for hit in results] == [hit.photo_id for hit in expected]
    report = chosen(library, str(file))
    assert report.milvus is not None
    assert (report.written, report.milvus.entries) == (True, 13)
    same_as_exact(library.open(), "pool", k=13)


def test_while_it_is_being_written_the_collection_is_not_used(
    library: LibraryFactory, photos: Path, file: Path
) -> None:
    library.add(photos)
    about = chosen(library, str(file)).milvus
    assert about is not None
    write_collection(library.folder.index(library.encoder.key), replace(about, covers=()))
    results = library.open().search("pool", k=10)
    assert (results.explanation.engine, len(results)) == ("exact", 10)
    assert "the collection in Milvus is not whole, so every photo is compared" in results.explanation.note
    assert chosen(library, str(file)).written
    same_as_exact(library.open(), "pool", k=10)


def test_where_nothing_answers_every_photo_is_compared_and_a_note_says_so(
    library: LibraryFactory, photos: Path, file: Path, tmp_path: Path
) -> None:
    library.add(photos)
    chosen(library, str(file))
    stop_lite(file)
    file.rename(tmp_path / "elsewhere.db")
    file.write_text("no folder of milvus-lite", encoding="utf-8")
    opened = library.open()
    results = opened.search("pool", k=5)
    assert [hit.photo_id for hit in results] == [photo_id for photo_id, _ in hits(opened, "pool", exact=True, k=5)]
    assert f"every photo is compared: Milvus at {file} gives no answer" in results.explanation.note
    assert "`aliens index --kind auto`" in results.explanation.note
    (photos / "20.jpg").write_bytes(photo_bytes(20))
    report = library.add(photos).index  # which asks nothing of Milvus
    assert (report.problem, report.beside) == ("", 1)
    assert "gives no answer" in chosen(library, str(file)).problem
    results = library.open().search("pool", k=11)
    assert len(results) == 11
    assert "gives no answer" in results.explanation.note


def test_a_milvus_that_cannot_be_reached_is_not_chosen(library: LibraryFactory, photos: Path, file: Path) -> None:
    library.add(photos)
    chosen(library, str(file))
    with pytest.raises(LibraryError, match=r"Milvus at http://\*\*\*@127\.0\.0\.1:1 gives no answer") as caught:
        chosen(library, GONE)
    assert "hunter2" not in str(caught.value)
    with session_of(library.folder) as session:
        assert index_choice(session).milvus == str(file)
    same_as_exact(library.open(), "pool")


def test_leaving_milvus_drops_the_collection(library: LibraryFactory, photos: Path, file: Path) -> None:
    library.add(photos)
    chosen(library, str(file))
    report = chosen(library, None)
    assert (report.milvus, report.problem) == (None, "")
    assert read_collection(library.folder.index(library.encoder.key)) is None
    assert library.open().search("pool", k=3).explanation.engine == "exact"


def test_the_command_shows_what_stands_without_the_password(
    served: tuple[Library, IndexReport], capsys: pytest.CaptureFixture[str]
) -> None:
    library, report = served
    assert report.milvus is not None
    show_index(report, library.folder.root, False)
    lines = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert lines["milvus"].endswith(f"vectors.db, {report.photos} photos in {report.milvus.name}")
    assert lines["finds"] == "every vector is compared"
    secret = replace(report.milvus, uri="https://root:hunter2@host:19530", exact=False, recall=0.5, queries=215)
    for json in (False, True):
        show_index(replace(report, milvus=secret), library.folder.root, json)
        out = capsys.readouterr().out
        assert "hunter2" not in out
        assert "https://***@host:19530" in out
    with pytest.raises(LibraryError, match="the exact index is up to date and searches by itself, but it is down"):
        show_index(replace(report, problem="it is down"), library.folder.root, False)


def test_a_file_is_kept_by_a_path_that_holds_in_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    choice = changed(IndexChoice(kind="ivf", factory="IVF4,SQ8"), "milvus:vectors.db", None, None)
    assert choice == IndexChoice(milvus=str(tmp_path / "vectors.db"))
    assert changed(choice, "milvus:http://host:19530", None, None).milvus == "http://host:19530"
    assert changed(choice, "auto", None, None) == IndexChoice()
