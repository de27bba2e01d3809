"""`aliens tag suggest` as the shell runs it, on a fake encoder's vectors: what it prints means nothing."""

import json
from pathlib import Path

from tests.commands.conftest import Aliens


def test_it_prints_objects_for_programs_and_tables_for_people_by_both_spellings(aliens: Aliens, tagged: Path) -> None:
    aliens("tag", "set", *range(1, 6), "a pool")
    aliens("tag", "unset", *range(6, 11), "a pool")
    out, err = aliens.well("tag", "suggest", "--json", "--try", "a pool: a lido")
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert kinds.count("tried") == 1
    assert set(kinds) <= {"prompts", "tried", "words"}
    out, err = aliens.well("tags", "suggest", "--try", "a pool: a lido")
    assert "a lido" in out
    assert "1 tag judged by labels" in err
    assert "too few labels to judge prompts of 14 tags" in err


def test_without_labels_it_says_what_it_needs_and_still_shows_photos_without_a_tag(
    aliens: Aliens, tagged: Path
) -> None:
    out, err = aliens.well("tag", "suggest", "bathtub", "--try", "a tin bath")
    assert out == ""
    assert "0 tags judged by labels" in err
    assert "5 photos that have it and 5 that have not are enough" in err
    assert "`aliens label 'a bathtub'` asks for them" in err
    _, err = aliens.well("tag", "suggest")
    assert "too few labels to judge prompts of 15 tags" in err and "`aliens label` asks for them" in err
    assert "from 10 on they can be grouped" in err or "photos have no tag" in err


def test_what_does_not_go_together_is_said_before_anything_is_looked_at(aliens: Aliens, tagged: Path) -> None:
    Path("there.toml").write_text("", encoding="utf-8")
    for arguments, told in (
        (("--add", "a fence"), "--add 'a fence' goes with --write NEW.toml"),
        (("--only", "words", "--try", "a tin bath"), "--try, --try-file and --truth are for prompts"),
        (("--only", "words", "--truth", "labels.csv"), "--try, --try-file and --truth are for prompts"),
        (("--only", "prompts", "--groups", 3), "--groups 3 is for photos without a tag"),
        (("-o", "sheet.txt"), "a sheet cannot be written as 'sheet.txt'"),
        (("pool", "--only", "words"), "'pool' is a tag, and words are for photos that have none"),
        (("--write", "there.toml"), "there.toml is there already: choose another name"),
        (("--write", "new.txt"), "end its name in .toml"),
        (("-v", "nothing"), "is not tagged with 'nothing'"),
        (("--try", "\x1b[31m"), "cannot be a prompt"),
        (("--truth", "nowhere.csv"), "nowhere.csv"),
    ):
        err = aliens.fails(2, "tag", "suggest", *arguments)
        assert told in err


def test_a_library_without_tags_says_what_to_do(aliens: Aliens, filled: Path) -> None:
    assert "is not tagged yet: run `aliens tag" in aliens.fails(2, "tag", "suggest")


def test_where_every_photo_has_a_tag_no_word_is_missing_and_nothing_is_written(aliens: Aliens, tagged: Path) -> None:
    aliens("tag", "set", *range(1, 11), "a tv")
    code, out, err = aliens("tag", "suggest", "--only", "words", "-o", "sheet.jpg")
    assert (code, out) == (0, "")
    assert "every one of 10 photos has a tag" in err
    assert "sheet.jpg: not written, since nothing is suggested" in err
    err = aliens.fails(2, "tag", "suggest", "--write", "new.toml")
    assert "nothing was written: no prompts are better than today's" in err
    assert not Path("new.toml").exists() and not Path("sheet.jpg").exists()
