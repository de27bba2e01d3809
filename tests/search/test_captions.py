import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from sqlalchemy import delete, select

from aliens.library import Library
from base.errors import EncoderError, LibraryError, QueryError
from base.progress import Step
from base.settings import LibraryFolder
from db.caption_rows import captions_of, find_set, forget_captions
from db.models import Photo
from embedding.decode import Preprocessing
from embedding.encoder import Encoder
from search import captions as captioning
from search.captions import best_columns, export_captions, read_captions
from tests.by_folder import (
    catalog_of,
    choose_captions,
    find_captions,
    found_vectors,
    generate_captions,
    list_sets,
    session_of,
)
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes, raising, stopping_at

LINES = [f"caption number {number}" for number in range(30)]
Captions = dict[str, list[tuple[str, float | None, str]]]


class TextEncoder:
    """A deterministic encoder of texts, in pages as it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(len(texts))
        return np.stack([FakeEncoder().encode_prompts(text, ()) for text in texts])


class FakeCaptioner:
    """A deterministic captioner for tests of plumbing: it says how bright and how red a photo is."""

    name = "fake"
    key = "fake-captioner-00000000"
    preprocessing = Preprocessing(size_px=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    batch_photos = 4

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self.batches: list[int] = []
        self._fail_at = fail_at
        self._error = error

    def generate(self, pixels: np.ndarray) -> list[str]:
        if self._error is not None and len(self.batches) == self._fail_at:
            raise self._error
        assert pixels.shape[1:] == (32, 32, 3)
        assert pixels.dtype == np.uint8
        self.batches.append(len(pixels))
        return [f"brightness {photo.mean():.1f} redness {photo[..., 0].mean():.1f}" for photo in pixels]


def choose(folder: LibraryFolder, lines: Sequence[str] = LINES, **options: object) -> captioning.CaptionReport:
    settings = {"source": "/somewhere/captions.txt", "load_encoder": lambda model: TextEncoder()}
    return choose_captions(folder, lines, **(settings | options))  # type: ignore[arg-type]


def stored(folder: LibraryFolder) -> Captions:
    """Return every photo's captions by its path."""
    with session_of(folder) as session:
        paths = {photo.id: photo.path for photo in session.scalars(select(Photo))}
        return {paths[photo_id]: rows for photo_id, rows in captions_of(session, list(paths)).items()}


def vectors_by_path(folder: LibraryFolder) -> dict[str, np.ndarray]:
    with session_of(folder) as session:
        paths = {photo.id: photo.path for photo in session.scalars(select(Photo))}
    return {paths[photo_id]: vector for photo_id, vector in found_vectors(folder).items()}


