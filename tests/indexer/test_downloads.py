import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import aliens
from base.errors import AliensError, OutputError, QueryError, SourceError
from base.progress import Step
from indexer import harvest
from indexer.dead_links import DeadLinks
from indexer.downloads import WORK, DownloadOptions, DownloadReport, download_photos, web_address
from indexer.hotels50k import Hotels50kSource
from tests.by_folder import add_photos, list_failures
from tests.conftest import LibraryFactory
from tests.indexer.conftest import CHAINS, HOTELS, PHOTOS, TEST_PHOTOS, write_tar
from tests.web_server import PhotoServer, serving_photos

ROOT = Path(__file__).parents[2]
STAND_IN = str(ROOT / "tests" / "data" / "stand_in")
HEAD = PHOTOS.splitlines()[0]


@pytest.fixture(scope="module")
def server() -> Iterator[PhotoServer]:
    with serving_photos() as server:
        yield server


@pytest.fixture(autouse=True)
def around(server: PhotoServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Nothing was asked of the server yet; all tests but one have a stand-in for img2dataset, in processes as well."""
    server.asked.clear()
    for event in (server.open, server.waiting, server.left):
        event.clear()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    if request.function is not test_img2dataset_fetches_what_is_there_alone:
        monkeypatch.syspath_prepend(STAND_IN)
        monkeypatch.setenv("PYTHONPATH", STAND_IN)


@pytest.fixture
def brought(tmp_path: Path) -> harvest.Harvest:
    """What is brought from shards in a folder."""
    (tmp_path / "shards").mkdir()
    return harvest.Harvest(str(tmp_path), DeadLinks(str(tmp_path / "dead_links.tsv")))


def listing(root: Path, *addresses: str, name: str = "train_set.csv") -> Path:
    """Write a tree's lists, with photos 1, 2, ... of hotel 100 at these addresses."""
    (root / "dataset").mkdir(parents=True, exist_ok=True)
    rows = [f'{number},100,"{address}",traffickcam,' for number, address in enumerate(addresses, start=1)]
    contents = {"chain_info.csv": CHAINS, "hotel_info.csv": HOTELS, "train_set.csv": f"{HEAD}\n"}
    for file, content in (contents | {name: "\n".join([HEAD, *rows, ""])}).items():
        (root / "dataset" / file).write_text(content, encoding="utf-8")
    return root


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as photo:
        assert photo.format == "JPEG"
        return photo.size


def photos_in(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "images/train/7/100/traffickcam").glob("*"))


def dead_of(folder: Path) -> dict[int, str]:
    return DeadLinks(str(folder / "dead_links.tsv")).reasons


def dead_in(root: Path) -> dict[int, str]:
    return dead_of(root / "images/train")


def in_short(report: DownloadReport) -> tuple[int, int, int, int, int]:
    return report.there, report.known_dead, report.downloaded, report.failed, report.left


