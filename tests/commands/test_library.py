import io
import json
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from base.settings import asset
from commands.candidate_commands import candidates
from tests.commands.conftest import Aliens
from tests.conftest import photo_bytes, some_samples

ROOT = Path(__file__).parents[2]


def test_init_announces_the_model_and_says_what_is_next(aliens: Aliens) -> None:
    out, err = aliens.well("init")
    assert "loading ViT-B-32/openai" in err
    assert "aliens add" in out


def test_add_takes_several_paths_patterns_and_what_to_leave_out(aliens: Aliens, photos: Path) -> None:
    aliens("init")
    assert "no folder was added yet" in aliens.fails(1, "add")
    (photos / "raw").mkdir()
    (photos / "raw" / "x.jpg").write_bytes(photo_bytes(50))
    (photos.parent / "one.jpg").write_bytes(photo_bytes(51))
    code, out, err = aliens("add", photos / "0[0-4].jpg", photos, "one.jpg", "--exclude", "raw/", "--exclude", "*9.jpg")
    assert (code, out.splitlines()[:3]) == (
        0,
        [
            "found 10 photos of 2 sources: 10 new, 0 changed, 0 unchanged, 0 missing",
            f"  {photos}: 9 photos, 9 new",
            f"  {photos.parent / 'one.jpg'}: 1 photo, 1 new",
        ],
    )
    assert "1 excluded file (.jpg), 1 excluded folder (raw)" in out
    err = aliens.fails(1, "add", photos, "gone", "*/nothing")
    assert "nothing is at gone, */nothing: name folders of photos, photos or .tar files" in err


def test_add_for_machines(aliens: Aliens, photos: Path) -> None:
    aliens("init")
    (photos / "a.psd").write_bytes(b"x")
    code, out, _ = aliens("add", photos, "--json")
    told = json.loads(out)
    assert (code, told["scan"]["found"], told["run"]["encoded"], told["index"]["exact"]["photos"]) == (0, 10, 10, 10)
    assert told["scan"]["passed_over"] == {"other_picture": {"count": 1, "names": {".psd": 1}}}
    assert [source["root"] for source in told["sources"]] == [str(photos)]


def test_names_of_sources_cannot_deceive(aliens: Aliens, photos: Path) -> None:
    aliens("init")
    hostile = photos.parent / "a\x1b[2J\nfound 99 photos"
    photos.rename(hostile)
    (hostile.parent / "one.jpg").write_bytes(photo_bytes(51))
    _, out, _ = aliens("add", hostile, "one.jpg")
    assert "\x1b" not in out
    assert rf"  {hostile.parent}/a\x1b[2J\nfound 99 photos: 10 photos, 10 new" in out.splitlines()
    _, _, err = aliens("add", "gone\x1b[2J")
    assert "\x1b" not in err


def test_add_says_what_it_did(aliens: Aliens, photos: Path) -> None:
    aliens("init")
    (photos / "broken.jpg").write_bytes(photo_bytes(50)[:300])
    (photos / "notes.txt").write_text("notes")
    out, err = aliens.well("add", photos)
    assert "found 11 photos: 11 new" in out
    assert "passed over: 1 other file (.txt)" in out
    assert "embedded 10 photos" in out
    assert "photos/s" in out
    assert "1 failed" in out
    assert "aliens failures" in err


def test_search_in_a_pipe_is_score_tab_path(aliens: Aliens, filled: Path) -> None:
    out, _ = aliens.well("search", "pool", "-k", 3)
    lines = out.splitlines()
    assert len(lines) == 3
    for line in lines:
        score, path = line.split("\t")
        assert -1 <= float(score) <= 1
        assert Path(path).is_file()


def test_search_by_photo_and_by_id(aliens: Aliens, filled: Path) -> None:
    (record,) = aliens.records("search", "--image", filled / "04.jpg", "-k", 1)
    assert record["path"].endswith("04.jpg")
    _, out, _ = aliens("search", "--like", record["photo_id"], "-k", 100, "--json")
    assert len(out.splitlines()) == 9


def test_info_counts_photos_by_state(aliens: Aliens, filled: Path) -> None:
    (info,) = aliens.records("info")
    assert info["photos"] == {"pending": 0, "embedded": 10, "failed": 0}
    assert info["model"] == "fake-00000000"
    assert info["vectors_bytes"] > 10 * 48 * 2
    _, out, _ = aliens("info")
    assert "10 photos" in out


def test_failures_are_listed_with_their_reason(aliens: Aliens, filled: Path) -> None:
    assert "no failures" in aliens("failures")[2]
    (filled / "empty.jpg").touch()
    aliens("add", filled)
    _, out, _ = aliens("failures")
    assert out.split("\t")[:2] == ["empty", str(filled / "empty.jpg")]
    assert aliens.records("failures", "--kind", "empty")[0]["reason"] == "the file is empty (0 bytes)"


