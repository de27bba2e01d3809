import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from base.errors import QueryError
from db.models import PhotoState
from db.photo_names import near_photos, no_vector, number_or_path, photo_ids
from tests.db.conftest import put_photos

pytestmark = pytest.mark.every_database

ROOT = "/library"


@pytest.fixture
def known(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Photos in the working folder: two files, one called 12, and three members of a tar."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "12"):
        (folder / name).touch()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    ids = put_photos(session, [str(folder / name) for name in ("a.jpg", "b.jpg", "12")])
    for member in ("m.jpg", "./dir/m.jpg", "é/it's a!b.jpg"):
        ids += put_photos(session, [str(folder / "x.tar")], member=member)
    return ids


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("photos/a.jpg", 0),
        ("./photos/../photos//a.jpg", 0),
        ("link/b.jpg", 1),
        (Path("photos") / "b.jpg", 1),
        ("photos/12", 2),
        ("photos/x.tar/m.jpg", 3),
        ("link/x.tar!m.jpg", 3),
        ("photos/x.tar/dir/m.jpg", 4),
        ("photos/x.tar!./dir/m.jpg", 4),
        (unicodedata.normalize("NFD", "photos/x.tar/é/it's a!b.jpg"), 5),
    ],
)
def test_a_path_names_its_photo_as_written(session: Session, known: list[int], name: str | Path, place: int) -> None:
    assert photo_ids(session, ROOT, [name]) == [known[place]]
    assert photo_ids(session, ROOT, [os.path.abspath(name)]) == [known[place]]


@pytest.mark.parametrize("folder_form", ["NFC", "NFD"])
@pytest.mark.parametrize("name_form", ["NFC", "NFD"])
def test_folder_and_name_may_be_composed_by_different_programs(
    session: Session, tmp_path: Path, folder_form: str, name_form: str
) -> None:
    folder, name = unicodedata.normalize(folder_form, "Été"), unicodedata.normalize(name_form, "Café.jpg")
    ids = put_photos(session, [str(tmp_path / folder / name)])
    for typed in ("NFC", "NFD"):
        assert photo_ids(session, ROOT, [tmp_path / unicodedata.normalize(typed, "Été/Café.jpg")]) == ids


def test_a_link_to_a_photo_names_it_and_a_photo_known_by_a_link_is_known(session: Session, known: list[int]) -> None:
    os.symlink("photos/a.jpg", "link.jpg")
    assert photo_ids(session, ROOT, ["link.jpg"]) == known[:1]
    by_link = put_photos(session, [os.path.abspath("link.jpg")])
    assert photo_ids(session, ROOT, ["link.jpg"]) == by_link


def test_numbers_are_numbers_and_each_photo_comes_once_in_turn(session: Session, known: list[int]) -> None:
    os.symlink("photos/a.jpg", "12")
    assert photo_ids(session, ROOT, [7, "12", np.int64(9), "photos/a.jpg", 7, "./12"]) == [7, 12, 9, known[0]]
    assert number_or_path("-5") == -5
    assert number_or_path("٣") == os.path.abspath("٣")  # a digit, but of no number that anything prints


def test_thousands_of_paths_take_few_statements(session: Session, engine: Engine, tmp_path: Path) -> None:
    asked: list[str] = []
    paths = [str(tmp_path / f"{number}.jpg") for number in range(2500)]
    ids = put_photos(session, paths)
    members = [str(tmp_path / "x.tar")] * 1
    ids += put_photos(session, members, member="m.jpg")
    event.listen(engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement))
    assert photo_ids(session, ROOT, [*paths, f"{tmp_path}/x.tar/m.jpg"]) == ids
    assert len(asked) < 12


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("photos/c.jpg", "no photo photos/c.jpg in /library; near it: photos/"),
        ("photos/new.jpg", "take it up with `aliens add"),
        ("photos", "it is a folder, so name a photo in it"),
        ("elsewhere/a.jpg", "near it: photos/a.jpg"),
        ("elsewhere/q", "name a photo by its number or its path"),
        ("photos/x.tar/gone.jpg", "no photo photos/x.tar/gone.jpg"),
        ("100%_.jpg", "no photo 100%_.jpg in /library: name"),
        ("", "a photo's name is empty"),
        ("a\0b", "no file can be called"),
        ("\ud800", "no file can be called"),
        ("1" * 5000, "no photo 1111"),
        ("x" * 5000, "no photo xxx"),
        ("!" * 3000, "no photo !!!"),
    ],
)
def test_what_is_unknown_is_named_with_what_is_near(session: Session, known: list[int], name: str, words: str) -> None:
    Path("photos/new.jpg").touch()
    with pytest.raises(QueryError) as error:
        photo_ids(session, ROOT, [name])
    assert words in str(error.value)
    assert len(str(error.value)) < 1000


def test_of_unknown_paths_the_first_is_named_and_the_others_counted(session: Session, known: list[int]) -> None:
    with pytest.raises(QueryError, match=r"no photo q1 in /library \(nor at 2 other of the paths\)"):
        photo_ids(session, ROOT, ["photos/a.jpg", "q1", "q2", "q3"])


def test_near_photos_are_of_the_folder_itself_before_those_below(session: Session, tmp_path: Path) -> None:
    put_photos(session, [str(tmp_path / "below" / "room.jpg"), str(tmp_path / "rooms.jpg")])
    assert near_photos(session, str(tmp_path / "room.jpg")) == [str(tmp_path / "rooms.jpg")]


def test_why_a_photo_has_no_vector(session: Session) -> None:
    (waiting,) = put_photos(session, ["/p/a.jpg"])
    (failed,) = put_photos(
        session, ["/p/b.jpg"], state=PhotoState.FAILED, failure_kind="truncated", failure_reason="it ends too early"
    )
    assert "/p/a.jpg waits for `aliens add`" in str(no_vector(session, ROOT, waiting))
    assert "/p/b.jpg cannot be used (it ends too early)" in str(no_vector(session, ROOT, failed))
    assert "take an id" in str(no_vector(session, ROOT, 2**63))
