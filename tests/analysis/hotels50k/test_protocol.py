import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

import aliens
from aliens.library import Library
from base.errors import LibraryError, OutputError, QueryError, SourceError
from base.progress import Step
from base.settings import LibraryFolder
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes, stopping_at
from tests.tiny_hotels50k import LOOKS_LIKE, PHOTO_HEAD, TEST, TRAIN, once_more, write_lists, write_photo


@pytest.fixture
def trained(library: LibraryFactory, tree: Path) -> Iterator[Library]:
    """A library of the tree's training photos."""
    photos = library.open()
    photos.add(hotels50k=tree)
    yield photos


def rows_of(path: Path) -> list[list[int]]:
    with open(path, encoding="utf-8", newline="") as file:
        return [list(map(int, row)) for row in csv.reader(file)]


def test_each_test_photo_retrieves_training_photos_the_most_similar_first(
    trained: Library, tree: Path, tmp_path: Path
) -> None:
    report = trained.evaluate_hotels50k(tree, write=tmp_path / "out")
    assert [(level.level, level.photos, level.k) for level in report.levels] == [("unoccluded", 4, 6), ("low", 4, 6)]
    for name in ("unoccluded.csv", "low_occlusions.csv"):
        rows = rows_of(tmp_path / "out" / name)
        assert {row[0]: row[1] for row in rows} == LOOKS_LIKE
        assert all(sorted(row[1:]) == sorted(TRAIN) for row in rows)
    top = {(f.level, f.by, f.convention): f.value for f in report if f.measure == "top-1"}
    assert top["unoccluded", "hotel", ""] == 2 / 4  # 201 and 202 are like photos of their hotels
    assert top["unoccluded", "chain", "paper"] == top["unoccluded", "chain", "script"] == 1
    assert len(report.written) == 4
    left_out = [note.partition(":")[0] for note in report.notes if "holds no test photos at images/test/" in note]
    assert left_out == ["left out medium", "left out high"]


def test_what_was_written_scores_the_same(trained: Library, tree: Path, tmp_path: Path) -> None:
    ours = trained.evaluate_hotels50k(tree, write=tmp_path / "out")
    again = Library.score_hotels50k(tree, tmp_path / "out")
    assert list(map(repr, again)) == list(map(repr, ours))  # NaN is not equal to itself


def test_the_library_itself_stays_as_it_is_and_is_sound(trained: Library, tree: Path) -> None:
    before = trained.info()
    trained.evaluate_hotels50k(tree)
    assert trained.info() == before
    assert list(trained.verify()) == []
    for level in ("unoccluded", "low"):
        own = trained.folder.hotels50k(trained.model.key, level)
        with aliens.open(own.root, encoder=FakeEncoder()) as photos:
            assert photos.info().photos["embedded"] == len(TEST)
            assert list(photos.verify()) == []


def test_test_photos_are_embedded_once_whatever_stops_it(library: LibraryFactory, tree: Path) -> None:
    with aliens.open(library.folder.root, encoder=library.encoder) as photos:
        photos.add(hotels50k=tree)
        encoded = library.encoder.encoded_photos
        with pytest.raises(KeyboardInterrupt):
            photos.evaluate_hotels50k(tree, progress=stopping_at("searching"))
        assert library.encoder.encoded_photos == encoded + 2 * len(TEST)
        steps: list[Step] = []
        whole = photos.evaluate_hotels50k(tree, progress=steps.append)
        assert library.encoder.encoded_photos == encoded + 2 * len(TEST)
        assert {(step.what, step.note) for step in steps} >= {("searching", "unoccluded"), ("searching", "low")}
        assert len(whole.levels) == 2


