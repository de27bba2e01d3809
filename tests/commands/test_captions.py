import sys
from pathlib import Path

import numpy as np
import pytest

from tests.commands.conftest import Aliens
from tests.conftest import photo_bytes, raising


@pytest.fixture
def filled(filled: Path) -> Path:
    """A library in the working folder with the ten small photos in it, and a file of captions."""
    Path("captions.txt").write_text("# rooms\na room with a pool\na room with a bed\na quiet room\n", encoding="utf-8")
    return filled


def test_captions_are_chosen_from_a_file(aliens: Aliens, filled: Path) -> None:
    out, _ = aliens.well("caption", "--from", "captions.txt", "-k", 2)
    assert out.startswith("captions.txt-")
    assert out.endswith("10 photos captioned, 0 had captions, 0 cannot be read\n")
    out, _ = aliens.well("caption", "--from", "captions.txt", "-k", 2)
    assert "0 photos captioned, 10 had captions" in out


def test_captions_are_written_by_a_model(aliens: Aliens, filled: Path, coca: str) -> None:
    (filled / "03.jpg").write_bytes(photo_bytes(3)[:200])
    out, err = aliens.well("caption", "--generate", "--model", coca, "--device", "cpu", "--limit", 4)
    assert out.startswith("tiny-coca-")
    assert "4 photos captioned, 0 had captions, 1 cannot be read" in out
    assert "03.jpg: OSError" in err
    assert f"loading {coca}" in err
    _, out, _ = aliens("caption", "--generate", "--model", coca, "--device", "cpu")
    assert "5 photos captioned, 4 had captions, 1 cannot be read" in out


def test_many_unreadable_photos_are_named_in_part(
    aliens, filled: Path, coca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.captions.MOST_EXAMPLES", 2)
    monkeypatch.setattr("embedding.captioner.Captioner.generate", lambda self, pixels: ["a room"] * len(pixels))
    for number in range(5):
        (filled / f"{number:02d}.jpg").unlink()
    out, err = aliens.well("caption", "--generate", "--model", coca, "--device", "cpu")
    assert "5 cannot be read" in out
    assert err.count("No such file") == 2
    assert "... and 3 photos more" in err


def test_without_weights_the_remedies_are_named(aliens, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_clip.factory.download_pretrained", raising(ConnectionError("no route to the model hub")))
    monkeypatch.setattr("embedding.hub.hub_answers", lambda: False)
    err = aliens.fails(1, "caption", "--generate")
    for remedy in (
        "no route to the model hub",
        "--model local-dir:FOLDER",
        "blip:FOLDER",
        "aliens caption --from FILE",
    ):
        assert remedy in err


def test_ctrl_c_keeps_what_was_done_and_says_so(
    aliens, filled: Path, coca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []

    def stop_at_the_second(captioner: object, pixels: np.ndarray) -> list[str]:
        groups.append(len(pixels))
        if len(groups) == 2:
            raise KeyboardInterrupt
        return ["a room"] * len(pixels)

    monkeypatch.setattr("embedding.captioner.Captioner.generate", stop_at_the_second)
    err = aliens.fails(130, "caption", "--generate", "--model", coca, "--device", "cpu")
    assert "the same command goes on from here" in err
    _, out, _ = aliens("caption", "--generate", "--model", coca, "--device", "cpu")
    assert "2 photos captioned, 8 had captions" in out


def test_captions_in_a_pipe_are_photo_tab_path_tab_caption(aliens: Aliens, filled: Path) -> None:
    aliens("caption", "--from", "captions.txt", "-k", 3)
    code, out, err = aliens("captions", "rooms", "pool", "-k", 4)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 4
    for line in lines:
        photo_id, path, text = line.split("\t")
        assert int(photo_id) > 0
        assert Path(path).is_file()
        assert text == "a room with a pool"


def test_captions_on_a_terminal_are_a_table(aliens, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aliens("caption", "--from", "captions.txt", "-k", 3)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    _, out, _ = aliens("captions", "bed")
    assert out.split()[:4] == ["photo", "score", "caption", "path"]
    assert out.count("a room with a bed") == 10


def test_captions_as_json_have_one_object_a_line(aliens: Aliens, filled: Path) -> None:
    aliens("caption", "--from", "captions.txt", "-k", 3)
    records = aliens.records("captions", "quiet", "-k", 2)
    assert len(records) == 2
    assert records[0].keys() == {"photo_id", "path", "member", "text", "score", "set_key"}
    assert records[0]["text"] == "a quiet room"


@pytest.mark.parametrize("word", ['"', "*", "NEAR(pool", "-", "pool*", "日本", "'"])
def test_no_word_makes_the_search_fail(aliens: Aliens, filled: Path, word: str) -> None:
    aliens("caption", "--from", "captions.txt")
    code, _, err = aliens("captions", "--", word)
    assert code in (0, 2)
    assert "Traceback" not in err


def test_nothing_found_is_said(aliens: Aliens, filled: Path) -> None:
    aliens("caption", "--from", "captions.txt")
    code, out, err = aliens("captions", "elephant")
    assert (code, out) == (0, "")
    assert "no photo's captions have all these words" in err


def test_without_words_the_sets_are_listed(aliens: Aliens, filled: Path) -> None:
    code, out, err = aliens("captions")
    assert (code, out) == (0, "")
    assert "aliens caption --from FILE" in err
    aliens("caption", "--from", "captions.txt", "-k", 2)
    _, out, _ = aliens("captions")
    key, *others = out.rstrip("\n").split("\t")
    assert key.startswith("captions.txt-")
    assert others == ["chosen", "10", "20", str(Path("captions.txt").absolute())]
    assert aliens.records("captions")[0]["photos"] == 10
