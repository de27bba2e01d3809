"""Samples: what is in them, and where their photos are found."""

import tarfile
from pathlib import Path

import numpy as np

from analysis.compared.photo_sample import PhotoSample, SampleSource
from analysis.judged.query_files import JudgedQuery
from tests.conftest import LibraryFactory, fill_folder, photo_bytes

EVERYTHING = np.arange(1, 101)


def test_a_sample_holds_what_answers_queries_and_others_drawn_by_chance() -> None:
    queries = [JudgedQuery("a", {7: 1, 8: 0}), JudgedQuery("b", {7: 2, 90: 1})]
    sample = PhotoSample.of(queries, EVERYTHING, 20, 0)
    assert (len(sample), sample.drawn) == (22, 20)
    assert {7, 90} <= set(sample.ids.tolist())
    assert (np.diff(sample.ids) > 0).all()
    assert (PhotoSample.of(queries, EVERYTHING, 20, 0).ids == sample.ids).all()
    assert (PhotoSample.of(queries, EVERYTHING, 20, 1).ids != sample.ids).any()
    whole = PhotoSample.of(queries, EVERYTHING, 1_000, 0)
    assert (whole.ids.tolist(), whole.drawn) == (EVERYTHING.tolist(), 98)
    assert PhotoSample.of(queries, EVERYTHING, 0, 0).ids.tolist() == [7, 90]


def test_others_are_drawn_from_the_photos_that_are_judged_where_no_query_knows_of_all() -> None:
    judged = [JudgedQuery("a", {1: 1}, np.array([1, 2, 3])), JudgedQuery("b", {5: 1}, np.array([4, 5, 200]))]
    assert PhotoSample.of(judged, EVERYTHING, 1_000, 0).ids.tolist() == [1, 2, 3, 4, 5]
    assert len(PhotoSample.of([*judged, JudgedQuery("c", {9: 1})], EVERYTHING, 1_000, 0)) == 100


def test_photos_of_a_sample_are_found_in_files_and_in_tar_files_and_told_where_they_are_gone(
    library: LibraryFactory, tmp_path: Path
) -> None:
    photos = fill_folder(tmp_path / "photos", range(3), "фото {}.jpg")
    with tarfile.open(photos / "shard.tar", "w") as tar:
        (tmp_path / "in.jpg").write_bytes(photo_bytes(9))
        tar.add(tmp_path / "in.jpg", "in.jpg")
    library.add(photos)
    (photos / "фото 1.jpg").unlink()
    with library.open().catalog.session() as session:
        source = SampleSource.of_library(session, PhotoSample(np.array([1, 2, 3, 4]), 0))
    found = {(Path(photo.path).name, photo.member): photo.failure_kind for photo in source.photos()}
    assert found == {
        ("shard.tar", "in.jpg"): None,
        ("фото 0.jpg", ""): None,
        ("фото 1.jpg", ""): "missing",
        ("фото 2.jpg", ""): None,
    }
    assert list(source.folders) == [str(photos)]
    assert source.finds(str(photos / "фото 0.jpg"))
    assert not source.finds(str(photos))
