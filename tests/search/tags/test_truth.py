import unicodedata
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from base.errors import QueryError
from search.tags.truth import Truth, label_truth, read_truth
from search.tags.vocabulary import Vocabulary, read_vocabulary
from tests.by_folder import label_photo, session_of
from tests.conftest import LibraryFactory
from tests.search.tags.conftest import OWN, tag

NAN = float("nan")


def truth_of(library: LibraryFactory, path: Path | str, vocabulary: Vocabulary = OWN) -> Truth:
    with session_of(library.folder) as session:
        return read_truth(session, vocabulary, Path(path))


def csv_of(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def same(truth: Truth, expected: dict[int, list[float]]) -> bool:
    return list(truth.photo_ids) == list(expected) and np.array_equal(
        truth.values, np.array(list(expected.values()), np.float32), equal_nan=True
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["photo_id,tags", "3,a pool;a tv", "1,", "2,bathtub; A TV"], {3: [1, 0, 1], 1: [0, 0, 0], 2: [0, 1, 1]}),
        (["photo_id,tags", "1,?a pool;a tv", "2,? bathtub"], {1: [NAN, 0, 1], 2: [0, NAN, 0]}),  # not known
        (["photo_id,tags", "1,a pool", "1,a tv"], {1: [1, 0, 1]}),  # taken together
        (["photo_id,path,tags", "1,photos/04.jpg,a pool"], {5: [1, 0, 0]}),  # the path counts
        (["photo_id,tags", *(f"{n},a pool" for n in range(1, 11))], {n: [1, 0, 0] for n in range(1, 11)}),
    ],
)
def test_a_row_says_all_of_its_photo_whatever_the_batches(
    tagged: LibraryFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    expected: dict[int, list[float]],
) -> None:
    monkeypatch.setattr("search.tags.truth.BATCH", 2)
    truth = truth_of(tagged, csv_of(tmp_path, *lines))
    assert truth.values.dtype == np.float32
    assert same(truth, expected)
    assert (list(truth.unknown_photos), dict(truth.unknown_tags)) == ([], {})


def test_what_the_library_or_the_vocabulary_does_not_know_is_counted(tagged: LibraryFactory, tmp_path: Path) -> None:
    path = csv_of(tmp_path, "photo_id,tags", "99,a pool", "1,a pool;a bar;?a spa", "2,a bar")
    truth = truth_of(tagged, path)
    assert same(truth, {1: [1, 0, 0], 2: [0, 0, 0]})
    assert list(truth.unknown_photos) == [f"{path}:2"]
    assert dict(truth.unknown_tags) == {"a bar": 2, "a spa": 1}


