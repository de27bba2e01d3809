"""Restyled photos are found by those who ask for their kind; whoever does not gets the answers of before."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text as sql

from aliens.library import Library
from base.errors import QueryError
from base.settings import LibraryFolder
from embedding.encoder import Encoder
from embedding.index.building import IndexChoice
from search.export.exporter import export_tags
from search.tags.calibration import TagOptions
from search.tags.summary import summarise
from tests.by_folder import (
    choose_captions,
    find_captions,
    found_vectors,
    label_photo,
    list_sets,
    merge_due,
    open_library,
    reindex,
    tag_library,
    tagging_of,
    take_inventory,
)
from tests.by_folder import disagreements as verify
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.restyled import keep_results

QUERIES = (
    "a bathtub",
    "a pool -a garden",
    "a bathroom tag:bathtub",
    "a bathroom -tag:bathtub>0.5",
    "a room chain:none",
    "a room size:>=350x233",
    "a room path:traffickcam after:2016",
    "a room kind:photo",
    "a room -kind:restyled",
    "like:7",
)


@pytest.fixture(scope="module")
def samples_copy(sample_library: Library, starter: Encoder, tmp_path_factory: pytest.TempPathFactory) -> LibraryFolder:
    """The sample hotels with an approximate index, tagged and captioned, and a label; to be copied."""
    folder = LibraryFolder(tmp_path_factory.mktemp("kinds") / "library")
    shutil.copytree(sample_library.folder.root, folder.root)
    reindex(folder, lambda model: starter, lambda now: IndexChoice(kind="ivf", least_recall=0.5))
    tag_library(folder, None, lambda model: starter, options=TagOptions())
    choose_captions(
        folder, ["a hotel room", "a pool", "a bathtub"], source="captions.txt", load_encoder=lambda model: starter
    )
    label_photo(folder, 5, "a bathtub", True, None)
    return folder


def everything(folder: LibraryFolder, encoder: Encoder, out: Path) -> dict[str, Any]:
    """Return all that a library answers when it is not asked for results."""
    answers: dict[str, Any] = {}
    with open_library(folder.root, load_encoder=lambda model: encoder) as library:
        for query in QUERIES:
            for name, shape in (("", {}), ("exact", {"exact": True}), ("limited", {"per_hotel": 1})):
                results = library.search(query, k=30, **shape)  # type: ignore[arg-type]
                explained = asdict(results.explanation) | {"times_ms": None}
                places = [(hit.photo_id, hit.score, hit.percentile, hit.above_line, hit.kind) for hit in results]
                answers[f"{query} {name}"] = (places, results.stop_line, results.more, explained)
            answers[f"{query} all"] = [(hit.photo_id, hit.score) for hit in library.stream(query)]
        answers["similar"] = [(hit.photo_id, hit.score) for hit in library.similar(3, k=50)]
    with tagging_of(folder) as (session, tagging):
        answers["tags"] = summarise(tagging).to_dicts()
        out.unlink(missing_ok=True)
        answers["export"] = export_tags(session, tagging, out, "csv").sha256
    answers["captions"] = [asdict(one) for one in (*find_captions(folder, ["pool"], 500), *list_sets(folder))]
    report = tag_library(folder, None, refuse, options=TagOptions())
    answers["tagged again"] = asdict(report)
    inventory = asdict(take_inventory(folder))
    told = ("photos", "failures", "hotels", "index", "index_bytes", "vocabularies", "labels", "captions", "tags_bytes")
    answers["info"] = {name: inventory[name] for name in told}
    answers["verify"] = verify(folder)
    return answers


def refuse(*told: object) -> Encoder:
    raise AssertionError("a photo was left to tag")


def test_after_results_were_added_every_answer_is_what_it_was(
    samples_copy: LibraryFolder, starter: Encoder, tmp_path: Path
) -> None:
    folder = LibraryFolder(tmp_path / "library")
    shutil.copytree(samples_copy.root, folder.root)
    before = everything(folder, starter, tmp_path / "tags.csv")
    assert before["verify"] == []
    assert any(answer[3]["engine"] == "ivf" for answer in before.values() if isinstance(answer, tuple))
    keep_results(folder, [3, 7, 77, 240], starter)
    after = everything(folder, starter, tmp_path / "tags.csv")
    for name, answer in before.items():
        assert after[name] == answer, name


def test_a_result_finds_its_photo_first_and_its_photo_finds_it(
    samples_copy: LibraryFolder, starter: Encoder, tmp_path: Path
) -> None:
    folder = LibraryFolder(tmp_path / "library")
    shutil.copytree(samples_copy.root, folder.root)
    kept = keep_results(folder, [3, 77], starter)
    with open_library(folder.root, load_encoder=lambda model: starter) as library:
        for result in kept:
            assert result.photo_id is not None
            original = result.lineage.source_photo_id
            assert library.similar(result.photo_id, k=3)[0].photo_id == original
            assert {hit.kind for hit in library.similar(result.photo_id, k=300)} == {"photo"}
            assert library.search(f"like:{original} kind:restyled")[0].photo_id == result.photo_id
            assert library.search(f"like:{original} kind:any")[0].photo_id == result.photo_id
            others = library.similar(result.photo_id, k=300, other_hotels=True)
            assert original not in [hit.photo_id for hit in others]
        found = library.search("a room kind:any", k=500)
        assert found.explanation.photos == len(found) == 242
        assert found.explanation.engine == library.search("a room", k=500).explanation.engine


# Against the same answers by NumPy


@pytest.fixture(scope="module")
def mixed_template(template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty photos in two segments, six hotels, and eleven results in two more: to be copied, with their photos."""
    tmp_path = tmp_path_factory.mktemp("mixed")
    library = LibraryFactory(tmp_path / "library", template.folder.root)
    for part, numbers in (("a", range(30)), ("b", range(30, 60))):
        (tmp_path / part).mkdir()
        for number in numbers:
            (tmp_path / part / f"{number:02d}.jpg").write_bytes(photo_bytes(number, (96 + number, 64)))
        library.add(tmp_path / part)
        opened = library.open()
        with opened.catalog.session() as session:
            for hotel in range(6) if part == "a" else ():
                session.execute(sql("INSERT INTO hotel VALUES (:id, 'Hotel ' || :id, NULL, 0, 0)"), {"id": hotel + 1})
            session.execute(sql("UPDATE photo SET hotel_id = 1 + id % 6"))
            session.commit()
        keep_results(library.folder, range(5, 11) if part == "a" else range(41, 46), library.encoder)
    library.close()
    return library.folder.root


