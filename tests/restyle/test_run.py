"""Runs over several photos: what is made twice, what fails, what is kept when a run ends early."""

import errno
import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.errors import DeviceMemoryError, EngineError, LibraryError
from base.files import PhotoFile
from benchmarks.synthetic import SyntheticEngine
from embedding.colour import read_pixels
from restyle.floors import Floors
from restyle.palettes import Ramp, read_palette
from restyle.regrade import RegradeEngine
from restyle.studio import Done, Failed, Order
from tests.by_folder import disagreements as verify
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.restyle.pictures import room
from tests.restyle.studios import (
    FERN,
    SMALL,
    BreakingEngine,
    agree,
    at_photo,
    kept,
    made,
    order_of,
    orders_of,
    run,
    studio,
)

MEMORY = DeviceMemoryError("the device has too little memory: take a smaller --longest-px or --offload")


# The same wish is not done twice.


@pytest.mark.parametrize("engine", [RegradeEngine(FERN), SMALL], ids=["regrade", "synthetic"])
def test_a_second_run_makes_nothing(filled: LibraryFactory, photos: Path, engine: Any) -> None:
    first = run(filled.folder, orders_of(photos), engine)
    before = {result.path: result.path.stat().st_mtime_ns for result in kept(filled.folder)}
    second = run(filled.folder, orders_of(photos), engine)
    assert (made(first), made(second)) == ([True] * 3, [False] * 3)
    assert [each.result for each in second] == [each.result for each in first]  # type: ignore[union-attr]
    assert {result.path: result.path.stat().st_mtime_ns for result in kept(filled.folder)} == before
    assert agree(filled.folder)


def test_again_makes_them_anew_in_their_place(filled: LibraryFactory, photos: Path) -> None:
    (first,) = run(filled.folder, orders_of(photos, [1]))
    (again,) = run(filled.folder, orders_of(photos, [1]), again=True)
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert again.made_now
    assert (again.result.id, again.result.path) == (first.result.id, first.result.path)
    assert again.result.made_at > first.result.made_at
    assert agree(filled.folder)


def test_a_result_whose_file_is_damaged_or_gone_is_made_anew_as_it_was(filled: LibraryFactory, photos: Path) -> None:
    """By what damage, and that it is noticed, test_results.py tries."""
    run(filled.folder, orders_of(photos))
    damaged, gone, _ = kept(filled.folder)
    pixels = read_pixels(PhotoFile(str(damaged.path)))
    damaged.path.write_bytes(damaged.path.read_bytes()[:-1])
    assert [found.part for found in verify(filled.folder)] == ["result"]
    gone.path.unlink()
    assert made(run(filled.folder, orders_of(photos))) == [True, True, False]
    assert np.array_equal(read_pixels(PhotoFile(str(damaged.path))), pixels)
    assert agree(filled.folder)
    assert verify(filled.folder) == []


OTHER_WISHES: list[tuple[dict[str, Any], dict[str, Any]]] = [  # how a run is made, and what is wished of its photo
    ({"palette": read_palette("lagoon")}, {}),
    ({"palette": replace(FERN, sky=Ramp(FERN.sky.lab + np.array([0, 0, -5], np.float32)))}, {}),  # of the same name
    ({"floor": 0.3}, {}),
    ({"file_format": "jpg"}, {}),
    ({"engine": replace(SMALL, cover=0.5)}, {}),
    ({"engine": replace(SMALL, longest_px=64)}, {}),
    ({"engine": replace(SMALL, settings=replace(SMALL.settings, steps=5))}, {}),
    ({}, {"strength": 0.2}),
    ({}, {"seed": 7}),
    ({}, {"seeds": 1}),
    ({}, {"prompt": "ferns"}),
    ({}, {"budget_s": 60.0}),
]


def test_another_wish_is_another_result(filled: LibraryFactory, photos: Path) -> None:
    run(filled.folder, orders_of(photos, [1]), SMALL)
    for how, wish in OTHER_WISHES:
        assert made(run(filled.folder, orders_of(photos, [1], **wish), **{"engine": SMALL} | how)) == [True], (
            how,
            wish,
        )
    assert len(kept(filled.folder)) == 1 + len(OTHER_WISHES)
    assert made(run(filled.folder, orders_of(photos, [1]), SMALL)) == [False]
    assert agree(filled.folder)


