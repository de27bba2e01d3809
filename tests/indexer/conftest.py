"""What a library holds, as tests compare it; tar files and a Hotels-50K tree to add to it."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from aliens.library import Library
from base.files import PhotoFile, SegmentFile
from base.progress import Progress, Step
from base.settings import LibraryFolder
from db.model_rows import library_models
from db.models import Photo, PhotoState
from db.photo_rows import all_photos, latest_scans
from db.vector_rows import EmbeddedRows, current_model, embedded_ids, miscounted, segment_with, segments_of
from embedding.segments import SegmentStore
from indexer.sources import Source
from tests.by_folder import disagreements, session_of
from tests.conftest import FakeEncoder, LibraryFactory, copy_library, fill_folder, photo_bytes
from tests.restyled import keep_results

State = tuple[str, str | None]  # the photo's state and the kind of its failure

EMBEDDED: State = ("embedded", None)
PENDING: State = ("pending", None)


class GroupEncoder(FakeEncoder):
    """A fake encoder whose vectors depend on the whole group, as a real one's last bits do."""

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        vectors = super().encode_images(pixels)
        vectors = vectors + 0.1 * vectors.mean(axis=0) + 0.01 * len(pixels)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class WatchedEncoder(GroupEncoder):
    """A fake encoder that tells the number of every group, from 1, before it encodes it."""

    def __init__(self, before_group: Callable[[int], None]) -> None:
        super().__init__()
        self._before_group = before_group
        self._groups = 0

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        self._groups += 1
        self._before_group(self._groups)
        return super().encode_images(pixels)


def empty_library(template: LibraryFactory, root: Path) -> LibraryFactory:
    """Copy an empty library, which is quicker than making one."""
    return LibraryFactory(root, template.folder.root)


@pytest.fixture
def other_library(template: LibraryFactory, tmp_path: Path) -> LibraryFactory:
    """A second library, for a run to be compared with."""
    return empty_library(template, tmp_path / "other library")


def set_sizes(patch: pytest.MonkeyPatch, *, fan_out: int, smallest: int, most: int = 1_000_000) -> None:
    """Have segments of few rows merged."""
    patch.setattr("indexer.merging.FAN_OUT", fan_out)
    patch.setattr("indexer.merging.SMALLEST_ROWS", smallest)
    patch.setattr("indexer.merging.MOST_ROWS", most)


@contextmanager
def failing_from(
    owner: Any, name: str, error: BaseException | type[BaseException], *, call: int = 0, after: bool = False
) -> Iterator[None]:
    """Raise an error before, or after, what an owner has by a name does its work, from a call on; 0 is the first."""
    original, calls = getattr(owner, name), count()

    def failing(*arguments: Any, **options: Any) -> Any:
        is_due = next(calls) >= call
        if is_due and not after:
            raise error
        result = original(*arguments, **options)
        if is_due:
            raise error
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, failing)
        yield


TIMES_NS = count(1_700_000_000_000_000_000, 1_000_000_000)  # a clock that never shows a time twice


def write_at_a_new_time(path: Path, data: bytes) -> None:
    """Write a file at a time that no other has."""
    path.write_bytes(data)
    os.utime(path, ns=(next(TIMES_NS), next(TIMES_NS)))


LABELLED = 4  # the photo of which something is said


LINES = "a room with a pool\na hall with a lamp\n"  # that captions are chosen from