@pytest.fixture
def mixed(library: LibraryFactory, mixed_template: Path) -> Library:
    """A copy of that library; the photos are shared."""
    shutil.rmtree(library.folder.root)
    shutil.copytree(mixed_template, library.folder.root)
    return library.open()


def compared(library: Library, query: str, keep: Callable[[Any], bool]) -> list[tuple[int, float]]:
    """Return (photo id, score) of the pictures that are to be kept, best first, compared one by one."""
    words = library.encoder.encode_prompts(query, ("{}",))
    with library.catalog.session() as session:
        rows = {row.id: row for row in session.execute(sql("SELECT * FROM photo"))}
    vectors = found_vectors(library.folder) | found_vectors(library.folder, restyled=True)
    scores = {photo_id: float(vector.astype(np.float32) @ words) for photo_id, vector in vectors.items()}
    chosen = [(photo_id, score) for photo_id, score in scores.items() if keep(rows[photo_id])]
    return sorted(chosen, key=lambda pair: (-pair[1], pair[0]))


RULES: dict[str, Callable[[Any], bool]] = {
    "": lambda r: r.state == "embedded",
    "kind:photo": lambda r: r.state == "embedded",
    "kind:restyled": lambda r: r.state == "restyled",
    "-kind:photo": lambda r: r.state == "restyled",
    "-kind:restyled": lambda r: r.state == "embedded",
    "kind:any": lambda r: True,
    "kind:photo kind:restyled": lambda r: True,
    "kind:any -kind:photo": lambda r: r.state == "restyled",
    "kind:photo -kind:photo": lambda r: False,
    "-kind:photo -kind:restyled": lambda r: False,
    "kind:RESTYLED hotel:3": lambda r: r.state == "restyled" and r.hotel_id == 3,
    "kind:any -hotel:3": lambda r: r.hotel_id != 3,
    "kind:restyled path:restyled": lambda r: r.state == "restyled",
    "kind:restyled path:0.jpg": lambda r: False,
    "kind:any size:>=110x1": lambda r: r.width_px >= 110,
    "kind:any near:0,0,1km orientation:landscape": lambda r: True,
    "path:restyled": lambda r: False,
}