def test_img2dataset_fetches_what_is_there_alone(tmp_path: Path, server: PhotoServer, library: LibraryFactory) -> None:
    pytest.importorskip("img2dataset", reason="img2dataset is absent: pip install -e '.[download]'")
    kinds = ("photo/7.jpg", "wide/2.jpg", "png/3.png", "redirect/4.jpg", "missing/5.jpg", "broken/6.jpg", "html/7.jpg")
    kinds += ("huge/8.png", "cut/9.jpg", "unwanted/10.jpg", "photo/11.jpg?width=ü 1")
    tree = listing(tmp_path, *map(server.at, kinds))
    report = download_photos(tree, options=DownloadOptions(processes=1, threads=4))
    assert photos_in(tree) == ["1.jpg", "11.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert in_short(report) == (0, 0, 5, 6, 0)
    assert dead_in(tree) == {
        5: "HTTP Error 404: Not Found",
        6: "HTTP Error 500: Internal Server Error",
        7: "what came is no picture that can be read",
        8: "what came is no picture that can be read",
        9: "the connection was cut",
        10: "Use of image disallowed by X-Robots-Tag directive",
    }
    sizes = {name: size_of(tree / "images/train/7/100/traffickcam" / name) for name in photos_in(tree)}
    assert sizes == dict.fromkeys(["1.jpg", "3.jpg", "4.jpg", "11.jpg"], (640, 427)) | {"2.jpg": (640, 480)}
    add_photos(library.folder, Hotels50kSource(tree), lambda model: library.encoder)
    ((first), *_) = list_failures(library.folder)
    assert first.reason == "there is no such file: HTTP Error 404: Not Found"
    assert not (tree / "images/train" / WORK).exists()


def test_only_what_is_missing_and_not_known_to_be_dead_is_asked_for(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, *(server.at(f"{kind}/{n}.jpg") for n, kind in enumerate(("photo", "missing", "photo"))))
    assert in_short(download_photos(tree)) == (0, 0, 2, 1, 0)
    server.asked.clear()
    again = download_photos(tree)
    assert (in_short(again), server.asked) == ((2, 1, 0, 0, 0), [])
    assert again.notes == ["1 photo that failed before was not tried again: --retry-failed does so"]

    listing(tmp_path, *(server.at(f"photo/{n}.jpg") for n in range(3)))
    assert in_short(download_photos(tree, options=DownloadOptions(retry_failed=True))) == (2, 0, 1, 0, 0)
    assert server.asked == ["/photo/1.jpg"]
    download_photos(tree)
    assert dead_in(tree) == {}


def test_limit_tries_so_many_and_the_next_run_the_others(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, *(server.at(f"photo/{n}.jpg") for n in range(5)))
    report = download_photos(tree, options=DownloadOptions(limit=2))
    assert (in_short(report), report.listed) == ((0, 0, 2, 0, 3), 5)
    assert report.notes == ["3 photos to go: the same command goes on from here"]
    assert in_short(download_photos(tree, options=DownloadOptions(limit=9))) == (2, 0, 3, 0, 0)


def test_photo_in_another_folder_or_of_another_ending_is_not_fetched_again(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, *(server.at(f"photo/{n}.jpg") for n in (1, 2, 3)))
    download_photos(tree)
    hotel = tree / "images/train/7/100"
    (hotel / "traffickcam/2.jpg").rename(hotel / "traffickcam/2.png")
    (tree / "images/train/Unknown").mkdir()
    hotel.rename(tree / "images/train/Unknown/100")
    assert in_short(download_photos(tree)) == (3, 0, 0, 0, 0)


def test_empty_file_that_a_power_cut_left_is_fetched_again(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, server.at("photo/1.jpg"))
    download_photos(tree)
    (tree / "images/train/7/100/traffickcam/1.jpg").write_bytes(b"")
    assert in_short(download_photos(tree)) == (0, 0, 1, 0, 0)


def test_killed_run_takes_all_that_it_started_along_and_the_next_one_goes_on(
    tmp_path: Path, server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["photo/1.jpg", "missing/2.jpg", "photo/3.jpg", "wait/4.jpg", "photo/5.jpg"]
    tree = listing(tmp_path, *map(server.at, places))
    monkeypatch.setenv("PYTHONPATH", f"{STAND_IN}:{ROOT}")
    command = [sys.executable, str(ROOT / "cli.py"), "download", "hotels50k", str(tree), "--processes", "3"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    reached = server.waiting.wait(100)
    process.kill()
    assert reached, process.communicate()
    process.communicate()
    assert server.left.wait(100)  # img2dataset is gone as well

    server.open.set()
    asked = len(server.asked)
    report = download_photos(tree)
    assert photos_in(tree) == ["1.jpg", "3.jpg", "4.jpg", "5.jpg"]
    assert dead_in(tree) == {2: "HTTP Error 404: Not Found"}
    assert (report.there, report.known_dead) == (2, 1)
    assert server.asked[asked:] == ["/wait/4.jpg", "/photo/5.jpg"]
    assert sorted(os.listdir(tree / "images/train")) == ["7", "dead_links.tsv"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ZeroDivisionError])
def test_stopped_run_keeps_all_and_no_process(tmp_path: Path, server: PhotoServer, stop: type[BaseException]) -> None:
    tree = listing(tmp_path, *map(server.at, ["photo/1.jpg", "photo/2.jpg", "wait/3.jpg"]))

    def tell(step: Step) -> None:
        if step.what == "downloading" and step.done == 2:
            raise stop

    if stop is KeyboardInterrupt:
        report = download_photos(tree, progress=tell)
        assert (in_short(report), report.interrupted) == ((0, 0, 2, 0, 1), True)
    else:
        with pytest.raises(stop):
            download_photos(tree, progress=tell)
    assert photos_in(tree) == ["1.jpg", "2.jpg"]
    assert not (tree / "images/train" / WORK).exists()
    assert not server.waiting.is_set() or server.left.wait(100)


def test_where_no_server_answers_no_link_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest, "FEW_UNREACHED", 2)
    tree = listing(tmp_path, *(f"http://127.0.0.1:9/{n}.jpg" for n in range(3)))
    with pytest.raises(
        SourceError, match=r"none of 3 addresses answered, such as http://127\.0\.0\.1:9/.\.jpg \(no answ"
    ):
        download_photos(tree)
    assert dead_in(tree) == {}
    listing(tmp_path, "http://127.0.0.1:9/1.jpg")
    report = download_photos(tree)
    assert (in_short(report), report.reasons) == ((0, 0, 0, 1, 0), {"no answer: Connection refused": 1})
    assert dead_in(tree) == {}
    assert any("the next run tries again" in note for note in report.notes)


def shard_of(work: Path, number: int, *rows: tuple[str, str | None]) -> None:
    """Write what img2dataset tells of a shard: addresses, and why each failed or None."""
    columns: dict[str, list[Any]] = {
        "image_id": [1_000 * number + at for at in range(len(rows))],
        "url": [address for address, _ in rows],
        "status": ["success" if why is None else "failed_to_download" for _, why in rows],
        "error_message": [why for _, why in rows],
    }
    pq.write_table(pa.table(columns), work / "shards" / f"{number:05d}.parquet")
    (work / "shards" / f"{number:05d}_stats.json").write_text("{}")


def test_network_that_is_lost_on_the_way_makes_no_link_dead(tmp_path: Path, brought: harvest.Harvest) -> None:
    down = "<urlopen error [Errno -3] Temporary failure in name resolution>"
    shard_of(
        tmp_path,
        1,
        ("http://a.example/0.jpg", None),
        ("http://a.example/1.jpg", "HTTP Error 404: Not Found"),
        ("http://gone.example/2.jpg", "<urlopen error [Errno -2] Name or service not known>"),
        ("http://a.example/3.jpg", "<urlopen error [Errno 110] Connection timed out>"),
    )
    brought.take(tmp_path)
    assert dead_of(tmp_path).keys() == {1_001, 1_002}  # a server that is there otherwise may answer the next time
    shard_of(tmp_path, 2, *((f"http://{host}.example/{n}.jpg", down) for n in range(11) for host in "ab"))
    brought.take(tmp_path)
    assert dead_of(tmp_path).keys() == {1_001, 1_002}
    assert (brought.failed, brought.unanswered) == (25, 23)
    with pytest.raises(SourceError, match=r"none of 22 addresses answered, such as http://a\.example/0\.jpg"):
        brought.end()
    assert (brought.failed, brought.unanswered) == (3, 1)


def test_one_server_is_no_network(tmp_path: Path, brought: harvest.Harvest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest, "MOST_UNREACHED", 3)
    gone = "<urlopen error [Errno 111] Connection refused>"
    shard_of(tmp_path, 1, *((f"http://gone.example/{n}.jpg", gone) for n in range(5)))
    brought.take(tmp_path)
    shard_of(tmp_path, 2, ("http://gone.example/5.jpg", gone), ("http://a.example/6.jpg", None))
    brought.take(tmp_path)
    brought.end()
    assert dead_of(tmp_path).keys() == {2_000}
    shard_of(tmp_path, 3, *((f"http://{host}.example/{n}.jpg", gone) for n in range(2) for host in "ab"))
    with pytest.raises(SourceError, match="none of 4 addresses answered"):
        brought.take(tmp_path)


def test_rows_that_cannot_be_used_are_told(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, server.at("photo/1.jpg"))
    with open(tree / "dataset/train_set.csv", "a", encoding="utf-8") as file:
        file.write("two,100,,traffickcam,\n3,100\n")
    report = download_photos(tree)
    assert in_short(report) == (0, 0, 1, 0, 0)
    assert report.notes == [
        "2 problems in the lists, such as train_set.csv:3: image_id 'two' is no number: `aliens failures` names all of "
        "them once the photos are added"
    ]


def test_what_is_no_address_is_a_dead_link_and_nothing_else_is_lost(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, "file:///etc/passwd", "", server.at("photo/3.jpg"), "http://[", "ftp://a/b.jpg")
    assert in_short(download_photos(tree)) == (0, 0, 1, 4, 0)
    assert dead_in(tree) == dict.fromkeys((1, 2, 4, 5), "its list names no web address")
    assert in_short(download_photos(tree, options=DownloadOptions(retry_failed=True))) == (1, 4, 0, 0, 0)


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        (" https://A.com/b c.jpg?w=1&h=%20 ", "https://A.com/b%20c.jpg?w=1&h=%20"),
        ("HTTP://a.com/ü.jpg#part", "http://a.com/%C3%BC.jpg"),
        ("http://bücher.example/1.jpg", "http://xn--bcher-kva.example/1.jpg"),
        ("https://a.com/1.jpg\n", "https://a.com/1.jpg"),
        ("//a.com/1.jpg", None),
        ("javascript:alert(1)", None),
        ("http:///1.jpg", None),
    ],
)
def test_address_is_written_as_it_can_be_asked_for(written: str, asked: str | None) -> None:
    assert web_address(written) == asked