@pytest.fixture(scope="session")
def known_template(filled_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of `ten_photos`, tagged, captioned, and the fourth with a label: to be copied."""
    root = tmp_path_factory.mktemp("known")
    (root / "captions.txt").write_text(LINES, encoding="utf-8")
    library = LibraryFactory(root / "library", filled_template)
    opened = library.open()
    opened.tag()
    opened.label(LABELLED, "a pool")
    opened.caption(root / "captions.txt")
    library.close()
    return library.folder.root


@pytest.fixture
def known(library: LibraryFactory, ten_photos: Path, photos: Path, known_template: Path) -> Library:
    """A library of ten photos, the fourth with a label, captions and a restyled result."""
    copy_library(known_template, library.folder.root, ten_photos, photos)
    (photos.parent / "captions.txt").write_text(LINES, encoding="utf-8")
    keep_results(library.folder, [LABELLED])
    return library.open()


def photos_of(folder: LibraryFolder) -> dict[str, Photo]:
    """Return {path, or tar!member: photo} of all photos."""
    with session_of(folder) as session:
        return {str(PhotoFile(photo.path, photo.member)): photo for photo in all_photos(session)}


def states_of(folder: LibraryFolder) -> dict[str, State]:
    """Return {file name, or tar!member: (state, kind of failure)}."""
    return {Path(where).name: (photo.state.value, photo.failure_kind) for where, photo in photos_of(folder).items()}


def problems_of(folder: LibraryFolder) -> list[dict[str, str]]:
    """Return the problems of the latest scan of every root."""
    with session_of(folder) as session:
        return [problem for scan in latest_scans(session) for problem in scan.problems]


def vectors_of(folder: LibraryFolder, key: str | None = None) -> dict[str, bytes]:
    """Return {path, or tar!member: bytes of the vector} of every photo that can be found; `key`: by another model."""
    with session_of(folder) as session:
        model = next(each for each in library_models(session) if key in (None, each.key))
        current = SegmentStore(folder.vectors(model.key), model.dim).current(EmbeddedRows(session, model))
        assert current.ids.tolist() == embedded_ids(session, model).tolist()
        assert miscounted(session, model) == []
        places = {photo.id: str(PhotoFile(photo.path, photo.member)) for photo in all_photos(session)}
        return {
            places[photo_id]: vector.tobytes()
            for ids, vectors in current.parts()
            for photo_id, vector in zip(ids.tolist(), vectors, strict=True)
        }


def segments_in(folder: LibraryFolder) -> list[SegmentFile]:
    """Return a library's segments, the oldest first."""
    with session_of(folder) as session:
        return segments_of(session, current_model(session))


def check_invariants(folder: LibraryFolder) -> None:
    """Every photo is exactly one of embedded with a vector, failed with kind and reason, or pending; counts agree."""
    with session_of(folder) as session:
        model = current_model(session)
        store = SegmentStore(folder.vectors(model.key), model.dim)
        assert miscounted(session, model) == []
        assert store.current(EmbeddedRows(session, model)).ids.tolist() == embedded_ids(session, model).tolist()
        for photo in session.scalars(select(Photo)):
            failure = (photo.failure_kind, photo.failure_reason)
            if photo.state is PhotoState.FAILED:
                assert all(failure), f"{photo.path} failed without kind or reason: {failure}"
                continue
            assert failure == (None, None), f"{photo.path} is {photo.state} and has a failure"
            if photo.state is PhotoState.EMBEDDED:
                file = segment_with(session, model, photo.id)
                assert file is not None, f"{photo.path} has no vector"
                assert store.open(file).rows_of(np.array([photo.id]))[1].all()
                assert photo.content_sha256 is not None


def check_sound(folder: LibraryFolder) -> None:
    """Check what holds of every library, and that verifying has nothing to say against this one."""
    check_invariants(folder)
    assert disagreements(folder) == []


def found_in(source: Source) -> list[str]:
    """Return what a source finds, relative to its root."""
    return [os.path.relpath(str(PhotoFile(found.path, found.member)), source.root) for found in source.photos()]


def put(folder: Path, *numbers: int) -> Path:
    """Write a small photo for each number into a folder, and return it."""
    return fill_folder(folder, numbers)


def put_named(folder: Path, *names: str, data: bytes | None = None) -> Path:
    """Write files by their names, folders and all: by default a small photo each, by the length of its name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(len(name)) if data is None else data)
    return folder


def lock_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make a folder unreadable; done in Python, since root may read everything."""
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("indexer.sources.os.scandir", refuse)


def at_step(what: str, act: Callable[[], object]) -> Progress:
    """Return a progress that acts at every step of this kind."""

    def tell(step: Step) -> None:
        if step.what == what:
            act()

    return tell


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    """Write a tar file with these members."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


CHAINS = "chain_id,chain_name\n-1,unknown\n7,Azura Bay\n"
HOTELS = "hotel_id,hotel_name,chain_id,latitude,longitude\n100,Azura One,7,36.5,-4.25\n200,Lone Inn,-1,,\n"
PHOTOS = (
    "image_id,hotel_id,image_url,image_source,upload_timestamp\n"
    "1,100,https://example.com/1.jpg,traffickcam,2018-06-16 17:39:46\n"
    "2,100,https://example.com/2.jpg,travel_website,2018-02-09 13:34:47\n"
    "3,200,https://example.com/3.jpg,travel_website,\n"
)
IMAGES = ("7/100/traffickcam/1.jpg", "7/100/travel_website/2.jpg", "-1/200/travel_website/3.jpg")


class HotelsTree:
    """A small Hotels-50K tree: two hotels, one of them in a chain, and three photos."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.csv("chain_info.csv", CHAINS)
        self.csv("hotel_info.csv", HOTELS)
        self.csv("train_set.csv", PHOTOS)
        for number, place in enumerate(IMAGES):
            self.image(place, number)

    def csv(self, name: str, content: str | bytes) -> None:
        """Write one of the CSV files whole."""
        path = self.root / "dataset" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def add_rows(self, name: str, *rows: str | bytes) -> None:
        """Add rows to one of the CSV files."""
        with open(self.root / "dataset" / name, "ab") as file:
            for row in rows:
                file.write((row.encode() if isinstance(row, str) else row) + b"\n")

    def image(self, place: str, seed: int) -> Path:
        """Write a photo at a place below images/train."""
        path = self.root / "images" / "train" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(seed))
        return path


@pytest.fixture
def tree(tmp_path: Path) -> HotelsTree:
    """A small Hotels-50K tree."""
    return HotelsTree(tmp_path / "hotels")


TEST_PHOTOS = PHOTOS.splitlines()[0] + "\n11,100,,traffickcam,2018-06-16 17:39:46\n12,200,,traffickcam,\n"
TEST_IMAGES = ("7/100/traffickcam/11.jpg", "-1/200/traffickcam/12.jpg")


@pytest.fixture
def whole_tree(tree: HotelsTree) -> HotelsTree:
    """A small Hotels-50K tree with two photos of the test, in each of its splits with other pixels."""
    tree.csv("test_set.csv", TEST_PHOTOS)
    for number, split in enumerate(("unoccluded", "low_occlusions", "medium_occlusions", "high_occlusions")):
        for place in TEST_IMAGES:
            seed = 20 + number * 10 + int(Path(place).stem)
            tree.image(f"../test/{split}/{place}", seed)
    return tree
