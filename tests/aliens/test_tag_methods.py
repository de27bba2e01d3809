"""Tags, captions and exports as Python users call them, and what they may get wrong."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aliens
from aliens.library import Library
from base.errors import OutputError, QueryError
from base.progress import Step
from tests.conftest import FakeEncoder, LibraryFactory, copy_library, photo_bytes, raising

BROKEN = "\udc80"


@pytest.fixture
def tagged(
    library: LibraryFactory,
    ten_photos: Path,
    photos: Path,
    tagged_template: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Library]:
    """A library of ten photos, tagged, in a folder that tests may write in."""
    copy_library(tagged_template, library.folder.root, ten_photos, photos)
    monkeypatch.chdir(photos.parent)
    with library.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tagged_template: Path, ten_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The same, not to be changed."""
    root = tmp_path_factory.mktemp("shared")
    copy_library(tagged_template, root / "library", ten_photos, Path(shutil.copytree(ten_photos, root / "photos")))
    with aliens.open(root / "library", encoder=FakeEncoder()) as opened:
        yield opened


def test_reports_print_as_the_command_does_and_know_what_people_should_know(tagged: Library, photos: Path) -> None:
    (photos / "new.jpg").write_bytes(photo_bytes(77))
    tagged.add(photos)
    summary = tagged.tags()
    assert (summary.photos, summary.unscored) == (11, 1)
    late, trust = summary.notes
    assert late == "1 photo came after the last tagging and has no tags yet: run `aliens tag`"
    assert trust.startswith("a library of 10 photos has few to compare with each other, so few of these tags can be")
    assert summary.notes == tagged.tags_of(1).notes == tagged.tag_report("report.png")
    report = tagged.tag()
    assert str(report) == f"{summary.vocabulary}: 11 photos tagged, 1 newly scored, calibrated, threshold 0.3"
    assert report.notes == tagged.tags().notes == [trust.replace("10 photos", "11 photos")]
    manifest = tagged.export("tags.csv")
    assert manifest.notes == [manifest.trust] == report.notes
    assert str(manifest) == f"11 photos, 0.0 MB, {summary.vocabulary}"
    assert str(tagged.import_tags("tags.csv")) == "11 rows, 0 tags set, 0 unset"
    report = tagged.caption(["a pool", "a bed"])
    assert str(report) == f"{report.set_key}: 11 photos captioned, 0 had captions, 0 cannot be read"
    assert str(tagged.export_captions("captions.csv")) == "11 captions, 0.0 MB"


def test_tags_are_records_that_print_and_become_data_frames(tagged: Library) -> None:
    summary = tagged.tags()
    frame = summary.to_pandas()
    assert frame["tag"].tolist() == [count.tag for count in summary]
    assert frame["photos"].sum() == sum(count.photos for count in summary) > 0
    assert repr(summary).startswith("TagSummary: 15 records\n")
    assert "<td>a pool</td>" in summary._repr_html_()
    (chain,) = tagged.tags_by_chain()
    assert (chain.photos, chain.tags) == (10, {count.tag: count.photos for count in summary})
    assert chain.sure == {count.tag: count.sure for count in summary}
    tags = tagged.tags_of(3)
    assert (tags.photo_id, Path(tags.path).name) == (3, "02.jpg")
    assert [tag.has for tag in tags] == sorted((tag.has for tag in tags), reverse=True)


def test_a_label_counts_until_it_is_taken_back(tagged: Library) -> None:
    before = tagged.tags_of(3)
    tag = next(tag.tag for tag in before if not tag.has)
    assert tagged.label(3, tag.removeprefix("a ")) == tag
    found = next(found for found in tagged.tags_of(3) if found.tag == tag)
    assert (found.has, found.by_hand) == (True, True)
    tagged.label(3, tag, None)
    assert tagged.tags_of(3) == before


