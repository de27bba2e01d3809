"""`aliens label`, through a pipe and at a terminal: what is asked, kept, taken back, and said of it."""

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import aliens as aliens_package
from aliens.library import Library
from db.tag_rows import Label, all_labels
from tests.commands.conftest import Aliens, objects
from tests.conftest import FakeEncoder, fill_folder
from tests.unwritable import ROOT, unwritable, without_rights

PATIENCE_S = 120
Labelled = Callable[..., tuple[int, str, str]]


@contextmanager
def library() -> Iterator[Library]:
    with aliens_package.open("aliens-library", encoder=FakeEncoder()) as opened:
        yield opened


def labels() -> list[Label]:
    with library() as opened, opened.catalog.session() as session:
        return list(all_labels(session))


@pytest.fixture
def label(aliens: Aliens, monkeypatch: pytest.MonkeyPatch) -> Labelled:
    """Run the command with lines that come through a pipe."""

    def run(lines: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        return aliens("label", *arguments)

    return run


# Through a pipe


def test_answers_of_one_tag_are_kept_passed_over_and_taken_back(label: Labelled, tagged: Path) -> None:
    code, out, err = label("y\nno\ns\nu\nu\nYES\nq\n", "pool", "--json")
    first, second, skipped, again, back, third = objects(out)
    assert code == 0
    assert (first["yes"], second["no"], skipped["skipped"]) == (["a pool"], ["a pool"], True)
    assert again["undone"]
    assert [each["brought"] for each in objects(out)] == [None] * 6
    assert (again["photo_id"], back["photo_id"]) == (skipped["photo_id"], second["photo_id"])
    assert (third["photo_id"], third["yes"]) == (second["photo_id"], ["a pool"])
    assert Path(first["path"]).is_file()
    assert sorted(labels()) == sorted(Label(each["photo_id"], "pool", True) for each in (first, third))
    assert "too few to tell what they brought" in err
    assert "2 photos labelled: from 10 labelled photos on the tags are decided by them" in err
    code, out, _ = label("n\n" * 20, "pool", "--count", 3)
    assert code == 0
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[1:] for line in lines] == [["labelled", "", "a pool"]] * 3
    assert not {int(line[0]) for line in lines} & {first["photo_id"], third["photo_id"]}


def test_a_line_that_says_nothing_known_ends_it_and_what_was_said_before_is_kept(label: Labelled, tagged: Path) -> None:
    code, out, err = label("y\nmaybe\ny\n", "pool", "--json")
    assert (code, len(objects(out)), len(labels())) == (2, 1, 1)
    assert "line 2 says 'maybe': give y, n, s (skip), u (undo) or q (quit)" in err


def test_whole_photos_are_labelled_by_keys_or_names(label: Labelled, tagged: Path) -> None:
    with library() as opened:
        names = opened.vocabulary("case-study").names
    lines = f"1 3\n\n{names[4]}; TV\ns\nu\nu\n2\n"
    code, out, err = label(lines, "--json", "--count", 4)
    first, none, named, _, _, undone, last = objects(out)
    assert code == 0
    assert f"1 {names[0]}" in err
    assert first["yes"] == [names[0], names[2]]
    assert set(first["no"]) == {*names} - {*first["yes"]}
    assert (none["yes"], set(none["no"])) == ([], {*names})
    assert set(named["yes"]) == {names[4], "a tv"}
    assert undone["photo_id"] == last["photo_id"] == named["photo_id"]
    assert last["yes"] == [names[1]]
    assert len(labels()) == 3 * len(names)
    code, _, err = label("a pol\n", "--json")
    assert (code, len(labels())) == (2, 3 * len(names))
    assert "did you mean 'a pool'?" in err


