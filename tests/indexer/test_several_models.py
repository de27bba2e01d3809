"""Several models in one library: vectors of another are made beside the first, kept as they should be, and used."""

import multiprocessing
import os
import random
import shutil
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from filelock import FileLock

import aliens
import indexer.pipeline
from aliens.library import Library
from base.errors import LibraryBusyError, LibraryError, ModelMismatchError, QueryError
from base.progress import Step
from base.settings import LibraryFolder
from db.model_rows import count_without_vector, find_model
from indexer.model_care import building
from tests.conftest import FakeEncoder, copy_library, fill_folder, photo_bytes
from tests.indexer.conftest import vectors_of
from tests.killed import killed_until_done
from tests.other_model import OTHER, OtherEncoder
from tests.restyled import keep_results

pytestmark = pytest.mark.usefixtures("ctrl_c")


@pytest.fixture
def filled(filled_template: Path, ten_photos: Path, photos: Path, tmp_path: Path) -> LibraryFolder:
    """A library of ten photos, which may be changed."""
    copy_library(filled_template, tmp_path / "library", ten_photos, photos)
    return LibraryFolder(tmp_path / "library")


@pytest.fixture
def library(filled: LibraryFolder) -> Iterator[Library]:
    """The same, opened with its own model."""
    with aliens.open(filled.root, encoder=FakeEncoder()) as opened:
        yield opened


def by_other(folder: LibraryFolder) -> Library:
    return aliens.open(folder.root, model="OTHER", encoder=OtherEncoder())


@pytest.mark.every_database
def test_vectors_are_those_of_a_library_of_this_model_alone(
    library: Library, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer.pipeline, "COMMIT_PHOTOS", 4)
    shutil.copy(photos / "02.jpg", photos / "copy.jpg")
    (photos / "broken.jpg").write_bytes(b"no photo")
    library.add(photos)
    with aliens.create(tmp_path / "alone", encoder=OtherEncoder()) as alone:
        alone.add(photos)
        expected = vectors_of(alone.folder)
    first = vectors_of(library.folder, "fake-00000000")

    groups = count()
    stopped = library.embed(encoder=OtherEncoder(lambda: os.kill(os.getpid(), signal.SIGINT) if next(groups) else None))
    assert stopped.interrupted
    assert 0 < stopped.recorded < 11
    assert f"{stopped.lacking} photos to go" in stopped.notes[0]
    with pytest.raises(
        LibraryError, match=rf"{stopped.lacking} photos have no vectors of hf-hub:other yet.*aliens embed"
    ):
        library.use("other")
    done = library.embed(encoder=OtherEncoder())
    assert (done.recorded, done.lacking, done.left_out.photos) == (11 - stopped.recorded, 0, 0)
    assert vectors_of(library.folder, OTHER) == expected
    assert vectors_of(library.folder, "fake-00000000") == first
    assert library.verify() == []
    again = library.embed(encoder=OtherEncoder())
    assert (again.recorded, again.run.total) == (0, 0)


def test_files_that_changed_or_are_gone_are_left_out_and_told(library: Library, photos: Path) -> None:
    (photos / "03.jpg").write_bytes(photo_bytes(33))
    (photos / "05.jpg").unlink()
    (photos / "06.jpg").write_bytes(b"")
    report = library.embed(encoder=OtherEncoder())
    assert (report.recorded, report.lacking) == (7, 3)
    left = report.left_out
    assert (left.gone, left.changed, left.unreadable) == (1, 1, 1)
    assert "3 photos left out (1 gone, 1 changed, 1 unreadable), such as" in report.notes[0]
    with pytest.raises(LibraryError, match="3 photos have no vectors"):
        library.use("other")

    added = library.add(photos)
    assert added.behind == {"hf-hub:other": 1}
    assert any(
        "1 photo has no vector of the model hf-hub:other: `aliens embed --model hf-hub:other`" in n for n in added.notes
    )
    assert library.embed(encoder=OtherEncoder()).lacking == 0
    library.use("other")


@pytest.mark.every_database
def test_adding_keeps_what_other_models_know_of_the_same_bytes(library: Library, photos: Path) -> None:
    library.embed(encoder=OtherEncoder())
    before = vectors_of(library.folder, OTHER)
    (photos / "sub").mkdir()
    (photos / "00.jpg").rename(photos / "sub" / "moved.jpg")  # another place
    os.utime(photos / "01.jpg", ns=(1, 1))  # touched
    shutil.copy(photos / "02.jpg", photos / "copy.jpg")  # the same bytes once more
    (photos / "03.jpg").write_bytes((photos / "04.jpg").read_bytes())  # bytes of another photo
    (photos / "05.jpg").write_bytes(photo_bytes(55))  # new bytes
    away = (photos / "06.jpg").rename(photos.parent / "06.jpg")  # gone, and back
    report = library.add(photos)
    away.rename(photos / "06.jpg")
    report = library.add(photos)
    assert report.behind == {"hf-hub:other": 1}
    now = vectors_of(library.folder, OTHER)
    assert str(photos / "05.jpg") not in now
    assert len(now) == 10
    same = {"sub/moved.jpg": "00.jpg", "01.jpg": "01.jpg", "copy.jpg": "02.jpg", "03.jpg": "04.jpg", "06.jpg": "06.jpg"}
    for new, old in same.items():
        assert now[str(photos / new)] == before[str(photos / old)], new
    assert library.verify() == []

    library.forget(photos / "07.jpg", photos / "08.jpg")
    assert len(vectors_of(library.folder, OTHER)) == 8
    assert library.verify() == []


