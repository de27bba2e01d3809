"""Pipes, sockets, devices and links where photos are looked for: problems with a reason, and nothing is waited for."""

import io
import json
import os
import signal
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aliens.library import Library
from base.errors import LibraryError, QueryError, SourceError
from base.files import PhotoFile, is_left, open_regular, read_regular, sha256_of
from base.records import read_json, read_record
from base.tars import tar_index
from embedding.photo_table import TableManifest
from embedding.scores import scores_are_sound
from embedding.text_tower import TextTower
from search.captions import read_captions
from search.tags.tag_files import read_tag_file
from tests.conftest import LibraryFactory, photo_bytes
from tests.indexer.conftest import (
    EMBEDDED,
    HotelsTree,
    at_step,
    check_invariants,
    photos_of,
    problems_of,
    put_named,
    states_of,
    write_tar,
)

LONGEST_S = 300  # that a test may take before it counts as waiting for ever

Put = Callable[[Path], object]


@pytest.fixture(autouse=True)
def nothing_is_waited_for() -> Iterator[None]:
    """End a test that waits for ever."""

    def ring(signal_number: int, frame: object) -> None:
        pytest.fail("waits for ever")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LONGEST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.getcwd()
        os.chdir(path.parent)  # a socket's path is short
        try:
            listening.bind(path.name)
        finally:
            os.chdir(before)


def put_circle(path: Path) -> None:
    path.symlink_to(path.with_name(f"other-{path.name}"))
    path.with_name(f"other-{path.name}").symlink_to(path)


IRREGULAR: dict[str, Put] = {
    "a pipe": os.mkfifo,
    "a socket": put_socket,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a pipe": lambda path: (os.mkfifo(path.with_name("elsewhere")), path.symlink_to("elsewhere")),
    "a link to a folder": lambda path: (path.with_name("folder").mkdir(), path.symlink_to("folder")),
    "links in a circle": put_circle,
}


@pytest.fixture(params=IRREGULAR)
def put(request: pytest.FixtureRequest) -> Put:
    """Put something that is no regular file."""
    return IRREGULAR[request.param]


def test_of_what_is_no_regular_file_nothing_is_opened(put: Put, tmp_path: Path) -> None:
    put(tmp_path / "x")
    open_files = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for read in (open_regular, read_regular, sha256_of, lambda path: PhotoFile(str(path)).read()):
        with pytest.raises(OSError, match=r"no regular file|such device|symbolic links|a directory"):
            read(tmp_path / "x")
    assert not is_left(tmp_path / "x")
    assert read_record(tmp_path / "x", TableManifest) is None
    assert read_json(tmp_path / "x", dict) is None
    assert open_files == (len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0)


def test_what_is_no_photo_file_fails_with_a_reason(library: LibraryFactory, photos: Path) -> None:
    for name, put in IRREGULAR.items():
        put(photos / f"{name}.jpg")
    assert library.add(photos).run.encoded == 10
    states = states_of(library.folder)
    assert {name: states[f"{name}.jpg"] for name in IRREGULAR} == dict.fromkeys(IRREGULAR, ("failed", "unreadable"))
    assert library.add(photos).scan.changed == 0
    check_invariants(library.folder)


def test_what_is_no_tar_file_is_a_problem_of_its_source(library: LibraryFactory, photos: Path) -> None:
    for name, put in IRREGULAR.items():
        put(photos / f"{name}.tar")
        with pytest.raises(SourceError, match=rf"{name}\.tar"):
            library.add(photos / f"{name}.tar")
    assert library.add(photos).run.encoded == 10
    told = {problem["where"] for problem in problems_of(library.folder)}
    assert told >= {str(photos / f"{name}.tar") for name in IRREGULAR}


def test_folders_whose_names_end_like_files_are_folders(library: LibraryFactory, photos: Path) -> None:
    put_named(photos, "a.jpg/in a photo.jpg", "b.tar/in a tar.jpg")
    assert library.add(photos).run.encoded == 12