def test_lists_are_taken_out_of_their_archive(tmp_path: Path) -> None:
    listing(tmp_path / "made", "")
    (tmp_path / "made/dataset/test_set.csv").write_text(TEST_PHOTOS, encoding="utf-8")
    root = tmp_path / "tree"
    root.mkdir()
    with tarfile.open(root / "dataset.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "made/dataset", "../../input/dataset")  # wherever they lie
    with pytest.raises(SourceError, match="names no addresses"):
        download_photos(root)
    assert sorted(os.listdir(root / "dataset")) == sorted(os.listdir(tmp_path / "made/dataset"))
    assert (root / "dataset/test_set.csv").read_text() == TEST_PHOTOS


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b" + bytes(50)])
def test_archive_that_is_broken_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dataset.tar.gz").write_bytes(content)
    with pytest.raises(SourceError, match=r"dataset\.tar\.gz cannot be unpacked .*download it again"):
        download_photos(tmp_path)
    assert not (tmp_path / "dataset/train_set.csv").exists()


def test_archive_that_lacks_a_list_is_named(tmp_path: Path) -> None:
    write_tar(tmp_path / "dataset.tar.gz", {"dataset/train_set.csv": b""}, "w:gz")
    with pytest.raises(SourceError, match=r"holds no chain_info.csv and no hotel_info.csv and no test_set.csv"):
        download_photos(tmp_path)


def test_folder_without_lists_is_refused_with_where_they_are_published(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"neither dataset/train_set.csv nor dataset.tar.gz: put .*GWUvision/Hotels-50K"
    ):
        download_photos(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("split", "message"), [("low", "covered parts of its photos.*test.tar.lz4"), ("val", "choose one of train, unoccl")]
)
def test_splits_that_cannot_be_downloaded_are_refused(tmp_path: Path, split: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        download_photos(listing(tmp_path, "http://a/1.jpg"), split)


def test_photos_of_the_test_come_where_they_belong(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, server.at("photo/1.jpg"), name="test_set.csv")
    assert aliens.download_hotels50k(tree, split="unoccluded").downloaded == 1
    assert (tree / "images/test/unoccluded/7/100/traffickcam/1.jpg").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [("side_px", "--side is 0: it has to be at least 16"), ("limit", "--limit is 0"), ("threads", "--threads is 0")],
)
def test_numbers_that_make_no_sense_are_refused(option: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        DownloadOptions(**{option: 0})


def test_without_img2dataset_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.downloads.find_spec", lambda name: None)
    with pytest.raises(AliensError, match=r"img2dataset, which is absent: `pip install -e '\.\[download\]'`"):
        download_photos(listing(tmp_path, "http://a/1.jpg"))


def test_failed_img2dataset_is_told_of(tmp_path: Path, server: PhotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    tree = listing(tmp_path, server.at("photo/1.jpg"))
    with pytest.raises(AliensError, match=r"img2dataset ended with code 1: .*MemoryError: no memory left"):
        download_photos(tree)
    assert not (tree / "images/train" / WORK).exists()


def test_killed_img2dataset_is_told(tmp_path: Path, server: PhotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_KILLED", "1")
    report = download_photos(listing(tmp_path, server.at("photo/1.jpg")))
    assert (report.downloaded, report.left, report.interrupted) == (0, 1, False)
    assert report.notes[0].startswith("img2dataset was killed before its end, ")
    assert "--processes" in report.notes[0]


def test_full_disk_stops_it(tmp_path: Path, server: PhotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.downloads.LEAST_FREE_BYTES", 1 << 80)
    tree = listing(tmp_path, server.at("photo/1.jpg"), server.at("wait/2.jpg"))
    with pytest.raises(OutputError, match=r"the disk that holds .*images/train is full: free some space"):
        download_photos(tree)


def test_what_brings_nothing_is_stopped(tmp_path: Path, server: PhotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.downloads.STALLED_S", 0.0)
    report = download_photos(listing(tmp_path, server.at("wait/1.jpg")))
    assert (report.downloaded, report.left) == (0, 1)
    assert report.notes[0].startswith("stopped, since nothing came for ")


def test_two_at_once_are_refused(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, server.at("photo/1.jpg"))

    def tell(step: Step) -> None:
        if step.what == "downloading":
            with pytest.raises(OutputError, match="another process downloads photos into"):
                download_photos(tree)

    assert download_photos(tree, progress=tell).downloaded == 1


def test_folder_that_cannot_be_written_is_named(tmp_path: Path, server: PhotoServer) -> None:
    tree = listing(tmp_path, server.at("photo/1.jpg"))
    (tree / "images").write_text("in the way")
    with pytest.raises(OutputError, match=r"images.* cannot be written: "):
        download_photos(tree)
