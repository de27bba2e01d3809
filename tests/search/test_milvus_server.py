"""A library whose candidates a real Milvus names: filters said to it, photos that change, and faults."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aliens
from aliens.library import Library
from base.errors import LibraryError
from base.settings import LibraryFolder
from embedding.index import milvus, milvus_sync
from embedding.index.left import Left
from embedding.index.milvus import Collection, MilvusEngine, connected, read_collection
from search.results import Results
from tests.conftest import LibraryFactory, fill_folder
from tests.milvus_server import MilvusServer

QUICK = 1.0  # seconds after which a Milvus that gave no answer is asked again


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milvus is waited for as long as a busy machine takes."""
    for name in ("CONNECT_S", "SEARCH_S", "LOAD_S"):
        monkeypatch.setattr(milvus, name, 300.0)
    monkeypatch.setattr(milvus_sync, "SEARCH_S", 300.0)


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, sample_library: Library, milvus_server: MilvusServer
) -> Iterator[Library]:
    """A copy of the sample hotels, tagged, with its vectors in a real Milvus."""
    folder = LibraryFolder(tmp_path_factory.mktemp("served") / "library")
    shutil.copytree(sample_library.folder.root, folder.root)
    with aliens.open(folder.root, encoder=sample_library.encoder) as library:
        library.tag("case-study")
        report = library.update_index(f"milvus:{milvus_server.uri}")
        assert report.milvus is not None
        assert report.milvus.sound
        yield library


def about(library: Library) -> Collection:
    found = read_collection(library.folder.index(library.model.key))
    assert found is not None
    return found


def pushed(library: Library, text: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Results, list[Any]]:
    """Return what a search finds, and what was asked of Milvus besides the query."""
    asked: list[Any] = []
    real = MilvusEngine._search

    def search(self: MilvusEngine, queries: np.ndarray, k: int, among: Any, share: float) -> np.ndarray:
        asked.append(among)
        return real(self, queries, k, among, share)

    with monkeypatch.context() as patch:
        patch.setattr(MilvusEngine, "_search", search)
        return library.search(text, **options), asked


def same_hits(found: Results, exact: Results) -> None:
    assert [hit.photo_id for hit in found] == [hit.photo_id for hit in exact]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in exact], abs=1e-6)
    assert found.explanation.selected == exact.explanation.selected


FILTERS = [
    "chain:none",
    "-chain:none",
    'chain:"Azura Bay Resorts"',
    '-chain:"Azura Bay Resorts"',
    "source:traffickcam",
    "-source:travel_website",
    "after:2017",
    "before:2017-06",
    "after:2017-03 before:2018 -source:traffickcam",
    "year:2016 year:2018",
    "-year:2017",
    "year:none",
    "hotel:{hotel}",
    "-hotel:{hotel} chain:none",
    "tag:bathtub",
    "-tag:bathtub source:traffickcam",
    'tag:"a pool" -tag:bathtub',
    "kind:any after:2017",
]


@pytest.mark.parametrize("filters", FILTERS)
def test_filters_are_said_to_milvus_and_find_what_the_exact_scan_finds(
    served: Library, monkeypatch: pytest.MonkeyPatch, filters: str
) -> None:
    hotel = served.search("a pool", k=1)[0].hotel_id
    # The graph of so few photos was measured to lose none, whatever a filter leaves of them.
    assert about(served).least_share < 0.5
    text = f"a room {filters.format(hotel=hotel)}"
    found, asked = pushed(served, text, monkeypatch, k=20)
    exact = served.search(text, k=20, exact=True)
    same_hits(found, exact)
    selected = exact.explanation.selected
    assert selected is not None
    if selected > about(served).least_share * 240:
        assert found.explanation.engine == "milvus"
        assert {type(among) for among in asked} == {Left}
        assert asked[0].count == selected
        assert not asked[0]._known, "no photo's id was looked up"


@pytest.mark.parametrize("filters", ["size:>=100x100", "path:hotel", "tag:bathtub>=0.1", "chain:none color:colour"])
def test_what_cannot_be_said_exactly_becomes_ids_of_photos(
    served: Library, monkeypatch: pytest.MonkeyPatch, filters: str
) -> None:
    found, asked = pushed(served, f"a room {filters}", monkeypatch, k=20)
    assert not any(isinstance(among, Left) for among in asked)
    same_hits(found, served.search(f"a room {filters}", k=20, exact=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a pool chain:nowhere", "no chain 'nowhere'"),
        ("a pool hotel:nowhere", "no hotel 'nowhere'"),
        ("a pool source:nowhere", "no source 'nowhere'"),
        ("a pool tag:nowhere", "nowhere"),
    ],
)
def test_unknown_names_are_refused_as_without_milvus(served: Library, text: str, said: str) -> None:
    with pytest.raises(aliens.AliensError, match=said):
        served.search(text)