def test_a_photo_whose_bytes_changed_is_restyled_anew(filled: LibraryFactory, photos: Path) -> None:
    run(filled.folder, orders_of(photos, [1, 2]))
    (photos / "00.jpg").write_bytes(photo_bytes(77))
    assert made(run(filled.folder, orders_of(photos, [1, 2]))) == [True, False]


def test_the_same_photo_under_two_numbers_has_two_results(filled: LibraryFactory, photos: Path) -> None:
    file = photos / "00.jpg"
    assert made(run(filled.folder, [order_of(file, 1), order_of(file, 2), order_of(file, 1)])) == [True, True, False]


def test_every_attempt_is_told_and_kept(filled: LibraryFactory, photos: Path) -> None:
    told = []
    with studio(filled.folder, SMALL) as opened:
        orders = orders_of(photos, [1, 2], strength=None)
        outcomes = list(opened.restyle(orders, lambda order, attempt: told.append(order.photo_id)))
    for number, each in enumerate(outcomes, start=1):
        assert isinstance(each, Done)
        lineage = each.result.lineage
        assert told.count(number) == len(lineage.attempts) > 1
        assert lineage.diffusion
        assert lineage.settings["strength"] == max(
            attempt["settings"]["strength"]
            for attempt in lineage.attempts
            if attempt["rung"] == lineage.rung and not attempt["failures"]
        )


def test_regraded_photos_are_never_called_diffused(filled: LibraryFactory, photos: Path) -> None:
    floors = Floors(hog=0.9999, edge_f1=0.97)  # nothing that is painted passes
    for each in run(filled.folder, orders_of(photos, [1, 2], prompt="ferns", seeds=0), SMALL, floors=floors):
        assert isinstance(each, Done)
        lineage = each.result.lineage
        assert lineage.rung in ("regraded", "unchanged")
        assert (lineage.diffusion, lineage.prompt) == (False, "")
        assert "no diffusion model was used" in lineage.summary


# Photos of all kinds.


def saved(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, file_format, **options)
    return data.getvalue()