def test_of_many_tags_only_those_that_were_shown_are_labelled(aliens: Aliens, label: Labelled, tagged: Path) -> None:
    words = [f"thing {number}" for number in range(40)]
    Path("mine.txt").write_text("\n".join(words), encoding="utf-8")
    aliens("tag", "-v", "mine.txt")
    _, out, _ = label("1\n", "--json")
    (answer,) = objects(out)
    assert len(answer["yes"] + answer["no"]) == 20
    _, out, _ = label("\n", "--json", "--count", 1)
    unseen = sorted({*words} - {*objects(out)[0]["no"]})[0]
    _, out, _ = label(f"u\n{unseen}\n", "--json", "--count", 1)
    assert unseen in objects(out)[-1]["yes"]
    assert 20 <= len(objects(out)[-1]["yes"] + objects(out)[-1]["no"]) <= 21


def test_what_cannot_be_asked_about_is_said_with_what_helps(aliens: Aliens, label: Labelled, filled: Path) -> None:
    code, _, err = label("y\n", "pool")
    assert (code, "is not tagged yet: run `aliens tag`" in err) == (2, True)
    aliens("tag", "--method", "calibrated")
    code, _, err = label("y\n", "pol")
    assert code == 2
    assert "did you mean 'a pool'?" in err
    Path("mine.txt").write_text("pool\nlagoon\nswan\n", encoding="utf-8")
    Path("other.txt").write_text("lagoon\ncoffee\n", encoding="utf-8")
    for name in ("mine.txt", "other.txt"):
        aliens("tag", "-v", name)
    code, _, err = label("y\n", "pool")  # of the vocabulary before the latest
    assert (code, "2 vocabularies have a tag 'pool'" in err) == (2, True)
    for words in (("lagoon",), ("mine/pool",), ("swan",), ("pool", "-v", "case-study")):
        assert label("y\n", *words, "--count", 1)[0] == 0
    assert {each.tag for each in labels()} == {"lagoon", "pool", "swan"}


def test_every_ten_answers_the_tags_are_decided_by_them(aliens: Aliens, label: Labelled, tagged: Path) -> None:
    code, out, err = label("y\nn\n" * 10, "pool", "--json")
    assert code == 0
    found = objects(out)
    assert len(found) == 10  # there are no more photos
    assert [bool(each["brought"]) for each in found] == [False] * 9 + [True]
    assert (found[-1]["brought"]["yes"], found[-1]["brought"]["no"]) == (5, 5)
    assert "10 labels, 5 of them yes: " in err
    assert "no other photo is left to ask about" in err
    assert "the tags are decided by the labels now" in err
    with library() as opened:
        assert opened.ask_labels("pool")[1].taught == 10
    assert "labels have changed" not in aliens("tag", "list")[2]
    aliens("tag", "--calibrate", "none")
    aliens("tag", "unset", 1, "pool", "--forget")
    code, _, err = label("y\n", "pool", "--no-apply")
    assert code == 0, err
    assert "--calibrate labels` has the tags decided by the labels" in err
    with library() as opened:
        assert opened.ask_labels("pool")[1].taught == 0


def test_a_name_that_is_made_of_keys_is_a_name(aliens: Aliens, label: Labelled, tagged: Path) -> None:
    words = ["beach", *[f"thing {number}" for number in range(19)]]  # whose keys go from 1 to b and beyond
    Path("mine.txt").write_text("\n".join(words), encoding="utf-8")
    aliens("tag", "-v", "mine.txt")
    _, out, _ = label("beach\n", "--json", "--count", 1)
    assert objects(out)[0]["yes"] == ["beach"]


def test_a_label_that_is_undone_decides_no_more(aliens: Aliens, label: Labelled, tagged: Path) -> None:
    fill_folder(tagged, (10, 11))
    aliens("add", tagged)
    aliens("tag")
    code, _, err = label("y\nn\n" * 5 + "u\nq\n", "pool")
    assert code == 0
    assert "the tags are decided by the labels now" in err
    with library() as opened:
        assert opened.ask_labels("pool")[1].taught == 9
    assert "labels have changed" not in aliens("tag", "list")[2]


