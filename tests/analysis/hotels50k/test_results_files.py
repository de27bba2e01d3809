from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from analysis.hotels50k.found_labels import Retrieved
from analysis.hotels50k.protocol import score_results
from analysis.hotels50k.results_files import read_results, write_probabilities, write_results
from base.errors import OutputError, QueryError
from tests.tiny_hotels50k import RESULTS, TEST, TRAIN, results_text, write_lists

ResultsFile = Callable[..., Path]
HEAD = "test_image_id,result1_image_id,result2_image_id,result3_image_id,result4_image_id,result5_image_id\n"


def said(path: Path) -> dict[int, list[int]]:
    found = read_results(path)
    assert found.problems == []
    return dict(zip(found.retrieved.test_ids.tolist(), found.retrieved.results.tolist(), strict=True))


@pytest.mark.parametrize(
    "content",
    [
        results_text(),
        HEAD + results_text(),
        "\ufeff" + HEAD + results_text(),
        "\ufeff" + results_text(),
        (HEAD + results_text()).replace("\n", "\r\n"),
        results_text(separator=";"),
        HEAD.replace(",", ";") + results_text(separator=";"),
        "sep=;\n" + results_text(separator=";"),
        results_text(separator="\t"),
        results_text(separator=", "),
        results_text().replace("\n", ",,\n\n"),
        '"' + results_text().replace(",", '","').replace("\n", '"\n"').rstrip('"'),
        ("\ufeff" + HEAD + results_text()).encode("utf-16-le"),
    ],
)
def test_results_are_read_however_a_spreadsheet_wrote_them(results_file: ResultsFile, content: str | bytes) -> None:
    assert said(results_file(content)) == RESULTS


def test_results_are_read_from_a_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for test_id, results in RESULTS.items():
        book.active.append([test_id, *results])
    book.save(tmp_path / "found.xlsx")
    assert said(tmp_path / "found.xlsx") == RESULTS


def test_rows_with_too_few_results_are_named_with_their_lines(results_file: ResultsFile) -> None:
    found = read_results(results_file(HEAD + results_text() + "205,101,102\n206\n"))
    assert found.retrieved.test_ids.tolist() == list(RESULTS)
    assert [(problem.where, problem.reason) for problem in found.problems] == [
        ("found.csv:6", "has 2 results, not 5"),
        ("found.csv:7", "has 0 results, not 5"),
    ]


def test_of_rows_with_more_results_the_first_ones_count(results_file: ResultsFile) -> None:
    found = read_results(results_file(results_text() + "205,101,102,103,104,105,106\n"))
    assert found.retrieved.results[-1].tolist() == [101, 102, 103, 104, 105]


@pytest.mark.parametrize("cell", ["abc", "1.5", "", "9" * 19, "9" * 30, "١٢", "1_0", "--1", "\x00", "-"])
def test_cells_that_are_no_numbers_are_named(results_file: ResultsFile, cell: str) -> None:
    found = read_results(results_file(results_text() + f"205,101,{cell},102,103,104\n"))
    (problem,) = found.problems
    assert (problem.where, problem.reason) == (
        "found.csv:5",
        f"result 2 is {cell!r}, which is no image id: give whole numbers",
    )
    assert len(found.retrieved.test_ids) == len(RESULTS)


def test_a_test_photo_that_has_a_row_already_is_named(results_file: ResultsFile) -> None:
    found = read_results(results_file(results_text() + "202,101,102,103,104,105\n"))
    assert [(problem.where, problem.reason) for problem in found.problems] == [
        ("found.csv:5", "test photo 202 has a row already, in line 2")
    ]
    assert found.retrieved.results[1].tolist() == RESULTS[202]


@pytest.mark.parametrize("content", ["", "\n\n", HEAD, "abc\n", "201\n202\n", "\ufeff"])
def test_a_file_without_results_is_refused(results_file: ResultsFile, content: str) -> None:
    with pytest.raises(QueryError, match=r"found\.csv holds no results.*a row is test_image_id,result1_image_id"):
        read_results(results_file(content))


def test_a_file_that_is_not_there_or_no_table_is_refused(results_file: ResultsFile, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"nobody\.csv cannot be read: No such file"):
        read_results(tmp_path / "nobody.csv")
    with pytest.raises(QueryError, match="are no table"):
        read_results(results_file(b"PK\x03\x04 half a workbook", "half.xlsx"))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "unoccluded.csv"
    write_results(path, Retrieved(np.array(list(RESULTS)), np.array(list(RESULTS.values()))))
    assert path.read_text(encoding="utf-8") == results_text()
    assert said(path) == RESULTS


