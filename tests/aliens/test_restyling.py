"""Restyling from Python: a run that is stopped goes on, and what comes back shows itself in a notebook."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aliens.library import Library
from base.errors import OutputError
from base.progress import Step
from restyle.studio import Done, Failed
from tests.conftest import LibraryFactory, raising, stopping_at
from tests.restyle.pictures import mosaic, room, wall
from tests.restyle.studios import agree, kept

REGRADE = "regrade"


@pytest.fixture
def rooms(library: LibraryFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library of six photos: a detailed one, a peach wall and rooms. The fake encoder guesses nothing."""
    monkeypatch.setattr("restyle.candidates.picking.UNWANTED_FROM", 2.0)
    folder = tmp_path / "rooms"
    folder.mkdir()
    for number, pixels in enumerate([mosaic(1), wall((255, 190, 160)), *(room(n) for n in range(4))], start=1):
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{number}.png")
    library.add(folder)
    return library.open()


def stop_at_an_attempt(step: Step) -> None:
    """Press Ctrl-C in the middle of the third photo."""
    if step.what == "restyling" and step.done == 2 and step.note:
        raise KeyboardInterrupt


def stop_at_a_result(each: Done | Failed) -> None:
    """Press Ctrl-C when the second photo is handed over."""
    if each.order.photo_id == 2:
        raise KeyboardInterrupt


def test_results_are_copied_under_readable_names_as_they_are_made(rooms: Library, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        rooms.restyle([1, 2, 3], engine=REGRADE, output=tmp_path / "out", progress=stopping_at("restyling", 2))
    assert (tmp_path / "out" / "1_fern_regrade.png").read_bytes() == rooms.restyled()[0].path.read_bytes()
    made = rooms.restyle([tmp_path / "rooms/3.png", 1], engine=REGRADE, palette="moss", output=tmp_path / "out")
    assert [each.order.photo_id for each in made] == [3, 1]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert {"1_moss_regrade.png", "3_moss_regrade.png"} < set(names)
    rooms.restyle(1, engine=REGRADE, palette="moss", output=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        rooms.restyle(4, engine=REGRADE, output=tmp_path / "file")
    assert rooms.restyled(photo=rooms.photo_ids(tmp_path / "rooms/4.png")[0]) == []


@pytest.mark.parametrize(
    "stopping",
    [{"progress": stopping_at("restyling", 2)}, {"progress": stop_at_an_attempt}, {"on_done": stop_at_a_result}],
    ids=["step", "attempt", "result"],
)
def test_ctrl_c_keeps_the_results_so_far_and_the_next_call_goes_on(rooms: Library, stopping: dict[str, object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        rooms.restyle([1, 2, 3, 4], engine=REGRADE, **stopping)  # type: ignore[arg-type]
    first = rooms.restyled()
    assert [result.lineage.source_photo_id for result in first] == [1, 2]
    assert agree(rooms.folder)
    before = {result.path: result.path.stat().st_mtime_ns for result in first}
    told: list[int] = []
    made = rooms.restyle([1, 2, 3, 4], engine=REGRADE, on_done=lambda each: told.append(each.order.photo_id))
    assert [each.made_now for each in made if isinstance(each, Done)] == [False, False, True, True]
    assert (made.made_before, made.failed, told) == (2, [], [1, 2, 3, 4])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert made.results[:2] == list(first)
    assert [result.id for result in kept(rooms.folder)] == [1, 2, 3, 4]
    assert agree(rooms.folder)


def test_ctrl_c_among_candidates_leaves_the_library_usable(rooms: Library) -> None:
    with pytest.raises(KeyboardInterrupt):
        rooms.candidates(n=2, progress=raising(KeyboardInterrupt()))
    assert len(rooms.candidates(n=2)) == 2


def test_candidates_show_themselves_and_become_frames(rooms: Library) -> None:
    found = rooms.candidates(n=3)
    page = found._repr_html_()
    assert page.count("data:image/jpeg;base64,") == len(found) == 3
    assert all(f"photo {pick.looked.record.photo_id}" in page for pick in found)
    assert "6 photos looked at" in page
    first, *_ = found.to_dicts()
    assert (first["photo_id"], first["kind"]) == (1, "detailed")
    frame = found.to_pandas()
    assert list(frame["photo_id"]) == [pick.looked.record.photo_id for pick in found]
    assert str(found).startswith("Candidates: 3 records")
    assert "detailed" in str(found)


def test_results_show_themselves_and_become_frames(rooms: Library) -> None:
    rooms.restyle([3, 4], engine=REGRADE)
    found = rooms.restyled()
    page = found._repr_html_()
    assert page.count("data:image/jpeg;base64,") == len(found) == 2
    assert "of photo 3" in page
    assert [each["source_photo_id"] for each in found.to_dicts()] == [3, 4]
    assert list(found.to_pandas()["result_id"]) == [1, 2]
    assert str(found).startswith("ResultListing: 2 records")


def test_a_run_shows_before_and_after_and_what_failed(rooms: Library, tmp_path: Path) -> None:
    (tmp_path / "rooms" / "4.png").write_bytes(b"no image any more")
    made = rooms.restyle([3, 4, 5], engine=REGRADE)
    page = made._repr_html_()
    assert page.count("data:image/jpeg;base64,") == 2 + 1 + 2  # a photo that failed has no second picture
    assert "as it was" in page
    assert "left out: " in page and "no image format" in page
    dicts = made.to_dicts()
    assert [each.get("source_photo_id", each["photo_id"]) for each in dicts] == [3, 4, 5]
    assert "no image format" in dicts[1]["failed"]
    assert list(made.to_pandas()["made_now"].eq(True)) == [True, False, True]
    assert len(made.results) == 2 and len(made.failed) == 1
    assert "(starts with b'no image')" in str(made)  # the end of why


def test_nothing_at_all_shows_itself_too(rooms: Library) -> None:
    found = rooms.restyled()
    assert (len(found), found.to_dicts(), len(found.to_pandas())) == (0, [], 0)
    assert "data:image" not in found._repr_html_()
    assert str(found) == "ResultListing: 0 records"
