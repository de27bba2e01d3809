from pathlib import Path

import numpy as np
import pytest

from base.errors import OutputError, QueryError
from embedding import lettering
from search.tags.evaluation import compare_methods, evaluate
from search.tags.summary import write_evaluation, write_report
from search.tags.truth import Truth
from search.tags.vocabulary import as_vocabulary
from tests.conftest import LibraryFactory
from tests.search.tags.conftest import OWN, opened, tag

STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
TRUTH = Truth([1, 2, 3, 99], np.array([[1, 0, 0], [0, 0, np.nan], [1, 1, 0], [1, 1, 1]], np.float32))


@pytest.fixture
def own(tagged: LibraryFactory) -> LibraryFactory:
    """A library with a vocabulary of three tags."""
    tag(tagged, OWN)
    return tagged


@pytest.mark.parametrize(("ending", "truth"), [(".png", TRUTH), (".svg", None), (".pdf", TRUTH), (".PNG", None)])
def test_a_report_is_a_picture_by_its_ending(
    own: LibraryFactory, tmp_path: Path, ending: str, truth: Truth | None
) -> None:
    path = tmp_path / "new" / "folder" / f"report{ending}"
    with opened(own.folder) as (_, tagging):
        write_report(tagging, truth, path)
    assert path.read_bytes().startswith(STARTS[ending.lower()])
    assert path.stat().st_size > 2_000
    assert list(path.parent.iterdir()) == [path]


def test_a_report_with_truth_shows_more(own: LibraryFactory, tmp_path: Path) -> None:
    with opened(own.folder) as (_, tagging):
        write_report(tagging, None, tmp_path / "plain.svg")
        write_report(tagging, TRUTH, tmp_path / "truth.svg")
    plain, truth = ((tmp_path / name).read_text(encoding="utf-8") for name in ("plain.svg", "truth.svg"))
    assert "#8a3f6b" in truth
    assert "#8a3f6b" not in plain


def test_an_evaluation_is_a_picture_of_one_or_all_methods(own: LibraryFactory, tmp_path: Path) -> None:
    sizes = []
    with opened(own.folder) as (_, tagging):
        for name, evaluations in (("one", [evaluate(tagging, TRUTH)]), ("all", list(compare_methods(tagging, TRUTH)))):
            path = tmp_path / f"{name}.svg"
            write_evaluation(evaluations, "a title", path)
            assert path.read_bytes().startswith(STARTS[".svg"])
            sizes.append(path.stat().st_size)
    assert sizes[1] > sizes[0] > 2_000


def test_a_tag_may_be_of_any_script_whether_there_is_a_font_for_it_or_not_or_look_like_a_formula(
    own: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["浴缸", "ที่พัก", "🏨", "un café", "ванна", r"a $\frac{ bill$", "$5_", "a_b^c"]
    tag(own, as_vocabulary({"tags": {name: [] for name in names}}, "scripts"))
    for fonts in (lettering.system_fonts(), ()):
        monkeypatch.setattr(lettering, "system_fonts", lambda fonts=fonts: fonts)
        lettering.font_of.cache_clear()
        with opened(own.folder) as (_, tagging):
            truth = Truth([1], np.ones((1, len(names)), np.float32))
            write_report(tagging, truth, tmp_path / "report.png")  # warnings, as of missing glyphs, are errors here
            found = evaluate(tagging, truth)
            write_evaluation([found], "標題 of 🏨", tmp_path / "evaluation.pdf")
    lettering.font_of.cache_clear()


@pytest.mark.parametrize("name", ["report.jpg", "report", "report.toml"])
def test_another_ending_is_refused(own: LibraryFactory, tmp_path: Path, name: str) -> None:
    with opened(own.folder) as (_, tagging):
        with pytest.raises(QueryError, match=rf"cannot be written as '{name}': end its name in \.png, \.svg, \.pdf"):
            write_report(tagging, None, tmp_path / name)
        with pytest.raises(QueryError, match="end its name in"):
            write_evaluation([evaluate(tagging, TRUTH)], "title", tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_folder_that_cannot_be_written_is_named(own: LibraryFactory, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with opened(own.folder) as (_, tagging):
        with pytest.raises(OutputError, match=r"file/report\.png cannot be written"):
            write_report(tagging, None, tmp_path / "file" / "report.png")
        with pytest.raises(OutputError, match=r"file/deep/report\.png cannot be written"):
            write_evaluation([evaluate(tagging, TRUTH)], "title", tmp_path / "file" / "deep" / "report.png")