def test_probabilities_are_written_likeliest_first(tmp_path: Path) -> None:
    path = tmp_path / "probabilities.csv"
    write_probabilities(path, np.array([201, 202]), np.array([[4, 2, 1, 3, 1], [4, 4, -9, 1, -9]]), unknown=-9)
    assert path.read_text(encoding="utf-8") == "201,1,0.4,2,0.2,3,0.2,4,0.2\n202,4,0.4,1,0.2\n"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match=r"file.* cannot be written: Not a directory|file.* cannot be written"):
        write_probabilities(tmp_path / "file" / "x.csv", np.array([1]), np.array([[1]]), unknown=-9)


def test_results_from_elsewhere_are_scored_by_the_lists_alone(lists: Path, results_file: ResultsFile) -> None:
    report = score_results(lists, results_file())
    (level,) = report.levels
    assert (level.level, level.photos, level.listed, level.k, level.untrained) == ("found", 4, 4, 5, 1)
    assert report.problems == []
    assert report.notes == [
        "found: the hotels of 1 of 4 test photos have no training photo here: none can be right",
        "found: each test photo has 5 results, too few for top-10, top-100",
    ]


def test_a_file_is_of_the_level_that_its_name_says_or_that_is_given(lists: Path, results_file: ResultsFile) -> None:
    path = results_file(name="medium_occlusions.csv")
    assert [level.level for level in score_results(lists, path).levels] == ["medium"]
    assert [level.level for level in score_results(lists, path, occlusion="high").levels] == ["high"]
    with pytest.raises(QueryError, match="'much' is no level of occlusion: choose one of all, unoccluded, low"):
        score_results(lists, path, occlusion="much")


def test_a_folder_of_results_has_a_file_for_each_level(lists: Path, results_file: ResultsFile, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"holds no results: there should be unoccluded\.csv or low_occlusions\.csv"):
        score_results(lists, tmp_path)
    for name in ("high_occlusions.csv", "unoccluded.csv"):
        results_file(name=name)
    assert [level.level for level in score_results(lists, tmp_path).levels] == ["unoccluded", "high"]
    assert [level.level for level in score_results(lists, tmp_path, occlusion="high").levels] == ["high"]


def test_unknown_photos_are_named_and_unknown_results_count_as_wrong(lists: Path, results_file: ResultsFile) -> None:
    rows = {201: [999, 998, 102, 104, 101], 202: RESULTS[202], 777: RESULTS[203]}
    report = score_results(lists, results_file(results_text(rows)))
    assert [(problem.where, problem.reason) for problem in report.problems] == [
        ("found.csv:3", "test_set.csv lists no test photo 777"),
        ("found.csv:1", "train_set.csv does not list 999 and 1 more of its results: they count as wrong"),
    ]
    assert report.levels[0].outcomes.hotel.ranks.tolist() == [3, 5]
    assert "found: scored 2 test photos of the 4 that test_set.csv lists" in report.notes


def test_a_result_that_is_named_several_times_is_told(lists: Path, results_file: ResultsFile) -> None:
    rows = {201: [105, 102, 103, 102, 102], 202: RESULTS[202]}
    report = score_results(lists, results_file(results_text(rows)))
    assert [(problem.where, problem.reason) for problem in report.problems] == [
        ("found.csv:1", "names 102 several times: each counts as a result")
    ]


def test_results_of_another_data_set_are_refused(lists: Path, results_file: ResultsFile) -> None:
    with pytest.raises(QueryError, match=r"no row of a test photo that test_set.csv lists: is it of another data set"):
        score_results(lists, results_file("1,2,3\n4,5,6\n"))


def test_a_test_photo_that_is_a_training_photo_is_left_out(lists: Path, results_file: ResultsFile) -> None:
    write_lists(lists, train=TRAIN | {203: 4}, test=TEST)
    report = score_results(lists, results_file())
    (level,) = report.levels
    assert (level.photos, level.leaks) == (3, [203])
    assert "found: left out 1 test photo that is a training photo as well, a leak: 203" in report.notes


def test_probabilities_are_made_of_results_from_elsewhere(
    lists: Path, results_file: ResultsFile, tmp_path: Path
) -> None:
    report = score_results(lists, results_file(), write=tmp_path / "out")
    (path,) = report.written
    assert path == tmp_path / "out" / "probabilities" / "found.csv"
    assert path.read_text(encoding="utf-8").splitlines()[0] == "201,1,0.4,2,0.2,3,0.2,4,0.2"


def test_every_test_photo_is_a_row_of_a_data_frame(lists: Path, results_file: ResultsFile) -> None:
    report = score_results(lists, results_file())
    photos = report.photos_to_pandas()
    assert photos["image_id"].tolist() == list(RESULTS)
    assert photos["hotel_rank"].tolist() == [3, 5, 2, 0]
    figures = report.to_pandas()
    assert set(figures["measure"]) == {"top-1", "top-3", "top-5", "top-10", "top-100", "log loss"}