@pytest.fixture
def folder(stocked: LibraryFactory) -> LibraryFolder:
    """A library of the ten small photos."""
    return stocked.folder


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three photos at once against thirty lines, and the lines encoded in pages of seven."""
    monkeypatch.setattr(captioning, "SCORES_AT_ONCE", 90)
    monkeypatch.setattr(captioning, "LINES_AT_ONCE", 7)


@pytest.mark.parametrize("k", [1, 3, 30, 50])
def test_the_chosen_captions_are_the_best_by_brute_force(k: int, folder: LibraryFolder, small_steps: None) -> None:
    report = choose(folder, k=k)
    assert (report.captioned, report.known, report.failed) == (10, 0, 0)
    lines = TextEncoder().encode_texts(LINES)
    captions = stored(folder)
    vectors = vectors_by_path(folder)
    assert captions.keys() == vectors.keys()
    for path, rows in captions.items():
        scores = lines @ vectors[path].astype(np.float32)
        expected = np.argsort(-scores, kind="stable")[:k]
        assert [text for text, _, _ in rows] == [LINES[line] for line in expected]
        assert [score for _, score, _ in rows] == pytest.approx(scores[expected].tolist(), abs=1e-6)
        assert {key for _, _, key in rows} == {report.set_key}


def test_lines_are_encoded_in_pages(folder: LibraryFolder, small_steps: None) -> None:
    encoder = TextEncoder()
    choose(folder, load_encoder=lambda model: encoder)
    assert encoder.asked == [7, 7, 7, 7, 2]


def test_more_lines_than_scores_at_once_are_no_problem(folder: LibraryFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captioning, "SCORES_AT_ONCE", 10)
    assert choose(folder).captioned == 10


def test_only_photos_without_captions_are_looked_at_again(
    folder: LibraryFolder, library: LibraryFactory, photos: Path
) -> None:
    first = choose(folder)
    again = choose(folder, load_encoder=lambda model: pytest.fail("loaded in vain"))
    assert (again.set_key, again.captioned, again.known) == (first.set_key, 0, 10)
    (photos / "new.jpg").write_bytes(photo_bytes(77))
    library.add(photos)
    told: list[Step] = []
    third = choose(folder, progress=told.append)
    assert (third.captioned, third.known) == (1, 10)
    assert told[-1] == Step("captions", 1, 1)
    assert len(stored(folder)) == 11


def test_other_lines_or_another_k_are_another_set(folder: LibraryFolder) -> None:
    keys = [choose(folder).set_key, choose(folder, k=2).set_key, choose(folder, LINES[:5]).set_key]
    assert len(set(keys)) == 3
    assert all(key.startswith("captions.txt-") and key.endswith("@fake-00000000") for key in keys)
    assert [(entry.key, entry.kind, entry.photos, entry.captions) for entry in list_sets(folder)] == [
        (keys[0], "chosen", 10, 10),
        (keys[1], "chosen", 10, 20),
        (keys[2], "chosen", 10, 10),
    ]
    assert list_sets(folder)[0].source == "/somewhere/captions.txt"


def test_choosing_that_was_interrupted_goes_on_to_the_same_captions(
    folder: LibraryFolder, small_steps: None, tmp_path: Path
) -> None:
    whole = LibraryFolder(Path(shutil.copytree(folder.root, tmp_path / "copy")))
    choose(whole, k=4)
    with pytest.raises(KeyboardInterrupt):
        choose(folder, k=4, progress=stopping_at("captions", 5))
    assert len(stored(folder)) == 6
    report = choose(folder, k=4)
    assert (report.captioned, report.known) == (4, 6)
    assert stored(folder) == stored(whole)


def test_a_failed_encoder_leaves_no_empty_set(folder: LibraryFolder) -> None:
    with pytest.raises(EncoderError):
        choose(folder, load_encoder=raising(EncoderError("no weights")))
    assert list_sets(folder) == []


@pytest.mark.parametrize(("k", "lines"), [(0, LINES), (-1, LINES), (1, [])])
def test_nothing_to_choose_is_refused(k: int, lines: list[str], folder: LibraryFolder) -> None:
    with pytest.raises(QueryError, match="at least one caption"):
        choose(folder, lines, k=k)


def test_a_library_without_photos_is_refused(library: LibraryFactory) -> None:
    with pytest.raises(QueryError, match="aliens add"):
        choose(library.folder)
    with pytest.raises(QueryError, match="aliens add"):
        generate_captions(library.folder, lambda: pytest.fail("loaded in vain"))


def test_one_process_at_a_time_makes_captions(folder: LibraryFolder) -> None:
    with catalog_of(folder) as catalog, catalog.lock():
        with pytest.raises(LibraryError, match="another process or thread"):
            choose(folder)
        with pytest.raises(LibraryError, match="another process or thread"):
            generate_captions(folder, FakeCaptioner)


def test_without_a_library_the_remedy_is_named(tmp_path: Path) -> None:
    nowhere = LibraryFolder(tmp_path / "nowhere")
    for call in (choose, lambda f: generate_captions(f, FakeCaptioner), lambda f: find_captions(f, ["a"]), list_sets):
        with pytest.raises(LibraryError, match="aliens init"):
            call(nowhere)


def test_the_best_columns_come_best_first() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 9)).astype(np.float32)
    for k in range(1, 12):
        np.testing.assert_array_equal(best_columns(scores, k), np.argsort(-scores, axis=1)[:, :k])
    assert best_columns(np.zeros((2, 5), np.float32), 1).tolist() == [[0], [0]]
    assert best_columns(scores[:0], 2).shape == (0, 2)


def test_every_photo_gets_a_written_caption(folder: LibraryFolder) -> None:
    captioner = FakeCaptioner()
    told: list[Step] = []
    report = generate_captions(folder, lambda: captioner, progress=told.append)
    assert (report.set_key, report.captioned, report.known, report.failed) == (captioner.key, 10, 0, 0)
    assert captioner.batches == [4, 4, 2]
    assert [(step.done, step.total) for step in told] == [(4, 10), (8, 10), (10, 10)]
    captions = stored(folder)
    assert len(captions) == 10
    assert all(len(rows) == 1 and rows[0][1:] == (None, captioner.key) for rows in captions.values())
    (entry,) = list_sets(folder)
    assert (entry.kind, entry.model, entry.source) == ("generated", captioner.key, "fake")
    again = FakeCaptioner()
    report = generate_captions(folder, lambda: again)
    assert (report.captioned, report.known, again.batches) == (0, 10, [])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_writing_that_was_stopped_goes_on_to_the_same_captions(
    error: BaseException, folder: LibraryFolder, tmp_path: Path
) -> None:
    whole = LibraryFolder(Path(shutil.copytree(folder.root, tmp_path / "copy")))
    generate_captions(whole, FakeCaptioner)
    with pytest.raises(type(error)):
        generate_captions(folder, lambda: FakeCaptioner(fail_at=1, error=error))
    assert len(stored(folder)) == 4
    report = generate_captions(folder, FakeCaptioner)
    assert (report.captioned, report.known) == (6, 4)
    assert stored(folder) == stored(whole)


def test_the_limit_is_of_photos_that_get_captions(folder: LibraryFolder, photos: Path) -> None:
    (photos / "01.jpg").unlink()
    captioner = FakeCaptioner()
    report = generate_captions(folder, lambda: captioner, limit=6)
    assert (report.captioned, report.failed, captioner.batches) == (6, 1, [3, 3])
    assert generate_captions(folder, FakeCaptioner, limit=100).captioned == 3
    with pytest.raises(QueryError, match="at least 1"):
        generate_captions(folder, FakeCaptioner, limit=0)


def test_photos_that_cannot_be_read_any_more_are_counted_and_named(folder: LibraryFolder, photos: Path) -> None:
    (photos / "02.jpg").write_bytes(photo_bytes(2)[:200])
    (photos / "04.jpg").write_bytes(b"no image at all")
    (photos / "09.jpg").unlink()
    report = generate_captions(folder, FakeCaptioner)
    assert (report.captioned, report.failed) == (7, 3)
    reasons = {Path(photo.file.path).name: photo.reason for photo in report.examples}
    assert reasons.keys() == {"02.jpg", "04.jpg", "09.jpg"}
    assert "truncated" in reasons["02.jpg"].lower()
    assert "no image format" in reasons["04.jpg"]
    assert "No such file" in reasons["09.jpg"]
    (photos / "04.jpg").write_bytes(photo_bytes(4))
    assert generate_captions(folder, FakeCaptioner).captioned == 1


def test_only_the_first_unreadable_photos_are_named(
    folder: LibraryFolder, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captioning, "MOST_EXAMPLES", 5)
    shutil.rmtree(photos)
    captioner = FakeCaptioner()
    report = generate_captions(folder, lambda: captioner)
    assert (report.captioned, report.failed, captioner.batches, len(report.examples)) == (0, 10, [], 5)


def test_a_real_captioner_fits(folder: LibraryFolder, tmp_path: Path) -> None:
    from embedding.captioner import Captioner
    from tests.embedding.test_captioner import save_coca

    captioner = Captioner.load(f"local-dir:{save_coca(tmp_path / 'tiny-coca')}", device="cpu")
    assert generate_captions(folder, lambda: captioner).captioned == 10
    assert all(text for rows in stored(folder).values() for text, _, _ in rows)


def test_photos_are_found_by_the_words_of_their_captions(folder: LibraryFolder, photos: Path) -> None:
    choose(folder, ["an indoor pool"], source="pools.txt")
    generate_captions(folder, FakeCaptioner)
    hits = find_captions(folder, ["pools", "indoor"], k=4)
    assert len(hits) == 4
    assert {hit.text for hit in hits} == {"an indoor pool"}
    assert all(hit.score is not None and Path(hit.path).is_file() for hit in hits)
    assert len(find_captions(folder, ["brightness redness"])) == 10
    assert find_captions(folder, ["brightness", "pool"]) == []


@pytest.mark.parametrize("words", [[], [""], ["*"], ['"', "-"], ["\udcff"]])
def test_a_query_without_words_is_refused(words: list[str], folder: LibraryFolder) -> None:
    with pytest.raises(QueryError, match="no word in"):
        find_captions(folder, words)


def test_words_with_signs_are_found(folder: LibraryFolder) -> None:
    choose(folder, ['a "king-size" bed'], source="beds.txt")
    for words in (['"king-size"', "*"], ["bed*"], ["king\udcff"], ["NEAR(bed)", "king"]):
        assert len(find_captions(folder, words)) == (0 if "NEAR" in words[0] else 10), words
    with pytest.raises(QueryError, match="k is 0"):
        find_captions(folder, ["bed"], k=0)


def test_a_photo_that_leaves_the_library_loses_its_captions(folder: LibraryFolder) -> None:
    choose(folder, ["a pool"])
    with session_of(folder) as session:
        session.execute(delete(Photo).where(Photo.path.endswith("03.jpg")))
        session.commit()
    assert len(find_captions(folder, ["pool"])) == 9


def test_captions_that_are_forgotten_are_chosen_anew(folder: LibraryFolder) -> None:
    key = choose(folder).set_key
    with session_of(folder) as session:
        forget_captions(session, [1, 2], find_set(session, key))
        session.commit()
    report = choose(folder)
    assert (report.captioned, report.known) == (2, 8)


def test_real_captions_fit_their_photos(
    sample_library: Library, starter: Encoder, sample_tags: dict[int, set[str]], tmp_path: Path
) -> None:
    folder = LibraryFolder(Path(shutil.copytree(sample_library.folder.root, tmp_path / "library")))
    captions = {
        "a bathtub": "a white hotel bathroom with a bathtub",
        "a king-size bed": "a bright hotel room with a king-size bed",
    }
    choose(folder, list(captions.values()), load_encoder=lambda model: starter)
    with session_of(folder) as session:
        image_ids = {photo.path: photo.image_id for photo in session.scalars(select(Photo))}
    right = wrong = 0
    for path, rows in stored(folder).items():
        tags = sample_tags[image_ids[path]] & captions.keys()
        if len(tags) == 1:
            fits = rows[0][0] == captions[tags.pop()]
            right, wrong = right + fits, wrong + (not fits)
    assert right + wrong >= 50
    assert right >= 0.95 * (right + wrong)


def test_a_captions_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "captions.txt"
    file.write_bytes("\ufeff# hotel rooms\r\n a  bed \r\n\n\ta pool\na bed\n  # no\nune salle à manger\u2028".encode())
    assert read_captions(file) == ["a bed", "a pool", "une salle à manger"]


@pytest.mark.parametrize("name", ["captions.csv", "captions.tsv", "captions.txt", "captions.xlsx"])
def test_captions_may_be_a_column_of_a_table(tmp_path: Path, name: str) -> None:
    rows = [["n", "Caption"], [1, "a bed; une salle à manger"], [2, ""], [3, "a pool, outside"], [4, "a pool, outside"]]
    if name.endswith("xlsx"):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(tmp_path / name)
    else:
        with open(tmp_path / name, "w", encoding="utf-16" if name.endswith("txt") else "utf-8", newline="") as file:
            csv.writer(file, delimiter="," if name.endswith("csv") else "\t").writerows(rows)
    assert read_captions(tmp_path / name) == ["a bed; une salle à manger", "a pool, outside"]


def test_captions_that_were_exported_are_chosen_from(stocked: LibraryFactory, tmp_path: Path) -> None:
    choose_captions(
        stocked.folder, ["a pool", "ein Bad – außen"], load_encoder=lambda model: stocked.encoder, source="list"
    )
    for name in ("captions.xlsx", "captions.csv"):
        with session_of(stocked.folder) as session:
            export_captions(session, tmp_path / name)
        assert set(read_captions(tmp_path / name)) <= {"a pool", "ein Bad – außen"}


def test_captions_of_a_table_that_is_not_utf_8_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_bytes("caption;n\nun café;1\n".encode("cp1252"))
    with pytest.raises(QueryError, match=r"row 2 of .*captions\.csv is not UTF-8: save the file as \.xlsx"):
        read_captions(tmp_path / "captions.csv")


def test_a_workbook_without_captions_is_refused_with_its_columns(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["photo_id", "words"])
    book.save(tmp_path / "captions.xlsx")
    with pytest.raises(QueryError, match="it has no column caption, but photo_id, words"):
        read_captions(tmp_path / "captions.xlsx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no caption"),
        (b"# only\n\n  \n", "holds no caption"),
        (b"a pool\ncaf\xe9\n", r"line 2 of .* is not UTF-8"),
        ("a pool".encode("utf-16-le"), r"it is no text, or UTF-16 without its mark"),
        (b"a pool\n\n" + b"x" * 1001, r"line 3 of .* has 1001 characters, more than 1000"),
    ],
)
def test_a_captions_file_that_cannot_be_used_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "captions.txt"
    file.write_bytes(content)
    with pytest.raises(QueryError, match=message) as caught:
        read_captions(file)
    assert str(file) in str(caught.value)


def test_a_line_may_have_1000_characters(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("é" * 1000, encoding="utf-8")
    assert len(read_captions(tmp_path / "captions.txt")[0]) == 1000


def test_an_absent_captions_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.txt", tmp_path):
        with pytest.raises(QueryError, match="one caption a line") as caught:
            read_captions(path)
        assert str(path) in str(caught.value)