def test_ctrl_c_while_embedding_stops_the_whole_and_keeps_what_was_embedded(trained: Library, tree: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained.evaluate_hotels50k(tree, progress=stopping_at("embedding", 1))
    assert len(trained.evaluate_hotels50k(tree).levels) == 2


def test_a_test_photo_with_the_number_of_a_training_photo_is_a_leak(trained: Library, tree: Path) -> None:
    write_lists(tree, train=TRAIN, test=TEST | {104: 3})
    write_photo(tree, "test/low_occlusions", 3, "traffickcam", 104, photo_bytes(7))
    (level,) = trained.evaluate_hotels50k(tree, occlusion="low").levels
    assert (level.photos, level.leaks) == (4, [104])


def test_a_test_photo_with_the_bytes_of_a_training_photo_is_a_leak_at_all_levels(trained: Library, tree: Path) -> None:
    write_photo(tree, "test/unoccluded", 3, "traffickcam", 202, photo_bytes(106))
    report = trained.evaluate_hotels50k(tree)
    assert [(level.level, level.photos, level.leaks) for level in report.levels] == [
        ("unoccluded", 3, [202]),
        ("low", 3, [202]),
    ]
    assert "low: left out 1 test photo that is a training photo as well, a leak: 202" in report.notes


def test_other_photos_of_the_library_are_not_among_the_results(
    library: LibraryFactory, tree: Path, tmp_path: Path
) -> None:
    """Photos of other folders, test photos that were added, and training photos that the list does not have."""
    (tmp_path / "mine").mkdir()
    for image_id in TEST:
        (tmp_path / "mine" / f"{image_id}.jpg").write_bytes(photo_bytes(LOOKS_LIKE[image_id]))
    with aliens.open(library.folder.root, encoder=library.encoder) as photos:
        photos.add(tmp_path / "mine")
        photos.add(hotels50k=tree)
        write_lists(tree, train={image_id: hotel for image_id, hotel in TRAIN.items() if image_id != 102})
        photos.evaluate_hotels50k(tree, occlusion="low", write=tmp_path / "out")
    for row in rows_of(tmp_path / "out" / "low_occlusions.csv"):
        assert sorted(row[1:]) == sorted(set(TRAIN) - {102})


def test_test_photos_that_cannot_be_used_are_told_of(trained: Library, tree: Path) -> None:
    (tree / "images/test/unoccluded/20/3/traffickcam/202.jpg").unlink()
    (tree / "images/test/unoccluded/-1/4/traffickcam/203.jpg").write_bytes(b"")
    report = trained.evaluate_hotels50k(tree, occlusion="unoccluded")
    (level,) = report.levels
    assert (level.photos, level.listed) == (2, 4)
    own = trained.folder.hotels50k(trained.model.key, "unoccluded").root
    (note,) = [note for note in report.notes if "could not be used" in note]
    assert note.startswith("unoccluded: 2 test photos could not be used (1 ")
    assert note.endswith(f"`aliens failures --library {own}` lists them")


def test_a_level_of_which_nothing_can_be_scored_has_no_figures(trained: Library, tree: Path, tmp_path: Path) -> None:
    """None of one level's photos is there, and all of another's are leaks."""
    for photo in (tree / "images/test/low_occlusions").rglob("*.jpg"):
        photo.unlink()
    for image_id, hotel_id in TEST.items():
        data = photo_bytes(LOOKS_LIKE[image_id])
        write_photo(tree, "test/unoccluded", hotel_id, "traffickcam", image_id, data)
    report = trained.evaluate_hotels50k(tree, write=tmp_path / "out")
    assert [(level.level, level.photos, len(level.leaks)) for level in report.levels] == [
        ("unoccluded", 0, 4),
        ("low", 0, 0),
    ]
    assert all(figure.value != figure.value for figure in report)
    assert rows_of(tmp_path / "out" / "low_occlusions.csv") == []


def test_a_library_without_training_photos_is_refused_before_anything_is_embedded(
    library: LibraryFactory, tree: Path
) -> None:
    with pytest.raises(
        QueryError, match=r"holds none of the 6 training photos .*`aliens add --hotels50k .*` adds them"
    ):
        library.open().evaluate_hotels50k(tree)
    assert not (library.folder.root / "hotels50k").exists()
    assert library.encoder.encoded_photos == 0


def test_a_tree_without_test_photos_or_of_no_such_level_is_refused(trained: Library, tree: Path) -> None:
    with pytest.raises(SourceError, match="holds no test photos at images/test/high_occlusions"):
        trained.evaluate_hotels50k(tree, occlusion="high")
    with pytest.raises(QueryError, match="'much' is no level of occlusion"):
        trained.evaluate_hotels50k(tree, occlusion="much")
    with pytest.raises(SourceError, match="is no Hotels-50K tree"):
        trained.evaluate_hotels50k(tree / "images")


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(trained: Library, tree: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be made: File exists|Not a directory"):
        trained.evaluate_hotels50k(tree, write=tree / "dataset" / "train_set.csv")
    assert not (trained.folder.root / "hotels50k").exists()


def test_the_database_of_the_environment_is_the_librarys_and_not_that_of_test_photos(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIENS_DATABASE", f"sqlite:///{tmp_path}/elsewhere.db")
    with aliens.create(tmp_path / "library", encoder=FakeEncoder()) as photos:
        photos.add(hotels50k=tree)
        photos.evaluate_hotels50k(tree, occlusion="low")
        assert photos.info().photos["embedded"] == len(TRAIN)
        own = photos.folder.hotels50k(photos.model.key, "low")
        assert own.database_file.exists()
        assert own.absolute().database_url() == own.own_database_url()
        assert LibraryFolder(own.root).database_url() == f"sqlite:///{tmp_path}/elsewhere.db"


def test_a_level_that_another_one_evaluates_is_refused(trained: Library, tree: Path) -> None:
    from db.locks import locked

    trained.evaluate_hotels50k(tree, occlusion="low")
    own = trained.folder.hotels50k(trained.model.key, "low")
    with locked(own), pytest.raises(LibraryError, match="another process or thread is changing"):
        trained.evaluate_hotels50k(tree, occlusion="low")


def test_damage_in_the_library_of_a_level_is_mended_there(trained: Library, tree: Path) -> None:
    before = list(map(repr, trained.evaluate_hotels50k(tree, occlusion="low")))
    own = trained.folder.hotels50k(trained.model.key, "low").root
    (segment,) = own.rglob("*.faiss")
    segment.write_bytes(segment.read_bytes()[:100])
    with pytest.raises(LibraryError, match="is damaged") as refused:
        trained.evaluate_hotels50k(tree, occlusion="low")
    assert f"`aliens verify --repair --library {own}` to embed its photos anew" in str(refused.value)
    with aliens.open(own, encoder=FakeEncoder()) as photos:
        photos.repair()
    assert list(map(repr, trained.evaluate_hotels50k(tree, occlusion="low"))) == before


def test_the_sample_hotels_find_photos_of_their_own_kind(
    sample_library: Library, samples: Path, tmp_path: Path
) -> None:
    """With the embedded model: a photo compressed again is nearest to itself, so its hotel comes first."""
    for folder in ("dataset", "images/test/low_occlusions"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("chain_info.csv", "hotel_info.csv", "train_set.csv"):
        (tmp_path / "dataset" / name).write_bytes((samples / "dataset" / name).read_bytes())
    rows = [PHOTO_HEAD]
    for number, photo in enumerate(sorted((samples / "images" / "train").glob("1*/*/traffickcam/*.jpg"))[:3], start=1):
        chain, hotel = photo.parts[-4:-2]
        rows.append(f"{number},{hotel},,traffickcam,")
        place = tmp_path / "images/test/low_occlusions" / chain / hotel / "traffickcam" / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(once_more(photo.read_bytes(), 70))
    (tmp_path / "dataset" / "test_set.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    report = sample_library.evaluate_hotels50k(tmp_path, occlusion="low")
    values = {(f.by, f.convention, f.measure): f.value for f in report}
    assert values["hotel", "", "top-1"] == values["chain", "script", "top-1"] == 1
    assert report.levels[0].k == 100
