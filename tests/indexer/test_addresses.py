"""Photos at addresses: of a web server of this machine's, and of a store in memory."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from base import remote
from base.errors import QueryError, SourceError
from base.remote import Unreachable, facts_at, read_at
from db.detail_rows import columns_known
from tests.conftest import LibraryFactory, fill_folder, photo_bytes
from tests.file_server import FileServer, serving_files
from tests.indexer.conftest import check_invariants, photos_of, problems_of, write_tar


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(remote, "PAUSES_S", (0.0,))
    monkeypatch.setattr(remote, "HOSTS", remote.Hosts())
    monkeypatch.setattr(remote, "FACTS", remote.RecentFacts())
    monkeypatch.setenv("ALIENS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    root = tmp_path / "web"
    (root / "rooms").mkdir(parents=True)
    fill_folder(root, range(3))
    (root / "rooms" / "ванна 1.jpg").write_bytes(photo_bytes(9))
    sides = {"a/1.json": json.dumps({"price": 70, "url": "x"}).encode(), "a/1.txt": b"a blue room"}
    members = {"a/1.jpg": photo_bytes(11), "a/2.jpg": photo_bytes(12)} | sides
    write_tar(root / "shard-000.tar", members)
    (root / "shard-001.tar.gz").write_bytes(gzip.compress((root / "shard-000.tar").read_bytes()))
    with serving_files(root) as state:
        yield state


def test_a_folder_of_a_web_server_is_read_and_then_asked_about(library: LibraryFactory, server: FileServer) -> None:
    report = library.add(f"{server.address}/")
    assert (report.scan.new, report.run.encoded, report.run.failed) == (6, 6, 0)
    check_invariants(library.folder)
    places = {where.removeprefix(server.address): photo for where, photo in photos_of(library.folder).items()}
    assert {"/0.jpg", "/rooms/ванна 1.jpg", "/shard-000.tar!a/1.jpg"} <= places.keys()
    assert places["/shard-000.tar!a/1.jpg"].details == {"price": 70, "url": "x", "caption": "a blue room"}
    server.asked.clear()
    remote.FACTS = remote.RecentFacts()
    assert library.add(f"{server.address}/").scan.unchanged == 6
    assert not [path for path in server.bytes_sent() if path.endswith((".jpg", ".tar"))]
    (server.root / "1.jpg").write_bytes(photo_bytes(77, (120, 80)))
    (server.root / "2.jpg").unlink()
    report = library.add(f"{server.address}/")
    assert (report.scan.changed, report.scan.vanished, report.run.encoded) == (1, 1, 1)


def test_a_lost_network_takes_no_photo_away(library: LibraryFactory, server: FileServer) -> None:
    library.add(f"{server.address}/0.jpg")
    library.add(f"{server.address}/rooms/")
    server.answers = {path: (503, {}, b"") for path in ("/0.jpg", "/rooms/", "/shard-000.tar")}
    remote.FACTS = remote.RecentFacts()
    report = library.add(f"{server.address}/0.jpg")
    assert (report.scan.unreached, report.scan.vanished, report.scan.changed) == (1, 0, 0)
    assert "stay as they are" in report.notes[0]
    remote.HOSTS = remote.Hosts()
    with pytest.raises(SourceError, match="HTTP 503"):
        library.add(f"{server.address}/rooms/")
    with pytest.raises(SourceError, match="HTTP 503"):
        library.add(f"{server.address}/shard-000.tar")
    assert {photo.state.value for photo in photos_of(library.folder).values()} == {"embedded"}


def test_what_servers_answer_in_place_of_photos(library: LibraryFactory, server: FileServer) -> None:
    page = b"<!-- moved --><!DOCTYPE html><html><body>Please sign in</body></html>"
    server.answers = {
        "/page.jpg": (200, {"Content-Type": "text/html"}, page),
        "/empty.jpg": (200, {}, b""),
        "/secret.jpg": (403, {}, b"no"),
        "/file.jpg": (302, {"Location": "file:///etc/passwd"}, b""),
        "/moved.jpg": (302, {"Location": "/0.jpg"}, b""),
        "/cut.jpg": (200, {"Content-Length": "5000", "Connection": "close"}, photo_bytes(5)[:400]),
        "/busy.jpg": (503, {}, b""),
        "/long.jpg": (200, {"Content-Length": ""}, photo_bytes(6, (1500, 1200))),
    }
    names = ["long", *["page", "empty", "secret", "file", "moved", "cut", "busy", "gone"]]
    with library.open() as opened:
        report = opened.add(*(f"{server.address}/{name}.jpg" for name in names))
        said = {Path(each.where).stem: (each.kind, each.reason) for each in opened.failures()}
    assert report.run.encoded == 2
    assert said["page"] == ("no picture", "the address gives a web page in place of a picture: is it still there?")
    assert said["empty"][0] == "empty"
    assert "HTTP 403" in said["secret"][1] and said["secret"][0] == "unreadable"
    assert "no web address" in said["file"][1]
    assert said["cut"][0] == said["busy"][0] == "unreachable"
    assert said["gone"] == ("missing", "nothing is there")
    with pytest.raises(SourceError, match="nothing is at http"):
        library.add(f"{server.address}/typo.jpg")
    server.answers = {}
    (server.root / "cut.jpg").write_bytes(photo_bytes(5))
    remote.FACTS, remote.HOSTS = remote.RecentFacts(), remote.Hosts()
    assert library.add(f"{server.address}/cut.jpg").run.encoded == 1  # without --retry-failed


def test_a_server_that_sends_inwards_is_not_followed(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_inward(host: str | None) -> bool:
        return host == "localhost"

    monkeypatch.setattr(remote, "is_inward", is_inward)
    inside = server.address.replace("127.0.0.1", "localhost")
    server.answers = {"/sly.jpg": (302, {"Location": f"{inside}/0.jpg"}, b"")}
    with pytest.raises(PermissionError, match="not followed"):
        facts_at(f"{server.address}/sly.jpg")
    assert facts_at(f"{inside}/0.jpg").size_bytes == len(photo_bytes(0))


def test_parts_are_read_and_a_changed_length_is_told(server: FileServer) -> None:
    url = f"{server.address}/0.jpg"
    assert read_at(url, 10, 5) == photo_bytes(0)[10:15]
    assert read_at(url, most_bytes=7) == photo_bytes(0)[:7]
    (server.root / "0.jpg").write_bytes(b"short")
    with pytest.raises(Unreachable, match="after 5 of"):
        read_at(url)
    assert read_at(url) == b"short"  # what was known of it was forgotten


def test_shards_of_a_series_are_read_where_parts_are_not_given_too(library: LibraryFactory, server: FileServer) -> None:
    server.gives_parts = False
    report = library.add(f"{server.address}/shard-{{000..002}}.tar")
    assert (report.scan.new, report.run.encoded, report.scan.unread) == (2, 2, 2)
    assert f"2 sources of 3 cannot be read: {server.address}/shard-001.tar" in report.notes[0]
    packed = library.add(f"{server.address}/shard-001.tar.gz")
    assert (packed.scan.new, packed.run.reused) == (2, 2)
    server.asked.clear()
    assert library.add(f"{server.address}/shard-001.tar.gz").scan.unchanged == 2
    assert not server.bytes_sent()
    with library.open() as opened:
        assert opened.forget(f"{server.address}/shard-001.tar.gz").photos == 2
        assert opened.similar(f"{server.address}/shard-000.tar/a/1.jpg", k=1)[0].member == "a/2.jpg"


def test_servers_that_tell_no_times_are_told_from_by_etags(library: LibraryFactory, server: FileServer) -> None:
    server.tells_times = False
    server.answers = {"/0.jpg": (200, {"ETag": '"one"'}, photo_bytes(0))}
    library.add(f"{server.address}/0.jpg")
    assert library.add(f"{server.address}/0.jpg").scan.unchanged == 1
    server.answers = {"/0.jpg": (200, {"ETag": '"two"'}, photo_bytes(0))}
    remote.FACTS = remote.RecentFacts()
    report = library.add(f"{server.address}/0.jpg")
    assert (report.scan.changed, report.run.reused) == (1, 1)


def test_a_store_is_listed_with_times_and_patterns(library: LibraryFactory) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    names = ["a/1.jpg", "a/b/2.jpg", "a/raw/3.jpg", "a/.hidden/4.jpg", "a/notes.md"]
    try:
        for number, name in enumerate(names):
            store.pipe(f"/bucket/{name}", photo_bytes(number))
        report = library.add("memory://bucket", exclude="raw/", hotel_from="folder")
        assert (report.scan.new, report.scan.other_files) == (2, 1)
        assert report.metadata.hotels == {"a": 2}
        assert library.add("memory://bucket/*/raw").scan.new == 1
        assert library.add("memory://bucket/", exclude="raw/").scan.unchanged == 2
        with library.open() as opened:
            listed = [hit.path for hit in opened.search("a room path:bucket/a/b")]
            assert listed == ["memory://bucket/a/b/2.jpg"]
            assert opened.verify() == []
        with pytest.raises(SourceError, match="memory://nothing: nothing is there"):
            library.add("memory://nothing")
    finally:
        store.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("https://me:hunter2@host/a.jpg", "holds a name or a password"),
        ("https://host/a.jpg?X-Amz-Signature=hunter2", r"holds a key \(X-Amz-Signature\)"),
        ("https://host/a.jpg?v=1&sig=hunter2", "holds a key"),
        ("ftp://host/hunter2", "of addresses those are that begin with https://"),
        ("https:///a.jpg", "names no host"),
        ("https://host:99999/", "is no address"),
        ("https://host/a\nb.jpg", "is no address"),
        ("file://elsewhere/a.jpg", "lies on another machine"),
        ("s3://b/{0..9999999}.tar", "more than 100,000 names"),
    ],
)
def test_addresses_that_are_not_taken(library: LibraryFactory, address: str, why: str) -> None:
    with pytest.raises((SourceError, QueryError), match=why) as caught:
        library.add(address)
    assert "hunter2" not in str(caught.value) or address.startswith("ftp")
    assert not photos_of(library.folder) and not problems_of(library.folder)


def test_a_store_without_a_reader_says_what_to_get(library: LibraryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(SourceError, match=r"pip install -e '\.\[s3\]'"):
        library.add("s3://bucket/photos")


def test_columns_are_noted_once(library: LibraryFactory, server: FileServer) -> None:
    library.add(f"{server.address}/shard-000.tar")
    with library.open().catalog.session() as session:
        assert columns_known(session) == ["price", "url", "caption"]
