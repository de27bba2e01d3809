import errno
import json
import shlex
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

import aliens
import indexer.verify
from base.errors import LibraryError, SourceError
from base.files import SegmentFile
from base.progress import Step
from base.records import write_record
from base.settings import LibraryFolder
from db.models import PhotoState, Scan
from db.vector_rows import current_model, record_segment
from embedding.index.building import IndexChoice
from embedding.index.milvus import Collection, write_collection
from embedding.scores import score_files
from embedding.segments import SegmentStore
from embedding.text_tower import FORMAT, ClipTokenizer, TextTower, TowerManifest, words_sum
from indexer.merging import merge_due
from indexer.verify import Disagreement
from restyle.floors import Floors, KeptFloors, read_floors
from search.tags.calibration import TagOptions
from search.tags.vocabulary import DEFAULT, read_vocabulary
from tests.by_folder import catalog_of, create_library, reindex, repair, session_of, store_of, tag_library, tagging_of
from tests.by_folder import disagreements as verify
from tests.conftest import FakeEncoder, LibraryFactory, copy_library, fill_folder, photo_bytes, raising
from tests.db.statements import damage_page, garble
from tests.embedding.conftest import flip, overwrite
from tests.indexer.conftest import (
    EMBEDDED,
    WatchedEncoder,
    check_invariants,
    check_sound,
    empty_library,
    photos_of,
    put_named,
    segments_in,
    states_of,
    vectors_of,
    write_tar,
)
from tests.restyled import keep_results

KEY = "fake-00000000"
REPAIR = "`aliens verify --repair`"