def test_model_in_use_is_switched_and_the_other_answers_when_it_is_named(library: Library, photos: Path) -> None:
    library.tag(method="calibrated")
    library.save_search("best", "a photo", min_score=0.1)
    library.embed(encoder=OtherEncoder())
    (photos / "10.jpg").write_bytes(photo_bytes(10))
    library.add(photos)
    with by_other(library.folder) as other:
        assert other.lacking() == 1
        assert len(other.search("a photo", k=99)) == 10
        with pytest.raises(ModelMismatchError, match=r"the model in use, fake, .*opened with hf-hub:other"):
            other.add(photos)
        other.export_vectors(vectors := photos.parent / "vectors.parquet")
        with pytest.raises(ModelMismatchError, match=r"the model in use, fake, .*opened with hf-hub:other"):
            other.import_vectors(vectors)
        with pytest.raises(QueryError, match="11"):
            other.similar(11)
    library.embed(encoder=OtherEncoder())
    used = library.use(OTHER)
    assert (used.model, used.before) == (OTHER, "fake-00000000")
    assert any("`aliens tag`" in line for line in used.anew)
    assert any("best" in line for line in used.anew)
    assert library.use("other-1").before == OTHER  # in use already
    with pytest.raises(ModelMismatchError):
        library.add(photos)  # this one was opened with the model that is not in use any more
    (photos / "11.jpg").write_bytes(photo_bytes(11))
    with aliens.open(library.path, encoder=OtherEncoder()) as other:
        assert other.add(photos).behind == {"fake": 1}
        assert len(other.search("a photo", k=99)) == 12
        assert [(each.name, each.in_use, each.lacking) for each in other.models()] == [
            ("hf-hub:other", True, 0),
            ("fake", False, 1),
        ]
        assert "fake" in str(other.info())
    assert len(library.search("a photo", k=99)) == 11


@pytest.mark.every_database
def test_vectors_are_made_beside_searches_tags_and_forgetting(library: Library, photos: Path) -> None:
    """What others do meanwhile, in another process or thread, waits for nothing, and what they change is respected."""
    seen: list[int] = []

    def meanwhile() -> None:
        with aliens.open(library.path, encoder=FakeEncoder()) as mine:
            if not seen:
                mine.tag(method="calibrated")
                mine.forget(photos / "00.jpg")
                (photos / "01.jpg").write_bytes(photo_bytes(101))
                mine.add(photos)
            seen.append(len(mine.search("a photo", k=99)))

    report = library.embed(encoder=OtherEncoder(before_group=meanwhile))
    assert set(seen) == {10 if (photos / "00.jpg").exists() else 9}
    assert report.left_out.changed == 2  # the one that was forgotten, and the one with other bytes
    assert str(photos / "01.jpg") not in vectors_of(library.folder, OTHER)
    assert library.verify() == []
    assert library.embed(encoder=OtherEncoder()).lacking == 0
    assert library.verify() == []


