import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from base import console
from tests.commands.conftest import Aliens
from tests.conftest import photo_bytes, raising

VOCABULARY = """
name = "mine"
[tags]
"a room" = []
"=1+1" = ["a sum"]
"""


def test_tag_says_how_many_photos_it_tagged_and_scored_and_what_is_next(aliens: Aliens, filled: Path) -> None:
    out, err = aliens.well("tag")
    assert out.startswith("case-study-")
    assert "10 photos tagged, 10 newly scored" in out
    assert "aliens tag list" in err
    told = "top k is 3, which goes with --method softmax: signal takes a --threshold"
    assert told in aliens.fails(2, "tag", "--top-k", 3)
    told = "the threshold is 0.4, and softmax has none"
    assert told in aliens.fails(2, "tag", "--method", "softmax", "--threshold", 0.4)


def test_tag_again_scores_only_what_is_new(aliens: Aliens, tagged: Path) -> None:
    (tagged / "new.jpg").write_bytes(photo_bytes(99))
    aliens("add", tagged)
    _, _, err = aliens("tags")
    assert "1 photo came after the last tagging" in err
    assert json.loads(aliens("tag", "--json")[1]) | {"vocabulary": ""} == {
        "vocabulary": "",
        "method": "calibrated",
        "threshold": 0.3,
        "top_k": 1,
        "photos": 11,
        "scored": 1,
        "fitted": 0,
        "left_alone": [],
        "muted": [],
    }
    assert "1 photo came" not in aliens("tags")[2]


def test_tag_scores_again_what_is_damaged_and_verify_names_it_before(aliens: Aliens, tagged: Path) -> None:
    before = aliens("tags", "--json")[1]
    (scores,) = Path("aliens-library/tags").glob("*/*/*.npy")
    whole = bytearray(scores.read_bytes())
    whole[-1] ^= 1
    scores.write_bytes(whole)
    code, out, _ = aliens("verify")
    assert (code, out.split("\t")[0], out.rstrip().split("\t")[2]) == (1, "tags", "`aliens tag`")
    assert "10 photos tagged, 10 newly scored" in aliens("tag")[1]
    assert aliens("verify")[0] == 0
    assert aliens("tags", "--json")[1] == before


def test_tag_of_an_empty_library_says_what_to_do(aliens: Aliens) -> None:
    aliens("init")
    assert "aliens add FOLDER" in aliens.fails(2, "tag")


def test_counts_are_lines_in_a_pipe_and_objects_for_machines(aliens: Aliens, tagged: Path) -> None:
    _, out, err = aliens("tags")
    lines = [line.split("\t") for line in out.splitlines()]
    assert len(lines) == 15
    assert all(len(line) == 7 and line[3].endswith("%") for line in lines)
    assert [int(line[2]) for line in lines] == sorted((int(line[2]) for line in lines), reverse=True)
    assert "10 photos, " in err
    counts = aliens.records("tags")
    assert [count["tag"] for count in counts][:2] == ["a pool", "a king-size bed"]
    assert {count["tag"]: count["photos"] for count in counts} == {line[0]: int(line[2]) for line in lines}


