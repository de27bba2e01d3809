"""Wherever the vectors lie, every answer is that of a library whose photos were added in one go."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.errors import QueryError
from base.settings import LibraryFolder
from db.caption_rows import captions_of
from db.photo_rows import all_photos
from embedding.scores import score_vectors
from search.export.exporter import export_tags
from search.tags.calibration import TagOptions
from search.tags.tagging import text_vectors
from search.tags.vocabulary import read_vocabulary
from tests.by_folder import (
    choose_captions,
    disagreements,
    found_vectors,
    merge_due,
    open_library,
    photo_segments,
    session_of,
    tag_library,
    tagging_of,
)
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes

LINES = [f"caption number {number}" for number in range(30)]
QUERIES = ("a pool", "a bed -window", "a pool path:0", "a view kind:any")
TAG_QUERIES = ("a room tag:bathtub", "a room -tag:bathtub>0.4")


def tag(library: LibraryFactory) -> int:
    """Tag a library, and return how many photos were scored."""
    return tag_library(
        library.folder, read_vocabulary("case-study"), lambda model: library.encoder, options=TagOptions()
    ).scored


def hits_of(folder: LibraryFolder, queries: Sequence[str] = (*QUERIES, *TAG_QUERIES)) -> dict[str, dict[str, float]]:
    """Return {query: {photo's file name: score}}."""
    found = {}
    with open_library(folder.root, load_encoder=lambda model: FakeEncoder()) as library:
        for query in queries:
            hits = library.search(query, k=100)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            found[query] = {Path(hit.path).name: hit.score for hit in hits}
            assert len(found[query]) == len(hits)
    return found


def by_bytes(hits: Mapping[str, float], photos: Path) -> dict[bytes, float]:
    """Return scores by the photos' bytes: of copies, the one that came first is shown."""
    return {(photos / name).read_bytes(): score for name, score in hits.items()}


def captions_by_name(folder: LibraryFolder) -> dict[str, list[tuple[str, float | None, str]]]:
    """Return {photo's file name: its captions}."""
    with session_of(folder) as session:
        names = {photo.id: Path(photo.path).name for photo in all_photos(session)}
        return {names[photo_id]: captions for photo_id, captions in captions_of(session, list(names)).items()}


def exported(folder: LibraryFolder, out: Path) -> list[dict[str, Any]]:
    """Return the rows of an export."""
    with tagging_of(folder) as (session, tagging):
        export_tags(session, tagging, out, "jsonl", columns=["photo_id", "path", "width_px", "tags", "cosines"])
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def rows_by_name(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return exported rows by their photos' file names, without the photos' ids."""
    return {Path(row["path"]).name: {name: value for name, value in row.items() if name != "photo_id"} for row in rows}


def check_rows(found: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]], names: Sequence[str]) -> None:
    """See that rows are the same in some columns, and in their cosines as nearly as these are kept."""
    assert found.keys() == expected.keys()
    for photo, row in expected.items():
        assert [found[photo][name] for name in names] == [row[name] for name in names]
        cosines = {name: value for name, value in row.items() if name.startswith("cos(")}
        assert len(cosines) == 15
        assert {name: found[photo][name] for name in cosines} == pytest.approx(cosines, abs=1e-3)


def merged(library: LibraryFactory) -> None:
    """Merge all segments of a library into one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.merging.FAN_OUT", 2)
        assert merge_due(library.folder) > 0
    assert len(photo_segments(library.folder)) == 1


def test_the_fixture_is_scattered(scattered: LibraryFactory, undivided: LibraryFactory) -> None:
    assert [(file.rows, file.alive) for file in photo_segments(scattered.folder)] == [(4, 2), (4, 4), (2, 2), (2, 2)]
    assert [(file.rows, file.alive) for file in photo_segments(undivided.folder)] == [(10, 10)]


def test_searches_find_the_same(scattered: LibraryFactory, undivided: LibraryFactory) -> None:
    tag(scattered)
    tag(undivided)
    found, expected = hits_of(scattered.folder), hits_of(undivided.folder)
    for query, hits in expected.items():
        assert found[query] == pytest.approx(hits, abs=1e-6), query
    assert len(found["a pool"]) == len(found["a view kind:any"]) == 10


def test_a_photo_that_was_replaced_is_found_as_it_is_now(scattered: LibraryFactory, photos: Path) -> None:
    library = scattered.open()
    (hit,) = library.search(image=photos / "01.jpg", k=1)
    assert (Path(hit.path).name, hit.photo_id) == ("01.jpg", 2)
    assert hit.score == pytest.approx(1, abs=1e-3)
    (photos / "before.jpg").write_bytes(photo_bytes(1))
    assert library.search(image=photos / "before.jpg", k=1)[0].score < 0.99
    near = library.similar(2, k=100)
    assert 2 not in [hit.photo_id for hit in near]
    assert len(near) == 9


def test_a_photo_that_is_back_is_found_again_by_a_row_of_its_own(scattered: LibraryFactory, photos: Path) -> None:
    library = scattered.open()
    assert len(library.search("a pool", k=100)) == 10
    (photos / "00.jpg").write_bytes(photo_bytes(0))
    report = scattered.add(photos)
    assert (report.run.encoded, report.run.reused) == (0, 1)
    assert library.search(image=photos / "00.jpg", k=1)[0].photo_id == 1
    assert len(library.search("a pool", k=100)) == 11
    files = photo_segments(scattered.folder)
    assert [(file.rows, file.alive) for file in files] == [(4, 2), (4, 4), (2, 2), (2, 2), (1, 1)]


def test_tags_and_exports_are_the_same(scattered: LibraryFactory, undivided: LibraryFactory, tmp_path: Path) -> None:
    assert (tag(scattered), tag(undivided)) == (10, 10)
    rows = exported(scattered.folder, tmp_path / "scattered.jsonl")
    assert [row["photo_id"] for row in rows] == [2, *range(3, 12)]
    expected = rows_by_name(exported(undivided.folder, tmp_path / "undivided.jsonl"))
    check_rows(rows_by_name(rows), expected, ["path", "width_px", "tags"])


def test_captions_are_chosen_the_same(scattered: LibraryFactory, undivided: LibraryFactory) -> None:
    for library in (scattered, undivided):
        report = choose_captions(
            library.folder, LINES, source="captions.txt", k=3, load_encoder=lambda model: FakeEncoder()
        )
        assert (report.captioned, report.failed) == (10, 0)
    found, expected = captions_by_name(scattered.folder), captions_by_name(undivided.folder)
    assert found.keys() == expected.keys()
    for name, captions in expected.items():
        assert [text for text, _, _ in found[name]] == [text for text, _, _ in captions]
        assert [score for _, score, _ in found[name]] == pytest.approx([score for _, score, _ in captions], abs=1e-6)


def test_after_a_merge_nothing_is_scored_again_and_an_export_is_the_same_to_the_last_byte(
    scattered: LibraryFactory, tmp_path: Path
) -> None:
    tag(scattered)
    opened = scattered.open()
    before = exported(scattered.folder, tmp_path / "before.jsonl")
    hits, vectors = hits_of(scattered.folder), found_vectors(scattered.folder)
    found = [hit.photo_id for hit in opened.search("a pool", k=100)]
    merged(scattered)
    assert exported(scattered.folder, tmp_path / "after.jsonl") == before
    assert (tmp_path / "after.jsonl").read_bytes() == (tmp_path / "before.jsonl").read_bytes()
    after = found_vectors(scattered.folder)
    assert {photo_id: vector.tolist() for photo_id, vector in after.items()} == {
        photo_id: vector.tolist() for photo_id, vector in vectors.items()
    }
    for query, scores in hits_of(scattered.folder).items():
        assert scores == pytest.approx(hits[query], abs=1e-6), query
    assert [hit.photo_id for hit in opened.search("a pool", k=100)] == found
    assert tag(scattered) == 0
    assert disagreements(scattered.folder) == []


def test_while_scores_of_one_segment_are_absent_its_photos_meet_no_tag_filter_and_nothing_is_exported(
    scattered: LibraryFactory, tmp_path: Path
) -> None:
    tag(scattered)
    before, rows = hits_of(scattered.folder), exported(scattered.folder, tmp_path / "before.jsonl")
    second = photo_segments(scattered.folder)[1]
    (file,) = scattered.folder.root.glob(f"tags/*/*/{second.name}-*.npy")
    file.write_bytes(file.read_bytes()[:-1])
    unseen = {"04.jpg", "05.jpg", "06.jpg", "07.jpg"}
    found = hits_of(scattered.folder)
    for query in QUERIES:
        assert found[query] == before[query]
    for query in TAG_QUERIES:
        assert found[query].keys() == before[query].keys() - unseen
    assert any(before[query].keys() & unseen for query in TAG_QUERIES)
    with pytest.raises(QueryError, match="4 photos came after the last tagging: run `aliens tag` first"):
        exported(scattered.folder, tmp_path / "after.jsonl")
    assert not (tmp_path / "after.jsonl").exists()
    assert tag(scattered) == 4
    assert hits_of(scattered.folder) == before
    assert exported(scattered.folder, tmp_path / "after.jsonl") == rows


@pytest.mark.parametrize("sort", [{}, {"diverse": 0.4}, {"per_chain": 20}], ids=["by score", "diverse", "limited"])
def test_pages_go_on_though_segments_are_merged_between_them(scattered: LibraryFactory, sort: dict[str, Any]) -> None:
    opened = scattered.open()
    whole = [hit.photo_id for hit in opened.search("a pool", k=100, **sort)]
    first = opened.search("a pool", k=4, **sort)
    merged(scattered)
    rest = opened.search("a pool", k=100, after=first.cursor, **sort)
    assert [hit.photo_id for hit in (*first, *rest)] == whole


def test_after_a_merge_captions_that_were_chosen_are_known(scattered: LibraryFactory) -> None:
    options: dict[str, Any] = {"source": "captions.txt", "load_encoder": lambda model: FakeEncoder()}
    choose_captions(scattered.folder, LINES, **options)
    before = captions_by_name(scattered.folder)
    merged(scattered)
    report = choose_captions(scattered.folder, LINES, **options)
    assert (report.captioned, report.known) == (0, 10)
    assert captions_by_name(scattered.folder) == before


Step = tuple[str, int, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 5), st.integers(0, 7)),  # the same bytes may lie at two places
        st.tuples(st.just("remove"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("tag"), st.just(0), st.just(0)),
    ),
    min_size=3,
    max_size=12,
)


def take(step: Step, library: LibraryFactory, photos: Path) -> None:
    """Change a photo's file and add the folder, or tag the library."""
    what, number, seed = step
    if what == "tag":
        if found_vectors(library.folder):
            tag(library)
        return
    path = photos / f"{number}.jpg"
    if what == "write":
        path.write_bytes(photo_bytes(seed))
    else:
        path.unlink(missing_ok=True)
    library.add(photos, allow_empty=True)


def check_scores(library: LibraryFactory) -> None:
    """See that every photo's scores are those of its vector, or absent; only new photos have none."""
    encoder, vectors = library.encoder, found_vectors(library.folder)
    texts, background = text_vectors(encoder, read_vocabulary("case-study"))
    with tagging_of(library.folder) as (_, tagging):
        ids, scores = [], []
        for columns, part in tagging.scores():
            ids += columns["photo_id"].to_pylist()
            scores += list(part)
        assert ids == sorted(vectors)
        without = [bool(np.isnan(row).all()) for row in scores]
        assert sum(without) == tagging.unscored
    for photo_id, row, absent in zip(ids, scores, without, strict=True):
        if not absent:
            (expected,) = score_vectors(
                vectors[photo_id][np.newaxis], texts=texts, background=background, scale=encoder.logit_scale
            )
            assert row == pytest.approx(expected, abs=1e-3)


@settings(max_examples=5)
@given(steps=STEPS, fan_out=st.sampled_from([2, 3, 10]))
def test_whatever_has_become_of_the_photos_answers_are_those_of_a_library_of_them(
    template: LibraryFactory, steps: list[Step], fan_out: int
) -> None:
    with TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.merging.FAN_OUT", fan_out)
        photos = Path(root) / "photos"
        library, fresh = (LibraryFactory(Path(root) / name, template.folder.root) for name in ("a", "b"))
        photos.mkdir()
        (photos / "always.jpg").write_bytes(photo_bytes(50))
        for step in [("write", 0, 0), ("tag", 0, 0), *steps]:
            take(step, library, photos)
        check_scores(library)
        fresh.add(photos)
        tag(library)
        tag(fresh)
        assert disagreements(library.folder) == []
        found, expected = hits_of(library.folder, QUERIES), hits_of(fresh.folder, QUERIES)
        for query, hits in expected.items():
            assert by_bytes(found[query], photos) == pytest.approx(by_bytes(hits, photos), abs=1e-6), query
        rows = [
            rows_by_name(exported(each.folder, each.folder.root.with_suffix(".jsonl"))) for each in (library, fresh)
        ]
        check_rows(*rows, ["path", "width_px"])