def test_photos_are_named_by_number_or_path_one_or_several(tagged: Library, photos: Path, tmp_path: Path) -> None:
    names = [Path("photos/00.jpg"), np.int64(2), 3, str(photos / "01.jpg")]
    assert tagged.photo_ids(names) == tagged.photo_ids(np.arange(1, 4)) == [1, 2, 3]
    assert tagged.photo_ids(names[0]) == [1]
    tagged.label(names, "pool")
    for name in names:
        tags = tagged.tags_of(name)
        assert {tag.tag for tag in tags if tag.by_hand} == {"a pool"}
    with pytest.raises(QueryError, match="no photo is named"):
        tagged.label([], "pool")
    hits = tagged.similar(photos / "02.jpg", k=2)
    assert list(hits) == list(tagged.search(like=photos / "02.jpg", k=2)) == list(tagged.similar(3, k=2))
    assert hits[-1].cursor == tagged.similar(3, k=2)[-1].cursor  # pages go on, however the photo is named
    steps: list[Step] = []
    report = hits.copy_to(tmp_path / "out", progress=steps.append)
    assert [path.name for path in report.files] == [f"0{n}_{Path(hit.path).name}" for n, hit in enumerate(hits, 1)]
    assert (str(report), len(steps)) == (f"2 photos in {tmp_path / 'out'}", 2)


def test_an_evaluation_is_a_listing_of_methods(tagged: Library) -> None:
    Path("truth.csv").write_text("photo_id,tags\n1,a pool\n2,a tv\n99,a tv\n", encoding="utf-8")
    found = tagged.evaluate("truth.csv", compare=True, plot="plot.png")
    assert (len(found), found.photos, Path("plot.png").is_file()) == (7, 2, True)
    assert found.notes == ["left out 1 photo that the library does not know: truth.csv:4"]
    assert list(found.to_pandas()["method"])[:2] == ["softmax, top 1", "uncalibrated"]


def test_an_export_of_a_query_and_of_one_tag_or_column(tagged: Library) -> None:
    manifest = tagged.export("tags.jsonl", query="a pool", k=3, columns="photo_id")
    rows = [json.loads(line) for line in Path("tags.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (manifest.photos, [list(row) for row in rows]) == (3, [["score", "photo_id"]] * 3)
    assert [row["photo_id"] for row in rows] == [hit.photo_id for hit in tagged.search("a pool", k=3)]
    tagged.label(4, "a pool")
    assert tagged.export("tags.csv", tags="pool").tags["a pool"] == next(t.photos for t in tagged.tags())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("the callback's own")])