def test_counts_by_chain_are_a_table_on_a_terminal(
    aliens: Aliens, tagged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = aliens("tags", "--by-chain")
    assert all(line.startswith("no chain\t") for line in out.splitlines())
    assert json.loads(aliens("tags", "--by-chain", "--json")[1])["photos"] == 10
    monkeypatch.setattr(console, "on_terminal", lambda: True)
    _, out, _ = aliens("tags", "--by-chain")
    assert len(out.splitlines()) == 1  # print_rows itself still writes for a pipe: one row for the one chain


def test_show_puts_what_people_say_above_the_model(aliens: Aliens, tagged: Path) -> None:
    def shown() -> dict[str, dict[str, object]]:
        found = json.loads(aliens("tags", "show", 3, "--json")[1])
        return {tag["tag"]: tag for tag in found["tags"]}

    before = shown()
    has = next(tag for tag, found in before.items() if found["has"])
    has_not = next(tag for tag, found in before.items() if not found["has"])
    assert aliens("tags", "unset", 3, has)[1] == f"photo 3 does not have {has!r}\n"
    assert aliens("tags", "set", 3, has_not.removeprefix("a "))[1] == f"photo 3 has {has_not!r}\n"
    after = shown()
    assert (after[has]["has"], after[has]["by_hand"]) == (False, False)
    assert (after[has_not]["has"], after[has_not]["by_hand"]) == (True, True)
    assert after[has]["probability"] == before[has]["probability"]
    assert "no, by hand" in aliens("tags", "show", 3)[1]
    aliens("tags", "unset", 3, has, "--forget")
    aliens("tags", "unset", 3, has_not, "--forget")
    assert shown() == before


def test_sheet_and_report_are_pictures(aliens: Aliens, tagged: Path) -> None:
    assert aliens("tags", "sheet", "bathtub", "-o", "tub.png")[0] == 0
    with Image.open("tub.png") as picture:
        assert picture.height > 800  # several sections
    assert aliens("tags", "report", "-o", "report.png")[0] == 0
    with Image.open("report.png") as picture:
        assert picture.width > 1000
    assert "end its name in .png" in aliens.fails(2, "tags", "report", "-o", "report.doc")


def test_a_vocabulary_of_ones_own_lives_beside_the_first(aliens: Aliens, tagged: Path) -> None:
    Path("mine.toml").write_text(VOCABULARY, encoding="utf-8")
    assert "10 newly scored" in aliens("tag", "-v", "mine.toml")[1]
    assert {line.split("\t")[0] for line in aliens("tags")[1].splitlines()} == {"a room", "=1+1"}
    assert "a pool" in aliens("tags", "-v", "case-study")[1]
    assert "known: mine-" in aliens.fails(2, "tags", "-v", "other")
    Path("mine.toml").unlink()
    assert aliens("tags", "-v", "mine")[0] == 0  # the library keeps what it was tagged with


def test_softmax_gives_every_photo_its_top_k(aliens: Aliens, filled: Path) -> None:
    assert aliens("tag", "--method", "softmax", "--top-k", "3")[0] == 0
    counts = [json.loads(line)["photos"] for line in aliens("tags", "--json")[1].splitlines()]
    assert sum(counts) == 3 * 10


def test_calibration_on_labels_names_what_it_could_not_use_and_stays(aliens: Aliens, filled: Path) -> None:
    aliens("tag")
    found = [json.loads(aliens("tags", "show", n, "--json")[1])["tags"] for n in range(1, 11)]
    pool = [next(t["probability"] for t in tags if t["tag"] == "a pool") for tags in found]
    best = sorted(range(10), key=lambda n: -pool[n])[:5]
    rows = [f"{filled}/{n:02d}.jpg,{'a pool' if n in best else 'a comet;a tv'}" for n in range(9)]
    rows.append(f"{filled}/09.jpg,{'a pool' if 9 in best else 'a comet'};a minibar")
    Path("labels.csv").write_text("\n".join(["path,tags", *rows, "gone.jpg,a pool"]), encoding="utf-8")
    out, err = aliens.well("tag", "--calibrate", "labels.csv")
    assert re.search(r"threshold 0\.5, \d+ tags decided by labels", out)
    assert "left out 1 photo that the library does not know: labels.csv:12" in err
    assert "left out tags that the vocabulary does not have: 'a comet'\n" in err
    assert json.loads(aliens("tag", "--json")[1])["fitted"] >= 1
    assert json.loads(aliens("tag", "--json", "--calibrate", "none")[1])["fitted"] == 0
    _, out, err = aliens("tag", "--calibrate", "labels.csv", "--fit", "platt")
    assert "decided by labels" in out
    assert "nothing was learnt of these, since labels are too few or contradict the scores: " in err
    assert "a minibar" in err


def test_eval_prints_the_table_the_comparison_and_json_without_nan(aliens: Aliens, tagged: Path) -> None:
    rows = [f"{tagged}/{n:02d}.jpg,{'a bathtub' if n < 5 else 'a shower'}" for n in range(10)]
    Path("truth.csv").write_text("\n".join(["path,tags", *rows]), encoding="utf-8")
    out, err = aliens.well("eval", "tags", "--truth", "truth.csv")
    assert "truly a bathtub" in out
    assert "10 photos" in err
    methods = [
        line.split("\t")[0] for line in aliens("eval", "tags", "--truth", "truth.csv", "--compare")[1].splitlines()
    ]
    assert methods[:4] == ["softmax, top 1", "uncalibrated", "calibrated", "signal"]
    _, out, _ = aliens("eval", "tags", "--truth", "truth.csv", "--json", "--plot", "plot.svg")
    assert json.loads(out)["tags"][0]["average_precision"] is None  # no photo has a pool
    assert "NaN" not in out
    assert Path("plot.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_tag_again_decides_as_before_unless_it_is_told_otherwise(aliens: Aliens, filled: Path) -> None:
    Path("mine.toml").write_text(VOCABULARY, encoding="utf-8")
    aliens("tag", "-v", "mine.toml", "--threshold", "0.6")
    again = json.loads(aliens("tag", "--json")[1])
    assert again["vocabulary"].startswith("mine-")
    assert again["threshold"] == 0.6
    aliens("tag", "--method", "softmax", "--top-k", "2")
    softmax = json.loads(aliens("tag", "--json")[1])
    assert (softmax["method"], softmax["top_k"], softmax["threshold"]) == ("softmax", 2, 0.3)
    assert "softmax, top 2" in aliens("tag")[1]
    Path("labels.csv").write_text(f"path,tags\n{filled}/00.jpg,a room\n", encoding="utf-8")
    assert (
        "--method softmax has nothing to learn" in aliens("tag", "--method", "softmax", "--calibrate", "labels.csv")[2]
    )
    assert "--fit goes with --calibrate" in aliens("tag", "--fit", "isotonic")[2]


def test_a_vocabulary_is_begun_by_a_command_and_tags_as_it_stands(aliens: Aliens, filled: Path) -> None:
    out, _ = aliens.well("tags", "new")
    assert out.startswith("# A vocabulary: ")
    assert aliens("tags", "new", "--plain")[1].splitlines()[-1] == "breakfast"
    assert "run `aliens tag --vocabulary 'my words.txt'`" in aliens("tags", "new", "my words.txt")[1]
    code, _, err = aliens("tags", "new", "my words.txt")
    assert (code, err) == (2, "aliens: my words.txt is there already: choose another name\n")
    assert aliens("tag", "-v", "my words.txt")[1].startswith("my-words-")


def test_grades_show_wherever_tags_show(aliens: Aliens, tagged: Path) -> None:
    counts = {count["tag"]: count["sure"] for count in aliens.records("tags")}
    assert sum(counts.values()) > 0
    lines = [line.split("\t") for line in aliens("tags")[1].splitlines()]
    assert {line[0]: int(line[5]) for line in lines} == counts
    by_chain = [line.split("\t") for line in aliens("tags", "--by-chain")[1].splitlines()]
    assert {line[1]: int(line[4]) for line in by_chain} == counts
    grades = [line.split("\t")[3] for n in range(1, 11) for line in aliens("tags", "show", n)[1].splitlines()]
    assert grades.count("sure") == sum(counts.values())
    assert set(grades) == {"sure", "likely", ""}
    aliens("export", "tags", "-o", "out.jsonl")
    rows = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(len(row["sure_tags"]) for row in rows) == sum(counts.values())
    assert all(set(row["sure_tags"]) <= set(row["tags"]) for row in rows)
    manifest = json.loads(Path("out.jsonl.manifest.json").read_text(encoding="utf-8"))
    assert manifest["trust"].startswith("a library of 10 photos")
    assert manifest["muted"] == []


def test_labels_mean_the_same_in_every_vocabulary(aliens: Aliens, tagged: Path) -> None:
    Path("mine.toml").write_text('name = "mine"\n[tags]\npool = []\n', encoding="utf-8")
    aliens("tags", "unset", 6, "pool")
    aliens("tag", "-v", "mine.toml")
    assert "no, by hand" in aliens("tags", "show", 6)[1]
    aliens("tags", "set", 6, "pool")
    shown = json.loads(aliens("tags", "show", 6, "-v", "case-study", "--json")[1])["tags"]
    assert next(tag for tag in shown if tag["tag"] == "a pool")["by_hand"] is True


def test_late_photos_are_told_of_by_sheets_and_counts_with_what_tags_them(aliens: Aliens, tagged: Path) -> None:
    Path("mine.toml").write_text('name = "mine"\n[tags]\nlagoon = []\n', encoding="utf-8")
    aliens("tag", "-v", "mine.toml")
    Path("mine.toml").unlink()
    (tagged / "new.jpg").write_bytes(photo_bytes(99))
    aliens("add", tagged)
    aliens("tag")
    late = "1 photo came after the last tagging and has no tags yet: run `aliens tag --vocabulary case-study-"
    for command in (("sheet", "pool", "-o", "x.jpg"), ("--by-chain", "-v", "case-study"), ("-v", "case-study")):
        assert late in aliens("tags", *command)[2]
    assert "came after" not in aliens("tags", "sheet", "lagoon", "-o", "x.jpg")[2]
    command = aliens("tags", "-v", "case-study")[2].split("`aliens ")[1].split("`")[0]
    assert "11 photos tagged, 1 newly scored" in aliens(*command.split())[1]
    assert "came after" not in aliens("tags", "sheet", "pool", "-o", "x.jpg")[2]
    assert "11 photos tagged, 0 newly scored" in aliens("tag", "-v", "MINE")[1]


def test_a_copied_library_has_its_tags(aliens: Aliens, tagged: Path) -> None:
    before = aliens("tags", "--json")[:2]
    shutil.copytree("aliens-library", "copy", copy_function=shutil.copyfile)  # with new times of change
    assert aliens("tags", "--json", "--library", "copy")[:2] == before


def test_ctrl_c_says_what_is_kept(aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tags.tag_runs.tag_library", raising(KeyboardInterrupt()))
    assert "stopped: scores that are complete are kept" in aliens.fails(130, "tag")