@pytest.mark.every_database
def test_batch_waits_for_who_changes_the_library_and_is_left_where_somebody_stops_it(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.locks.LOCK_TIMEOUT_S", 0.05)
    held = FileLock(library.folder.lock_file)
    told: list[str] = []

    def watch(step: Step) -> None:
        told.append(step.note)
        if step.note.startswith("waiting"):
            held.release()

    held.acquire()
    assert library.embed(encoder=OtherEncoder(), progress=watch).recorded == 10
    assert any("waiting for another process" in note for note in told)

    library.forget_model("other")
    held.acquire()

    def stop(step: Step) -> None:
        if step.note.startswith("waiting"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.embed(encoder=OtherEncoder(), progress=stop)
    held.release()
    with library.catalog.session() as session:
        model = find_model(session, "other")
        assert model is not None
        assert count_without_vector(session, model) == 10
    assert library.verify() == []


def test_one_process_makes_vectors_of_a_model(library: Library) -> None:
    library.embed(encoder=OtherEncoder())
    with building(library.folder, OTHER):
        for call in (lambda: library.embed(encoder=OtherEncoder()), lambda: library.forget_model("other")):
            with pytest.raises(LibraryBusyError, match=f"makes vectors of {OTHER}"):
                call()
    with pytest.raises(QueryError, match="is the model in use"):
        library.embed(encoder=FakeEncoder())
    with pytest.raises(QueryError, match="is the model in use"):
        library.embed("fak")
    with pytest.raises(QueryError, match="name the model"):
        library.embed()


@pytest.mark.every_database
def test_model_is_forgotten_with_all_that_it_made(library: Library, photos: Path) -> None:
    library.embed(encoder=OtherEncoder())
    with by_other(library.folder) as other:
        other.tag(method="calibrated")
    assert library.forget_model("other", dry_run=True).photos == 10
    with pytest.raises(QueryError, match="fake is in use: take another into use first"):
        library.forget_model("fake")
    gone = library.forget_model("other")
    assert (gone.key, gone.photos, gone.lacking) == (OTHER, 10, 0)
    assert not [path for path in library.path.rglob("*") if OTHER in path.name]
    with pytest.raises(QueryError, match="no model 'other' in this library, which has fake"):
        aliens.open(library.path, model="other")
    with pytest.raises(QueryError, match="only model"):
        library.forget_model("fake")
    assert library.verify() == []
    (library.folder.vectors(OTHER)).mkdir()
    assert [found.part for found in library.verify()] == ["stray file"]
    assert library.repair() == 0
    assert library.verify() == []


def test_names_of_models(library: Library) -> None:
    with library.catalog.writing() as session:
        from db.vector_rows import add_model

        for key, name in (
            ("ViT-B-32-openai-aaaaaaaa", "ViT-B-32/openai"),
            ("ViT-B-32-openai-bbbbbbbb", "ViT-B-32/openai"),
            ("ViT-B-32-256-datacomp-cccccccc", "ViT-B-32-256/datacomp"),
            ("mine-dddddddd", "local-dir:/models/mine"),
        ):
            add_model(session, key, name, 8)
        session.commit()

        def meant(name: str) -> str | None:
            found = find_model(session, name)
            return None if found is None else found.key

        assert meant("vit-b-32-256") == "ViT-B-32-256-datacomp-cccccccc"
        assert meant("ViT-B-32-openai-b") == "ViT-B-32-openai-bbbbbbbb"
        assert meant("mine") == meant("local-dir:/models/mine/") == "mine-dddddddd"
        assert meant("FAKE") == "fake-00000000"
        assert meant("") is None
        assert meant("ViT-L") is None
        for several in ("ViT-B-32/openai", "vit"):
            with pytest.raises(QueryError, match=r"several models of this library: say .*aaaaaaaa or .*bbbbbbbb"):
                meant(several)


def test_damaged_vectors_of_either_model_are_told_and_mended(library: Library) -> None:
    library.embed(encoder=OtherEncoder())
    for key, pending in ((OTHER, 0), ("fake-00000000", 10)):
        (segment,) = library.folder.vectors(key).glob("*.faiss")
        segment.write_bytes(segment.read_bytes()[:-5] + b"12345")
        assert {found.part for found in library.verify()} == {"segment"}
        assert library.repair() == pending
        assert library.verify() == []
        if key == OTHER:
            assert library.embed(encoder=OtherEncoder()).recorded == 10
    assert len(vectors_of(library.folder, OTHER)) == 0
    library.add(library.info().library + "/../photos")
    assert len(vectors_of(library.folder, OTHER)) == 10  # they were only dead meanwhile
    assert library.verify() == []


def test_damaged_vectors_of_another_model_keep_nobody_from_adding(library: Library, photos: Path) -> None:
    library.embed(encoder=OtherEncoder())
    (segment,) = library.folder.vectors(OTHER).glob("*.faiss")
    segment.write_bytes(segment.read_bytes()[:100])
    os.utime(photos / "01.jpg", ns=(1, 1))
    report = library.add(photos)
    assert (report.run.reused, report.run.encoded, report.behind) == (1, 0, {"hf-hub:other": 1})
    library.repair()
    assert library.verify() == []
    assert library.embed(encoder=OtherEncoder()).recorded == 10


def test_restyled_photos_get_vectors_of_every_model(library: Library) -> None:
    results = keep_results(library.folder, [1, 2], FakeEncoder())
    assert library.embed(encoder=OtherEncoder()).restyled == len(results) > 0
    with by_other(library.folder) as other:
        assert len(other.search("kind:restyled a photo", k=99)) == len(results)
    assert library.verify() == []


def embed_other(root: Path) -> None:
    """Run in a process of its own: make vectors of the other model, a few photos at a time."""
    indexer.pipeline.COMMIT_PHOTOS = 2
    with aliens.open(root, encoder=FakeEncoder()) as library:
        library.embed(encoder=OtherEncoder())


def test_killed_at_any_moment_it_ends_where_one_run_would(library: Library, photos: Path, tmp_path: Path) -> None:
    fill_folder(photos, range(10, 30))
    library.add(photos)
    with aliens.create(tmp_path / "alone", encoder=OtherEncoder()) as alone:
        alone.add(photos)
        expected = vectors_of(alone.folder)
    spawn = multiprocessing.get_context("fork")

    def start() -> multiprocessing.process.BaseProcess:
        process = spawn.Process(target=embed_other, args=(library.path,))
        process.start()
        return process

    killed_until_done(start, random.Random(7), (0.02, 0.3), most=4)
    assert vectors_of(library.folder, OTHER) == expected
    library.repair()
    assert library.verify() == []