def test_what_the_system_says_of_a_process_is_no_photo(library: LibraryFactory, photos: Path) -> None:
    """Such files are regular, say that they are empty, and may end or fail as they like."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("there is no /proc")
    names = ("status", "mem", "maps", "environ")
    for name in names:
        (photos / f"{name}.jpg").symlink_to(f"/proc/self/{name}")
    assert library.add(photos).run.encoded == 10
    assert {states_of(library.folder)[f"{name}.jpg"][0] for name in names} == {"failed"}


@pytest.mark.parametrize("name", ["00.jpg", "a.tar"])
def test_a_photo_that_a_pipe_replaces_after_the_scan_fails(library: LibraryFactory, photos: Path, name: str) -> None:
    write_tar(photos / "a.tar", {"1.jpg": photo_bytes(21)})

    def change() -> None:
        (photos / name).unlink()
        os.mkfifo(photos / name)

    report = library.add(photos, progress=at_step("scanning", change))
    assert (report.run.encoded, report.run.failed) == (10, 1)
    assert ("failed", "unreadable") in states_of(library.folder).values()
    check_invariants(library.folder)


@pytest.mark.parametrize("name", ["chain_info.csv", "hotel_info.csv"])
def test_a_pipe_in_place_of_a_list_of_hotels_is_refused(library: LibraryFactory, tree: HotelsTree, name: str) -> None:
    (listed,) = tree.root.rglob(name)
    listed.unlink()
    os.mkfifo(listed)
    with library.open() as opened, pytest.raises(SourceError, match=rf"{name} cannot be read: no regular file"):
        opened.add(hotels50k=tree.root)


# In tar files


def test_members_of_a_tar_that_are_no_photos_fail_with_reasons(library: LibraryFactory, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:

        def add(name: str, content: bytes | None = None, **values: object) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content or b"")
            for field, value in values.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(content) if content else None)

        for number, name in enumerate(("/absolute.jpg", "../up.jpg", "a/../../b.jpg", "twice.jpg", "twice.jpg")):
            add(name, photo_bytes(number))
        add("hard.jpg", type=tarfile.LNKTYPE, linkname="twice.jpg")
        add("soft.jpg", type=tarfile.SYMTYPE, linkname="twice.jpg")
        add("lost.jpg", type=tarfile.LNKTYPE, linkname="nothing.jpg")
        add("device.jpg", type=tarfile.CHRTYPE)
        add("pipe.jpg", type=tarfile.FIFOTYPE)
        add("folder.jpg", type=tarfile.DIRTYPE)
        add("replaced.jpg", photo_bytes(9))
        add("replaced.jpg", type=tarfile.SYMTYPE, linkname="twice.jpg")
        add("notes.txt", type=tarfile.SYMTYPE, linkname="twice.jpg")
    library.add(tmp_path / "a.tar")
    states = {
        where.partition("!")[2]: (photo.state.value, photo.failure_kind)
        for where, photo in photos_of(library.folder).items()
    }
    embedded = ("/absolute.jpg", "../up.jpg", "a/../../b.jpg", "twice.jpg", "hard.jpg")
    failed = ("soft.jpg", "lost.jpg", "device.jpg", "pipe.jpg", "replaced.jpg")
    assert states == dict.fromkeys(embedded, EMBEDDED) | dict.fromkeys(failed, ("failed", "unreadable"))
    with library.open() as opened:
        reasons = {failure.where.partition("!")[2]: failure.reason for failure in opened.failures()}
    assert reasons["soft.jpg"] == "a link to 'twice.jpg', and links in a tar are not followed"
    assert reasons["device.jpg"] == "a device or a pipe"
    assert PhotoFile(str(tmp_path / "a.tar"), "twice.jpg").read() == photo_bytes(4)
    assert library.add(tmp_path / "a.tar").scan.unchanged == 10
    check_invariants(library.folder)


def test_a_sparse_member_is_not_read_as_what_lies_behind_it(library: LibraryFactory, tmp_path: Path) -> None:
    """Its size is that of the whole file, of which the tar holds a part."""
    data = photo_bytes(1)
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        sparse = tarfile.TarInfo("GNUSparseFile.0/1.jpg")
        blocks = f"1\n0\n{len(data)}\n".encode().ljust(tarfile.BLOCKSIZE, b"\0") + data
        sparse.size = len(blocks)
        sparse.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "1.jpg",
            "GNU.sparse.realsize": str(len(data) + 4_096),
        }
        tar.addfile(sparse, io.BytesIO(blocks))
        plain = tarfile.TarInfo("2.jpg")
        plain.size = len(photo_bytes(2))
        tar.addfile(plain, io.BytesIO(photo_bytes(2)))
    index = tar_index(str(tmp_path / "a.tar"), 0)
    assert (list(index.members), index.damaged) == (["2.jpg"], False)
    assert index.others == {"1.jpg": "a sparse file: pack it without --sparse"}
    library.add(tmp_path / "a.tar")
    assert set(states_of(library.folder).values()) == {EMBEDDED, ("failed", "unreadable")}


# Named by hand


def fed(path: Path, content: bytes) -> threading.Thread:
    """Write to a pipe, once somebody reads it."""
    thread = threading.Thread(target=path.write_bytes, args=(content,), daemon=True)
    thread.start()
    return thread


def test_a_query_photo_that_is_no_regular_file_is_refused(opened: Library, put: Put, tmp_path: Path) -> None:
    put(tmp_path / "x.jpg")
    for asked in ({"image": tmp_path / "x.jpg"}, {"text": f"image:{tmp_path / 'x.jpg'}"}):
        with pytest.raises(QueryError, match=r"the query photo .*x\.jpg cannot be (read|decoded)"):
            opened.search(**asked)


def test_a_query_photo_that_the_shell_hands_over_by_a_pipe_is_read(opened: Library, photos: Path) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as file:
        file.write((photos / "04.jpg").read_bytes())
    try:
        (hit,) = opened.search(image=f"/dev/fd/{reading}", k=1)
    finally:
        os.close(reading)
    assert Path(hit.path).name == "04.jpg"


def test_texts_that_are_named_by_hand_may_come_through_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lines")
    writer = fed(tmp_path / "lines", b"a bed\na bath\n")
    assert read_captions(tmp_path / "lines") == ["a bed", "a bath"]
    writer.join()
    os.mkfifo(tmp_path / "tags.csv")
    writer = fed(tmp_path / "tags.csv", b"photo_id,tags\n1,a bed\n")
    assert [row.tags for row in read_tag_file(tmp_path / "tags.csv")] == [("a bed",)]
    writer.join()


def test_a_pipe_of_tags_that_is_no_text_is_refused_and_not_opened_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tags.jsonl")
    writer = fed(tmp_path / "tags.jsonl", b'{"photo_id": 1, "tags": "caf\xe9"}\n')
    with pytest.raises(QueryError, match="is not UTF-8"):
        list(read_tag_file(tmp_path / "tags.jsonl"))
    writer.join()


# What lies beside the library, or what was named


def test_a_pipe_in_an_imagefolder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metadata.jsonl")
    with pytest.raises(QueryError, match=r"metadata\.jsonl cannot be read: no regular file"):
        list(read_tag_file(tmp_path))


def test_a_pipe_beside_a_file_of_tags_is_no_manifest(opened: Library, tmp_path: Path) -> None:
    opened.tag()
    (tmp_path / "tags.csv").write_text("photo_id,tags\n1,a bathtub\n", encoding="utf-8")
    os.mkfifo(tmp_path / "tags.csv.manifest.json")
    assert "nor a manifest beside it says what was exported" in "\n".join(
        opened.import_tags(tmp_path / "tags.csv").notes
    )


def test_pipes_among_the_files_of_a_library_are_not_waited_for(opened: Library) -> None:
    opened.tag()
    folder, model = opened.folder, opened.model
    scores = folder.scores(model.key, opened.tags().vocabulary)
    names = [
        scores / f"{'0' * 16}-{'0' * 16}.npy",
        scores / f".x.{'0' * 16}.tmp",
        folder.index(model.key) / "approximation.json",
        folder.text_tower(model.key) / "manifest.json",
        folder.floors_file,
    ]
    for name in names:
        name.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(name)
    assert not scores_are_sound_or_refused(names[0])
    assert TextTower.open(folder.text_tower(model.key), model.key) is None
    assert len(opened.search("a room", k=20)) == 10
    assert {disagreement.part for disagreement in opened.verify()} >= {"text tower", "floors"}


def scores_are_sound_or_refused(path: Path) -> bool:
    try:
        return scores_are_sound(path)
    except OSError:
        return False


def test_a_pipe_in_place_of_the_text_towers_weights_is_none(opened: Library, tmp_path: Path, starter: object) -> None:
    from embedding.text_export import export_text_tower

    folder = tmp_path / "tower"
    assert export_text_tower(starter, folder) is None
    key = json.loads(json.loads((folder / "manifest.json").read_text())["content"])["model_key"]
    assert TextTower.open(folder, key) is not None
    for name in ("weights.bin", "merges.txt"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        os.mkfifo(folder / name)
        assert TextTower.open(folder, key) is None
        (folder / name).unlink()
        (folder / name).write_bytes(content)


def test_a_pipe_in_the_place_of_library_toml_is_refused(library: LibraryFactory) -> None:
    library.folder.config_file.unlink(missing_ok=True)
    os.mkfifo(library.folder.config_file)
    with pytest.raises(LibraryError, match=r"library\.toml is damaged \(.*no regular file"):
        library.open()


def test_photos_in_whose_place_is_a_pipe_are_left_out_of_exports(opened: Library, photos: Path, tmp_path: Path) -> None:
    opened.tag()
    (photos / "00.jpg").unlink()
    os.mkfifo(photos / "00.jpg")
    for name, link in (("copies", False), ("links", True)):
        manifest = opened.export(tmp_path / name, format="imagefolder", link=link)
        assert manifest.photos == 9
        assert "00.jpg: no regular file" in manifest.left_out[0]