def test_while_another_process_changes_the_library_labels_are_kept(label: Labelled, tagged: Path) -> None:
    with library() as opened, opened.catalog.lock():
        code, out, err = label("y\nn\n" * 5, "pool", "--json")
    assert (code, len(objects(out)), len(labels())) == (0, 10, 10)
    assert "another process is changing the library: the labels are kept, its tags follow later" in err


def test_labels_of_one_kind_alone_teach_and_boast_of_nothing(label: Labelled, tagged: Path) -> None:
    code, _, err = label("n\n" * 10, "pool")
    assert code == 0
    assert "10 labels, 0 of them yes: too few to tell what they brought" in err


def test_copies_are_asked_about_once(aliens: Aliens, label: Labelled, tagged: Path) -> None:
    (tagged / "copy.jpg").write_bytes((tagged / "00.jpg").read_bytes())
    aliens("add", tagged)
    aliens("tag")
    _, out, _ = label("y\n" * 11, "pool", "--json")
    assert len(objects(out)) == 10
    assert len(labels()) == 11  # of both, since the bytes are the same
    aliens("tag", "unset", tagged / "copy.jpg", "pool")  # the last word counts
    assert {each.present for each in labels() if each.photo_id in (1, 11)} == {False}


def test_a_sheet_shows_the_photos_also_where_a_file_is_gone(label: Labelled, tagged: Path) -> None:
    (tagged / "03.jpg").unlink()
    code, out, err = label("s\n" * 9 + "y\n", "pool", "-o", "label.jpg", "--json")
    assert code == 0
    assert len(objects(out)) == 10
    assert "10 photos: label.jpg" in err
    from PIL import Image

    with Image.open("label.jpg") as sheet:
        assert sheet.width > 1500
    assert label("y\n", "pool", "-o", "label.docx")[0] == 2


def test_a_library_that_cannot_be_written_is_refused_before_anything_is_asked(
    aliens: Aliens, tagged: Path, tmp_path: Path
) -> None:
    script = (
        "import sys, cli; sys.argv = ['aliens', *sys.argv[1:]]\ntry: cli.main()\nexcept SystemExit as s: print(s.code)"
    )
    with unwritable(tmp_path / "aliens-library") as root:
        said = without_rights(script, "label", "pool", "--library", root, given="y\n")
    assert said.strip() == "1"
    assert labels() == []


def test_two_sessions_at_once_are_asked_about_different_photos(label: Labelled, tagged: Path) -> None:
    command = [sys.executable, "-m", "cli", "label", "pool", "--json", "--count", "6"]
    command += ["--library", str(Path("aliens-library").resolve())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write("y\n")
        running.stdin.flush()
        first = json.loads(running.stdout.readline())
        _, out, _ = label("n\n" * 4, "pool", "--json", "--count", 4)  # it has six of the ten
        others = {each["photo_id"] for each in objects(out)}
        assert len(others) == 4
        assert first["photo_id"] not in others
        with library() as opened:  # a third one labels beneath its eyes
            mine = opened.ask_labels("pool", tab="third", count=10)[0]
            assert len(mine) == 5  # where nobody else is asked about anything, those of others
            opened.label([photo for photo, _ in mine[1:]], "a pool")
        out, err = running.communicate("n\nn\nn\n")
    assert running.returncode == 0, err
    assert not others & {each["photo_id"] for each in objects(out)}
    assert len(objects(out)) <= 2  # what it had asked about at that moment, and the one that is left
    assert len(labels()) == 10
    assert json.loads(Path("aliens-library/pages/labelling/lent.json").read_text(encoding="utf-8"))[
        "photos"
    ].keys() <= {"pool"}


# At a terminal


class Typist:
    """Somebody at a terminal: what stands there, and keys."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 100))
        self.before = termios.tcgetattr(theirs)
        command = [sys.executable, "-m", "cli", "label", *arguments]
        command += ["--no-open", "--library", str(Path("aliens-library").resolve())]
        environment = {**os.environ, "TERM": "xterm"}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # makes it the terminal that Ctrl-C is of
        )
        self.theirs = theirs
        self.text = ""

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until words stand there so many times."""
        until = time.monotonic() + PATIENCE_S
        while len(re.findall(words, self.text)) < times:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, until - time.monotonic()))
            assert ready, self.text
            try:
                self.text += os.read(self._ours, 65_536).decode("utf-8", "replace")
            except OSError as error:  # how Linux says that the other side was closed
                raise AssertionError(self.text) from error

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def close(self) -> int:
        """Wait for the end, and return the exit code."""
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> "Typist":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.theirs)
        os.close(self._ours)