@pytest.fixture(scope="session")
def two_segments(template: LibraryFactory, ten_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with thirteen photos, and their library of a segment of ten and another of three: to be copied."""
    root = tmp_path_factory.mktemp("two-segments")
    library, photos = empty_library(template, root / "library"), Path(shutil.copytree(ten_photos, root / "photos"))
    library.add(photos)
    library.add(fill_folder(photos, range(10, 13)))
    return root


@pytest.fixture
def segments(library: LibraryFactory, photos: Path, two_segments: Path) -> Path:
    """A library of ten photos in one segment and of three more in a second one; the folder of its segments."""
    shutil.copytree(two_segments / "photos", photos, dirs_exist_ok=True)
    copy_library(two_segments / "library", library.folder.root, two_segments / "photos", photos)
    return library.folder.vectors(KEY)


def found_by(library: LibraryFactory) -> list[tuple[str, str, str]]:
    return [(found.part, found.what, found.remedy) for found in verify(library.folder)]


def execute(library: LibraryFactory, *statements: str) -> None:
    with session_of(library.folder) as session:
        for statement in statements:
            session.execute(text(statement))
        session.commit()


def file_of(library: LibraryFactory, place: int) -> Path:
    """Return the file of a segment by its place, the oldest first."""
    return library.folder.vectors(KEY) / f"{segments_in(library.folder)[place].name}.faiss"


def write_segment(library: LibraryFactory, vectors: np.ndarray, photo_ids: list[int]) -> SegmentFile:
    """Write vectors as they are, and record them: as a program with an error would."""
    with catalog_of(library.folder) as catalog, catalog.session() as session:
        file = store_of(catalog).write(np.array(photo_ids, np.int64), vectors)
        record_segment(session, current_model(session), file, photo_ids)
        session.commit()
        return file


# Sound libraries


@pytest.mark.every_database
def test_sound_library_has_no_disagreement(library: LibraryFactory, segments: Path, photos: Path) -> None:
    (photos / "broken.jpg").write_text("no photo")
    (photos / "12.jpg").write_bytes(photo_bytes(99))
    (photos / "11.jpg").unlink()
    library.add(photos)
    for quick in (False, True):
        assert verify(library.folder, quick=quick) == []


def test_empty_library_has_no_disagreement(library: LibraryFactory) -> None:
    for quick in (False, True):
        assert verify(library.folder, quick=quick) == []


def test_repair_of_a_sound_library_changes_nothing(library: LibraryFactory, segments: Path, photos: Path) -> None:
    before = vectors_of(library.folder)
    files = [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(segments.iterdir())]
    assert repair(library.folder) == 0
    assert vectors_of(library.folder) == before
    assert [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(segments.iterdir())] == files
    assert library.add(photos).run.total == 0


# Every artefact, and every damage


def write_tower(folder: Path, seed: int) -> None:
    """Write the files of a text tower, as small as they come."""
    weights = np.random.default_rng(seed).normal(size=(16, 4)).astype("<f4")
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(weights.tobytes())
    ClipTokenizer(["t h", f"th {chr(ord('a') + seed)}"], context=77).write(folder / "merges.txt")
    manifest = TowerManifest(
        format=FORMAT,
        model_key=KEY,
        context=77,
        heads=1,
        layers=0,
        activation="gelu",
        epsilon=1e-5,
        logit_scale=25.0,
        weights_bytes=weights.nbytes,
        weights_sum=words_sum(weights.reshape(-1)),
        merges_crc32=zlib.crc32((folder / "merges.txt").read_bytes()),
        weights={"token_embedding.weight": (0, [16, 4])},
    )
    content = json.dumps(asdict(manifest))
    sealed = {"crc32": zlib.crc32(content.encode()), "content": content}
    (folder / "manifest.json").write_text(json.dumps(sealed), encoding="utf-8")


IN_EACH = 25  # photos, of two segments: equally large files, told from each other by no size
FLOORS = KeptFloors(2 * IN_EACH, Floors(hog=0.5, edge_f1=0.625, pairs=7))


def full_library(template: LibraryFactory, root: Path, seed: int) -> LibraryFactory:
    """Make a library that has everything which libraries have, of photos that only this seed gives."""
    library = empty_library(template, root / "library")
    for first in (1_000 * seed, 1_000 * seed + 100):
        library.add(fill_folder(root / "photos", range(first, first + IN_EACH), size=(32, 32)))
    make_derivatives(library)
    write_tower(library.folder.text_tower(KEY), seed)
    keep_results(library.folder, [1, 2])
    write_record(library.folder.floors_file, FLOORS)
    return library


def make_derivatives(library: LibraryFactory) -> None:
    reindex(library.folder, lambda model: library.encoder, lambda choice: IndexChoice(kind="ivf"))
    tag_library(library.folder, None, lambda model: library.encoder, options=TagOptions())


@pytest.fixture(scope="session")
def full_template(template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory) -> LibraryFactory:
    """A library that has everything, to be copied and not to be changed."""
    return full_library(template, tmp_path_factory.mktemp("full"), seed=1)


@pytest.fixture(scope="session")
def another(template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory) -> LibraryFactory:
    """A sound library of other photos, with files of the same names, kinds and sizes."""
    return full_library(template, tmp_path_factory.mktemp("another"), seed=2)


@pytest.fixture
def full(full_template: LibraryFactory, tmp_path: Path) -> Iterator[LibraryFactory]:
    """A library that has everything."""
    library = empty_library(full_template, tmp_path / "library")
    yield library
    library.close()


@pytest.fixture(scope="module")
def damaged(full_template: LibraryFactory, tmp_path_factory: pytest.TempPathFactory) -> LibraryFactory:
    """A library that has everything, of which one file after the other is damaged and put back."""
    return empty_library(full_template, tmp_path_factory.mktemp("damaged") / "library")


def photo_folder(full_template: LibraryFactory) -> Path:
    return full_template.folder.root.parent / "photos"


@dataclass(frozen=True)
class Artefact:
    """A file of a library's, and what verifying calls it.

    remedy: what mends it. alone: what is told where it is gone, None for nothing. sized: whether its size is known
    without reading it.
    """

    find: Callable[[LibraryFactory], Path]
    part: str
    remedy: str
    alone: str | None
    sized: bool = False


def in_index(name: str) -> Callable[[LibraryFactory], Path]:
    return lambda library: library.folder.index(KEY) / name


def in_tags(name: str) -> Callable[[LibraryFactory], Path]:
    return lambda library: library.folder.photo_table(KEY) / name


def in_tower(name: str) -> Callable[[LibraryFactory], Path]:
    return lambda library: library.folder.text_tower(KEY) / name


def scores(library: LibraryFactory) -> Path:
    """Return the scores of the first segment."""
    files = score_files(library.folder.scores(KEY, read_vocabulary(DEFAULT).key))
    return files[segments_in(library.folder)[0].name]


def result(library: LibraryFactory) -> Path:
    return min(library.folder.restyled.glob("*.png"))


def collection(library: LibraryFactory) -> Path:
    """Return the record of a collection in Milvus, which is not asked for."""
    path = library.folder.index(KEY) / "collection.json"
    if not path.exists():
        about = Collection(model_key=KEY, uri="http://127.0.0.1:9", name="aliens", dim=48, exact=False, entries=50)
        write_collection(path.parent, about)
    return path


THEN_INDEX = f"{REPAIR}, then `aliens index`"
FORGET = f"`aliens restyle 1` makes it anew, {REPAIR} forgets it"
ARTEFACTS = {
    "segment": Artefact(lambda library: file_of(library, 0), "segment", REPAIR, "segment", sized=True),
    "tag scores": Artefact(scores, "tags", "`aliens tag`", None),
    "photos.arrow": Artefact(in_tags("photos.arrow"), "table", REPAIR, "table", sized=True),
    "photos.json": Artefact(in_tags("photos.json"), "table", REPAIR, "stray file", sized=True),
    "approximate.faiss": Artefact(
        in_index("approximate.faiss"), "approximate index", THEN_INDEX, "approximate index", sized=True
    ),
    "approximation.json": Artefact(
        in_index("approximation.json"), "approximate index", THEN_INDEX, "stray file", sized=True
    ),
    "collection.json": Artefact(collection, "Milvus", THEN_INDEX, None, sized=True),
    "weights of the text tower": Artefact(in_tower("weights.bin"), "text tower", REPAIR, "text tower"),
    "words of the text tower": Artefact(in_tower("merges.txt"), "text tower", REPAIR, "text tower"),
    "manifest of the text tower": Artefact(in_tower("manifest.json"), "text tower", REPAIR, None),
    "floors.json": Artefact(lambda library: library.folder.floors_file, "floors", REPAIR, None, sized=True),
    "restyled picture": Artefact(result, "result", FORGET, "result"),
}
RECORDS = ("photos.json", "approximation.json", "collection.json", "floors.json")  # read whole, however quickly


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "a bit in the middle": lambda path, other: flip(path),
    "the last bit": lambda path, other: flip(path, 1 - 1e-9),
    "truncated": lambda path, other: overwrite(path, path.read_bytes()[:-2]),  # of JSON the last is an end of line
    "half": lambda path, other: overwrite(path, path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path, other: overwrite(path, b""),
    "longer": lambda path, other: overwrite(path, path.read_bytes() + b" x"),
    "another's": lambda path, other: overwrite(path, other.read_bytes()),
}
OF_ANOTHER_SIZE = ("truncated", "half", "emptied", "longer")
VALID_IN_ITSELF = ("collection.json", "floors.json")  # another's is as good as one's own


@contextmanager
def put_back(path: Path) -> Iterator[bytes]:
    """Put back what a file holds, at the end."""
    data = path.read_bytes()
    try:
        yield data
    finally:
        overwrite(path, data)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_whatever_happens_to_a_file_is_named(
    damaged: LibraryFactory, another: LibraryFactory, artefact: str, damage: str
) -> None:
    if damage == "another's" and artefact in VALID_IN_ITSELF:
        return
    about = ARTEFACTS[artefact]
    path = about.find(damaged)
    with put_back(path):
        DAMAGES[damage](path, about.find(another))
        found = verify(damaged.folder)
        assert {(told.part, told.remedy) for told in found} == {(about.part, about.remedy)}
        assert str(path.parent) in found[0].what
        quickly = artefact in RECORDS or (about.sized and damage in OF_ANOTHER_SIZE)
        if quickly and damage != "another's":
            assert {told.part for told in verify(damaged.folder, quick=True)} == {about.part}
    assert verify(damaged.folder) == []


@pytest.mark.parametrize(
    ("artefact", "damage"),
    [
        *zip(ARTEFACTS, [*list(DAMAGES)[1:], *DAMAGES], strict=False),  # all in all ways take a minute
        *((artefact, "another's") for artefact in ("segment", "tag scores", "restyled picture")),
    ],
)
def test_whatever_happens_to_a_file_is_mended(
    full: LibraryFactory, full_template: LibraryFactory, another: LibraryFactory, artefact: str, damage: str
) -> None:
    about, before = ARTEFACTS[artefact], known_of(full)
    DAMAGES[damage](about.find(full), about.find(another))
    check_repair(full, photo_folder(full_template), artefact, before)


@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_a_file_that_is_gone_is_named_where_it_is_missed_and_mended(
    full: LibraryFactory, full_template: LibraryFactory, artefact: str
) -> None:
    about = ARTEFACTS[artefact]
    path, before = about.find(full), known_of(full)
    path.unlink()
    assert {told.part for told in verify(full.folder)} == ({about.alone} if about.alone else set())
    if about.sized and about.alone:
        assert {told.part for told in verify(full.folder, quick=True)} == {about.alone}
    check_repair(full, photo_folder(full_template), artefact, before)


def known_of(library: LibraryFactory) -> dict[str, Any]:
    """Return what a library says of its photos."""
    with tagging_of(library.folder) as (_, tagging):
        tags = {
            photo_id: (path, row.tobytes())
            for columns, found in tagging.scores(["path"])
            for photo_id, path, row in zip(
                columns["photo_id"].to_pylist(), columns["path"].to_pylist(), found, strict=True
            )
        }
    return {"vectors": vectors_of(library.folder), "tags": tags}


def check_repair(library: LibraryFactory, photos: Path, artefact: str, before: dict[str, Any]) -> None:
    """Repair, make anew what was removed, and compare with what was before."""
    assert repair(library.folder) == (IN_EACH if artefact == "segment" else 0)
    check_sound(library.folder)
    with library.open() as opened:
        left = opened.search("a room", k=1_000)
        assert len(left) == (IN_EACH if artefact == "segment" else 2 * IN_EACH)
    report = library.add(photos)
    assert report.run.encoded == report.run.total == (IN_EACH if artefact == "segment" else 0)
    make_derivatives(library)
    assert verify(library.folder) == []
    assert known_of(library) == before
    with library.open() as opened:
        for path in before["vectors"]:
            assert opened.search(image=Path(path), k=1)[0].path == path
        assert opened.search("a room", k=10).explanation.engine == "ivf"
    assert (read_floors(library.folder, 2 * IN_EACH) == FLOORS.floors) == (artefact != "floors.json")
    assert len(list(library.folder.restyled.glob("*.png"))) == (1 if artefact == "restyled picture" else 2)
    assert (TextTower.open(library.folder.text_tower(KEY), KEY) is None) == ("tower" in artefact)


def negate_segment(path: Path) -> None:
    store = SegmentStore(path.parent, 48)
    vectors = store.open(
        SegmentFile(name=path.stem, rows=IN_EACH, alive=IN_EACH, size_bytes=path.stat().st_size, sha256="")
    )
    codes = vectors.vectors.tobytes()
    assert path.read_bytes().count(codes) == 1
    overwrite(path, path.read_bytes().replace(codes, (-vectors.vectors).tobytes()))


def negate_scores(path: Path) -> None:
    found, data = np.load(path), path.read_bytes()
    overwrite(path, data[: -found.nbytes] + (-found).tobytes())


def negate_weights(path: Path) -> None:
    overwrite(path, (-np.fromfile(path, "<f4")).tobytes())


@pytest.mark.parametrize(
    ("artefact", "negate"),
    [("segment", negate_segment), ("tag scores", negate_scores), ("weights of the text tower", negate_weights)],
)
def test_numbers_of_the_other_sign_are_named_though_nothing_else_shows_them(
    damaged: LibraryFactory, artefact: str, negate: Callable[[Path], object]
) -> None:
    about = ARTEFACTS[artefact]
    path, file = about.find(damaged), segments_in(damaged.folder)[0]
    with put_back(path) as data:
        negate(path)
        assert path.stat().st_size == len(data)
        if artefact == "segment":
            norms = np.linalg.norm(SegmentStore(path.parent, 48).open(file).vectors.astype(np.float32), axis=1)
            assert norms == pytest.approx(1, abs=1e-3)
        assert {told.part for told in verify(damaged.folder)} == {about.part}
        assert verify(damaged.folder, quick=True) == []


@pytest.mark.parametrize("artefact", ["segment", "tag scores"])
def test_files_that_swapped_are_both_named(full: LibraryFactory, full_template: LibraryFactory, artefact: str) -> None:
    before, (one, two) = known_of(full), segments_in(full.folder)
    if artefact == "segment":
        paths = [file_of(full, place) for place in range(2)]
    else:
        files = score_files(full.folder.scores(KEY, read_vocabulary(DEFAULT).key))
        paths = [files[file.name] for file in (one, two)]
    assert paths[0].stat().st_size == paths[1].stat().st_size
    data = [path.read_bytes() for path in paths]
    for path, other in zip(paths, reversed(data), strict=True):
        overwrite(path, other)
    found = verify(full.folder)
    assert [told.part for told in found] == [ARTEFACTS[artefact].part] * 2
    assert all(any(path.name in told.what for told in found) for path in paths)
    assert verify(full.folder, quick=True) == []
    assert repair(full.folder) == (2 * IN_EACH if artefact == "segment" else 0)
    assert verify(full.folder) == []
    full.add(photo_folder(full_template))
    make_derivatives(full)
    assert known_of(full) == before
    assert verify(full.folder) == []


@pytest.mark.parametrize("artefact", ARTEFACTS)
@settings(max_examples=8, database=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_bit_that_flips_is_noticed(damaged: LibraryFactory, artefact: str, place: float, bit: int) -> None:
    path = ARTEFACTS[artefact].find(damaged)
    with put_back(path) as data:
        flip(path, place, bit)
        noticed = {told.part for told in verify(damaged.folder)}
        assert noticed == {ARTEFACTS[artefact].part} or says_the_same(path, data)


def says_the_same(path: Path, data: bytes) -> bool:
    """Tell whether a file of JSON says what it said, such as 1E-6 in the place of 1e-6."""
    try:
        return bool(path.suffix == ".json" and json.loads(path.read_bytes()) == json.loads(data))
    except ValueError:
        return False


# Segments


def test_what_is_wrong_with_a_segment_is_told_with_its_name(library: LibraryFactory, segments: Path) -> None:
    one, two = segments_in(library.folder)
    path = segments / f"{one.name}.faiss"
    data = path.read_bytes()
    overwrite(path, data[:-100])
    assert found_by(library) == [
        (
            "segment",
            f"segment {one.name} of 10 photos: {path} has {len(data) - 100} bytes, {len(data)} bytes were written",
            REPAIR,
        )
    ]
    overwrite(path, data[:-1] + b"?")
    checksum = f"{path} is not what was written: its checksum is another one"
    assert found_by(library) == [("segment", f"segment {one.name} of 10 photos: {checksum}", REPAIR)]
    path.unlink()
    (segments / f"{two.name}.faiss").unlink()
    assert [what for _, what, _ in found_by(library)] == [
        f"segment {file.name} of {file.rows} photos: {segments / file.name}.faiss: No such file or directory"
        for file in (one, two)
    ]
    assert repair(library.folder) == 13
    assert verify(library.folder) == []
    assert segments_in(library.folder) == []


@pytest.mark.parametrize("ruined", ["doubled", "not a number", "zero"])
def test_vectors_that_were_written_wrongly_are_named_though_their_checksum_is_right(
    library: LibraryFactory, segments: Path, photos: Path, ruined: str
) -> None:
    before = vectors_of(library.folder)
    vectors = np.stack([np.frombuffer(before[str(photos / f"{n:02d}.jpg")], np.float16) for n in range(10)])
    vectors = vectors.copy()
    vectors[[3, 5]] *= {"doubled": 2, "not a number": np.nan, "zero": 0}[ruined]
    file = write_segment(library, vectors, list(range(1, 11)))
    assert found_by(library) == [
        ("segment", f"segment {file.name} of 10 photos: 2 of its vectors are not of unit length", REPAIR)
    ]
    assert verify(library.folder, quick=True) == []
    assert repair(library.folder) == 10
    assert sorted(set(states_of(library.folder).values())) == [EMBEDDED, ("pending", None)]
    with library.open() as opened_library:
        assert len(opened_library.search("a room", k=100)) == 3
    report = library.add(photos)
    assert (report.run.total, report.run.encoded) == (10, 10)
    assert vectors_of(library.folder) == before
    assert verify(library.folder) == []


@pytest.mark.parametrize("said", ["rows = 9", "rows = 11"])
def test_a_segment_of_other_rows_than_are_recorded_is_named(library: LibraryFactory, segments: Path, said: str) -> None:
    execute(library, f"UPDATE vector_segment SET {said} WHERE id = 1")
    for quick in (False, True):
        (told,) = verify(library.folder, quick=quick)
        assert told.part == "segment"
        assert f"not {said.partition(' = ')[2]} vectors of 48 dimensions" in told.what
    assert repair(library.folder) == 10


@pytest.mark.every_database
def test_vector_recorded_in_another_segment_is_named(library: LibraryFactory, segments: Path, photos: Path) -> None:
    execute(library, "UPDATE embedding SET segment_id = 2 WHERE photo_id = 4")
    one, two = segments_in(library.folder)
    assert found_by(library) == [
        (
            "database",
            f"segment {one.name} of 10 photos: 9 of its photos can be found, and others are said to be",
            REPAIR,
        ),
        ("segment", f"segment {two.name} of 3 photos: it has no vector of photo 4, as recorded", REPAIR),
    ]
    assert repair(library.folder) == 4
    assert library.add(photos).run.total == 4
    check_sound(library.folder)


@pytest.mark.every_database
def test_wrong_counts_of_what_can_be_found_are_named_and_mended(library: LibraryFactory, segments: Path) -> None:
    execute(library, "UPDATE vector_segment SET alive = 8 WHERE id = 1")
    name = segments_in(library.folder)[0].name
    assert [told.what for told in verify(library.folder, quick=True)] == [
        f"segment {name}: 8 of its photos are said to be found, 10 can be"
    ]
    assert found_by(library) == [
        ("database", f"segment {name} of 8 photos: 10 of its photos can be found, and others are said to be", REPAIR)
    ]
    assert repair(library.folder) == 0
    check_sound(library.folder)


@pytest.mark.every_database
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO dead_vector VALUES (1, 4)",  # who can be found
        "DELETE FROM dead_vector WHERE photo_id = 2",  # who cannot
        "UPDATE dead_vector SET photo_id = 3 WHERE photo_id = 2",  # another in the place of one
    ],
)
def test_rows_that_are_wrongly_said_to_be_dead_or_alive_are_named_and_mended(
    library: LibraryFactory, segments: Path, photos: Path, statement: str
) -> None:
    (photos / "01.jpg").unlink()
    library.add(photos)
    before = vectors_of(library.folder)
    execute(library, statement)
    ((part, what, remedy),) = found_by(library)
    assert (part, remedy) == ("database", REPAIR)
    assert what.endswith("9 of its photos can be found, and others are said to be")
    assert repair(library.folder) == 0
    assert verify(library.folder) == []
    assert vectors_of(library.folder) == before
    check_invariants(library.folder)


def test_a_segment_that_is_merged_away_meanwhile_is_no_disagreement(
    library: LibraryFactory, segments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)
    problem, merged = SegmentStore.problem, []

    def merging(store: SegmentStore, file: SegmentFile, **options: Any) -> str | None:
        if not merged:
            merged.append(file.name)
            with catalog_of(library.folder) as catalog, catalog.writing() as session:
                assert merge_due(catalog, session, store_of(catalog)) == 1
        return problem(store, file, **options)

    monkeypatch.setattr(SegmentStore, "problem", merging)
    assert verify(library.folder) == []
    assert merged
    assert not (segments / f"{merged[0]}.faiss").exists()


# What killed processes leave


def test_stray_files_are_named_and_removed(full: LibraryFactory, full_template: LibraryFactory) -> None:
    before, key = known_of(full), read_vocabulary(DEFAULT).key
    paths = [
        full.folder.root / place
        for place in (
            f"vectors/{KEY}/0123456789abcdef.faiss",
            f"vectors/{KEY}/.0123456789abcdef.faiss.0123456789abcdef.tmp",
            f"index/{KEY}/.approximate.faiss.0123456789abcdef.tmp",
            f"tags/{KEY}/.photos.arrow.0123456789abcdef.tmp",
            f"tags/{KEY}/{key}/0123456789abcdef-0123456789abcdef.npy",
            f"tags/{KEY}/{key}/.0123456789abcdef.0123456789abcdef.tmp",
            "restyled/.1-regrade-01234567.png.0123456789abcdef.tmp",
        )
    ]
    for path in paths:
        path.write_bytes(b"left behind")
    for quick in (False, True):
        strays = {told for told in verify(full.folder, quick=quick) if told.part != "tags"}
        assert strays == {
            Disagreement("stray file", f"{path} belongs to nothing (left by a process that was killed)", REPAIR)
            for path in paths
        }
    assert repair(full.folder) == 0
    assert not any(path.exists() for path in paths)
    assert verify(full.folder) == []
    assert known_of(full) == before
    assert full.add(photo_folder(full_template)).run.total == 0


# Photos


def test_removed_photo_is_named_and_mended_by_adding_it(library: LibraryFactory, segments: Path, photos: Path) -> None:
    (photos / "03.jpg").unlink()
    assert found_by(library) == [("photo", f"{photos / '03.jpg'}: No such file or directory", f"`aliens add {photos}`")]
    library.add(photos)
    assert verify(library.folder) == []


def test_remedy_for_the_only_photo_of_a_folder_leads_on(library: LibraryFactory, tmp_path: Path) -> None:
    folder = fill_folder(tmp_path / "hotel", [1])
    library.add(folder)
    (folder / "1.jpg").unlink()
    ((_, _, remedy),) = found_by(library)
    assert remedy == f"`aliens add {folder}`"
    with pytest.raises(SourceError, match="--allow-empty"):
        library.add(folder)
    library.add(folder, allow_empty=True)
    assert verify(library.folder) == []


@pytest.mark.parametrize("kind", ["folder", "tar", "photo", "pattern"])
def test_a_source_that_is_gone_is_named_once_and_leads_on(library: LibraryFactory, tmp_path: Path, kind: str) -> None:
    near = fill_folder(tmp_path / "photos, all", [9])  # beside it, which no remedy may add
    source, count = near / "its own", 2
    if kind in ("folder", "pattern"):
        fill_folder(source, range(2))
    elif kind == "tar":
        source = write_tar(near / "photos.tar", {"1.jpg": photo_bytes(1), "2.jpg": photo_bytes(2)})
    else:
        source, count = fill_folder(near, [1]) / "1.jpg", 1
    library.add(source / "[01].j*" if kind == "pattern" else source)
    assert verify(library.folder) == []
    away = source.rename(tmp_path / source.name)
    ((part, what, remedy),) = found_by(library)
    photos = "1 photo" if count == 1 else "2 photos"
    assert (part, what) == ("photo", f"{photos} cannot be looked at: {source} is not there")
    move, forget = (shlex.split(command) for command in remedy.split("`")[1::2])
    opened = library.open()
    assert move == ["aliens", "sources", "move", str(source), "NEW"]
    opened.move_source(move[3], away)
    assert verify(library.folder) == []
    away.rename(source)
    opened.move_source(away, source)
    source.rename(away)
    assert forget == ["aliens", "forget", str(source)]
    assert opened.forget(forget[2]).photos == count
    assert verify(library.folder) == []


def test_remedy_for_a_photo_looks_at_what_it_was_added_by_alone(library: LibraryFactory, tmp_path: Path) -> None:
    album = put_named(tmp_path / "album", "winter.jpg", "summer/1.jpg", "summer/2.png")
    library.add(album, exclude=["*.png"])
    (album / "summer" / "1.jpg").unlink()
    assert [remedy for *_, remedy in found_by(library)] == [f"`aliens add {album}`"]
    library.open().add()
    assert verify(library.folder) == []


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_what_is_gone_of_a_folder_is_named_once_and_mended(library: LibraryFactory, tmp_path: Path, kind: str) -> None:
    album, part = in_parts(tmp_path / "album", kind)
    library.add(album)
    remove(part)
    said = f"2 photos cannot be looked at: {part} is not there"
    assert found_by(library) == [("photo", said, f"`aliens add {album}`")]
    library.open().add()
    assert verify(library.folder) == []


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_what_matches_a_pattern_no_more_may_be_forgotten(library: LibraryFactory, tmp_path: Path, kind: str) -> None:
    album, part = in_parts(tmp_path / "album", kind)
    library.add(album / "*[0-1]*")
    remove(part)
    library.open().add()  # which looks at what matches
    ((_, said, remedy),) = found_by(library)
    assert said == f"2 photos cannot be looked at: {part} is not there"
    forget = shlex.split(remedy.split("`")[3])
    assert forget == ["aliens", "forget", str(part)]
    assert library.open().forget(forget[2]).photos == 2
    assert verify(library.folder) == []


def in_parts(album: Path, kind: str) -> tuple[Path, Path]:
    """Make three folders or tars of two photos each in a folder; return it and the second of them."""
    for number in range(3):
        folder = fill_folder(album / f"{number}", range(10 * number, 10 * number + 2))
        if kind == "tar":
            write_tar(album / f"{number}.tar", {path.name: path.read_bytes() for path in folder.iterdir()})
            shutil.rmtree(folder)
    return album, album / ("1.tar" if kind == "tar" else "1")


def remove(place: Path) -> None:
    place.unlink() if place.is_file() else shutil.rmtree(place)


def test_remedy_for_a_photo_of_a_list_is_to_look_at_the_list_again(library: LibraryFactory, tmp_path: Path) -> None:
    fill_folder(tmp_path, range(3))
    listed = tmp_path / "list.csv"
    listed.write_text(f"path\n{tmp_path / '0.jpg'}\n{tmp_path / '1.jpg'}\n")
    opened = library.open()
    opened.add(photo_list=listed)
    (tmp_path / "1.jpg").unlink()
    assert [remedy for *_, remedy in found_by(library)] == ["`aliens add`"]
    opened.add()
    assert verify(library.folder) == []
    assert len(photos_of(library.folder)) == 2


def test_photo_of_another_size_is_named_and_mended(library: LibraryFactory, segments: Path, photos: Path) -> None:
    before = (photos / "03.jpg").stat().st_size
    (photos / "03.jpg").write_bytes(photo_bytes(3, size=(300, 300)))
    after = (photos / "03.jpg").stat().st_size
    what = f"{photos / '03.jpg'} has {after} bytes now, {before} bytes when it was embedded"
    assert found_by(library) == [("photo", what, f"`aliens add {photos}`")]
    library.add(photos)
    assert verify(library.folder) == []


@pytest.mark.every_database
@pytest.mark.parametrize("state", ["pending", "failed"])
def test_photo_marked_embedded_without_a_vector_is_named_and_mended(
    library: LibraryFactory, segments: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    (photos / "13.jpg").write_bytes(photo_bytes(13) if state == "pending" else b"")
    with monkeypatch.context() as patch, nullcontext() if state == "failed" else pytest.raises(RuntimeError):
        patch.setattr(library.encoder, "encode_images", raising(RuntimeError()))
        library.add(photos)
    assert states_of(library.folder)["13.jpg"][0] == state
    execute(library, "UPDATE photo SET state = 'embedded', failure_kind = NULL WHERE id = 14")
    assert ("photo", "photo 14 is marked embedded but has no vector", REPAIR) in found_by(library)

    assert repair(library.folder) == 1
    assert [found for found in verify(library.folder) if found.part != "photo"] == []
    assert library.add(photos).run.total == 1
    check_sound(library.folder)


def test_failure_without_a_reason_is_named_and_mended(library: LibraryFactory, segments: Path, photos: Path) -> None:
    execute(library, "UPDATE photo SET state = 'failed' WHERE id = 4")
    assert ("photo", "photo 4 failed without a reason", f"`aliens add {photos} --retry-failed`") in found_by(library)
    library.add(photos, retry_failed=True)
    assert verify(library.folder) == []


def test_vanished_photo_of_a_lost_segment_is_encoded_again_when_it_is_back(
    library: LibraryFactory, segments: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "03.jpg").rename(tmp_path / "away.jpg")
    library.add(photos)
    file_of(library, 0).unlink()
    assert repair(library.folder) == 9
    assert states_of(library.folder)["03.jpg"] == ("failed", "missing")
    library.add(photos)
    (tmp_path / "away.jpg").rename(photos / "03.jpg")
    assert library.add(photos).run.encoded == 1
    assert photos_of(library.folder)[str(photos / "03.jpg")].state is PhotoState.EMBEDDED
    assert verify(library.folder) == []


# The database


@pytest.mark.sqlite
def test_row_that_points_nowhere_is_named(library: LibraryFactory, segments: Path) -> None:
    execute(library, "PRAGMA foreign_keys = OFF", "UPDATE photo SET hotel_id = 404 WHERE id = 4")
    ((part, told, remedy),) = found_by(library)
    assert (part, remedy) == ("database", restoring(library.folder.database_file))
    assert told == "row 4 of table photo points to a row of hotel that is not there"


def restoring(file: Path) -> str:
    """Return the remedy for a database that is damaged."""
    return (
        f"restore {file} from a backup, or save what is whole: "
        f"`sqlite3 {shlex.quote(str(file))} .dump | sed 's/^ROLLBACK.*/COMMIT;/' | sqlite3 saved.db`, "
        f"put saved.db in its place, and run {REPAIR}"
    )


def damage_database(folder: LibraryFolder, name: str, damage: Callable[[bytearray], object]) -> Path:
    """Damage the page of the database file that holds a table or an index of a table; return the file."""
    with catalog_of(folder) as catalog:
        return damage_page(catalog.engine, name, damage)


@pytest.mark.sqlite
def test_damaged_index_of_the_database_is_named(library: LibraryFactory, segments: Path) -> None:
    def change_an_entry(page: bytearray) -> None:
        page[-10] ^= 1  # inside the hash of the photo that came first

    file = damage_database(library.folder, "ix_photo_content_sha256", change_an_entry)
    found = verify(library.folder)
    assert {(each.part, each.remedy) for each in found} == {("database", restoring(file))}
    assert all(each.what.startswith("table photo: ") for each in found)
    assert any("ix_photo_content_sha256" in each.what for each in found)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("photo", "photo"),
        ("ix_photo_content_sha256", "photo"),
        ("embedding", "embedding"),
        ("vector_segment", "vector_segment"),
        ("tag_label", "tag_label"),
        ("restyling", "restyling"),
    ],
)
def test_overwritten_page_of_the_database_is_named_by_its_table_with_the_way_to_save_what_is_whole(
    library: LibraryFactory, segments: Path, name: str, table: str
) -> None:
    file = damage_database(library.folder, name, garble)
    for quick in (False, True):
        found = verify(library.folder, quick=quick)
        assert {(each.part, each.what.partition(": ")[0], each.remedy) for each in found} == {
            ("database", f"table {table}", restoring(file))
        }


@pytest.mark.sqlite
@pytest.mark.parametrize("name", ["alembic_version", "setting", "model", "sqlite_master"])
def test_a_database_that_no_library_can_be_opened_of_is_refused_with_the_way_to_save_what_is_whole(
    library: LibraryFactory, segments: Path, name: str
) -> None:
    file = damage_database(library.folder, name, garble)
    with pytest.raises(LibraryError, match="malformed") as caught:
        verify(library.folder)
    assert str(caught.value).endswith(restoring(file))


@pytest.mark.sqlite
def test_who_reads_a_damaged_database_says_how_to_save_what_is_whole(library: LibraryFactory, segments: Path) -> None:
    file = damage_database(library.folder, "photo", garble)
    with aliens.open(library.folder.root, encoder=library.encoder) as opened, pytest.raises(LibraryError) as caught:
        opened.search("a sofa")
    assert str(caught.value) == f"{file} is damaged (database disk image is malformed): {restoring(file)}"


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("scan SET counts = substr(counts, 2)", "table scan: {} of counts"),
        ("scan SET started_at = '20x4-01-02 03:04:05'", "table scan: {} of started_at"),
        ("photo SET state = 'embeddeD'", "table photo: {} of state"),
        ("photo SET size_bytes = 'abc'", "table photo: {} of size_bytes"),
        ("photo SET grey = 7", "table photo: {} of grey"),
        ("photo SET content_sha256 = 'text'", "table photo: {} of content_sha256"),
        ("photo SET path = CAST('/a' AS BLOB) WHERE id = 1", "table photo: {} of path"),
        ("scan SET seconds = 'long'", "table scan: {} of seconds"),
    ],
)
def test_values_that_make_no_sense_are_named(library: LibraryFactory, segments: Path, change: str, named: str) -> None:
    assert [told for told in verify(library.folder) if told.part == "database"] == []
    with session_of(library.folder) as session:
        count = session.connection().exec_driver_sql(f"UPDATE {change}").rowcount
        session.commit()
        file = Path(session.get_bind().engine.url.database or "")
    values = "1 value" if count == 1 else f"{count} values"
    expected = f"{named.format(values)} {'makes' if count == 1 else 'make'} no sense"
    (told,) = verify(library.folder)
    assert (told.part, told.what) == ("database", expected)
    assert told.remedy == f"restore {file} from a backup, or set the values right by `sqlite3 {file}`"


@pytest.mark.sqlite
def test_whoever_reads_json_that_a_bit_made_unreadable_says_so(library: LibraryFactory, segments: Path) -> None:
    execute(library, "UPDATE scan SET counts = substr(counts, 2)")
    with session_of(library.folder) as session, pytest.raises(LibraryError, match="a value of it is no JSON"):
        session.scalars(select(Scan.counts)).all()


@pytest.mark.sqlite
def test_a_database_that_cannot_be_looked_through_is_named(library: LibraryFactory, segments: Path) -> None:
    with catalog_of(library.folder) as catalog:
        file = damage_database(library.folder, "sqlite_master", garble)
        catalog.engine.dispose()
        found = indexer.verify.verify(catalog, store_of(catalog))
    assert [(each.part, each.what, each.remedy) for each in found] == [
        ("database", "database disk image is malformed", restoring(file))
    ]


def test_the_way_to_save_a_database_that_lies_elsewhere_names_it(tmp_path: Path) -> None:
    folder = LibraryFolder(tmp_path / "library")
    create_library(folder, FakeEncoder(), f"sqlite:///{tmp_path / 'other place.db'}")
    file = damage_database(folder, "photo", garble)
    assert file == tmp_path / "other place.db"
    assert {told.remedy for told in verify(folder)} == {restoring(file)}


# While others work, and on full disks


@pytest.mark.every_database
def test_nothing_is_found_while_photos_are_added(library: LibraryFactory, photos: Path) -> None:
    found: list[list[Disagreement]] = []
    write = SegmentStore.write_parts

    def write_and_verify(*args: Any) -> SegmentFile:
        file = write(*args)
        found.append(verify(library.folder))
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentStore, "write_parts", write_and_verify)
        library.add(photos)
    assert found == [[]]


@pytest.mark.every_database
def test_repair_is_refused_while_photos_are_added(library: LibraryFactory, photos: Path) -> None:
    refused: list[str] = []

    def mend(group: int) -> None:
        with pytest.raises(LibraryError) as caught:
            repair(library.folder)
        refused.append(str(caught.value))

    library.encoder = WatchedEncoder(mend)
    assert library.add(photos).run.encoded == 10
    assert len(refused) == 3
    assert "another process or thread is changing" in refused[0]


def test_repair_on_a_full_disk_says_so_and_can_be_repeated(
    library: LibraryFactory, segments: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "13.jpg").write_bytes(photo_bytes(13))
    library.add(photos)
    file_of(library, 0).unlink()
    monkeypatch.setattr("indexer.merging.FAN_OUT", 2)  # the two that are whole are merged
    with monkeypatch.context() as patch:
        patch.setattr("base.files.os.fsync", raising(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(LibraryError, match="is full: free some space"):
            repair(library.folder)
    assert repair(library.folder) == 0
    assert verify(library.folder) == []
    assert [file.rows for file in segments_in(library.folder)] == [4]
    assert library.add(photos).run.encoded == 10
    assert verify(library.folder) == []


def test_progress_is_told_every_thousand_photos(library: LibraryFactory, tmp_path: Path) -> None:
    execute(
        library,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
        "INSERT INTO photo (path, member, state) SELECT '/photos/' || i || '.jpg', '', 'pending' FROM n",
    )
    told: list[Step] = []
    assert verify(library.folder, told.append) == []
    assert told == [Step("verifying", 1000), Step("verifying", 2000)]


def test_progress_is_told_of_the_vectors_that_are_read(stocked: LibraryFactory, tmp_path: Path) -> None:
    stocked.add(fill_folder(tmp_path / "more", [50]))
    told: list[Step] = []
    verify(stocked.folder, told.append)
    assert told == [Step("verifying vectors", 10, 11), Step("verifying vectors", 11, 11)]
