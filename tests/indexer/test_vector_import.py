"""Vectors of others: three layouts, what is refused, and how imported photos live with the rest of a library."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

import aliens
from aliens.library import Library
from base.errors import AliensError, ModelMismatchError, QueryError, SourceError
from base.files import PhotoFile
from base.progress import Step
from db.models import Photo, PhotoState
from indexer import vector_import
from indexer.vector_checks import norms_of
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes
from tests.indexer import conftest

DIM = FakeEncoder.dim
Made = tuple[list[str], np.ndarray]


def random_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_pair(folder: Path, number: str, vectors: np.ndarray, **columns: Sequence[Any]) -> None:
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    np.save(folder / "img_emb" / f"img_emb_{number}.npy", vectors)
    pq.write_table(pa.table(columns), folder / "metadata" / f"metadata_{number}.parquet")


def as_clip_retrieval(folder: Path, paths: Sequence[str], vectors: np.ndarray) -> Path:
    half = len(paths) // 2
    for number, part in (("0", slice(None, half)), ("1", slice(half, None))):
        captions = [f"caption of {path}" for path in paths[part]]
        write_pair(folder, number, vectors[part].astype(np.float16), image_path=paths[part], caption=captions)
    return folder


def as_parquet(folder: Path, paths: Sequence[str], vectors: np.ndarray) -> Path:
    folder.mkdir()
    column = pa.array(list(vectors.astype(np.float64)), pa.list_(pa.float64()))
    texts = [f"caption of {path}" for path in paths]
    pq.write_table(pa.table({"path": paths, "embedding": column, "caption": texts}), folder / "x.parquet")
    return folder / "x.parquet"


def as_npy(folder: Path, paths: Sequence[str], vectors: np.ndarray) -> Path:
    folder.mkdir()
    np.save(folder / "x.npy", vectors)
    lines = ["path,caption", *(f'"{path}",caption of {path}' for path in paths)]
    (folder / "x.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "x.npy"


def rows_of(library: Library) -> list[Photo]:
    with library.catalog.session() as session:
        return list(session.scalars(select(Photo).order_by(Photo.id)))


def vectors_of(library: Library) -> dict[str, np.ndarray]:
    """Return {path: vector} of every photo that can be found."""
    found = conftest.vectors_of(library.folder)
    return {place: np.frombuffer(vector, np.float16) for place, vector in found.items()}


@pytest.fixture
def made(photos: Path) -> Made:
    """Ten photos that are there, and their vectors by the fake encoder as another program made them."""
    from embedding.decode import read_squares

    files = sorted(photos.iterdir())
    squares = read_squares([PhotoFile(str(file)) for file in files], FakeEncoder.preprocessing)
    return [str(file) for file in files], FakeEncoder().encode_images(np.stack([np.asarray(s) for s in squares]))


@pytest.mark.parametrize("write", [as_clip_retrieval, as_parquet, as_npy])
def test_photos_that_are_there_are_rows_like_others_and_are_not_embedded_again(
    library: LibraryFactory, photos: Path, made: Made, write: Callable[..., Path], tmp_path: Path
) -> None:
    paths, vectors = made
    place = write(tmp_path / "in", paths, vectors)
    opened = library.open()
    steps: list[Step] = []
    report = opened.import_vectors(place, progress=steps.append)
    assert (report.imported, report.taken, report.kept, report.there) == (10, 0, 0, 10)
    assert report.check.photos == 10 and (report.check.cosine or 0) > 0.999
    assert library.encoder.encoded_photos == 10  # to check the model by
    assert {(step.done, step.total) for step in steps[-1:]} == {(10, 10)}
    found = vectors_of(opened)
    assert np.abs(np.stack([found[path] for path in paths]) - vectors).max() < 1e-3
    first = rows_of(opened)[0]
    assert first.details == {"caption": f"caption of {paths[0]}"}
    assert (first.size_bytes, first.content_sha256) == (os.path.getsize(paths[0]), None)
    assert opened.verify() == []
    assert str(photos) in report.notes[-1]

    (photos / "later.jpg").write_bytes(photo_bytes(77))
    added = library.add(photos)
    assert (added.scan.new, added.scan.changed, added.scan.unchanged) == (1, 0, 10)
    assert (added.run.encoded, library.encoder.encoded_photos) == (1, 11)
    read = rows_of(opened)[0]
    assert (read.width_px, read.height_px, read.format) == (96, 64, "JPEG") and read.content_sha256 is not None
    shutil.move(photos / "00.jpg", photos / "moved.jpg")  # by its bytes it is known now
    assert library.add(photos).run.moved == 1
    assert rows_of(opened)[0].path == str(photos / "moved.jpg") and opened.verify() == []
    assert opened.measure().measured == 10 and opened.stats().summary.brightness_unknown == 0


def test_the_same_import_again_changes_nothing(library: LibraryFactory, made: Made, tmp_path: Path) -> None:
    place = as_clip_retrieval(tmp_path / "in", *made)
    opened = library.open()
    opened.import_vectors(place)
    before, encoded = vectors_of(opened), library.encoder.encoded_photos
    report = opened.import_vectors(place)
    assert (report.imported, report.kept) == (0, 10) and "10 known photos kept" in str(report)
    after = vectors_of(opened)
    assert all((after[path] == before[path]).all() for path in before) and library.encoder.encoded_photos == encoded


def test_photos_that_were_read_keep_their_vectors_and_unread_ones_get_one(
    library: LibraryFactory, photos: Path, made: Made, tmp_path: Path
) -> None:
    paths, vectors = made
    library.add(photos)
    opened = library.open()
    with opened.catalog.writing() as session:  # as if Ctrl-C had ended the run before these were read
        rows = session.scalars(select(Photo).order_by(Photo.id)).all()
        from db.vector_rows import forget_embeddings

        forget_embeddings(session, opened.model, [rows[1].id, rows[2].id])
        for row, state in ((rows[1], PhotoState.PENDING), (rows[2], PhotoState.FAILED)):
            row.state, row.content_sha256, row.failure_kind = state, None, "truncated"
        session.commit()
    report = opened.import_vectors(as_npy(tmp_path / "in", paths[1:], vectors[1:]))
    assert (report.imported, report.taken, report.kept) == (0, 2, 7)
    assert {row.state for row in rows_of(opened)} == {PhotoState.EMBEDDED} and opened.verify() == []
    assert rows_of(opened)[1].details == {"caption": f"caption of {paths[1]}"}


def test_photos_without_files_can_be_found_and_never_vanish(library: LibraryFactory, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    paths = [str(folder / name) for name in ("комната.jpg", "日本 room.jpg", "a\tb.jpg", "x.tar!in/side.jpg")]
    place = as_parquet(tmp_path / "in", [*paths, "https://example.org/a.jpg"], random_vectors(5))
    opened = library.open()
    with pytest.raises(ModelMismatchError, match=r"nothing says which model.*--made-by fake"):
        opened.import_vectors(place)
    assert rows_of(opened) == []
    report = opened.import_vectors(place, made_by="FAKE")
    assert (report.imported, report.there, report.check.photos) == (5, 0, 0)
    assert [(row.path, row.member) for row in rows_of(opened)[3:]] == [
        (str(folder / "x.tar"), "in/side.jpg"), ("https://example.org/a.jpg", ""),
    ]  # fmt: skip
    assert len(opened.similar(paths[0], k=3)) == 3 and opened.verify() == []
    assert "5 photos have no files" in " ".join(report.notes)
    folder.mkdir()
    (folder / "new.jpg").write_bytes(photo_bytes(1))
    assert library.add(folder).scan.vanished == 0 and len(vectors_of(opened)) == 6
    (folder / "комната.jpg").write_bytes(photo_bytes(2))  # a file nobody has seen: its vector is made anew
    assert library.add(folder).run.encoded == 1
    opened.forget(paths[1])
    assert len(vectors_of(opened)) == 5 and opened.verify() == []


def with_rows(vectors: np.ndarray, **rows: float) -> np.ndarray:
    changed = vectors.copy()
    for name, value in rows.items():
        changed[int(name.removeprefix("row"))] *= value
    return changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: with_rows(v, row7=np.nan), r"1 of 10 vectors hold numbers that are none.*img_emb_1.npy, row 3"),
        (lambda v: with_rows(v, row2=np.inf), "infinite"),
        (lambda v: with_rows(v, row2=0, row3=0), r"2 of 10 vectors are zero.*img_emb_0.npy, row 3"),
        (
            lambda v: with_rows(v, row1=3, row9=0.5),
            r"2 of 10 vectors are not of length 1 \(this one's is 3\).*--normalize",
        ),
        (lambda v: v[:, :40], r"40 dimensions.*fake-00000000 48"),
        (lambda v: v[::-1], r"another model.s.*encoded anew is -?0\.\d+, and more than 0.95"),
    ],
)
def test_wrong_vectors_change_nothing(
    library: LibraryFactory, made: Made, change: Callable[[np.ndarray], np.ndarray], said: str, tmp_path: Path
) -> None:
    paths, vectors = made
    place = as_clip_retrieval(tmp_path / "in", paths, change(vectors))
    opened = library.open()
    with pytest.raises((SourceError, ModelMismatchError), match=said) as caught:
        opened.import_vectors(place)
    assert "nothing was changed" in str(caught.value)
    assert rows_of(opened) == [] and not list(opened.store.folder.glob("*"))


def test_lengths_are_mended_when_asked(library: LibraryFactory, made: Made, tmp_path: Path) -> None:
    paths, vectors = made
    opened = library.open()
    report = opened.import_vectors(as_npy(tmp_path / "in", paths, 3e6 * vectors), normalize=True)
    assert report.lengthened == 10 and opened.verify() == []
    with pytest.raises(SourceError, match="zero"):
        opened.import_vectors(as_npy(tmp_path / "no", ["a.jpg"], 0 * vectors[:1]), normalize=True, made_by="fake")


def broken(name: str, folder: Path, made: Made) -> tuple[Path, dict[str, Any]]:
    """Return vectors that have something wrong, and what they are imported with."""
    paths, vectors = made
    match name:
        case "twice":
            return as_npy(folder, [*paths[:9], paths[3].replace("/03", "/./03")], vectors), {}
        case "counts":
            place = as_clip_retrieval(folder, paths, vectors)
            np.save(place / "img_emb" / "img_emb_1.npy", vectors[:3])
            return place, {}
        case "csv counts":
            return as_npy(folder, paths[:9], vectors), {}
        case "no partner":
            place = as_clip_retrieval(folder, paths, vectors)
            (place / "metadata" / "metadata_1.parquet").unlink()
            return place, {}
        case "cut short" | "parquet cut":
            place = (as_npy if name == "cut short" else as_parquet)(folder, paths, vectors)
            place.write_bytes(place.read_bytes()[:-100])
            return place, {}
        case "pickle":
            place = as_npy(folder, paths, vectors)
            np.save(place, np.array([{}], object), allow_pickle=True)
            return place, {}
        case "list cut":
            place = as_npy(folder, paths, vectors)
            np.save(folder / "names.npy", np.array(paths))
            (folder / "names.npy").write_bytes(
                (folder / "names.npy").read_bytes().replace(b"'shape': (10,)", b"'shape': (((((")
            )
            return place, {"ids": folder / "names.npy"}
        case "whole numbers":
            return as_npy(folder, paths, (100 * vectors).astype(np.int8)), {}
        case "no path":
            return as_npy(folder, ["", *paths[1:]], vectors), {}
        case "no column":
            return as_npy(folder, paths, vectors), {"path_column": "file"}
        case "empty":
            return as_npy(folder, [], vectors[:0]), {}
        case "nothing":
            return folder / "nowhere", {}
        case "other maker":
            place = as_clip_retrieval(folder, paths, vectors)
            (place / "manifest.json").write_text(json.dumps({"model": "ViT-L-14-ffffffff", "model_name": "ViT-L-14/x"}))
            return place, {}
        case "ragged" | "two columns":
            folder.mkdir()
            ragged = {"path": ["a", "b"], "embedding": [[1.0], [0.6, 0.8]]}
            several = {"path": ["a"], "clip_a": [[1.0]], "clip_b": [[1.0]]}
            pq.write_table(pa.table(ragged if name == "ragged" else several), folder / "x.parquet")
            return folder / "x.parquet", {}
        case _:
            return as_npy(folder, paths, vectors), {"made_by": "ViT-B-32/openai"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("twice", r"row 10 is of the same photo as .*row 4"),
        ("counts", r"img_emb_1.npy has 3 vectors, and .*metadata_1.parquet 5 rows"),
        ("csv counts", r"x.npy has 10 vectors, and .*x.csv 9 rows"),
        ("no partner", r"img_emb_1.npy has no metadata/metadata_1.parquet"),
        ("cut short", r"x.npy cannot be read"),
        ("parquet cut", r"x.parquet cannot be read"),
        ("pickle", r"x.npy cannot be read: .*Python objects"),
        ("list cut", r"names.npy cannot be read: it is no sound .npy file, or cut short"),
        ("whole numbers", r"holds int8 of shape \(10, 48\)"),
        ("no path", r"x.npy, row 1 names no photo"),
        ("no column", r"x.csv cannot be read: 'file' is no column of it: it has path, caption"),
        ("empty", "holds no vectors"),
        ("nothing", r"nothing is at .*nowhere"),
        ("other maker", r"ViT-L-14-ffffffff \(ViT-L-14/x\).*fake-00000000 \(fake\)"),
        ("ragged", r"row 2 has 2 numbers, the rows before it 1"),
        ("two columns", r"several columns of vectors, clip_a, clip_b: say which one by --column"),
        ("made by", r"--made-by, was made by ViT-B-32/openai.*fake"),
    ],
)
def test_wrong_files_change_nothing(library: LibraryFactory, made: Made, name: str, said: str, tmp_path: Path) -> None:
    place, options = broken(name, tmp_path / "in", made)
    opened = library.open()
    with pytest.raises(AliensError, match=said):
        opened.import_vectors(place, **options)
    assert rows_of(opened) == [] and not list(opened.store.folder.glob("*"))


def test_an_import_that_is_stopped_goes_on_where_whole_segments_end(
    library: LibraryFactory, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = as_clip_retrieval(tmp_path / "in", *made)
    opened = library.open()
    monkeypatch.setattr(vector_import, "MOST_ROWS", 5)  # two segments of five
    recorded = vector_import.record_run

    def fail_second(session: Any, model: Any, file: Any, first_id: int) -> None:
        if first_id > 1:
            raise KeyboardInterrupt
        recorded(session, model, file, first_id)

    monkeypatch.setattr(vector_import, "record_run", fail_second)
    with pytest.raises(KeyboardInterrupt):
        opened.import_vectors(place)
    assert len(rows_of(opened)) == 5 and opened.verify() == []
    monkeypatch.setattr(vector_import, "record_run", recorded)
    report = opened.import_vectors(place)
    assert (report.imported, report.kept, len(vectors_of(opened))) == (5, 5, 10) and opened.verify() == []
    paths, vectors = made
    found = vectors_of(opened)
    assert np.abs(np.stack([found[path] for path in paths]) - vectors).max() < 1e-3


def test_relative_paths_and_members_of_tars(library: LibraryFactory, photos: Path, made: Made, tmp_path: Path) -> None:
    paths, vectors = made
    conftest.write_tar(tmp_path / "x.tar", {Path(path).name: Path(path).read_bytes() for path in paths[:4]})
    (tmp_path / "link").symlink_to(photos)
    names = [*(f"../x.tar!{Path(path).name}" for path in paths[:4]), *(f"../link/{Path(p).name}" for p in paths[4:])]
    opened = library.open()
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(folder / "v.npy", vectors)
    (folder / "names.txt").write_text("\n".join(names))
    with pytest.raises(SourceError, match="--ids"):
        opened.import_vectors(folder / "v.npy")
    report = opened.import_vectors(folder / "v.npy", ids=folder / "names.txt")
    assert (report.there, report.check.photos) == (10, 10)
    added = [library.add(tmp_path / "x.tar"), library.add(photos)]
    assert [scan.scan.unchanged for scan in added] == [4, 6] and added[1].scan.new == 4
    assert sum(scan.run.encoded for scan in added) == 0 and added[1].run.reused == 4


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".jsonl", ".parquet"])
def test_lists_of_every_kind_say_the_same(library: LibraryFactory, made: Made, tmp_path: Path, ending: str) -> None:
    paths, vectors = made
    rows = [{"image_path": path, "stars": str(at), "note": ""} for at, path in enumerate(paths)]
    listed = tmp_path / f"names{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), listed)
    elif ending == ".jsonl":
        listed.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        cells = [list(rows[0]), *([*row.values()] for row in rows)]
        if ending == ".csv":
            listed.write_text("\n".join(map(",".join, cells)), encoding="utf-8")
        else:
            import openpyxl

            book = openpyxl.Workbook()
            for row in cells:
                book.active.append(row)
            book.save(listed)
    np.save(tmp_path / "v.npy", vectors)
    opened = library.open()
    assert opened.import_vectors(tmp_path / "v.npy", ids=listed).imported == len(paths)
    assert {photo.path: photo.details for photo in rows_of(opened)} == {
        path: {"stars": str(at)} for at, path in enumerate(paths)
    }


def test_compressed_tars_are_read_and_keys_are_refused(library: LibraryFactory, made: Made, tmp_path: Path) -> None:
    paths, vectors = made
    members = {Path(path).name: Path(path).read_bytes() for path in paths[:4]}
    conftest.write_tar(tmp_path / "x.tar.gz", members, "w:gz")
    names = [*(f"x.tar.gz!{Path(path).name}" for path in paths[:4]), "https://h.example/t.tar!a/1.jpg"]
    opened, listed = library.open(), tmp_path / "names.txt"
    np.save(tmp_path / "v.npy", vectors[:5])
    listed.write_text("\n".join([*names[:4], "https://me:hush@h.example/1.jpg"]))
    with pytest.raises(SourceError, match=r"https://h\.example/1\.jpg holds a name or a password") as caught:
        opened.import_vectors(tmp_path / "v.npy", ids=listed, photos=tmp_path)
    assert "hush" not in str(caught.value)
    listed.write_text("\n".join(names))
    report = opened.import_vectors(tmp_path / "v.npy", ids=listed, photos=tmp_path)
    assert (report.imported, report.there) == (5, 4)
    assert ("https://h.example/t.tar", "a/1.jpg") in {(photo.path, photo.member) for photo in rows_of(opened)}


def test_imported_photos_without_bytes_get_no_label(library: LibraryFactory, made: Made, tmp_path: Path) -> None:
    paths, vectors = made
    opened = library.open()
    opened.import_vectors(as_npy(tmp_path / "in", paths, vectors))
    opened.tag()
    with pytest.raises(QueryError, match="imported without its file"):
        opened.label([1], "pool")
    opened.export(tmp_path / "tags.csv")
    assert opened.import_tags(tmp_path / "tags.csv").set == 0
    (tmp_path / "own.csv").write_text(f"path,tags,set_by_hand\n{paths[0]},,a pool\n")
    report = opened.import_tags(tmp_path / "own.csv", labels_only=True)
    assert (report.unread, report.set) == (1, 0) and "1 label of photos whose vectors were imported" in report.notes[0]


def test_a_library_goes_to_another_by_files(library: LibraryFactory, made: Made, tmp_path: Path) -> None:
    paths, vectors = made
    source = library.open()
    source.import_vectors(as_parquet(tmp_path / "in", paths, vectors))
    with aliens.create(tmp_path / "other", encoder=FakeEncoder()) as other:
        for name in ("out", "out.npy", "out.parquet"):
            source.export_vectors(tmp_path / name, columns=["width_px"])
            report = other.import_vectors(tmp_path / name)
            assert report.imported == (10 if name == "out" else 0)
        assert rows_of(other)[0].details is None  # the other library's numbers mean nothing here
        assert (np.stack(list(vectors_of(other).values())) == np.stack(list(vectors_of(source).values()))).all()
        with pytest.raises(SourceError, match=r"'v' is to be a column of vectors"):
            other.import_vectors(tmp_path / "out", column="v")
        with pytest.raises(SourceError, match=r"belongs to a \.npy file"):
            other.import_vectors(tmp_path / "out", ids=tmp_path / "out.csv")


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_lengths_of_vectors_hold_for_the_smallest_and_the_largest_numbers(kind: type[np.floating]) -> None:
    about = np.finfo(kind)
    values = [0, 0.05, float(about.tiny), float(about.max), np.inf, np.nan, float(about.smallest_subnormal)]
    vectors = np.array(values, kind)[:, None].repeat(3, axis=1)
    found = norms_of(vectors)
    wanted = np.array([abs(float(value)) * 3**0.5 for value in vectors[:, 0]])
    if kind is np.float64:  # whose largest have no square, and whose smallest none but zero
        assert np.isinf(found[3]) and found[[2, 6]].tolist() == [0, 0]
        found, wanted = found[[0, 1, 4, 5]], wanted[[0, 1, 4, 5]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