def test_a_photo_is_known_by_its_path_absolute_or_beside_the_file(
    tagged: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    path = csv_of(tmp_path, "path,tags", f"{photos / '02.jpg'},a pool", "photos/01.jpg,a tv", "01.jpg,a tv")
    truth = truth_of(tagged, path)
    assert same(truth, {3: [1, 0, 0], 2: [0, 0, 1]})
    assert list(truth.unknown_photos) == [f"{path}:4"]


def test_the_photo_id_of_another_library_is_not_used(tagged: LibraryFactory, tmp_path: Path) -> None:
    lines = ["photo_id,image_id,path,tags", "1,,/elsewhere/00.jpg,a pool", "2,500001,,a pool", "3,,,a tv"]
    truth = truth_of(tagged, csv_of(tmp_path, *lines))
    assert same(truth, {3: [0, 0, 1]})
    assert len(truth.unknown_photos) == 2


def test_a_photo_is_known_by_its_path_however_its_accents_are_put_together(
    library: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    names = [unicodedata.normalize(form, f"née {form} ü.jpg") for form in ("NFC", "NFD")]
    for number, name in enumerate(names):
        (photos / f"{number:02d}.jpg").rename(photos / name)
    library.add(photos)
    paths = {name: str(photos / name) for name in names}
    for form in ("NFC", "NFD"):
        lines = [f"{unicodedata.normalize(form, path)},a pool" for path in paths.values()]
        assert len(truth_of(library, csv_of(tmp_path, "path,tags", *lines)).photo_ids) == 2


def test_a_table_may_be_a_workbook_or_any_csv_of_a_spreadsheet(tagged: LibraryFactory, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["tags", "photo_id"], ["a pool;a tv", 3], [None, 1.0]):
        book.active.append(row)
    book.save(tmp_path / "labels.xlsx")
    (tmp_path / "labels.txt").write_bytes("photo_id\ttags\r\n3\ta pool;a tv\r\n1\t\r\n".encode("utf-16"))
    for name in ("labels.xlsx", "labels.txt"):
        assert same(truth_of(tagged, tmp_path / name), {3: [1, 0, 1], 1: [0, 0, 0]})


def test_what_should_be_known_of_a_file_is_noted(tagged: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("photo_id;path;tags\n1;photos/04.jpg;a pool;\n2;;a pol\xe9\n99;;a tv\n".encode("latin-1"))
    notes = truth_of(tagged, path).notes
    assert len(notes) == 4
    assert "labels.csv is not UTF-8" in notes[0]
    assert notes[1] == "left out tags that the vocabulary does not have: 'a polé' (did you mean 'a pool'?)"
    assert (
        notes[2]
        == f"1 row taken by path: {path}:2: photo_id 1 is {photos / '00.jpg'}, but {photos / '04.jpg'} is photo 5"
    )
    assert notes[3] == f"left out 1 photo that the library does not know: {path}:4"


def test_peoples_labels_are_put_over_the_file(tagged: LibraryFactory, tmp_path: Path) -> None:
    tag(tagged, OWN)
    label_photo(tagged.folder, 1, "a pool", False, None)
    label_photo(tagged.folder, 1, "a tv", True, None)
    label_photo(tagged.folder, 7, "bathtub", True, None)
    truth = truth_of(tagged, csv_of(tmp_path, "photo_id,tags", "1,a pool", "2,a pool"))
    assert same(truth, {1: [0, 0, 1], 2: [1, 0, 0], 7: [NAN, 1, NAN]})


def test_labels_alone_leave_the_rest_unknown(tagged: LibraryFactory) -> None:
    label_photo(tagged.folder, 4, "a pool", True, None)
    label_photo(tagged.folder, 2, "a tv", False, None)
    label_photo(tagged.folder, 2, "a sofa", True, None)  # which the other vocabulary does not have
    with session_of(tagged.folder) as session:
        truth = label_truth(session, OWN)
    assert same(truth, {2: [NAN, NAN, 0], 4: [1, NAN, NAN]})


def test_without_labels_there_is_no_truth(tagged: LibraryFactory) -> None:
    with session_of(tagged.folder) as session, pytest.raises(QueryError, match="nobody has set a label yet"):
        label_truth(session, OWN)


def test_a_file_of_other_photos_or_other_tags_is_refused(tagged: LibraryFactory, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"labels\.csv: none of its 2 photos is in the library"):
        truth_of(tagged, csv_of(tmp_path, "photo_id,tags", "98,a pool", "99,a pool"))
    with pytest.raises(QueryError, match=rf"labels\.csv: no row has a tag of the vocabulary {OWN.key}"):
        truth_of(tagged, csv_of(tmp_path, "photo_id,tags", "1,a bar", "2,?a pool"))


def test_the_samples_labels_name_their_photos_by_image_id(
    samples: Path, sample_tags: dict[int, set[str]], library: LibraryFactory
) -> None:
    from indexer.hotels50k import Hotels50kSource
    from tests.by_folder import add_photos

    add_photos(library.folder, Hotels50kSource(samples), lambda model: library.encoder)
    vocabulary = read_vocabulary("case-study")
    truth = truth_of(library, samples / "labels.csv", vocabulary)
    assert len(truth.photo_ids) == len(sample_tags)
    for place, name in enumerate(vocabulary.names):
        assert truth.values[:, place].sum() == sum(name in tags for tags in sample_tags.values())
    only = csv_of(library.folder.root, "image_id,tags", "500099,a bathtub", "1,a pool")
    assert len(truth_of(library, only, vocabulary).unknown_photos) == 1
