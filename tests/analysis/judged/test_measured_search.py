"""Searches measured: ranked as searches rank, in settings side by side, on what several libraries have in common."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import aliens
from aliens.library import Library
from analysis.judged.common_photos import ABSENT, CommonPhotos
from analysis.judged.measured_search import looked_through, measure_search
from analysis.judged.query_files import JudgedQueries, JudgedQuery
from analysis.judged.search_evaluation import cautions_on
from analysis.judged.search_settings import SearchSetting, ranked_photos, settings_beside
from base.arrays import Floats, Ids
from base.errors import QueryError
from base.progress import Step
from search.answers import Searcher
from tests.analysis.judged.conftest import written
from tests.conftest import FakeEncoder, LibraryFactory, photo_bytes


def setting_of(library: Library) -> SearchSetting:
    return SearchSetting(name="base", searcher=library.searcher)


def found(library: Library, text: str, k: int = 10) -> list[int]:
    return [hit.photo_id for hit in library.search(text, k=k, copies=True)]


class Forgetful:
    """An approximate index that names all photos but one, of at most three."""

    kind, recall, most_hits, least_share = "forgetful", 0.9, 3, 0.0

    def __init__(self, library: Library, forgotten: int) -> None:
        with library.catalog.session() as session:
            index = library.index(session)
            self.covers = index.base.names
            self.ids = index.ids[index.ids != forgotten]

    def candidates(self, queries: Floats, k: int, among: Ids | None, share: float) -> list[Ids]:
        return [self.ids for _ in queries]

    def answers(self, among: Ids, photos: int) -> bool:
        return True


def forgetful(library: Library, forgotten: int) -> SearchSetting:
    engine = Forgetful(library, forgotten)
    index = lambda session: library.index(session).with_engine(engine)  # type: ignore[arg-type] # noqa: E731
    return SearchSetting(name="base", searcher=Searcher(library.catalog, library.store, index, lambda: library.encoder))


def test_photos_are_ranked_as_searches_rank_them(ten: Library) -> None:
    texts = ["a pool", "a pool -bed", "bed like:3", "a sofa path:/03.jpg", "a pool"]
    steps: list[Step] = []
    ranked = ranked_photos(setting_of(ten), [JudgedQuery(text, {}) for text in texts], progress=steps.append)
    assert [ids.tolist() for ids in ranked] == [found(ten, text) for text in texts]
    assert 3 not in ranked[2]
    assert ranked[3].tolist() == [4]
    assert (steps[-1].done, steps[-1].total, steps[-1].unit) == (5, 5, "queries")


def test_only_photos_that_are_judged_are_ranked_and_at_most_so_many(ten: Library) -> None:
    query = JudgedQuery("a pool", {2: 1}, np.array([2, 4, 9]))
    (ids,) = ranked_photos(setting_of(ten), [query])
    assert ids.tolist() == [photo for photo in found(ten, "a pool") if photo in (2, 4, 9)]
    (ids,) = ranked_photos(setting_of(ten), [query], depth=2)
    assert len(ids) == 2


def test_queries_of_a_library_are_measured_by_hand(ten: Library, tmp_path: Path) -> None:
    first, second, *_, last = found(ten, "a pool")
    bed = found(ten, "a bed")
    rows = [("a pool", first, 3), ("a pool", last, 1), ("a pool", second, 0), ("a bed", bed[4], 1)]
    path = written(tmp_path, "query,photo_id,relevance\n" + "".join(f"{q},{p},{g}\n" for q, p, g in rows))
    result = ten.evaluate_search(path)
    by_query = {row["query"]: row for row in result.by_query}
    assert (by_query["a pool"]["AP"], by_query["a bed"]["AP"]) == (pytest.approx((1 + 2 / 10) / 2), 0.2)
    assert by_query["a pool"]["nDCG@10"] == pytest.approx((3 + 1 / np.log2(11)) / (3 + 1 / np.log2(3)))
    means = {mean.measure: mean.mean for mean in result}
    assert means["mAP"] == pytest.approx((0.6 + 0.2) / 2)
    assert means["MRR"] == pytest.approx((1 + 0.2) / 2)
    assert (means["precision@1"], means["recall@5"], means["recall@10"]) == (0.5, 0.75, 1)
    assert (by_query["a bed"]["where"], by_query["a bed"]["relevant"]) == ("queries.csv:5", 1)
    assert (result.photos, result.settings) == (10, ["fake"])
    deeper = ten.evaluate_search(path, k=[1, 20])
    assert "precision@20 of only 10 photos: places without one count as wrong" in deeper.notes
    assert result.notes == [
        "a query is answered by 1 photo (median; 1 to 2)",
        "2 queries are few: intervals are rough",
    ]
    assert len(result.to_pandas()) == 9
    assert "mAP" in repr(result)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("a room image:absent.jpg", r"queries.csv:3: 'a room image:absent.jpg': the query photo .* cannot be read"),
        ("a room like:77", r"queries.csv:3: 'a room like:77': no photo 77 with a vector"),
        ("a room hotel:Ritz", r"queries.csv:3: 'a room hotel:Ritz': "),
    ],
)
def test_what_a_query_lacks_here_is_said_with_its_row(ten: Library, tmp_path: Path, query: str, message: str) -> None:
    path = written(tmp_path, f"query,photo_id\na room,1\n{query},2\n")
    with pytest.raises(QueryError, match=message):
        ten.evaluate_search(path)


def test_prompts_are_compared_with_the_text_as_it_stands(ten: Library, tmp_path: Path) -> None:
    prompted = [hit.photo_id for hit in ten.search("a pool", k=10, copies=True, templates=["a photo of {}"])]
    path = written(tmp_path, f"query,photo_id\na pool,{prompted[0]}\n")
    result = ten.evaluate_search(path, templates=["a photo of {}"], k=[1])
    rank = found(ten, "a pool").index(prompted[0]) + 1
    plain, other = (mean for mean in result if mean.measure == "MRR")
    assert (plain.setting, other.setting) == ("fake", "'a photo of {}'")
    assert (plain.mean, other.mean) == (pytest.approx(1 / rank), 1)
    assert other.difference == pytest.approx(1 - 1 / rank)
    assert (other.p, other.p_corrected, other.verdict) == (1, 1, "")
    assert np.isnan([plain.difference, plain.p, plain.low, other.difference_low]).all()
    assert "1 query is too few to tell any of 5 differences from chance: it takes 8" in result.notes
    for wrong in ("a photo", "{} {}"):
        with pytest.raises(QueryError, match="for the text, or several"):
            ten.evaluate_search(path, templates=[wrong])


def test_so_many_differences_that_no_number_of_queries_tells_them_are_told_so() -> None:
    told = "251 differences are too many to tell any from chance: compare fewer settings, at fewer k"
    assert cautions_on(20, 251) == [told]  # the least p is 2 in 10,000
    assert cautions_on(20, 249) == []
    assert cautions_on(1_001, 251) == []  # of so many queries a t test has smaller ones


def test_a_clear_difference_has_a_verdict(ten: Library) -> None:
    queries = [JudgedQuery(f"thing {n}", {found(ten, f"thing {n}", 1)[0]: 1}) for n in range(10)]
    settings = [setting_of(ten), *settings_beside(setting_of(ten), templates=["not {}"])]
    result = measure_search(settings, JudgedQueries(queries), cutoffs=[1])
    first, other = (mean for mean in result if mean.measure == "recall@1")
    assert first.mean == 1
    assert other.mean < 0.5
    assert other.verdict == "worse"
    assert other.p < other.p_corrected < 0.05
    assert other.difference_low <= other.difference <= other.difference_high < 0


def test_an_approximate_index_is_compared_with_the_exact_scan_as_far_as_it_goes(ten: Library) -> None:
    best = found(ten, "a pool")
    first = forgetful(ten, best[0])
    settings = [first, *settings_beside(first, exact=True)]
    assert looked_through(settings) == 3
    result = measure_search(settings, JudgedQueries([JudgedQuery("a pool", {best[0]: 1})]), cutoffs=[1, 3])
    assert [mean.mean for mean in result if mean.measure == "recall@3"] == [0, 1]
    assert [mean.setting for mean in result if mean.measure == "mAP"] == ["base", "exact"]
    assert "the approximate index names 3 photos, so no setting is measured beyond them" in result.notes
    with pytest.raises(QueryError, match="k is 10, but the approximate index gives at most 3 photos"):
        measure_search(settings, JudgedQueries([JudgedQuery("a pool", {best[0]: 1})]), cutoffs=[10])
    with pytest.raises(QueryError, match=r"every photo is compared anyway, .*`aliens index`, or leave --exact out"):
        settings_beside(setting_of(ten), exact=True)


class OtherEncoder(FakeEncoder):
    """A model that puts texts elsewhere, and photos where the fake one has them."""

    name = "other"

    def __init__(self) -> None:
        super().__init__("other-00000000")

    def encode_prompts(self, text: str, templates: object) -> np.ndarray:
        return super().encode_prompts(f"other {text}", templates)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.encode_prompts(text, ("{}",)) for text in texts])


@pytest.fixture
def another(photos: Path, tmp_path: Path) -> Path:
    """A library of another model: without 00.jpg, in another order, with a copy of 01.jpg and a new photo."""
    shutil.copy(photos / "01.jpg", tmp_path / "a copy.jpg")
    (tmp_path / "new.jpg").write_bytes(photo_bytes(77))
    with aliens.create(tmp_path / "another", encoder=OtherEncoder()) as library:
        library.add(tmp_path / "a copy.jpg", tmp_path / "new.jpg")
        library.add(*(photos / f"{n:02d}.jpg" for n in range(9, 0, -1)))
    return tmp_path / "another"


def test_libraries_are_compared_on_the_photos_that_they_share(
    opened: Library, photos: Path, another: Path, tmp_path: Path
) -> None:
    with aliens.open(another, encoder=OtherEncoder()) as second:
        other = [Path(hit.path).name for hit in second.search("a pool", k=20)]
        names = [name for name in other if name not in ("new.jpg",)]
        names = ["01.jpg" if name == "a copy.jpg" else name for name in names]  # the same bytes are one photo
        mine = [Path(hit.path).name for hit in opened.search("a pool", k=20) if Path(hit.path).name != "00.jpg"]
        assert sorted(names) == sorted(mine) == [f"{n:02d}.jpg" for n in range(1, 10)]
        rows = f"a pool,{photos}/{names[2]}\na pool,{photos}/00.jpg\nonly there,{photos}/00.jpg\n"
        path = written(tmp_path, f"query,path\n{rows}")
        result = opened.evaluate_search(path, compare=[second])
        ranks = [1 / mean.mean for mean in result if mean.measure == "MRR"]
        assert ranks == [pytest.approx(mine.index(names[2]) + 1), pytest.approx(3)]
        assert result.settings == ["fake", "other"]
        assert (result.photos, result[0].queries) == (9, 1)
        assert "compared on the 9 photos that all libraries have, copies counted as one" in result.notes
        assert "left out 1 of 2 queries, which only other photos answer" in result.notes
        path = written(tmp_path, f"query,path\nlike:3,{photos}/02.jpg\n")
        with pytest.raises(QueryError, match=r"queries.csv:2: the query 'like:3' names a photo by its number"):
            opened.evaluate_search(path, compare=[second])
        path = written(tmp_path, f"query,path\na pool,{photos}/00.jpg\n")
        with pytest.raises(QueryError, match="none of the 9 photos that the libraries have in common answers a query"):
            opened.evaluate_search(path, compare=[second])
        with pytest.raises(QueryError, match="would be compared with itself"):
            opened.evaluate_search(path, compare=[opened])


@pytest.fixture
def one_query(tmp_path: Path) -> Path:
    return written(tmp_path, "query,photo_id\na pool,1\n")


def test_libraries_without_a_photo_in_common_are_not_compared(
    ten: Library, library: LibraryFactory, one_query: Path
) -> None:
    with pytest.raises(QueryError, match="have no photo in common: add the same photos to each"):
        ten.evaluate_search(one_query, compare=[library.open()])


def test_copies_count_under_the_lowest_number_and_with_the_best_grade() -> None:
    a, b, c, d = (np.uint64(n) for n in (10, 20, 30, 40))
    first = (np.array([1, 2, 3, 5, 8]), np.array([a, b, a, c, d]))
    second = (np.array([4, 6, 7]), np.array([d, a, c]))
    common = CommonPhotos.of([first, second])
    assert common.counted_as(np.array([1, 2, 3, 5, 8, 9])).tolist() == [1, ABSENT, 1, 5, 8, ABSENT]
    mine, theirs = common.translations
    assert (mine.here.tolist(), theirs.here.tolist(), theirs.first.tolist()) == ([1, 5, 8], [4, 6, 7], [8, 1, 5])
    assert theirs.to_first(np.array([7, 4])).tolist() == [5, 8]
    assert theirs.from_first(np.array([5, 8])).tolist() == [4, 7]
    assert theirs.in_turn(np.array([5, 8, 1])).tolist() == [7, 4, 6]
    query = JudgedQuery("a pool", {3: 1, 1: 2, 2: 3, 8: 0}, np.array([1, 2, 3, 8]))
    (left,) = common.restricted([query, JudgedQuery("a bed", {2: 1})])
    assert (left.grades, left.judged is not None and left.judged.tolist()) == ({1: 2, 8: 0}, [1, 8])
    nothing = CommonPhotos.of([first, (np.array([1]), np.array([np.uint64(99)]))])
    assert len(nothing) == 0
    assert nothing.counted_as(np.array([1])).tolist() == [ABSENT]


def test_a_precision_that_is_none_is_refused(ten: Library, one_query: Path) -> None:
    with pytest.raises(QueryError, match="precision is 'int8': choose float32 or bfloat16"):
        ten.evaluate_search(one_query, precisions=["int8"])


def test_an_empty_library_says_what_to_do(library: LibraryFactory, one_query: Path) -> None:
    with pytest.raises(QueryError, match="left out 1 photo that the library does not know"):
        library.open().evaluate_search(one_query)