def test_an_export_whose_callback_raises_leaves_nothing_and_an_import_changes_nothing(
    tagged: Library, error: BaseException
) -> None:
    fails = raising(error)
    with pytest.raises(type(error)):
        tagged.export("tags.csv", progress=fails)
    assert list(Path.cwd().glob("tags*")) == []
    tagged.export("tags.csv")
    Path("tags.csv.manifest.json").unlink()
    before = tagged.tags()
    Path("tags.csv").write_text("photo_id,tags\n1,a minibar\n", encoding="utf-8")
    with pytest.raises(type(error)):
        tagged.import_tags("tags.csv", progress=fails)
    assert tagged.tags() == before
    assert tagged.import_tags("tags.csv").rows == 1


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda lib: lib.label(3, BROKEN), r"no tag '\\udc80' in the vocabulary"),
        (lambda lib: lib.label(2**63, "a pool"), "no photo 9223372036854775808 in .*: take an id"),
        (lambda lib: lib.label(-1, "a pool"), "no photo -1 in"),
        (lambda lib: lib.tags_of(2**70), "no photo 1180591620717411303424 with a vector"),
        (lambda lib: lib.tags(BROKEN), r"is not tagged with '\\udc80' \(known: case-study-"),
        (lambda lib: lib.tag(BROKEN), r"no vocabulary '\\udc80': name a \.toml or \.txt file"),
        (lambda lib: lib.tag("\udc80.toml"), r"cannot be read: No such file"),
        (lambda lib: lib.tag(method="magic"), "no method 'magic': choose of signal, calibrated, uncalibrated, softmax"),
        (lambda lib: lib.tag(calibrate="labels", fit="magic"), "no fit 'magic': choose of probe, platt, isotonic"),
        (lambda lib: lib.tag(fit="platt"), "--fit goes with --calibrate FILE or labels"),
        (lambda lib: lib.tag(threshold=float("nan")), "the threshold is nan"),
        (lambda lib: lib.tag(calibrate="absent.csv"), r"absent\.csv cannot be read: No such file"),
        (lambda lib: lib.tag_sheet(BROKEN, "x.jpg"), r"no tag '\\udc80'"),
        (lambda lib: lib.tag_sheet("pool", "x.doc"), "end its name in"),
        (lambda lib: lib.evaluate("\udc80.csv"), "cannot be read: No such file"),
        (lambda lib: lib.export("x.csv", columns=[BROKEN]), r"no column '\\udc80' to export"),
        (lambda lib: lib.export("x.csv", tags=[BROKEN]), r"no tag '\\udc80'"),
        (lambda lib: lib.export("x.csv", query=f"pool {BROKEN}"), "no text: type the query in UTF-8"),
        (lambda lib: lib.export("\udc80.csv"), r"the name '\\udc80\.csv' is no UTF-8 text: choose another"),
        (lambda lib: lib.export("\udc80", format="imagefolder"), "is no UTF-8 text: choose another"),
        (lambda lib: lib.export("x\0.csv"), "is no UTF-8 text: choose another"),
        (lambda lib: lib.export("x.csv", format="xml"), "no format 'xml': choose of csv, tsv, xlsx, jsonl"),
        (lambda lib: lib.export("x.csv", k=3), "-n .or -k. is for queries"),
        (lambda lib: lib.export("x.csv", link=True), "--link is for imagefolders"),
        (lambda lib: lib.import_tags("\udc80.csv"), "cannot be read: No such file"),
        (lambda lib: lib.import_tags("x\0.csv"), r"embedded null (byte|character)"),
        (lambda lib: lib.caption(), "give either captions to choose from"),
        (lambda lib: lib.caption("x.txt", generate=True), "give either captions to choose from"),
        (lambda lib: lib.caption(generate=True, k=2), "k is 2, which goes with captions to choose from"),
        (lambda lib: lib.caption(["a"], limit=3), "model and limit go with generate=True"),
        (lambda lib: lib.caption(["a pool", f"a {BROKEN}"]), "caption 2 is no text"),
        (lambda lib: lib.caption(["a", "b\0"]), "caption 2 is no text"),
        (lambda lib: lib.caption([1]), "caption 1 is 1, no text"),
        (lambda lib: lib.caption(["x" * 1001]), "caption 1 has 1001 characters, more than 1000"),
        (lambda lib: lib.caption([" "]), "give at least one caption"),
        (lambda lib: lib.forget_captions(BROKEN), r"no set of captions '\\udc80' \(there is: none\)"),
        (lambda lib: lib.captions(BROKEN), "no word in"),
        (lambda lib: lib.export_captions("x.xml"), "does not say in what format"),
        (lambda lib: lib.export_captions("x.csv"), "no photo has a caption yet"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_library_goes_on(
    shared: Library, ask: Callable[[Library], Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = shared.tags()
    with pytest.raises(QueryError, match=message):
        ask(shared)
    assert shared.tags() == before
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_written_are_another_error(tagged: Library) -> None:
    Path("file").write_text("in the way", encoding="utf-8")
    tagged.caption(["a pool"])
    for write in (
        lambda: tagged.export("file/tags.csv"),
        lambda: tagged.export("file/folder", format="imagefolder"),
        lambda: tagged.export_captions("file/captions.csv"),
        lambda: tagged.tag_sheet("pool", "file/sheet.jpg"),
        lambda: tagged.tag_report("file/report.png"),
    ):
        with pytest.raises(OutputError, match="cannot be written"):
            write()


def test_a_manifest_that_was_damaged_is_said(tagged: Library) -> None:
    tagged.export("tags.csv", columns=["photo_id", "tags"])  # without what makes the manifest needless
    beside = Path("tags.csv.manifest.json")
    whole = json.loads(beside.read_text(encoding="utf-8"))
    for damage in (
        {"mean": [0.1]},
        {"scale": "large"},
        {"links": {"99": {"kind": "platt"}}},
        {"method": "magic"},
        {"exclusions": [[0, 15]]},
    ):
        beside.write_text(json.dumps(whole | {"calibration": whole["calibration"] | damage}), encoding="utf-8")
        with pytest.raises(QueryError, match=r"the manifest beside tags\.csv is damaged \(.*remove the manifest"):
            tagged.import_tags("tags.csv")
    assert tagged.import_tags("tags.csv", labels_only=True).rows == 10


def test_a_file_of_captions_may_have_any_name(tagged: Library) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        Path(name).write_text("a pool\na bed\n", encoding="utf-8")
    except OSError:
        pytest.skip("this file system knows UTF-8 alone")
    assert tagged.caption(name).captioned == 10
    (found,) = tagged.caption_sets()
    assert found.source.endswith("caf?.txt")
    assert tagged.caption(name).captioned == 0
    tagged.forget_captions(found.key)
    assert len(tagged.caption_sets()) == 0