@pytest.mark.parametrize("query", RULES)
def test_pictures_of_the_kinds_that_were_asked_for_come_in_the_order_of_their_scores(
    mixed: Library, query: str
) -> None:
    found = mixed.search(f"a room {query}", k=1000)
    wanted = compared(mixed, "a room", RULES[query])
    assert [hit.photo_id for hit in found] == [photo_id for photo_id, _ in wanted]
    assert [hit.score for hit in found] == pytest.approx([score for _, score in wanted], abs=1e-6)
    assert [hit.kind for hit in found] == ["photo" if "restyled" not in hit.path else "restyled" for hit in found]
    page = mixed.search(f"a room {query}", k=7)
    paged = [hit.photo_id for hit in page]
    while page.cursor is not None:
        page = mixed.search(f"a room {query}", k=7, after=page.cursor)
        paged += [hit.photo_id for hit in page]
    assert paged == [photo_id for photo_id, _ in wanted]
    streamed = mixed.stream(f"a room {query}", min_score=-1)
    assert [hit.photo_id for hit in streamed] == paged
    order, alone = mixed.order(f"a room {query}"), mixed.order(query)
    assert order.photo_ids.tolist() == paged
    assert order.total == alone.total == len(paged)
    assert sorted(alone.photo_ids.tolist()) == sorted(paged)
    assert [hit.kind for hit in mixed.hits_at(order, 0, 100)] == [hit.kind for hit in found]
    sizes = [value.count for facet in mixed.facets(alone) if facet.name == "size" for value in facet.values]
    assert sum(sizes) == len(paged)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_results_are_compared_beside_the_candidates_of_an_approximate_index(
    mixed: Library, library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    """Also while some photos lie beside it, results are made anew, and their segments are merged."""
    reindex(library.folder, lambda model: library.encoder, lambda now: IndexChoice(kind=kind, least_recall=1.0))

    def check(beside: int) -> None:
        for query in ("kind:any", "kind:photo kind:restyled", "kind:any -path:00.jpg"):
            found = mixed.search(f"a room {query}", k=100)
            wanted = compared(mixed, "a room", RULES.get(query, lambda r: not r.path.endswith("00.jpg")))
            assert [hit.photo_id for hit in found] == [photo_id for photo_id, _ in wanted]
            assert [hit.score for hit in found] == pytest.approx([score for _, score in wanted], abs=1e-6)
            assert found.explanation.engine == kind
            assert found.explanation.reason.endswith(f"and {beside} photos beside them")

    check(11)
    (tmp_path / "c").mkdir()
    fill_folder(tmp_path / "c", (60, 61))
    library.add(tmp_path / "c")
    check(13)
    keep_results(library.folder, [5, 6])  # they lose their vectors
    check(11)
    keep_results(library.folder, [7], library.encoder)
    check(11)
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
    assert merge_due(library.folder) > 0
    check(11)
    results = mixed.search("a room kind:restyled", k=100)
    assert (len(results), results.explanation.engine) == (9, "exact")


def test_a_page_behind_a_result_goes_on_though_results_come_meanwhile(mixed: Library, library: LibraryFactory) -> None:
    whole = [hit.photo_id for hit in mixed.search("a room kind:any", k=1000)]
    first = mixed.search("a room kind:any", k=20)
    keep_results(library.folder, [20, 21], library.encoder)
    rest = mixed.search("a room kind:any", k=1000, after=first.cursor)
    assert [hit.photo_id for hit in (*first, *rest)] == whole
    assert len(mixed.search("a room kind:any", k=1000)) == len(whole) + 2
    with pytest.raises(QueryError, match="another"):
        mixed.search("a room", after=first.cursor)


@pytest.mark.parametrize(("shape", "count"), [({"per_hotel": 1}, 6), ({"diverse": 0.5}, 71), ({"sort": "hotel"}, 71)])
def test_lists_of_both_kinds_can_be_shaped(mixed: Library, shape: dict[str, Any], count: int) -> None:
    found = mixed.search("a room kind:any", k=71, **shape)
    assert {hit.kind for hit in found} == {"photo", "restyled"} or count == 6
    assert len({hit.photo_id for hit in found}) == len(found) == count


def test_percentiles_and_the_stop_line_are_told_by_the_photos_alone(mixed: Library) -> None:
    photos = mixed.search("a room", k=1000)
    results = mixed.search("a room kind:restyled", k=1000)
    assert results.stop_line == photos.stop_line is not None
    for hit in results:
        lower = sum(photo.score < hit.score for photo in photos) / len(photos) * 100
        assert hit.percentile == pytest.approx(lower, abs=1)
        assert hit.above_line == (hit.score >= results.stop_line)


def test_results_have_no_tags_and_a_note_says_so(mixed: Library, library: LibraryFactory) -> None:
    tag_library(library.folder, None, lambda model: library.encoder, options=TagOptions(method="calibrated"))
    note = "11 restyled photos have no tags and meet no tag filter: search for what they show"
    photos = mixed.search("a room tag:bathtub", k=1000)
    assert photos.explanation.note == ""
    assert photos
    for query in ("tag:bathtub", "-tag:bathtub", "tag:bathtub>0.2"):
        alone = mixed.search(f"a room kind:restyled {query}")
        assert (list(alone), alone.explanation.note) == ([], note)
        both, without = (mixed.search(f"a room {query} {kind}", k=1000) for kind in ("kind:any", ""))
        assert [hit.photo_id for hit in both] == [hit.photo_id for hit in without]
        assert both.explanation.note == note
    one = mixed.search("a room kind:any tag:bathtub hotel:3")
    assert one.explanation.note == "2 restyled photos have no tags and meet no tag filter: search for what they show"
    with pytest.raises(QueryError, match="no tag 'unicorn'"):
        mixed.search("a room kind:restyled tag:unicorn")
    result = mixed.search("a room kind:restyled")[0].photo_id
    for asked in (lambda: mixed.tags_of(result), lambda: mixed.label(result, "a bathtub")):
        with pytest.raises(QueryError, match=f"photo {result} is a restyled one"):
            asked()


def test_without_results_their_kind_is_refused_with_the_remedy(library: LibraryFactory, opened: Library) -> None:
    keep_results(library.folder, [1])  # not added
    with pytest.raises(QueryError, match=r"no restyled photo is in .*: `aliens restyle list --add` adds them"):
        opened.search("a room kind:restyled")
    assert len(opened.search("a room kind:any", k=100)) == 10


def test_a_hit_says_its_kind_in_json(mixed: Library) -> None:
    assert mixed.search("a room kind:restyled")[0].as_json()["kind"] == "restyled"
    assert mixed.search("a room")[0].as_json()["kind"] == "photo"
