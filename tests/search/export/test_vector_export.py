"""Vectors for other programs: what lies in the files, which photos, and what a stopped export leaves."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from aliens.library import Library
from base.errors import OutputError, QueryError
from base.progress import Step
from db.photo_rows import all_photos
from db.vector_rows import EmbeddedRows
from embedding.vector_layouts import NpyWriter
from search.export import vector_export
from tests.conftest import LibraryFactory, photo_bytes, raising


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, template: LibraryFactory, ten_photos: Path) -> LibraryFactory:
    factory = LibraryFactory(tmp_path_factory.mktemp("vectors") / "library", template.folder.root)
    factory.add(ten_photos)
    return factory


def all_vectors(library: Library) -> tuple[list[int], np.ndarray]:
    with library.catalog.session() as session:
        current = library.store.current(EmbeddedRows(session, library.model))
        return current.ids.tolist(), current.gather(current.ids).astype(np.float16)


def test_each_layout_holds_all_photos_in_the_order_of_their_numbers(
    filled: LibraryFactory, ten_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = filled.open()
    ids, vectors = all_vectors(library)
    paths = [str(path) for path in sorted(ten_photos.iterdir())]
    monkeypatch.setattr(vector_export, "PART_ROWS", 4)
    steps: list[Step] = []
    manifest = library.export_vectors(tmp_path / "pairs", progress=steps.append)
    assert steps[-1] == Step("exporting", 10, 10)
    assert sorted(map(str, (tmp_path / "pairs").rglob("*.*"))) == [
        str(tmp_path / "pairs" / name)
        for name in ("img_emb/img_emb_0.npy", "manifest.json", "metadata/metadata_0.parquet")
    ]  # one part of the database is never cut
    assert json.loads((tmp_path / "pairs" / "manifest.json").read_text()) == asdict(manifest)
    assert (manifest.model, manifest.model_name, manifest.dim, manifest.photos) == ("fake-00000000", "fake", 48, 10)
    loaded = np.load(tmp_path / "pairs/img_emb/img_emb_0.npy")
    assert loaded.dtype == np.float16 and (loaded == vectors).all()
    table = pq.read_table(tmp_path / "pairs/metadata/metadata_0.parquet")
    assert table.to_pydict() == {"image_path": paths, "photo_id": ids}

    library.export_vectors(tmp_path / "v.parquet", columns=["width_px", "hotel_name", "caption", "photo_id"])
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["image_path", "photo_id", "width_px", "hotel_name", "caption", "embedding"]
    assert np.array_equal(np.array(table["embedding"].to_pylist(), np.float16), vectors)
    assert table["width_px"].to_pylist() == [96] * 10 and set(table["caption"].to_pylist()) == {None}

    library.export_vectors(tmp_path / "v.npy")
    assert (np.load(tmp_path / "v.npy", mmap_mode="r") == vectors).all()
    assert (tmp_path / "v.csv").read_text().splitlines()[1] == f'"{paths[0]}",{ids[0]}'
    before = (tmp_path / "v.npy").read_bytes(), (tmp_path / "v.csv").read_bytes()
    library.export_vectors(tmp_path / "v.npy")
    assert ((tmp_path / "v.npy").read_bytes(), (tmp_path / "v.csv").read_bytes()) == before


def test_photos_that_are_meant(filled: LibraryFactory, tmp_path: Path) -> None:
    library = filled.open()
    ids, vectors = all_vectors(library)
    some = library.export_vectors(tmp_path / "some.npy", query="a pool", k=3)
    found = sorted(hit.photo_id for hit in library.search("a pool", k=3, copies=True))
    assert some.photos == 3 and (np.load(tmp_path / "some.npy") == vectors[np.searchsorted(ids, found)]).all()
    library.tag()
    with library.catalog.session() as session:
        said = [photo.id for photo in all_photos(session)]
    library.label(said[1::2], "a pool")
    library.label(said[::2], "a pool", present=False)
    assert library.export_vectors(tmp_path / "tag.npy", tags="a pool", query="before:2100").photos == 5
    assert (np.load(tmp_path / "tag.npy") == vectors[1::2]).all()
    for options, said in (
        ({"k": 3}, "-n"),
        ({"query": "kind:restyled"}, "kind:"),
        ({"query": "chain:nowhere"}, "chain"),
        ({"columns": "nonsense"}, "no column 'nonsense' to export beside vectors: choose of hotel_id"),
        ({"tags": "nonsense"}, "nonsense"),
        ({"layout": "nonsense"}, "choose of clip-retrieval, parquet, npy"),
    ):
        with pytest.raises(QueryError, match=said):
            library.export_vectors(tmp_path / "no", **options)  # type: ignore[arg-type]
    with pytest.raises(QueryError, match=r"end it in \.parquet or \.npy"):
        library.export_vectors(tmp_path / "no.csv")
    assert not list(tmp_path.glob("no*"))


def test_merged_and_dead_segments_come_in_order(stocked: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    (photos / "00.jpg").write_bytes(photo_bytes(50))  # its vector lies in a second segment now
    (photos / "05.jpg").unlink()
    stocked.add(photos)
    opened = stocked.open()
    opened.export_vectors(tmp_path / "v.npy")
    ids, vectors = all_vectors(opened)
    assert len(ids) == 9 and (np.load(tmp_path / "v.npy") == vectors).all()
    assert len((tmp_path / "v.csv").read_text().splitlines()) == 10


def test_what_a_failed_export_leaves(filled: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = filled.open()
    library.export_vectors(tmp_path / "v.npy")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    monkeypatch.setattr(NpyWriter, "write", raising(OSError(28, os.strerror(28))))
    for name in ("v.npy", "pairs"):
        with pytest.raises(OutputError, match="No space left"):
            library.export_vectors(tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    monkeypatch.undo()
    (tmp_path / "pairs.partial" / "img_emb" / "img_emb_9.npy").write_bytes(b"of an export that was killed")
    library.export_vectors(tmp_path / "pairs")
    assert [path.name for path in (tmp_path / "pairs" / "img_emb").iterdir()] == ["img_emb_0.npy"]
    assert not (tmp_path / "pairs.partial").exists()
    with pytest.raises(QueryError, match="is there already"):
        library.export_vectors(tmp_path / "pairs")


def test_an_empty_library_exports_nothing(library: LibraryFactory, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no photo is left"):
        library.open().export_vectors(tmp_path / "v.npy")
    assert not list(tmp_path.glob("v*"))
