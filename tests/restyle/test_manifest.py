import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from base.errors import OutputError, QueryError
from restyle.picks import Pick, PickList, as_manifest, as_toml, read_picks, value_of, write_picks

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PICKS = st.builds(
    Pick,
    photo_id=st.integers(1, 2**62),
    strength=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**32 - 1),
    **dict.fromkeys(("path", "member", "prompt", "negative_prompt", "kind", "why"), TEXT),
)
MANIFESTS = st.builds(
    PickList,
    picks=st.lists(PICKS, max_size=4, unique_by=lambda pick: pick.photo_id).map(tuple),
    created=st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0)),
    **dict.fromkeys(("library", "query", "strategy", "palette", "engine"), TEXT),
)


@given(MANIFESTS, TEXT)
@example(PickList(picks=(Pick(photo_id=1, path='C:\\a"b\x7f\x00\n\r\t\x1b\u2028\x85 "" 🛁 #'),)), "a\nb = 1")
@example(PickList(picks=(Pick(photo_id=1, path="a", strength=1e-12),)), "")
def test_what_was_written_is_read(manifest: PickList, name: str) -> None:
    assert as_manifest(tomllib.loads(as_toml(manifest, name))) == manifest


@given(st.text())
@example("half a character \ud83d")
def test_any_text_is_valid_toml(text: str) -> None:
    assert tomllib.loads(f"a = {value_of(text)}")["a"] == text.encode(errors="replace").decode()


def test_a_file_has_hints_for_people_and_is_read_again(tmp_path: Path) -> None:
    manifest = PickList(
        picks=(Pick(photo_id=12, path="/a/b.jpg", kind="minimal", why="71 % flat"), Pick(photo_id=3, path="/c.jpg")),
        created=datetime(2030, 1, 31, 12, tzinfo=UTC),
        library="/photos/library",
        palette="fern",
    )
    path = tmp_path / "new" / "picks.toml"
    write_picks(manifest, path)
    text = path.read_text()
    command = "`aliens restyle --manifest picks.toml --library /photos/library`"
    assert all(word in text for word in (command, "# strength = 0.45", "# seed = 1", "# prompt ="))
    assert read_picks(path) == manifest
    path.write_text(text.replace("# strength", "strength").replace("# seed", "seed"))  # as a person edits it
    first = read_picks(path).picks[0]
    assert (first.strength, first.seed, first.prompt) == (0.45, 1, "")


def test_a_photo_with_another_seed_is_no_repeat() -> None:
    picks = as_manifest({"pick": [{"photo": 1, "seed": 1}, {"photo": 1, "seed": 2}]}).picks
    assert [pick.seed for pick in picks] == [1, 2]
    assert picks[0].path == ""  # which people may leave out


PICK = '[[pick]]\nphoto = 7\npath = "a"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[pick]]\nphoto = = 3\n", ["line 2"]),
        ("librari = 'a'\n", ["'librari'", "library"]),
        (f"{PICK}strenght = 0.4\n", ["pick 1 (photo 7)", "'strenght'", "strength"]),
        ("[[pick]]\npath = 'a'\n", ["pick 1", "names no photo"]),
        ("[[pick]]\nphoto = '7'\n", ["pick 1", "'7'"]),
        ("[[pick]]\nphoto = true\n", ["pick 1", "True"]),
        ("[[pick]]\nphoto = 0\n", ["pick 1", "photo is 0"]),
        (f"{PICK}strength = 1.5\n", ["photo 7", "1.5", "0 to 1"]),
        (f"{PICK}strength = nan\n", ["photo 7", "nan"]),
        (f"{PICK}strength = '0.4'\n", ["photo 7", "'0.4'"]),
        (f"{PICK}seed = -1\n", ["photo 7", "-1"]),
        (f"{PICK}seed = 4294967296\n", ["photo 7", "4294967296"]),
        (f"{PICK}seed = 1.5\n", ["photo 7", "1.5"]),
        (f"{PICK}prompt = 3\n", ["photo 7", "prompt is 3", "quotes"]),
        (f"{PICK}{PICK}", ["pick 2", "photo 7", "pick 1"]),
        (f"{PICK}why = 'one'\n{PICK}why = 'other'\n", ["pick 2", "pick 1"]),
        ("pick = 3\n", ["[[pick]]"]),
        ("pick = [1]\n", ["[[pick]]"]),
        ("created = 'today'\n", ["created", "today"]),
        ("palette = 3\n", ["palette is 3"]),
        ("palette = 'fern'\n", ["picks nothing", "[[pick]]"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "picks.toml").write_text(text)
    with pytest.raises(QueryError) as error:
        read_picks(tmp_path / "picks.toml")
    for word in ["picks.toml", *words]:
        assert word in str(error.value)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="cannot be read"):
        read_picks(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"library = '\xe9'\n")
    with pytest.raises(QueryError, match="no TOML file"):
        read_picks(tmp_path / "latin.toml")
    with pytest.raises(OutputError, match="cannot be written"):
        write_picks(PickList(picks=()), tmp_path / "latin.toml" / "picks.toml")