def rotated() -> bytes:
    """Return a photo that lies on its side, and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(room(3, (120, 80))), "JPEG", exif=exif)


ROOM = Image.fromarray(room(3, (120, 80)))
GREY = Image.fromarray(room(3, (120, 80))).convert("L")
SIXTEEN_BIT = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
GOOD: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "greyscale": (lambda: saved(GREY, "JPEG"), (120, 80)),
    "1x1": (lambda: saved(ROOM.resize((1, 1)), "PNG"), (1, 1)),
    "panorama": (lambda: saved(ROOM.resize((4000, 60)), "JPEG"), (2048, 31)),
    "tall": (lambda: saved(ROOM.resize((3, 900)), "PNG"), (3, 900)),
    "40 megapixels": (lambda: saved(ROOM.resize((8000, 5000), Image.Resampling.NEAREST), "JPEG"), (2048, 1280)),
    "alpha": (lambda: saved(Image.merge("RGBA", (*ROOM.split(), GREY)), "PNG"), (120, 80)),
    "CMYK": (lambda: saved(ROOM.convert("CMYK"), "JPEG"), (120, 80)),
    "16 bits": (lambda: saved(SIXTEEN_BIT, "PNG"), (120, 80)),
    "palette": (lambda: saved(ROOM.quantize(16), "GIF"), (120, 80)),
    "rotated": (rotated, (80, 120)),
    "black": (lambda: saved(Image.new("RGB", (64, 48)), "PNG"), (64, 48)),
    "white": (lambda: saved(Image.new("RGB", (64, 48), "white"), "PNG"), (64, 48)),
}
BAD: dict[str, tuple[bytes | None, str]] = {
    "truncated": (photo_bytes(1, (300, 200))[:900], "truncated"),
    "empty": (b"", "the file is empty"),
    "no image": (b"no image at all", "no image format"),
    "too large": (saved(Image.new("1", (12_000, 9_000)), "PNG"), "over the cap"),
    "deleted": (None, "cannot be read: No such file"),
}


def good_orders(folder: Path, kinds: Iterable[str]) -> list[Order]:
    """Return orders for photos of these kinds, written into a folder."""
    for kind in kinds:
        (folder / kind).write_bytes(GOOD[kind][0]())
    return [order_of(folder / kind, 1 + place % 10) for place, kind in enumerate(kinds)]  # ten numbers are known


def test_photos_of_every_kind_are_restyled_upright_and_recognisably(filled: LibraryFactory, tmp_path: Path) -> None:
    outcomes = run(filled.folder, good_orders(tmp_path, GOOD))
    for (kind, (_, size)), outcome in zip(GOOD.items(), outcomes, strict=True):
        assert isinstance(outcome, Done), (kind, outcome)
        pixels = read_pixels(PhotoFile(str(outcome.result.path)))
        assert (pixels.shape[1], pixels.shape[0]) == size, kind
        scores = outcome.result.lineage.scores
        assert outcome.result.lineage.rung == "regraded", kind
        assert scores["protan_median_de"] > (2 if kind not in ("black", "white") else 0), kind
        assert scores["hog"] > 0.55, kind


def test_engines_that_paint_take_them_too(filled: LibraryFactory, tmp_path: Path) -> None:
    kinds = ("1x1", "panorama", "black", "greyscale")
    for kind, outcome in zip(kinds, run(filled.folder, good_orders(tmp_path, kinds), SMALL), strict=True):
        assert isinstance(outcome, Done), (kind, outcome)
        lineage = outcome.result.lineage
        assert [each for each in lineage.attempts if each["rung"] == lineage.rung and not each["failures"]], kind


def test_photos_that_cannot_be_used_fail_with_a_reason_and_the_run_goes_on(
    filled: LibraryFactory, photos: Path, tmp_path: Path
) -> None:
    for name, (content, _) in BAD.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    before, after = orders_of(photos, [1, 2])
    bad = [order_of(tmp_path / name, number) for number, name in enumerate(BAD, start=3)]
    first, *failed, last = run(filled.folder, [before, *bad, after])
    assert made([first, last]) == [True, True]
    for (name, (_, reason)), outcome in zip(BAD.items(), failed, strict=True):
        assert isinstance(outcome, Failed), name
        assert str(tmp_path / name) in outcome.reason
        assert reason in outcome.reason
    assert agree(filled.folder)


def test_folders_and_files_that_may_not_be_read_fail_too(filled: LibraryFactory, tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    locked = tmp_path / "locked.jpg"
    locked.write_bytes(photo_bytes(1))
    locked.chmod(0)
    outcomes = run(filled.folder, [order_of(tmp_path / "folder.jpg"), order_of(locked, 2)])
    assert isinstance(outcomes[0], Failed)
    assert "Is a directory" in outcomes[0].reason
    if os.geteuid():
        assert isinstance(outcomes[1], Failed)
        assert "Permission denied" in outcomes[1].reason


@pytest.mark.parametrize("name", ["фото 日本 é.jpg", "a'b\"c<d>&.jpg", "new\nline.jpg", "\udcff.jpg"], ids=ascii)
def test_names_in_any_writing(filled: LibraryFactory, tmp_path: Path, name: str) -> None:
    try:
        (tmp_path / name).write_bytes(photo_bytes(77))  # which the library knows of no photo
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error}")
    assert made(run(filled.folder, [order_of(tmp_path / name)])) == [True]
    assert kept(filled.folder)[0].lineage.source_path == str(tmp_path / name)


def test_photos_inside_a_tar(filled: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for number in range(2):
            tar.add(photos / f"0{number}.jpg", f"rooms/0{number}.jpg")
    places = [PhotoFile(str(tmp_path / "photos.tar"), f"rooms/0{number}.jpg") for number in range(3)]
    outcomes = run(filled.folder, [order_of(place, number) for number, place in enumerate(places, start=1)])
    assert made(outcomes) == [True, True, None]
    assert "holds no member rooms/02.jpg" in outcomes[2].reason  # type: ignore[union-attr]
    assert kept(filled.folder)[0].lineage.source_path.endswith("photos.tar!rooms/00.jpg")
    plain = run(filled.folder, orders_of(photos, [3]))  # other photos go the same way
    assert made(plain) == [True]


# What ends a run, and what does not.


def test_too_little_memory_for_one_photo_is_its_failure_alone(filled: LibraryFactory, photos: Path) -> None:
    outcomes = run(filled.folder, orders_of(photos), BreakingEngine(before=at_photo(2, MEMORY)))
    assert made(outcomes) == [True, None, True]
    assert isinstance(outcomes[1], Failed)
    assert "--offload" in outcomes[1].reason
    assert made(run(filled.folder, orders_of(photos), SMALL)) == [False, True, False]
    assert agree(filled.folder)


@pytest.mark.parametrize(("error", "place"), [(EngineError("no weights"), 1), (KeyboardInterrupt(), 3)])
def test_a_run_that_ended_early_goes_on_as_if_it_had_not(
    filled: LibraryFactory, photos: Path, error: BaseException, place: int
) -> None:
    with pytest.raises(type(error)):
        run(filled.folder, orders_of(photos), BreakingEngine(before=at_photo(place, error)))
    assert len(kept(filled.folder)) == place - 1
    assert agree(filled.folder)
    assert made(run(filled.folder, orders_of(photos), SMALL)) == [False] * (place - 1) + [True] * (4 - place)
    assert agree(filled.folder)
    resumed = {result.path: read_pixels(PhotoFile(str(result.path))) for result in kept(filled.folder)}
    run(filled.folder, orders_of(photos), SMALL, again=True)
    assert [result.path for result in kept(filled.folder)] == list(resumed)
    for path, pixels in resumed.items():
        assert np.array_equal(read_pixels(PhotoFile(str(path))), pixels)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "is full: free some space"), (errno.EACCES, "cannot be written"), (errno.EIO, "the disk failed")],
)
def test_a_disk_that_takes_no_more_ends_the_run_and_leaves_nothing_half_written(
    filled: LibraryFactory, photos: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    real, calls = os.replace, []

    def refuse(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise OSError(number, os.strerror(number), str(target))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("base.files.os.replace", refuse)
        with pytest.raises(LibraryError, match=words):
            run(filled.folder, orders_of(photos))
    assert len(kept(filled.folder)) == 2
    assert agree(filled.folder)
    assert made(run(filled.folder, orders_of(photos))) == [False, False, True]


def test_photos_may_be_added_while_others_are_restyled(filled: LibraryFactory, photos: Path, tmp_path: Path) -> None:
    numbers = iter(range(100, 200))

    def add(job: object) -> None:
        number = next(numbers)
        assert filled.add(fill_folder(tmp_path / f"more-{number}", [number])).run.encoded == 1

    assert made(run(filled.folder, orders_of(photos, [1, 2]), BreakingEngine(before=add))) == [True, True]
    assert agree(filled.folder)


KILLED = """
import os, signal, sys
from pathlib import Path
from base.settings import LibraryFolder
from tests.restyle.studios import orders_of, run
real, calls = os.replace, []
def replace(source, target):
    calls.append(target)
    if len(calls) == 2:
        if sys.argv[3] == "after":
            real(source, target)
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = replace
run(LibraryFolder(Path(sys.argv[1])), orders_of(Path(sys.argv[2])))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_after_kill_9_the_next_run_goes_on(filled: LibraryFactory, photos: Path, moment: str) -> None:
    """Before the second file gets its name, or after that and before its row."""
    ended = subprocess.run([sys.executable, "-c", KILLED, filled.folder.root, photos, moment])
    assert ended.returncode == -signal.SIGKILL
    left = [path.name for path in filled.folder.restyled.iterdir()]
    assert len(left) == 2
    assert any(name.endswith(".tmp") for name in left) == (moment == "before")
    assert len(kept(filled.folder)) == 1, "what has no row is no result"
    assert made(run(filled.folder, orders_of(photos))) == [False, True, True]
    assert agree(filled.folder)


def test_nothing_to_do_is_done(filled: LibraryFactory) -> None:
    assert run(filled.folder, [], SyntheticEngine()) == []