def test_what_changes_is_noticed_at_once_and_sent_by_the_next_index(
    served: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bed = served.search("a bed source:traffickcam -tag:bathtub", k=1)[0]
    served.label([bed.photo_id], "a bathtub")
    for text in ("a bed -tag:bathtub", "a bed tag:bathtub"):
        found, asked = pushed(served, text, monkeypatch, k=20)
        assert not any(isinstance(among, Left) for among in asked)  # its tags are those of before
        same_hits(found, served.search(text, k=20, exact=True))
    assert {type(each) for each in pushed(served, "a bed source:traffickcam", monkeypatch)[1]} == {Left}
    sent: list[str] = []
    assert served.update_index(progress=lambda step: sent.append(step.what)).written
    assert "sending to Milvus" not in sent
    found, asked = pushed(served, "a bed tag:bathtub", monkeypatch, k=100)
    assert bed.photo_id in [hit.photo_id for hit in found]
    same_hits(found, served.search("a bed tag:bathtub", k=100, exact=True))
    assert not served.update_index().written


# Faults


@pytest.fixture
def unlike(opened: Library, milvus_server: MilvusServer) -> Iterator[Library]:
    """A library of ten photos in a real Milvus."""
    opened.update_index(f"milvus:{milvus_server.uri}", least_recall=0.5)
    yield opened


def test_a_server_that_is_killed_in_the_midst_of_searching_is_done_without_and_found_again(
    unlike: Library, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "RETRY_S", 0.0)
    exact = unlike.search("pool", k=5, exact=True)
    assert unlike.search("pool", k=5).explanation.engine == "milvus"
    milvus_server.kill()
    try:
        with monkeypatch.context() as patch:
            for name in ("CONNECT_S", "SEARCH_S"):
                patch.setattr(milvus, name, QUICK)
            for text in ("pool", "pool after:1990"):
                found = unlike.search(text, k=5)
                assert [hit.photo_id for hit in found] == [hit.photo_id for hit in exact]
                assert "every photo is compared: Milvus at" in found.explanation.note
            with pytest.raises(LibraryError, match="gives no answer"):
                unlike.update_index(f"milvus:{milvus_server.uri}x")
    finally:
        milvus_server.start()
    found = unlike.search("pool", k=5)
    assert (found.explanation.engine, found.explanation.note) == ("milvus", "")
    same_hits(found, exact)
    same_hits(unlike.search("pool after:1990", k=5), unlike.search("pool after:1990", k=5, exact=True))


def test_a_server_that_is_killed_in_the_midst_of_a_sync_is_brought_up_to_date_by_the_next(
    unlike: Library, photos: Path, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_folder(photos, range(10, 40))
    (photos / "03.jpg").unlink()
    unlike.add(photos)
    real, sent = milvus_sync.Sending._write, list[int]()

    def write(self: milvus_sync.Sending, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options)
        sent.append(len(arguments[1]))
        milvus_server.kill()

    try:
        with monkeypatch.context() as patch:
            patch.setattr(milvus_sync.Sending, "_write", write)
            for name in ("SEARCH_S", "WRITE_S"):
                patch.setattr(milvus_sync, name, QUICK)
            report = unlike.update_index()
        assert "gives no answer" in report.problem
        assert sent == [30]
    finally:
        milvus_server.start()
    same_hits(unlike.search("pool", k=20), unlike.search("pool", k=20, exact=True))
    report = unlike.update_index()
    assert report.milvus is not None
    assert (report.problem, report.milvus.entries, report.beside) == ("", 39, 0)
    with closing(connected(milvus_server.uri)) as client:
        assert milvus.counted_rows(client, report.milvus.name, "photo_id >= 0") == 39
    found = unlike.search("pool", k=20)
    assert found.explanation.engine == "milvus"
    same_hits(found, unlike.search("pool", k=20, exact=True))


def test_a_collection_that_was_dropped_is_done_without_and_made_anew(
    unlike: Library, milvus_server: MilvusServer
) -> None:
    name = about(unlike).name
    with closing(connected(milvus_server.uri)) as client:
        client.drop_collection(name)
    found = unlike.search("pool", k=5)
    assert f"the collection {name} of Milvus at" in found.explanation.note
    same_hits(found, unlike.search("pool", k=5, exact=True))
    report = unlike.update_index()
    assert report.milvus is not None
    assert report.milvus.name != name
    assert unlike.search("pool", k=5).explanation.engine == "milvus"


def test_an_older_milvus_is_refused_with_what_it_lacks(
    library: LibraryFactory, photos: Path, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(photos)
    monkeypatch.setattr(milvus, "OLDEST", (2, 4, 0))
    with pytest.raises(LibraryError, match=r"is v2\.3\.5-lite, and 2\.4\.0 or newer is needed"):
        library.open().update_index(f"milvus:{milvus_server.uri}")