def test_forget_says_what_left_and_that_files_stay(aliens: Aliens, filled: Path) -> None:
    code, out, error = aliens("forget", filled / "00.jpg", "--dry-run")
    assert (code, out, f"takes them up again where it looks at {filled}" in error) == (
        0,
        "would forget 1 photo\n",
        True,
    )
    assert aliens("forget", filled / "00.jpg", filled / "01.jpg", "--yes")[:2] == (0, "forgot 2 photos\n")
    assert (filled / "00.jpg").exists()
    code, out, _ = aliens("forget", filled, "--yes", "--json")
    said = {"photos": 8, "labels": 0, "hotels": [], "restyled": 0, "restyled_left": 0, "back": 0}
    said |= {"choices": [], "sources": [str(filled)], "taken_up": None, "dry_run": False}
    assert (code, json.loads(out)) == (0, said)
    code, _, error = aliens("forget", filled)
    assert (code, error.count("the library knows no photo at")) == (2, 1)


@pytest.mark.parametrize(("answer", "left"), [("y\n", 9), ("\n", 10), ("n\n", 10)])
def test_forget_asks_before_it_forgets(
    aliens: Aliens, filled: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    code, _, error = aliens("forget", filled / "00.jpg")
    assert (code, "forget 1 photo? The files of photos stay. Nobody can be asked here: say --yes" in error) == (2, True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    code, _, error = aliens("forget", filled / "00.jpg")
    assert (code, "nothing was forgotten" in error) == (int(left == 10), left == 10)
    assert json.loads(aliens("info", "--json")[1])["photos"]["embedded"] == left


def test_verify_exits_with_1_and_a_list(aliens: Aliens, filled: Path) -> None:
    _, err = aliens.well("verify")
    assert "agree" in err
    (filled / "00.jpg").unlink()
    code, out, err = aliens("verify")
    assert (code, "00.jpg" in out) == (1, True)
    assert "1 disagreement" in err


def test_verify_reads_every_byte_unless_it_is_to_be_quick(aliens: Aliens, filled: Path) -> None:
    (segment,) = Path("aliens-library/vectors/fake-00000000").iterdir()
    whole = bytearray(segment.read_bytes())
    whole[-1] ^= 1
    segment.write_bytes(whole)
    assert aliens("verify", "--quick")[0] == 0
    code, out, _ = aliens("verify", "--json")
    assert (code, json.loads(out)["part"], json.loads(out)["remedy"]) == (1, "segment", "`aliens verify --repair`")
    code, out, err = aliens("verify", "--repair")
    assert (code, out) == (0, "")
    assert "10 photos to embed anew: run `aliens add FOLDER` on any folder" in err
    assert "embedded 10 photos" in aliens("add", filled)[1]
    assert aliens("verify")[0] == 0
    segment = next(Path("aliens-library/vectors/fake-00000000").iterdir())
    segment.write_bytes(segment.read_bytes()[:-1])
    assert aliens("verify", "--quick")[0] == 1


def test_demo_adds_the_samples_and_searches_them_twice(
    aliens: Aliens, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sixth of them; the demo of a wheel takes all."""
    few = some_samples(tmp_path / "samples", samples)
    monkeypatch.setattr("base.settings.asset", lambda name: few if name == "aliens/samples" else asset(name))
    monkeypatch.setattr("commands.library_commands.candidates", partial(candidates, n=2))  # restyling takes long
    out, err = aliens.well("demo", "--library", "my demo")
    assert "40 new" in out
    assert Path("my demo/bathtub-with-a-view.jpg").stat().st_size > 10_000
    out, _ = aliens.well("demo", "--library", "my demo")
    assert "40 unchanged" in out
    shown = [shlex.split(line[2:]) for line in err.splitlines() if line.startswith("$ ")]
    commands = ["search"] * 3 + ["tag"] * 3 + ["candidates", "restyle", "quiz"]
    assert [words[1] for words in shown] == commands
    assert all(words[-2:] == ["--library", "my demo"] for words in shown)
    for words in (shown[0], shown[4], shown[7]):
        assert aliens(*words[1:])[0] == 0


def test_the_library_is_chosen_by_flag_then_environment(aliens, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIENS_LIBRARY", "from-environment")
    aliens("init")
    assert Path("from-environment/library.db").exists()
    aliens("init", "--library", "from-flag")
    assert Path("from-flag/library.db").exists()


@pytest.mark.parametrize("library", ["aliens-library", "my photos"])
def test_an_error_that_is_none_of_ours_ends_with_the_command_that_tells_damage(
    aliens: Aliens, filled: Path, library: str
) -> None:
    Path("aliens-library").rename(library)
    with closing(sqlite3.connect(f"{library}/library.db")) as database, database:
        database.execute("UPDATE photo SET state = 'embeddeD' WHERE id = 2")
    with pytest.raises(LookupError) as caught:
        aliens("info", "--library", library)
    (line,) = caught.value.__notes__
    option = "" if library == "aliens-library" else " --library 'my photos'"
    assert line.startswith("aliens: this should not have happened (LookupError: 'embeddeD' is not among")
    assert line.endswith(f": `aliens verify{option}` tells whether the library is damaged")
    assert aliens("verify", "--library", library)[0] == 1


def test_a_closed_pipe_is_no_error(filled: Path) -> None:
    command = f"{sys.executable} {ROOT / 'cli.py'} failures --json; {sys.executable} {ROOT / 'cli.py'} info | head -0"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert "Traceback" not in done.stderr