@pytest.mark.usefixtures("ctrl_c")
def test_keys_at_a_terminal_and_a_kill_lose_nothing(tagged: Path) -> None:
    with Typist("pool") as typist:
        typist.wait_for("y yes, n no, s skip, u undo, q quit")
        typist.wait_for(r"a pool\?", 1)
        sheet = Path(re.search(r"10 photos: \x1b\S+?\x1b\\(/\S+?\.jpg)", typist.text)[1])  # type: ignore[index]
        assert sheet.is_file()
        typist.type("y")
        typist.wait_for(r"a pool\?", 2)
        typist.type("x\x1b[A")  # a key that is none, an arrow
        typist.type("n")
        typist.wait_for(r"a pool\?", 3)
        typist.type("su")
        typist.wait_for("again")
        os.kill(typist.process.pid, signal.SIGKILL)
        assert typist.close() == -signal.SIGKILL
    assert sorted(each.present for each in labels()) == [False, True]
    sheet.unlink()

    with Typist("pool") as typist:
        typist.wait_for(r"a pool\?", 1)
        typist.type("y")
        typist.wait_for(r"a pool\?", 2)
        typist.type("\x03")
        typist.wait_for("stopped: all answers are kept; the same command goes on")
        assert typist.close() == 130
        assert termios.tcgetattr(typist.theirs) == typist.before
    assert len(labels()) == 3
    assert len({each.photo_id for each in labels()}) == 3
    assert not sheet.with_name(f"aliens-label-{typist.process.pid}.jpg").exists()


def test_tags_of_a_whole_photo_are_chosen_by_keys(tagged: Path) -> None:
    with Typist() as typist:
        typist.wait_for("shows none of them")
        typist.type("1")
        typist.wait_for("shows a pool")
        typist.type("12+")
        typist.wait_for("the tag's name: ")
        typist.type("tv\n")
        typist.wait_for("shows a king-size bed, a tv")
        typist.type("\n")
        typist.wait_for("shows none of them", 3)
        typist.type("\x04")
        assert typist.close() == 0
    assert {each.tag for each in labels() if each.present} == {"king-size bed", "tv"}
    assert len(labels()) == 15


def test_a_photo_that_left_is_not_asked_about(aliens: Aliens, label: Labelled, tagged: Path) -> None:
    label("y\n" * 3, "pool")
    gone = labels()[0].photo_id
    (tagged / f"{gone - 1:02d}.jpg").unlink()
    aliens("add", tagged)
    code, out, _ = label("n\n" * 10, "pool", "--json")
    assert code == 0
    assert gone not in [each["photo_id"] for each in objects(out)]
    with library() as opened:
        state = opened.ask_labels("pool")[1]
        assert state.yes + state.no == 9


def test_a_method_that_labels_do_not_teach_is_told_and_labels_are_kept(
    aliens: Aliens, label: Labelled, tagged: Path
) -> None:
    aliens("tag", "--method", "softmax")
    code, out, err = label("y\nn\n" * 5, "pool", "--json")
    assert (code, len(objects(out)), len(labels())) == (0, 10, 10)
    assert "are decided by the method softmax, which labels do not teach: run `aliens tag" in err
    assert not any(each["brought"] for each in objects(out))
