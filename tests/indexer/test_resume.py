"""The law of resuming: however a run is cut off, the runs after it end where one run would have ended."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

import indexer.merging
import indexer.pipeline
from embedding.segments import SegmentStore
from tests.by_folder import disagreements as verify
from tests.conftest import LibraryFactory, photo_bytes
from tests.indexer.conftest import (
    GroupEncoder,
    check_invariants,
    check_sound,
    empty_library,
    failing_from,
    set_sizes,
    states_of,
    vectors_of,
    write_at_a_new_time,
)

BROKEN = {"empty": b"", "text": b"a photo, says its name", "truncated": photo_bytes(0)[:300]}
CRASH_PLACES: dict[str, tuple[Any, str]] = {
    "encode": (GroupEncoder, "encode_images"),
    "write a segment": (SegmentStore, "write"),
    "record a segment": (indexer.pipeline, "record_segment"),
    "update photos": (indexer.pipeline, "update_photos"),
    "commit": (Session, "commit"),
    "sync a file": (os, "fsync"),
    "rename a file": (os, "replace"),
    "merge": (indexer.merging, "merge"),
    "write a merged segment": (indexer.merging, "merged_parts"),
    "record a merged segment": (indexer.merging, "merge_segments"),
    "remove a file": (Path, "unlink"),
}


EARLY = {"fan_out": 2, "smallest": 8, "most": 30}  # two segments of fewer rows than 8 are merged, than 16, and so on

Content = int | str  # the seed of a photo, so that equal numbers are copies, or the name of a broken one
Crash = tuple[str, int, bool]

contents = st.lists(st.integers(0, 25) | st.sampled_from(sorted(BROKEN)), min_size=1, max_size=40)
crashes = st.lists(st.tuples(st.sampled_from(sorted(CRASH_PLACES)), st.integers(0, 12), st.booleans()), max_size=3)


class Crashed(Exception):
    """What a test raises in the middle of a run."""


def write_photos(folder: Path, contents: dict[int, Content]) -> None:
    folder.mkdir(exist_ok=True)
    for number, content in contents.items():
        data = BROKEN[content] if isinstance(content, str) else photo_bytes(content, size=(32, 32))
        write_at_a_new_time(folder / f"{number:03d}.jpg", data)


def check_law(template: LibraryFactory, root: Path, steps: list[dict[int, Content]], crashes: list[Crash]) -> None:
    """Add photos step by step to one library, and to another that crashes in the last step; compare the two."""
    photos = root / "photos"
    whole, resumed = (empty_library(template, root / name) for name in ("whole", "resumed"))
    whole.encoder, resumed.encoder = GroupEncoder(), GroupEncoder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.pipeline.COMMIT_PHOTOS", 8)
        patch.setattr("indexer.pipeline.MOST_ENTRIES", 16)
        set_sizes(patch, **EARLY)
        for step in steps:
            write_photos(photos, step)
            whole.add(photos)
            if step is not steps[-1]:
                resumed.add(photos)
        for place, call, after in crashes:
            with suppress(Crashed), failing_from(*CRASH_PLACES[place], Crashed, call=call, after=after):
                resumed.add(photos)
            check_invariants(resumed.folder)
        resumed.add(photos)
    assert states_of(resumed.folder) == states_of(whole.folder)
    assert vectors_of(resumed.folder) == vectors_of(whole.folder)
    assert {path.name for path in photos.iterdir()} == states_of(whole.folder).keys()
    for library in (whole, resumed):
        check_sound(library.folder)
    shutil.rmtree(root)


@settings(max_examples=10, derandomize=True, database=None)
@given(before=contents, after=contents, first=st.integers(0, 40), crashes=crashes)
@example(before=list(range(20)), after=list(range(30, 45)), first=20, crashes=[("encode", 1, False)])
@example(before=list(range(20)), after=[*range(1, 20), 0], first=0, crashes=[("write a segment", 1, False)])
@example(before=list(range(20)), after=list(range(5, 25)), first=0, crashes=[("record a merged segment", 0, True)])
def test_resumed_run_equals_an_uninterrupted_one(
    template: LibraryFactory,
    tmp_path_factory: pytest.TempPathFactory,
    before: list[Content],
    after: list[Content],
    first: int,
    crashes: list[Crash],
) -> None:
    """`first`: the number of the first photo that changes, or is new."""
    steps = [dict(enumerate(before)), dict(enumerate(after, start=first))]
    check_law(template, tmp_path_factory.mktemp("law"), steps, crashes)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", sorted(CRASH_PLACES))
def test_crash_at_every_place_leaves_a_library_that_the_next_run_completes(
    library: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    monkeypatch.setattr("indexer.pipeline.COMMIT_PHOTOS", 4)
    set_sizes(monkeypatch, **EARLY)
    reached = []
    with suppress(Crashed), failing_from(*CRASH_PLACES[place], Crashed, after=after):
        library.encoder = GroupEncoder()
        library.add(photos)
        reached.append("the end")
    assert reached == [], f"nothing calls {place}"
    check_invariants(library.folder)
    report = library.add(photos)
    assert (report.run.done, report.run.failed) == (report.run.total, 0)
    assert set(states_of(library.folder).values()) == {("embedded", None)}
    assert verify(library.folder) == []
